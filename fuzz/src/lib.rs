//! What the fuzz targets share: reading the input, controls from octets, SecYs from controls, and the
//! checks that hold for every received frame.

mod input;
mod receiver;

use macsec::{
    An, Backend, CipherSuite, ClearVlanTags, Config, DataKey, KeySlot, Ki, MacAddress,
    ReceiveScSlot, Sak, Salt, Sci, SecY, Ssci, ValidateFrames,
};

pub use input::Input;
pub use receiver::{Heard, Receiver};

/// A SecY that owns its storage.
pub type FuzzSecY<B> = SecY<B, Vec<KeySlot<<B as Backend>::Key>>, Vec<ReceiveScSlot>>;

/// The one key of all targets. Its first 16 octets are the ICV of the null cipher.
pub const SAK: [u8; 32] = *b"tag of null keysrest of the key.";
/// The name of that key.
pub const KI: Ki = Ki([0x4b; 16]);
/// The address of the sender. [`sender_sci`] is on it.
pub const SENDER: MacAddress = MacAddress([2, 0, 0, 0, 0, 0xaa]);

/// The SCI of the sender: its address and a port that `useES` may imply.
pub const fn sender_sci(port: u16) -> Sci {
    Sci::new(SENDER, port)
}

/// The SCI of the receiver, whose SecY never sends.
pub const RECEIVER: Sci = Sci([2, 0, 0, 0, 0, 0xbb, 0, 1]);

/// One of the four suites.
pub fn suite(octet: u8) -> CipherSuite {
    CipherSuite::ALL[usize::from(octet % 4)]
}

/// The SSCI of the sender, if `suite` has such a thing.
pub fn sender_ssci(suite: CipherSuite) -> Option<Ssci> {
    suite.is_xpn().then_some(Ssci(1))
}

/// The one data key of all targets, for `suite`.
pub fn data_key(suite: CipherSuite) -> DataKey {
    let sak = Sak::new(&SAK[..suite.key_len()]).expect("16 or 32 octets");
    let salt = suite.is_xpn().then_some(Salt([0x5a; 12]));
    DataKey::new(KI, suite, sak, salt).expect("the parts fit the suite")
}

/// A SecY with that key, or `None` if the controls do not go together.
pub fn secy<B: Backend>(
    backend: B,
    sci: Sci,
    config: Config,
    suite: CipherSuite,
) -> Option<FuzzSecY<B>> {
    let keys = (0..2).map(|_| KeySlot::EMPTY).collect();
    let receive_scs = (0..2).map(|_| ReceiveScSlot::EMPTY).collect();
    let mut secy = SecY::new(backend, sci, config, keys, receive_scs).ok()?;
    secy.install_key(&data_key(suite)).ok()?;
    Some(secy)
}

/// Any controls of reception: a flag octet, a mode octet and a window of four octets.
pub fn receive_config(input: &mut Input<'_>) -> Config {
    let flags = input.u8();
    let mode = input.u8();
    let mut config = Config::default();
    config.validate_frames = [
        ValidateFrames::Strict,
        ValidateFrames::Check,
        ValidateFrames::Disabled,
        ValidateFrames::Null,
    ][usize::from(mode % 4)];
    config.replay_protect = flags & 0x01 == 0;
    config.detect_duplicates = flags & 0x02 != 0;
    config.compat.accept_changed_text = flags & 0x04 != 0;
    config.compat.disabled_decrypts = flags & 0x08 != 0;
    config.clear_vlan_tags = clear_vlan_tags(flags >> 4);
    config.replay_window = input.u32();
    config
}

/// Any number of clear VLAN tags.
pub fn clear_vlan_tags(octet: u8) -> ClearVlanTags {
    [ClearVlanTags::None, ClearVlanTags::One, ClearVlanTags::Two][usize::from(octet % 3)]
}

/// Any AN.
pub fn an(octet: u8) -> An {
    An::from_low_bits(octet)
}

/// `octets` without their first `count` VLAN tags; `None` if there are not so many.
pub fn without_tags(octets: &[u8], count: usize) -> Option<Vec<u8>> {
    let mut frame = octets.to_vec();
    for _ in 0..count {
        if !matches!(frame.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8])) || frame.len() <= 16 {
            return None;
        }
        frame.drain(12..16);
    }
    Some(frame)
}
