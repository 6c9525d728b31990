//! The packet loop of a gateway: a controlled port in clear, an uplink that carries MACsec only.
//!
//! `cargo run -p macsec-examples --example packet_loop`
//!
//! ```text
//!            in clear            protected
//!   host  <------------>  loop  <----------->  wire
//!          controlled            uplink
//! ```
//!
//! Ports are behind a trait and queues in memory here, so no privileges are needed. Comments say what a
//! gateway on Linux puts there instead. The loop uses the three steps in place of `protect` and `validate`: the
//! middle one takes `&self` and a shared key, and so may run on other threads. Steps one and three stay with the loop.

use std::{
    collections::VecDeque,
    error::Error,
    mem,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use macsec::{
    An, BATCH, Backend, CipherSuite, Config, DataKey, FrameBuf, HEADROOM, KeySlot, Ki, MacAddress,
    Parsed, Portable, ReceiveSa, ReceiveScSlot, Sak, Sci, SecY, Shared, TAILROOM, TransmitSa,
};

/// Where frames come from and go to.
///
/// On Linux: AF_PACKET for the uplink (`PacketRxRing` and `PacketTxRing` of macsec-io) and a TAP for the controlled port. The host must have no
/// other way to the uplink, or it leaks: AF_PACKET copies frames, it does not take them away.
trait Port {
    /// Takes up to `most` frames that have come in. Does not wait; a gateway polls its file descriptors
    /// before it asks.
    fn receive(&mut self, most: usize) -> Vec<Vec<u8>>;
    /// Sends a frame.
    fn send(&mut self, frame: &[u8]);
}

/// With `Shared`, a clone of a key costs a reference count: workers get one each.
type GatewaySecY = SecY<Shared<Portable>, Vec<KeySlot<SharedKey>>, Vec<ReceiveScSlot>>;
type SharedKey = <Shared<Portable> as Backend>::Key;

struct Gateway<C, U> {
    controlled: C,
    uplink: U,
    secy: GatewaySecY,
}

impl<C: Port, U: Port> Gateway<C, U> {
    /// One turn of the loop. Says whether there was anything to do.
    fn turn(&mut self) -> bool {
        let out = self.send_batch();
        let inward = self.receive_batch();
        out || inward
    }

    /// From the controlled port to the uplink: reserve, seal, count.
    fn send_batch(&mut self) -> bool {
        let frames = self.controlled.receive(BATCH);
        if frames.is_empty() {
            return false;
        }
        // One: packet numbers for the batch. Without them nothing is sent, ever: this fails closed.
        let reserved = self.secy.reserve(frames.len() as u32);
        let mut numbers = match reserved {
            Ok(numbers) => numbers,
            Err(error) => {
                frames.iter().for_each(|_| self.secy.count_refused(error));
                return true;
            }
        };
        let Some(sealer) = self.secy.sealer(&numbers).map(|sealer| sealer.detach()) else {
            return true;
        };
        // Two: on two threads. Each gets its own share of the numbers, in the order of the frames, so that they can
        // go out in the order of their packet numbers. (A gateway keeps its workers; starting a
        // thread for a batch costs more than the batch.)
        let mut first_half = frames;
        let second_half = first_half.split_off(first_half.len() / 2);
        let mut first_numbers = numbers.split_first(first_half.len() as u32);
        let seal = |numbers: &mut _, frames: Vec<Vec<u8>>| {
            let mut sealed = Vec::new();
            sealer.seal_batch(numbers, frames.into_iter().filter_map(roomy), |s| {
                sealed.push(s);
            });
            sealed
        };
        let mut sealed = thread::scope(|scope| {
            let worker = scope.spawn(|| seal(&mut first_numbers, first_half));
            let last = seal(&mut numbers, second_half);
            let mut sealed = worker.join().expect("sealing does not panic");
            sealed.extend(last);
            sealed
        });
        // Three: count, and only now is there something that can be sent. A gateway collects the batch for
        // one `sendmmsg`.
        for result in sealed.drain(..) {
            match result {
                Ok(sealed) => self.uplink.send(self.secy.count_sealed(sealed).octets()),
                Err(refused) => self.secy.count_refused(refused.error),
            }
        }
        true
    }

    /// From the uplink to the controlled port: parse, open, commit.
    fn receive_batch(&mut self) -> bool {
        let frames = self.uplink.receive(BATCH);
        if frames.is_empty() {
            return false;
        }
        let clear_tags = self.secy.config().clear_vlan_tags;
        for frame in frames {
            // One: pure, anywhere.
            let parsed = Parsed::new(frame, clear_tags);
            // Two: `admit` finds SA and packet number, `open` needs the key alone, on any thread.
            let admitted = self.secy.admit(parsed);
            let opened = match self.secy.key_of(&admitted).map(Arc::clone) {
                Some(key) => admitted.open(&key),
                // No key needed: what becomes of the frame is settled. `overrun` leaves that as it is.
                None => admitted.overrun(),
            };
            // Three: in the order of arrival, or the replay window goes wrong. No octet can be had before.
            let verdict = self.secy.commit(opened);
            if let Some(frame) = verdict.delivered() {
                self.controlled.send(frame);
            }
        }
        true
    }
}

/// The frame in a buffer with room for SecTAG and ICV. A gateway receives into such buffers in the first
/// place, and copies nothing.
fn roomy(frame: Vec<u8>) -> Option<FrameBuf<Vec<u8>>> {
    let mut buffer = vec![0; HEADROOM];
    buffer.extend(frame);
    let range = HEADROOM..buffer.len();
    buffer.resize(range.end + TAILROOM, 0);
    FrameBuf::new(buffer, range).ok()
}

/// One end of a cable in memory.
#[derive(Clone)]
struct Queue {
    inbound: Arc<Mutex<VecDeque<Vec<u8>>>>,
    outbound: Arc<Mutex<VecDeque<Vec<u8>>>>,
}

impl Queue {
    /// Both ends of a cable.
    fn cable() -> (Self, Self) {
        let (inbound, outbound) = <(Arc<_>, Arc<_>)>::default();
        let one = Self { inbound, outbound };
        let mut other = one.clone();
        mem::swap(&mut other.inbound, &mut other.outbound);
        (one, other)
    }
}

impl Port for Queue {
    fn receive(&mut self, most: usize) -> Vec<Vec<u8>> {
        let mut queue = self.inbound.lock().unwrap_or_else(PoisonError::into_inner);
        let count = queue.len().min(most);
        queue.drain(..count).collect()
    }

    fn send(&mut self, frame: &[u8]) {
        let mut queue = self.outbound.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_back(frame.to_vec());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    const FRAMES: u32 = 1000;
    let (mut west_host, west_controlled) = Queue::cable();
    let (mut east_host, east_controlled) = Queue::cable();
    let (west_uplink, mut west_wire) = Queue::cable();
    let (east_uplink, mut east_wire) = Queue::cable();
    let west_sci = Sci::new(MacAddress([0x02, 0, 0, 0, 0, 0x01]), 1);
    let east_sci = Sci::new(MacAddress([0x02, 0, 0, 0, 0, 0x02]), 1);
    let mut west = Gateway {
        controlled: west_controlled,
        uplink: west_uplink,
        secy: secy(west_sci, east_sci)?,
    };
    let mut east = Gateway {
        controlled: east_controlled,
        uplink: east_uplink,
        secy: secy(east_sci, west_sci)?,
    };

    let frame_of = |number: u32| {
        let mut frame = [east_sci.mac().0, west_sci.mac().0].concat();
        frame.extend([0x08, 0x00]);
        frame.extend(number.to_be_bytes());
        frame.resize(60 + number as usize % 1000, 0xab);
        frame
    };
    (0..FRAMES).for_each(|number| west_host.send(&frame_of(number)));
    // Somebody on the wire tries with frames in clear.
    east_wire.send(&frame_of(0));

    let mut seen_on_wire = 0;
    loop {
        let mut busy = west.turn();
        for frame in west_wire.receive(usize::MAX) {
            assert_eq!(frame[12..14], [0x88, 0xe5], "in clear on the wire");
            seen_on_wire += 1;
            east_wire.send(&frame);
        }
        busy |= east.turn();
        if !busy {
            break;
        }
    }

    let delivered = east_host.receive(usize::MAX);
    assert!(delivered.iter().cloned().eq((0..FRAMES).map(frame_of)), "all, in order, unchanged");
    let counters = east.secy.counters();
    assert_eq!(counters.verification.in_pkts_no_tag, 1, "the attempt in clear");
    assert_eq!(counters.frames_in(), u64::from(FRAMES) + 1);
    println!("{seen_on_wire} frames on the wire, all protected");
    println!("{} frames delivered, in order and unchanged", delivered.len());
    println!("{} frame in clear discarded", counters.discarded_in());
    Ok(())
}

fn secy(ours: Sci, peer: Sci) -> Result<GatewaySecY, Box<dyn Error>> {
    let keys = (0..2).map(|_| KeySlot::EMPTY).collect();
    let peers = vec![ReceiveScSlot::EMPTY];
    let mut secy = SecY::new(Shared(Portable), ours, Config::default(), keys, peers)?;
    let (an, ki) = (An::default(), Ki([1; 16]));
    let sak = Sak::new(&[0x42; 16])?;
    secy.install_key(&DataKey::new(ki, CipherSuite::GcmAes128, sak, None)?)?;
    secy.create_receive_sc(peer)?;
    let receive = ReceiveSa { an, ki, ssci: None, lowest_pn: 1, offset: Default::default() };
    secy.install_receive_sa(peer, &receive)?;
    secy.enable_receive_sa(peer, an)?;
    let transmit =
        TransmitSa { an, ki, ssci: None, next_pn: 1, confidentiality: Default::default() };
    secy.install_transmit_sa(&transmit)?;
    secy.enable_transmit_sa(an)?;
    Ok(secy)
}
