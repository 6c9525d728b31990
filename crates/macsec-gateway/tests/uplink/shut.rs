//! An uplink that somebody opens to the host while it is ours.

use macsec_gateway::uplink::{Isolation, Shut, UplinkError};
use macsec_io::{netlink::Netlink, sysctl};

use super::{
    bench::{Bench, ip, snapshot},
    frames,
};
use crate::{BOTH, plain};

#[test]
fn who_lets_the_host_in_again_is_noticed_and_undone() {
    // (what is done, what is said of it)
    type Case = (fn(), &'static [&'static str]);
    const BY_ANY_WAY: &[Case] = &[
        (|| ip("link set up0 arp on"), &["ARP off"]),
        (|| assert!(sysctl::set_ipv6_disabled("up0", false).unwrap()), &["IPv6 off"]),
    ];
    const BY_FILTER: &[Case] = &[
        (|| ip("tc qdisc del dev up0 clsact"), &["the barrier"]),
        (|| ip("tc filter del dev up0 ingress"), &["the barrier"]),
        (|| ip("tc filter del dev up0 egress"), &["the barrier"]),
        (|| Netlink::open().unwrap().install_barrier("up0", 7).unwrap(), &["the barrier"]),
        (
            || {
                ip("tc qdisc del dev up0 clsact");
                ip("link set up0 arp on");
            },
            &["the barrier", "ARP off"],
        ),
    ];
    for isolation in BOTH {
        Bench::run(move |bench| {
            bench.set_up();
            let before = snapshot("up0");
            let (mut wire_rx, mut wire_tx) = bench.wire();
            let mut uplink = bench.take(isolation, &plain()).unwrap();
            bench.exchange(&mut wire_rx, &mut wire_tx, &[], 200);
            assert_eq!(uplink.keep_shut().unwrap(), Shut::AsLeft);
            let by_filter = if isolation == Isolation::Filter { BY_FILTER } else { &[] };
            for (case, (open, said)) in (0..).zip(BY_ANY_WAY.iter().chain(by_filter)) {
                uplink.run(*open);
                let found = uplink.keep_shut().unwrap();
                assert_eq!(found, Shut::Repaired(said.to_vec()), "{isolation:?} {case}");
                assert_eq!(uplink.keep_shut().unwrap(), Shut::AsLeft, "{isolation:?} {case}");
                bench.exchange(&mut wire_rx, &mut wire_tx, &[], 100);
                let all = frames::all();
                let sent: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
                let heard = bench.exchange(&mut wire_rx, &mut wire_tx, &sent, 200);
                assert!(heard.is_empty(), "{isolation:?} {case}: {heard:02x?}");
            }
            uplink.release().unwrap();
            assert_eq!(snapshot("up0"), before);
        });
    }
}

#[test]
fn an_uplink_that_cannot_be_shut_again_is_down_until_it_can() {
    Bench::run(|bench| {
        bench.set_up();
        let before = snapshot("up0");
        let mut uplink = bench.take(Isolation::Filter, &plain()).unwrap();
        let is_up = || Netlink::open().unwrap().link("up0").unwrap().up;
        let block = || {
            ip("tc qdisc del dev up0 clsact");
            ip("tc qdisc add dev up0 ingress");
        };
        block();
        for _ in 0..2 {
            let error = uplink.keep_shut().unwrap_err();
            assert!(matches!(error, UplinkError::HasFilters { .. }), "{error}");
            assert!(!is_up());
        }
        ip("tc qdisc del dev up0 ingress");
        assert_eq!(uplink.keep_shut().unwrap(), Shut::Repaired(vec!["the barrier"]));
        assert!(is_up());
        assert_eq!(uplink.keep_shut().unwrap(), Shut::AsLeft);

        // Nor does it stay open when it is to be taken anew, which cannot be: whoever sets it up.
        block();
        drop(uplink);
        for _ in 0..2 {
            ip("link set up0 up");
            let error = bench.take(Isolation::Filter, &plain()).unwrap_err();
            assert!(matches!(error, UplinkError::HasFilters { .. }), "{error}");
            assert!(!is_up());
        }
        ip("tc qdisc del dev up0 ingress");
        let mut uplink = bench.take(Isolation::Filter, &plain()).unwrap();
        assert!(is_up());

        // Given back in this state, it is up as it was.
        block();
        uplink.keep_shut().unwrap_err();
        ip("tc qdisc del dev up0 ingress");
        uplink.release().unwrap();
        assert_eq!(snapshot("up0"), before);
    });
}

#[test]
fn another_interface_of_the_same_name_is_not_kept_shut_but_taken() {
    for isolation in BOTH {
        Bench::run(move |bench| {
            let mut uplink = bench.take(isolation, &plain()).unwrap();
            bench.unplug();
            assert_eq!(uplink.keep_shut().unwrap(), Shut::Gone);
            bench.plug();
            let before = snapshot("up0");
            assert_eq!(uplink.keep_shut().unwrap(), Shut::Gone);
            assert_eq!(snapshot("up0"), before, "not touched");
            let mut uplink = bench.take(isolation, &plain()).unwrap();
            assert_eq!(uplink.keep_shut().unwrap(), Shut::AsLeft);
            uplink.release().unwrap();
            assert_eq!(snapshot("up0"), before);
        });
    }
}
