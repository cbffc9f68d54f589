//! What the rules count: packets and bytes by what happened to them and why, under the names of the metrics page.

use std::io;

use credence_credit::Measure;

use super::netlink::{self, Attributes, Kind, attribute, text};
use crate::abi::Reason;
use crate::counts::Count;

/// Everything that a packet can meet, by measure and reason.
pub(crate) const COUNTED: [(Measure, Reason); 14] = [
    (Measure::None, Reason::Neighbour),
    (Measure::None, Reason::Spared),
    (Measure::None, Reason::Heard),
    (Measure::None, Reason::WithinRate),
    (Measure::None, Reason::Unlisted),
    (Measure::Incentive, Reason::Incentive),
    (Measure::Mark, Reason::Behaviour),
    (Measure::RateLimit, Reason::Behaviour),
    (Measure::Incentive, Reason::Listed),
    (Measure::None, Reason::Listed),
    (Measure::Observe, Reason::Listed),
    (Measure::Mark, Reason::Listed),
    (Measure::RateLimit, Reason::Listed),
    (Measure::Drop, Reason::Listed),
];

/// The name of a counter.
pub(crate) fn counter(measure: Measure, reason: Reason) -> String {
    format!("{}/{}", measure.name(), reason.name())
}

/// What a counter of that name counts.
fn counted(name: &str) -> Option<(Measure, Reason)> {
    COUNTED.into_iter().find(|(measure, reason)| counter(*measure, *reason) == name)
}

// Attributes of objects and of counters.
const OBJECT_TABLE: u16 = 1;
const OBJECT_NAME: u16 = 2;
const OBJECT_TYPE: u16 = 3;
const OBJECT_DATA: u16 = 4;
const COUNTER: u32 = 1;
const COUNTER_BYTES: u16 = 1;
const COUNTER_PACKETS: u16 = 2;

/// The counters of a table, in the order of [`COUNTED`].
///
/// # Errors
/// When the kernel does not give them.
pub(crate) fn read(table: &str) -> io::Result<[Count; COUNTED.len()]> {
    let mut counts = [Count::default(); COUNTED.len()];
    let ask = |question: &mut Attributes<'_>| {
        question.text(OBJECT_TABLE, table);
        question.bytes(OBJECT_TYPE, &COUNTER.to_be_bytes());
    };
    netlink::list(Kind::ListObjects, ask, |object| {
        let name = attribute(object, OBJECT_NAME).and_then(text).and_then(counted);
        let place = COUNTED.iter().position(|each| Some(*each) == name);
        if let (Some(place), Some(data)) = (place, attribute(object, OBJECT_DATA)) {
            let number = |kind| attribute(data, kind).and_then(|bytes| bytes.try_into().ok());
            let number = |kind| number(kind).map_or(0, u64::from_be_bytes);
            counts[place] = Count { packets: number(COUNTER_PACKETS), bytes: number(COUNTER_BYTES) };
        }
    })?;
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_counted_can_happen_and_is_known_by_its_name() {
        for (measure, reason) in COUNTED {
            assert!(reason.measures().contains(&measure), "{measure} {reason:?}");
            assert_eq!(counted(&counter(measure, reason)), Some((measure, reason)));
        }
        assert_eq!(counted("drop/unlisted"), None);
    }
}
