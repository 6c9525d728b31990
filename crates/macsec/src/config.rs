//! The management controls of a SecY (802.1AE clause 10.7).

use core::fmt;

use crate::{ClearVlanTags, Sci};

/// The greatest replay window with an XPN cipher suite: 2^30 - 1 (802.1AEbw clause 10.7.8).
///
/// Recovery of the upper 32 bits is unambiguous only while frames lie within 2^31 of lowestPN.
pub const MAX_XPN_REPLAY_WINDOW: u32 = (1 << 30) - 1;

/// The greatest replay window in which duplicates can be detected, in frames.
pub const MAX_DUPLICATE_WINDOW: u32 = crate::replay::SEEN_BITS;

/// The `validateFrames` control.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ValidateFrames {
    /// Deliver every frame as it came, tagged or not. No counter moves (a design decision).
    Null,
    /// Remove tags where that gives the data back, but validate nothing.
    Disabled,
    /// Validate and count, but deliver what can be recovered.
    Check,
    /// Deliver valid frames only.
    #[default]
    Strict,
}

impl fmt::Display for ValidateFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Null => "null",
            Self::Disabled => "disabled",
            Self::Check => "check",
            Self::Strict => "strict",
        })
    }
}

/// The controls of a SecY. Starts from the standard's defaults.
///
/// ```
/// use macsec::Config;
///
/// let mut config = Config::default();
/// config.always_include_sci = true;
/// config.replay_window = 64;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// `protectFrames`: false sends every frame in clear. Default true.
    pub protect_frames: bool,
    /// `alwaysIncludeSCI`: the SCI in every SecTAG, even where the peer could tell. Default false.
    pub always_include_sci: bool,
    /// `useES`: no SCI on the wire; the peer takes it from the source address. Frames from any
    /// other address are refused. Default false.
    pub use_es: bool,
    /// `useSCB`: mark frames as EPON single copy broadcast. Default false.
    pub use_scb: bool,
    /// `validateFrames`. Default [`ValidateFrames::Strict`].
    pub validate_frames: ValidateFrames,
    /// `replayProtect`: discard frames below lowestPN. Default true.
    pub replay_protect: bool,
    /// `replayWindow`, in packets: 0 (the default) accepts strictly ascending packet numbers only.
    pub replay_window: u32,
    /// Discard a packet number seen before even inside the window, which the standard does not ask for. Needs
    /// `replay_protect` and a window of [`MAX_DUPLICATE_WINDOW`] at most. Default false.
    pub detect_duplicates: bool,
    /// VLAN tags in clear between addresses and SecTAG, in both directions. Default none.
    pub clear_vlan_tags: ClearVlanTags,
    /// The longest frame that the Common Port takes, in octets from the destination address to the ICV
    /// (no FCS). A frame that protection makes longer is refused. Default: no limit.
    pub max_frame_octets: usize,
    /// Deviations that match other implementations. Default: none.
    pub compat: Compat,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            protect_frames: true,
            always_include_sci: false,
            use_es: false,
            use_scb: false,
            validate_frames: ValidateFrames::Strict,
            replay_protect: true,
            replay_window: 0,
            detect_duplicates: false,
            clear_vlan_tags: ClearVlanTags::None,
            max_frame_octets: usize::MAX,
            compat: Compat::default(),
        }
    }
}

/// What other implementations do where public sources leave the standard's meaning open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compat {
    /// Take `C` without `E` for integrity only, as Linux does, instead of for a bad tag.
    pub accept_changed_text: bool,
    /// With `validateFrames` Disabled, decrypt encrypted frames nevertheless and deliver the valid
    /// ones, as Linux does, instead of discarding them all.
    pub disabled_decrypts: bool,
}

impl Config {
    /// Checks the controls against each other and against the SCI of the SecY.
    pub(crate) fn check(&self, sci: Sci) -> Result<(), ConfigError> {
        if self.always_include_sci && (self.use_es || self.use_scb) {
            return Err(ConfigError::SciTwice);
        }
        let implied_port = match (self.use_es, self.use_scb) {
            (true, false) => Some(Sci::PORT_END_STATION),
            (true, true) => Some(Sci::PORT_SINGLE_COPY_BROADCAST),
            (false, _) => None,
        };
        if implied_port.is_some_and(|port| port != sci.port()) {
            return Err(ConfigError::EsPort);
        }
        if self.detect_duplicates
            && (!self.replay_protect || self.replay_window > MAX_DUPLICATE_WINDOW)
        {
            return Err(ConfigError::DuplicateWindow);
        }
        Ok(())
    }

    /// Whether the replay window suits a suite with or without XPN.
    pub(crate) const fn window_fits(&self, xpn: bool) -> bool {
        !xpn || self.replay_window <= MAX_XPN_REPLAY_WINDOW
    }
}

/// Why a set of controls is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `alwaysIncludeSCI` excludes `useES` and `useSCB`.
    SciTwice,
    /// `useES` needs an SCI whose Port Identifier is 0001, or 0000 together with `useSCB`: the
    /// peer would derive another SCI.
    EsPort,
    /// Duplicate detection needs `replayProtect` and a window of [`MAX_DUPLICATE_WINDOW`] at most.
    DuplicateWindow,
    /// The replay window exceeds [`MAX_XPN_REPLAY_WINDOW`] while an XPN SA exists.
    XpnReplayWindow,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SciTwice => f.write_str("alwaysIncludeSCI: excludes useES and useSCB"),
            Self::EsPort => f.write_str(
                "useES: needs an SCI with Port Identifier 0001 (0000 together with useSCB)",
            ),
            Self::DuplicateWindow => write!(
                f,
                "detect_duplicates: needs replayProtect and a replayWindow of {MAX_DUPLICATE_WINDOW} at most"
            ),
            Self::XpnReplayWindow => {
                write!(f, "replayWindow: at most {MAX_XPN_REPLAY_WINDOW} with an XPN cipher suite")
            }
        }
    }
}

impl core::error::Error for ConfigError {}
