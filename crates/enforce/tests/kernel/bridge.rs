//! What a bridge hands on, it hands on as it was: nothing of a link is the bridge's own.

use credence_credit::Measure;
use credence_enforce::{Policy, Stand};

use crate::world::{address, cache, frame, loaded, now, record, segment, small, snapshot};

/// An Ethernet frame of this type.
fn typed(kind: u16, payload: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &kind.to_be_bytes(), payload].concat()
}

/// Frames that hosts on one wire send each other, by name.
fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let (source, group) = (address("2a00::1"), address("ff02::16"));
    let multicast = |hop_limit: u8, mut frame: Vec<u8>| {
        frame[21] = hop_limit;
        frame
    };
    let report = [58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0, 0, 0, 0, 1];
    let packet = &segment(source)[14..];
    vec![
        ("neighbour solicitation", multicast(255, frame(source, group, 58, &[135, 0, 0, 0, 0, 0, 0, 0]))),
        ("router advertisement", multicast(255, frame(source, group, 58, &[134, 0, 0, 0, 64, 0, 0, 0]))),
        ("listener report", multicast(1, frame(source, group, 0, &report))),
        ("a frame of nine thousand bytes", frame(source, group, 17, &vec![7; 8_960])),
        ("the second piece of a datagram", frame(source, group, 44, &[17, 0, 0, 9, 0, 0, 0, 1, 7, 7, 7, 7])),
        ("802.1Q", typed(0x8100, &[&[0xe0, 7, 0x86, 0xdd], packet].concat())),
        ("802.1ad", typed(0x88a8, &[&[0, 7, 0x81, 0, 0, 8, 0x86, 0xdd], packet].concat())),
        ("IPv4", typed(0x0800, &[0x45; 60])),
        ("ARP", typed(0x0806, &[0; 46])),
        ("LLDP", typed(0x88cc, &[2; 46])),
        ("spanning tree", typed(38, &[0x42; 46])),
        ("discovery of PPPoE", typed(0x8863, &[0x11; 46])),
    ]
}

#[test]
fn a_bridge_hands_frames_of_every_kind_on_byte_for_byte() {
    for dry_run in [false, true] {
        let policy = Policy { stand: Stand::Bridge, dry_run, ..Policy::default() };
        let Some((mut xdp, mut records)) = loaded(&small(), &policy) else { return };
        let listed = cache(vec![snapshot(vec![record("2001:db8::/32", Measure::Drop)])]);
        records.publish(&listed, now()).unwrap();
        for (name, sent) in frames() {
            assert_eq!(xdp.carried(&sent).unwrap(), Some(sent), "{name}, dry run {dry_run}");
        }
        assert_eq!(xdp.passes(&segment(address("2001:db8::1"))).unwrap(), dry_run);
    }
}
