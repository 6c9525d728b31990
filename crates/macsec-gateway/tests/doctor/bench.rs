//! A host with a configuration, another one at the far end of its uplink, and gateways on both.
#![allow(unreachable_pub)]

use std::{
    fs,
    os::{fd::AsFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use macsec_gateway::{
    control::{self, Reply, Request},
    status::Status,
};
use macsec_io::{
    netlink::{Netlink, VethEnd},
    netns::Namespace,
};
use tempfile::TempDir;

use crate::common;

/// The last octets of the SCIs of the two ends, which are their SSCIs too.
pub const NEAR: u8 = 1;
pub const FAR: u8 = 2;

const PATIENCE: Duration = Duration::from_secs(30);

/// The near host's namespace is that of the calling thread.
pub struct Bench {
    near: Namespace,
    far: Namespace,
    directory: TempDir,
    key: String,
}

impl Bench {
    /// Runs `test` in the near host's namespace. Says so if that is not possible here.
    pub fn run(test: impl FnOnce(&Self) + Send) {
        let (near, far) = match (Namespace::new(), Namespace::new()) {
            (Ok(near), Ok(far)) => (near, far),
            (Err(error), _) | (_, Err(error)) => return common::skip(&error.to_string()),
        };
        let directory = tempfile::tempdir().expect("a directory");
        let bench = Self { near, far, directory, key: "42".repeat(32) };
        bench.write_config(NEAR, FAR, "first_use = true", bench.key());
        bench.near.run(|| test(&bench)).expect("entered");
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn hosts(&self) -> [&Namespace; 2] {
        [&self.near, &self.far]
    }

    /// Connects `up0` here with `up0` there.
    pub fn plug(&self) {
        let near = VethEnd::new("up0").mac([2, 0, 0, 0, 0, NEAR]);
        let far = VethEnd::new("up0").mac([2, 0, 0, 0, 0, FAR]).namespace(self.far.as_fd());
        Netlink::open().unwrap().create_veth(&near, &far).unwrap();
    }

    /// The configuration of the end `ours`; the near one's is macsec.toml.
    pub fn write_config(&self, ours: u8, peer: u8, first_use: &str, key: &str) -> PathBuf {
        let prefix = if ours == NEAR { "" } else { "far-" };
        let at = |name: &str| self.path(&format!("{prefix}{name}"));
        let key_file = at("key");
        fs::write(&key_file, key).unwrap();
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
        let text = format!(
            r#"
            control_socket = "{}"
            state_directory = "{}"
            namespace = "{}"
            [[port]]
            name = "wan0"
            uplink = "up0"
            [port.static_keys]
            {first_use}
            sak_file = "{}"
            salt = "000102030405060708090a0b"
            ssci = {ours}
            [[port.static_keys.peer]]
            sci = "02-00-00-00-00-0{peer}-0001"
            ssci = {peer}
            "#,
            at("sock").display(),
            at("state").display(),
            self.namespace(ours),
            key_file.display(),
        );
        let file = at("macsec.toml");
        fs::write(&file, text).unwrap();
        file
    }

    /// A name for the private namespace that no other test has.
    fn namespace(&self, end: u8) -> String {
        let name = self.directory.path().file_name().unwrap().to_str().unwrap();
        format!("macsec-test-{}-{end}", name.trim_start_matches('.'))
    }

    /// Runs `macsec doctor` on the near host.
    pub fn doctor(&self, arguments: &[&str]) -> Doctor {
        let (config, socket) = (self.path("macsec.toml"), self.path("sock"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_macsec"));
        command.args(["doctor", "--json", "--config"]).arg(config).args(arguments);
        // Said only where there is one, as its absence is a problem then.
        if socket.exists() {
            command.arg("--socket").arg(socket);
        }
        Doctor::new(&command.output().expect("the binary has been built"))
    }

    /// Gateways on both hosts, which have started. `key`: the far one's.
    pub fn gateways(&self, key: &str) -> [Gateway; 2] {
        let near = self.path("macsec.toml");
        let far = self.write_config(FAR, NEAR, "first_use = true", key);
        let far = self.far.run(|| Gateway::start(&far, self.namespace(FAR))).unwrap();
        let near = Gateway::start(&near, self.namespace(NEAR));
        for (end, (socket, namespace)) in
            [(NEAR, ("sock", &self.near)), (FAR, ("far-sock", &self.far))]
        {
            let socket = self.path(socket);
            let enabled = |status: &Status| status.ports[0].controlled_port_enabled;
            let until = Instant::now() + PATIENCE;
            while !status(&socket).as_ref().is_some_and(enabled) {
                assert!(Instant::now() < until, "no gateway: {:?}", status(&socket));
                thread::sleep(Duration::from_millis(50));
            }
            let address = [10, 9, 9, end].into();
            let add = || Netlink::open().unwrap().add_address("wan0", address, 24).unwrap();
            namespace.run(add).unwrap();
        }
        [near, far]
    }
}

/// Runs `ip` of iproute2.
pub fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2");
    assert!(output.status.success(), "ip {arguments}: {}", common::stderr(&output));
}

/// What the gateway behind `socket` says of itself, if there is one.
pub fn status(socket: &Path) -> Option<Status> {
    match control::ask(socket, &Request::Status) {
        Ok(Reply::Status(status)) => Some(*status),
        _ => None,
    }
}

/// `macsec run`, ended when dropped.
pub struct Gateway {
    process: Child,
    namespace: String,
}

impl Gateway {
    fn start(config: &Path, namespace: String) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_macsec"));
        command.args(["run", "--config"]).arg(config).stderr(Stdio::null());
        Self { process: command.spawn().expect("the binary has been built"), namespace }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.process.wait();
        let _ = Namespace::unpin(&self.namespace);
    }
}

/// What a run of `macsec doctor` said.
#[derive(Debug)]
pub struct Doctor {
    pub code: i32,
    pub errors: String,
    findings: Vec<serde_json::Value>,
}

/// Level, what was seen, what to do.
type Said<'a> = (&'a str, &'a str, &'a str);

impl Doctor {
    fn new(output: &Output) -> Self {
        let json: serde_json::Value =
            serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null);
        let findings = json["findings"].as_array().cloned().unwrap_or_default();
        let code = output.status.code().expect("it ended by itself");
        Self { code, errors: common::stderr(output), findings }
    }

    /// All findings of a check.
    pub fn all(&self, check: &str) -> Vec<Said<'_>> {
        let of_check = self.findings.iter().filter(|finding| finding["check"] == check);
        of_check.map(|f| (text(&f["level"]), text(&f["seen"]), text(&f["advice"]))).collect()
    }

    /// The only finding of a check.
    pub fn the_one(&self, check: &str) -> Said<'_> {
        let all = self.all(check);
        assert_eq!(all.len(), 1, "{check}: {self:?}");
        all[0]
    }
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}
