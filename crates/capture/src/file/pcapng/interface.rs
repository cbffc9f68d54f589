//! What a pcapng file says of an interface it was captured on.

use pcap_parser::pcapng::{InterfaceDescriptionBlock, OptionCode, PcapNGOption};

use super::Order;
use super::clock::Clock;

/// The parts of an interface description that its packets need.
pub(super) struct Interface {
    pub(super) linktype: u16,
    /// The most bytes captured of a packet.
    pub(super) snap_len: u32,
    pub(super) clock: Clock,
}

impl Interface {
    /// The clock is read from the options themselves: the parser's own fields take the offset for
    /// little-endian in every section, and refuse resolutions that are powers of two.
    pub(super) fn from_description(block: &InterfaceDescriptionBlock<'_>, order: Order) -> Self {
        let resolution = option(block, OptionCode::IfTsresol).and_then(<[u8]>::first);
        let offset = option(block, OptionCode::IfTsoffset).and_then(<[u8]>::first_chunk);
        Self {
            linktype: block.linktype.0 as u16,
            // The format writes "no limit" as 0.
            snap_len: if block.snaplen == 0 { u32::MAX } else { block.snaplen },
            clock: Clock::new(
                resolution.copied().unwrap_or(Clock::RESOLUTION_DEFAULT),
                offset.map_or(0, |offset| order.i64(*offset)),
            ),
        }
    }
}

/// The value of the first option with that code, among those in front of the end marker.
fn option<'a>(block: &'a InterfaceDescriptionBlock<'_>, code: OptionCode) -> Option<&'a [u8]> {
    block
        .options
        .iter()
        .take_while(|option| option.code != OptionCode::EndOfOpt)
        .find(|option| option.code == code)
        .map(PcapNGOption::as_bytes)?
        .ok()
}
