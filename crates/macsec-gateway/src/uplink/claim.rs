//! One gateway for each uplink.

use std::{
    fs::{File, TryLockError},
    io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::Path,
    sync::Arc,
};

use macsec_io::netns::{Namespace, Resident};

use super::UplinkError;
use crate::private_dir::{PrivateDir, PrivateDirError};

/// Where gateways meet, whatever their configurations say.
const CLAIMS: &str = "/run/macsec/claims";

/// The right to an uplink, against other gateways. It ends with the process, however that ends.
///
/// Two gateways on one uplink, copies of one configuration say, would use packet numbers twice. So
/// each locks a file, in a directory that belongs to it and to nobody else: not every user of the
/// machine can keep a gateway from its uplink. An interface belongs to a network namespace, so a file is
/// named after both. One is taken for the host's, one for the private namespace, as the uplink may be
/// in either.
#[derive(Debug)]
pub struct Claim {
    directory: PrivateDir,
    /// Names of the files, which are locked.
    locks: Vec<(String, File)>,
}

impl Claim {
    /// Claims the uplink `name` in the namespace of the calling thread, and in `private`.
    ///
    /// # Errors
    /// [`UplinkError::Claimed`] if another gateway has it, [`UplinkError::NotPrivate`],
    /// [`UplinkError::Claim`].
    pub fn new(name: &str, private: Option<&Arc<Resident>>) -> Result<Self, UplinkError> {
        Self::below(Path::new(CLAIMS), name, private)
    }

    fn below(
        directory: &Path,
        name: &str,
        private: Option<&Arc<Resident>>,
    ) -> Result<Self, UplinkError> {
        let failed = |error: io::Error| {
            let source = io::Error::new(error.kind(), format!("{}: {error}", directory.display()));
            UplinkError::Claim { name: name.to_owned(), source }
        };
        let opened = PrivateDir::open(directory).map_err(|error| match error {
            PrivateDirError::NotPrivate => UplinkError::NotPrivate(directory.to_owned()),
            PrivateDirError::Io(error) => failed(error),
        })?;
        let home = Namespace::current().map_err(|error| failed(io::Error::other(error)))?;
        let mut namespaces = vec![inode(&home).map_err(failed)?];
        if let Some(private) = private {
            namespaces.push(inode(private.as_ref()).map_err(failed)?);
        }
        let mut claim = Self { directory: opened, locks: Vec::new() };
        for namespace in namespaces {
            let file_name = format!("{namespace}-{name}");
            let locked = lock(&claim.directory, &file_name).map_err(failed)?;
            let file = locked.ok_or_else(|| UplinkError::Claimed(name.to_owned()))?;
            claim.locks.push((file_name, file));
        }
        Ok(claim)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        for (name, file) in &self.locks {
            // Left there, it would do no harm.
            let _ = self.directory.remove(name);
            // Closing the file is not enough: a child that is just being started has it too.
            // It cannot fail on a file that is locked.
            let _ = file.unlock();
        }
    }
}

/// Locks a file; `None` if somebody else has it.
fn lock(directory: &PrivateDir, name: &str) -> io::Result<Option<File>> {
    loop {
        let file = directory.lock_file(name)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Its owner may have removed it since it was opened: the next one would make another.
        let present = directory.open_file(name)?.map(|file| inode(&file)).transpose()?;
        if present == Some(inode(&file)?) {
            return Ok(Some(file));
        }
    }
}

fn inode(file: &impl AsFd) -> io::Result<u64> {
    let file = File::from(file.as_fd().try_clone_to_owned()?);
    Ok(file.metadata()?.ino())
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::{
            linux::net::SocketAddrExt,
            unix::{
                fs::PermissionsExt,
                net::{SocketAddr, UnixDatagram},
            },
        },
        process::{Command, Stdio},
        thread,
    };

    use super::*;

    #[test]
    fn one_at_a_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path().join("claims");
        let claim = || Claim::below(&directory, "eth9", None);
        let first = claim().expect("nobody has it");
        let second = claim().expect_err("taken");
        assert!(matches!(second, UplinkError::Claimed(_)), "{second}");
        Claim::below(&directory, "eth8", None).expect("another one");
        drop(first);
        assert_eq!(fs::read_dir(&directory).expect("there").count(), 0);
        drop(claim().expect("given up"));

        // From many sides: never two, and never an error of another kind.
        let held = directory.with_extension("held");
        fs::write(&held, "").expect("a file");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        match claim() {
                            Ok(claim) => {
                                let mine = File::open(&held).expect("a file");
                                mine.try_lock().expect("nobody else has it");
                                mine.unlock().expect("locked");
                                drop(claim);
                            }
                            Err(UplinkError::Claimed(_)) => {}
                            Err(other) => panic!("{other}"),
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn it_ends_with_a_process_that_is_killed() {
        let directory = tempfile::tempdir().expect("a directory");
        let claim = Claim::below(directory.path(), "eth9", None).expect("nobody has it");
        let file = directory.path().join(&claim.locks[0].0);
        drop(claim);
        let mut other = Command::new("flock")
            .arg("--no-fork")
            .arg(&file)
            .args(["sh", "-c", "echo; exec sleep 1000"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("flock of util-linux");
        let mut line = [0];
        let mut output = other.stdout.take().expect("a pipe");
        io::Read::read_exact(&mut output, &mut line).expect("it has the lock");
        let refused = Claim::below(directory.path(), "eth9", None).expect_err("taken");
        assert!(matches!(refused, UplinkError::Claimed(_)), "{refused}");
        other.kill().expect("killed");
        other.wait().expect("dead");
        Claim::below(directory.path(), "eth9", None).expect("its owner is dead");
    }

    #[test]
    fn what_other_users_can_do_is_no_hindrance() {
        let directory = tempfile::tempdir().expect("a directory");
        // An abstract name, as a claim could be: anybody can bind it.
        let address = SocketAddr::from_abstract_name("macsec-gateway uplink eth9").expect("a name");
        let _squatter = UnixDatagram::bind_addr(&address).expect("bound");
        Claim::below(directory.path(), "eth9", None).expect("nobody has it");
        // A directory of theirs is not used.
        for mode in [0o777, 0o1777, 0o720] {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(directory.path(), mode).expect("changed");
            let refused = Claim::below(directory.path(), "eth9", None).expect_err("refused");
            assert!(matches!(refused, UplinkError::NotPrivate(_)), "{refused}");
        }
    }
}
