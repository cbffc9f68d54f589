//! Other people's lists become records.
//!
//! A list is read line by line, or element by element where it is one JSON document, so that a large file needs no more
//! memory than its records. What one line gets wrong is said with its place and a cure, and costs that line alone.
//!
//! Records made here are the operator's own word, [`Authority::OperatorList`], whatever
//! a list says of its authors: the operator chose to believe it.

mod address;
mod crowdsec;
mod delimited;
mod drop;
mod duration;
mod lines;
mod list;
mod problem;

use core::str::FromStr;
use core::time::Duration;
use std::io::{self, BufRead};

use crate::guard::{self, Guarded};
use crate::{
    Authority, EvidenceClass, Header, Issuer, IssuerError, IssuerId, KeepReason, Measure, RECORDS_MAX,
    Rating, Reason, Reasons, Record, Score, Snapshot, SnapshotError, UnknownWord,
};
use address::Address;
pub use lines::LINE_LEN_MAX;
pub use problem::{PROBLEMS_KEPT, Place, Problem, Problems};

/// A kind of list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFormat {
    /// One prefix or address a line; `#` and `;` begin a comment.
    Cidr,
    /// Delimited by commas, with quotes as in RFC 4180. A first row with known names says which column is which: one of
    /// `prefix`, `cidr`, `range`, `ip`, and any of `score`, `status`, `measure`, `reasons`, `expires`; other columns
    /// are passed over. Without one the columns are `prefix,score,status,measure,reasons,expires`. Empty cells take the
    /// options' value. A record ends with its line, quoted or not.
    Csv,
    /// Spamhaus's DROP as JSON: one object a line.
    Drop,
    /// CrowdSec's decisions: a list, a stream's `new` and `deleted`, or alerts with decisions in them.
    CrowdSec,
}

impl ListFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Cidr, Self::Csv, Self::Drop, Self::CrowdSec];

    /// The word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cidr => "cidr",
            Self::Csv => "csv",
            Self::Drop => "drop",
            Self::CrowdSec => "crowdsec",
        }
    }
}

impl FromStr for ListFormat {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        UnknownWord::resolve(text, "list format", &Self::ALL, Self::name)
    }
}

/// What a list itself leaves open.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The score of what is listed, where the list gives none.
    pub score: Score,
    /// How long a record lasts from now, where the list does not say.
    pub expires: Duration,
    /// The present, in Unix seconds.
    pub now: u64,
    /// The name under which the records are shown.
    pub issuer: String,
    /// What is asked for, where the list does not say.
    pub measure: Measure,
}

/// Why an import ends early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The name for the list cannot be used.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// Records without a lifetime would be over at once.
    #[error("records that last no time have no effect; give a lifetime of a second or more")]
    NoLifetime,
    /// The system could not read on.
    #[error("{source_name}: {error}; check that the file can be read")]
    Read {
        /// The list.
        source_name: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// More records than a snapshot may hold. Nothing is kept, since part of a list would look like all of it.
    #[error("{source_name}: more than {RECORDS_MAX} different prefixes; import fewer or shorter lists")]
    TooManyRecords {
        /// The list in which the limit was reached.
        source_name: String,
    },
}

/// What an import met besides records that went in as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tally {
    /// Entries read: lines that are neither blank nor comments, or elements of a JSON document.
    pub entries: u64,
    /// Left out: IPv4.
    pub ipv4: u64,
    /// Left out: about something other than an address or range, for example a country.
    pub other_scopes: u64,
    /// Left out: over already.
    pub expired: u64,
    /// Left out: only simulated at their source.
    pub simulated: u64,
    /// Left out: taken back at their source.
    pub deleted: u64,
    /// Left out: the prefix was there already, and the stricter entry stays.
    pub duplicates: u64,
    /// Kept with the host bits cut off.
    pub host_bits_truncated: u64,
    /// Kept and shown, and too wide to be enforced.
    pub too_wide: u64,
}

/// The outcome of an import.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The records, in the order of their prefixes, each prefix once.
    pub records: Vec<Record>,
    /// Who they are said to come from.
    pub issuer: Issuer,
    /// The present that was given, in Unix seconds.
    pub created: u64,
    /// What could not be read.
    pub problems: Problems,
    /// What was left out or changed, in numbers.
    pub tally: Tally,
}

impl Imported {
    /// The records as a snapshot of session 0.
    ///
    /// # Errors
    /// When the records were changed since the import and are no longer in order.
    pub fn into_snapshot(self) -> Result<Snapshot, SnapshotError> {
        let header = Header { session: 0, serial: 0, created: self.created };
        Snapshot::new(header, vec![self.issuer], self.records)
    }
}

/// Reads any number of lists into one set of records.
#[derive(Debug)]
pub struct Importer {
    options: ImportOptions,
    issuer: Issuer,
    expires: u64,
    records: Vec<Record>,
    /// At how many records duplicates are next taken out.
    compact_at: usize,
    problems: Problems,
    tally: Tally,
}

/// What an entry of a list says; `None` leaves it to the options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Claim {
    rating: Option<Rating>,
    measure: Option<Measure>,
    reasons: Reasons,
    /// In Unix seconds.
    expires: Option<u64>,
}

/// Duplicates are first looked for at this many records, and then whenever the number has doubled, so that a file of
/// one line repeated takes no more memory than a short one and the search costs no more than the final sort.
const COMPACT_FIRST: usize = 1 << 16;

impl Importer {
    /// An import with these options.
    ///
    /// # Errors
    /// When the issuer's name cannot be used, or records would last less than a second.
    pub fn new(options: ImportOptions) -> Result<Self, ImportError> {
        if options.expires.as_secs() == 0 {
            return Err(ImportError::NoLifetime);
        }
        Ok(Self {
            issuer: Issuer::new(options.issuer.as_str())?,
            expires: options.now.saturating_add(options.expires.as_secs()),
            options,
            records: Vec::new(),
            compact_at: COMPACT_FIRST,
            problems: Problems::default(),
            tally: Tally::default(),
        })
    }

    /// Reads one list to its end. Entries that cannot be read become [`Problems`]; `source_name` names the list there.
    ///
    /// # Errors
    /// When the system cannot read on, or the limit of records is reached.
    pub fn read(
        &mut self,
        source_name: &str,
        format: ListFormat,
        input: impl BufRead,
    ) -> Result<(), ImportError> {
        match format {
            ListFormat::Cidr => lines::read(self, source_name, input, &mut list::List),
            ListFormat::Csv => lines::read(self, source_name, input, &mut delimited::Delimited::default()),
            ListFormat::Drop => lines::read(self, source_name, input, &mut drop::Drop),
            ListFormat::CrowdSec => crowdsec::read(self, source_name, input),
        }
    }

    /// The records of all lists together.
    pub fn finish(mut self) -> Imported {
        self.compact();
        let too_wide = |record: &&Record| guard::width(record) == Guarded::Keep(KeepReason::TooWide);
        self.tally.too_wide = self.records.iter().filter(too_wide).count() as u64;
        Imported {
            records: self.records,
            issuer: self.issuer,
            created: self.options.now,
            problems: self.problems,
            tally: self.tally,
        }
    }

    /// Adds what an entry claims of an address, unless it is over.
    fn add(&mut self, source_name: &str, address: Address, claim: Claim) -> Result<(), ImportError> {
        let (prefix, truncated) = match address {
            Address::V4 => {
                self.tally.ipv4 += 1;
                return Ok(());
            }
            Address::V6 { prefix, truncated } => (prefix, truncated),
        };
        let expires = claim.expires.unwrap_or(self.expires);
        if expires <= self.options.now {
            self.tally.expired += 1;
            return Ok(());
        }
        self.tally.host_bits_truncated += u64::from(truncated);
        self.records.push(Record {
            prefix,
            rating: claim.rating.unwrap_or(Rating::of(self.options.score)),
            measure: claim.measure.unwrap_or(self.options.measure),
            reasons: if claim.reasons.is_empty() { Reason::Listed.into() } else { claim.reasons },
            issuer: IssuerId(0),
            evidence: EvidenceClass::Declared,
            authority: Authority::OperatorList,
            signatures: 0,
            expires,
            act: None,
        });
        self.bound(source_name)
    }

    /// Keeps the number of records within its limit, not counting duplicates.
    fn bound(&mut self, source_name: &str) -> Result<(), ImportError> {
        if self.records.len() < self.compact_at.min(RECORDS_MAX + 1) {
            return Ok(());
        }
        self.compact();
        if self.records.len() > RECORDS_MAX {
            return Err(ImportError::TooManyRecords { source_name: source_name.to_owned() });
        }
        self.compact_at = COMPACT_FIRST.max(2 * self.records.len());
        Ok(())
    }

    /// Puts the records in order and leaves the one that is heard first of each prefix.
    fn compact(&mut self) {
        let before = self.records.len();
        self.records
            .sort_unstable_by(|left, right| left.prefix.cmp(&right.prefix).then_with(|| left.contest(right)));
        self.records.dedup_by_key(|record| record.prefix);
        self.tally.duplicates += (before - self.records.len()) as u64;
    }
}

#[cfg(test)]
mod tests;
