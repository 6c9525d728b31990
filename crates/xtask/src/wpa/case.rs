//! The cases.

use std::time::Duration;

use super::{
    Result,
    bed::Bed,
    gateway::{self, Isolation},
    group, story, supplicant,
    wire::Side,
};

/// Key Server Priorities: less is better.
const BETTER: u8 = 16;
const THEIRS: u8 = 32;
const WORSE: u8 = 64;
const NEVER: u8 = 255;

type Story = fn(&mut Bed) -> Result<()>;

/// One case.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) ours: gateway::Settings,
    pub(super) theirs: supplicant::Settings,
    /// Our end is another wpa_supplicant: what fails then is not our fault.
    pub(super) among_themselves: bool,
    /// Who is on the wire.
    pub(super) sides: &'static [Side],
    pub(super) hold: Hold,
    /// Which run of a group it is.
    pub(super) run: u32,
    pub(super) story: Story,
}

/// How long a session is held.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hold {
    pub(super) time: Duration,
    pub(super) rekeys: u32,
}

impl Case {
    /// All cases, those that take long first.
    pub(super) fn all() -> Vec<Self> {
        const ICV_INDICATOR: &str = "icv_indicator = true";
        const STANDARD_ORDER: &str = "set_order = \"standard\"";
        vec![
            Self::new("server-loss", BETTER, story::loss),
            Self::new("client-loss", WORSE, story::loss),
            Self::new("server-restarts", BETTER, story::restarts),
            Self::new("client-restarts", WORSE, story::restarts),
            Self::new("namespace-restarts", BETTER, story::restarts).private(),
            Self::new("among-themselves", BETTER, story::restarts).without_us(),
            Self::new("server-cut", BETTER, story::cut),
            Self::new("client-cut", WORSE, story::cut),
            Self::new("server-gone", BETTER, story::gone),
            Self::new("client-gone", WORSE, story::gone),
            Self::new("server-rekey", BETTER, story::rekey),
            Self::new("client-rekey", WORSE, story::rekey_as_client),
            Self::new("server-rekey-by-pn", BETTER, story::rekey_by_pn),
            Self::new("client-rekey-by-pn", WORSE, story::rekey_by_pn),
            Self::group(1),
            Self::group(2),
            Self::new("server-replayed", BETTER, story::replayed),
            Self::new("client-replayed", WORSE, story::replayed),
            Self::new("wrong-cak", BETTER, story::wrong_cak).their(|theirs| theirs.cak.reverse()),
            Self::new("wrong-ckn", BETTER, story::wrong_ckn).their(|theirs| theirs.ckn.reverse()),
            Self::new("server-cak128-ckn1", BETTER, story::as_server).keys(16, 1),
            Self::new("client-cak128-ckn1", WORSE, story::as_client).keys(16, 1),
            Self::new("server-cak256-ckn5", BETTER, story::as_server).keys(32, 5),
            Self::new("client-cak256-ckn5", WORSE, story::as_client).keys(32, 5),
            Self::new("server-cak128-ckn16", BETTER, story::as_server).keys(16, 16),
            Self::new("client-cak128-ckn16", WORSE, story::as_client).keys(16, 16),
            Self::new("server-cak256-ckn32", BETTER, story::as_server).keys(32, 32),
            Self::new("client-cak256-ckn32", WORSE, story::as_client).keys(32, 32),
            // The lower SCI wins: ours.
            Self::new("equal-priority", THEIRS, story::as_server),
            Self::new("never-server", NEVER, story::as_client),
            Self::new("never-client", THEIRS, story::as_server)
                .their(|their| their.priority = NEVER),
            Self::new("server-fallback", BETTER, story::fallback).on_the_fallback(),
            Self::new("client-fallback", WORSE, story::fallback).on_the_fallback(),
            // Its kernel would go on with 128, but that is another matter.
            Self::new("server-suite-256", BETTER, story::as_server).suites(&["gcm-aes-256"]),
            Self::new("client-many-suites", WORSE, story::as_client).suites(&[
                "gcm-aes-xpn-256",
                "gcm-aes-256",
                "gcm-aes-128",
            ]),
            Self::new("server-integrity", BETTER, story::as_server).in_clear(),
            Self::new("client-integrity", WORSE, story::as_client).in_clear(),
            Self::new("server-version-1", BETTER, story::as_server).with("mka_version = 1"),
            Self::new("client-version-1", WORSE, story::as_client).with("mka_version = 1"),
            Self::new("server-version-2", BETTER, story::as_server).with("mka_version = 2"),
            Self::new("client-version-2", WORSE, story::as_client).with("mka_version = 2"),
            Self::new("server-icv-indicator", BETTER, story::as_server).with(ICV_INDICATOR),
            Self::new("client-icv-indicator", WORSE, story::as_client).with(ICV_INDICATOR),
            Self::new("server-standard-order", BETTER, story::as_server).with(STANDARD_ORDER),
            Self::new("client-standard-order", WORSE, story::as_client).with(STANDARD_ORDER),
        ]
    }

    /// The cases of `--hold`: two sessions that last for `minutes` and change their SAK `rekeys`
    /// times.
    pub(super) fn held(minutes: u32, rekeys: u32) -> Vec<Self> {
        let hold = Hold { time: minutes * Duration::from_secs(60), rekeys };
        let cases = [
            Self::new("server-held", BETTER, story::held),
            Self::new("client-held", WORSE, story::held),
        ];
        cases.map(|case| Self { hold, ..case }).into()
    }

    /// The cases of `--group`.
    pub(super) fn groups(runs: u32) -> Vec<Self> {
        (1..=runs).map(Self::group).collect()
    }

    /// The case of a run of `--group`: with two wpa_supplicants.
    fn group(run: u32) -> Self {
        Self {
            sides: &Side::ALL,
            run,
            ..Self::new(&format!("group-{run}"), BETTER, group::comes_up)
        }
    }

    /// A case in which our Key Server Priority is `priority`.
    fn new(name: &str, priority: u8, story: Story) -> Self {
        let (cak, ckn): (Vec<u8>, Vec<u8>) = ((0x10..0x20).collect(), b"mka".to_vec());
        let theirs = supplicant::Settings {
            cak: cak.clone(),
            ckn: ckn.clone(),
            priority: THEIRS,
            encrypt: true,
        };
        let ours = gateway::Settings {
            cak,
            ckn,
            priority,
            isolation: Isolation::Filter,
            is_fallback: false,
            encrypt: true,
            suites: &["gcm-aes-128"],
            more: "",
        };
        Self {
            name: name.to_owned(),
            ours,
            theirs,
            among_themselves: false,
            sides: &Side::BOTH,
            hold: Hold::default(),
            run: 0,
            story,
        }
    }

    /// With CAK and CKN of so many octets.
    fn keys(mut self, cak_len: usize, ckn_len: usize) -> Self {
        self.ours.cak = (0x10..).take(cak_len).collect();
        self.ours.ckn = (0xa0..).take(ckn_len).collect();
        self.theirs.cak.clone_from(&self.ours.cak);
        self.theirs.ckn.clone_from(&self.ours.ckn);
        self
    }

    /// With a line more in our `[port.mka]`.
    fn with(mut self, more: &'static str) -> Self {
        self.ours.more = more;
        self
    }

    /// With these cipher suites at our end, the most wanted first.
    fn suites(mut self, suites: &'static [&'static str]) -> Self {
        self.ours.suites = suites;
        self
    }

    /// Without confidentiality.
    fn in_clear(mut self) -> Self {
        self.ours.encrypt = false;
        self.theirs.encrypt = false;
        self
    }

    /// With our uplink in a namespace of its own.
    fn private(mut self) -> Self {
        self.ours.isolation = Isolation::Namespace;
        self
    }

    /// With a CAK at our end that we should rather use.
    fn on_the_fallback(mut self) -> Self {
        self.ours.is_fallback = true;
        self
    }

    /// With other settings at their end.
    fn their(mut self, change: fn(&mut supplicant::Settings)) -> Self {
        change(&mut self.theirs);
        self
    }

    fn without_us(mut self) -> Self {
        self.among_themselves = true;
        self
    }
}
