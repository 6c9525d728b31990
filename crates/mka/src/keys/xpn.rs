//! What the XPN suites need besides a SAK: salt and SSCIs (802.1AE-2018 clause 10.7.8).

use macsec::{Ki, Salt, Sci, Ssci};

/// The salt of the SAK named `ki`: the key server's MI, its first four octets mixed with the key number.
///
/// The lower half of the number goes first (802.1AE-2018 clause 10.7.8).
#[must_use]
pub const fn xpn_salt(ki: Ki) -> Salt {
    let [a, b, c, d, e, f, g, h, i, j, k, l, n0, n1, n2, n3] = ki.0;
    Salt([a ^ n2, b ^ n3, c ^ n0, d ^ n1, e, f, g, h, i, j, k, l])
}

/// The SSCI of `sci` by its place among the SCIs of all members: 1 for the greatest, 2 for the next
/// (MKA versions 1 and 2).
///
/// `members` has to hold every member, the one who asks and the key server included. `None` if it does not
/// hold `sci` just once: two members of one SCI would share their nonces.
#[must_use]
pub fn ssci_by_sci(members: &[Sci], sci: Sci) -> Option<Ssci> {
    let once = members.iter().filter(|&&member| member == sci).count() == 1;
    let greater = members.iter().filter(|&&member| member > sci).count();
    let place = u32::try_from(greater).ok()?.checked_add(1)?;
    once.then_some(Ssci(place))
}

/// The SSCIs that a key server gives by the order of its Live Peer List (MKA version 3).
///
/// The list is in the order of the peers' SSCIs and leaves out the key server, whose own SSCI comes
/// along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SsciOrder {
    key_server: u8,
    listed: usize,
}

impl SsciOrder {
    /// The order of a list of `listed` peers, whose key server has SSCI `key_server`. `None` if that is
    /// none of 1 to `listed` + 1: there is no SSCI 0, and no member without a peer before it.
    #[must_use]
    pub fn new(key_server: u8, listed: usize) -> Option<Self> {
        let place = usize::from(key_server);
        (place >= 1 && place <= listed + 1).then_some(Self { key_server, listed })
    }

    /// The SSCI of the key server.
    #[must_use]
    pub fn key_server(&self) -> Ssci {
        Ssci(self.key_server.into())
    }

    /// The SSCI of the peer at `index` of the list, the first having index 0. `None` if the list is not
    /// so long.
    #[must_use]
    pub fn peer(&self, index: usize) -> Option<Ssci> {
        if index >= self.listed {
            return None;
        }
        let place = u32::try_from(index).ok()?.checked_add(1)?;
        Some(Ssci(if place < self.key_server.into() { place } else { place + 1 }))
    }
}
