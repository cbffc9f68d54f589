//! Fragments: which flow a piece belongs to, and whether pieces overlap.
//!
//! Nothing is reassembled and no payload is kept. A datagram's first fragment tells its ports; later pieces are counted
//! towards the same flow. A piece that overlaps another, other than by being an exact copy, kills the whole datagram
//! (RFC 5722; RFC 8200, section 4.5): every piece that still comes is named for the same offence until the datagram is
//! forgotten.

use core::hash::Hasher;
use core::mem::size_of;

use credence_wire::{Anomalies, Anomaly, Fragment, Header};

use crate::hash::KeyedHash;
use crate::key::FlowKey;

/// How long a datagram is remembered after its first piece (RFC 8200, section 4.5: 60 seconds).
pub const FRAGMENT_TIMEOUT_NS: u64 = 60_000_000_000;
/// Pieces of a datagram that are told apart: a 65,535-byte datagram in pieces of the minimum MTU has 54.
const PIECES: usize = 64;
/// Datagrams of one set; the probe bound.
const WAYS: usize = 8;

/// One datagram in pieces.
#[derive(Clone, Copy)]
struct Datagram {
    src: u128,
    dst: u128,
    id: u32,
    count: u8,
    /// Protocol and ports of the first fragment, when it was seen.
    first: Option<(u8, u16, u16)>,
    /// What killed the datagram.
    dead: Option<Anomaly>,
    /// Time of the first piece seen, 0 for an empty place.
    since_ns: u64,
    pieces: [Piece; PIECES],
}

/// Where a piece lies. Two pieces that differ only in whether more follow are no copies: they disagree about where the
/// datagram ends.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Piece {
    /// Start in bytes, a multiple of 8, and in the lowest bit whether more follow, as on the wire.
    start_more: u16,
    len: u16,
}

impl Piece {
    const NONE: Self = Self { start_more: 0, len: 0 };

    fn of(fragment: Fragment) -> Self {
        Self { start_more: (fragment.offset & !7) | u16::from(fragment.more), len: fragment.len }
    }

    /// The first byte and the byte behind the last.
    fn range(self) -> (u32, u32) {
        let start = u32::from(self.start_more & !7);
        (start, start + u32::from(self.len))
    }

    fn overlaps(self, other: Self) -> bool {
        let ((start, end), (other_start, other_end)) = (self.range(), other.range());
        start < other_end && other_start < end
    }
}

const EMPTY: Datagram = Datagram {
    src: 0,
    dst: 0,
    id: 0,
    count: 0,
    first: None,
    dead: None,
    since_ns: 0,
    pieces: [Piece::NONE; PIECES],
};

/// What came of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Attributed {
    /// What only the datagram as a whole can show.
    pub anomalies: Anomalies,
    /// The piece was counted towards the flow of a first fragment seen earlier.
    pub joined: bool,
}

/// Datagrams in pieces, in fixed memory: the oldest of a set makes room.
pub struct Fragments {
    sets: Box<[[Datagram; WAYS]]>,
    hasher: KeyedHash,
    displaced: u64,
}

impl Fragments {
    /// Room for at least `datagrams` at once.
    pub fn new(datagrams: u32, seed: u64) -> Self {
        let sets = (datagrams as usize).div_ceil(WAYS).max(1);
        Self {
            sets: vec![[EMPTY; WAYS]; sets].into_boxed_slice(),
            hasher: KeyedHash::new(seed),
            displaced: 0,
        }
    }

    /// Counts a piece: sets protocol and ports of `key` from the first fragment when that is known, and tells what is
    /// odd about the datagram. An atomic fragment is processed alone (RFC 6946) and changes nothing here.
    pub fn attribute(&mut self, header: &Header, key: &mut FlowKey, now_ns: u64) -> Attributed {
        let Some(piece) = header.fragment.filter(|f| !f.is_atomic()) else { return Attributed::default() };
        let datagram = self.datagram(header.src, header.dst, piece.id, now_ns);
        let mut attributed = Attributed { anomalies: datagram.add(piece), joined: false };
        if piece.offset == 0 {
            datagram.first.get_or_insert((key.proto, key.sport, key.dport));
        } else if let Some((proto, sport, dport)) = datagram.first {
            (key.proto, key.sport, key.dport) = (proto, sport, dport);
            attributed.joined = true;
        }
        attributed
    }

    /// Forgets all datagrams. What was counted stays counted.
    pub fn clear(&mut self) {
        self.sets.fill([EMPTY; WAYS]);
    }

    /// Datagrams that were forgotten early for want of room.
    pub fn displaced(&self) -> u64 {
        self.displaced
    }

    /// Memory held, in bytes, the same from start to end.
    pub fn bytes(&self) -> usize {
        self.sets.len() * size_of::<[Datagram; WAYS]>()
    }

    fn datagram(&mut self, src: u128, dst: u128, id: u32, now_ns: u64) -> &mut Datagram {
        let mut hasher = self.hasher.hasher();
        hasher.write_u128(src);
        hasher.write_u128(dst);
        hasher.write_u32(id);
        let range = (u128::from(hasher.finish()) * self.sets.len() as u128) >> 64;
        #[expect(clippy::cast_possible_truncation, reason = "less than the number of sets")]
        let set = &mut self.sets[range as usize];
        let known = set.iter().position(|d| d.is(src, dst, id));
        let way = known.unwrap_or_else(|| (0..WAYS).min_by_key(|&w| set[w].since_ns).unwrap_or(0));
        if known.is_none() {
            self.displaced += u64::from(!set[way].is_old(now_ns));
        }
        if known.is_none() || set[way].is_old(now_ns) {
            set[way] = Datagram { src, dst, id, since_ns: now_ns.max(1), ..EMPTY };
        }
        &mut set[way]
    }
}

impl Datagram {
    const fn is(&self, src: u128, dst: u128, id: u32) -> bool {
        self.since_ns != 0 && self.id == id && self.src == src && self.dst == dst
    }

    const fn is_old(&self, now_ns: u64) -> bool {
        self.since_ns == 0 || now_ns > self.since_ns.saturating_add(FRAGMENT_TIMEOUT_NS)
    }

    /// Adds a piece; the anomalies it causes. An exact copy of a piece is tolerated, as RFC 8200 allows, unless the
    /// datagram is dead: then whatever still comes is part of the same offence.
    fn add(&mut self, fragment: Fragment) -> Anomalies {
        if self.dead.is_none() {
            self.dead = self.offence(Piece::of(fragment));
        }
        let mut anomalies = Anomalies::NONE;
        if let Some(cause) = self.dead {
            anomalies.insert(cause);
        }
        anomalies
    }

    /// Notes a piece of a living datagram; why it kills it, if it does.
    fn offence(&mut self, piece: Piece) -> Option<Anomaly> {
        let known = self.pieces.get(..usize::from(self.count)).unwrap_or_default();
        if known.contains(&piece) {
            return None;
        }
        if known.iter().any(|&other| other.overlaps(piece)) {
            return Some(Anomaly::FragmentOverlap);
        }
        let Some(place) = self.pieces.get_mut(usize::from(self.count)) else {
            return Some(Anomaly::FragmentExcess);
        };
        *place = piece;
        self.count += 1;
        None
    }
}

#[cfg(test)]
#[path = "fragment_tests.rs"]
mod tests;
