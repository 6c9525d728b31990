//! What a process can still do after it has given up its privileges. Each case is a process of its
//! own, as there is no way back.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use macsec_gateway::privileges::{self, CapabilitySet};
use macsec_io::{
    netns::{Namespace, NamespaceError},
    packet::{PacketRxRing, RxConfig},
};
use rustix::process::{DumpableBehavior, Resource};

mod common;

const CHILD: &str = "MACSEC_TEST_PRIVILEGES_CHILD";
const NOBODY: u32 = 65534;

/// Runs the test `name` in a process where it does more than nothing.
fn child(name: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(CHILD, name);
    command
}

fn is_child() -> bool {
    env::var_os(CHILD).is_some()
}

fn assert_success(output: &Output) {
    let (out, err) = (common::stdout(output), common::stderr(output));
    assert!(output.status.success(), "{out}\n{err}");
}

fn is_root() -> bool {
    privileges::missing(CapabilitySet::SYS_ADMIN | CapabilitySet::SETPCAP).unwrap().is_empty()
}

#[test]
fn with_two_capabilities_a_port_runs_and_nothing_else_works() {
    if !is_root() {
        return common::skip("giving up capabilities needs some");
    }
    assert_success(&child("child_gives_up_capabilities").output().unwrap());
}

#[test]
fn child_gives_up_capabilities() {
    if !is_child() {
        return;
    }
    let other = Namespace::new().unwrap();
    privileges::harden().unwrap();
    assert!(privileges::missing(privileges::RUNNING).unwrap().is_empty());
    privileges::drop_capabilities(privileges::RUNNING).unwrap();

    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let two = "0000000000003000";
    let none = "0000000000000000";
    let expected = [("Inh", none), ("Prm", two), ("Eff", two), ("Bnd", two), ("Amb", none)];
    for (set, value) in expected {
        assert!(status.contains(&format!("Cap{set}:\t{value}\n")), "{set}: {status}");
    }
    assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");

    let rx = RxConfig::default();
    assert!(PacketRxRing::open("lo", &rx).is_ok(), "raw sockets go on");
    assert!(matches!(Namespace::new(), Err(NamespaceError::PermissionDenied)));
    let entered = other.run(|| ());
    assert!(matches!(entered, Err(NamespaceError::PermissionDenied)));
    let missing = privileges::missing(CapabilitySet::SYS_ADMIN | privileges::RUNNING).unwrap();
    assert_eq!(missing, ["CAP_SYS_ADMIN"]);

    // A program that root starts has all that the bounding set allows: no more.
    let program = Command::new("cat").arg("/proc/self/status").output().unwrap();
    let status = common::stdout(&program);
    assert!(status.contains(&format!("CapEff:\t{two}\n")), "{status}");

    privileges::drop_capabilities(CapabilitySet::empty()).unwrap();
    assert_eq!(privileges::missing(privileges::RUNNING).unwrap(), ["CAP_NET_ADMIN", "CAP_NET_RAW"]);
    assert!(PacketRxRing::open("lo", &rx).is_err());
    privileges::drop_capabilities(privileges::RUNNING).unwrap();
    assert_eq!(privileges::missing(privileges::RUNNING).unwrap().len(), 2, "there is no way back");
}

#[test]
fn a_hardened_process_leaves_no_core_and_no_readable_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = child("child_hardens");
    command.env("DIR", dir.path());
    assert_success(&command.output().unwrap());
}

#[test]
fn child_hardens() {
    if !is_child() {
        return;
    }
    privileges::harden().unwrap();
    let core = rustix::process::getrlimit(Resource::Core);
    assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
    let dumpable = rustix::process::dumpable_behavior().unwrap();
    assert_eq!(dumpable, DumpableBehavior::NotDumpable);
    let file = PathBuf::from(env::var_os("DIR").unwrap()).join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn another_process_of_the_same_user_cannot_look_into_a_hardened_one() {
    if !is_root() {
        return common::skip("becoming another user needs privileges");
    }
    // A copy that the other user can start, wherever this was built. Not made by this process: a
    // child of another test might hold it open for writing, and then it could not be started.
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("test");
    let copied = Command::new("cp").arg(env::current_exe().unwrap()).arg(&program).status();
    assert!(copied.unwrap().success());
    open_to_all(dir.path());
    open_to_all(&program);

    for (name, readable) in [("child_waits", true), ("child_waits_hardened", false)] {
        let mut child = Command::new(&program)
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, name)
            .current_dir("/")
            .uid(NOBODY)
            .gid(NOBODY)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains("ready"));
        assert!(ready, "{name} starts");
        for file in ["environ", "maps"] {
            let looked = Command::new("cat")
                .arg(format!("/proc/{}/{file}", child.id()))
                .uid(NOBODY)
                .gid(NOBODY)
                .output()
                .unwrap();
            assert_eq!(looked.status.success(), readable, "{name}: {file}");
        }
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn child_waits() {
    if is_child() {
        wait_for_end_of_input();
    }
}

#[test]
fn child_waits_hardened() {
    if is_child() {
        privileges::harden().unwrap();
        wait_for_end_of_input();
    }
}

fn wait_for_end_of_input() {
    println!("ready");
    let _ = std::io::stdin().lock().read_line(&mut String::new());
}
