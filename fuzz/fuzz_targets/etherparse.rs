//! An independent parser agrees on addresses, and on the chain where neither says that it is odd.
#![no_main]

use credence_wire::{Anomaly, Limits, Link, parse};
use etherparse::{LaxNetSlice, LaxSlicedPacket};
use libfuzzer_sys::fuzz_target;

/// Headers that the other parser walks.
const WALKED: [u8; 5] = [0, 43, 44, 51, 60];

fuzz_target!(|data: &[u8]| {
    let Ok(ours) = parse(Link::Raw, data, data.len() as u32, &Limits::default()) else { return };
    if data[0] >> 4 != 6 {
        return;
    }
    let Ok(theirs) = LaxSlicedPacket::from_ip(data) else { panic!("only this parser found IPv6") };
    let Some(LaxNetSlice::Ipv6(net)) = &theirs.net else { panic!("only this parser found IPv6") };
    let header = net.header();
    assert_eq!(ours.outer.src.to_be_bytes(), header.source());
    assert_eq!(ours.outer.dst.to_be_bytes(), header.destination());
    assert_eq!(ours.outer.hop_limit, header.hop_limit());
    assert_eq!(ours.outer.flow_label, header.flow_label().value());
    // What is cut, over a limit, impossible or not first ends the other's walk elsewhere, a later fragment does not, and
    // a payload length of zero means to it that the length is unknown.
    let elsewhere = [
        Anomaly::ExtHeaderTruncated,
        Anomaly::FirstFragmentIncomplete,
        Anomaly::ExtHeaderLimit,
        Anomaly::HopByHopNotFirst,
        Anomaly::AhInvalid,
        Anomaly::PayloadLengthZero,
        Anomaly::JumboInvalid,
    ];
    let later = ours.outer.fragment.is_some() && WALKED.contains(&ours.outer.proto);
    // Shim6 is an extension header here and an upper layer there.
    let shim6 = net.payload().ip_number.0 == 140;
    if !later && !shim6 && !elsewhere.iter().any(|&odd| ours.anomalies.has(odd)) {
        assert_eq!(ours.outer.proto, net.payload().ip_number.0);
    }
});
