//! The first stages of the line: from frames to packets whose flows and credit are on their way into the cache.

use credence_capture::Frame;
use credence_flow::{Anomalies, Candidates, FlowKey, FlowTable, Now, Sighting, Slot};
use credence_wire::{Header, Link, NotIpv6, Packet, Tunnels, Unkeyed, parse, plain};

use super::Worker;
use super::judge::Known;
use crate::counters::Own;

/// One packet on its way through the line.
#[derive(Clone, Copy)]
pub(super) struct Item {
    pub(super) key: FlowKey,
    pub(super) candidates: Candidates,
    pub(super) now: Now,
    pub(super) seen: Sighting,
    /// Where its flow seems to lie.
    pub(super) guess: Option<Slot>,
    /// The credit of its source, when its flow seems to need it.
    pub(super) known: Option<Known>,
}

impl Item {
    /// Counts the packet for its flow if that is all there is to do with it; the flow's verdict.
    #[inline]
    pub(super) fn pass(&self, table: &mut FlowTable, epoch: u32) -> Option<u8> {
        table.pass(self.guess?, &self.key, self.now, &self.seen, epoch)
    }
}

impl Worker {
    /// Parses a chunk, keys and hashes its packets, and asks for the lines of the index that list their flows.
    pub(super) fn enter(&mut self, chunk: &[Frame<'_>]) {
        self.chunk.clear();
        for (entered, frame) in chunk.iter().enumerate() {
            self.entered = entered;
            #[cfg(test)]
            super::restart::asked::fail("enter", frame.number);
            match Link::from_linktype(frame.linktype) {
                Some(link) => match plain(link, frame.bytes, frame.wire_len) {
                    Some((header, anomalies)) => self.admit(frame, &header, FlowKey::of(&header), anomalies),
                    None => self.walk(frame, link),
                },
                None => self.counters.count_unkeyed(Unkeyed::NotIpv6(NotIpv6::UnknownLink)),
            }
        }
        self.entered = chunk.len();
    }

    /// Parses a frame that is not plain.
    #[inline(never)]
    fn walk(&mut self, frame: &Frame<'_>, link: Link) {
        // By reference: a packet is too large to be moved for nothing.
        match &parse(link, frame.bytes, frame.wire_len, &self.config.limits) {
            Ok(packet) => self.admit_walked(frame, packet),
            Err(why) => self.counters.count_unkeyed(*why),
        }
    }

    fn admit_walked(&mut self, frame: &Frame<'_>, packet: &Packet) {
        let (header, inner) = self.config.keyed.header(packet);
        let mut key = FlowKey::of(header);
        let mut anomalies = packet.anomalies;
        if header.fragment.is_some() {
            self.counters.fragments.add(1);
            if !inner {
                let attributed = self.fragments.attribute(header, &mut key, frame.ts_ns);
                anomalies = anomalies.union(attributed.anomalies);
            }
        }
        if packet.tunnels != Tunnels::default() {
            self.counters.tunnelled.add(1);
        }
        self.admit(frame, header, key, anomalies);
    }

    /// Lets a packet into the chunk.
    #[inline(always)]
    fn admit(&mut self, frame: &Frame<'_>, header: &Header, key: FlowKey, anomalies: Anomalies) {
        self.clock_ns = self.clock_ns.max(frame.ts_ns);
        if !anomalies.is_empty() {
            count_anomalies(&self.counters, anomalies);
        }
        let candidates = self.table.candidates(&key);
        self.table.prefetch_index(candidates);
        self.chunk.push(Item {
            key,
            candidates,
            now: Now { ts_ns: frame.ts_ns, frame: frame.number },
            seen: Sighting::of(header, anomalies, frame.wire_len),
            guess: None,
            known: None,
        });
    }

    /// Reads the index and asks for the flows.
    pub(super) fn find(&mut self) {
        for item in &mut self.chunk {
            item.guess = self.table.prefetch_flow(item.candidates);
        }
    }

    /// Looks up the sources of new and out-of-date flows among the items from `from` on, in one call, and asks for what new
    /// flows will touch.
    pub(super) fn look_up(&mut self, from: usize) {
        let Self { table, credit, chunk, epoch, .. } = self;
        for item in &mut chunk[from..] {
            let held = item.guess.filter(|&slot| table.holds(slot, &item.key));
            if held.is_none() {
                table.prefetch_peer(item.candidates);
            }
            if held.is_none_or(|slot| credit.is_newer_than(table.flow(slot).epoch(), *epoch)) {
                credit.ask(item.key.src, item.now.ts_ns);
                item.known = Some(Known::ASKED);
            }
        }
        let mut answers = credit.answers();
        for item in chunk[from..].iter_mut().filter(|item| item.known.is_some()) {
            item.known = answers.next();
        }
    }
}

#[cold]
#[inline(never)]
fn count_anomalies(counters: &Own, anomalies: Anomalies) {
    for anomaly in anomalies.iter() {
        counters.anomalies.add(anomaly as usize, 1);
    }
}
