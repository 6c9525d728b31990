//! Delay protection, receiving side: what a peer's frames may be late by (802.1X clause 9.10).
//!
//! A peer whose SAK Use says Delay Protect vouches that it has sent nothing below its lowest PNs for two seconds. The
//! data plane then takes nothing below them, beyond what the replay window says: a frame that is held up does not get
//! in for longer than these two seconds, half a second between the peer's samples, half a second between its
//! MKPDUs, and as long again for each of these that gets lost.
//!
//! A peer of MKA version 1 sends the lower half of a 64-bit PN only. With an XPN suite it binds nothing.

use super::{Kay, slots::Slot};
use crate::Random;

impl<R: Random> Kay<R> {
    /// Has the Controlled Port take what the live peers have said last: each of its own frames alone, and of
    /// keys alone that it has agreed on with us.
    pub(super) fn bind_delays(&mut self) {
        for Slot { participant, .. } in self.slots.iter() {
            for peer in participant.peers().filter(|peer| peer.live) {
                let key_use = peer.key_use.filter(|key_use| key_use.delay_protect);
                let (Some(sci), Some(key_use)) = (peer.sci, key_use) else { continue };
                for key in key_use.keys().filter(|key| participant.has_agreed_on(key.ki)) {
                    let xpn = self.port.is_xpn(key.ki);
                    if let Some(lowest_pn) = xpn.and_then(|xpn| key.whole_lowest_pn(xpn)) {
                        self.port.raise_lowest_pn(sci, key.ki, lowest_pn);
                    }
                }
            }
        }
    }
}
