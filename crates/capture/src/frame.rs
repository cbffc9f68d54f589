//! A frame, and the fixed array in which a source gathers a batch of them.

/// The most frames that one call of a sink receives.
///
/// 256 frames of 64 bytes with their metadata are some 26 KiB: a batch stays in a core's first-level cache
/// while its cost per call spreads thin.
pub const BATCH_FRAMES: usize = 256;

/// The most bytes of one frame, the limit that capture tools have settled on. A live frame beyond it, which
/// only offloads such as BIG TCP can make, is cut; its `wire_len` tells the true length.
pub const FRAME_MAX: usize = 256 * 1024;

/// One captured frame, borrowed from its source for the duration of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The frame's place in its source, counted from 1.
    pub number: u64,
    /// When the frame was captured, in nanoseconds of Unix time.
    pub ts_ns: u64,
    /// The frame's length on the wire in bytes, never less than `bytes` holds.
    pub wire_len: u32,
    /// The number of the link layer in the `LINKTYPE_` registry of capture files.
    pub linktype: u16,
    /// The captured bytes, at most [`FRAME_MAX`], from the link layer's first byte on.
    ///
    /// A frame from the `pnet` data link may lack its outermost VLAN tag, which network cards and the
    /// kernel take out; the EtherType then is that of what the tag enclosed.
    pub bytes: &'a [u8],
}

impl Frame<'_> {
    /// What an unused place of a batch holds.
    pub(crate) const NONE: Self = Frame { number: 0, ts_ns: 0, wire_len: 0, linktype: 0, bytes: &[] };
}

/// Up to [`BATCH_FRAMES`] frames on the stack, numbered as they are pushed.
pub(crate) struct Frames<'a> {
    slots: [Frame<'a>; BATCH_FRAMES],
    len: usize,
    next_number: u64,
}

impl<'a> Frames<'a> {
    /// An empty array whose first frame will have the number `next_number`.
    pub(crate) fn numbered_from(next_number: u64) -> Self {
        Self { slots: [Frame::NONE; BATCH_FRAMES], len: 0, next_number }
    }

    /// Adds a frame. One beyond the array's end is refused; callers ask [`Frames::is_full`] first.
    pub(crate) fn push(&mut self, ts_ns: u64, wire_len: u32, linktype: u16, bytes: &'a [u8]) {
        debug_assert!(bytes.len() <= FRAME_MAX);
        if let Some(slot) = self.slots.get_mut(self.len) {
            // No link carries less than what was captured of it; some writers leave the field at 0.
            let wire_len = wire_len.max(bytes.len() as u32);
            *slot = Frame { number: self.next_number, ts_ns, wire_len, linktype, bytes };
            self.len += 1;
            self.next_number += 1;
        }
    }

    /// Whether no further frame fits.
    pub(crate) fn is_full(&self) -> bool {
        self.len == BATCH_FRAMES
    }

    /// The frames pushed so far.
    pub(crate) fn as_slice(&self) -> &[Frame<'a>] {
        &self.slots[..self.len]
    }
}
