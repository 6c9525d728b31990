//! `cargo xtask wpa`: our gateway's MKA against a peer that we have not written, Debian's
//! wpa_supplicant.
//!
//! ```text
//!       our namespace                                       their namespace
//!  host --- TAP --- macsec run ======= the test ======= wpa_supplicant --- shim
//!                              veth                veth
//! ```
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
mod process;
mod secy;
mod shim;
mod station;
mod story;
mod supplicant;
mod wire;

use std::{
    collections::VecDeque,
    fs,
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
}

/// What the cases need that is made once.
pub(crate) struct Tools {
    shim: PathBuf,
    gateway: PathBuf,
    tshark: Option<PathBuf>,
}

/// Runs the cases asked for. `true`: all have passed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let mut cases =
        options.hold.map_or_else(Case::all, |minutes| Case::held(minutes, options.rekeys));
    if let Some(name) = options.names.iter().find(|name| cases.iter().all(|c| c.name != **name)) {
        return Err(format!("there is no case {name}: see --list").into());
    }
    cases.retain(|case| options.names.is_empty() || options.names.iter().any(|n| n == case.name));
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
    let failed = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(case) = next(&queue) {
                    if !passes(&case, &tools, &logs) {
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failed > 0 {
        println!("logs of both ends and what was on the wire: {}", logs.display());
    }
    println!("wpa: {} passed, {failed} failed", count - failed);
    Ok(failed == 0 && count > 0)
}

fn next(queue: &Mutex<VecDeque<Case>>) -> Option<Case> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn passes(case: &Case, tools: &Tools, logs: &Path) -> bool {
    let begin = Instant::now();
    let result = Bed::new(case, tools, logs).and_then(|mut bed| {
        let result = (case.story)(&mut bed);
        // All the same: what was on the wire is kept there.
        let traces = bed.check_traces(tools);
        result.and(traces)
    });
    let verdict = if result.is_ok() { "ok" } else { "FAILED" };
    let fault = result.err().map(|error| format!("\n        {error}")).unwrap_or_default();
    println!("{verdict:6}  {:32} {:5.1} s{fault}", case.name, begin.elapsed().as_secs_f32());
    fault.is_empty()
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
