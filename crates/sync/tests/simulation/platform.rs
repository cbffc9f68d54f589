//! The platform: its desk, gate, journal, log and feed, with everything that happens to whoever runs them.

use std::collections::HashMap;
use std::net::IpAddr;

use credence_credit::ActId;
use credence_feed::witness::cosignatures;
use credence_feed::{Entry, FileRef, Head, Loose, Shard, Witness};
use credence_law::Signed;
use credence_law::party::{Function, Party, World};
use credence_platform::desk::{Desk, Entry as Line, Receipt, Rejection};
use credence_platform::feed::{Feed, due};
use credence_platform::gate::{Gate, Limits, Turned, is_forged};
use credence_platform::keys;
use credence_platform::log::Signer;
use credence_sync::feed::{Answer, Ask};
use ed25519_dalek::SigningKey;
use foldhash::fast::FixedState;

use crate::Sabotage;
use crate::cast::{BEGIN, Cast};
use crate::dice::Dice;
use crate::station::Station;

/// A version of the feed as it was put out.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    /// When, in milliseconds since the beginning.
    pub(crate) at_ms: u64,
    pub(crate) head: Vec<u8>,
    pub(crate) session: u64,
    pub(crate) serial: u64,
    pub(crate) log_size: u64,
    pub(crate) root: [u8; 32],
    /// How many rules it goes by.
    pub(crate) rules: u32,
}

/// What is in memory.
struct Running {
    desk: Desk,
    gate: Gate<FixedState>,
    feed: Feed,
    sent: HashMap<ActId, Loose>,
    since: HashMap<Party, u64>,
}

/// What became of something that was handed in.
pub(crate) enum Taken {
    /// It has a place; whether it had one before.
    Here(Receipt, bool),
    /// It is not taken, for this reason.
    Refused(&'static str),
    /// Nobody answers.
    Down,
}

/// What became of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It is out.
    Out,
    /// The power was gone before anybody was shown it.
    Lost,
    /// There was nothing new.
    Nothing,
}

/// The platform with its disk.
pub(crate) struct Platform {
    station: Station,
    world: World,
    operator: SigningKey,
    signer: Signer,
    journal: Vec<Line>,
    running: Option<Running>,
    /// Everything that was ever put out, in order, and all its files: what a mirror may have kept.
    pub(crate) history: Vec<Publication>,
    pub(crate) files: HashMap<[u8; 32], Vec<u8>>,
    witnesses: Vec<Witness>,
    /// What witnesses have seen, and when they said so, in milliseconds since the beginning.
    pub(crate) witnessed: Vec<(u64, Vec<u8>)>,
}

impl Platform {
    pub(crate) fn new(cast: &Cast, witnesses: Vec<Witness>, sabotage: Option<Sabotage>) -> Self {
        let operator = cast.key((Party::Operator, Function::Operation)).clone();
        let origin = format!("credence/{}", cast.world);
        let mut platform = Self {
            station: Station::default().that_forgets(sabotage == Some(Sabotage::Forgetful)),
            world: cast.world,
            signer: Signer::new(&origin, &operator),
            operator,
            journal: cast.founding.clone(),
            running: None,
            history: Vec::new(),
            files: HashMap::new(),
            witnesses,
            witnessed: Vec::new(),
        };
        platform.start();
        platform
    }

    /// Starts, from what is on the disk. Whether a head lies there that was written before the power went, and that nobody was shown.
    pub(crate) fn start(&mut self) -> bool {
        let mut desk = Desk::begin(&self.journal[0], self.world).unwrap();
        self.journal[1..].iter().for_each(|line| desk.replay(line).unwrap());
        let rules = rules(&self.journal, &desk);
        let feed = Feed::open(self.station.clone(), self.world, self.operator.clone(), rules).unwrap();
        let gate = Gate::new(Limits::default(), FixedState::with_seed(1));
        let (sent, since) = (HashMap::new(), HashMap::new());
        let found = feed.head().map(|(_, session, serial)| (session, serial));
        let last = self.newest().map(|last| (last.session, last.serial));
        self.running = Some(Running { desk, gate, feed, sent, since });
        let is_unshown = found.is_some() && found != last;
        if is_unshown {
            self.note(None);
        }
        is_unshown
    }

    /// The process is gone, with what is in memory.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    /// The power is gone, with whatever of its files was not told to stay.
    pub(crate) fn lose_power(&mut self, dice: &mut Dice) {
        self.stop();
        self.station.lose_power(dice);
    }

    pub(crate) const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn desk(&self) -> Option<&Desk> {
        self.running.as_ref().map(|running| &running.desk)
    }

    /// Somebody hands something in from an address, at `now`, in Unix seconds. Where `is_lost`, the machine stops after it was looked
    /// at and before it is written down.
    pub(crate) fn hand_in(
        &mut self,
        sent: &[u8],
        from: IpAddr,
        (now, now_ms): (u64, u64),
        (salt, is_lost): ([u8; 32], bool),
    ) -> Taken {
        let Some(running) = &mut self.running else { return Taken::Down };
        let Ok(signed) = Signed::decode(sent) else { return Taken::Refused("malformed") };
        let law = running.desk.law().unwrap();
        let charge = match running.gate.pass(law, &signed, from, (now, now_ms)) {
            Ok(charge) => charge,
            Err(Turned::Refused(refusal)) => return Taken::Refused(refusal.name()),
            Err(Turned::Quota { .. }) => return Taken::Refused("quota"),
            Err(Turned::Strangers { .. }) => return Taken::Refused("strangers"),
        };
        match running.desk.receive(sent, now, salt) {
            Ok(_) if is_lost => {
                self.stop();
                Taken::Down
            }
            Ok((receipt, line)) => {
                let is_new = line.is_some();
                self.journal.extend(line);
                Taken::Here(receipt, !is_new)
            }
            Err(Rejection::Refused(refusal)) => {
                if is_forged(refusal) {
                    running.gate.forged(charge, now_ms);
                }
                Taken::Refused(refusal.name())
            }
            Err(Rejection::Rules(_)) => Taken::Refused("rules"),
            Err(Rejection::Clock) => Taken::Refused("clock"),
            Err(fault) => panic!("{fault}"),
        }
    }

    /// The manifests that are due when issuers wait no longer than `waits` seconds, with the rows that they state.
    pub(crate) fn due(&mut self, now: u64, waits: u64) -> Vec<(Party, Shard)> {
        let Some(Running { desk, feed, since, .. }) = &mut self.running else { return Vec::new() };
        let due = due(feed, desk.book(), desk.law().unwrap(), since, (now, waits)).unwrap();
        due.iter().for_each(|(party, shard)| feed.propose(*party, shard));
        due
    }

    /// What an issuer states in the feed.
    pub(crate) fn stated(&self, party: Party) -> Option<Shard> {
        self.running.as_ref()?.feed.stated(party).map(|(_, shard)| shard.clone())
    }

    /// Publishes what is in force; whether there is a new head. Where it `stops`, the power goes after so many steps of the disk.
    pub(crate) fn publish(&mut self, (now, at_ms): (u64, u64), stops: Option<u32>) -> Put {
        let Some(running) = &mut self.running else { return Put::Nothing };
        let Running { desk, feed, sent, .. } = running;
        if desk.rules().len() != feed.rules().len() as usize {
            feed.adopt(rules(&self.journal, desk)).unwrap();
        }
        let size = desk.log().len();
        let wanted = feed.wants(desk, size, now).unwrap();
        let mut kept = HashMap::new();
        for (id, place) in wanted {
            let line = &self.journal[place as usize];
            let read = || Loose {
                place,
                accepted: line.accepted,
                signed: Signed::decode(line.sent.as_ref().unwrap()).unwrap(),
            };
            kept.insert(id, sent.remove(&id).unwrap_or_else(read));
        }
        *sent = kept;
        let root = desk.log().root(size).unwrap();
        if let Some(steps) = stops {
            self.station.stop_after(steps);
        }
        let published = feed.publish(desk.book(), sent, (size, root), now);
        if stops.is_some() {
            // Perhaps all was written, and nobody was shown it.
            return Put::Lost;
        }
        if published.unwrap().is_none() {
            return Put::Nothing;
        }
        self.note(Some(at_ms));
        Put::Out
    }

    /// Remembers what was put out, at this moment or when its head says.
    fn note(&mut self, at_ms: Option<u64>) {
        let Some(Running { desk, feed, .. }) = &self.running else { return };
        let (bytes, session, serial) = feed.head().unwrap();
        let signed = Signed::decode(&bytes).unwrap();
        let head = Head::open(&signed, desk.law().unwrap()).unwrap();
        let mut named: Vec<FileRef> = head.deltas.iter().map(|delta| delta.file.clone()).collect();
        if let Some(list) = feed.file(&head.snapshot.hash) {
            let list = credence_feed::SnapshotList::decode(&list).unwrap();
            named.extend(list.shards.0.into_iter().map(|shard| shard.file));
        }
        named.push(head.snapshot.clone());
        for file in named {
            if let (false, Some(bytes)) = (self.files.contains_key(&file.hash), feed.file(&file.hash)) {
                self.files.insert(file.hash, bytes.to_vec());
            }
        }
        self.history.push(Publication {
            at_ms: at_ms.unwrap_or_else(|| (head.issued - BEGIN) * 1_000),
            head: bytes.to_vec(),
            session,
            serial,
            log_size: head.log_size,
            root: head.root,
            rules: head.rules,
        });
    }

    /// The newest version.
    pub(crate) fn newest(&self) -> Option<&Publication> {
        self.history.last()
    }

    /// Somebody damages a file of the feed on the platform's own disk.
    pub(crate) fn rot(&self, number: usize) {
        self.station.rot(number);
    }

    /// A witness looks at the log, of which it has seen so many entries with that root, and hands in what it has seen. What it has
    /// seen now.
    pub(crate) fn cosign(
        &mut self,
        (witness, key): (&Witness, &SigningKey),
        seen: Option<(u64, [u8; 32])>,
        now_ms: u64,
    ) -> Option<(u64, [u8; 32])> {
        let now = unix(now_ms);
        let log = self.desk()?.log();
        let size = log.len();
        let root = log.root(size)?;
        if let Some((before, was)) = seen {
            let path = log.consistency(before, size)?;
            assert!(credence_feed::log::is_consistent(&path, size, &root, (before, &was)), "the log forked");
        }
        let mut note = self.signer.checkpoint_of(log, size)?;
        note.extend(witness.cosign(key, &note, now)?);
        assert_eq!(cosignatures(&note, &self.witnesses).map(|said| said.len()), Some(1));
        self.witnessed.push((now_ms, note));
        Some((size, root))
    }

    /// What the platform itself answers.
    pub(crate) fn answer(&self, ask: &Ask) -> Option<Answer> {
        let Running { feed, .. } = self.running.as_ref()?;
        let bytes = match ask {
            // None before there is one by the newest rules.
            Ask::Head => feed.offered().map(|offered| offered.head().to_vec()),
            Ask::File(FileRef { hash, .. }) => feed.file(hash).map(|bytes| bytes.to_vec()),
            Ask::Witnessed => self.witnessed.last().map(|(_, note)| note.clone()),
            _ => return Some(self.of_old(ask)),
        };
        Some(bytes.map_or(Answer::Missing, Answer::Bytes))
    }

    /// What never changes once it is there, as everybody may have kept it.
    pub(crate) fn of_old(&self, ask: &Ask) -> Answer {
        let bytes = match ask {
            Ask::Rule(number) => self
                .running
                .as_ref()
                .and_then(|running| running.feed.rules().entries().get(*number as usize).map(Entry::encode)),
            Ask::File(FileRef { hash, .. }) => self.files.get(hash).cloned(),
            Ask::Consistency(before, size) => {
                let path = self.desk().and_then(|desk| desk.log().consistency(*before, *size));
                path.map(|path| {
                    let path: Vec<String> = path.iter().map(|hash| keys::hex(hash)).collect();
                    format!("{{\"path\":{path:?}}}").into_bytes()
                })
            }
            Ask::Tile(path) => self.desk().and_then(|desk| desk.log().tile(path)),
            Ask::Head | Ask::Witnessed => None,
        };
        bytes.map_or(Answer::Missing, Answer::Bytes)
    }
}

/// The rules, from the journal.
fn rules(journal: &[Line], desk: &Desk) -> Vec<Entry> {
    let entry = |place: &u64| {
        let line = &journal[*place as usize];
        Entry { accepted: line.accepted, signed: Signed::decode(line.sent.as_ref().unwrap()).unwrap() }
    };
    desk.rules().iter().map(entry).collect()
}

/// The moment so many milliseconds after the beginning, in Unix seconds.
pub(crate) const fn unix(at_ms: u64) -> u64 {
    BEGIN + at_ms / 1_000
}
