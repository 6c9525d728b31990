//! A thread that lives in a namespace.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use super::{Namespace, NamespaceError, refused};
use crate::sys;

type Action = Box<dyn FnOnce() + Send>;

/// A thread that has entered a namespace once and then runs there what it is given.
///
/// Entering takes `CAP_SYS_ADMIN`, which a daemon drops after it has started. What is made in a
/// namespace later (packet sockets, [`Netlink`](crate::netlink::Netlink) handles) is made by such a
/// thread. Capabilities belong to threads: an action that drops them drops those of this one.
///
/// Several threads may use it; their actions take turns. It ends when this value is dropped.
pub struct Resident {
    namespace: Namespace,
    /// `None` only while it is being dropped.
    actions: Option<Sender<Action>>,
    thread: Option<JoinHandle<()>>,
}

impl Resident {
    /// Starts a thread inside `namespace`.
    ///
    /// # Errors
    /// [`NamespaceError`] when there can be no thread, or it may not enter.
    pub fn start(namespace: Namespace) -> Result<Self, NamespaceError> {
        let file = namespace.file.try_clone().map_err(|e| NamespaceError::Io("dup", e))?;
        let (actions, inbox) = channel::<Action>();
        let (entered, entry) = channel();
        let live = move || {
            let result = sys::set_network_namespace(file.as_fd());
            let inside = result.is_ok();
            // It is waited for below.
            let _ = entered.send(result);
            if inside {
                inbox.into_iter().for_each(|action| action());
            }
        };
        let thread = thread::Builder::new()
            .name("namespace".to_owned())
            .spawn(live)
            .map_err(|e| NamespaceError::Io("start a thread", e))?;
        match entry.recv() {
            Ok(Ok(())) => Ok(Self { namespace, actions: Some(actions), thread: Some(thread) }),
            Ok(Err(error)) => Err(refused("setns", error)),
            Err(_) => Err(NamespaceError::Io("setns", io::ErrorKind::Other.into())),
        }
    }

    /// Runs `action` inside, waits for it and returns its value. A panic in it continues here.
    ///
    /// What is said of [`Namespace::run`] about sockets and children holds here too. An action must
    /// not wait for another one: there is one thread.
    pub fn run<T: Send + 'static>(&self, action: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = channel();
        let action = Box::new(move || {
            // Whatever a panic has left half done is the caller's, who learns of it.
            let _ = done.send(catch_unwind(AssertUnwindSafe(action)));
        });
        if let Some(actions) = &self.actions {
            // If it fails, so does the next line.
            let _ = actions.send(action);
        }
        match result.recv() {
            Ok(Ok(value)) => value,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => unreachable!("the thread ends with this value, and catches every panic"),
        }
    }
}

impl AsFd for Resident {
    /// The namespace.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.actions = None;
        if let Some(thread) = self.thread.take() {
            // It has caught every panic.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Resident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resident").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
