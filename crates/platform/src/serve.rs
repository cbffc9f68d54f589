//! The platform as a process: one thread that takes things in, and a server that answers.

mod http;
mod metrics;

use std::sync::{Arc, RwLock};
use std::thread;

use anyhow::{Context, bail};
use credence_law::party::World;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

pub use http::router;

use self::metrics::Metrics;
use crate::desk::{Desk, Entry, Receipt, Rejection};
use crate::log::Signer;
use crate::store::{Store, Writer};

/// Things that wait to be taken in, at most: what comes when it is full is told to come again.
const WAITING_MAX: usize = 1_024;
/// Things that are written to disk together, at most.
const TOGETHER_MAX: usize = 256;
/// Entries that are read together at the start.
const PAGE: u32 = 4_096;

/// What all requests share.
#[derive(Debug)]
pub struct Platform {
    desk: RwLock<Desk>,
    store: Store,
    /// The way to the disk, until the journal is closed.
    writer: tokio::sync::Mutex<Option<Writer>>,
    signer: Signer,
    /// How much of the log is on disk, and the checkpoint of that.
    checkpoint: RwLock<(u64, Vec<u8>)>,
    inbox: mpsc::Sender<Handed>,
    metrics: Metrics,
}

/// Something that was handed in, and where the answer goes.
struct Handed {
    sent: Vec<u8>,
    answer: oneshot::Sender<Answer>,
}

/// What becomes of something that was handed in.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It was taken now, or before.
    Taken { receipt: Receipt, is_new: bool },
    /// It was not.
    Rejected(Rejection),
    /// It could not be written down.
    Failed,
}

impl Platform {
    /// The platform of a world, from its journal on. Must be called inside a runtime.
    ///
    /// # Errors
    /// When the journal cannot be read, another process writes to it, it is another world's, or does not stand up to the checks.
    pub async fn open(store: Store, world: World, signer: Signer) -> anyhow::Result<Arc<Self>> {
        // Before anything is read, so that nothing comes behind what was read.
        let writer = store.writer().await?;
        let desk = replay(&store, world).await?;
        let checkpoint = (desk.log().len(), signer.checkpoint(desk.log()));
        let (inbox, waiting) = mpsc::channel(WAITING_MAX);
        let platform = Arc::new(Self {
            desk: RwLock::new(desk),
            store,
            writer: tokio::sync::Mutex::new(Some(writer)),
            signer,
            checkpoint: RwLock::new(checkpoint),
            inbox,
            metrics: Metrics::new(),
        });
        let (taking, handle) = (Arc::downgrade(&platform), Handle::current());
        let thread = thread::Builder::new().name("platform-desk".to_owned());
        let run = move || take_in(waiting, |batch| Some(taking.upgrade()?.take(batch, &handle)));
        thread.spawn(run).context("no thread for the desk")?;
        Ok(platform)
    }

    /// Closes the journal, when nothing more is to come.
    pub async fn close(&self) {
        if let Some(writer) = self.writer.lock().await.take()
            && let Err(fault) = writer.close().await
        {
            error!(%fault, "the journal was not closed in order; it is whole");
        }
        self.store.close().await;
    }

    /// Reads the state, which the desk's thread alone changes.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Desk) -> T) -> T {
        read(&self.desk.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// How much of the log is on disk, and the signed checkpoint of that.
    pub(crate) fn checkpoint(&self) -> (u64, Vec<u8>) {
        self.checkpoint.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Takes things in together; whether they are on disk.
    fn take(&self, batch: Vec<Handed>, runtime: &Handle) -> bool {
        let (mut entries, mut answers) = (Vec::new(), Vec::with_capacity(batch.len()));
        for handed in batch {
            let (answer, entry) = self.decide(&handed.sent);
            entries.extend(entry);
            answers.push((handed.answer, answer));
        }
        if !entries.is_empty() {
            if let Err(fault) = runtime.block_on(self.write(&entries)) {
                error!(%fault, "the journal cannot be written; nothing more is taken until the platform is started again");
                answers.into_iter().for_each(|(to, _)| drop(to.send(Answer::Failed)));
                return false;
            }
            let checkpoint = self.read(|desk| (desk.log().len(), self.signer.checkpoint(desk.log())));
            *self.checkpoint.write().unwrap_or_else(std::sync::PoisonError::into_inner) = checkpoint;
        }
        for (to, answer) in answers {
            self.metrics.answered(&answer);
            // Whoever has gone away asks again, and is told the same.
            drop(to.send(answer));
        }
        true
    }

    /// Writes entries to disk, all or none.
    async fn write(&self, entries: &[Entry]) -> sqlx::Result<()> {
        match self.writer.lock().await.as_mut() {
            Some(writer) => writer.append(entries).await,
            None => Err(sqlx::Error::PoolClosed),
        }
    }

    fn decide(&self, sent: &[u8]) -> (Answer, Option<Entry>) {
        let mut desk = self.desk.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        match desk.receive(sent, now(), rand::random()) {
            Ok((receipt, entry)) => (Answer::Taken { receipt, is_new: entry.is_some() }, entry),
            Err(rejection) => (Answer::Rejected(rejection), None),
        }
    }
}

/// Hands batches of what waits to `take`, until nobody can hand anything in, or one could not be written. What is in memory is
/// ahead of the disk then, so that nothing more may rest on it.
fn take_in(mut waiting: mpsc::Receiver<Handed>, take: impl Fn(Vec<Handed>) -> Option<bool>) {
    let mut batch = Vec::new();
    while waiting.blocking_recv_many(&mut batch, TOGETHER_MAX) > 0 {
        if take(std::mem::take(&mut batch)) != Some(true) {
            return;
        }
    }
}

/// The state at the end of the journal.
async fn replay(store: &Store, world: World) -> anyhow::Result<Desk> {
    let Some(first) = store.read(0, 1).await?.pop() else {
        bail!("the journal is empty; it begins with a root")
    };
    let mut desk = Desk::begin(&first, world)?;
    loop {
        let entries = store.read(desk.log().len(), PAGE).await?;
        if entries.is_empty() {
            info!(entries = desk.log().len(), "the journal was read");
            return Ok(desk);
        }
        for entry in &entries {
            desk.replay(entry)?;
        }
    }
}

/// Unix time in seconds.
pub fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0)
}
