//! Writing into a buffer that may be too short.

use crate::{EncodeError, sets::padding};

/// Writes from the front of a buffer on.
pub(crate) struct Writer<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> Writer<'b> {
    pub(crate) const fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// What has been written.
    pub(crate) fn written(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    /// # Errors
    /// `Buffer`: the octets do not fit; nothing of them is written then.
    pub(crate) fn put(&mut self, octets: &[u8]) -> Result<(), EncodeError> {
        let end = self.len.checked_add(octets.len()).ok_or(EncodeError::Buffer)?;
        let room = self.buffer.get_mut(self.len..end).ok_or(EncodeError::Buffer)?;
        room.copy_from_slice(octets);
        self.len = end;
        Ok(())
    }

    /// The header of a parameter set whose body has `len` octets. Only the four upper bits of `flags`
    /// count.
    ///
    /// # Errors
    /// `Buffer`, or `TooLong` if `len` has more than twelve bits.
    pub(crate) fn header(
        &mut self,
        first: u8,
        second: u8,
        flags: u8,
        len: usize,
    ) -> Result<(), EncodeError> {
        let len = u16::try_from(len).map_err(|_| EncodeError::TooLong)?;
        let [high, low] = len.to_be_bytes();
        if high > 0x0f {
            return Err(EncodeError::TooLong);
        }
        self.put(&[first, second, (flags & 0xf0) | high, low])
    }

    /// The zeros behind a body of `len` octets.
    pub(crate) fn pad(&mut self, len: usize) -> Result<(), EncodeError> {
        [0; 3].get(..padding(len)).map_or(Ok(()), |zeros| self.put(zeros))
    }

    /// Writes `octets` over what stands at `at`.
    pub(crate) fn overwrite(&mut self, at: usize, octets: &[u8]) -> Result<(), EncodeError> {
        let room = at.checked_add(octets.len()).and_then(|end| self.buffer.get_mut(at..end));
        room.ok_or(EncodeError::Buffer)?.copy_from_slice(octets);
        Ok(())
    }
}
