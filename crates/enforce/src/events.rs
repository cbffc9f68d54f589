//! Packets that did not pass, as a sample of them is told.

use aya::maps::{MapData, RingBuf};

use credence_credit::Measure;

use crate::abi::Reason;

/// A packet that did not pass, or in a dry run would not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds since the machine started.
    pub boot_ns: u64,
    /// The source's address.
    pub source: u128,
    /// The destination's address.
    pub destination: u128,
    /// Number of the record that ruled, in the set of records that was in force; none where none did.
    pub record: Option<u32>,
    /// The upper-layer protocol.
    pub protocol: u8,
    /// What happened to it.
    pub measure: Measure,
    /// Why it did not pass.
    pub reason: Reason,
    /// Bytes of the frame.
    pub bytes: u32,
}

/// Bytes of the structure `event`.
const EVENT_BYTES: usize = 56;

impl Event {
    /// From the bytes that the program wrote; none where they are not its.
    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; EVENT_BYTES] = bytes.try_into().ok()?;
        let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
        let half = |at: usize| u32::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
        let quarter = |at: usize| u16::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
        let address = |at: usize| u128::from(word(at)) << 64 | u128::from(word(at + 8));
        Some(Self {
            boot_ns: word(0),
            source: address(8),
            destination: address(24),
            record: Some(half(40)).filter(|&record| record != credence_prefix::NO_MATCH),
            protocol: quarter(44) as u8,
            measure: *Measure::ALL.get(usize::from(quarter(46)))?,
            reason: *Reason::ALL.get(half(48) as usize)?,
            bytes: half(52),
        })
    }
}

/// The sample of packets that did not pass, in their order on each processor. What nobody reads in time is not told.
pub struct Events(RingBuf<MapData>);

impl Events {
    pub(crate) const fn new(ring: RingBuf<MapData>) -> Self {
        Self(ring)
    }

    /// The next packet, if there is one. Never waits.
    pub fn take(&mut self) -> Option<Event> {
        loop {
            let item = self.0.next()?;
            if let Some(event) = Event::read(&item) {
                return Some(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        for word in [7_u64, 1, 2, 3, 4] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(9_u32.to_ne_bytes());
        bytes.extend([17_u16.to_ne_bytes(), (Measure::Drop as u16).to_ne_bytes()].concat());
        bytes.extend([(Reason::Listed as u32).to_ne_bytes(), 60_u32.to_ne_bytes()].concat());
        let event = Event::read(&bytes).unwrap();
        assert_eq!((event.boot_ns, event.source, event.destination), (7, 1 << 64 | 2, 3 << 64 | 4));
        assert_eq!((event.record, event.protocol, event.bytes), (Some(9), 17, 60));
        assert_eq!((event.measure, event.reason), (Measure::Drop, Reason::Listed));
        assert_eq!(Event::read(&bytes[1..]), None);
        bytes[48] = 200;
        assert_eq!(Event::read(&bytes), None);
    }
}
