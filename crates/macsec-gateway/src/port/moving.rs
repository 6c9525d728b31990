//! Frames on their way: from the uplink through the SecY to the TAP, and back.

use std::io;

use arrayvec::ArrayVec;
use macsec::{BATCH, FrameBuf, HEADROOM, TAILROOM, Verdict};
use macsec_io::packet::{BATCH as RX_BATCH, PacketTxRing, PushError};

use super::{Captures, Port, PortError, TAP_BUDGET, UplinkRings, classify::Class};
use crate::pcap::Direction;

/// Frames taken from the uplink before the TAP gets its turn.
const UPLINK_BUDGET: usize = 256;

impl Port {
    /// Returns how many frames the uplink had.
    pub(super) fn uplink_to_tap(&mut self) -> usize {
        let open = self.command.open;
        let Self { secy, tap, uplink, counters, bypass, marks, captures, .. } = self;
        let Some(uplink) = uplink else {
            return 0;
        };
        let mut write = |frame: &[u8], captures: &mut Option<Captures>| {
            if let Some(captures) = captures {
                captures.tap.record(Direction::Outbound, frame);
            }
            match tap.as_ref().map(|tap| tap.write(frame)) {
                Some(Ok(())) => counters.tap_written += 1,
                _ => counters.tap_drop += 1,
            }
        };
        uplink.rx.receive_batch(UPLINK_BUDGET, |frames| {
            if let Some(captures) = captures {
                for frame in frames.iter() {
                    captures.uplink.record(Direction::Inbound, frame);
                }
            }
            let (mut eapol, mut closed) = (0, 0);
            let data = frames.iter_mut().map(|frame| &mut **frame);
            let data = data.filter(|frame| match bypass.classify(frame) {
                Class::Data if open => true,
                Class::Data => {
                    closed += 1;
                    false
                }
                Class::Eapol => {
                    eapol += 1;
                    false
                }
                Class::Bypass(entry) => {
                    bypass.count_from_uplink(entry);
                    write(frame, captures);
                    false
                }
            });
            let mut verdicts: ArrayVec<Verdict<&mut [u8]>, RX_BATCH> = ArrayVec::new();
            secy.validate_batch(data, |verdict| verdicts.push(verdict));
            // Nothing reaches the host that could reach it once more after a crash.
            let on_record = marks.as_mut().is_none_or(|marks| marks.cover_received(secy));
            for frame in verdicts.iter().filter_map(Verdict::delivered) {
                if on_record {
                    write(frame, captures);
                } else {
                    counters.state_drop += 1;
                }
            }
            counters.eapol_from_uplink += eapol;
            counters.port_closed += closed;
        })
    }

    pub(super) fn tap_to_uplink(&mut self) -> Result<(), PortError> {
        let mut lengths = [0; BATCH];
        let read = self.read_tap(&mut lengths)?;
        let Self { secy, uplink, from_tap, captures, .. } = self;
        let Some(UplinkRings { tx, .. }) = uplink else {
            return Ok(());
        };
        let frames = from_tap.iter_mut().zip(&lengths[..read]).filter_map(|(buffer, &len)| {
            FrameBuf::new(buffer.as_mut_slice(), HEADROOM..HEADROOM + len).ok()
        });
        secy.protect_batch(frames, |result| {
            // What is refused has been counted, by the SecY or by the ring.
            if let Ok(frame) = result {
                push(tx, captures, frame.octets());
            }
        });
        self.flush()
    }

    /// Reads up to a batch of frames, each to [`HEADROOM`] of its buffer, and returns how many are
    /// the SecY's. What bypasses it is in the ring already.
    fn read_tap(&mut self, lengths: &mut [usize; BATCH]) -> Result<usize, PortError> {
        let (can_send, open) = (self.can_send(), self.command.open);
        let Self { tap: Some(tap), uplink, from_tap, counters, bypass, captures, .. } = self else {
            return Ok(0);
        };
        let mut read = 0;
        // Bounded even if every frame is one that does not count.
        for _ in 0..TAP_BUDGET {
            let Some(buffer) = from_tap.get_mut(read) else {
                break;
            };
            let end = buffer.len() - TAILROOM;
            let len = match tap.read(&mut buffer[HEADROOM..end]) {
                Ok(len) => len,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => break,
                    io::ErrorKind::InvalidData => {
                        counters.tap_too_long += 1;
                        continue;
                    }
                    // What has been read goes first; the error will still be there.
                    _ if read > 0 => break,
                    _ => return Err(PortError::Tap(error)),
                },
            };
            let frame = &buffer[HEADROOM..HEADROOM + len];
            if let Some(captures) = captures {
                captures.tap.record(Direction::Inbound, frame);
            }
            match (bypass.classify(frame), uplink.as_mut().filter(|_| can_send)) {
                (Class::Eapol, _) => counters.eapol_from_tap += 1,
                (_, None) => counters.no_uplink += 1,
                (Class::Bypass(entry), Some(uplink)) => {
                    if push(&mut uplink.tx, captures, frame) {
                        bypass.count_from_tap(entry);
                    }
                }
                (Class::Data, Some(_)) if !open => counters.port_closed += 1,
                (Class::Data, Some(_)) => {
                    lengths[read] = len;
                    read += 1;
                }
            }
        }
        Ok(read)
    }
}

/// Puts a frame into the ring, in which `turn` has left room. What the ring refuses it has counted.
fn push(tx: &mut PacketTxRing, captures: &mut Option<Captures>, frame: &[u8]) -> bool {
    if let Some(captures) = captures {
        captures.uplink.record(Direction::Outbound, frame);
    }
    let pushed = tx.push(frame);
    debug_assert_ne!(pushed, Err(PushError::Full), "turn() leaves room for all that it reads");
    pushed.is_ok()
}
