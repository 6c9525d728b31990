use macsec_gcm::Backend;

use super::unhex;
use crate::{case::Case, must};

/// A file of the subset, and how many of its 375 cases must be refused.
const FILES: [(&str, &str, usize); 4] = [
    ("gcmEncryptExtIV128", vector!("nist-cavp/gcmEncryptExtIV128.rsp"), 0),
    ("gcmEncryptExtIV256", vector!("nist-cavp/gcmEncryptExtIV256.rsp"), 0),
    ("gcmDecrypt128", vector!("nist-cavp/gcmDecrypt128.rsp"), 196),
    ("gcmDecrypt256", vector!("nist-cavp/gcmDecrypt256.rsp"), 191),
];
const PER_FILE: usize = 375;

/// NIST CAVP: the 1500 cases with keys of 128 or 256 bits, a 96-bit nonce and a 128-bit tag. 387 of
/// them must be refused.
///
/// # Panics
/// When the backend fails a case.
pub fn nist_cavp<B: Backend>(backend: &B) {
    for (name, text, must_fail) in FILES {
        let records = parse(name, text);
        assert_eq!(records.len(), PER_FILE, "{name}: cases");
        let failing = records.iter().filter(|record| record.fails).count();
        assert_eq!(failing, must_fail, "{name}: cases that must be refused");
        for Record { case, fails } in records {
            let key = case.expand(backend);
            must(if fails { case.check_refused(&key) } else { case.check(&key, 0) });
        }
    }
}

struct Record {
    case: Case,
    fails: bool,
}

/// Reads the `.rsp` format: a `[...]` header per group of 15 cases, then a block of lines per case.
fn parse(name: &str, text: &str) -> Vec<Record> {
    let mut lengths = "";
    let mut records = Vec::new();
    for block in text.split("\n\n") {
        if block.starts_with('[') {
            lengths = block;
        } else if block.starts_with("Count") {
            records.push(parse_case(name, lengths, block));
        } else {
            assert!(block.starts_with('#'), "{name}: unknown block {block:?}");
        }
    }
    records
}

fn parse_case(name: &str, lengths: &str, block: &str) -> Record {
    let field = |wanted: &str| {
        let value = block.lines().find_map(|line| {
            let (field, value) = line.split_once('=')?;
            (field.trim() == wanted).then(|| value.trim())
        });
        value.ok_or_else(|| format!("no {wanted}"))
    };
    let fails = block.lines().any(|line| line == "FAIL");
    let lengths = lengths.replace('\n', "");
    let label =
        format!("NIST CAVP {name} {lengths} Count = {}", field("Count").unwrap_or_default());
    let need = |wanted| field(wanted).unwrap_or_else(|fault| panic!("{label}: {fault}"));
    let plaintext = if fails { "" } else { need("PT") };
    let case = Case {
        key: unhex(&label, need("Key")),
        nonce: unhex(&label, need("IV")),
        aad: unhex(&label, need("AAD")),
        plaintext: unhex(&label, plaintext),
        ciphertext: unhex(&label, need("CT")),
        tag: unhex(&label, need("Tag")),
        label,
    };
    Record { case, fails }
}
