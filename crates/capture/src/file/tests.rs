//! Files made for the purpose, read back.

mod damage;
mod forge;
mod formats;
mod real;
mod streams;

use std::io::{Cursor, Read};

use crate::{BATCH_FRAMES, Error, FileSource, Poll, Source};

/// A frame as an owned value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    ts_ns: u64,
    wire_len: u32,
    linktype: u16,
    bytes: Vec<u8>,
}

/// Frames of many lengths, also none, at microsecond times.
fn frames(count: usize) -> Vec<Seen> {
    (0..count)
        .map(|n| Seen {
            ts_ns: 1_700_000_000_000_000_000 + n as u64 * 1_000,
            wire_len: n as u32 % 97 + 40,
            linktype: 1,
            bytes: vec![n as u8; n % 97],
        })
        .collect()
}

/// Reads a source to its end, and returns the frames and the error it ended with, if any.
fn drain(source: &mut impl Source) -> (Vec<Seen>, Option<Error>) {
    let mut seen = Vec::new();
    loop {
        let before = seen.len();
        let polled = source.poll(&mut |frames| {
            assert!((1..=BATCH_FRAMES).contains(&frames.len()));
            for frame in frames {
                assert_eq!(frame.number, seen.len() as u64 + 1);
                seen.push(Seen {
                    ts_ns: frame.ts_ns,
                    wire_len: frame.wire_len,
                    linktype: frame.linktype,
                    bytes: frame.bytes.to_vec(),
                });
            }
        });
        match polled {
            Ok(Poll::Frames) => assert!(seen.len() > before),
            Ok(Poll::Idle) => assert_eq!(seen.len(), before),
            Ok(Poll::End) => return (seen, None),
            Err(error) => {
                assert_eq!(source.poll(&mut |_| panic!("frames after the error")).unwrap(), Poll::End);
                return (seen, Some(error));
            }
        }
    }
}

fn source(bytes: impl Into<Vec<u8>>) -> Result<FileSource, Error> {
    FileSource::from_reader("test.pcap", Cursor::new(bytes.into()))
}

/// Reads a file to its end; an error on opening comes without frames.
fn read(bytes: impl Into<Vec<u8>>) -> (Vec<Seen>, Option<Error>) {
    match source(bytes) {
        Ok(mut source) => drain(&mut source),
        Err(error) => (Vec::new(), Some(error)),
    }
}

/// Reads a file that must have no fault.
fn read_whole(bytes: impl Into<Vec<u8>>) -> Vec<Seen> {
    let (seen, error) = read(bytes);
    assert!(error.is_none(), "{error:?}");
    seen
}

/// A reader that gives so many bytes at a time.
struct Slow<R> {
    inner: R,
    step: usize,
}

impl<R: Read> Read for Slow<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let len = buffer.len().min(self.step);
        self.inner.read(&mut buffer[..len])
    }
}
