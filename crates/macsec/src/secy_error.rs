//! Why the SecY refuses to install, to enable or to delete.

use core::fmt;

use crate::{ConfigError, KeyError};

/// Why a key or an SA cannot be installed. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstallError {
    /// The key cannot be had.
    Key(KeyError),
    /// The controls do not suit the key.
    Config(ConfigError),
    /// No receive SC has this SCI.
    NoSuchSc,
    /// The AN is taken: delete its SA first.
    AnInUse,
    /// Another SA uses the same SAK with the same SCI or SSCI, or has done so with another SSCI:
    /// packet numbers would meet. Above all, transmitting and receiving under one SCI or SSCI, be
    /// it at the same time or one after the other.
    NonceInUse,
    /// The SAK was in use here before and had got further than this packet number.
    PnRegress,
    /// A packet number is 1 to 2^32 - 1, or to 2^64 - 1 for XPN.
    PnRange,
    /// An XPN suite needs an SSCI.
    SsciMissing,
    /// Only an XPN suite has an SSCI.
    SsciUnexpected,
    /// XPN suites take no confidentiality offset but 0.
    XpnOffset,
    /// Four thousand million SAs have been installed; make a new SecY.
    TooManyInstallations,
}

impl From<KeyError> for InstallError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<ConfigError> for InstallError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(error) => return error.fmt(f),
            Self::Config(error) => return error.fmt(f),
            Self::NoSuchSc => "SCI: no such receive SC",
            Self::AnInUse => "AN: taken by another SA",
            Self::NonceInUse => "SAK: another SA uses it with the same SCI or SSCI",
            Self::PnRegress => "PN: lower than this SAK has used already",
            Self::PnRange => "PN: outside what the cipher suite has",
            Self::SsciMissing => "SSCI: an XPN cipher suite needs one",
            Self::SsciUnexpected => "SSCI: only XPN cipher suites have one",
            Self::XpnOffset => "confidentiality offset: must be 0 for an XPN cipher suite",
            Self::TooManyInstallations => "SA: too many installed in the life of this SecY",
        })
    }
}

impl core::error::Error for InstallError {}

/// Why an SC or SA that should be there cannot be acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LifeCycleError {
    /// No receive SC has this SCI.
    NoSuchSc,
    /// A receive SC has this SCI already.
    ScExists,
    /// All the receive SC slots that were lent are taken.
    NoFreeSlot,
    /// The AN has no SA.
    NoSuchSa,
    /// The SA of this AN has another key.
    OtherKey,
    /// A packet number that the suite does not have.
    PnRange,
}

impl fmt::Display for LifeCycleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchSc => "SCI: no such receive SC",
            Self::ScExists => "SCI: the receive SC exists",
            Self::NoFreeSlot => "receive SC: no free slot",
            Self::NoSuchSa => "AN: no such SA",
            Self::OtherKey => "AN: its SA has another KI",
            Self::PnRange => "PN: outside what the cipher suite has",
        })
    }
}

impl core::error::Error for LifeCycleError {}
