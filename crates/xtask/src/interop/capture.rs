//! The wire, as QEMU has captured it: what neither end can be wrong about.

use std::{fs, path::Path};

use super::Result;

/// Octets of the header of a capture file, and of each record in it.
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
const ICV: usize = 16;
/// The bit of the TCI that says that the SCI follows.
const SC: u8 = 0x20;

/// What must hold for the frames of one end.
pub(super) struct Sender {
    pub(super) name: &'static str,
    pub(super) mac: [u8; 6],
    pub(super) tci_an: u8,
    pub(super) first_pn: u64,
    /// How many frames it has sent, if that is known.
    pub(super) frames: Option<u64>,
}

/// Where the capture ends by now.
pub(super) fn end(capture: &Path) -> Result<usize> {
    Ok(fs::metadata(capture)?.len() as usize)
}

/// Checks all that was captured behind `start`, and returns what does not hold.
pub(super) fn check(capture: &Path, start: usize, senders: &[Sender]) -> Result<Vec<String>> {
    let octets = fs::read(capture)?;
    let frames = records(octets.get(start.max(FILE_HEADER)..).unwrap_or_default())?;
    let mut faults = Vec::new();
    for sender in senders {
        let of_sender = frames.iter().filter(|frame| frame.get(6..12) == Some(&sender.mac));
        let mut count = 0;
        for frame in of_sender {
            let pn = (sender.first_pn + count) as u32;
            if let Err(fault) = check_frame(frame, sender.tci_an, pn) {
                faults.push(format!("wire: frame {count} of {}: {fault}", sender.name));
                break;
            }
            count += 1;
        }
        if let Some(frames) = sender.frames.filter(|frames| *frames != count) {
            faults.push(format!("wire: {count} frames of {}, not {frames}", sender.name));
        }
    }
    let known = |frame: &&&[u8]| senders.iter().any(|s| frame.get(6..12) == Some(&s.mac));
    let strangers = frames.len() - frames.iter().filter(known).count();
    if strangers > 0 {
        faults.push(format!("wire: {strangers} frames of somebody else"));
    }
    Ok(faults)
}

/// The frames of a sender behind `start`.
pub(super) fn frames_of(mac: [u8; 6], capture: &Path, start: usize) -> Result<Vec<Vec<u8>>> {
    let mut frames = frames(capture, start)?;
    frames.retain(|frame| frame.get(6..12) == Some(&mac));
    Ok(frames)
}

/// Octets of User Data in a protected frame.
pub(super) fn user_data(frame: &[u8]) -> u64 {
    let sci = if frame.get(14).is_some_and(|tci| tci & SC != 0) { 8 } else { 0 };
    frame.len().saturating_sub(12 + 8 + sci + ICV) as u64
}

/// All frames behind `start`.
pub(super) fn frames(capture: &Path, start: usize) -> Result<Vec<Vec<u8>>> {
    let octets = fs::read(capture)?;
    let frames = records(octets.get(start.max(FILE_HEADER)..).unwrap_or_default())?;
    Ok(frames.into_iter().map(<[u8]>::to_vec).collect())
}

fn records(mut octets: &[u8]) -> Result<Vec<&[u8]>> {
    let mut frames = Vec::new();
    while !octets.is_empty() {
        let record = octets.split_at_checked(RECORD_HEADER).and_then(|(header, rest)| {
            let len = header[8..].first_chunk().map(|octets| u32::from_ne_bytes(*octets))?;
            rest.split_at_checked(len as usize)
        });
        let (frame, rest) = record.ok_or("the capture ends within a frame")?;
        frames.push(frame);
        octets = rest;
    }
    Ok(frames)
}

/// Checks what a SecTAG says, SL included. The PN is that on the wire.
fn check_frame(frame: &[u8], tci_an: u8, pn: u32) -> std::result::Result<(), String> {
    let Some(([0x88, 0xe5, got_tci_an, sl, pn_octets @ ..], rest)) =
        frame.get(12..).and_then(|octets| octets.split_first_chunk::<8>())
    else {
        return Err("not MACsec".to_owned());
    };
    if *got_tci_an != tci_an {
        return Err(format!("TCI and AN {got_tci_an:#04x}, not {tci_an:#04x}"));
    }
    let got_pn = u32::from_be_bytes(*pn_octets);
    if got_pn != pn {
        return Err(format!("PN {got_pn:#x}, not {pn:#x}"));
    }
    let sci = if tci_an & SC != 0 { 8 } else { 0 };
    let secure_data = rest.len().checked_sub(sci + ICV).ok_or("too short")?;
    let short_length = if secure_data < 48 { secure_data } else { 0 };
    if usize::from(*sl) != short_length {
        return Err(format!("SL {sl} with {secure_data} octets of data"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(tci: u8, sl: u8, pn: u8, data: usize) -> Vec<u8> {
        let mut frame = [[2; 6], [4; 6]].concat();
        frame.extend([0x88, 0xe5, tci, sl, 0, 0, 0, pn]);
        frame.resize(frame.len() + if tci & 0x20 != 0 { 8 } else { 0 } + data + ICV, 0);
        frame
    }

    #[test]
    fn a_frame_is_what_it_says() {
        assert_eq!(check_frame(&frame(0x2c, 0, 7, 48), 0x2c, 7), Ok(()));
        assert_eq!(check_frame(&frame(0x0c, 47, 7, 47), 0x0c, 7), Ok(()));
        assert_eq!(user_data(&frame(0x2c, 0, 7, 48)), 48);
        assert_eq!(user_data(&frame(0x0c, 47, 7, 47)), 47);
        for wrong in [
            frame(0x0c, 0, 7, 48),
            frame(0x2c, 0, 8, 48),
            frame(0x2c, 48, 7, 48),
            frame(0x2c, 0, 7, 47),
            [2; 60].to_vec(),
            vec![],
        ] {
            assert!(check_frame(&wrong, 0x2c, 7).is_err(), "{wrong:02x?}");
        }
    }
}
