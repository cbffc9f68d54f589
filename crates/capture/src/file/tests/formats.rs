//! Each format in each of its forms.

use super::forge::{Endian, KUZNETZOV, MICROSECONDS, NANOSECONDS, Pcapng, Wrap, pcap};
use super::{Seen, frames, read_whole, source};
use crate::Source;

#[test]
fn pcap_in_every_byte_order_resolution_and_compression() {
    let mut sent = frames(700);
    for magic in [MICROSECONDS, NANOSECONDS] {
        sent[3].ts_ns = 1_700_000_000_123_456_000 + if magic == NANOSECONDS { 789 } else { 0 };
        for endian in Endian::BOTH {
            for wrap in Wrap::ALL {
                let (file, _) = pcap(magic, endian, 1, &sent);
                assert_eq!(read_whole(wrap.wrap(&file)), sent, "{magic:#x} {endian:?} {wrap:?}");
            }
        }
    }
}

#[test]
fn pcapng_in_every_byte_order_and_compression() {
    for endian in Endian::BOTH {
        for wrap in Wrap::ALL {
            let mut pcapng = Pcapng::new(endian);
            pcapng.interface(1, &[]);
            let sent = frames(700);
            for frame in &sent {
                pcapng.enhanced(0, frame.ts_ns / 1_000, frame.wire_len, &frame.bytes);
            }
            assert_eq!(read_whole(wrap.wrap(&pcapng.file)), sent, "{endian:?} {wrap:?}");
        }
    }
}

#[test]
fn kuznetzovs_variant_is_read_without_its_extra_fields() {
    let sent = frames(20);
    assert_eq!(read_whole(pcap(KUZNETZOV, Endian::Little, 1, &sent).0), sent);
}

#[test]
fn the_upper_half_of_a_link_type_is_not_part_of_it() {
    let (file, _) = pcap(MICROSECONDS, Endian::Little, 0x5400_0000 | 113, &frames(2));
    assert!(read_whole(file).iter().all(|frame| frame.linktype == 113));
}

#[test]
fn a_frame_beyond_the_snap_length_is_accepted_and_its_wire_length_covers_it() {
    let sent = [Seen { ts_ns: 5_000, wire_len: 0, linktype: 1, bytes: vec![7; 3_000] }];
    let (file, _) = pcap(MICROSECONDS, Endian::Big, 1, &sent);
    let seen = read_whole(file);
    assert_eq!((seen[0].bytes.len(), seen[0].wire_len), (3_000, 3_000));
}

#[test]
fn interfaces_of_one_section_keep_their_link_types_and_clocks() {
    for endian in Endian::BOTH {
        let mut pcapng = Pcapng::new(endian);
        let nanoseconds = (9, vec![9]);
        let halves = (9, vec![0x80 | 10]);
        let offset = (14, endian.i64(-100));
        pcapng
            .interface(1, &[(2, b"wan0".to_vec()), nanoseconds])
            .interface(101, &[halves, offset])
            .interface(276, &[])
            .enhanced(0, 1_234_567_891, 60, &[1; 60])
            .enhanced(1, 200 << 10 | 512, 61, &[2; 61])
            .enhanced(2, 3_000_001, 62, &[3; 62]);
        let seen = read_whole(pcapng.file);
        let told: Vec<_> = seen.iter().map(|f| (f.ts_ns, f.linktype, f.bytes.len())).collect();
        assert_eq!(
            told,
            [(1_234_567_891, 1, 60), (100_500_000_000, 101, 61), (3_000_001_000, 276, 62)],
            "{endian:?}"
        );
    }
}

#[test]
fn options_behind_the_end_marker_are_none() {
    let mut pcapng = Pcapng::new(Endian::Little);
    pcapng.interface(1, &[(0, Vec::new()), (9, vec![9])]).enhanced(0, 5, 1, &[1]);
    assert_eq!(read_whole(pcapng.file)[0].ts_ns, 5_000, "microseconds, for want of another resolution");
}

#[test]
fn obsolete_packet_blocks_are_read() {
    for endian in Endian::BOTH {
        let mut pcapng = Pcapng::new(endian);
        pcapng.interface(1, &[]).interface(101, &[]).obsolete(1, (1 << 33) + 7, 1500, &[9; 41]);
        let ts_ns = ((1 << 33) + 7) * 1_000;
        let bytes = vec![9; 41];
        let frame = Seen { ts_ns, wire_len: 1500, linktype: 101, bytes };
        assert_eq!(read_whole(pcapng.file), [frame], "{endian:?}");
    }
}

#[test]
fn simple_packets_take_the_first_interface_its_limit_and_the_last_time() {
    for endian in Endian::BOTH {
        let mut pcapng = Pcapng::new(endian);
        pcapng
            .interface_limited(101, 50, &[])
            .interface(1, &[])
            .simple(20, &[1; 20])
            .enhanced(1, 77, 10, &[2; 10])
            .simple(1500, &[3; 50]);
        let told: Vec<_> = read_whole(pcapng.file)
            .iter()
            .map(|f| (f.ts_ns, f.linktype, f.wire_len, f.bytes.len()))
            .collect();
        assert_eq!(told, [(0, 101, 20, 20), (77_000, 1, 10, 10), (77_000, 101, 1500, 50)], "{endian:?}");
    }
}

#[test]
fn sections_follow_each_other_in_any_byte_order_with_interfaces_of_their_own() {
    let mut pcapng = Pcapng::new(Endian::Big);
    pcapng
        .interface(1, &[])
        .enhanced(0, 1, 10, &[1; 10])
        .section(Endian::Little)
        .interface(101, &[])
        .enhanced(0, 2, 11, &[2; 11])
        .section(Endian::Big)
        .interface(113, &[])
        .enhanced(0, 3, 12, &[3; 12]);
    let told: Vec<_> = read_whole(pcapng.file).iter().map(|f| (f.ts_ns, f.linktype)).collect();
    assert_eq!(told, [(1_000, 1), (2_000, 101), (3_000, 113)]);
}

#[test]
fn blocks_without_frames_are_passed_over() {
    for endian in Endian::BOTH {
        let mut pcapng = Pcapng::new(endian);
        pcapng.interface(1, &[]);
        // Names, statistics, secrets, custom data and a type that does not exist, all with senseless bodies.
        for kind in [4, 5, 10, 0xbad, 0x4000_0bad, 9, 0x8000_0001, 0x1234_5678] {
            pcapng.block(kind, &[0xff; 20]).block(kind, &[]);
        }
        pcapng.enhanced(0, 1, 10, &[1; 10]);
        assert_eq!(read_whole(pcapng.file).len(), 1, "{endian:?}");
    }
}

#[test]
fn a_file_of_a_header_alone_ends_at_once() {
    assert_eq!(read_whole(pcap(NANOSECONDS, Endian::Big, 1, &[]).0), []);
    assert_eq!(read_whole(Pcapng::new(Endian::Little).file), []);
}

#[test]
fn compressed_files_may_be_of_several_pieces() {
    let sent = frames(50);
    let (file, ends) = pcap(MICROSECONDS, Endian::Little, 1, &sent);
    let (front, back) = file.split_at(ends[20] + 3);
    for wrap in [Wrap::Gzip, Wrap::Zstd] {
        let mut pieces = wrap.wrap(front);
        pieces.extend(wrap.wrap(back));
        assert_eq!(read_whole(pieces), sent, "{wrap:?}");
    }
    let mut skippable = vec![0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    skippable.extend(Wrap::Zstd.wrap(&file));
    assert_eq!(read_whole(skippable), sent);
}

#[test]
fn a_description_names_file_format_and_compression() {
    let (file, _) = pcap(NANOSECONDS, Endian::Big, 1, &[]);
    let mut described = source(Wrap::Zstd.wrap(&file)).unwrap();
    assert_eq!(described.describe(), "capture file test.pcap (pcap, nanoseconds, zstd)");
    assert_eq!((described.kernel_drops(), described.is_up()), (0, true));
    let described = source(Pcapng::new(Endian::Big).file).unwrap();
    assert_eq!(described.describe(), "capture file test.pcap (pcapng)");
}
