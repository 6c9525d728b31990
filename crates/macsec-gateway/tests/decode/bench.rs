//! Captures, made of golden MKPDUs and of frames that a SecY has sealed.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
    process::{Command, Output, Stdio},
    time::Duration,
};

use macsec::{
    An, CipherSuite, Config, DataKey, FrameBuf, HEADROOM, KeySlot, Ki, Portable, ReceiveScSlot,
    Sak, Sci, SecY, TAILROOM, TransmitSa,
};
use pcap_file::{
    DataLink, TsResolution,
    pcap::{PcapHeader, PcapReader, PcapWriter, RawPcapPacket},
    pcapng::{
        PcapNgWriter,
        blocks::{
            enhanced_packet::EnhancedPacketBlock,
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
        },
    },
};
use serde_json::Value;
use tempfile::TempDir;

/// The CAK of the golden MKPDUs, its name, and the SAK that they distribute.
pub(crate) const CAK: &str = "135bd758b0ee5c11c55ff6ab19fdb199";
pub(crate) const CKN: &str = "96437a93ccf10d9dfe347846cce52c7d";
pub(crate) const SAK: &str = "435c856d0f9e9a6e81f76759c1de15cc";
/// Some other key.
pub(crate) const OTHER_KEY: &str = "00112233445566778899aabbccddeeff";
/// Who makes the SAK.
const A: Sci = Sci([2, 0, 0, 0, 0, 0x0a, 0, 1]);
const START: Duration = Duration::from_secs(1_700_000_000);

/// A frame of a capture.
#[derive(Clone)]
pub(crate) struct Captured {
    pub(crate) at: Duration,
    pub(crate) octets: Vec<u8>,
    /// Octets of it that are in the capture.
    pub(crate) captured: usize,
    /// What it says.
    pub(crate) clear: Vec<u8>,
}

/// A directory for captures and keys.
pub(crate) struct Bench(TempDir);

impl Bench {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("text").to_owned()
    }

    /// The nine golden MKPDUs of one CA, with two data frames and a plain one among them: the first
    /// comes before the SAK does.
    pub(crate) fn session() -> Vec<Captured> {
        let golden =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../test-vectors/mka/golden-frames.json");
        let golden: Value =
            serde_json::from_str(&fs::read_to_string(golden).expect("there")).expect("JSON");
        let mkpdus = golden["frames"].as_array().expect("an array").iter();
        let mkpdus = mkpdus.filter(|frame| frame["ckn"] == CKN).map(|frame| {
            let octets = hex::decode(frame["frame"].as_str().expect("text")).expect("digits");
            (octets.clone(), octets)
        });
        let mut sender = sender(&hex::decode(SAK).expect("digits"));
        let [first, last] = [1, 2].map(|number| (seal(&mut sender, number), plain(number)));
        let frames = [first].into_iter().chain(mkpdus).chain([last, (plain(9), plain(9))]);
        at_intervals(frames)
    }

    /// A file with the CAK of the golden MKPDUs, or with another under the same name.
    pub(crate) fn keys_file(&self, cak: &str) -> String {
        let path = self.path("golden.toml");
        fs::write(&path, format!("[[ca]]\nckn = \"{CKN}\"\ncak = \"{cak}\"\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
        path
    }

    pub(crate) fn pcap(&self, name: &str, frames: &[Captured]) -> String {
        self.pcap_of_link(name, frames, DataLink::ETHERNET)
    }

    pub(crate) fn pcap_of_link(
        &self,
        name: &str,
        frames: &[Captured],
        datalink: DataLink,
    ) -> String {
        let path = self.path(name);
        let header = PcapHeader { datalink, ..PcapHeader::default() };
        let file = File::create(&path).expect("to be made");
        let mut writer = PcapWriter::with_header(file, header).expect("to be written");
        for Captured { at, octets, captured, .. } in frames {
            let packet = RawPcapPacket {
                ts_sec: at.as_secs() as u32,
                ts_frac: at.subsec_micros(),
                incl_len: *captured as u32,
                orig_len: octets.len() as u32,
                data: Cow::Borrowed(&octets[..*captured]),
            };
            writer.write_raw_packet(&packet).expect("to be written");
        }
        path
    }

    /// With times in nanoseconds.
    pub(crate) fn pcapng(&self, name: &str, frames: &[Captured]) -> String {
        let path = self.path(name);
        let mut writer =
            PcapNgWriter::new(File::create(&path).expect("to be made")).expect("to be written");
        let interface = InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: 0,
            options: vec![InterfaceDescriptionOption::IfTsResol(9)],
        };
        writer.write_pcapng_block(interface).expect("to be written");
        for Captured { at, octets, captured, .. } in frames {
            let block = EnhancedPacketBlock {
                interface_id: 0,
                timestamp: *at,
                original_len: octets.len() as u32,
                data: Cow::Borrowed(&octets[..*captured]),
                options: Vec::new(),
            };
            writer.write_pcapng_block(block).expect("to be written");
        }
        path
    }

    pub(crate) fn decode(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().expect("the binary has been built")
    }

    pub(crate) fn decode_stdin(&self, octets: &[u8], arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary has been built");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(octets).expect("it reads all before it writes");
        drop(stdin);
        child.wait_with_output().expect("ends")
    }

    pub(crate) fn decode_file_as_stdin(&self, file: &str, arguments: &[&str]) -> Output {
        let file = File::open(file).expect("there");
        self.command(arguments).stdin(file).output().expect("the binary has been built")
    }

    /// Reads the first line only, and tells what is on stderr.
    pub(crate) fn decode_head(&self, arguments: &[&str]) -> (String, String) {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary has been built");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("a line");
        drop(stdout);
        let mut told = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut told).expect("text");
        assert_eq!(child.wait().expect("ends").code(), Some(0));
        (line, told)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_macsec"));
        command.arg("decode").args(arguments).current_dir(self.0.path());
        command
    }
}

/// So many frames under the SAK `sak`, of `A` and AN 0.
pub(crate) fn seal_many(sak: &[u8], count: usize) -> Vec<Captured> {
    let mut sender = sender(sak);
    at_intervals((0..count).map(|at| (seal(&mut sender, at as u8), plain(at as u8))))
}

/// A frame that nothing protects.
fn plain(number: u8) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 0x0b], &A.mac().0[..], &[0x08, 0x00], &[number; 46]].concat()
}

/// The frames of a pcap file, and whether it counts nanoseconds.
pub(crate) fn read_pcap(path: &str) -> (Vec<(Duration, Vec<u8>)>, bool) {
    let mut reader = PcapReader::new(File::open(path).expect("there")).expect("pcap");
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.expect("a packet");
        assert_eq!(packet.orig_len as usize, packet.data.len());
        frames.push((packet.timestamp, packet.data.into_owned()));
    }
    (frames, reader.header().ts_resolution == TsResolution::NanoSecond)
}

/// A millisecond apart.
fn at_intervals(frames: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Vec<Captured> {
    let frame = |(number, (octets, clear)): (u32, (Vec<u8>, Vec<u8>))| Captured {
        at: START + number * Duration::from_millis(1),
        captured: octets.len(),
        octets,
        clear,
    };
    (0..).zip(frames).map(frame).collect()
}

type Sender = SecY<Portable, Vec<KeySlot<macsec::gcm::PortableKey>>, Vec<ReceiveScSlot>>;

/// `A` with a SAK, under AN 0.
fn sender(sak: &[u8]) -> Sender {
    let mut config = Config::default();
    config.always_include_sci = true;
    let mut secy = SecY::new(Portable, A, config, vec![KeySlot::EMPTY], Vec::new()).expect("fits");
    let (ki, an) = (Ki([1; 16]), An::default());
    let sak = Sak::new(sak).expect("a length that SAKs have");
    let key = DataKey::new(ki, CipherSuite::GcmAes128, sak, None).expect("fits");
    secy.install_key(&key).expect("the first");
    let confidentiality = macsec::Confidentiality::default();
    let sa = TransmitSa { an, ki, ssci: None, next_pn: 1, confidentiality };
    secy.install_transmit_sa(&sa).expect("the first");
    secy.enable_transmit_sa(an).expect("there");
    secy
}

fn seal(sender: &mut Sender, number: u8) -> Vec<u8> {
    let plain = plain(number);
    let buffer = [&[0; HEADROOM][..], &plain, &[0; TAILROOM]].concat();
    let frame = FrameBuf::new(buffer, HEADROOM..HEADROOM + plain.len()).expect("inside");
    sender.protect(frame).expect("can be protected").octets().to_vec()
}
