//! Where results go: files that only their owner and group may read, and streams whose reader may leave at any time.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use credence_credit::AnonymiserKey;
use credence_engine::Output;

/// Owner writes, group reads: outputs hold full source addresses.
const MODE: u32 = 0o640;

/// How a command writes its answer to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Whether `path` stands for standard input or output.
pub(crate) fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// Opens `path` for a result, replacing what was there, with mode 0640; `-` is standard output. Errors while writing name
/// the path.
///
/// # Errors
/// When the file cannot be written, or is one of `inputs`, which would be lost.
pub(crate) fn create(path: &Path, inputs: &[&Path]) -> anyhow::Result<Output> {
    if is_standard(path) {
        return Ok(Box::new(stdout()));
    }
    let file = open(path, inputs)?;
    Ok(Box::new(BufWriter::new(Named { path: path.to_owned(), file })))
}

fn open(path: &Path, inputs: &[&Path]) -> anyhow::Result<File> {
    let name = path.display();
    let refused = || {
        format!(
            "{name} cannot be written; check that its directory exists and that this user may write there"
        )
    };
    // Truncated only once it is certain that it is no input.
    let mut options = OpenOptions::new();
    let file =
        options.write(true).create(true).truncate(false).mode(MODE).open(path).with_context(refused)?;
    let metadata = file.metadata().with_context(refused)?;
    if !metadata.is_file() {
        // A pipe or a device has neither a mode of ours nor a length.
        return Ok(file);
    }
    let identity = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    let is_same =
        |input: &&Path| fs::metadata(input).is_ok_and(|input| identity(&input) == identity(&metadata));
    if inputs.iter().any(is_same) {
        bail!("{name} is also an input, and would be lost; name another file for the output");
    }
    // Asked for explicitly, since the file may be older and at creation the process's umask has a say.
    file.set_permissions(Permissions::from_mode(MODE)).with_context(|| {
        format!("{name} cannot be given mode 0640; remove it, or name a file of this user")
    })?;
    file.set_len(0).with_context(refused)?;
    Ok(file)
}

/// A file whose errors say which one it is.
struct Named {
    path: PathBuf,
    file: File,
}

impl Named {
    fn named(&self, error: io::Error) -> io::Error {
        if error.kind() == io::ErrorKind::Interrupted {
            // Left as it is, so that the write is taken up again.
            return error;
        }
        let text =
            format!("{} cannot be written on: {error}; make room or name another file", self.path.display());
        io::Error::new(error.kind(), text)
    }
}

impl Write for Named {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| self.named(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Standard output, buffered. A reader that has left is no error: the rest goes nowhere.
pub(crate) fn stdout() -> BufWriter<Lenient<io::Stdout>> {
    BufWriter::new(Lenient(io::stdout()))
}

/// A stream whose reader may leave.
pub(crate) struct Lenient<W>(W);

impl<W: Write> Write for Lenient<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        forgiven(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        forgiven(self.0.flush(), ())
    }
}

/// The outcome of writing to standard output, with `done` where nobody reads any more.
fn forgiven<T>(outcome: io::Result<T>, done: T) -> io::Result<T> {
    outcome.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(done),
        io::ErrorKind::Interrupted => Err(error),
        kind => Err(io::Error::new(kind, format!("standard output cannot be written: {error}"))),
    })
}

/// Writes a command's answer to standard output.
///
/// # Errors
/// When standard output cannot be written; a reader that has left is no error.
pub(crate) fn print(answer: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    let mut out = stdout();
    answer(&mut out)?;
    Ok(out.flush()?)
}

/// Writes `value` as JSON on one line: whoever reads lines and whoever reads the whole are both served.
///
/// # Errors
/// When `out` refuses.
pub(crate) fn json(out: &mut dyn Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

/// Tells the operator something on standard error. When nobody listens there, there is nobody to tell.
pub(crate) fn tell(message: impl Display) {
    let _ = writeln!(io::stderr(), "credence: {message}");
}

/// The key in `file` for an anonymiser, or one from the operating system that is forgotten at the end.
///
/// # Errors
/// When the key cannot be read or is none.
pub(crate) fn anonymiser_key(file: Option<&Path>) -> anyhow::Result<AnonymiserKey> {
    let Some(path) = file else {
        let random =
            random().context("the operating system's random numbers in /dev/urandom cannot be read")?;
        return Ok(AnonymiserKey::new(random)?);
    };
    let name = path.display();
    let mut bytes = Vec::new();
    // One byte more tells that it is too long.
    let limit = AnonymiserKey::FILE_LEN_MAX as u64 + 1;
    File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).with_context(|| {
        format!("{name} cannot be read; check that the path is right and that this user may read it")
    })?;
    AnonymiserKey::in_file(&bytes).map_err(|fault| anyhow!("{name} {fault}"))
}

/// Bytes that nobody can guess, from the operating system.
///
/// # Errors
/// When it has none.
pub(crate) fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer whose reader has left.
    struct Left;

    impl Write for Left {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_reader_that_has_left_is_no_error() {
        let mut out = Lenient(Left);
        assert!(out.write_all(b"text").is_ok());
        assert!(out.flush().is_ok());
    }
}
