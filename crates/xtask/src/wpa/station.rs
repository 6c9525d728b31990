//! The host behind our gateway, and those that would be behind each wpa_supplicant.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use macsec::ETHERTYPE_MACSEC;
use macsec_io::packet::{PacketRxRing, PacketTxRing, RxConfig, RxMode, TxConfig};

use super::{
    Result,
    bed::sci,
    gateway::TAP,
    secy::TheirSecy,
    shim::Driver,
    wait_for,
    wire::{Side, Wire},
};

/// How long a frame may take: a second is usual on no machine, however busy.
const PATIENCE: Duration = Duration::from_secs(10);
/// When frames of which nothing has been seen are sent again.
const AGAIN: Duration = Duration::from_secs(3);
const SLOTS: usize = 64;
const LONGEST: usize = 2048;
/// Octets behind addresses and EtherType.
const PAYLOADS: [usize; 5] = [1, 46, 47, 300, 1400];
/// A local experiment's (802 clause 9.2.3).
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];

/// Our gateway's TAP.
pub(super) struct Station {
    rx: RefCell<PacketRxRing>,
    tx: RefCell<PacketTxRing>,
}

impl Station {
    pub(super) fn open(wire: &Wire) -> Result<Self> {
        wire.end(Side::Ours).run(|| {
            let mode = RxMode::Slots { frames: SLOTS };
            let rx = RxConfig { mode, max_frame: LONGEST, ..RxConfig::default() };
            let tx = TxConfig { frames: SLOTS, max_frame: LONGEST, ..TxConfig::default() };
            let rx = PacketRxRing::open(TAP, &rx)?.into();
            Ok(Self { rx, tx: PacketTxRing::open(TAP, &tx)?.into() })
        })
    }

    /// Has each end send frames to all others: ours, and those of `drivers`, whose packet numbers go
    /// on from `next_pn`. Returns the one after.
    pub(super) fn exchange(
        &self,
        wire: &Wire,
        drivers: &[(Side, Driver)],
        next_pn: u64,
    ) -> Result<u64> {
        self.send(wire, drivers)?;
        for (side, driver) in drivers {
            let theirs: Vec<_> = PAYLOADS.map(|len| frame(*side, len)).into();
            let mut secy = TheirSecy::new(driver, sci(Side::Ours), next_pn)?;
            let protected: Vec<_> =
                theirs.iter().map(|frame| secy.protect(frame)).collect::<Result<_>>()?;
            for (other, driver) in drivers.iter().filter(|(other, _)| other != side) {
                arrive(*side, *other, driver, &protected, &theirs)?;
            }
            self.deliver(wire, *side, protected, &theirs)?;
        }
        Ok(next_pn + PAYLOADS.len() as u64)
    }

    /// Has our host send frames, which arrive at all others.
    fn send(&self, wire: &Wire, drivers: &[(Side, Driver)]) -> Result<()> {
        let start = wire.sent(Side::Ours, ETHERTYPE_MACSEC).len();
        let ours: Vec<_> = PAYLOADS.map(|len| frame(Side::Ours, len)).into();
        let mut again = Instant::now();
        let sent = wait_for("frames of our host", PATIENCE, || {
            let sent = wire.sent(Side::Ours, ETHERTYPE_MACSEC).split_off(start);
            if sent.is_empty() && Instant::now() >= again {
                // The kernel drops what a host sends until it has noticed that the TAP has a carrier.
                again = Instant::now() + AGAIN;
                for frame in &ours {
                    self.tx.borrow_mut().push(frame).map_err(|error| format!("{error:?}"))?;
                }
                self.tx.borrow_mut().flush()?;
            }
            Ok((sent.len() >= ours.len()).then_some(sent))
        })?;
        let mut drivers = drivers.iter();
        drivers.try_for_each(|(side, driver)| arrive(Side::Ours, *side, driver, &sent, &ours))
    }

    /// Sends frames in the name of `from`. They are delivered to our host, as they were before they
    /// were protected.
    fn deliver(
        &self,
        wire: &Wire,
        from: Side,
        protected: Vec<Vec<u8>>,
        frames: &[Vec<u8>],
    ) -> Result<()> {
        self.receive();
        protected.into_iter().for_each(|frame| wire.send_as(from, frame));
        let mut delivered = Vec::new();
        wait_for("frames for our host", PATIENCE, || {
            delivered.extend(self.receive());
            Ok((delivered.len() >= frames.len()).then_some(()))
        })?;
        match delivered == frames {
            true => Ok(()),
            false => Err(format!("{from:?}: frames are delivered to our host as others").into()),
        }
    }

    fn receive(&self) -> Vec<Vec<u8>> {
        let mut received = Vec::new();
        self.rx.borrow_mut().receive(SLOTS, |frame| received.push(frame.to_vec()));
        received
    }
}

/// What `driver` at the end `to` makes of `protected`, which comes from `from`: `frames`.
fn arrive(
    from: Side,
    to: Side,
    driver: &Driver,
    protected: &[Vec<u8>],
    frames: &[Vec<u8>],
) -> Result<()> {
    // It protects nothing, so its packet numbers do not matter.
    let mut secy = TheirSecy::new(driver, sci(from), 1)?;
    let arrived = protected.iter().map(|frame| secy.validate(frame.clone()));
    match arrived.collect::<std::result::Result<Vec<_>, _>>()? == frames {
        true => Ok(()),
        false => Err(format!("frames from {from:?} arrive at {to:?} as others").into()),
    }
}

/// A frame to everybody.
fn frame(from: Side, len: usize) -> Vec<u8> {
    [&[0xff; 6][..], &from.mac(), &ETHERTYPE, &vec![len as u8; len]].concat()
}
