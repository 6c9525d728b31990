//! One request to the kernel, and its answer.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::NetlinkError;

/// Datagrams read at most in search of an answer: the kernel gives it in the first.
const MAX_DATAGRAMS: usize = 16;

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

    /// `None` is the kernel's "done".
    fn request(&mut self, message: Message, flags: u16) -> io::Result<Option<Message>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        request.finalize();
        let mut octets = vec![0; request.buffer_len()];
        request.serialize(&mut octets);
        self.socket.send(&octets, 0)?;

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
}

fn refused(what: &'static str, error: io::Error) -> NetlinkError {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => NetlinkError::PermissionDenied(what),
        Some(libc::EEXIST) => NetlinkError::Exists(what),
        Some(libc::EOPNOTSUPP) => NetlinkError::NotSupported(what),
        _ => NetlinkError::Io(what, error),
    }
}
