//! A wire that is looked at, and cut.

use std::{
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use macsec_io::{
    netlink::{Netlink, VethEnd},
    netns::Namespace,
};

use super::{Couple, Daemon, END, Edge, End, FAR, Hosts, NEAR, has_symptom, kay};
use crate::{
    bench::{self, Station, Wan},
    common,
};

/// A wire in two pieces with somebody in between, who passes frames on and looks at them.
struct Watched {
    couple: Couple,
    cuts: Arc<[AtomicBool; 2]>,
    /// Frames that were neither MACsec nor EAPOL.
    in_clear: Arc<AtomicU64>,
    passed: Arc<AtomicU64>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watched {
    fn new() -> Option<Self> {
        let open = || {
            Ok::<_, Box<dyn std::error::Error>>(([Edge::new()?, Edge::new()?], Namespace::new()?))
        };
        let ([a, b], middle) = match open() {
            Ok(all) => all,
            Err(error) => {
                common::skip(&error.to_string());
                return None;
            }
        };
        for (edge, mac, name) in [(&a, NEAR, "wa"), (&b, FAR, "wb")] {
            edge.run(|| {
                let far = VethEnd::new(name).mac([2, 0, 0, 0, 9, mac[5]]).namespace(middle.as_fd());
                let near = VethEnd::new("up0").mac(mac);
                Netlink::open().expect("netlink").create_veth(&near, &far).expect("a wire");
                bench::quiet("up0");
            });
            middle.run(|| bench::quiet(name)).expect("the namespace");
        }
        let couple = Couple { a, b };
        let cuts: Arc<[AtomicBool; 2]> = Arc::default();
        let (in_clear, passed): (Arc<AtomicU64>, Arc<AtomicU64>) = Default::default();
        let end = Arc::new(AtomicBool::new(false));
        let stations = middle.run(|| [Station::open("wa"), Station::open("wb")]);
        let [mut left, mut right] = stations.expect("the namespace");
        let thread = {
            let (cuts, in_clear, passed) = (cuts.clone(), in_clear.clone(), passed.clone());
            let end = end.clone();
            thread::spawn(move || {
                let _middle = middle;
                while !end.load(Ordering::Relaxed) {
                    let _ = left.rx.wait(Some(Duration::from_micros(200)));
                    pass(&mut left, &mut right, &cuts[0], &in_clear, &passed);
                    pass(&mut right, &mut left, &cuts[1], &in_clear, &passed);
                }
            })
        };
        let thread = Some(thread);
        Some(Self { couple, cuts, in_clear, passed, end, thread })
    }

    /// Lets frames through, or not: those of A, those of B.
    fn cut(&self, a: bool, b: bool) {
        self.cuts[0].store(a, Ordering::Relaxed);
        self.cuts[1].store(b, Ordering::Relaxed);
    }

    fn start(&self) -> [Daemon; 2] {
        self.couple.ends().map(|edge| {
            END.configure(edge);
            edge.start_again()
        })
    }

    #[track_caller]
    fn nothing_in_clear(&self) {
        assert!(self.passed.load(Ordering::Relaxed) > 0);
        assert_eq!(self.in_clear.load(Ordering::Relaxed), 0);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn pass(
    from: &mut Station,
    to: &mut Station,
    cut: &AtomicBool,
    in_clear: &AtomicU64,
    passed: &AtomicU64,
) {
    for frame in from.received() {
        if !matches!(frame[12..14], [0x88, 0x8e] | [0x88, 0xe5]) {
            in_clear.fetch_add(1, Ordering::Relaxed);
        }
        if !cut.load(Ordering::Relaxed) {
            passed.fetch_add(1, Ordering::Relaxed);
            to.send(&frame);
        }
    }
}

/// Hosts that never stop talking.
struct Chatter {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Chatter {
    fn start(mut hosts: Hosts) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let stop = end.clone();
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                hosts.chat();
                thread::sleep(Duration::from_millis(2));
            }
        });
        Self { end, thread: Some(thread) }
    }
}

impl Drop for Chatter {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn nothing_leaves_in_clear_whatever_happens_to_the_session() {
    let Some(watched) = Watched::new() else { return };
    let [mut left, mut right] = watched.start();
    left.secured();
    right.secured();
    let _chatter = Chatter::start(watched.couple.hosts());
    watched.nothing_in_clear();
    let closed = |daemon: &mut Daemon| {
        daemon.wait_until("closed", |status| !status.ports[0].controlled_port_enabled);
    };
    for cut in [(true, true), (true, false), (false, true)] {
        watched.cut(cut.0, cut.1);
        closed(&mut left);
        closed(&mut right);
        watched.cut(false, false);
        left.secured();
        right.secured();
        watched.nothing_in_clear();
    }
    right.kill();
    let mut right = watched.couple.b.start_again();
    right.secured();
    left.secured();
    watched.couple.hosts().talk();
    watched.nothing_in_clear();
    left.stop();
    right.stop();
    watched.nothing_in_clear();
}

#[test]
fn nothing_leaves_in_clear_whatever_a_reload_makes_of_a_port() {
    let Some(watched) = Watched::new() else { return };
    let [mut left, right] = watched.start();
    left.secured();
    let _chatter = Chatter::start(watched.couple.hosts());
    let edge = &watched.couple.a;
    let mka = |lines, mka| End { lines, mka, ..END }.configure(edge);
    let fixed = || edge.configure(&[&Wan::default()]);
    let none = || {
        edge.configure_text(
            "[[port]]\nname = \"wan0\"\nuplink = \"up0\"\nisolation = \"filter\"\n",
        );
    };
    let steps: [&dyn Fn(); 8] = [
        &fixed,
        &|| mka("", ""),
        &none,
        &|| mka("", "key_server_priority = 1"),
        &|| mka("uplink_mtu = 1600", "key_server_priority = 1"),
        &|| mka("sci = \"02-00-00-00-00-07-0001\"", ""),
        &|| mka("", ""),
        &none,
    ];
    for step in steps {
        step();
        left.reload(false).expect("a reload");
        // Long enough for frames of the hosts, and for a session.
        thread::sleep(Duration::from_millis(700));
        watched.nothing_in_clear();
    }
    left.stop();
    right.stop();
    watched.nothing_in_clear();
}

#[test]
fn a_link_that_works_one_way_only() {
    let Some(watched) = Watched::new() else { return };
    watched.cut(false, true);
    let [mut left, mut right] = watched.start();
    let words = "peer 02-00-00-00-00-01-0001 is heard and stays potential";
    right.wait_until(words, |status| has_symptom(status, words));
    let words = "MKPDUs are sent, and no peer is heard";
    left.wait_until(words, |status| has_symptom(status, words));
    watched.cut(false, false);
    left.secured();
    let status = right.secured();
    assert_eq!(kay(&status).symptoms, [""; 0]);
    left.stop();
    right.stop();
}
