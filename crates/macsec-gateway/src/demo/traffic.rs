//! What the clouds say to each other: paced UDP with sequence numbers, and TCP whose octets are
//! hashed.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use macsec_io::netns::Namespace;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::topology::{End, Topology};

const UDP_PORT: u16 = 4789;
const PROBE_PORT: u16 = 4790;
const TCP_PORT: u16 = 5001;
/// Between two datagrams of one direction.
const UDP_INTERVAL: Duration = Duration::from_millis(2);
/// The shortest datagram: the sequence number and a mark.
const UDP_MIN: usize = 16;
/// How every datagram begins: one that is seen on the wire has not been encrypted.
pub const UDP_MARK: &[u8; 8] = b"cloud***";
/// Between two bursts of TCP, 26 Mbit/s in all.
const TCP_INTERVAL: Duration = Duration::from_millis(20);
const TCP_BURST: usize = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a receiver waits for stragglers.
const STRAGGLER_TIMEOUT: Duration = Duration::from_millis(500);
/// Asked of the kernel for datagrams that wait for their reader.
const UDP_BUFFER: usize = 8 << 20;

/// What became of one direction's datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UdpResult {
    /// Datagrams sent.
    pub sent: u64,
    /// Different datagrams received.
    pub received: u64,
    /// Datagrams received behind a later one.
    pub reordered: u64,
    /// Datagrams received again.
    pub duplicated: u64,
    /// Datagrams received that were never sent so.
    pub foreign: u64,
}

impl UdpResult {
    /// Datagrams that never came.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    /// Whether every datagram came once and in order, and no other.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let Self { sent, received, reordered, duplicated, foreign } = *self;
        sent == received && reordered + duplicated + foreign == 0
    }
}

/// What became of the TCP stream from cloud A to cloud B.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TcpResult {
    /// Octets sent.
    pub octets: u64,
    /// SHA-256 of what was sent.
    pub sha256: String,
    /// Whether the other end has hashed the same, as it says by the same connection.
    pub intact: bool,
}

/// How the traffic tells others what it does, and they tell it to stop.
#[derive(Default)]
pub struct Control {
    /// Set to end the traffic.
    pub stop: AtomicBool,
    /// Datagrams sent so far, both directions.
    pub datagrams: AtomicU64,
}

/// The sockets, connected through both gateways.
pub struct Traffic {
    udp: [UdpSocket; 2],
    client: TcpStream,
    server: TcpStream,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct TrafficResult {
    /// Datagrams from cloud A to cloud B.
    pub udp_a_to_b: UdpResult,
    /// Datagrams from cloud B to cloud A.
    pub udp_b_to_a: UdpResult,
    /// The stream from cloud A to cloud B.
    pub tcp_a_to_b: TcpResult,
}

impl Traffic {
    /// Opens sockets in both clouds. The TCP handshake proves that the link is up both ways.
    ///
    /// # Errors
    /// Those of the sockets; `TimedOut` if the link does not come up.
    pub fn connect(topology: &Topology) -> io::Result<Self> {
        let connect_udp = |end: End| {
            let socket = udp_socket(topology, end, UDP_PORT)?;
            socket.set_read_timeout(Some(STRAGGLER_TIMEOUT))?;
            // Only root may go beyond the system's limit; without, a loaded machine may drop
            // datagrams.
            let _ = set_socket_recv_buffer_size_force(&socket, UDP_BUFFER)
                .or_else(|_| set_socket_recv_buffer_size(&socket, UDP_BUFFER));
            io::Result::Ok(socket)
        };
        let listener =
            in_namespace(topology.cloud(End::B), || TcpListener::bind(at(End::B, TCP_PORT)))?;
        let client = in_namespace(topology.cloud(End::A), || {
            TcpStream::connect_timeout(&at(End::B, TCP_PORT), CONNECT_TIMEOUT)
        })?;
        let (server, _) = listener.accept()?;
        for stream in [&client, &server] {
            stream.set_read_timeout(Some(CONNECT_TIMEOUT))?;
            stream.set_write_timeout(Some(CONNECT_TIMEOUT))?;
        }
        Ok(Self { udp: [connect_udp(End::A)?, connect_udp(End::B)?], client, server })
    }

    /// Sends until told to stop, waits for what is under way, and says what came of it.
    ///
    /// # Errors
    /// Those of the sockets.
    pub fn run(self, control: &Control) -> io::Result<TrafficResult> {
        let Self { udp: [a, b], client, server } = self;
        // Not known until the sender has stopped.
        let sent_by_a = &AtomicU64::new(u64::MAX);
        let sent_by_b = &AtomicU64::new(u64::MAX);
        thread::scope(|scope| {
            let receive_b = scope.spawn(|| receive_datagrams(&b, sent_by_a));
            let receive_a = scope.spawn(|| receive_datagrams(&a, sent_by_b));
            let server = scope.spawn(|| hash_stream(server));
            let send_a = scope.spawn(|| send_datagrams(&a, control, sent_by_a));
            let send_b = scope.spawn(|| send_datagrams(&b, control, sent_by_b));
            let client = scope.spawn(|| send_stream(client, control));
            join(send_a)?;
            join(send_b)?;
            let tcp_a_to_b = join(client)?;
            join(server)?;
            Ok(TrafficResult {
                udp_a_to_b: join(receive_b)?,
                udp_b_to_a: join(receive_a)?,
                tcp_a_to_b,
            })
        })
    }
}

/// Keeps the clouds talking while `work` is done, and says what came of both.
///
/// # Errors
/// Those of the sockets.
pub fn talk_during<T>(
    topology: &Topology,
    work: impl FnOnce() -> T,
) -> io::Result<(T, TrafficResult)> {
    let traffic = Traffic::connect(topology)?;
    let control = Control::default();
    thread::scope(|scope| {
        let talking = scope.spawn(|| traffic.run(&control));
        let done = work();
        control.stop.store(true, Ordering::Relaxed);
        Ok((done, join(talking)?))
    })
}

/// Sends datagrams both ways until one has come out at each end, and says whether that has been so
/// within `timeout`. None of those that come out was sent before the call.
///
/// # Errors
/// Those of the sockets, when they are opened.
pub fn get_through(topology: &Topology, timeout: Duration) -> io::Result<bool> {
    let sockets =
        [udp_socket(topology, End::A, PROBE_PORT)?, udp_socket(topology, End::B, PROBE_PORT)?];
    for socket in &sockets {
        socket.set_nonblocking(true)?;
    }
    let deadline = Instant::now() + timeout;
    let mut arrived = [false; 2];
    while Instant::now() < deadline {
        for (socket, arrived) in sockets.iter().zip(&mut arrived) {
            // Whatever is wrong with the link, the next one may get through.
            let _ = socket.send(UDP_MARK);
            *arrived |= socket.recv(&mut [0; 64]).is_ok();
        }
        if arrived == [true; 2] {
            return Ok(true);
        }
        thread::sleep(UDP_INTERVAL);
    }
    Ok(false)
}

fn at(end: End, port: u16) -> SocketAddr {
    (end.address(), port).into()
}

/// A socket of `end`, connected to one of the same port at the other.
fn udp_socket(topology: &Topology, end: End, port: u16) -> io::Result<UdpSocket> {
    in_namespace(topology.cloud(end), || {
        let socket = UdpSocket::bind(at(end, port))?;
        socket.connect(at(end.other(), port))?;
        Ok(socket)
    })
}

fn in_namespace<T: Send>(
    namespace: &Namespace,
    action: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    namespace.run(action).map_err(io::Error::other)?
}

fn join<T>(handle: thread::ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    handle.join().map_err(|_| io::Error::other("a traffic thread panicked"))?
}

/// The length of datagram `number`: from the shortest to what fills a frame, never two alike in a
/// row.
fn datagram_len(number: u64) -> usize {
    const LONGEST: u64 = 1440;
    UDP_MIN + usize::try_from(number * 149 % (LONGEST - UDP_MIN as u64)).unwrap_or_default()
}

/// Sends datagrams at a steady pace until told to stop or it fails, then says how many in `sent`:
/// the receiver waits for that.
fn send_datagrams(socket: &UdpSocket, control: &Control, sent: &AtomicU64) -> io::Result<()> {
    let mut number = 0;
    let result = send_until_stop(socket, control, &mut number);
    sent.store(number, Ordering::Release);
    result
}

fn send_until_stop(socket: &UdpSocket, control: &Control, number: &mut u64) -> io::Result<()> {
    let mut buffer = [0; 1500];
    let start = Instant::now();
    while !control.stop.load(Ordering::Relaxed) {
        buffer[..8].copy_from_slice(UDP_MARK);
        buffer[8..UDP_MIN].copy_from_slice(&number.to_be_bytes());
        socket.send(&buffer[..datagram_len(*number)])?;
        *number += 1;
        control.datagrams.fetch_add(1, Ordering::Relaxed);
        // Late datagrams are caught up on, but a few at a time: a burst is no steady pace.
        let due = UDP_INTERVAL * u32::try_from(*number).unwrap_or(u32::MAX);
        let wait = due.saturating_sub(start.elapsed()).max(UDP_INTERVAL / 4);
        thread::sleep(wait);
    }
    Ok(())
}

/// Receives until nothing more comes: what was sent, and what should not have come.
fn receive_datagrams(socket: &UdpSocket, sent: &AtomicU64) -> io::Result<UdpResult> {
    let mut result = UdpResult::default();
    let mut sequence = Sequence::default();
    let mut buffer = [0; 2048];
    loop {
        let sending = sent.load(Ordering::Acquire) == u64::MAX;
        let len = match socket.recv(&mut buffer) {
            Ok(len) => len,
            Err(error) if is_timeout(&error) && sending => continue,
            Err(error) if is_timeout(&error) => break,
            Err(error) => return Err(error),
        };
        match sequence_number(&buffer[..len]).map(|number| sequence.note(number)) {
            None | Some(Arrival::Impossible) => result.foreign += 1,
            Some(Arrival::Again) => result.duplicated += 1,
            Some(Arrival::InOrder) => result.received += 1,
            Some(Arrival::Behind) => {
                result.received += 1;
                result.reordered += 1;
            }
        }
    }
    result.sent = sent.load(Ordering::Acquire);
    Ok(result)
}

/// Which sequence numbers have come. Remembers the gaps, not the numbers: a clean run of any length
/// takes no memory.
#[derive(Debug, Default)]
struct Sequence {
    /// One above the highest number that has come.
    next: u64,
    /// The numbers below that have not.
    missing: BTreeSet<u64>,
}

/// How a datagram came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    InOrder,
    /// After one with a higher number.
    Behind,
    Again,
    /// So far ahead that no sender has got there.
    Impossible,
}

impl Sequence {
    /// The widest gap that a link which loses frames could leave: minutes of its traffic.
    const WIDEST_GAP: u64 = 1 << 17;

    fn note(&mut self, number: u64) -> Arrival {
        if number < self.next {
            return if self.missing.remove(&number) { Arrival::Behind } else { Arrival::Again };
        }
        if number - self.next + self.missing.len() as u64 > Self::WIDEST_GAP {
            return Arrival::Impossible;
        }
        self.missing.extend(self.next..number);
        self.next = number + 1;
        Arrival::InOrder
    }
}

fn sequence_number(datagram: &[u8]) -> Option<u64> {
    let (mark, rest) = datagram.split_first_chunk::<8>()?;
    let number = u64::from_be_bytes(*rest.first_chunk()?);
    (mark == UDP_MARK && datagram.len() == datagram_len(number)).then_some(number)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Sends a stream that looks random until told to stop, then reads the other end's hash of it.
fn send_stream(mut stream: TcpStream, control: &Control) -> io::Result<TcpResult> {
    let mut hash = Sha256::new();
    let mut burst = vec![0; TCP_BURST];
    let mut octets = 0;
    while !control.stop.load(Ordering::Relaxed) {
        fill(&mut burst, octets);
        stream.write_all(&burst)?;
        hash.update(&burst);
        octets += burst.len() as u64;
        thread::sleep(TCP_INTERVAL);
    }
    stream.shutdown(Shutdown::Write)?;
    let ours = hash.finalize();
    let mut theirs = [0; 32];
    stream.read_exact(&mut theirs)?;
    Ok(TcpResult { octets, sha256: hex::encode(ours), intact: ours[..] == theirs })
}

/// Reads to the end of the stream and answers with the hash of it.
fn hash_stream(mut stream: TcpStream) -> io::Result<()> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; TCP_BURST];
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            len => hash.update(&buffer[..len]),
        }
    }
    stream.write_all(&hash.finalize())
}

/// Octets that do not repeat within a stream and need no random numbers (a linear congruential
/// generator).
fn fill(buffer: &mut [u8], offset: u64) {
    let mut state = offset.wrapping_add(0x9e37_79b9_7f4a_7c15);
    for chunk in buffer.chunks_mut(8) {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        chunk.copy_from_slice(&state.to_be_bytes()[..chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_are_told_apart() {
        let mut sequence = Sequence::default();
        let arrivals = [0, 1, 4, 2, 4, 2, 1, 5, 3, u64::MAX, 6].map(|number| sequence.note(number));
        use Arrival::{Again, Behind, Impossible, InOrder};
        assert_eq!(
            arrivals,
            [
                InOrder, InOrder, InOrder, Behind, Again, Again, Again, InOrder, Behind,
                Impossible, InOrder
            ]
        );
        assert!(sequence.missing.is_empty());
    }
}
