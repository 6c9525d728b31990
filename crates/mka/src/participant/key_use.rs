//! SAK Use in both directions: what the data plane does with its keys, and what peers say of theirs.

use macsec::{An, Ki};

use super::peers::{Heard, Peer};
use crate::{KeyUse, SakUse, Xpn};

/// What the data plane does with one key: input from the CP machine and the SecY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyInUse {
    /// The key.
    pub ki: Ki,
    /// Its AN.
    pub an: An,
    /// Frames are sent with it.
    pub tx: bool,
    /// Frames are received with it.
    pub rx: bool,
    /// The lowest PN that was sent with it in the last two seconds, 1 if there was none: LLPN or OLPN.
    pub lowest_pn: u64,
    /// The greatest next PN of all its SAs, transmit and receive. A key server looks here for keys that
    /// run out: a peer need not report its own.
    pub next_pn: u64,
}

/// What the data plane does: input from the CP machine and the SecY, to be told to peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyReport {
    /// The latest key (`lki`).
    pub latest: Option<KeyInUse>,
    /// The old key (`oki`).
    pub old: Option<KeyInUse>,
    /// The controlled port sends unprotected frames.
    pub plain_tx: bool,
    /// The controlled port takes unprotected frames.
    pub plain_rx: bool,
}

impl KeyReport {
    pub(crate) fn keys(&self) -> impl Iterator<Item = KeyInUse> {
        [self.latest, self.old].into_iter().flatten()
    }

    /// Whether peers should hear at once that `self` has become `new`. PNs can wait.
    pub(crate) fn differs(&self, new: &Self) -> bool {
        let flags = |key: Option<KeyInUse>| key.map(|key| (key.ki, key.an, key.tx, key.rx));
        let all = |report: &Self| {
            (flags(report.latest), flags(report.old), report.plain_tx, report.plain_rx)
        };
        all(self) != all(new)
    }

    pub(crate) fn sak_use(&self, delay_protect: bool) -> SakUse {
        let key = |key: Option<KeyInUse>| {
            key.map_or(KeyUse::NONE, |key| KeyUse {
                ki: key.ki,
                an: key.an,
                tx: key.tx,
                rx: key.rx,
                // The low half; the other goes into the XPN set.
                lowest_pn: told(key.lowest_pn, delay_protect) as u32,
            })
        };
        SakUse {
            plain_tx: self.plain_tx,
            plain_rx: self.plain_rx,
            delay_protect,
            keys: Some([key(self.latest), key(self.old)]),
        }
    }

    pub(crate) fn xpn(&self, delay_protect: bool) -> Xpn {
        let lowest =
            |key: Option<KeyInUse>| key.map_or(0, |key| told(key.lowest_pn, delay_protect));
        Xpn::new(0, lowest(self.latest), lowest(self.old))
    }
}

/// A lowest PN as it is told. With delay protection nobody may say 0, nor may a lower half alone be that, which peers look
/// at by itself: the number before will do as well.
const fn told(lowest_pn: u64, delay_protect: bool) -> u64 {
    match lowest_pn {
        0 => 1,
        pn if delay_protect && pn as u32 == 0 => pn - 1,
        pn => pn,
    }
}

/// What a peer says of one of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedKey {
    /// The key.
    pub ki: Ki,
    /// Its AN.
    pub an: An,
    /// The peer sends with it.
    pub tx: bool,
    /// The peer receives with it.
    pub rx: bool,
    /// The low 32 bits of the lowest PN that the peer sent of late.
    pub lowest_pn: u32,
    /// All 64 bits of it, from a peer that sends an XPN set along.
    pub lowest_pn_64: Option<u64>,
}

impl ReportedKey {
    /// The whole lowest PN. `None` if that cannot be told: with an XPN suite, of a peer without an XPN set (MKA
    /// version 1). Its upper half is not guessed: one too high would cut the peer off.
    pub(crate) fn whole_lowest_pn(&self, xpn: bool) -> Option<u64> {
        if xpn { self.lowest_pn_64 } else { Some(self.lowest_pn.into()) }
    }
}

/// The last SAK Use of a peer. The key in use stands in either place: peers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerKeyUse {
    /// The latest key.
    pub latest: Option<ReportedKey>,
    /// The old key.
    pub old: Option<ReportedKey>,
    /// The lowest PNs bind: older frames of this peer are dropped.
    pub delay_protect: bool,
}

impl PeerKeyUse {
    pub(crate) fn new(sak_use: &SakUse, xpn: Option<&Xpn>) -> Self {
        let [latest, old] = sak_use.keys.unwrap_or([KeyUse::NONE; 2]);
        let reported = |key: KeyUse, lowest_pn_64| {
            let KeyUse { ki, an, tx, rx, lowest_pn } = key;
            (!key.is_none()).then_some(ReportedKey { ki, an, tx, rx, lowest_pn, lowest_pn_64 })
        };
        Self {
            latest: reported(latest, xpn.map(|xpn| xpn.latest_lowest_pn(latest.lowest_pn))),
            old: reported(old, xpn.map(|xpn| xpn.old_lowest_pn(old.lowest_pn))),
            delay_protect: sak_use.delay_protect,
        }
    }

    /// What is said of the key `ki`, in whichever place.
    #[must_use]
    pub fn key(&self, ki: Ki) -> Option<&ReportedKey> {
        self.keys().find(|key| key.ki == ki)
    }

    /// Whether the peer transmits, with whichever key.
    pub(crate) fn transmits(&self) -> bool {
        self.keys().any(|key| key.tx)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &ReportedKey> {
        self.latest.iter().chain(&self.old)
    }
}

/// Whether a peer receives with the key `ki`.
pub(crate) fn receives((peer, _): &(&Peer, &Heard), ki: Ki) -> bool {
    peer.key_use.is_some_and(|keys| keys.keys().any(|key| key.ki == ki && key.rx))
}

/// Whether a peer transmits with the key `ki`.
pub(crate) fn transmits(peer: &Peer, ki: Ki) -> bool {
    peer.key_use.is_some_and(|keys| keys.keys().any(|key| key.ki == ki && key.tx))
}

/// Whether a peer receives with a key other than `ki`.
pub(crate) fn receives_with_another(peer: &Peer, ki: Ki) -> bool {
    peer.key_use.is_some_and(|keys| keys.keys().any(|key| key.ki != ki && key.rx))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_lowest_pn_is_told_as_zero_in_either_place() {
        let key = |lowest_pn| {
            let (ki, an) = (Ki([7; 16]), An::ALL[1]);
            Some(KeyInUse { ki, an, tx: true, rx: true, lowest_pn, next_pn: lowest_pn })
        };
        for (own, told) in [
            (0, 1),
            (1, 1),
            (0xffff_ffff, 0xffff_ffff),
            (1 << 32, 0xffff_ffff),
            (3 << 32 | 9, 3 << 32 | 9),
        ] {
            let report = KeyReport { latest: key(own), old: key(own), ..KeyReport::default() };
            let (sak_use, xpn) = (report.sak_use(true), report.xpn(true));
            let [latest, old] = sak_use.keys.unwrap();
            assert!(latest.lowest_pn != 0 && old.lowest_pn != 0);
            assert_eq!(xpn.latest_lowest_pn(latest.lowest_pn), told);
            assert_eq!(xpn.old_lowest_pn(old.lowest_pn), told);
        }
        // Nor where there is no key.
        let none = KeyReport::default().sak_use(true).keys.unwrap();
        assert_eq!(none.map(|key| key.lowest_pn), [1, 1]);
    }
}
