//! Receive SCs and their SAs (802.1AE clauses 7.1, 10.6 and 10.7).

use crate::{
    An, CipherSuite, ConfidentialityOffset, Ki, MacAddress, MissingSa, ReceiveScCounters, Sci,
    Ssci, Storage, TagSci, nonce::NonceBase, replay::ReplayState,
};

/// Everything it takes to install a receive SA, in one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveSa {
    /// The AN to install it under; must be free.
    pub an: An,
    /// The key, which must have been installed.
    pub ki: Ki,
    /// The sender's SSCI: for the XPN suites, and only for these.
    pub ssci: Option<Ssci>,
    /// The lowest packet number to accept, at least 1. With XPN, also where the recovery of the upper 32 bits
    /// begins: a receiver that restarts under a key in use must be told.
    pub lowest_pn: u64,
    /// From where encrypted frames are encrypted. XPN suites take no offset.
    pub offset: ConfidentialityOffset,
}

/// A receive SA as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiveSaStatus {
    /// The AN.
    pub an: An,
    /// The key.
    pub ki: Ki,
    /// The suite of the key.
    pub suite: CipherSuite,
    /// From where encrypted frames are encrypted.
    pub offset: ConfidentialityOffset,
    /// Whether frames are accepted with it.
    pub in_use: bool,
    /// nextPN: one above the highest PN of a valid frame, or lowestPN if that is greater. Stays at
    /// 2^64 - 1 once that PN itself has come.
    pub next_pn: u64,
    /// lowestPN: frames below are late. Stays at 2^64 - 1 like nextPN.
    pub lowest_pn: u64,
}

/// Room for one receive SC with its four SAs, to be lent to a SecY: one for each peer.
#[derive(Default)]
pub struct ReceiveScSlot(pub(crate) Option<ReceiveSc>);

impl ReceiveScSlot {
    /// A slot without an SC.
    pub const EMPTY: Self = Self(None);
}

/// A receive SC as installed.
pub(crate) struct ReceiveSc {
    pub(crate) sci: Sci,
    pub(crate) sas: [Option<InstalledReceiveSa>; 4],
    pub(crate) counters: ReceiveScCounters,
}

/// A receive SA as installed.
pub(crate) struct InstalledReceiveSa {
    pub(crate) serial: u32,
    pub(crate) ki: Ki,
    pub(crate) suite: CipherSuite,
    pub(crate) key: u16,
    pub(crate) base: NonceBase,
    pub(crate) offset: ConfidentialityOffset,
    pub(crate) in_use: bool,
    pub(crate) replay: ReplayState,
}

impl InstalledReceiveSa {
    /// The full packet number of a frame that carries `pn`.
    #[inline]
    pub(crate) const fn recover_pn(&self, pn: u32) -> u64 {
        if self.suite.is_xpn() { self.replay.recover_xpn(pn) } else { pn as u64 }
    }
}

impl ReceiveSc {
    pub(crate) fn new(sci: Sci) -> Self {
        Self { sci, sas: [const { None }; 4], counters: ReceiveScCounters::default() }
    }

    pub(crate) fn status(&self, an: An) -> Option<ReceiveSaStatus> {
        let sa = self.sas[an.index()].as_ref()?;
        Some(ReceiveSaStatus {
            an,
            ki: sa.ki,
            suite: sa.suite,
            offset: sa.offset,
            in_use: sa.in_use,
            next_pn: sa.replay.next_pn(),
            lowest_pn: sa.replay.lowest_pn(),
        })
    }
}

/// How many SCs are looked at, whatever room is lent: frames in flight refer to them by `u16`.
const MAX_SCS: usize = 1 << 16;

/// The receive SCs of a SecY.
pub(crate) struct ReceiveScs<R> {
    slots: R,
    /// How many slots hold an SC.
    count: usize,
    /// The counts of SCs that have been deleted.
    pub(crate) former: ReceiveScCounters,
}

impl<R: Storage<ReceiveScSlot>> ReceiveScs<R> {
    pub(crate) fn new(mut slots: R) -> Self {
        slots.as_mut().iter_mut().for_each(|slot| slot.0 = None);
        Self { slots, count: 0, former: ReceiveScCounters::default() }
    }

    /// How many SCs there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.as_ref().len().min(MAX_SCS)
    }

    /// How many SCs there are.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ReceiveSc> {
        self.slots.as_ref().iter().filter_map(|slot| slot.0.as_ref())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut ReceiveSc> {
        self.slots.as_mut().iter_mut().filter_map(|slot| slot.0.as_mut())
    }

    pub(crate) fn find(&self, sci: Sci) -> Option<&ReceiveSc> {
        self.iter().find(|sc| sc.sci == sci)
    }

    pub(crate) fn find_mut(&mut self, sci: Sci) -> Option<&mut ReceiveSc> {
        self.iter_mut().find(|sc| sc.sci == sci)
    }

    /// Takes a free slot for `sc`. False if there is none.
    pub(crate) fn insert(&mut self, sc: ReceiveSc) -> bool {
        let mut slots = self.slots.as_mut().iter_mut().take(MAX_SCS);
        let Some(slot) = slots.find(|slot| slot.0.is_none()) else {
            return false;
        };
        slot.0 = Some(sc);
        self.count += 1;
        true
    }

    pub(crate) fn remove(&mut self, sci: Sci) -> Option<ReceiveSc> {
        let mut slots = self.slots.as_mut().iter_mut();
        let slot = slots.find(|slot| slot.0.as_ref().is_some_and(|sc| sc.sci == sci))?;
        let sc = slot.0.take()?;
        self.count -= 1;
        self.former.add(&sc.counters);
        Some(sc)
    }

    /// The SC and the SA in use for a frame (802.1AE clause 10.6.1).
    #[inline]
    pub(crate) fn select(
        &self,
        tag_sci: TagSci,
        source: MacAddress,
        an: An,
    ) -> Result<(u16, &InstalledReceiveSa), MissingSa> {
        let scs = (0..=u16::MAX).zip(self.slots.as_ref());
        let mut scs = scs.filter_map(|(index, slot)| Some((index, slot.0.as_ref()?)));
        let sci = match tag_sci {
            TagSci::Explicit(sci) => Some(sci),
            TagSci::EndStation => Some(Sci::new(source, Sci::PORT_END_STATION)),
            TagSci::EndStationBroadcast => Some(Sci::new(source, Sci::PORT_SINGLE_COPY_BROADCAST)),
            TagSci::Broadcast | TagSci::PointToPoint => None,
        };
        let found = match sci {
            Some(sci) => scs.find(|(_, sc)| sc.sci == sci),
            // No SCI to be had: only a lone SC can be meant.
            None if self.count == 1 => scs.next(),
            None => None,
        };
        let (index, sc) = found.ok_or(MissingSa::UnknownSci)?;
        let sa = sc.sas[an.index()].as_ref().filter(|sa| sa.in_use);
        Ok((index, sa.ok_or(MissingSa::SaNotInUse)?))
    }

    /// The SA of `an` on the SC in slot `index`.
    #[inline]
    pub(crate) fn get(&self, index: u16, an: An) -> Option<&InstalledReceiveSa> {
        self.slots.as_ref().get(usize::from(index))?.0.as_ref()?.sas[an.index()].as_ref()
    }

    /// The SC in slot `index` and its SA, provided that it is still the one of `serial` and in use.
    #[inline]
    pub(crate) fn reselect(
        &mut self,
        index: u16,
        an: An,
        serial: u32,
    ) -> Option<(&mut InstalledReceiveSa, &mut ReceiveScCounters)> {
        let sc = self.slots.as_mut().get_mut(usize::from(index))?.0.as_mut()?;
        let sa = sc.sas[an.index()].as_mut().filter(|sa| sa.in_use && sa.serial == serial)?;
        Some((sa, &mut sc.counters))
    }
}
