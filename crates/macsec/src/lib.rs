//! IEEE 802.1AE.
#![no_std]
#![forbid(unsafe_code)]
