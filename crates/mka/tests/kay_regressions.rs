//! What went wrong once where the machines of a KaY meet.

mod data_plane;
mod kay_lab;
mod lab;

use std::time::Duration;

use kay_lab::KayLab;
use lab::seconds;

const DATA: Duration = Duration::from_millis(20);

fn secured(seed: u64, priorities: &[u8]) -> KayLab {
    let mut lab = KayLab::of(seed, priorities);
    lab.secured_within(seconds(2));
    lab.send_data(DATA);
    lab.lan.run_for(seconds(10));
    lab
}

/// The participant did not ask whether its port was enabled before it sent.
#[test]
fn a_port_that_is_down_is_silent() {
    let mut lab = secured(3, &[16, 32]);
    lab.lan.with(1, |station, now| station.act(now, |kay| kay.set_port_enabled(now, false)));
    let sent = lab.lan.sent().len();
    lab.lan.run_for(seconds(30));
    assert!(lab.lan.sent()[sent..].iter().all(|sent| sent.from == 0));
    assert_eq!(lab.lan[1].kay.poll_timeout(), None);
}
