//! Expanded keys in lent storage, and the memory that keeps a key from going back in time.

use core::fmt;

use macsec_gcm::{Backend, GcmKey, KeyBytes, NONCE_LEN, SealJob, TAG_LEN};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{CipherSuite, DataKey, Ki, Salt, nonce::NonceBase};

/// Storage for a number of `T`: an array, a slice, a `Vec`, whatever the caller lends or gives.
///
/// Implemented for everything that is both `AsRef<[T]>` and `AsMut<[T]>`; its length is the capacity.
pub trait Storage<T>: AsRef<[T]> + AsMut<[T]> {}

impl<T, S: AsRef<[T]> + AsMut<[T]> + ?Sized> Storage<T> for S {}

/// Room for one expanded key, to be lent to a SecY. SAs share the key of a slot.
///
/// A SecY needs as many as there are SAKs at a time: two for one peer or many under MKA, three to
/// overlap generously; more if every peer has a static key of its own.
pub struct KeySlot<K>(Option<InstalledKey<K>>);

impl<K> KeySlot<K> {
    /// A slot without a key.
    pub const EMPTY: Self = Self(None);
}

impl<K> Default for KeySlot<K> {
    fn default() -> Self {
        Self::EMPTY
    }
}

pub(crate) struct InstalledKey<K> {
    pub(crate) ki: Ki,
    pub(crate) suite: CipherSuite,
    pub(crate) salt: Option<Salt>,
    pub(crate) key: K,
    pub(crate) check: KeyCheck,
}

/// The keys of a SecY.
pub(crate) struct KeyStore<S> {
    slots: S,
}

impl<S> KeyStore<S> {
    pub(crate) fn new<K>(mut slots: S) -> Self
    where
        S: Storage<KeySlot<K>>,
    {
        slots.as_mut().iter_mut().for_each(|slot| slot.0 = None);
        Self { slots }
    }

    /// How many keys there is room for.
    pub(crate) fn capacity<K>(&self) -> usize
    where
        S: Storage<KeySlot<K>>,
    {
        self.slots.as_ref().len().min(MAX_KEYS)
    }

    pub(crate) fn install<B: Backend>(
        &mut self,
        backend: &B,
        data_key: &DataKey,
    ) -> Result<(), KeyError>
    where
        S: Storage<KeySlot<B::Key>>,
    {
        let key = backend.expand(data_key.sak.key_bytes());
        let check = KeyCheck::of(&key, data_key.sak.key_bytes());
        for installed in self.slots.as_ref().iter().filter_map(|slot| slot.0.as_ref()) {
            if installed.ki == data_key.ki {
                return Err(KeyError::KiInUse);
            }
            if installed.check == check {
                return Err(KeyError::SakInUse);
            }
        }
        let mut slots = self.slots.as_mut().iter_mut().take(MAX_KEYS);
        let free = slots.find(|slot| slot.0.is_none());
        free.ok_or(KeyError::NoFreeSlot)?.0 = Some(InstalledKey {
            ki: data_key.ki,
            suite: data_key.suite,
            salt: data_key.salt,
            key,
            check,
        });
        Ok(())
    }

    pub(crate) fn remove<K>(&mut self, index: u16)
    where
        S: Storage<KeySlot<K>>,
    {
        if let Some(slot) = self.slots.as_mut().get_mut(usize::from(index)) {
            slot.0 = None;
        }
    }

    pub(crate) fn find<K>(&self, ki: Ki) -> Option<(u16, &InstalledKey<K>)>
    where
        S: Storage<KeySlot<K>>,
    {
        let mut keys = (0..=u16::MAX).zip(self.slots.as_ref());
        keys.find_map(|(index, slot)| Some((index, slot.0.as_ref().filter(|key| key.ki == ki)?)))
    }

    #[inline]
    pub(crate) fn get<K>(&self, index: u16) -> Option<&InstalledKey<K>>
    where
        S: Storage<KeySlot<K>>,
    {
        self.slots.as_ref().get(usize::from(index))?.0.as_ref()
    }

    pub(crate) fn iter<'a, K: 'a>(&'a self) -> impl Iterator<Item = &'a InstalledKey<K>>
    where
        S: Storage<KeySlot<K>>,
    {
        self.slots.as_ref().iter().filter_map(|slot| slot.0.as_ref())
    }

    pub(crate) fn any_xpn<K>(&self) -> bool
    where
        S: Storage<KeySlot<K>>,
    {
        self.iter().any(|key| key.suite.is_xpn())
    }
}

/// A value by which equal SAKs are known, whatever they are called.
///
/// It is the tag of an empty frame under the all-zero nonce. No frame's nonce: a PN is never zero
/// (without XPN), and the value never leaves memory, where it is as secret as the key schedule beside it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct KeyCheck {
    tag: [u8; TAG_LEN],
    key_len: usize,
}

impl KeyCheck {
    fn of(key: &impl GcmKey, octets: KeyBytes<'_>) -> Self {
        let mut tag = [0; TAG_LEN];
        key.seal(&mut SealJob { nonce: [0; NONCE_LEN], aad: &[], text: &mut [], tag: &mut tag });
        Self { tag, key_len: octets.as_slice().len() }
    }
}

impl PartialEq for KeyCheck {
    fn eq(&self, other: &Self) -> bool {
        self.key_len == other.key_len && bool::from(self.tag.ct_eq(&other.tag))
    }
}

/// How many keys are looked at, whatever room is lent: SAs refer to them by `u16`.
const MAX_KEYS: usize = 1 << 16;

/// How many former SAs a SecY remembers in each direction.
const REMEMBERED: usize = 16;

/// Where the packet numbers of former SAs had got to, so that none is gone through again.
///
/// The last sixteen are kept. Kept apart for each direction, so that receive SAs that come and go cannot push
/// out a transmit SA.
#[derive(Default)]
pub(crate) struct PnHistory {
    /// The latest first.
    entries: [Option<FormerSa>; REMEMBERED],
}

struct FormerSa {
    check: KeyCheck,
    base: NonceBase,
    /// The first PN that may be used again; `None` if there is none left.
    next_pn: Option<u64>,
}

impl PnHistory {
    /// Remembers that `next_pn` is the first unused PN of the SA with this key and nonce base.
    pub(crate) fn remember(&mut self, check: &KeyCheck, base: NonceBase, next_pn: Option<u64>) {
        let known = self
            .entries
            .iter()
            .position(|e| e.as_ref().is_some_and(|e| e.check == *check && e.base == base));
        // One that is known already becomes the latest; else the oldest makes room.
        self.entries[..=known.unwrap_or(REMEMBERED - 1)].rotate_right(1);
        let [latest, ..] = &mut self.entries;
        match latest {
            // `None`, no PN left, is the furthest of all.
            Some(former) if known.is_some() => {
                former.next_pn = former.next_pn.zip(next_pn).map(|(a, b)| a.max(b));
            }
            _ => {
                *latest = Some(FormerSa { check: check.clone(), base, next_pn });
            }
        }
    }

    /// Whether an SA with this key and nonce base has been.
    pub(crate) fn knows(&self, check: &KeyCheck, base: NonceBase) -> bool {
        let mut entries = self.entries.iter().flatten();
        entries.any(|e| e.check == *check && e.base == base)
    }

    /// Whether an SA with this key and nonce base may begin at `pn`.
    pub(crate) fn allows(&self, check: &KeyCheck, base: NonceBase, pn: u64) -> bool {
        let known = self.entries.iter().flatten().find(|e| e.check == *check && e.base == base);
        known.is_none_or(|former| former.next_pn.is_some_and(|next| pn >= next))
    }

    /// Whether the key has been used with another nonce base than this. Two bases under one key can
    /// meet in the same nonce.
    pub(crate) fn used_otherwise(&self, check: &KeyCheck, base: NonceBase) -> bool {
        self.entries.iter().flatten().any(|e| e.check == *check && e.base != base)
    }
}

/// Why a key cannot be installed or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// A key with this KI is installed already.
    KiInUse,
    /// The same SAK is installed already, under another KI.
    SakInUse,
    /// All the key slots that were lent are taken.
    NoFreeSlot,
    /// No key has this KI.
    UnknownKi,
    /// An SA still refers to the key.
    InUseBySa,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KiInUse => "KI: a key of that name is installed",
            Self::SakInUse => "SAK: installed already under another KI",
            Self::NoFreeSlot => "key: no free key slot",
            Self::UnknownKi => "KI: no such key",
            Self::InUseBySa => "key: an SA still uses it",
        })
    }
}

impl core::error::Error for KeyError {}
