//! What shows that a publisher, or somebody with its keys, shows different things to different people.
//!
//! Where two things that the operator has signed cannot both be true, both are kept as they were signed, in a file of their own that
//! this program never takes away: whoever has it can show it to the members, and anybody can check it by the operator's keys. What
//! a mirror alone can make up is no evidence, and leaves no file. There are at most [`EVIDENCE_MAX`] files; the first ones stay.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credence_law::party::World;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::keep::Disk;

/// The most files of evidence that are kept. One is enough to raise an alarm, and a thief of the operator's key could make any number.
pub const EVIDENCE_MAX: usize = 32;
/// The largest file of evidence that is read, in bytes.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// What the names of such files begin and end with; between that are 64 hexadecimal digits.
const NAME: [&str; 2] = ["evidence-", ".json"];

/// In which way two things that were signed cannot both be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Deceit {
    /// Two heads of one session and serial.
    Heads,
    /// A head names another one before it than the one that was there.
    Past,
    /// Two roots of the public log at one size.
    Roots,
    /// The public log has become shorter.
    Shorter,
    /// The public log does not go on from what it was: by its own tiles, its beginning is another one.
    Forked,
}

impl Deceit {
    /// Its word in logs and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Heads => "heads",
            Self::Past => "past",
            Self::Roots => "roots",
            Self::Shorter => "shorter",
            Self::Forked => "forked",
        }
    }
}

/// Things that cannot all be true, as they were signed, each with what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// In which way.
    pub deceit: Deceit,
    /// What was signed.
    pub objects: Vec<(String, Vec<u8>)>,
}

/// A file of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exhibit {
    /// In which way the objects cannot all be true.
    pub deceit: Deceit,
    /// The world whose operator has signed them, in hexadecimal digits.
    pub world: String,
    /// When it was noticed, in Unix seconds by this host's clock.
    pub noticed_s: u64,
    /// Who had shown what came last, without what may be secret in its address.
    pub mirror: String,
    /// What was signed.
    pub objects: Vec<Object>,
}

/// One thing that was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// What it is: `known head`, `head`, `checkpoint`, or the path of a tile of the log.
    pub name: String,
    /// Its bytes as they were signed, in base64.
    pub bytes: String,
}

impl Evidence {
    /// The name of its file, which follows from what is in it.
    pub fn name(&self) -> String {
        use core::fmt::Write;
        let mut hash = Sha256::new();
        for (name, bytes) in &self.objects {
            hash.update(Sha256::digest(name));
            hash.update(Sha256::digest(bytes));
        }
        let mut name = NAME[0].to_owned();
        hash.finalize().iter().for_each(|byte| {
            let _ = write!(name, "{byte:02x}");
        });
        name + NAME[1]
    }
}

/// What became of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It lies in the file of this name.
    Kept(String),
    /// It was there already, in the file of this name.
    Known(String),
    /// There is as much as is kept.
    Full,
}

/// Keeps evidence about a world's feed, noticed at `noticed_s` (Unix seconds) at a mirror.
///
/// # Errors
/// When it is not on the disk.
pub fn keep_evidence(
    disk: &mut impl Disk,
    evidence: &Evidence,
    (world, noticed_s, mirror): (World, u64, String),
) -> io::Result<Noted> {
    let (name, known) = (evidence.name(), kept_evidence(disk)?);
    if known.contains(&name) {
        return Ok(Noted::Known(name));
    }
    if known.len() >= EVIDENCE_MAX {
        return Ok(Noted::Full);
    }
    let object =
        |(name, bytes): &(String, Vec<u8>)| Object { name: name.clone(), bytes: STANDARD.encode(bytes) };
    let exhibit = Exhibit {
        deceit: evidence.deceit,
        world: world.to_string(),
        noticed_s,
        mirror,
        objects: evidence.objects.iter().map(object).collect(),
    };
    let mut text = serde_json::to_vec_pretty(&exhibit)?;
    text.push(b'\n');
    disk.write(&name, &text)?;
    Ok(Noted::Kept(name))
}

/// The names of the files of evidence that are kept, in order.
///
/// # Errors
/// When the disk does not say.
pub fn kept_evidence(disk: &impl Disk) -> io::Result<Vec<String>> {
    let mut names = disk.names()?;
    names.retain(|name| name.starts_with(NAME[0]) && name.ends_with(NAME[1]));
    names.sort_unstable();
    Ok(names)
}

/// What a file of evidence holds; none where there is no such file.
///
/// # Errors
/// When it cannot be read, or is something else.
pub fn read_evidence(disk: &impl Disk, name: &str) -> io::Result<Option<Exhibit>> {
    let Some(bytes) = disk.read(name, FILE_BYTES_MAX)? else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&bytes)?))
}

impl Exhibit {
    /// What was signed, by name; none for an object whose bytes are no base64.
    pub fn signed(&self) -> impl Iterator<Item = (&str, Option<Vec<u8>>)> {
        self.objects.iter().map(|object| (object.name.as_str(), STANDARD.decode(&object.bytes).ok()))
    }
}
