//! Packet numbers across processes that are killed, and what the state directory refuses.

use std::{
    env, fs,
    io::{Read, Write},
    os::{
        fd::AsFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use macsec::{CipherSuite, Salt, Sci, Ssci};
use macsec_gateway::pn_store::{NonceIdentity, PnStore, PnStoreError, PnWriter, ReceivePns};

const KEY: [u8; 16] = [0x5a; 16];
const SUITE: CipherSuite = CipherSuite::GcmAes256;
const US: NonceIdentity = NonceIdentity::Sci(Sci([2, 0, 0, 0, 0, 1, 0, 1]));
const PEER: NonceIdentity = NonceIdentity::Sci(Sci([2, 0, 0, 0, 0, 2, 0, 1]));
const PATIENCE: Duration = Duration::from_secs(30);
const SALT: Salt = Salt([7; 12]);
/// Where a child finds its state directory.
const CHILD: &str = "MACSEC_TEST_PN_CHILD";
/// Set on what a child says about received frames.
const RECEIVED: u64 = 1 << 63;

#[test]
fn no_packet_number_is_used_or_accepted_twice_across_two_hundred_kills() {
    const KILLS: u32 = 200;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let listener = UnixListener::bind(dir.path().join("socket")).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut used, mut accepted) = (0, 0);
    for kill in 0..KILLS {
        let mut child = spawn_child(&state);
        let (mut from_child, _) = listener.accept().unwrap();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let pause = Duration::from_micros(random >> 51);
        let killer = thread::spawn(move || {
            thread::sleep(pause);
            child.kill().unwrap();
            child.wait().unwrap();
        });
        let mut octets = Vec::new();
        // A child that is killed with our octets unread resets the connection.
        let _ = from_child.read_to_end(&mut octets);
        killer.join().unwrap();
        for pn in octets.as_chunks().0 {
            let pn = u64::from_be_bytes(*pn);
            let (what, latest) = match pn & RECEIVED {
                0 => ("used", &mut used),
                _ => ("accepted", &mut accepted),
            };
            let pn = pn & !RECEIVED;
            assert!(pn > *latest, "PN {pn} {what} again (up to {latest}) after {kill} kills");
            *latest = pn;
        }
    }
    assert!(used > u64::from(KILLS) && accepted > u64::from(KILLS), "{used} {accepted}");
}

/// Not a test of its own: what the test above starts and kills.
#[test]
fn child() {
    let Some(state) = env::var_os(CHILD) else {
        return;
    };
    let state = Path::new(&state);
    let mut to_parent = UnixStream::connect(state.with_file_name("socket")).unwrap();
    let store = PnStore::open(state).unwrap();
    let tx = store.transmit(&KEY, &US, true).unwrap();
    let rx = store.receive(&KEY, &PEER, true).unwrap();
    let (mut sent, mut received) = (tx.next_pn(SUITE).unwrap(), rx.lowest_pn(SUITE).unwrap());
    let writer = PnWriter::start("child").unwrap();
    let (mut tx, mut rx) = (writer.transmit(tx), writer.receive(rx));
    loop {
        let end = tx.limit().min(sent + 64);
        let batch: Vec<u8> = (sent..end).flat_map(u64::to_be_bytes).collect();
        to_parent.write_all(&batch).unwrap();
        sent = end;
        tx.want(sent, Instant::now());

        if rx.wait_until_durable(received + 16, Duration::from_secs(60)) {
            let frames = received..received + 16;
            received = frames.end;
            let batch: Vec<u8> = frames.flat_map(|pn| (pn | RECEIVED).to_be_bytes()).collect();
            to_parent.write_all(&batch).unwrap();
        }
        rx.want(received, Instant::now());
        // Much more than once a second, for the mark to come down often.
        if received % 64 == 0 {
            rx.tick(received);
        }
    }
}

fn spawn_child(state: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, state)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn two_processes_cannot_have_one_sa() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let listener = UnixListener::bind(dir.path().join("socket")).unwrap();
    let mut child = spawn_child(&state);
    let (mut from_child, _) = listener.accept().unwrap();
    from_child.read_exact(&mut [0; 8]).unwrap();

    let store = PnStore::open(&state).unwrap();
    let refused = store.transmit(&KEY, &US, false).err().unwrap();
    let name = "tx-5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a-0200000000010001.pn";
    let expected = format!("{}: in use by another process or port", state.join(name).display());
    assert_eq!(refused.to_string(), expected);
    assert!(matches!(store.receive(&KEY, &PEER, true), Err(PnStoreError::InUse(_))));

    child.kill().unwrap();
    child.wait().unwrap();
    assert!(store.transmit(&KEY, &US, false).is_ok(), "the lock ends with its owner");
}

#[test]
fn a_lock_ends_with_its_owner_even_while_another_thread_starts_programs() {
    let dir = tempfile::tempdir().unwrap();
    let store = PnStore::open(dir.path()).unwrap();
    let starter = thread::spawn(|| {
        for _ in 0..200 {
            assert!(Command::new("true").status().unwrap().success());
        }
    });
    while !starter.is_finished() {
        store.transmit(&KEY, &US, true).map(drop).unwrap();
    }
    starter.join().unwrap();
}

#[test]
fn the_writer_raises_limits_and_says_so_and_writes_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = PnStore::open(dir.path()).unwrap();
    let writer = PnWriter::start("test").unwrap();
    let signal = writer.signal();
    let mut tx = writer.transmit(store.transmit(&KEY, &US, true).unwrap());
    let mut rx = writer.receive(store.receive(&KEY, &PEER, true).unwrap());
    tx.want(1, Instant::now());
    while tx.limit() == 1 {
        let [ready] =
            macsec_io::poll::wait_readable([signal.as_fd()], Some(Duration::from_secs(30)))
                .unwrap();
        assert!(ready.readable, "the limit moves and the signal says so");
        signal.clear();
    }
    assert!(rx.wait_until_durable(1_000_000, Duration::from_secs(30)));
    tx.finish(123);
    rx.finish(1_000_000);
    drop(writer);
    let next = store.transmit(&KEY, &US, false).unwrap().next_pn(SUITE);
    let lowest = store.receive(&KEY, &PEER, false).unwrap().lowest_pn(SUITE);
    assert_eq!((next, lowest), (Some(123), Some(1_000_000)));
}

#[test]
fn a_disk_that_fails_is_reported_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = PnStore::open(dir.path()).unwrap();
    let writer = PnWriter::start("test").unwrap();
    let mut tx = writer.transmit(store.transmit(&KEY, &US, true).unwrap());
    let mut rx = writer.receive(store.receive(&KEY, &PEER, true).unwrap());
    // Nothing can be written where a directory is in the way.
    let name = "rx-5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a-0200000000020001.pn";
    let obstacle = dir.path().join(format!("{name}.tmp"));
    fs::create_dir(&obstacle).unwrap();

    assert!(!rx.wait_until_durable(100, Duration::from_millis(250)));
    let failures = writer.failures();
    assert!(failures.count > 0 && failures.present.unwrap().contains(name));
    assert_eq!(rx.limit(), 1);
    tx.want(1, Instant::now());
    let deadline = Instant::now() + Duration::from_secs(30);
    while tx.limit() == 1 {
        assert!(Instant::now() < deadline, "other SAs go on");
        thread::sleep(Duration::from_millis(5));
    }

    fs::remove_dir(&obstacle).unwrap();
    assert!(rx.wait_until_durable(100, Duration::from_secs(30)));
    assert_eq!(writer.failures().present, None);
}

#[test]
fn marks_of_a_directory_that_is_moved_or_deleted_do_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let (state, aside) = (dir.path().join("state"), dir.path().join("aside"));
    let store = PnStore::open(&state).unwrap();
    let writer = PnWriter::start("test").unwrap();
    let mut rx = writer.receive(store.receive(&KEY, &PEER, true).unwrap());
    assert!(rx.wait_until_durable(100, PATIENCE));
    let limit = rx.limit();
    let refused = |rx: &mut ReceivePns, what: &str| {
        assert!(!rx.wait_until_durable(limit + 1, Duration::from_millis(250)), "{what}");
        assert_eq!(rx.limit(), limit, "{what}");
        let text = writer.failures().present.expect(what);
        let place = format!("no longer at {}: it has been moved or deleted", state.display());
        assert!(text.contains(&place), "{what}: {text}");
    };

    fs::rename(&state, &aside).unwrap();
    refused(&mut rx, "moved");
    // An SA that is opened now is not safe either.
    assert!(matches!(store.transmit(&KEY, &US, true), Err(PnStoreError::Io(..))));
    // A copy in its place is as little what is written to.
    fs::create_dir(&state).unwrap();
    for file in fs::read_dir(&aside).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), state.join(file.file_name())).unwrap();
    }
    refused(&mut rx, "replaced");
    // The lock stays with the directory: who opens that one, under any name, is refused.
    let other = PnStore::open(&aside).unwrap();
    assert!(matches!(other.receive(&KEY, &PEER, false), Err(PnStoreError::InUse(_))));
    assert_eq!(fs::read_dir(&aside).unwrap().count(), fs::read_dir(&state).unwrap().count());

    fs::remove_dir_all(&state).unwrap();
    fs::rename(&aside, &state).unwrap();
    assert!(rx.wait_until_durable(limit + 1, PATIENCE), "back");
    assert_eq!(writer.failures().present, None);

    let limit = rx.limit();
    fs::remove_dir_all(&state).unwrap();
    assert!(!rx.wait_until_durable(limit + 1, Duration::from_millis(250)), "deleted");
    let text = writer.failures().present.expect("deleted");
    assert!(text.contains("moved or deleted"), "{text}");
}

#[test]
fn missing_state_is_refused_unless_the_key_was_never_used() {
    let dir = tempfile::tempdir().unwrap();
    let store = PnStore::open(dir.path()).unwrap();
    let missing = store.transmit(&KEY, &US, false).err().unwrap();
    assert!(matches!(missing, PnStoreError::Missing(_)));
    assert!(missing.to_string().contains("first_use = true"), "{missing}");
    assert!(!missing.to_string().contains('\n'));
    assert_eq!(store.transmit(&KEY, &US, true).unwrap().next_pn(SUITE), Some(1));
    assert_eq!(store.transmit(&KEY, &US, false).unwrap().next_pn(SUITE), Some(1));
    assert!(matches!(store.receive(&KEY, &US, false), Err(PnStoreError::KeyUsedOtherwise(..))));
}

#[test]
fn damage_at_every_octet_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = PnStore::open(dir.path()).unwrap();
    let nonce = NonceIdentity::Ssci(Ssci(1), SALT);
    drop(store.transmit(&KEY, &nonce, true).unwrap());
    let file = dir.path().join("tx-5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a-ssci00000001.pn");
    let good = fs::read(&file).unwrap();
    let refused = |contents: &[u8], what: &str| {
        fs::write(&file, contents).unwrap();
        let result = store.transmit(&KEY, &nonce, true);
        assert!(matches!(result, Err(PnStoreError::Corrupt(..))), "{what}");
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
    fs::write(&file, &good).unwrap();
    assert!(store.transmit(&KEY, &nonce, false).is_ok());

    let other = dir.path().join("tx-5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b-ssci00000001.pn");
    fs::rename(&file, &other).unwrap();
    let result = store.transmit(&[0x5b; 16], &nonce, false);
    assert!(matches!(result, Err(PnStoreError::Corrupt(..))), "the file of another SA");
}

#[test]
fn a_key_whose_nonces_could_meet_is_refused() {
    let ssci = |ssci, salt| NonceIdentity::Ssci(Ssci(ssci), salt);
    let dir = tempfile::tempdir().unwrap();
    let store = PnStore::open(dir.path()).unwrap();
    let refused = |nonce, why: &str| {
        let error = store.transmit(&KEY, &nonce, true).err().unwrap();
        assert!(matches!(error, PnStoreError::KeyUsedOtherwise(..)), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    };
    drop(store.transmit(&KEY, &ssci(1, SALT), true).unwrap());
    drop(store.receive(&KEY, &ssci(2, SALT), true).unwrap());
    drop(store.receive(&KEY, &ssci(3, SALT), true).unwrap());
    refused(ssci(4, SALT), "another SCI or SSCI");
    refused(US, "another SCI or SSCI");
    refused(ssci(1, Salt([8; 12])), "another salt");
    let key = [2; 16];
    drop(store.receive(&key, &ssci(2, SALT), true).unwrap());
    let swapped = store.transmit(&key, &ssci(2, SALT), true).err().unwrap();
    assert!(swapped.to_string().contains("by the other end"), "{swapped}");

    // With SCIs in the nonce, ports may share a key.
    let key = [1; 16];
    assert!(store.transmit(&key, &US, true).is_ok());
    assert!(store.transmit(&key, &PEER, true).is_ok());
    assert!(store.transmit(&key, &ssci(1, SALT), true).is_err());
}

#[test]
fn the_directory_is_made_for_its_owner_and_refused_if_others_may_write() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("var/lib/macsec");
    drop(PnStore::open(&state).unwrap().transmit(&KEY, &US, true).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for entry in fs::read_dir(&state).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    for bad in [0o720, 0o702, 0o777] {
        fs::set_permissions(&state, PermissionsExt::from_mode(bad)).unwrap();
        assert!(matches!(PnStore::open(&state), Err(PnStoreError::NotPrivate(_))), "{bad:o}");
    }
    fs::set_permissions(&state, PermissionsExt::from_mode(0o755)).unwrap();
    assert!(PnStore::open(&state).is_ok());
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(PnStore::open(&file), Err(PnStoreError::Io(..))));
}
