//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng).
//!
//! The crate `pcap-parser` frames the blocks and reads sections, interfaces and simple packets. The five
//! words in front of an enhanced packet are read here: the crate gathers each packet's options in a vector,
//! which costs an allocation a frame, and it does not know the obsolete packet block, whose words are the
//! same but for the first. A test holds this reading to the crate's.

mod clock;
mod interface;

use pcap_parser::pcapng::{
    EPB_MAGIC, IDB_MAGIC, SHB_MAGIC, SPB_MAGIC, UnknownBlock, parse_interfacedescriptionblock_be,
    parse_interfacedescriptionblock_le, parse_sectionheaderblock, parse_simplepacketblock_be,
    parse_simplepacketblock_le, parse_unknownblock_be, parse_unknownblock_le,
};
use pcap_parser::traits::PcapNGPacketBlock;

use self::interface::Interface;
use super::{BLOCK_MAX, Stop};
use crate::Flaw;
use crate::frame::{FRAME_MAX, Frames};

/// The type of the packet block that the enhanced packet block replaced; old captures hold it.
const OBSOLETE_PACKET: u32 = 2;
/// The length in bytes of a block without a body: its type and its length twice.
const BLOCK_LEN_MIN: usize = 12;
/// The length in bytes of the words in front of a packet's bytes.
const PACKET_HEADER_LEN: usize = 20;

/// The most interfaces kept of one section, so that a file of nothing else takes some 2.5 MiB.
const INTERFACES_MAX: usize = 65_536;

/// The most bytes of a block whose options are parsed: parsing makes eight bytes out of one.
const DESCRIPTION_MAX: usize = 256 * 1024;

/// The byte-order magic of a section header, as bytes of a little-endian section.
const BYTE_ORDER_MAGIC_LE: [u8; 4] = [0x4d, 0x3c, 0x2b, 0x1a];
const BYTE_ORDER_MAGIC_BE: [u8; 4] = [0x1a, 0x2b, 0x3c, 0x4d];

/// Whether `start` are the first four bytes of a section header, which read the same in both byte orders.
pub(super) fn is_magic(start: &[u8]) -> bool {
    start.starts_with(&SHB_MAGIC.to_le_bytes())
}

/// The byte order of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

/// What the blocks so far say of those to come.
pub(super) struct Blocks {
    order: Order,
    interfaces: Vec<Interface>,
    /// The last time seen, which stands in for that of simple packets: they carry none.
    last_ts_ns: u64,
}

/// A block of any type whose two lengths agree, with the bytes that it was read from.
struct Block<'a> {
    kind: u32,
    whole: &'a [u8],
    body: &'a [u8],
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self { order: Order::Little, interfaces: Vec::new(), last_ts_ns: 0 }
    }

    /// Takes whole blocks off the front of `bytes` until `frames` is full, and returns how many bytes they
    /// were and what stopped it sooner.
    pub(super) fn walk<'a>(&mut self, bytes: &'a [u8], frames: &mut Frames<'a>) -> (usize, Result<(), Stop>) {
        let mut walked = 0;
        while !frames.is_full() {
            match self.step(&bytes[walked..], frames) {
                Ok(len) => walked += len,
                Err(stop) => return (walked, Err(stop)),
            }
        }
        (walked, Ok(()))
    }

    /// Takes one block off the front of `rest`, and returns its length.
    fn step<'a>(&mut self, rest: &'a [u8], frames: &mut Frames<'a>) -> Result<usize, Stop> {
        if is_magic(rest) {
            return self.section(rest);
        }
        let block = frame_block(rest, self.order)?;
        match block.kind {
            IDB_MAGIC => self.describe(&block)?,
            EPB_MAGIC | OBSOLETE_PACKET => self.packet(&block, frames)?,
            SPB_MAGIC => self.simple_packet(&block, frames)?,
            // Statistics, names, secrets, custom blocks and those yet to be invented hold no frame.
            _ => {}
        }
        Ok(block.whole.len())
    }

    /// Starts a section: its byte order may differ from the last one's, and its interfaces count anew.
    fn section(&mut self, rest: &[u8]) -> Result<usize, Stop> {
        self.order = match rest.get(8..12) {
            None => return Err(Stop::Need(12 - rest.len())),
            Some(magic) if *magic == BYTE_ORDER_MAGIC_LE => Order::Little,
            Some(magic) if *magic == BYTE_ORDER_MAGIC_BE => Order::Big,
            Some(_) => return Err(Stop::Flaw(Flaw::ByteOrder)),
        };
        let block = frame_block(rest, self.order)?;
        check_description(&block)?;
        let (_, header) = parse_sectionheaderblock(block.whole).map_err(|_| too_short(&block))?;
        if header.major_version != 1 {
            return Err(Stop::Flaw(Flaw::Version { major: header.major_version }));
        }
        self.interfaces.clear();
        Ok(block.whole.len())
    }

    /// Adds an interface to the section's.
    fn describe(&mut self, block: &Block<'_>) -> Result<(), Stop> {
        check_description(block)?;
        if self.interfaces.len() == INTERFACES_MAX {
            return Err(Stop::Flaw(Flaw::TooManyInterfaces { max: INTERFACES_MAX }));
        }
        let parsed = match self.order {
            Order::Little => parse_interfacedescriptionblock_le(block.whole),
            Order::Big => parse_interfacedescriptionblock_be(block.whole),
        };
        let (_, description) = parsed.map_err(|_| too_short(block))?;
        self.interfaces.push(Interface::from_description(&description, self.order));
        Ok(())
    }

    /// Reads an enhanced or an obsolete packet block.
    fn packet<'a>(&mut self, block: &Block<'a>, frames: &mut Frames<'a>) -> Result<(), Stop> {
        let Some((header, data)) = block.body.split_first_chunk::<PACKET_HEADER_LEN>() else {
            return Err(too_short(block));
        };
        let (words, _) = header.as_chunks::<4>();
        let [first, ts_high, ts_low, captured, original] =
            [words[0], words[1], words[2], words[3], words[4]].map(|word| self.order.u32(word));
        let interface = if block.kind == OBSOLETE_PACKET {
            // The other half of the word counts what the capturing system dropped.
            u32::from(self.order.u16([header[0], header[1]]))
        } else {
            first
        };
        let interface = self.interface(interface)?;
        let linktype = interface.linktype;
        self.last_ts_ns = interface.clock.unix_ns((u64::from(ts_high) << 32) | u64::from(ts_low));
        let bytes = data
            .get(..captured as usize)
            .ok_or(Stop::Flaw(Flaw::PacketBeyondBlock { declared: captured }))?;
        push(frames, self.last_ts_ns, original, linktype, bytes)
    }

    /// Reads a simple packet block, which belongs to the section's first interface.
    fn simple_packet<'a>(&self, block: &Block<'a>, frames: &mut Frames<'a>) -> Result<(), Stop> {
        let interface = self.interface(0)?;
        let parsed = match self.order {
            Order::Little => parse_simplepacketblock_le(block.whole),
            Order::Big => parse_simplepacketblock_be(block.whole),
        };
        let (_, packet) = parsed.map_err(|_| too_short(block))?;
        // The captured length is not written: it is the original one, cut by the interface's limit.
        let captured = packet.orig_len().min(interface.snap_len) as usize;
        let bytes = packet.data.get(..captured).unwrap_or(packet.data);
        push(frames, self.last_ts_ns, packet.orig_len(), interface.linktype, bytes)
    }

    fn interface(&self, interface: u32) -> Result<&Interface, Stop> {
        let described = self.interfaces.len();
        self.interfaces
            .get(interface as usize)
            .ok_or(Stop::Flaw(Flaw::UnknownInterface { interface, described }))
    }
}

impl Order {
    fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    fn i64(self, bytes: [u8; 8]) -> i64 {
        match self {
            Self::Little => i64::from_le_bytes(bytes),
            Self::Big => i64::from_be_bytes(bytes),
        }
    }
}

/// Finds the end of the block at the front of `rest`.
fn frame_block(rest: &[u8], order: Order) -> Result<Block<'_>, Stop> {
    let parsed = match order {
        Order::Little => parse_unknownblock_le(rest),
        Order::Big => parse_unknownblock_be(rest),
    };
    let (left, block) = parsed.map_err(|error| unframed(rest, order, &error))?;
    if block.block_len1 != block.block_len2 {
        return Err(Stop::Flaw(Flaw::LengthMismatch {
            leading: block.block_len1,
            trailing: block.block_len2,
        }));
    }
    Ok(Block { kind: kind(&block, order), whole: &rest[..rest.len() - left.len()], body: block.data })
}

/// Why the block at the front of `rest` has no end yet. One that declares more than the limit is refused
/// before anything is read for it.
fn unframed(rest: &[u8], order: Order, error: &pcap_parser::nom::Err<pcap_parser::PcapError<&[u8]>>) -> Stop {
    let word = |at| rest.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| order.u32(*word));
    match Stop::from_parser(error) {
        // A header that is not whole yet is not judged, so that the verdict does not hang on how the bytes came.
        Stop::Need(_) if rest.len() >= BLOCK_LEN_MIN && word(4) as usize > BLOCK_MAX => {
            Stop::Flaw(Flaw::BlockTooLong { declared: u64::from(word(4)), max: BLOCK_MAX })
        }
        Stop::Need(needed) => Stop::Need(needed),
        // All that framing refuses is a length that does not even cover itself.
        Stop::Flaw(_) => Stop::Flaw(Flaw::BlockTooShort { block: word(0) }),
    }
}

/// A block's type in its section's byte order; the parser reads it as little-endian always.
fn kind(block: &UnknownBlock<'_>, order: Order) -> u32 {
    match order {
        Order::Little => block.block_type,
        Order::Big => block.block_type.swap_bytes(),
    }
}

fn too_short(block: &Block<'_>) -> Stop {
    Stop::Flaw(Flaw::BlockTooShort { block: block.kind })
}

fn check_description(block: &Block<'_>) -> Result<(), Stop> {
    if block.whole.len() > DESCRIPTION_MAX {
        let declared = block.whole.len() as u64;
        return Err(Stop::Flaw(Flaw::BlockTooLong { declared, max: DESCRIPTION_MAX }));
    }
    Ok(())
}

fn push<'a>(
    frames: &mut Frames<'a>,
    ts_ns: u64,
    wire_len: u32,
    linktype: u16,
    bytes: &'a [u8],
) -> Result<(), Stop> {
    if bytes.len() > FRAME_MAX {
        return Err(Stop::Flaw(Flaw::FrameTooLong { declared: bytes.len() as u64 }));
    }
    frames.push(ts_ns, wire_len, linktype, bytes);
    Ok(())
}
