//! What keeps two processes from writing to one journal.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use sqlx::{AnyConnection, Row};

use super::{Address, StoreError};

/// The advisory lock in PostgreSQL; locks are each database's own.
const KEY: i64 = i64::from_be_bytes(*b"credence");

/// How long a process waits for one that was killed just now: the server frees what that one held when it sees its connection
/// end, which is not at once where a commit is under way.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it asks.
const PAUSE: Duration = Duration::from_millis(100);

/// A journal to oneself, for as long as this value and the connection that it was taken with.
#[derive(Debug)]
pub(super) enum Lock {
    /// A locked file beside the database. Locking the database itself would keep readers out as well.
    File { _held: File },
    /// PostgreSQL holds it until the connection ends.
    Session,
}

impl Lock {
    /// Takes the lock of a database, by a connection to it.
    ///
    /// # Errors
    /// When another has it.
    pub(super) async fn take(address: &Address, connection: &mut AnyConnection) -> Result<Self, StoreError> {
        match address {
            Address::File(path) => lock(&path.with_added_extension("lock")),
            Address::Server(_) => ask(connection).await,
        }
    }
}

fn lock(path: &Path) -> Result<Lock, StoreError> {
    let failed = |fault| StoreError::Lock(path.display().to_string(), fault);
    // Never removed: whoever waits on a file that is gone has locked nothing.
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock::File { _held: file }),
        Err(TryLockError::WouldBlock) => Err(StoreError::Taken),
        Err(TryLockError::Error(fault)) => Err(failed(fault)),
    }
}

async fn ask(connection: &mut AnyConnection) -> Result<Lock, StoreError> {
    let mut patience = PATIENCE;
    loop {
        let answer = sqlx::query("SELECT pg_try_advisory_lock($1) AS is_held").bind(KEY);
        if answer.fetch_one(&mut *connection).await?.try_get("is_held")? {
            return Ok(Lock::Session);
        }
        let Some(left) = patience.checked_sub(PAUSE) else { return Err(StoreError::Taken) };
        patience = left;
        tokio::time::sleep(PAUSE).await;
    }
}
