//! From parameter sets to a frame.

use macsec::MacAddress;

use crate::{
    Body, EAPOL_MKA, EAPOL_VERSION, ETHERTYPE_EAPOL, EncodeError, HEADERS_LEN, ICV_LEN, Ick,
    MAX_MKPDU_LEN, NEAREST_NON_TPMR_BRIDGE, SetType,
    eapol::{ADDRESSES_LEN, is_group},
    write::Writer,
};

/// Where the length stands in an EAPOL frame.
const LENGTH_AT: usize = ADDRESSES_LEN + 4;

/// The order of the parameter sets behind the first. Receivers take any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SetOrder {
    /// By their types, as hostap and most others send them. Some receivers insist on it.
    #[default]
    Ascending,
    /// Live and Potential Peer List last (802.1X clause 11.11.3).
    Standard,
}

/// How a port frames its MKPDUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Framing {
    /// Whom frames go to: a group address.
    pub destination: MacAddress,
    /// The address of the port.
    pub source: MacAddress,
    /// The EtherType of EAPOL. Both ends have to agree: the ICV covers it.
    pub ethertype: u16,
    /// The order of the parameter sets.
    pub order: SetOrder,
    /// Announce the ICV with an ICV Indicator. It is of no use, but some old receivers want it.
    pub icv_indicator: bool,
}

impl Framing {
    /// The usual framing for a port with address `source`: to the PAE group address, EtherType 888E,
    /// sets in ascending order, no ICV Indicator.
    #[must_use]
    pub const fn new(source: MacAddress) -> Self {
        Self {
            destination: NEAREST_NON_TPMR_BRIDGE,
            source,
            ethertype: ETHERTYPE_EAPOL,
            order: SetOrder::Ascending,
            icv_indicator: false,
        }
    }

    /// Writes the frame, ICV included, to the front of `buffer` and returns its length, which is
    /// [`MAX_FRAME_LEN`](crate::MAX_FRAME_LEN) at most.
    ///
    /// # Errors
    /// Names what cannot be written. `buffer` then holds a part of the frame.
    pub fn encode(
        &self,
        body: &Body<'_>,
        ick: &Ick,
        buffer: &mut [u8],
    ) -> Result<usize, EncodeError> {
        if !is_group(self.destination) {
            return Err(EncodeError::Destination);
        }
        let mut writer = Writer::new(buffer);
        writer.put(&self.destination.0)?;
        writer.put(&self.source.0)?;
        writer.put(&self.ethertype.to_be_bytes())?;
        writer.put(&[EAPOL_VERSION, EAPOL_MKA, 0, 0])?;
        body.write(self.order, &mut writer)?;
        if self.icv_indicator {
            writer.header(SetType::IcvIndicator.octet(), 0, 0, ICV_LEN)?;
        }
        let len = writer.written().len() - HEADERS_LEN + ICV_LEN;
        if len > MAX_MKPDU_LEN {
            return Err(EncodeError::TooLong);
        }
        let len = u16::try_from(len).map_err(|_| EncodeError::TooLong)?;
        writer.overwrite(LENGTH_AT, &len.to_be_bytes())?;
        let icv = ick.icv(writer.written());
        writer.put(&icv)?;
        Ok(writer.written().len())
    }
}
