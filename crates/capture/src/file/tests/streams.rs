//! Readers of all manners, and what is no capture at all.

use std::fs;
use std::io::{self, Cursor, Read};

use super::forge::{Endian, MICROSECONDS, Pcapng, Wrap, pcap};
use super::{Slow, drain, frames, read, source};
use crate::{Error, FileSource, Poll, Source, open};

#[test]
fn frames_across_many_windows_come_out_as_they_went_in() {
    let sent = frames(60_000);
    let (file, _) = pcap(MICROSECONDS, Endian::Little, 1, &sent);
    assert!(file.len() > 3 * 1024 * 1024);
    let (seen, error) = read(file);
    assert!(error.is_none() && seen == sent);
}

#[test]
fn the_steps_of_a_reader_do_not_matter() {
    let sent = frames(300);
    let (file, _) = pcap(MICROSECONDS, Endian::Little, 1, &sent);
    for wrap in Wrap::ALL {
        for step in [1, 2, 3, 7, 100, 4096] {
            let reader = Slow { inner: Cursor::new(wrap.wrap(&file)), step };
            let (seen, error) = drain(&mut FileSource::from_reader("slow", reader).unwrap());
            assert!(error.is_none() && seen == sent, "{wrap:?} by {step}");
        }
    }
}

#[test]
fn a_pipe_is_not_read_ahead_of_the_frames_that_are_there() {
    /// Gives one record a read, and must not be asked for the second before the first was handed over.
    struct Records {
        pieces: Vec<Vec<u8>>,
    }
    impl Read for Records {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(piece) = self.pieces.first_mut() else { panic!("asked for what nobody wrote yet") };
            let len = piece.len().min(buffer.len());
            buffer[..len].copy_from_slice(&piece[..len]);
            piece.drain(..len);
            self.pieces.retain(|piece| !piece.is_empty());
            Ok(len)
        }
    }
    let (file, ends) = pcap(MICROSECONDS, Endian::Little, 1, &frames(2));
    let pieces = vec![file[..24].to_vec(), file[24..ends[1]].to_vec()];
    let mut source = FileSource::from_reader("pipe", Records { pieces }).unwrap();
    let mut seen = 0;
    assert_eq!(source.poll(&mut |frames| seen += frames.len()).unwrap(), Poll::Frames);
    assert_eq!(seen, 1);
}

#[test]
fn interruptions_are_passed_over_and_failures_end_a_file_after_its_frames() {
    /// Interrupts every other read, and fails at the end.
    struct Faulty {
        inner: Cursor<Vec<u8>>,
        interrupt: bool,
    }
    impl Read for Faulty {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.interrupt = !self.interrupt;
            if self.interrupt {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let len = buffer.len().min(50);
            match self.inner.read(&mut buffer[..len])? {
                0 => Err(io::Error::from_raw_os_error(libc::EIO)),
                read => Ok(read),
            }
        }
    }
    let sent = frames(30);
    let (mut file, ends) = pcap(MICROSECONDS, Endian::Little, 1, &sent);
    file.extend([0; 5]);
    for wrap in [Wrap::Plain, Wrap::Gzip] {
        // The end of a gzip member is cut off, so that the failure comes before it.
        let mut packed = wrap.wrap(&file);
        packed.truncate(packed.len() - if wrap == Wrap::Gzip { 8 } else { 0 });
        let reader = Faulty { inner: Cursor::new(packed), interrupt: false };
        let (seen, error) = drain(&mut FileSource::from_reader("disk", reader).unwrap());
        assert_eq!(seen, sent, "{wrap:?}");
        let Some(Error::Read { file, frame: 31, offset, source }) = error else {
            panic!("{wrap:?}: {error:?}")
        };
        assert_eq!((file.as_str(), offset), ("disk", ends[30] as u64), "{wrap:?}");
        assert_eq!(source.raw_os_error(), Some(libc::EIO));
    }
}

#[test]
fn endless_blocks_without_a_frame_let_the_caller_breathe() {
    let mut pcapng = Pcapng::new(Endian::Little);
    let header = pcapng.file.clone();
    pcapng.block(99, &[0; 500]);
    let block = pcapng.file[header.len()..].to_vec();
    let endless = Cursor::new(header).chain(Repeat { block, at: 0 });
    let mut source = FileSource::from_reader("endless", endless).unwrap();
    for _ in 0..3 {
        assert_eq!(source.poll(&mut |_| panic!("there is no frame")).unwrap(), Poll::Idle);
    }
    assert_eq!(source.window.memory(), 512 * 1024);
}

/// The same bytes without end.
struct Repeat {
    block: Vec<u8>,
    at: usize,
}

impl Read for Repeat {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in &mut *buffer {
            *byte = self.block[self.at];
            self.at = (self.at + 1) % self.block.len();
        }
        Ok(buffer.len())
    }
}

/// The message with which bytes are refused.
fn refusal(bytes: &[u8]) -> String {
    source(bytes).err().expect("these bytes are no capture").to_string()
}

#[test]
fn what_is_no_capture_is_refused_with_its_first_bytes() {
    for (bytes, start) in [
        (&b"#!/bin/sh\n"[..], "23 21 2f 62"),
        (b"\xd4", "d4"),
        (b"\xd4\xc3\xb2", "d4 c3 b2"),
        (b"\0\0\0\0\0\0\0\0", "00 00 00 00"),
        (b"\x0a\x0d\x0d\x0b\x1c\0\0\0", "0a 0d 0d 0b"),
    ] {
        let expected = format!(
            "test.pcap is not a capture file: starts with {start}; expected pcap, pcapng, or either \
             compressed with gzip or zstd"
        );
        assert_eq!(refusal(bytes), expected);
    }
}

#[test]
fn compression_is_undone_once() {
    let (file, _) = pcap(MICROSECONDS, Endian::Little, 1, &frames(3));
    for wrap in [Wrap::Gzip, Wrap::Zstd] {
        assert!(refusal(&wrap.wrap(b"plain text")).contains("starts with 70 6c 61 69"));
        assert!(refusal(&wrap.wrap(&wrap.wrap(&file))).contains("is not a capture file"));
    }
}

#[test]
fn nothing_is_told_apart_from_something_else() {
    for wrap in Wrap::ALL {
        assert!(refusal(&wrap.wrap(b"")).starts_with("test.pcap is empty"), "{wrap:?}");
    }
}

#[test]
fn a_header_that_is_cut_short_is_told_as_such() {
    let (file, _) = pcap(MICROSECONDS, Endian::Little, 1, &[]);
    assert!(refusal(&file[..23]).starts_with("test.pcap is cut short at frame 1, byte offset 0: "));
}

#[test]
fn an_endless_device_is_refused_by_its_first_bytes() {
    assert!(matches!(open("/dev/zero"), Err(Error::NotACapture { .. })));
}

#[test]
fn paths_that_lead_to_no_file_say_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("absent.pcap");
    let message = open(&missing).err().unwrap().to_string();
    assert!(message.contains("absent.pcap") && message.contains("check the path"), "{message}");
    let message = open(directory.path()).err().unwrap().to_string();
    assert!(message.contains("is a directory"), "{message}");
    assert!(matches!(open("/dev/null"), Err(Error::Empty { .. })));
}

#[test]
fn a_file_on_disk_is_named_in_messages_and_its_name_does_not_decide_its_format() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("misleading.pcapng.gz");
    let sent = frames(5);
    let (file, _) = pcap(MICROSECONDS, Endian::Little, 1, &sent);
    fs::write(&path, Wrap::Zstd.wrap(&file)).unwrap();
    let mut source = open(&path).unwrap();
    assert!(source.describe().contains("misleading.pcapng.gz (pcap, microseconds, zstd)"));
    assert_eq!(drain(&mut source).0, sent);
}
