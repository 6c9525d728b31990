//! Namespaces with a name, and threads that live in one.

mod common;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Arc;

use common::{namespace, skip};
use macsec_io::netlink::{Netlink, VethEnd};
use macsec_io::netns::{Namespace, NamespaceError, Resident};

/// The inode that stands for the namespace of the calling thread.
fn inode() -> u64 {
    std::fs::metadata("/proc/thread-self/ns/net").unwrap().ino()
}

#[test]
fn a_resident_runs_everything_in_its_namespace() {
    let Some(namespace) = namespace() else { return };
    let (outside, inside) = (inode(), namespace.run(inode).unwrap());
    let resident = Arc::new(Resident::start(namespace).unwrap());
    assert_eq!(resident.run(inode), inside);

    // From several threads at once, always on the same thread.
    let id = resident.run(|| std::thread::current().id());
    let users: Vec<_> = (0..4)
        .map(|n| {
            let resident = Arc::clone(&resident);
            std::thread::spawn(move || {
                for i in 0..50 {
                    let got = resident.run(move || (inode(), std::thread::current().id(), n + i));
                    assert_eq!(got, (inside, id, n + i));
                }
            })
        })
        .collect();
    users.into_iter().for_each(|user| user.join().unwrap());

    // A panic arrives here, and the thread goes on.
    let panic = catch_unwind(AssertUnwindSafe(|| resident.run(|| panic!("on purpose"))));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"on purpose"));
    assert_eq!(resident.run(inode), inside);
    assert_eq!(inode(), outside);
}

#[test]
fn a_resident_ends_with_its_value() {
    let Some(namespace) = namespace() else { return };
    let resident = Resident::start(namespace).unwrap();
    let task = resident.run(|| std::fs::read_link("/proc/thread-self").unwrap());
    let task = std::path::Path::new("/proc").join(task);
    assert!(task.exists());
    drop(resident);
    // Joined; it may take the kernel a moment to take it off the list.
    let deadline = std::time::Instant::now() + common::PATIENCE;
    while task.exists() {
        assert!(std::time::Instant::now() < deadline, "the thread is still there");
        std::thread::yield_now();
    }
}

#[test]
fn a_file_that_is_no_namespace_cannot_be_entered() {
    let file = Namespace::open("/proc/self/status".as_ref()).unwrap();
    assert!(Resident::start(file).is_err());
}

/// Takes the name away at the end of a test, however it ends.
struct Pinned(String);

impl Drop for Pinned {
    fn drop(&mut self) {
        Namespace::unpin(&self.0).unwrap();
    }
}

#[test]
fn a_pinned_namespace_outlives_its_handle() {
    if namespace().is_none() {
        return;
    }
    let name = Pinned(format!("macsec-io-test-{}", std::process::id()));
    let name = name.0.as_str();
    let path = format!("/run/netns/{name}");
    assert!(matches!(Namespace::open_named(name), Err(NamespaceError::NotPinned(_))));

    // What is left when someone unmounts a namespace but does not remove its file.
    std::fs::create_dir_all("/run/netns").unwrap();
    std::fs::write(&path, "").unwrap();
    assert!(matches!(Namespace::open_named(name), Err(NamespaceError::NotPinned(_))));

    let outside = inode();
    let first = match Namespace::pin(name) {
        Err(error @ NamespaceError::CannotPin(..)) => return skip(error),
        other => other.unwrap(),
    };
    let inside = first.run(inode).unwrap();
    assert_ne!(inside, outside);
    assert_eq!(inode(), outside, "this thread has not moved");
    first
        .run(|| {
            let mut netlink = Netlink::open().unwrap();
            netlink.create_veth(&VethEnd::new("one"), &VethEnd::new("two")).unwrap();
        })
        .unwrap();
    drop(first);

    // Pinned again is the same one, with all that is in it.
    for again in [Namespace::pin(name), Namespace::open_named(name)] {
        let again = again.unwrap();
        assert_eq!(again.run(inode).unwrap(), inside);
        again.run(|| Netlink::open().unwrap().link("one").unwrap()).unwrap();
    }
    // `ip netns` sees it as its own.
    if let Ok(output) = Command::new("ip").args(["netns", "list"]).output() {
        let list = String::from_utf8(output.stdout).unwrap();
        assert!(list.lines().any(|line| line.split(' ').next() == Some(name)), "{list:?}");
    }

    Namespace::unpin(name).unwrap();
    assert!(!std::path::Path::new(&path).exists());
    assert!(matches!(Namespace::open_named(name), Err(NamespaceError::NotPinned(_))));
    Namespace::unpin(name).unwrap();
    let new = Namespace::pin(name).unwrap();
    new.run(|| assert!(Netlink::open().unwrap().link("one").is_err())).unwrap();
}

/// Set for the child of the test below.
const EMPTY_RUN: &str = "MACSEC_TEST_EMPTY_RUN";

#[test]
fn the_directory_of_names_is_open_to_all_whatever_the_umask() {
    if std::env::var_os(EMPTY_RUN).is_some() {
        drop(Namespace::pin("first").unwrap());
        let mode = std::fs::metadata("/run/netns").unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        return Namespace::unpin("first").unwrap();
    }
    if namespace().is_none() {
        return;
    }
    // This test once more, where nobody has made the directory yet and nobody sees it.
    let script = "mount -t tmpfs none /run && umask 077 && exec \"$0\" --exact \
                  the_directory_of_names_is_open_to_all_whatever_the_umask --nocapture";
    let child = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(EMPTY_RUN, "1")
        .output();
    match child {
        Err(error) => skip(error),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{text}");
        }
    }
}

#[test]
fn names_are_checked() {
    for bad in ["", ".", "..", "a/b", "nul\0", &"x".repeat(256)] {
        for result in [Namespace::pin(bad).map(drop), Namespace::unpin(bad)] {
            assert!(matches!(result, Err(NamespaceError::InvalidName(_))), "{bad:?}");
        }
    }
}
