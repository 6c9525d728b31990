//! Numbered frames through a gateway, both ways.
#![allow(unreachable_pub)]

use std::{
    thread,
    time::{Duration, Instant},
};

use macsec::CipherSuite;

use crate::{
    Line,
    bench::{FAR, NEAR, PATIENCE, SAK_256, Station, number_of, numbered},
    peer::{Peer, Seen},
};

/// Frames sent at a time, so that no ring overflows.
const BURST: u64 = 16;
const PAUSE: Duration = Duration::from_millis(2);

/// A host, and the peer at the far end of the wire.
pub struct Traffic {
    pub host: Station,
    pub wire: Station,
    pub peer: Peer,
    number: u64,
}

impl Traffic {
    /// With a port of the default suite and key, whose TAP is `wan0`.
    pub fn new(line: &Line) -> Self {
        Self::with(line, "wan0", Peer::new(CipherSuite::GcmAesXpn256, SAK_256))
    }

    pub fn with(line: &Line, tap: &str, peer: Peer) -> Self {
        Self { host: line.edge.station(tap), wire: line.wire("far0"), peer, number: 0 }
    }

    /// Sends until frames arrive again, both ways.
    #[track_caller]
    pub fn recovers(&mut self) {
        let first = self.number + 1;
        let deadline = Instant::now() + PATIENCE;
        let (mut out, mut back) = (false, false);
        while !out || !back {
            assert!(Instant::now() < deadline, "frames pass: out {out}, back {back}");
            self.send(1);
            thread::sleep(Duration::from_millis(20));
            out |= self.on_the_wire().into_iter().any(|number| number >= first);
            back |= self.at_the_host().into_iter().any(|number| number >= first);
        }
        // What is still under way is not to be taken for anything else.
        thread::sleep(Duration::from_millis(100));
        self.on_the_wire();
        self.at_the_host();
    }

    /// Sends `count` frames both ways, all of which arrive, in order. If they are the first, others before them, which need
    /// not: the kernel drops what a host sends until it has noticed that the TAP has a carrier.
    #[track_caller]
    pub fn all_pass(&mut self, count: u64) {
        if self.number == 0 {
            self.recovers();
        }
        let expected: Vec<u64> = (self.number + 1..=self.number + count).collect();
        let deadline = Instant::now() + PATIENCE;
        let (mut out, mut back) = (Vec::new(), Vec::new());
        let mut left = count;
        while (out.len(), back.len()) != (expected.len(), expected.len()) {
            let now = left.min(BURST);
            self.send(now);
            left -= now;
            thread::sleep(PAUSE);
            out.extend(self.on_the_wire());
            back.extend(self.at_the_host());
            if Instant::now() >= deadline {
                break;
            }
        }
        assert!(out == expected, "{} of {count} frames have come out", out.len());
        assert!(back == expected, "{} of {count} frames have come back", back.len());
    }

    /// Sends both ways, and nothing arrives.
    #[track_caller]
    pub fn nothing_passes(&mut self) {
        let (first, until) = (self.number + 1, Instant::now() + Duration::from_millis(300));
        while Instant::now() < until {
            self.send(4);
            thread::sleep(Duration::from_millis(20));
            let out = self.on_the_wire().into_iter().any(|number| number >= first);
            let back = self.at_the_host().into_iter().any(|number| number >= first);
            assert!(!out && !back, "frames pass: out {out}, back {back}");
        }
    }

    fn send(&mut self, count: u64) {
        for _ in 0..count {
            self.number += 1;
            self.host.send(&numbered(FAR, NEAR, self.number, 100));
            let frame = self.peer.protect(&numbered(NEAR, FAR, self.number, 100));
            self.wire.send(&frame);
        }
    }

    /// The numbers of frames that have come out. There is nothing else on the wire.
    fn on_the_wire(&mut self) -> Vec<u64> {
        let mut numbers = Vec::new();
        for frame in self.wire.received() {
            match self.peer.look(&frame) {
                Seen::Valid(inner) => numbers.extend(number_of(&inner)),
                Seen::Invalid => {}
                Seen::Clear(frame) => panic!("in clear: {frame:02x?}"),
            }
        }
        numbers
    }

    fn at_the_host(&mut self) -> Vec<u64> {
        self.host.received().iter().filter_map(|frame| number_of(frame)).collect()
    }
}
