//! A session between both ends, and the wire between them.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use macsec::{An, ETHERTYPE_MACSEC, Ki, MacAddress, Sci};

use super::{CAK, CKN, Case, ledger::Ledger, supplicant};
use crate::interop::{
    Result,
    agent::Ending,
    capture,
    case::ETHERNET_MTU,
    frames::Frames,
    gateway::{self, Gateway, Site, TAP},
    guest::{self, Guest},
    kernel,
    station::Station,
    stream::{Stream, Streamed},
    trial::{self, Bed},
    udp,
};

/// How long a session may take to come up or to change. Six seconds are usual.
const PATIENCE: Duration = Duration::from_secs(60);

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Ours,
    Theirs,
}

/// What one end does.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Look {
    /// What it sends with.
    pub(super) sends: Option<(Ki, An)>,
    /// What it receives with from the other end.
    pub(super) receives: BTreeSet<(Ki, An)>,
}

/// A session, and all that stands for it.
pub(super) struct Session<'a> {
    pub(super) case: &'a Case,
    pub(super) site: &'a Site,
    pub(super) guest: &'a mut Guest,
    pub(super) gateway: Gateway,
    pub(super) capture: PathBuf,
    pub(super) ledger: Ledger,
    /// Where the session begins in the capture.
    begin: usize,
    /// How much of the capture has been entered into the ledger.
    entered: usize,
    /// The keys that sessions were seen with.
    known: BTreeSet<Ki>,
    /// Frames that have been sent either way.
    offered: u32,
    /// What is worth being told.
    pub(super) notes: Vec<String>,
}

impl<'a> Session<'a> {
    /// Starts both ends.
    pub(super) fn start(bed: &'a mut Bed, case: &'a Case) -> Result<Self> {
        let Bed { site, guest, capture, .. } = bed;
        guest.begin(case.name)?;
        site.begin_anew(case.name)?;
        guest.ip(&format!("link set eth0 mtu {ETHERNET_MTU}"))?;
        let begin = capture::end(capture)?;
        let gateway = Gateway::run(site, &configuration(site, case)?)?;
        supplicant::start(guest, case)?;
        Ok(Self {
            case,
            site,
            guest,
            gateway,
            capture: capture.clone(),
            ledger: Ledger::new(case.tci())?,
            begin,
            entered: begin,
            known: BTreeSet::new(),
            offered: 0,
            notes: Vec::new(),
        })
    }

    /// Ends both ends, and says what does not hold.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.gateway.terminate()?;
        self.guest.end(Ending::Terminated)?;
        if let Some(fault) = trial::not_given_back()? {
            return Err(fault.into());
        }
        self.check_wire()?;
        match self.ledger.frames() {
            frames if frames.contains(&0) => Err("wire: an end has sent no data".into()),
            _ => Ok(()),
        }
    }

    /// Keeps in the logs how both ends stand.
    pub(super) fn keep_state(&mut self) -> Result<()> {
        self.guest.ip("-d link show")?;
        self.guest.ip("-s macsec show")?;
        let status = serde_json::to_string_pretty(&self.gateway.status()?)?;
        self.site.note(&status)?;
        Ok(())
    }

    /// Ends an end and starts it again.
    pub(super) fn restart(&mut self, side: Side, how: Ending) -> Result<()> {
        match (side, how) {
            (Side::Theirs, _) => {
                self.guest.end(how)?;
                return supplicant::start(self.guest, self.case);
            }
            (Side::Ours, Ending::Terminated) => self.gateway.terminate()?,
            (Side::Ours, Ending::Killed) => self.gateway.kill()?,
        }
        self.gateway = Gateway::run(self.site, &configuration(self.site, self.case)?)?;
        Ok(())
    }

    /// Waits until both ends send and receive with a SAK that no session had before.
    pub(super) fn secured_anew(&mut self) -> Result<(Ki, An)> {
        let begin = Instant::now();
        loop {
            let looks = [self.our_look()?, supplicant::look(self.guest)?];
            let agreed = agreed(&looks).filter(|(ki, _)| !self.known.contains(ki));
            if let Some((ki, an)) = agreed {
                self.known.insert(ki);
                return Ok((ki, an));
            }
            if begin.elapsed() > PATIENCE {
                return Err(format!("no new session; last seen: {looks:?}").into());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn our_look(&mut self) -> Result<Look> {
        if self.gateway.has_ended() {
            return Err("the gateway has ended".into());
        }
        // It may not listen yet.
        let Ok(status) = self.gateway.status() else { return Ok(Look::default()) };
        let (Some(secy), true) = (status.secy, status.controlled_port_enabled && status.secured)
        else {
            return Ok(Look::default());
        };
        let sa = |an, ki: &str| -> Result<_> { Ok((ki.parse()?, An::from_low_bits(an))) };
        let mut look = Look::default();
        for transmit in secy.transmit_sc.transmit_sa.iter().filter(|sa| sa.in_use) {
            look.sends = Some(sa(transmit.an, &transmit.key_identifier)?);
        }
        let theirs = Sci::new(MacAddress(guest::MAC), 1);
        for sc in &secy.receive_sc {
            if sc.sci.parse::<Sci>()? == theirs {
                for receive in sc.receive_sa.iter().filter(|sa| sa.in_use) {
                    look.receives.insert(sa(receive.an, &receive.key_identifier)?);
                }
            }
        }
        Ok(look)
    }

    /// Has our host speak before there is a session. Nobody must hear it.
    pub(super) fn speak_too_early(&mut self) -> Result<()> {
        let (source, destination) = (gateway::MAC, guest::MAC);
        let frames = Frames { source, destination, vlan: false, first: 0, payloads: vec![100; 20] };
        let until = Instant::now() + PATIENCE;
        loop {
            match Station::open(TAP) {
                // An interface without a signal takes no frames.
                Ok(mut station) => {
                    let _ = station.send(&frames);
                    return Ok(());
                }
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Has frames of some lengths pass both ways: all must arrive.
    pub(super) fn exchange(&mut self) -> Result<()> {
        let mut station = Station::open(TAP)?;
        self.guest.open(kernel::INTERFACE)?;
        let payloads: Vec<_> = (1..64).step_by(3).chain([100, 1000, 1467, 1468]).collect();
        let mut frames = |source, destination| {
            let (payloads, first) = (payloads.clone(), self.offered);
            self.offered += payloads.len() as u32;
            Frames { source, destination, vlan: false, first, payloads }
        };
        let (to_them, to_us) = (frames(gateway::MAC, guest::MAC), frames(guest::MAC, gateway::MAC));
        station.send(&to_them)?;
        self.guest.send(&to_us)?;
        if let Some(difference) = self.guest.receive(&to_them)? {
            return Err(format!("from us to them: {difference}").into());
        }
        match station.receive(&to_us)? {
            Some(difference) => Err(format!("from them to us: {difference}").into()),
            None => Ok(()),
        }
    }

    /// Has the IP stacks of both hosts exchange datagrams.
    pub(super) fn datagrams(&mut self) -> Result<()> {
        let address = udp::KERNEL_ADDRESS;
        self.guest.ip(&format!("address add {address}/24 dev {}", kernel::INTERFACE))?;
        self.guest.echo()?;
        let mtu = self.gateway.status()?.tap.mtu;
        match udp::exchange(TAP, mtu as usize)?.pop() {
            Some(fault) => Err(fault.into()),
            None => Ok(()),
        }
    }

    /// Runs `story` while frames pass both ways. None of them must get lost.
    pub(super) fn under_traffic(
        &mut self,
        story: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        // Either end listens before the other one sends.
        let station = Station::open(TAP)?;
        self.guest.stream(kernel::INTERFACE, gateway::MAC)?;
        let ours = Stream::start(station, gateway::MAC, guest::MAC);
        let result = story(self);
        ours.stop();
        let theirs = self.guest.streamed();
        let ours = ours.end();
        result?;
        let (ours, theirs) = (ours?, theirs?);
        let lost = |at: &Streamed, from: &Streamed, way| match at.gaps(from.sent) {
            Ok(gaps) if gaps.is_empty() => Ok(()),
            Ok(gaps) => Err(format!("{way}: of {} frames these got lost: {gaps:?}", from.sent)),
            Err(error) => Err(format!("{way}: {error}")),
        };
        lost(&theirs, &ours, "to them")?;
        lost(&ours, &theirs, "to us")?;
        let (ours, theirs) = (ours.sent, theirs.sent);
        self.notes.push(format!("{ours} frames to them and {theirs} to us, none lost"));
        Ok(())
    }

    /// Enters what was on the wire since the last time into the ledger.
    pub(super) fn check_wire(&mut self) -> Result<()> {
        let end = capture::end(&self.capture)?;
        let frames = capture::frames(&self.capture, self.entered)?;
        self.entered = end;
        for (at, frame) in frames.iter().enumerate() {
            self.ledger.enter(frame).map_err(|error| format!("wire: frame {at}: {error}"))?;
        }
        Ok(())
    }

    /// The data frames that have been sent to an end.
    pub(super) fn data_frames_to(&self, side: Side) -> Result<Vec<Vec<u8>>> {
        let source = match side {
            Side::Ours => guest::MAC,
            Side::Theirs => gateway::MAC,
        };
        let mut frames = capture::frames_of(source, &self.capture, self.begin)?;
        frames.retain(|frame| frame.get(12..14) == Some(&ETHERTYPE_MACSEC.to_be_bytes()));
        Ok(frames)
    }

    /// Leaves out what was on the wire since the last time: that was an attacker.
    pub(super) fn skip_wire(&mut self) -> Result<()> {
        self.entered = capture::end(&self.capture)?;
        Ok(())
    }
}

fn configuration(site: &Site, case: &Case) -> Result<String> {
    site.write("cak", &hex::encode(CAK))?;
    Ok(format!(
        "{port}
        cipher_suite = \"gcm-aes-128\"
        confidentiality = {confidentiality}
        replay_window = {window}
        [port.mka]
        ckn = \"{ckn}\"
        cak_file = \"cak\"
        key_server_priority = {priority}
        ",
        port = site.port(case.isolation),
        confidentiality = case.confidentiality,
        window = case.replay_window,
        ckn = hex::encode(CKN),
        priority = case.priority(),
    ))
}

/// The SAK that both ends send with, if each receives from the other with it.
fn agreed([ours, theirs]: &[Look; 2]) -> Option<(Ki, An)> {
    let sa = ours.sends?;
    let both = ours.receives.contains(&sa) && theirs.receives.contains(&sa);
    (theirs.sends == Some(sa) && both).then_some(sa)
}
