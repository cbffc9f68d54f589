//! The order of the table: by time and frame of the first packet, then by key.

use credence_flow::{FlowKey, FlowRecord, FlowTable};
use credence_memory::{prefetch, room};

/// How many flows ahead of the one that is handed on its memory is asked for: they lie all over it.
const AHEAD: usize = 16;

/// Flows in numbered places, some of which may be empty.
pub(super) trait Places {
    /// How many places there are.
    fn places(&self) -> usize;

    /// Time and frame of the first packet of the flow at a place.
    fn begun(&self, place: usize) -> Option<(u64, u32)>;

    /// The flow at a place.
    fn flow(&self, place: usize) -> Option<FlowRecord>;

    /// Asks for the memory of a place.
    fn prefetch(&self, place: usize);
}

impl Places for &[FlowRecord] {
    fn places(&self) -> usize {
        self.len()
    }

    fn begun(&self, place: usize) -> Option<(u64, u32)> {
        self.get(place).map(|flow| (flow.first_ns, flow.first_frame))
    }

    fn flow(&self, place: usize) -> Option<FlowRecord> {
        self.get(place).copied()
    }

    fn prefetch(&self, place: usize) {
        prefetch(self, place);
    }
}

impl Places for FlowTable {
    fn places(&self) -> usize {
        self.places()
    }

    fn begun(&self, place: usize) -> Option<(u64, u32)> {
        self.begun(place)
    }

    fn flow(&self, place: usize) -> Option<FlowRecord> {
        self.record(place)
    }

    fn prefetch(&self, place: usize) {
        self.prefetch_record(place);
    }
}

/// Flows in order, out of places that are in any.
pub(super) struct Sorted<P> {
    places: P,
    /// The order of the places, when it is not theirs.
    order: Option<Vec<Place>>,
    next: usize,
}

impl<P: Places> Sorted<P> {
    pub(super) fn new(places: P) -> Self {
        let order = (!is_sorted(&places)).then(|| sorted(&places));
        Self { places, order, next: 0 }
    }
}

impl<P: Places> Iterator for Sorted<P> {
    type Item = FlowRecord;

    fn next(&mut self) -> Option<FlowRecord> {
        let Some(order) = &self.order else {
            let flow = (self.next..self.places.places()).find_map(|at| {
                self.next = at + 1;
                self.places.flow(at)
            });
            return flow;
        };
        if let Some(ahead) = order.get(self.next + AHEAD) {
            self.places.prefetch(ahead.number());
        }
        let place = order.get(self.next)?;
        self.next += 1;
        self.places.flow(place.number())
    }
}

/// Whether the flows lie in their order already, as in the table of a short capture, where each began behind the one
/// before. Those that began with the same packet are for [`sorted`] to part.
fn is_sorted(places: &impl Places) -> bool {
    (0..places.places()).filter_map(|at| places.begun(at)).is_sorted_by(|a, b| a < b)
}

/// Time and frame of a flow's first packet and its place, as one number that sorts: a third of the time that sorting
/// records takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(u128);

impl Place {
    fn of(at: usize, (first_ns, first_frame): (u64, u32)) -> Self {
        Self(u128::from(first_ns) << 64 | u128::from(first_frame) << 32 | at as u128)
    }

    /// Which place it is.
    const fn number(self) -> usize {
        self.0 as u32 as usize
    }

    /// Whether another flow began with the same packet.
    const fn is_level(self, other: Self) -> bool {
        self.0 >> 32 == other.0 >> 32
    }
}

/// The places of all flows by first packet, then by frame and key. One flow begins with one packet, so that time and
/// frame decide but in the wildest captures.
fn sorted(places: &impl Places) -> Vec<Place> {
    let mut order = room(places.places());
    order.extend((0..places.places()).filter_map(|at| Some(Place::of(at, places.begun(at)?))));
    order.sort_unstable();
    let key = |place: &Place| places.flow(place.number()).map(|flow| flow.key);
    for level in order.chunk_by_mut(|a, b| a.is_level(*b)).filter(|level| level.len() > 1) {
        level.sort_unstable_by_key(key);
    }
    order
}

/// Bytes of an [`order_key`]: time, frame, two addresses, protocol and ports.
pub(super) const KEY_LEN: usize = 8 + 4 + 16 + 16 + 1 + 2 + 2;

/// Bytes that compare as flows are ordered: every number with its highest byte first.
pub(super) fn order_key(flow: &FlowRecord) -> [u8; KEY_LEN] {
    let FlowKey { src, dst, proto, sport, dport } = flow.key;
    let mut key = [0; KEY_LEN];
    let mut rest = key.as_mut_slice();
    let numbers: [&[u8]; 7] = [
        &flow.first_ns.to_be_bytes(),
        &flow.first_frame.to_be_bytes(),
        &src.to_be_bytes(),
        &dst.to_be_bytes(),
        &[proto],
        &sport.to_be_bytes(),
        &dport.to_be_bytes(),
    ];
    for number in numbers {
        let (place, behind) = rest.split_at_mut(number.len());
        place.copy_from_slice(number);
        rest = behind;
    }
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::flow;
    use super::*;

    /// Flows whose keys agree in some places, so that every place decides now and then.
    fn any_flow() -> impl Strategy<Value = FlowRecord> {
        let few = || prop_oneof![0..2_u8, any::<u8>()];
        let ends = prop_oneof![0..2_u128, any::<u128>()];
        (few(), few(), (ends.clone(), ends), (few(), few(), few())).prop_map(
            |(ns, frame, (src, dst), (proto, sport, dport))| FlowRecord {
                key: FlowKey { src, dst, proto, sport: u16::from(sport) << 7, dport: u16::from(dport) << 7 },
                ..flow(u64::from(ns) << 7, u32::from(frame) << 7, src)
            },
        )
    }

    proptest! {
        #[test]
        fn keys_compare_as_flows_are_ordered(run in prop::collection::vec(any_flow(), 0..100)) {
            let mut by_fields = run.clone();
            by_fields.sort_by_key(|flow| (flow.first_ns, flow.first_frame, flow.key));
            let mut by_keys = run.clone();
            by_keys.sort_by_key(order_key);
            prop_assert_eq!(&by_keys, &by_fields);
            prop_assert_eq!(Sorted::new(run.as_slice()).collect::<Vec<_>>(), by_fields.clone());
            prop_assert_eq!(Sorted::new(by_fields.as_slice()).collect::<Vec<_>>(), by_fields);
        }
    }
}
