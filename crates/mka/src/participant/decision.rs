//! Whether to use MACsec, and how: the key server's to decide (802.1X clauses 9.6 and 9.7).

use macsec::{CipherSuite, Confidentiality, ConfidentialityOffset};

use super::{config::ParticipantConfig, peers::PeerTable};
use crate::Capability;

/// What a key server decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// No MACsec.
    PlainText,
    /// MACsec, in this way.
    Secure(CipherSuite, Confidentiality),
}

/// Decides for us as key server. `None` if the policy allows neither way.
///
/// Peers that do not want MACsec, or cannot do it, have no say and are left out.
pub(crate) fn decide(config: &ParticipantConfig, peers: &PeerTable) -> Option<Decision> {
    let members = peers.live().map(|(_, heard)| heard).filter(|heard| heard.wants_macsec());
    let least = members.map(|heard| heard.capability).min();
    let capability = match least {
        Some(least) if config.macsec_desired => least.min(config.capability),
        _ => Capability::None,
    };
    if capability == Capability::None {
        return config.plain_text_allowed.then_some(Decision::PlainText);
    }
    let suite = config.suites.first();
    let confidentiality = match config.confidentiality {
        Confidentiality::Encrypt(offset) => match capability {
            // Confidentiality was asked for and is not given up.
            Capability::None | Capability::Integrity => return None,
            Capability::Offsets if !suite.is_xpn() => Confidentiality::Encrypt(offset),
            _ => Confidentiality::Encrypt(ConfidentialityOffset::Zero),
        },
        Confidentiality::IntegrityOnly => Confidentiality::IntegrityOnly,
    };
    Some(Decision::Secure(suite, confidentiality))
}

/// Whether a client with this configuration takes a key that is to be used in this way.
pub(crate) fn acceptable(
    config: &ParticipantConfig,
    suite: CipherSuite,
    confidentiality: Confidentiality,
) -> bool {
    let needed = match confidentiality {
        Confidentiality::IntegrityOnly => Capability::Integrity,
        Confidentiality::Encrypt(ConfidentialityOffset::Zero) => Capability::Confidentiality,
        // Undefined for XPN.
        Confidentiality::Encrypt(_) if suite.is_xpn() => return false,
        Confidentiality::Encrypt(_) => Capability::Offsets,
    };
    let weaker = confidentiality == Confidentiality::IntegrityOnly
        && config.confidentiality != Confidentiality::IntegrityOnly;
    config.capability >= needed && !weaker
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use macsec::{MacAddress, Sci};

    use super::*;
    use crate::{Basic, Ckn, Member, Mi, participant::Suites};

    const THIRTY: Confidentiality = Confidentiality::Encrypt(ConfidentialityOffset::Thirty);
    const ZERO: Confidentiality = Confidentiality::Encrypt(ConfidentialityOffset::Zero);

    fn config(suite: CipherSuite) -> ParticipantConfig {
        let mut config = ParticipantConfig::new(Sci::new(MacAddress([2; 6]), 1));
        config.suites = Suites::new(&[suite]).unwrap();
        config.confidentiality = THIRTY;
        config
    }

    fn peers(of: &[(bool, Capability)]) -> PeerTable {
        let mut peers = PeerTable::new(4, Duration::from_secs(6));
        for (number, &(macsec_desired, macsec_capability)) in (1..).zip(of) {
            let basic = Basic {
                version: 3,
                key_server_priority: 16,
                key_server: false,
                macsec_desired,
                macsec_capability,
                sci: Sci::new(MacAddress([2, 0, 0, 0, 0, number]), 1),
                actor: Member { mi: Mi([number; 12]), mn: 1 },
                ckn: Ckn::new(b"lab").unwrap(),
            };
            peers.hear(Duration::ZERO, &basic, Some(1)).unwrap();
        }
        peers
    }

    #[test]
    fn the_least_capable_member_that_wants_macsec_limits_the_offset() {
        use Capability::{Confidentiality as Encrypts, Offsets};
        let config = config(CipherSuite::GcmAes128);
        let decide = |of: &[_]| decide(&config, &peers(of));
        let secure = |how| Some(Decision::Secure(CipherSuite::GcmAes128, how));
        assert_eq!(decide(&[(true, Offsets), (true, Offsets)]), secure(THIRTY));
        assert_eq!(decide(&[(true, Offsets), (true, Encrypts)]), secure(ZERO));
        assert_eq!(decide(&[(true, Offsets), (false, Encrypts)]), secure(THIRTY));
        assert_eq!(decide(&[(true, Offsets), (true, Capability::Integrity)]), None);
        assert_eq!(decide(&[(true, Offsets), (true, Capability::None)]), secure(THIRTY));
        assert_eq!(decide(&[(false, Offsets)]), None);
    }

    #[test]
    fn xpn_has_no_offset() {
        let config = config(CipherSuite::GcmAesXpn256);
        let peers = peers(&[(true, Capability::Offsets)]);
        let secure = Decision::Secure(CipherSuite::GcmAesXpn256, ZERO);
        assert_eq!(decide(&config, &peers), Some(secure));
        assert!(!acceptable(&config, CipherSuite::GcmAesXpn256, THIRTY));
        assert!(acceptable(&config, CipherSuite::GcmAes256, THIRTY));
        assert!(!acceptable(&config, CipherSuite::GcmAes256, Confidentiality::IntegrityOnly));
    }

    /// Pitfall 34: nobody's change of mind makes a port that must be secure decide for plain text.
    #[test]
    fn p34_plain_text_is_decided_only_where_it_is_allowed() {
        let mut config = config(CipherSuite::GcmAes128);
        let peers = peers(&[(false, Capability::None)]);
        assert_eq!(decide(&config, &peers), None);
        config.plain_text_allowed = true;
        assert_eq!(decide(&config, &peers), Some(Decision::PlainText));
    }
}
