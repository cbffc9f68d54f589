//! A pair of interfaces joined back to back: datagrams leave by `near` and arrive at `far`.

use std::collections::HashSet;
use std::fs;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::thread;
use std::time::Duration;

use credence_capture::Frame;

use super::namespace::ip;

/// The address behind `far` that datagrams are sent to. Nobody answers there.
const FAR: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
const PORT: u16 = 9;

/// Where the payload of a datagram starts, behind the Ethernet, IPv6 and UDP headers.
const PAYLOAD_AT: usize = 14 + 40 + 8;

/// Makes the pair, both up, in the namespace of the process. Neither end speaks on its own account.
pub(crate) fn create() {
    create_wide("1");
}

/// Makes the pair with so many queues in each direction.
pub(crate) fn create_wide(queues: &str) {
    let wide = ["numtxqueues", queues, "numrxqueues", queues];
    let near = ["link", "add", "near"].into_iter().chain(wide);
    let far = ["type", "veth", "peer", "name", "far"].into_iter().chain(wide);
    ip(&near.chain(far).collect::<Vec<_>>());
    for end in ["near", "far"] {
        ip(&["link", "set", end, "addrgenmode", "none"]);
    }
    fs::write("/proc/sys/net/ipv6/conf/far/disable_ipv6", "1").unwrap();
    ip(&["link", "set", "far", "up"]);
    ip(&["link", "set", "near", "up"]);
    ip(&["-6", "addr", "add", "fd00::1/64", "dev", "near", "nodad"]);
    ip(&["-6", "neigh", "add", "fd00::2", "lladdr", "02:00:00:00:00:02", "dev", "near", "nud", "permanent"]);
}

/// Sends datagrams that carry the numbers from `first` on, from a port of their own, which is returned.
pub(crate) fn send(first: u32, count: u32) -> u16 {
    let socket = UdpSocket::bind("[fd00::1]:0").unwrap();
    for number in first..first + count {
        socket.send_to(&number.to_be_bytes(), SocketAddrV6::new(FAR, PORT, 0, 0)).unwrap();
    }
    socket.local_addr().unwrap().port()
}

/// Sends datagrams as [`send`] does, in steps, of which each has arrived at `far` before the next leaves: the
/// kernel drops what it cannot queue between the two ends, 1,000 frames by default, and no capture sees that.
pub(crate) fn send_in_steps(count: u32) -> HashSet<u16> {
    const STEP: u32 = 500;
    let mut ports = HashSet::new();
    for first in (0..count).step_by(STEP as usize) {
        let step = STEP.min(count - first);
        let awaited = received("far") + u64::from(step);
        ports.insert(send(first, step));
        let arrived = (0..5_000).any(|_| {
            thread::sleep(Duration::from_millis(1));
            received("far") >= awaited
        });
        assert!(arrived, "the kernel lost datagrams before they reached the interface");
    }
    ports
}

/// The source port and the number of a frame, if it is one of the datagrams.
pub(crate) fn datagram(frame: &Frame<'_>) -> Option<(u16, u32)> {
    let bytes = frame.bytes;
    let is_ours = bytes.get(12..14)? == [0x86, 0xdd]
        && bytes[14 + 6] == 17
        && bytes.get(14 + 24..14 + 40)? == FAR.octets()
        && bytes.get(56..58)? == PORT.to_be_bytes();
    let number = u32::from_be_bytes(*bytes.get(PAYLOAD_AT..)?.first_chunk()?);
    is_ours.then(|| (u16::from_be_bytes([bytes[54], bytes[55]]), number))
}

/// How many frames the kernel has received on an interface since it was made.
pub(crate) fn received(interface: &str) -> u64 {
    let path = format!("/sys/class/net/{interface}/statistics/rx_packets");
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}
