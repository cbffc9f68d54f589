//! A place that has a feed's files: an address on the network, or a directory of this host.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::{Answer, Ask};
use crate::fetch::{Fetched, Fetcher, Place, PlaceError, Refused, Validators};

/// What the address of a directory begins with (RFC 8089, section 2).
const FILE: &str = "file://";

/// A publisher's address, or one that has the same files.
#[derive(Clone, Debug)]
pub struct Mirror(At);

#[derive(Clone, Debug)]
enum At {
    /// Below this address.
    Network { base: String, plain: bool },
    /// In this directory, such as one that was brought on a stick.
    Directory(PathBuf),
}

impl Mirror {
    /// Reads the address of a mirror, below which the feed lies: `https://…`, or `file:///…` for a directory. One that is not
    /// encrypted has to be on this very host, unless `plain` ones are wanted.
    ///
    /// # Errors
    /// When nothing is fetched from there.
    pub fn parse(text: &str, plain: bool) -> Result<Self, PlaceError> {
        if let Some(path) = text.strip_prefix(FILE) {
            // What is between the slashes would be another host.
            return if path.starts_with('/') {
                Ok(Self::directory(path))
            } else {
                Err(PlaceError::Directory)
            };
        }
        let base = text.trim_end_matches('/').to_owned();
        Place::parse(&format!("{base}/feed/head"), plain)?;
        Ok(Self(At::Network { base, plain }))
    }

    /// The feed that lies in a directory.
    pub fn directory(path: impl AsRef<Path>) -> Self {
        Self(At::Directory(path.as_ref().to_owned()))
    }

    /// The directory, if it is one: whoever confines itself leaves it open to be read.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            At::Directory(path) => Some(path),
            At::Network { .. } => None,
        }
    }

    /// Where its doorbell is; a directory has none.
    pub(super) fn bell(&self) -> Option<Place> {
        match &self.0 {
            At::Network { base, plain } => Place::parse(&format!("{base}/feed/events"), *plain).ok(),
            At::Directory(_) => None,
        }
    }

    /// The address without what may be secret in it.
    pub fn shown(&self) -> String {
        match &self.0 {
            At::Network { base, plain } => Place::parse(&format!("{base}/"), *plain)
                .map_or_else(|_| String::new(), |place| place.shown()),
            At::Directory(path) => format!("{FILE}{}", path.display()),
        }
    }

    /// Has something from it.
    pub(super) async fn had(&self, fetcher: &Fetcher, ask: &Ask) -> Result<Answer, Refused> {
        let (base, plain) = match &self.0 {
            At::Directory(path) => return read(&path.join(ask.path()), ask.bytes_max()),
            At::Network { base, plain } => (base, *plain),
        };
        let place =
            Place::parse(&format!("{base}/{}", ask.path()), plain).map_err(|_| Refused::Unreachable)?;
        match fetcher.fetch(&place, ask.bytes_max() as u64, &Validators::default()).await {
            Ok(Fetched::Body { bytes, .. }) => Ok(Answer::Bytes(bytes)),
            Ok(Fetched::Unchanged) => Err(Refused::Unasked),
            Err(failure) if failure.why == Refused::Absent => Ok(Answer::Missing),
            Err(failure) => Err(failure.why),
        }
    }
}

/// Reads a file of at most so many bytes. A pipe or device of that name is none, and is not waited for.
fn read(path: &Path, bytes_max: usize) -> Result<Answer, Refused> {
    let file = match OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Answer::Missing),
        Err(_) => return Err(Refused::Unreachable),
    };
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return Err(Refused::Status);
    }
    let mut bytes = Vec::new();
    let limit = bytes_max as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|_| Refused::Cut)?;
    if bytes.len() > bytes_max { Err(Refused::TooLong) } else { Ok(Answer::Bytes(bytes)) }
}
