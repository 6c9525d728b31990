//! Both ends of a case and the wire between them, and what must hold of them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use macsec::{An, ETHERTYPE_MACSEC, Ki, MacAddress, Sci};
use macsec_gateway::status::MkaStatus;
use mka::{Cak, Ckn, ETHERTYPE_EAPOL, Mi, Received};

use super::{
    Result, Tools,
    case::Case,
    dissect,
    end::{End, Look},
    gateway::Gateway,
    process::Ending,
    secy,
    shim::Driver,
    station::Station,
    supplicant::{Settings, Supplicant},
    wait_for,
    wire::{Side, Wire},
};

/// How long a session may take to come up or to change. Six seconds are usual.
pub(super) const PATIENCE: Duration = Duration::from_secs(45);

/// Between two looks at a session.
const PERIOD: Duration = Duration::from_millis(100);

/// Our end.
pub(super) enum Ours {
    Gateway(Gateway),
    Supplicant(Supplicant),
}

/// Everything that a case needs. The ends go first, then what they stand on.
pub(super) struct Bed {
    pub(super) ours: Ours,
    pub(super) theirs: Supplicant,
    pub(super) wire: Wire,
    pub(super) case: Case,
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
        let ours = if case.among_themselves {
            let settings = Settings { priority: case.ours.priority, ..case.theirs.clone() };
            Ours::Supplicant(supplicant(Side::Ours, "wpa-ours", &settings)?)
        } else {
            let end = wire.end(Side::Ours);
            Ours::Gateway(Gateway::new(end, &tools.gateway, case.name, places, &case.ours)?)
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
        self.start_end(Side::Ours)?;
        self.start_end(Side::Theirs)
    }

    /// Starts one end.
    pub(super) fn start_end(&mut self, side: Side) -> Result<()> {
        self.of(side).start()
    }

    /// Ends one end.
    pub(super) fn end(&mut self, side: Side, how: Ending) -> Result<()> {
        self.of(side).end(how)
    }

    /// How one end stands.
    pub(super) fn look(&mut self, side: Side) -> Result<Look> {
        self.of(side).look()
    }

    /// Whether we are the key server.
    pub(super) fn we_serve(&mut self) -> Result<bool> {
        self.of(Side::Ours).is_key_server()
    }

    /// Our gateway.
    pub(super) fn gateway(&self) -> Result<&Gateway> {
        match &self.ours {
            Ours::Gateway(gateway) => Ok(gateway),
            Ours::Supplicant(_) => Err("our end is no gateway".into()),
        }
    }

    fn of(&mut self, side: Side) -> &mut dyn End {
        match (side, &mut self.ours) {
            (Side::Theirs, _) => &mut self.theirs,
            (Side::Ours, Ours::Gateway(gateway)) => gateway,
            (Side::Ours, Ours::Supplicant(supplicant)) => supplicant,
        }
    }

    fn looks(&mut self) -> Result<[Look; 2]> {
        Ok([self.look(Side::Ours)?, self.look(Side::Theirs)?])
    }

    /// Waits until both ends send and receive with a SAK that no session had before, and checks
    /// that they have the same indeed.
    pub(super) fn secured_anew(&mut self) -> Result<(Ki, An)> {
        let mut last = None;
        let agreed = wait_for("a session", PATIENCE, || {
            let looks = self.looks()?;
            let agreed = agreed(&looks).filter(|(ki, _)| !self.known.contains(ki));
            last = Some(looks);
            Ok(agreed)
        });
        let (ki, an) = agreed.map_err(|error| format!("{error}; last seen: {last:?}"))?;
        self.known.insert(ki);
        if self.of(Side::Ours).is_key_server()? == self.of(Side::Theirs).is_key_server()? {
            return Err("the ends do not agree which of them is the key server".into());
        }
        self.exchange()?;
        Ok((ki, an))
    }

    /// Checks that the session stays as it is for so long, and serves data then.
    pub(super) fn holds(&mut self, time: Duration) -> Result<()> {
        self.lasts(time)?;
        self.exchange()
    }

    /// Checks that the session stays as it is for so long.
    pub(super) fn lasts(&mut self, time: Duration) -> Result<()> {
        let before = (self.looks()?, self.closings()?);
        let until = Instant::now() + time;
        while Instant::now() < until {
            std::thread::sleep(PERIOD);
            let now = (self.looks()?, self.closings()?);
            if now.0.iter().zip(&before.0).any(|(now, before)| now.secured != before.secured)
                || now.1 != before.1
            {
                return Err(format!("the session does not last: {before:?}, then {now:?}").into());
            }
        }
        Ok(())
    }

    /// How often the ports of both ends have been closed.
    pub(super) fn closings(&mut self) -> Result<[usize; 2]> {
        Ok([self.of(Side::Ours).closings()?, self.of(Side::Theirs).closings()?])
    }

    /// Checks that no session comes up for so long.
    pub(super) fn stays_apart(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let looks = self.looks()?;
            if looks.iter().any(|look| look.secured.is_some()) {
                return Err(format!("there is a session: {looks:?}").into());
            }
            std::thread::sleep(PERIOD);
        }
        Ok(())
    }

    /// Checks that our gateway says `what` in its status and in its log, and that its KaY is as it
    /// `ought` to be.
    pub(super) fn complains(&self, what: &str, ought: fn(&MkaStatus) -> bool) -> Result<()> {
        let mka = self.gateway()?.mka()?;
        let in_status = mka.symptoms.iter().any(|symptom| symptom.contains(what));
        let in_log =
            self.gateway()?.log()?.lines().any(|line| line.contains("WARN") && line.contains(what));
        match in_status && in_log && ought(&mka) {
            true => Ok(()),
            false => Err(format!("{what:?}: in the log: {in_log}; the status: {mka:?}").into()),
        }
    }

    /// Has data frames pass both ways: those of our host are opened with what wpa_supplicant has
    /// told its driver, and those that it would send must reach our host.
    fn exchange(&mut self) -> Result<()> {
        match &self.ours {
            Ours::Gateway(_) => {
                let station = Station::open(&self.wire)?;
                let driver = self.theirs.driver()?;
                self.next_pn = station.exchange(&self.wire, &driver, self.next_pn)?;
            }
            Ours::Supplicant(supplicant) => {
                let [ours, theirs] = [supplicant.driver()?, self.theirs.driver()?];
                let sak = |driver: &Driver| Some(driver.secured()?.1.sak.clone());
                if sak(&ours) != sak(&theirs) {
                    return Err("the ends have two SAKs under one name".into());
                }
            }
        }
        Ok(())
    }

    /// Checks what was on the wire in the whole case, and keeps it; and that our log keeps our
    /// keys.
    pub(super) fn check_traces(&self, tools: &Tools) -> Result<()> {
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

    /// No SAK has two names, none was used twice, nor a packet number with it, and none stands in
    /// our log.
    fn check_keys(&self) -> Result<()> {
        let sas = self.theirs.driver()?.all_transmit;
        let (kis, saks): (BTreeSet<_>, BTreeSet<_>) = sas.iter().map(|sa| (sa.ki, &sa.sak)).unzip();
        if kis.len() != sas.len() || saks.len() != sas.len() {
            return Err(format!("{} SAKs, {} KIs, {} SAs", saks.len(), kis.len(), sas.len()).into());
        }
        if let Ours::Gateway(gateway) = &self.ours {
            let log = gateway.log()?;
            let keys = saks.iter().copied().chain([&self.case.ours.cak]);
            if keys.map(hex::encode).any(|key| log.contains(&key)) {
                return Err("our log shows a key".into());
            }
        }
        let ours = self.wire.sent(Side::Ours, ETHERTYPE_MACSEC);
        secy::check_nonces(&ours, sci(Side::Ours), &sas).map(drop)
    }

    /// Our MKPDUs have good ICVs, and of each MI ascending MNs. Returns how many there are.
    fn check_mkpdus(&self) -> Result<usize> {
        let (cak, ckn) = (Cak::new(&self.case.ours.cak)?, Ckn::new(&self.case.ours.ckn)?);
        let ick = cak.ick(&ckn);
        let mut done: BTreeSet<Mi> = BTreeSet::new();
        let mut last: Option<(Mi, u32)> = None;
        let frames = self.wire.sent(Side::Ours, ETHERTYPE_EAPOL);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_agree_on_one_key_both_ways_or_not_at_all() {
        let (ki, an) = (Ki([1; 16]), An::ALL[2]);
        let look =
            |from, (ki, an)| Look { secured: Some((ki, an)), receives: vec![(sci(from), an, ki)] };
        let ours = look(Side::Theirs, (ki, an));
        assert_eq!(agreed(&[ours.clone(), look(Side::Ours, (ki, an))]), Some((ki, an)));
        for theirs in [
            look(Side::Ours, (Ki([2; 16]), an)),
            look(Side::Ours, (ki, an.next())),
            look(Side::Theirs, (ki, an)),
            Look { secured: None, ..look(Side::Ours, (ki, an)) },
            Look::default(),
        ] {
            assert_eq!(agreed(&[ours.clone(), theirs.clone()]), None, "{theirs:?}");
        }
    }
}
