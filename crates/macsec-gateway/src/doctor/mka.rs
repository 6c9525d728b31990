//! What a KaY shows that looks wrong.

use super::{Finding, Level};
use crate::status::{MkaStatus, symptoms};

const CHECK: &str = "MKA";

/// Its symptoms; or if there are none, how it fares.
pub(super) fn findings(mka: &MkaStatus) -> Vec<Finding> {
    let symptoms = symptoms::of(mka);
    let finding = |symptom: &symptoms::Symptom| {
        let level = if symptom.severe { Level::Problem } else { Level::Warning };
        Finding::new(level, CHECK, symptom.seen.as_str(), sentence(symptom.advice))
    };
    let mut findings: Vec<_> = symptoms.iter().map(finding).collect();
    if mka.secured && findings.is_empty() {
        let principal = mka.participants.iter().filter(|participant| participant.principal);
        let peers = principal.flat_map(|participant| &participant.peers);
        let live = peers.filter(|peer| peer.kind == "live").count();
        let peers = if live == 1 { "peer" } else { "peers" };
        findings.push(Finding::ok(CHECK, format!("secured, {live} live {peers}")));
    }
    findings
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
