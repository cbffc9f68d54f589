//! Files that are cut, bent, or hostile.

use pcap_parser::pcapng::{parse_enhancedpacketblock_be, parse_enhancedpacketblock_le};
use pcap_parser::traits::PcapNGPacketBlock;
use proptest::prelude::*;

use super::forge::{Endian, KUZNETZOV, MICROSECONDS, NANOSECONDS, Pcapng, Wrap, pcap, pcap_header};
use super::{Seen, drain, frames, read, source};
use crate::{BLOCK_MAX, Error, FRAME_MAX, Flaw};

/// A pcapng file of every kind of block, and where each block ends.
fn mixed(endian: Endian) -> Pcapng {
    let mut pcapng = Pcapng::new(endian);
    pcapng
        .interface(1, &[(9, vec![9])])
        .interface(101, &[])
        .enhanced(0, 1, 60, &[1; 60])
        .block(5, &[0; 8])
        .obsolete(1, 2, 1500, &[2; 41])
        .simple(3, &[3; 3])
        .section(Endian::Little)
        .interface(113, &[])
        .enhanced(0, 3, 7, &[4; 7]);
    pcapng
}

/// Cuts a file at every length. What ends before the cut must come out, and the error must name the first
/// record or block that does not; `starts` are the places where one starts, and `header` how long the part
/// is without which the file cannot be opened.
fn check_cuts(file: &[u8], starts: &[usize], header: usize) {
    let whole = read(file).0;
    for cut in 0..file.len() {
        let (seen, error) = read(&file[..cut]);
        assert!(whole.starts_with(&seen), "cut at {cut}");
        match error {
            Some(Error::Empty { .. }) => assert_eq!(cut, 0),
            Some(Error::NotACapture { .. }) => assert!((1..4).contains(&cut)),
            Some(Error::Truncated { frame, offset, .. }) => {
                let start = starts.iter().copied().rfind(|start| *start <= cut).unwrap_or(0);
                assert_eq!((frame, offset), (seen.len() as u64 + 1, start as u64), "cut at {cut}");
                assert_ne!(cut, start, "a cut between records is a clean end");
            }
            Some(error) => panic!("cut at {cut}: {error}"),
            None => assert!(starts.contains(&cut) && cut >= header, "cut at {cut} went unnoticed"),
        }
        let complete = starts.iter().filter(|start| **start <= cut).count();
        assert!(seen.len() <= complete, "cut at {cut}");
    }
}

#[test]
fn pcap_cut_at_every_length() {
    let sent = frames(40);
    for (magic, endian) in
        [(MICROSECONDS, Endian::Little), (NANOSECONDS, Endian::Big), (KUZNETZOV, Endian::Little)]
    {
        let (file, ends) = pcap(magic, endian, 1, &sent);
        check_cuts(&file, &ends, 24);
        for (frames, end) in ends.iter().enumerate() {
            assert_eq!(read(&file[..*end]).0, sent[..frames], "all frames before a clean cut");
            let (seen, _) = read(&file[..(end + 1).min(file.len())]);
            assert_eq!(seen[..frames], sent[..frames], "all frames before a ragged cut");
        }
    }
}

#[test]
fn pcapng_cut_at_every_length() {
    for endian in Endian::BOTH {
        let Pcapng { file, ends, .. } = mixed(endian);
        check_cuts(&file, &ends, ends[0]);
        let seen: Vec<usize> = ends.iter().map(|end| read(&file[..*end]).0.len()).collect();
        assert_eq!(seen, [0, 0, 0, 1, 1, 2, 3, 3, 3, 4]);
    }
}

#[test]
fn compressed_files_cut_at_every_length_yield_a_prefix_and_say_so() {
    let sent = frames(60);
    let (file, _) = pcap(MICROSECONDS, Endian::Little, 1, &sent);
    for wrap in [Wrap::Gzip, Wrap::Zstd] {
        let packed = wrap.wrap(&file);
        for cut in 4..packed.len() {
            let (seen, error) = read(&packed[..cut]);
            assert!(sent.starts_with(&seen), "{wrap:?} cut at {cut}");
            assert!(matches!(error, Some(Error::Truncated { .. })), "{wrap:?} cut at {cut}: {error:?}");
        }
    }
}

#[test]
fn a_compressed_file_cut_in_the_middle_yields_what_came_before() {
    // Bytes without a pattern, so that the compressed file is as long as the plain one.
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let sent: Vec<Seen> = (0..2_000)
        .map(|n| Seen {
            ts_ns: n * 1_000,
            wire_len: 1_400,
            linktype: 1,
            bytes: (0..1_400).map(|_| noise()).collect(),
        })
        .collect();
    let (file, _) = pcap(MICROSECONDS, Endian::Little, 1, &sent);
    for wrap in [Wrap::Gzip, Wrap::Zstd] {
        let packed = wrap.wrap(&file);
        let (seen, error) = read(&packed[..packed.len() / 2]);
        assert!(matches!(error, Some(Error::Truncated { .. })), "{wrap:?}: {error:?}");
        // zstd holds back at most a block of 128 KiB.
        assert!((850..=1_000).contains(&seen.len()), "{wrap:?}: {} frames", seen.len());
        assert_eq!(seen, sent[..seen.len()]);
    }
}

#[test]
fn damage_inside_the_compression_is_noticed_behind_what_was_sound() {
    let sent = frames(3_000);
    let (file, _) = pcap(MICROSECONDS, Endian::Little, 1, &sent);
    for wrap in [Wrap::Gzip, Wrap::Zstd] {
        let mut packed = wrap.wrap(&file);
        let sound = packed.len() * 9 / 10;
        packed[sound..].fill(0xff);
        let (seen, error) = read(packed);
        assert!(
            matches!(error, Some(Error::Decompress { .. } | Error::Corrupt { .. })),
            "{wrap:?}: {error:?}"
        );
        // zstd decodes blocks of 128 KiB, of which this file has two.
        let same = seen.iter().zip(&sent).take_while(|(seen, sent)| seen == sent).count();
        assert!(same > 1_000, "{wrap:?}: {same} frames");
    }
}

#[test]
fn a_wrong_checksum_is_told_after_the_last_frame() {
    let sent = frames(300);
    let (file, _) = pcap(MICROSECONDS, Endian::Little, 1, &sent);
    let mut packed = Wrap::Gzip.wrap(&file);
    let checksum = packed.len() - 8;
    packed[checksum] ^= 1;
    let (seen, error) = read(packed);
    assert_eq!(seen, sent);
    let error = error.expect("the checksum differs");
    assert!(matches!(error, Error::Decompress { frame: 301, .. }), "{error:?}");
    assert!(error.to_string().contains("gzip -t"), "{error}");
}

fn record_declaring(magic: u32, endian: Endian, captured: u32) -> Vec<u8> {
    let mut file = pcap(magic, endian, 1, &frames(3)).0;
    for word in [1, 2, captured, captured] {
        endian.u32(word, &mut file);
    }
    file
}

#[test]
fn a_record_longer_than_any_frame_is_damage_with_a_place() {
    for endian in Endian::BOTH {
        for declared in [FRAME_MAX as u32 + 1, 0x7fff_ffff, u32::MAX] {
            let file = record_declaring(NANOSECONDS, endian, declared);
            let start = file.len() as u64 - 16;
            let (seen, error) = read(file);
            assert_eq!(seen.len(), 3);
            let expected = Flaw::FrameTooLong { declared: u64::from(declared) };
            assert!(
                matches!(error, Some(Error::Corrupt { frame: 4, offset, flaw, .. })
                    if offset == start && flaw == expected),
                "{error:?}"
            );
        }
    }
}

#[test]
fn a_record_longer_than_any_frame_is_refused_even_when_it_is_all_there() {
    let mut file = record_declaring(MICROSECONDS, Endian::Little, FRAME_MAX as u32 + 1);
    file.resize(file.len() + 2 * FRAME_MAX, 0);
    let flaw = Flaw::FrameTooLong { declared: FRAME_MAX as u64 + 1 };
    assert!(matches!(read(file).1, Some(Error::Corrupt { flaw: found, .. }) if found == flaw));
}

/// However the bytes arrive: whether a length that cannot be is already there must not decide.
#[test]
fn a_record_header_that_is_cut_is_a_cut_whatever_length_it_declares() {
    for (magic, header_len) in [(MICROSECONDS, 16), (KUZNETZOV, 24)] {
        for cut in 1..header_len {
            let mut file = pcap_header(magic, Endian::Little, 1);
            file.extend([0xff; 24]);
            file.truncate(24 + cut);
            let (seen, error) = read(file);
            assert!(seen.is_empty());
            assert!(matches!(error, Some(Error::Truncated { frame: 1, offset: 24, .. })), "{cut}: {error:?}");
        }
    }
}

#[test]
fn the_longest_frame_is_read() {
    let mut file = record_declaring(MICROSECONDS, Endian::Little, FRAME_MAX as u32);
    file.resize(file.len() + FRAME_MAX, 8);
    let (seen, error) = read(file);
    assert!(error.is_none() && seen[3].bytes == vec![8; FRAME_MAX]);
}

/// Reads a pcapng file that goes wrong behind one frame, and returns what is wrong with it.
fn flaw_of(pcapng: &Pcapng) -> Flaw {
    let (seen, error) = read(pcapng.file.clone());
    assert_eq!(seen.len(), 1);
    match error {
        Some(Error::Corrupt { frame: 2, offset, flaw, .. }) => {
            assert!(pcapng.ends.contains(&(offset as usize)), "{offset}");
            flaw
        }
        other => panic!("{other:?}"),
    }
}

fn one_frame(endian: Endian) -> Pcapng {
    let mut pcapng = Pcapng::new(endian);
    pcapng.interface(1, &[]).enhanced(0, 1, 9, &[1; 9]);
    pcapng
}

/// Ends a chain of calls on a file.
fn ignore(_: &mut Pcapng) {}

/// Appends the first eight bytes of a block.
fn start_block(pcapng: &mut Pcapng, kind: u32, len: u32) {
    pcapng.endian.u32(kind, &mut pcapng.file);
    pcapng.endian.u32(len, &mut pcapng.file);
    pcapng.file.extend([0; 64]);
}

#[test]
fn block_lengths_that_cannot_be_are_damage() {
    for endian in Endian::BOTH {
        for len in [0, 1, 11] {
            let mut pcapng = one_frame(endian);
            start_block(&mut pcapng, 6, len);
            assert_eq!(flaw_of(&pcapng), Flaw::BlockTooShort { block: 6 }, "{len}");
        }
        for len in [BLOCK_MAX as u32 + 1, u32::MAX] {
            let mut pcapng = one_frame(endian);
            start_block(&mut pcapng, 99, len);
            let declared = u64::from(len);
            assert_eq!(flaw_of(&pcapng), Flaw::BlockTooLong { declared, max: BLOCK_MAX });
        }
        let mut pcapng = one_frame(endian);
        start_block(&mut pcapng, 5, 16);
        assert_eq!(flaw_of(&pcapng), Flaw::LengthMismatch { leading: 16, trailing: 0 });
    }
}

#[test]
fn a_block_header_that_is_cut_is_a_cut_whatever_length_it_declares() {
    for endian in Endian::BOTH {
        let mut pcapng = one_frame(endian);
        let start = pcapng.file.len();
        start_block(&mut pcapng, 6, u32::MAX);
        for len in 1..12 {
            let (_, error) = read(&pcapng.file[..start + len]);
            let expected =
                matches!(error, Some(Error::Truncated { frame: 2, offset, .. }) if offset == start as u64);
            assert!(expected, "{len} bytes: {error:?}");
        }
    }
}

#[test]
fn packet_blocks_that_contradict_themselves_are_damage() {
    for endian in Endian::BOTH {
        let after = |add: &dyn Fn(&mut Pcapng)| {
            let mut pcapng = one_frame(endian);
            add(&mut pcapng);
            flaw_of(&pcapng)
        };
        let unknown = |interface| Flaw::UnknownInterface { interface, described: 1 };
        assert_eq!(after(&|p| ignore(p.enhanced(1, 0, 4, &[0; 4]))), unknown(1));
        assert_eq!(after(&|p| ignore(p.enhanced(u32::MAX, 0, 4, &[0; 4]))), unknown(u32::MAX));
        assert_eq!(after(&|p| ignore(p.obsolete(7, 0, 4, &[0; 4]))), unknown(7));
        for kind in [2, 6] {
            assert_eq!(after(&|p| ignore(p.block(kind, &[0; 16]))), Flaw::BlockTooShort { block: kind });
        }
        assert_eq!(after(&|p| ignore(p.block(3, &[]))), Flaw::BlockTooShort { block: 3 });
        assert_eq!(after(&|p| ignore(p.block(1, &[0; 4]))), Flaw::BlockTooShort { block: 1 });
        let too_many = after(&|p| {
            let mut body = Vec::new();
            for word in [0, 0, 0, 33, 33] {
                p.endian.u32(word, &mut body);
            }
            p.block(6, &[body, vec![0; 32]].concat());
        });
        assert_eq!(too_many, Flaw::PacketBeyondBlock { declared: 33 });
        let too_long = FRAME_MAX as u64 + 1;
        let flaw = Flaw::FrameTooLong { declared: too_long };
        assert_eq!(after(&|p| ignore(p.enhanced(0, 0, 4, &vec![0; too_long as usize]))), flaw);
    }
}

#[test]
fn sections_that_cannot_be_understood_are_damage() {
    let mut pcapng = one_frame(Endian::Big);
    pcapng.block(0x0a0d_0d0a, &[0; 16]);
    assert_eq!(flaw_of(&pcapng), Flaw::ByteOrder);

    let mut pcapng = one_frame(Endian::Little);
    pcapng.block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(flaw_of(&pcapng), Flaw::Version { major: 2 });

    let mut pcapng = one_frame(Endian::Little);
    pcapng.block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0]);
    assert_eq!(flaw_of(&pcapng), Flaw::BlockTooShort { block: 0x0a0d_0d0a });

    let mut pcapng = one_frame(Endian::Little);
    pcapng.interface(1, &[(1, vec![0; 60_000]), (1, vec![0; 60_000]), (1, vec![0; 60_000])]);
    assert_eq!(read(pcapng.file.clone()).0.len(), 1, "a long description is read");
    pcapng.interface(1, &vec![(1, vec![0; 60_000]); 5]);
    assert!(matches!(flaw_of(&pcapng), Flaw::BlockTooLong { max: 262_144, .. }));
}

#[test]
fn interfaces_are_kept_up_to_a_limit() {
    let mut pcapng = one_frame(Endian::Little);
    for _ in 1..65_536 {
        pcapng.interface(1, &[]);
    }
    assert!(read(pcapng.file.clone()).1.is_none());
    pcapng.interface(1, &[]);
    assert_eq!(flaw_of(&pcapng), Flaw::TooManyInterfaces { max: 65_536 });
}

#[test]
fn a_decompression_bomb_costs_no_memory() {
    let mut pcapng = one_frame(Endian::Little);
    for _ in 0..128 {
        pcapng.block(99, &vec![0; 450_000]);
    }
    for wrap in [Wrap::Gzip, Wrap::Zstd] {
        let mut source = source(wrap.wrap(&pcapng.file)).unwrap();
        let (seen, error) = drain(&mut source);
        assert!(seen.len() == 1 && error.is_none());
        assert_eq!(source.window.memory(), 512 * 1024, "57 MB passed through a window of half a MiB");
    }
}

#[test]
fn the_largest_block_is_passed_over_and_the_window_grows_no_further() {
    let mut pcapng = one_frame(Endian::Little);
    pcapng.block(99, &vec![0; BLOCK_MAX - 12]).enhanced(0, 1, 3, &[1; 3]);
    let mut source = source(pcapng.file).unwrap();
    let (seen, error) = drain(&mut source);
    assert!(seen.len() == 2 && error.is_none(), "{error:?}");
    assert!(source.window.memory() <= BLOCK_MAX);
}

/// A valid file of any form, by number.
fn any_file(form: usize) -> Vec<u8> {
    match form % 5 {
        0 => pcap(MICROSECONDS, Endian::Little, 1, &frames(30)).0,
        1 => pcap(NANOSECONDS, Endian::Big, 1, &frames(30)).0,
        2 => pcap(KUZNETZOV, Endian::Little, 1, &frames(30)).0,
        3 => mixed(Endian::Little).file,
        _ => mixed(Endian::Big).file,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn flipped_bytes_never_panic_and_never_cost_more_than_the_limit(
        form in 0usize..15,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut file = any_file(form);
        if form >= 10 {
            file = Wrap::Zstd.wrap(&file);
        } else if form >= 5 {
            file = Wrap::Gzip.wrap(&file);
        }
        for (place, byte) in flips {
            let place = place.index(file.len());
            file[place] = byte;
        }
        if let Ok(mut source) = source(file) {
            let (seen, _) = drain(&mut source);
            prop_assert!(seen.iter().all(|frame| frame.bytes.len() <= FRAME_MAX));
            prop_assert!(source.window.memory() <= BLOCK_MAX);
        }
    }

    #[test]
    fn arbitrary_records_never_panic(tail in prop::collection::vec(any::<u8>(), 0..600), form in 0usize..5) {
        let mut file = match form {
            0 => pcap_header(MICROSECONDS, Endian::Big, 1),
            1 => pcap_header(KUZNETZOV, Endian::Little, 1),
            2 => pcap_header(NANOSECONDS, Endian::Little, 1),
            3 => one_frame(Endian::Little).file,
            _ => one_frame(Endian::Big).file,
        };
        file.extend(tail);
        let (seen, _) = read(file.clone());
        prop_assert!(seen.len() <= file.len() / 12);
    }

    /// The packet block as read here agrees with the parser's own reading, whatever its words say.
    #[test]
    fn enhanced_packets_are_read_as_the_parser_reads_them(
        words in prop::array::uniform3(any::<u32>()),
        captured in 0u32..40,
        big in any::<bool>(),
        rest in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let endian = if big { Endian::Big } else { Endian::Little };
        let mut pcapng = Pcapng::new(endian);
        pcapng.interface(1, &[(9, vec![9])]);
        let start = pcapng.file.len();
        let mut body = Vec::new();
        for word in [0, words[0], words[1], captured, words[2]] {
            endian.u32(word, &mut body);
        }
        body.extend(rest);
        body.resize(body.len().next_multiple_of(4), 0);
        pcapng.block(6, &body);
        let oracle = if big {
            parse_enhancedpacketblock_be(&pcapng.file[start..])
        } else {
            parse_enhancedpacketblock_le(&pcapng.file[start..])
        };
        let (seen, error) = read(pcapng.file.clone());
        prop_assert_eq!(oracle.is_ok(), error.is_none());
        if let Ok((_, packet)) = oracle {
            let bytes = packet.packet_data().to_vec();
            let ts_ns = (u64::from(packet.ts_high) << 32) | u64::from(packet.ts_low);
            let wire_len = packet.orig_len().max(packet.caplen);
            prop_assert_eq!(seen, [Seen { ts_ns, wire_len, linktype: 1, bytes }]);
        }
    }
}
