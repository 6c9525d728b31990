//! Keys that several threads use at once.

use alloc::{boxed::Box, sync::Arc};

use crate::{Backend, GcmKey, KeyBytes, OpenJob, SealJob};

/// Wraps a backend so that its keys can be cloned cheaply and used by several threads at once.
///
/// A key's schedule is immutable, so sharing it costs a reference count and nothing per frame.
///
/// ```
/// use macsec_gcm::{Backend, KeyBytes, Portable, Shared};
///
/// let key = Shared(Portable).expand(KeyBytes::Aes256(&[0; 32]));
/// let for_a_worker = key.clone();
/// # drop(for_a_worker);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Shared<B>(
    /// The backend that expands the keys.
    pub B,
);

impl<B: Backend> Backend for Shared<B> {
    type Key = Arc<B::Key>;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn expand(&self, key: KeyBytes<'_>) -> Self::Key {
        Arc::new(self.0.expand(key))
    }
}

macro_rules! delegate_to_inner {
    ($pointer:ident) => {
        impl<K: GcmKey + ?Sized> GcmKey for $pointer<K> {
            fn seal_batch(&self, jobs: &mut [SealJob<'_>]) {
                (**self).seal_batch(jobs);
            }

            fn open_batch(&self, jobs: &mut [OpenJob<'_>]) {
                (**self).open_batch(jobs);
            }

            fn seal(&self, job: &mut SealJob<'_>) {
                (**self).seal(job);
            }

            fn open(&self, job: &mut OpenJob<'_>) {
                (**self).open(job);
            }
        }
    };
}

delegate_to_inner!(Arc);
delegate_to_inner!(Box);
