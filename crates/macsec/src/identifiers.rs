//! The names that 802.1AE gives to things: addresses, SCI, SSCI, AN, KI, and their text forms.

use core::{fmt, str::FromStr};

/// A 48-bit MAC address, in transmission order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Reads `aa:bb:cc:dd:ee:ff`, `aa-bb-cc-dd-ee-ff` or twelve hexadecimal digits.
impl FromStr for MacAddress {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse_hex(text, &[2, 4, 6, 8, 10]).map(Self).ok_or(ParseError::MacAddress)
    }
}

/// The Secure Channel Identifier: who transmits (802.1AE clause 7.1.2).
///
/// A MAC address and a 16-bit Port Identifier, 8 octets in all. Greater SCIs, compared as numbers, are
/// greater here too.
///
/// ```
/// use macsec::{MacAddress, Sci};
///
/// let sci = Sci::new(MacAddress([0x02, 0, 0, 0, 0, 0x0a]), 1);
/// assert_eq!(sci.to_string(), "02-00-00-00-00-0a-0001");
/// assert_eq!("02000000000a0001".parse(), Ok(sci));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sci(pub [u8; 8]);

impl Sci {
    /// The Port Identifier that an end station's implicit SCI carries (`ES` set, `SCB` clear).
    pub const PORT_END_STATION: u16 = 0x0001;
    /// The Port Identifier reserved for single copy broadcast (`ES` and `SCB` set).
    pub const PORT_SINGLE_COPY_BROADCAST: u16 = 0x0000;

    /// The SCI of port `port` on the station with address `mac`.
    #[must_use]
    pub const fn new(mac: MacAddress, port: u16) -> Self {
        let [a, b, c, d, e, f] = mac.0;
        let [hi, lo] = port.to_be_bytes();
        Self([a, b, c, d, e, f, hi, lo])
    }

    /// The MAC address part.
    #[must_use]
    pub const fn mac(&self) -> MacAddress {
        let [a, b, c, d, e, f, _, _] = self.0;
        MacAddress([a, b, c, d, e, f])
    }

    /// The Port Identifier part.
    #[must_use]
    pub const fn port(&self) -> u16 {
        u16::from_be_bytes([self.0[6], self.0[7]])
    }
}

/// The text form of the IEEE YANG models: `aa-bb-cc-dd-ee-ff-pppp`.
impl fmt::Debug for Sci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sci({self})")
    }
}

impl fmt::Display for Sci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for octet in self.mac().0 {
            write!(f, "{octet:02x}-")?;
        }
        write!(f, "{:04x}", self.port())
    }
}

/// Reads `aa-bb-cc-dd-ee-ff-pppp` (YANG), the same with colons, or the sixteen hexadecimal digits that
/// `ip macsec` prints.
impl FromStr for Sci {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse_hex(text, &[2, 4, 6, 8, 10, 12]).map(Self).ok_or(ParseError::Sci)
    }
}

/// The Short SCI: 32 bits that stand for the SCI in the nonce of the XPN cipher suites.
///
/// The key agreement entity assigns it, one for each transmitting member of a CA and SAK; MKA counts
/// from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ssci(pub u32);

impl fmt::Display for Ssci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// The Association Number: which of the four SAs of an SC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct An(u8);

impl An {
    /// Every AN, 0 to 3.
    pub const ALL: [Self; 4] = [Self(0), Self(1), Self(2), Self(3)];

    /// The AN `number`, or `None` unless it is 0 to 3.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < 4 { Some(Self(number)) } else { None }
    }

    /// The AN in the two low bits of a TCI/AN octet; the other bits are ignored.
    #[must_use]
    pub const fn from_low_bits(octet: u8) -> Self {
        Self(octet & 0x03)
    }

    /// The AN as a number, 0 to 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The AN that follows: 0, 1, 2, 3, 0, ...
    #[must_use]
    pub const fn next(self) -> Self {
        Self((self.0 + 1) & 0x03)
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for An {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The Key Identifier: 128 bits that name a SAK.
///
/// Under MKA it is the key server's MI followed by the key number. It is a name, not a secret. With
/// static keys, any value that differs between keys will do.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ki(pub [u8; 16]);

impl fmt::Debug for Ki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ki({self})")
    }
}

impl fmt::Display for Ki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// Reads thirty-two hexadecimal digits.
impl FromStr for Ki {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse_hex(text, &[]).map(Self).ok_or(ParseError::Ki)
    }
}

/// The 96-bit salt of an XPN key, known to every member of the CA.
///
/// It is not a secret in the standard's sense, yet it is kept out of `Debug`: it travels with the SAK.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 12]);

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// A text that names nothing of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// Not a MAC address.
    MacAddress,
    /// Not an SCI.
    Sci,
    /// Not a KI.
    Ki,
    /// Not the name of a cipher suite.
    CipherSuite,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MacAddress => "MAC address: expected aa:bb:cc:dd:ee:ff",
            Self::Sci => "SCI: expected aa-bb-cc-dd-ee-ff-pppp or 16 hexadecimal digits",
            Self::Ki => "KI: expected 32 hexadecimal digits",
            Self::CipherSuite => {
                "cipher suite: expected gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128 or gcm-aes-xpn-256"
            }
        })
    }
}

impl core::error::Error for ParseError {}

/// Reads exactly `N` octets of hexadecimal digits, either bare or with one separator (`-` or `:`,
/// the same throughout) after each of the digit counts in `breaks`.
fn parse_hex<const N: usize>(text: &str, breaks: &[usize]) -> Option<[u8; N]> {
    let separator = text.bytes().find(|b| !b.is_ascii_hexdigit());
    if separator.is_some_and(|s| breaks.is_empty() || (s != b'-' && s != b':')) {
        return None;
    }
    let mut octets = [0; N];
    let mut digits = 0;
    let mut at_break = false;
    for byte in text.bytes() {
        if !at_break && separator.is_some() && breaks.contains(&digits) {
            if Some(byte) != separator {
                return None;
            }
            at_break = true;
            continue;
        }
        at_break = false;
        let digit = char::from(byte).to_digit(16)?;
        let octet = octets.get_mut(digits / 2)?;
        *octet = (*octet << 4) | u8::try_from(digit).ok()?;
        digits += 1;
    }
    (digits == 2 * N).then_some(octets)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    const SCI: Sci = Sci([0x00, 0x1b, 0x21, 0xab, 0xcd, 0xef, 0x12, 0x34]);

    #[test]
    fn sci_text_forms() {
        assert_eq!(SCI.to_string(), "00-1b-21-ab-cd-ef-1234");
        for form in ["00-1b-21-ab-cd-ef-1234", "00:1B:21:ab:cd:ef:1234", "001b21abcdef1234"] {
            assert_eq!(form.parse(), Ok(SCI), "{form}");
        }
        for wrong in [
            "",
            "001b21abcdef123",
            "001b21abcdef12345",
            "00-1b-21-ab-cd-ef-12-34",
            "00-1b:21-ab-cd-ef-1234",
            "-00-1b-21-ab-cd-ef-1234",
            "00--1b-21-ab-cd-ef-1234",
            "00-1b-21-ab-cd-ef-1234-",
            "00-1b-21-ab-cd-ef1234",
            "00 1b 21 ab cd ef 1234",
            "0g1b21abcdef1234",
            "é01b21abcdef1234",
        ] {
            assert_eq!(wrong.parse::<Sci>(), Err(ParseError::Sci), "{wrong:?}");
        }
    }

    #[test]
    fn sci_parts() {
        assert_eq!(SCI.port(), 0x1234);
        assert_eq!(SCI.mac().to_string(), "00:1b:21:ab:cd:ef");
        assert_eq!(Sci::new(SCI.mac(), SCI.port()), SCI);
        assert_eq!("00-1b-21-ab-cd-ef".parse(), Ok(SCI.mac()));
    }

    #[test]
    fn ki_text_form() {
        let ki = Ki(*b"0123456789abcdef");
        assert_eq!(ki.to_string().parse(), Ok(ki));
        assert_eq!("00-11".parse::<Ki>(), Err(ParseError::Ki));
    }

    #[test]
    fn an_is_two_bits() {
        assert_eq!(An::new(4), None);
        assert_eq!(An::new(3).map(An::next), An::new(0));
        assert_eq!(An::from_low_bits(0xfe).number(), 2);
    }
}
