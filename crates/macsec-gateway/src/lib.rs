//! A MACsec gateway in user space for Linux: everything behind the binary `macsec`.
//!
//! | module | what it does |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`config`] | the configuration file: types that hold only what is allowed, and every fault with its line |
//! | [`check`] | what a configuration file would do, or all that is wrong with it |
//! | [`daemon`] | `macsec run`: threads, signals, reload |
//! | [`control`] | the socket that a running gateway is asked by |
//! | [`status`] | what a gateway says of itself |
//! | [`port`] | a port: a SecY between an uplink and a TAP, and the loop that moves frames |
//! | [`pn_store`] | packet numbers that survive restarts |
//! | [`ki_journal`] | keys that an earlier run has transmitted with |
//! | [`keyring`] | which CAKs a port takes part with, and how much each is preferred |
//! | [`pcap`] | a capture file of what passes through the ports |
//! | [`privileges`] | what the process may do, and who may look into it |
//! | [`audit`] | who did what to the keys |
//! | [`uplink`] | the host's stack is shut out of the uplink, and it is given back as it was |
//! | [`keygen`] | keys from the system's random number generator |
//! | [`doctor`] | what keeps a gateway from working, and what to do |
//! | [`decode`] | captures of MKA and MACsec, read and opened |
//! | [`exit`] | exit codes |
//! | [`demo`] | two clouds, two gateways, one wire and an attacker, on one machine |
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

pub mod audit;
pub mod check;
mod checked_text;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod decode;
pub mod demo;
pub mod doctor;
pub mod exit;
pub mod keygen;
pub mod keyring;
pub mod ki_journal;
mod mailbox;
pub mod pcap;
pub mod pn_store;
pub mod port;
mod private_dir;
pub mod privileges;
mod state_directory;
pub mod status;
pub mod uplink;

/// Compiles and runs the code in the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
