//! An interface on which the test itself sends and receives: our TAP on the host, `macsec0` in the guest.

use std::time::{Duration, Instant};

use macsec_io::packet::{PacketRxRing, PacketTxRing, RxConfig, RxMode, TxConfig};

use super::{Result, frames::Frames};

/// More than is ever sent without waiting for it to arrive.
const SLOTS: usize = 256;
/// How long a frame may take: a second is usual on no machine, however busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Puts `frames` on the wire of an interface, whatever they are, with a mark of the host's.
pub(super) fn inject(
    interface: &str,
    mark: u32,
    frames: impl Iterator<Item = Vec<u8>>,
) -> Result<()> {
    send(&mut PacketTxRing::open(interface, &TxConfig { mark, ..TxConfig::default() })?, frames)
}

fn send(ring: &mut PacketTxRing, frames: impl Iterator<Item = Vec<u8>>) -> Result<()> {
    for frame in frames {
        ring.push(&frame).map_err(|error| format!("{error:?}"))?;
    }
    let until = Instant::now() + PATIENCE;
    while ring.pending() > 0 {
        ring.flush()?;
        if Instant::now() > until {
            return Err("the interface does not take the frames".into());
        }
    }
    Ok(())
}

/// Both rings of an interface.
pub(super) struct Station {
    rx: PacketRxRing,
    tx: PacketTxRing,
}

impl Station {
    /// Opens the rings of an interface in the network namespace of the calling thread.
    pub(super) fn open(interface: &str) -> Result<Self> {
        let rx = RxConfig { mode: RxMode::Slots { frames: SLOTS }, ..RxConfig::default() };
        let rx = PacketRxRing::open(interface, &rx)?;
        Ok(Self { rx, tx: PacketTxRing::open(interface, &TxConfig::default())? })
    }

    /// Sends all of `frames`.
    pub(super) fn send(&mut self, frames: &Frames) -> Result<()> {
        self.send_octets(frames.octets())
    }

    /// Sends all of `frames`, whatever they are.
    pub(super) fn send_octets(&mut self, frames: impl Iterator<Item = Vec<u8>>) -> Result<()> {
        send(&mut self.tx, frames)
    }

    /// Receives until as many frames have come as are expected, and says in what they differ. What
    /// comes unasked differs too.
    pub(super) fn receive(&mut self, expected: &Frames) -> Result<Option<String>> {
        let until = Instant::now() + PATIENCE;
        let mut received = Vec::new();
        loop {
            received.extend(self.receive_now());
            let left = until.saturating_duration_since(Instant::now());
            if received.len() >= expected.payloads.len() || left.is_zero() {
                return Ok(expected.difference(&received));
            }
            self.rx.wait(Some(left))?;
        }
    }

    /// What has come by now.
    pub(super) fn receive_now(&mut self) -> Vec<Vec<u8>> {
        let mut received = Vec::new();
        self.rx.receive(SLOTS, |frame| received.push(frame.to_vec()));
        received
    }
}
