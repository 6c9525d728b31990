//! The ends of a case and the wire between them, and what must hold of them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use macsec::{An, ETHERTYPE_MACSEC, Ki, MacAddress, Sci};
use macsec_gateway::status::MkaStatus;
use mka::{Cak, Ckn, ETHERTYPE_EAPOL, Ick, Mi, Received};

use super::{
    Result, Tools,
    case::Case,
    dissect,
    end::{End, Look},
    gateway::Gateway,
    process::Ending,
    secy,
    shim::{Driver, Sa},
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
    /// The other ends: `Theirs` first.
    supplicants: Vec<Supplicant>,
    pub(super) wire: Wire,
    pub(super) case: Case,
    /// What there is to say of it anyway.
    pub(super) note: String,
    /// Why it is no success, if it is no failure of ours either.
    pub(super) miss: Option<String>,
    logs: PathBuf,
    /// The SAKs that sessions were seen with.
    known: BTreeSet<Ki>,
    /// The packet number of the next frame in the name of each wpa_supplicant.
    next_pn: u64,
    _directory: tempfile::TempDir,
}

impl Bed {
    /// Makes the bed of a case. No end has been started.
    pub(super) fn new(case: &Case, tools: &Tools, logs: &Path) -> Result<Self> {
        let logs = logs.join(&case.name);
        std::fs::create_dir_all(&logs)?;
        let directory = tempfile::Builder::new().prefix("macsec-wpa-").tempdir()?;
        let wire = Wire::new(case.sides)?;
        let places = (directory.path(), &*logs);
        let supplicant = |side, name, settings: &_| {
            Supplicant::new(wire.end(side), &tools.shim, places, name, settings)
        };
        let names = ["wpa", "wpa-third"];
        let supplicants = case.sides[1..].iter().zip(names);
        let supplicants = supplicants.map(|(side, name)| supplicant(*side, name, &case.theirs));
        let supplicants = supplicants.collect::<Result<_>>()?;
        let ours = if case.among_themselves {
            let settings = Settings { priority: case.ours.priority, ..case.theirs.clone() };
            Ours::Supplicant(supplicant(Side::Ours, "wpa-ours", &settings)?)
        } else {
            let end = wire.end(Side::Ours);
            Ours::Gateway(Gateway::new(end, &tools.gateway, &case.name, places, &case.ours)?)
        };
        Ok(Self {
            ours,
            supplicants,
            wire,
            case: case.clone(),
            note: String::new(),
            miss: None,
            logs,
            known: BTreeSet::new(),
            next_pn: 1,
            _directory: directory,
        })
    }

    /// Starts all ends.
    pub(super) fn start(&mut self) -> Result<()> {
        self.wire.sides().iter().try_for_each(|side| self.start_end(*side))
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

    /// The wpa_supplicant at the other end of a wire that has two.
    pub(super) fn theirs(&self) -> &Supplicant {
        &self.supplicants[0]
    }

    fn of(&mut self, side: Side) -> &mut dyn End {
        match (side, &mut self.ours) {
            (Side::Theirs, _) => &mut self.supplicants[0],
            (Side::Third, _) => &mut self.supplicants[1],
            (Side::Ours, Ours::Gateway(gateway)) => gateway,
            (Side::Ours, Ours::Supplicant(supplicant)) => supplicant,
        }
    }

    fn looks(&mut self) -> Result<Vec<(Side, Look)>> {
        self.wire.sides().iter().map(|side| Ok((*side, self.look(*side)?))).collect()
    }

    /// Waits until all ends send and receive with a SAK that no session had before, and checks
    /// that they have the same indeed.
    pub(super) fn secured_anew(&mut self) -> Result<(Ki, An)> {
        self.secured_within(PATIENCE)
    }

    /// As [`Self::secured_anew`], but no longer than `patience`.
    pub(super) fn secured_within(&mut self, patience: Duration) -> Result<(Ki, An)> {
        let mut last = None;
        let agreed = wait_for("a session", patience, || {
            let looks = self.looks()?;
            let agreed = agreed(&looks).filter(|(ki, _)| !self.known.contains(ki));
            last = Some(looks);
            Ok(agreed)
        });
        let (ki, an) = agreed.map_err(|error| format!("{error}; last seen: {last:?}"))?;
        self.known.insert(ki);
        let mut servers = 0;
        for side in self.wire.sides() {
            servers += usize::from(self.of(*side).is_key_server()?);
        }
        if servers != 1 {
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
            if now.0.iter().zip(&before.0).any(|(now, before)| now.1.secured != before.1.secured)
                || now.1 != before.1
            {
                return Err(format!("the session does not last: {before:?}, then {now:?}").into());
            }
        }
        Ok(())
    }

    /// How often the ports of all ends have been closed.
    pub(super) fn closings(&mut self) -> Result<Vec<usize>> {
        self.wire.sides().iter().map(|side| self.of(*side).closings()).collect()
    }

    /// Checks that no session comes up for so long.
    pub(super) fn stays_apart(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let looks = self.looks()?;
            if looks.iter().any(|(_, look)| look.secured.is_some()) {
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

    /// Has data frames pass from each end to all others: those of our host are opened with what each
    /// wpa_supplicant has told its driver, and those that it would send must reach our host.
    fn exchange(&mut self) -> Result<()> {
        match &self.ours {
            Ours::Gateway(_) => {
                let station = Station::open(&self.wire)?;
                let sides = self.wire.sides()[1..].iter().zip(&self.supplicants);
                let drivers = sides.map(|(side, supplicant)| Ok((*side, supplicant.driver()?)));
                let drivers: Vec<_> = drivers.collect::<Result<_>>()?;
                self.next_pn = station.exchange(&self.wire, &drivers, self.next_pn)?;
            }
            Ours::Supplicant(supplicant) => {
                let [ours, theirs] = [supplicant.driver()?, self.theirs().driver()?];
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
        let capture = self.capture();
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

    /// Where what was on the wire is kept.
    pub(super) fn capture(&self) -> PathBuf {
        self.logs.join("wire.pcap")
    }

    /// No SAK has two names, no end has used one twice, nor a packet number with it, and none stands
    /// in our log.
    fn check_keys(&self) -> Result<()> {
        let mut sas: Vec<Sa> = Vec::new();
        for supplicant in &self.supplicants {
            let of_end = supplicant.driver()?.all_transmit;
            let kis: BTreeSet<_> = of_end.iter().map(|sa| sa.ki).collect();
            if kis.len() != of_end.len() {
                return Err(format!("{} KIs, {} SAs", kis.len(), of_end.len()).into());
            }
            let is_new = |sa: &Sa| sas.iter().all(|one| (one.ki, &one.sak) != (sa.ki, &sa.sak));
            let new: Vec<_> = of_end.into_iter().filter(is_new).collect();
            sas.extend(new);
        }
        let (kis, saks): (BTreeSet<_>, BTreeSet<_>) = sas.iter().map(|sa| (sa.ki, &sa.sak)).unzip();
        if kis.len() != sas.len() || saks.len() != sas.len() {
            return Err(format!("{} SAKs, {} KIs, {} SAs", saks.len(), kis.len(), sas.len()).into());
        }
        if let Ours::Gateway(gateway) = &self.ours {
            let log = gateway.log()?;
            let caks = self.case.ours.keys().into_iter().map(|(cak, _)| cak);
            let keys = saks.iter().map(|sak| &***sak).chain(caks);
            if keys.map(hex::encode).any(|key| log.contains(&key)) {
                return Err("our log shows a key".into());
            }
        }
        let ours = self.wire.sent(Side::Ours, ETHERTYPE_MACSEC);
        secy::check_nonces(&ours, sci(Side::Ours), &sas).map(drop)
    }

    /// Our MKPDUs have good ICVs, and of each MI ascending MNs. Returns how many there are.
    fn check_mkpdus(&self) -> Result<usize> {
        let frames = self.wire.sent(Side::Ours, ETHERTYPE_EAPOL);
        let mut of_our_keys = 0;
        for (cak, ckn) in self.case.ours.keys() {
            let ckn = Ckn::new(ckn)?;
            let ick = Cak::new(cak)?.ick(&ckn);
            let parsed: Vec<_> = frames
                .iter()
                .map(|frame| Received::parse(frame, ETHERTYPE_EAPOL))
                .collect::<std::result::Result<_, _>>()?;
            let of_key: Vec<_> = parsed.into_iter().filter(|frame| *frame.ckn() == ckn).collect();
            of_our_keys += of_key.len();
            check_numbers(of_key, &ick)?;
        }
        match frames.len() {
            sent if sent == of_our_keys => Ok(sent),
            sent => Err(format!("{sent} MKPDUs, {of_our_keys} of them under our CKNs").into()),
        }
    }
}

/// MKPDUs of one participant have good ICVs, and of each MI ascending MNs.
fn check_numbers(mkpdus: Vec<Received<'_>>, ick: &Ick) -> Result<()> {
    let mut done: BTreeSet<Mi> = BTreeSet::new();
    let mut last: Option<(Mi, u32)> = None;
    for mkpdu in mkpdus {
        let mkpdu = mkpdu.verify(ick)?;
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
    Ok(())
}

/// The SCI of an end.
pub(super) fn sci(side: Side) -> Sci {
    Sci::new(MacAddress(side.mac()), 1)
}

/// The SAK that all ends send with, if each receives from all others with it.
fn agreed(looks: &[(Side, Look)]) -> Option<(Ki, An)> {
    let (ki, an) = looks.first()?.1.secured?;
    let agrees = |(side, look): &(Side, Look)| {
        let mut others = looks.iter().map(|(other, _)| other).filter(|other| *other != side);
        look.secured == Some((ki, an))
            && others.all(|other| look.receives.contains(&(sci(*other), an, ki)))
    };
    looks.iter().all(agrees).then_some((ki, an))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_agree_on_one_key_both_ways_or_not_at_all() {
        use Side::{Ours, Theirs, Third};
        let (ki, an) = (Ki([1; 16]), An::ALL[2]);
        let look = |from: &[Side], (ki, an)| Look {
            secured: Some((ki, an)),
            receives: from.iter().map(|from| (sci(*from), an, ki)).collect(),
        };
        let ours = (Ours, look(&[Theirs], (ki, an)));
        let agreed_with = |theirs| agreed(&[ours.clone(), (Theirs, theirs)]);
        assert_eq!(agreed_with(look(&[Ours], (ki, an))), Some((ki, an)));
        for theirs in [
            look(&[Ours], (Ki([2; 16]), an)),
            look(&[Ours], (ki, an.next())),
            look(&[Theirs], (ki, an)),
            Look { secured: None, ..look(&[Ours], (ki, an)) },
            Look::default(),
        ] {
            assert_eq!(agreed_with(theirs.clone()), None, "{theirs:?}");
        }

        let group = |third| {
            let [ours, theirs] = [[Theirs, Third], [Ours, Third]].map(|from| look(&from, (ki, an)));
            agreed(&[(Ours, ours), (Theirs, theirs), (Third, third)])
        };
        assert_eq!(group(look(&[Ours, Theirs], (ki, an))), Some((ki, an)));
        assert_eq!(group(look(&[Ours], (ki, an))), None);
        assert_eq!(group(look(&[Theirs], (ki, an))), None);
    }
}
