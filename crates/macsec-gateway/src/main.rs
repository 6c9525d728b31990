//! The binary `macsec`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    macsec_gateway::cli::main()
}
