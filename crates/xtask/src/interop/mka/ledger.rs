//! What must hold for all that was on the wire of a session, by what both ends say of their keys in MKPDUs.

use std::collections::{BTreeMap, BTreeSet};

use macsec::{An, ETHERTYPE_MACSEC, Ki};
use mka::{Cak, Ckn, DistributedSak, ETHERTYPE_EAPOL, Ick, Received};

use super::{CAK, CKN};
use crate::interop::{Result, gateway, guest};

/// The addresses of both ends: ours, theirs.
const ENDS: [[u8; 6]; 2] = [gateway::MAC, guest::MAC];

/// All keys that both ends have spoken of, and the packet numbers that were used with each.
pub(super) struct Ledger {
    ick: Ick,
    /// The TCI of every data frame.
    tci: u8,
    ends: [End; 2],
}

#[derive(Default)]
struct End {
    /// Which key it means by an AN.
    keys: BTreeMap<An, Ki>,
    /// The keys that it has said it receives with.
    receives: BTreeSet<Ki>,
    /// The last packet number that it has used, by key.
    last_pns: BTreeMap<Ki, u32>,
    /// Data frames.
    frames: u64,
    is_key_server: bool,
}

impl Ledger {
    /// Nothing has been on the wire yet. Data frames have to have this TCI.
    pub(super) fn new(tci: u8) -> Result<Self> {
        let ick = Cak::new(&CAK)?.ick(&Ckn::new(CKN)?);
        Ok(Self { ick, tci, ends: Default::default() })
    }

    /// Enters a frame. Fails with what is wrong with it.
    pub(super) fn enter(&mut self, frame: &[u8]) -> Result<()> {
        let source = frame.get(6..12).unwrap_or_default();
        let end = ENDS.iter().position(|mac| mac == source);
        let end = end.ok_or_else(|| format!("a frame of somebody else: {source:02x?}"))?;
        match frame[12..].split_first_chunk() {
            Some((&ethertype, rest)) if u16::from_be_bytes(ethertype) == ETHERTYPE_MACSEC => {
                self.enter_data(end, rest)
            }
            Some((&ethertype, _)) if u16::from_be_bytes(ethertype) == ETHERTYPE_EAPOL => {
                self.enter_mkpdu(end, frame)
            }
            _ => Err(format!("in clear: {:02x?}", &frame[12..frame.len().min(20)]).into()),
        }
    }

    /// How many data frames each end has sent: ours, theirs.
    pub(super) fn frames(&self) -> [u64; 2] {
        [self.ends[0].frames, self.ends[1].frames]
    }

    /// Whether each end said that it is the key server when it was heard last: ours, theirs.
    pub(super) fn key_servers(&self) -> [bool; 2] {
        [self.ends[0].is_key_server, self.ends[1].is_key_server]
    }

    fn enter_mkpdu(&mut self, end: usize, frame: &[u8]) -> Result<()> {
        let mkpdu = Received::parse(frame, ETHERTYPE_EAPOL)?.verify(&self.ick)?;
        let (body, end) = (mkpdu.body(), &mut self.ends[end]);
        end.is_key_server = body.basic.key_server;
        for key in body.sak_use.and_then(|set| set.keys).into_iter().flatten() {
            if key.is_none() {
                continue;
            }
            end.keys.insert(key.an, key.ki);
            if key.rx {
                end.receives.insert(key.ki);
            }
        }
        if let Some(DistributedSak::Key(key)) = body.distributed_sak {
            end.keys.insert(key.an, body.basic.actor.mi.ki(key.key_number));
        }
        Ok(())
    }

    /// `rest` begins with the TCI.
    fn enter_data(&mut self, at: usize, rest: &[u8]) -> Result<()> {
        let [tci_an, _, pn @ ..] = rest.first_chunk::<6>().ok_or("a SecTAG is cut off")?;
        let (an, pn) = (An::from_low_bits(*tci_an), u32::from_be_bytes(*pn));
        if tci_an & 0xfc != self.tci {
            return Err(format!("a TCI of {tci_an:#04x} with the AN").into());
        }
        let [end, peer] = match (at, &mut self.ends) {
            (0, [ours, theirs]) => [ours, theirs],
            (_, [ours, theirs]) => [theirs, ours],
        };
        let ki = *end.keys.get(&an).ok_or_else(|| format!("AN {an} stands for no key yet"))?;
        if !peer.receives.contains(&ki) {
            return Err(
                format!("a frame with AN {an}, with which the other end cannot receive").into()
            );
        }
        end.frames += 1;
        match end.last_pns.insert(ki, pn) {
            Some(last) if last >= pn => Err(format!("PN {pn:#x} behind {last:#x}, AN {an}").into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use macsec::{MacAddress, Sci};
    use mka::{Basic, Body, Capability, Framing, KeyUse, MAX_FRAME_LEN, Member, Mi, SakUse};

    use super::*;

    /// Says at `end` that it receives with key `number`, under that AN.
    fn mkpdu(end: usize, number: u32) -> Vec<u8> {
        let mi = Mi([7; 12]);
        let source = MacAddress(ENDS[end]);
        let ckn = Ckn::new(CKN).unwrap();
        let mut body = Body::new(Basic {
            version: 1,
            key_server_priority: 16,
            key_server: end == 0,
            macsec_desired: true,
            macsec_capability: Capability::Confidentiality,
            sci: Sci::new(source, 1),
            actor: Member { mi, mn: 1 },
            ckn,
        });
        let an = An::from_low_bits(number as u8);
        let latest = KeyUse { ki: mi.ki(number), an, tx: false, rx: true, lowest_pn: 1 };
        let keys = Some([latest, KeyUse::NONE]);
        body.sak_use =
            Some(SakUse { plain_tx: false, plain_rx: false, delay_protect: false, keys });
        let mut buffer = [0; MAX_FRAME_LEN];
        let ick = Cak::new(&CAK).unwrap().ick(&ckn);
        let len = Framing::new(source).encode(&body, &ick, &mut buffer).unwrap();
        buffer[..len].to_vec()
    }

    fn data(end: usize, tci_an: u8, pn: u8) -> Vec<u8> {
        let mut frame = [[2; 6], ENDS[end]].concat();
        frame.extend([0x88, 0xe5, tci_an, 0, 0, 0, 0, pn]);
        frame.resize(100, 0);
        frame
    }

    #[test]
    fn a_session_is_held_against_what_it_says() {
        let mut ledger = Ledger::new(0x2c).unwrap();
        assert!(ledger.enter(&data(0, 0x2d, 1)).is_err(), "no key");
        ledger.enter(&mkpdu(0, 1)).unwrap();
        assert!(ledger.enter(&data(0, 0x2d, 1)).is_err(), "who receives that?");
        ledger.enter(&mkpdu(1, 1)).unwrap();
        ledger.enter(&data(0, 0x2d, 1)).unwrap();
        ledger.enter(&data(1, 0x2d, 1)).unwrap();
        assert!(ledger.enter(&data(1, 0x2d, 1)).is_err(), "a PN twice");
        assert!(ledger.enter(&data(1, 0x21, 2)).is_err(), "integrity only");
        // The AN comes round with another key.
        ledger.enter(&mkpdu(0, 5)).unwrap();
        ledger.enter(&mkpdu(1, 5)).unwrap();
        ledger.enter(&data(1, 0x2d, 1)).unwrap();
        let mut clear = data(1, 0x2d, 2);
        clear[13] = 0;
        assert!(ledger.enter(&clear).is_err(), "in clear");
        clear[6] = 0;
        assert!(ledger.enter(&clear).is_err(), "somebody else");
        assert_eq!(ledger.frames(), [1, 3]);
        assert_eq!(ledger.key_servers(), [true, false]);
    }
}
