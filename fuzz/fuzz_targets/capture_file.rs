//! Any bytes as a capture file: no panic, no frame beyond the limit, and the same answer however they arrive.
#![no_main]

use std::io::{self, Cursor, Read};

use credence_capture::{FRAME_MAX, FileSource, Poll, Source};
use libfuzzer_sys::fuzz_target;

/// Gives a few bytes at a time, as a slow pipe does.
struct Slow {
    inner: Cursor<Vec<u8>>,
    step: usize,
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(self.step);
        self.inner.read(&mut buffer[..len])
    }
}

/// The frames' times, link types and bytes, and the message that reading ended with, if any.
type Outcome = (Vec<(u64, u16, Vec<u8>)>, Option<String>);

fn outcome(file: &[u8], step: usize) -> Outcome {
    let reader = Slow { inner: Cursor::new(file.to_vec()), step };
    let mut source = match FileSource::from_reader("fuzz", reader) {
        Ok(source) => source,
        Err(error) => return (Vec::new(), Some(error.to_string())),
    };
    let mut seen = Vec::new();
    loop {
        let polled = source.poll(&mut |frames| {
            for frame in frames {
                assert_eq!(frame.number, seen.len() as u64 + 1);
                assert!(frame.bytes.len() <= FRAME_MAX && frame.bytes.len() <= frame.wire_len as usize);
                seen.push((frame.ts_ns, frame.linktype, frame.bytes.to_vec()));
            }
        });
        match polled {
            Ok(Poll::Frames | Poll::Idle) => {}
            Ok(Poll::End) => return (seen, None),
            Err(error) => {
                assert_eq!(source.poll(&mut |_| panic!("frames after the error")).ok(), Some(Poll::End));
                return (seen, Some(error.to_string()));
            }
        }
    }
}

// The first byte chooses how many bytes the slow reader gives at a time.
fuzz_target!(|data: &[u8]| {
    let [step, file @ ..] = data else { return };
    let at_once = outcome(file, usize::MAX);
    // A decompressor that meets damage may give up a little earlier or later, by how its input was cut.
    let compressed = matches!(file, [0x1f, 0x8b, ..] | [0x28 | 0x50..=0x5f, 0xb5 | 0x2a, ..]);
    if !compressed || at_once.1.is_none() {
        assert_eq!(at_once, outcome(file, usize::from(*step) + 1));
    }
});
