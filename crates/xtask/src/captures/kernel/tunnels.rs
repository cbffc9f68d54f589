//! Tunnels of which this kernel has both ends: segment routing, its reduced form (plain IPv6 or IPv4 in IPv6), Ethernet
//! in IPv6, and VXLAN.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;

use super::super::actors::{self, Server};
use super::super::frames::Recording;
use super::super::lab::Lab;
use super::{ANY, LEFT, prepared};
use crate::process::pause;

/// Segments are routed, inserted and taken off on every interface.
fn allow_segments(lab: &Lab) -> Result<()> {
    for (namespace, interface) in
        [(&lab.left, "l0"), (&lab.gate, "g0"), (&lab.gate, "g1"), (&lab.right, "r0")]
    {
        namespace.sysctl(&format!("ipv6/conf/{interface}/seg6_enabled"), "1")?;
        namespace.sysctl("ipv6/conf/all/seg6_enabled", "1")?;
    }
    lab.gate.ip("-6 route add 2001:db8:5::1/128 encap seg6local action End dev g1")?;
    lab.right.ip("-6 route add 2001:db8:2:5::6/128 encap seg6local action End.DT6 table 255 dev r0")?;
    lab.left.ip("-6 route add 2001:db8:1:5::6/128 encap seg6local action End.DT6 table 255 dev l0")?;
    lab.right.ip("address add 2001:db8:2:b::1/128 dev r0 nodad")?;
    lab.right.ip("address add 2001:db8:2:c::1/128 dev r0 nodad")
}

/// Hosts behind a tunnel on the right.
const ENCAPSULATED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0xb, 0, 0, 0, 1);
const INSERTED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0xc, 0, 0, 0, 1);

/// SRv6 (RFC 8754) with the inner packet behind the segments, and with the segments put into the packet itself.
pub(crate) fn segment_routing() -> Result<Recording> {
    let via = "via 2001:db8:1::1 dev l0";
    prepared("g0", "", allow_segments, |lab| {
        lab.left.ip(&format!(
            "-6 route add 2001:db8:2:b::/64 encap seg6 mode encap segs 2001:db8:5::1,2001:db8:2:5::6 {via}"
        ))?;
        lab.left
            .ip(&format!("-6 route add 2001:db8:2:c::/64 encap seg6 mode inline segs 2001:db8:5::1 {via}"))?;
        let _web = Server::tcp(&lab.right, 443)?;
        lab.left.enter(|| {
            actors::fetch(LEFT, SocketAddr::from((ENCAPSULATED, 443)), 3_000)?;
            actors::ping(LEFT, ENCAPSULATED, 56, 2, true)?;
            actors::fetch(LEFT, SocketAddr::from((INSERTED, 443)), 3_000)?;
            actors::ping(LEFT, INSERTED, 56, 2, true)
        })
    })
}

/// IPv6 in IPv6 and IPv4 in IPv6 without anything between (RFC 2473), made by segment routing with a single segment
/// (RFC 8986, section 5.2): this kernel has no `ip6tnl`.
pub(crate) fn plain() -> Result<Recording> {
    prepared("g1", "", allow_segments, |lab| {
        let red = "encap seg6 mode encap.red segs";
        lab.left
            .ip(&format!("-6 route add 2001:db8:2:b::/64 {red} 2001:db8:2:5::6 via 2001:db8:1::1 dev l0"))?;
        lab.right
            .ip(&format!("-6 route add 2001:db8:1::10/128 {red} 2001:db8:1:5::6 via 2001:db8:2::1 dev r0"))?;
        lab.left.ip(&format!("-4 route add 198.51.100.0/24 {red} 2001:db8:2:5::4 dev l0"))?;
        let _web = Server::tcp(&lab.right, 443)?;
        lab.left.enter(|| {
            actors::fetch(LEFT, SocketAddr::from((ENCAPSULATED, 443)), 3_000)?;
            actors::ping(LEFT, ENCAPSULATED, 56, 2, true)?;
            let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            for _ in 0..3 {
                socket.send_to(b"IPv4 inside", (Ipv4Addr::new(198, 51, 100, 7), 5_300))?;
            }
            pause(Duration::from_millis(200))
        })
    })
}

/// Ethernet in IPv6 (next header 143, RFC 8986, section 4.9), put around what the gate forwards to the right.
pub(crate) fn ethernet() -> Result<Recording> {
    prepared("g1", "", allow_segments, |lab| {
        lab.gate.ip("-6 route add 2001:db8:2:b::/64 encap seg6 mode l2encap segs 2001:db8:2:5::2 \
             via 2001:db8:2::10 dev g1")?;
        lab.left.enter(|| actors::ping(LEFT, ENCAPSULATED, 56, 3, false))?;
        pause(Duration::from_millis(200))
    })
}

/// A conversation over VXLAN (RFC 7348) whose own packets travel over IPv6 or IPv4.
pub(crate) fn vxlan(
    local_left: &'static str,
    local_right: &'static str,
    options: &'static str,
) -> Result<Recording> {
    let inner_right = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 2);
    let prepare = |lab: &Lab| {
        for (host, local, remote, inner) in [
            (&lab.left, local_left, local_right, "2001:db8:77::1/64"),
            (&lab.right, local_right, local_left, "2001:db8:77::2/64"),
        ] {
            host.ip(&format!(
                "link add v0 type vxlan id 42 local {local} remote {remote} dstport 4789 {options}"
            ))?;
            host.up("v0", &[inner])?;
        }
        Ok(())
    };
    prepared("g1", "", prepare, |lab| {
        let _web = Server::tcp(&lab.right, 443)?;
        lab.left.enter(move || {
            actors::ping(ANY, inner_right, 56, 2, true)?;
            actors::fetch(ANY, SocketAddr::from((inner_right, 443)), 3_000)
        })
    })
}
