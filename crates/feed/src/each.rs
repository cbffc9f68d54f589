//! The same work for many things, on two cores.

use std::sync::{Mutex, PoisonError};

use credence_credit::both;

/// What `make` makes of each item, in order.
///
/// # Errors
/// What it says of the first item, in their order, of which it makes nothing. Of those behind, few are looked at.
pub(crate) fn each<T, R: Send, E: Send>(
    items: impl Iterator<Item = T> + Send,
    make: impl Fn(T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    if items.size_hint().1.is_some_and(|most| most < 2) {
        return items.map(make).collect();
    }
    let items = Mutex::new(Some((0..).zip(items)));
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).as_mut()?.next();
    let work = || {
        let mut made: Vec<(usize, Result<R, E>)> = Vec::new();
        while let Some((place, item)) = next() {
            let one = make(item);
            if one.is_err() {
                // Those before it are made, or in hand.
                *items.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            made.push((place, one));
        }
        made
    };
    let (mut made, others) = both(work, work);
    made.extend(others);
    made.sort_unstable_by_key(|(place, _)| *place);
    made.into_iter().map(|(_, one)| one).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// As one after the other.
        #[test]
        fn each_is_made_in_its_place_and_the_first_fault_is_told(items in proptest::collection::vec(0_u32..50, 0..40)) {
            let make = |item: u32| if item < 48 { Ok(item * 2) } else { Err(item) };
            let (faulty, whole): (Vec<u32>, Vec<u32>) = (items.clone(), items.iter().map(|item| item % 48).collect());
            for items in [faulty, whole] {
                let alone: Result<Vec<u32>, u32> = items.iter().copied().map(make).collect();
                prop_assert_eq!(each(items.into_iter(), make), alone);
            }
        }
    }
}
