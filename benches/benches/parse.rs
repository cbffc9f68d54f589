//! Parsing alone, beside other crates on the same frames.
//!
//! Ids: `parse/<frame>/<implementation>`. `etherparse` slices strictly, each header checked, which is the nearest to what
//! credence does; `pnet_packet` reads the fixed headers only and walks no extension header, so that it stands beside
//! plain frames alone. Each result is looked at whole, or the compiler would leave out what nobody asks for.
//!
//! The run begins with the bytes of headers that credence walks in each frame, up to the end of the upper-layer header:
//! a frame may take longer than a plain one, but not much longer for each such byte.

use core::hint::black_box;

use credence_benches::criterion;
use credence_benches::frames::{destination_options, ethernet, tcp};
use credence_wire::{Limits, Link, parse};
use criterion::{BenchmarkId, Criterion, Throughput};
use etherparse::SlicedPacket;
use pnet_packet::Packet as _;
use pnet_packet::ethernet::EthernetPacket;
use pnet_packet::ipv6::Ipv6Packet;
use pnet_packet::tcp::TcpPacket;

const SRC: u128 = 0x2001_0db8 << 96 | 1;
const DST: u128 = 0x2001_0db8 << 96 | 2;
const ETHERNET_LEN: usize = 14;
const NO_NEXT_HEADER: u8 = 59;
const ACK: u8 = 0x10;

/// A frame, and the bytes of headers in it.
struct Case {
    name: &'static str,
    frame: Vec<u8>,
    header_bytes: usize,
    plain: bool,
}

/// A frame that is nothing but headers.
fn headers(name: &'static str, frame: Vec<u8>) -> Case {
    Case { name, header_bytes: frame.len(), frame, plain: false }
}

/// A frame that ends with bytes which are not walked.
fn with_data(name: &'static str, header_bytes: usize, frame: Vec<u8>) -> Case {
    assert!(header_bytes <= frame.len(), "{name} has so many bytes");
    Case { name, frame, header_bytes, plain: false }
}

/// The packet in a frame of [`ethernet`].
fn packet(src: u128, dst: u128, next: u8, chain: &[u8], upper: &[u8]) -> Vec<u8> {
    ethernet(src, dst, next, chain, upper).split_off(ETHERNET_LEN)
}

/// An Ethernet frame of this type, with whatever stands before the packet.
fn typed(kind: u16, before: &[u8], packet: &[u8]) -> Vec<u8> {
    let mut frame = ethernet(SRC, DST, NO_NEXT_HEADER, &[], &[]);
    frame.truncate(ETHERNET_LEN - 2);
    frame.extend(kind.to_be_bytes());
    frame.extend(before);
    frame.extend(packet);
    frame
}

fn udp(sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).expect("a short datagram");
    let mut datagram: Vec<u8> = [sport, dport, len, 0x1234].into_iter().flat_map(u16::to_be_bytes).collect();
    datagram.extend(payload);
    datagram
}

/// An IPv4 header without options and what it carries.
fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + payload.len()).expect("a short packet").to_be_bytes();
    let mut packet = vec![0x45, 0, len[0], len[1], 0, 1, 0, 0, 64, protocol, 0, 0];
    packet.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend(payload);
    packet
}

fn cases() -> Vec<Case> {
    [plain(), chains(), links(), tunnels(), upper_layers()].into_iter().flatten().collect()
}

fn plain() -> Vec<Case> {
    let segment = tcp(40_000, 443, 1, 1, ACK);
    vec![
        Case { plain: true, ..headers("tcp", ethernet(SRC, DST, 6, &[], &segment)) },
        Case { plain: true, ..with_data("udp", 62, ethernet(SRC, DST, 17, &[], &udp(40_000, 443, &[0; 8]))) },
    ]
}

/// Extension headers (RFC 8200, section 4; RFC 8754; RFC 4302).
fn chains() -> Vec<Case> {
    let segment = tcp(40_000, 443, 1, 1, ACK);
    let datagram = udp(40_000, 443, &[0; 8]);
    let fragment = |offset_more: u8| [17, 0, 0, offset_more, 0, 0, 0, 7];
    let mut routing = vec![6, 4, 4, 1, 1, 0, 0, 0];
    routing.extend([DST + 1, DST].into_iter().flat_map(u128::to_be_bytes));
    let mut authentication = vec![6, 4, 0, 0];
    authentication.resize(24, 0xaa);
    let options = |len| ethernet(SRC, DST, 60, &destination_options(len, 6), &segment);
    // The walk stops behind the eighth header.
    let walked = ETHERNET_LEN + 40 + 8 * 8;
    vec![
        headers("options_1", options(1)),
        headers("options_7", options(7)),
        headers("options_8", options(8)),
        with_data("options_64", walked, options(64)),
        with_data("options_100", walked, options(100)),
        with_data("fragment_first", 70, ethernet(SRC, DST, 44, &fragment(1), &datagram)),
        with_data("fragment_later", 62, ethernet(SRC, DST, 44, &fragment(8), &datagram)),
        headers("routing_srv6", ethernet(SRC, DST, 43, &routing, &segment)),
        headers("authentication", ethernet(SRC, DST, 51, &authentication, &segment)),
    ]
}

fn links() -> Vec<Case> {
    let inner = packet(SRC, DST, 6, &[], &tcp(40_000, 443, 1, 1, ACK));
    let ppp_len = u8::try_from(inner.len() + 2).expect("a short packet");
    vec![
        headers("qinq_tcp", typed(0x88a8, &[0, 1, 0x81, 0, 0, 2, 0x86, 0xdd], &inner)),
        headers("mpls_tcp", typed(0x8847, &[0, 1, 0, 64, 0, 1, 1, 64], &inner)),
        headers("pppoe_tcp", typed(0x8864, &[0x11, 0, 0, 7, 0, ppp_len, 0, 0x57], &inner)),
    ]
}

fn tunnels() -> Vec<Case> {
    let inner = packet(SRC + 8, DST + 8, 6, &[], &tcp(40_000, 443, 1, 1, ACK));
    let gre = [&[0, 0, 0x86, 0xdd][..], &inner].concat();
    let vxlan = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &typed(0x86dd, &[], &inner)].concat();
    vec![
        headers("six_in_six", ethernet(SRC, DST, 41, &[], &inner)),
        headers("six_in_four", typed(0x0800, &[], &ipv4(41, &inner))),
        headers("gre", ethernet(SRC, DST, 47, &[], &gre)),
        headers("vxlan", ethernet(SRC, DST, 17, &[], &udp(50_000, 4789, &vxlan))),
    ]
}

fn upper_layers() -> Vec<Case> {
    let quoted = packet(DST, SRC, 6, &[], &tcp(443, 40_000, 1, 1, ACK));
    let error = [&[1, 4, 0x12, 0x34, 0, 0, 0, 0][..], &quoted].concat();
    // A long header of QUIC version 1 up to its two connection ids (RFC 9000, section 17.2).
    let quic = [0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 7, 6, 5, 4, 3, 2, 1];
    vec![
        headers("icmpv6_echo", ethernet(SRC, DST, 58, &[], &[128, 0, 0x12, 0x34, 0, 1, 0, 1])),
        headers("icmpv6_error", ethernet(SRC, DST, 58, &[], &error)),
        headers("udp_quic", ethernet(SRC, DST, 17, &[], &udp(50_000, 443, &quic))),
    ]
}

fn pnet(frame: &[u8]) -> Option<(u8, u16, u16)> {
    let ethernet = EthernetPacket::new(frame)?;
    let ip = Ipv6Packet::new(ethernet.payload())?;
    let tcp = TcpPacket::new(ip.payload())?;
    Some((ip.get_next_header().0, tcp.get_source(), tcp.get_destination()))
}

fn parsing(c: &mut Criterion, cases: Vec<Case>) {
    let limits = Limits::default();
    for Case { name, frame, plain, .. } in cases {
        let mut group = c.benchmark_group(format!("parse/{name}"));
        group.throughput(Throughput::Elements(1));
        let len = u32::try_from(frame.len()).expect("short");
        group.bench_function(BenchmarkId::from_parameter("credence"), |b| {
            b.iter(|| {
                black_box(&parse(Link::Ethernet, black_box(&frame), len, &limits));
            });
        });
        group.bench_function(BenchmarkId::from_parameter("etherparse"), |b| {
            b.iter(|| {
                black_box(&SlicedPacket::from_ethernet(black_box(&frame)));
            });
        });
        if plain {
            group.bench_function(BenchmarkId::from_parameter("pnet_packet"), |b| {
                b.iter(|| pnet(black_box(&frame)));
            });
        }
        group.finish();
    }
}

fn main() {
    let mut criterion = criterion();
    let cases = cases();
    for Case { name, header_bytes, .. } in &cases {
        println!("parse/{name}: {header_bytes} header bytes");
    }
    parsing(&mut criterion, cases);
    criterion.final_summary();
}
