//! Namespaces with a name, which outlive the process that made them.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::{Namespace, NamespaceError, RUN, in_thread, refused};
use crate::sys;

impl Namespace {
    /// The namespace pinned as `name`: one that is there already, by us or by `ip netns add`, or a new
    /// one, mounted where `ip netns` looks for it (`/run/netns/NAME`).
    ///
    /// It outlives this process, so links in it do too, until [`Namespace::unpin`]. (In a mount
    /// namespace of the process's own, as a service manager may give it, it lives as long as that.)
    /// A file of that name that is no namespace, as it is left when someone unmounts one, is mounted
    /// over.
    ///
    /// # Errors
    /// [`NamespaceError`], of them [`NamespaceError::CannotPin`] when only the mount is refused:
    /// [`Namespace::new`] may do instead.
    pub fn pin(name: &str) -> Result<Self, NamespaceError> {
        match Self::open_named(name) {
            Err(NamespaceError::NotPinned(_)) => {}
            other => return other,
        }
        // A thread of its own moves, is mounted, and ends.
        in_thread(|| {
            sys::unshare(libc::CLONE_NEWNET).map_err(|e| refused("unshare", e))?;
            mount_current(name).map_err(|e| NamespaceError::CannotPin(name.to_owned(), e))
        })?;
        Self::open_named(name)
    }

    /// The namespace that is pinned as `name`.
    ///
    /// # Errors
    /// [`NamespaceError::NotPinned`] if there is none, [`NamespaceError::InvalidName`],
    /// [`NamespaceError::Io`].
    pub fn open_named(name: &str) -> Result<Self, NamespaceError> {
        let path = path_of(name)?;
        // Whatever stands there, opening it must not wait.
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
        match opened {
            Ok(file) if sys::is_network_namespace(file.as_fd()) => Ok(Self { file: file.into() }),
            Ok(_) => Err(NamespaceError::NotPinned(name.to_owned())),
            // Mode 0, as it is left when a namespace is unmounted, which only root reads.
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                    Err(NamespaceError::NotPinned(name.to_owned()))
                }
                _ => Err(NamespaceError::Io("open", error)),
            },
        }
    }

    /// Takes the name away. The namespace goes as soon as nothing uses it. No error if there is none.
    ///
    /// # Errors
    /// [`NamespaceError::InvalidName`], [`NamespaceError::CannotPin`].
    pub fn unpin(name: &str) -> Result<(), NamespaceError> {
        let path = path_of(name)?;
        let unmount = || {
            if let Err(error) = sys::unmount(&c_string(&path)?) {
                // Not mounted, or not there, is as wanted.
                if !matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOENT)) {
                    return Err(error);
                }
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        };
        unmount().map_err(|e| NamespaceError::CannotPin(name.to_owned(), e))
    }
}

fn path_of(name: &str) -> Result<String, NamespaceError> {
    let allowed = !matches!(name, "" | "." | "..") && name.len() <= 255;
    if !allowed || name.contains(['/', '\0']) {
        return Err(NamespaceError::InvalidName(name.to_owned()));
    }
    Ok(format!("{RUN}/{name}"))
}

/// Mounts the namespace of this thread as `name`.
fn mount_current(name: &str) -> io::Result<()> {
    if !Path::new(RUN).is_dir() {
        DirBuilder::new().recursive(true).mode(0o755).create(RUN)?;
        // Whatever the umask is: every user may list namespaces, as with those that `ip netns` makes.
        fs::set_permissions(RUN, Permissions::from_mode(0o755))?;
    }
    share_directory()?;
    let path = format!("{RUN}/{name}");
    // Something to mount on: a file of mode 0, unless one is left from earlier.
    let create: io::Result<File> =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o000).open(&path);
    match create {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sys::mount(c"/proc/thread-self/ns/net", &c_string(&path)?, libc::MS_BIND)
}

/// Makes the directory a mount of its own that other mount namespaces share, as `ip netns` wants it:
/// a namespace named (or unnamed) in one of them is then so in all.
fn share_directory() -> io::Result<()> {
    let run = c_string(RUN)?;
    let share = || sys::mount(c"none", &run, libc::MS_SHARED | libc::MS_REC);
    match share() {
        // It is no mount yet.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            sys::mount(&run, &run, libc::MS_BIND | libc::MS_REC)?;
            share()
        }
        other => other,
    }
}

fn c_string(path: &str) -> io::Result<CString> {
    CString::new(path).map_err(|_| io::ErrorKind::InvalidInput.into())
}
