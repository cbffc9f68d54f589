//! The journal in a database.
//!
//! One table, the same statements for all databases. What is acknowledged has been written through to disk.

use std::path::Path;

use credence_credit::ActId;
use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::migrate::Migrator;
use sqlx::{AnyPool, Row};

use crate::desk::Entry;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The journal.
#[derive(Clone, Debug)]
pub struct Store(AnyPool);

impl Store {
    /// Opens the journal at a database's address, and brings its tables up to this version.
    ///
    /// # Errors
    /// When the database cannot be reached, or was written by a later version.
    pub async fn open(url: &str) -> sqlx::Result<Self> {
        install_default_drivers();
        let pool = AnyPoolOptions::new().max_connections(4).connect(url).await?;
        // Each acknowledged transaction is on disk, and readers do not wait for the writer.
        if url.starts_with("sqlite:") {
            sqlx::query("PRAGMA journal_mode = WAL").execute(&pool).await?;
            sqlx::query("PRAGMA synchronous = FULL").execute(&pool).await?;
        }
        MIGRATIONS.run(&pool).await?;
        Ok(Self(pool))
    }

    /// The address of a database in a file, which is made if it is not there.
    pub fn file(path: &Path) -> String {
        format!("sqlite://{}?mode=rwc", path.display())
    }

    /// Closes it, so that all of it lies in one file where it is in a file.
    pub async fn close(&self) {
        self.0.close().await;
    }

    /// Appends entries, all or none.
    ///
    /// # Errors
    /// When they are not on disk.
    pub async fn append(&self, entries: &[Entry]) -> sqlx::Result<()> {
        let mut transaction = self.0.begin().await?;
        for entry in entries {
            sqlx::query("INSERT INTO journal (place, accepted, id, salt, sent) VALUES ($1, $2, $3, $4, $5)")
                .bind(entry.place as i64)
                .bind(entry.accepted as i64)
                .bind(entry.id.0.to_vec())
                .bind(entry.salt.map(|salt| salt.to_vec()))
                .bind(entry.sent.clone())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
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
        .fetch_all(&self.0)
        .await?;
        rows.iter().map(entry).collect()
    }

    /// The entry of an object.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn find(&self, id: &ActId) -> sqlx::Result<Option<Entry>> {
        let row = sqlx::query("SELECT place, accepted, id, salt, sent FROM journal WHERE id = $1")
            .bind(id.0.to_vec())
            .fetch_optional(&self.0)
            .await?;
        row.as_ref().map(entry).transpose()
    }
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
