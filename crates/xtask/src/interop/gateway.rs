//! Our end: a SecY between the wire and a TAP, in a thread.

use std::{
    io,
    os::{fd::AsFd, unix::net::UnixStream},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use macsec::{
    COUNTERS, Confidentiality, ConfidentialityOffset, Config, Counters, DataKey, FrameBuf,
    HEADROOM, KeySlot, Ki, MacAddress, Portable, ReceiveSa, ReceiveScSlot, Sak, Salt, Sci, SecY,
    Ssci, TAILROOM, TransmitSa,
};
use macsec_io::{
    packet::{PacketRxRing, PacketTxRing, RxConfig, TxConfig},
    poll,
    tap::Tap,
};

use super::{
    Counts, Result,
    case::{Case, Form},
    guest,
    keys::Keys,
};

/// The MAC address of our end.
pub(super) const MAC: [u8; 6] = [0x02, 0x4d, 0x53, 0, 0, 1];
/// More octets than any frame here has.
const MAX_FRAME: usize = 9728;
/// Frames from the wire before the TAP gets its turn.
const BUDGET: usize = 256;

type InterfaceSecY =
    SecY<Portable, [KeySlot<<Portable as macsec::Backend>::Key>; 1], [ReceiveScSlot; 1]>;

/// Our end. Dropping it ends the thread.
pub(super) struct Gateway {
    thread: Option<JoinHandle<io::Result<()>>>,
    control: Option<UnixStream>,
    counters: Arc<Mutex<Counters>>,
}

/// Our SCI.
pub(super) fn sci() -> Sci {
    Sci::new(MacAddress(MAC), Sci::PORT_END_STATION)
}

impl Gateway {
    /// Starts the SecY of a case between the interface `wire` of the calling thread's namespace and `tap`.
    pub(super) fn start(case: &Case, keys: &Keys, wire: &str, tap: Tap) -> Result<Self> {
        let (control, controlled) = UnixStream::pair()?;
        let counters = Arc::new(Mutex::new(Counters::default()));
        let mut bridge = Bridge {
            secy: secy(case, keys)?,
            rx: PacketRxRing::open(wire, &RxConfig::default())?,
            tx: PacketTxRing::open(wire, &TxConfig::default())?,
            tap,
            counters: Arc::clone(&counters),
        };
        let thread = thread::spawn(move || bridge.run(&controlled));
        Ok(Self { thread: Some(thread), control: Some(control), counters })
    }

    /// The counters of the SecY, under their names in 802.1AE-2018.
    pub(super) fn counters(&self) -> Result<Counts> {
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            return Err("our end has stopped".into());
        }
        let counters = *self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(COUNTERS.iter().map(|counter| (counter.name, (counter.value)(&counters))).collect())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.control = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn secy(case: &Case, keys: &Keys) -> Result<InterfaceSecY> {
    let mut controls = Config::default();
    match case.form {
        Form::Explicit => controls.always_include_sci = true,
        Form::EndStation => controls.use_es = true,
        Form::SingleCopyBroadcast => controls.use_scb = true,
        Form::Implicit => {}
    }
    controls.validate_frames = case.validate();
    let slots = ([const { KeySlot::EMPTY }; 1], [const { ReceiveScSlot::EMPTY }; 1]);
    let mut secy = SecY::new(Portable, sci(), controls, slots.0, slots.1)?;

    let (ki, an) = (Ki(keys.ki), case.an());
    let xpn = case.suite.is_xpn();
    let salt = xpn.then_some(Salt(keys.salt));
    secy.install_key(&DataKey::new(ki, case.suite, Sak::new(&keys.sak)?, salt)?)?;
    let peer = Sci::new(MacAddress(guest::MAC), 1);
    secy.create_receive_sc(peer)?;
    let offset = ConfidentialityOffset::Zero;
    let ssci = xpn.then_some(Ssci(keys.kernel_ssci));
    let receive = ReceiveSa { an, ki, ssci, lowest_pn: case.kernel_pn, offset };
    secy.install_receive_sa(peer, &receive)?;
    secy.enable_receive_sa(peer, an)?;
    let confidentiality = if case.confidentiality {
        Confidentiality::Encrypt(offset)
    } else {
        Confidentiality::IntegrityOnly
    };
    let ssci = xpn.then_some(Ssci(keys.our_ssci));
    let transmit = TransmitSa { an, ki, ssci, next_pn: case.our_pn, confidentiality };
    secy.install_transmit_sa(&transmit)?;
    secy.enable_transmit_sa(an)?;
    Ok(secy)
}

struct Bridge {
    secy: InterfaceSecY,
    rx: PacketRxRing,
    tx: PacketTxRing,
    tap: Tap,
    counters: Arc<Mutex<Counters>>,
}

impl Bridge {
    /// Moves frames until `control` is closed.
    fn run(&mut self, control: &UnixStream) -> io::Result<()> {
        loop {
            let sources = [control.as_fd(), self.rx.as_fd(), self.tap.as_fd()];
            let [control, ..] = poll::wait_readable(sources, Some(Duration::from_secs(1)))?;
            if control.readable || control.error {
                return Ok(());
            }
            self.wire_to_tap();
            self.tap_to_wire()?;
            *self.counters.lock().unwrap_or_else(PoisonError::into_inner) = self.secy.counters();
        }
    }

    fn wire_to_tap(&mut self) {
        let Self { secy, rx, tap, .. } = self;
        rx.receive_batch(BUDGET, |frames| {
            secy.validate_batch(frames.iter_mut().map(|frame| &mut **frame), |verdict| {
                if let Some(frame) = verdict.delivered() {
                    // One that is lost is missed by who waits for it.
                    let _ = tap.write(frame);
                }
            });
        });
    }

    fn tap_to_wire(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; HEADROOM + MAX_FRAME + TAILROOM];
        loop {
            let len = match self.tap.read(&mut buffer[HEADROOM..HEADROOM + MAX_FRAME]) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let frame = FrameBuf::new(buffer.as_mut_slice(), HEADROOM..HEADROOM + len)
                .map_err(|_| io::ErrorKind::InvalidData)?;
            if let Ok(frame) = self.secy.protect(frame) {
                let _ = self.tx.push(frame.octets());
                let _ = self.tx.flush();
            }
        }
    }
}
