//! What the demo found, and whether all held that should hold.

use std::time::Duration;

use serde::Serialize;

use super::{
    fallback::FallenBack,
    gateway::Status,
    topology::End,
    traffic::TrafficResult,
    wire::{Attacks, WireCounts},
};

/// Frames that must have been delivered for each second of the demo, 1,000 in the usual five.
const MIN_DELIVERED_PER_SECOND: f64 = 200.0;

/// The result, as `macsec demo --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether everything held.
    pub passed: bool,
    /// What did not hold, one line each.
    pub failures: Vec<String>,
    /// The cipher suite, as `ip macsec` spells it.
    pub cipher_suite: String,
    /// The cipher backend of the gateways.
    pub backend: String,
    /// How long the clouds talked.
    pub seconds: f64,
    /// Frames protected by both gateways.
    pub frames_sent: u64,
    /// Frames validated by both gateways and taken by their hosts.
    pub frames_delivered: u64,
    /// Sent and not delivered, wherever they were lost: gateways, rings, kernel.
    pub frames_lost: u64,
    /// Frames on the wire that were neither MACsec nor EAPOL, nor the attacker's own.
    pub plaintext_frames_on_wire: u64,
    /// Tampered frames that gateway B dropped: InPktsNotValid.
    pub tampered_dropped: u64,
    /// Replayed frames that gateway B dropped: InPktsLate.
    pub replayed_dropped: u64,
    /// Injected frames that gateway B dropped: InPktsNoTag.
    pub injected_dropped: u64,
    /// What MKA has done; nothing with static keys.
    #[serde(flatten)]
    pub mka: Option<MkaReport>,
    /// How many of each attack were made.
    pub attacks: Attacks,
    /// What a tap on the wire saw while the clouds talked.
    pub wire: WireCounts,
    /// What the clouds' applications saw.
    pub traffic: TrafficResult,
    /// Gateways A and B in their own words, at the end of the talk.
    pub gateways: [Status; 2],
}

/// What MKA has done.
#[derive(Clone, Debug, Serialize)]
pub struct MkaReport {
    /// Milliseconds from the start of the second gateway's process, both from cold and at once,
    /// until both ends were secured.
    pub mka_up_ms: u64,
    /// SAKs that have made way for others while the clouds talked: in use at both ends, and the
    /// former SAK deleted.
    pub sak_rotations: u32,
    /// How many there have to be in as much time.
    pub sak_rotations_required: u32,
    /// Those of them that were of the CAK as well: the former CAK is retired at both ends.
    pub cak_rotations: u32,
    /// How many of these there have to be.
    pub cak_rotations_required: u32,
    /// Of all datagrams that the clouds sent meanwhile, both ways, by their sequence numbers: those
    /// that never came.
    pub frames_lost_during_rotation: u64,
    /// Milliseconds from the moment at which gateway B has a wrong CAK until both ends use the one to
    /// fall back on. None if that did not come about.
    pub fallback_ms: Option<u64>,
    /// Of all datagrams that the clouds sent meanwhile, those that never came.
    pub frames_lost_during_fallback: u64,
    /// Milliseconds from the start of the process that replaces a gateway that was killed until a
    /// datagram sent after it had come through, each way. None if that did not come about.
    pub recovered_after_restart_ms: Option<u64>,
}

/// All that was observed.
pub struct Observed {
    /// The cipher suite's name.
    pub cipher_suite: String,
    /// How long the clouds talked.
    pub seconds: f64,
    /// How many of each attack were made.
    pub attacks: Attacks,
    /// What a tap on the wire saw while the clouds talked.
    pub wire: WireCounts,
    /// What the clouds' applications saw.
    pub traffic: TrafficResult,
    /// Gateways A and B in their own words, at the end of the talk.
    pub gateways: [Status; 2],
    /// What MKA did; nothing with static keys.
    pub mka: Option<MkaObserved>,
}

/// What MKA did.
pub struct MkaObserved {
    /// From the start of the second gateway's process until both ends were secured.
    pub up: Duration,
    /// SAK rotations that were completed.
    pub rotations: u32,
    /// How many there have to be.
    pub required_rotations: u32,
    /// How many of them were of the CAK.
    pub rolls: u32,
    /// How many of these there have to be.
    pub required_rolls: u32,
    /// How the gateways fared with a wrong CAK at one end.
    pub fallen_back: FallenBack,
    /// From the start of the process that replaces one that was killed until datagrams had come
    /// through both ways, if they have.
    pub recovered: Option<Duration>,
    /// What a tap on the wire saw after the talk.
    pub wire: WireCounts,
}

impl Report {
    /// Adds up what was observed and judges it.
    #[must_use]
    pub fn new(observed: Observed) -> Self {
        let Observed { cipher_suite, seconds, attacks, wire, traffic, gateways, mka } = observed;
        let later = mka.as_ref().map(|mka| mka.wire).unwrap_or_default();
        let lost = |of: &TrafficResult| of.udp_a_to_b.lost() + of.udp_b_to_a.lost();
        let mka = mka.map(|mka| MkaReport {
            mka_up_ms: milliseconds(mka.up),
            sak_rotations: mka.rotations,
            sak_rotations_required: mka.required_rotations,
            cak_rotations: mka.rolls,
            cak_rotations_required: mka.required_rolls,
            frames_lost_during_rotation: lost(&traffic),
            fallback_ms: mka.fallen_back.took.map(milliseconds),
            frames_lost_during_fallback: lost(&mka.fallen_back.traffic),
            recovered_after_restart_ms: mka.recovered.map(milliseconds),
        });
        let b = &gateways[End::B as usize];
        let sum = |value: fn(&Status) -> u64| gateways.iter().map(value).sum::<u64>();
        let frames_sent = sum(|status| status.sealed);
        let frames_delivered = sum(|status| status.delivered);
        let lost = |from: End| {
            let [from, to] = [from, from.other()].map(|end| &gateways[end as usize]);
            from.sealed.saturating_sub(to.delivered)
        };
        let frames_lost = lost(End::A) + lost(End::B);
        let mut report = Self {
            passed: false,
            failures: Vec::new(),
            cipher_suite,
            backend: b.backend.clone(),
            seconds,
            frames_sent,
            frames_delivered,
            frames_lost,
            plaintext_frames_on_wire: wire.plaintext + later.plaintext,
            tampered_dropped: b.counter("InPktsNotValid"),
            replayed_dropped: b.counter("InPktsLate"),
            injected_dropped: b.counter("InPktsNoTag"),
            mka,
            attacks,
            wire,
            traffic,
            gateways,
        };
        report.failures = report.find_failures(later.missed);
        report.passed = report.failures.is_empty();
        report
    }

    /// `missed_later`: what a tap missed after the talk.
    fn find_failures(&self, missed_later: u64) -> Vec<String> {
        let Self { attacks, wire, traffic, .. } = self;
        let mut failures = Vec::new();
        let mut must = |holds: bool, failure: String| {
            if !holds {
                failures.push(failure);
            }
        };
        must(
            self.frames_delivered as f64 > MIN_DELIVERED_PER_SECOND * self.seconds.floor(),
            format!("only {} frames were delivered", self.frames_delivered),
        );
        // Each direction for itself: one frame lost and a forged one delivered must not add up.
        let [a, b] = &self.gateways;
        for (direction, from, to) in [("A to B", a, b), ("B to A", b, a)] {
            must(
                from.sealed == to.delivered,
                format!("{direction}: {} frames sent, {} delivered", from.sealed, to.delivered),
            );
        }
        must(
            wire.protected >= self.frames_sent,
            format!(
                "the tap on the wire saw {} of {} protected frames",
                wire.protected, self.frames_sent
            ),
        );
        let (plaintext, missed) = (self.plaintext_frames_on_wire, wire.missed + missed_later);
        must(plaintext == 0, format!("{plaintext} frames in clear on the wire"));
        must(missed == 0, format!("the tap on the wire missed {missed} frames"));
        must(wire.repeated == 0, format!("{} packet numbers came again", wire.repeated));
        for (attack, made, dropped) in [
            ("tampered", attacks.tampered, self.tampered_dropped),
            ("replayed", attacks.replayed, self.replayed_dropped),
            ("injected", attacks.injected, self.injected_dropped),
        ] {
            must(made > 0, format!("no frame was {attack}"));
            must(made == dropped, format!("{made} frames {attack}, {dropped} dropped as such"));
        }
        let attacks_made = attacks.tampered + attacks.replayed + attacks.injected;
        must(
            wire.attacks == attacks_made,
            format!("{attacks_made} attacks made, {} seen on the wire", wire.attacks),
        );
        for (direction, udp) in [("A to B", traffic.udp_a_to_b), ("B to A", traffic.udp_b_to_a)] {
            must(udp.is_clean(), format!("UDP from {direction}: {udp:?}"));
        }
        must(traffic.tcp_a_to_b.octets > 0, "TCP from A to B: nothing was sent".to_owned());
        must(traffic.tcp_a_to_b.intact, "TCP from A to B: the hashes differ".to_owned());
        for (gateway, status) in ["A", "B"].iter().zip(&self.gateways) {
            // A KaY has a socket of its own for these.
            let is_due = |name: &str| self.mka.is_some() && name == "eapol-from-uplink";
            for (name, value) in status.local.iter().filter(|(name, _)| !is_due(name)) {
                must(*value == 0, format!("gateway {gateway} counted {name}: {value}"));
            }
        }
        if let Some(mka) = &self.mka {
            let (done, required) = (mka.sak_rotations, mka.sak_rotations_required);
            must(
                done >= required,
                format!("{done} SAK rotations were completed, of {required} at least"),
            );
            let (done, required) = (mka.cak_rotations, mka.cak_rotations_required);
            must(
                done >= required,
                format!("{done} CAK rotations were completed, of {required} at least"),
            );
            must(
                mka.fallback_ms.is_some(),
                "with a wrong CAK at one end, the fallback did not take over".to_owned(),
            );
            let lost = mka.frames_lost_during_fallback;
            must(lost == 0, format!("{lost} datagrams were lost while the fallback took over"));
            must(
                mka.recovered_after_restart_ms.is_some(),
                "nothing came through after the restart".to_owned(),
            );
            must(wire.eapol > 0, "the tap on the wire saw no MKPDU".to_owned());
        }
        failures
    }

    /// The summary for people.
    pub fn print(&self) {
        let Self { attacks, wire, traffic, .. } = self;
        let [a_to_b, b_to_a] = [traffic.udp_a_to_b, traffic.udp_b_to_a];
        println!();
        println!("  {} ({} backend), {:.1} s", self.cipher_suite, self.backend, self.seconds);
        println!();
        println!("  protected by both gateways   {:>9} frames", self.frames_sent);
        println!("  validated and delivered      {:>9} frames", self.frames_delivered);
        println!("  lost                         {:>9}", self.frames_lost);
        println!();
        if let Some(mka) = &self.mka {
            println!("  MKA: from cold to secured    {:>9} ms", mka.mka_up_ms);
            let too_short = if mka.sak_rotations_required == 0 { "   one takes 3 s" } else { "" };
            println!("  SAK rotations under traffic  {:>9}{too_short}", mka.sak_rotations);
            println!("  CAK rotations among them     {:>9}", mka.cak_rotations);
            println!("  datagrams lost meanwhile     {:>9}", mka.frames_lost_during_rotation);
            match mka.fallback_ms {
                Some(ms) => println!("  wrong CAK, on fallback after {ms:>9} ms"),
                None => println!("  wrong CAK, and NOT on the fallback"),
            }
            println!("  datagrams lost meanwhile     {:>9}", mka.frames_lost_during_fallback);
            match mka.recovered_after_restart_ms {
                Some(ms) => println!("  killed, and back at work in  {ms:>9} ms"),
                None => println!("  killed, and NOT back at work"),
            }
            println!();
        }
        println!("  on the wire: MACsec          {:>9} frames", wire.protected);
        println!("               EAPOL           {:>9}", wire.eapol);
        println!("               in clear        {:>9}", self.plaintext_frames_on_wire);
        println!();
        println!("  attacks on gateway B            made   dropped   counter");
        for (name, made, dropped, counter) in [
            ("tampered, PN raised", attacks.tampered, self.tampered_dropped, "InPktsNotValid"),
            ("old frame replayed", attacks.replayed, self.replayed_dropped, "InPktsLate"),
            ("plain frame injected", attacks.injected, self.injected_dropped, "InPktsNoTag"),
        ] {
            println!("    {name:<24} {made:>9} {dropped:>9}   {counter}");
        }
        println!();
        println!("  UDP A to B  {:>6} of {} datagrams, in order", a_to_b.received, a_to_b.sent);
        println!("  UDP B to A  {:>6} of {} datagrams, in order", b_to_a.received, b_to_a.sent);
        let tcp = &traffic.tcp_a_to_b;
        let verdict = if tcp.intact { "SHA-256 equal at both ends" } else { "SHA-256 DIFFERS" };
        println!("  TCP A to B  {:>6.1} MB, {verdict}", tcp.octets as f64 / 1e6);
        println!();
        if self.passed {
            println!("  PASSED: nothing in clear, nothing lost, every attack dropped and counted.");
        } else {
            println!("  FAILED:");
            self.failures.iter().for_each(|failure| println!("    - {failure}"));
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::traffic::{TcpResult, UdpResult};

    /// A run in which all held.
    fn good() -> Observed {
        let clean = UdpResult { sent: 900, received: 900, ..UdpResult::default() };
        let tcp = TcpResult { octets: 1, sha256: String::new(), intact: true };
        let traffic = TrafficResult { udp_a_to_b: clean, udp_b_to_a: clean, tcp_a_to_b: tcp };
        let attacks = Attacks { tampered: 3, replayed: 2, injected: 1 };
        let counters = [("InPktsNotValid", 3), ("InPktsLate", 2), ("InPktsNoTag", 1)];
        let status = Status { sealed: 3000, delivered: 3000, ..Status::default() };
        let b = Status {
            counters: counters.map(|(name, value)| (name.to_owned(), value)).into(),
            ..status.clone()
        };
        Observed {
            cipher_suite: "gcm-aes-128".to_owned(),
            seconds: 5.0,
            attacks,
            wire: WireCounts { protected: 6003, attacks: 6, ..WireCounts::default() },
            traffic,
            gateways: [status, b],
            mka: None,
        }
    }

    /// One with MKA in which all held.
    fn good_with_mka() -> Observed {
        let ms = Duration::from_millis;
        let mka = MkaObserved {
            up: ms(450),
            rotations: 3,
            required_rotations: 3,
            rolls: 1,
            required_rolls: 1,
            fallen_back: FallenBack { took: Some(ms(6100)), traffic: good().traffic },
            recovered: Some(ms(300)),
            wire: WireCounts::default(),
        };
        let mut observed = Observed { mka: Some(mka), ..good() };
        observed.wire.eapol = 9;
        for gateway in &mut observed.gateways {
            gateway.local.insert("eapol-from-uplink".to_owned(), 9);
        }
        observed
    }

    #[test]
    fn a_good_run_passes() {
        let report = Report::new(good());
        assert!(report.passed && report.failures.is_empty(), "{:?}", report.failures);
        assert_eq!((report.frames_sent, report.frames_lost), (6000, 0));
    }

    #[test]
    fn a_good_run_with_mka_passes() {
        let report = Report::new(good_with_mka());
        assert!(report.passed && report.failures.is_empty(), "{:?}", report.failures);
        let json = serde_json::to_value(&report).expect("JSON");
        for (name, value) in [
            ("mka_up_ms", 450),
            ("sak_rotations", 3),
            ("cak_rotations", 1),
            ("frames_lost_during_rotation", 0),
            ("fallback_ms", 6100),
            ("frames_lost_during_fallback", 0),
            ("recovered_after_restart_ms", 300),
        ] {
            assert_eq!(json[name], value, "{name}");
        }
        let json = serde_json::to_value(Report::new(good())).expect("JSON");
        assert!(json.get("mka_up_ms").is_none(), "{json}");
    }

    #[test]
    fn whatever_does_not_hold_with_mka_fails_the_run() {
        type Spoil = fn(&mut Observed, fn(&mut Observed) -> &mut MkaObserved);
        let spoils: [(&str, Spoil); 9] = [
            ("0 CAK rotations were completed, of 1", |o, mka| mka(o).rolls = 0),
            ("the fallback did not take over", |o, mka| mka(o).fallen_back.took = None),
            ("1 datagrams were lost while the fallback", |o, mka| {
                mka(o).fallen_back.traffic.udp_a_to_b.received -= 1;
            }),
            ("2 SAK rotations were completed, of 3", |o, mka| mka(o).rotations = 2),
            ("nothing came through after", |o, mka| mka(o).recovered = None),
            ("1 frames in clear", |o, mka| mka(o).wire.plaintext = 1),
            ("missed 1 frames", |o, mka| mka(o).wire.missed = 1),
            ("saw no MKPDU", |o, _| o.wire.eapol = 0),
            ("UDP from B to A", |o, _| o.traffic.udp_b_to_a.received -= 1),
        ];
        for (names, spoil) in spoils {
            let mut observed = good_with_mka();
            spoil(&mut observed, |observed| observed.mka.as_mut().expect("MKA"));
            let lost = observed.traffic.udp_b_to_a.lost();
            let report = Report::new(observed);
            assert!(!report.passed, "{names}");
            assert!(report.failures.iter().any(|f| f.contains(names)), "{:?}", report.failures);
            let mka = report.mka.expect("MKA");
            assert_eq!(mka.frames_lost_during_rotation, lost, "{names}");
        }
    }

    /// Each thing that can go wrong, alone, fails the run and is named.
    #[test]
    fn whatever_does_not_hold_fails_the_run() {
        type Spoil = fn(&mut Observed);
        let spoils: [(&str, Spoil); 21] = [
            ("were delivered", |o| o.seconds = 60.0),
            ("B to A: 3000 frames sent, 2999 delivered", |o| {
                o.gateways[0].delivered -= 1;
            }),
            ("A to B: 3000 frames sent, 3001 delivered", |o| {
                o.gateways[1].delivered += 1;
            }),
            // One lost and one too many: the sums would agree.
            ("A to B: 3000 frames sent, 3001 delivered", |o| {
                o.gateways[0].delivered -= 1;
                o.gateways[1].delivered += 1;
            }),
            ("saw 5999 of 6000 protected", |o| o.wire.protected = 5999),
            ("nothing was sent", |o| o.traffic.tcp_a_to_b.octets = 0),
            ("in clear on the wire", |o| o.wire.plaintext = 1),
            ("missed 1 frames", |o| o.wire.missed = 1),
            ("3 frames tampered, 2 dropped", |o| {
                o.gateways[1].counters.insert("InPktsNotValid".to_owned(), 2);
            }),
            ("2 frames replayed, 0 dropped", |o| {
                o.gateways[1].counters.remove("InPktsLate");
            }),
            ("1 frames injected, 2 dropped", |o| {
                o.gateways[1].counters.insert("InPktsNoTag".to_owned(), 2);
            }),
            ("no frame was replayed", |o| {
                o.attacks.replayed = 0;
                o.gateways[1].counters.insert("InPktsLate".to_owned(), 0);
            }),
            ("1 packet numbers came again", |o| o.wire.repeated = 1),
            ("gateway A counted eapol-from-uplink: 1", |o| {
                o.gateways[0].local.insert("eapol-from-uplink".to_owned(), 1);
            }),
            ("5 seen on the wire", |o| o.wire.attacks = 5),
            ("7 seen on the wire", |o| o.wire.attacks = 7),
            ("UDP from A to B", |o| o.traffic.udp_a_to_b.received -= 1),
            ("UDP from B to A", |o| o.traffic.udp_b_to_a.reordered = 1),
            ("UDP from B to A", |o| o.traffic.udp_b_to_a.duplicated = 1),
            ("the hashes differ", |o| o.traffic.tcp_a_to_b.intact = false),
            ("gateway A counted tap-drop: 1", |o| {
                o.gateways[0].local.insert("tap-drop".to_owned(), 1);
            }),
        ];
        for (names, spoil) in spoils {
            let mut observed = good();
            spoil(&mut observed);
            let report = Report::new(observed);
            assert!(!report.passed, "{names}");
            assert!(report.failures.iter().any(|f| f.contains(names)), "{:?}", report.failures);
        }
    }
}
