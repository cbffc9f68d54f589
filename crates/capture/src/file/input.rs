//! Where a capture file's bytes come from: a file or standard input, decompressed where needed.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::os::fd::AsFd;
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::Error;

/// How many bytes tell the formats apart.
pub(super) const MAGIC_LEN: usize = 4;

/// The first bytes of a gzip member (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The first bytes of a zstd frame (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A zstd skippable frame starts with one of sixteen values that share these bytes (RFC 8878, section
/// 3.1.2); some parallel compressors put one in front.
const ZSTD_SKIPPABLE_MAGIC: [u8; 3] = [0x2a, 0x4d, 0x18];

/// The largest zstd window that is decoded, as a power of two: 128 MiB, the limit of the zstd tool unless
/// it is told otherwise. The window is all the memory that decompression takes.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// How many decompressed bytes are asked for at once. A decompressor that meets damage forgets what it had
/// produced in the same call, so a short call loses little.
const DECOMPRESS_LEN: usize = 16 * 1024;

type Raw = BufReader<io::Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>>;

/// A stream of a capture file's bytes, after decompression.
pub(super) enum Input {
    Plain(io::Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>),
    Gzip(MultiGzDecoder<Raw>),
    Zstd(zstd::stream::read::Decoder<'static, Raw>),
}

impl Input {
    /// Reads the first bytes of `reader` and puts the decompressor they call for in front of it.
    pub(super) fn detect(mut reader: impl Read + Send + 'static) -> io::Result<Self> {
        let mut magic = Vec::with_capacity(MAGIC_LEN);
        reader.by_ref().take(MAGIC_LEN as u64).read_to_end(&mut magic)?;
        let compression = Compression::from_magic(&magic);
        let raw = Cursor::new(magic).chain(Box::new(reader) as Box<dyn Read + Send>);
        Ok(match compression {
            None => Self::Plain(raw),
            Some(Compression::Gzip) => Self::Gzip(MultiGzDecoder::new(BufReader::new(raw))),
            Some(Compression::Zstd) => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(BufReader::new(raw))?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Self::Zstd(decoder)
            }
        })
    }

    /// The name of the compression that is being undone.
    pub(super) fn compression(&self) -> Option<&'static str> {
        match self {
            Self::Plain(_) => None,
            Self::Gzip(_) => Some("gzip"),
            Self::Zstd(_) => Some("zstd"),
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let short = buffer.len().min(DECOMPRESS_LEN);
        match self {
            Self::Plain(raw) => raw.read(buffer),
            Self::Gzip(decoder) => decoder.read(&mut buffer[..short]),
            Self::Zstd(decoder) => decoder.read(&mut buffer[..short]),
        }
    }
}

enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    fn from_magic(magic: &[u8]) -> Option<Self> {
        if magic.starts_with(&GZIP_MAGIC) {
            return Some(Self::Gzip);
        }
        let skippable = matches!(magic, [0x50..=0x5f, rest @ ..] if rest == ZSTD_SKIPPABLE_MAGIC);
        (magic == ZSTD_MAGIC || skippable).then_some(Self::Zstd)
    }
}

/// Opens what `path` names, and returns it with the name that messages use.
pub(super) fn open(path: &Path) -> Result<(String, File), Error> {
    let file = path.display().to_string();
    if path == Path::new("-") {
        let file = "standard input".to_owned();
        // A file of its own on the same descriptor: the standard handle would buffer a second time.
        return match io::stdin().as_fd().try_clone_to_owned() {
            Ok(descriptor) => Ok((file, File::from(descriptor))),
            Err(source) => Err(Error::Open { file, source }),
        };
    }
    match File::open(path) {
        Ok(opened) => Ok((file, opened)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Err(Error::Missing { file }),
        Err(source) => Err(Error::Open { file, source }),
    }
}

/// The first bytes of `start`, as the message of [`Error::NotACapture`] shows them.
pub(super) fn hexadecimal(start: &[u8]) -> String {
    let bytes: Vec<String> = start.iter().take(MAGIC_LEN).map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}
