//! A journal checked from its first entry to its last, by whoever has a copy.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use credence_feed::Witness;
use credence_feed::witness::cosignatures;
use credence_law::party::{Function, World};
use credence_platform::desk::Desk;
use credence_platform::example::{Place, read_world};
use credence_platform::keys::hex;
use credence_platform::log::{Log, checkpoint_text, read_checkpoint};
use credence_platform::published::{Published, origin};
use credence_platform::serve::cores;
use credence_platform::view::moment;
use credence_platform::witness;

use super::{WITNESSES, journal};

pub(super) async fn verify(dir: &Path, checkpoint: Option<&Path>) -> anyhow::Result<()> {
    let place = Place::new(dir);
    let world = read_world(&place)?;
    let store = journal(dir).await?;
    let Some(first) = store.read(0, 1).await?.pop() else { bail!("the journal is empty") };
    let (mut desk, mut erased) = (Desk::begin(&first, world)?, 0);
    loop {
        let entries = store.read(desk.log().len(), 4_096).await?;
        if entries.is_empty() {
            break;
        }
        desk.replay_all(&entries, cores())?;
        erased += entries.iter().filter(|entry| entry.sent.is_none()).count();
    }
    let missing = desk.unexplained().count();
    ensure!(missing == 0, "{missing} entries have lost their payload, and no erasure names them");
    let (size, acts) = (desk.log().len(), desk.book().acts().count());
    let epoch = Published::new(dir).epoch()?;
    let witnesses = witness::list(&dir.join(WITNESSES))?;
    let root = desk.log().root(size).context("the log has a root")?;
    if let Some(path) = checkpoint {
        let text = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        compare(&desk, (world, epoch), &text, &witnesses).with_context(|| path.display().to_string())?;
    }
    for (name, size, line) in store.cosignatures().await? {
        let text = checkpoint_text(&origin(world, epoch), desk.log(), size);
        let text = text.map(|text| [&text, &b"\n"[..], &line].concat());
        let said = text.and_then(|text| cosignatures(&text, &witnesses));
        // Whoever is no witness any more says nothing.
        for said in said.with_context(|| format!("{name} has not seen this log at {size} entries"))? {
            println!("{name} has seen the first {size} entries, at {}", moment(said.time));
        }
    }
    println!("{size} entries, {acts} acts in the book, {erased} erased: every one stands");
    println!("root {}", hex(&root));
    Ok(())
}

/// That the log has been where a checkpoint says, which is of this or an earlier epoch. Returns the checkpoint's size.
pub(super) fn compare(
    desk: &Desk,
    (world, epoch): (World, u32),
    text: &[u8],
    witnesses: &[Witness],
) -> anyhow::Result<u64> {
    let registry = desk.law()?.register().registry();
    let keys = registry.operator.keys.iter().filter(|key| key.function == Function::Operation);
    let mut public = keys.filter_map(|key| ed25519_dalek::VerifyingKey::from_bytes(&key.public).ok());
    let mut names = (1..=epoch).map(|epoch| origin(world, epoch));
    let name = names.find(|name| text.starts_with(format!("{name}\n").as_bytes()));
    let read = name.and_then(|name| public.find_map(|public| read_checkpoint(text, &name, &public)));
    let (size, root) = read.context("the operator has not signed this checkpoint of this world's log")?;
    let log: &Log = desk.log();
    ensure!(size <= log.len(), "the log has {} entries, and had {size} once: some are missing", log.len());
    ensure!(
        log.root(size) == Some(root),
        "the first {size} entries are others than they were: the log was rewritten"
    );
    for said in cosignatures(text, witnesses).context("the word of a witness is wrong")? {
        println!("{} has seen it, at {}", said.witness, moment(said.time));
    }
    println!("the checkpoint of {size} entries lies on the log's way");
    Ok(size)
}
