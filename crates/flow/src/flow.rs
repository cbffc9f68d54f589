//! One flow: what every packet touches, and what only events touch.

mod halves;

use credence_wire::Anomalies;

use self::halves::TCP;
pub(crate) use self::halves::{Cold, Hot, State};
use crate::key::FlowKey;
use crate::sighting::Sighting;

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

/// A flow in its table.
pub struct Flow<'a> {
    pub(crate) hot: &'a mut Hot,
    pub(crate) cold: &'a mut Cold,
}

/// What counting one packet showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// An anomaly that the flow had not shown before: it must be scored again.
    pub news: bool,
    /// The counters since the last fold are nearly full: fold now.
    pub full: bool,
}

/// What a scoring came to, and how long it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scoring {
    /// The epoch of the scoring, in the caller's count.
    pub epoch: u32,
    /// The score.
    pub score: u16,
    /// The verdict, a number below 8 that only the caller understands.
    pub verdict: u8,
    /// The record of the credit cache that the scoring rests on, in the caller's numbers.
    pub record: u32,
    /// The Unix second up to which another scoring would come to the same while nothing new is seen of the flow and its
    /// source; 0 when nobody can promise that.
    pub stands_until_s: u32,
}

impl Flow<'_> {
    /// Counts one packet; `harmless` are the anomalies that are shown with a flow and not held against its source. When
    /// the caller does not fold although [`Counted::full`] says so, the flow's record stays exact and what is [`Pending`]
    /// stops growing.
    #[inline]
    pub fn count(&mut self, seen: &Sighting, harmless: Anomalies) -> Counted {
        let hot = &mut *self.hot;
        match hot.packets.checked_add(1) {
            Some(packets) => hot.packets = packets,
            None => self.cold.packets = self.cold.packets.saturating_add(1),
        }
        hot.wire = hot.wire.saturating_add(seen.wire_len);
        match u32::try_from(seen.bytes).ok().filter(|&b| b < HALF).and_then(|b| hot.claimed.checked_add(b)) {
            Some(claimed) => hot.claimed = claimed,
            None => self.cold.bytes = self.cold.bytes.saturating_add(seen.bytes),
        }
        if seen.closes() {
            hot.set(State::CLOSED);
        }
        if seen.is_fragment() {
            self.cold.fragments = self.cold.fragments.saturating_add(1);
        }
        let news = !seen.anomalies.is_empty() && self.add_anomalies(seen.anomalies, harmless);
        let hot = &*self.hot;
        Counted { news, full: hot.packets == u16::MAX || hot.claimed >= HALF || hot.wire >= HALF }
    }

    /// Notes what the flow's first packet asks for: unless the reverse flow was there before it, the flow will be judged
    /// by whether it is answered. To be called once, for the first packet.
    pub fn opens(&mut self, first: &Sighting) {
        if first.asks() && self.cold.marks & Cold::ANSWERS == 0 {
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
        Finished { pending, record: FlowRecord::of(self.hot, self.cold) }
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

    /// The epoch of the last scoring; 0 before the first.
    #[inline]
    pub const fn epoch(&self) -> u32 {
        self.hot.epoch
    }

    /// The verdict of the last scoring, in the caller's numbers.
    #[inline]
    pub const fn verdict(&self) -> u8 {
        self.hot.verdict()
    }

    /// The score of the last scoring.
    pub const fn score(&self) -> u16 {
        self.cold.score
    }

    /// The record number of the credit cache that the last scoring rests on; [`u32::MAX`] before the first.
    pub const fn credit_record(&self) -> u32 {
        self.cold.record
    }

    /// Notes the outcome of a scoring.
    pub fn scored(&mut self, scoring: Scoring) {
        self.hot.epoch = scoring.epoch;
        self.hot.set_verdict(scoring.verdict);
        self.hot.stands_until_s = scoring.stands_until_s;
        self.cold.score = scoring.score;
        self.cold.record = scoring.record;
    }

    /// Whether the last scoring promised to stand for a packet of this time (Unix nanoseconds). A packet that comes in
    /// an earlier second than one before it may lie before a change that the scoring has seen; for that nothing stands.
    #[inline]
    pub const fn stands_at(&self, ts_ns: u64) -> bool {
        let now_s = ts_ns / 1_000_000_000;
        now_s < self.hot.stands_until_s as u64 && now_s == self.hot.last_ns / 1_000_000_000
    }

    /// Lets the last scoring stand in this epoch too.
    #[inline]
    pub const fn stand(&mut self, epoch: u32) {
        self.hot.epoch = epoch;
    }

    /// Whether [`FlowTable::exchange`](crate::FlowTable::exchange) has anything to do for a packet that is not the
    /// flow's first: while the flow is to return a value, and whenever it puts one before its peer.
    #[inline]
    pub fn wants_exchange(&self, seen: &Sighting) -> bool {
        self.hot.awaits_echo() || seen.offers().is_some()
    }

    /// Notes the anomalies of a packet. True when one is new to the flow.
    #[inline(never)]
    fn add_anomalies(&mut self, anomalies: Anomalies, harmless: Anomalies) -> bool {
        let news = anomalies.without(self.cold.anomalies);
        self.cold.anomalies = self.cold.anomalies.union(news);
        if !news.without(harmless).is_empty() {
            self.cold.marks |= Cold::ODD;
        }
        !news.is_empty()
    }
}

/// How old a flow is before it is held against its source that nobody answered, in nanoseconds: longer than nearly all
/// round trips, and than a first retransmission (RFC 6298, section 2.1).
pub const JUDGED_AFTER_NS: u64 = 1_000_000_000;

/// Where 32-bit counters are folded, before they could wrap.
const HALF: u32 = 1 << 31;

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

impl FlowRecord {
    /// The flow of these halves.
    pub(crate) fn of(hot: &Hot, cold: &Cold) -> Self {
        let (first_ns, first_frame) = cold.begun();
        Self {
            key: hot.key(),
            first_ns,
            last_ns: hot.last_ns,
            first_frame,
            packets: cold.packets.saturating_add(u64::from(hot.packets)),
            bytes: cold.bytes.saturating_add(u64::from(hot.claimed)),
            fragments: cold.fragments,
            anomalies: cold.anomalies,
            score: cold.score,
            verdict: hot.verdict(),
            confirmed: hot.is_confirmed(),
            paired: hot.has(State::PAIRED),
        }
    }
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
