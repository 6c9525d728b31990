//! What is wrong is named.

use super::{CAK, Couple, Daemon, END, Edge, End, has_symptom, in_use, kay, rekey};

const OTHER_CAK: &str = "00010203040506070001020304050607";

fn start(couple: &Couple, a: End, b: End) -> [Daemon; 2] {
    a.configure(&couple.a);
    b.configure(&couple.b);
    [couple.a.start_again(), couple.b.start_again()]
}

/// Both ends say so in the status, in the log, and to the doctor.
#[track_caller]
fn both_say(couple: &Couple, daemons: &mut [Daemon; 2], words: [&str; 2]) {
    for ((edge, daemon), words) in couple.ends().into_iter().zip(daemons).zip(words) {
        let status = daemon.wait_until(words, |status| has_symptom(status, words));
        assert!(!status.ports[0].controlled_port_enabled && !kay(&status).secured);
        daemon.logs(words);
        doctor_says(edge, words);
        assert!(!daemon.log().contains(CAK), "the log shows the CAK");
    }
}

#[track_caller]
fn doctor_says(edge: &Edge, words: &str) {
    let output = edge.ask(&["doctor", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(words), "{words}: {text}");
}

#[test]
fn two_ckns() {
    let Some(couple) = Couple::new() else { return };
    let mut daemons = start(&couple, END, End { ckn: "6d6b6100", ..END });
    both_say(
        &couple,
        &mut daemons,
        [
            "MKPDUs come under CKN 6d6b6100, ours is 6d6b61",
            "MKPDUs come under CKN 6d6b61, ours is 6d6b6100",
        ],
    );
    daemons.into_iter().for_each(Daemon::stop);
}

#[test]
fn two_caks() {
    let Some(couple) = Couple::new() else { return };
    let mut daemons = start(&couple, END, End { cak: OTHER_CAK, ..END });
    both_say(&couple, &mut daemons, ["likely another CAK under CKN 6d6b61"; 2]);
    // Once the faulty end has been put right, all is well.
    END.configure(&couple.b);
    daemons[1].reload(false).expect("a reload");
    daemons.iter_mut().for_each(|daemon| drop(daemon.secured()));
    let status = daemons[0].wait_until("no symptom", |status| kay(status).symptoms.is_empty());
    assert!(kay(&status).counters["in-mkpdu-icv-verification-errors"] > 0);
    // And when it then dies, that is not put down to the CAK of before.
    let [mut daemon, other] = daemons;
    other.kill();
    let words = "no peer is heard any more";
    let status = daemon.wait_until(words, |status| has_symptom(status, words));
    assert!(!has_symptom(&status, "another CAK"), "{:?}", kay(&status).symptoms);
    daemon.stop();
}

#[test]
fn nobody_who_may_be_key_server() {
    let Some(couple) = Couple::new() else { return };
    let never = End { mka: "key_server_priority = 255", ..END };
    let mut daemons = start(&couple, never, never);
    for daemon in &mut daemons {
        let words = "there are live peers, and no key server";
        daemon.wait_until(words, |status| has_symptom(status, words));
    }
    doctor_says(&couple.a, "priority 255");
    daemons.into_iter().for_each(Daemon::stop);
}

#[test]
fn no_suite_in_common() {
    let Some(couple) = Couple::new() else { return };
    let suite = |lines| End { lines, ..END };
    let mut daemons = start(
        &couple,
        suite("cipher_suite = \"gcm-aes-xpn-256\""),
        suite("cipher_suite = \"gcm-aes-256\""),
    );
    let words = "SAKs came with a suite or offset not configured";
    let status = daemons[1].wait_until(words, |status| has_symptom(status, words));
    assert!(!status.ports[0].controlled_port_enabled);
    doctor_says(&couple.b, words);
    // The key server transmits all the same, and says that this is of no use.
    let words = "peer 02-00-00-00-00-02-0001 does not receive with the SAK in use";
    daemons[0].wait_until(words, |status| has_symptom(status, words));
    doctor_says(&couple.a, words);
    daemons[1].logs("its cipher suite is not one of cipher_suites");
    daemons.into_iter().for_each(Daemon::stop);
}

#[test]
fn a_sak_that_cannot_be_put_on_record() {
    let Some(couple) = Couple::new() else { return };
    let (mut left, right) = couple.secured(END, END);
    let first = in_use(&left.status());
    let (state, elsewhere) = (couple.a.path("state"), couple.a.path("elsewhere"));
    std::fs::rename(&state, &elsewhere).expect("a directory");
    assert!(rekey(&couple.a, &[]).status.success());
    let words = "the SAK cannot be put on record";
    let status = left.wait_until(words, |status| has_symptom(status, words));
    assert!(status.ports[0].secured, "the present one stays in use");
    // Which is said until another one works, not until the present one is gone back to.
    doctor_says(&couple.a, words);
    std::fs::rename(&elsewhere, &state).expect("a directory");
    left.wait_until("another SAK", |status| {
        in_use(status) != first && status.ports[0].secured && kay(status).symptoms.is_empty()
    });
    left.stop();
    right.stop();
}
