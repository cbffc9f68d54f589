//! A world with a hundred issuers, whose feed is as large as wanted, without network or clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use credence_benches::random::Random;
use credence_credit::{ActRef, Authority, EvidenceClass, Measure, Rating, Reason, Score};
use credence_feed::{
    Delta, DeltaRef, Entry, FileRef, Head, Parts, Row, Rulebook, Shard, SnapshotList, State,
};
use credence_law::acts::{Manifest, Preamble, Purpose};
use credence_law::catalogue::Catalogue;
use credence_law::layout::Text;
use credence_law::party::{Function, MemberId, Party, World, act_id};
use credence_law::registry::{Holding, Key, Member, Office, Registry};
use credence_law::standard::Standard;
use credence_law::{Act, Object, Root, Rules, Signed};
use credence_prefix::Prefix;
use credence_sync::feed::Pinned;
use ed25519_dalek::SigningKey;

use super::put;

/// When everything begins, in Unix seconds.
const BEGIN: u64 = 1_800_000_000;
/// Those who state something.
pub(crate) const ISSUERS: u16 = 100;
const DAY: u64 = 86_400;

/// A publisher and its issuers, with all their keys.
pub(crate) struct Publisher {
    world: World,
    rules: Arc<Rulebook>,
    random: Random,
    serial: u64,
    now: u64,
    state: State,
    /// Rows by issuer, in the order of their keys.
    rows: Vec<Vec<Row>>,
    mirror: PathBuf,
    /// What was put there so far, in bytes.
    bytes: usize,
    head: Option<Signed>,
}

fn key(number: u16) -> SigningKey {
    let mut seed = [7; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    SigningKey::from_bytes(&seed)
}

fn operator() -> SigningKey {
    key(60_000)
}

fn text(text: &str) -> Text {
    Text::new(text).expect("plain")
}

/// What a member holds: a /32.
const fn holding(member: u16) -> Prefix {
    Prefix::containing((0x2a00_0000 | member as u128) << 96, 32)
}

fn registry() -> Registry {
    let key = |function, number| Key {
        function,
        public: key(number).verifying_key().to_bytes(),
        from: BEGIN - DAY,
        until: BEGIN + 300 * DAY,
    };
    let office =
        |name: &str, function, number| Office { organisation: text(name), keys: vec![key(function, number)] };
    let member = |id: u16| Member {
        id: MemberId(id),
        name: text(&format!("network {id}")),
        organisation: text(&format!("organisation {id}")),
        mandate_until: BEGIN + 300 * DAY,
        complaints: text("https://complaints.example/"),
        keys: vec![key(Function::Alerts, id)],
        holdings: vec![Holding { prefix: holding(id), delegated: None }],
    };
    Registry {
        version: 1,
        previous: None,
        members: (1..=ISSUERS).map(member).collect(),
        advisers: vec![office("advisers", Function::Advice, 60_002)],
        executive: office("executive", Function::Execution, 60_001),
        operator: office("operator", Function::Operation, 60_000),
        quorum: ISSUERS / 2 + 1,
        advice_quorum: 1,
        operation_quorum: 1,
        revoked: Vec::new(),
    }
}

fn rules() -> (World, Vec<Entry>) {
    let root_key = key(60_003);
    let root = Root {
        version: 1,
        previous: None,
        name: text("a bench"),
        is_example: false,
        keys: vec![root_key.verifying_key().to_bytes()],
        threshold: 1,
        expires: BEGIN + 300 * DAY,
    };
    let sign = |world, rules| Signed::with(Object::new(world, rules).encode(), [&root_key]);
    let first = sign(World::UNBORN, Rules::Root(root));
    let world = World(act_id(first.bytes()).0);
    let more = [
        Rules::Registry(registry()),
        Rules::Catalogue(Catalogue::first()),
        Rules::Standard(Standard::first()),
    ];
    let signed = std::iter::once(first).chain(more.map(|rules| sign(world, rules)));
    (world, signed.map(|signed| Entry { accepted: BEGIN - 60, signed }).collect())
}

impl Publisher {
    /// A publisher whose issuers state about so many rows in all.
    pub(crate) fn new(rows: usize, mirror: &Path) -> Self {
        let (world, entries) = rules();
        let mut entries = entries.into_iter();
        let mut rules = Rulebook::begin(entries.next().expect("a root"), world).expect("a root");
        entries.for_each(|entry| rules.follow(entry).expect("a rule"));
        let rules = Arc::new(rules);
        let state = State::check(&rules, Parts::default(), None, BEGIN).expect("nothing stands");
        let mut random = Random::new(1);
        let each = rows / usize::from(ISSUERS);
        let rows = (1..=ISSUERS).map(|member| {
            let mut rows: Vec<Row> = (0..each).map(|_| row(&mut random, member)).collect();
            rows.sort_unstable_by_key(Row::key);
            rows.dedup_by_key(|row| row.key());
            rows
        });
        let rows = rows.collect();
        let mut this = Self {
            world,
            rules,
            random,
            serial: 0,
            now: BEGIN,
            state,
            rows,
            mirror: mirror.to_owned(),
            bytes: 0,
            head: None,
        };
        for (number, entry) in this.rules.entries().iter().enumerate() {
            put(mirror, &format!("feed/rules/{number}"), &entry.encode());
        }
        let issued =
            (1..=ISSUERS).map(|member| this.stated(member, |rows| Shard::new(rows).expect("in order")));
        let parts = Parts { issued: issued.collect(), ..Parts::default() };
        this.publish(parts);
        this
    }

    /// The world.
    pub(crate) const fn world(&self) -> World {
        self.world
    }

    /// How large the snapshot is, in bytes, before anything was changed.
    pub(crate) const fn snapshot_bytes(&self) -> usize {
        self.bytes
    }

    /// Publishes a version in which so many rows of `spread` issuers are others: a third of them new, a third gone, a third say something
    /// else. The other issuers' manifests stand as they are.
    pub(crate) fn change(&mut self, count: usize, spread: usize) {
        self.now += 1;
        let each = count / spread;
        let mut parts = self.state.parts();
        let mut rows = std::mem::take(&mut self.rows);
        // Others each time, where not all.
        let first = self.serial as usize * spread % usize::from(ISSUERS);
        let others = (1..=ISSUERS).zip(&mut rows).skip(first).take(spread);
        let mut changed = Vec::with_capacity(spread);
        for (member, rows) in others {
            changed.push(member);
            for at in 0..each {
                let place = self.random.below(rows.len() as u64) as usize;
                match at % 3 {
                    0 => drop(rows.swap_remove(place)),
                    1 => rows[place].expires += 60,
                    _ => rows.push(row(&mut self.random, member)),
                }
            }
            rows.sort_unstable_by_key(Row::key);
            rows.dedup_by_key(|row| row.key());
        }
        self.rows = rows;
        for member in changed {
            let (_, before) = &parts.issued[&Party::Member(MemberId(member))];
            let (party, stated) = self.stated(member, |rows| before.followed_by(rows).expect("in order"));
            parts.issued.insert(party, stated);
        }
        self.publish(parts);
    }

    /// What a member states of its rows now, and signs.
    fn stated(&self, member: u16, shard: impl Fn(&[Row]) -> Shard) -> (Party, (Signed, Shard)) {
        let party = Party::Member(MemberId(member));
        let shard = shard(&self.rows[usize::from(member) - 1]);
        let preamble = Preamble {
            issuer: party,
            number: self.serial + 1,
            issued: self.now,
            expires: self.now + 3_600,
            registry: 1,
            purpose: Purpose::Governance,
        };
        let manifest = Manifest { preamble, count: shard.len(), digest: shard.digest() };
        let act: Act = manifest.into();
        let signed = Signed::with(Object::new(self.world, act).encode(), [&key(member)]);
        (party, (signed, shard))
    }

    fn publish(&mut self, parts: Parts) {
        let state = State::check(&self.rules, parts, Some(&self.state), self.now).expect("it stands");
        let mut write = |bytes: Vec<u8>| {
            let file = FileRef::of(&bytes);
            put(&self.mirror, &format!("feed/files/{}", file.name()), &bytes);
            self.bytes += bytes.len();
            file
        };
        let (snapshot, deltas) = if self.serial == 0 {
            let (list, packed) = SnapshotList::of(&state, |_| None);
            packed.into_iter().for_each(|(_, bytes)| _ = write(bytes));
            (write(list.encode()), Vec::new())
        } else {
            // Nobody asks for the whole: all come by the delta.
            let (from, to) = (self.serial, self.serial + 1);
            let file = write(Delta::between((from, &self.state), (to, &state)).encode());
            (file.clone(), vec![DeltaRef { from, to, file }])
        };
        let head = Head {
            session: 1,
            serial: self.serial + 1,
            previous: self.head.as_ref().map_or([0; 32], Head::hash),
            issued: self.now,
            expires: self.now + 600,
            log_size: 4,
            log_root: [4; 32],
            rules: self.rules.len(),
            rules_digest: self.rules.digest(),
            root: state.root(),
            snapshot,
            deltas,
        };
        let head = Signed::with(head.object(self.world).encode(), [&operator()]);
        put(&self.mirror, "feed/head", &head.encode());
        put(&self.mirror, "now", self.now.to_string().as_bytes());
        self.head = Some(head);
        (self.serial, self.state) = (self.serial + 1, state);
    }
}

/// What a gateway is to trust of a world.
pub(crate) fn pinned(world: World) -> Pinned {
    let origin = format!("credence/{world}");
    Pinned { world, origin, witnesses: Vec::new(), witness_quorum: 0, allow_example: false }
}

/// The moment at which what is in a mirror was published, in Unix seconds.
pub(crate) fn now(mirror: &Path) -> u64 {
    fs::read_to_string(mirror.join("now")).expect("something was published").parse().expect("a number")
}

/// An address of somebody about whom there may be a row.
pub(crate) fn address(random: &mut Random) -> u128 {
    let member = 1 + random.below(ISSUERS.into()) as u16;
    // A sixteenth of the /32, as where customers live.
    holding(member).first() | (random.wide() & (u128::MAX >> 36))
}

/// A member's word about a block of its own, as long as a customer has.
fn row(random: &mut Random, member: u16) -> Row {
    let len = [56, 64, 64][random.below(3) as usize];
    let address = holding(member).first() | (random.wide() & (u128::MAX >> 36));
    Row {
        prefix: Prefix::containing(address, len),
        authority: Authority::OwnAlert,
        rating: Rating::of(Score::new(random.below(500) as u16).expect("below the most")),
        measure: Measure::RateLimit,
        reasons: [Reason::Scanning, Reason::SpamSource][random.below(2) as usize].into(),
        evidence: EvidenceClass::Confirmed,
        signatures: 1,
        expires: BEGIN + 600 + random.below(80 * DAY / 60) * 60,
        act: ActRef(random.bits().to_be_bytes()),
    }
}
