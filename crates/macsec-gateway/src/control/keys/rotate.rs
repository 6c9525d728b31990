//! `macsec keys rotate`: from one key to another without losing a frame.
//!
//! Composed of what anybody else could ask for as well. Nothing is kept here: whoever was
//! interrupted begins again, and what has been done is not done twice. If time runs out nothing is
//! retired.

use std::{
    fmt,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use mka::Ckn;
use serde::Serialize;

use super::{
    Asking, KeyAnswer, KeyResult, PortKeys, RefusalCode, Request, ask_key, ask_keys, print_json,
};
use crate::{exit, status::CakState};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(250);

/// What one step has come to, as `--json` prints it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct StepReport<'a> {
    step: Step,
    port: &'a str,
    /// The key that the step was about.
    ckn: &'a str,
    /// Whether it has come about, or would.
    result: &'a str,
    refusal: Option<RefusalCode>,
    message: &'a str,
}

/// The steps of a rotation.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Step {
    /// The key becomes live with every peer.
    Live,
    /// It is preferred.
    Activate,
    /// It comes into use.
    InUse,
    /// The key before is retired.
    Retire,
    /// All is done.
    Done,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Activate => "activate",
            Self::InUse => "in use",
            Self::Retire => "retire",
            Self::Done => "done",
        })
    }
}

/// Why it goes no further.
enum Stop {
    /// Refused, or out of time: at this step, with this key.
    At(Step, String, Option<RefusalCode>, String),
    /// There is nobody to be asked.
    NoGateway(String),
}

/// A rotation.
pub(super) struct Rotation<'a> {
    asking: &'a Asking,
    port: &'a str,
    to: String,
    deadline: Instant,
    timeout: Duration,
}

impl<'a> Rotation<'a> {
    pub(super) fn new(asking: &'a Asking, port: &'a str, to: Ckn, timeout: Duration) -> Self {
        Self { asking, port, to: to.to_string(), deadline: Instant::now() + timeout, timeout }
    }

    /// Carries it out. Exit code 1 if it stops half-way.
    pub(super) fn run(&self, dry_run: bool) -> ExitCode {
        match if dry_run { self.rehearse() } else { self.carry_out() } {
            Ok(()) => ExitCode::SUCCESS,
            Err(Stop::At(step, ckn, refusal, message)) => {
                self.report(step, &ckn, "refused", refusal, &message);
                ExitCode::from(exit::FAILED)
            }
            Err(Stop::NoGateway(reason)) => exit::cannot_run("keys rotate", &reason),
        }
    }

    fn carry_out(&self) -> Result<(), Stop> {
        let before = other_in_use(&self.keys()?, &self.to);
        let answer = self.once_allowed(Step::Live, &self.activation(true))?;
        if answer.result == KeyResult::WouldBeDone {
            self.done(Step::Live, &self.to, "the key is live with every peer");
        }

        let answer = self.operate(Step::Activate, &self.activation(false))?;
        self.done(Step::Activate, &self.to, &answer.message);

        let keys = self.until_in_use()?;
        self.done(Step::InUse, &self.to, "the key is in use");

        match former(&keys, before.as_deref(), &self.to) {
            Former::Key(former) => {
                self.once_allowed(Step::Retire, &self.retirement(&former, true))?;
                let answer = self.operate(Step::Retire, &self.retirement(&former, false))?;
                self.done(Step::Retire, &former, &answer.message);
            }
            Former::Fallback(former) => {
                self.done(Step::Retire, &former, "the key before is the fallback, and stays");
            }
            Former::None => {}
        }
        self.done(Step::Done, &self.to, &self.summary()?);
        Ok(())
    }

    /// What has come of it, and which keys are there beside.
    fn summary(&self) -> Result<String, Stop> {
        let keys = self.keys()?.keys;
        let others = keys.iter().filter(|key| key.ckn != self.to && key.state != CakState::Retired);
        let others: Vec<_> = others.map(|key| key.ckn.as_str()).collect();
        let beside = if others.is_empty() { "no other".to_owned() } else { others.join(", ") };
        Ok(format!("the port has gone over to the key; beside it there is {beside}"))
    }

    /// Says what would be done, as far as that can be told now.
    fn rehearse(&self) -> Result<(), Stop> {
        let keys = self.keys()?;
        let before = other_in_use(&keys, &self.to);
        let former = former(&keys, before.as_deref(), &self.to);
        let answer = self.ask(Step::Activate, &self.activation(true))?;
        if answer.result == KeyResult::Refused {
            return Err(refused(Step::Activate, answer));
        }
        self.report(Step::Activate, &self.to, answer.result.name(), None, &answer.message);
        if let Former::Key(former) = former {
            let message = "the key is retired once the other is in use";
            self.report(Step::Retire, &former, KeyResult::WouldBeDone.name(), None, message);
        }
        Ok(())
    }

    /// Waits until the gateway would do what `request`, a dry run, asks for.
    fn once_allowed(&self, step: Step, request: &Request) -> Result<KeyAnswer, Stop> {
        loop {
            let answer = self.ask(step, request)?;
            if answer.result != KeyResult::Refused {
                return Ok(answer);
            }
            let passes = answer.refusal.is_some_and(RefusalCode::may_pass);
            if !passes {
                return Err(refused(step, answer));
            }
            self.pause(step, &answer.ckn, answer.refusal, &answer.message)?;
        }
    }

    /// Waits until the key is in use, whoever has seen to that.
    fn until_in_use(&self) -> Result<PortKeys, Stop> {
        loop {
            let keys = match self.keys() {
                Ok(keys) => keys,
                // It may be starting again.
                Err(Stop::NoGateway(_)) if Instant::now() < self.deadline => {
                    thread::sleep(PAUSE);
                    continue;
                }
                Err(stop) => return Err(stop),
            };
            if keys.in_use.as_ref() == Some(&self.to) && keys.secured {
                return Ok(keys);
            }
            let message = match &keys.key_server {
                Some(server) if !server.is_self => format!(
                    "the key server {} has not gone over to the key: activate it there",
                    server.sci
                ),
                _ => "the key does not come into use: see `macsec status`".to_owned(),
            };
            self.pause(Step::InUse, &self.to, None, &message)?;
        }
    }

    /// Waits a moment, if there is time.
    fn pause(
        &self,
        step: Step,
        ckn: &str,
        refusal: Option<RefusalCode>,
        message: &str,
    ) -> Result<(), Stop> {
        if Instant::now() >= self.deadline {
            let message = format!(
                "given up after {} s, and nothing is retired: {message}",
                self.timeout.as_secs()
            );
            return Err(Stop::At(step, ckn.to_owned(), refusal, message));
        }
        thread::sleep(PAUSE);
        Ok(())
    }

    fn operate(&self, step: Step, request: &Request) -> Result<KeyAnswer, Stop> {
        let answer = self.ask(step, request)?;
        if answer.result == KeyResult::Refused { Err(refused(step, answer)) } else { Ok(answer) }
    }

    fn ask(&self, step: Step, request: &Request) -> Result<KeyAnswer, Stop> {
        loop {
            match ask_key(&self.asking.socket, request) {
                Ok(answer) => return Ok(answer),
                // It may be starting again.
                Err(reason) if Instant::now() >= self.deadline => {
                    return Err(Stop::NoGateway(format!("{step}: {reason}")));
                }
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }

    fn keys(&self) -> Result<PortKeys, Stop> {
        let mut ports = ask_keys(&self.asking.socket, Some(self.port)).map_err(Stop::NoGateway)?;
        ports.pop().ok_or_else(|| Stop::NoGateway(format!("no port {}", self.port)))
    }

    fn activation(&self, dry_run: bool) -> Request {
        Request::KeyActivate { port: self.port.to_owned(), ckn: self.to.clone(), dry_run }
    }

    fn retirement(&self, ckn: &str, dry_run: bool) -> Request {
        let (port, ckn) = (self.port.to_owned(), ckn.to_owned());
        Request::KeyRetire { port, ckn, force: false, dry_run }
    }

    fn done(&self, step: Step, ckn: &str, message: &str) {
        self.report(step, ckn, KeyResult::Done.name(), None, message);
    }

    fn report(
        &self,
        step: Step,
        ckn: &str,
        result: &str,
        refusal: Option<RefusalCode>,
        message: &str,
    ) {
        let port = self.port;
        if self.asking.json {
            print_json(&StepReport { step, port, ckn, result, refusal, message });
        } else if result == KeyResult::Refused.name() {
            eprintln!("macsec keys rotate: {step}: port {port}: key {ckn}: {message}");
        } else {
            println!("{step}: port {port}: key {ckn}: {message}");
        }
    }
}

fn refused(step: Step, answer: KeyAnswer) -> Stop {
    Stop::At(step, answer.ckn, answer.refusal, answer.message)
}

/// The key that a rotation leaves behind.
enum Former {
    Key(String),
    /// It is there to stay.
    Fallback(String),
    None,
}

/// The key in use, if that is another.
fn other_in_use(keys: &PortKeys, to: &str) -> Option<String> {
    keys.in_use.clone().filter(|ckn| ckn != to)
}

/// The key that was in use when the rotation began; else the one that is known to have been before
/// it: a rotation at the other end, or one that was cut short, has left it behind here.
fn former(keys: &PortKeys, before: Option<&str>, to: &str) -> Former {
    let ckn = before.or(keys.former.as_deref());
    let gone = [CakState::Retired, CakState::Leaving];
    let there = keys.keys.iter().find(|key| Some(key.ckn.as_str()) == ckn);
    match there.filter(|key| key.ckn != to && !gone.contains(&key.state)) {
        Some(key) if key.fallback => Former::Fallback(key.ckn.clone()),
        Some(key) => Former::Key(key.ckn.clone()),
        None => Former::None,
    }
}
