//! Who looked at whose credit file.

use credence_prefix::Prefix;
use sqlx::{AssertSqlSafe, Row};

use super::{Store, Writer};

/// The most inquiries that are listed together.
const LISTED_MAX: i64 = 100;

/// That somebody looked at a credit file with its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    /// When, in Unix seconds.
    pub at: u64,
    /// Who, by role.
    pub who: String,
    /// What for.
    pub purpose: String,
    /// Whose file.
    pub subject: Prefix,
}

impl Store {
    /// The last inquiries about a subject, about a part of it, or about what it is part of: newest first, a hundred at most.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn inquiries(&self, subject: Prefix) -> sqlx::Result<Vec<Inquiry>> {
        let wider = (0..subject.len()).map(|len| Prefix::containing(subject.first(), len).to_string());
        let places: Vec<String> = (3..3 + subject.len()).map(|place| format!("${place}")).collect();
        let places = if places.is_empty() { "''".to_owned() } else { places.join(", ") };
        let text = format!(
            "SELECT at, who, purpose, subject FROM inquiries WHERE first BETWEEN $1 AND $2 OR subject IN ({places}) \
             ORDER BY at DESC LIMIT {LISTED_MAX}"
        );
        let mut query = sqlx::query(AssertSqlSafe(text))
            .bind(subject.first().to_be_bytes().to_vec())
            .bind(subject.last().to_be_bytes().to_vec());
        for prefix in wider {
            query = query.bind(prefix);
        }
        query.fetch_all(&self.pool).await?.iter().map(inquiry).collect()
    }
}

impl Writer {
    /// Keeps an inquiry, and lets go of those from before `until`, in Unix seconds.
    ///
    /// # Errors
    /// When it is not on disk: the file is not to be shown then.
    pub async fn inquired(&mut self, inquiry: &Inquiry, until: u64) -> sqlx::Result<()> {
        sqlx::query("DELETE FROM inquiries WHERE at < $1")
            .bind(until as i64)
            .execute(&mut self.connection)
            .await?;
        sqlx::query("INSERT INTO inquiries (at, who, purpose, first, subject) VALUES ($1, $2, $3, $4, $5)")
            .bind(inquiry.at as i64)
            .bind(&inquiry.who)
            .bind(&inquiry.purpose)
            .bind(inquiry.subject.first().to_be_bytes().to_vec())
            .bind(inquiry.subject.to_string())
            .execute(&mut self.connection)
            .await
            .map(drop)
    }
}

fn inquiry(row: &sqlx::any::AnyRow) -> sqlx::Result<Inquiry> {
    let subject: String = row.try_get("subject")?;
    Ok(Inquiry {
        at: row.try_get::<i64, _>("at")? as u64,
        who: row.try_get("who")?,
        purpose: row.try_get("purpose")?,
        subject: subject.parse().map_err(|_| sqlx::Error::Decode("an inquiry is about no prefix".into()))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Address;

    #[tokio::test]
    async fn whoever_is_meant_sees_who_looked_and_nobody_else_does() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&Address::File(directory.path().join("journal.db"))).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let looked = ["2001:db8:1::/48", "2001:db8:1:2::/64", "2001:db8:2::/48", "2001:db8::/32"];
        for (at, subject) in (100..).zip(looked) {
            let (who, purpose) = ("member 3".to_owned(), "Governance".to_owned());
            let inquiry = Inquiry { at, who, purpose, subject: subject.parse().unwrap() };
            writer.inquired(&inquiry, 0).await.unwrap();
        }
        let seen = async |subject: &str| {
            let found = store.inquiries(subject.parse().unwrap()).await.unwrap();
            found.iter().map(|inquiry| inquiry.subject.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            seen("2001:db8:1:2::/64").await,
            ["2001:db8::/32", "2001:db8:1:2::/64", "2001:db8:1::/48"]
        );
        assert_eq!(seen("2001:db8:2:9::/64").await, ["2001:db8::/32", "2001:db8:2::/48"]);
        assert_eq!(seen("2001:db9::/32").await, [""; 0]);
        assert_eq!(seen("::/0").await.len(), 4);
        let last = Inquiry {
            at: 200,
            ..store.inquiries("2001:db8:2::/48".parse().unwrap()).await.unwrap().remove(0)
        };
        writer.inquired(&last, 103).await.unwrap();
        assert_eq!(seen("::/0").await.len(), 2, "what is old goes");
        writer.close().await.unwrap();
    }
}
