//! The Logon Process (802.1X clause 12.5), over its whole table.

use mka::logon::{
    Connect, EapOutcome, LogonPolicy, MkaOutcome, UnauthenticatedAllowed, UnsecuredAllowed, UseEap,
};

const UNAUTHENTICATED: [UnauthenticatedAllowed; 3] = [
    UnauthenticatedAllowed::Never,
    UnauthenticatedAllowed::Immediate,
    UnauthenticatedAllowed::AuthFail,
];
const UNSECURED: [UnsecuredAllowed; 4] = [
    UnsecuredAllowed::Never,
    UnsecuredAllowed::Immediate,
    UnsecuredAllowed::MkaFail,
    UnsecuredAllowed::MkaServer,
];
const USE_EAP: [UseEap; 3] = [UseEap::Never, UseEap::Immediate, UseEap::MkaFail];

fn everything() -> impl Iterator<Item = (LogonPolicy, MkaOutcome, EapOutcome)> {
    USE_EAP.into_iter().flat_map(|use_eap| {
        UNAUTHENTICATED.into_iter().flat_map(move |unauthenticated| {
            UNSECURED.into_iter().flat_map(move |unsecured| {
                let policy = LogonPolicy { use_eap, unauthenticated, unsecured };
                MkaOutcome::ALL.into_iter().flat_map(move |mka| {
                    EapOutcome::ALL.into_iter().map(move |eap| (policy, mka, eap))
                })
            })
        })
    })
}

#[test]
fn must_secure_is_the_default_and_is_closed_unless_secured() {
    assert_eq!(LogonPolicy::default(), LogonPolicy::MUST_SECURE);
    for mka in MkaOutcome::ALL {
        for eap in EapOutcome::ALL {
            let expected =
                if mka == MkaOutcome::Secured { Connect::Secure } else { Connect::Pending };
            assert_eq!(LogonPolicy::MUST_SECURE.connect(mka, eap), expected);
        }
    }
    assert!(!LogonPolicy::MUST_SECURE.accepts_plain());
}

#[test]
fn should_secure_opens_when_mka_has_failed_and_not_before() {
    let connect = |mka| LogonPolicy::SHOULD_SECURE.connect(mka, EapOutcome::Pending);
    assert_eq!(connect(MkaOutcome::Pending), Connect::Pending);
    assert_eq!(connect(MkaOutcome::Failed), Connect::Authenticated);
    assert_eq!(connect(MkaOutcome::Plain), Connect::Authenticated);
    assert_eq!(connect(MkaOutcome::Secured), Connect::Secure);
    assert!(LogonPolicy::SHOULD_SECURE.accepts_plain());
}

#[test]
fn over_the_whole_table_a_port_opens_only_as_its_policy_says() {
    let mut count = 0;
    for (policy, mka, eap) in everything() {
        count += 1;
        let connect = policy.connect(mka, eap);
        assert_eq!(connect == Connect::Secure, mka == MkaOutcome::Secured, "{policy:?} {mka:?}");
        let unsecured_by_time = match policy.unsecured {
            UnsecuredAllowed::Immediate => true,
            UnsecuredAllowed::MkaFail => mka == MkaOutcome::Failed,
            UnsecuredAllowed::Never | UnsecuredAllowed::MkaServer => false,
        };
        match connect {
            Connect::Authenticated => {
                assert!(policy.accepts_plain());
                let authenticated = eap == EapOutcome::Succeeded || policy.use_eap == UseEap::Never;
                assert!(mka == MkaOutcome::Plain || authenticated && unsecured_by_time);
            }
            Connect::Unauthenticated => match policy.unauthenticated {
                UnauthenticatedAllowed::Never => panic!("{policy:?} opened"),
                UnauthenticatedAllowed::Immediate => {}
                UnauthenticatedAllowed::AuthFail => assert_eq!(eap, EapOutcome::Failed),
            },
            Connect::Pending => {
                assert_ne!(policy.unauthenticated, UnauthenticatedAllowed::Immediate);
            }
            Connect::Secure => {}
        }
    }
    assert_eq!(count, 3 * 3 * 4 * 4 * 3);
}

#[test]
fn with_eap_a_port_opens_without_macsec_only_to_the_authenticated() {
    let policy = LogonPolicy {
        use_eap: UseEap::Immediate,
        unauthenticated: UnauthenticatedAllowed::AuthFail,
        unsecured: UnsecuredAllowed::Immediate,
    };
    let connect = |eap| policy.connect(MkaOutcome::Pending, eap);
    assert_eq!(connect(EapOutcome::Pending), Connect::Pending);
    assert_eq!(connect(EapOutcome::Succeeded), Connect::Authenticated);
    assert_eq!(connect(EapOutcome::Failed), Connect::Unauthenticated);
}

#[test]
fn a_key_server_opens_a_port_only_where_it_may() {
    for (policy, _, eap) in everything() {
        let connect = policy.connect(MkaOutcome::Plain, eap);
        if policy.accepts_plain() {
            assert_eq!(connect, Connect::Authenticated);
        } else {
            assert_ne!(connect, Connect::Authenticated);
        }
    }
}

#[test]
fn eap_is_run_as_told() {
    let wants = |use_eap, mka| LogonPolicy { use_eap, ..LogonPolicy::MUST_SECURE }.wants_eap(mka);
    assert!(!wants(UseEap::Never, MkaOutcome::Failed));
    assert!(wants(UseEap::Immediate, MkaOutcome::Pending));
    assert!(!wants(UseEap::MkaFail, MkaOutcome::Pending));
    assert!(wants(UseEap::MkaFail, MkaOutcome::Failed));
}
