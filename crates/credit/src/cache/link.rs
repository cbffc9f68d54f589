//! Which record leads to which.

use credence_prefix::NO_MATCH;

use super::slots::Slots;

/// Gives the records about one prefix their parents: each the nearest record further out that it does not
/// [dominate](super::Entry::dominates). `told` is told the numbers of those that had another one before.
///
/// Further out are those about the same prefix that are heard later, and then all about each covering prefix, of which `outer` is
/// the first about the nearest. The numbers come from the one that is heard last to the one that is heard first. A
/// dominated record is skipped together with all that it dominates, by way of its own parent.
pub(super) fn link(
    slots: &Slots,
    numbers: impl Iterator<Item = u32>,
    mut outer: u32,
    mut told: impl FnMut(u32),
) {
    for number in numbers {
        let (entry, mut parent) = (slots.entry(number), outer);
        while parent != NO_MATCH && entry.dominates(slots.entry(parent)) {
            parent = slots.entry(parent).parent();
        }
        if slots.relink(number, parent) {
            told(number);
        }
        outer = number;
    }
}
