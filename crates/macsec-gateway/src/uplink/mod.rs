//! Owning the uplink: the host's own stack is shut out of it, and it is given back as it was.
//!
//! An AF_PACKET socket only copies. Without more the host answers what arrives on the wire in clear, and
//! sends there. Two ways to keep it out, by [`Isolation`]:
//!
//! | | `Namespace` | `Filter` |
//! |---|---|---|
//! | the interface is | moved to a private network namespace | left where it is |
//! | the host's stack | does not see it | is behind a barrier: see [`install_barrier`] |
//! | what is lost when it is given back | its settings below `/proc/sys/net` but `disable_ipv6` | nothing |
//!
//! In both, ARP and IPv6 are off, offloads are off, and the interface is up.
//!
//! What it was like before stands in a record (`NAME.uplink.json`) from before the first change until it
//! is given back, so that a run that is killed does not change what the next one restores. An interface
//! that a killed run left is taken over where it is; the host's stack is not let in meanwhile.
//!
//! All this needs `CAP_NET_ADMIN` and nothing more: the private namespace is entered once, by a
//! [`Resident`]. (Rings need `CAP_NET_RAW`.)
//!
//! [`install_barrier`]: macsec_io::netlink::Netlink::install_barrier

mod checks;
mod claim;
mod error;
mod place;
mod record;

use std::{os::fd::AsFd, path::Path, sync::Arc};

use macsec_io::{
    netlink::{Link, Netlink},
    netns::{Namespace, Resident},
    offload::{self, Offload},
    sysctl,
};

pub use crate::config::Isolation;
pub use claim::Claim;
pub use error::UplinkError;
use place::Place;
use record::{Original, Record};

/// The mark of frames that may leave an uplink with [`Isolation::Filter`]: "MACS".
pub const MARK: u32 = u32::from_be_bytes(*b"MACS");

/// What an uplink is to be like while it is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    /// MTU in octets of Ethernet payload; `None`: as it was.
    pub mtu: Option<u32>,
}

/// What [`Uplink::keep_shut`] has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shut {
    /// The host's stack is shut out, as it was left.
    AsLeft,
    /// These were missing (`"the barrier"`, `"ARP off"`, `"IPv6 off"`), and have been put back: the host
    /// may have heard or said something since the last look.
    Repaired(Vec<&'static str>),
    /// The interface is gone; another one may have its name. To be taken anew.
    Gone,
}

/// Sets an interface down that was shut off, cannot be taken again, and stands in the host's namespace
/// without its barrier. Returns `error`, which says why it cannot be taken.
fn closed(name: &str, error: UplinkError) -> UplinkError {
    let here = Place::Here;
    let is_open = here.netlink(name, |netlink, name| Ok(!netlink.has_whole_barrier(name, MARK)?));
    if is_open.unwrap_or(false) {
        // If that fails too, there is nothing left to try; the next attempt comes soon.
        let _ = here.netlink(name, Netlink::set_down);
    }
    error
}

/// An interface that is ours: nobody but us sends on it, and nobody but us gets what it receives.
///
/// Dropping it leaves everything as it is, for the next run to find; [`Uplink::release`] gives the
/// interface back.
#[derive(Debug)]
pub struct Uplink {
    name: String,
    isolation: Isolation,
    place: Place,
    home: Arc<Namespace>,
    record: Record,
    original: Original,
    /// Its index where it is.
    index: u32,
    /// It has been set down because the barrier could not be put back.
    closed: bool,
}

impl Uplink {
    /// Takes the interface `name`, which is in the namespace of the calling thread, `home`, or where an
    /// earlier run has left it.
    ///
    /// `private` is where [`Isolation::Namespace`] takes it. Say it with [`Isolation::Filter`] too: an
    /// earlier run with the other setting may have left it there. `record_dir` is for the record; see
    /// [`prepare_records`].
    ///
    /// An interface that has been removed and is back is taken like any other.
    ///
    /// To change the settings or the isolation, drop the former value and take the uplink again: the host's
    /// stack is not let in between the two. (Close the rings first. An interface that comes home from the
    /// private namespace arrives down, and gets its barrier next: only who sets it up in that instant lets
    /// the host in.)
    ///
    /// # Errors
    /// [`UplinkError`]; the interface is as it was then. One that was shut off already stays so, with its
    /// record: take it again, or use [`Uplink::give_back`].
    pub fn take(
        name: &str,
        isolation: Isolation,
        home: &Arc<Namespace>,
        private: Option<&Arc<Resident>>,
        record_dir: &Path,
        settings: &Settings,
    ) -> Result<Self, UplinkError> {
        let private = private.map(|resident| Place::Private(Arc::clone(resident)));
        let place = match (isolation, &private) {
            (Isolation::Filter, _) => Place::Here,
            (Isolation::Namespace, Some(private)) => private.clone(),
            (Isolation::Namespace, None) => {
                return Err(UplinkError::NoPrivateNamespace(name.to_owned()));
            }
        };
        let (from, link) = find(name, private.as_ref())?;
        if link.name != name {
            return Err(UplinkError::OtherName { name: name.to_owned(), own: link.name });
        }
        let barrier = from.netlink(name, Netlink::has_barrier)?;
        let record = Record::new(record_dir, name)?;
        // There is one only if an earlier run was killed; it may be of an interface that is gone. Where
        // our barrier is, it has been written for: also if the run ended before it noted a new index.
        let counts = |kept: &Original| !from.is_here() || barrier || kept.is_of(&link);
        let left = record.read()?.filter(counts);
        let was_shut = left.is_some();
        if from.is_here()
            && let Err(error) = checks::check(&link, isolation, barrier)
        {
            return Err(if was_shut { closed(name, error) } else { error });
        }
        let original = match left {
            Some(original) => original,
            None => Original::of(&link, &from)?,
        };
        let home = Arc::clone(home);
        let (name, index) = (name.to_owned(), link.index);
        let mut uplink =
            Self { name, isolation, place, home, record, original, index, closed: false };
        uplink.record.write(&uplink.original)?;
        match uplink.bring(&from).and_then(|()| uplink.set_up(settings)) {
            Ok(()) => Ok(uplink),
            // As long as the host is to be kept out, nothing that fails lets it in.
            Err(error) if was_shut => Err(closed(&uplink.name, error)),
            Err(error) => {
                // The first error is the one that tells.
                let _ = uplink.release();
                Err(error)
            }
        }
    }

    /// Gives back what a value that was dropped, or a run that was killed, has left: for an uplink that
    /// cannot be taken again. The arguments are those of [`Uplink::take`]. Nothing is done if there
    /// is no record of it.
    ///
    /// # Errors
    /// As [`Uplink::release`].
    pub fn give_back(
        name: &str,
        home: &Arc<Namespace>,
        private: Option<&Arc<Resident>>,
        record_dir: &Path,
    ) -> Result<(), UplinkError> {
        let record = Record::new(record_dir, name)?;
        let Some(original) = record.read()? else {
            return Ok(());
        };
        let private = private.map(|resident| Place::Private(Arc::clone(resident)));
        let (place, link) = match find(name, private.as_ref()) {
            Err(UplinkError::Missing(_)) => return record.remove(),
            found => found?,
        };
        let isolation = if place.is_here() { Isolation::Filter } else { Isolation::Namespace };
        let (name, home, index) = (name.to_owned(), Arc::clone(home), link.index);
        Self { name, isolation, place, home, record, original, index, closed: false }.release()
    }

    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `action` where the interface lives, to open rings, monitors and the like: these work from
    /// every thread afterwards. With [`Isolation::Filter`] that is the namespace of the calling thread,
    /// which must be the host's; only rings with [`MARK`] send then.
    pub fn run<T: Send + 'static>(&self, action: impl FnOnce() -> T + Send + 'static) -> T {
        self.place.run(action)
    }

    /// The state of the interface; `None` when it has been removed.
    ///
    /// # Errors
    /// [`UplinkError::Netlink`].
    pub fn link(&self) -> Result<Option<Link>, UplinkError> {
        self.place.find(&self.name)
    }

    /// Looks whether the host's stack is still shut out, and sees to it if somebody has let it in: took the
    /// barrier away, turned ARP or IPv6 on. It is still the same interface then. A few questions to the
    /// kernel; to be called once a second.
    ///
    /// # Errors
    /// [`UplinkError`]: it cannot be shut. Filters of someone else in the way of the barrier, say: the
    /// interface is set down until they are gone.
    pub fn keep_shut(&mut self) -> Result<Shut, UplinkError> {
        let Some(link) = self.own_link()? else {
            return Ok(Shut::Gone);
        };
        let repaired = self.repair(&link);
        match repaired {
            Ok(repaired) if repaired.is_empty() => Ok(Shut::AsLeft),
            Ok(repaired) => Ok(Shut::Repaired(repaired)),
            // It may have gone in the midst of it.
            Err(_) if self.own_link()?.is_none() => Ok(Shut::Gone),
            Err(error) => Err(error),
        }
    }

    /// Gives the interface back: where it was, as it was. One that has been removed needs nothing.
    ///
    /// Close the rings first: an interface that moves is removed as far as they can tell.
    ///
    /// # Errors
    /// The first [`UplinkError`]; what can be put back is put back all the same. An interface that
    /// cannot be moved back (its name is taken there) stays where it is, down, with its record.
    pub fn release(self) -> Result<(), UplinkError> {
        let Some(link) = self.link()? else {
            return self.record.remove();
        };
        let result = match self.isolation {
            Isolation::Namespace => self.leave_namespace(),
            Isolation::Filter if self.original.is_of(&link) => self.lift_filter(),
            // Another one by now, which has never been ours.
            Isolation::Filter => Ok(()),
        };
        let is_home = self.place.is_here() || self.link()?.is_none();
        if is_home {
            self.record.remove()?;
        }
        result
    }

    /// The interface, if it is still the one that was taken.
    fn own_link(&self) -> Result<Option<Link>, UplinkError> {
        Ok(self.link()?.filter(|link| link.index == self.index))
    }

    /// Puts back what keeps the host's stack out. Returns what was missing.
    fn repair(&mut self, link: &Link) -> Result<Vec<&'static str>, UplinkError> {
        let (place, name) = (&self.place, &self.name);
        let mut repaired = Vec::new();
        if self.isolation == Isolation::Filter
            && !place.netlink(name, |netlink, name| netlink.has_whole_barrier(name, MARK))?
        {
            let installed =
                place.netlink(name, |netlink, name| netlink.install_barrier(name, MARK));
            if let Err(error) = installed {
                place.netlink(name, Netlink::set_down)?;
                self.closed = true;
                return Err(error);
            }
            repaired.push("the barrier");
        }
        if link.arp {
            place.netlink(name, |netlink, name| netlink.set_arp(name, false))?;
            repaired.push("ARP off");
        }
        if place.ipv6(name, sysctl::is_ipv6_disabled)? == Some(false) {
            place.ipv6(name, sysctl::disable_ipv6)?;
            repaired.push("IPv6 off");
        }
        if self.closed {
            place.netlink(name, Netlink::set_up)?;
            self.closed = false;
        }
        Ok(repaired)
    }

    /// Brings the interface to its place, so that the host's stack is shut out.
    fn bring(&mut self, from: &Place) -> Result<(), UplinkError> {
        let name = &self.name;
        match &self.place {
            Place::Private(private) => {
                // First, as an interface that arrives may be set up by anyone.
                self.place.ipv6(name, |_| sysctl::disable_ipv6_everywhere())?;
                if from.is_here() {
                    let private = Arc::clone(private);
                    from.netlink(name, move |netlink, name| {
                        netlink.move_to_namespace(name, private.as_fd())
                    })?;
                }
            }
            Place::Here => {
                if !from.is_here() {
                    // It arrives down.
                    self.move_home(from)?;
                }
                self.place.netlink(name, |netlink, name| netlink.install_barrier(name, MARK))?;
            }
        }
        // It may have got another one.
        let link = self.link()?.ok_or_else(|| UplinkError::Missing(self.name.clone()))?;
        self.index = link.index;
        if self.place.is_here() && self.original.index != link.index {
            self.original.index = link.index;
            self.record.write(&self.original)?;
        }
        Ok(())
    }

    /// Makes the interface, already shut off, what an uplink has to be.
    fn set_up(&self, settings: &Settings) -> Result<(), UplinkError> {
        let (place, name) = (&self.place, &self.name);
        place.netlink(name, |netlink, name| netlink.set_arp(name, false))?;
        // Before IPv6, which comes to an interface when its MTU becomes large enough.
        self.set_mtu(settings.mtu.unwrap_or(self.original.mtu))?;
        place.ipv6(name, sysctl::disable_ipv6)?;
        let mut left = place.offloads(name, offload::disable_all)?;
        // The others do no harm to frames that come from a ring.
        left.retain(|offload| {
            use Offload::{GenericReceive, LargeReceive, TcpSegmentation};
            matches!(offload, GenericReceive | LargeReceive | TcpSegmentation)
        });
        if !left.is_empty() {
            let left = left.iter().map(|offload| format!("{offload:?}")).collect::<Vec<_>>();
            return Err(UplinkError::KeepsOffloads { name: name.clone(), left: left.join(", ") });
        }
        place.netlink(name, Netlink::set_up)
    }

    fn leave_namespace(&self) -> Result<(), UplinkError> {
        let name = &self.name;
        // Down first: what follows would let it speak.
        self.place.netlink(name, Netlink::set_down)?;
        let settings =
            [self.set_mtu(self.original.mtu), self.restore_offloads(), self.restore_arp()];
        self.move_home(&self.place)?;
        let up = self.original.up;
        let at_home = [
            self.restore_ipv6(),
            if up { Place::Here.netlink(name, Netlink::set_up) } else { Ok(()) },
        ];
        settings.into_iter().chain(at_home).collect()
    }

    fn lift_filter(&self) -> Result<(), UplinkError> {
        let (name, &Original { up, clsact, .. }) = (&self.name, &self.original);
        // IPv6 comes last: its first words (duplicate detection) must not be lost.
        let steps = [
            self.set_mtu(self.original.mtu),
            self.restore_offloads(),
            self.place.netlink(name, if up { Netlink::set_up } else { Netlink::set_down }),
            self.place.netlink(name, move |n, name| n.remove_barrier(name, clsact)),
            self.restore_arp(),
            self.restore_ipv6(),
        ];
        steps.into_iter().collect()
    }

    fn move_home(&self, from: &Place) -> Result<(), UplinkError> {
        let home = Arc::clone(&self.home);
        from.netlink(&self.name, move |netlink, name| netlink.move_to_namespace(name, home.as_fd()))
    }

    fn set_mtu(&self, mtu: u32) -> Result<(), UplinkError> {
        let set = self.place.netlink(&self.name, move |netlink, name| netlink.set_mtu(name, mtu));
        set.map_err(|error| match error {
            UplinkError::Netlink { name, source } => UplinkError::Mtu { name, mtu, source },
            other => other,
        })
    }

    fn restore_arp(&self) -> Result<(), UplinkError> {
        let arp = self.original.arp;
        self.place.netlink(&self.name, move |netlink, name| netlink.set_arp(name, arp))
    }

    fn restore_offloads(&self) -> Result<(), UplinkError> {
        let features = self.original.features();
        self.place.offloads(&self.name, move |name| features.restore(name))
    }

    /// At home: it gets the defaults of each namespace it comes to.
    fn restore_ipv6(&self) -> Result<(), UplinkError> {
        match self.original.ipv6_disabled {
            Some(disabled) => Place::Here
                .ipv6(&self.name, move |name| sysctl::set_ipv6_disabled(name, disabled).map(drop)),
            None => Ok(()),
        }
    }
}

/// Makes the directory for records, or looks whether the one that is there will do: it has to belong to
/// this user, and nobody else may write to it. It need not outlive a reboot (`/run/...`).
///
/// # Errors
/// [`UplinkError::NotPrivate`], [`UplinkError::Record`].
pub fn prepare_records(record_dir: &Path) -> Result<(), UplinkError> {
    record::open_records(record_dir).map(drop)
}

/// The interface `name` of the calling thread's namespace, if it could be taken; it stays as it is.
///
/// # Errors
/// [`UplinkError`]: why not, as far as looking tells.
pub fn inspect(name: &str, isolation: Isolation) -> Result<Link, UplinkError> {
    let link = Place::Here.find(name)?.ok_or_else(|| UplinkError::Missing(name.to_owned()))?;
    if link.name != name {
        return Err(UplinkError::OtherName { name: name.to_owned(), own: link.name });
    }
    let barrier = Place::Here.netlink(name, Netlink::has_barrier)?;
    checks::check(&link, isolation, barrier)?;
    Ok(link)
}

/// Where the interface `name` is, and what it is like there.
fn find(name: &str, private: Option<&Place>) -> Result<(Place, Link), UplinkError> {
    let left = match private {
        Some(private) => private.find(name)?.map(|link| (private.clone(), link)),
        None => None,
    };
    match (left, Place::Here.find(name)?) {
        // Loopback, which every namespace has, is refused as what it is.
        (Some(_), Some(link)) if link.ethernet => Err(UplinkError::Twice(link.name)),
        (Some(_), Some(link)) => Ok((Place::Here, link)),
        (Some(left), None) => Ok(left),
        (None, Some(link)) => Ok((Place::Here, link)),
        (None, None) => Err(UplinkError::Missing(name.to_owned())),
    }
}
