//! The five functions that compiled Rust expects of the platform: `memcpy` and its kin.
//!
//! Firmware gets them from `compiler_builtins`, which leaves them out on a target that has a C library.
//! Copies are `rep movsb` and `rep stosb`, because a loop would be compiled into a call of the very function
//! that it implements. Comparison reads volatile for the same reason.

use core::arch::asm;

/// # Safety
/// As in C: `from` is readable and `to` writable for `len` octets, and they do not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the caller vouches for both areas; the direction flag is clear as the ABI demands.
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// # Safety
/// As in C: `from` is readable and `to` writable for `len` octets; they may overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= len {
        // SAFETY: `to` is not inside what is still to be read, so copying upwards is sound.
        return unsafe { memcpy(to, from, len) };
    }
    // SAFETY: from the last octet downwards, as `to` lies inside `from`'s area. `len` is above zero
    // here, so the last octets exist. The direction flag is put back.
    unsafe {
        asm!(
            "std", "rep movsb", "cld",
            inout("rcx") len => _,
            inout("rdi") to.wrapping_add(len).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(len).wrapping_sub(1) => _,
            options(nostack),
        );
    }
    to
}

/// # Safety
/// As in C: `to` is writable for `len` octets.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, octet: i32, len: usize) -> *mut u8 {
    // SAFETY: the caller vouches for the area; the direction flag is clear as the ABI demands.
    unsafe {
        asm!(
            "rep stosb",
            inout("rcx") len => _, inout("rdi") to => _, in("al") octet as u8,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// # Safety
/// As in C: both are readable for `len` octets.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    for at in 0..len {
        // SAFETY: `at` is below `len`, for which the caller vouches.
        let (a, b) = unsafe { (a.add(at).read_volatile(), b.add(at).read_volatile()) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

/// # Safety
/// As [`memcmp`].
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: the caller vouches for the same.
    unsafe { memcmp(a, b, len) }
}
