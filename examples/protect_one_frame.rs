//! Protects one Ethernet frame, shows what goes on the wire, and validates it again.
//!
//! `cargo run -p macsec-examples --example protect_one_frame`

use std::error::Error;

use macsec::{
    An, CipherSuite, Config, DataKey, FrameBuf, HEADROOM, KeySlot, Ki, MacAddress, Portable,
    ReceiveOutcome, ReceiveSa, ReceiveScSlot, SECTAG_LEN_WITH_SCI, Sak, Sci, SecTag, SecY,
    TAILROOM, TransmitSa,
};

/// A SecY with room for one key and one peer, inside itself: nothing is allocated.
type SmallSecY =
    SecY<Portable, [KeySlot<<Portable as macsec::Backend>::Key>; 1], [ReceiveScSlot; 1]>;

fn main() -> Result<(), Box<dyn Error>> {
    // Whoever transmits has an SCI: a MAC address and a port number.
    let alice_mac = MacAddress([0x02, 0, 0, 0, 0, 0x0a]);
    let alice_sci = Sci::new(alice_mac, 1);
    let bob_sci = Sci::new(MacAddress([0x02, 0, 0, 0, 0, 0x0b]), 1);
    let mut alice = secy(alice_sci, bob_sci)?;
    let mut bob = secy(bob_sci, alice_sci)?;

    // An Ethernet frame: destination, source, EtherType and payload; no FCS.
    let mut frame = Vec::new();
    frame.extend(bob_sci.mac().0);
    frame.extend(alice_mac.0);
    frame.extend([0x08, 0x00]);
    frame.extend(b"attack at dawn, says this payload, and nobody may read it");

    // Protection happens in place. It needs room before the frame for the SecTAG, and behind it for the ICV.
    let mut buffer = vec![0; HEADROOM + frame.len() + TAILROOM];
    let range = HEADROOM..HEADROOM + frame.len();
    buffer[range.clone()].copy_from_slice(&frame);
    let to_protect = FrameBuf::new(buffer, range).expect("the range lies inside the buffer");

    let protected = alice.protect(to_protect).map_err(|refused| refused.error)?;
    let on_the_wire = protected.octets().to_vec();
    dissect(&on_the_wire)?;
    assert_eq!(on_the_wire[..12], frame[..12], "the addresses stay readable");
    assert!(!on_the_wire.windows(6).any(|octets| octets == b"attack"));

    // The receiver hands over what came in, and gets a verdict.
    let verdict = bob.validate(on_the_wire);
    println!("\nverdict: {}", verdict.outcome());
    assert_eq!(verdict.outcome(), ReceiveOutcome::Ok);
    assert_eq!(verdict.delivered(), Some(&frame[..]));
    println!("delivered: {} octets, as they were sent", frame.len());
    Ok(())
}

/// A SecY that shares a key with one peer. In production the key comes from key agreement (MKA).
fn secy(ours: Sci, peer: Sci) -> Result<SmallSecY, Box<dyn Error>> {
    let mut config = Config::default();
    config.always_include_sci = true;
    let keys = [const { KeySlot::EMPTY }; 1];
    let peers = [const { ReceiveScSlot::EMPTY }; 1];
    let mut secy = SecY::new(Portable, ours, config, keys, peers)?;

    // A key has a name (KI), a suite, and the octets: 16 or 32, as the suite wants it.
    let ki = Ki(*b"name of this key");
    let sak = Sak::new(b"never do this with a real key!!!")?;
    secy.install_key(&DataKey::new(ki, CipherSuite::GcmAes256, sak, None)?)?;

    // The same key serves both directions, as SA number 0 of either SCI.
    let an = An::default();
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

/// Prints a protected frame field by field.
fn dissect(octets: &[u8]) -> Result<(), Box<dyn Error>> {
    let tag = SecTag::parse(&octets[12..])?;
    let icv = octets.len() - macsec::ICV_LEN;
    println!("{tag}, {} octets\n", octets.len());
    for (name, range) in [
        ("destination", 0..6),
        ("source", 6..12),
        ("EtherType", 12..14),
        ("TCI and AN", 14..15),
        ("short length", 15..16),
        ("packet number", 16..20),
        ("SCI", 20..12 + SECTAG_LEN_WITH_SCI),
        ("Secure Data", 12 + tag.octets()..icv),
        ("ICV", icv..octets.len()),
    ] {
        for (row, line) in octets[range].chunks(16).enumerate() {
            let name = if row == 0 { name } else { "" };
            let hex: Vec<String> = line.iter().map(|octet| format!("{octet:02x}")).collect();
            println!("{name:14} {}", hex.join(" "));
        }
    }
    Ok(())
}
