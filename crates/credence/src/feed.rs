//! `credence feed`: what is kept of the feed that a gateway follows.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use credence_feed::{Head, Rulebook};
use credence_law::party::World;
use credence_law::{Object, Signed};
use credence_sync::feed::evidence::{Exhibit, kept_evidence, read_evidence};
use credence_sync::feed::{Folder, Kept};
use serde::Serialize;

use crate::config::Config;
use crate::exit::Exit;
use crate::explain::CONFIG;
use crate::follower;
use crate::moment::utc;
use crate::outputs::{Format, json, print};

/// What to do with the feed.
#[derive(clap::Subcommand)]
pub(crate) enum FeedCommand {
    /// What shows that the feed's operator, or somebody with its keys, shows different things to different people
    Evidence(EvidenceArgs),
}

/// Arguments of `credence feed evidence`.
#[derive(clap::Args)]
pub(crate) struct EvidenceArgs {
    /// The configuration of the gateway
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,

    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs one of the commands.
pub(crate) fn feed(command: &FeedCommand) -> anyhow::Result<Exit> {
    match command {
        FeedCommand::Evidence(args) => evidence(args),
    }
}

/// A file of evidence, as it is shown.
#[derive(Serialize)]
struct Shown {
    file: String,
    deceit: &'static str,
    noticed_s: u64,
    mirror: String,
    objects: Vec<Told>,
}

/// One thing that was signed, as it is shown.
#[derive(Serialize)]
struct Told {
    name: String,
    /// Whether it is a head that the operator has signed, by the rules that this gateway knows.
    signed: bool,
    #[serde(flatten)]
    head: Option<Stated>,
}

/// What a head states, as far as it matters here.
#[derive(Serialize)]
struct Stated {
    session: u64,
    serial: u64,
    issued_s: u64,
    log_size: u64,
    log_root: String,
}

/// Shows what is kept. The files themselves are what is sent on.
fn evidence(args: &EvidenceArgs) -> anyhow::Result<Exit> {
    let (config, file) = (Config::read(&args.config)?, args.config.display());
    let plan = config.sync.feed();
    ensure!(
        plan.is_some(),
        "{file} follows no feed, so that there is no evidence; name a platform in `sync.url`"
    );
    let (folder, world) = (follower::feed(&config.sync.state), plan.map(|plan| plan.pinned.world));
    let shown = shown(&folder, world)?;
    print(|out| match args.format {
        Format::Json => json(out, &shown),
        Format::Text if shown.is_empty() => {
            writeln!(out, "nothing: what the operator has signed goes together")
        }
        Format::Text => shown.iter().try_for_each(|shown| write(out, shown)),
    })?;
    Ok(Exit::Done)
}

fn shown(folder: &Path, world: Option<World>) -> anyhow::Result<Vec<Shown>> {
    let disk = Folder::to_read(folder);
    let unread = || format!("{} cannot be read; run this as the gateway's user or as root", folder.display());
    let names = match kept_evidence(&disk) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names.with_context(unread)?,
    };
    let rules = world.and_then(|world| Kept::read(&disk, world).0.rules);
    let mut shown = Vec::new();
    for name in names {
        let path = folder.join(&name).display().to_string();
        let exhibit = read_evidence(&disk, &name).with_context(|| format!("{path} is no evidence"))?;
        shown.extend(exhibit.map(|exhibit| Shown::of(path, &exhibit, rules.as_deref())));
    }
    Ok(shown)
}

impl Shown {
    fn of(file: String, exhibit: &Exhibit, rules: Option<&Rulebook>) -> Self {
        let told = |(name, bytes): (&str, Option<Vec<u8>>)| Told::of(name, bytes.as_deref(), rules);
        Self {
            file,
            deceit: exhibit.deceit.name(),
            noticed_s: exhibit.noticed_s,
            mirror: exhibit.mirror.clone(),
            objects: exhibit.signed().map(told).collect(),
        }
    }
}

impl Told {
    fn of(name: &str, bytes: Option<&[u8]>, rules: Option<&Rulebook>) -> Self {
        let signed = bytes.and_then(|bytes| Signed::decode(bytes).ok());
        let is_good = |signed: &Signed| {
            rules.and_then(|rules| rules.law().ok()).is_some_and(|law| Head::open(signed, law).is_ok())
        };
        let head = signed.as_ref().and_then(|signed| Object::<Head>::decode(signed.bytes()).ok());
        Self {
            name: name.to_owned(),
            signed: signed.as_ref().is_some_and(is_good),
            head: head.map(Stated::of),
        }
    }
}

impl Stated {
    fn of(Object { body, .. }: Object<Head>) -> Self {
        let Head { session, serial, issued, log_size, log_root, .. } = body;
        Self { session, serial, issued_s: issued, log_size, log_root: World(log_root).to_string() }
    }
}

fn write(out: &mut dyn Write, shown: &Shown) -> io::Result<()> {
    writeln!(out, "{}", shown.file)?;
    let said = match shown.deceit {
        "heads" => "two heads of one version",
        "past" => "a head that follows another one than was there",
        "roots" => "two roots of the public log at one size",
        "shorter" => "a public log that became shorter",
        _ => "a public log that does not go on from what it was",
    };
    writeln!(out, "  {said}, noticed {}, shown by {}", utc(shown.noticed_s), shown.mirror)?;
    if matches!(shown.deceit, "roots" | "shorter" | "forked") {
        writeln!(
            out,
            "  if members say that the log lost entries and goes on in another epoch, `sync.epoch` follows that"
        )?;
    }
    for Told { name, signed, head } in &shown.objects {
        match head {
            Some(head) => {
                let by = if *signed {
                    "signed by the operator"
                } else {
                    "not signed by keys that are the operator's now"
                };
                let Stated { session, serial, issued_s, log_size, log_root } = head;
                let made = utc(*issued_s);
                writeln!(
                    out,
                    "  {name}: serial {serial} of session {session}, made {made}, {by}; log {log_size} {log_root}"
                )?;
            }
            None => writeln!(out, "  {name}")?,
        }
    }
    Ok(())
}
