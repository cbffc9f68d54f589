//! One flow: what every packet touches, what only events touch, and what only few flows have.

mod halves;
mod rare;

use credence_wire::Anomalies;

use self::halves::TCP;
pub(crate) use self::halves::{Cold, Hot, Mark, State};
pub(crate) use self::rare::{Rare, Rares};
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
    pub(crate) rares: &'a mut Rares,
    pub(crate) place: usize,
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
    /// Counts one packet; `harmless` are the anomalies that are shown with a flow and not held against its source. Whoever
    /// does not fold although [`Counted::full`] says so finds the flow's record exact and too little [`Pending`].
    #[inline]
    pub fn count(&mut self, seen: &Sighting, harmless: Anomalies) -> Counted {
        // Kept for below: there it would be read back together with what lies beside it, four bytes after two were written,
        // and a core waits for such a read.
        let packets = self.hot.packets.wrapping_add(1);
        self.hot.packets = packets;
        if packets == 0 {
            self.rare(|rare| rare.packets_above = rare.packets_above.saturating_add(1));
        }
        match u32::try_from(seen.bytes).ok().and_then(|bytes| self.hot.claimed.checked_add(bytes)) {
            Some(claimed) => self.hot.claimed = claimed,
            None => self.claim(seen.bytes),
        }
        let filled = match self.hot.wire_with(seen.wire_len) {
            Some(wire) => {
                self.hot.wire = wire;
                false
            }
            None => self.cold.count_wire(self.hot, seen.wire_len),
        };
        if seen.closes() {
            self.hot.set(State::CLOSED);
        }
        if seen.is_fragment() {
            self.rare(|rare| rare.fragments = rare.fragments.saturating_add(1));
        }
        let news = !seen.anomalies.is_empty() && self.add_anomalies(seen.anomalies, harmless);
        // Two packets apart, so that never as many are pending as 16 bits cannot tell from none.
        let rounded = matches!(packets, 0 | u16::MAX);
        Counted { news, full: filled || rounded }
    }

    /// Notes what the flow's first packet asks for: unless the reverse flow was there before it, the flow will be judged
    /// by whether it is answered. To be called once, for the first packet.
    pub fn opens(&mut self, first: &Sighting) {
        if first.asks() && !self.cold.has(Mark::ANSWERS) {
            self.cold.mark(Mark::OPENS);
        }
    }

    /// Takes the counters since the last fold. An opening is judged, answered or not, at the first fold at which the
    /// flow is [`JUDGED_AFTER_NS`] old, or when the flow ends; until then it stays and [`awaits_judgement`] is true.
    ///
    /// [`awaits_judgement`]: Self::awaits_judgement
    pub fn fold(&mut self, clock_ns: u64) -> Pending {
        let (hot, cold) = (&*self.hot, &mut *self.cold);
        let judged = cold.has(Mark::OPENS) && clock_ns >= cold.first_ns.saturating_add(JUDGED_AFTER_NS);
        let (packets, wire_bytes) = cold.fold(hot);
        let pending = Pending {
            key: hot.key(),
            packets: u32::from(packets),
            wire_bytes,
            created: cold.has(Mark::CREATED),
            odd: cold.has(Mark::ODD),
            opening: judged.then(|| match () {
                () if hot.is_confirmed() => Opening::Confirmed,
                () if hot.has(State::PAIRED) && hot.proto == TCP => Opening::Refused,
                () if hot.has(State::PAIRED) => Opening::Answered,
                () => Opening::Unanswered,
            }),
        };
        cold.unmark(Mark::CREATED);
        cold.unmark(Mark::ODD);
        if judged {
            cold.unmark(Mark::OPENS);
        }
        pending
    }

    /// Whether an opening still waits to be judged.
    pub const fn awaits_judgement(&self) -> bool {
        self.cold.has(Mark::OPENS)
    }

    /// Ends the flow at `clock_ns`: its final record, and what had not been folded. An opening too young to be judged by
    /// then never is.
    pub(crate) fn finish(&mut self, clock_ns: u64) -> Finished {
        let pending = self.fold(clock_ns);
        Finished {
            pending,
            record: FlowRecord::of(self.hot, self.cold, &self.rares.of(self.place, self.cold)),
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
    #[inline]
    pub fn anomalies(&self) -> Anomalies {
        self.rares.of(self.place, self.cold).anomalies
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
        self.cold.score()
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
        self.cold.set_score(scoring.score);
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
        let news = self.rare(|rare| {
            let news = anomalies.without(rare.anomalies);
            rare.anomalies = rare.anomalies.union(news);
            news
        });
        if !news.without(harmless).is_empty() {
            self.cold.mark(Mark::ODD);
        }
        !news.is_empty()
    }

    /// Adds a claim that 32 bits do not hold with those before it.
    #[cold]
    fn claim(&mut self, bytes: u64) {
        let claimed = self.hot.claimed;
        self.hot.claimed = self.rare(|rare| {
            let sum = (u64::from(rare.claimed_above) << 32 | u64::from(claimed)).saturating_add(bytes);
            rare.claimed_above = (sum >> 32) as u32;
            sum as u32
        });
    }

    fn rare<T>(&mut self, change: impl FnOnce(&mut Rare) -> T) -> T {
        self.rares.change(self.place, self.cold, change)
    }
}

/// How old a flow is before it is held against its source that nobody answered, in nanoseconds: longer than nearly all
/// round trips, and than a first retransmission (RFC 6298, section 2.1).
pub const JUDGED_AFTER_NS: u64 = 1_000_000_000;

/// Half of what a 32-bit counter can say. As many bytes on the wire are folded, before they could be as many as none.
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
    /// The flow of these halves, with what is rare about it.
    pub(crate) fn of(hot: &Hot, cold: &Cold, rare: &Rare) -> Self {
        let (first_ns, first_frame) = cold.begun();
        Self {
            key: hot.key(),
            first_ns,
            last_ns: hot.last_ns,
            first_frame,
            packets: u64::from(rare.packets_above) << 16 | u64::from(hot.packets),
            bytes: u64::from(rare.claimed_above) << 32 | u64::from(hot.claimed),
            fragments: rare.fragments,
            anomalies: rare.anomalies,
            score: cold.score(),
            verdict: hot.verdict(),
            confirmed: hot.is_confirmed(),
            paired: hot.has(State::PAIRED),
        }
    }
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
