//! Where a journal lies.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// The file of a world's directory that names a database server. It may hold a password.
const NAMED_IN: &str = "database";
/// The journal of a world that names no server.
const FILE: &str = "journal.db";

/// A database's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// SQLite in a file, which is made if it is not there.
    File(PathBuf),
    /// A database of PostgreSQL by its URL.
    Server(String),
}

impl Address {
    /// A server's database by its URL, `postgres://USER@HOST/NAME`; `?host=/DIRECTORY` for a socket.
    ///
    /// # Errors
    /// When it is no such URL.
    pub fn server(url: &str) -> anyhow::Result<Self> {
        let is_known = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        ensure!(is_known, "a database is named like postgres://USER@HOST/NAME");
        Ok(Self::Server(url.to_owned()))
    }

    /// Where the world in a directory has its journal.
    ///
    /// # Errors
    /// When the file that says so says nothing of use.
    pub fn of(directory: &Path) -> anyhow::Result<Self> {
        let named_in = directory.join(NAMED_IN);
        if !named_in.exists() {
            return Ok(Self::File(directory.join(FILE)));
        }
        let text = fs::read_to_string(&named_in)
            .with_context(|| format!("{} cannot be read", named_in.display()))?;
        Self::server(text.trim()).with_context(|| named_in.display().to_string())
    }

    /// Notes in a world's directory that its journal is here; readable by its owner alone.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn note(&self, directory: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(directory)?;
        let Self::Server(url) = self else { return Ok(()) };
        let path = directory.join(NAMED_IN);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = file.with_context(|| format!("{} cannot be made", path.display()))?;
        writeln!(file, "{url}")?;
        Ok(())
    }

    /// As the driver takes it.
    pub(super) fn url(&self) -> String {
        match self {
            Self::File(path) => format!("sqlite://{}?mode=rwc", path.display()),
            Self::Server(url) => url.clone(),
        }
    }
}

/// For people: without a password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match self {
            Self::File(path) => return path.display().fmt(f),
            Self::Server(url) => url,
        };
        let after_scheme = url.find("://").map_or(0, |at| at + 3);
        let end = url[after_scheme..].find(['/', '?']).map_or(url.len(), |at| after_scheme + at);
        // A password may hold an @ that nobody escaped; what stands behind the last one is the host.
        let host = url[after_scheme..end].rfind('@').map_or(after_scheme, |at| after_scheme + at + 1);
        let path_end = url[end..].find('?').map_or(url.len(), |at| end + at);
        write!(f, "{}{}", &url[..after_scheme], &url[host..path_end])
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_world_remembers_where_its_journal_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(Address::of(path).unwrap(), Address::File(path.join("journal.db")));
        let server = Address::server("postgres://credence:secret@db.example/credit").unwrap();
        server.note(path).unwrap();
        assert_eq!(Address::of(path).unwrap(), server);
        assert_eq!(fs::metadata(path.join("database")).unwrap().mode() & 0o777, 0o600);
        assert!(server.note(path).is_err(), "no database is named twice");
        fs::write(path.join("database"), "mysql://nowhere").unwrap();
        assert!(Address::of(path).unwrap_err().to_string().contains("database"));
    }

    #[test]
    fn no_password_is_shown() {
        let shown = |url: &str| Address::server(url).unwrap().to_string();
        assert_eq!(
            shown("postgres://me:se@cret@db.example:5432/credit"),
            "postgres://db.example:5432/credit"
        );
        assert_eq!(shown("postgresql:///credit?host=/run&password=secret"), "postgresql:///credit");
        assert_eq!(shown("postgres://db.example"), "postgres://db.example");
    }
}
