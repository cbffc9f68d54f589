//! The VLAN tag that the kernel takes out of a frame before a packet socket sees it, put back (IEEE 802.1Q, clause 9).
//!
//! A card or the kernel itself removes the outermost tag and keeps it beside the frame. The ring tells of it in the frame's
//! header. The two addresses of the link layer move four bytes to the front, and the tag stands behind them again. Room for
//! that is there: between header and frame the kernel writes the address of the sender's link layer, which nobody reads here,
//! and so the ring needs no room reserved (`PACKET_RESERVE`), for which each frame would pay: the smallest would take 152
//! bytes of it in place of 144. An untagged frame costs the look at one bit; of a block with tags
//! the headers are walked once more.

/// Two addresses of six bytes each, in front of the tag.
const ADDRESSES_LEN: usize = 12;
/// The identifier of a tag whose identifier nobody told, as of kernels before 3.14: that of customers.
const CUSTOMER: u16 = 0x8100;

/// A tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag([u8; 4]);

impl Tag {
    /// The tag of which a frame's header tells with its status, its protocol identifier and its control information.
    pub(super) const fn told(status: u32, tpid: u16, tci: u32) -> Self {
        let tpid = if status & libc::TP_STATUS_VLAN_TPID_VALID != 0 { tpid } else { CUSTOMER };
        let ([a, b], [c, d]) = (tpid.to_be_bytes(), (tci as u16).to_be_bytes());
        Self([a, b, c, d])
    }
}

/// Puts the tag into the frame that stands in `place` from `start` to the end, and returns by how many bytes the frame is longer
/// and begins earlier: none where it was cut before the tag's place, or has no room in front.
pub(super) fn put_back(tag: Tag, place: &mut [u8], start: usize) -> usize {
    let Tag(tag) = tag;
    let (behind, before) = (start.saturating_add(ADDRESSES_LEN), start.checked_sub(tag.len()));
    let Some(before) = before.filter(|_| behind <= place.len()) else { return 0 };
    place.copy_within(start..behind, before);
    if let Some(gap) = place.get_mut(behind - tag.len()..behind) {
        gap.copy_from_slice(&tag);
    }
    tag.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_frame_is_what_it_was_with_the_tag_in_its_place(
            place in prop::collection::vec(any::<u8>(), 0..80),
            start in 0_usize..90,
            tag in any::<[u8; 4]>(),
        ) {
            let frame = place.get(start..).unwrap_or_default();
            let expected = match frame.split_at_checked(12) {
                Some((addresses, rest)) if start >= 4 => [addresses, &tag, rest].concat(),
                _ => frame.to_vec(),
            };
            let mut changed = place.clone();
            let begins = start - put_back(Tag(tag), &mut changed, start);
            prop_assert_eq!(changed.get(begins..).unwrap_or_default(), expected);
            let untouched = begins.min(place.len());
            prop_assert_eq!(&changed[..untouched], &place[..untouched]);
        }
    }

    #[test]
    fn a_tag_is_a_customers_where_the_kernel_tells_no_identifier() {
        let valid = libc::TP_STATUS_VLAN_VALID;
        assert_eq!(Tag::told(valid, 0, 0x0fff), Tag([0x81, 0x00, 0x0f, 0xff]));
        let told = valid | libc::TP_STATUS_VLAN_TPID_VALID;
        assert_eq!(Tag::told(told, 0x9100, 0xe001), Tag([0x91, 0x00, 0xe0, 0x01]));
    }
}
