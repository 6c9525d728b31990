//! Frames per second and latency of the packet rings over a veth pair, in namespaces of its own.
//!
//! `cargo run --release -p macsec-io --example packet_rate` (as root, or any user where user
//! namespaces are allowed). The numbers are those of this machine's veth and its scheduler too:
//! compare rows of one run, and nothing else.

use std::error::Error;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use macsec_io::netlink::{Netlink, VethEnd};
use macsec_io::netns::{self, Namespace};
use macsec_io::packet::{PacketRxRing, PacketTxRing, PushError, RxConfig, RxMode, TxConfig};
use macsec_io::sysctl::disable_ipv6;

const RUN: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn Error>> {
    if Namespace::new().is_err() {
        netns::enter_user_namespace()?;
    }
    let pair = Pair::new()?;
    let blocks =
        |ms| RxMode::Blocks { size: 1 << 18, count: 32, timeout: Duration::from_millis(ms) };
    let modes = [
        ("slots", RxMode::Slots { frames: 1024 }),
        ("slots x4", RxMode::Slots { frames: 4096 }),
        ("blocks 1 ms", blocks(1)),
        ("blocks 8 ms", blocks(8)),
    ];
    println!(
        "{:12} {:>6} {:>6} {:>12} {:>12} {:>8} {:>10}",
        "receiver", "octets", "qdisc", "sent/s", "received/s", "lost", "Gbit/s"
    );
    for (name, mode) in &modes {
        for len in [64, 512, 1514, 9014] {
            for bypass_qdisc in [false, true] {
                rate(&pair, name, mode, len, bypass_qdisc)?;
            }
        }
    }
    println!("\n{:12} {:>12} {:>12} {:>12}", "one frame", "median", "90 %", "99 %");
    for (name, mode) in &modes {
        latency(&pair, name, mode)?;
    }
    Ok(())
}

/// One thread sends as fast as it can, another receives.
fn rate(
    pair: &Pair,
    name: &str,
    mode: &RxMode,
    len: usize,
    bypass_qdisc: bool,
) -> Result<(), Box<dyn Error>> {
    let mut rx = pair.receiver(mode)?;
    let mut tx = pair.sender(&TxConfig { bypass_qdisc, ..TxConfig::default() })?;
    let frame = vec![0x88; len];
    let start = Instant::now();
    let receiver = std::thread::spawn(move || {
        let mut sum = 0_u64;
        while start.elapsed() < RUN {
            let got = rx.receive(4096, |frame| sum = sum.wrapping_add(frame[20].into()));
            if got == 0 {
                let _ = rx.wait(Some(Duration::from_millis(10)));
            }
        }
        std::hint::black_box(sum);
        rx.statistics()
    });
    while start.elapsed() < RUN {
        for _ in 0..64 {
            if tx.push(&frame) == Err(PushError::Full) {
                break;
            }
        }
        tx.flush()?;
    }
    let received = receiver.join().expect("receiver")?.delivered;
    let sent = tx.statistics().sent;
    let per_second = |count: u64| count as f64 / RUN.as_secs_f64();
    println!(
        "{name:12} {len:6} {:>6} {:12.0} {:12.0} {:7.1}% {:10.2}",
        if bypass_qdisc { "bypass" } else { "kept" },
        per_second(sent),
        per_second(received),
        100.0 * (1.0 - received as f64 / sent as f64),
        per_second(received) * len as f64 * 8e-9,
    );
    Ok(())
}

/// From flush to delivery, one frame at a time.
fn latency(pair: &Pair, name: &str, mode: &RxMode) -> Result<(), Box<dyn Error>> {
    let mut rx = pair.receiver(mode)?;
    let mut tx = pair.sender(&TxConfig::default())?;
    let mut times = Vec::new();
    for _ in 0..500 {
        std::thread::sleep(Duration::from_millis(1));
        tx.push(&[0x88; 100])?;
        let start = Instant::now();
        tx.flush()?;
        while rx.receive(1, |_| ()) == 0 {
            rx.wait(Some(Duration::from_millis(100)))?;
        }
        times.push(start.elapsed());
    }
    times.sort();
    println!("{name:12} {:>12.1?} {:>12.1?} {:>12.1?}", times[250], times[450], times[495]);
    Ok(())
}

struct Pair {
    left: Namespace,
    right: Namespace,
}

impl Pair {
    fn new() -> Result<Self, Box<dyn Error>> {
        let (left, right) = (Namespace::new()?, Namespace::new()?);
        let ends = (VethEnd::new("left"), VethEnd::new("right").namespace(right.as_fd()));
        left.run(|| Netlink::open()?.create_veth(&ends.0, &ends.1))??;
        for (namespace, name) in [(&left, "left"), (&right, "right")] {
            namespace.run(|| -> Result<(), String> {
                disable_ipv6(name).map_err(|e| e.to_string())?;
                let mut netlink = Netlink::open().map_err(|e| e.to_string())?;
                netlink.set_mtu(name, 9000).map_err(|e| e.to_string())?;
                netlink.set_up(name).map_err(|e| e.to_string())
            })??;
        }
        Ok(Self { left, right })
    }

    fn sender(&self, config: &TxConfig) -> Result<PacketTxRing, Box<dyn Error>> {
        Ok(self.left.run(|| PacketTxRing::open("left", config))??)
    }

    fn receiver(&self, mode: &RxMode) -> Result<PacketRxRing, Box<dyn Error>> {
        let config = RxConfig { mode: mode.clone(), ..RxConfig::default() };
        Ok(self.right.run(|| PacketRxRing::open("right", &config))??)
    }
}
