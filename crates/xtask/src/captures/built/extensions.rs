//! Extension headers: every kind, every order, and every way to be malformed.

use super::super::forge::{
    self, Extension, auth, dest_options, ether, fragment, hop_by_hop, hops, opaque, proto, routing,
};
use super::super::frames::Recording;
use super::{before_datagram, datagram, ends, ethernet_frames, frame};

/// Well-formed and odd chains, one frame each; the order is that of the rows in the source.
pub(crate) fn chains() -> Recording {
    let mut frames = vec![
        // Every header once, in the order of RFC 8200, section 4.1.
        before_datagram(&[
            hop_by_hop(&[5, 2, 0, 0]),
            dest_options(&[]),
            routing(3, 0, &[0; 20]),
            fragment(0, false, 1),
            auth(12),
            dest_options(&[]),
        ]),
        // The same header twice; a hop-by-hop header that is not the first; an odd order.
        before_datagram(&[hop_by_hop(&[]), hop_by_hop(&[])]),
        before_datagram(&[dest_options(&[]), hop_by_hop(&[])]),
        before_datagram(&[auth(12), routing(3, 0, &[0; 4])]),
        before_datagram(&[dest_options(&[]), dest_options(&[]), dest_options(&[])]),
        // Twelve headers: more than any limit in use.
        before_datagram(&vec![dest_options(&[]); 12]),
        before_datagram(&vec![dest_options(&[]); 8]),
        // The longest header there is: 2,048 bytes. Its length fits no byte when counted carelessly.
        before_datagram(&[(proto::DEST_OPTIONS, long_options())]),
    ];
    frames.extend(authentication());
    frames.extend(terminal());
    ethernet_frames(frames)
}

/// Eight blocks of PadN that fill a destination options header of length 255.
fn long_options() -> Vec<u8> {
    let mut header = vec![0, 255];
    for room in [256usize, 256, 256, 256, 256, 256, 256, 254] {
        header.extend([1, u8::try_from(room - 2).unwrap_or(u8::MAX)]);
        header.resize(header.len() + room - 2, 0);
    }
    header
}

/// Authentication Headers of every likely length, and impossible ones.
fn authentication() -> Vec<Vec<u8>> {
    let mut frames: Vec<_> = [12, 16, 20, 24, 32].map(|icv_len| before_datagram(&[auth(icv_len)])).into();
    for words in [0, 1, 255] {
        let (kind, mut header) = auth(12);
        header[1] = words;
        frames.push(before_datagram(&[(kind, header)]));
    }
    frames
}

/// Values that end the walk: what follows must not be read as a header.
fn terminal() -> Vec<Vec<u8>> {
    // Bytes that look like a destination options header before UDP.
    let bait: Vec<u8> = [&[proto::UDP, 0, 1, 4, 0, 0, 0, 0][..], &datagram()].concat();
    let kinds = [
        proto::ESP,
        proto::NONE,
        proto::EXPERIMENT_1,
        proto::EXPERIMENT_2,
        proto::HIP,
        proto::MOBILITY,
        61,
        114,
        200,
        255,
    ];
    let mut frames: Vec<_> = kinds.map(|kind| frame(&[], kind, &bait)).into();
    frames.push(frame(&[dest_options(&[])], proto::NONE, &[]));
    frames.push(frame(&[hop_by_hop(&[])], proto::ESP, &bait));
    frames.push(before_datagram(&[opaque(proto::SHIM6, 2)]));
    frames.push(frame(&[], proto::MOBILITY, &opaque(proto::MOBILITY, 1).1));
    frames.push(frame(&[], proto::HIP, &opaque(proto::HIP, 4).1));
    frames
}

/// Options: malformed, too many, unknown in each of the four ways, padded oddly, and jumbo ones in the wrong place.
pub(crate) fn options() -> Recording {
    let rows: &[&[u8]] = &[
        &[],
        &[5, 2, 0, 0],
        &[0; 14],
        &[1, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        &[1, 200, 0, 0],
        &[5, 30, 0, 0],
        &[0x1e, 2, 9, 9],
        &[0x5e, 2, 9, 9],
        &[0x9e, 2, 9, 9],
        &[0xde, 2, 9, 9],
        &[0xc2, 4, 0, 0, 0, 20],
        &[0xc2, 2, 0, 1],
        &[0xc2, 4, 0, 2, 0, 0],
        &[0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0],
        &[0xc9, 16, 0x20, 1, 0xd, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
        &[4, 1, 3],
    ];
    let mut frames = Vec::new();
    for tlvs in rows {
        frames.push(before_datagram(&[hop_by_hop(tlvs)]));
        frames.push(before_datagram(&[dest_options(tlvs)]));
    }
    // A lone type byte at the very end of its header.
    frames.push(before_datagram(&[(proto::DEST_OPTIONS, vec![0, 0, 1, 3, 0, 0, 0, 5])]));
    ethernet_frames(frames)
}

/// Routing headers of each type, with lengths and segments left that contradict each other. The checksum is that of the
/// present destination, not of the final one: no gateway verifies it.
pub(crate) fn routing_headers() -> Recording {
    let two = hops(&["2001:db8:c::1", "2001:db8:c::2"]);
    let one = hops(&["2001:db8:c::1"]);
    let srh = |segments_left, last_entry| {
        let mut data = two.clone();
        data[0] = last_entry;
        routing(4, segments_left, &data)
    };
    let rows: Vec<Extension> = vec![
        routing(0, 2, &two),
        routing(0, 0, &two),
        routing(0, 9, &two),
        routing(0, 1, &[0; 12]),
        routing(1, 1, &[0; 4]),
        routing(2, 1, &one),
        routing(2, 2, &two),
        routing(3, 1, &[0x88, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
        srh(1, 1),
        srh(0, 1),
        srh(7, 1),
        srh(1, 9),
        routing(5, 1, &[0; 12]),
        routing(77, 0, &[0; 4]),
        routing(77, 3, &[0; 4]),
        routing(253, 1, &[0; 4]),
        (proto::ROUTING, vec![0, 200, 4, 1, 0, 0, 0, 0]),
    ];
    ethernet_frames(rows.into_iter().map(|header| before_datagram(&[header])))
}

/// One packet with every kind of header, cut at each byte: first as a short frame, then as a snap length would cut it.
pub(crate) fn truncated() -> Recording {
    let whole = before_datagram(&[
        hop_by_hop(&[5, 2, 0, 0]),
        routing(4, 0, &hops(&["2001:db8:c::1"])),
        fragment(0, true, 7),
        auth(12),
        dest_options(&[0x1e, 4, 1, 2, 3, 4]),
    ]);
    let mut recording = ethernet_frames((1..whole.len()).map(|len| whole[..len].to_vec()));
    for len in 1..=whole.len() {
        recording.push_snapped(whole[..len].to_vec(), whole.len());
    }
    recording
}

/// Jumbograms (RFC 2675): one whole, some of which only the start was kept, and contradictory ones.
pub(crate) fn jumbograms() -> Recording {
    const LONG: usize = 70_000;
    const KEPT: usize = 14 + 40 + 8 + 20;
    let jumbo = |claimed: u32, length_field: u16, extensions: &[Extension], payload: &[u8]| {
        let option = [&[0xc2, 4][..], &claimed.to_be_bytes()].concat();
        let headers: Vec<Extension> = [&[hop_by_hop(&option)], extensions].concat();
        let (next, body) = forge::chain(&headers, proto::UDP, payload);
        forge::ethernet(ether::IPV6, &ends().packet_with_length(next, &body, length_field))
    };
    // UDP says 0 where its length does not fit sixteen bits (RFC 2675, section 4).
    let mut long = vec![0x9c, 0x40, 0x14, 0xb4, 0, 0, 0, 0];
    long.resize(LONG, 0);
    let long = ends().seal(proto::UDP, long, 6);
    let claimed = u32::try_from(LONG + 8).unwrap_or(u32::MAX);
    let whole = jumbo(claimed, 0, &[], &long);
    let wire_len = whole.len();
    let mut recording = ethernet_frames([whole.clone()]);
    for _ in 0..3 {
        recording.push_snapped(whole[..KEPT].to_vec(), wire_len);
    }
    // A frame much shorter than it claims, and a claim near 4 GiB.
    recording.push(whole[..KEPT].to_vec());
    recording.push(jumbo(u32::MAX, 0, &[], &datagram()));
    // A payload length beside the option, a length that needs none, a fragment header, and no option at all.
    recording.push(jumbo(claimed, 34, &[], &datagram()));
    recording.push(jumbo(34, 0, &[], &datagram()));
    recording.push_snapped(jumbo(claimed + 8, 0, &[fragment(0, true, 3)], &long[..20]), wire_len + 8);
    recording.push(forge::ethernet(ether::IPV6, &ends().packet_with_length(proto::UDP, &datagram(), 0)));
    recording.push(forge::ethernet(ether::IPV6, &ends().packet_with_length(proto::NONE, &[], 0)));
    recording
}
