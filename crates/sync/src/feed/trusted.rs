//! What is never to be older again, on the disk before it is used.

use credence_feed::Head;
use credence_law::Signed;
use credence_law::layout::{DecodeError, Layout, fields};
use sha2::{Digest, Sha256};

fields! {
    /// How far a feed has been followed. Each of these only grows.
    pub struct Trusted {
        /// The run of serials.
        pub session: u64,
        /// The version of the feed in its session; 0 before there is one.
        pub serial: u64,
        /// The SHA-256 of the head, as it was signed.
        pub head: [u8; 32],
        /// When the head was made, in Unix seconds: the time has come for sure.
        pub issued: u64,
        /// How many entries the public log had.
        pub log_size: u64,
        /// Its root.
        pub log_root: [u8; 32],
        /// How many entries the witnesses have seen.
        pub witnessed: u64,
        /// How many rules have come into force.
        pub rules: u32,
    }
}

/// Nothing yet.
impl Default for Trusted {
    fn default() -> Self {
        Self {
            session: 0,
            serial: 0,
            head: [0; 32],
            issued: 0,
            log_size: 0,
            log_root: [0; 32],
            witnessed: 0,
            rules: 0,
        }
    }
}

/// What a file begins with; the last byte is the layout's version.
const MAGIC: [u8; 8] = *b"credtru\x01";

impl Trusted {
    /// The version of the feed, in an order in which nothing goes back.
    pub const fn version(&self) -> (u64, u64) {
        (self.session, self.serial)
    }

    /// What is trusted with a head, of which witnesses have seen so many entries of the log.
    pub(super) fn of(signed: &Signed, head: &Head, witnessed: u64) -> Self {
        Self {
            session: head.session,
            serial: head.serial,
            head: Head::hash(signed),
            issued: head.issued,
            log_size: head.log_size,
            log_root: head.log_root,
            witnessed,
            rules: head.rules,
        }
    }

    /// The same when the public log has begun another epoch: nothing is known of that, and a head of a session that was known is none of
    /// it.
    pub(super) const fn in_another_epoch(&self) -> Self {
        let &Self { session, issued, rules, .. } = self;
        let session = session.saturating_add(1);
        Self {
            session,
            serial: 0,
            head: [0; 32],
            issued,
            log_size: 0,
            log_root: [0; 32],
            witnessed: 0,
            rules,
        }
    }

    /// Its file: eight bytes that name the format, the fields, and the SHA-256 of both.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        self.put(&mut bytes);
        let sum = Sha256::digest(&bytes);
        bytes.extend(sum);
        bytes
    }

    /// Reads what [`encode`](Self::encode) has written; none where a byte is another one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (stated, sum) = bytes.split_last_chunk::<32>()?;
        if Sha256::digest(stated).as_slice() != sum {
            return None;
        }
        let fields: Result<Self, DecodeError> = Self::from_bytes(stated.strip_prefix(&MAGIC)?);
        fields.ok()
    }
}
