//! IEEE 802.1X MACsec Key Agreement (MKA): two or more ports agree on keys for MACsec and rotate them
//! without losing a frame.
//!
//! `no_std` with `alloc`, no `unsafe`, no I/O, no clock: frames go in and come out as octets, and time
//! is a parameter.
//!
//! | | |
//! |---|---|
//! | [`kay`] | **where to begin**: the KaY, which runs MKA on a port; all else is what it is made of |
//! | here | the octets of MKPDUs, keys, and the [`Participant`] |
//! | [`cp`] | the Controlled Port machine: when a SAK is received with, sent with, and given up |
//! | [`logon`] | what a port does without MKA: must it be secure, or should it? |
//! | [`order`] | what a SecY is told to do, as values that any data plane can carry out |
//! | [`schedule`] | many KaYs in one thread |
//!
//! # Receiving
//!
//! A frame becomes something that may be acted on in steps, each with a type of its own:
//!
//! | step | gives | what is known then |
//! |---|---|---|
//! | [`Received::parse`] | [`Received`] | it has the form of an MKPDU, and claims to be under a CKN |
//! | [`Received::verify`] | [`Mkpdu`] | somebody who has the CAK sent it; every parameter set is well formed |
//!
//! Nobody gets at a parameter set before the ICV has been verified, except by the name
//! [`Received::unverified`], which is for tools that show what is on the wire.
//!
//! Parsing is liberal in what may differ between implementations (order of the sets, unknown sets,
//! ICV Indicator, versions, group addresses) and strict in lengths. It allocates nothing; what it
//! returns borrows from the frame. An MKPDU has at most [`MAX_MKPDU_LEN`] octets: 90 peers, that is.
//!
//! # Sending
//!
//! A [`Body`] is filled in and [`Framing::encode`] writes the frame.
//!
//! ```
//! use mka::{
//!     Basic, Body, Cak, Capability, Ckn, ETHERTYPE_EAPOL, Framing, MAX_FRAME_LEN, Member, Mi, Received,
//! };
//! use macsec::{MacAddress, Sci};
//!
//! let (cak, ckn) = (Cak::new(&[0x42; 16])?, Ckn::new(b"lab")?);
//! let source = MacAddress([2, 0, 0, 0, 0, 0x0a]);
//! let hello = Body::new(Basic {
//!     version: 1,
//!     key_server_priority: 16,
//!     key_server: true,
//!     macsec_desired: true,
//!     macsec_capability: Capability::Confidentiality,
//!     sci: Sci::new(source, 1),
//!     actor: Member { mi: Mi([7; 12]), mn: 1 },
//!     ckn,
//! });
//! let mut buffer = [0; MAX_FRAME_LEN];
//! let len = Framing::new(source).encode(&hello, &cak.ick(&ckn), &mut buffer)?;
//!
//! let received = Received::parse(&buffer[..len], ETHERTYPE_EAPOL)?;
//! assert_eq!(*received.ckn(), ckn);
//! let mkpdu = received.verify(&cak.ick(&ckn))?;
//! assert_eq!(*mkpdu.body(), hello);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Taking part
//!
//! A [`Participant`] finds its peers, elects a key server with them and agrees on SAKs.
//!
//! | verb | what for |
//! |---|---|
//! | [`Participant::handle_frame`], [`Participant::handle_timeout`], [`Participant::report_keys`] | input, each with the time |
//! | [`Participant::poll_transmit`], [`Participant::poll_event`], [`Participant::take_agreed_sak`] | output, to be fetched after each input |
//! | [`Participant::poll_timeout`] | when to come again |
//!
//! # Keys
//!
//! [`Cak`], [`Ick`] and [`Kek`] are zeroed on drop, show nothing in `Debug` and compare in constant
//! time. Randomness is the caller's, by [`Random`]; if it fails, there is no key.
//!
//! Where public sources do not settle what the standard means, the choice made is documented at the
//! item it concerns.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod body;
pub mod cp;
mod eapol;
mod encode;
mod error;
mod hex;
mod identifiers;
pub mod kay;
mod keys;
pub mod logon;
pub mod order;
mod participant;
mod received;
pub mod schedule;
mod sets;
mod write;

pub use body::Body;
pub use eapol::{
    EAPOL_MKA, EAPOL_VERSION, ETHERTYPE_EAPOL, EapolFrame, HEADERS_LEN, NEAREST_BRIDGE,
    NEAREST_CUSTOMER_BRIDGE, NEAREST_NON_TPMR_BRIDGE,
};
pub use encode::{Framing, SetOrder};
pub use error::{DecodeError, EncodeError};
pub use identifiers::{Ckn, Member, Mi, key_number};
pub use kay::{AddError, Kay, KayConfig, KayCounters, KayEvent, KeyPns, LastSak, MAX_PARTICIPANTS};
#[cfg(feature = "std")]
pub use keys::OsRandom;
pub use keys::{
    Cak, Ick, Kek, KeyError, KeyLength, Random, RandomError, SsciOrder, WrappedKey,
    eap_cak_and_ckn, ssci_by_sci, xpn_salt,
};
pub use participant::{
    AgreedSak, Agreement, Announced, AnnouncedName, ConfigError, Discard, Event, HELLO_TIME,
    KeyInUse, KeyReport, KeyServer, MiReason, OfferedCak, Participant, ParticipantConfig,
    ParticipantCounters, ParticipantError, PeerKeyUse, PeerStatus, RekeyReason, ReportedKey,
    ResumeReason, SakInfo, SakMember, SakRefusal, Suites,
};
pub use received::{Mkpdu, Received, Unverified};
pub use sets::{
    ALGORITHM_AGILITY, AnnouncedSuite, Announcement, Basic, Capability, DistributedCak,
    DistributedKey, DistributedSak, KeyUse, Kmd, PeerList, Peers, RawSet, SakUse, SetType, SuiteId,
    Tlv, Tlvs, Xpn,
};

/// Octets of an ICV.
pub const ICV_LEN: usize = 16;
/// The fewest octets that an MKPDU has by the standard. (One with a CKN has 52.)
pub const MIN_MKPDU_LEN: usize = 32;
/// The most octets that an MKPDU has: with its EAPOL header it fills a frame of ordinary size.
pub const MAX_MKPDU_LEN: usize = 1496;
/// The most octets of a frame that carries an MKPDU, from its destination address on, without FCS.
pub const MAX_FRAME_LEN: usize = HEADERS_LEN + MAX_MKPDU_LEN;
