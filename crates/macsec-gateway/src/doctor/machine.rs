//! The machine as a whole: what this process may do, the clock, the processor.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Finding;
use crate::privileges::{self, CapabilitySet};

/// 2025-01-01: whatever is earlier is a clock that nobody has set.
const NOT_BEFORE: Duration = Duration::from_secs(1_735_689_600);

/// Whether a gateway that is started as this process was could do its work.
pub(super) fn privileges() -> Finding {
    const CHECK: &str = "privileges";
    const ADVICE: &str = "Run as root, or let systemd start the gateway (macsec.service).";
    let needed = privileges::RUNNING | CapabilitySet::SYS_ADMIN;
    match privileges::missing(needed) {
        Ok(missing) if missing.is_empty() => Finding::ok(CHECK, "all that a gateway needs"),
        Ok(missing) => {
            Finding::problem(CHECK, format!("missing here: {}", missing.join(", ")), ADVICE)
        }
        Err(error) => Finding::problem(CHECK, error.to_string(), ADVICE),
    }
}

/// Whether the clock has been set. Static keys do without; logs and certificates do not.
pub(super) fn clock() -> Finding {
    judge_clock(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn judge_clock(since_epoch: Duration) -> Finding {
    const CHECK: &str = "clock";
    if since_epoch < NOT_BEFORE {
        let seen = "the system clock says it is before 2025";
        let advice = "Set it (NTP): logs are useless otherwise. Static keys do not depend on it.";
        return Finding::warning(CHECK, seen, advice);
    }
    Finding::ok(CHECK, "set")
}

/// Whether the processor has what makes AES-GCM fast. `backend`: that of a running gateway.
pub(super) fn processor(backend: Option<&str>) -> Finding {
    judge_processor(backend.unwrap_or("portable"), &features())
}

/// What a processor can do: the name of each feature, and whether it is there.
type Features = Vec<(&'static str, bool)>;

/// The first two are needed, the others are better.
fn judge_processor(backend: &str, features: &Features) -> Finding {
    const CHECK: &str = "processor";
    let names = |there: bool| {
        let names = features.iter().filter(|(_, has)| *has == there).map(|(name, _)| *name);
        names.collect::<Vec<_>>().join(", ")
    };
    let (needed, better) = features.split_at(features.len().min(2));
    if needed.is_empty() {
        let seen = format!("backend {backend}, on a processor that this program does not know");
        return Finding::note(CHECK, seen, "Measure it: `macsec demo` says what it does.");
    }
    if needed.iter().any(|(_, has)| !has) {
        let seen = format!("backend {backend}, and the processor has no {}", names(false));
        let advice = "AES without these instructions takes some twenty times as long. In a virtual \
                      machine, let it see the host's processor (`-cpu host`, \
                      \"host-passthrough\").";
        return Finding::warning(CHECK, seen, advice);
    }
    if backend == "portable" && better.iter().any(|(_, has)| *has) {
        let seen = format!("portable backend on a processor with {}", names(true));
        let advice = "It uses the first two of these. This version has no faster backend.";
        return Finding::note(CHECK, seen, advice);
    }
    Finding::ok(CHECK, format!("backend {backend} on a processor with {}", names(true)))
}

#[cfg(target_arch = "x86_64")]
fn features() -> Features {
    use std::arch::is_x86_feature_detected;
    vec![
        ("AES-NI", is_x86_feature_detected!("aes")),
        ("PCLMULQDQ", is_x86_feature_detected!("pclmulqdq")),
        ("VAES", is_x86_feature_detected!("vaes")),
        ("VPCLMULQDQ", is_x86_feature_detected!("vpclmulqdq")),
    ]
}

#[cfg(target_arch = "aarch64")]
fn features() -> Features {
    use std::arch::is_aarch64_feature_detected;
    vec![
        ("AES", is_aarch64_feature_detected!("aes")),
        ("PMULL", is_aarch64_feature_detected!("pmull")),
    ]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Features {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_clock_that_nobody_has_set() {
        assert_eq!(judge_clock(Duration::ZERO).level, Level::Warning);
        assert_eq!(judge_clock(NOT_BEFORE).level, Level::Ok);
    }

    #[test]
    fn processors() {
        let x86 = |has: [bool; 4]| {
            ["AES-NI", "PCLMULQDQ", "VAES", "VPCLMULQDQ"].into_iter().zip(has).collect()
        };
        for (has, backend, level) in [
            ([false; 4], "portable", Level::Warning),
            ([true, false, false, false], "portable", Level::Warning),
            ([true, true, false, false], "portable", Level::Ok),
            ([true; 4], "portable", Level::Note),
            ([true; 4], "vaes", Level::Ok),
        ] {
            assert_eq!(judge_processor(backend, &x86(has)).level, level, "{has:?} {backend}");
        }
        assert_eq!(judge_processor("portable", &Vec::new()).level, Level::Note);
    }
}
