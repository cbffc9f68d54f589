//! The two halves of a flow: what every packet touches, and what only events and folds touch.

use core::mem::size_of;

use credence_wire::Anomalies;

use super::{HALF, Timeouts};
use crate::key::FlowKey;
use crate::sighting::Sighting;
use crate::table::Now;

/// TCP.
pub(crate) const TCP: u8 = 6;

/// Bits of a flow's state. The three bits that are left hold its verdict.
#[derive(Clone, Copy)]
pub(crate) struct State(u8);

impl State {
    /// The reverse flow crosses this gateway as well.
    pub(crate) const PAIRED: Self = Self(1);
    /// The peer has offered a value that only a receiver can return.
    pub(crate) const EXPECTS: Self = Self(1 << 1);
    /// The source has returned that value.
    pub(crate) const CONFIRMED: Self = Self(1 << 2);
    /// FIN or RST was sent.
    pub(crate) const CLOSED: Self = Self(1 << 3);
    /// No flow here; `last_ns` holds the next free one.
    const FREE: Self = Self(1 << 7);
}

/// Where the verdict begins among the bits of the state.
const VERDICT_SHIFT: u32 = 4;
/// The highest number of a verdict.
const VERDICT_MAX: u8 = 0b111;

/// The half of a flow that every packet touches: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Hot {
    src: u128,
    dst: u128,
    /// Time of the latest packet, or the next free flow.
    pub(crate) last_ns: u64,
    /// Claimed bytes since the last fold.
    pub(super) claimed: u32,
    /// Bytes on the wire since the last fold.
    pub(super) wire: u32,
    /// The scoring epoch in which the flow was last scored, or found to need no other score.
    pub(super) epoch: u32,
    /// The Unix second up to which the last scoring stands in later epochs too; 0 when it does not.
    pub(super) stands_until_s: u32,
    /// Packets since the last fold.
    pub(super) packets: u16,
    sport: u16,
    dport: u16,
    pub(super) proto: u8,
    state: u8,
}

const _: () =
    assert!(size_of::<Hot>() == 64 && size_of::<Cold>() == 56, "the arithmetic of the table's memory");

impl Hot {
    /// A place without a flow.
    pub(crate) const FREE: Self = Self {
        src: 0,
        dst: 0,
        last_ns: 0,
        claimed: 0,
        wire: 0,
        epoch: 0,
        stands_until_s: 0,
        packets: 0,
        sport: 0,
        dport: 0,
        proto: 0,
        state: State::FREE.0,
    };

    pub(crate) const fn new(key: &FlowKey, now: Now) -> Self {
        Self {
            src: key.src,
            dst: key.dst,
            sport: key.sport,
            dport: key.dport,
            proto: key.proto,
            last_ns: now.ts_ns,
            state: 0,
            ..Self::FREE
        }
    }

    /// Whether the flow of `key` lies here.
    #[inline]
    pub(crate) const fn is(&self, key: &FlowKey) -> bool {
        // One comparison of everything: a branch for each field costs more than reading the rest of a line that is here.
        let addresses = (self.src ^ key.src) | (self.dst ^ key.dst);
        let ports = (self.sport ^ key.sport) | (self.dport ^ key.dport);
        let rest = (self.proto ^ key.proto) | (self.state & State::FREE.0);
        (addresses as u64 | (addresses >> 64) as u64 | ports as u64 | rest as u64) == 0
    }

    pub(crate) const fn key(&self) -> FlowKey {
        FlowKey { src: self.src, dst: self.dst, proto: self.proto, sport: self.sport, dport: self.dport }
    }

    #[inline]
    pub(crate) const fn has(&self, state: State) -> bool {
        self.state & state.0 != 0
    }

    #[inline]
    pub(crate) const fn set(&mut self, state: State) {
        self.state |= state.0;
    }

    #[inline]
    pub(crate) const fn is_free(&self) -> bool {
        self.has(State::FREE)
    }

    #[inline]
    pub(crate) const fn is_confirmed(&self) -> bool {
        self.has(State::CONFIRMED)
    }

    #[inline]
    pub(crate) const fn awaits_echo(&self) -> bool {
        self.has(State::EXPECTS) && !self.is_confirmed()
    }

    #[inline]
    pub(crate) const fn verdict(&self) -> u8 {
        self.state >> VERDICT_SHIFT & VERDICT_MAX
    }

    pub(super) fn set_verdict(&mut self, verdict: u8) {
        debug_assert!(verdict <= VERDICT_MAX, "three bits hold a verdict");
        self.state = self.state & !(VERDICT_MAX << VERDICT_SHIFT) | (verdict & VERDICT_MAX) << VERDICT_SHIFT;
    }

    /// Counts a packet, if that is all there is to do with it and the counters are far from full; whether it was.
    #[inline]
    pub(crate) const fn passes(&mut self, seen: &Sighting, epoch: u32) -> bool {
        if !seen.is_plain() || self.epoch != epoch || self.awaits_echo() {
            return false;
        }
        let claimed = self.claimed as u64 + seen.bytes;
        let wire = self.wire as u64 + seen.wire_len as u64;
        if (claimed | wire) >= HALF as u64 || self.packets >= u16::MAX - 1 {
            return false;
        }
        self.claimed = claimed as u32;
        self.wire = wire as u32;
        self.packets += 1;
        true
    }

    #[inline]
    pub(crate) fn touch(&mut self, now: Now) {
        self.last_ns = self.last_ns.max(now.ts_ns);
    }

    #[inline]
    pub(crate) const fn is_idle(&self, timeouts: &Timeouts, ts_ns: u64) -> bool {
        let limit = match self.proto {
            TCP if self.has(State::CLOSED) => timeouts.closed_ns,
            TCP if self.is_confirmed() => timeouts.established_ns,
            TCP => timeouts.unanswered_ns,
            _ if self.has(State::PAIRED) => timeouts.paired_ns,
            _ => timeouts.unanswered_ns,
        };
        ts_ns > self.last_ns.saturating_add(limit)
    }

    pub(crate) const fn next_free(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "written by link_free from a u32")]
        let next = self.last_ns as u32;
        next
    }

    pub(crate) fn link_free(&mut self, next: u32) {
        self.last_ns = u64::from(next);
    }
}

/// The half of a flow that only events and folds touch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cold {
    pub(super) first_ns: u64,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) anomalies: Anomalies,
    /// What this flow's source last put before its peer.
    pub(crate) offer: u32,
    /// What this flow's source must return to be confirmed.
    pub(crate) expected: u32,
    pub(super) record: u32,
    pub(super) fragments: u32,
    pub(super) first_frame: u32,
    pub(super) score: u16,
    pub(super) marks: u8,
    pub(crate) offers: bool,
}

impl Cold {
    /// The flow began since the last fold.
    pub(super) const CREATED: u8 = 1;
    /// A packet with a new anomaly came since the last fold.
    pub(super) const ODD: u8 = 1 << 1;
    /// The flow asked for an exchange, and it has not been judged yet whether it got one.
    pub(super) const OPENS: u8 = 1 << 2;
    /// The reverse flow was there when this one began, so that it answers and does not ask.
    pub(super) const ANSWERS: u8 = 1 << 3;

    pub(crate) fn new(now: Now) -> Self {
        let mut cold = Self { marks: Self::CREATED, record: u32::MAX, ..Self::default() };
        cold.begins(now);
        cold
    }

    /// Makes the packet at `now` the flow's first.
    fn begins(&mut self, now: Now) {
        #[expect(clippy::cast_possible_truncation, reason = "the low half breaks ties")]
        let first_frame = now.frame as u32;
        (self.first_ns, self.first_frame) = (now.ts_ns, first_frame);
    }

    /// Time and frame of the flow's first packet.
    pub(crate) const fn begun(&self) -> (u64, u32) {
        (self.first_ns, self.first_frame)
    }

    /// Notes a packet that came late: it may be older than the one that came first.
    pub(crate) fn came_late(&mut self, now: Now) {
        if now.ts_ns < self.first_ns {
            self.begins(now);
        }
    }

    /// Notes that the reverse flow was there first.
    pub(crate) const fn answers(&mut self) {
        self.marks |= Self::ANSWERS;
    }
}
