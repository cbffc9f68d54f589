//! The two halves of a flow: what every packet touches, and what only events and folds touch.

use core::mem::size_of;

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
    /// The lower 32 bits of all bytes that were claimed.
    pub(super) claimed: u32,
    /// The lower 32 bits of all bytes on the wire.
    pub(super) wire: u32,
    /// The scoring epoch in which the flow was last scored, or found to need no other score.
    pub(super) epoch: u32,
    /// The Unix second up to which the last scoring stands in later epochs too; 0 when it does not.
    pub(super) stands_until_s: u32,
    /// The lower 16 bits of the number of packets.
    pub(super) packets: u16,
    sport: u16,
    dport: u16,
    pub(super) proto: u8,
    state: u8,
}

const _: () =
    assert!(size_of::<Hot>() == 64 && size_of::<Cold>() == 24, "the arithmetic of the table's memory");

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
        let Some(wire) = self.wire_with(seen.wire_len) else { return false };
        if claimed > u32::MAX as u64 || self.packets >= u16::MAX - 1 {
            return false;
        }
        (self.claimed, self.wire) = (claimed as u32, wire);
        self.packets += 1;
        true
    }

    /// The bytes on the wire with so many more, unless that leads into the other half of what can be counted. What was
    /// folded last need not be looked at as long as it does not: it lies less than a whole round behind.
    #[inline]
    pub(super) const fn wire_with(&self, wire_len: u32) -> Option<u32> {
        let wire = self.wire.wrapping_add(wire_len);
        if ((self.wire ^ wire) | wire_len) < HALF { Some(wire) } else { None }
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
    first_frame: u32,
    pub(super) record: u32,
    /// [`Hot::wire`] at the last fold.
    folded_wire: u32,
    /// [`Hot::packets`] at the last fold.
    folded_packets: u16,
    /// The last score, and below it the marks.
    score_and_marks: u16,
}

/// Where the score begins above the marks: ten bits hold one of at most 1,000.
const SCORE_SHIFT: u32 = 6;
/// The highest number of a score.
const SCORE_MAX: u16 = u16::MAX >> SCORE_SHIFT;

/// A mark of a flow: something that is or is not.
#[derive(Clone, Copy)]
pub(crate) struct Mark(u16);

impl Mark {
    /// The flow began since the last fold.
    pub(crate) const CREATED: Self = Self(1);
    /// A packet with a new anomaly came since the last fold.
    pub(crate) const ODD: Self = Self(1 << 1);
    /// The flow asked for an exchange, and it has not been judged yet whether it got one.
    pub(crate) const OPENS: Self = Self(1 << 2);
    /// The reverse flow was there when this one began, so that it answers and does not ask.
    pub(crate) const ANSWERS: Self = Self(1 << 3);
    /// The flow has put a value before its peer.
    pub(crate) const OFFERS: Self = Self(1 << 4);
    /// The flow has [`Rare`](super::rare::Rare) things to it.
    pub(crate) const RARE: Self = Self(1 << 5);
}

impl Cold {
    pub(crate) fn new(now: Now) -> Self {
        let mut cold = Self { record: u32::MAX, ..Self::default() };
        cold.mark(Mark::CREATED);
        cold.begins(now);
        cold
    }

    #[inline]
    pub(crate) const fn has(&self, mark: Mark) -> bool {
        self.score_and_marks & mark.0 != 0
    }

    #[inline]
    pub(crate) const fn mark(&mut self, mark: Mark) {
        self.score_and_marks |= mark.0;
    }

    #[inline]
    pub(super) const fn unmark(&mut self, mark: Mark) {
        self.score_and_marks &= !mark.0;
    }

    #[inline]
    pub(super) const fn score(&self) -> u16 {
        self.score_and_marks >> SCORE_SHIFT
    }

    pub(super) fn set_score(&mut self, score: u16) {
        debug_assert!(score <= SCORE_MAX, "ten bits hold a score");
        let marks = self.score_and_marks & !(SCORE_MAX << SCORE_SHIFT);
        self.score_and_marks = score << SCORE_SHIFT | marks;
    }

    /// Bytes on the wire since the last fold.
    #[inline]
    pub(super) const fn pending_wire(&self, hot: &Hot) -> u32 {
        hot.wire.wrapping_sub(self.folded_wire)
    }

    /// Packets and bytes on the wire since the last fold, which is now.
    #[inline]
    pub(super) const fn fold(&mut self, hot: &Hot) -> (u16, u32) {
        let pending = (hot.packets.wrapping_sub(self.folded_packets), self.pending_wire(hot));
        (self.folded_packets, self.folded_wire) = (hot.packets, hot.wire);
        pending
    }

    /// Counts a length on the wire that takes the counter into its other half, or is too large to be true. Whether so much
    /// is pending that the flow is to be folded; what is pending never wraps.
    #[cold]
    pub(super) fn count_wire(&self, hot: &mut Hot, wire_len: u32) -> bool {
        let pending = self.pending_wire(hot).saturating_add(wire_len);
        hot.wire = self.folded_wire.wrapping_add(pending);
        pending >= HALF
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
}
