//! A "cipher" that protects nothing, so that a fuzzer gets past the ICV.
//!
//! A fuzzer cannot forge a GCM tag, so behind a real cipher it never reaches the code that runs
//! after a frame has proved authentic. Behind this one it does: the text is left as it is and the
//! tag is a plain function of the key alone, which frames made by a fuzzer hit at once.
//!
//! This crate is never published and nothing but fuzz targets and tests may depend on it.
#![no_std]
#![forbid(unsafe_code)]

use macsec_gcm::{Backend, GcmKey, KeyBytes, OpenJob, SealJob, TAG_LEN};

/// The backend whose keys are [`NullKey`]s.
#[derive(Clone, Copy, Debug, Default)]
pub struct Null;

/// A key that encrypts nothing and whose tag is [`NullKey::tag`], whatever the frame.
pub struct NullKey {
    tag: [u8; TAG_LEN],
}

impl NullKey {
    /// The one tag that this key makes and accepts: the first 16 octets of the key itself.
    #[must_use]
    pub fn tag(&self) -> [u8; TAG_LEN] {
        self.tag
    }
}

impl Backend for Null {
    type Key = NullKey;

    fn name(&self) -> &'static str {
        "null"
    }

    fn expand(&self, key: KeyBytes<'_>) -> NullKey {
        let mut tag = [0; TAG_LEN];
        tag.copy_from_slice(&key.as_slice()[..TAG_LEN]);
        NullKey { tag }
    }
}

impl GcmKey for NullKey {
    fn seal_batch(&self, jobs: &mut [SealJob<'_>]) {
        for job in jobs {
            *job.tag = self.tag;
        }
    }

    fn open_batch(&self, jobs: &mut [OpenJob<'_>]) {
        for job in jobs {
            if *job.tag == self.tag {
                job.accept();
            } else {
                job.reject();
            }
        }
    }
}
