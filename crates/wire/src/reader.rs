//! A bounded view of a frame: the only way in which the rest of the crate touches bytes.

/// Captured bytes of one layer, and how many more of it the wire carried behind them.
///
/// The two lengths are kept apart so that a capture cut short by its snap length is not mistaken for a packet that lies
/// about its length. No method can look past the bytes it was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    bytes: &'a [u8],
    beyond: u64,
}

impl<'a> View<'a> {
    /// A captured frame that was `wire_len` bytes long on the wire; a `wire_len` shorter than the frame is disbelieved.
    #[inline]
    pub(crate) fn of_frame(frame: &'a [u8], wire_len: u32) -> Self {
        Self { bytes: frame, beyond: u64::from(wire_len).saturating_sub(frame.len() as u64) }
    }

    /// A view of these bytes, behind which the wire carried so many more.
    ///
    /// Functions that are not inlined take these two instead of a view: three words are handed over in memory, where their
    /// caller would then have to keep them.
    #[inline]
    pub(crate) const fn new(bytes: &'a [u8], beyond: u64) -> Self {
        Self { bytes, beyond }
    }

    /// How many more bytes of this layer the wire carried behind the captured ones.
    #[inline]
    pub(crate) const fn beyond(self) -> u64 {
        self.beyond
    }

    /// The captured bytes.
    #[inline]
    pub(crate) const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Length of this layer on the wire, in bytes.
    #[inline]
    pub(crate) const fn wire_len(self) -> u64 {
        (self.bytes.len() as u64).saturating_add(self.beyond)
    }

    /// The first `N` bytes, when they were captured.
    #[inline]
    pub(crate) fn first<const N: usize>(self) -> Option<&'a [u8; N]> {
        self.bytes.first_chunk()
    }

    /// What lies behind the first `len` bytes, when these were captured.
    #[inline]
    pub(crate) fn skip(self, len: usize) -> Option<Self> {
        Some(Self { bytes: self.bytes.get(len..)?, beyond: self.beyond })
    }

    /// The first `N` bytes and what lies behind them.
    #[inline]
    pub(crate) fn split<const N: usize>(self) -> Option<(&'a [u8; N], Self)> {
        let (head, rest) = self.bytes.split_first_chunk()?;
        Some((head, Self { bytes: rest, beyond: self.beyond }))
    }

    /// Goes on behind the first `N` bytes and returns these, when they were captured.
    #[inline]
    pub(crate) fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (head, rest) = self.split()?;
        *self = rest;
        Some(head)
    }

    /// Goes on behind the first `len` bytes, when they were captured.
    #[inline]
    pub(crate) fn pass(&mut self, len: usize) -> Option<()> {
        *self = self.skip(len)?;
        Some(())
    }

    /// The first `len` bytes and what lies behind them.
    #[inline]
    pub(crate) fn split_at(self, len: usize) -> Option<(&'a [u8], Self)> {
        let (head, rest) = self.bytes.split_at_checked(len)?;
        Some((head, Self { bytes: rest, beyond: self.beyond }))
    }

    /// At most the first `len` bytes: the length that a header claims for what it carries.
    #[inline]
    pub(crate) fn limit(self, len: u64) -> Self {
        match usize::try_from(len).ok().and_then(|len| self.bytes.get(..len)) {
            Some(bytes) => Self { bytes, beyond: 0 },
            None => Self { beyond: self.beyond.min(len - self.bytes.len() as u64), ..self },
        }
    }

    /// The same bytes as the beginning of a datagram whose end is in other fragments.
    #[inline]
    pub(crate) const fn continued(self) -> Self {
        Self { bytes: self.bytes, beyond: u64::MAX }
    }
}

/// Two bytes in network order.
#[inline]
pub(crate) const fn be16(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_within_the_capture_hides_the_rest() {
        let view = View::of_frame(&[1, 2, 3, 4], 10).limit(3);
        assert_eq!((view.bytes(), view.wire_len()), (&[1, 2, 3][..], 3));
        assert!(view.skip(4).is_none());
    }

    #[test]
    fn a_limit_past_the_capture_shortens_only_what_the_wire_had() {
        let view = View::of_frame(&[1, 2, 3, 4], 10);
        assert_eq!(view.limit(7).wire_len(), 7);
        assert_eq!(view.limit(70).wire_len(), 10);
        assert_eq!(view.limit(u64::MAX).bytes(), &[1, 2, 3, 4]);
    }

    #[test]
    fn a_wire_length_shorter_than_the_frame_is_disbelieved() {
        assert_eq!(View::of_frame(&[0; 8], 3).wire_len(), 8);
    }

    #[test]
    fn a_first_fragment_never_seems_cut_on_the_wire() {
        let view = View::of_frame(&[0; 8], 8).continued();
        assert_eq!(view.wire_len(), u64::MAX);
        assert_eq!(view.limit(100).wire_len(), 100);
    }
}
