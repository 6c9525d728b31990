//! `cargo xtask wpa`: our gateway's MKA against a peer that we have not written, Debian's
//! wpa_supplicant.
//!
//! ```text
//!       our namespace                                       their namespace
//!  host --- TAP --- macsec run ======= the test ======= wpa_supplicant --- shim
//!                              veth                veth
//! ```
//!
//! In a group there is a second wpa_supplicant, in a namespace of its own, on the same wire.
//!
//! Frames pass through the test, which keeps them and can lose them. wpa_supplicant is Debian's,
//! unmodified, with its driver for the kernel's macsec; a library of ours (`wpa/shim.c`) answers in
//! the kernel's place and keeps what it is told. So the test knows each SAK, opens what our gateway
//! sends, and sends what wpa_supplicant's kernel would.
//!
//! All processes die with the threads that live in the namespaces, and these have no names, so
//! nothing is left when this process ends.

mod bed;
mod case;
mod dissect;
mod end;
mod gateway;
mod group;
mod process;
mod secy;
mod shim;
mod station;
mod story;
mod supplicant;
mod wire;

use std::{
    collections::VecDeque,
    fs, mem,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use crate::interop::Result;
use bed::Bed;
use case::Case;

/// Cases at a time. They wait most of the time.
const AT_A_TIME: usize = 10;
/// Groups at a time: how long they take is what they are about.
const GROUPS_AT_A_TIME: usize = 4;
/// Of how many runs of a group one may miss its time: wpa_supplicant has flaws there. Of the few runs
/// that are among the cases one may as well.
const RUNS_A_MISS: usize = 20;

/// Which cases to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Run these cases only
    names: Vec<String>,
    /// Name the cases and run none
    #[arg(long)]
    list: bool,
    /// Hold two sessions for so many minutes instead, one as key server, one as client
    #[arg(long, value_name = "MINUTES", conflicts_with = "names")]
    hold: Option<u32>,
    /// SAKs to change to meanwhile
    #[arg(long, default_value_t = 5, requires = "hold")]
    rekeys: u32,
    /// Bring up a group with two wpa_supplicants so many times instead, within 20 seconds; one time in 20 it may fail
    #[arg(long, value_name = "RUNS", conflicts_with_all = ["names", "hold"])]
    group: Option<u32>,
}

/// What the cases need that is made once.
pub(crate) struct Tools {
    shim: PathBuf,
    gateway: PathBuf,
    tshark: Option<PathBuf>,
}

/// Runs the cases asked for. `true`: all have passed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let mut cases = match (options.hold, options.group) {
        (Some(minutes), _) => Case::held(minutes, options.rekeys),
        (_, Some(runs)) => Case::groups(runs),
        _ => Case::all(),
    };
    if let Some(name) = options.names.iter().find(|name| cases.iter().all(|c| c.name != **name)) {
        return Err(format!("there is no case {name}: see --list").into());
    }
    cases.retain(|case| options.names.is_empty() || options.names.contains(&case.name));
    if options.list {
        cases.iter().for_each(|case| println!("{}", case.name));
        return Ok(true);
    }
    let directory = crate::interop::target_directory()?.join("wpa");
    fs::create_dir_all(&directory)?;
    let logs = directory.join("run");
    if logs.exists() {
        fs::remove_dir_all(&logs)?;
    }
    let tshark = PathBuf::from("tshark");
    let tools = Tools {
        shim: shim::build(&directory)?,
        gateway: crate::interop::build_gateway()?,
        tshark: dissect::is_installed(&tshark).then_some(tshark),
    };
    println!("{}", supplicant::version()?);
    if tools.tshark.is_none() {
        println!("WARNING: SKIPPED tshark's view of our MKPDUs: there is no tshark");
    }

    let count = cases.len();
    let queue = Mutex::new(VecDeque::from(cases));
    let (at_a_time, may_miss) = match options.group {
        Some(_) => (GROUPS_AT_A_TIME, count / RUNS_A_MISS),
        None => (AT_A_TIME, 1),
    };
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while let Some(case) = next(&queue) {
                    let outcome = play(&case, &tools, &logs);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                    if outcome == Outcome::Passed && options.group.is_some() {
                        // Only the others are of interest. If it stays, it does no harm.
                        let _ = fs::remove_dir_all(logs.join(&case.name));
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let [passed, missed, failed] = [Outcome::Passed, Outcome::Missed, Outcome::Failed]
        .map(|kind| outcomes.iter().filter(|outcome| **outcome == kind).count());
    if passed < count {
        println!("logs of all ends and what was on the wire: {}", logs.display());
    }
    println!("wpa: {passed} passed, {missed} missed their time, {failed} failed");
    Ok(failed == 0 && missed <= may_miss && passed > 0)
}

fn next(queue: &Mutex<VecDeque<Case>>) -> Option<Case> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// What has become of a case.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// A group that has not come up in time, or not stayed together.
    Missed,
    Failed,
}

fn play(case: &Case, tools: &Tools, logs: &Path) -> Outcome {
    let begin = Instant::now();
    let (mut note, mut miss) = (String::new(), None);
    let result = Bed::new(case, tools, logs).and_then(|mut bed| {
        let result = (case.story)(&mut bed);
        // All the same: what was on the wire is kept there.
        let traces = bed.check_traces(tools);
        (note, miss) = (mem::take(&mut bed.note), bed.miss.take());
        result.and(traces)
    });
    let (verdict, outcome, fault) = match (result, miss) {
        (Err(error), _) => ("FAILED", Outcome::Failed, format!("\n        {error}")),
        (Ok(()), Some(miss)) => ("MISSED", Outcome::Missed, format!("\n        {miss}")),
        (Ok(()), None) => ("ok", Outcome::Passed, String::new()),
    };
    let took = begin.elapsed().as_secs_f32();
    println!("{verdict:6}  {:24} {took:5.1} s{note}{fault}", case.name);
    outcome
}

/// Asks until there is an answer.
fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let until = Instant::now() + patience;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() > until {
            return Err(format!("{what}: not within {} s", patience.as_secs()).into());
        }
        thread::sleep(Duration::from_millis(50));
    }
}
