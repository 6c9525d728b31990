//! Messages to a thread that waits in poll(2).

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
};

use rustix::event::{EventfdFlags, eventfd};

/// The receiving end. Its descriptor is readable while messages may be there.
pub(crate) struct Mailbox<T> {
    messages: Receiver<T>,
    bell: Arc<OwnedFd>,
}

/// A sending end.
pub(crate) struct Address<T> {
    messages: Sender<T>,
    bell: Arc<OwnedFd>,
}

impl<T> Clone for Address<T> {
    fn clone(&self) -> Self {
        Self { messages: self.messages.clone(), bell: Arc::clone(&self.bell) }
    }
}

/// A mailbox and its address.
///
/// # Errors
/// Those of eventfd(2).
pub(crate) fn mailbox<T>() -> io::Result<(Address<T>, Mailbox<T>)> {
    let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let (sender, receiver) = mpsc::channel();
    let address = Address { messages: sender, bell: Arc::clone(&bell) };
    Ok((address, Mailbox { messages: receiver, bell }))
}

impl<T> Address<T> {
    /// Sends a message. False if nobody is there any more.
    pub(crate) fn send(&self, message: T) -> bool {
        let sent = self.messages.send(message).is_ok();
        // It can only fail because it has rung often enough.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        sent
    }
}

impl<T> Mailbox<T> {
    /// The messages that are there.
    pub(crate) fn take_all(&self) -> impl Iterator<Item = T> + '_ {
        // First, so that a message that comes meanwhile rings again.
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        self.messages.try_iter()
    }
}

impl<T> AsFd for Mailbox<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use macsec_io::poll::wait_readable;

    use super::*;

    #[test]
    fn the_bell_rings_until_the_mail_is_taken() {
        let (address, mailbox) = mailbox().expect("an eventfd");
        let rings = |mailbox: &Mailbox<u32>| {
            let [ready] = wait_readable([mailbox.as_fd()], Some(Duration::ZERO)).expect("poll");
            ready.readable
        };
        assert!(!rings(&mailbox));
        assert!(address.send(1) && address.clone().send(2));
        assert!(rings(&mailbox));
        assert_eq!(mailbox.take_all().collect::<Vec<_>>(), [1, 2]);
        assert!(!rings(&mailbox));
        drop(mailbox);
        assert!(!address.send(3), "nobody is there");
    }
}
