//! Classic BPF: the few instructions that our filters are made of.
//!
//! A program loads a value into the one register, jumps forward by what it is, and answers with a
//! number whose meaning is that of the place it is attached to.

pub(crate) use libc::sock_filter as Instruction;

/// Loads what the kernel knows about the frame besides its octets (`SKF_AD_...`).
pub(crate) const fn load(what: i32) -> Instruction {
    let at = (libc::SKF_AD_OFF + what).cast_unsigned();
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, at)
}

/// Skips `then` instructions if the register is `value`, `otherwise` if not.
pub(crate) const fn jump_if_equal(value: u32, then: u8, otherwise: u8) -> Instruction {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, then, otherwise, value)
}

/// Skips `then` instructions if any of `bits` is set in the register, `otherwise` if none is.
pub(crate) const fn jump_if_any(bits: u32, then: u8, otherwise: u8) -> Instruction {
    instruction(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, then, otherwise, bits)
}

/// Ends the program.
pub(crate) const fn answer(value: u32) -> Instruction {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, value)
}

/// A program as octets of `struct sock_filter`.
pub(crate) fn octets(program: &[Instruction]) -> Vec<u8> {
    let octets = |step: &Instruction| {
        let mut octets = [0; 8];
        octets[..2].copy_from_slice(&step.code.to_ne_bytes());
        octets[2..4].copy_from_slice(&[step.jt, step.jf]);
        octets[4..].copy_from_slice(&step.k.to_ne_bytes());
        octets
    };
    program.iter().flat_map(octets).collect()
}

const fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code: code as u16, jt, jf, k }
}
