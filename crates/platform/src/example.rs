//! A world to try things out in: five members over addresses for examples.
//!
//! It is marked as an example, so that no gateway enforces anything from it unless it is told to. All its secret keys are made
//! here, in a directory for each party. In a world in earnest each would make its own, on a machine of its own.

mod parties;

use std::path::{Path, PathBuf};

use anyhow::Context;
use credence_credit::ActId;
use credence_law::catalogue::Catalogue;
use credence_law::layout::Text;
use credence_law::party::{Function, MemberId, World, act_id};
use credence_law::registry::{Holding, Key, Member, Office, Registry};
use credence_law::standard::Standard;
use credence_law::{Object, Root, Rules, Signed};
use credence_prefix::Prefix;
use ed25519_dalek::SigningKey;

use crate::desk::{Desk, Entry};
use crate::keys::{hex, make};
pub use parties::Parties;

/// How long keys and mandates of the example last, in seconds: a year.
const YEAR: u64 = 365 * 86_400;
/// Members of the example, with what they hand out to a subscriber.
const MEMBERS: [(&str, Option<u8>); 5] = [
    ("Fjord Fibre", Some(56)),
    ("Desert Mobile", None),
    ("Lake Campus", Some(48)),
    ("Island Hosting", Some(64)),
    ("Alpine Cable", Some(56)),
];
/// The member that holds [`VISITORS`]: Lake Campus.
pub const CAMPUS: u16 = 3;
/// A network of the example's that staged traffic comes from: two sites of RFC 9637's addresses.
pub const VISITORS: Prefix = Prefix::containing(0x3fff_0200 << 96, 47);
/// Organisations that give opinions.
const ADVISERS: [&str; 3] = ["Institute for Measurement", "Review Panel North", "Review Panel South"];
/// Secret keys of the root, and how many must sign.
const ROOT_KEYS: (u8, u16) = (3, 2);

/// What a world's directory holds.
#[derive(Clone, Debug)]
pub struct Place(PathBuf);

impl Place {
    /// The world in this directory.
    pub fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// The file that names the world.
    pub fn world(&self) -> PathBuf {
        self.0.join("world")
    }

    /// The journal, where it is in a file.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal.db")
    }

    /// The operator's key, which signs checkpoints of the log. The only one that the platform reads.
    pub fn operator(&self) -> PathBuf {
        self.0.join("operator.key")
    }

    /// A member's key for a function, where the example has put it.
    pub fn member(&self, id: u16, function: Function) -> PathBuf {
        self.0.join(format!("parties/member-{id}/{}.key", function.name()))
    }

    /// An adviser's key, where the example has put it.
    pub fn adviser(&self, place: u16) -> PathBuf {
        self.0.join(format!("parties/adviser-{place}/advice.key"))
    }

    /// The executive's key, where the example has put it. With it the platform publishes reliefs by itself.
    pub fn executive(&self) -> PathBuf {
        self.0.join("parties/executive/execution.key")
    }

    fn root(&self, number: u8) -> PathBuf {
        self.0.join(format!("parties/root/{number}.key"))
    }
}

/// Makes a world at `now` (Unix seconds): its keys in files, and the entries that its journal begins with.
///
/// # Errors
/// When a file cannot be made, or is there.
pub fn make_world(place: &Place, now: u64) -> anyhow::Result<(World, Vec<Entry>)> {
    let roots =
        (1..=ROOT_KEYS.0).map(|number| make(&place.root(number))).collect::<anyhow::Result<Vec<_>>>()?;
    let root = Root {
        version: 1,
        previous: None,
        name: text("an example"),
        is_example: true,
        keys: roots.iter().map(|key| key.verifying_key().to_bytes()).collect(),
        threshold: ROOT_KEYS.1,
        expires: now + YEAR,
    };
    let first = sign(World::UNBORN, Rules::Root(root), &roots);
    let world = World(act_id(first.bytes()).0);
    let registry = registry(place, now)?;
    let rules =
        [Rules::Registry(registry), Rules::Catalogue(Catalogue::first()), Rules::Standard(Standard::first())];
    let signed = std::iter::once(first).chain(rules.into_iter().map(|rules| sign(world, rules, &roots)));
    begun(place, &signed.collect::<Vec<_>>(), now)
}

/// Begins a world at `now` (Unix seconds) with a root that was made elsewhere, and rules that its keys have signed: those in these
/// files, in their order. No key of it is made here.
///
/// # Errors
/// When a file holds something else, or what it holds does not come into force.
pub fn begin_world(place: &Place, rules: &[PathBuf], now: u64) -> anyhow::Result<(World, Vec<Entry>)> {
    let read = |path: &PathBuf| {
        let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Signed::decode(&bytes).with_context(|| format!("{} holds nothing that is signed", path.display()))
    };
    begun(place, &rules.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?, now)
}

/// The journal that these rules begin, and the world's name in a file.
fn begun(place: &Place, rules: &[Signed], now: u64) -> anyhow::Result<(World, Vec<Entry>)> {
    let world = World(act_id(rules.first().context("a world begins with a root")?.bytes()).0);
    let entries: Vec<_> = (0..).zip(rules).map(|(number, signed)| entry(number, now, signed)).collect();
    // That the journal is one is seen here, and not at the first start.
    let mut desk = Desk::begin(&entries[0], world)?;
    entries[1..].iter().try_for_each(|entry| desk.replay(entry))?;
    std::fs::write(place.world(), format!("{world}\n")).context("the world's name cannot be written")?;
    Ok((world, entries))
}

fn entry(place: u64, accepted: u64, signed: &Signed) -> Entry {
    let id: ActId = act_id(signed.bytes());
    Entry { place, accepted, id, salt: None, sent: Some(signed.encode()) }
}

fn sign(world: World, rules: Rules, keys: &[SigningKey]) -> Signed {
    Signed::with(Object::new(world, rules).encode(), keys)
}

fn text(text: &str) -> Text {
    Text::new(text).expect("it is plain and short")
}

fn registry(place: &Place, now: u64) -> anyhow::Result<Registry> {
    let key = |path: PathBuf, function| -> anyhow::Result<Key> {
        let public = make(&path)?.verifying_key().to_bytes();
        Ok(Key { function, public, from: now, until: now + YEAR })
    };
    let member = |(id, (name, delegated)): (u16, (&str, Option<u8>))| -> anyhow::Result<Member> {
        let functions = [Function::Rules, Function::Alerts, Function::Votes, Function::Decisions];
        let keys = functions.into_iter().map(|function| key(place.member(id, function), function));
        Ok(Member {
            id: MemberId(id),
            name: text(name),
            organisation: text(&format!("{name} association")),
            mandate_until: now + YEAR,
            complaints: text(&format!("https://complaints.example/{id}")),
            keys: keys.collect::<anyhow::Result<_>>()?,
            holdings: holdings(id, delegated),
        })
    };
    let office = |name: &str, path, function| -> anyhow::Result<Office> {
        Ok(Office { organisation: text(name), keys: vec![key(path, function)?] })
    };
    let advisers =
        (0..).zip(ADVISERS).map(|(number, name)| office(name, place.adviser(number), Function::Advice));
    Ok(Registry {
        version: 1,
        previous: None,
        members: (1..).zip(MEMBERS).map(member).collect::<anyhow::Result<_>>()?,
        advisers: advisers.collect::<anyhow::Result<_>>()?,
        executive: office("Relief Desk", place.executive(), Function::Execution)?,
        operator: office("Platform Operations", place.operator(), Function::Operation)?,
        quorum: 3,
        advice_quorum: 2,
        operation_quorum: 1,
        revoked: Vec::new(),
    })
}

/// What a member of the example holds: a /36 of the addresses for examples, and one of them the network of [`VISITORS`] as well.
fn holdings(id: u16, delegated: Option<u8>) -> Vec<Holding> {
    let own = Prefix::containing(0x2001_0db8 << 96 | u128::from(id) << 92, 36);
    let prefixes = [own].into_iter().chain((id == CAMPUS).then_some(VISITORS));
    prefixes.map(|prefix| Holding { prefix, delegated }).collect()
}

/// The world that a directory was made for.
///
/// # Errors
/// When it was made for none.
pub fn read_world(place: &Place) -> anyhow::Result<World> {
    let path = place.world();
    let missing = || format!("no world at {}: `credence-platform init` makes an example", path.display());
    let text = std::fs::read_to_string(&path).with_context(missing)?;
    let world = crate::keys::unhex(text.trim()).map(World);
    world.with_context(|| {
        format!("{} names no world: 64 hexadecimal digits, like {}", path.display(), hex(&[0; 32]))
    })
}
