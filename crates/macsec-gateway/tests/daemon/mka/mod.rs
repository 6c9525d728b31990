//! Gateways that agree on keys.

mod alone;
mod keys;
mod sessions;
mod wire;
mod wrong;

use std::{
    os::fd::AsFd,
    process::Output,
    thread,
    time::{Duration, Instant},
};

use macsec_gateway::status::{MkaStatus, Status};
use macsec_io::{
    netlink::{Netlink, VethEnd},
    netns::Namespace,
};

use crate::{
    bench::{BOTH_ISOLATIONS, Daemon, Edge, FAR, NEAR, PATIENCE, Station, number_of, numbered},
    common,
};

const CAK: &str = "135bd758b0ee5c11c55ff6ab19fdb199";
const CKN: &str = "6d6b61";

/// What the port of one end is to be.
#[derive(Clone, Copy)]
struct End {
    isolation: &'static str,
    ckn: &'static str,
    cak: &'static str,
    /// More lines of the port.
    lines: &'static str,
    /// More lines of its `[port.mka]`.
    mka: &'static str,
}

const END: End = End { isolation: "filter", ckn: CKN, cak: CAK, lines: "", mka: "" };

impl End {
    fn configure(&self, edge: &Edge) {
        let Self { isolation, ckn, cak, lines, mka } = self;
        edge.write("cak", cak, 0o600);
        edge.configure_text(&format!(
            "[[port]]\nname = \"wan0\"\nuplink = \"up0\"\nisolation = {isolation:?}\n{lines}\n\
             [port.mka]\nckn = {ckn:?}\ncak_file = \"cak\"\n{mka}\n"
        ));
    }
}

/// Two hosts, and a wire between their uplinks.
struct Couple {
    a: Edge,
    b: Edge,
}

impl Couple {
    /// None where there are no privileges.
    fn new() -> Option<Self> {
        match Edge::new().and_then(|a| Ok((a, Edge::new()?))) {
            Ok((a, b)) => {
                let couple = Self { a, b };
                couple.plug();
                Some(couple)
            }
            Err(error) => {
                common::skip(&error.to_string());
                None
            }
        }
    }

    /// Plugs the wire in. The gateways set its ends up.
    fn plug(&self) {
        self.a.run(|| {
            let far = VethEnd::new("up0").mac(FAR).namespace(self.b.home.as_fd());
            let near = VethEnd::new("up0").mac(NEAR);
            Netlink::open().expect("netlink").create_veth(&near, &far).expect("a wire");
        });
    }

    /// Takes the wire away, wherever the gateways have put its ends.
    fn unplug(&self) {
        let delete = || Netlink::open().expect("netlink").delete_link("up0");
        let private = Namespace::open_named(&self.a.private).ok();
        let deleted = private.and_then(|namespace| namespace.run(delete).ok());
        if !matches!(deleted, Some(Ok(()))) {
            self.a.run(delete).expect("deleted");
        }
    }

    /// Both gateways, which have a session.
    fn secured(&self, a: End, b: End) -> (Daemon, Daemon) {
        a.configure(&self.a);
        b.configure(&self.b);
        let (mut left, mut right) = (self.a.start_again(), self.b.start_again());
        left.secured();
        right.secured();
        (left, right)
    }

    fn ends(&self) -> [&Edge; 2] {
        [&self.a, &self.b]
    }

    fn hosts(&self) -> Hosts {
        Hosts { a: self.a.station("wan0"), b: self.b.station("wan0"), number: 0 }
    }
}

/// Those who use the TAPs.
struct Hosts {
    a: Station,
    b: Station,
    number: u64,
}

impl Hosts {
    /// Sends until a frame gets through, each way.
    #[track_caller]
    fn talk(&mut self) {
        let Self { a, b, number } = self;
        get_through(a, b, FAR, NEAR, number);
        get_through(b, a, NEAR, FAR, number);
    }

    /// One frame each way, whether or not it gets through.
    fn chat(&mut self) {
        self.number += 1;
        self.a.send(&numbered(FAR, NEAR, self.number, 100));
        self.b.send(&numbered(NEAR, FAR, self.number, 100));
        self.a.received();
        self.b.received();
    }

    /// Sends `count` frames each way, all of which arrive in order.
    #[track_caller]
    fn all_pass(&mut self, count: u64) {
        for _ in 0..count {
            self.number += 1;
            self.a.send(&numbered(FAR, NEAR, self.number, 100));
            self.b.send(&numbered(NEAR, FAR, self.number, 100));
        }
        let sent: Vec<_> = (self.number - count + 1..=self.number).collect();
        for station in [&mut self.a, &mut self.b] {
            let wanted = |frame: &[u8]| number_of(frame).is_some_and(|n| n >= sent[0]);
            let got = station.wait_for(sent.len(), wanted);
            let got: Vec<_> = got.iter().filter_map(|frame| number_of(frame)).collect();
            assert_eq!(got, sent);
        }
    }
}

#[track_caller]
fn get_through(
    from: &mut Station,
    to: &mut Station,
    destination: [u8; 6],
    source: [u8; 6],
    number: &mut u64,
) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        *number += 1;
        from.send(&numbered(destination, source, *number, 100));
        thread::sleep(Duration::from_millis(10));
        if to.received().iter().any(|frame| number_of(frame).is_some()) {
            return;
        }
        assert!(Instant::now() < deadline, "no frame gets through");
    }
}

/// `macsec rekey`. It is asked again if the port did not answer in time, as on a busy machine.
#[track_caller]
fn rekey(edge: &Edge, more: &[&str]) -> Output {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let output = edge.ask(&[&["rekey"], more].concat());
        let text = String::from_utf8_lossy(&output.stderr);
        if !text.contains("not answer") && !text.contains("no answer") {
            return output;
        }
        assert!(Instant::now() < deadline, "{text}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The KaY of the one port.
fn kay(status: &Status) -> &MkaStatus {
    status.ports[0].mka.as_ref().expect("a KaY")
}

/// Whether a symptom has `words` in it.
fn has_symptom(status: &Status, words: &str) -> bool {
    let kay = status.ports[0].mka.as_ref();
    kay.is_some_and(|kay| kay.symptoms.iter().any(|symptom| symptom.contains(words)))
}

/// The KI of the SAK that is transmitted with.
fn in_use(status: &Status) -> Option<String> {
    let secy = status.ports[0].secy.as_ref()?;
    let sa = secy.transmit_sc.transmit_sa.iter().find(|sa| sa.in_use)?;
    Some(sa.key_identifier.clone())
}
