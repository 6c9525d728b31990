//! From a frame to an MKPDU that can be believed, in three steps (802.1X clause 11.11.2).

use core::fmt;

use crate::{
    ALGORITHM_AGILITY, Basic, Body, Ckn, DecodeError, EAPOL_MKA, EAPOL_VERSION, EapolFrame,
    ICV_LEN, Ick, MAX_MKPDU_LEN, MIN_MKPDU_LEN, SetType,
    body::Parsed,
    eapol::is_group,
    sets::{RawSet, RawSets},
};

/// A frame that has the form of an MKPDU, and nothing else to be said for it: it says under which
/// CAK it is, so that somebody who has that can [`verify`](Self::verify) it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    frame: EapolFrame<'a>,
    basic: Basic,
    agility: u32,
    /// Between Basic parameter set and ICV.
    sets: &'a [u8],
    /// From the EtherType up to the ICV.
    authenticated: &'a [u8],
    icv: &'a [u8; ICV_LEN],
}

impl<'a> Received<'a> {
    /// Reads a frame from its destination address on, without FCS, up to its CKN. Pure, and in time
    /// that the frame's length bounds. `ethertype` is that of EAPOL on this port,
    /// [`ETHERTYPE_EAPOL`](crate::ETHERTYPE_EAPOL) unless configured otherwise.
    ///
    /// Any group address will do, and any EAPOL version from 3 on. What follows the EAPOL body is
    /// padding.
    ///
    /// # Errors
    /// The first rule that the frame breaks, in the order of the checks; none is about the ICV.
    pub fn parse(octets: &'a [u8], ethertype: u16) -> Result<Self, DecodeError> {
        let frame = EapolFrame::parse(octets, ethertype)?;
        if frame.version < EAPOL_VERSION {
            return Err(DecodeError::EapolVersion(frame.version));
        }
        if frame.packet_type != EAPOL_MKA {
            return Err(DecodeError::EapolType(frame.packet_type));
        }
        if !is_group(frame.destination) {
            return Err(DecodeError::Destination);
        }
        let len = frame.body.len();
        // The length comes from sixteen bits.
        let len_field = u16::try_from(len).unwrap_or(u16::MAX);
        if !(MIN_MKPDU_LEN..=MAX_MKPDU_LEN).contains(&len) {
            return Err(DecodeError::MkpduLength(len_field));
        }
        if !len.is_multiple_of(4) {
            return Err(DecodeError::MkpduAlignment(len_field));
        }
        let (basic, agility, rest) = Basic::parse(frame.body)?;
        let (sets, icv) = rest.split_last_chunk().ok_or(DecodeError::BasicOverrun)?;
        let (authenticated, _) =
            frame.from_ethertype.split_last_chunk::<ICV_LEN>().ok_or(DecodeError::BasicOverrun)?;
        Ok(Self { frame, basic, agility, sets, authenticated, icv })
    }

    /// Ethernet and EAPOL headers.
    #[must_use]
    pub const fn frame(&self) -> &EapolFrame<'a> {
        &self.frame
    }

    /// The name of the CAK that the frame claims to be under.
    #[must_use]
    pub const fn ckn(&self) -> &Ckn {
        &self.basic.ckn
    }

    /// Compares the ICV, in constant time, and then reads the parameter sets.
    ///
    /// # Errors
    /// `AlgorithmAgility`; `Icv`, and then nothing behind the CKN has been looked at; or
    /// the rule that a parameter set breaks, and then the whole MKPDU counts for nothing. (But an Announcement
    /// whose TLVs are malformed is passed over: see [`Mkpdu::announcement_error`].)
    pub fn verify(self, ick: &Ick) -> Result<Mkpdu<'a>, DecodeError> {
        self.check_agility()?;
        if !ick.verify(&[self.frame.addresses, self.authenticated], self.icv) {
            return Err(DecodeError::Icv);
        }
        Ok(Mkpdu(self.read()?))
    }

    /// Reads the parameter sets without a key. For tools that show what is on the wire; nothing of it
    /// may be acted on.
    ///
    /// # Errors
    /// `AlgorithmAgility`, or the rule that a parameter set breaks.
    pub fn unverified(self) -> Result<Unverified<'a>, DecodeError> {
        self.check_agility()?;
        Ok(Unverified(self.read()?))
    }

    fn check_agility(&self) -> Result<(), DecodeError> {
        match self.agility {
            ALGORITHM_AGILITY => Ok(()),
            other => Err(DecodeError::AlgorithmAgility(other)),
        }
    }

    fn read(self) -> Result<Contents<'a>, DecodeError> {
        let sets = RawSets::new(self.sets);
        let Parsed { body, icv_indicator, announcement_error } = Body::parse(self.basic, sets)?;
        Ok(Contents { frame: self.frame, body, sets, icv_indicator, announcement_error })
    }
}

/// An MKPDU whose ICV is right: somebody who has the CAK sent it, at some time.
#[derive(Clone, Copy, Debug)]
pub struct Mkpdu<'a>(Contents<'a>);

impl<'a> Mkpdu<'a> {
    /// Ethernet and EAPOL headers.
    #[must_use]
    pub const fn frame(&self) -> &EapolFrame<'a> {
        &self.0.frame
    }

    /// The parameter sets.
    #[must_use]
    pub const fn body(&self) -> &Body<'a> {
        &self.0.body
    }

    /// Whether the sender announces the ICV with an ICV Indicator.
    #[must_use]
    pub const fn has_icv_indicator(&self) -> bool {
        self.0.icv_indicator
    }

    /// What is wrong with an Announcement that has been passed over, if one has: its TLVs do not fit into it, or have
    /// not the length that they should. The rest of the MKPDU holds all the same.
    #[must_use]
    pub const fn announcement_error(&self) -> Option<DecodeError> {
        self.0.announcement_error
    }

    /// The sets of types that we do not know, in the order of the wire.
    pub fn unknown_sets(&self) -> impl Iterator<Item = RawSet<'a>> + use<'a> {
        self.0.unknown_sets()
    }
}

/// What an MKPDU claims, checked for form only. Never act on it.
#[derive(Clone, Copy, Debug)]
pub struct Unverified<'a>(Contents<'a>);

impl<'a> Unverified<'a> {
    /// Ethernet and EAPOL headers.
    #[must_use]
    pub const fn frame(&self) -> &EapolFrame<'a> {
        &self.0.frame
    }

    /// The parameter sets, which anybody may have written.
    #[must_use]
    pub const fn claimed_body(&self) -> &Body<'a> {
        &self.0.body
    }

    /// Whether the sender announces the ICV with an ICV Indicator.
    #[must_use]
    pub const fn has_icv_indicator(&self) -> bool {
        self.0.icv_indicator
    }

    /// The sets of types that we do not know, in the order of the wire.
    pub fn unknown_sets(&self) -> impl Iterator<Item = RawSet<'a>> + use<'a> {
        self.0.unknown_sets()
    }
}

/// Dissector style, one line for each parameter set.
impl fmt::Display for Mkpdu<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f, "ICV verified")
    }
}

/// Dissector style, one line for each parameter set.
impl fmt::Display for Unverified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f, "ICV not verified")
    }
}

#[derive(Clone, Copy, Debug)]
struct Contents<'a> {
    frame: EapolFrame<'a>,
    body: Body<'a>,
    sets: RawSets<'a>,
    icv_indicator: bool,
    announcement_error: Option<DecodeError>,
}

impl<'a> Contents<'a> {
    fn unknown_sets(&self) -> impl Iterator<Item = RawSet<'a>> + use<'a> {
        self.sets.filter_map(Result::ok).filter(|set| matches!(set.set_type, SetType::Unknown(_)))
    }

    fn show(&self, f: &mut fmt::Formatter<'_>, icv: &str) -> fmt::Result {
        write!(f, "{}\n{}", self.frame, self.body)?;
        for set in self.unknown_sets() {
            write!(f, "\n  {}: length {}", set.set_type, set.body.len())?;
        }
        if let Some(error) = self.announcement_error {
            write!(f, "\n  passed over: {error}")?;
        }
        if self.icv_indicator {
            write!(f, "\n  {}: 16", SetType::IcvIndicator)?;
        }
        write!(f, "\n  {icv}")
    }
}
