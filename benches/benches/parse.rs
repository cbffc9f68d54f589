//! Parsing alone, beside other crates on the same frames.
//!
//! Ids: `parse/<frame>/<implementation>`. `etherparse` slices strictly, each header checked, which is the nearest to what
//! credence does; `pnet_packet` reads the fixed headers only and walks no extension header, so that it stands beside
//! plain frames alone. `header_bytes` in the name of a frame is what is walked up to the end of the upper-layer header.

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

/// A frame, its name, and the bytes of headers in it.
struct Case {
    name: &'static str,
    frame: Vec<u8>,
    plain: bool,
}

fn cases() -> Vec<Case> {
    let segment = tcp(40_000, 443, 1, 1, 0x10);
    let datagram = [0x9c, 0x40, 0x01, 0xbb, 0, 16, 0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0];
    let fragment = |offset_more: u16| {
        let mut header = vec![17, 0];
        header.extend(offset_more.to_be_bytes());
        header.extend([0, 0, 0, 7]);
        header
    };
    let mut tunnel = ethernet(SRC, DST, 6, &[], &segment)[14..].to_vec();
    let tunnel = ethernet(SRC + 8, DST + 8, 41, &[], &std::mem::take(&mut tunnel));
    let mut vlan = ethernet(SRC, DST, 6, &[], &segment);
    vlan.splice(12..12, [0x88, 0xa8, 0, 1, 0x81, 0, 0, 2]);
    let case = |name, frame, plain| Case { name, frame, plain };
    vec![
        case("tcp", ethernet(SRC, DST, 6, &[], &segment), true),
        case("udp", ethernet(SRC, DST, 17, &[], &datagram), true),
        case("qinq_tcp", vlan, false),
        case("fragment_first", ethernet(SRC, DST, 44, &fragment(1), &datagram), false),
        case("fragment_later", ethernet(SRC, DST, 44, &fragment(8), &datagram), false),
        case("options_1", ethernet(SRC, DST, 60, &destination_options(1, 6), &segment), false),
        case("options_7", ethernet(SRC, DST, 60, &destination_options(7, 6), &segment), false),
        case("options_100", ethernet(SRC, DST, 60, &destination_options(100, 6), &segment), false),
        case("six_in_six", tunnel, false),
    ]
}

fn pnet(frame: &[u8]) -> Option<(u8, u16, u16)> {
    let ethernet = EthernetPacket::new(frame)?;
    let ip = Ipv6Packet::new(ethernet.payload())?;
    let tcp = TcpPacket::new(ip.payload())?;
    Some((ip.get_next_header().0, tcp.get_source(), tcp.get_destination()))
}

fn parsing(c: &mut Criterion) {
    let limits = Limits::default();
    for Case { name, frame, plain } in cases() {
        let mut group = c.benchmark_group(format!("parse/{name}"));
        group.throughput(Throughput::Elements(1));
        let len = u32::try_from(frame.len()).expect("short");
        group.bench_function(BenchmarkId::from_parameter("credence"), |b| {
            b.iter(|| parse(Link::Ethernet, black_box(&frame), len, &limits).is_ok());
        });
        group.bench_function(BenchmarkId::from_parameter("etherparse"), |b| {
            b.iter(|| SlicedPacket::from_ethernet(black_box(&frame)).is_ok());
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
    parsing(&mut criterion);
    criterion.final_summary();
}
