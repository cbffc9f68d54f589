//! A whole set of records at one moment.

use credence_prefix::Prefix;
use serde::{Deserialize, Serialize};

use crate::{Issuer, IssuerId, Record};

/// The most records that a snapshot may hold, 16 Mi. In memory they take about 1.6 GB; a real feed of today is a
/// hundredth of that.
pub const RECORDS_MAX: usize = 1 << 24;

/// The most records about one prefix, so that walking them stays a bounded step of the look-up.
pub(crate) const RECORDS_PER_PREFIX_MAX: usize = 16;

/// The most issuers, since an [`IssuerId`] has 16 bits.
const ISSUERS_MAX: usize = 1 << 16;

/// Which version of which set this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Header {
    /// The run of versions that the serial counts in; a new session starts over, as in RFC 8182 section 3.3.1. 0 for a
    /// local file.
    pub session: u64,
    /// The version within the session. 0 for a local file.
    pub serial: u64,
    /// When the set was put together, in Unix seconds.
    pub created: u64,
}

/// Records in order, with the issuers that they name. Immutable, and valid as a whole: see [`Snapshot::new`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Snapshot {
    header: Header,
    issuers: Vec<Issuer>,
    records: Vec<Record>,
}

/// Why a set of records is no snapshot. Each is a fault of whoever put the set together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// More records than [`RECORDS_MAX`].
    #[error("{0} records are more than the {RECORDS_MAX} that a snapshot may hold")]
    TooManyRecords(usize),
    /// More issuers than their numbers can tell apart.
    #[error("{0} issuers are more than the {ISSUERS_MAX} that a snapshot may name")]
    TooManyIssuers(usize),
    /// The issuers are not in the order of their names, or one comes twice.
    #[error("issuer {0:?} comes twice or out of order")]
    IssuerOrder(String),
    /// A record names an issuer that the table lacks.
    #[error("the record for {0} names an issuer that is not in the table")]
    UnknownIssuer(Prefix),
    /// The records are not in order of prefix, authority and issuer, or two agree in all three.
    #[error("the record for {0} comes twice or out of order")]
    RecordOrder(Prefix),
    /// Too many records speak of one prefix.
    #[error("more than {RECORDS_PER_PREFIX_MAX} records speak of {0}")]
    Crowded(Prefix),
}

impl Snapshot {
    /// The snapshot of these records, which stand in the order of prefix, authority and issuer, each combination once.
    /// The issuers stand in the order of their names, so that equal sets are equal values.
    ///
    /// # Errors
    /// When an order, a limit or a reference is broken. The first fault found is named and nothing is repaired, since a
    /// set with one fault is not what its maker meant.
    pub fn new(header: Header, issuers: Vec<Issuer>, records: Vec<Record>) -> Result<Self, SnapshotError> {
        check_issuers(&issuers)?;
        check_records(&records, issuers.len())?;
        Ok(Self { header, issuers, records })
    }

    /// Which version this is.
    pub const fn header(&self) -> Header {
        self.header
    }

    /// The issuers, ordered by name; an [`IssuerId`] is a place in here.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// The issuer of that number.
    ///
    /// # Panics
    /// When the number is not from a record of this snapshot.
    pub fn issuer(&self, id: IssuerId) -> &Issuer {
        &self.issuers[usize::from(id.0)]
    }

    /// The records, ordered by prefix (a prefix directly before what it covers), authority and issuer.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The parts, for building something else from them without a copy.
    pub fn into_parts(self) -> (Header, Vec<Issuer>, Vec<Record>) {
        (self.header, self.issuers, self.records)
    }
}

fn check_issuers(issuers: &[Issuer]) -> Result<(), SnapshotError> {
    if issuers.len() > ISSUERS_MAX {
        return Err(SnapshotError::TooManyIssuers(issuers.len()));
    }
    match issuers.windows(2).find(|pair| pair[0].name() >= pair[1].name()) {
        None => Ok(()),
        Some(pair) => Err(SnapshotError::IssuerOrder(pair[1].name().to_owned())),
    }
}

fn check_records(records: &[Record], issuers: usize) -> Result<(), SnapshotError> {
    if records.len() > RECORDS_MAX {
        return Err(SnapshotError::TooManyRecords(records.len()));
    }
    if let Some(record) = records.iter().find(|record| usize::from(record.issuer.0) >= issuers) {
        return Err(SnapshotError::UnknownIssuer(record.prefix));
    }
    if let Some(pair) = records.windows(2).find(|pair| pair[0].key() >= pair[1].key()) {
        return Err(SnapshotError::RecordOrder(pair[1].prefix));
    }
    // In order, a prefix with one record too many has it this many places after its first.
    match records
        .windows(RECORDS_PER_PREFIX_MAX + 1)
        .find(|run| run[0].prefix == run[RECORDS_PER_PREFIX_MAX].prefix)
    {
        None => Ok(()),
        Some(run) => Err(SnapshotError::Crowded(run[0].prefix)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::tests::{listed, signed};
    use crate::{ActRef, Authority, EvidenceClass, Measure, Rating, Reason, Score, Status};

    /// A valid snapshot of these records in any order, all by the first of three issuers unless they say otherwise.
    pub(crate) fn snapshot(mut records: Vec<Record>) -> Snapshot {
        records.sort_by_key(Record::key);
        let issuers = ["a", "b", "c"].map(|name| Issuer::new(name).unwrap()).to_vec();
        Snapshot::new(Header { session: 1, serial: 2, created: 3 }, issuers, records).unwrap()
    }

    prop_compose! {
        pub(crate) fn any_record()(
            address in any::<u128>(), len in 0u8..=128, score in proptest::option::of(0u16..=1000),
            status in proptest::sample::select(&Status::ALL), measure in proptest::sample::select(&Measure::ALL),
            reasons in proptest::collection::vec(proptest::sample::select(&Reason::ALL), 0..4), issuer in 0u16..3,
            evidence in proptest::sample::select(&[EvidenceClass::Confirmed, EvidenceClass::Unconfirmed, EvidenceClass::Declared]),
            authority in proptest::sample::select(&[Authority::OperatorList, Authority::OwnAlert, Authority::Decision, Authority::Restriction]),
            signatures in any::<u16>(), expires in any::<u64>(), act in proptest::option::of(any::<[u8; 8]>()),
        ) -> Record {
            Record {
                prefix: Prefix::containing(address, len),
                rating: score.map_or(Rating::Unrated, |score| Rating::Rated { score: Score::new(score).unwrap(), status }),
                measure, reasons: reasons.into_iter().collect(), issuer: IssuerId(issuer), evidence, authority,
                signatures, expires, act: act.map(ActRef),
            }
        }
    }

    prop_compose! {
        pub(crate) fn any_snapshot()(records in proptest::collection::vec(any_record(), 0..40)) -> Snapshot {
            let mut records = records;
            records.sort_by_key(Record::key);
            records.dedup_by_key(|record| record.key());
            snapshot(records)
        }
    }

    fn check(issuers: &[&str], records: Vec<Record>, expected: Option<&SnapshotError>) {
        let issuers = issuers.iter().map(|&name| Issuer::new(name).unwrap()).collect();
        assert_eq!(Snapshot::new(Header::default(), issuers, records).err().as_ref(), expected);
    }

    #[test]
    fn order_references_and_duplicates_are_checked() {
        let narrow = listed("2001:db8:1::/48", Measure::Drop);
        let wide = listed("2001:db8::/32", Measure::Drop);
        check(&["a"], vec![wide.clone(), narrow.clone()], None);
        check(&["a"], vec![narrow.clone(), wide.clone()], Some(&SnapshotError::RecordOrder(wide.prefix)));
        check(&["a"], vec![wide.clone(), wide.clone()], Some(&SnapshotError::RecordOrder(wide.prefix)));
        check(&[], vec![wide.clone()], Some(&SnapshotError::UnknownIssuer(wide.prefix)));
        check(&["b", "a"], vec![], Some(&SnapshotError::IssuerOrder("a".to_owned())));
        check(&["a", "a"], vec![], Some(&SnapshotError::IssuerOrder("a".to_owned())));
    }

    #[test]
    fn one_prefix_may_have_several_authorities_and_issuers_up_to_the_limit() {
        let names: Vec<String> = (0..17).map(|n| format!("issuer {n:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let by =
            |issuer| Record { issuer: IssuerId(issuer), ..signed("2001:db8::/48", Authority::OwnAlert, 1) };
        check(&names, (0..16).map(by).collect(), None);
        check(&names, (0..17).map(by).collect(), Some(&SnapshotError::Crowded(by(0).prefix)));
        let own = listed("2001:db8::/48", Measure::None);
        check(&["a"], vec![own, by(0)], None);
    }
}
