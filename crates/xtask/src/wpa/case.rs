//! The cases.

use std::time::Duration;

use super::{
    Result,
    bed::{Bed, Ours, PATIENCE},
    gateway, supplicant,
    process::Ending,
    wait_for,
    wire::Side,
};

/// Less is better.
const BETTER: u8 = 16;
const THEIRS: u8 = 32;
const WORSE: u8 = 64;
/// A next PN beyond that where wpa_supplicant's key server makes a new SAK, and so must ours.
const EXHAUSTED: u32 = 0xd000_0000;

/// Who plays our end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gateway,
    /// Another wpa_supplicant: what fails then is not our fault.
    Supplicant,
}

/// One case.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) ours: gateway::Settings,
    pub(super) theirs: supplicant::Settings,
    pub(super) story: fn(&mut Bed) -> Result<()>,
}

impl Case {
    fn new(name: &'static str, priority: u8, story: fn(&mut Bed) -> Result<()>) -> Self {
        let (cak, ckn): (Vec<u8>, Vec<u8>) = ((0x10..0x20).collect(), b"mka".to_vec());
        let theirs =
            supplicant::Settings { cak: cak.clone(), ckn: ckn.clone(), priority: THEIRS };
        let ours = gateway::Settings { cak, ckn, priority, more: "" };
        Self { name, kind: Kind::Gateway, ours, theirs, story }
    }

    fn names(mut self, cak_len: usize, ckn_len: usize) -> Self {
        self.ours.cak = (0x10..).take(cak_len).collect();
        self.ours.ckn = (0xa0..).take(ckn_len).collect();
        self.theirs.cak.clone_from(&self.ours.cak);
        self.theirs.ckn.clone_from(&self.ours.ckn);
        self
    }

    fn with(mut self, more: &'static str) -> Self {
        self.ours.more = more;
        self
    }

    fn their(mut self, change: fn(&mut supplicant::Settings)) -> Self {
        change(&mut self.theirs);
        self
    }

    fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// All cases, those that take long first.
    pub(super) fn all() -> Vec<Self> {
        vec![
            Self::new("server-restarts", BETTER, restarts),
            Self::new("client-restarts", WORSE, restarts),
            Self::new("server-cut", BETTER, cut),
            Self::new("client-cut", WORSE, cut),
            Self::new("server-loss", BETTER, loss),
            Self::new("client-loss", WORSE, loss),
            Self::new("server-rekey", BETTER, rekey),
            Self::new("server-rekey-by-pn", BETTER, rekey_by_pn),
            Self::new("client-rekey-by-pn", WORSE, rekey_by_pn),
            Self::new("wrong-cak", BETTER, wrong_cak).their(|theirs| theirs.cak.reverse()),
            Self::new("wrong-ckn", BETTER, wrong_ckn).their(|theirs| theirs.ckn.reverse()),
            Self::new("server-cak128-ckn1", BETTER, as_server).names(16, 1),
            Self::new("client-cak128-ckn1", WORSE, as_client).names(16, 1),
            Self::new("server-cak256-ckn5", BETTER, as_server).names(32, 5),
            Self::new("client-cak256-ckn5", WORSE, as_client).names(32, 5),
            Self::new("server-cak128-ckn16", BETTER, as_server).names(16, 16),
            Self::new("client-cak128-ckn16", WORSE, as_client).names(16, 16),
            Self::new("server-cak256-ckn32", BETTER, as_server).names(32, 32),
            Self::new("client-cak256-ckn32", WORSE, as_client).names(32, 32),
            // The lower SCI wins: ours.
            Self::new("equal-priority", THEIRS, as_server),
            Self::new("version-1", BETTER, as_server).with("mka_version = 1"),
            Self::new("version-2", WORSE, as_client).with("mka_version = 2"),
            Self::new("icv-indicator", BETTER, as_server)
                .with("icv_indicator = true"),
            Self::new("client-icv-indicator", WORSE, as_client)
                .with("icv_indicator = true"),
            Self::new("standard-order", BETTER, as_server).with("set_order = \"standard\""),
            Self::new("client-standard-order", WORSE, as_client)
                .with("set_order = \"standard\""),
            Self::new("among-themselves", BETTER, restarts).kind(Kind::Supplicant),
        ]
    }
}

fn as_server(bed: &mut Bed) -> Result<()> {
    plain(bed, true)
}

fn as_client(bed: &mut Bed) -> Result<()> {
    plain(bed, false)
}

/// A session comes up and lasts.
fn plain(bed: &mut Bed, we_serve: bool) -> Result<()> {
    bed.start()?;
    bed.secured_anew()?;
    if bed.we_serve()? != we_serve {
        return Err("the wrong one is key server".into());
    }
    bed.holds(Duration::from_secs(8))
}

/// Each end restarts in turn.
fn restarts(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    bed.secured_anew()?;
    for (side, how) in [
        (Side::Theirs, Ending::Killed),
        (Side::Ours, Ending::Killed),
        (Side::Ours, Ending::Terminated),
    ] {
        bed.restart(side, how)?;
        bed.secured_anew().map_err(|error| format!("{side:?}, {how:?}: {error}"))?;
    }
    bed.holds(Duration::from_secs(8))
}

/// A link without a signal for ten seconds heals.
fn cut(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    bed.secured_anew()?;
    bed.wire.cut(true)?;
    std::thread::sleep(Duration::from_secs(10));
    bed.wire.cut(false)?;
    bed.secured_anew()?;
    bed.holds(Duration::from_secs(8))
}

/// Frames that get lost for three seconds do no harm; for ten, they do, and that heals.
fn loss(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    bed.secured_anew()?;
    // Until all reports of how far it has got have been exchanged.
    bed.holds(Duration::from_secs(4))?;
    Side::BOTH.iter().for_each(|side| bed.wire.lose(*side, true));
    std::thread::sleep(Duration::from_secs(3));
    Side::BOTH.iter().for_each(|side| bed.wire.lose(*side, false));
    bed.holds(Duration::from_secs(10))?;
    // One way only: who is not heard any more has to notice as well.
    bed.wire.lose(Side::Ours, true);
    std::thread::sleep(Duration::from_secs(12));
    bed.wire.lose(Side::Ours, false);
    bed.secured_anew()?;
    bed.holds(Duration::from_secs(8))
}

/// New SAKs as the operator wants them.
fn rekey(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    let (_, mut an) = bed.secured_anew()?;
    for _ in 0..5 {
        bed.rekey()?;
        let (_, next) = bed.secured_anew()?;
        if next != an.next() {
            return Err(format!("AN {next} comes after {an}").into());
        }
        an = next;
    }
    bed.holds(Duration::from_secs(8))
}

/// A new SAK because the packet numbers of wpa_supplicant come to an end, which it tells of or knows itself.
fn rekey_by_pn(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    for _ in 0..2 {
        let (_, an) = bed.secured_anew()?;
        bed.theirs.tell_pn(an.number(), EXHAUSTED)?;
    }
    bed.secured_anew()?;
    bed.holds(Duration::from_secs(8))
}

fn wrong_cak(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    bed.stays_apart(Duration::from_secs(10))?;
    Ok(())
}

fn wrong_ckn(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    bed.stays_apart(Duration::from_secs(10))?;
    Ok(())
}
