//! `--write`: the capture in clear, as pcap.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, BufWriter, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use pcap_file::{
    DataLink, PcapError, TsResolution,
    pcap::{PcapHeader, PcapWriter, RawPcapPacket},
};

/// Octets of a frame that readers are told to expect at most.
const SNAP_LENGTH: u32 = 262_144;

/// A pcap file for frames in clear.
pub(super) struct ClearFile {
    writer: PcapWriter<BufWriter<File>>,
    counts_nanoseconds: bool,
}

impl ClearFile {
    /// Makes the file (for its owner only), or empties the one that is there.
    ///
    /// # Errors
    /// Those of open(2) and write(2).
    pub(super) fn create(path: &Path, counts_nanoseconds: bool) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        // One that was there before may be open to others. A pipe or a device is its owner's.
        if file.metadata()?.is_file() {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        let header = PcapHeader {
            snaplen: SNAP_LENGTH,
            datalink: DataLink::ETHERNET,
            ts_resolution: if counts_nanoseconds {
                TsResolution::NanoSecond
            } else {
                TsResolution::MicroSecond
            },
            ..PcapHeader::default()
        };
        let writer = PcapWriter::with_header(BufWriter::new(file), header).map_err(io_error)?;
        Ok(Self { writer, counts_nanoseconds })
    }

    /// Adds a frame, of which `octets` are there.
    ///
    /// # Errors
    /// Those of write(2).
    pub(super) fn add(&mut self, at: Duration, octets: &[u8], original_len: u32) -> io::Result<()> {
        let fraction = at.subsec_nanos();
        let packet = RawPcapPacket {
            // pcap counts until 2106.
            ts_sec: u32::try_from(at.as_secs()).unwrap_or(u32::MAX),
            ts_frac: if self.counts_nanoseconds { fraction } else { fraction / 1000 },
            incl_len: u32::try_from(octets.len()).unwrap_or(u32::MAX),
            orig_len: original_len,
            data: octets.into(),
        };
        self.writer.write_raw_packet(&packet).map_err(io_error)?;
        Ok(())
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// Those of write(2).
    pub(super) fn finish(self) -> io::Result<()> {
        self.writer.into_writer().flush()
    }
}

fn io_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        error => io::Error::other(error),
    }
}
