//! What the credit in force is put together from: the configured snapshot files, the lists that are fetched, and the operator's
//! exceptions.
//!
//! Each part changes by itself. What is put in force is always built from all of them, so that a part that waits for the
//! operator holds up no other.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use credence_credit::file::{self, Fault, FileError};
use credence_credit::{Amended, Changes, Guards, Header, Issuer, Keeper, Published, Record, Snapshot};
use credence_feed::Turn;
use credence_memory::allocator;
use credence_prefix::Prefix;
use credence_sync::feed::{Copy, Fed, Folder, Intake};
use credence_sync::lists::shelf::Shelf;
use credence_sync::lists::{Plan, judge};
use tracing::warn;

use crate::config::{Config, Exceptions, FEED};
use crate::follower;

/// How many records a list may always lose: of a list of ten a share says nothing.
const ALWAYS_FREE: u64 = 10;

/// Which of the parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The files of `credit.snapshots`.
    Files,
    /// The feed of the alert platform.
    Feed,
    /// The list of that name.
    List(String),
    /// The file of `credit.exceptions`.
    Exceptions,
}

impl Part {
    /// What the process that fetches calls it, if it is what that has fetched.
    pub(crate) fn source(&self) -> Option<&str> {
        match self {
            Self::Feed => Some(FEED),
            Self::List(name) => Some(name),
            Self::Files | Self::Exceptions => None,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files => f.write_str("credit snapshots"),
            Self::Feed => f.write_str("the feed's records"),
            Self::List(name) => write!(f, "the list {name}"),
            Self::Exceptions => f.write_str("exceptions"),
        }
    }
}

/// What a part says.
#[derive(Debug)]
enum Says {
    /// All of it, in snapshots.
    Snapshots(Vec<Snapshot>),
    /// A feed, which changes record by record.
    Fed(Fed),
}

impl Says {
    /// How many records there are.
    fn records(&self) -> usize {
        match self {
            Self::Snapshots(snapshots) => snapshots.iter().map(|copy| copy.records().len()).sum(),
            Self::Fed(fed) => fed.records(),
        }
    }

    fn headers(&self) -> Vec<Header> {
        match self {
            Self::Snapshots(snapshots) => snapshots.iter().map(Snapshot::header).collect(),
            Self::Fed(fed) => vec![fed.header()],
        }
    }

    /// The snapshots, which a feed makes when they are wanted.
    fn snapshots(&self) -> anyhow::Result<Vec<Cow<'_, Snapshot>>> {
        match self {
            Self::Snapshots(snapshots) => Ok(snapshots.iter().map(Cow::Borrowed).collect()),
            Self::Fed(fed) => Ok(vec![Cow::Owned(fed.snapshot()?)]),
        }
    }

    fn list(&self) -> Option<&Snapshot> {
        match self {
            Self::Snapshots(snapshots) => snapshots.first(),
            Self::Fed(_) => None,
        }
    }
}

/// A part as it is to be.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) part: Part,
    /// The new state of all of the part.
    says: Says,
}

impl Update {
    fn of(part: Part, snapshots: Vec<Snapshot>) -> Self {
        Self { part, says: Says::Snapshots(snapshots) }
    }

    /// The operator's exceptions, as they are to be.
    pub(crate) fn of_exceptions(snapshot: Snapshot) -> Self {
        Self::of(Part::Exceptions, vec![snapshot])
    }

    /// The number of the copy, where the part is a list or the feed.
    pub(crate) fn serial(&self) -> u64 {
        self.says.headers().first().map_or(0, |header| header.serial)
    }

    /// How many records it has.
    pub(crate) fn records(&self) -> usize {
        self.says.records()
    }

    /// The records that members have made milder or harder with it.
    pub(crate) fn turns(&self) -> &[Turn] {
        match &self.says {
            Says::Fed(fed) => fed.turns(),
            Says::Snapshots(_) => &[],
        }
    }
}

/// The parts in force.
#[derive(Debug)]
pub(crate) struct Sources {
    parts: BTreeMap<Part, Says>,
    plans: Vec<Plan>,
    shelf: Shelf,
    /// What of the feed that is followed is in force, and where it is kept.
    feed: Option<(Intake, PathBuf)>,
    /// What members of an example world hold that is followed all the same: addresses for examples, which its records may name.
    staged: Vec<Prefix>,
    /// Whether parts change that are none of the files, for which these are then needed again.
    is_mixed: bool,
}

impl Sources {
    /// What a run by `config` begins with. What is wrong with a configured file, that of exceptions included, is added to
    /// `faults`; a copy of a list that cannot be read is told, and fetched again.
    pub(crate) fn begin(config: &Config, faults: &mut Vec<String>) -> Self {
        let (shelf, plans) = (Shelf::new(follower::lists(&config.sync.state)), config.sync.plans());
        let is_mixed = config.sync.is_on() || config.credit.exceptions.is_some();
        let feed = config
            .sync
            .feed()
            .map(|plan| (Intake::new(plan.pinned.world), follower::feed(&config.sync.state)));
        let mut this = Self { parts: BTreeMap::new(), plans, shelf, feed, staged: Vec::new(), is_mixed };
        this.put(files(config, faults));
        if let Some(path) = &config.credit.exceptions {
            match Exceptions::read(path, config.policy.ladder) {
                Ok(snapshot) => this.put(Update::of_exceptions(snapshot)),
                Err(mistakes) => faults.push(mistakes.to_string()),
            }
        }
        let kept = this.plans.iter().filter_map(|plan| Self::copy(plan, &this.shelf.taken(&plan.name)));
        let kept: Vec<Update> = kept.collect();
        kept.into_iter().for_each(|update| this.put(update));
        if let Some(update) = this.fed(Copy::Taken) {
            this.put(update);
        }
        this
    }

    /// The guards, as they are for what is followed.
    fn guards(&self, guards: &Guards) -> Guards {
        if self.staged.is_empty() { guards.clone() } else { guards.clone().staged(self.staged.clone()) }
    }

    /// What the feed says that lies on the disk.
    fn fed(&mut self, which: Copy) -> Option<Update> {
        let (intake, folder) = self.feed.as_mut()?;
        let disk = Folder::to_read(folder);
        let is_near = intake.is_near(&disk, which);
        let mut read = || intake.read(&disk, which);
        let fed = if is_near { read() } else { allocator::at_once(read) };
        let fed = fed.unwrap_or_else(|fault| {
            warn!("what the feed says is passed over: {fault}");
            None
        })?;
        self.staged.clone_from(&fed.staged);
        Some(Update { part: Part::Feed, says: Says::Fed(fed) })
    }

    /// The copy of the list `name` that is offered under the number `serial`, if it is there and what it should be.
    pub(crate) fn offered(&mut self, name: &str, serial: u64) -> Option<Update> {
        if name == FEED {
            return self.fed(Copy::Offered).filter(|update| update.serial() >= serial);
        }
        let plan = self.plans.iter().find(|plan| plan.name == name)?;
        Self::copy(plan, &self.shelf.offered(name)).filter(|update| update.serial() == serial)
    }

    fn copy(plan: &Plan, path: &Path) -> Option<Update> {
        let name = &plan.name;
        match file::read(path) {
            Ok(snapshot) if judge::is_of(&snapshot, plan) => {
                Some(Update::of(Part::List(name.clone()), vec![snapshot]))
            }
            Ok(_) => {
                warn!("the copy {} is none of the list {name} and is passed over", path.display());
                None
            }
            Err(FileError { fault: Fault::System(error), .. }) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                warn!("the copy of the list {name} is passed over: {error}");
                None
            }
        }
    }

    /// The names of the lists.
    pub(crate) fn lists(&self) -> impl Iterator<Item = &str> {
        self.plans.iter().map(|plan| plan.name.as_str())
    }

    /// How many records of what is fetched are in force, by its name.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&str, usize)> {
        self.parts.iter().filter_map(|(part, says)| Some((part.source()?, says.records())))
    }

    /// Why an update of a list waits for the operator by itself, whatever it would do to traffic.
    pub(crate) fn hold(&self, update: &Update, now_s: u64) -> Option<String> {
        let Part::List(name) = &update.part else { return None };
        let (old, new) = (self.parts.get(&update.part)?.list()?, update.says.list()?);
        let (missing, of) = judge::missing(old, new, now_s);
        (missing > ALWAYS_FREE && missing * 2 > of)
            .then(|| format!("the list {name} lacks {missing} of the {of} prefixes that it had"))
    }

    /// The keeper of a cache of all parts, with `updates` in the place of those before. It is not yet published.
    ///
    /// # Errors
    /// When together they are too large.
    pub(crate) fn keeper<'u>(
        &self,
        updates: impl IntoIterator<Item = &'u Update>,
        guards: &Guards,
        published: &Published,
    ) -> anyhow::Result<Keeper> {
        let mut parts: BTreeMap<&Part, &Says> = self.parts.iter().collect();
        parts.extend(updates.into_iter().map(|update| (&update.part, &update.says)));
        let exceptions: Vec<Snapshot> = match parts.remove(&Part::Exceptions) {
            Some(Says::Snapshots(exceptions)) => exceptions.clone(),
            _ => Vec::new(),
        };
        let mut snapshots = Vec::new();
        for says in parts.into_values() {
            for other in says.snapshots()? {
                snapshots.push(overruled(other, &exceptions)?);
            }
        }
        snapshots.extend(exceptions);
        Ok(Keeper::build(published, snapshots, &self.guards(guards))?)
    }

    /// What is to change in `keeper`'s cache, which is of the parts in force, for an update to take effect; none where a cache had better be
    /// built of all parts anew.
    pub(crate) fn changes(&self, update: &Update, keeper: &Keeper, guards: &Guards) -> Option<Changes> {
        let Says::Fed(fed) = &update.says else { return None };
        let (issuers, amendments) = fed.amendments()?;
        let others = || self.parts.iter().filter(|(part, _)| **part != Part::Feed);
        let snapshots: Vec<&Snapshot> = others()
            .flat_map(|(_, says)| match says {
                Says::Snapshots(snapshots) => snapshots.as_slice(),
                Says::Fed(_) => &[],
            })
            .collect();
        let is_elsewhere =
            |record: &Record, issuer: &Issuer| snapshots.iter().any(|other| says(other, record, issuer));
        let headers = |part: &Part, says: &Says| {
            if *part == Part::Feed { vec![fed.header()] } else { says.headers() }
        };
        let sources: Vec<Header> = self.parts.iter().flat_map(|(part, says)| headers(part, says)).collect();
        let amended = Amended { issuers: &issuers, amendments, sources: &sources };
        keeper.amend(amended, &self.guards(guards), is_elsewhere)
    }

    /// Notes that a part is in force.
    pub(crate) fn put(&mut self, update: Update) {
        let Update { part, says } = update;
        let says = match says {
            Says::Fed(fed) => {
                if let Some((intake, _)) = &mut self.feed {
                    intake.put(fed.header());
                }
                Says::Fed(fed.settled())
            }
            says @ Says::Snapshots(_) => says,
        };
        self.parts.insert(part, says);
    }

    /// Forgets the files, where nothing is ever built of them again: they are read anew whenever they may have changed.
    pub(crate) fn forget_files(&mut self) {
        if !self.is_mixed {
            self.parts.remove(&Part::Files);
        }
    }
}

/// What is heard of `other` beside the operator's exceptions. A signed act is outranked by them wherever it lies. An entry of a
/// list has the same rank as they have, and of two the narrower or harder is heard: those inside an exception are left out.
fn overruled(other: Cow<'_, Snapshot>, exceptions: &[Snapshot]) -> anyhow::Result<Snapshot> {
    let mut ahead = exceptions.iter().flat_map(Snapshot::records).map(|record| record.prefix).peekable();
    if ahead.peek().is_none() {
        return Ok(other.into_owned());
    }
    let mut cover: Option<Prefix> = None;
    let is_heard = |record: &&Record| {
        // Both stand in the order of prefixes, each directly before what it covers.
        while let Some(next) = ahead.next_if(|next| *next <= record.prefix) {
            if cover.is_none_or(|cover| !cover.covers(next)) {
                cover = Some(next);
            }
        }
        record.authority.is_signed() || !cover.is_some_and(|cover| cover.covers(record.prefix))
    };
    let records = other.records().iter().filter(is_heard).cloned().collect();
    Ok(Snapshot::new(other.header(), other.issuers().to_vec(), records)?)
}

/// Whether a snapshot has a record in these very words. Those with a signature are heard wherever they lie.
fn says(snapshot: &Snapshot, record: &Record, issuer: &Issuer) -> bool {
    let records = snapshot.records();
    let behind = &records[records.partition_point(|own| own.prefix < record.prefix)..];
    let about = behind.iter().take_while(|own| own.prefix == record.prefix);
    about.filter(|own| snapshot.issuer(own.issuer) == issuer).any(|own| {
        let own = Record { issuer: record.issuer, ..own.clone() };
        own == *record
    })
}

/// The configured snapshot files. Why one cannot be read is added to `faults`.
pub(crate) fn files(config: &Config, faults: &mut Vec<String>) -> Update {
    let mut snapshots = Vec::new();
    for path in &config.credit.snapshots {
        match file::read(path) {
            Ok(snapshot) => snapshots.push(snapshot),
            Err(error) => faults.push(error.to_string()),
        }
    }
    Update::of(Part::Files, snapshots)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::time::Duration;

    use credence_credit::Authority::{self, Decision, OperatorList, Restriction};
    use credence_credit::import::{ImportOptions, Importer, ListFormat};
    use credence_credit::{Header, Issuer, Measure, Score};
    use proptest::prelude::*;

    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    /// A configuration with one list, `bad`, and its state in `directory`.
    fn config(directory: &Path) -> Config {
        let state = directory.display();
        let text =
            format!("[sync]\nstate = '{state}'\n[sync.lists.bad]\nurls = ['https://lists.example/']\n");
        fs::create_dir_all(follower::lists(directory)).unwrap();
        Config::parse("gateway.toml", &text, 1).unwrap()
    }

    /// A copy of the list with so many records, under that number.
    fn copy(issuer: &str, serial: u64, records: u16, change: impl Fn(&mut Record)) -> Snapshot {
        let options = ImportOptions {
            score: Score::WORST,
            expires: Duration::from_secs(900),
            now: NOW_S,
            issuer: issuer.to_owned(),
            measure: Measure::Drop,
        };
        let mut importer = Importer::new(options).unwrap();
        let text: String = (0..records).map(|number| format!("2a00:{number:x}::/32\n")).collect();
        importer.read("list", ListFormat::Cidr, text.as_bytes()).unwrap();
        let imported = importer.finish();
        let (issuer, mut records) = (imported.issuer, imported.records);
        records.iter_mut().for_each(change);
        Snapshot::new(Header { session: 0, serial, created: NOW_S }, vec![issuer], records).unwrap()
    }

    const ISSUER: &str = "bad (https://lists.example/)";

    #[test]
    fn a_start_takes_what_is_of_a_list_and_passes_over_what_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        let taken = follower::lists(directory.path()).join("bad.snapshot");
        let records =
            || Sources::begin(&config, &mut Vec::new()).records().map(|(_, records)| records).sum::<usize>();
        assert_eq!(records(), 0);
        file::write(&taken, &copy(ISSUER, 1, 20, |_| {})).unwrap();
        assert_eq!(records(), 20);
        let lies = [
            copy("coordinating body", 1, 20, |_| {}),
            copy(ISSUER, 1, 20, |record| record.authority = Restriction),
            copy(ISSUER, 1, 20, |record| record.measure = Measure::None),
        ];
        for lie in lies {
            file::write(&taken, &lie).unwrap();
            assert_eq!(records(), 0);
        }
        fs::write(&taken, "rotten").unwrap();
        assert_eq!(records(), 0);
    }

    #[test]
    fn what_is_offered_is_taken_by_its_name_and_number_alone() {
        let directory = tempfile::tempdir().unwrap();
        let mut sources = Sources::begin(&config(directory.path()), &mut Vec::new());
        assert!(sources.offered("bad", 2).is_none());
        file::write(&follower::lists(directory.path()).join("bad.offered"), &copy(ISSUER, 2, 3, |_| {}))
            .unwrap();
        assert_eq!(sources.offered("bad", 2).map(|update| update.serial()), Some(2));
        for (name, serial) in [("bad", 1), ("worse", 2), ("../lists/bad", 2), ("", 2)] {
            assert!(sources.offered(name, serial).is_none(), "{name} {serial}");
        }
    }

    #[test]
    fn a_list_that_loses_more_than_half_waits_and_a_short_one_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let mut sources = Sources::begin(&config(directory.path()), &mut Vec::new());
        let of = |records| Update::of(Part::List("bad".to_owned()), vec![copy(ISSUER, 1, records, |_| {})]);
        assert_eq!(sources.hold(&of(1), NOW_S), None, "there was none before");
        for (before, after, waits) in
            [(40, 20, false), (40, 19, true), (40, 80, false), (10, 1, false), (12, 1, true)]
        {
            sources.put(of(before));
            let hold = sources.hold(&of(after), NOW_S);
            assert_eq!(hold.is_some(), waits, "{before} to {after}: {hold:?}");
            assert_eq!(sources.hold(&of(after), NOW_S + 900), None, "what has ended is missed by nobody");
        }
        let told = sources.hold(&of(1), NOW_S);
        assert_eq!(told.as_deref(), Some("the list bad lacks 11 of the 12 prefixes that it had"));
    }

    fn record(prefix: Prefix, authority: Authority) -> Record {
        Record { prefix, authority, ..copy(ISSUER, 1, 1, |_| {}).records()[0].clone() }
    }

    fn snapshot(prefixes: &BTreeSet<Prefix>, authority: Authority) -> Snapshot {
        let records = prefixes.iter().map(|prefix| record(*prefix, authority)).collect();
        Snapshot::new(Header::default(), vec![Issuer::new(ISSUER).unwrap()], records).unwrap()
    }

    proptest! {
        /// Whatever is inside of whatever, entries inside an exception go and acts stay.
        #[test]
        fn entries_inside_an_exception_are_not_heard(
            listed in proptest::collection::btree_set((0_u128..16, 0_u8..=4), 0..30),
            except in proptest::collection::btree_set((0_u128..16, 0_u8..=4), 0..8),
        ) {
            // All prefixes of four bits.
            let prefixes = |set: &BTreeSet<(u128, u8)>| -> BTreeSet<Prefix> {
                set.iter().map(|(bits, len)| Prefix::containing(bits << 124, *len)).collect()
            };
            let (listed, except) = (prefixes(&listed), prefixes(&except));
            let exceptions = [snapshot(&except, OperatorList)];
            let heard = overruled(Cow::Owned(snapshot(&listed, OperatorList)), &exceptions).unwrap();
            let outside = listed.iter().filter(|prefix| !except.iter().any(|except| except.covers(**prefix)));
            let expected: Vec<Prefix> = outside.copied().collect();
            let heard: Vec<Prefix> = heard.records().iter().map(|record| record.prefix).collect();
            prop_assert_eq!(heard, expected);
            let acts = snapshot(&listed, Decision);
            prop_assert_eq!(overruled(Cow::Borrowed(&acts), &exceptions).unwrap(), acts);
        }
    }
}
