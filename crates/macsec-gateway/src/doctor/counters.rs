//! Counters that point at a cause.
//!
//! Most of them mean one thing: these stand in [`HINTS`]. What others mean depends on what else is
//! counted: each of these has a function.

use macsec::{COUNTERS, CipherSuite};

use super::{Finding, Level, Sample, sample::When};

/// What a counter means that is not 0.
struct Hint {
    /// The name of its leaf.
    counter: &'static str,
    /// How bad it is if it rises now.
    rising: Level,
    /// What to do.
    advice: &'static str,
}

const HINTS: &[Hint] = &[
    hint(
        "in-pkts-bad-tag",
        Level::Warning,
        "SecTAGs that the standard forbids: damaged or forged frames, or a sender with C set and E \
         not (for integrity only from some Linux drivers: accept_changed_text = true takes it).",
    ),
    hint(
        "reserved-tci",
        Level::Warning,
        "Frames with E set and C not, which mean something else: is there other equipment that \
         uses EtherType 0x88E5 on this wire?",
    ),
    hint(
        "duplicate",
        Level::Warning,
        "Frames come twice: a loop or a doubled path on the way, or someone replays them.",
    ),
    hint(
        "in-pkts-untagged",
        Level::Warning,
        "Frames in clear are DELIVERED, as validate_frames is not \"strict\". Set it so once the \
         other end protects everything.",
    ),
    hint(
        "in-pkts-unchecked",
        Level::Warning,
        "Frames are delivered WITHOUT validation: set validate_frames = \"strict\".",
    ),
    hint(
        "in-pkts-invalid",
        Level::Warning,
        "Frames that fail validation are DELIVERED if they can be, as validate_frames is \
         \"check\": compare the keys of both ends (KI in `macsec status`), then set it to \
         \"strict\".",
    ),
    hint(
        "in-pkts-delayed",
        Level::Note,
        "Frames come after later ones, and are delivered as replay_protect is off. With it on, \
         replay_window has to be greater than the reordering.",
    ),
    hint(
        "in-pkts-overrun",
        Level::Warning,
        "Validation does not keep up with the wire: give it a faster processor.",
    ),
    hint(
        "ring-drop",
        Level::Warning,
        "This process does not keep up with the wire: the processor is too slow or busy with other \
         things, or frames are longer than the uplink's MTU. See `top`; pin interrupts and other \
         work to other cores.",
    ),
    hint(
        "tap-drop",
        Level::Warning,
        "The host does not take the frames: set the TAP up (`ip link set TAP up`). If it is, the \
         host is too slow for what arrives.",
    ),
    hint(
        "tap-too-long",
        Level::Warning,
        "The host sends frames that do not fit: lower the MTU of what is bridged with or stacked \
         on the TAP, or raise uplink_mtu.",
    ),
    hint(
        "out-pkts-too-long",
        Level::Warning,
        "Frames are too long for the uplink once they are protected: lower the TAP's MTU, set \
         inner_vlan_tags if hosts send tagged frames, or raise uplink_mtu.",
    ),
    hint(
        "uplink-not-sent",
        Level::Warning,
        "The uplink does not take what the hosts send: it is slower, paused by flow control, or \
         down. Frames are dropped as on any link that is full.",
    ),
    hint("no-uplink", Level::Problem, "The hosts send, and there is no uplink or no signal on it."),
    hint(
        "uplink-down",
        Level::Warning,
        "The uplink goes down and up: look at cable and optics, and at the other end's log.",
    ),
    hint(
        "uplink-opened",
        Level::Problem,
        "Something lets the host onto the uplink again and again: keep network managers off it.",
    ),
    hint(
        "no-transmit-sa",
        Level::Problem,
        "There is no key to send with: see the port's problems, or give it [port.mka].",
    ),
    hint(
        "pn-exhausted",
        Level::Problem,
        "All packet numbers of the key are used, and nothing is sent any more: new keys at both \
         ends (`macsec keygen static`, or MKA, which makes them in time); an XPN suite does not run \
         out.",
    ),
    hint(
        "pn-withheld",
        Level::Warning,
        "Frames wait for packet numbers to be on record, and are lost: the disk of state_directory \
         is too slow. Put it on a faster one.",
    ),
    hint(
        "state-drop",
        Level::Warning,
        "Frames wait for their packet numbers to be on record, and are lost: the disk of \
         state_directory is too slow. Put it on a faster one.",
    ),
    hint(
        "state-write-failures",
        Level::Problem,
        "Packet numbers cannot be written down: see whether the disk of state_directory is full, \
         read-only or failing (`df`, `dmesg`). The port stops when those on record are used up.",
    ),
    hint(
        "source-not-sci",
        Level::Problem,
        "use_es says that all frames are from the one address in the SCI, and they are not: hosts \
         behind a bridge need use_es = false.",
    ),
    hint("runt", Level::Warning, "Frames too short to be any: look at cable and optics."),
    hint(
        "port-closed",
        Level::Note,
        "Frames come while the port is closed, for want of a session: see what MKA says.",
    ),
    hint(
        "eapol-from-tap",
        Level::Note,
        "A host speaks 802.1X on the TAP: that never crosses a MACsec port.",
    ),
    hint(
        "out-pkts-untagged",
        Level::Warning,
        "Frames leave IN CLEAR, as protect_frames is off: set it to true once the other end is \
         ready.",
    ),
    hint("caller-error", Level::Problem, "This is a fault of the program: please report it."),
];

const fn hint(counter: &'static str, rising: Level, advice: &'static str) -> Hint {
    Hint { counter, rising, advice }
}

/// What the counters of a port point at; what goes both ways, if nothing is wrong.
#[must_use]
pub fn counters(sample: &Sample<'_>) -> Vec<Finding> {
    let mut findings: Vec<_> = HINTS.iter().filter_map(|hint| simple(sample, hint)).collect();
    let others = [not_valid, no_sa, late, no_tag, eapol, silence];
    findings.extend(others.iter().filter_map(|judge| judge(sample)));
    findings.extend(packet_numbers(sample));
    if !findings.iter().any(|finding| finding.level >= Level::Warning) {
        findings.extend(traffic(sample));
    }
    findings.into_iter().map(|finding| finding.of_port(&sample.after.name)).collect()
}

fn simple(sample: &Sample<'_>, hint: &Hint) -> Option<Finding> {
    let Hint { counter, rising, advice } = *hint;
    let level = level(sample, counter, rising)?;
    Some(Finding::new(level, name_of(counter), sample.told(counter), advice))
}

/// What was, and is no more, is good to know.
fn level(sample: &Sample<'_>, counter: &str, rising: Level) -> Option<Level> {
    match (sample.rise(counter), sample.total(counter)) {
        (0, 0) => None,
        (0, _) => Some(Level::Note),
        _ => Some(rising),
    }
}

/// InPktsNotValid.
fn not_valid(sample: &Sample<'_>) -> Option<Finding> {
    const COUNTER: &str = "in-pkts-not-valid";
    let (rising, advice) = if works(sample) {
        let advice = "The key is right, as other frames are valid: these were damaged on the way, \
                      or somebody forges them.";
        (Level::Warning, advice)
    } else {
        let advice = "No frame is valid: the other end has another SAK, or for XPN another salt or \
                      SSCI. Compare KI, cipher suite and confidentiality offset at both ends \
                      (`macsec status`).";
        (Level::Problem, advice)
    };
    let level = level(sample, COUNTER, rising)?;
    Some(Finding::new(level, "InPktsNotValid", sample.told(COUNTER), advice))
}

/// InPktsNoSA and InPktsNoSAError: another SCI, or another AN.
fn no_sa(sample: &Sample<'_>) -> Option<Finding> {
    // The one where it discards, the other where it does not.
    let counter =
        ["in-pkts-no-sa-error", "in-pkts-no-sa"].into_iter().max_by_key(|c| sample.total(c))?;
    let level =
        level(sample, counter, if works(sample) { Level::Warning } else { Level::Problem })?;
    let secy = sample.after.secy.as_ref();
    let scs = || secy.into_iter().flat_map(|secy| &secy.receive_sc);
    let when = if sample.rise(counter) > 0 { When::Now } else { When::Ever };
    // Counted apart, by the same two cases.
    let advice = if sample.sum(when, ["unknown-sci", "no-sci"]) > 0 {
        let configured = scs().map(|sc| sc.sci.as_str()).collect::<Vec<_>>().join(", ");
        let configured = if configured.is_empty() { "none".to_owned() } else { configured };
        format!(
            "Somebody else sends, or the other end's SCI is not what is configured here as its: \
             {configured}. At the other end `macsec status` shows it as TXSC."
        )
    } else {
        let sas = scs().flat_map(|sc| sc.receive_sa.iter().map(move |sa| (sc, sa)));
        let ans = sas.map(|(sc, sa)| format!("AN {} for {}", sa.an, sc.sci)).collect::<Vec<_>>();
        let ans = if ans.is_empty() { "none".to_owned() } else { ans.join(", ") };
        format!(
            "The SCI is known, and it has no SA of that AN: the other end uses another `an` than \
                 is configured here ({ans})."
        )
    };
    Some(Finding::new(level, name_of(counter), sample.told(counter), advice))
}

/// InPktsLate.
fn late(sample: &Sample<'_>) -> Option<Finding> {
    const COUNTER: &str = "in-pkts-late";
    let window = sample.after.secy.as_ref().map_or(0, |secy| secy.replay_window);
    let (rising, advice) = if works(sample) {
        let advice = format!(
            "Frames overtake each other on the way, or somebody replays them: if the former, raise \
             replay_window (now {window}) above the reordering, 64 say."
        );
        (Level::Warning, advice)
    } else {
        let advice =
            "No frame is new: the other end has started again at lower packet numbers, so \
                      that it has lost its record. Never reset ours: make a new key for both ends."
                .to_owned();
        (Level::Problem, advice)
    };
    let level = level(sample, COUNTER, rising)?;
    Some(Finding::new(level, "InPktsLate", sample.told(COUNTER), advice))
}

/// InPktsNoTag.
fn no_tag(sample: &Sample<'_>) -> Option<Finding> {
    const COUNTER: &str = "in-pkts-no-tag";
    let (rising, advice) = if works(sample) {
        let advice = "Frames in clear, dropped as they should be: LLDP, spanning tree and the like \
                      of equipment on the way, or somebody injects them.";
        (Level::Note, advice)
    } else {
        let advice = "Only frames in clear come: MACsec is off at the other end, or does not get \
                      there (another port, another VLAN, another EtherType than 0x88E5).";
        (Level::Problem, advice)
    };
    let level = level(sample, COUNTER, rising)?;
    Some(Finding::new(level, "InPktsNoTag", sample.told(COUNTER), advice))
}

/// EAPOL from the wire that nobody here listens to.
fn eapol(sample: &Sample<'_>) -> Option<Finding> {
    const COUNTER: &str = "eapol-from-uplink";
    let rising = if works(sample) { Level::Note } else { Level::Warning };
    let advice = match sample.after.key_source.as_str() {
        "mka" => return None,
        "static" => {
            "The other end speaks 802.1X, so it expects keys by MKA: give this port [port.mka] \
             instead of static keys, or that one the same static keys."
        }
        _ => "The other end expects keys by MKA: give this port [port.mka].",
    };
    let level = level(sample, COUNTER, rising)?;
    Some(Finding::new(level, COUNTER, sample.told(COUNTER), advice))
}

/// Frames at least, sent without any coming back, that are more than a host's own chatter.
const UNANSWERED: u64 = 10;

/// We send, and nothing comes back.
fn silence(sample: &Sample<'_>) -> Option<Finding> {
    const CHECK: &str = "silence";
    if sample.received(When::Now) > 0 || !sample.after.uplink.carrier {
        return None;
    }
    let ever = sample.received(When::Ever) > 0;
    let (sent, seconds) = (sample.sent(When::Now), sample.seconds());
    let advice = "Is the other end up, and are its frames let through? Providers filter EtherTypes \
                  they do not know: ask for 0x88E5. `macsec status` there shows whether ours \
                  arrive.";
    if !ever && sample.sent(When::Ever) > 0 {
        let seen = format!("{} frames sent, and not one has come", sample.sent(When::Ever));
        return Some(Finding::problem(CHECK, seen, advice));
    }
    (ever && sent >= UNANSWERED).then(|| {
        let seen = format!("{sent} frames sent in the last {seconds} s, and none has come");
        Finding::warning(CHECK, seen, advice)
    })
}

/// Packet numbers that come to an end.
fn packet_numbers(sample: &Sample<'_>) -> Vec<Finding> {
    const CHECK: &str = "packet numbers";
    let sas = sample.after.secy.iter().flat_map(|secy| &secy.transmit_sc.transmit_sa);
    let in_use = sas.filter(|sa| sa.in_use);
    let agreed = sample.after.key_source == "mka";
    in_use
        .filter_map(|sa| {
            let suite = CipherSuite::ALL.into_iter().find(|s| s.name() == sa.cipher_suite)?;
            let (last, next) = (suite.max_pn(), sa.next_pn?);
            let left = last.saturating_sub(next);
            let level = match left {
                _ if left < last / 20 => Level::Problem,
                // MKA makes a new SAK at this point.
                _ if left < last / 4 && !agreed => Level::Warning,
                _ => return None,
            };
            let rate = sample.sent(When::Now) / sample.seconds();
            let time = match left.checked_div(rate) {
                Some(seconds) => format!(", for {} h at this rate", seconds / 3600),
                None => String::new(),
            };
            let advice = if agreed {
                "The key server has made no new SAK: see what MKA says at both ends, or `macsec \
                 rekey` at the key server; an XPN suite does not run out."
            } else {
                "Put new keys in place before they are used up (`macsec keygen static`); an XPN \
                 suite does not run out."
            };
            Some(Finding::new(
                level,
                CHECK,
                format!("{left} are left to AN {}{time}", sa.an),
                advice,
            ))
        })
        .collect()
}

/// What passes, where nothing is wrong.
fn traffic(sample: &Sample<'_>) -> Option<Finding> {
    const CHECK: &str = "traffic";
    sample.after.secy.as_ref()?;
    let (sent, valid) = (sample.sent(When::Now), sample.rise("in-pkts-ok"));
    let seconds = sample.seconds();
    if sent + valid == 0 {
        let seen = format!("no frame either way in {seconds} s");
        return Some(Finding::note(CHECK, seen, "Send something (ping) while this looks."));
    }
    Some(Finding::ok(
        CHECK,
        format!("{sent} frames sent, {valid} valid ones received in {seconds} s"),
    ))
}

/// Whether there are valid frames: now, or for want of any now, ever.
fn works(sample: &Sample<'_>) -> bool {
    match sample.received(When::Now) {
        0 => sample.total("in-pkts-ok") > 0,
        _ => sample.rise("in-pkts-ok") > 0,
    }
}

/// The name of a counter in the standard, if it has one.
fn name_of(counter: &'static str) -> &'static str {
    COUNTERS.iter().find(|c| c.yang == counter).map_or(counter, |c| c.name)
}
