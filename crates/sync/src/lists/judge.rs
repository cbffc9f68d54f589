//! Whether what came is the list that was meant: by what it says alone, the same for follower and gateway.

use std::time::Duration;

use credence_credit::import::{ImportError, ImportOptions, Importer};
use credence_credit::{Authority, EvidenceClass, Header, Measure, Record, Snapshot};
use credence_prefix::Prefix;

use super::Plan;
use crate::fetch::Refused;

/// One entry in so many may be unreadable; where more are, the list is not what it was taken for.
const UNREADABLE: u64 = 20;

/// The snapshot of a list whose bytes came at `now_s` (Unix seconds), under the number `serial`.
///
/// Entries that ask for nothing to be done, or for an incentive, are passed over: by its operator's word a source would be let
/// through whatever anyone says of it, and that word is for the operator's own file.
///
/// # Errors
/// When the bytes are a page, hold no record, too many, or too much that cannot be read.
pub fn judge(bytes: &[u8], plan: &Plan, serial: u64, now_s: u64) -> Result<Snapshot, Refused> {
    // No form that is read begins with this, and every page does.
    if bytes.trim_ascii_start().starts_with(b"<") {
        return Err(Refused::Page);
    }
    let options = ImportOptions {
        score: plan.score,
        expires: plan.lifetime,
        now: now_s,
        issuer: plan.issuer.name().to_owned(),
        measure: plan.measure,
    };
    let mut importer = Importer::new(options).map_err(|_| Refused::Unreadable)?;
    importer.read(&plan.name, plan.form, bytes).map_err(|error| match error {
        ImportError::TooManyRecords { .. } => Refused::Crowded,
        _ => Refused::Unreadable,
    })?;
    let imported = importer.finish();
    if imported.problems.total() * UNREADABLE > imported.tally.entries {
        return Err(Refused::Unreadable);
    }
    let mut records = imported.records;
    records.retain(|record| record.measure >= Measure::Observe);
    if records.is_empty() {
        return Err(Refused::Empty);
    }
    let header = Header { session: 0, serial, created: now_s };
    Snapshot::new(header, vec![plan.issuer.clone()], records).map_err(|_| Refused::Crowded)
}

/// Whether a snapshot is one that [`judge`] could have made by this plan. Whoever made it has met strangers: a record with more
/// than the operator's own list has is a lie.
pub fn is_of(snapshot: &Snapshot, plan: &Plan) -> bool {
    let is_listed = |record: &Record| {
        record.authority == Authority::OperatorList
            && record.evidence == EvidenceClass::Declared
            && record.measure >= Measure::Observe
            && record.signatures == 0
            && record.act.is_none()
    };
    snapshot.header().session == 0
        && snapshot.issuers() == std::slice::from_ref(&plan.issuer)
        && snapshot.records().iter().all(is_listed)
}

/// Whether two copies say the same, but for the life of `lifetime` that each record has that came without an end.
pub fn is_same(old: &Snapshot, new: &Snapshot, lifetime: Duration) -> bool {
    let timeless = |snapshot: &Snapshot, record: &Record| {
        let is_usual = record.expires == snapshot.header().created.saturating_add(lifetime.as_secs());
        Record { expires: if is_usual { 0 } else { record.expires }, ..record.clone() }
    };
    old.issuers() == new.issuers()
        && old.records().len() == new.records().len()
        && old
            .records()
            .iter()
            .zip(new.records())
            .all(|(one, other)| timeless(old, one) == timeless(new, other))
}

/// How many prefixes of `old` that would still last at `now_s` (Unix seconds) are missing from `new`, and how many there are.
pub fn missing(old: &Snapshot, new: &Snapshot, now_s: u64) -> (u64, u64) {
    let mut prefixes: Vec<Prefix> =
        old.records().iter().filter(|record| record.is_live(now_s)).map(|record| record.prefix).collect();
    prefixes.dedup();
    let mut there = new.records().iter().map(|record| record.prefix).peekable();
    let is_missing = |prefix: &&Prefix| {
        while there.next_if(|other| other < prefix).is_some() {}
        there.peek() != Some(prefix)
    };
    let missing = prefixes.iter().filter(is_missing).count();
    (missing as u64, prefixes.len() as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use credence_credit::import::ListFormat;
    use credence_credit::{ActRef, Issuer, IssuerId, Rating, Reason, Score};
    use proptest::prelude::*;

    use super::*;
    use crate::fetch::Place;

    const NOW_S: u64 = 1_800_000_000;

    fn plan(form: ListFormat) -> Plan {
        Plan {
            name: "list".to_owned(),
            places: vec![Place::parse("https://lists.example/", false).unwrap()],
            form,
            score: Score::new(50).unwrap(),
            measure: Measure::Drop,
            issuer: Issuer::new("list (https://lists.example/)").unwrap(),
            refresh: Duration::from_secs(3_600),
            lifetime: Duration::from_secs(86_400),
            bytes_max: 1 << 20,
        }
    }

    fn judged(form: ListFormat, text: &str) -> Result<Vec<String>, Refused> {
        let plan = plan(form);
        let snapshot = judge(text.as_bytes(), &plan, 7, NOW_S)?;
        assert!(is_of(&snapshot, &plan));
        assert_eq!(snapshot.header(), Header { session: 0, serial: 7, created: NOW_S });
        Ok(snapshot.records().iter().map(|record| record.prefix.to_string()).collect())
    }

    #[test]
    fn lists_of_every_form_become_records() {
        let two = Ok(vec!["2001:db8::/32".to_owned(), "2a00:1::/48".to_owned()]);
        let drop = "{\"cidr\":\"2001:db8::/32\"}\n{\"cidr\":\"2a00:1::/48\"}\n{\"type\":\"metadata\",\"records\":2}\n";
        assert_eq!(judged(ListFormat::Drop, drop), two);
        assert_eq!(judged(ListFormat::Cidr, "# v6\n2a00:1::/48\n2001:db8::/32\n192.0.2.0/24\n"), two);
        assert_eq!(judged(ListFormat::Csv, "prefix,score\n2001:db8::/32,10\n2a00:1::/48,\n"), two);
        let crowdsec = "[{\"scope\":\"Range\",\"value\":\"2001:db8::/32\",\"type\":\"ban\",\"duration\":\"4h\"},\
                         {\"scope\":\"Range\",\"value\":\"2a00:1::/48\",\"type\":\"ban\",\"duration\":\"4h\"}]";
        assert_eq!(judged(ListFormat::CrowdSec, crowdsec), two);
    }

    #[test]
    fn pages_and_lists_of_nothing_are_refused() {
        for form in ListFormat::ALL {
            for page in ["<!DOCTYPE html>\n<html>2001:db8::/32", " \r\n\t<html>", "<?xml version='1.0'?>"] {
                assert_eq!(judged(form, page), Err(Refused::Page), "{form:?}");
            }
        }
        for nothing in ["", "\n\n", "# nothing today\n", "192.0.2.0/24\n"] {
            assert_eq!(judged(ListFormat::Cidr, nothing), Err(Refused::Empty), "{nothing:?}");
        }
        assert_eq!(judged(ListFormat::Drop, "{\"type\":\"metadata\",\"records\":0}"), Err(Refused::Empty));
    }

    #[test]
    fn a_twentieth_may_be_unreadable_and_no_more() {
        let list = |bad: usize| {
            let good = (0..95).map(|number| format!("2001:db8:{number:x}::/48\n")).collect::<String>();
            judged(ListFormat::Cidr, &(good + &"not a prefix\n".repeat(bad)))
        };
        assert_eq!(list(5).map(|records| records.len()), Ok(95));
        assert_eq!(list(6), Err(Refused::Unreadable));
        assert_eq!(judged(ListFormat::Drop, "gateway timeout"), Err(Refused::Unreadable));
        assert_eq!(judged(ListFormat::CrowdSec, "{\"message\":\"forbidden\""), Err(Refused::Unreadable));
    }

    #[test]
    fn a_list_from_elsewhere_lets_nobody_through() {
        let list = "prefix,measure\n2001:db8::/32,none\n2001:db8:1::/48,incentive\n2a00:1::/48,observe\n";
        assert_eq!(judged(ListFormat::Csv, list), Ok(vec!["2a00:1::/48".to_owned()]));
        assert_eq!(judged(ListFormat::Csv, "prefix,measure\n2001:db8::/32,none\n"), Err(Refused::Empty));
    }

    fn snapshot(records: Vec<Record>, issuer: &str) -> Snapshot {
        let header = Header { session: 0, serial: 1, created: NOW_S };
        Snapshot::new(header, vec![Issuer::new(issuer).unwrap()], records).unwrap()
    }

    fn record(site: u16) -> Record {
        Record {
            prefix: Prefix::new(0x2a00 << 112 | u128::from(site) << 80, 48).unwrap(),
            rating: Rating::of(Score::new(50).unwrap()),
            measure: Measure::Drop,
            reasons: Reason::Listed.into(),
            issuer: IssuerId(0),
            evidence: EvidenceClass::Declared,
            authority: Authority::OperatorList,
            signatures: 0,
            expires: NOW_S + 60,
            act: None,
        }
    }

    #[test]
    fn what_claims_more_than_a_list_has_is_none() {
        let (plan, right) = (plan(ListFormat::Cidr), record(1));
        let ours = plan.issuer.name();
        assert!(is_of(&snapshot(vec![right.clone()], ours), &plan));
        assert!(!is_of(&snapshot(vec![right.clone()], "coordinating body"), &plan));
        let lies = [
            Record { authority: Authority::Restriction, ..right.clone() },
            Record { authority: Authority::Decision, signatures: 2, ..right.clone() },
            Record { evidence: EvidenceClass::Confirmed, ..right.clone() },
            Record { measure: Measure::None, ..right.clone() },
            Record { measure: Measure::Incentive, ..right.clone() },
            Record { signatures: 1, ..right.clone() },
            Record { act: Some(ActRef([1; 8])), ..right },
        ];
        for lie in lies {
            assert!(!is_of(&snapshot(vec![lie.clone()], ours), &plan), "{lie:?}");
        }
    }

    #[test]
    fn the_same_list_again_is_the_same_unless_an_end_of_its_own_has_moved() {
        let (plan, day) = (plan(ListFormat::Csv), Duration::from_secs(86_400));
        let at = |list: &str, now_s| judge(list.as_bytes(), &plan, 1, now_s).unwrap();
        let list = |expires: u64| format!("prefix,expires\n2001:db8::/32,\n2a00:1::/48,{expires}\n");
        let first = at(&list(NOW_S + 900), NOW_S);
        assert!(is_same(&first, &at(&list(NOW_S + 900), NOW_S + 60), day));
        assert!(!is_same(&first, &at(&list(NOW_S + 960), NOW_S + 60), day));
        assert!(!is_same(&first, &at("2001:db8::/32\n", NOW_S), day));
        assert!(!is_same(&first, &at("2001:db8::/32\n2a00:2::/48\n", NOW_S), day));
    }

    proptest! {
        /// Whatever comes, it is refused or is a copy that the gateway takes for one.
        #[test]
        fn anything_at_all_is_judged(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            text in "([0-9a-f:]{1,20}(/[0-9]{1,3})?[,;# {}\\[\\]\"a-z]{0,9}\\n?){0,20}",
        ) {
            for form in ListFormat::ALL {
                for bytes in [&bytes, text.as_bytes()] {
                    let plan = plan(form);
                    if let Ok(snapshot) = judge(bytes, &plan, 1, NOW_S) {
                        prop_assert!(is_of(&snapshot, &plan) && !snapshot.records().is_empty());
                    }
                }
            }
        }

        #[test]
        fn what_is_missing_is_what_a_set_says(
            old in proptest::collection::btree_set(0_u16..60, 0..40), new in proptest::collection::btree_set(0_u16..60, 0..40),
            over in proptest::collection::btree_set(0_u16..60, 0..20),
        ) {
            let of = |sites: &BTreeSet<u16>| {
                let expires = |site| if over.contains(site) { NOW_S } else { NOW_S + 1 };
                let records = sites.iter().map(|site| Record { expires: expires(site), ..record(*site) });
                snapshot(records.collect(), "list")
            };
            let live: BTreeSet<u16> = old.difference(&over).copied().collect();
            let expected = (live.difference(&new).count() as u64, live.len() as u64);
            prop_assert_eq!(missing(&of(&old), &of(&new), NOW_S), expected);
        }
    }
}
