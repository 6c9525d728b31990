//! Known answers by others. Where each comes from is told in `test-vectors/README.md`.

/// The text of a file of the folder `test-vectors`.
macro_rules! vector {
    ($path:literal) => {
        include_str!(concat!("../../../../test-vectors/", $path))
    };
}

mod ieee;
mod nist;
mod wycheproof;

pub use ieee::{derived_offsets, ieee_annex_c};
pub use nist::nist_cavp;
pub use wycheproof::wycheproof;

/// The octets of a hexadecimal string, as a vector or an array.
fn unhex<T: TryFrom<Vec<u8>>>(what: &str, digits: &str) -> T {
    let octets = hex::decode(digits).unwrap_or_else(|e| panic!("{what}: {e}"));
    let len = octets.len();
    octets.try_into().unwrap_or_else(|_| panic!("{what}: {len} octets do not fit"))
}
