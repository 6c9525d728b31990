//! What the compiler can say about keys: this file builds, or the promise is broken.

use aes_gcm::{Aes128Gcm, Aes256Gcm};
use macsec_gcm::{KeyBytes, Portable, PortableKey};
use zeroize::ZeroizeOnDrop;

/// Fails to build if `$type` implements `$trait`: then two implementations of `Ambiguous` fit.
macro_rules! assert_not_impl {
    ($type:ty: $trait:path) => {
        const _: () = {
            trait Ambiguous<A> {
                const OK: () = ();
            }
            struct Implemented;
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $trait> Ambiguous<Implemented> for T {}
            <$type as Ambiguous<_>>::OK
        };
    };
}

// Key octets do not get into a log.
assert_not_impl!(PortableKey: core::fmt::Debug);
assert_not_impl!(PortableKey: core::fmt::Display);
assert_not_impl!(KeyBytes<'static>: core::fmt::Debug);
assert_not_impl!(KeyBytes<'static>: core::fmt::Display);
// A copy of a key would be one more to erase.
assert_not_impl!(PortableKey: Clone);

const fn assert_send_and_sync<T: Send + Sync + 'static>() {}
const fn assert_zeroized_on_drop<T: ZeroizeOnDrop>() {}

#[test]
fn keys_are_send_and_sync() {
    assert_send_and_sync::<PortableKey>();
    assert_send_and_sync::<Portable>();
    #[cfg(feature = "alloc")]
    assert_send_and_sync::<<macsec_gcm::Shared<Portable> as macsec_gcm::Backend>::Key>();
}

/// A key is nothing but one of these two, so what they erase is all there is to erase.
#[test]
fn ciphers_are_zeroized_on_drop() {
    assert_zeroized_on_drop::<Aes128Gcm>();
    assert_zeroized_on_drop::<Aes256Gcm>();
}
