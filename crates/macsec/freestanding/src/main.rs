//! A program with nothing under it: no `std`, no allocator, no C library, its own panic handler.
//!
//! It seals and opens frames in its first instructions and exits with 0 if all is as it should be, else
//! with the number of the line that was not. That it links proves that `macsec` and `macsec-gcm`
//! need nothing but `core`; that it runs proves that they work so. `.ci/no-std` does both.
#![no_std]
#![no_main]

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("this fixture speaks to Linux on x86-64; the library does not care");

mod memory;

use core::{arch, panic::PanicInfo};

use macsec::{
    An, CipherSuite, Confidentiality, ConfidentialityOffset, Config, DataKey, FrameBuf, HEADROOM,
    KeySlot, Ki, MacAddress, Portable, ReceiveOutcome, ReceiveSa, ReceiveScSlot, Sak, Salt, Sci,
    SecY, Ssci, TAILROOM, TransmitSa,
};
use macsec_gcm::{Backend, GcmKey, KeyBytes, OpenJob};

type Fixture = SecY<Portable, [KeySlot<<Portable as Backend>::Key>; 1], [ReceiveScSlot; 1]>;

const ALICE: Sci = Sci::new(MacAddress([2, 0, 0, 0, 0, 0xa]), 1);
const BOB: Sci = Sci::new(MacAddress([2, 0, 0, 0, 0, 0xb]), 1);
const FRAME_LEN: usize = 100;

// The kernel enters with the stack pointer on a multiple of 16 and `argc` there. A function
// expects to be called, that is, eight octets off: `call` sees to that. Alignment matters because the
// compiler spills SSE registers with aligned moves.
arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "and rsp, -16",
    "call {main}",
    "ud2",
    main = sym main,
);

extern "C" fn main() -> ! {
    let code = match run() {
        Ok(()) => 0,
        // Exit codes have eight bits; zero must stay success.
        Err(line) => (line as u8).max(1),
    };
    exit(code)
}

/// Gives up with the number of this line.
macro_rules! check {
    ($condition:expr) => {
        if !$condition {
            return Err(line!());
        }
    };
}

fn run() -> Result<(), u32> {
    for suite in CipherSuite::ALL {
        let mut alice = secy(suite, ALICE, BOB).ok_or(line!())?;
        let mut bob = secy(suite, BOB, ALICE).ok_or(line!())?;
        for len in [14, 60, FRAME_LEN] {
            round_trip(&mut alice, &mut bob, len)?;
        }
        check!(bob.counters().receive_scs.in_pkts_ok == 3);
        check!(bob.counters().receive_scs.in_pkts_late == 3);
        check!(bob.counters().receive_scs.in_pkts_not_valid == 0);
    }
    gcm_without_a_secy()
}

/// Alice sends, Bob receives; a second copy comes too late, a damaged one is not valid.
fn round_trip(alice: &mut Fixture, bob: &mut Fixture, len: usize) -> Result<(), u32> {
    let mut buffer = [0x5a; HEADROOM + FRAME_LEN + TAILROOM];
    let plain = [0x5a; FRAME_LEN];
    let frame = FrameBuf::new(&mut buffer[..], HEADROOM..HEADROOM + len).or(Err(line!()))?;
    let protected = alice.protect(frame).or(Err(line!()))?;
    let range = protected.range();
    check!(range.len() > len && protected.octets()[12..14] == [0x88, 0xe5]);

    let mut copy = [0; HEADROOM + FRAME_LEN + TAILROOM];
    let copy = &mut copy[..range.len()];
    copy.copy_from_slice(protected.octets());
    let verdict = bob.validate(&mut buffer[range]);
    check!(verdict.outcome() == ReceiveOutcome::Ok);
    check!(verdict.delivered() == Some(&plain[..len]));
    check!(bob.validate(copy).outcome() == ReceiveOutcome::Late);
    Ok(())
}

fn secy(suite: CipherSuite, ours: Sci, peer: Sci) -> Option<Fixture> {
    let keys = [const { KeySlot::EMPTY }; 1];
    let peers = [const { ReceiveScSlot::EMPTY }; 1];
    let mut secy = SecY::new(Portable, ours, Config::default(), keys, peers).ok()?;
    let ki = Ki([1; 16]);
    let sak = Sak::new(&[0x42; 32][..suite.key_len()]).ok()?;
    let salt = suite.is_xpn().then_some(Salt([7; 12]));
    secy.install_key(&DataKey::new(ki, suite, sak, salt).ok()?).ok()?;
    let ssci = |sci: Sci| suite.is_xpn().then_some(Ssci(u32::from(sci.mac().0[5])));
    let an = An::default();
    let offset = ConfidentialityOffset::Zero;
    secy.create_receive_sc(peer).ok()?;
    let receive = ReceiveSa { an, ki, ssci: ssci(peer), lowest_pn: 1, offset };
    secy.install_receive_sa(peer, &receive).ok()?;
    secy.enable_receive_sa(peer, an).ok()?;
    let transmit = TransmitSa {
        an,
        ki,
        ssci: ssci(ours),
        next_pn: 1,
        confidentiality: Confidentiality::Encrypt(offset),
    };
    secy.install_transmit_sa(&transmit).ok()?;
    secy.enable_transmit_sa(an).ok()?;
    Some(secy)
}

/// The cipher alone, on the first vector of the GCM specification's AES-128 set: an empty message.
fn gcm_without_a_secy() -> Result<(), u32> {
    const TAG: [u8; 16] = [
        0x58, 0xe2, 0xfc, 0xce, 0xfa, 0x7e, 0x30, 0x61, 0x36, 0x7f, 0x1d, 0x57, 0xa4, 0xe7, 0x45,
        0x5a,
    ];
    let key = Portable.expand(KeyBytes::Aes128(&[0; 16]));
    let mut job = OpenJob::new([0; 12], &[], &mut [], &TAG);
    key.open(&mut job);
    check!(job.is_authentic());
    let mut wrong = TAG;
    wrong[15] ^= 1;
    let mut text = [0xff; 5];
    let mut job = OpenJob::new([0; 12], &[], &mut text, &wrong);
    key.open(&mut job);
    check!(!job.is_authentic());
    check!(text == [0; 5]);
    Ok(())
}

fn exit(code: u8) -> ! {
    const EXIT_GROUP: u64 = 231;
    // SAFETY: the system call ends the process and returns to nobody; it reads two registers and no memory.
    unsafe {
        arch::asm!(
            "syscall",
            in("rax") EXIT_GROUP,
            in("rdi") u64::from(code),
            options(noreturn, nostack),
        );
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(101)
}

/// The precompiled `core` names this function in its unwind tables. Nothing unwinds here: panics end the
/// process.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() -> ! {
    exit(102)
}
