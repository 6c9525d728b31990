//! Signals, as something to wait for.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
    low_level::{pipe, signal_name},
};

/// The signals that mean something to a gateway. Its descriptor is readable once one has arrived.
pub(super) struct Signals {
    /// SIGHUP.
    reload: Arc<AtomicBool>,
    /// SIGTERM or SIGINT; 0 as long as there was none.
    end: Arc<AtomicUsize>,
    bell: UnixStream,
}

impl Signals {
    /// From now on these signals do not end the process by themselves.
    ///
    /// # Errors
    /// Those of sigaction(2) and socketpair(2).
    pub(super) fn new() -> io::Result<Self> {
        let reload = Arc::new(AtomicBool::new(false));
        let end = Arc::new(AtomicUsize::new(0));
        let (bell, ringer) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        // The flags first: handlers run in this order, and the bell must not ring before.
        flag::register(SIGHUP, Arc::clone(&reload))?;
        for (signal, value) in [(SIGTERM, SIGTERM as usize), (SIGINT, SIGINT as usize)] {
            flag::register_usize(signal, Arc::clone(&end), value)?;
        }
        for signal in [SIGHUP, SIGTERM, SIGINT] {
            pipe::register(signal, ringer.try_clone()?)?;
        }
        Ok(Self { reload, end, bell })
    }

    /// Whether there has been a SIGHUP since the last call.
    pub(super) fn take_reload(&self) -> bool {
        // The bell first, so that a signal that comes meanwhile rings again.
        let mut octets = [0; 64];
        while io::Read::read(&mut &self.bell, &mut octets).is_ok_and(|read| read > 0) {}
        self.reload.swap(false, Ordering::Relaxed)
    }

    /// The signal that asks the process to end, if there has been one.
    pub(super) fn end(&self) -> Option<&'static str> {
        let signal = i32::try_from(self.end.load(Ordering::Relaxed)).unwrap_or_default();
        (signal != 0).then(|| signal_name(signal).unwrap_or("a signal"))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
