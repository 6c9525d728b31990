//! `macsec decode`: reads MKA and MACsec in a capture, given the keys, and opens the traffic.
//!
//! | file | what is in it |
//! |---|---|
//! | `key_arguments` | keys on the command line |
//! | `capture` | capture files, read frame by frame |
//! | `file` | the two passes over a file |
//! | `live` | the one pass over what an interface receives |
//! | `session` | what is done with a frame |
//! | `output`, `progress` | lines, and a bar beside them |
//! | `write` | the capture in clear |
//! | `summary`, `text` | what there is to say at the end |

mod capture;
mod file;
mod key_arguments;
mod live;
mod output;
mod progress;
mod session;
mod summary;
mod text;
mod write;

use std::{
    fmt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use macsec_decode::Given;

use crate::{
    config::CaptureKeys,
    exit::{self, cannot_run},
};
use capture::Source;
use file::Job;
pub use key_arguments::KeyArgument;
use progress::Progress;
use session::{Session, Show};
use summary::{Summary, Written};
use text::SummaryText;

/// Options of `macsec decode`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct Options {
    /// The capture: pcap or pcapng, `-` for stdin; with --follow, an interface
    #[arg(value_name = "FILE")]
    pub capture: PathBuf,

    /// A CAK that opens MKA: ckn=HEX,cak=HEX (better: --keys)
    #[arg(long, value_name = "CA")]
    pub ca: Vec<KeyArgument>,

    /// A SAK: sci=HEX,an=N,suite=NAME,key=HEX and, as need be, ssci=HEX, salt=HEX, offset=N, pn=N
    /// (better: --keys)
    #[arg(long, value_name = "SA")]
    pub sa: Vec<KeyArgument>,

    /// A file with CAKs and SAKs (see docs/decode.md), or the configuration of a gateway
    #[arg(long, value_name = "FILE")]
    pub keys: Vec<PathBuf>,

    /// Print one JSON object, no lines; with -v every MKPDU is in it
    #[arg(long)]
    pub json: bool,

    /// Write the capture in clear to a pcap file. Frames that cannot be opened are left out
    #[arg(long, value_name = "OUT")]
    pub write: Option<PathBuf>,

    /// Show the SAKs
    #[arg(long)]
    pub show_keys: bool,

    /// Read what an interface receives, until SIGINT or SIGTERM
    #[arg(long)]
    pub follow: bool,

    /// Show MKPDUs whole, and every data frame
    #[arg(short, long)]
    pub verbose: bool,
}

const EXIT_CODES: &str = "Exit codes: 0: every MKPDU was verified and every MACsec frame opened. \
    1: not so, or the capture breaks off. 2: it could not be read at all, or wrong use.";

/// Decodes, and prints what was found.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    let given = match keys(options) {
        Ok(given) => given,
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("macsec decode: {fault}"));
            return ExitCode::from(exit::CANNOT_RUN);
        }
    };
    if !options.ca.is_empty() || !options.sa.is_empty() {
        eprintln!(
            "macsec decode: warning: keys on a command line are seen by every user of this \
             machine: use --keys FILE"
        );
    }
    let (summary, mut session) = match decode(options, &given) {
        Ok(decoded) => decoded,
        Err(error) => return cannot_run("decode", &error),
    };
    finish(options, &summary, &mut session)
}

/// All keys that are given, or every fault of theirs.
fn keys(options: &Options) -> Result<Given, Vec<String>> {
    let (mut given, mut faults) = (Given::default(), Vec::new());
    for file in &options.keys {
        match CaptureKeys::load(file) {
            Ok(CaptureKeys { given: Given { cas, sas }, warnings }) => {
                given.cas.extend(cas);
                given.sas.extend(sas);
                warnings.iter().for_each(|warning| eprintln!("macsec decode: warning: {warning}"));
            }
            Err(found) => faults.extend(found.iter().map(ToString::to_string)),
        }
    }
    for (number, argument) in (1..).zip(&options.ca) {
        match key_arguments::ca(number, argument) {
            Ok(ca) => given.cas.push(ca),
            Err(fault) => faults.push(fault),
        }
    }
    for (number, argument) in (1..).zip(&options.sa) {
        match key_arguments::sa(number, argument) {
            Ok(sa) => given.sas.push(sa),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(given) } else { Err(faults) }
}

fn decode(options: &Options, given: &Given) -> Result<(Summary, Session), String> {
    let show = match (options.json, options.verbose) {
        (false, false) => Show::Lines,
        (false, true) => Show::All,
        (true, false) => Show::Nothing,
        (true, true) => Show::JsonMkpdus,
    };
    let write = options.write.as_deref();
    let begin = |session: &mut Session| {
        if show == Show::JsonMkpdus {
            session.output.text("{\"mkpdu_records\":[");
        }
    };
    if write == Some(Path::new("-")) {
        return Err("--write: must be a file: stdout is for lines".to_owned());
    }
    let (mut summary, session) = if options.follow {
        let interface = options.capture.to_str().ok_or("the interface: must be a name")?;
        let followed = live::follow(interface, given, show, write, begin);
        let (session, lost) = followed.map_err(one_line)?;
        let mut summary = Summary::new(interface, &session, options.show_keys);
        summary.lost = lost;
        (summary, session)
    } else {
        let source = Source::open(&options.capture).map_err(one_line)?;
        if let Some(path) = write.filter(|path| source.is(path)) {
            return Err(format!("--write: {}: must be another file", path.display()));
        }
        let job = Job { source: &source, given, show, write };
        let (session, early) = file::decode(&job, begin).map_err(one_line)?;
        let mut summary = Summary::new(source.name(), &session, options.show_keys);
        summary.complete = early.is_none();
        summary.broken_off = early.map(one_line);
        (summary, session)
    };
    summary.written = write.map(|path| Written {
        file: path.display().to_string(),
        frames: session.tally.written,
        left_out: session.tally.left_out,
    });
    Ok((summary, session))
}

fn one_line(error: impl fmt::Display) -> String {
    error.to_string()
}

/// Prints the summary, and finds the exit code.
fn finish(options: &Options, summary: &Summary, session: &mut Session) -> ExitCode {
    if options.json {
        match serde_json::to_string(summary) {
            Ok(json) if options.verbose => {
                session.output.text("],");
                session.output.text(json.strip_prefix('{').unwrap_or(&json));
            }
            Ok(json) => session.output.text(&json),
            Err(error) => unreachable!("texts and numbers always serialize: {error}"),
        }
        session.output.text("\n");
    } else {
        session.output.line(&mut Progress::new(0), SummaryText(summary));
    }
    session.output.flush();
    if let Some(error) = session.output.take_error() {
        return cannot_run("decode", &format_args!("stdout: {error}"));
    }
    if let Some(reason) = &summary.broken_off {
        eprintln!("macsec decode: {reason}");
    }
    if summary.is_all_fine() || session.output.is_closed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::FAILED)
    }
}
