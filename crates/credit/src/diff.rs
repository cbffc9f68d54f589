//! What changed between two snapshots.

use core::cmp::Ordering;

use credence_prefix::Prefix;

use crate::{Authority, Record, Snapshot};

/// The difference of two snapshots, each part in the order of prefix, authority and issuer's name.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Diff<'a> {
    /// Records that only the new snapshot has.
    pub added: Vec<&'a Record>,
    /// Records that only the old snapshot has.
    pub removed: Vec<&'a Record>,
    /// Records of the same prefix, authority and issuer that say something else now, old and new.
    pub changed: Vec<(&'a Record, &'a Record)>,
}

impl Diff<'_> {
    /// Whether nothing changed.
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Compares two snapshots in one pass. Issuers are compared by name, since their numbers belong to each snapshot alone.
pub fn diff<'a>(old: &'a Snapshot, new: &'a Snapshot) -> Diff<'a> {
    let mut diff = Diff::default();
    let (mut before, mut after) = (old.records().iter().peekable(), new.records().iter().peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return diff,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => key(old, left).cmp(&key(new, right)),
        };
        let left = before.next_if(|_| order.is_le());
        let right = after.next_if(|_| order.is_ge());
        match (left, right) {
            (Some(left), Some(right)) if !agree(left, right) => diff.changed.push((left, right)),
            (Some(left), None) => diff.removed.push(left),
            (None, Some(right)) => diff.added.push(right),
            _ => {}
        }
    }
}

/// What a record is known by across snapshots. Their issuer tables are ordered by name, so this order is theirs.
fn key<'a>(snapshot: &'a Snapshot, record: &Record) -> (Prefix, Authority, &'a str) {
    (record.prefix, record.authority, snapshot.issuer(record.issuer).name())
}

/// Whether two records with the same key say the same.
fn agree(left: &Record, right: &Record) -> bool {
    *left == Record { issuer: left.issuer, ..right.clone() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::tests::listed;
    use crate::snapshot::tests::{any_snapshot, snapshot};
    use crate::{Header, Issuer, Measure};

    #[test]
    fn added_removed_and_changed_are_told_apart_in_order() {
        let kept = listed("2001:db8:5::/48", Measure::Drop);
        let milder = listed("2001:db8:2::/48", Measure::Mark);
        let harder = listed("2001:db8:2::/48", Measure::Drop);
        let gone = listed("2001:db8:1::/48", Measure::Drop);
        let first = listed("2001:db8:0::/48", Measure::Drop);
        let last = listed("2001:db8:9::/48", Measure::Drop);
        let old = snapshot(vec![gone.clone(), milder.clone(), kept.clone()]);
        let new = snapshot(vec![last.clone(), kept, harder.clone(), first.clone()]);
        let diff = diff(&old, &new);
        assert_eq!(diff.added, [&first, &last]);
        assert_eq!(diff.removed, [&gone]);
        assert_eq!(diff.changed, [(&milder, &harder)]);
    }

    #[test]
    fn a_new_issuer_renumbers_the_table_and_changes_nothing() {
        let record = listed("2001:db8::/48", Measure::Drop);
        let table = |names: &[&str]| names.iter().map(|&name| Issuer::new(name).unwrap()).collect::<Vec<_>>();
        let old = Snapshot::new(Header::default(), table(&["m"]), vec![record.clone()]).unwrap();
        let moved = Record { issuer: crate::IssuerId(1), ..record };
        let new = Snapshot::new(Header::default(), table(&["a", "m"]), vec![moved]).unwrap();
        assert!(diff(&old, &new).is_empty());
    }

    proptest! {
        /// The new set is the old one without what was removed, with what was added, and with what changed.
        #[test]
        fn a_diff_leads_from_old_to_new(old in any_snapshot(), new in any_snapshot()) {
            let diff = diff(&old, &new);
            let changed_from: Vec<_> = diff.changed.iter().map(|(from, _)| *from).collect();
            let mut rebuilt: Vec<Record> = old.records().iter()
                .filter(|record| !diff.removed.contains(record) && !changed_from.contains(record))
                .chain(diff.added.iter().copied())
                .chain(diff.changed.iter().map(|(_, to)| *to))
                .cloned().collect();
            rebuilt.sort_by_key(Record::key);
            prop_assert_eq!(&rebuilt[..], new.records());
            let same = super::diff(&new, &new);
            prop_assert!(same.is_empty());
        }
    }
}
