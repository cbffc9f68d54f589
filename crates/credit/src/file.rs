//! A snapshot on the local disk: the one place that knows bincode.
//!
//! ```text
//!  0        8      12      16         24
//! +--------+-------+-------+----------+---------------------------+
//! | magic  |version| CRC-32| length   | payload: bincode, varint  |
//! +--------+-------+-------+----------+---------------------------+
//! ```
//!
//! Numbers are little-endian. The checksum runs over magic, version, length and payload. It is there against accidents,
//! a torn write or a tired disk, and finds every change of up to 32 consecutive bits; CRC-32 suffices for that and is in
//! the tree already. Against forgery it would be worth nothing, and neither would an unkeyed hash: this file is as
//! trustworthy as the directory it lies in. What arrives over a network is signed and has a layout of its own.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bincode::config::{self, Config};
use serde::{Deserialize, Serialize};

use crate::{Header, Issuer, Record, Snapshot, SnapshotError};

const MAGIC: [u8; 8] = *b"crdsnap\n";

/// The layout that this build writes, and the only one that it reads.
const VERSION: u32 = 2;

const HEADER_LEN: usize = 24;

/// The largest payload, 1 GiB: [`RECORDS_MAX`](crate::RECORDS_MAX) records of a local list, 40 bytes each, with half as
/// much room again.
const PAYLOAD_LEN_MAX: usize = 1 << 30;

/// What decoding may claim. bincode counts a number at its full width whatever it takes on the disk, so this lies above
/// [`PAYLOAD_LEN_MAX`].
const CLAIM_MAX: usize = 1 << 31;

/// Owner writes, group reads: whom an operator suspects is nobody else's business.
const MODE: u32 = 0o640;

/// A snapshot file cannot be used, or cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub fault: Fault,
}

/// What is wrong with a snapshot file, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The system refused to read or write.
    #[error("{0}; check that the path is right and that this user may use it")]
    System(#[from] io::Error),
    /// The disk, or what this user may fill of it, is full.
    #[error("there is no room left for it; make room, or name a file on another disk; what was there stays")]
    Full,
    /// The path names a device, a pipe or a socket, which a file would take the place of.
    #[error("no regular file, and a snapshot is written in place of what is there; name a file")]
    NotAFile,
    /// The file is something else.
    #[error("not a credit snapshot; make one with `credence credit import`")]
    Magic,
    /// The file comes from another version of credence.
    #[error(
        "a snapshot of format {0}, and this program reads format {VERSION}; make it again with `credence credit import`"
    )]
    Version(u32),
    /// The file is shorter or longer than its header says.
    #[error("cut short or appended to; make it again with `credence credit import`")]
    Length,
    /// The set is larger than the limit of 1 GiB.
    #[error("larger than 1 GiB; import fewer or shorter lists")]
    TooLarge,
    /// The bytes are not those that were written.
    #[error("damaged (its checksum does not match); make it again with `credence credit import`")]
    Checksum,
    /// The bytes are those that were written, and still no records.
    #[error("does not hold records ({0}); make it again with `credence credit import`")]
    Content(String),
    /// The records break a rule that every snapshot keeps.
    #[error("breaks a rule of snapshots ({0}); make it again with `credence credit import`")]
    Rule(#[from] SnapshotError),
}

#[derive(Serialize)]
struct PayloadOut<'a> {
    header: Header,
    issuers: &'a [Issuer],
    records: &'a [Record],
}

#[derive(Deserialize)]
struct PayloadIn {
    header: Header,
    issuers: Vec<Issuer>,
    records: Vec<Record>,
}

/// Reads the snapshot at `path`. Every record is checked; a file with one fault yields nothing.
///
/// # Errors
/// When the file cannot be read, is damaged, or does not hold a valid snapshot.
pub fn read(path: &Path) -> Result<Snapshot, FileError> {
    load(path).and_then(|bytes| decode(&bytes)).map_err(|fault| FileError { path: path.to_owned(), fault })
}

/// Writes the snapshot to `path` in one step: whoever opens the path sees the old file or the new one, whole, also after
/// a crash. The file gets mode 0640.
///
/// # Errors
/// When the set is too large or the system refuses; what was at `path` then stays as it was.
pub fn write(path: &Path, snapshot: &Snapshot) -> Result<(), FileError> {
    encode(snapshot)
        .and_then(|bytes| if is_other(path) { Err(Fault::NotAFile) } else { Ok(bytes) })
        .and_then(|bytes| replace(path, &bytes).map_err(Fault::of_writing))
        .map_err(|fault| FileError { path: path.to_owned(), fault })
}

/// The bytes of a snapshot file, as [`write()`] puts them on the disk.
///
/// # Errors
/// When the payload is over 1 GiB.
pub fn encode(snapshot: &Snapshot) -> Result<Vec<u8>, Fault> {
    let payload =
        PayloadOut { header: snapshot.header(), issuers: snapshot.issuers(), records: snapshot.records() };
    let mut bytes = vec![0; HEADER_LEN];
    bincode::serde::encode_into_std_write(&payload, &mut bytes, coding())
        .map_err(|error| Fault::Content(error.to_string()))?;
    let len = bytes.len() - HEADER_LEN;
    if len > PAYLOAD_LEN_MAX {
        return Err(Fault::TooLarge);
    }
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&(len as u64).to_le_bytes());
    let sum = checksum(&bytes);
    bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    Ok(bytes)
}

/// The snapshot that the bytes of a file hold.
///
/// # Errors
/// When anything at all is wrong with them.
pub fn decode(bytes: &[u8]) -> Result<Snapshot, Fault> {
    if !bytes.starts_with(&MAGIC) {
        return Err(Fault::Magic);
    }
    let payload = bytes.get(HEADER_LEN..).ok_or(Fault::Length)?;
    let version = u32_at(bytes, 8);
    if version != VERSION {
        return Err(Fault::Version(version));
    }
    let len = u64::from(u32_at(bytes, 16)) | u64::from(u32_at(bytes, 20)) << 32;
    if len != payload.len() as u64 {
        return Err(Fault::Length);
    }
    if payload.len() > PAYLOAD_LEN_MAX {
        return Err(Fault::TooLarge);
    }
    if u32_at(bytes, 12) != checksum(bytes) {
        return Err(Fault::Checksum);
    }
    decode_payload(payload)
}

fn decode_payload(payload: &[u8]) -> Result<Snapshot, Fault> {
    let (found, used): (PayloadIn, usize) = bincode::serde::decode_from_slice(payload, coding())
        .map_err(|error| Fault::Content(error.to_string()))?;
    if used != payload.len() {
        return Err(Fault::Content("bytes are left over behind the last record".to_owned()));
    }
    Ok(Snapshot::new(found.header, found.issuers, found.records)?)
}

fn coding() -> impl Config {
    config::standard().with_limit::<CLAIM_MAX>()
}

/// The CRC-32 of everything but its own place. The caller has made sure of [`HEADER_LEN`] bytes.
fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..12]);
    hasher.update(&bytes[16..]);
    hasher.finalize()
}

/// The little-endian number at `place`, which lies within the header.
fn u32_at(bytes: &[u8], place: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[place..place + 4]);
    u32::from_le_bytes(word)
}

fn load(path: &Path) -> Result<Vec<u8>, Fault> {
    let file = File::open(path)?;
    let limit = (HEADER_LEN + PAYLOAD_LEN_MAX) as u64;
    // The size is asked first so that a wrong path to a huge file costs nothing, and bounded again while reading, since
    // a device or a growing file has no size worth asking.
    let len = file.metadata()?.len();
    if len > limit {
        return Err(Fault::TooLarge);
    }
    let mut bytes = Vec::with_capacity(len as usize);
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(Fault::TooLarge) } else { Ok(bytes) }
}

impl Fault {
    /// A refusal of the system while a file was written.
    fn of_writing(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::System(error),
        }
    }
}

/// Whether there is something at `path` that is neither a file nor a directory; the latter no file can take the place of.
fn is_other(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new().prefix(".credit-").suffix(".part").tempfile_in(directory)?;
    file.write_all(bytes)?;
    // Asked for explicitly, since at creation the process's umask would have a say.
    file.as_file().set_permissions(fs::Permissions::from_mode(MODE))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The new name itself is on the disk only when the directory is.
    File::open(directory)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::tests::{listed, signed};
    use crate::snapshot::tests::{any_snapshot, snapshot};
    use crate::{Authority, Cache, Guards, Measure, Published};

    fn small() -> Snapshot {
        snapshot(vec![
            listed("2001:db8::/32", Measure::RateLimit),
            signed("2001:db8:1::/48", Authority::Decision, 2),
        ])
    }

    proptest! {
        #[test]
        fn every_snapshot_comes_back_as_it_was(snapshot in any_snapshot()) {
            let bytes = encode(&snapshot).unwrap();
            prop_assert_eq!(decode(&bytes).unwrap(), snapshot);
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let bytes = encode(&small()).unwrap();
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[place] ^= 1 << bit;
                assert!(decode(&flipped).is_err(), "bit {bit} of byte {place}");
            }
            let mut other = bytes.clone();
            other[place] = !other[place];
            assert!(decode(&other).is_err(), "byte {place}");
        }
    }

    #[test]
    fn every_cut_and_every_appended_byte_is_found() {
        let bytes = encode(&small()).unwrap();
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "cut to {len} bytes");
        }
        for extra in [0, 1, 255] {
            let longer = [&bytes[..], &[extra]].concat();
            assert!(matches!(decode(&longer), Err(Fault::Length)));
        }
    }

    /// Bytes whose header and checksum are right, so that only the content can be at fault.
    fn sealed(payload: &[u8]) -> Vec<u8> {
        let mut bytes = encode(&Snapshot::default()).unwrap();
        bytes.truncate(HEADER_LEN);
        bytes.extend_from_slice(payload);
        bytes[16..24].copy_from_slice(&(payload.len() as u64).to_le_bytes());
        let sum = checksum(&bytes);
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    proptest! {
        /// A right checksum over wrong content: whatever is let in is a valid snapshot, and nothing panics.
        #[test]
        fn content_is_checked_behind_a_right_checksum(place in 0usize..200, byte in any::<u8>()) {
            let mut payload = encode(&small()).unwrap().split_off(HEADER_LEN);
            let place = place % payload.len();
            payload[place] = byte;
            if let Ok(found) = decode(&sealed(&payload)) {
                let (header, issuers, records) = found.into_parts();
                prop_assert!(Snapshot::new(header, issuers, records).is_ok());
            }
        }
    }

    #[test]
    fn a_claimed_count_of_records_allocates_nothing_by_itself() {
        // Header of three small numbers, no issuers, then 2^60 records of which none follows.
        let payload = [&[0, 0, 0, 0, 253][..], &(1u64 << 60).to_le_bytes()].concat();
        assert!(matches!(decode(&sealed(&payload)), Err(Fault::Content(_))));
    }

    #[test]
    fn unsorted_records_and_left_over_bytes_are_refused() {
        let (header, issuers, mut records) = small().into_parts();
        records.reverse();
        let payload = PayloadOut { header, issuers: &issuers, records: &records };
        let payload = bincode::serde::encode_to_vec(&payload, coding()).unwrap();
        assert!(matches!(decode(&sealed(&payload)), Err(Fault::Rule(SnapshotError::RecordOrder(_)))));

        let mut payload = encode(&small()).unwrap().split_off(HEADER_LEN);
        payload.push(0);
        assert!(matches!(decode(&sealed(&payload)), Err(Fault::Content(_))));
    }

    #[test]
    fn a_later_format_is_named() {
        let mut bytes = encode(&small()).unwrap();
        bytes[8] = 9;
        let text = decode(&bytes).unwrap_err().to_string();
        assert!(text.contains("format 9") && text.contains("credence credit import"), "{text}");
    }

    #[test]
    fn a_written_file_is_read_back_and_replaced_whole_with_mode_0640() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credit.snapshot");
        write(&path, &Snapshot::default()).unwrap();
        write(&path, &small()).unwrap();
        assert_eq!(read(&path).unwrap(), small());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_damaged_file_leaves_the_published_cache_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credit.snapshot");
        let published = Published::default();
        let reload = || {
            let snapshot = read(&path).map_err(drop)?;
            let cache = Cache::build(vec![snapshot], &Guards::default()).map_err(drop)?;
            Ok::<_, ()>(published.store(cache))
        };
        write(&path, &small()).unwrap();
        assert_eq!(reload(), Ok(1));
        let bytes = fs::read(&path).unwrap();
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x55;
            fs::write(&path, damaged).unwrap();
            assert_eq!(reload(), Err(()), "byte {place}");
            assert_eq!((published.current().generation(), published.current().len()), (1, 2));
        }
    }

    #[test]
    fn a_failed_write_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("in the way");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("kept"), "kept").unwrap();
        let error = write(&path, &small()).unwrap_err();
        assert!(error.to_string().contains("in the way"), "{error}");
        assert_eq!(fs::read_to_string(path.join("kept")).unwrap(), "kept");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_socket_is_not_replaced_by_a_snapshot() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(write(&path, &small()).unwrap_err().fault, Fault::NotAFile));
        assert!(!fs::metadata(&path).unwrap().is_file(), "what was there stays");
    }

    #[test]
    fn a_missing_file_and_a_foreign_file_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list.txt");
        assert!(matches!(read(&path).unwrap_err().fault, Fault::System(_)));
        fs::write(&path, "2001:db8::/32\n").unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error.fault, Fault::Magic));
        assert!(error.to_string().contains("list.txt"), "{error}");
    }
}
