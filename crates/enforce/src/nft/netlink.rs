//! The kernel's nftables by its own protocol (nfnetlink), for what the program `nft` cannot do in time.
//!
//! Before it adds one element to any set, `nft` 1.0.6 reads back all elements of all sets that hold intervals: with 200,000 of
//! them that took between 40 and 80 seconds for a single address, and so did reading the counters. Here elements are written and
//! counters read without asking for anything else. Rules are left to the program, whose language is kept stable.
//!
//! Numbers are those of `linux/netfilter/nfnetlink.h` and `nf_tables.h`. Integers of attributes are in network order.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::sockopt::set_socket_send_buffer_size_force;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, sendto, socket};

/// `NFNL_SUBSYS_NFTABLES`.
const NFTABLES: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// Ends the answer to a question (`NLMSG_DONE`), and reports what came of a request (`NLMSG_ERROR`).
const DONE: u16 = 3;
const ERROR: u16 = 2;
/// `AF_INET6`, the family of the table.
const IP6: u8 = 10;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;

/// Bytes of a message's head and of the part that all of this protocol have.
const HEAD: usize = 16;
const FAMILY_PART: usize = 4;

/// Bytes that one batch may have: what is sent at once must fit into the socket's buffer. At the end of each the kernel walks
/// the whole set; batches of a sixteenth took a fifth longer for a million ranges.
pub(crate) const BATCH_BYTES_MAX: usize = 16 << 20;
/// Of the socket's buffer. The kernel counts what it adds to each message as well.
const BUFFER_BYTES: usize = 32 << 20;

/// What a message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    ListTables = 1,
    DeleteTable = 2,
    AddElements = 12,
    DeleteElements = 14,
    ListObjects = 19,
}

/// Messages that take effect together or not at all.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    sequence: u32,
    /// Where the last message begins.
    last: usize,
}

impl Batch {
    pub(crate) fn new() -> Self {
        let mut batch = Self::default();
        batch.control(BATCH_BEGIN);
        batch
    }

    /// Adds a message whose attributes `fill` writes.
    pub(crate) fn message(&mut self, kind: Kind, fill: impl FnOnce(&mut Attributes<'_>)) {
        let flags = if kind == Kind::AddElements { REQUEST | CREATE } else { REQUEST };
        self.raw(NFTABLES << 8 | kind as u16, flags, IP6, 0, fill);
    }

    /// The bytes so far.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of a batch whose last message, of that number, is to be confirmed. (Kernels before 6.10 confirm no end.)
    fn finish(mut self) -> (Vec<u8>, u32) {
        let number = self.sequence;
        let flags = &mut self.bytes[self.last + 6..self.last + 8];
        flags.copy_from_slice(&(u16::from_ne_bytes([flags[0], flags[1]]) | ACK).to_ne_bytes());
        self.control(BATCH_END);
        (self.bytes, number)
    }

    fn control(&mut self, kind: u16) {
        self.raw(kind, REQUEST, 0, NFTABLES, |_| {});
    }

    fn raw(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        resource: u16,
        fill: impl FnOnce(&mut Attributes<'_>),
    ) {
        self.sequence += 1;
        let start = self.bytes.len();
        self.last = start;
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        fill(&mut Attributes::new(&mut self.bytes));
        let len = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&len.to_ne_bytes());
    }
}

/// The attributes of a message, written one behind the other.
pub(crate) struct Attributes<'b> {
    bytes: &'b mut Vec<u8>,
    /// Where they begin.
    start: usize,
}

/// Says that an attribute holds others.
const NESTED: u16 = 1 << 15;

impl<'b> Attributes<'b> {
    const fn new(bytes: &'b mut Vec<u8>) -> Self {
        let start = bytes.len();
        Self { bytes, start }
    }

    /// Their bytes so far.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// An attribute of these bytes.
    pub(crate) fn bytes(&mut self, kind: u16, bytes: &[u8]) {
        self.bytes.extend((4 + bytes.len() as u16).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// An attribute of text, with the zero that ends it.
    pub(crate) fn text(&mut self, kind: u16, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes);
    }

    /// An attribute that holds those which `fill` writes; at most 65,535 bytes.
    pub(crate) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend((kind | NESTED).to_ne_bytes());
        fill(&mut Attributes::new(self.bytes));
        let len = u16::try_from(self.bytes.len() - start).expect("whoever nests counts");
        self.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes());
    }
}

/// The attributes among `bytes`, as far as they are sound.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (head, _) = bytes.split_first_chunk::<4>()?;
        let len = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & !NESTED;
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The attribute of that kind among `bytes`.
pub(crate) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// Text without the zero that ends it.
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes.strip_suffix(&[0]).unwrap_or(bytes)).ok()
}

/// Puts a batch in force, in the network namespace of this thread.
///
/// # Errors
/// What the kernel says of the first of its messages that it refuses; then none took effect.
pub(crate) fn commit(batch: Batch) -> io::Result<()> {
    let (bytes, last) = batch.finish();
    let socket = send(&bytes)?;
    let mut answer = vec![0; ANSWER_BYTES];
    let mut outcome = Ok(());
    loop {
        let (len, _) = recv(&socket, answer.as_mut_slice(), RecvFlags::empty())?;
        let Some(report) = message(&answer[..len]).filter(|message| message.kind == ERROR) else { continue };
        let (number, error) = (report.number, report.error());
        if error != 0 && outcome.is_ok() {
            outcome = Err(io::Error::from_raw_os_error(-error));
        }
        // What it refuses as a whole it answers at the beginning, and goes no further.
        if number == last || (number == 1 && error != 0) {
            return outcome;
        }
    }
}

/// Asks for a list, and hands the attributes of each item to `each`.
///
/// # Errors
/// When the kernel does not give it.
pub(crate) fn list(
    kind: Kind,
    fill: impl FnOnce(&mut Attributes<'_>),
    mut each: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut question = Batch::default();
    question.raw(NFTABLES << 8 | kind as u16, REQUEST | DUMP, IP6, 0, fill);
    let socket = send(&question.bytes)?;
    let mut answer = vec![0; ANSWER_BYTES];
    loop {
        let (len, _) = recv(&socket, answer.as_mut_slice(), RecvFlags::empty())?;
        let mut rest = &answer[..len];
        while let Some(message) = message(rest) {
            match (message.kind, message.error()) {
                (DONE, _) => return Ok(()),
                (ERROR, 0) => {}
                (ERROR, error) => return Err(io::Error::from_raw_os_error(-error)),
                _ => each(message.body.get(FAMILY_PART..).unwrap_or_default()),
            }
            rest = message.after;
        }
    }
}

/// Sends what is asked for by a socket of its own, so that no late answer to another question is taken for one to this.
fn send(bytes: &[u8]) -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::NETLINK, SocketType::RAW, Some(NETFILTER))?;
    // Not needed for short messages, and refused to who may not change rules either.
    let _ = set_socket_send_buffer_size_force(&socket, BUFFER_BYTES);
    sendto(&socket, bytes, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

/// Bytes of the largest answer that is read whole.
const ANSWER_BYTES: usize = 1 << 16;

/// A message of the kernel's, and what follows it.
struct Message<'b> {
    kind: u16,
    number: u32,
    body: &'b [u8],
    after: &'b [u8],
}

impl Message<'_> {
    /// What a report says: 0 for a success.
    fn error(&self) -> i32 {
        self.body.first_chunk().map_or(0, |error| i32::from_ne_bytes(*error))
    }
}

/// The first message among `bytes`.
fn message(bytes: &[u8]) -> Option<Message<'_>> {
    let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let (len, number) = (word(0)? as usize, word(8)?);
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    // An answer may be cut where it repeats the question.
    let body = bytes.get(HEAD..len.min(bytes.len()))?;
    Some(Message { kind, number, body, after: bytes.get(len.next_multiple_of(4)..).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        let mut written = Attributes::new(&mut bytes);
        written.text(1, "table");
        written.nested(3, |inner| inner.bytes(2, &[7; 5]));
        let read: Vec<_> = attributes(&bytes).collect();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].0, text(read[0].1)), (1, Some("table")));
        assert_eq!(attribute(&bytes, 3).and_then(|inner| attribute(inner, 2)), Some(&[7; 5][..]));
        for cut in 0..bytes.len() {
            assert!(attributes(&bytes[..cut]).count() <= 1, "what is cut is not read");
        }
    }

    #[test]
    fn a_batch_is_framed_by_its_beginning_and_its_end() {
        let mut batch = Batch::new();
        batch.message(Kind::DeleteTable, |table| table.text(1, "t"));
        let (bytes, last) = batch.finish();
        let (mut rest, mut kinds) = (&bytes[..], Vec::new());
        while let Some(message) = message(rest) {
            kinds.push((message.kind, message.number));
            rest = message.after;
        }
        assert_eq!(kinds, [(BATCH_BEGIN, 1), (NFTABLES << 8 | 2, 2), (BATCH_END, 3)]);
        assert_eq!(last, 2);
        let flags = |message: usize| u16::from_ne_bytes([bytes[message + 6], bytes[message + 7]]);
        assert_eq!([flags(0), flags(HEAD + FAMILY_PART)], [REQUEST, REQUEST | ACK]);
    }
}
