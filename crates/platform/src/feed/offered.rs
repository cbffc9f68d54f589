//! What is published, as those who ask for it have it: nobody changes it, and nobody who asks waits for what comes next.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use credence_feed::{Entry, Head, Rulebook};
use credence_law::Signed;
use credence_law::party::World;

use super::{Feed, rulebook};

/// A head with everything that it leads to, and the rules by which it is read.
#[derive(Debug)]
pub struct Offered {
    head: Bytes,
    version: (u64, u64),
    tag: String,
    log_size: u64,
    rules: Arc<Rulebook>,
    files: HashMap<[u8; 32], Bytes>,
}

impl Offered {
    /// What another process has published, by the rules and with the files that it has left.
    ///
    /// # Errors
    /// When nobody would believe the head, or it goes by other rules.
    pub fn read(
        head: Bytes,
        rules: Vec<Entry>,
        world: World,
        files: HashMap<[u8; 32], Bytes>,
    ) -> anyhow::Result<Self> {
        let rules = rulebook(world, rules)?;
        let Head { session, serial, log_size, rules: count, .. } =
            Head::open(&Signed::decode(&head)?, rules.law()?)?;
        anyhow::ensure!(
            count == rules.len(),
            "the head goes by {count} rules, and there are {}",
            rules.len()
        );
        let tag = format!("\"{session}-{serial}\"");
        Ok(Self { head, version: (session, serial), tag, log_size, rules, files })
    }

    /// The head, signed.
    pub fn head(&self) -> Bytes {
        self.head.clone()
    }

    /// Its session and serial.
    pub const fn version(&self) -> (u64, u64) {
        self.version
    }

    /// What tells the head from all others (RFC 9110, section 8.8.3).
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// How long the public log is that the head states.
    pub const fn log_size(&self) -> u64 {
        self.log_size
    }

    /// The rules.
    pub const fn rules(&self) -> &Arc<Rulebook> {
        &self.rules
    }

    /// A rule by its number.
    pub fn rule(&self, number: u32) -> Option<Vec<u8>> {
        Some(self.rules.entries().get(number as usize)?.encode())
    }

    /// All files by their names.
    pub const fn files(&self) -> &HashMap<[u8; 32], Bytes> {
        &self.files
    }

    /// A file by its name.
    pub fn file(&self, hash: &[u8; 32]) -> Option<Bytes> {
        self.files.get(hash).cloned()
    }
}

impl Feed {
    /// What is published; nothing before there is a head by the newest rules, since whoever knew of newer ones could not believe
    /// an older head.
    pub fn offered(&self) -> Option<Arc<Offered>> {
        let (head, session, serial) = self.head()?;
        let published = self.published.as_ref().filter(|known| known.head.rules == self.rules.len())?;
        let log_size = published.head.log_size;
        let (rules, files) = (Arc::clone(&self.rules), self.files.clone());
        let tag = format!("\"{session}-{serial}\"");
        Some(Arc::new(Offered { head, version: (session, serial), tag, log_size, rules, files }))
    }
}
