//! A feed's files on disk, so that a publisher goes on where it was, and anything that serves files can serve them.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;
use credence_feed::{FileRef, Head, Shard, SnapshotList};
use credence_law::Signed;
use tracing::warn;

use super::{Feed, Published, rulebook};
use crate::keys::{hex, unhex};

/// How long a file stays that no head leads to any more, in seconds.
const FADES: u64 = 300;
/// The file of the newest head.
pub(crate) const HEAD: &str = "head";

impl Feed {
    /// Puts a file out, under the name of its bytes.
    pub(super) fn put(&mut self, bytes: Vec<u8>) -> anyhow::Result<FileRef> {
        let file = FileRef::of(&bytes);
        if !self.files.contains_key(&file.hash) {
            self.disk.put(&file.name(), &bytes).with_context(|| unwritten(&file.name()))?;
            self.files.insert(file.hash, bytes.into());
        }
        Ok(file)
    }

    /// Puts out the file of an issuer's rows, before they are stated.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_packed(&mut self, shard: &Shard, packed: Vec<u8>) -> anyhow::Result<()> {
        let file = self.put(packed)?;
        self.packed.insert(shard.digest(), file);
        Ok(())
    }

    /// Puts a head out, after everything that it names. When it is shown to anybody no failure of the machine brings the one before
    /// back, whose successor would be another head of the same serial.
    pub(super) fn keep_head(&self, signed: &Signed) -> anyhow::Result<()> {
        let kept = self.disk.sync_names().and_then(|()| self.disk.replace(HEAD, &signed.encode()));
        kept.with_context(|| unwritten(HEAD))
    }

    /// Lets the feed of a directory begin a new session when it is opened next.
    ///
    /// # Errors
    /// When its head cannot be taken away.
    pub fn begin_session(directory: &Path) -> anyhow::Result<()> {
        let head = directory.join(HEAD);
        match fs::remove_file(&head) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => {
                Err(fault).with_context(|| format!("{} cannot be taken away", head.display()))
            }
            _ => Ok(()),
        }
    }

    /// Goes on from what was published last. Where that cannot be read or does not stand, a new session begins, which costs each
    /// gateway a snapshot.
    ///
    /// # Errors
    /// When other rules were published than there are: whoever follows knows them by their numbers, and would believe no head that
    /// goes by fewer.
    pub(super) fn load(&mut self) -> anyhow::Result<()> {
        let head = match self.disk.read(HEAD) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read.map_err(anyhow::Error::from).and_then(|bytes| self.opened(&bytes)),
        };
        if let Ok((_, head)) = &head {
            self.has_published_rules(head)?;
        }
        match head.and_then(|(signed, head)| self.published_last(signed, head)) {
            Ok(published) => {
                self.ways = published.head.deltas.clone();
                self.published = Some(published);
            }
            Err(fault) => {
                warn!("the feed begins a new session: what was published last is not there ({fault:#})");
            }
        }
        Ok(())
    }

    fn opened(&self, bytes: &[u8]) -> anyhow::Result<(Signed, Head)> {
        let signed = Signed::decode(bytes)?;
        let head = Head::open(&signed, self.rules.law()?)?;
        Ok((signed, head))
    }

    /// That the rules are those by which a head goes, and perhaps more.
    fn has_published_rules(&self, head: &Head) -> anyhow::Result<()> {
        let known = self.rules.entries().iter().take(head.rules as usize).cloned().collect();
        let known = rulebook(self.world, known)?;
        anyhow::ensure!(
            (known.len(), known.digest()) == (head.rules, head.rules_digest),
            "{} rules were published, and the journal has {}{}: gateways know them by their numbers and believe no head that goes \
             by others. Restore a journal in which the payloads of all rules and drafts are",
            head.rules,
            self.rules.len(),
            if self.rules.len() < head.rules { "" } else { ", of which some are others" },
        );
        Ok(())
    }

    fn published_last(&mut self, signed: Signed, head: Head) -> anyhow::Result<Published> {
        let ways = head.deltas.iter().map(|way| &way.file);
        for file in ways.chain([&head.snapshot]) {
            self.read(file)?;
        }
        let list = SnapshotList::decode(&self.files[&head.snapshot.hash])?;
        for shard in &list.shards.0 {
            self.read(&shard.file)?;
        }
        let files = &self.files;
        let state =
            list.build(&self.rules, None, |file| files.get(&file.hash).map(|bytes| &bytes[..]), head.issued)?;
        anyhow::ensure!(state.root() == head.root, "the files are of another state");
        for (_, _, shard) in state.issued() {
            // Found again by its rows, so that it is not packed anew.
            let bytes = credence_feed::pack_shard(shard);
            let file = FileRef::of(&bytes);
            if self.files.contains_key(&file.hash) {
                self.packed.insert(shard.digest(), file);
            }
        }
        Ok(Published { signed, head, state })
    }

    fn read(&mut self, file: &FileRef) -> anyhow::Result<()> {
        let name = file.name();
        let bytes =
            self.disk.read(&name).with_context(|| format!("the feed's file {name} cannot be read"))?;
        file.check(&bytes)?;
        self.files.insert(file.hash, bytes.into());
        Ok(())
    }

    /// Takes away files that no head has led to for a while: until then somebody may be fetching them.
    pub(super) fn sweep(&mut self, at: u64) {
        let Some(Published { head, .. }) = &self.published else { return };
        let mut named: HashSet<[u8; 32]> = head.deltas.iter().map(|way| way.file.hash).collect();
        named.insert(head.snapshot.hash);
        if let Some(list) = self.files.get(&head.snapshot.hash)
            && let Ok(list) = SnapshotList::decode(list)
        {
            named.extend(list.shards.0.iter().map(|shard| shard.file.hash));
        }
        let stale: Vec<_> = self.files.keys().filter(|hash| !named.contains(*hash)).copied().collect();
        for hash in stale {
            if *self.fading.entry(hash).or_insert(at) + FADES <= at {
                self.files.remove(&hash);
                self.packed.retain(|_, file| file.hash != hash);
                // It is tried again when the process starts anew.
                let _ = self.disk.remove(&hex(&hash));
            }
        }
        let files = &self.files;
        self.fading.retain(|hash, _| files.contains_key(hash) && !named.contains(hash));
    }

    /// Takes away what a process before has left in the directory and nobody is led to.
    pub(super) fn tidy(&self) {
        for name in self.disk.names().unwrap_or_default() {
            if unhex(&name).is_some_and(|hash| !self.files.contains_key(&hash)) {
                let _ = self.disk.remove(&name);
            }
        }
    }
}

/// What is told of a file that cannot be written.
fn unwritten(name: &str) -> String {
    format!("the feed's file {name} cannot be written")
}
