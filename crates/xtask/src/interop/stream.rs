//! Numbered frames at a steady pace, whatever happens meanwhile: the numbers that arrive tell what it has cost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    Result,
    frames::{ETHERNET_HEADER, ETHERTYPE},
    station::Station,
};

/// Time between two frames, at least.
const PERIOD: Duration = Duration::from_millis(2);
/// Octets of payload.
const PAYLOAD: usize = 100;
/// When nothing has come for so long nothing will.
const SILENCE: Duration = Duration::from_secs(1);

/// What came of a stream at one end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Streamed {
    /// How many frames it has sent, numbered from 0 on.
    pub(super) sent: u32,
    /// The numbers that have come, in the order in which they came: first and last of each row without
    /// a gap.
    pub(super) heard: Vec<(u32, u32)>,
}

impl Streamed {
    /// What is missing of `sent` frames: first and last of each gap. Fails if frames came twice or out of order.
    pub(super) fn gaps(&self, sent: u32) -> Result<Vec<(u32, u32)>> {
        let mut gaps = Vec::new();
        let mut next = 0;
        for (first, last) in &self.heard {
            if *first < next {
                return Err(format!("frame {first} came twice or late, behind {next}").into());
            }
            if *first > next {
                gaps.push((next, first - 1));
            }
            next = last + 1;
        }
        if next < sent {
            gaps.push((next, sent - 1));
        }
        Ok(gaps)
    }

    fn hear(&mut self, number: u32) {
        match self.heard.last_mut() {
            Some((_, last)) if number == *last + 1 => *last = number,
            _ => self.heard.push((number, number)),
        }
    }
}

/// A stream both ways, seen from one end.
pub(super) struct Stream {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Streamed>>,
}

impl Stream {
    /// Starts sending and listening at a station.
    pub(super) fn start(mut station: Station, source: [u8; 6], destination: [u8; 6]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let header = [&destination[..], &source, &ETHERTYPE].concat();
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || run(&mut station, &header, &told));
        Self { stop, thread }
    }

    /// Stops sending. What comes is still heard.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Stops, and waits until nothing comes any more.
    pub(super) fn end(self) -> Result<Streamed> {
        self.stop();
        self.thread.join().map_err(|_| "a thread has panicked")?
    }
}

fn run(station: &mut Station, header: &[u8], stop: &AtomicBool) -> Result<Streamed> {
    let mut streamed = Streamed { sent: 0, heard: Vec::new() };
    let mut last_heard = Instant::now();
    loop {
        let stopped = stop.load(Ordering::Acquire);
        if stopped && last_heard.elapsed() > SILENCE {
            return Ok(streamed);
        }
        if !stopped {
            station.send_octets([frame(header, streamed.sent)].into_iter())?;
            streamed.sent += 1;
            last_heard = Instant::now();
        }
        for frame in station.receive_now() {
            if let Some(number) = number(&frame) {
                streamed.hear(number);
                last_heard = Instant::now();
            }
        }
        // No burst follows a pause that a busy machine makes: no queue on the way must overflow.
        thread::sleep(PERIOD);
    }
}

fn frame(header: &[u8], number: u32) -> Vec<u8> {
    let mut frame = [header, &number.to_be_bytes()].concat();
    frame.resize(ETHERNET_HEADER + PAYLOAD, number as u8);
    frame
}

/// The number of a frame, if it is one of a stream, with nothing changed.
fn number(received: &[u8]) -> Option<u32> {
    let (header, rest) = received.split_at_checked(ETHERNET_HEADER)?;
    let number = u32::from_be_bytes(*rest.first_chunk()?);
    (frame(header, number) == received && header.ends_with(&ETHERTYPE)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_found() {
        let streamed = |numbers: &[u32]| {
            let mut streamed = Streamed { sent: 0, heard: Vec::new() };
            numbers.iter().for_each(|number| streamed.hear(*number));
            streamed
        };
        assert_eq!(streamed(&[0, 1, 2]).gaps(3).unwrap(), []);
        assert_eq!(streamed(&[1, 2, 5]).gaps(8).unwrap(), [(0, 0), (3, 4), (6, 7)]);
        assert_eq!(streamed(&[]).gaps(2).unwrap(), [(0, 1)]);
        assert!(streamed(&[0, 1, 1]).gaps(2).is_err(), "twice");
        assert!(streamed(&[0, 2, 1]).gaps(3).is_err(), "out of order");
    }

    #[test]
    fn a_frame_bears_its_number() {
        let header = [&[2; 12][..], &ETHERTYPE].concat();
        let mut sent = frame(&header, 0x1_0203);
        assert_eq!(number(&sent), Some(0x1_0203));
        sent[50] ^= 1;
        assert_eq!(number(&sent), None);
        assert_eq!(number(&sent[..17]), None);
    }
}
