//! One end with a wrong CAK: both live on the one that they fall back on.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use super::{
    TICK,
    files::{self, FALLBACK},
    gateway::Gateway,
    rotation::must_be_done,
    topology::{End, Topology},
    traffic::{TrafficResult, talk_during},
};

/// The key server notices after a Life Time, 6 s; and then there may be something else to do on the machine.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the clouds talk before.
const BEFORE: Duration = Duration::from_millis(500);
/// How long they talk after: until the former SAK is gone (SAK Retire Time, 3 s). A port has room for two, so
/// what comes next would have to wait for that.
const AFTER: Duration = Duration::from_millis(3500);

/// What came of it.
pub struct FallenBack {
    /// From the moment at which one end had another CAK than the other until both used the one to fall back
    /// on, if they did.
    pub took: Option<Duration>,
    /// What the clouds' applications saw meanwhile.
    pub traffic: TrafficResult,
}

/// Replaces the CAK in use at gateway B by a wrong one of the same name, while the clouds talk.
///
/// # Errors
/// Those of the traffic and of the random number generator; a gateway has ended, or refuses.
pub fn fall_back(topology: &Topology, gateways: &mut [Gateway; 2]) -> io::Result<FallenBack> {
    let wrong = files::fresh_key(32)?;
    let (took, traffic) = talk_during(topology, || {
        let took = go_over(gateways, &wrong);
        thread::sleep(AFTER);
        took
    })?;
    Ok(FallenBack { took: took?, traffic })
}

fn go_over(gateways: &mut [Gateway; 2], wrong: &str) -> io::Result<Option<Duration>> {
    thread::sleep(BEFORE);
    let b = &gateways[End::B as usize];
    let in_use = b.keys()?.in_use.ok_or_else(|| io::Error::other("gateway B uses no CAK"))?;
    // The operator who does that has to insist.
    must_be_done(&b.retire_key(&in_use, true)?)?;
    must_be_done(&b.add_key(&in_use, wrong)?)?;
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let mut fallen = true;
        for gateway in gateways.iter() {
            let keys = gateway.keys()?;
            fallen &= keys.secured && keys.in_use.as_deref() == Some(FALLBACK);
        }
        if fallen {
            return Ok(Some(begun.elapsed()));
        }
        thread::sleep(TICK);
    }
    Ok(None)
}
