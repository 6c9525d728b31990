//! A barrier between an interface and the host's own stack, made of traffic control filters.
//!
//! A `clsact` queueing discipline gives an interface two places for filters. The kernel asks them after
//! the packet sockets have seen a received frame and before the stack does, and before a frame that is
//! sent reaches the interface. Ours are classic BPF programs that return a verdict themselves
//! (direct action), as every kernel with `cls_bpf` has them:
//!
//! | where | program |
//! |---|---|
//! | ingress | drop |
//! | egress | let pass what bears the mark, drop all else |
//!
//! They bind whoever uses the interface as others do. A packet socket that goes past the queueing
//! discipline (PACKET_QDISC_BYPASS), an XDP program and a program attached by `tcx` come before them;
//! all of these need privileges.

use netlink_packet_core::{
    DefaultNla, NLA_HEADER_SIZE, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::tc::{TcAttribute, TcFilterBpfOption, TcMessage, TcOption};

use super::socket::Dumped;
use super::{Netlink, NetlinkError};
use crate::bpf;

const CLSACT: &str = "clsact";
/// Parent of a clsact (and ingress) qdisc, and its handle.
const CLSACT_PARENT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;

/// The first to be asked.
const PREFERENCE: u16 = 1;
const HANDLE: u32 = 1;
/// ETH_P_ALL in network order, as the lower half of `tcm_info`.
const ALL_PROTOCOLS: u16 = (libc::ETH_P_ALL as u16).to_be();

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_CHAIN: u16 = 11;
const TCA_BPF_OPS_LEN: u16 = 4;
const TCA_BPF_OPS: u16 = 5;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;

const TC_ACT_UNSPEC: u32 = u32::MAX;
const TC_ACT_SHOT: u32 = 2;

/// A queueing discipline of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Qdisc {
    /// `noqueue`, `fq_codel`, `clsact`, ...
    pub kind: String,
    /// Its number; the upper half is 0 for one that the kernel chose by itself.
    pub handle: u32,
    /// What it hangs on: 0xFFFFFFFF for the root.
    pub parent: u32,
}

impl Qdisc {
    /// Someone has set it up, so it does not come back by itself.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.handle >> 16 != 0
    }
}

/// The two places for filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Ingress,
    Egress,
}

impl Side {
    const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    fn parent(self) -> u32 {
        match self {
            Self::Ingress => 0xffff_fff2,
            Self::Egress => 0xffff_fff3,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// The instructions, in the octets of `struct sock_filter`.
    fn program(self, mark: u32) -> Vec<u8> {
        match self {
            Self::Ingress => bpf::octets(&[bpf::answer(TC_ACT_SHOT)]),
            Self::Egress => bpf::octets(&[
                bpf::load(libc::SKF_AD_MARK),
                bpf::jump_if_equal(mark, 0, 1),
                bpf::answer(TC_ACT_UNSPEC),
                bpf::answer(TC_ACT_SHOT),
            ]),
        }
    }

    /// Whether a program is one of ours, for whatever mark.
    fn is_ours(self, program: &[u8]) -> bool {
        let mark = match self {
            Self::Ingress => 0,
            Self::Egress => match program.get(12..16).and_then(<[u8]>::first_chunk) {
                Some(octets) => u32::from_ne_bytes(*octets),
                None => return false,
            },
        };
        program == self.program(mark)
    }
}

/// A filter as the kernel tells it.
#[derive(Debug, Default)]
struct Filter {
    kind: String,
    preference: u16,
    handle: u32,
    chain: u32,
    program: Vec<u8>,
}

impl Filter {
    fn is_ours(&self, side: Side) -> bool {
        self.is_at_our_place() && self.handle == HANDLE && side.is_ours(&self.program)
    }

    /// It may be asked before ours (or be in its place).
    fn is_asked_first(&self) -> bool {
        self.preference <= PREFERENCE && self.chain == 0
    }

    fn is_at_our_place(&self) -> bool {
        (self.kind.as_str(), self.preference, self.chain) == ("bpf", PREFERENCE, 0)
    }
}

impl Netlink {
    /// Shuts the host's own stack out of an interface: it gets no received frame, and nothing leaves
    /// but frames with this mark ([`TxConfig::mark`](crate::packet::TxConfig::mark), not 0). Packet
    /// sockets still see every frame that arrives.
    ///
    /// One that is there already, with whatever mark, is taken over. A link that moves to another
    /// network namespace loses it.
    ///
    /// # Errors
    /// [`NetlinkError`], of them [`NetlinkError::InTheWay`] when there are filters of someone else:
    /// they might let pass what must not, or be meant for something that ours would break.
    pub fn install_barrier(&mut self, name: &str, mark: u32) -> Result<(), NetlinkError> {
        let index = self.index_of(name)?;
        match self.qdiscs(name)?.iter().find(|qdisc| qdisc.parent == CLSACT_PARENT) {
            None => self.create_clsact(index)?,
            Some(qdisc) if qdisc.kind == CLSACT => {}
            Some(qdisc) => {
                let what = format!("queueing discipline {} of {name:?}", qdisc.kind);
                return Err(NetlinkError::InTheWay(what));
            }
        }
        for side in Side::BOTH {
            let filters = self.filters(index, side)?;
            if let Some(foreign) = filters.iter().find(|filter| !filter.is_ours(side)) {
                let Filter { kind, preference, .. } = foreign;
                let side = side.name();
                let what = format!("{side} filter {kind} (pref {preference}) of {name:?}");
                return Err(NetlinkError::InTheWay(what));
            }
        }
        for side in Side::BOTH {
            let options = vec![
                option(TCA_BPF_OPS_LEN, &((side.program(mark).len() / 8) as u16).to_ne_bytes()),
                option(TCA_BPF_OPS, &side.program(mark)),
                option(TCA_BPF_FLAGS, &TCA_BPF_FLAG_ACT_DIRECT.to_ne_bytes()),
            ];
            let mut message = filter_message(index, side);
            message.attributes.push(TcAttribute::Options(options));
            let message = Message::NewTrafficFilter(message);
            self.install("install filter (bpf)", message, NLM_F_REPLACE)?;
        }
        Ok(())
    }

    /// Whether any part of a barrier is there.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub fn has_barrier(&mut self, name: &str) -> Result<bool, NetlinkError> {
        let index = self.index_of(name)?;
        for side in Side::BOTH {
            if self.filters(index, side)?.iter().any(|filter| filter.is_ours(side)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a barrier with this mark is there, on both sides and before all other filters.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub fn has_whole_barrier(&mut self, name: &str, mark: u32) -> Result<bool, NetlinkError> {
        let index = self.index_of(name)?;
        for side in Side::BOTH {
            let filters = self.filters(index, side)?;
            let (ours, others): (Vec<_>, Vec<_>) =
                filters.iter().partition(|filter| filter.is_ours(side));
            let is_there = ours.iter().any(|filter| filter.program == side.program(mark));
            if !is_there || others.iter().any(|filter| filter.is_asked_first()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes the barrier away, and the `clsact` with it unless it is to be kept (because it was there
    /// before) or has filters of someone else by now. No error if there is none.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub fn remove_barrier(&mut self, name: &str, keep_clsact: bool) -> Result<(), NetlinkError> {
        let index = self.index_of(name)?;
        let has_clsact = |qdisc: &Qdisc| qdisc.parent == CLSACT_PARENT && qdisc.kind == CLSACT;
        if !self.qdiscs(name)?.iter().any(has_clsact) {
            return Ok(());
        }
        let mut others = 0;
        for side in Side::BOTH {
            for filter in self.filters(index, side)? {
                if filter.is_ours(side) {
                    let message = Message::DelTrafficFilter(filter_message(index, side));
                    self.socket.change("remove filter", message, 0)?;
                } else {
                    others += 1;
                }
            }
        }
        if keep_clsact || others > 0 {
            return Ok(());
        }
        let message = Message::DelQueueDiscipline(clsact_message(index));
        self.socket.change("remove clsact", message, 0)
    }

    /// The queueing disciplines of a link.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub fn qdiscs(&mut self, name: &str) -> Result<Vec<Qdisc>, NetlinkError> {
        let index = self.index_of(name)?;
        let request = Message::GetQueueDiscipline(TcMessage::with_index(index.cast_signed()));
        let dumped = self.socket.dump("list queueing disciplines", &request)?;
        Ok(dumped
            .iter()
            .filter_map(Object::read)
            // Not every kernel leaves out the others.
            .filter(|object| object.index == index)
            .map(|object| Qdisc {
                kind: object.kind(),
                handle: object.handle,
                parent: object.parent,
            })
            .collect())
    }

    fn create_clsact(&mut self, index: u32) -> Result<(), NetlinkError> {
        let message = Message::NewQueueDiscipline(clsact_message(index));
        self.install("install clsact", message, NLM_F_EXCL)
    }

    fn install(
        &mut self,
        what: &'static str,
        message: Message,
        flags: u16,
    ) -> Result<(), NetlinkError> {
        match self.socket.change(what, message, NLM_F_CREATE | flags) {
            // Of this kind the kernel has none, and no module.
            Err(NetlinkError::Io(_, error)) if error.raw_os_error() == Some(libc::ENOENT) => {
                Err(NetlinkError::NotSupported(what))
            }
            other => other,
        }
    }

    fn filters(&mut self, index: u32, side: Side) -> Result<Vec<Filter>, NetlinkError> {
        let mut request = TcMessage::with_index(index.cast_signed());
        request.header.parent = side.parent().into();
        let dumped = self.socket.dump("list filters", &Message::GetTrafficFilter(request))?;
        Ok(dumped
            .iter()
            .filter_map(Object::read)
            .filter(|object| object.index == index && object.parent == side.parent())
            .map(|object| object.filter())
            // Each preference is told once as a whole, without a handle. Of ours that says nothing.
            .filter(|filter| filter.handle != 0 || !filter.is_at_our_place())
            .collect())
    }
}

fn clsact_message(index: u32) -> TcMessage {
    let mut message = TcMessage::with_index(index.cast_signed());
    message.header.parent = CLSACT_PARENT.into();
    message.header.handle = CLSACT_HANDLE.into();
    message.attributes.push(TcAttribute::Kind(CLSACT.to_owned()));
    message
}

fn filter_message(index: u32, side: Side) -> TcMessage {
    let mut message = TcMessage::with_index(index.cast_signed());
    message.header.parent = side.parent().into();
    message.header.handle = HANDLE.into();
    message.header.info = u32::from(PREFERENCE) << 16 | u32::from(ALL_PROTOCOLS);
    message.attributes.push(TcAttribute::Kind("bpf".to_owned()));
    message
}

fn option(kind: u16, value: &[u8]) -> TcOption {
    TcOption::Bpf(TcFilterBpfOption::Other(DefaultNla::new(kind, value.to_vec())))
}

/// `struct tcmsg` and the attributes behind it. Taken apart here, as a qdisc or filter of someone else
/// may be of any kind, and only its name matters.
struct Object<'a> {
    index: u32,
    handle: u32,
    parent: u32,
    info: u32,
    attributes: &'a [u8],
}

impl<'a> Object<'a> {
    fn read(dumped: &'a Dumped) -> Option<Self> {
        let (header, attributes) = dumped.payload.split_first_chunk::<20>()?;
        let (words, _) = header.as_chunks::<4>();
        let [_, index, handle, parent, info] = words else { return None };
        Some(Self {
            index: u32::from_ne_bytes(*index),
            handle: u32::from_ne_bytes(*handle),
            parent: u32::from_ne_bytes(*parent),
            info: u32::from_ne_bytes(*info),
            attributes,
        })
    }

    fn kind(&self) -> String {
        let octets = attribute(self.attributes, TCA_KIND).unwrap_or_default();
        let octets = octets.split(|o| *o == 0).next().unwrap_or_default();
        String::from_utf8_lossy(octets).into_owned()
    }

    fn filter(&self) -> Filter {
        let options = attribute(self.attributes, TCA_OPTIONS).unwrap_or_default();
        let chain = attribute(self.attributes, TCA_CHAIN).and_then(<[u8]>::first_chunk);
        Filter {
            kind: self.kind(),
            preference: (self.info >> 16) as u16,
            handle: self.handle,
            chain: chain.map_or(0, |octets| u32::from_ne_bytes(*octets)),
            program: attribute(options, TCA_BPF_OPS).unwrap_or_default().to_vec(),
        }
    }
}

/// The value of the first attribute of this kind.
fn attribute(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    let mut attributes = NlasIterator::new(attributes).map_while(Result::ok);
    let found = attributes.find(|attribute| attribute.kind() == kind)?;
    let end = usize::from(found.length());
    found.into_inner().get(NLA_HEADER_SIZE..end)
}
