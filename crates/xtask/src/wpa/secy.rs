//! The data plane that wpa_supplicant lacks here: a SecY with the SAs that its driver was told to
//! make.

use std::collections::BTreeSet;

use macsec::{
    An, CipherSuite, Confidentiality, Config, DataKey, FrameBuf, HEADROOM, KeySlot, Portable,
    ReceiveSa, ReceiveScSlot, Sak, Sci, SecTag, SecY, TAILROOM, TransmitSa,
};

use super::{
    Result,
    shim::{Driver, Sa},
};

type SmallSecY =
    SecY<Portable, [KeySlot<<Portable as macsec::Backend>::Key>; 1], [ReceiveScSlot; 1]>;

/// The SecY of a moment: with the SA that the driver sends with, and that of `peer` with the same
/// key.
pub(super) struct TheirSecy(SmallSecY);

impl TheirSecy {
    /// Of a driver with a session. `next_pn` is where its packet numbers go on.
    pub(super) fn new(driver: &Driver, peer: Sci, next_pn: u64) -> Result<Self> {
        let (an, sa) = driver.secured().ok_or("the driver has no session")?;
        let own = driver.sci.ok_or("the driver has no SCI")?;
        let of_peer = driver
            .receive_sas()
            .find(|(sci, of, sa_of)| (*sci, *of, sa_of.ki) == (peer, an, sa.ki));
        let (.., received) =
            of_peer.ok_or_else(|| format!("the driver of {own} has no SA of {peer}"))?;
        let mut secy = secy_of(own, peer, an, received)?;
        let confidentiality = match driver.encrypt {
            true => Confidentiality::default(),
            false => Confidentiality::IntegrityOnly,
        };
        let transmit = TransmitSa { an, ki: sa.ki, ssci: None, next_pn, confidentiality };
        secy.install_transmit_sa(&transmit)?;
        secy.enable_transmit_sa(an)?;
        Ok(Self(secy))
    }

    /// Protects a frame.
    pub(super) fn protect(&mut self, frame: &[u8]) -> Result<Vec<u8>> {
        let mut buffer = vec![0; HEADROOM + frame.len() + TAILROOM];
        let range = HEADROOM..HEADROOM + frame.len();
        buffer[range.clone()].copy_from_slice(frame);
        let buffer = FrameBuf::new(buffer, range).map_err(|_| "there is no room")?;
        let protected = self.0.protect(buffer).map_err(|refused| refused.error.to_string())?;
        Ok(protected.octets().to_vec())
    }

    /// What is delivered of a frame, or why nothing is.
    pub(super) fn validate(&mut self, frame: Vec<u8>) -> std::result::Result<Vec<u8>, String> {
        let verdict = self.0.validate(frame);
        verdict.delivered().map(<[u8]>::to_vec).ok_or_else(|| verdict.outcome().to_string())
    }
}

/// Checks that no packet number was used twice with a key in `frames`, which `sender` has sent with
/// the keys of `sas`. Returns how many frames that were.
pub(super) fn check_nonces(frames: &[Vec<u8>], sender: Sci, sas: &[Sa]) -> Result<usize> {
    let mut used = BTreeSet::new();
    for frame in frames {
        let tag = SecTag::parse(frame.get(12..).ok_or("a frame is too short")?)?;
        let own = Sci::default();
        let mut opens = Vec::new();
        for sa in sas {
            let mut secy = secy_of(own, sender, tag.an, sa)?;
            if secy.validate(frame.clone()).delivered().is_some() {
                opens.push(sa);
            }
        }
        let [sa] = opens[..] else {
            return Err(format!("{} of the keys open a frame: {tag}", opens.len()).into());
        };
        if !used.insert((&sa.sak, tag.pn)) {
            return Err(format!("a packet number was used twice with {}: {tag}", sa.ki).into());
        }
    }
    Ok(used.len())
}

/// A SecY that receives from `peer`.
fn secy_of(own: Sci, peer: Sci, an: An, sa: &Sa) -> Result<SmallSecY> {
    let keys = [const { KeySlot::EMPTY }; 1];
    let peers = [const { ReceiveScSlot::EMPTY }; 1];
    let mut config = Config::default();
    config.always_include_sci = true;
    let mut secy = SecY::new(Portable, own, config, keys, peers)?;
    let suite = match sa.sak.len() {
        16 => CipherSuite::GcmAes128,
        _ => CipherSuite::GcmAes256,
    };
    let ki = sa.ki;
    secy.install_key(&DataKey::new(ki, suite, Sak::new(&sa.sak)?, None)?)?;
    secy.create_receive_sc(peer)?;
    let offset = Default::default();
    let receive = ReceiveSa { an, ki, ssci: None, lowest_pn: 1, offset };
    secy.install_receive_sa(peer, &receive)?;
    secy.enable_receive_sa(peer, an)?;
    Ok(secy)
}

#[cfg(test)]
mod tests {
    use macsec::{Ki, MacAddress};

    use super::*;

    const SENDER: Sci = Sci::new(MacAddress([2; 6]), 1);

    fn sa(number: u8) -> Sa {
        Sa { ki: Ki([number; 16]), sak: vec![number; 16], pn: 1, active: true }
    }

    /// Frames of a process that has started anew with the SA: its packet numbers begin at 1.
    fn frames(sa: &Sa, count: usize) -> Vec<Vec<u8>> {
        let an = An::default();
        let mut secy = secy_of(SENDER, Sci::default(), an, sa).unwrap();
        let confidentiality = Default::default();
        let transmit = TransmitSa { an, ki: sa.ki, ssci: None, next_pn: 1, confidentiality };
        secy.install_transmit_sa(&transmit).unwrap();
        secy.enable_transmit_sa(an).unwrap();
        let mut secy = TheirSecy(secy);
        let frame = [&[3; 6][..], &[2; 6], &[0x88, 0xb5, 1, 2, 3]].concat();
        (0..count).map(|_| secy.protect(&frame).unwrap()).collect()
    }

    #[test]
    fn a_packet_number_that_comes_twice_is_found() {
        let (first, second) = (sa(1), sa(2));
        let sas = [first.clone(), second.clone()];
        let good = [frames(&first, 3), frames(&second, 3)].concat();
        assert_eq!(check_nonces(&good, SENDER, &sas).unwrap(), 6);
        let again = [frames(&first, 3), frames(&second, 3), frames(&first, 1)].concat();
        assert!(check_nonces(&again, SENDER, &sas).unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn a_frame_under_a_key_that_nobody_knows_is_found() {
        let error = check_nonces(&frames(&sa(3), 1), SENDER, &[sa(1)]).unwrap_err();
        assert!(error.to_string().contains("0 of the keys"), "{error}");
    }
}
