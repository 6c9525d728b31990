//! An end that is a KaY in this process, without a data plane: every order succeeds.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use macsec::{An, CipherSuite, Ki, MacAddress, Sci};
use macsec_io::{
    netns::Resident,
    packet::{PacketRxRing, PacketTxRing, RxConfig, RxMode, TxConfig},
    poll,
};
use mka::{
    Cak, Ckn, Kay, KayConfig, KayEvent, KeyPns, KeyServer, MAX_FRAME_LEN, OsRandom,
    ParticipantConfig, Suites, order::Action,
};

use super::{
    Result,
    end::{End, Look},
    process::Ending,
    wire::{INTERFACE, Side},
};

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    rekey: AtomicBool,
    look: Mutex<Look>,
    saks: Mutex<BTreeMap<Ki, Vec<u8>>>,
    log: Mutex<String>,
}

pub(super) struct InProcess {
    namespace: Arc<Resident>,
    cak: Vec<u8>,
    ckn: Vec<u8>,
    participant: fn(&mut ParticipantConfig),
    priority: u8,
    log: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl InProcess {
    pub(super) fn new(
        namespace: Arc<Resident>,
        (cak, ckn, priority): (&[u8], &[u8], u8),
        participant: fn(&mut ParticipantConfig),
        logs: &Path,
    ) -> Self {
        let log = logs.join("kay.log");
        let (cak, ckn) = (cak.to_vec(), ckn.to_vec());
        let (shared, thread) = Default::default();
        Self { namespace, cak, ckn, participant, priority, log, shared, thread }
    }

    pub(super) fn rekey(&self) {
        self.shared.rekey.store(true, Ordering::Release);
    }

    pub(super) fn sak(&self, ki: Ki) -> Option<Vec<u8>> {
        self.shared.saks.lock().unwrap().get(&ki).cloned()
    }

    fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let mut log = self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        log.insert_str(0, &fs::read_to_string(&self.log).unwrap_or_default());
        let _ = fs::write(&self.log, log);
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.stop();
    }
}

impl End for InProcess {
    fn start(&mut self) -> Result<()> {
        let mut participant = ParticipantConfig::new(Sci::new(MacAddress(Side::Ours.mac()), 1));
        participant.priority = self.priority;
        participant.suites = Suites::new(&[CipherSuite::GcmAes128])?;
        (self.participant)(&mut participant);
        let (cak, ckn) = (Cak::new(&self.cak)?, Ckn::new(&self.ckn)?);
        let config = KayConfig::new(participant);
        let kay = Kay::new(config, cak, ckn, OsRandom, Duration::ZERO)?;
        self.shared = Arc::new(Shared::default());
        let shared = Arc::clone(&self.shared);
        let (rx, tx) = self.namespace.run(|| -> Result<_> {
            let mode = RxMode::Slots { frames: 64 };
            let groups = vec![[1, 0x80, 0xc2, 0, 0, 3]];
            let ether_type = Some(0x888e);
            let rx = RxConfig { mode, max_frame: 2048, groups, ether_type, ..RxConfig::default() };
            let tx = TxConfig { frames: 64, max_frame: 2048, ..TxConfig::default() };
            Ok((PacketRxRing::open(INTERFACE, &rx)?, PacketTxRing::open(INTERFACE, &tx)?))
        })?;
        self.thread = Some(thread::spawn(move || run(&shared, kay, rx, tx)));
        Ok(())
    }

    fn end(&mut self, _: Ending) -> Result<()> {
        self.stop();
        Ok(())
    }

    fn look(&mut self) -> Result<Look> {
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            return Err("the KaY's thread has ended".into());
        }
        Ok(self.shared.look.lock().map_err(|_| "panic")?.clone())
    }
}

fn run(shared: &Shared, mut kay: Kay<OsRandom>, mut rx: PacketRxRing, mut tx: PacketTxRing) {
    let begin = Instant::now();
    let mut look = Look::default();
    let mut keys: Vec<Ki> = Vec::new();
    let mut next_pns = Duration::ZERO;
    let mut open = false;
    let mut transmit: Option<(Ki, An)> = None;
    kay.set_port_enabled(Duration::ZERO, true);
    while !shared.stop.load(Ordering::Acquire) {
        let now = begin.elapsed();
        let wait = kay.poll_timeout().map_or(Duration::from_millis(20), |at| {
            at.saturating_sub(now).min(Duration::from_millis(20))
        });
        let _ = poll::wait_readable([rx.as_fd()], Some(wait));
        let _ = rx.take_error();
        let mut frames = Vec::new();
        rx.receive(64, |octets| frames.push(octets.to_vec()));
        let now = begin.elapsed();
        let mut lines = String::new();
        for frame in frames {
            if let Err(discard) = kay.handle_frame(now, &frame) {
                let _ = writeln!(lines, "{now:?} discard {discard:?}");
            }
        }
        kay.handle_timeout(now);
        if shared.rekey.swap(false, Ordering::AcqRel) {
            let done = kay.request_rekey(now);
            let _ = writeln!(lines, "{now:?} rekey {done}");
        }
        if now >= next_pns {
            next_pns = now + Duration::from_millis(500);
            let pns: Vec<_> = keys
                .iter()
                .map(|ki| KeyPns { ki: *ki, transmit_next_pn: 5, receive_next_pn: 1 })
                .collect();
            kay.report_pns(now, &pns);
        }
        while let Some(order) = kay.poll_order() {
            let _ = writeln!(lines, "{now:?} {order:?}");
            match &order.action {
                Action::SetControlledPort { enabled } => open = *enabled,
                Action::InstallKey(key) => {
                    keys.push(key.ki());
                    let sak = key.sak().expose_octets().to_vec();
                    shared.saks.lock().unwrap().insert(key.ki(), sak);
                }
                Action::InstallReceiveSa { sci, sa } => look.receives.push((*sci, sa.an, sa.ki)),
                Action::DeleteReceiveSa { sci, an, ki } => {
                    look.receives.retain(|other| *other != (*sci, *an, *ki));
                }
                Action::EnableTransmit { an, ki } => transmit = Some((*ki, *an)),
                Action::DeleteTransmitSa { an, ki } if transmit == Some((*ki, *an)) => {
                    transmit = None;
                }
                Action::RemoveKey(ki) => keys.retain(|other| other != ki),
                _ => {}
            }
            kay.order_done(now, order.id, Ok(()));
        }
        let mut buffer = [0; MAX_FRAME_LEN];
        while let Some(len) = kay.poll_transmit(now, &mut buffer) {
            let _ = tx.push(&buffer[..len]);
            let _ = tx.flush();
        }
        while let Some(event) = kay.poll_event() {
            if !matches!(event, KayEvent::ControlledPort(_)) || !lines.is_empty() {
                let _ = writeln!(lines, "{now:?} {event:?}");
            }
        }
        look.secured = transmit.filter(|_| open);
        look.is_key_server = kay.participant().key_server() == KeyServer::Us;
        *shared.look.lock().unwrap() = look.clone();
        shared.log.lock().unwrap().push_str(&lines);
    }
}
