//! The parties of a world in earnest: ten members, three advisers, an executive and an operator, each with its keys.

use std::collections::{BTreeMap, HashMap};

use credence_credit::{ActId, EvidenceClass, Learned, Measure, Reason, Score};
use credence_feed::Shard;
use credence_law::acts::{
    Ballot, Block, Claim, Correction, Decision, Finding, Ground, Lifting, Manifest, Opinion, Outcome,
    OwnAlert, Preamble, Proposal, Purpose, Report, Ruling, Source, Stage, Vote,
};
use credence_law::catalogue::Catalogue;
use credence_law::layout::Text;
use credence_law::party::{Function, KeyId, MemberId, Party, World, act_id};
use credence_law::procedure::Procedure;
use credence_law::registry::{Holding, Key, Member, Office, Registry};
use credence_law::standard::Standard;
use credence_law::{Act, Law, Object, Root, Rules, Signed};
use credence_platform::desk::Entry;
use credence_prefix::Prefix;
use ed25519_dalek::SigningKey;

/// When everything begins, in Unix seconds.
pub(crate) const BEGIN: u64 = 1_800_000_000;
/// How many members there are.
pub(crate) const MEMBERS: u16 = 10;
/// How many seats decide: more than half of them, and more than those that are hostile.
pub(crate) const QUORUM: u16 = 6;
/// How many members are hostile at most.
pub(crate) const HOSTILE_MAX: u64 = 3;
const ADVISERS: u16 = 3;
const YEAR: u64 = 365 * 86_400;

/// A key by its owner and what it may sign.
pub(crate) type Hand = (Party, Function);

pub(crate) const fn member(id: u16) -> Party {
    Party::Member(MemberId(id))
}

/// What a member holds.
pub(crate) const fn holding(id: u16) -> Prefix {
    Prefix::containing((0x2a00_u128 << 16 | id as u128) << 96, 32)
}

/// A site of a member's, as long as the length says.
pub(crate) const fn site(id: u16, number: u64, len: u8) -> Prefix {
    Prefix::containing(holding(id).first() | (number as u128) << 80, len)
}

/// The identities of the newest registry and procedure; of the latter none before members have adopted one.
#[derive(Clone, Copy, Debug)]
struct Newest {
    registry: ActId,
    procedure: Option<ActId>,
}

/// Rules that change while the world goes on.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Other clocks.
    Procedure,
    /// Another registry: a member's key is revoked, and this one takes its place.
    Rekeyed(u16, Box<SigningKey>),
}

/// All parties, as one who has their keys.
pub(crate) struct Cast {
    pub(crate) world: World,
    keys: HashMap<Hand, SigningKey>,
    numbers: BTreeMap<Party, u64>,
    /// The newest rules of each kind, which the next of it name.
    newest: Newest,
    /// Keys that were revoked, whose thieves have them still.
    pub(crate) stolen: Vec<(u16, SigningKey)>,
    /// What the journal begins with.
    pub(crate) founding: Vec<Entry>,
}

impl Cast {
    pub(crate) fn new() -> Self {
        let keys: HashMap<_, _> = hands().map(|hand| (hand, key(hand))).collect();
        let roots = roots();
        let root = Root {
            version: 1,
            previous: None,
            name: text("a world"),
            is_example: false,
            keys: roots.iter().map(|key| key.verifying_key().to_bytes()).collect(),
            threshold: 2,
            expires: BEGIN + YEAR,
        };
        let sign = |world, rules| Signed::with(Object::<Rules>::new(world, rules).encode(), &roots);
        let first = sign(World::UNBORN, Rules::Root(root));
        let world = World(act_id(first.bytes()).0);
        let others = [
            Rules::Registry(registry(&keys)),
            Rules::Catalogue(Catalogue::first()),
            Rules::Standard(Standard::first()),
        ];
        let rules = [first].into_iter().chain(others.map(|rules| sign(world, rules)));
        let entry = |(place, signed): (u64, Signed)| Entry {
            place,
            accepted: BEGIN,
            id: act_id(signed.bytes()),
            salt: None,
            sent: Some(signed.encode()),
        };
        let founding: Vec<Entry> = (0..).zip(rules).map(entry).collect();
        let newest = Newest { registry: founding[1].id, procedure: None };
        Self { world, keys, numbers: BTreeMap::new(), newest, stolen: Vec::new(), founding }
    }

    /// The rules that follow those of a law with this change, signed by the keepers of the root.
    pub(crate) fn rules(&self, law: &Law, change: &Change) -> Signed {
        let rules = match change {
            Change::Procedure => {
                let now = law.procedure(u64::MAX);
                let (version, previous) = (now.version + 1, self.newest.procedure);
                Rules::Procedure(Procedure { version, previous, ..now.clone() })
            }
            Change::Rekeyed(of, key) => {
                let mut registry = law.register().registry().clone();
                (registry.version, registry.previous) = (registry.version + 1, Some(self.newest.registry));
                let keys = &mut registry.members[usize::from(*of) - 1].keys;
                let alerts = keys.iter_mut().find(|key| key.function == Function::Alerts).unwrap();
                registry.revoked.push(KeyId::of(&alerts.public));
                registry.revoked.sort_unstable();
                alerts.public = key.verifying_key().to_bytes();
                Rules::Registry(registry)
            }
        };
        Signed::with(Object::<Rules>::new(self.world, rules).encode(), &roots())
    }

    /// Rules have come into force.
    pub(crate) fn adopt(&mut self, id: ActId, change: Change) {
        match change {
            Change::Procedure => self.newest.procedure = Some(id),
            Change::Rekeyed(of, key) => {
                self.newest.registry = id;
                let old = self.keys.insert((member(of), Function::Alerts), *key);
                self.stolen.extend(old.map(|old| (of, old)));
            }
        }
    }

    pub(crate) fn key(&self, hand: Hand) -> &SigningKey {
        &self.keys[&hand]
    }

    /// An act as these hands sign it.
    pub(crate) fn sign(&self, act: impl Into<Act>, hands: &[Hand]) -> Signed {
        let keys = hands.iter().map(|hand| self.key(*hand));
        Signed::with(Object::new(self.world, act.into()).encode(), keys)
    }

    /// An act as one key signs it, whosever that is.
    pub(crate) fn signed_with(&self, act: impl Into<Act>, key: &SigningKey) -> Signed {
        Signed::with(Object::new(self.world, act.into()).encode(), [key])
    }

    pub(crate) fn preamble(&mut self, issuer: Party, purpose: Purpose, issued: u64, lasts: u64) -> Preamble {
        let number = self.numbers.entry(issuer).or_insert(BEGIN * 1_000);
        *number += 1;
        Preamble { issuer, number: *number, issued, expires: issued + lasts, registry: 1, purpose }
    }

    /// A member's alert about addresses.
    pub(crate) fn alert(
        &mut self,
        by: u16,
        about: Prefix,
        measure: Measure,
        (now, lasts): (u64, u64),
    ) -> OwnAlert {
        let preamble = self.preamble(member(by), Purpose::Warning, now, lasts);
        let rating = Standard::first().rating(score(400));
        OwnAlert { preamble, claim: claim(about, now), rating, measure }
    }

    /// A member's report about another's addresses.
    pub(crate) fn report(&mut self, by: u16, about: Prefix, now: u64) -> Report {
        let preamble = self.preamble(member(by), Purpose::Warning, now, 30 * 86_400);
        Report { preamble, claim: claim(about, now) }
    }

    /// The advisers' opinion on reports.
    pub(crate) fn opinion(&mut self, mut reports: Vec<ActId>, now: u64) -> Opinion {
        reports.sort_unstable();
        let preamble = self.preamble(Party::Adviser(0), Purpose::Governance, now, 60 * 86_400);
        Opinion { preamble, reports, finding: Finding::Supports, reasons: [3; 32] }
    }

    /// The coordinating body's decision by reports and an opinion.
    pub(crate) fn decision(
        &mut self,
        about: Prefix,
        measure: Measure,
        (reports, opinion): (&[(ActId, u16)], ActId),
        (now, lasts): (u64, u64),
    ) -> Decision {
        let source = |&(report, by): &(ActId, u16)| Source { report, author: [by as u8; 32] };
        let mut sources: Vec<_> = reports.iter().map(source).collect();
        sources.sort_unstable_by_key(|source| source.report);
        let preamble = self.preamble(Party::Body, Purpose::Governance, now, lasts);
        let rating = Standard::first().rating(score(120));
        Decision { preamble, claim: claim(about, now), rating, measure, sources, opinion }
    }

    /// A member's proposal to restrict what a decision is about, which lasts for so many seconds.
    pub(crate) fn proposal(
        &mut self,
        by: u16,
        decision: ActId,
        (about, measure): (Prefix, Measure),
        (now, lasts): (u64, u64),
    ) -> Proposal {
        let preamble = self.preamble(member(by), Purpose::Governance, now, lasts);
        let rating = Standard::first().rating(score(120));
        let subject = Block { prefix: about, learned: Learned::Observed };
        Proposal { preamble, decision, subject, rating, measure, closes: now + 3 * 86_400 }
    }

    /// A member's vote on it.
    pub(crate) fn vote(&mut self, by: u16, proposal: ActId, ballot: Ballot, now: u64) -> Vote {
        let preamble = self.preamble(member(by), Purpose::Governance, now, 30 * 86_400);
        Vote { preamble, proposal, ballot }
    }

    /// An issuer's word that an act is over.
    pub(crate) fn lifting(&mut self, by: Party, lifts: ActId, now: u64) -> Lifting {
        let preamble = self.preamble(by, Purpose::Relief, now, 60 * 86_400);
        Lifting { preamble, lifts, ground: Ground::Remedied }
    }

    /// An issuer's word that an act was wrong.
    pub(crate) fn correction(&mut self, by: Party, corrects: ActId, now: u64) -> Correction {
        let preamble = self.preamble(by, Purpose::Relief, now, 60 * 86_400);
        Correction { preamble, corrects, ground: Ground::Error, replacement: None }
    }

    /// The body's word that a complaint about an act was right.
    pub(crate) fn outcome(&mut self, complaint: ActId, act: ActId, now: u64) -> Outcome {
        let preamble = self.preamble(Party::Body, Purpose::Relief, now, 60 * 86_400);
        let (stage, ruling) = (Stage::Adjudication, Some(Ruling::Upheld));
        Outcome { preamble, complaint, act, stage, ruling, reasons: [5; 32] }
    }

    /// What an issuer states of these rows.
    pub(crate) fn manifest(&mut self, issuer: Party, shard: &Shard, now: u64) -> Manifest {
        let preamble = self.preamble(issuer, Purpose::Governance, now, 3_600);
        Manifest { preamble, count: shard.len(), digest: shard.digest() }
    }
}

/// The seats of these members.
pub(crate) fn seats(members: &[u16]) -> Vec<Hand> {
    members.iter().map(|id| (member(*id), Function::Decisions)).collect()
}

/// The advisers who give opinions: as many as it takes.
pub(crate) const SPEAKERS: [Hand; 2] =
    [(Party::Adviser(0), Function::Advice), (Party::Adviser(1), Function::Advice)];

fn score(value: u16) -> Score {
    Score::new(value).unwrap()
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn claim(about: Prefix, now: u64) -> Claim {
    Claim {
        subject: Block { prefix: about, learned: Learned::Observed },
        item: Reason::CredentialAttack as u16,
        catalogue: 1,
        standard: 1,
        evidence: EvidenceClass::Confirmed,
        seen_from: now - 60,
        seen_until: now,
        commitment: [9; 32],
        repeats: None,
    }
}

/// The keys of the root's keepers.
fn roots() -> [SigningKey; 2] {
    [1, 2].map(|number| SigningKey::from_bytes(&[number; 32]))
}

/// Everybody's keys.
fn hands() -> impl Iterator<Item = Hand> {
    let functions = [Function::Rules, Function::Alerts, Function::Votes, Function::Decisions];
    let members = (1..=MEMBERS).flat_map(move |id| functions.map(|function| (member(id), function)));
    let advisers = (0..ADVISERS).map(|place| (Party::Adviser(place), Function::Advice));
    members
        .chain(advisers)
        .chain([(Party::Executive, Function::Execution), (Party::Operator, Function::Operation)])
}

fn key((party, function): Hand) -> SigningKey {
    let (kind, number) = match party {
        Party::Member(MemberId(id)) => (1, id),
        Party::Adviser(place) => (2, place),
        Party::Executive => (3, 0),
        _ => (4, 0),
    };
    let [high, low] = number.to_be_bytes();
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&[kind, high, low, function as u8]);
    SigningKey::from_bytes(&seed)
}

/// A member in two hands out /56.
fn registry(keys: &HashMap<Hand, SigningKey>) -> Registry {
    let key = |hand: Hand| {
        let public = keys[&hand].verifying_key().to_bytes();
        Key { function: hand.1, public, from: BEGIN - YEAR, until: BEGIN + YEAR }
    };
    let members = (1..=MEMBERS).map(|id| Member {
        id: MemberId(id),
        name: text(&format!("network {id}")),
        organisation: text(&format!("organisation {id}")),
        mandate_until: BEGIN + YEAR,
        complaints: text("https://complaints.example/"),
        keys: hands().filter(|(party, _)| *party == member(id)).map(key).collect(),
        holdings: vec![Holding { prefix: holding(id), delegated: (id % 2 == 0).then_some(56) }],
    });
    let office = |name: &str, hand: Hand| Office { organisation: text(name), keys: vec![key(hand)] };
    Registry {
        version: 1,
        previous: None,
        members: members.collect(),
        advisers: (0..ADVISERS)
            .map(|place| office(&format!("institute {place}"), (Party::Adviser(place), Function::Advice)))
            .collect(),
        executive: office("executive", (Party::Executive, Function::Execution)),
        operator: office("operator", (Party::Operator, Function::Operation)),
        quorum: QUORUM,
        advice_quorum: 2,
        operation_quorum: 1,
        revoked: Vec::new(),
    }
}
