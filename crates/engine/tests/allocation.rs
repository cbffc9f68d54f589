//! In steady state the line allocates nothing: not for a packet, not for a flow, not for a batch.
#![allow(missing_docs, reason = "a test")]

use std::sync::Arc;

use credence_capture::Frame;
use credence_credit::Published;
use credence_engine::{LineConfig, Own, Worker};

const START_NS: u64 = 1_780_000_000_000_000_000;

/// A TCP segment from one of 1,000 hosts, every tenth of them in fragments, every seventh with Destination Options.
fn packet(host: u16) -> Vec<u8> {
    let mut tcp = vec![0x9c, 0x40, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0];
    let mut next = 6;
    if host.is_multiple_of(7) {
        tcp.splice(0..0, [6, 0, 1, 4, 0, 0, 0, 0]);
        next = 60;
    }
    if host.is_multiple_of(10) {
        tcp.splice(0..0, [next, 0, 0, 1, 0, 0, 0, 9]);
        next = 44;
    }
    let mut bytes = vec![0x60, 0, 0, 0, 0, tcp.len() as u8, next, 64];
    bytes.extend([0x2a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(host.to_be_bytes());
    bytes.extend([0x2a, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    bytes.extend(tcp);
    bytes
}

/// Runs `rounds` rounds of all hosts, each in batches of 100 frames.
fn run(worker: &mut Worker, packets: &[Vec<u8>], rounds: std::ops::Range<u64>) {
    for round in rounds {
        for (batch, bytes) in packets.chunks(100).enumerate() {
            let number = round * packets.len() as u64 + batch as u64 * 100;
            let frames: [Frame<'_>; 100] = std::array::from_fn(|i| Frame {
                number: number + i as u64,
                ts_ns: START_NS + (number + i as u64) * 1_000,
                wire_len: bytes[i].len() as u32,
                linktype: 101,
                bytes: &bytes[i],
            });
            worker.process(&frames);
        }
    }
}

#[test]
fn a_packet_of_a_known_flow_allocates_nothing() {
    let packets: Vec<_> = (0..1_000).map(packet).collect();
    let config = LineConfig { flows: 4_096, ..LineConfig::default() };
    let own = Arc::new(Own::default());
    let mut worker = Worker::new(Arc::new(config), Published::default().reader(), Arc::clone(&own));
    run(&mut worker, &packets, 0..2);
    let counted = allocation_counter::measure(|| run(&mut worker, &packets, 2..50));
    assert_eq!(own.scored.value(), 50_000);
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
}

#[test]
fn a_new_flow_allocates_nothing_either() {
    let packets: Vec<_> = (0..1_000).map(packet).collect();
    let config = LineConfig { flows: 4_096, ..LineConfig::default() };
    let mut worker = Worker::new(Arc::new(config), Published::default().reader(), Arc::new(Own::default()));
    let counted = allocation_counter::measure(|| run(&mut worker, &packets, 0..1));
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
}
