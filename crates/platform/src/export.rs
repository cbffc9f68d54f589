//! What is taken out of a world: credit files, security alerts, and the feed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use credence_credit::AnonymiserKey;
use credence_law::Law;
use credence_law::party::MemberId;
use credence_platform::anonymous::Veil;
use credence_platform::desk::Desk;
use credence_platform::envelope::{ANONYMOUS_CREDIT_FILE, CREDIT_FILE, seal};
use credence_platform::example::{Place, read_world};
use credence_platform::feed::mirror::{Mirrored, Source};
use credence_platform::keys::{self, hex};
use credence_platform::log::Signer;
use credence_platform::published::{Published, origin};
use credence_platform::serve::{now, replay, rules};
use credence_platform::stix;
use credence_platform::view::{moment, subject};
use credence_prefix::Prefix;
use serde_json::{Value, json};

use super::journal;

/// What can be taken out.
#[derive(Debug, Subcommand)]
pub(super) enum Export {
    /// A subject's credit file as everybody may see it, signed by the operator
    File {
        #[command(flatten)]
        from: From,
        /// The addresses
        #[arg(long)]
        subject: Prefix,
    },
    /// The credit files of all subjects that a member holds, signed by the operator
    Member {
        #[command(flatten)]
        from: From,
        /// The member's number
        #[arg(long)]
        member: u16,
    },
    /// The feed as plain files in a directory, which any server of files or a stick makes a mirror of: a gateway follows it with
    /// `sync.url = "https://…"` or `"file:///…"`. The head is over after ten minutes, so that it is exported again and again
    Feed {
        /// The world's directory
        #[arg(long)]
        dir: PathBuf,
        /// Where to
        to: PathBuf,
    },
    /// The security alerts in force, as a STIX 2.1 bundle
    Stix {
        #[command(flatten)]
        from: From,
    },
}

/// Out of which world, and how openly.
#[derive(Debug, Args)]
pub(super) struct From {
    /// The world's directory
    #[arg(long)]
    dir: PathBuf,
    /// Replace addresses, prefix by prefix, with a random key that is forgotten, and leave out what leads to them
    #[arg(long)]
    anonymise: bool,
    /// Replace addresses with the key in FILE, 32 bytes or 64 hexadecimal digits, so that exports can be compared
    #[arg(long, value_name = "FILE")]
    anonymise_key: Option<PathBuf>,
}

impl From {
    /// The state of the world, by its journal.
    async fn desk(&self) -> anyhow::Result<Desk> {
        let store = journal(&self.dir).await?;
        let desk = replay(&store, read_world(&Place::new(&self.dir))?).await;
        store.close().await;
        desk
    }

    /// What hides whom it is about, where that was asked for.
    fn veil(&self) -> anyhow::Result<Option<Veil>> {
        let key = match &self.anonymise_key {
            Some(path) => key_in(path)?,
            None if self.anonymise => AnonymiserKey::new(rand::random())?,
            None => return Ok(None),
        };
        Ok(Some(Veil::new(&key)))
    }
}

fn key_in(path: &Path) -> anyhow::Result<AnonymiserKey> {
    let (name, mut bytes) = (path.display(), Vec::new());
    // One byte more tells that it is too long.
    let limit = AnonymiserKey::FILE_LEN_MAX as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .with_context(|| format!("{name} cannot be read"))?;
    AnonymiserKey::in_file(&bytes).map_err(|fault| anyhow!("{name} {fault}"))
}

/// Writes what was asked for to the standard output, as JSON.
pub(super) async fn export(export: Export) -> anyhow::Result<()> {
    let document = match export {
        Export::Feed { dir, to } => feed(&dir, &to).await?,
        Export::File { from, subject } => {
            let desk = from.desk().await?;
            sealed(&from, &desk, vec![subject])?
        }
        Export::Member { from, member } => {
            let desk = from.desk().await?;
            let subjects = held(&desk, desk.law()?, MemberId(member));
            sealed(&from, &desk, subjects)?
        }
        Export::Stix { from } => {
            let bundle = stix::bundle(&from.desk().await?, now()).context("the world has no rules yet")?;
            from.veil()?.map_or_else(|| bundle.clone(), |veil| veil.bundle(&bundle))
        }
    };
    println!("{document:#}");
    Ok(())
}

/// Writes the feed into a directory, and returns what it is.
async fn feed(dir: &Path, to: &Path) -> anyhow::Result<Value> {
    let store = journal(dir).await?;
    let place = Place::new(dir);
    let desk = replay(&store, read_world(&place)?).await?;
    let rules = rules(&store, desk.rules()).await?;
    let seen = store.cosignatures().await?;
    store.close().await;
    let newest = seen.iter().map(|(_, size, _)| *size).filter(|size| *size <= desk.log().len()).max();
    let witnessed = newest.map(|size| -> anyhow::Result<_> {
        let name = origin(desk.law()?.world, Published::new(dir).epoch()?);
        let signer = Signer::new(&name, &keys::read(&place.operator())?);
        let note =
            signer.checkpoint_of(desk.log(), size).context("the log is shorter than witnesses have seen")?;
        let lines = seen.iter().filter(|(_, of, _)| *of == size).flat_map(|(_, _, line)| line.clone());
        Ok((size, note.into_iter().chain(lines).collect()))
    });
    let directory = dir.join("feed");
    let source = Source {
        feed: &directory,
        rules: &rules,
        law: desk.law()?,
        log: desk.log(),
        witnessed: witnessed.transpose()?,
    };
    let Mirrored { session, serial, expires } = source.write(to)?;
    Ok(json!({ "session": session, "serial": serial, "believed_until": moment(expires) }))
}

/// The subjects of a member that somebody has made an act about, in order.
fn held(desk: &Desk, law: &Law, member: MemberId) -> Vec<Prefix> {
    let named = desk.book().acts().filter_map(|accepted| Some(accepted.act.subject()?.prefix));
    let is_theirs = |prefix: &Prefix| law.register().holder(*prefix).is_some_and(|(_, id)| id == member);
    let mut subjects: Vec<_> = named.filter(is_theirs).collect();
    subjects.sort_unstable();
    subjects.dedup();
    subjects
}

/// The credit files of these subjects, under the operator's signature. Where they tell of whom, also where the log stands that
/// they follow from.
fn sealed(from: &From, desk: &Desk, subjects: Vec<Prefix>) -> anyhow::Result<Value> {
    let now = now();
    let key = keys::read(&Place::new(&from.dir).operator())?;
    let files = subjects.into_iter().filter_map(|prefix| subject(desk, desk.book(), prefix, now));
    let (world, made) = (desk.law()?.world.to_string(), moment(now));
    if let Some(veil) = from.veil()? {
        let files: Vec<_> = files.map(|file| veil.credit_file(file)).collect();
        let document = json!({ "world": world, "made": made, "files": files });
        return Ok(seal(ANONYMOUS_CREDIT_FILE, &document, &key));
    }
    let size = desk.log().len();
    let document = json!({
        "world": world,
        "made": made,
        "log": { "size": size, "root": desk.log().root(size).map(|root| hex(&root)) },
        "files": serde_json::to_value(files.collect::<Vec<_>>())?,
    });
    Ok(seal(CREDIT_FILE, &document, &key))
}
