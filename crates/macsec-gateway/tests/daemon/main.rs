//! `macsec run` as a process, between a host and a wire of its own. Needs root and `/dev/net/tun`.

#[path = "../common/mod.rs"]
mod common;

mod bench;
mod flood;
mod life;
mod links;
mod mka;
mod paths;
mod peer;
mod reload;
mod secrets;
mod traffic;
mod trouble;

use macsec_io::netns::Namespace;

use bench::{Edge, FAR, NEAR, Station, plug};

/// A host whose uplink `up0` ends in the test's hands, as `far0` in a namespace of its own.
struct Line {
    edge: Edge,
    far: Namespace,
}

impl Line {
    /// None where there are no privileges.
    fn new() -> Option<Self> {
        let open = || Ok::<_, Box<dyn std::error::Error>>((Edge::new()?, Namespace::new()?));
        match open() {
            Ok((edge, far)) => {
                let line = Self { edge, far };
                line.plug("up0", "far0", NEAR);
                line.edge.run(|| bench::quiet("up0"));
                Some(line)
            }
            Err(error) => {
                common::skip(&error.to_string());
                None
            }
        }
    }

    /// Plugs an uplink in; it is down, as a gateway that waits for it may take it away at once.
    fn plug(&self, near: &str, far: &str, mac: [u8; 6]) {
        plug((&self.edge.home, near, mac), (&self.far, far, FAR));
    }

    /// The far end.
    fn wire(&self, far: &str) -> Station {
        self.far.run(|| Station::open(far)).expect("the namespace")
    }
}
