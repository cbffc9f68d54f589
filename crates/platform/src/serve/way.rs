//! The way to the journal, which can break and is mended.
//!
//! When the connection that writes is lost, nobody knows whether what was written last is on disk. So a new one, which keeps others
//! out as the old one did, looks at the journal's end first. Where it is what it was before, the same entries are written once
//! more; where they are there, all is well. Where it is anything else, somebody else has written, and nothing may follow from
//! what is in memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::Error;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};
use tokio::time::timeout;

use crate::desk::Entry;
use crate::log::{Leaf, Log};
use crate::store::{Store, StoreError, Writer};

/// How long a database may take for one thing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The way, which is gone by one at a time.
#[derive(Debug)]
pub(super) struct Way {
    state: Mutex<State>,
    /// Whether it is known to be broken, for those who do not want to wait.
    is_broken: AtomicBool,
}

#[derive(Debug)]
enum State {
    Open(Writer),
    Broken,
    Closed,
}

/// Why a way is not mended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unmended {
    /// It can be tried again.
    #[error("{0}")]
    NotYet(String),
    /// Another process has the lock.
    #[error("{0}")]
    Taken(StoreError),
    /// Somebody else has written, or the database is another one.
    #[error("the journal ends with entry {0:?}, which is not where this process has left it")]
    Other(Option<u64>),
    /// The platform ends.
    #[error("the platform ends")]
    Closed,
}

impl From<StoreError> for Unmended {
    fn from(fault: StoreError) -> Self {
        match fault {
            StoreError::Taken => Self::Taken(fault),
            fault => Self::NotYet(fault.to_string()),
        }
    }
}

impl From<Error> for Unmended {
    fn from(fault: Error) -> Self {
        Self::NotYet(fault.to_string())
    }
}

/// The end of a log: how long it is, and its last leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End(u64, Option<Leaf>);

impl End {
    /// The end of the first entries of a log, so many.
    pub(super) fn of(log: &Log, len: u64) -> Self {
        Self(len, len.checked_sub(1).and_then(|last| log.leaf(last)).copied())
    }

    /// The end of a journal with this last entry.
    fn with(last: &Entry) -> Self {
        Self(last.place + 1, Some(Leaf::of(last.accepted, &last.id, last.salt.as_ref())))
    }
}

impl Way {
    pub(super) fn new(writer: Writer) -> Self {
        Self { state: Mutex::new(State::Open(writer)), is_broken: AtomicBool::new(false) }
    }

    /// Not there so far: another process has it.
    pub(super) fn elsewhere() -> Self {
        Self { state: Mutex::new(State::Broken), is_broken: AtomicBool::new(true) }
    }

    /// It is there, behind a journal that was read to its end.
    pub(super) async fn open(&self, writer: Writer) {
        let mut state = self.state.lock().await;
        if !matches!(*state, State::Closed) {
            *state = State::Open(writer);
            self.is_broken.store(false, Ordering::Relaxed);
        }
    }

    /// Whether it is broken, as far as is known.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    /// Whoever writes.
    ///
    /// # Errors
    /// While it is broken, and when it is closed.
    pub(super) async fn writer(&self) -> sqlx::Result<MappedMutexGuard<'_, Writer>> {
        let open = MutexGuard::try_map(self.state.lock().await, |state| match state {
            State::Open(writer) => Some(writer),
            State::Broken | State::Closed => None,
        });
        open.map_err(|_| Error::PoolClosed)
    }

    /// Appends entries.
    ///
    /// # Errors
    /// When they may not be on disk. The way is broken then.
    pub(super) async fn append(&self, entries: &[Entry]) -> sqlx::Result<()> {
        self.go(async { self.writer().await?.append(entries).await }).await
    }

    /// Finds out whether it is still there.
    pub(super) async fn look(&self) {
        // What is found is kept.
        let _ = self.go(async { self.writer().await?.ping().await }).await;
    }

    async fn go(&self, work: impl Future<Output = sqlx::Result<()>>) -> sqlx::Result<()> {
        let done = timeout(PATIENCE, work).await.unwrap_or(Err(Error::PoolTimedOut));
        if done.is_err() {
            self.give_up(&mut *self.state.lock().await);
        }
        done
    }

    /// Lets go of the connection, and with it of what keeps others out.
    fn give_up(&self, state: &mut State) {
        if matches!(state, State::Open(_)) {
            *state = State::Broken;
        }
        self.is_broken.store(matches!(state, State::Broken), Ordering::Relaxed);
    }

    /// Opens it again, with these entries behind it, where the journal's end is one of two: before them, or with them.
    ///
    /// # Errors
    /// When it is anything else, or cannot be had now.
    pub(super) async fn mend(
        &self,
        store: &Store,
        entries: &[Entry],
        [before, after]: [End; 2],
    ) -> Result<(), Unmended> {
        let mut state = self.state.lock().await;
        if matches!(*state, State::Closed) {
            return Err(Unmended::Closed);
        }
        self.give_up(&mut state);
        let opened = timeout(PATIENCE, async {
            let mut writer = store.writer().await?;
            let last = writer.last().await?;
            let end = last.as_ref().map(End::with);
            if end == Some(before) && before != after {
                writer.append(entries).await?;
            } else if end != Some(after) {
                return Err(Unmended::Other(last.map(|last| last.place)));
            }
            Ok(writer)
        });
        let late = |_| Err(Unmended::NotYet("the database does not answer".to_owned()));
        *state = State::Open(opened.await.unwrap_or_else(late)?);
        self.is_broken.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Closes it for good.
    ///
    /// # Errors
    /// When the database cannot be told; it finds out by itself.
    pub(super) async fn close(&self) -> sqlx::Result<()> {
        match std::mem::replace(&mut *self.state.lock().await, State::Closed) {
            State::Open(writer) => writer.close().await,
            State::Broken | State::Closed => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use credence_credit::ActId;

    use super::*;
    use crate::store::Address;

    fn entries(places: std::ops::Range<u8>) -> Vec<Entry> {
        let entry = |place: u8| {
            let (accepted, id, sent) = (1, ActId([place; 32]), Some(vec![place]));
            Entry { place: place.into(), accepted, id, salt: None, sent }
        };
        places.map(entry).collect()
    }

    fn log(entries: &[Entry]) -> Log {
        let mut log = Log::default();
        entries.iter().for_each(|entry| log.append(Leaf::of(entry.accepted, &entry.id, None)));
        log
    }

    /// A way to a journal that holds `there`, while this process believes in `before` and has `new` to write: what comes of it,
    /// and how many entries there are then.
    async fn mended(there: &[Entry], before: &[Entry], new: &[Entry]) -> (Result<(), Unmended>, usize) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&Address::File(directory.path().join("journal.db"))).await.unwrap();
        let way = Way::new(store.writer().await.unwrap());
        way.append(there).await.unwrap();
        let all = [before, new].concat();
        let ends = [before.len(), all.len()].map(|len| End::of(&log(&all), len as u64));
        let mended = way.mend(&store, new, ends).await;
        assert_eq!(mended.is_err(), way.is_broken());
        let count = store.read(0, 100).await.unwrap().len();
        way.close().await.unwrap();
        assert!(matches!(way.mend(&store, new, ends).await, Err(Unmended::Closed)));
        (mended, count)
    }

    #[tokio::test]
    async fn what_was_not_written_is_written_once_and_nothing_behind_anybody_else() {
        let (old, new) = (entries(0..3), entries(3..5));
        for there in [&old[..], &[&old[..], &new].concat()] {
            let (mended, count) = mended(there, &old, &new).await;
            assert!(mended.is_ok() && count == 5, "{mended:?}, {count}");
        }
        let mut other = entries(3..5);
        other[1].id = ActId([9; 32]);
        for there in
            [&old[..2], &[&old[..], &new[..1]].concat(), &[&old[..], &other].concat(), &entries(0..6)]
        {
            let (mended, count) = mended(there, &old, &new).await;
            assert!(matches!(mended, Err(Unmended::Other(Some(_)))), "{mended:?}");
            assert_eq!(count, there.len(), "nothing was written");
        }
        let (mended, count) = mended(&old, &old, &[]).await;
        assert!(mended.is_ok() && count == 3, "a way that broke while nothing was written");
    }

    #[tokio::test]
    async fn a_broken_way_is_known_and_leaves_the_journal_to_others() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&Address::File(directory.path().join("journal.db"))).await.unwrap();
        let way = Way::new(store.writer().await.unwrap());
        way.look().await;
        assert!(!way.is_broken());
        way.append(&entries(0..1)).await.unwrap();
        assert!(way.append(&entries(0..1)).await.is_err() && way.is_broken(), "a place that is taken");
        assert!(way.writer().await.is_err());
        let other = store.writer().await.unwrap();
        let log = log(&entries(0..1));
        let ends = [End::of(&log, 1); 2];
        assert!(matches!(way.mend(&store, &[], ends).await, Err(Unmended::Taken(_))));
        other.close().await.unwrap();
        assert!(way.mend(&store, &[], ends).await.is_ok() && !way.is_broken());
    }
}
