//! EAPOL on an uplink that the host is shut out of.

use std::time::Instant;

use macsec_gateway::uplink::{Isolation, MARK};
use macsec_io::packet::{FilteredConfig, FilteredSocket};

use super::{
    bench::Bench,
    frames::{self, FAR_MAC, NEAR_MAC},
};
use crate::{BOTH, PATIENCE, plain};

const GROUP: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 3];

fn eapol(from: [u8; 6], number: u8) -> Vec<u8> {
    [GROUP.as_slice(), &from, &[0x88, 0x8e, 3, 5, 0, 60], &[number; 60]].concat()
}

#[test]
fn eapol_passes_the_barrier_both_ways() {
    for isolation in BOTH {
        Bench::run(move |bench| {
            let (mut wire_rx, mut wire_tx) = bench.wire();
            let uplink = bench.take(isolation, &plain()).unwrap();
            let open = |mark| {
                let config = FilteredConfig {
                    ether_type: 0x888e,
                    groups: vec![GROUP],
                    mark,
                    receive_buffer: 1 << 16,
                };
                uplink.run(move || FilteredSocket::open("up0", &config).unwrap())
            };
            let socket = open(MARK);
            let sent = [1, 2].map(|number| eapol(FAR_MAC, number));
            let among = [&sent[0], &frames::arp(), &frames::protected(), &sent[1]];
            let until = Instant::now() + PATIENCE;
            let mut received = Vec::new();
            // The link has just come up: what is sent before the kernel has noticed is lost.
            while received != sent {
                assert!(Instant::now() < until, "{isolation:?}: not all arrive");
                received.clear();
                bench.exchange(&mut wire_rx, &mut wire_tx, &among.map(Vec::as_slice), 100);
                let mut buffer = [0; 1514];
                while let Some(len) = socket.recv(&mut buffer).unwrap() {
                    received.push(buffer[..len].to_vec());
                }
                assert!(received.iter().all(|frame| sent.contains(frame)), "{received:02x?}");
            }

            let ours = eapol(NEAR_MAC, 3);
            socket.send(&ours).unwrap();
            let heard = bench.exchange(&mut wire_rx, &mut wire_tx, &[], 300);
            assert_eq!(heard, [ours], "{isolation:?}");

            // A filter tells us from others by the mark, and says so.
            if isolation == Isolation::Filter {
                open(0).send(&eapol(NEAR_MAC, 4)).unwrap_err();
                let heard = bench.exchange(&mut wire_rx, &mut wire_tx, &[], 300);
                assert!(heard.is_empty(), "{heard:02x?}");
            }
        });
    }
}
