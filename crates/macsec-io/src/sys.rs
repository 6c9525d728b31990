//! System calls with safe interfaces. Together with `packet/mmap.rs` the only unsafe code.
//!
//! File descriptors are borrowed (so they are open), and each kernel structure is passed with its
//! own size. Where the kernel decides by a number how much memory it touches, the function says
//! which numbers its callers in this crate may pass.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_ulong, c_void};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Plain data that the kernel may read and write octet by octet.
///
/// # Safety
/// Any octets must be a valid value, and there must be no padding.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: an integer.
unsafe impl Plain for c_int {}
// SAFETY: four `c_uint`.
unsafe impl Plain for libc::tpacket_req {}
// SAFETY: seven `c_uint`.
unsafe impl Plain for libc::tpacket_req3 {}
// SAFETY: two `c_uint`.
unsafe impl Plain for libc::tpacket_stats {}
// SAFETY: three `c_uint`.
unsafe impl Plain for libc::tpacket_stats_v3 {}
// SAFETY: c_int, two u16, eight octets: 16 without padding.
unsafe impl Plain for libc::packet_mreq {}

// SAFETY: an `i32` and two `u32`.
unsafe impl Plain for libc::ucred {}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A new socket, closed on exec and non-blocking.
pub(crate) fn socket(domain: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    let kind = kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers are passed.
    let fd = check(unsafe { libc::socket(domain, kind, protocol) })?;
    // SAFETY: the descriptor has just been made, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(crate) fn set_option<T: Plain>(
    socket: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &T,
) -> io::Result<()> {
    let value: *const T = value;
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` points at `len` initialised octets (`Plain` has no padding).
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.cast(), len) })?;
    Ok(())
}

pub(crate) fn get_option<T: Plain + Default>(
    socket: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
) -> io::Result<T> {
    let mut value = T::default();
    let mut len = size_of::<T>() as libc::socklen_t;
    let out: *mut T = &raw mut value;
    // SAFETY: the kernel writes at most `len` octets to `out`, and any octets are a valid `T`.
    check(unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, out.cast(), &raw mut len) })?;
    Ok(value)
}

/// PACKET_STATISTICS of a TPACKET_V2 ring, or of a socket without a ring, since the last call.
pub(crate) fn packet_statistics_v2(socket: BorrowedFd<'_>) -> io::Result<libc::tpacket_stats> {
    let mut value = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    fill_option(socket, libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut value)?;
    Ok(value)
}

/// PACKET_STATISTICS of a TPACKET_V3 ring since the last call.
pub(crate) fn packet_statistics_v3(socket: BorrowedFd<'_>) -> io::Result<libc::tpacket_stats_v3> {
    let mut value = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
    fill_option(socket, libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut value)?;
    Ok(value)
}

/// SO_PEERCRED: who is at the other end of a Unix socket.
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<libc::ucred> {
    let mut value = libc::ucred { pid: 0, uid: 0, gid: 0 };
    fill_option(socket, libc::SOL_SOCKET, libc::SO_PEERCRED, &mut value)?;
    Ok(value)
}

fn fill_option<T: Plain>(
    socket: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &mut T,
) -> io::Result<()> {
    let mut len = size_of::<T>() as libc::socklen_t;
    let out: *mut T = value;
    // SAFETY: the kernel writes at most `len` octets to `out`, and any octets are a valid `T`.
    check(unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, out.cast(), &raw mut len) })?;
    Ok(())
}

/// Binds an AF_PACKET socket to an interface. `protocol` is an EtherType in host order; 0 receives
/// nothing.
pub(crate) fn bind_packet(socket: BorrowedFd<'_>, index: u32, protocol: u16) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: c_int::try_from(index).map_err(|_| io::ErrorKind::InvalidInput)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    let address: *const libc::sockaddr_ll = &raw const address;
    // SAFETY: `address` points at a whole `sockaddr_ll` and `len` is its size.
    check(unsafe { libc::bind(socket.as_raw_fd(), address.cast(), len) })?;
    Ok(())
}

/// Attaches a classic BPF program, whose answer is how many octets of a frame the socket receives.
pub(crate) fn attach_filter(
    socket: BorrowedFd<'_>,
    program: &[libc::sock_filter],
) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let filter = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let len = size_of::<libc::sock_fprog>() as libc::socklen_t;
    let filter: *const libc::sock_fprog = &raw const filter;
    let (level, name) = (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
    // SAFETY: `filter` is a whole sock_fprog whose program is alive and of the length it says; the
    // kernel copies (and checks) it, and writes nothing.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, filter.cast(), len) })?;
    Ok(())
}

/// Takes the next frame of a packet socket without waiting. Returns how long it is, which may be more
/// than `buffer` has room for.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    let (out, len) = (buffer.as_mut_ptr(), buffer.len());
    // SAFETY: the kernel writes at most `len` octets to `out`, which are ours to be written to.
    let received = unsafe { libc::recv(socket.as_raw_fd(), out.cast(), len, flags) };
    usize::try_from(received).map_err(|_| io::Error::last_os_error())
}

/// Sends a frame by way of a packet socket that is bound to an interface, without waiting.
pub(crate) fn send(socket: BorrowedFd<'_>, frame: &[u8]) -> io::Result<()> {
    let (octets, len) = (frame.as_ptr(), frame.len());
    // SAFETY: the kernel reads `len` octets from `octets`.
    let sent = unsafe { libc::send(socket.as_raw_fd(), octets.cast(), len, libc::MSG_DONTWAIT) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Tells the kernel to send what stands in a TX ring, without waiting. Returns octets accepted.
pub(crate) fn kick(socket: BorrowedFd<'_>) -> io::Result<usize> {
    // SAFETY: a null buffer of length 0 is never read.
    let sent = unsafe { libc::send(socket.as_raw_fd(), std::ptr::null(), 0, libc::MSG_DONTWAIT) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// poll(2); an interruption by a signal counts as "nothing happened". `None` waits for ever.
pub(crate) fn poll(fds: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout.map(|t| libc::timespec {
        tv_sec: libc::time_t::try_from(t.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: t.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let count = fds.len() as libc::nfds_t;
    // SAFETY: `fds` has `count` entries; `timeout` is null or a live timespec; no signal mask.
    let result = unsafe { libc::ppoll(fds.as_mut_ptr(), count, timeout, std::ptr::null()) };
    match check(result) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            fds.iter_mut().for_each(|fd| fd.revents = 0);
            Ok(())
        }
        other => other.map(drop),
    }
}

pub(crate) fn page_size() -> usize {
    // SAFETY: no pointers are passed.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// The index of the interface `name` in the network namespace of this thread; 0 if there is none.
pub(crate) fn interface_index(name: &CStr) -> u32 {
    // SAFETY: `name` ends with a NUL.
    unsafe { libc::if_nametoindex(name.as_ptr()) }
}

/// An `ifreq` whose argument is all zeroes.
pub(crate) fn ifreq(name: &[u8; libc::IFNAMSIZ]) -> libc::ifreq {
    // SAFETY: octets, integers and a null pointer: all zeroes are valid.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = *from as std::ffi::c_char;
    }
    request
}

/// The current MTU of an interface, whatever its name is now.
pub(crate) fn interface_mtu(socket: BorrowedFd<'_>, index: u32) -> io::Result<usize> {
    let mut request = named_ifreq(socket, index)?;
    ioctl_ifreq(socket, libc::SIOCGIFMTU, &mut request)?;
    // SAFETY: SIOCGIFMTU has stored an int there (and any octets are one).
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    usize::try_from(mtu).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Whether an interface is up (IFF_UP), whatever its name is now.
pub(crate) fn interface_is_up(socket: BorrowedFd<'_>, index: u32) -> io::Result<bool> {
    let mut request = named_ifreq(socket, index)?;
    ioctl_ifreq(socket, libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: SIOCGIFFLAGS has stored a short there (and any octets are one).
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok(c_int::from(flags) & libc::IFF_UP != 0)
}

/// An `ifreq` with the present name of the interface `index`.
fn named_ifreq(socket: BorrowedFd<'_>, index: u32) -> io::Result<libc::ifreq> {
    let mut request = ifreq(&[0; libc::IFNAMSIZ]);
    request.ifr_ifru.ifru_ifindex =
        c_int::try_from(index).map_err(|_| io::ErrorKind::InvalidInput)?;
    ioctl_ifreq(socket, libc::SIOCGIFNAME, &mut request)?;
    Ok(request)
}

/// SIOCETHTOOL with a `struct ethtool_value`: sends `data`, returns what the kernel left there.
/// `command` must be one of those that take this structure (all in `offload.rs` do): others write
/// beyond it.
pub(crate) fn ethtool_value(
    socket: BorrowedFd<'_>,
    name: &[u8; libc::IFNAMSIZ],
    command: u32,
    data: u32,
) -> io::Result<u32> {
    let mut value = [command, data];
    let mut request = ifreq(name);
    request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
    ioctl_ifreq(socket, libc::SIOCETHTOOL, &mut request)?;
    Ok(value[1])
}

/// Words of 32 features each that we have room for; the kernel uses two.
const FEATURE_WORDS: usize = 8;

/// ETHTOOL_GFEATURES: for each word of features (which can be changed, which are asked for).
pub(crate) fn ethtool_features(
    socket: BorrowedFd<'_>,
    name: &[u8; libc::IFNAMSIZ],
) -> io::Result<Vec<[u32; 2]>> {
    const ETHTOOL_GFEATURES: u32 = 0x3a;
    // Command, words, and for each word: available, requested, active, never changed.
    let mut value = [0u32; 2 + 4 * FEATURE_WORDS];
    value[..2].copy_from_slice(&[ETHTOOL_GFEATURES, FEATURE_WORDS as u32]);
    let mut request = ifreq(name);
    request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
    // The kernel writes at most as many words as we said there is room for.
    ioctl_ifreq(socket, libc::SIOCETHTOOL, &mut request)?;
    let words = (value[1] as usize).min(FEATURE_WORDS);
    let (words, _) = value[2..2 + 4 * words].as_chunks::<4>();
    Ok(words.iter().map(|[available, requested, ..]| [*available, *requested]).collect())
}

/// ETHTOOL_SFEATURES: for each word of features (which are meant, which of these to turn on).
pub(crate) fn ethtool_set_features(
    socket: BorrowedFd<'_>,
    name: &[u8; libc::IFNAMSIZ],
    words: &[[u32; 2]],
) -> io::Result<()> {
    const ETHTOOL_SFEATURES: u32 = 0x3b;
    let mut value = vec![ETHTOOL_SFEATURES, words.len() as u32];
    value.extend(words.as_flattened());
    let mut request = ifreq(name);
    request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
    // The kernel reads exactly the words counted.
    ioctl_ifreq(socket, libc::SIOCETHTOOL, &mut request)
}

/// The requests passed here are SIOCGIFNAME, SIOCGIFMTU, SIOCGIFFLAGS and SIOCETHTOOL (with its value
/// alive).
fn ioctl_ifreq(
    socket: BorrowedFd<'_>,
    request: c_ulong,
    argument: &mut libc::ifreq,
) -> io::Result<()> {
    let argument: *mut libc::ifreq = argument;
    // SAFETY: `argument` is a whole ifreq; a pointer inside is null or the caller's live value.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), request as libc::Ioctl, argument) })?;
    Ok(())
}

/// TUNSETIFF: makes `device` (an open /dev/net/tun) the interface `name`; returns its final name.
pub(crate) fn tun_attach(
    device: BorrowedFd<'_>,
    name: &[u8; libc::IFNAMSIZ],
    flags: c_int,
) -> io::Result<[u8; libc::IFNAMSIZ]> {
    let mut request = ifreq(name);
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    let argument: *mut libc::ifreq = &raw mut request;
    // SAFETY: TUNSETIFF reads and writes one ifreq, which `argument` is.
    check(unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, argument) })?;
    Ok(request.ifr_name.map(|c| c as u8))
}

/// TUNSETPERSIST takes its argument by value.
pub(crate) fn tun_set_persistent(device: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    check(unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETPERSIST, c_ulong::from(on)) })?;
    Ok(())
}

/// TUNSETCARRIER takes its argument by pointer.
pub(crate) fn tun_set_carrier(device: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    let on = c_int::from(on);
    // SAFETY: the kernel reads one int from the pointer.
    check(unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETCARRIER, &raw const on) })?;
    Ok(())
}

/// Moves this thread to a network namespace.
pub(crate) fn set_network_namespace(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers are passed; only this thread's view of the network changes.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })?;
    Ok(())
}

/// Whether a descriptor stands for a network namespace (and not for any other file).
pub(crate) fn is_network_namespace(file: BorrowedFd<'_>) -> bool {
    /// `_IO(0xb7, 3)` of linux/nsfs.h.
    const NS_GET_NSTYPE: c_ulong = 0xb703;
    // SAFETY: the request takes no argument. A file that knows nothing of it refuses.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE as libc::Ioctl) };
    kind == libc::CLONE_NEWNET
}

/// mount(2) without a file system of its own (`flags`: MS_BIND, MS_REC, MS_SHARED).
pub(crate) fn mount(source: &CStr, target: &CStr, flags: c_ulong) -> io::Result<()> {
    let (source, target) = (source.as_ptr(), target.as_ptr());
    // SAFETY: both paths end with a NUL; these flags read neither the type nor the data.
    check(unsafe { libc::mount(source, target, std::ptr::null(), flags, std::ptr::null()) })?;
    Ok(())
}

/// Detaches the mount at `target`, in use or not.
pub(crate) fn unmount(target: &CStr) -> io::Result<()> {
    // SAFETY: the path ends with a NUL.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) })?;
    Ok(())
}

/// Gives this thread namespaces of its own (`flags`: CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER).
pub(crate) fn unshare(flags: c_int) -> io::Result<()> {
    debug_assert_eq!(flags & !(libc::CLONE_NEWNET | libc::CLONE_NEWNS | libc::CLONE_NEWUSER), 0);
    // SAFETY: no pointers are passed, and none of the flags touches memory or descriptors.
    check(unsafe { libc::unshare(flags) })?;
    Ok(())
}

/// The effective user and group of this process.
pub(crate) fn effective_ids() -> (u32, u32) {
    // SAFETY: cannot fail, no pointers.
    let user = unsafe { libc::geteuid() };
    // SAFETY: cannot fail, no pointers.
    let group = unsafe { libc::getegid() };
    (user, group)
}

/// Maps `len` octets of a packet socket's rings, shared with the kernel.
pub(crate) fn map_ring(socket: BorrowedFd<'_>, len: usize) -> io::Result<*mut c_void> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
    // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
    let base =
        unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, socket.as_raw_fd(), 0) };
    if base == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(base) }
}
