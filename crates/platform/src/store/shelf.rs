//! What several processes on one database have of each other: the feed as it was published last, the epoch of the log, and who leads.
//!
//! A head is written here before anybody is shown it, by the connection that holds the lock: whoever has lost the lock publishes nothing
//! more, and whoever has it goes on behind the newest.

use sqlx::{Connection, Row};

use super::{Store, Writer, hash};

/// The one row of a table that has one.
const PLACE: i64 = 0;

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Where it is found, `http://HOST:PORT`.
    pub address: String,
    /// 32 secret bytes, by which it knows the others.
    pub token: [u8; 32],
}

/// A head that was published, and its session and serial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelved {
    /// Its session and serial.
    pub version: (u64, u64),
    /// The head with its signatures.
    pub head: Vec<u8>,
}

impl Store {
    /// The head that was published last.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn shelved(&self) -> sqlx::Result<Option<Shelved>> {
        let row =
            sqlx::query("SELECT session, serial, head FROM feed_head").fetch_optional(&self.pool).await?;
        let read = |row: sqlx::any::AnyRow| {
            let number = |name| row.try_get::<i64, _>(name).map(|number| number as u64);
            Ok(Shelved { version: (number("session")?, number("serial")?), head: row.try_get("head")? })
        };
        row.map(read).transpose()
    }

    /// The names of all files that were published and are still led to.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn shelved_names(&self) -> sqlx::Result<Vec<[u8; 32]>> {
        let rows = sqlx::query("SELECT hash FROM feed_files").fetch_all(&self.pool).await?;
        rows.iter().map(|row| hash(row.try_get("hash")?)).collect()
    }

    /// A file that was published.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn shelved_file(&self, name: &[u8; 32]) -> sqlx::Result<Option<Vec<u8>>> {
        let find = sqlx::query("SELECT bytes FROM feed_files WHERE hash = $1").bind(name.to_vec());
        find.fetch_optional(&self.pool).await?.map(|row| row.try_get("bytes")).transpose()
    }

    /// Which epoch of the public log the journal is of, from 1 on.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn epoch(&self) -> sqlx::Result<u32> {
        let row = sqlx::query("SELECT number FROM epoch").fetch_optional(&self.pool).await?;
        let number = row.map(|row| row.try_get::<i64, _>("number")).transpose()?;
        number
            .map_or(Ok(1), |number| u32::try_from(number).map_err(|fault| sqlx::Error::Decode(fault.into())))
    }

    /// Who leads, or led last.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn leader(&self) -> sqlx::Result<Option<Leader>> {
        let row = sqlx::query("SELECT address, token FROM leader").fetch_optional(&self.pool).await?;
        let read = |row: sqlx::any::AnyRow| {
            Ok(Leader { address: row.try_get("address")?, token: hash(row.try_get("token")?)? })
        };
        row.map(read).transpose()
    }
}

impl Writer {
    /// Puts a head where whoever goes on finds it, with the files that are new, and takes away those that are led to no more: all or
    /// nothing. Whether it is newer than the one that was there; otherwise nothing has changed.
    ///
    /// # Errors
    /// When it is not on disk.
    pub async fn shelve(
        &mut self,
        Shelved { version: (session, serial), head }: &Shelved,
        new: &[([u8; 32], Vec<u8>)],
        gone: &[[u8; 32]],
    ) -> sqlx::Result<bool> {
        let mut transaction = self.connection.begin().await?;
        let put = "INSERT INTO feed_head (place, session, serial, head) VALUES ($1, $2, $3, $4) ON CONFLICT (place) DO UPDATE \
                   SET session = excluded.session, serial = excluded.serial, head = excluded.head \
                   WHERE (feed_head.session, feed_head.serial) < (excluded.session, excluded.serial)";
        let put = sqlx::query(put).bind(PLACE).bind(*session as i64).bind(*serial as i64).bind(head.clone());
        if put.execute(&mut *transaction).await?.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        for (name, bytes) in new {
            let put = "INSERT INTO feed_files (hash, bytes) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING";
            let put = sqlx::query(put).bind(name.to_vec()).bind(bytes.clone());
            put.execute(&mut *transaction).await?;
        }
        for name in gone {
            let gone = sqlx::query("DELETE FROM feed_files WHERE hash = $1").bind(name.to_vec());
            gone.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Notes which epoch of the public log the journal is of, and forgets what was published of an earlier one and what witnesses
    /// have said of it.
    ///
    /// # Errors
    /// When it is not on disk; then nothing has changed.
    pub async fn begin_epoch(&mut self, number: u32) -> sqlx::Result<()> {
        let mut transaction = self.connection.begin().await?;
        for forget in ["DELETE FROM feed_head", "DELETE FROM feed_files", "DELETE FROM cosignatures"] {
            sqlx::query(forget).execute(&mut *transaction).await?;
        }
        let put = "INSERT INTO epoch (place, number) VALUES ($1, $2) ON CONFLICT (place) DO UPDATE SET number = excluded.number";
        sqlx::query(put).bind(PLACE).bind(i64::from(number)).execute(&mut *transaction).await?;
        transaction.commit().await
    }

    /// Says that this process leads.
    ///
    /// # Errors
    /// When it is not on disk.
    pub async fn lead(&mut self, leader: &Leader) -> sqlx::Result<()> {
        let put = "INSERT INTO leader (place, address, token) VALUES ($1, $2, $3) ON CONFLICT (place) DO UPDATE \
                   SET address = excluded.address, token = excluded.token";
        let put = sqlx::query(put).bind(PLACE).bind(leader.address.clone()).bind(leader.token.to_vec());
        put.execute(&mut self.connection).await.map(drop)
    }
}
