//! Datagrams instead of frames: the IP stacks of both hosts at work, ARP and fragments included.

use std::{
    net::{IpAddr, Ipv4Addr, UdpSocket},
    os::fd::AsFd,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use macsec_io::{
    netlink::Netlink,
    packet::{PacketRxRing, PacketTxRing, RxConfig, TxConfig},
    poll,
    tap::Tap,
};

use super::{
    Result, capture,
    ends::settle,
    frames::{VLAN, VLAN_TAG},
    gateway::{self, TAP},
    kernel,
    station::PATIENCE,
    trial::{Trial, sum},
};

const OUR_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(super) const KERNEL_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const PORT: u16 = 7;
/// The interface of the VLAN, at both ends.
const VLAN_INTERFACE: &str = "vlan0";
/// Octets of the headers of IP and UDP.
const HEADERS: usize = 28;
/// Octets of addresses and EtherType, and more than an MTU here.
const LONGEST: usize = 2048;

/// Sends back every datagram from now on, as long as this process lives. Once is enough.
pub(super) fn echo() -> Result<()> {
    let socket = match UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => return Ok(()),
        other => other?,
    };
    thread::spawn(move || {
        let mut datagram = vec![0; usize::from(u16::MAX)];
        while let Ok((len, from)) = socket.recv_from(&mut datagram) {
            // Whoever misses it will say so.
            let _ = socket.send_to(&datagram[..len], from);
        }
    });
    Ok(())
}

impl Trial<'_> {
    /// Has the kernel echo datagrams of all lengths, and looks at everything.
    pub(super) fn udp(&mut self) -> Result<Vec<String>> {
        let mtu = self.ours.gateway.status()?.tap.mtu;
        let guest = &mut *self.kernel.0;
        let interface = if self.case.vlan { VLAN_INTERFACE } else { kernel::INTERFACE };
        if self.case.vlan {
            let id = u16::from_be_bytes([VLAN[2], VLAN[3]]) & 0xfff;
            let link = format!("link add link {} name {interface}", kernel::INTERFACE);
            guest.ip(&format!("{link} mtu {mtu} type vlan id {id}"))?;
            guest.ip(&format!("link set {interface} up"))?;
        }
        guest.ip(&format!("address add {KERNEL_ADDRESS}/24 dev {interface}"))?;
        guest.echo()?;

        let stop = AtomicBool::new(false);
        let mut faults = thread::scope(|scope| {
            let interface = if self.case.vlan {
                let tagger = Tagger::new(mtu)?;
                scope.spawn(|| tagger.run(&stop));
                VLAN_INTERFACE
            } else {
                TAP
            };
            let result = exchange(interface, mtu as usize);
            stop.store(true, Ordering::Release);
            result
        })?;

        // How many frames that took is the stacks' business, but all must be accounted for.
        let Self { ours, kernel, to_kernel, to_us, capture, start, .. } = self;
        let mut count = || {
            to_kernel.count(capture, *start)?;
            to_us.count(capture, *start)?;
            let by_us = sum([&to_kernel.sent(), &to_us.received()]);
            Result::Ok((by_us, sum([&to_us.sent(), &to_kernel.received()])))
        };
        faults.extend(settle(ours, || Ok(count()?.0))?);
        faults.extend(settle(kernel, || Ok(count()?.1))?);
        let mut senders = [self.to_kernel.sender("ours"), self.to_us.sender("the kernel")];
        senders.iter_mut().for_each(|sender| sender.frames = None);
        faults.extend(capture::check(&self.capture, self.start, &senders)?);
        Ok(faults)
    }
}

/// Sends datagrams from an interface of ours, and says which do not come back.
pub(super) fn exchange(interface: &str, mtu: usize) -> Result<Vec<String>> {
    Netlink::open()?.add_address(interface, IpAddr::V4(OUR_ADDRESS), 24)?;
    let socket = UdpSocket::bind((OUR_ADDRESS, 0))?;
    socket.connect((KERNEL_ADDRESS, PORT))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let whole = mtu - HEADERS;
    // The last three take several frames.
    let lengths = (0..64).chain((64..whole).step_by(37)).chain(whole - 3..whole + 2);
    for (number, len) in lengths.chain([2 * mtu, 4 * mtu]).enumerate() {
        let datagram: Vec<u8> = (number..).take(len).map(|octet| octet as u8).collect();
        socket.send(&datagram)?;
        let mut received = vec![0; len + 1];
        match socket.recv(&mut received) {
            Ok(got) if received[..got] == datagram => {}
            Ok(got) => return Ok(vec![format!("{got} octets came back for {len}, or others")]),
            Err(error) => return Ok(vec![format!("a datagram of {len} octets: {error}")]),
        }
    }
    Ok(Vec::new())
}

/// The VLAN on our side. Kernels of test machines have no VLAN interfaces as a rule, so this does it: a
/// TAP for the host, whose frames pass through our gateway's TAP with a tag.
struct Tagger {
    tap: Tap,
    rx: PacketRxRing,
    tx: PacketTxRing,
}

impl Tagger {
    fn new(mtu: u32) -> Result<Self> {
        let tap = Tap::create(VLAN_INTERFACE)?;
        let mut netlink = Netlink::open()?;
        netlink.set_mac(VLAN_INTERFACE, gateway::MAC)?;
        netlink.set_mtu(VLAN_INTERFACE, mtu)?;
        netlink.set_up(VLAN_INTERFACE)?;
        let rx = PacketRxRing::open(TAP, &RxConfig::default())?;
        Ok(Self { tap, rx, tx: PacketTxRing::open(TAP, &TxConfig::default())? })
    }

    /// What does not get through is missed by who waits for it.
    fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            let sources = [self.rx.as_fd(), self.tap.as_fd()];
            let _ = poll::wait_readable(sources, Some(Duration::from_millis(50)));
            let mut frame = [0; LONGEST];
            while let Ok(len) = self.tap.read(&mut frame) {
                let tagged = [&frame[..12], &VLAN, &frame[12..len]].concat();
                let _ = self.tx.push(&tagged);
                let _ = self.tx.flush();
            }
            self.rx.receive(usize::MAX, |frame| {
                if frame.get(12..14) == Some(&VLAN[..2]) && frame.len() > 12 + VLAN_TAG {
                    let _ = self.tap.write(&[&frame[..12], &frame[12 + VLAN_TAG..]].concat());
                }
            });
        }
    }
}
