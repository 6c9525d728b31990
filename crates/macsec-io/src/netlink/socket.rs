//! One request to the kernel, and its answer.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_ALIGNTO, NetlinkBuffer,
    NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::NetlinkError;

/// Datagrams read at most in search of an answer: the kernel gives it in the first.
const MAX_DATAGRAMS: usize = 16;
/// Messages of one dump at most: more links, addresses or filters than a gateway will ever see.
const MAX_DUMP: usize = 65_536;
/// How often a dump is tried that changes meanwhile.
const DUMP_TRIES: usize = 8;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// A message of a dump, not taken apart yet.
#[derive(Debug)]
pub(super) struct Dumped {
    pub(super) kind: u16,
    pub(super) payload: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct RouteSocket {
    socket: Socket,
    sequence: u32,
}

impl RouteSocket {
    pub(super) fn open() -> Result<Self, NetlinkError> {
        let connect = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(socket)
        };
        let socket = connect().map_err(|e| NetlinkError::Io("open netlink socket", e))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// A request that is answered by success or an error.
    pub(super) fn change(
        &mut self,
        what: &'static str,
        message: Message,
        flags: u16,
    ) -> Result<(), NetlinkError> {
        self.request(message, flags | NLM_F_ACK).map(drop).map_err(|e| refused(what, e))
    }

    /// A request that is answered by one message.
    pub(super) fn query(
        &mut self,
        what: &'static str,
        message: Message,
    ) -> Result<Message, NetlinkError> {
        let answer = self.request(message, 0).map_err(|e| refused(what, e))?;
        answer.ok_or_else(|| NetlinkError::Io(what, io::ErrorKind::InvalidData.into()))
    }

    /// A request that is answered by any number of messages.
    ///
    /// They come as octets: one message that the parser does not understand must not hide the others.
    pub(super) fn dump(
        &mut self,
        what: &'static str,
        message: &Message,
    ) -> Result<Vec<Dumped>, NetlinkError> {
        for _ in 0..DUMP_TRIES {
            self.send(message.clone(), NLM_F_DUMP).map_err(|e| refused(what, e))?;
            if let Some(messages) = self.collect().map_err(|e| refused(what, e))? {
                return Ok(messages);
            }
        }
        Err(NetlinkError::Io(what, io::ErrorKind::TimedOut.into()))
    }

    /// The messages up to the kernel's "done"; `None` if something changed in between, so that one may
    /// be missing.
    fn collect(&mut self) -> io::Result<Option<Vec<Dumped>>> {
        let mut messages = Vec::new();
        let mut interrupted = false;
        for _ in 0..MAX_DUMP {
            let (datagram, from) = self.socket.recv_from_full()?;
            if from.port_number() != 0 {
                continue; // Not from the kernel.
            }
            let mut rest = datagram.as_slice();
            while !rest.is_empty() {
                let message = NetlinkBuffer::new_checked(rest)
                    .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
                let length = message.length() as usize;
                let (kind, payload) = (message.message_type(), message.payload());
                rest = rest.get(length.next_multiple_of(NLMSG_ALIGNTO.into())..).unwrap_or(&[]);
                if message.sequence_number() != self.sequence {
                    continue; // Of an earlier request that was given up.
                }
                interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
                match kind {
                    // Both start with an error code, 0 for none.
                    NLMSG_ERROR | NLMSG_DONE => {
                        let code = payload.first_chunk().map_or(0, |c| i32::from_ne_bytes(*c));
                        return match code {
                            0 => Ok((!interrupted).then_some(messages)),
                            code => Err(io::Error::from_raw_os_error(code.wrapping_neg())),
                        };
                    }
                    kind if messages.len() < MAX_DUMP => {
                        messages.push(Dumped { kind, payload: payload.to_vec() });
                    }
                    _ => return Err(io::ErrorKind::QuotaExceeded.into()),
                }
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// `None` is the kernel's "done".
    fn request(&mut self, message: Message, flags: u16) -> io::Result<Option<Message>> {
        self.send(message, flags)?;
        for _ in 0..MAX_DATAGRAMS {
            let (answer, from) = self.socket.recv_from_full()?;
            if from.port_number() != 0 {
                continue; // Not from the kernel.
            }
            let answer = NetlinkMessage::<Message>::deserialize(&answer)
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
            if answer.header.sequence_number != self.sequence {
                continue; // Of an earlier request that was given up.
            }
            return match answer.payload {
                NetlinkPayload::InnerMessage(message) => Ok(Some(message)),
                NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
                _ => Ok(None),
            };
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    fn send(&mut self, message: Message, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        request.finalize();
        let mut octets = vec![0; request.buffer_len()];
        request.serialize(&mut octets);
        self.socket.send(&octets, 0).map(drop)
    }
}

pub(super) fn refused(what: &'static str, error: io::Error) -> NetlinkError {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => NetlinkError::PermissionDenied(what),
        Some(libc::EEXIST) => NetlinkError::Exists(what),
        Some(libc::EOPNOTSUPP) => NetlinkError::NotSupported(what),
        _ => NetlinkError::Io(what, error),
    }
}
