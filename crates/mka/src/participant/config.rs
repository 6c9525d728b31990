//! What a participant is told at its construction.

use core::{fmt, time::Duration};

use macsec::{CipherSuite, Confidentiality, Sci};

use super::timers::{BOUNDED_HELLO_TIME, HELLO_TIME, LIFE_TIME};
use crate::{Capability, Framing, eapol::is_group};

/// Cipher suites that may be used, the most wanted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suites {
    suites: [CipherSuite; CipherSuite::ALL.len()],
    len: usize,
}

impl Suites {
    /// These suites, in this order.
    ///
    /// # Errors
    /// [`ConfigError::Suites`] unless there is one at least and none twice.
    pub fn new(suites: &[CipherSuite]) -> Result<Self, ConfigError> {
        let mut list = Self { suites: CipherSuite::ALL, len: 0 };
        for &suite in suites {
            if list.contains(suite) {
                return Err(ConfigError::Suites);
            }
            *list.suites.get_mut(list.len).ok_or(ConfigError::Suites)? = suite;
            list.len += 1;
        }
        if list.len == 0 { Err(ConfigError::Suites) } else { Ok(list) }
    }

    /// Whether `suite` may be used.
    #[must_use]
    pub fn contains(&self, suite: CipherSuite) -> bool {
        self.as_slice().contains(&suite)
    }

    /// The suites, the most wanted first; one at least.
    #[must_use]
    pub fn as_slice(&self) -> &[CipherSuite] {
        &self.suites[..self.len]
    }

    /// The most wanted suite, which a key server chooses. Nothing is negotiated.
    #[must_use]
    pub const fn first(&self) -> CipherSuite {
        self.suites[0]
    }
}

/// The configuration of a participant.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ParticipantConfig {
    /// The SCI of the port.
    pub sci: Sci,
    /// How MKPDUs are framed.
    pub framing: Framing,
    /// Key Server Priority: less is better, 255 is never.
    pub priority: u8,
    /// MKA version to send: 1, 2 or 3.
    pub version: u8,
    /// Whether this port wants MACsec.
    pub macsec_desired: bool,
    /// What this port can do with MACsec.
    pub capability: Capability,
    /// The cipher suites that may be used. A key server uses the first.
    pub suites: Suites,
    /// What a key server asks for. It gives up an offset that a peer or the suite cannot do, but never
    /// confidentiality; nor does a client.
    pub confidentiality: Confidentiality,
    /// Whether MACsec may be decided against (`should-secure`). If not, such a decision is neither made
    /// nor heard.
    pub plain_text_allowed: bool,
    /// MKA Hello Time, 0.5 to 60 seconds; the same at both ends. MKA Life Time is three times that, and 6
    /// seconds at least.
    pub hello_time: Duration,
    /// Whether our lowest PNs bind: peers then drop what has been held up for some 2.5 seconds. It takes a
    /// [`hello_time`](Self::hello_time) of half a second.
    pub delay_protect: bool,
    /// A key server makes a new SAK when one is that old.
    pub rekey_interval: Option<Duration>,
    /// A key server makes a new SAK when a member has gone.
    pub rekey_on_member_loss: bool,
    /// How many live peers there may be, and how many potential ones: 1 to 32.
    pub max_peers: usize,
}

impl ParticipantConfig {
    /// The greatest [`max_peers`](Self::max_peers): both lists always fit into an MKPDU.
    pub const MAX_PEERS: usize = 32;

    /// The defaults: priority 16, version 3, GCM-AES-XPN-256 alone, everything encrypted, MACsec or
    /// nothing, hellos every two seconds, no rekeying without need.
    #[must_use]
    pub const fn new(sci: Sci) -> Self {
        Self {
            sci,
            framing: Framing::new(sci.mac()),
            priority: 16,
            version: 3,
            macsec_desired: true,
            capability: Capability::Offsets,
            suites: Suites { suites: [CipherSuite::GcmAesXpn256; CipherSuite::ALL.len()], len: 1 },
            confidentiality: Confidentiality::Encrypt(macsec::ConfidentialityOffset::Zero),
            plain_text_allowed: false,
            hello_time: HELLO_TIME,
            delay_protect: false,
            rekey_interval: None,
            rekey_on_member_loss: false,
            max_peers: Self::MAX_PEERS,
        }
    }

    /// # Errors
    /// The first field that has a value it must not have.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let hello = Duration::from_millis(500)..=Duration::from_secs(60);
        for (fine, error) in [
            ((1..=3).contains(&self.version), ConfigError::Version),
            (is_group(self.framing.destination), ConfigError::Destination),
            (hello.contains(&self.hello_time), ConfigError::HelloTime),
            (
                !self.delay_protect || self.hello_time <= BOUNDED_HELLO_TIME,
                ConfigError::DelayProtect,
            ),
            ((1..=Self::MAX_PEERS).contains(&self.max_peers), ConfigError::MaxPeers),
        ] {
            if !fine {
                return Err(error);
            }
        }
        Ok(())
    }

    /// MKA Life Time: three hellos may go missing, whatever the Hello Time.
    #[must_use]
    pub fn life_time(&self) -> Duration {
        LIFE_TIME.max(self.hello_time.saturating_mul(3))
    }
}

/// A value in a [`ParticipantConfig`] that is not allowed. It names the field and what is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigError {
    /// `version`.
    Version,
    /// `framing.destination`.
    Destination,
    /// `hello_time`.
    HelloTime,
    /// `delay_protect`, as `hello_time` does not bound it.
    DelayProtect,
    /// `max_peers`.
    MaxPeers,
    /// `suites`.
    Suites,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "version: must be 1, 2 or 3",
            Self::Destination => "destination: must be a group address",
            Self::HelloTime => "hello time: must be 0.5 to 60 seconds",
            Self::DelayProtect => "delay protect: needs a hello time of 0.5 seconds",
            Self::MaxPeers => "max peers: must be 1 to 32",
            Self::Suites => "suites: must be one to four, none of them twice",
        })
    }
}

impl core::error::Error for ConfigError {}
