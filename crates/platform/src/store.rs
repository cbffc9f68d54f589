//! The journal in a database: SQLite in a file, or PostgreSQL.
//!
//! One table, the same migrations and the same statements for both. Whoever reads shares the database with others; whoever
//! writes has it to itself ([`Writer`]). What is acknowledged has been written through to disk.

mod address;
mod inquiries;
mod lock;
mod shelf;

use std::time::Duration;

use credence_credit::ActId;
use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection, Row};

pub use self::address::Address;
pub use self::inquiries::Inquiry;
use self::lock::Lock;
pub use self::shelf::{Leader, Shelved};
use crate::desk::Entry;

/// How often, and after what pause each time, it is looked whether somebody still reads what is to be erased.
const READERS_TRIED: u32 = 40;
const READER_LASTS: Duration = Duration::from_millis(50);

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Entries that one statement inserts, at most: five values each, far from what a statement may hold in either database. On
/// PostgreSQL each statement is a round trip.
const TOGETHER: usize = 64;
/// How long whoever reads waits for a database that does not answer.
const READ_PATIENCE: Duration = Duration::from_secs(5);

/// Why a journal cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process writes to it.
    #[error("another process writes to this journal; stop it first, or give this one a database of its own")]
    Taken,
    /// The file that keeps other processes out cannot be had.
    #[error("{0} cannot be locked")]
    Lock(String, #[source] std::io::Error),
    /// The database does not answer, or says no.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The journal, to be read.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    address: Address,
}

impl Store {
    /// Opens the journal at a database's address, and brings its tables up to this version.
    ///
    /// # Errors
    /// When the database cannot be reached, or was written by a later version.
    pub async fn open(address: &Address) -> sqlx::Result<Self> {
        install_default_drivers();
        let options = AnyPoolOptions::new().max_connections(4).acquire_timeout(READ_PATIENCE);
        let pool = options.connect(&address.url()).await?;
        if matches!(address, Address::File(_)) {
            // Kept in the file. Readers do not wait for the writer then.
            sqlx::query("PRAGMA journal_mode = WAL").execute(&pool).await?;
        }
        MIGRATIONS.run(&pool).await?;
        Ok(Self { pool, address: address.clone() })
    }

    /// Closes it, so that all of it lies in one file where it is in a file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Whether other hosts may have a process on the same database.
    pub const fn is_shared(&self) -> bool {
        matches!(self.address, Address::Server(_))
    }

    /// The way to write to it, which nobody else has until it is closed.
    ///
    /// # Errors
    /// When another process has it, or the database cannot be reached.
    pub async fn writer(&self) -> Result<Writer, StoreError> {
        let mut connection = AnyConnection::connect(&self.address.url()).await?;
        let lock = Lock::take(&self.address, &mut connection).await?;
        // Whatever the database does otherwise: what it says is committed is on disk.
        let durable = match self.address {
            Address::File(_) => "PRAGMA synchronous = FULL",
            Address::Server(_) => "SET synchronous_commit = on",
        };
        sqlx::query(durable).execute(&mut connection).await?;
        Ok(Writer { connection, address: self.address.clone(), _lock: lock })
    }

    /// Entries from a place on, at most so many, in order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn read(&self, from: u64, most: u32) -> sqlx::Result<Vec<Entry>> {
        let rows = sqlx::query(
            "SELECT place, accepted, id, salt, sent FROM journal WHERE place >= $1 ORDER BY place LIMIT $2",
        )
        .bind(from as i64)
        .bind(i64::from(most))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(entry).collect()
    }

    /// The last checkpoint of each witness: its name, the size of the log, and its line.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn cosignatures(&self) -> sqlx::Result<Vec<(String, u64, Vec<u8>)>> {
        let rows = sqlx::query("SELECT witness, size, line FROM cosignatures").fetch_all(&self.pool).await?;
        let read = |row: &sqlx::any::AnyRow| {
            Ok((row.try_get("witness")?, row.try_get::<i64, _>("size")? as u64, row.try_get("line")?))
        };
        rows.iter().map(read).collect()
    }

    /// The entry of an object.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn find(&self, id: &ActId) -> sqlx::Result<Option<Entry>> {
        let row = sqlx::query("SELECT place, accepted, id, salt, sent FROM journal WHERE id = $1")
            .bind(id.0.to_vec())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(entry).transpose()
    }
}

/// The journal, to be written.
///
/// In PostgreSQL the connection that writes is the one that holds the lock: when it breaks, both are lost together, and nothing
/// is written that another process could write beside.
#[derive(Debug)]
pub struct Writer {
    connection: AnyConnection,
    address: Address,
    _lock: Lock,
}

impl Writer {
    /// Appends entries, all or none.
    ///
    /// # Errors
    /// When they are not on disk.
    pub async fn append(&mut self, entries: &[Entry]) -> sqlx::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        if entries.len() <= TOGETHER {
            // One statement is all or none by itself, and a third of the round trips.
            return insert(entries, &mut self.connection).await;
        }
        let mut transaction = self.connection.begin().await?;
        for together in entries.chunks(TOGETHER) {
            insert(together, &mut transaction).await?;
        }
        transaction.commit().await
    }

    /// Takes the payload of entries out of the journal for good; what their places in the log rest on stays. SQLite writes over
    /// what it frees and empties its log of changes; PostgreSQL writes the table anew, and its own log, which is an operator's to
    /// keep or not, holds the payload until it is recycled.
    ///
    /// # Errors
    /// When it is not on disk, or another reader keeps what was there; it can be done again.
    pub async fn erase(&mut self, places: &[u64]) -> sqlx::Result<()> {
        let is_file = matches!(self.address, Address::File(_));
        if is_file {
            sqlx::query("PRAGMA secure_delete = ON").execute(&mut self.connection).await?;
        }
        let mut transaction = self.connection.begin().await?;
        for place in places {
            let erase = sqlx::query("UPDATE journal SET sent = NULL WHERE place = $1").bind(*place as i64);
            erase.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        if !is_file {
            self.outlast_readers().await?;
            return sqlx::query("VACUUM FULL journal").execute(&mut self.connection).await.map(drop);
        }
        let emptied = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut self.connection).await?;
        let is_busy = emptied.try_get::<i64, _>(0)? != 0;
        if is_busy { Err(sqlx::Error::PoolTimedOut) } else { Ok(()) }
    }

    /// Waits until nobody reads the journal as it was before. PostgreSQL copies what such a reader could still see into the new table,
    /// and would keep there what is to be gone.
    async fn outlast_readers(&mut self) -> sqlx::Result<()> {
        let now: i64 =
            sqlx::query("SELECT txid_current()").fetch_one(&mut self.connection).await?.try_get(0)?;
        // As PostgreSQL writes it where it is compared: without the epoch.
        let now = now & 0xffff_ffff;
        let older = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND pid <> pg_backend_pid() AND age(backend_xmin) > age('{now}'::xid)"
        );
        for _ in 0..READERS_TRIED {
            let readers = sqlx::query(AssertSqlSafe(older.clone())).fetch_one(&mut self.connection).await?;
            if readers.try_get::<i64, _>(0)? == 0 {
                return Ok(());
            }
            tokio::time::sleep(READER_LASTS).await;
        }
        Err(sqlx::Error::PoolTimedOut)
    }

    /// Keeps what a witness says of the log at a size, in the place of what it said before.
    ///
    /// # Errors
    /// When it is not on disk.
    pub async fn cosign(&mut self, witness: &str, size: u64, line: &[u8]) -> sqlx::Result<()> {
        let keep = "INSERT INTO cosignatures (witness, size, line) VALUES ($1, $2, $3) \
                    ON CONFLICT (witness) DO UPDATE SET size = excluded.size, line = excluded.line";
        let keep = sqlx::query(keep).bind(witness).bind(size as i64).bind(line);
        keep.execute(&mut self.connection).await.map(drop)
    }

    /// The last entry, as it is now that nobody else can write; none in an empty journal.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn last(&mut self) -> sqlx::Result<Option<Entry>> {
        let row =
            sqlx::query("SELECT place, accepted, id, salt, sent FROM journal ORDER BY place DESC LIMIT 1")
                .fetch_optional(&mut self.connection)
                .await?;
        row.as_ref().map(entry).transpose()
    }

    /// Whether it can still be written.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn ping(&mut self) -> sqlx::Result<()> {
        self.connection.ping().await
    }

    /// Lets others write.
    ///
    /// # Errors
    /// When the database cannot be told; it finds out by itself.
    pub async fn close(self) -> sqlx::Result<()> {
        self.connection.close().await
    }
}

/// Inserts entries with one statement.
async fn insert(entries: &[Entry], connection: &mut AnyConnection) -> sqlx::Result<()> {
    let mut insert = sqlx::query(AssertSqlSafe(insertion(entries.len())));
    for entry in entries {
        insert = insert
            .bind(entry.place as i64)
            .bind(entry.accepted as i64)
            .bind(entry.id.0.to_vec())
            .bind(entry.salt.map(|salt| salt.to_vec()))
            .bind(entry.sent.clone());
    }
    insert.execute(connection).await.map(drop)
}

/// The statement that inserts so many entries. Both databases know numbered parameters, and nothing else of the kind.
fn insertion(entries: usize) -> String {
    let row = |first: usize| {
        format!("(${}, ${}, ${}, ${}, ${})", first, first + 1, first + 2, first + 3, first + 4)
    };
    let rows: Vec<String> = (0..entries).map(|number| row(number * 5 + 1)).collect();
    format!("INSERT INTO journal (place, accepted, id, salt, sent) VALUES {}", rows.join(", "))
}

fn entry(row: &sqlx::any::AnyRow) -> sqlx::Result<Entry> {
    Ok(Entry {
        place: row.try_get::<i64, _>("place")? as u64,
        accepted: row.try_get::<i64, _>("accepted")? as u64,
        id: ActId(hash(row.try_get("id")?)?),
        salt: row.try_get::<Option<Vec<u8>>, _>("salt")?.map(hash).transpose()?,
        sent: row.try_get("sent")?,
    })
}

fn hash(bytes: Vec<u8>) -> sqlx::Result<[u8; 32]> {
    bytes.try_into().map_err(|_| sqlx::Error::Decode("the journal holds a hash that is none".into()))
}
