//! `credence outbox`: the operator sees what would be told to others, and decides.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use credence_credit::{Measure, Reason};
use credence_sync::outbox::{Command as Asked, Done, REPLY_LEN_MAX, Reply, Shown, Spool};

use crate::config::Config;
use crate::exit::{Exit, HostCannot};
use crate::explain::CONFIG;
use crate::follower::{Desk, by_turns, socket};
use crate::moment::{parse_moment, utc};
use crate::outputs::{Format, json, print, tell};

/// How long an answer may take: as long as the disk takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Arguments of `credence outbox`.
#[derive(clap::Args)]
pub(crate) struct OutboxArgs {
    /// The configuration of the gateway
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,

    /// The form of the answer
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,

    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// What would be told to others, and how far it has come
    List {
        /// What is finished as well, up to half a year back
        #[arg(long)]
        all: bool,
    },
    /// A draft with its evidence, which stays here whatever becomes of it
    Show {
        /// The number of the draft
        draft: u64,
    },
    /// Change what a draft says that waits or was refused
    Edit {
        /// The number of the draft
        draft: u64,
        /// The item of the catalogue, such as scanning or flooding
        #[arg(long)]
        item: Option<Reason>,
        /// What an own alert asks for: observe, mark or rate_limit
        #[arg(long)]
        measure: Option<Measure>,
        /// When it was last seen: Unix seconds, or a time like 2026-11-21T10:00:00Z
        #[arg(long, value_name = "TIME", value_parser = parse_moment)]
        until: Option<u64>,
    },
    /// Sign drafts and send them
    Send {
        /// Their numbers
        #[arg(required = true)]
        drafts: Vec<u64>,
    },
    /// Tell nobody
    Drop {
        /// Their numbers
        #[arg(required = true)]
        drafts: Vec<u64>,
    },
}

/// Asks whoever has the drafts, and prints the answer.
pub(crate) fn outbox(args: &OutboxArgs) -> anyhow::Result<Exit> {
    let config = Config::read(&args.config)?;
    ensure!(
        config.sync.outbox.is_on(),
        "{}: `sync.outbox.rule` is \"off\", so that there are no drafts; take \"ask\" or \"automatic\"",
        args.config.display()
    );
    let reply = ask(&config, &args.command.asked())?;
    reply.faults.iter().for_each(|fault| tell(format_args!("{fault}")));
    let is_whole = matches!(args.command, Command::Show { .. });
    print(|out| match args.format {
        Format::Json => json(out, &reply.drafts),
        Format::Text if is_whole && !reply.drafts.is_empty() => {
            reply.drafts.iter().try_for_each(|shown| write_whole(out, shown))
        }
        Format::Text => write_table(out, &reply.drafts),
    })?;
    Ok(Exit::after(!reply.faults.is_empty()))
}

impl Command {
    fn asked(&self) -> Asked {
        match self {
            Self::List { all } => Asked::List { all: *all },
            Self::Show { draft } => Asked::Show { draft: *draft },
            Self::Edit { draft, item, measure, until } => {
                let item = item.map(|item| item as u16);
                Asked::Edit { draft: *draft, item, measure: *measure, until: *until }
            }
            Self::Send { drafts } => Asked::Send { drafts: drafts.clone() },
            Self::Drop { drafts } => Asked::Drop { drafts: drafts.clone() },
        }
    }
}

/// Asks the process that has the spool open, or opens it where there is none.
fn ask(config: &Config, asked: &Asked) -> anyhow::Result<Reply> {
    let path = socket(&config.sync.state);
    by_turns(|| match UnixStream::connect(&path) {
        Ok(stream) => exchange(stream, asked).with_context(|| format!("{} does not answer", path.display())),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(refused(&path)),
        // The gateway makes the spool, as the user that it runs as.
        Err(_) if !Spool::is_there(&config.sync.state) => Ok(Reply::default()),
        // Nothing follows: the socket is not there, or was left behind.
        Err(_) => Desk::open(config)?.obey(asked),
    })
}

fn refused(path: &Path) -> anyhow::Error {
    let text = format!("{} is open to its owner alone; ask as root", path.display());
    HostCannot(text).into()
}

fn exchange(mut stream: UnixStream, asked: &Asked) -> anyhow::Result<Reply> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = serde_json::to_string(asked)?;
    text.push('\n');
    stream.write_all(text.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(REPLY_LEN_MAX as u64)).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// The state, with why where there is a reason.
fn state(shown: &Shown) -> String {
    shown.refusal.as_ref().map_or_else(|| shown.state.clone(), |why| format!("{} ({why})", shown.state))
}

fn write_table(out: &mut dyn Write, drafts: &[Shown]) -> io::Result<()> {
    if drafts.is_empty() {
        return writeln!(out, "no drafts");
    }
    writeln!(
        out,
        "{:>6}  {:<9}  {:<10}  {:<18}  {:>8}  subject",
        "draft", "kind", "measure", "item", "alerts"
    )?;
    drafts.iter().try_for_each(|shown| {
        writeln!(
            out,
            "{:>6}  {:<9}  {:<10}  {:<18}  {:>8}  {}  {}",
            shown.draft,
            shown.kind,
            shown.measure,
            shown.item.as_deref().unwrap_or("-"),
            shown.alerts,
            shown.subject,
            state(shown)
        )
    })
}

fn write_whole(out: &mut dyn Write, shown: &Shown) -> io::Result<()> {
    writeln!(out, "draft      {}, {}", shown.draft, state(shown))?;
    writeln!(out, "kind       {}", shown.kind)?;
    writeln!(out, "subject    {}", shown.subject)?;
    if let Some(item) = &shown.item {
        writeln!(out, "item       {item}")?;
    }
    writeln!(out, "measure    {}", shown.measure)?;
    let (from, until) = (utc(shown.from), utc(shown.until));
    match shown.done {
        Some(Done { because, packets, bytes, .. }) => {
            writeln!(out, "because    {because}")?;
            writeln!(out, "done       {from} to {until}, to {packets} packets, {bytes} bytes")?;
        }
        None => writeln!(out, "seen       {from} to {until}, {} times", shown.alerts)?,
    }
    if let Some(act) = &shown.act {
        let place = shown.place.map_or_else(String::new, |place| format!(", at place {place} of the log"));
        writeln!(out, "act        {act}{place}")?;
    }
    if shown.done.is_some() {
        return Ok(());
    }
    writeln!(out, "\nevidence, which stays here")?;
    shown.evidence.iter().try_for_each(|line| writeln!(out, "{line}"))
}
