//! A round of the feed, with so many records in force and one act that is new.

use std::collections::HashMap;
use std::num::NonZero;
use std::thread;
use std::time::{Duration, Instant};

use credence_credit::{ActId, Measure, Score};
use credence_feed::{Entry as Rule, Loose};
use credence_law::Signed;
use credence_law::party::act_id;
use credence_platform::desk::{Desk, Entry};
use credence_platform::disk::Folder;
use credence_platform::example::{Parties, Place, make_world};
use credence_platform::feed::{Feed, due};
use credence_platform::keys;
use credence_prefix::Prefix;
use tempfile::TempDir;

const NOW: u64 = 1_800_000_000;
/// The member whose subscribers have a /64 each.
const HOSTING: u16 = 4;
/// How many acts are new, one after the other.
const ROUNDS: u32 = 40;

/// Tells what a round takes with so many records in force.
pub(crate) fn round(records: u64) {
    let mut publisher = Publisher::begin(records);
    let begin = Instant::now();
    let stated = publisher.state();
    println!("round/{records}: {} stated anew in {:.2?}", stated, begin.elapsed());
    let whole = Instant::now();
    let (_, found) = publisher.desk.book().records(publisher.desk.law().unwrap(), publisher.now);
    let whole = whole.elapsed();
    assert_eq!(found.len() as u64, records);
    println!("round/{records}: all records looked at once in {:.1} ms", whole.as_secs_f64() * 1e3);
    let took: Vec<_> = (0..ROUNDS).map(|number| publisher.round(records + u64::from(number))).collect();
    crate::tell(&format!("round/{records}"), took.iter().sum(), took);
}

/// A publisher without a server, with its journal in memory.
struct Publisher {
    _directory: TempDir,
    parties: Parties,
    journal: Vec<Entry>,
    desk: Desk,
    feed: Feed,
    sent: HashMap<ActId, Loose>,
    now: u64,
}

impl Publisher {
    /// One whose journal has an alert about each of so many subscribers.
    fn begin(records: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path());
        let (world, mut journal) = make_world(&place, NOW).unwrap();
        let mut desk = Desk::begin(&journal[0], world).unwrap();
        journal[1..].iter().for_each(|line| desk.replay(line).unwrap());
        let rules = journal.iter().map(|line| Rule { accepted: line.accepted, signed: read(line) }).collect();
        let key = keys::read(&place.operator()).unwrap();
        let disk = Folder::new(&directory.path().join("feed")).unwrap();
        let feed = Feed::open(disk, world, key, rules).unwrap();
        let mut parties = Parties::new(place, world, NOW);
        let alerts = (0..records).map(|number| alert(&mut parties, number, NOW));
        let behind = journal.len();
        journal.extend((behind as u64..).zip(alerts).map(|(place, signed)| entry(place, &signed)));
        let threads = thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        journal[behind..].chunks(4_096).for_each(|lines| desk.replay_all(lines, threads).unwrap());
        Self { _directory: directory, parties, journal, desk, feed, sent: HashMap::new(), now: NOW + 1 }
    }

    fn hand_in(&mut self, signed: &Signed) {
        let (_, entry) = self.desk.receive(&signed.encode(), self.now, [9; 32]).unwrap();
        self.journal.extend(entry);
    }

    /// Lets issuers state what is in force, and publishes it; how many have.
    fn state(&mut self) -> usize {
        let law = self.desk.law().unwrap();
        let due = due(&mut self.feed, self.desk.book(), law, &mut HashMap::new(), (self.now, 0)).unwrap();
        for (party, shard) in &due {
            self.feed.propose(*party, shard);
            let manifest = self.parties.manifest(*party, shard, self.now).unwrap();
            self.hand_in(&manifest);
        }
        assert!(self.publish());
        let size = self.desk.log().len();
        assert!(self.feed.wants(&self.desk, size, self.now).unwrap().is_empty(), "all of it is stated");
        due.len()
    }

    fn publish(&mut self) -> bool {
        let size = self.desk.log().len();
        let wanted = self.feed.wants(&self.desk, size, self.now).unwrap();
        for (id, place) in wanted {
            let line = &self.journal[place as usize];
            self.sent.entry(id).or_insert_with(|| Loose {
                place,
                accepted: line.accepted,
                signed: read(line),
            });
        }
        let root = self.desk.log().root(size).unwrap();
        self.feed.publish(self.desk.book(), &self.sent, (size, root), self.now).unwrap().is_some()
    }

    /// An act that is new, and how long it takes until a head states it.
    fn round(&mut self, number: u64) -> Duration {
        self.now += 1;
        let signed = alert(&mut self.parties, number, self.now);
        self.hand_in(&signed);
        let begin = Instant::now();
        assert!(self.publish());
        begin.elapsed()
    }
}

fn alert(parties: &mut Parties, number: u64, now: u64) -> Signed {
    let first = 0x2001_0db8 << 96 | u128::from(HOSTING) << 92 | u128::from(number) << 64;
    let said = (Measure::RateLimit, Score::new(400).unwrap());
    parties.alert(HOSTING, Prefix::containing(first, 64), said, now).unwrap()
}

fn entry(place: u64, signed: &Signed) -> Entry {
    let id = act_id(signed.bytes());
    Entry { place, accepted: NOW, id, salt: None, sent: Some(signed.encode()) }
}

fn read(line: &Entry) -> Signed {
    Signed::decode(line.sent.as_ref().unwrap()).unwrap()
}
