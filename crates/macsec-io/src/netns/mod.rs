//! Network namespaces: private network stacks for tests, demonstrations, and an uplink that the
//! host's own stack must not reach.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;
use std::time::Duration;

pub use resident::Resident;

use crate::sys;

mod pin;
mod resident;

/// Where named namespaces are, for us as for `ip netns`.
const RUN: &str = "/run/netns";

/// Why a namespace cannot be made or entered.
#[derive(Debug)]
#[non_exhaustive]
pub enum NamespaceError {
    /// `CAP_SYS_ADMIN` is missing. [`enter_user_namespace`] gives it, if the system allows that.
    PermissionDenied,
    /// A user namespace can only be entered by a process with one thread; this one has more.
    MultiThreaded,
    /// The system does not allow (more) user or network namespaces: see the limits in
    /// `/proc/sys/user/max_*_namespaces` and `kernel.unprivileged_userns_clone`.
    Forbidden,
    /// What a name below `/run/netns` may not be: empty, `.` or `..`, with a `/`, or longer than 255
    /// octets.
    InvalidName(String),
    /// No namespace is pinned under this name.
    NotPinned(String),
    /// The namespace cannot be pinned (or unpinned): mounts are not allowed here, or `/run` is not
    /// writable. It can be done without.
    CannotPin(String, io::Error),
    /// Another failure, of the step named.
    Io(&'static str, io::Error),
}

impl fmt::Display for NamespaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PermissionDenied => write!(
                f,
                "no permission for network namespaces: CAP_SYS_ADMIN is needed, or a user namespace"
            ),
            Self::MultiThreaded => write!(
                f,
                "a user namespace must be entered before the process starts its second thread"
            ),
            Self::Forbidden => write!(
                f,
                "namespaces are limited here: see /proc/sys/user/max_net_namespaces, \
                 /proc/sys/user/max_user_namespaces, kernel.unprivileged_userns_clone"
            ),
            Self::InvalidName(name) => write!(
                f,
                "{name:?} is no name for a network namespace: use 1 to 255 octets without '/'"
            ),
            Self::NotPinned(name) => write!(f, "there is no network namespace {RUN}/{name}"),
            Self::CannotPin(name, error) => {
                write!(f, "network namespace {RUN}/{name} cannot be mounted or unmounted: {error}")
            }
            Self::Io(what, error) => write!(f, "network namespace: {what}: {error}"),
        }
    }
}

impl std::error::Error for NamespaceError {}

/// A network namespace, alive as long as this value (or anything in it: a process, a socket).
///
/// It has no name, so nothing is left behind when the process ends, and links in it (with the
/// other ends of their veth pairs) go with it. It starts with `lo` alone, which is down.
#[derive(Debug)]
pub struct Namespace {
    file: OwnedFd,
}

impl Namespace {
    /// A new, empty namespace. The calling thread stays where it is.
    ///
    /// # Errors
    /// [`NamespaceError`].
    pub fn new() -> Result<Self, NamespaceError> {
        // A thread of its own moves and ends; a file descriptor keeps the namespace.
        in_thread(|| {
            sys::unshare(libc::CLONE_NEWNET).map_err(|e| refused("unshare", e))?;
            Self::current()
        })
    }

    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// [`NamespaceError::Io`] when `/proc` is not mounted.
    pub fn current() -> Result<Self, NamespaceError> {
        let path = "/proc/thread-self/ns/net";
        let file = File::open(path).map_err(|e| NamespaceError::Io(path, e))?;
        Ok(Self { file: file.into() })
    }

    /// The namespace that a file stands for: one bound below `/run/netns`, or one that another process
    /// holds, as `/proc/PID/ns/net` or `/proc/PID/fd/N`.
    ///
    /// # Errors
    /// [`NamespaceError::Io`]. Whether it is a network namespace shows only when it is entered.
    pub fn open(path: &Path) -> Result<Self, NamespaceError> {
        let file = File::open(path).map_err(|e| NamespaceError::Io("open", e))?;
        Ok(Self { file: file.into() })
    }

    /// Runs `action` on a new thread inside the namespace, waits for it and returns its value. A
    /// panic in it continues here.
    ///
    /// Sockets, TAPs and [`Netlink`](crate::netlink::Netlink) handles made inside stay in the
    /// namespace and work from every thread afterwards. A child started inside (`Command::spawn`)
    /// inherits the namespace: so do `Command`s only, as the *thread* is what has moved.
    ///
    /// # Errors
    /// [`NamespaceError`] when the namespace cannot be entered; `action` has not run then.
    pub fn run<T: Send>(&self, action: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        in_thread(|| {
            sys::set_network_namespace(self.file.as_fd()).map_err(|e| refused("setns", e))?;
            Ok(action())
        })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn in_thread<T: Send>(action: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(action).join().unwrap_or_else(|panic| resume_unwind(panic)))
}

/// Makes this process root of a user namespace of its own, with an empty network namespace: enough
/// for everything in this crate (a TAP only if `/dev/net/tun` may be opened) without being root
/// outside. What it mounts from now on, it alone sees.
///
/// Call it at the start of `main`: the kernel refuses when there is more than one thread.
///
/// # Errors
/// [`NamespaceError`]. After [`NamespaceError::Io`] the process may already be in the new
/// namespaces, without its user mapped: give up then.
pub fn enter_user_namespace() -> Result<(), NamespaceError> {
    if !is_single_threaded() {
        return Err(NamespaceError::MultiThreaded);
    }
    // Asked before: inside, both are the overflow ids until they are mapped.
    let (user, group) = sys::effective_ids();
    sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::CLONE_NEWNS)
        .map_err(|e| refused("unshare user namespace", e))?;
    write_proc("/proc/self/setgroups", "deny")?;
    write_proc("/proc/self/uid_map", &format!("0 {user} 1"))?;
    write_proc("/proc/self/gid_map", &format!("0 {group} 1"))
}

fn is_single_threaded() -> bool {
    // A thread that has just been joined may not have left the list yet.
    for _ in 0..100 {
        if fs::read_dir("/proc/self/task").map_or(1, Iterator::count) <= 1 {
            return true;
        }
        thread::sleep(Duration::from_millis(1));
    }
    false
}

fn write_proc(path: &'static str, text: &str) -> Result<(), NamespaceError> {
    fs::write(path, text).map_err(|e| NamespaceError::Io(path, e))
}

fn refused(what: &'static str, error: io::Error) -> NamespaceError {
    match error.raw_os_error() {
        // A user namespace needs no privilege, so there EPERM means policy.
        Some(libc::EPERM) if what.contains("user") => NamespaceError::Forbidden,
        Some(libc::EPERM) => NamespaceError::PermissionDenied,
        Some(libc::ENOSPC | libc::EUSERS) => NamespaceError::Forbidden,
        _ => NamespaceError::Io(what, error),
    }
}
