//! A pairwise CAK and its CKN out of EAP (802.1X clauses 6.2.2 and 9.3.1).

use macsec::MacAddress;

use super::{Cak, KeyError, KeyLength, kdf::kdf, secret::Secret};
use crate::Ckn;

const CAK_LABEL: &[u8] = b"IEEE8021 EAP CAK";
const CKN_LABEL: &[u8] = b"IEEE8021 EAP CKN";
/// Octets of the CKN. Public sources have it so for a CAK of 128 bits, and hostap for either.
const CKN_LEN: usize = 16;

/// The CAK, and its name, that an EAP session between two PAEs yields.
///
/// `msk` is the session's Master Session Key, of which the first 16 or 32 octets count; `session_id` is the
/// EAP Session-Id, whose length depends on the EAP method; `paes` are the addresses of the two
/// PAEs, in any order.
///
/// The CKN has 16 octets for a CAK of 256 bits too, as with hostap (UNCONFIRMED in public sources).
///
/// # Errors
/// `MskLength`, or `CakZero`.
pub fn eap_cak_and_ckn(
    msk: &[u8],
    length: KeyLength,
    session_id: &[u8],
    paes: [MacAddress; 2],
) -> Result<(Cak, Ckn), KeyError> {
    let key = msk.get(..length.octets()).and_then(Secret::new).ok_or(KeyError::MskLength)?;
    let low = paes[0].min(paes[1]).0;
    let high = paes[0].max(paes[1]).0;
    let mut cak = Secret::zeros(length);
    kdf(&key, CAK_LABEL, &[&low[..], &high].into_iter(), cak.octets_mut());
    let mut ckn = [0; CKN_LEN];
    kdf(&key, CKN_LABEL, &[session_id, &low, &high].into_iter(), &mut ckn);
    Ok((Cak::new(cak.octets())?, Ckn::new(&ckn)?))
}
