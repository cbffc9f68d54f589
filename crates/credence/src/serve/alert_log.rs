//! Alert lines on their way to where they are kept, whole lines only, counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

/// Bytes that wait for a place that takes nothing, such as a full disk: some thousand lines. Beyond, lines
/// are lost.
const WAITING_MAX: usize = 1 << 20;

/// What a line has in it that is an alert, and no packet that was dropped.
const ALERT: &[u8] = b"\"event_type\":\"alert\"";

/// What became of lines, for whoever looks from another thread.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    lines: AtomicU64,
    lost: AtomicU64,
    failures: AtomicU64,
    unheard: AtomicU64,
    /// The system's number for why the last attempt to write failed; 0 when it did not.
    fault: AtomicI32,
}

impl Tally {
    /// Lines taken, those included that are on their way.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// Lines given up because nothing could be written for too long.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Lines that whoever tells others had no room for.
    pub(crate) fn unheard(&self) -> u64 {
        self.unheard.load(Ordering::Relaxed)
    }

    /// Why nothing can be written now; none while all is well.
    pub(crate) fn fault(&self) -> Option<io::Error> {
        match self.fault.load(Ordering::Relaxed) {
            0 => None,
            code => Some(io::Error::from_raw_os_error(code)),
        }
    }

    /// Attempts to write that failed.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// Gathers lines and writes them at each flush. A place that refuses costs lines only once [`WAITING_MAX`]
/// bytes wait, and never half a line: when it takes bytes again, the log goes on where it stopped.
pub(crate) struct AlertLog<W> {
    out: W,
    /// Whoever tells others, if anybody does.
    heard: Option<SyncSender<String>>,
    line: Vec<u8>,
    waiting: Vec<u8>,
    tally: Arc<Tally>,
}

impl<W: Write> AlertLog<W> {
    /// A log onto `out` that counts in `tally`.
    pub(crate) fn new(out: W, tally: Arc<Tally>) -> Self {
        Self { out, heard: None, line: Vec::new(), waiting: Vec::new(), tally }
    }

    /// The same with somebody who hears every line as well. Nobody is waited for: what there is no room for is not heard.
    pub(crate) fn heard_by(self, heard: Option<SyncSender<String>>) -> Self {
        Self { heard, ..self }
    }

    /// Takes in the line that has come to its end.
    fn end_line(&mut self) {
        if let Some(heard) = &self.heard
            && self.line.windows(ALERT.len()).any(|part| part == ALERT)
        {
            let line = String::from_utf8_lossy(self.line.trim_ascii_end()).into_owned();
            if heard.try_send(line).is_err() {
                self.tally.unheard.fetch_add(1, Ordering::Relaxed);
            }
        }
        if self.waiting.len() + self.line.len() <= WAITING_MAX {
            self.waiting.append(&mut self.line);
            self.tally.lines.fetch_add(1, Ordering::Relaxed);
        } else {
            self.line.clear();
            self.tally.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<W: Write> Write for AlertLog<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            match self.out.write(&self.waiting) {
                Ok(0) => return self.failed(io::ErrorKind::WriteZero.into()),
                Ok(taken) => drop(self.waiting.drain(..taken)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.failed(error),
            }
        }
        self.out.flush().or_else(|error| self.failed(error))?;
        self.tally.fault.store(0, Ordering::Relaxed);
        Ok(())
    }
}

impl<W> AlertLog<W> {
    fn failed(&self, error: io::Error) -> io::Result<()> {
        self.tally.failures.fetch_add(1, Ordering::Relaxed);
        self.tally.fault.store(error.raw_os_error().unwrap_or(libc::EIO), Ordering::Relaxed);
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with so much room left, that takes at most seven bytes at a time.
    #[derive(Default)]
    struct Disk {
        held: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room).min(7);
            if taken == 0 {
                return Err(io::Error::from_raw_os_error(libc::ENOSPC));
            }
            self.held.extend_from_slice(&bytes[..taken]);
            self.room -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log(room: usize) -> (AlertLog<Disk>, Arc<Tally>) {
        let tally = Arc::<Tally>::default();
        (AlertLog::new(Disk { room, ..Disk::default() }, Arc::clone(&tally)), tally)
    }

    #[test]
    fn lines_arrive_whole_however_they_are_handed_over() {
        let (mut log, tally) = log(usize::MAX);
        for piece in ["{\"a\"", ":1}", "\n{", "}\n{\"b\":2}\n{\"unfinished"] {
            log.write_all(piece.as_bytes()).unwrap();
        }
        log.flush().unwrap();
        assert_eq!(log.out.held, b"{\"a\":1}\n{}\n{\"b\":2}\n");
        assert_eq!((tally.lines(), tally.lost(), tally.failures()), (3, 0, 0));
    }

    #[test]
    fn whoever_tells_others_hears_whole_lines_and_holds_up_nobody() {
        let (send, heard) = std::sync::mpsc::sync_channel(2);
        let (log, tally) = log(usize::MAX);
        let mut log = log.heard_by(Some(send));
        let alert = |number: u8| format!("{{\"event_type\":\"alert\",\"number\":{number}}}");
        log.write_all([alert(1), alert(2), alert(3), alert(4)].join("\n").as_bytes()).unwrap();
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [alert(1), alert(2)]);
        assert_eq!((tally.lines(), tally.unheard()), (3, 1));
        log.write_all(b"\n{\"event_type\":\"drop\"}\n").unwrap();
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [alert(4)]);
        drop(heard);
        log.write_all(format!("{}\n", alert(5)).as_bytes()).unwrap();
        assert_eq!((tally.lines(), tally.unheard()), (6, 2));
    }

    #[test]
    fn a_full_disk_loses_nothing_that_can_wait_and_heals_by_itself() {
        let (mut log, tally) = log(10);
        log.write_all(b"first\nsecond\n").unwrap();
        assert_eq!(log.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(tally.fault().map(|fault| fault.kind()), Some(io::ErrorKind::StorageFull));
        log.write_all(b"third\n").unwrap();
        log.out.room = usize::MAX;
        log.flush().unwrap();
        assert_eq!(log.out.held, b"first\nsecond\nthird\n");
        assert_eq!((tally.lines(), tally.lost(), tally.failures()), (3, 0, 1));
        assert!(tally.fault().is_none());
    }

    #[test]
    fn what_waits_is_bounded_and_what_is_lost_is_counted() {
        let (mut log, tally) = log(0);
        let line = [vec![b'x'; 1023], vec![b'\n']].concat();
        for _ in 0..2000 {
            log.write_all(&line).unwrap();
        }
        assert_eq!((tally.lines(), tally.lost()), (1024, 976));
        assert!(log.waiting.len() <= WAITING_MAX);
        log.out.room = usize::MAX;
        log.flush().unwrap();
        log.write_all(&line).unwrap();
        log.flush().unwrap();
        assert_eq!(log.out.held.len(), 1025 * 1024, "what came when there was room again arrived as well");
    }
}
