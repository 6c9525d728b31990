//! Packet numbers on record: what ties a port's SAs with static keys to the PN store.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use macsec::{An, Ki, Sci};

use super::PortSecY;
use crate::pn_store::{
    Failures, NO_PN_LEFT, PnSignal, PnWriter, ReceiveMark, ReceivePns, TransmitMark, TransmitPns,
};

/// How long frames that need a new mark wait for the disk before they are dropped. Those that come after
/// them do not wait, until the disk has answered: the port has other things to do.
const DISK_TIMEOUT: Duration = Duration::from_secs(1);

/// The marks of a port's SAs.
///
/// Sending: the SecY has no packet numbers but those on record ([`SecY::limit_transmit_pn`]), and the
/// port leaves the host's frames where they are until there are more. Receiving: nothing is delivered
/// before the record covers its packet number. Both are far ahead as a rule, so that nobody waits.
///
/// [`SecY::limit_transmit_pn`]: macsec::SecY::limit_transmit_pn
pub struct Marks {
    transmit: TransmitSaMark,
    receive: Vec<ReceiveSaMark>,
    signal: PnSignal,
    /// Last, so that it writes what the others have left.
    writer: PnWriter,
}

struct TransmitSaMark {
    an: An,
    ki: Ki,
    pns: TransmitPns,
}

struct ReceiveSaMark {
    sci: Sci,
    an: An,
    pns: ReceivePns,
    /// The disk has not answered in time.
    overdue: bool,
}

impl Marks {
    /// Takes charge of the marks of the transmit SA `an` with key `ki`, and of receive SAs, each with
    /// its SCI and AN.
    #[must_use]
    pub fn new(
        writer: PnWriter,
        (an, ki, mark): (An, Ki, TransmitMark),
        receive: Vec<(Sci, An, ReceiveMark)>,
    ) -> Self {
        let receive = receive.into_iter();
        Self {
            transmit: TransmitSaMark { an, ki, pns: writer.transmit(mark) },
            receive: receive
                .map(|(sci, an, mark)| ReceiveSaMark {
                    sci,
                    an,
                    pns: writer.receive(mark),
                    overdue: false,
                })
                .collect(),
            signal: writer.signal(),
            writer,
        }
    }

    /// Writes that have failed.
    #[must_use]
    pub fn failures(&self) -> Failures {
        self.writer.failures()
    }

    /// To be called about once a second: the marks of peers that have fallen silent come down to
    /// where they are, so that a crash now would cost few frames.
    pub fn tick(&mut self, secy: &PortSecY) {
        for sa in &mut self.receive {
            if let Some(next_pn) = sa.next_pn(secy) {
                sa.pns.tick(next_pn);
            }
        }
    }

    /// Writes down exactly where the SAs have got to. To be called when the SecY moves no more frames
    /// with them.
    pub fn finish(self, secy: &PortSecY) {
        let transmit = self.transmit;
        if let Some(sa) = secy.transmit_sa(transmit.an).filter(|sa| sa.ki == transmit.ki) {
            transmit.pns.finish(sa.next_pn.unwrap_or(NO_PN_LEFT));
        }
        for sa in self.receive {
            if let Some(next_pn) = sa.next_pn(secy) {
                sa.pns.finish(next_pn);
            }
        }
    }

    /// Lets the SecY use what is on record by now, and asks for more in time.
    pub(super) fn release(&mut self, secy: &mut PortSecY) {
        let TransmitSaMark { an, ki, pns } = &mut self.transmit;
        let Some(sa) = secy.transmit_sa(*an).filter(|sa| sa.ki == *ki) else {
            return;
        };
        pns.want(sa.next_pn.unwrap_or(NO_PN_LEFT), Instant::now());
        let limit = Some(pns.limit());
        if sa.pn_limit != limit {
            // The SA is there, and it is this one.
            let _ = secy.limit_transmit_pn(*an, *ki, limit);
        }
    }

    /// Whether all that has been received is on record. Waits for the disk if it must, a moment: that
    /// is, if a peer's packet numbers have taken a leap.
    pub(super) fn cover_received(&mut self, secy: &PortSecY) -> bool {
        let now = Instant::now();
        let mut covered = true;
        // Every one of them is to ask for what it needs.
        for sa in &mut self.receive {
            match sa.next_pn(secy) {
                Some(next_pn) if next_pn > sa.pns.limit() => {
                    let patience = if sa.overdue { Duration::ZERO } else { DISK_TIMEOUT };
                    sa.overdue = !sa.pns.wait_until_durable(next_pn, patience);
                    covered &= !sa.overdue;
                }
                Some(next_pn) => {
                    sa.overdue = false;
                    sa.pns.want(next_pn, now);
                }
                None => {}
            }
        }
        covered
    }

    /// Silences the descriptor until there is more news.
    pub(super) fn take_news(&self) {
        self.signal.clear();
    }
}

impl ReceiveSaMark {
    fn next_pn(&self, secy: &PortSecY) -> Option<u64> {
        secy.receive_sa(self.sci, self.an).map(|sa| sa.next_pn)
    }
}

/// Readable when more packet numbers are on record.
impl AsFd for Marks {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }
}
