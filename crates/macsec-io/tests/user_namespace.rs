//! An unprivileged process gets a network of its own. Runs without the test harness, as the kernel
//! lets only a process with one thread enter a user namespace.

mod common;

use common::{Pair, collect, frame, send_all, skip};
use macsec_io::netns::enter_user_namespace;
use macsec_io::packet::{RxConfig, TxConfig};

fn main() {
    // `cargo test -- --list` and the like ask for tests by name; there is one, and no name.
    if std::env::args().any(|a| a == "--list") {
        return;
    }
    // A thread that has been joined does not count, even if the kernel is still busy with its end.
    for _ in 0..100 {
        std::thread::spawn(|| ()).join().unwrap();
    }
    if let Err(error) = enter_user_namespace() {
        return skip(error);
    }
    let identity = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    assert_eq!(identity.split_whitespace().next(), Some("0"), "root inside");

    let Some(pair) = Pair::new(1500) else { return };
    let (mut tx, mut rx) = (pair.sender(&TxConfig::default()), pair.receiver(&RxConfig::default()));
    let sent: Vec<_> = (0..200).map(|n| frame(n, [0x88, 0xe5], 1000)).collect();
    send_all(&mut tx, &sent);
    assert!(collect(&mut rx, 200) == sent);
    println!("user namespace: 200 frames ... ok");
}
