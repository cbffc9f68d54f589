use std::collections::{HashMap, HashSet};

use credence_wire::{Anomalies, Header, QuicIds, TcpFlags, Upper};
use proptest::prelude::*;

use super::*;
use crate::flow::FlowRecord;

const S: u64 = 1_000_000_000;
const SYN: u8 = TcpFlags::SYN;
const ACK: u8 = TcpFlags::ACK;
const RST: u8 = TcpFlags::RST;
const FIN: u8 = TcpFlags::FIN;

fn table(capacity: u32, full: FullPolicy, seed: u64) -> FlowTable {
    FlowTable::new(TableConfig { capacity, full, timeouts: Timeouts::default() }, seed)
}

fn now(ts_ns: u64) -> Now {
    Now { ts_ns, frame: 1 }
}

fn key(n: u32) -> FlowKey {
    FlowKey { src: 1 << 64 | u128::from(n), dst: 2 << 64, proto: 6, sport: 40_000, dport: 443 }
}

fn header(key: FlowKey, upper: Upper) -> Header {
    Header {
        src: key.src,
        dst: key.dst,
        bytes: 60,
        flow_label: 0,
        fragment: None,
        proto: key.proto,
        traffic_class: 0,
        hop_limit: 64,
        ext_headers: 0,
        sport: key.sport,
        dport: key.dport,
        upper,
    }
}

fn tcp(key: FlowKey, flags: u8, seq: u32, ack: u32) -> Header {
    header(key, Upper::Tcp { flags: TcpFlags(flags), seq, ack, window: 1000 })
}

/// Places a packet; what ended goes to `ended`.
fn place(table: &mut FlowTable, key: &FlowKey, ts_ns: u64, ended: &mut Vec<FlowRecord>) -> Placed {
    table.place(key, table.candidates(key), now(ts_ns), &mut |f| ended.push(f.record))
}

/// Packets one by one, as an engine handles them.
struct Line {
    table: FlowTable,
    at: u64,
}

impl Line {
    fn new() -> Self {
        Self { table: table(64, FullPolicy::default(), 3), at: S }
    }

    /// The next packet, a millisecond after the last.
    fn send(&mut self, header: &Header) -> &mut Self {
        self.at += S / 1000;
        let key = FlowKey::of(header);
        let placed = place(&mut self.table, &key, self.at, &mut Vec::new());
        let (slot, new) = match placed {
            Placed::New(slot) => (slot, true),
            Placed::Known(slot) => (slot, false),
            other => panic!("{other:?}"),
        };
        handle(&mut self.table, slot, new, header);
        self
    }

    /// Whether the flow is paired, and whether it is confirmed.
    fn state(&mut self, key: FlowKey) -> (bool, bool) {
        let slot = self.table.find(&key).expect("the flow is there");
        let flow = self.table.flow(slot);
        (flow.is_paired(), flow.is_confirmed())
    }
}

fn sighting(header: &Header) -> Sighting {
    Sighting::of(header, Anomalies::NONE, 74)
}

/// What an engine does with a placed packet.
fn handle(table: &mut FlowTable, slot: Slot, new: bool, header: &Header) {
    let seen = sighting(header);
    if new || table.flow(slot).wants_exchange(&seen) {
        table.exchange(slot, &seen);
    }
    if new {
        table.flow(slot).opens(&seen);
    }
    table.flow(slot).count(&seen, Anomalies::NONE);
}

#[path = "table_tests/capacity.rs"]
mod capacity;
#[path = "table_tests/pairs.rs"]
mod pairs;
#[path = "table_tests/twin.rs"]
mod twin;
