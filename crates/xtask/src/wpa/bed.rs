//! Both ends of a case and the wire between them, and what must hold of them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use macsec::{An, ETHERTYPE_MACSEC, Ki, MacAddress, Sci};
use mka::{Cak, Ckn, ETHERTYPE_EAPOL, Mi, Received};

use super::{
    Result, Tools,
    case::{Case, Kind},
    dissect,
    end::{End, Look},
    gateway::Gateway,
    process::Ending,
    secy,
    station::Station,
    supplicant::Supplicant,
    wait_for,
    wire::{Side, Wire},
};

/// How long a session may take to come up or to change. Six seconds are usual.
pub(super) const PATIENCE: Duration = Duration::from_secs(45);

/// Our end.
pub(super) enum Ours {
    Gateway(Gateway),
    Supplicant(Supplicant),
}

impl Ours {
    fn end(&mut self) -> &mut dyn End {
        match self {
            Self::Gateway(gateway) => gateway,
            Self::Supplicant(supplicant) => supplicant,
        }
    }
}

/// Everything that a case needs. The ends go first, then what they stand on.
pub(super) struct Bed {
    pub(super) ours: Ours,
    pub(super) theirs: Supplicant,
    pub(super) wire: Wire,
    case: Case,
    logs: PathBuf,
    /// The SAKs that sessions were seen with.
    known: BTreeSet<Ki>,
    /// The packet number of the next frame in the name of wpa_supplicant.
    next_pn: u64,
    _directory: tempfile::TempDir,
}

impl Bed {
    /// Makes the bed of a case. Neither end has been started.
    pub(super) fn new(case: &Case, tools: &Tools, logs: &Path) -> Result<Self> {
        let logs = logs.join(case.name);
        std::fs::create_dir_all(&logs)?;
        let directory = tempfile::Builder::new().prefix("macsec-wpa-").tempdir()?;
        let wire = Wire::new()?;
        let places = (directory.path(), &*logs);
        let supplicant = |side, name, settings: &_| {
            Supplicant::new(wire.end(side), &tools.shim, places, name, settings)
        };
        let theirs = supplicant(Side::Theirs, "wpa", &case.theirs)?;
        let ours = match case.kind {
            Kind::Gateway => {
                let namespace = wire.end(Side::Ours);
                Ours::Gateway(Gateway::new(namespace, &tools.gateway, places, &case.ours)?)
            }
            Kind::Supplicant => {
                let settings = super::supplicant::Settings {
                    cak: case.ours.cak.clone(),
                    ckn: case.ours.ckn.clone(),
                    priority: case.ours.priority,
                };
                Ours::Supplicant(supplicant(Side::Ours, "wpa-ours", &settings)?)
            }
        };
        Ok(Self {
            ours,
            theirs,
            wire,
            case: case.clone(),
            logs,
            known: BTreeSet::new(),
            next_pn: 1,
            _directory: directory,
        })
    }

    /// Starts both ends.
    pub(super) fn start(&mut self) -> Result<()> {
        self.end(Side::Ours).start()?;
        self.end(Side::Theirs).start()
    }

    /// Ends an end and starts it again.
    pub(super) fn restart(&mut self, side: Side, how: Ending) -> Result<()> {
        self.end(side).end(how)?;
        self.end(side).start()
    }

    fn end(&mut self, side: Side) -> &mut dyn End {
        match side {
            Side::Ours => self.ours.end(),
            Side::Theirs => &mut self.theirs,
        }
    }

    /// How both ends stand.
    pub(super) fn look(&mut self) -> Result<[Look; 2]> {
        Ok([self.end(Side::Ours).look()?, self.end(Side::Theirs).look()?])
    }

    /// Waits until both ends send and receive with a SAK that no session had before, and checks that it is the same
    /// indeed.
    pub(super) fn secured_anew(&mut self) -> Result<(Ki, An)> {
        let mut last = None;
        let agreed = wait_for("a session", PATIENCE, || {
            let looks = self.look()?;
            let agreed = agreed(&looks).filter(|(ki, _)| !self.known.contains(ki));
            last = Some(looks);
            Ok(agreed)
        });
        let (ki, an) = agreed.map_err(|error| format!("{error}; last seen: {last:?}"))?;
        self.known.insert(ki);
        let [ours, theirs] = self.look()?;
        if ours.is_key_server == theirs.is_key_server {
            return Err(format!("which one is the key server? {ours:?} {theirs:?}").into());
        }
        self.exchange()?;
        Ok((ki, an))
    }

    /// Asks our end for a new SAK.
    pub(super) fn rekey(&mut self) -> Result<()> {
        match &self.ours {
            Ours::Gateway(gateway) => {
                let output = gateway.rekey()?;
                if !output.status.success() {
                    return Err(format!("macsec rekey: {output:?}").into());
                }
            }
            Ours::Supplicant(_) => return Err("wpa_supplicant cannot be asked".into()),
        }
        Ok(())
    }

    /// Whether we are the key server.
    pub(super) fn we_serve(&mut self) -> Result<bool> {
        Ok(self.end(Side::Ours).look()?.is_key_server)
    }

    /// Checks that the session stays as it is for so long.
    pub(super) fn holds(&mut self, time: Duration) -> Result<()> {
        let (before, closed) = (self.look()?, self.theirs.driver()?.closed);
        let until = Instant::now() + time;
        while Instant::now() < until {
            std::thread::sleep(Duration::from_millis(100));
            let now = self.look()?;
            if now[0].secured != before[0].secured || now[1].secured != before[1].secured {
                return Err(format!("the session does not last: {before:?}, then {now:?}").into());
            }
        }
        match self.theirs.driver()?.closed {
            now if now != closed => Err("wpa_supplicant has closed its port".into()),
            _ => self.exchange(),
        }
    }

    /// Checks that no session comes up for so long.
    pub(super) fn stays_apart(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let looks = self.look()?;
            if looks.iter().any(|look| look.secured.is_some()) {
                return Err(format!("there is a session: {looks:?}").into());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Has data frames pass both ways: those of our host are opened with what wpa_supplicant has told its driver, and
    /// those that it would send must reach our host.
    fn exchange(&mut self) -> Result<()> {
        match &self.ours {
            Ours::Gateway(_) => {
                let station = Station::open(&self.wire)?;
                let driver = self.theirs.driver()?;
                self.next_pn = station.exchange(&self.wire, &driver, self.next_pn)?;
            }
            Ours::Supplicant(supplicant) => {
                let [ours, theirs] = [supplicant.driver()?, self.theirs.driver()?];
                let sak = |driver: &super::shim::Driver| Some(driver.secured()?.1.sak.clone());
                if sak(&ours) != sak(&theirs) {
                    return Err("the ends have two SAKs under one name".into());
                }
            }
        }
        Ok(())
    }

    /// Checks what was on the wire in the whole case, and keeps it.
    pub(super) fn check_wire(&self, tools: &Tools) -> Result<()> {
        let capture = self.logs.join("wire.pcap");
        self.wire.write(&capture)?;
        self.check_keys()?;
        if let Ours::Supplicant(_) = self.ours {
            return Ok(());
        }
        let mkpdus = self.check_mkpdus()?;
        match &tools.tshark {
            Some(tshark) => dissect::check(tshark, &capture, Side::Ours.mac(), mkpdus),
            None => Ok(()),
        }
    }

    /// No SAK has two names, and none was used twice, nor a packet number with it.
    fn check_keys(&self) -> Result<()> {
        let sas = self.theirs.driver()?.all_transmit;
        let (kis, saks): (BTreeSet<_>, BTreeSet<_>) =
            sas.iter().map(|sa| (sa.ki, &sa.sak)).unzip();
        if kis.len() != sas.len() || saks.len() != sas.len() {
            return Err(format!("{} SAKs, {} KIs, {} SAs", saks.len(), kis.len(), sas.len()).into());
        }
        let ours = self.frames(ETHERTYPE_MACSEC);
        secy::check_nonces(&ours, sci(Side::Ours), &sas).map(drop)
    }

    /// Our MKPDUs have good ICVs, and of each MI ascending MNs. Returns how many there are.
    fn check_mkpdus(&self) -> Result<usize> {
        let (cak, ckn) = (Cak::new(&self.case.ours.cak)?, Ckn::new(&self.case.ours.ckn)?);
        let ick = cak.ick(&ckn);
        let mut done: BTreeSet<Mi> = BTreeSet::new();
        let mut last: Option<(Mi, u32)> = None;
        let frames = self.frames(ETHERTYPE_EAPOL);
        for frame in &frames {
            let mkpdu = Received::parse(frame, ETHERTYPE_EAPOL)?.verify(&ick)?;
            let actor = mkpdu.body().basic.actor;
            match last {
                Some((mi, mn)) if mi == actor.mi && mn >= actor.mn => {
                    return Err(format!("MN {} comes after {mn}", actor.mn).into());
                }
                Some((mi, _)) if mi != actor.mi => drop(done.insert(mi)),
                _ => {}
            }
            if done.contains(&actor.mi) {
                return Err(format!("{:?} comes back", actor.mi).into());
            }
            last = Some((actor.mi, actor.mn));
        }
        Ok(frames.len())
    }

    /// The frames that we have sent with this EtherType.
    fn frames(&self, ethertype: u16) -> Vec<Vec<u8>> {
        let ours = self.wire.seen(0).into_iter().filter(|frame| frame.from == Side::Ours);
        let octets = ours.map(|frame| frame.octets);
        octets.filter(|octets| octets.get(12..14) == Some(&ethertype.to_be_bytes())).collect()
    }
}

/// The SCI of an end.
pub(super) fn sci(side: Side) -> Sci {
    Sci::new(MacAddress(side.mac()), 1)
}

/// The SAK that both ends send with, if each receives from the other with it.
fn agreed([ours, theirs]: &[Look; 2]) -> Option<(Ki, An)> {
    let (ki, an) = ours.secured?;
    let receives = |look: &Look, from| look.receives.contains(&(sci(from), an, ki));
    let both = receives(ours, Side::Theirs) && receives(theirs, Side::Ours);
    (theirs.secured == ours.secured && both).then_some((ki, an))
}
