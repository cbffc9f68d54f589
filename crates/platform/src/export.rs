//! What is taken out of a world: credit files, and security alerts.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use credence_law::Law;
use credence_law::party::MemberId;
use credence_platform::desk::Desk;
use credence_platform::envelope::{CREDIT_FILE, seal};
use credence_platform::example::{Place, read_world};
use credence_platform::keys::{self, hex};
use credence_platform::serve::{now, replay};
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
        /// The world's directory
        #[arg(long)]
        dir: PathBuf,
        /// The addresses
        #[arg(long)]
        subject: Prefix,
    },
    /// The credit files of all subjects that a member holds, signed by the operator
    Member {
        /// The world's directory
        #[arg(long)]
        dir: PathBuf,
        /// The member's number
        #[arg(long)]
        member: u16,
    },
    /// The security alerts in force, as a STIX 2.1 bundle
    Stix {
        /// The world's directory
        #[arg(long)]
        dir: PathBuf,
    },
}

/// Writes what was asked for to the standard output, as JSON.
pub(super) async fn export(export: Export) -> anyhow::Result<()> {
    let document = match export {
        Export::File { dir, subject } => {
            let desk = desk(&dir).await?;
            sealed(&dir, &desk, vec![subject])?
        }
        Export::Member { dir, member } => {
            let desk = desk(&dir).await?;
            let subjects = held(&desk, desk.law()?, MemberId(member));
            sealed(&dir, &desk, subjects)?
        }
        Export::Stix { dir } => {
            stix::bundle(&desk(&dir).await?, now()).context("the world has no rules yet")?
        }
    };
    println!("{document:#}");
    Ok(())
}

/// The state of the world in a directory, by its journal.
async fn desk(dir: &Path) -> anyhow::Result<Desk> {
    let store = journal(dir).await?;
    let desk = replay(&store, read_world(&Place::new(dir))?).await;
    store.close().await;
    desk
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

/// The credit files of these subjects, under the operator's signature, with where the log stands that they follow from.
fn sealed(dir: &Path, desk: &Desk, subjects: Vec<Prefix>) -> anyhow::Result<Value> {
    let now = now();
    let key = keys::read(&Place::new(dir).operator())?;
    let files: Vec<_> =
        subjects.into_iter().filter_map(|prefix| subject(desk, desk.book(), prefix, now)).collect();
    let size = desk.log().len();
    let document = json!({
        "world": desk.law()?.world.to_string(),
        "made": moment(now),
        "log": { "size": size, "root": desk.log().root(size).map(|root| hex(&root)) },
        "files": serde_json::to_value(files)?,
    });
    Ok(seal(CREDIT_FILE, &document, &key))
}
