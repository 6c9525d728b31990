//! The transmit SC, its SAs, and the packet numbers they own (802.1AE clauses 7.1, 10.5 and 10.7).

use crate::{An, CipherSuite, Confidentiality, Ki, ProtectError, Sci, Ssci, nonce::NonceBase};

/// Everything it takes to install a transmit SA, in one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransmitSa {
    /// The AN to install it under; must be free.
    pub an: An,
    /// The key, which must have been installed.
    pub ki: Ki,
    /// Our SSCI: for the XPN suites, and only for these.
    pub ssci: Option<Ssci>,
    /// The first packet number to use, at least 1. A key that was in use before goes on where it
    /// stopped, or further.
    pub next_pn: u64,
    /// Whether to encrypt, and from where. XPN suites take no offset.
    pub confidentiality: Confidentiality,
}

/// How far the packet numbers of a transmit SA have got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PnState {
    /// No need to act.
    Fresh,
    /// Beyond [`CipherSuite::rekey_pn`]: a new SAK is due before they run out.
    RekeyDue,
    /// None left; the SA has stopped.
    Exhausted,
}

/// A transmit SA as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransmitSaStatus {
    /// The AN.
    pub an: An,
    /// The key.
    pub ki: Ki,
    /// The suite of the key.
    pub suite: CipherSuite,
    /// Whether and from where it encrypts.
    pub confidentiality: Confidentiality,
    /// Whether frames are sent with it: enabled, and PNs left.
    pub in_use: bool,
    /// nextPN, or `None` if there is none left.
    pub next_pn: Option<u64>,
    /// The first PN that is withheld, if any is.
    pub pn_limit: Option<u64>,
    /// How far its PNs have got.
    pub pn_state: PnState,
}

/// Consecutive packet numbers of one transmit SA, reserved and not used yet.
///
/// Move-only: there is one owner of each packet number, and [`Sealer`](crate::Sealer) takes it away. A block
/// that is dropped leaves a gap, which receivers do not mind.
///
/// ```compile_fail
/// fn twice(block: macsec::PnBlock) -> (macsec::PnBlock, macsec::PnBlock) {
///     (block.clone(), block)
/// }
/// ```
#[derive(Debug)]
#[must_use = "a reserved packet number that is not used leaves a gap"]
pub struct PnBlock {
    owner: SaTicket,
    next: u64,
    left: u32,
}

impl PnBlock {
    /// The SA this belongs to.
    pub(crate) const fn owner(&self) -> SaTicket {
        self.owner
    }

    /// How many packet numbers are left in the block.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.left as usize
    }

    /// Whether none is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The next packet number of the block.
    pub fn take_next(&mut self) -> Option<ReservedPn> {
        self.left = self.left.checked_sub(1)?;
        let pn = self.next;
        // Wraps only past the last PN of all, when nothing is left to take.
        self.next = self.next.wrapping_add(1);
        Some(ReservedPn { owner: self.owner, pn: FreshPn(pn) })
    }

    /// Takes the first `count` packet numbers (or all, if there are fewer) off into a block of their own,
    /// for another worker.
    pub fn split_first(&mut self, count: u32) -> Self {
        let count = count.min(self.left);
        let first = Self { owner: self.owner, next: self.next, left: count };
        self.next = self.next.wrapping_add(u64::from(count));
        self.left -= count;
        first
    }
}

/// One packet number of one transmit SA. Sealing a frame consumes it.
///
/// ```compile_fail
/// fn twice(pn: macsec::ReservedPn) -> (macsec::ReservedPn, macsec::ReservedPn) {
///     (pn.clone(), pn)
/// }
/// ```
#[derive(Debug)]
#[must_use = "a reserved packet number that is not used leaves a gap"]
pub struct ReservedPn {
    owner: SaTicket,
    pn: FreshPn,
}

impl ReservedPn {
    /// The SA this belongs to.
    pub(crate) const fn owner(&self) -> SaTicket {
        self.owner
    }

    /// The packet number alone, for one who has made sure of the owner.
    pub(crate) fn into_fresh(self) -> FreshPn {
        self.pn
    }
}

/// A packet number that no frame has had yet. Move-only, like all that holds one.
#[derive(Debug)]
pub(crate) struct FreshPn(u64);

impl FreshPn {
    /// Gives the number up for good.
    pub(crate) fn spend(self) -> u64 {
        self.0
    }
}

/// What ties a reservation to the very SA that made it: the SecY (by its SCI), the key, and which
/// installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SaTicket {
    pub(crate) sci: Sci,
    pub(crate) ki: Ki,
    pub(crate) serial: u32,
}

/// A transmit SA as installed.
pub(crate) struct InstalledTransmitSa {
    pub(crate) ticket: SaTicket,
    pub(crate) suite: CipherSuite,
    pub(crate) key: u16,
    pub(crate) base: NonceBase,
    pub(crate) confidentiality: Confidentiality,
    /// The next PN to reserve; `None` once the last has gone.
    next_pn: Option<u64>,
    /// The first PN that is not to be used yet; `None` if all may be.
    pn_limit: Option<u64>,
}

impl InstalledTransmitSa {
    pub(crate) fn new(
        sa: &TransmitSa,
        ticket: SaTicket,
        suite: CipherSuite,
        key: u16,
        base: NonceBase,
    ) -> Self {
        let confidentiality = sa.confidentiality;
        Self {
            ticket,
            suite,
            key,
            base,
            confidentiality,
            next_pn: Some(sa.next_pn),
            pn_limit: None,
        }
    }

    #[inline]
    pub(crate) const fn next_pn(&self) -> Option<u64> {
        self.next_pn
    }

    /// Raises nextPN; never lowers it.
    pub(crate) fn raise_next_pn(&mut self, pn: u64) {
        self.next_pn = self.next_pn.map(|next| next.max(pn));
    }

    /// Withholds `limit` and all PNs above it.
    pub(crate) fn limit_pn(&mut self, limit: Option<u64>) {
        self.pn_limit = limit;
    }

    pub(crate) const fn pn_state(&self) -> PnState {
        match self.next_pn {
            None => PnState::Exhausted,
            Some(pn) if pn >= self.suite.rekey_pn() => PnState::RekeyDue,
            Some(_) => PnState::Fresh,
        }
    }

    /// The next PN, for a frame that is sealed here and now.
    #[inline]
    fn take_pn(&mut self) -> Result<FreshPn, ProtectError> {
        let pn = self.next_pn.ok_or(ProtectError::PnExhausted)?;
        if self.pn_limit.is_some_and(|limit| pn >= limit) {
            return Err(ProtectError::PnWithheld);
        }
        self.next_pn = if pn == self.suite.max_pn() { None } else { Some(pn + 1) };
        Ok(FreshPn(pn))
    }

    fn reserve(&mut self, count: u32) -> Result<PnBlock, ProtectError> {
        let next = self.next_pn.ok_or(ProtectError::PnExhausted)?;
        let count = match self.pn_limit {
            Some(limit) if next >= limit => return Err(ProtectError::PnWithheld),
            Some(limit) => u32::try_from(limit - next).map_or(count, |left| count.min(left)),
            None => count,
        };
        let after_next = self.suite.max_pn() - next;
        let left =
            u32::try_from(after_next).map_or(count, |after| count.min(after.saturating_add(1)));
        let used = u64::from(left);
        self.next_pn = if used > after_next { None } else { Some(next + used) };
        Ok(PnBlock { owner: self.ticket, next, left })
    }
}

/// The transmit SC: its SCI, up to four SAs, which of them is encoding.
pub(crate) struct TransmitSc {
    pub(crate) sci: Sci,
    pub(crate) sas: [Option<InstalledTransmitSa>; 4],
    pub(crate) encoding_sa: Option<An>,
}

impl TransmitSc {
    pub(crate) const fn new(sci: Sci) -> Self {
        Self { sci, sas: [const { None }; 4], encoding_sa: None }
    }

    pub(crate) fn sa(&self, an: An) -> Option<&InstalledTransmitSa> {
        self.sas[an.index()].as_ref()
    }

    /// The SA that frames are sent with.
    #[inline]
    pub(crate) fn encoding(&self) -> Option<(An, &InstalledTransmitSa)> {
        let an = self.encoding_sa?;
        Some((an, self.sa(an)?))
    }

    pub(crate) fn reserve(&mut self, count: u32) -> Result<PnBlock, ProtectError> {
        self.encoding_mut()?.reserve(count)
    }

    pub(crate) fn next_pn(&mut self) -> Result<FreshPn, ProtectError> {
        self.encoding_mut()?.take_pn()
    }

    fn encoding_mut(&mut self) -> Result<&mut InstalledTransmitSa, ProtectError> {
        let an = self.encoding_sa.ok_or(ProtectError::NoTransmitSa)?;
        self.sas[an.index()].as_mut().ok_or(ProtectError::NoTransmitSa)
    }

    /// The installed SA that `ticket` was made by, if it is still there.
    pub(crate) fn owner(&self, ticket: SaTicket) -> Option<(An, &InstalledTransmitSa)> {
        An::ALL.into_iter().find_map(|an| Some((an, self.sa(an).filter(|sa| sa.ticket == ticket)?)))
    }

    pub(crate) fn status(&self, an: An) -> Option<TransmitSaStatus> {
        let sa = self.sa(an)?;
        Some(TransmitSaStatus {
            an,
            ki: sa.ticket.ki,
            suite: sa.suite,
            confidentiality: sa.confidentiality,
            in_use: self.encoding_sa == Some(an) && sa.next_pn.is_some(),
            next_pn: sa.next_pn,
            pn_limit: sa.pn_limit,
            pn_state: sa.pn_state(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sa(suite: CipherSuite, next_pn: u64) -> InstalledTransmitSa {
        let ticket = SaTicket { sci: Sci::default(), ki: Ki::default(), serial: 0 };
        let sa = TransmitSa {
            an: An::default(),
            ki: Ki::default(),
            ssci: None,
            next_pn,
            confidentiality: Confidentiality::default(),
        };
        InstalledTransmitSa::new(&sa, ticket, suite, 0, NonceBase::from_sci(Sci::default()))
    }

    #[test]
    fn the_last_pn_is_used_and_none_after_it() {
        for suite in CipherSuite::ALL {
            let max = suite.max_pn();
            for count in [1, 2, 3, 4, u32::MAX] {
                let mut sa = sa(suite, max - 2);
                let mut pns = [0; 3];
                let mut got = 0;
                while let Ok(mut block) = sa.reserve(count) {
                    assert!(block.len() <= count as usize);
                    while let Some(pn) = block.take_next() {
                        pns[got] = pn.pn.0;
                        got += 1;
                    }
                }
                assert_eq!(pns, [max - 2, max - 1, max], "{suite} {count}");
                assert_eq!(sa.pn_state(), PnState::Exhausted);
                assert!(matches!(sa.reserve(1), Err(ProtectError::PnExhausted)));
                sa.raise_next_pn(1);
                assert_eq!(sa.next_pn(), None, "an exhausted SA stays so");
            }
        }
    }

    #[test]
    fn warns_before_exhaustion() {
        for suite in CipherSuite::ALL {
            let mut sa = sa(suite, suite.rekey_pn() - 1);
            assert_eq!(sa.pn_state(), PnState::Fresh);
            assert!(sa.reserve(1).is_ok());
            assert_eq!(sa.pn_state(), PnState::RekeyDue);
        }
    }

    #[test]
    fn withheld_pns_are_not_handed_out() {
        for suite in CipherSuite::ALL {
            let mut sa = sa(suite, 10);
            sa.limit_pn(Some(13));
            assert!(sa.reserve(2).is_ok_and(|block| block.len() == 2));
            assert!(sa.reserve(2).is_ok_and(|block| block.len() == 1), "up to the limit");
            assert!(matches!(sa.reserve(1), Err(ProtectError::PnWithheld)));
            assert!(matches!(sa.take_pn(), Err(ProtectError::PnWithheld)));
            sa.limit_pn(Some(14));
            assert!(sa.take_pn().is_ok_and(|pn| pn.spend() == 13));
            assert!(matches!(sa.take_pn(), Err(ProtectError::PnWithheld)));
            sa.limit_pn(Some(5));
            assert!(matches!(sa.reserve(1), Err(ProtectError::PnWithheld)), "a lower limit");
            sa.limit_pn(None);
            assert!(sa.take_pn().is_ok_and(|pn| pn.spend() == 14), "none was lost or repeated");
        }
    }

    #[test]
    fn reserving_nothing_reserves_nothing() {
        let mut sa = sa(CipherSuite::GcmAes128, u64::from(u32::MAX));
        assert!(sa.reserve(0).is_ok_and(|block| block.is_empty()));
        assert_eq!(sa.next_pn(), Some(u64::from(u32::MAX)));
    }

    #[test]
    fn a_split_block_shares_no_number() {
        let mut sa = sa(CipherSuite::GcmAesXpn256, 10);
        let Ok(mut rest) = sa.reserve(5) else { panic!("fresh SA") };
        let mut first = rest.split_first(2);
        let mut last = rest.split_first(9);
        assert!(rest.take_next().is_none());
        let mut pns = [0; 5];
        for pn in pns.iter_mut().take(2) {
            *pn = first.take_next().map_or(0, |pn| pn.pn.0);
        }
        for pn in pns.iter_mut().skip(2) {
            *pn = last.take_next().map_or(0, |pn| pn.pn.0);
        }
        assert_eq!(pns, [10, 11, 12, 13, 14]);
        assert!(first.is_empty() && last.is_empty());
    }
}
