//! `--ca ckn=HEX,cak=HEX` and `--sa sci=HEX,an=N,suite=NAME,key=HEX[,...]`.

use std::{convert::Infallible, fmt, str::FromStr};

use macsec::{An, CipherSuite, Sci, Ssci};
use macsec_decode::{GivenCa, GivenSa};
use mka::{Cak, Ckn};
use zeroize::Zeroizing;

use crate::config::{SaFields, SaRule};

/// Values that are never shown.
const SECRETS: [&str; 3] = ["cak", "key", "salt"];

/// The text of an argument that has a key in it. It is looked at later, as clap shows what it
/// refuses.
#[derive(Clone)]
pub struct KeyArgument(Zeroizing<String>);

impl FromStr for KeyArgument {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

/// Shows nothing of it.
impl fmt::Debug for KeyArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyArgument")
    }
}

/// The CA of the option `--ca` number `number`.
///
/// # Errors
/// One line: `--ca NUMBER: KEY = VALUE: what is allowed`.
pub(super) fn ca(number: usize, argument: &KeyArgument) -> Result<GivenCa, String> {
    let fields = Fields::split("--ca", number, argument, &["ckn", "cak"])?;
    let rule = "2 to 64 hexadecimal digits, an even number of them";
    let ckn = fields.required("ckn", rule, |text| text.parse::<Ckn>().ok())?;
    let octets = fields.required("cak", "32 or 64 hexadecimal digits", |text| {
        key(text).filter(|octets| matches!(octets.len(), 16 | 32))
    })?;
    let zero = |_| fields.fault("cak", "random digits: they are all zero");
    Ok(GivenCa { ckn, cak: Cak::new(&octets).map_err(zero)? })
}

/// The SA of the option `--sa` number `number`.
///
/// # Errors
/// One line: `--sa NUMBER: KEY = VALUE: what is allowed`.
pub(super) fn sa(number: usize, argument: &KeyArgument) -> Result<GivenSa, String> {
    let known = ["sci", "an", "suite", "key", "ssci", "salt", "offset", "pn"];
    let fields = Fields::split("--sa", number, argument, &known)?;
    let rule = "aa-bb-cc-dd-ee-ff-pppp or 16 hexadecimal digits";
    let sci = fields.required("sci", rule, |text| text.parse::<Sci>().ok())?;
    let an = fields.required("an", "0 to 3", |text| An::new(text.parse().ok()?))?;
    let rule = "gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128 or gcm-aes-xpn-256";
    let suite = fields.required("suite", rule, |text| text.parse::<CipherSuite>().ok())?;
    let rule = format!("{} hexadecimal digits for {suite}", 2 * suite.key_len());
    let sak = fields.required("key", &rule, |text| {
        key(text).filter(|octets| octets.len() == suite.key_len())
    })?;
    let rule = "1 to 8 hexadecimal digits, not zero";
    let ssci = fields.optional("ssci", rule, |text| {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let is_plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, 16).ok().filter(|number| *number > 0)?;
        is_plain.then_some(Ssci(number))
    })?;
    let salt = fields.optional("salt", "24 hexadecimal digits", SaFields::salt)?;
    let offset =
        fields.optional("offset", "0, 30 or 50", |text| SaFields::offset(text.parse().ok()?))?;
    let pn = fields.optional("pn", "1 to 18446744073709551615", |text| {
        text.parse().ok().filter(|pn: &u64| *pn > 0)
    })?;
    let sa = SaFields { sci, an, suite, sak, ssci, salt, offset, pn }.check();
    sa.map_err(|SaRule { field, allowed }| fields.fault(field, &allowed))
}

fn key(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut octets = Zeroizing::new(vec![0; text.len() / 2]);
    hex::decode_to_slice(text, &mut octets).ok().map(|()| octets)
}

/// `KEY=VALUE,KEY=VALUE...`
struct Fields<'a> {
    option: &'static str,
    number: usize,
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    fn split(
        option: &'static str,
        number: usize,
        argument: &'a KeyArgument,
        known: &[&'static str],
    ) -> Result<Self, String> {
        let mut this = Self { option, number, fields: Vec::new() };
        for part in argument.0.split(',') {
            let form = || {
                let keys = known.join(", ");
                format!("{option} {number}: must be KEY=VALUE,KEY=VALUE...: there are {keys}")
            };
            let (key, value) = part.split_once('=').ok_or_else(form)?;
            let (key, value) = (key.trim(), value.trim());
            // Not shown: it may be a piece of a key.
            if !known.contains(&key) {
                return Err(format!(
                    "{option} {number}: an unknown key: there are {}",
                    known.join(", ")
                ));
            }
            if this.fields.iter().any(|(there, _)| *there == key) {
                return Err(this.fault(key, "only once"));
            }
            this.fields.push((key, value));
        }
        Ok(this)
    }

    fn required<T>(
        &self,
        key: &str,
        allowed: &str,
        convert: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, String> {
        let value = self.optional(key, allowed, convert)?;
        value.ok_or_else(|| self.fault(key, &format!("required: {allowed}")))
    }

    fn optional<T>(
        &self,
        key: &str,
        allowed: &str,
        convert: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some((_, value)) = self.fields.iter().find(|(there, _)| *there == key) else {
            return Ok(None);
        };
        match convert(value) {
            Some(value) => Ok(Some(value)),
            None if SECRETS.contains(&key) => {
                Err(self.fault(key, &format!("{allowed}: there are {}", value.chars().count())))
            }
            None => Err(self.fault(key, allowed)),
        }
    }

    /// What is wrong with the value of `key`.
    fn fault(&self, key: &str, allowed: &str) -> String {
        let Self { option, number, .. } = self;
        // The standard's name for what the option calls key.
        let key = if key == "sak" { "key" } else { key };
        let value = match self.fields.iter().find(|(there, _)| *there == key) {
            None => "(missing)".to_owned(),
            Some(_) if SECRETS.contains(&key) => "(hidden)".to_owned(),
            // One that is longer is a key that stands in the wrong place.
            Some((_, value)) if value.len() >= 32 => "(hidden)".to_owned(),
            Some((_, value)) => format!("{value:?}"),
        };
        format!("{option} {number}: {key} = {value}: {allowed}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CKN: &str = "96437a93ccf10d9dfe347846cce52c7d";
    const CAK: &str = "135bd758b0ee5c11c55ff6ab19fdb199";
    const SALT: &str = "e630e81a48de86a21c66fa6d";

    fn argument(text: &str) -> KeyArgument {
        text.parse().expect("any text")
    }

    fn sa_of(text: &str) -> Result<GivenSa, String> {
        sa(1, &argument(text))
    }

    #[test]
    fn a_ca_is_read() {
        let ca = ca(1, &argument(&format!("cak={CAK}, ckn={CKN}"))).expect("right");
        assert_eq!(ca.ckn.to_string(), CKN);
    }

    #[test]
    fn an_sa_is_read_with_all_its_parts() {
        let text = format!(
            "sci=02000000000a0001,an=3,suite=GCM-AES-XPN-128,key={CAK},ssci=0000000a,salt={SALT},pn=4294967296"
        );
        let sa = sa_of(&text).expect("right");
        assert_eq!(sa.sci.to_string(), "02-00-00-00-00-0a-0001");
        assert_eq!((sa.an.number(), sa.ssci, sa.pn), (3, Some(Ssci(10)), 1 << 32));
        assert_eq!(hex::encode(sa.salt.expect("given").0), SALT);
        let sa = sa_of(&format!(
            "sci=02-00-00-00-00-0a-0001,an=0,suite=gcm-aes-128,key={CAK},offset=30"
        ));
        assert_eq!(sa.expect("right").offset.octets(), 30);
    }

    #[test]
    fn each_mistake_is_told_in_one_line_that_shows_no_key() {
        let right = format!("sci=02000000000a0001,an=0,suite=gcm-aes-128,key={CAK}");
        for (text, expected) in [
            ("", "--sa 1: must be KEY=VALUE,KEY=VALUE...: there are sci, an"),
            (&*right.replace("an=0", "an=4"), "--sa 1: an = \"4\": 0 to 3"),
            (&*right.replace("an=0,", ""), "--sa 1: an = (missing): required: 0 to 3"),
            (&*right.replace("gcm-aes-128", "gcm"), "--sa 1: suite = \"gcm\": gcm-aes-128, gcm"),
            (
                &*right.replace("gcm-aes-128", "gcm-aes-256"),
                "--sa 1: key = (hidden): 64 hexadecimal digits for gcm-aes-256: there are 32",
            ),
            (&*right.replace("key=", "keyy="), "--sa 1: an unknown key: there are sci, an"),
            (&*format!("{right},an=1"), "--sa 1: an = \"0\": only once"),
            (&*format!("{right},ssci=1"), "--sa 1: ssci = \"1\": nothing: gcm-aes-128 has no"),
            (&*format!("{right},offset=31"), "--sa 1: offset = \"31\": 0, 30 or 50"),
            (&*format!("{right},pn=0"), "--sa 1: pn = \"0\": 1 to "),
            (
                &*right.replace("aes-128", "aes-xpn-128"),
                "--sa 1: salt = (missing): 24 hexadecimal digits, with gcm-aes-xpn-128",
            ),
            (&*right.replace("sci=02000000000a0001", &format!("sci={CAK}")), "--sa 1: sci = (h"),
        ] {
            let fault = sa_of(text).expect_err("wrong");
            assert!(fault.starts_with(expected), "{text}: {fault}");
            assert!(!fault.contains('\n') && !fault.contains(CAK), "{fault}");
        }
        let zero = format!("ckn={CKN},cak={}", "0".repeat(32));
        let fault = ca(2, &argument(&zero)).expect_err("wrong");
        assert_eq!(fault, "--ca 2: cak = (hidden): random digits: they are all zero");
    }
}
