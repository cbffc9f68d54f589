//! What is published, as those who ask for it have it: nobody changes it, and nobody who asks waits for what comes next.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use credence_feed::Rulebook;

use super::Feed;

/// A head with everything that it leads to, and the rules by which it is read.
#[derive(Debug)]
pub struct Offered {
    head: Bytes,
    version: (u64, u64),
    tag: String,
    rules: Arc<Rulebook>,
    files: HashMap<[u8; 32], Bytes>,
}

impl Offered {
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

    /// A rule by its number.
    pub fn rule(&self, number: u32) -> Option<Vec<u8>> {
        Some(self.rules.entries().get(number as usize)?.encode())
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
        let is_of_these = self.published.as_ref().is_some_and(|known| known.head.rules == self.rules.len());
        let (rules, files) = (Arc::clone(&self.rules), self.files.clone());
        let tag = format!("\"{session}-{serial}\"");
        is_of_these.then(|| Arc::new(Offered { head, version: (session, serial), tag, rules, files }))
    }
}
