//! The gateway's side: what it has flattened, and the carrier that it tells.

use std::collections::HashSet;
use std::io::{self, BufReader, BufWriter};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use credence_credit::{Cache, Measure};

use super::counters::COUNTED;
use super::elements::Listed;
use super::flatten::flatten;
use super::message::{Answer, BEFORE, NEXT, Request, Texts};
use super::rules::Rules;
use super::subjects::Subjects;
use super::{carrier, tool};
use crate::abi::Reason;
use crate::control::Policy;
use crate::counts::Count;
use crate::links::hold;
use crate::told::Opinion;
use crate::xdp::{LoadError, Setup};

/// Why nftables does not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NftError {
    /// The interface's name means something else to the program.
    #[error(
        "the interface {0} has a name that nftables takes for something else; rename it (`ip link set dev {0} name NAME`)"
    )]
    Name(String),
    /// Another process of this program, or none can be told.
    #[error(transparent)]
    Hold(#[from] LoadError),
    /// The program or the privilege is missing.
    #[error(
        "nftables cannot be used: {0}; it needs the program nft (`apt-get install nftables`), nf_tables in the kernel, and root or CAP_NET_ADMIN"
    )]
    Unusable(#[source] io::Error),
    /// The process that may change rules.
    #[error(
        "the process that changes the rules of nftables is gone ({0}); the rules stay as they are until a restart"
    )]
    Gone(#[source] io::Error),
    /// It was asked for something in vain.
    #[error("{0}")]
    Failed(String),
}

/// A set of records, flattened for nftables.
#[derive(Debug)]
pub struct Listing {
    ranges: Vec<Listed>,
    /// Records that asked for a limiter and got none, since all are taken; their subjects are observed only.
    pub unlimited: usize,
    /// The second (Unix time) from which a record may say something that is not in this set, so that another is due.
    pub changes_at: Option<u64>,
}

impl Listing {
    /// Ranges of sources. Each takes two elements of the kernel's.
    pub const fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether nobody is listed.
    pub const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

/// Makes listings, in which a subject whose rate is limited keeps its limiter from one to the next.
#[derive(Debug)]
pub struct Listings {
    subjects: Subjects,
    /// The score from which credit is good enough for an incentive.
    good_from: u16,
}

impl Listings {
    /// Listings that call credit good from that score on.
    pub fn new(good_from: u16) -> Self {
        Self { subjects: Subjects::default(), good_from }
    }

    /// What `cache` says at `now_s`, in Unix seconds.
    pub fn of(&mut self, cache: &Cache, now_s: u64) -> Listing {
        let flat = flatten(cache, now_s, self.good_from);
        let mut refused = HashSet::new();
        self.subjects.begin();
        let ranges = flat.pieces.iter().map(|piece| {
            let mut class = piece.word.class;
            let subject = piece.word.limited.map_or(Some(0), |subject| {
                let number = self.subjects.of(subject);
                if number.is_none() {
                    refused.insert(subject);
                    class.measure = Measure::Observe;
                }
                number
            });
            let lasts_s = u64::from(piece.word.expires).saturating_sub(now_s).max(1);
            Listed {
                first: piece.first,
                last: piece.last,
                lasts_s: u32::try_from(lasts_s).unwrap_or(u32::MAX),
                class: class.number(),
                subject: subject.unwrap_or_default(),
            }
        });
        let ranges = ranges.collect();
        self.subjects.settle();
        Listing { ranges, unlimited: refused.len(), changes_at: flat.changes_at }
    }
}

/// What the rules did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tally([Count; COUNTED.len()]);

impl Tally {
    /// How many packets met this measure for this reason since the table was made.
    pub fn of(&self, measure: Measure, reason: Reason) -> Count {
        let place = COUNTED.iter().position(|each| *each == (measure, reason));
        place.map_or(Count::default(), |place| self.0[place])
    }
}

/// A table of nftables for one interface, by way of the process that may change it.
///
/// Each request waits for its answer. The rules stay when this value, and with it that process, is gone.
#[derive(Debug)]
pub struct Nftables {
    /// Keeps others from the same interface.
    _held: UnixDatagram,
    to: BufWriter<ChildStdin>,
    from: BufReader<ChildStdout>,
    /// Nobody waits for it: it ends when `to` is closed, and then this process mostly does too.
    _carrier: Child,
}

impl Nftables {
    /// Makes a table for an interface, by the program `carrier`, which is to call [`carry`](super::carry) with its standard
    /// input and output. `policies` are those of ordinary times and of an emergency. No packet comes to the table yet.
    ///
    /// # Errors
    /// When another process holds the interface, or the table cannot be made.
    pub fn start(
        carrier: &mut Command,
        interface: &str,
        setup: &Setup,
        policies: &[Policy; 2],
    ) -> Result<Self, NftError> {
        let held = hold(interface)?;
        let beginning = beginning(interface);
        let before = carrier::tables(&beginning).map_err(NftError::Unusable)?;
        let numbers = before.iter().filter_map(|table| table.strip_prefix(&beginning)?.parse::<u32>().ok());
        let table = format!("{beginning}{}", numbers.max().map_or(1, |last| last.wrapping_add(1)));
        // A signal from the terminal is for the gateway, which then ends this one.
        carrier.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = carrier.spawn().map_err(NftError::Gone)?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(NftError::Gone(io::ErrorKind::BrokenPipe.into()));
        };
        let (to, from) = (BufWriter::new(to), BufReader::new(from));
        let mut this = Self { _held: held, to, from, _carrier: child };
        let rules = Rules { table: &table, setup, policy: &policies[0] };
        this.ask(&Request::Define(Texts {
            define: rules.define(),
            make: rules.make(NEXT),
            remove: rules.remove(NEXT),
            swap: rules.swap(NEXT, BEFORE),
            join: rules.join(interface, &before),
            pace: policies.each_ref().map(|policy| rules.pace(policy.told_rate)),
            opinions_last_s: u32::try_from(setup.opinions_last.as_secs()).unwrap_or(u32::MAX),
            table,
        }))?;
        Ok(this)
    }

    /// Puts a listing in force in the place of the one before, at one moment.
    ///
    /// # Errors
    /// When it cannot be; the one before stays.
    pub fn put(&mut self, listing: Listing) -> Result<(), NftError> {
        self.ask(&Request::List(listing.ranges)).map(drop)
    }

    /// Lets the interface's packets come to the table, in the place of what processes before left.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn join(&mut self) -> Result<(), NftError> {
        self.ask(&Request::Join).map(drop)
    }

    /// Puts opinions in force, for as long as opinions last.
    ///
    /// # Errors
    /// When they cannot be.
    pub fn tell(&mut self, opinions: &[Opinion]) -> Result<(), NftError> {
        let opinions = opinions.iter().map(|opinion| (opinion.source, opinion.measure)).collect();
        self.ask(&Request::Tell(opinions)).map(drop)
    }

    /// Paces behaviour as in an emergency, or as usual.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn alarm(&mut self, is_emergency: bool) -> Result<(), NftError> {
        self.ask(&Request::Alarm(is_emergency)).map(drop)
    }

    /// What the rules did.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn tally(&mut self) -> Result<Tally, NftError> {
        match self.ask(&Request::Count)? {
            Answer::Counts(counts) => Ok(Tally(counts)),
            _ => Err(NftError::Failed("the counters were asked for, and something else was told".to_owned())),
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Answer, NftError> {
        request.write(&mut self.to).map_err(NftError::Gone)?;
        match Answer::read(&mut self.from).map_err(NftError::Gone)? {
            Some(Answer::Failed(why)) => Err(NftError::Failed(why)),
            Some(answer) => Ok(answer),
            None => Err(NftError::Gone(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

/// Says why an interface's traffic cannot be ruled by nftables on this host, if so. Changes nothing.
///
/// # Errors
/// With the reason and the cure.
pub fn try_out(interface: &str) -> Result<(), NftError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !interface.bytes().all(is_plain) {
        return Err(NftError::Name(interface.to_owned()));
    }
    tool::try_out().map_err(NftError::Unusable)
}

/// How the names of an interface's tables begin. No interface's name has a stroke in it.
fn beginning(interface: &str) -> String {
    format!("credence/{interface}/")
}

/// Removes the tables that processes before left for an interface; whether there were any.
///
/// # Errors
/// When a process still holds the interface, or this one may not remove them.
pub fn remove_tables(interface: &str) -> Result<bool, NftError> {
    let _held = hold(interface)?;
    clear(interface)
}

/// Removes the tables of an interface that this process holds; whether there were any.
///
/// # Errors
/// When this process may not.
pub fn clear(interface: &str) -> Result<bool, NftError> {
    let tables = match carrier::tables(&beginning(interface)) {
        Ok(tables) => tables,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(NftError::Unusable(error));
        }
        // A kernel without nftables has no table.
        Err(_) => Vec::new(),
    };
    carrier::remove(&tables).map_err(NftError::Unusable)?;
    Ok(!tables.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something_to_the_program_are_refused_with_the_cure() {
        for name in ["wan*", "@wan", "w\"n", "w{n"] {
            let told = try_out(name).unwrap_err().to_string();
            assert!(told.contains("rename it"), "{told}");
        }
    }
}
