//! A journal taken away while it is served, and brought back.
//!
//! A backup is JSON, a line for each entry, between a line that names the world and one with a checkpoint that the operator's
//! key has signed: whoever brings it back checks every signature and every rule again, and the checkpoint last.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credence_credit::ActId;
use credence_law::party::World;
use credence_platform::desk::{Desk, Entry};
use credence_platform::example::{Place, read_world};
use credence_platform::feed::Feed;
use credence_platform::keys::{self, hex, unhex};
use credence_platform::log::Signer;
use credence_platform::published::{Published, Standing, origin, standing};
use credence_platform::serve::cores;
use credence_platform::store::Address;
use serde::{Deserialize, Serialize};

use super::journal;
use super::verify::compare;

/// Entries that are read and written together.
const PAGE: u32 = 1_024;
/// The longest line: the largest object in base64, and what stands around it.
const LINE_MAX: u64 = 24 << 20;

/// A line of a backup.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    /// The first: whose journal it is.
    World(String),
    /// An entry; hashes in hexadecimal digits, the object in base64.
    Entry { place: u64, accepted: u64, id: String, salt: Option<String>, sent: Option<String> },
    /// The last: what the log was then.
    Checkpoint(String),
}

impl From<&Entry> for Line {
    fn from(entry: &Entry) -> Self {
        Self::Entry {
            place: entry.place,
            accepted: entry.accepted,
            id: hex(&entry.id.0),
            salt: entry.salt.map(|salt| hex(&salt)),
            sent: entry.sent.as_ref().map(|sent| STANDARD.encode(sent)),
        }
    }
}

/// Writes the journal of a world into a file that must not be there yet. It holds what is not public, and is readable by its
/// owner alone.
pub(super) async fn take(dir: &Path, file: &Path) -> anyhow::Result<()> {
    let place = Place::new(dir);
    let (world, store) = (read_world(&place)?, journal(dir).await?);
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut out = BufWriter::new(created.with_context(|| format!("{} cannot be made", file.display()))?);
    let mut write = |line: &Line| -> anyhow::Result<()> {
        serde_json::to_writer(&mut out, line)?;
        out.write_all(b"\n").map_err(Into::into)
    };
    write(&Line::World(world.to_string()))?;
    let mut desk = None;
    loop {
        let from = desk.as_ref().map_or(0, |desk: &Desk| desk.log().len());
        let entries = store.read(from, PAGE).await?;
        if entries.is_empty() {
            break;
        }
        follow(&mut desk, world, &entries)?;
        entries.iter().try_for_each(|entry| write(&entry.into()))?;
    }
    let desk = desk.context("the journal is empty")?;
    let signer = signer(dir, world, Published::new(dir).epoch()?)?;
    let checkpoint = String::from_utf8(signer.checkpoint(desk.log()))?;
    write(&Line::Checkpoint(checkpoint))?;
    out.into_inner().context("the backup cannot be written")?.sync_all()?;
    println!("{} entries are in {}", desk.log().len(), file.display());
    Ok(())
}

/// Replays entries, or begins with the first of them.
fn follow(desk: &mut Option<Desk>, world: World, mut entries: &[Entry]) -> anyhow::Result<()> {
    if desk.is_none()
        && let Some((first, rest)) = entries.split_first()
    {
        (*desk, entries) = (Some(Desk::begin(first, world)?), rest);
    }
    desk.as_mut().map_or(Ok(()), |desk| desk.replay_all(entries, cores())).map_err(Into::into)
}

/// What signs the checkpoints of a world's log in an epoch.
pub(super) fn signer(dir: &Path, world: World, epoch: u32) -> anyhow::Result<Signer> {
    Ok(Signer::new(&origin(world, epoch), &keys::read(&Place::new(dir).operator())?))
}

/// What the operator says of what was published last.
#[derive(Debug)]
pub(super) enum Last<'a> {
    /// What the directory remembers, or this checkpoint, which somebody else has kept.
    Known(Option<&'a Path>),
    /// It goes further than the backup, or nobody knows.
    Lost,
}

/// Brings a backup back into an empty journal.
pub(super) async fn restore(dir: &Path, file: &Path, last: Last<'_>) -> anyhow::Result<()> {
    let world = read_world(&Place::new(dir))?;
    let published = Published::new(dir);
    let store = journal(dir).await?;
    let mut writer = store.writer().await?;
    ensure!(store.read(0, 1).await?.is_empty(), "{} holds a journal already", Address::of(dir)?);
    let (entries, desk) = read(file, (world, published.epoch()?))?;
    let size = desk.log().len();
    if let Last::Known(kept) = last {
        let epoch = published.epoch()?;
        check(&published, kept, &signer(dir, world, epoch)?, &desk)?;
    } else {
        // Whoever follows takes no session of another epoch for one of this: its feed begins anew.
        Feed::begin_session(&dir.join("feed"))?;
        let epoch = published.begin_epoch()?;
        writer
            .begin_epoch(epoch)
            .await
            .context("the database cannot be told of the epoch; empty it, and begin again")?;
        println!("epoch {epoch}: the log goes on as {}", origin(world, epoch));
    }
    // First, so that a restoration that breaks off half-way is not served.
    published.note(&signer(dir, world, published.epoch()?)?.checkpoint(desk.log()))?;
    for together in entries.chunks(PAGE as usize) {
        writer.append(together).await.context("the journal cannot be written; empty it, and begin again")?;
    }
    writer.close().await?;
    store.close().await;
    println!("{size} entries are back, and every one stands");
    Ok(())
}

/// That a backup holds all that was published.
fn check(published: &Published, kept: Option<&Path>, signer: &Signer, desk: &Desk) -> anyhow::Result<()> {
    let kept =
        kept.map(|path| std::fs::read(path).with_context(|| format!("{} cannot be read", path.display())));
    let known: Vec<_> = published.last()?.into_iter().chain(kept.transpose()?).collect();
    ensure!(
        !known.is_empty(),
        "nobody says what was published last, so that places could be given twice: give the newest checkpoint that anybody has \
         kept with --checkpoint, or go on under another name with --new-epoch"
    );
    for checkpoint in known {
        match standing(&checkpoint, signer, desk.log())? {
            Standing::Good => {}
            Standing::Short(size) => bail!(
                "the backup has {} entries, and {size} were published: take a newer one, or go on under another name with --new-epoch",
                desk.log().len()
            ),
            Standing::Other => bail!("the backup is of another log than was published"),
        }
    }
    Ok(())
}

/// The entries of a backup and what follows from them, with all checks.
fn read(file: &Path, (world, epoch): (World, u32)) -> anyhow::Result<(Vec<Entry>, Desk)> {
    let name = file.display();
    let mut lines = BufReader::new(File::open(file).with_context(|| format!("{name} cannot be read"))?);
    let (mut desk, mut entries, mut checkpoint) = (None, Vec::new(), None);
    for number in 1.. {
        let Some(line) = next(&mut lines).with_context(|| format!("{name}:{number}"))? else { break };
        ensure!(checkpoint.is_none(), "{name}:{number}: something stands behind the checkpoint");
        match line {
            Line::World(found) if number == 1 => {
                ensure!(found == world.to_string(), "{name} is a backup of another world: {found}");
            }
            Line::Entry { place, accepted, id, salt, sent } if number > 1 => {
                let entry = entry(place, accepted, &id, salt, sent);
                entries.push(entry.with_context(|| format!("{name}:{number}"))?);
            }
            Line::Checkpoint(text) => checkpoint = Some(text),
            Line::World(_) | Line::Entry { .. } => {
                bail!("{name}:{number}: a backup begins with its world, once")
            }
        }
    }
    for page in entries.chunks(PAGE as usize) {
        follow(&mut desk, world, page).with_context(|| name.to_string())?;
    }
    let (Some(desk), Some(checkpoint)) = (desk, checkpoint) else { bail!("{name} is not whole") };
    let size =
        compare(&desk, (world, epoch), checkpoint.as_bytes(), &[]).with_context(|| name.to_string())?;
    ensure!(size == desk.log().len(), "{name} has entries that are not in its checkpoint");
    Ok((entries, desk))
}

/// The next line, if there is one.
fn next(lines: &mut impl BufRead) -> anyhow::Result<Option<Line>> {
    let mut line = Vec::new();
    let len = std::io::Read::take(lines, LINE_MAX).read_until(b'\n', &mut line)?;
    if len == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

fn entry(
    place: u64,
    accepted: u64,
    id: &str,
    salt: Option<String>,
    sent: Option<String>,
) -> anyhow::Result<Entry> {
    let hash = |text: &str| unhex(text).context("a hash has 64 hexadecimal digits");
    let salt = salt.map(|salt| hash(&salt)).transpose()?;
    let sent = sent.map(|sent| STANDARD.decode(sent)).transpose()?;
    Ok(Entry { place, accepted, id: ActId(hash(id)?), salt, sent })
}
