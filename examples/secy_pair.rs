//! Two SecYs in memory: traffic, a replay, a forgery, and a change of keys in mid-traffic.
//!
//! `cargo run -p macsec-examples --example secy_pair`

use std::error::Error;

use macsec::{
    An, Backend, COUNTERS, CipherSuite, Config, Counters, DataKey, FrameBuf, HEADROOM, KeySlot, Ki,
    MacAddress, Portable, ReceiveOutcome, ReceiveSa, ReceiveScSlot, Sak, Salt, Sci, SecY, Ssci,
    TAILROOM, TransmitSa,
};

// With `Vec` as storage the capacity is chosen at run time. Two key slots: one key in use, and the next.
type PairSecY = SecY<Portable, Vec<KeySlot<<Portable as Backend>::Key>>, Vec<ReceiveScSlot>>;

const ALICE: Sci = Sci::new(MacAddress([0x02, 0, 0, 0, 0, 0x0a]), 1);
const BOB: Sci = Sci::new(MacAddress([0x02, 0, 0, 0, 0, 0x0b]), 1);
const SUITE: CipherSuite = CipherSuite::GcmAesXpn256;

fn main() -> Result<(), Box<dyn Error>> {
    let mut alice = secy(ALICE)?;
    let mut bob = secy(BOB)?;
    alice.create_receive_sc(BOB)?;
    bob.create_receive_sc(ALICE)?;

    println!("# A first key, as AN 0");
    let first = Generation::new(0);
    first.install(&mut alice, BOB)?;
    first.install(&mut bob, ALICE)?;
    first.begin_to_send(&mut alice)?;
    for number in 0..5 {
        let wire = send(&mut alice, &payload(number))?;
        assert_eq!(receive(&mut bob, wire, number), ReceiveOutcome::Ok);
    }
    println!("five frames sent, five delivered");

    println!("\n# An attacker repeats a frame");
    let wire = send(&mut alice, &payload(5))?;
    assert_eq!(receive(&mut bob, wire.clone(), 5), ReceiveOutcome::Ok);
    assert_eq!(receive(&mut bob, wire, 5), ReceiveOutcome::Late);
    println!("the second copy is late: its packet number has been used");

    println!("\n# An attacker changes a bit");
    let mut wire = send(&mut alice, &payload(6))?;
    wire[40] ^= 0x01;
    let verdict = bob.validate(wire);
    assert_eq!(verdict.outcome(), ReceiveOutcome::NotValid);
    assert!(verdict.delivered().is_none(), "no octet of it gets out");
    println!("not valid, and nothing of it is delivered");

    println!("\n# A second key, as AN 1, while frames are under way");
    // The order makes it lossless: everybody can receive with the new key before anybody sends with
    // it, and the old key stays until what was sent with it has arrived.
    let second = Generation::new(1);
    let old_frame_under_way = send(&mut alice, &payload(7))?;
    second.install(&mut alice, BOB)?;
    second.install(&mut bob, ALICE)?;
    second.begin_to_send(&mut alice)?;
    let new_frame_under_way = send(&mut alice, &payload(8))?;
    assert_eq!(receive(&mut bob, new_frame_under_way, 8), ReceiveOutcome::Ok);
    assert_eq!(receive(&mut bob, old_frame_under_way, 7), ReceiveOutcome::Ok);
    println!("a frame under the old key and one under the new key: both delivered");

    first.remove(&mut alice, BOB)?;
    first.remove(&mut bob, ALICE)?;
    for number in 9..12 {
        let wire = send(&mut alice, &payload(number))?;
        assert_eq!(receive(&mut bob, wire, number), ReceiveOutcome::Ok);
    }
    println!("the old key is gone; three more frames delivered");

    println!("\n# Counters");
    show("Alice", &alice.counters());
    show("Bob", &bob.counters());
    // Every frame is accounted for: 12 sent; 13 arrived, of which one was late and one not valid.
    assert_eq!(alice.counters().frames_out(), 12);
    assert_eq!(bob.counters().frames_in(), 13);
    assert_eq!(bob.counters().discarded_in(), 2);
    Ok(())
}

fn secy(sci: Sci) -> Result<PairSecY, Box<dyn Error>> {
    let keys = vec![KeySlot::EMPTY, KeySlot::EMPTY];
    let peers = vec![ReceiveScSlot::EMPTY];
    Ok(SecY::new(Portable, sci, Config::default(), keys, peers)?)
}

/// One key and everything that goes with it: what key agreement hands out.
struct Generation {
    an: An,
    ki: Ki,
    sak: [u8; 32],
    salt: Salt,
}

impl Generation {
    fn new(number: u8) -> Self {
        Self {
            an: An::from_low_bits(number),
            ki: Ki([number; 16]),
            sak: [0x42 + number; 32],
            salt: Salt([0x17 + number; 12]),
        }
    }

    /// Installs key and SAs in a SecY and begins to accept frames, not to send them.
    fn install(&self, secy: &mut PairSecY, peer: Sci) -> Result<(), Box<dyn Error>> {
        let (an, ki) = (self.an, self.ki);
        let sak = Sak::new(&self.sak)?;
        secy.install_key(&DataKey::new(ki, SUITE, sak, Some(self.salt))?)?;
        let receive =
            ReceiveSa { an, ki, ssci: Some(ssci(peer)), lowest_pn: 1, offset: Default::default() };
        secy.install_receive_sa(peer, &receive)?;
        secy.enable_receive_sa(peer, an)?;
        let transmit = TransmitSa {
            an,
            ki,
            ssci: Some(ssci(secy.sci())),
            next_pn: 1,
            confidentiality: Default::default(),
        };
        secy.install_transmit_sa(&transmit)?;
        Ok(())
    }

    fn begin_to_send(&self, secy: &mut PairSecY) -> Result<(), Box<dyn Error>> {
        Ok(secy.enable_transmit_sa(self.an)?)
    }

    fn remove(&self, secy: &mut PairSecY, peer: Sci) -> Result<(), Box<dyn Error>> {
        // The KI goes along, so that a late order cannot hit a successor under the same AN.
        secy.delete_transmit_sa(self.an, self.ki)?;
        secy.delete_receive_sa(peer, self.an, self.ki)?;
        Ok(secy.remove_key(self.ki)?)
    }
}

/// The XPN suites name transmitters by 32 bits in the nonce. Key agreement numbers them; here it is easy.
fn ssci(sci: Sci) -> Ssci {
    Ssci(if sci == ALICE { 1 } else { 2 })
}

fn payload(number: u8) -> Vec<u8> {
    [b"\x08\x00frame number ".as_slice(), &[b'a' + number; 60]].concat()
}

/// What goes on the wire for a payload, EtherType first, from Alice to Bob.
fn send(alice: &mut PairSecY, payload: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut buffer = vec![0; HEADROOM];
    buffer.extend(BOB.mac().0);
    buffer.extend(ALICE.mac().0);
    buffer.extend(payload);
    let range = HEADROOM..buffer.len();
    buffer.resize(range.end + TAILROOM, 0);
    let frame = FrameBuf::new(buffer, range).expect("the range lies inside the buffer");
    let protected = alice.protect(frame).map_err(|refused| refused.error)?;
    Ok(protected.octets().to_vec())
}

/// What Bob makes of a frame. If he delivers it, it must be the payload of that number.
fn receive(bob: &mut PairSecY, wire: Vec<u8>, number: u8) -> ReceiveOutcome {
    let verdict = bob.validate(wire);
    if let Some(frame) = verdict.delivered() {
        assert_eq!(frame[12..], payload(number));
    }
    verdict.outcome()
}

fn show(name: &str, counters: &Counters) {
    println!("{name}:");
    for counter in COUNTERS {
        let value = (counter.value)(counters);
        if value != 0 {
            println!("  {:20} {value}", counter.name);
        }
    }
}
