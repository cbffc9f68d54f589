//! TCP, UDP and UDP-Lite between two hosts.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};

use super::super::actors::{self, Server, UDP_LITE};
use super::super::frames::Recording;
use super::{ANY, LEFT, RIGHT, prepared, recorded, right};
use crate::process::pause;
use crate::sys;

/// A prefix behind the right host that it drops without a word.
const SILENT: &str = "2001:db8:2:dead::/64";

/// A prefix behind the right host of which it holds every address.
const FULL: &str = "2001:db8:2:a::/64";

const SILENT_HOST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0xdead, 0, 0, 0, 1);

/// Conversations both ways, a refused connection, and one that is never answered.
pub(crate) fn tcp() -> Result<Recording> {
    recorded("g1", "", |lab| {
        let _right = Server::tcp(&lab.right, 443)?;
        let _left = Server::tcp(&lab.left, 8_443)?;
        lab.right.ip(&format!("-6 route add blackhole {SILENT}"))?;
        lab.left.enter(|| actors::fetch(LEFT, right(443), 20_000))?;
        lab.left.enter(|| actors::fetch(LEFT, right(443), 10))?;
        lab.right.enter(|| actors::fetch(RIGHT, SocketAddr::from((LEFT, 8_443)), 3_000))?;
        let refused = lab.left.enter(|| Ok(actors::fetch(LEFT, right(81), 1).is_err()))?;
        ensure!(refused, "port 81 is closed");
        let silent = SocketAddr::from((SILENT_HOST, 443));
        lab.left.enter(move || {
            let answer = actors::connect(LEFT, silent, Duration::from_millis(3_500));
            ensure!(answer.is_err(), "a blackhole does not answer");
            Ok(())
        })
    })
}

/// One host knocks at 200 ports of another, then at one port of 150 hosts, half of which answer.
pub(crate) fn scan() -> Result<Recording> {
    recorded("g1", "", |lab| {
        let _open = Server::tcp(&lab.right, 443)?;
        lab.right.ip(&format!("-6 route add blackhole {SILENT}"))?;
        lab.right.ip(&format!("-6 route add local {FULL} dev lo"))?;
        lab.left.enter(|| {
            for port in (300..500).chain([22, 80, 8_080]) {
                actors::knock(LEFT, right(port))?;
                pause(Duration::from_millis(2))?;
            }
            for host in 0..150u16 {
                let net = if host % 2 == 0 { 0xa } else { 0xdead };
                let target = Ipv6Addr::new(0x2001, 0xdb8, 2, net, 0, 0, 0, host + 1);
                actors::knock(LEFT, SocketAddr::from((target, 22)))?;
                pause(Duration::from_millis(2))?;
            }
            Ok(())
        })
    })
}

/// Datagrams that are answered, and some that are fragmented because of their size, both ways.
pub(crate) fn fragments() -> Result<Recording> {
    recorded("g1", "", |lab| {
        let _echo = Server::datagrams(&lab.right, 0, right(5_300), |request| vec![request.to_vec()])?;
        lab.left.enter(|| {
            let socket = actors::datagrams(0, LEFT, right(5_300))?;
            for len in [100, 1_452, 1_453, 5_000, 9_000] {
                actors::exchange(&socket, &vec![b'u'; len], 1)?;
            }
            actors::ping(LEFT, RIGHT, 4_000, 3, true)
        })
    })
}

/// UDP-Lite (RFC 3828) both ways.
pub(crate) fn udp_lite() -> Result<Recording> {
    recorded("g1", "", |lab| {
        let _echo = Server::datagrams(&lab.right, UDP_LITE, right(5_301), |request| vec![request.to_vec()])?;
        lab.left.enter(|| {
            let socket = actors::datagrams(UDP_LITE, LEFT, right(5_301))?;
            (0..4).try_for_each(|_| actors::exchange(&socket, b"partial checksums", 1))
        })
    })
}

/// One header with padding and an option of type 0x1e, which RFC 4727 leaves for experiments and whose first bits
/// ask to skip it when unknown.
const OPTIONS: [u8; 16] = [0, 1, 0x1e, 6, 1, 2, 3, 4, 5, 6, 1, 4, 0, 0, 0, 0];

/// Sockets told to send hop-by-hop options, destination options and both (RFC 3542), on UDP and on TCP.
pub(crate) fn sticky_options() -> Result<Recording> {
    recorded("g1", "", |lab| {
        let _echo = Server::datagrams(&lab.right, 0, right(5_300), |request| vec![request.to_vec()])?;
        let _web = Server::tcp(&lab.right, 443)?;
        lab.left.enter(|| {
            for options in
                [&[libc::IPV6_DSTOPTS][..], &[libc::IPV6_HOPOPTS], &[libc::IPV6_HOPOPTS, libc::IPV6_DSTOPTS]]
            {
                let socket = actors::datagrams(0, LEFT, right(5_300))?;
                for &option in options {
                    sys::set_ipv6_option(&socket, option, &OPTIONS)?;
                }
                actors::exchange(&socket, b"with options", 1)?;
                actors::exchange(&socket, &[b'f'; 3_000], 1)?;
                let mut stream = actors::connect(LEFT, right(443), Duration::from_secs(2))?;
                for &option in options {
                    sys::set_ipv6_option(&stream, option, &OPTIONS)?;
                }
                actors::converse(&mut stream, 3_000)?;
            }
            Ok(())
        })
    })
}

/// The same conversation as the machine itself sees it on every interface at once (`tcpdump -i any`).
pub(crate) fn cooked(link: &str) -> Result<Recording> {
    prepared(
        "any",
        &format!("-y {link}"),
        |_| Ok(()),
        |lab| {
            let _web = Server::tcp(&lab.right, 443)?;
            lab.left.enter(|| {
                actors::fetch(ANY, right(443), 2_000)?;
                actors::ping(ANY, RIGHT, 56, 2, true)
            })
        },
    )
}
