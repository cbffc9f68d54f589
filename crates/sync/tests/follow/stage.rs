//! A world with a publisher, a mirror that says what it is told to say, and a gateway that follows it; without network or clock.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv6Addr;

use credence_credit::{ActId, Measure, Record, Score};
use credence_feed::proposal::{Proposal, grounds};
use credence_feed::{Entry, FileRef, Head, Loose, Many, Reject, Rulebook, Shard, SnapshotList, State};
use credence_law::acts::Ground;
use credence_law::party::{Function, KeyId, MemberId, Party, World, act_id};
use credence_law::registry::Registry;
use credence_law::{Object, Rules, Signed};
use credence_platform::complaint::{Answered, Challenger};
use credence_platform::desk::{Desk, Entry as Line};
use credence_platform::disk::Folder;
use credence_platform::example::{Parties, Place, VISITORS, make_world};
use credence_platform::feed::{Feed, due};
use credence_platform::keys;
use credence_platform::log::Log;
use credence_prefix::Prefix;
use credence_sync::feed::evidence::{Evidence, keep_evidence};
use credence_sync::feed::{Answer, Ask, Disk, Done, Follower, Kept, Pinned};
use ed25519_dalek::SigningKey;
use tempfile::TempDir;

/// When everything begins, in Unix seconds.
pub(crate) const BEGIN: u64 = 1_800_000_000;

/// A publisher with its journal.
pub(crate) struct Publisher {
    directory: TempDir,
    pub(crate) place: Place,
    pub(crate) world: World,
    pub(crate) desk: Desk,
    journal: Vec<Line>,
    pub(crate) parties: Parties,
    pub(crate) feed: Feed,
    since: HashMap<Party, u64>,
    pub(crate) now: u64,
}

impl Publisher {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path());
        let (world, journal) = make_world(&place, BEGIN).unwrap();
        let mut desk = Desk::begin(&journal[0], world).unwrap();
        journal[1..].iter().for_each(|line| desk.replay(line).unwrap());
        let feed = feed(&directory, &place, world, &journal, &desk);
        let parties = Parties::new(place.clone(), world, BEGIN);
        let mut publisher =
            Self { directory, place, world, desk, journal, parties, feed, since: HashMap::new(), now: BEGIN };
        publisher.publish();
        publisher
    }

    /// Starts the publisher anew, from what is on its disk.
    pub(crate) fn restart(&mut self) {
        self.feed = feed(&self.directory, &self.place, self.world, &self.journal, &self.desk);
    }

    /// Loses the newest entries for good, as when an older backup is restored, and goes on in a new session.
    pub(crate) fn lose(&mut self, entries: usize) {
        self.journal.truncate(self.journal.len() - entries);
        self.desk = Desk::begin(&self.journal[0], self.world).unwrap();
        self.journal[1..].iter().for_each(|line| self.desk.replay(line).unwrap());
        Feed::begin_session(&self.directory.path().join("feed")).unwrap();
        self.restart();
    }

    /// All rules, from the journal.
    pub(crate) fn rules(&self) -> Vec<Entry> {
        rules(&self.journal, &self.desk)
    }

    /// The feed as a start with these rules finds it.
    pub(crate) fn reopened(&self, rules: Vec<Entry>) -> Result<Feed, String> {
        let disk = Folder::new(&self.directory.path().join("feed")).unwrap();
        Feed::open(disk, self.world, self.operator(), rules).map_err(|fault| fault.to_string())
    }

    /// Takes something in.
    #[track_caller]
    pub(crate) fn hand_in(&mut self, signed: &Signed) -> ActId {
        let (receipt, entry) = self.desk.receive(&signed.encode(), self.now, [9; 32]).unwrap();
        self.journal.extend(entry);
        receipt.id
    }

    /// Publishes what is in force now; whether that was something new.
    pub(crate) fn publish(&mut self) -> bool {
        if self.desk.rules().len() != self.feed.rules().len() as usize {
            self.feed.adopt(rules(&self.journal, &self.desk)).unwrap();
        }
        let size = self.desk.log().len();
        let wanted = self.feed.wants(&self.desk, size, self.now).unwrap();
        let sent = wanted.iter().map(|(id, place)| (*id, self.act(*place))).collect();
        let root = self.desk.log().root(size).unwrap();
        self.feed.publish(self.desk.book(), &sent, (size, root), self.now).unwrap().is_some()
    }

    /// Makes the manifests that are due when issuers wait no longer than `waits` seconds; how many.
    pub(crate) fn attest(&mut self, waits: u64) -> usize {
        let law = self.desk.law().unwrap();
        let due = due(&mut self.feed, self.desk.book(), law, &mut self.since, (self.now, waits)).unwrap();
        for (party, shard) in &due {
            self.feed.propose(*party, shard);
            let manifest = self.parties.manifest(*party, shard, self.now).unwrap();
            self.hand_in(&manifest);
        }
        due.len()
    }

    /// An act as it travels.
    fn act(&self, place: u64) -> Loose {
        let line = &self.journal[place as usize];
        let signed = Signed::decode(line.sent.as_ref().unwrap()).unwrap();
        Loose { place, accepted: line.accepted, signed }
    }

    /// What a party is asked to state when it waits no longer than `waits` seconds, and the rows that come of it.
    pub(crate) fn ask(&mut self, party: Party, waits: u64) -> Option<(Proposal, Shard)> {
        let law = self.desk.law().unwrap();
        let due = due(&mut self.feed, self.desk.book(), law, &mut self.since, (self.now, waits)).unwrap();
        let (_, next) = due.into_iter().find(|(due, _)| *due == party)?;
        let (mut asked, rows) = Proposal::towards(&next, (party, self.feed.stated(party)), self.now).unwrap();
        self.feed.propose(party, &rows);
        let grounds = grounds(self.desk.book(), &asked.put.0, self.now);
        let mut acts: Vec<_> =
            grounds.iter().map(|id| self.act(self.desk.receipt(id).unwrap().place)).collect();
        acts.sort_unstable_by_key(|act| act.place);
        asked.acts = Many(acts);
        Some((asked, rows))
    }

    /// A member's alert about one of its sites.
    pub(crate) fn alert(&mut self, member: u16, site: u16) -> ActId {
        let prefix = format!("2001:db8:{member:x}{site:03x}::/48").parse().unwrap();
        let said = (Measure::RateLimit, Score::new(400).unwrap());
        let alert = self.parties.alert(member, prefix, said, self.now).unwrap();
        self.hand_in(&alert)
    }

    /// Reports, an opinion and a decision to drop; of a site whose visitors can complain.
    pub(crate) fn decide(&mut self) -> (Prefix, ActId) {
        let subject = Prefix::containing(VISITORS.first(), 48);
        let reports = [1, 2].map(|member| {
            let report = self.parties.report(member, subject, self.now).unwrap();
            (self.hand_in(&report), member)
        });
        let opinion = self.parties.opinion(&reports, self.now).unwrap();
        let opinion = self.hand_in(&opinion);
        let score = Score::new(120).unwrap();
        let decision = self.parties.decision(subject, score, (&reports, opinion), self.now).unwrap();
        (subject, self.hand_in(&decision))
    }

    /// A member takes an alert of its own back.
    pub(crate) fn lift(&mut self, member: u16, act: ActId) {
        let lifting = self.parties.lift(member, act, self.now).unwrap();
        self.hand_in(&lifting);
    }

    /// Somebody who answers from the site complains, and has the relief that follows.
    pub(crate) fn complain(&mut self, against: ActId) -> (ActId, ActId) {
        let [operator, executive] =
            [self.place.operator(), self.place.executive()].map(|path| keys::read(&path).unwrap());
        let challenger = Challenger::new([3; 32]);
        let address = Ipv6Addr::from_bits(VISITORS.first() | 5);
        let challenge = self.desk.challenge(&challenger, &against, address, self.now).unwrap();
        let answered = Answered {
            challenge: &challenge.text,
            from: address,
            ground: Ground::Error,
            commitment: [5; 32],
        };
        let complaint = self.desk.complain(&challenger, &answered, &operator, self.now).unwrap();
        let complaint = self.hand_in(&complaint);
        let relief = self.desk.owed_relief(&executive, self.now).unwrap();
        (complaint, self.hand_in(&relief))
    }

    /// The root's keepers give the operator another key, and take the old one's word away. The feed begins a new session with it.
    pub(crate) fn replace_operator(&mut self) {
        self.now += 1;
        let key = SigningKey::from_bytes(&[0x5a; 32]);
        let signed = self.next_registry(|registry| {
            registry.revoked = vec![KeyId::of(&registry.operator.keys[0].public)];
            registry.operator.keys[0].public = key.verifying_key().to_bytes();
        });
        self.hand_in(&signed);
        let rules = rules(&self.journal, &self.desk);
        let disk = Folder::new(&self.directory.path().join("feed")).unwrap();
        self.feed = Feed::open(disk, self.world, key, rules).unwrap();
    }

    /// The registry that follows, with a change, signed by two keepers of the root. It is handed in by whoever wants it in force.
    pub(crate) fn next_registry(&self, change: impl FnOnce(&mut Registry)) -> Signed {
        let mut registry = self.desk.law().unwrap().register().registry().clone();
        registry.version += 1;
        let is_registry = |entry: &&Entry| {
            let rule = Object::<Rules>::decode(entry.signed.bytes());
            rule.is_ok_and(|rule| matches!(rule.body, Rules::Registry(_)))
        };
        let last = self.feed.rules().entries().iter().rfind(is_registry).unwrap();
        registry.previous = Some(act_id(last.signed.bytes()));
        change(&mut registry);
        let rule = Object::new(self.world, Rules::Registry(registry)).encode();
        Signed::with(rule, &[1, 2].map(|number| self.root(number)))
    }

    /// A secret key of the root: there are three, and two must sign.
    pub(crate) fn root(&self, number: u8) -> SigningKey {
        let keepers = self.directory.path().join("parties").join("root");
        keys::read(&keepers.join(format!("{number}.key"))).unwrap()
    }

    /// Lets rules come into force that were handed in.
    pub(crate) fn adopt(&mut self, signed: &Signed) {
        self.hand_in(signed);
        self.publish();
    }

    /// The rules with those that were handed in since the feed knows them.
    pub(crate) fn with_rules(&self) -> Rulebook {
        let mut entries = rules(&self.journal, &self.desk).into_iter();
        let mut rules = Rulebook::begin(entries.next().unwrap(), self.world).unwrap();
        entries.for_each(|entry| rules.follow(entry).unwrap());
        rules
    }

    /// The list of everything that is in force.
    pub(crate) fn list(&self) -> SnapshotList {
        SnapshotList::decode(&self.feed.file(&self.head().1.snapshot.hash).unwrap()).unwrap()
    }

    /// What a mirror says when whoever has the operator's key makes a list with a change: the head and the list's file.
    pub(crate) fn relisted(&self, change: impl FnOnce(&mut SnapshotList)) -> Lies {
        let mut list = self.list();
        change(&mut list);
        let bytes = list.encode();
        let (_, mut head) = self.head();
        head.serial += 1_000;
        // Of another state, or nobody would ask for the list.
        head.root = [1; 32];
        head.snapshot = FileRef::of(&bytes);
        head.deltas.clear();
        let list = format!("feed/files/{}", head.snapshot.name());
        let head = Signed::with(head.object(self.world).encode(), [&self.operator()]).encode();
        Lies::from([("feed/head".to_owned(), Answer::Bytes(head)), (list, Answer::Bytes(bytes))])
    }

    /// What the platform itself says is in force.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.desk.book().records(self.desk.law().unwrap(), self.now).1
    }

    /// The key with which the operator signs heads.
    pub(crate) fn operator(&self) -> SigningKey {
        keys::read(&self.place.operator()).unwrap()
    }

    /// A key of somebody else's.
    pub(crate) fn stranger(&self) -> SigningKey {
        keys::read(&self.place.member(1, Function::Alerts)).unwrap()
    }

    /// The head that is published, as it was signed and as it is read.
    pub(crate) fn head(&self) -> (Signed, Head) {
        let signed = Signed::decode(&self.feed.head().unwrap().0).unwrap();
        let head = Object::<Head>::decode(signed.bytes()).unwrap().body;
        (signed, head)
    }
}

fn feed(directory: &TempDir, place: &Place, world: World, journal: &[Line], desk: &Desk) -> Feed {
    let key = keys::read(&place.operator()).unwrap();
    let disk = Folder::new(&directory.path().join("feed")).unwrap();
    Feed::open(disk, world, key, rules(journal, desk)).unwrap()
}

fn rules(journal: &[Line], desk: &Desk) -> Vec<Entry> {
    let entry = |place: &u64| {
        let line = &journal[*place as usize];
        let signed = Signed::decode(line.sent.as_ref().unwrap()).unwrap();
        Entry { accepted: line.accepted, signed }
    };
    desk.rules().iter().map(entry).collect()
}

/// What a mirror says in the place of what it should: whoever holds one can say anything.
pub(crate) type Lies = HashMap<String, Answer>;

/// Answers as an honest mirror would.
pub(crate) fn honest(publisher: &Publisher, ask: &Ask) -> Answer {
    let bytes = match ask {
        Ask::Rule(number) => publisher.feed.rules().entries().get(*number as usize).map(Entry::encode),
        Ask::Head => publisher.feed.head().map(|(head, ..)| head.to_vec()),
        Ask::File(FileRef { hash, .. }) => publisher.feed.file(hash).map(|bytes| bytes.to_vec()),
        Ask::Consistency(before, size) => consistency(publisher.desk.log(), *before, *size),
        Ask::Tile(path) => publisher.desk.log().tile(path),
        Ask::Witnessed => None,
    };
    bytes.map_or(Answer::Missing, Answer::Bytes)
}

/// The proof that a log begins with what it was, as a platform answers it.
pub(crate) fn consistency(log: &Log, before: u64, size: u64) -> Option<Vec<u8>> {
    let path: Vec<String> = log.consistency(before, size)?.iter().map(|hash| keys::hex(hash)).collect();
    let [before_root, root] = [before, size].map(|size| keys::hex(&log.root(size).unwrap()));
    let proof = format!(
        "{{\"before\":{before},\"before_root\":\"{before_root}\",\"size\":{size},\"root\":\"{root}\",\"path\":{path:?}}}"
    );
    Some(proof.into_bytes())
}

/// A gateway.
pub(crate) struct Gateway<D> {
    pub(crate) disk: D,
    pub(crate) follower: Follower,
    pub(crate) pinned: Pinned,
    /// The paths that were asked for in the last round.
    pub(crate) asked: Vec<String>,
    /// What was noticed in the last round that cannot be true together.
    pub(crate) evidence: Option<Evidence>,
}

/// A disk in memory.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Memory(pub(crate) BTreeMap<String, Vec<u8>>);

/// The names of its files with their hashes.
impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(name, bytes)| (name, FileRef::of(bytes).name()))).finish()
    }
}

impl Disk for Memory {
    fn read(&self, name: &str, most: u64) -> std::io::Result<Option<Vec<u8>>> {
        let found = self.0.get(name).cloned();
        if found.as_ref().is_some_and(|bytes| bytes.len() as u64 > most) {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        Ok(found)
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        self.0.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&mut self, name: &str) -> std::io::Result<()> {
        self.0.remove(name);
        Ok(())
    }

    fn names(&self) -> std::io::Result<Vec<String>> {
        Ok(self.0.keys().cloned().collect())
    }
}

impl Gateway<Memory> {
    pub(crate) fn new(publisher: &Publisher) -> Self {
        let world = publisher.world;
        let origin = format!("credence/{world}");
        let pinned = Pinned { world, origin, witnesses: Vec::new(), witness_quorum: 0, allow_example: true };
        Self::on(Memory::default(), pinned)
    }
}

impl<D: Disk> Gateway<D> {
    pub(crate) fn on(disk: D, pinned: Pinned) -> Self {
        let (_, faults) = Kept::read(&disk, pinned.world);
        assert!(faults.is_empty(), "{faults:?}");
        Self::with_faults(disk, pinned)
    }

    /// Begins with a disk on which something does not stand any more.
    pub(crate) fn with_faults(disk: D, pinned: Pinned) -> Self {
        let (kept, _) = Kept::read(&disk, pinned.world);
        Self {
            disk,
            follower: Follower::new(pinned.clone(), kept),
            pinned,
            asked: Vec::new(),
            evidence: None,
        }
    }

    /// Ends the process and starts it again.
    pub(crate) fn restart(self) -> Self {
        Self::on(self.disk, self.pinned)
    }

    /// One round at `now`; whether something is new.
    pub(crate) fn refresh(
        &mut self,
        now: u64,
        mut mirror: impl FnMut(&Ask) -> Answer,
    ) -> Result<bool, Reject> {
        self.asked.clear();
        let mut refresh = self.follower.refresh(now);
        let (mut rules, mut done) = (None, Ok(None));
        while let Some(ask) = refresh.ask() {
            self.asked.push(ask.path());
            let answer = mirror(&ask);
            assert!(
                !matches!(&answer, Answer::Bytes(bytes) if bytes.len() > ask.bytes_max()),
                "too long is not read"
            );
            done = refresh.answer(answer);
            rules = refresh.take_rules().or(rules);
            self.evidence = refresh.take_evidence();
            if !matches!(done, Ok(None)) {
                break;
            }
        }
        if let Some(rules) = rules {
            credence_sync::feed::keep_rules(&mut self.disk, &rules).unwrap();
            self.follower.adopt(rules);
        }
        if let Some(evidence) = &self.evidence {
            let at = (self.pinned.world, now, "https://mirror.example/feed/head".to_owned());
            keep_evidence(&mut self.disk, evidence, at).unwrap();
        }
        match done?.expect("a round ends with something") {
            Done::Same => Ok(false),
            Done::New(next) => {
                credence_sync::feed::keep_trusted(&mut self.disk, &next).unwrap();
                let head = next.head.clone();
                self.follower.commit(*next);
                credence_sync::feed::keep_state(&mut self.disk, &head, self.follower.held().unwrap())
                    .unwrap();
                Ok(true)
            }
        }
    }

    /// A round with an honest mirror, at the publisher's time.
    #[track_caller]
    pub(crate) fn follow(&mut self, publisher: &Publisher) -> bool {
        self.refresh(publisher.now, |ask| honest(publisher, ask)).unwrap()
    }

    /// A round with a mirror that lies in some places.
    pub(crate) fn lied_to(&mut self, publisher: &Publisher, lies: &Lies) -> Result<bool, Reject> {
        let answer = |ask: &Ask| lies.get(&ask.path()).cloned().unwrap_or_else(|| honest(publisher, ask));
        self.refresh(publisher.now, answer)
    }

    /// What is in force.
    pub(crate) fn state(&self) -> &State {
        &self.follower.held().unwrap().state
    }

    /// The records in force.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.follower.snapshot().unwrap().map_or_else(Vec::new, |snapshot| snapshot.records().to_vec())
    }

    /// The measure for a prefix.
    pub(crate) fn measure(&self, prefix: Prefix) -> Option<Measure> {
        self.records().iter().find(|record| record.prefix == prefix).map(|record| record.measure)
    }

    /// Everything that could change.
    pub(crate) fn standing(&self) -> (credence_sync::feed::Trusted, Vec<Record>) {
        (self.follower.trusted().clone(), self.records())
    }
}

/// A member.
pub(crate) fn member(number: u16) -> Party {
    Party::Member(MemberId(number))
}
