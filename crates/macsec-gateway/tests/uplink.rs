//! Taking an uplink and giving it back, in namespaces of its own. Needs root.

mod common;
mod uplink {
    pub mod bench;
    mod eapol;
    pub mod frames;
    mod shut;
}

use std::{
    fs,
    net::UdpSocket,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    time::{Duration, Instant},
};

use macsec_gateway::uplink::{
    self as gateway, Isolation, MARK, Settings, Shut, Uplink, UplinkError,
};
use macsec_io::{
    netlink::{Netlink, VethEnd},
    offload::{self, Features},
    packet::{PacketRxRing, PacketTxRing, RxConfig, TxConfig},
    sysctl,
};

use uplink::bench::{Bench, ip, packets_heard, snapshot};
use uplink::frames::{self, FAR_HOST, HOST};

const BOTH: [Isolation; 2] = [Isolation::Namespace, Isolation::Filter];

const PATIENCE: Duration = Duration::from_secs(10);

fn plain() -> Settings {
    Settings::default()
}

#[test]
fn nothing_plain_is_answered_or_delivered() {
    for isolation in BOTH {
        Bench::run(move |bench| {
            bench.set_up();
            let udp = UdpSocket::bind((HOST, 5000)).unwrap();
            udp.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut buffer = [0; 100];

            // The wire's end sees what this test would see if nothing were done: the host answers.
            let (mut wire_rx, mut wire_tx) = bench.wire();
            for probe in frames::answered() {
                let until = Instant::now() + PATIENCE;
                // IPv6 takes a second or two to find out that its address is its own.
                while bench.exchange(&mut wire_rx, &mut wire_tx, &[&probe], 200).is_empty() {
                    assert!(Instant::now() < until, "no answer to {probe:02x?}");
                }
            }
            bench.exchange(&mut wire_rx, &mut wire_tx, &[&frames::udp()], 200);
            assert!(udp.recv(&mut buffer).is_ok(), "the host gets it");
            udp.set_nonblocking(true).unwrap();
            while udp.recv(&mut buffer).is_ok() {}

            let uplink = bench.take(isolation, &plain()).unwrap();
            let open = || PacketRxRing::open("up0", &RxConfig::default()).unwrap();
            let mut ring = uplink.run(open);
            // What the host said up to here.
            bench.exchange(&mut wire_rx, &mut wire_tx, &[], 200);

            let all = frames::all();
            let sent: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
            for _ in 0..3 {
                let answers = bench.exchange(&mut wire_rx, &mut wire_tx, &sent, 300);
                assert!(answers.is_empty(), "{isolation:?}: {answers:02x?}");
            }
            let heard = bench.exchange(&mut wire_rx, &mut wire_tx, &[], 1000);
            assert!(heard.is_empty(), "{isolation:?}, later: {heard:02x?}");
            let delivered = udp.recv(&mut buffer);
            assert!(delivered.is_err(), "{isolation:?}: delivered to the host");

            // All of that has arrived at the uplink, where we see it.
            let mut seen = 0;
            ring.receive(usize::MAX, |_| seen += 1);
            assert_eq!(seen, 3 * all.len(), "{isolation:?}");

            // Given back, the host answers again.
            drop(ring);
            uplink.release().unwrap();
            let until = Instant::now() + PATIENCE;
            while bench.exchange(&mut wire_rx, &mut wire_tx, &[&frames::arp()], 200).is_empty() {
                assert!(Instant::now() < until, "{isolation:?}: no answer after the release");
            }
        });
    }
}

#[test]
fn an_idle_uplink_is_silent_from_the_start() {
    for isolation in BOTH {
        Bench::run(move |bench| {
            // It is down, so whatever is heard is due to us.
            let (mut wire_rx, mut wire_tx) = bench.wire();
            let uplink = bench.take(isolation, &plain()).unwrap();
            assert!(uplink.link().unwrap().unwrap().up);
            let heard = bench.exchange(&mut wire_rx, &mut wire_tx, &[], 4000);
            assert!(heard.is_empty(), "{isolation:?}: {heard:02x?}");

            // Not for lack of anything to say: an interface of the host that is set up does talk.
            uplink.release().unwrap();
            bench.set_up();
            let until = Instant::now() + PATIENCE;
            while bench.exchange(&mut wire_rx, &mut wire_tx, &[], 200).is_empty() {
                assert!(Instant::now() < until, "{isolation:?}: silent anyway");
            }
        });
    }
}

#[test]
fn a_host_that_insists_is_not_heard_but_we_are() {
    Bench::run(|bench| {
        let (mut wire_rx, mut wire_tx) = bench.wire();
        let uplink = bench.take(Isolation::Filter, &plain()).unwrap();
        let mut netlink = Netlink::open().unwrap();

        // Everything that keeps it quiet but the barrier is undone, and it comes up anew.
        netlink.set_down("up0").unwrap();
        netlink.set_arp("up0", true).unwrap();
        sysctl::set_ipv6_disabled("up0", false).unwrap();
        netlink.set_up("up0").unwrap();
        netlink.add_address("up0", "198.51.100.1".parse().unwrap(), 24).unwrap();
        let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
        for octet in 2..20 {
            // To neighbours that it has to look for.
            let _ = udp.send_to(b"hello", (format!("198.51.100.{octet}"), 5000));
        }
        netlink.add_neighbour("up0", FAR_HOST.into(), frames::FAR_MAC).unwrap();
        for _ in 0..10 {
            let _ = udp.send_to(b"hello", (FAR_HOST, 5000));
        }
        let heard = bench.exchange(&mut wire_rx, &mut wire_tx, &[], 2500);
        assert!(heard.is_empty(), "{heard:02x?}");

        // A ring with our mark gets through, one without does not.
        for (mark, wanted) in [(0, 0), (MARK, 50)] {
            let config = TxConfig { mark, ..TxConfig::default() };
            let mut ring = uplink.run(move || PacketTxRing::open("up0", &config).unwrap());
            for _ in 0..50 {
                ring.push(&frames::protected()).unwrap();
            }
            let until = Instant::now() + PATIENCE;
            while ring.pending() > 0 && Instant::now() < until {
                let _ = ring.flush();
            }
            let heard = bench.exchange(&mut wire_rx, &mut wire_tx, &[], 500);
            assert_eq!(heard.len(), wanted, "mark {mark:#x}");
            assert!(heard.iter().all(|frame| *frame == frames::protected()));
        }
    });
}

#[test]
fn everything_is_put_back() {
    let states: [fn(&Bench, Isolation); 3] = [
        |bench, _| bench.set_up(),
        |_, _| {},
        |bench, isolation| {
            let mut netlink = Netlink::open().unwrap();
            netlink.set_arp("up0", false).unwrap();
            netlink.set_mtu("up0", 4000).unwrap();
            sysctl::disable_ipv6("up0").unwrap();
            let mut words = Features::of("up0").unwrap().words().to_vec();
            words.iter_mut().for_each(|word| word[1] &= 0x5555_5555);
            Features::from_words(words).restore("up0").unwrap();
            if isolation == Isolation::Filter {
                ip("tc qdisc add dev up0 root pfifo");
                ip("tc qdisc add dev up0 clsact");
            }
            bench.set_up();
        },
    ];
    for isolation in BOTH {
        for (state, prepare) in (0..).zip(states) {
            Bench::run(move |bench| {
                prepare(bench, isolation);
                let before = snapshot("up0");
                let uplink = bench.take(isolation, &Settings { mtu: Some(9000) }).unwrap();
                assert!(bench.record().exists());
                let link = uplink.link().unwrap().unwrap();
                assert_eq!((link.up, link.arp, link.mtu), (true, false, 9000));
                let quiet = uplink.run(|| {
                    let on = |offload| offload::is_enabled("up0", offload).unwrap() == Some(true);
                    let offloads: Vec<_> =
                        offload::Offload::ALL.into_iter().filter(|o| on(*o)).collect();
                    (offloads, sysctl::is_ipv6_disabled("up0").unwrap())
                });
                assert_eq!(quiet, (vec![], Some(true)));
                let is_here = Netlink::open().unwrap().link("up0").is_ok();
                assert_eq!(is_here, isolation == Isolation::Filter);
                // Whatever else comes to its namespace is silent too; the host's is as it was.
                let default = || fs::read_to_string("/proc/sys/net/ipv6/conf/default/disable_ipv6");
                let private = isolation == Isolation::Namespace;
                assert_eq!(uplink.run(default).unwrap() == "1\n", private);
                assert_eq!(default().unwrap(), "0\n");

                uplink.release().unwrap();
                assert_eq!(snapshot("up0"), before, "{isolation:?}, state {state}");
                assert_eq!(fs::read_dir(bench.directory()).unwrap().count(), 0);
            });
        }
    }
}

#[test]
fn after_a_kill_the_original_is_put_back() {
    // Which way it was taken by the run that was killed, and by the next one.
    for (first, second) in BOTH.into_iter().flat_map(|a| BOTH.map(|b| (a, b))) {
        Bench::run(move |bench| {
            bench.set_up();
            let before = snapshot("up0");
            let (mut wire_rx, mut wire_tx) = bench.wire();
            bench.exchange(&mut wire_rx, &mut wire_tx, &[], 200);
            std::mem::forget(bench.take(first, &Settings { mtu: Some(9000) }).unwrap());
            bench.exchange(&mut wire_rx, &mut wire_tx, &[], 200);

            let uplink = bench.take(second, &Settings { mtu: Some(2000) }).unwrap();
            assert_eq!(uplink.link().unwrap().unwrap().mtu, 2000);
            std::mem::forget(uplink);
            let uplink = bench.take(second, &plain()).unwrap();
            let link = uplink.link().unwrap().unwrap();
            assert_eq!((link.up, link.arp, link.mtu), (true, false, 1500));
            let answers = bench.exchange(&mut wire_rx, &mut wire_tx, &[&frames::arp()], 1000);
            assert!(answers.is_empty(), "{first:?}, {second:?}: {answers:02x?}");

            uplink.release().unwrap();
            assert_eq!(snapshot("up0"), before, "{first:?}, then {second:?}");
            assert!(!bench.record().exists());
        });
    }
}

#[test]
fn a_change_does_not_let_the_host_in_for_a_moment() {
    for (one, other) in BOTH.into_iter().flat_map(|a| BOTH.map(|b| (a, b))) {
        Bench::run(move |bench| {
            bench.set_up();
            let before = snapshot("up0");
            let mut held = Some(bench.take(one, &plain()).unwrap());
            let already = packets_heard();
            let mut arrived = 0;
            let (said, sent) = bench.in_flood(&frames::all(), || {
                let heard = || packets_heard() - already;
                for change in 0..20 {
                    let isolation = if change % 2 == 0 { other } else { one };
                    let mtu = [Some(9000), None, Some(2000), None][change % 4];
                    drop(held.take());
                    let mut uplink = bench.take(isolation, &Settings { mtu }).unwrap();
                    let link = uplink.link().unwrap().unwrap();
                    assert_eq!((link.up, link.mtu), (true, mtu.unwrap_or(1500)));
                    assert_eq!(uplink.keep_shut().unwrap(), Shut::AsLeft);
                    // The flood has reached it before the next change.
                    let until = Instant::now() + PATIENCE;
                    let now = || uplink.link().unwrap().unwrap().statistics.rx_packets;
                    let start = now();
                    while now() == start {
                        assert!(Instant::now() < until, "nothing arrives");
                    }
                    arrived += 1;
                    held = Some(uplink);
                    assert_eq!(heard(), 0, "{one:?}, {other:?}: after change {change}");
                }
            });
            assert_eq!((said.first(), arrived), (None, 20), "{one:?}, {other:?}");
            assert!(sent > 0);

            // What the host would have heard: with the uplink given back it does.
            held.unwrap().release().unwrap();
            assert_eq!(snapshot("up0"), before, "{one:?}, {other:?}");
            bench.in_flood(&frames::all(), || {
                let until = Instant::now() + PATIENCE;
                while packets_heard() == already {
                    assert!(Instant::now() < until, "the host hears nothing anyway");
                }
            });
        });
    }
}

#[test]
fn a_change_that_fails_does_not_let_the_host_in() {
    for (one, other) in BOTH.into_iter().flat_map(|a| BOTH.map(|b| (a, b))) {
        Bench::run(move |bench| {
            bench.set_up();
            let before = snapshot("up0");
            drop(bench.take(one, &Settings { mtu: Some(9000) }).unwrap());
            let already = packets_heard();
            let (said, _) = bench.in_flood(&frames::all(), || {
                for _ in 0..3 {
                    let error = bench.take(other, &Settings { mtu: Some(1_000_000) }).unwrap_err();
                    assert!(matches!(error, UplinkError::Mtu { .. }), "{error}");
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
            assert_eq!((said.first(), packets_heard()), (None, already), "{one:?}, {other:?}");
            // Nobody has it, but its record is there.
            bench.give_back().unwrap();
            assert_eq!(snapshot("up0"), before, "{one:?}, {other:?}");
            assert!(!bench.record().exists());
            bench.give_back().unwrap();
            assert_eq!(snapshot("up0"), before);

            // One that has gone meanwhile leaves nothing to give back but the record.
            drop(bench.take(one, &plain()).unwrap());
            bench.unplug();
            bench.give_back().unwrap();
            assert!(!bench.record().exists());
        });
    }
}

#[test]
fn half_way_home_is_found_too() {
    // Killed while it was given back, or brought home by the kernel when its namespace ended.
    for second in BOTH {
        Bench::run(move |bench| {
            bench.set_up();
            let before = snapshot("up0");
            let uplink = bench.take(Isolation::Namespace, &Settings { mtu: Some(9000) }).unwrap();
            bench.move_home(&uplink);
            std::mem::forget(uplink);
            assert_ne!(snapshot("up0"), before);
            bench.take(second, &plain()).unwrap().release().unwrap();
            assert_eq!(snapshot("up0"), before, "{second:?}");
        });
    }
}

#[test]
fn a_record_of_another_interface_or_of_another_time_does_not_count() {
    for isolation in BOTH {
        Bench::run(move |bench| {
            std::mem::forget(bench.take(isolation, &plain()).unwrap());
            // Pulled, and another one of the same name is plugged in, with ARP off from the start.
            bench.replug();
            let mut netlink = Netlink::open().unwrap();
            netlink.set_arp("up0", false).unwrap();
            netlink.set_mtu("up0", 3000).unwrap();
            let before = snapshot("up0");
            bench.take(isolation, &plain()).unwrap().release().unwrap();
            assert_eq!(snapshot("up0"), before);

            // Before the machine was started again.
            std::mem::forget(bench.take(isolation, &plain()).unwrap());
            let record = fs::read_to_string(bench.record()).unwrap();
            let mut record: serde_json::Value = serde_json::from_str(&record).unwrap();
            record["world"] = "another".into();
            record["mtu"] = 9999.into();
            fs::write(bench.record(), record.to_string()).unwrap();
            bench.take(isolation, &plain()).unwrap().release().unwrap();
            assert_eq!(Netlink::open().unwrap().link("up0").unwrap().mtu, 3000);

            // One that cannot be read is named.
            fs::write(bench.record(), "{").unwrap();
            let error = bench.take(isolation, &plain()).unwrap_err().to_string();
            assert!(error.contains("up0.uplink.json"), "{error}");
        });
    }
}

#[test]
fn records_that_others_could_write_are_refused_and_links_not_followed() {
    let set = |directory: &Path, mode| {
        fs::set_permissions(directory, fs::Permissions::from_mode(mode)).unwrap();
    };
    Bench::run(move |bench| {
        let before = snapshot("up0");
        for mode in [0o777, 0o1777, 0o770, 0o702] {
            set(bench.directory(), mode);
            let error = bench.take(Isolation::Filter, &plain()).unwrap_err();
            assert!(matches!(error, UplinkError::NotPrivate(_)), "{mode:o}: {error}");
            assert!(gateway::prepare_records(bench.directory()).is_err(), "{mode:o}");
        }
        set(bench.directory(), 0o755);
        std::os::unix::fs::chown(bench.directory(), Some(12345), None).unwrap();
        let error = bench.take(Isolation::Filter, &plain()).unwrap_err().to_string();
        assert!(error.contains("must belong to this user"), "{error}");
        std::os::unix::fs::chown(bench.directory(), Some(0), None).unwrap();
        assert_eq!(snapshot("up0"), before);

        // What stands where a new record goes is not followed; nor is a record that is a link.
        let victim = bench.directory().join("victim");
        fs::write(&victim, "mine").unwrap();
        let new = bench.record().with_extension("json.new");
        symlink(&victim, &new).unwrap();
        bench.take(Isolation::Filter, &plain()).unwrap().release().unwrap();
        symlink(&victim, bench.record()).unwrap();
        let error = bench.take(Isolation::Filter, &plain()).unwrap_err();
        assert!(matches!(error, UplinkError::Record { .. }), "{error}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        fs::remove_file(bench.record()).unwrap();

        // One that is not there is made, for its owner only.
        fs::remove_dir_all(bench.directory()).unwrap();
        let uplink = bench.take(Isolation::Filter, &plain()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(bench.directory()), mode(&bench.record())), (0o700, 0o600));
        uplink.release().unwrap();
    });
}

#[test]
fn another_mac_address_does_not_make_it_another_interface() {
    const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x77];
    for isolation in BOTH {
        Bench::run(move |bench| {
            bench.set_up();
            let mut before = snapshot("up0");
            before.set_mac(OTHER_MAC);
            let set_mac = |uplink: &Uplink| {
                uplink.run(|| Netlink::open().unwrap().set_mac("up0", OTHER_MAC).unwrap());
            };
            // While it runs.
            let uplink = bench.take(isolation, &Settings { mtu: Some(9000) }).unwrap();
            set_mac(&uplink);
            uplink.release().unwrap();
            assert_eq!(snapshot("up0"), before, "{isolation:?}");
            assert!(!bench.record().exists());

            // Between a kill and the next start.
            Netlink::open().unwrap().set_mac("up0", frames::NEAR_MAC).unwrap();
            let uplink = bench.take(isolation, &Settings { mtu: Some(9000) }).unwrap();
            set_mac(&uplink);
            std::mem::forget(uplink);
            bench.take(isolation, &plain()).unwrap().release().unwrap();
            assert_eq!(snapshot("up0"), before, "{isolation:?}, after a kill");
        });
    }
}

#[test]
fn one_that_is_unplugged_is_released_and_taken_anew() {
    for isolation in BOTH {
        Bench::run(move |bench| {
            let uplink = bench.take(isolation, &plain()).unwrap();
            bench.unplug();
            assert_eq!(uplink.link().unwrap(), None);
            uplink.release().unwrap();
            assert!(!bench.record().exists());
            let missing = bench.take(isolation, &plain()).unwrap_err();
            assert_eq!(missing.to_string(), "uplink up0: there is no such interface");

            // Back while the first one is still held: the new one is not the old one's to give back.
            bench.plug();
            let uplink = bench.take(isolation, &plain()).unwrap();
            bench.replug();
            let before = snapshot("up0");
            uplink.release().unwrap();
            assert_eq!(snapshot("up0"), before);

            bench.set_up();
            let before = snapshot("up0");
            let uplink = bench.take(isolation, &plain()).unwrap();
            assert!(uplink.link().unwrap().unwrap().up);
            uplink.release().unwrap();
            assert_eq!(snapshot("up0"), before);
        });
    }
}

#[test]
fn refusals_change_nothing_and_say_why_in_one_line() {
    // (isolation, how to prepare, words of the text, how to undo)
    type Case = (
        &'static [Isolation],
        &'static [&'static str],
        &'static [&'static str],
        &'static [&'static str],
    );
    const CASES: &[Case] = &[
        (
            &BOTH,
            &["address add 10.7.7.7/24 dev up0", "address add fd07::7/64 dev up0"],
            &["10.7.7.7/24, fd07::7/64"],
            &["address flush dev up0"],
        ),
        (
            &BOTH,
            &["link add br9 type bridge", "link set up0 master br9"],
            &["br9"],
            &["link del br9"],
        ),
        (
            &BOTH,
            &["link add link up0 name top9 type macvlan"],
            &["macvlan", "top9"],
            &["link del top9"],
        ),
        (
            &[Isolation::Namespace],
            &["tc qdisc add dev up0 root pfifo"],
            &["pfifo", "\"filter\""],
            &["tc qdisc del dev up0 root"],
        ),
        (
            &[Isolation::Filter],
            &["tc qdisc add dev up0 ingress"],
            &["ingress", "\"namespace\""],
            &["tc qdisc del dev up0 ingress"],
        ),
    ];
    Bench::run(|bench| {
        for (isolations, prepare, words, undo) in CASES {
            prepare.iter().for_each(|command| ip(command));
            for isolation in *isolations {
                let before = snapshot("up0");
                bench.refused("up0", *isolation, words);
                assert_eq!(snapshot("up0"), before, "{words:?}");
            }
            undo.iter().for_each(|command| ip(command));
        }
        for isolation in BOTH {
            bench.refused("lo", isolation, &["uplink lo: it is no Ethernet interface"]);
            bench.refused("nothing", isolation, &["there is no such interface"]);
            bench.refused("a/b", isolation, &["a/b"]);
        }
        ip("link property add dev up0 altname uplink-zero");
        bench.refused("uplink-zero", Isolation::Filter, &["another name of up0; use up0"]);
        // An MTU that the driver does not take; it is given back.
        for isolation in BOTH {
            let before = snapshot("up0");
            let error = bench.take(isolation, &Settings { mtu: Some(1_000_000) }).unwrap_err();
            assert!(matches!(error, UplinkError::Mtu { mtu: 1_000_000, .. }), "{error}");
            assert_eq!(snapshot("up0"), before);
            assert!(!bench.record().exists());
        }
        // After all that it can still be had.
        for isolation in BOTH {
            bench.take(isolation, &plain()).unwrap().release().unwrap();
        }
    });
}

#[test]
fn a_name_that_is_taken_is_no_way_in_or_out() {
    Bench::run(|bench| {
        let uplink = bench.take(Isolation::Namespace, &plain()).unwrap();
        // Someone makes another one at home: the uplink cannot come back, and keeps its record.
        let twin = |netlink: &mut Netlink| {
            netlink.create_veth(&VethEnd::new("up0"), &VethEnd::new("twin")).unwrap();
        };
        let mut netlink = Netlink::open().unwrap();
        twin(&mut netlink);
        bench.refused("up0", Isolation::Namespace, &["private namespace", "rename"]);
        let error = uplink.release().unwrap_err().to_string();
        assert!(error.starts_with("uplink up0: move link to namespace: it exists"), "{error}");
        assert!(bench.record().exists());

        netlink.delete_link("up0").unwrap();
        bench.take(Isolation::Namespace, &plain()).unwrap().release().unwrap();
        assert!(netlink.link("up0").is_ok() && !bench.record().exists());
    });
}

#[test]
fn two_capabilities_are_enough() {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

    let drop_others = || {
        let few = CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW;
        let sets =
            CapabilitySets { effective: few, permitted: few, inheritable: CapabilitySet::empty() };
        set_capabilities(None, sets).unwrap();
    };
    for isolation in BOTH {
        Bench::run(move |bench| {
            bench.set_up();
            let before = snapshot("up0");
            // Of these two threads only.
            bench.private().run(drop_others);
            drop_others();
            assert!(macsec_io::netns::Namespace::new().is_err());
            let uplink = bench.take(isolation, &Settings { mtu: Some(9000) }).unwrap();
            let config = TxConfig { mark: MARK, ..TxConfig::default() };
            uplink.run(move || PacketTxRing::open("up0", &config).map(drop)).unwrap();
            uplink.run(|| PacketRxRing::open("up0", &RxConfig::default()).map(drop)).unwrap();
            uplink.release().unwrap();
            assert_eq!(snapshot("up0"), before, "{isolation:?}");
        });
    }
}
