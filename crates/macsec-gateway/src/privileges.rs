//! What the process may do, and who may look into it: less as soon as everything is set up.
//!
//! | when | what |
//! |---|---|
//! | first thing in `main` | [`harden`] |
//! | before set-up | [`missing`], to say what is needed |
//! | after set-up, before other threads start | [`drop_capabilities`] |

use std::io;

use rustix::{
    fs::Mode,
    io::Errno,
    process::{DumpableBehavior, Resource, Rlimit},
    thread,
};
use thiserror::Error;

pub use rustix::thread::CapabilitySet;

/// What a port needs to go on running: its sockets, and the links it sets up and down.
pub const RUNNING: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW);

/// Why privileges could not be given up.
#[derive(Debug, Error)]
#[error("{step}: {source}")]
pub struct PrivilegeError {
    step: &'static str,
    source: io::Error,
}

/// Keeps the keys in this process: no core dumps, no look into its memory or environment by other
/// processes of the same user, no files that others may read, and no privileges gained by starting a
/// program.
///
/// All but the last hold for the whole process. The last holds for the calling thread and those that it
/// starts, so call this before there are others.
///
/// # Errors
/// [`PrivilegeError`]. Give up then, rather than run with keys in the open.
pub fn harden() -> Result<(), PrivilegeError> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(at("PR_SET_DUMPABLE"))?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none).map_err(at("RLIMIT_CORE"))?;
    thread::set_no_new_privs(true).map_err(at("PR_SET_NO_NEW_PRIVS"))?;
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    Ok(())
}

/// Gives up every capability but `keep`, for good: in all sets of the calling thread, the bounding
/// set included if it has `CAP_SETPCAP`. Of `keep` it keeps what there is.
///
/// Capabilities belong to a thread, and a new one inherits those of the thread that starts it. So call
/// this before other threads start, or in each that there is.
///
/// # Errors
/// [`PrivilegeError`].
pub fn drop_capabilities(keep: CapabilitySet) -> Result<(), PrivilegeError> {
    let present = thread::capabilities(None).map_err(at("capget"))?;
    if present.effective.contains(CapabilitySet::SETPCAP) {
        bound(keep).map_err(at("PR_CAPBSET_DROP"))?;
    }
    thread::clear_ambient_capability_set().map_err(at("PR_CAP_AMBIENT"))?;
    let kept = present.permitted & keep;
    let inheritable = CapabilitySet::empty();
    let sets = thread::CapabilitySets { effective: kept, permitted: kept, inheritable };
    thread::set_capabilities(None, sets).map_err(at("capset"))
}

/// Those of `needed` that the calling thread does not have, by their names (`CAP_NET_ADMIN`).
///
/// # Errors
/// [`PrivilegeError`] if the kernel does not tell.
pub fn missing(needed: CapabilitySet) -> Result<Vec<String>, PrivilegeError> {
    let present = thread::capabilities(None).map_err(at("capget"))?;
    let missing = needed - present.effective;
    Ok(missing.iter_names().map(|(name, _)| format!("CAP_{name}")).collect())
}

/// Takes all but `keep` out of the bounding set, those included that we have no name for.
fn bound(keep: CapabilitySet) -> Result<(), Errno> {
    let all = (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit));
    for capability in all.filter(|&capability| !keep.contains(capability)) {
        match thread::remove_capability_from_bounding_set(capability) {
            // Beyond the last that this kernel knows.
            Err(Errno::INVAL) => break,
            result => result?,
        }
    }
    Ok(())
}

fn at(step: &'static str) -> impl Fn(Errno) -> PrivilegeError {
    move |errno| PrivilegeError { step, source: errno.into() }
}
