//! How a world in earnest begins: keys that each party makes for itself, a trust root that is made offline, and members who are
//! admitted one by one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use credence_law::catalogue::Catalogue;
use credence_law::layout::Text;
use credence_law::party::{Function, KeyId, MemberId, World, act_id};
use credence_law::registry::{Holding, Key, Member, Office, Register, Registry};
use credence_law::standard::Standard;
use credence_law::{Object, Root, Rules, Signed};
use credence_platform::keys::{hex, make, read, unhex};
use credence_platform::serve::now;
use credence_prefix::Prefix;
use ed25519_dalek::SigningKey;

use super::acts::{lasting, world};

/// What is done with keys.
#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Make a key in a new file, on the machine of whoever it speaks for
    New {
        /// The file
        file: PathBuf,
    },
    /// Show the public half of a key, and its fingerprint
    Show {
        /// The file
        file: PathBuf,
    },
    /// Add signatures to rules, such as a registry
    Sign {
        /// The rules, signed or not; they are written back
        file: PathBuf,
        /// A file with a secret key that signs them; may be given again
        #[arg(long = "key", required = true)]
        keys: Vec<PathBuf>,
    },
}

/// Where the trust of a world comes from.
#[derive(Debug, Args)]
pub(super) struct Ceremony {
    /// Where; the directory must not be there yet. It holds secret keys that belong apart, each in a safe of its own
    #[arg(long)]
    dir: PathBuf,
    /// What the world is called
    #[arg(long)]
    name: String,
    /// How many keys the root has
    #[arg(long, default_value_t = 5)]
    keys: u16,
    /// How many of them must sign
    #[arg(long, default_value_t = 3)]
    threshold: u16,
    /// How long the root lasts
    #[arg(long, default_value = "1095d", value_parser = lasting)]
    lasts: Duration,
}

/// Who is in the registry.
#[derive(Debug, Subcommand)]
pub(super) enum Admission {
    /// Write down a world's first registry, with its offices and no members
    Found {
        /// The world, as the ceremony named it
        #[arg(long, value_parser = world)]
        world: World,
        /// An adviser's organisation and public key: NAME=HEX; may be given again
        #[arg(long = "adviser", required = true, value_parser = office)]
        advisers: Vec<(String, [u8; 32])>,
        /// Who carries out standing rules: NAME=HEX
        #[arg(long, value_parser = office)]
        executive: (String, [u8; 32]),
        /// Who runs the platform: NAME=HEX; several times, with the same name, where several keys sign what heads the feed
        #[arg(long = "operator", required = true, value_parser = office)]
        operators: Vec<(String, [u8; 32])>,
        /// How many seats must sign a decision
        #[arg(long, default_value_t = 3)]
        quorum: u16,
        /// How many advisers must sign an opinion
        #[arg(long, default_value_t = 2)]
        advice_quorum: u16,
        /// How many of the operator's keys must sign what heads the feed
        #[arg(long, default_value_t = 1)]
        operation_quorum: u16,
        /// How long the keys last
        #[arg(long, default_value = "365d", value_parser = lasting)]
        lasts: Duration,
        /// Where to write it
        #[arg(long, short)]
        out: PathBuf,
    },
    /// Add a member to a registry: to one that nobody has signed as it is, to another in its next version
    Admit {
        /// The registry
        #[arg(long)]
        registry: PathBuf,
        /// The member's number
        #[arg(long)]
        id: u16,
        /// What it is called
        #[arg(long)]
        name: String,
        /// The organisation; seats of one organisation count once
        #[arg(long)]
        organisation: String,
        /// Where its subjects complain
        #[arg(long)]
        complaints: String,
        /// Addresses that it holds, and the length of what a subscriber gets where it says so: PREFIX or PREFIX=LENGTH; may be given
        /// again
        #[arg(long = "holds", required = true, value_parser = holding)]
        holds: Vec<Holding>,
        /// A public key and what it is for: FUNCTION=HEX; may be given again
        #[arg(long = "key", required = true, value_parser = key)]
        keys: Vec<(Function, [u8; 32])>,
        /// How long its mandate and its keys last
        #[arg(long, default_value = "365d", value_parser = lasting)]
        lasts: Duration,
        /// Where to write the registry
        #[arg(long, short)]
        out: PathBuf,
    },
}

fn public(text: &str) -> Result<[u8; 32], String> {
    unhex(text).ok_or_else(|| "a public key has 64 hexadecimal digits".to_owned())
}

fn office(text: &str) -> Result<(String, [u8; 32]), String> {
    let (name, key) = text.rsplit_once('=').ok_or("write NAME=HEX")?;
    Ok((name.to_owned(), public(key)?))
}

fn key(text: &str) -> Result<(Function, [u8; 32]), String> {
    let (word, key) = text.split_once('=').ok_or("write FUNCTION=HEX")?;
    let function = Function::ALL.into_iter().find(|function| function.name() == word);
    let words = || format!("a function is one of {}", Function::ALL.map(Function::name).join(", "));
    Ok((function.ok_or_else(words)?, public(key)?))
}

fn holding(text: &str) -> Result<Holding, String> {
    let (prefix, len) = text.split_once('=').map_or((text, None), |(prefix, len)| (prefix, Some(len)));
    let prefix: Prefix = prefix.parse().map_err(|_| format!("{prefix} is no IPv6 prefix"))?;
    let delegated = len.map(str::parse).transpose().map_err(|_| "a length is from 0 to 128".to_owned())?;
    Ok(Holding { prefix, delegated })
}

/// Makes, shows or uses a key.
pub(super) fn keys(keys: Keys) -> anyhow::Result<()> {
    match keys {
        Keys::New { file } => show(&make(&file)?),
        Keys::Show { file } => show(&read(&file)?),
        Keys::Sign { file, keys } => {
            let mut signed = load(&file)?;
            let rules = Object::<Rules>::decode(signed.bytes()).context("these are no rules")?;
            if let Rules::Registry(registry) = rules.body {
                Register::new(registry).context("nobody should sign this registry")?;
            }
            for path in &keys {
                signed.sign(&read(path)?);
            }
            fs::write(&file, signed.encode())
                .with_context(|| format!("{} cannot be written", file.display()))?;
            println!("{} signatures", signed.claims().count());
        }
    }
    Ok(())
}

/// Says who a key is to others; nothing of its secret half.
fn show(key: &SigningKey) {
    let public = key.verifying_key().to_bytes();
    println!("public {}", hex(&public));
    println!("fingerprint {}", KeyId::of(&public));
}

/// Makes a trust root, and the first rules under it that need no decision: the catalogue and the standard that come with this
/// version.
pub(super) fn hold(ceremony: &Ceremony) -> anyhow::Result<()> {
    let Ceremony { dir, name, keys, threshold, lasts } = ceremony;
    ensure!(*keys <= 64, "{keys} keys are more than anybody can keep apart");
    ensure!((2..=*keys).contains(threshold), "from 2 to {keys} of the keys must sign, and not {threshold}");
    ensure!(!dir.exists(), "{} is there already", dir.display());
    let made = (1..=*keys).map(|number| make(&dir.join(format!("root-{number}.key"))));
    let made: Vec<_> = made.collect::<anyhow::Result<_>>()?;
    let root = Root {
        version: 1,
        previous: None,
        name: text(name)?,
        is_example: false,
        keys: made.iter().map(|key| key.verifying_key().to_bytes()).collect(),
        threshold: *threshold,
        expires: now().saturating_add(lasts.as_secs()),
    };
    let root = Signed::with(Object::new(World::UNBORN, Rules::Root(root)).encode(), &made);
    let world = World(act_id(root.bytes()).0);
    store(&dir.join("root"), &root)?;
    let first = [
        ("catalogue", Rules::Catalogue(Catalogue::first())),
        ("standard", Rules::Standard(Standard::first())),
    ];
    for (name, rules) in first {
        store(&dir.join(name), &Signed::with(Object::new(world, rules).encode(), &made))?;
    }
    println!("world {world}");
    for (number, key) in made.iter().enumerate() {
        println!("root-{} {}", number + 1, KeyId::of(key.verifying_key().as_bytes()));
    }
    println!("{threshold} of {keys} keys sign for it; gateways pin the world's name");
    Ok(())
}

/// The operator's office, which has all these keys.
fn operator(keys: Vec<(String, [u8; 32])>, until: u64) -> anyhow::Result<Office> {
    let name = keys.first().map(|(name, _)| name.clone()).unwrap_or_default();
    ensure!(keys.iter().all(|(other, _)| *other == name), "the operator's keys are given under one name");
    let key = |(_, public)| Key { function: Function::Operation, public, from: now(), until };
    Ok(Office { organisation: text(&name)?, keys: keys.into_iter().map(key).collect() })
}

/// Writes a registry with whom it has, or with one more.
pub(super) fn admit(admission: Admission) -> anyhow::Result<()> {
    match admission {
        Admission::Found {
            world,
            advisers,
            executive,
            operators,
            quorum,
            advice_quorum,
            operation_quorum,
            lasts,
            out,
        } => {
            let until = now().saturating_add(lasts.as_secs());
            let office = |(name, public): (String, [u8; 32]), function| -> anyhow::Result<Office> {
                let keys = vec![Key { function, public, from: now(), until }];
                Ok(Office { organisation: text(&name)?, keys })
            };
            let registry = Registry {
                version: 1,
                previous: None,
                members: Vec::new(),
                advisers: advisers
                    .into_iter()
                    .map(|adviser| office(adviser, Function::Advice))
                    .collect::<anyhow::Result<_>>()?,
                executive: office(executive, Function::Execution)?,
                operator: operator(operators, until)?,
                quorum,
                advice_quorum,
                operation_quorum,
                revoked: Vec::new(),
            };
            write(world, registry, &out)
        }
        Admission::Admit { registry, id, name, organisation, complaints, mut holds, keys, lasts, out } => {
            let until = now().saturating_add(lasts.as_secs());
            holds.sort_by_key(|held| held.prefix);
            let keys =
                keys.into_iter().map(|(function, public)| Key { function, public, from: now(), until });
            let member = Member {
                id: MemberId(id),
                name: text(&name)?,
                organisation: text(&organisation)?,
                mandate_until: until,
                complaints: text(&complaints)?,
                keys: keys.collect(),
                holdings: holds,
            };
            let (world, registry) = with(&registry, member)?;
            write(world, registry, &out)
        }
    }
}

/// A registry with one more member: the next version of one that somebody has signed.
fn with(path: &Path, member: Member) -> anyhow::Result<(World, Registry)> {
    let signed = load(path)?;
    let object = Object::<Rules>::decode(signed.bytes()).context("these are no rules")?;
    let Rules::Registry(mut registry) = object.body else { bail!("{} is no registry", path.display()) };
    if signed.claims().next().is_some() {
        registry.version += 1;
        registry.previous = Some(act_id(signed.bytes()));
    }
    let place = registry.members.binary_search_by_key(&member.id, |member| member.id);
    let Err(place) = place else { bail!("the registry has a member {} already", member.id.0) };
    registry.members.insert(place, member);
    Ok((object.world, registry))
}

fn write(world: World, registry: Registry, out: &Path) -> anyhow::Result<()> {
    let members = registry.members.len();
    println!(
        "version {} of the registry, with {members} members; `credence-platform key sign` signs it",
        registry.version
    );
    if let Err(fault) = Register::new(registry.clone()) {
        println!("it cannot be adopted yet: {fault}");
    }
    store(out, &Signed::with(Object::new(world, Rules::Registry(registry)).encode(), []))
}

fn text(text: &str) -> anyhow::Result<Text> {
    Text::new(text).with_context(|| format!("{text:?} is no name"))
}

fn load(path: &Path) -> anyhow::Result<Signed> {
    let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Signed::decode(&bytes).with_context(|| format!("{} holds nothing that can be signed", path.display()))
}

fn store(path: &Path, signed: &Signed) -> anyhow::Result<()> {
    fs::write(path, signed.encode()).with_context(|| format!("{} cannot be written", path.display()))
}
