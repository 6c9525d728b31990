//! The faults that the suite must see.

use crate::broken::*;

/// A fault, and groups that must see it.
pub(crate) struct Fault {
    pub(crate) what: &'static str,
    pub(crate) backend: Broken,
    pub(crate) caught_by: &'static [&'static str],
}

pub(crate) fn faults() -> Vec<Fault> {
    let fault = |what, backend, caught_by| Fault { what, backend, caught_by };
    vec![
        // The tag.
        fault(
            "accepts any tag",
            Broken { open: |key, job| judge(key, job, |_, _| true), ..SOUND },
            &[
                "vectors::wycheproof",
                "vectors::nist_cavp",
                "properties::every_flipped_bit",
                "properties::random_forgeries",
                "properties::moved_boundaries",
                "properties::every_key_bit",
                "properties::one_odd_job_anywhere",
                "contract::failed_open",
                "contract::shared_keys",
            ],
        ),
        fault(
            "compares 12 octets of the tag",
            Broken { open: |key, job| judge(key, job, |a, b| a[..12] == b[..12]), ..SOUND },
            &["properties::every_flipped_bit", "contract::failed_open"],
        ),
        fault(
            "compares 15 octets of the tag",
            Broken { open: |key, job| judge(key, job, |a, b| a[..15] == b[..15]), ..SOUND },
            &["properties::every_flipped_bit", "contract::failed_open"],
        ),
        fault(
            "adds the differences of tags up by XOR",
            Broken { open: |key, job| judge(key, job, |a, b| fold(a) == fold(b)), ..SOUND },
            &["properties::paired_tag_bits"],
        ),
        fault(
            "never accepts",
            Broken { open: |_, job| job.reject(), ..SOUND },
            &["vectors::ieee_annex_c", "properties::every_short_length"],
        ),
        // The failed open.
        fault(
            "leaves the plaintext of a forgery",
            Broken { open: |key, job| on_failure(key, job, |_, plain| plain), ..SOUND },
            &["vectors::wycheproof", "contract::failed_open", "properties::mixed_batches"],
        ),
        fault(
            "leaves the ciphertext of a forgery",
            Broken { open: |key, job| on_failure(key, job, |cipher, _| cipher), ..SOUND },
            &["vectors::nist_cavp", "contract::failed_open", "properties::random_forgeries"],
        ),
        fault(
            "zeroes whole blocks only",
            Broken { open: |key, job| on_failure(key, job, zero_blocks), ..SOUND },
            &["contract::failed_open", "properties::every_flipped_bit"],
        ),
        fault(
            "zeroes the first 2048 octets only",
            Broken { open: |key, job| on_failure(key, job, zero_2048), ..SOUND },
            &["contract::failed_open"],
        ),
        fault(
            "zeroes but leaves a used job authentic",
            Broken { open: |key, job| on_failure(key, job, |c, _| vec![0; c.len()]), ..SOUND },
            &["contract::used_jobs"],
        ),
        fault(
            "refuses the next frame after a forgery",
            Broken { open: open_sulking, ..SOUND },
            &["contract::stateless_keys"],
        ),
        // The batch.
        fault(
            "swaps the nonces of neighbours",
            Broken { seal_batch: seal_with_swapped_nonces, ..SOUND },
            &["properties::every_batch_size", "properties::mixed_batches"],
        ),
        fault(
            "swaps the tags of neighbours",
            Broken { seal_batch: seal_with_swapped_tags, ..SOUND },
            &["properties::every_batch_size", "properties::mixed_batches"],
        ),
        fault(
            "reverses the order of sealed jobs",
            Broken { seal_batch: seal_reversed, ..SOUND },
            &["properties::every_batch_size", "properties::mixed_batches"],
        ),
        fault(
            "reverses the order of opened jobs",
            Broken { open_batch: open_reversed, ..SOUND },
            &["properties::every_batch_size", "properties::one_odd_job_anywhere"],
        ),
        fault(
            "stops at the first forgery",
            Broken { open_batch: open_until_forged, ..SOUND },
            &["properties::every_batch_size", "properties::one_odd_job_anywhere"],
        ),
        fault(
            "refuses a whole batch for one forgery",
            Broken { open_batch: open_all_or_none, ..SOUND },
            &["properties::one_odd_job_anywhere", "properties::mixed_batches"],
        ),
        fault(
            "seals in eights and forgets the rest",
            Broken { seal_batch: seal_in_eights, ..SOUND },
            &["properties::every_batch_size", "vectors::ieee_annex_c"],
        ),
        fault(
            "forgets what is behind the 64th job",
            Broken { open_batch: open_64, ..SOUND },
            &["properties::every_batch_size", "properties::one_odd_job_anywhere"],
        ),
        fault(
            "pads the texts of a batch to its longest",
            Broken { seal_batch: seal_as_long_as_the_longest, ..SOUND },
            &["properties::every_batch_size", "properties::mixed_batches"],
        ),
        fault(
            "panics without jobs",
            Broken { seal_batch: seal_some, ..SOUND },
            &["contract::empty_batch", "properties::every_batch_size"],
        ),
        // A single job.
        fault(
            "writes no tag when it seals a single job",
            Broken { seal: |key, job| seal_untagged(key, job), ..SOUND },
            &["vectors::wycheproof", "contract::pointers_to_keys"],
        ),
        fault(
            "authenticates 28 octets of additional data",
            Broken { seal: seal_28, open: open_28, ..SOUND },
            &[
                "vectors::ieee_annex_c",
                "vectors::derived_offsets",
                "properties::every_short_length",
            ],
        ),
        fault(
            "ignores the last octet of the nonce",
            Broken { seal: seal_short_nonce, open: open_short_nonce, ..SOUND },
            &["properties::every_flipped_bit", "properties::every_short_length"],
        ),
        fault(
            "has another keystream behind 4096 octets",
            Broken { seal: seal_behind::<4096>, open: open_behind::<4096>, ..SOUND },
            &["properties::frame_lengths"],
        ),
        fault(
            "has another keystream behind 65536 blocks",
            Broken { seal: seal_behind::<0x10_0000>, open: open_behind::<0x10_0000>, ..SOUND },
            &["properties::long_text"],
        ),
        fault(
            "needs texts at multiples of 16",
            Broken { seal: seal_aligned, ..SOUND },
            &["properties::every_alignment"],
        ),
        // The key and the name.
        fault(
            "uses half of a 256-bit key",
            Broken { expand: expand_half, ..SOUND },
            &["vectors::nist_cavp", "properties::every_key_bit"],
        ),
        fault("has no name", Broken { name: "", ..SOUND }, &["contract::name"]),
        fault("has a name in prose", Broken { name: "My Cipher", ..SOUND }, &["contract::name"]),
    ]
}
