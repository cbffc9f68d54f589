//! One flow: what every packet touches, and what only events touch.

use core::mem::size_of;

use credence_wire::{Anomalies, Header, TcpFlags, Upper};

use crate::key::FlowKey;
use crate::table::Now;

/// TCP.
const TCP: u8 = 6;

/// How long a flow may be silent before its next packet begins a new one, by state, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A TCP flow whose sender has proved that it receives (RFC 5382 asks middleboxes for two hours; a flow table that
    /// only observes needs to bridge pauses of interactive use).
    pub established_ns: u64,
    /// A TCP flow after FIN or RST.
    pub closed_ns: u64,
    /// A flow of any other protocol with its reverse seen.
    pub paired_ns: u64,
    /// Anything else: a first packet without an answer, a scan, a flood.
    pub unanswered_ns: u64,
}

impl Timeouts {
    /// A silence that no state of a flow makes idle.
    pub(crate) fn shortest(&self) -> u64 {
        self.established_ns.min(self.closed_ns).min(self.paired_ns).min(self.unanswered_ns)
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        const S: u64 = 1_000_000_000;
        Self { established_ns: 300 * S, closed_ns: 15 * S, paired_ns: 60 * S, unanswered_ns: 30 * S }
    }
}

/// Bits of a flow's state.
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

/// The half of a flow that every packet touches: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Hot {
    src: u128,
    dst: u128,
    /// Time of the latest packet, or the next free flow.
    pub(crate) last_ns: u64,
    /// Claimed bytes since the last fold.
    claimed: u32,
    /// Bytes on the wire since the last fold.
    wire: u32,
    /// The scoring epoch in which the flow was last scored.
    epoch: u32,
    /// Packets since the last fold.
    packets: u16,
    sport: u16,
    dport: u16,
    proto: u8,
    state: u8,
    tcp_flags: u8,
    /// The verdict of the last scoring, a number that only the caller understands.
    verdict: u8,
    /// Batch of the latest packet.
    pub(crate) batch: u8,
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
        packets: 0,
        sport: 0,
        dport: 0,
        proto: 0,
        state: State::FREE.0,
        tcp_flags: 0,
        verdict: 0,
        batch: 0,
    };

    pub(crate) const fn new(key: &FlowKey, now: Now) -> Self {
        Self {
            src: key.src,
            dst: key.dst,
            sport: key.sport,
            dport: key.dport,
            proto: key.proto,
            last_ns: now.ts_ns,
            batch: now.batch,
            state: 0,
            ..Self::FREE
        }
    }

    #[inline]
    pub(crate) fn is(&self, key: &FlowKey) -> bool {
        self.src == key.src
            && self.dst == key.dst
            && self.sport == key.sport
            && self.dport == key.dport
            && self.proto == key.proto
    }

    pub(crate) const fn key(&self) -> FlowKey {
        FlowKey { src: self.src, dst: self.dst, proto: self.proto, sport: self.sport, dport: self.dport }
    }

    #[inline]
    pub(crate) const fn has(&self, state: State) -> bool {
        self.state & state.0 != 0
    }

    pub(crate) const fn set(&mut self, state: State) {
        self.state |= state.0;
    }

    pub(crate) const fn is_free(&self) -> bool {
        self.has(State::FREE)
    }

    pub(crate) const fn is_confirmed(&self) -> bool {
        self.has(State::CONFIRMED)
    }

    pub(crate) const fn awaits_echo(&self) -> bool {
        self.has(State::EXPECTS) && !self.is_confirmed()
    }

    #[inline]
    pub(crate) fn touch(&mut self, now: Now) {
        self.last_ns = self.last_ns.max(now.ts_ns);
        self.batch = now.batch;
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
    first_ns: u64,
    packets: u64,
    bytes: u64,
    anomalies: Anomalies,
    /// What this flow's source last put before its peer.
    pub(crate) offer: u32,
    /// What this flow's source must return to be confirmed.
    pub(crate) expected: u32,
    record: u32,
    fragments: u32,
    first_frame: u32,
    score: u16,
    marks: u8,
    pub(crate) offers: bool,
}

impl Cold {
    /// The flow began since the last fold.
    const CREATED: u8 = 1;
    /// A packet with a new anomaly came since the last fold.
    const ODD: u8 = 1 << 1;
    /// The flow asked for an exchange, and it has not been judged yet whether it got one.
    const OPENS: u8 = 1 << 2;
    /// The reverse flow was there when this one began, so that it answers and does not ask.
    const ANSWERS: u8 = 1 << 3;

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

/// A flow in its table.
pub struct Flow<'a> {
    pub(crate) hot: &'a mut Hot,
    pub(crate) cold: &'a mut Cold,
}

/// What is odd about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Odd {
    /// Its anomalies, with those that only flow state can know, such as an overlap of fragments.
    pub anomalies: Anomalies,
    /// Anomalies that are not held against the source of a flow, only shown with the flow.
    pub harmless: Anomalies,
}

/// What counting one packet showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// An anomaly that the flow had not shown before: it must be scored again.
    pub news: bool,
    /// The counters since the last fold are nearly full: fold now.
    pub full: bool,
}

impl Flow<'_> {
    /// Counts one packet: what its headers claim and what the wire carried, in bytes. When the caller does not fold
    /// although [`Counted::full`] says so, the flow's record stays exact and what is [`Pending`] stops growing.
    #[inline]
    pub fn count(&mut self, header: &Header, odd: Odd, wire_len: u32) -> Counted {
        let hot = &mut *self.hot;
        match hot.packets.checked_add(1) {
            Some(packets) => hot.packets = packets,
            None => self.cold.packets = self.cold.packets.saturating_add(1),
        }
        hot.wire = hot.wire.saturating_add(wire_len);
        match u32::try_from(header.bytes).ok().filter(|&b| b < HALF).and_then(|b| hot.claimed.checked_add(b))
        {
            Some(claimed) => hot.claimed = claimed,
            None => self.cold.bytes = self.cold.bytes.saturating_add(header.bytes),
        }
        if let Upper::Tcp { flags, .. } = header.upper {
            if flags.0 & (TcpFlags::FIN | TcpFlags::RST) != 0 {
                hot.set(State::CLOSED);
            }
            hot.tcp_flags |= flags.0;
        }
        if header.fragment.is_some() {
            self.cold.fragments = self.cold.fragments.saturating_add(1);
        }
        let news = !odd.anomalies.is_empty() && self.add_anomalies(odd);
        let hot = &*self.hot;
        Counted { news, full: hot.packets == u16::MAX || hot.claimed >= HALF || hot.wire >= HALF }
    }

    /// Notes that the flow's first packet asks for an exchange, unless the reverse flow was there before it: the flow
    /// will be judged by whether it is answered. To be called once, for the first packet.
    pub fn opens(&mut self, header: &Header) {
        let asks = match header.upper {
            Upper::Tcp { flags, .. } => {
                flags.0 & (TcpFlags::SYN | TcpFlags::ACK | TcpFlags::RST) == TcpFlags::SYN
            }
            Upper::Icmpv6 { kind, .. } => kind == ICMPV6_ECHO_REQUEST,
            Upper::Udp { .. } | Upper::Sctp { .. } | Upper::Dccp { .. } => true,
            Upper::None => false,
        };
        if asks && self.cold.marks & Cold::ANSWERS == 0 {
            self.cold.marks |= Cold::OPENS;
        }
    }

    /// Takes the counters since the last fold. An opening is judged, answered or not, at the first fold at which the
    /// flow is [`JUDGED_AFTER_NS`] old, or when the flow ends; until then it stays and [`awaits_judgement`] is true.
    ///
    /// [`awaits_judgement`]: Self::awaits_judgement
    pub fn fold(&mut self, clock_ns: u64) -> Pending {
        let (hot, cold) = (&mut *self.hot, &mut *self.cold);
        let judged =
            cold.marks & Cold::OPENS != 0 && clock_ns >= cold.first_ns.saturating_add(JUDGED_AFTER_NS);
        let pending = Pending {
            key: hot.key(),
            packets: u32::from(hot.packets),
            wire_bytes: hot.wire,
            created: cold.marks & Cold::CREATED != 0,
            odd: cold.marks & Cold::ODD != 0,
            opening: judged.then(|| match () {
                () if hot.is_confirmed() => Opening::Confirmed,
                () if hot.has(State::PAIRED) && hot.proto == TCP => Opening::Refused,
                () if hot.has(State::PAIRED) => Opening::Answered,
                () => Opening::Unanswered,
            }),
        };
        cold.packets = cold.packets.saturating_add(u64::from(hot.packets));
        cold.bytes = cold.bytes.saturating_add(u64::from(hot.claimed));
        (hot.packets, hot.claimed, hot.wire) = (0, 0, 0);
        cold.marks &= if judged { Cold::ANSWERS } else { Cold::OPENS | Cold::ANSWERS };
        pending
    }

    /// Whether an opening still waits to be judged.
    pub const fn awaits_judgement(&self) -> bool {
        self.cold.marks & Cold::OPENS != 0
    }

    /// Ends the flow at `clock_ns`: its final record, and what had not been folded. An opening too young to be judged by
    /// then never is.
    pub(crate) fn finish(&mut self, clock_ns: u64) -> Finished {
        let pending = self.fold(clock_ns);
        Finished { pending, record: self.record() }
    }

    /// The flow as outputs show it.
    fn record(&self) -> FlowRecord {
        FlowRecord {
            key: self.hot.key(),
            first_ns: self.cold.first_ns,
            last_ns: self.hot.last_ns,
            first_frame: self.cold.first_frame,
            packets: self.cold.packets.saturating_add(u64::from(self.hot.packets)),
            bytes: self.cold.bytes.saturating_add(u64::from(self.hot.claimed)),
            fragments: self.cold.fragments,
            anomalies: self.cold.anomalies,
            score: self.cold.score,
            verdict: self.hot.verdict,
            confirmed: self.hot.is_confirmed(),
            paired: self.hot.has(State::PAIRED),
        }
    }

    /// Whether the slot holds no flow any more.
    pub const fn is_free(&self) -> bool {
        self.hot.is_free()
    }

    /// The flow's key.
    pub const fn key(&self) -> FlowKey {
        self.hot.key()
    }

    /// Whether the source has proved that it receives what is sent to it.
    pub const fn is_confirmed(&self) -> bool {
        self.hot.is_confirmed()
    }

    /// Whether the reverse flow crosses this gateway too.
    pub const fn is_paired(&self) -> bool {
        self.hot.has(State::PAIRED)
    }

    /// Every anomaly the flow has shown.
    pub const fn anomalies(&self) -> Anomalies {
        self.cold.anomalies
    }

    /// Notes the anomalies of a packet. True when one is new to the flow.
    fn add_anomalies(&mut self, odd: Odd) -> bool {
        let news = odd.anomalies.without(self.cold.anomalies);
        self.cold.anomalies = self.cold.anomalies.union(news);
        if !news.without(odd.harmless).is_empty() {
            self.cold.marks |= Cold::ODD;
        }
        !news.is_empty()
    }

    /// The epoch of the last scoring; 0 before the first.
    #[inline]
    pub const fn epoch(&self) -> u32 {
        self.hot.epoch
    }

    /// The verdict of the last scoring, in the caller's numbers.
    #[inline]
    pub const fn verdict(&self) -> u8 {
        self.hot.verdict
    }

    /// The record number of the credit cache that the caller noted.
    pub const fn credit_record(&self) -> u32 {
        self.cold.record
    }

    /// Notes the outcome of a scoring in `epoch`, and the credit record it rests on.
    pub fn scored(&mut self, epoch: u32, score: u16, verdict: u8, credit_record: u32) {
        self.hot.epoch = epoch;
        self.hot.verdict = verdict;
        self.cold.score = score;
        self.cold.record = credit_record;
    }
}

/// Whether [`FlowTable::exchange`](crate::FlowTable::exchange) has anything to do for a packet of this flow: at its
/// first, while it is to return a value, and whenever it puts one before its peer.
#[inline]
pub fn wants_exchange(flow: &Flow<'_>, new: bool, header: &Header) -> bool {
    new || flow.hot.awaits_echo() || header.offers().is_some()
}

/// How old a flow is before it is held against its source that nobody answered, in nanoseconds: longer than nearly all
/// round trips, and than a first retransmission (RFC 6298, section 2.1).
pub const JUDGED_AFTER_NS: u64 = 1_000_000_000;

/// Where 32-bit counters are folded, before they could wrap.
const HALF: u32 = 1 << 31;

/// The ICMPv6 type of an echo request (RFC 4443, section 4.1).
const ICMPV6_ECHO_REQUEST: u8 = 128;

/// How the exchange that a flow opened went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The source proved that it receives the answers.
    Confirmed,
    /// There was an answer, of a protocol whose answers prove nothing.
    Answered,
    /// There was an answer, and the handshake came to nothing: a closed port, or a source that did not go on.
    Refused,
    /// There was none, or its path is not seen here.
    Unanswered,
}

/// What a flow has done since it was last folded into its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The flow.
    pub key: FlowKey,
    /// Packets.
    pub packets: u32,
    /// Bytes on the wire.
    pub wire_bytes: u32,
    /// The flow began.
    pub created: bool,
    /// A new anomaly was seen.
    pub odd: bool,
    /// The opening, if it was judged.
    pub opening: Option<Opening>,
}

/// A flow that ended.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// What had not been folded.
    pub pending: Pending,
    /// The whole flow.
    pub record: FlowRecord,
}

/// A whole flow, as outputs show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRecord {
    /// The key.
    pub key: FlowKey,
    /// Time of the first packet, Unix nanoseconds: of the oldest one, also when it came late.
    pub first_ns: u64,
    /// Time of the latest packet, Unix nanoseconds.
    pub last_ns: u64,
    /// The low 32 bits of that packet's frame number.
    pub first_frame: u32,
    /// Packets.
    pub packets: u64,
    /// Bytes that the headers claim: payload length + 40 each.
    pub bytes: u64,
    /// Packets with a fragment header.
    pub fragments: u32,
    /// Every anomaly seen.
    pub anomalies: Anomalies,
    /// Score at the last packet.
    pub score: u16,
    /// Verdict at the last packet, in the caller's numbers.
    pub verdict: u8,
    /// The source proved that it receives what is sent to it.
    pub confirmed: bool,
    /// The reverse flow was seen.
    pub paired: bool,
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
