//! The host behind our gateway, and the one that would be behind wpa_supplicant.

use std::{cell::RefCell, time::Duration};

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

    /// Sends frames both ways. Those of the peer are protected from `next_pn` on; returns the one
    /// after.
    pub(super) fn exchange(&self, wire: &Wire, driver: &Driver, next_pn: u64) -> Result<u64> {
        let mut secy = TheirSecy::new(driver, sci(Side::Ours), next_pn)?;
        let start = wire.sent(Side::Ours, ETHERTYPE_MACSEC).len();
        let ours: Vec<_> = PAYLOADS.map(|len| frame(Side::Ours, len)).into();
        for frame in &ours {
            self.tx.borrow_mut().push(frame).map_err(|error| format!("{error:?}"))?;
        }
        self.tx.borrow_mut().flush()?;
        let mut arrived = Vec::new();
        wait_for("frames of our host", PATIENCE, || {
            for frame in
                wire.sent(Side::Ours, ETHERTYPE_MACSEC).into_iter().skip(start + arrived.len())
            {
                arrived.push(secy.validate(frame)?);
            }
            Ok((arrived.len() >= ours.len()).then_some(()))
        })?;
        if arrived != ours {
            return Err("the frames of our host arrive as others".into());
        }

        let theirs: Vec<_> = PAYLOADS.map(|len| frame(Side::Theirs, len)).into();
        self.receive();
        for frame in &theirs {
            wire.send_as(Side::Theirs, secy.protect(frame)?);
        }
        let mut delivered = Vec::new();
        wait_for("frames for our host", PATIENCE, || {
            delivered.extend(self.receive());
            Ok((delivered.len() >= theirs.len()).then_some(()))
        })?;
        match delivered == theirs {
            true => Ok(next_pn + theirs.len() as u64),
            false => Err("the frames for our host are delivered as others".into()),
        }
    }

    fn receive(&self) -> Vec<Vec<u8>> {
        let mut received = Vec::new();
        self.rx.borrow_mut().receive(SLOTS, |frame| received.push(frame.to_vec()));
        received
    }
}

fn frame(from: Side, len: usize) -> Vec<u8> {
    let [to, from] = match from {
        Side::Ours => [Side::Theirs, Side::Ours].map(Side::mac),
        Side::Theirs => [Side::Ours, Side::Theirs].map(Side::mac),
    };
    [&to[..], &from, &ETHERTYPE, &vec![len as u8; len]].concat()
}
