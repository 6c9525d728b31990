//! KIs across processes that are killed, and what the journal refuses.

mod common;

use std::{
    env, fs,
    io::{self, Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use macsec::{Ki, Sci};
use macsec_gateway::{
    ki_journal::{CAPACITY, KiJournal, KiJournalError},
    pn_store::{NonceIdentity, PnStore},
};

const US: Sci = Sci([2, 0, 0, 0, 0, 1, 0, 1]);
const OTHER: Sci = Sci([2, 0, 0, 0, 0, 1, 0, 2]);
/// Where a child finds its state directory.
const CHILD: &str = "MACSEC_TEST_KI_CHILD";
/// Where a child finds a file system that is soon full.
const FULL: &str = "MACSEC_TEST_KI_FULL";

fn ki(number: u64) -> Ki {
    Ki((u128::from(number) << 32 | 0x5a).to_be_bytes())
}

fn open(state: &Path) -> KiJournal {
    KiJournal::open(state, US).unwrap()
}

fn journal_file(state: &Path) -> PathBuf {
    state.join("ki-0200000000010001.journal")
}

#[test]
fn what_a_killed_run_has_used_is_known_to_the_next() {
    const KILLS: u32 = 40;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let listener = UnixListener::bind(dir.path().join("socket")).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut used = Vec::new();
    for kill in 0..KILLS {
        let mut child = spawn_child(&state);
        let (mut from_child, _) = listener.accept().unwrap();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let pause = Duration::from_micros(random >> 50);
        let killer = thread::spawn(move || {
            thread::sleep(pause);
            child.kill().unwrap();
            child.wait().unwrap();
        });
        let mut octets = Vec::new();
        from_child.read_to_end(&mut octets).unwrap();
        killer.join().unwrap();
        used.extend(octets.as_chunks().0.iter().map(|ki| Ki(*ki)));

        let journal = open(&state);
        // The file may hold one that we have not been told of any more.
        for ki in used.iter().rev().take(CAPACITY - 1) {
            assert!(journal.used_before(ki), "{ki} after {kill} kills, {} used", used.len());
        }
    }
    assert!(used.len() > KILLS as usize, "{}", used.len());
}

/// Not a test of its own: what others start and kill. It uses one KI after the other.
#[test]
fn child() {
    let Some(state) = env::var_os(CHILD) else {
        return;
    };
    let state = Path::new(&state);
    let mut to_parent = UnixStream::connect(state.with_file_name("socket")).unwrap();
    let mut journal = open(state);
    let mut number = 0;
    loop {
        number += 1;
        if !journal.used_before(&ki(number)) {
            journal.record(ki(number)).unwrap();
            to_parent.write_all(&ki(number).0).unwrap();
        }
    }
}

fn spawn_child(state: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, state)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn two_runs_cannot_have_one_sci() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let listener = UnixListener::bind(dir.path().join("socket")).unwrap();
    let mut child = spawn_child(&state);
    let (mut from_child, _) = listener.accept().unwrap();
    from_child.read_exact(&mut [0; 16]).unwrap();

    let refused = KiJournal::open(&state, US).err().unwrap();
    let name = journal_file(&state);
    let expected = format!("{}: in use by another process or port", name.display());
    assert_eq!(refused.to_string(), expected);
    KiJournal::open(&state, OTHER).unwrap();

    child.kill().unwrap();
    child.wait().unwrap();
    let journal = open(&state);
    assert!(matches!(KiJournal::open(&state, US), Err(KiJournalError::InUse(_))));
    drop(journal);
    open(&state);
}

#[test]
fn a_key_that_was_given_up_has_been_used_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(&dir.path().join("state"));
    journal.record(ki(1)).unwrap();
    journal.record(ki(2)).unwrap();
    journal.retire(ki(1));
    // It has never been transmitted with.
    journal.retire(ki(3));
    assert_eq!([1, 2, 3].map(|number| journal.used_before(&ki(number))), [true, false, false]);
    for number in 10..10 + CAPACITY as u64 {
        journal.record(ki(number)).unwrap();
        journal.retire(ki(number));
    }
    assert!(!journal.used_before(&ki(1)), "bounded");
    assert!((10..10 + CAPACITY as u64).all(|number| journal.used_before(&ki(number))));
}

#[test]
fn earlier_runs_count_and_this_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("var/lib/macsec");
    let mut journal = open(&state);
    assert!(!journal.used_before(&ki(1)));
    journal.record(ki(1)).unwrap();
    journal.record(ki(2)).unwrap();
    assert!(!journal.used_before(&ki(1)), "it is in use now, not before");
    let before = fs::read(journal_file(&state)).unwrap();
    journal.record(ki(1)).unwrap();
    assert_eq!(fs::read(journal_file(&state)).unwrap(), before, "once is enough");
    drop(journal);

    let mut journal = open(&state);
    assert!(journal.used_before(&ki(1)) && journal.used_before(&ki(2)));
    assert!(!journal.used_before(&ki(3)));
    // A key is another with each SCI.
    assert!(!KiJournal::open(&state, OTHER).unwrap().used_before(&ki(1)));
    journal.record(ki(1)).unwrap();
    journal.record(ki(3)).unwrap();
    assert!(journal.used_before(&ki(1)) && !journal.used_before(&ki(3)));
    drop(journal);
    let journal = open(&state);
    assert!([1, 2, 3].iter().all(|&number| journal.used_before(&ki(number))));
}

#[test]
fn the_last_of_many_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    let capacity = CAPACITY as u64;
    for number in 1..=capacity {
        journal.record(ki(number)).unwrap();
    }
    drop(journal);
    let mut journal = open(dir.path());
    assert!((1..=capacity).all(|number| journal.used_before(&ki(number))));
    journal.record(ki(capacity + 1)).unwrap();
    journal.record(ki(capacity + 2)).unwrap();
    assert!(journal.used_before(&ki(1)), "as long as it is open it forgets none");
    drop(journal);
    let journal = open(dir.path());
    assert!((3..=capacity + 2).all(|number| journal.used_before(&ki(number))));
    assert!(!journal.used_before(&ki(1)) && !journal.used_before(&ki(2)));
    let length = fs::metadata(journal_file(dir.path())).unwrap().len();
    assert!(length < 40_000, "{length}");
}

#[test]
fn damage_at_every_octet_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    journal.record(ki(1)).unwrap();
    journal.record(ki(2)).unwrap();
    drop(journal);
    let file = journal_file(dir.path());
    let good = fs::read(&file).unwrap();
    let refused = |contents: &[u8], what: &str| {
        fs::write(&file, contents).unwrap();
        let error = KiJournal::open(dir.path(), US).err().expect(what);
        assert!(matches!(error, KiJournalError::Damaged(..)), "{what}: {error}");
        let text = error.to_string();
        assert!(text.starts_with(&file.display().to_string()), "{text}");
        assert!(text.contains("use a new CAK at every end, then remove this file"), "{text}");
        assert!(!text.contains('\n'), "{text}");
        text
    };
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            refused(&bad, &format!("bit {bit} of octet {at}"));
        }
        refused(&good[..at], &format!("cut to {at}"));
    }
    refused(&[&good[..], b"\n"].concat(), "longer");
    refused(&vec![b'0'; 1 << 20], "much longer");
    let newer = String::from_utf8(good.clone()).unwrap().replace("journal 1 ", "journal 2 ");
    assert!(refused(newer.as_bytes(), "newer").contains("its version is not 1"));

    fs::write(&file, &good).unwrap();
    assert!(open(dir.path()).used_before(&ki(2)));
    fs::copy(&file, dir.path().join("ki-0200000000010002.journal")).unwrap();
    let error = KiJournal::open(dir.path(), OTHER).err().unwrap().to_string();
    assert!(error.contains("it is that of another SCI"), "{error}");
}

#[test]
fn a_directory_that_is_moved_or_deleted_takes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (state, aside) = (dir.path().join("state"), dir.path().join("aside"));
    let mut journal = open(&state);
    journal.record(ki(1)).unwrap();
    fs::rename(&state, &aside).unwrap();
    let error = journal.record(ki(2)).unwrap_err().to_string();
    assert!(error.contains("moved or deleted"), "{error}");
    fs::rename(&aside, &state).unwrap();
    journal.record(ki(2)).unwrap();
    fs::remove_dir_all(&state).unwrap();
    assert!(matches!(journal.record(ki(3)), Err(KiJournalError::Io(..))));
}

#[test]
fn it_shares_its_directory_with_packet_numbers_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let store = PnStore::open(&state).unwrap();
    let _mark = store.transmit(&[0x5a; 16], &NonceIdentity::Sci(US), true).unwrap();
    let mut journal = open(&state);
    journal.record(ki(1)).unwrap();
    let _other = store.transmit(&[0x5b; 16], &NonceIdentity::Sci(US), true).unwrap();
    drop(journal);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&journal_file(&state))), (0o700, 0o600));
    fs::set_permissions(&state, PermissionsExt::from_mode(0o770)).unwrap();
    let error = KiJournal::open(&state, US).err().unwrap();
    assert!(matches!(error, KiJournalError::NotPrivate(_)), "{error}");
}

#[test]
fn a_disk_that_is_full_or_read_only_is_an_error_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // In a mount namespace of its own, which ends with the child.
    let script = "mount -t tmpfs -o size=16k,mode=700 none \"$1\" || exit 77; shift; exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(dir.path())
        .arg(env::current_exe().unwrap())
        .args(["--exact", "child_on_a_small_disk", "--nocapture"])
        .env(FULL, dir.path())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            assert!(common::stdout(&output).contains("small disk: done"), "{output:?}");
        }
        Ok(output) if output.status.code() == Some(101) => panic!("{}", common::stderr(&output)),
        other => common::skip(&format!("no small file system can be mounted: {other:?}")),
    }
}

/// Not a test of its own: the child of the test above.
#[test]
fn child_on_a_small_disk() {
    let Some(state) = env::var_os(FULL) else {
        return;
    };
    let state = Path::new(&state);
    let kind = |error: &KiJournalError| match error {
        KiJournalError::Io(path, error) if *path == journal_file(state) => error.kind(),
        other => panic!("{other}"),
    };
    let mut journal = open(state);
    let refused = (1..).find_map(|number| journal.record(ki(number)).err().map(|e| (number, e)));
    let (number, error) = refused.unwrap();
    assert_eq!(kind(&error), io::ErrorKind::StorageFull);
    assert!(number > 50, "{number}");
    let whole = |journal: &KiJournal| {
        assert!((1..number).all(|number| journal.used_before(&ki(number))));
        assert!(!journal.used_before(&ki(number)));
    };
    drop(journal);
    let mut journal = open(state);
    whole(&journal);

    let remount = |how| {
        let mount = Command::new("mount").args(["-o", how]).arg(state).status();
        assert!(mount.unwrap().success());
    };
    // The lock file is open for writing, which keeps a file system writable.
    drop(journal);
    remount("remount,size=1m,ro");
    let error = KiJournal::open(state, US).err().unwrap();
    assert_eq!(kind(&error), io::ErrorKind::ReadOnlyFilesystem);
    remount("remount,size=1m,rw");
    journal = open(state);
    whole(&journal);
    journal.record(ki(number)).unwrap();
    drop(journal);
    assert!(open(state).used_before(&ki(number)));
    println!("small disk: done");
}
