//! Every link layer leads to the same packet.

use crate::build::*;
use crate::read;
use credence_wire::{Link, Malformed, NotIpv6, Tunnels, Unkeyed};

#[track_caller]
fn finds_it(link: Link, frame: &[u8]) {
    let packet = read(link, frame).expect("an IPv6 packet");
    assert_eq!((packet.outer.src, packet.outer.dst, packet.outer.dport), (A, B, 80));
    assert_eq!(packet.layers, 1);
    assert!(packet.anomalies.is_empty(), "{:?}", packet.anomalies.iter().collect::<Vec<_>>());
}

#[track_caller]
fn finds_none(link: Link, frame: &[u8], reason: Unkeyed) {
    assert_eq!(read(link, frame), Err(reason));
}

const OTHER: Unkeyed = Unkeyed::NotIpv6(NotIpv6::OtherProtocol);
const CUT: Unkeyed = Unkeyed::Malformed(Malformed::LinkTruncated);

fn behind(head: &[u8]) -> Vec<u8> {
    [head, &plain()].concat()
}

#[test]
fn ethernet_and_its_tags() {
    finds_it(Link::Ethernet, &ethernet(0x86dd, &plain()));
    for tag in [0x8100u16, 0x88a8, 0x9100, 0x9200] {
        finds_it(Link::Ethernet, &ethernet(tag, &behind(&[0, 5, 0x86, 0xdd])));
    }
    finds_it(Link::Ethernet, &ethernet(0x88a8, &behind(&[0, 5, 0x81, 0, 0, 6, 0x86, 0xdd])));
}

#[test]
fn more_tags_than_the_limit() {
    let tags = |count: usize| {
        let mut bytes = [0, 5, 0x81, 0].repeat(count - 1);
        bytes.extend([0, 5, 0x86, 0xdd]);
        ethernet(0x8100, &behind(&bytes))
    };
    finds_it(Link::Ethernet, &tags(8));
    finds_none(Link::Ethernet, &tags(9), Unkeyed::Malformed(Malformed::LinkDepth));
}

/// Each of these leads to another link layer, and a frame that is nothing else would take a step for every few of its bytes.
#[test]
fn links_inside_links_are_tags() {
    let too_deep = Unkeyed::Malformed(Malformed::LinkDepth);
    let bridged = |frame: &[u8]| ethernet(0x6558, frame);
    let by_snap = |frame: &[u8]| {
        let carried = [&[0xaa, 0xaa, 3, 0, 0x80, 0xc2, 0, 7][..], frame].concat();
        ethernet(u16::try_from(carried.len()).unwrap(), &carried)
    };
    for wrap in [&bridged as &dyn Fn(&[u8]) -> Vec<u8>, &by_snap] {
        let nested = |count| (0..count).fold(ethernet(0x86dd, &plain()), |frame, _| wrap(&frame));
        finds_it(Link::Ethernet, &nested(8));
        finds_none(Link::Ethernet, &nested(9), too_deep);
    }
    // Cisco's HDLC names PPP, which may be Cisco's HDLC.
    let hdlc = |count: usize| {
        let mut frame = [0x0f, 0, 0x88, 0x0b].repeat(count);
        frame.extend([0, 0x57]);
        behind(&frame)
    };
    finds_it(Link::Ppp, &hdlc(8));
    finds_none(Link::Ppp, &hdlc(9), too_deep);
    // The session of a session, whose outer length tells nothing.
    let session = |count: usize| {
        let head = [0x11, 0, 0, 7, 0xff, 0xff, 0x0f, 0, 0x88, 0x64].repeat(count - 1);
        ethernet(0x8864, &behind(&[&head[..], &[0x11, 0, 0, 7, 0xff, 0xff, 0, 0x57]].concat()))
    };
    assert!(read(Link::Ethernet, &session(8)).is_ok());
    finds_none(Link::Ethernet, &session(9), too_deep);
}

#[test]
fn mpls_on_the_link() {
    let labels = |count: usize| {
        let mut bytes = [0, 1, 0, 64].repeat(count - 1);
        bytes.extend([0, 2, 1, 64]);
        bytes
    };
    for kind in [0x8847, 0x8848] {
        finds_it(Link::Ethernet, &ethernet(kind, &behind(&labels(3))));
    }
    let pseudowire = [&labels(2)[..], &[0; 4], &ethernet(0x86dd, &plain())].concat();
    let frame = ethernet(0x8847, &pseudowire);
    finds_it(Link::Ethernet, &frame);
    assert!(read(Link::Ethernet, &frame).unwrap().tunnels.has(Tunnels::MPLS));
    finds_none(
        Link::Ethernet,
        &ethernet(0x8847, &behind(&labels(9))),
        Unkeyed::Malformed(Malformed::LinkDepth),
    );
}

#[test]
fn pppoe_sessions() {
    let len = u8::try_from(plain().len() + 2).unwrap();
    let session = behind(&[0x11, 0, 0, 7, 0, len, 0, 0x57]);
    finds_it(Link::Ethernet, &ethernet(0x8864, &session));
    finds_it(Link::Pppoe, &session);
    finds_none(Link::Pppoe, &[0x11, 9, 0, 0, 0, 0], OTHER);
}

#[test]
fn llc_and_snap() {
    let snap = behind(&[0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd]);
    finds_it(Link::Ethernet, &ethernet(u16::try_from(snap.len()).unwrap(), &snap));
    let spanning_tree = ethernet(38, &[0x42; 38]);
    finds_none(Link::Ethernet, &spanning_tree, OTHER);
    finds_none(Link::Ethernet, &ethernet(1501, &[0xaa; 64]), OTHER);
}

#[test]
fn cooked_captures() {
    finds_it(Link::LinuxSll, &behind(&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x86, 0xdd]));
    let mut second = vec![0x86, 0xdd, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6];
    second.resize(20, 0);
    finds_it(Link::LinuxSll2, &behind(&second));
    finds_none(Link::LinuxSll2, &second[..19], CUT);
}

#[test]
fn bare_packets() {
    finds_it(Link::Raw, &plain());
    finds_none(Link::Raw, &ipv4(6, &[0; 20]), Unkeyed::NotIpv6(NotIpv6::Ipv4));
    finds_none(Link::Raw, &[0x50; 64], OTHER);
    finds_none(Link::Raw, &[], CUT);
}

#[test]
fn loopback_families_in_either_byte_order() {
    for family in [10, 24, 28, 30] {
        finds_it(Link::Null, &behind(&[family, 0, 0, 0]));
        finds_it(Link::Loop, &behind(&[0, 0, 0, family]));
        finds_it(Link::Null, &behind(&[0, 0, 0, family]));
    }
    let four = [&[2, 0, 0, 0][..], &ipv4(41, &plain())].concat();
    finds_it(Link::Null, &four);
    finds_none(Link::Null, &behind(&[9, 0, 0, 0]), OTHER);
    finds_none(Link::Null, &behind(&[30, 0, 0, 1]), OTHER);
}

#[test]
fn ppp_in_all_its_framings() {
    finds_it(Link::Ppp, &behind(&[0xff, 0x03, 0, 0x57]));
    finds_it(Link::Ppp, &behind(&[0, 0x57]));
    finds_it(Link::Ppp, &behind(&[0x57]));
    finds_it(Link::Ppp, &behind(&[0xff, 0x03, 0x57]));
    finds_it(Link::Ppp, &behind(&[0x0f, 0x00, 0x86, 0xdd]));
    finds_none(Link::Ppp, &behind(&[0xc0, 0x21]), OTHER);
}

#[test]
fn frame_relay_addresses_and_encapsulations() {
    for address in [&[0x18, 0x41][..], &[0x18, 0x40, 0x41], &[0x18, 0x40, 0x40, 0x41]] {
        finds_it(Link::FrameRelay, &behind(&[address, &[0x03, 0x8e]].concat()));
        finds_it(Link::FrameRelay, &behind(&[address, &[0x03, 0x00, 0x8e]].concat()));
        finds_it(Link::FrameRelay, &behind(&[address, &[0x03, 0x00, 0x80, 0, 0, 0, 0x86, 0xdd]].concat()));
        finds_it(Link::FrameRelay, &behind(&[address, &[0x86, 0xdd]].concat()));
    }
    let carried = [&[0x18, 0x41, 0x03, 0xcc][..], &ipv4(41, &plain())].concat();
    finds_it(Link::FrameRelay, &carried);
    let bridged =
        [&[0x18, 0x41, 0x03, 0x00, 0x80, 0, 0x80, 0xc2, 0, 7][..], &ethernet(0x86dd, &plain())].concat();
    finds_it(Link::FrameRelay, &bridged);
    finds_none(Link::FrameRelay, &[0x18; 64], OTHER);
    finds_none(Link::FrameRelay, &[0x18; 3], CUT);
}

const SNAP: [u8; 8] = [0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd];

/// An 802.11 frame whose header is `control` and zeros up to `len`.
fn wireless(control: [u8; 2], len: usize) -> Vec<u8> {
    let mut frame = control.to_vec();
    frame.resize(len, 0);
    frame.extend(SNAP);
    behind(&frame)
}

#[test]
fn wireless_data_frames() {
    finds_it(Link::Ieee80211, &wireless([0x08, 0x01], 24));
    finds_it(Link::Ieee80211, &wireless([0x88, 0x02], 26));
    finds_it(Link::Ieee80211, &wireless([0x08, 0x03], 30));
    finds_it(Link::Ieee80211, &wireless([0x88, 0x83], 36));
    for control in [[0x80, 0], [0x48, 0x01], [0x08, 0x41], [0xd4, 0]] {
        finds_none(Link::Ieee80211, &wireless(control, 24), OTHER);
    }
}

#[test]
fn an_aggregate_shows_its_first_frame() {
    let mut frame = vec![0x88, 0x02];
    frame.resize(24, 0);
    frame.extend([0x80, 0]);
    frame.extend([2; 12]);
    frame.extend(u16::try_from(8 + plain().len()).unwrap().to_be_bytes());
    frame.extend(SNAP);
    let mut frame = behind(&frame);
    frame.extend([0x55; 40]);
    let packet = read(Link::Ieee80211, &frame).unwrap();
    assert_eq!((packet.outer.dport, packet.anomalies.is_empty()), (80, true));
}

#[test]
fn radiotap_headers_of_any_length() {
    let bare = [&[0, 0, 8, 0, 0, 0, 0, 0][..], &wireless([0x08, 0x01], 24)].concat();
    finds_it(Link::Radiotap, &bare);
    // A timestamp, flags that say the body is aligned, and a second presence word.
    let mut padded = vec![0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0];
    padded.extend([9; 8]);
    padded.push(0x20);
    padded.extend(wireless([0x88, 0x02], 28));
    finds_it(Link::Radiotap, &padded);
    finds_none(Link::Radiotap, &[0, 0, 200, 0, 0, 0, 0, 0], CUT);
    finds_none(Link::Radiotap, &[0, 0, 7, 0, 0, 0, 0, 0], OTHER);
}

#[test]
fn fabricpath_and_integrity_only_macsec() {
    let inner = ethernet(0x86dd, &plain());
    finds_it(Link::Ethernet, &ethernet(0x8903, &[&[0, 1][..], &inner].concat()));
    let mut tag = vec![0x00, 0, 0, 0, 0, 1, 0x86, 0xdd];
    let protected = [&behind(&tag)[..], &[0xee; 16]].concat();
    finds_it(Link::Ethernet, &ethernet(0x88e5, &protected));
    tag[0] = 0x0c;
    finds_none(Link::Ethernet, &ethernet(0x88e5, &behind(&tag)), OTHER);
}

#[test]
fn other_protocols_are_named() {
    finds_none(Link::Ethernet, &ethernet(0x0806, &[0; 46]), Unkeyed::NotIpv6(NotIpv6::Arp));
    finds_none(Link::Ethernet, &ethernet(0x0800, &ipv4(6, &[0; 20])), Unkeyed::NotIpv6(NotIpv6::Ipv4));
    finds_none(Link::Ethernet, &ethernet(0x88cc, &[0; 46]), OTHER);
}

#[test]
fn what_stops_short_of_a_header_is_named() {
    finds_none(Link::Ethernet, &[0; 13], CUT);
    finds_none(
        Link::Ethernet,
        &ethernet(0x86dd, &plain()[..39]),
        Unkeyed::Malformed(Malformed::HeaderTruncated),
    );
    finds_none(Link::Ethernet, &ethernet(0x86dd, &[0x40; 64]), Unkeyed::Malformed(Malformed::Version));
    finds_none(
        Link::Ethernet,
        &ethernet(0x0800, &ipv4(41, &plain())[..19]),
        Unkeyed::Malformed(Malformed::CarrierTruncated),
    );
}
