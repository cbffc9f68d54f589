//! Packets that cannot be judged as others are: what happens to them is the operator's choice, and counted apart.

use credence_credit::Measure;
use credence_enforce::{Failure, Policy, Reason, Xdp};

use super::world::{address, cache, frame, loaded, now, record, segment, small, snapshot};

/// Frames of each kind.
const FRAMES: u64 = 20;

/// A packet with so many destination options headers before its TCP segment.
fn nested(headers: usize) -> Vec<u8> {
    let mut payload = Vec::new();
    for left in (0..headers).rev() {
        let next = if left == 0 { 6 } else { 60 };
        payload.extend([next, 0, 1, 4, 0, 0, 0, 0]);
    }
    payload.extend([0; 20]);
    frame(address("2a00::1"), address("3fff::1"), 60, &payload)
}

/// The program with a list that names none of these packets' sources.
fn loaded_with_another_list(policy: &Policy) -> Option<Xdp> {
    let (xdp, mut records) = loaded(&small(), policy)?;
    let other = cache(vec![snapshot(vec![record("2001:db8::/32", Measure::Drop)])]);
    records.publish(&other, now()).unwrap();
    Some(xdp)
}

#[test]
fn headers_beyond_the_limit_meet_what_the_operator_chose_and_in_a_dry_run_nothing() {
    for unknown in [Measure::None, Measure::Observe, Measure::Mark, Measure::Drop] {
        for dry_run in [false, true] {
            let policy = Policy { unknown, dry_run, ..Policy::default() };
            let Some(mut xdp) = loaded_with_another_list(&policy) else { return };
            let counts = xdp.counts().unwrap();
            let passes = (0..FRAMES).filter(|_| xdp.passes(&nested(9)).unwrap()).count() as u64;
            let expected = if unknown == Measure::Drop && !dry_run { 0 } else { FRAMES };
            assert_eq!(passes, expected, "{unknown:?}, dry run {dry_run}");
            let reason = if unknown == Measure::None { Reason::Unlisted } else { Reason::Unknown };
            assert_eq!(counts.of(unknown, reason).unwrap().packets, FRAMES, "{unknown:?}, dry run {dry_run}");
            assert!(xdp.passes(&nested(8)).unwrap(), "as many as are walked are no exception");
        }
    }
}

#[test]
fn what_is_no_ipv6_passes_and_is_counted_apart() {
    let policy = Policy { unknown: Measure::Drop, ..Policy::default() };
    let Some(mut xdp) = loaded_with_another_list(&policy) else { return };
    let counts = xdp.counts().unwrap();
    let whole = segment(address("2a00::1"));
    let others = [[0x08, 0x00], [0x08, 0x06], [0x88, 0xcc], [0x00, 0x26]].map(|kind| {
        let mut other = whole.clone();
        other[12..14].copy_from_slice(&kind);
        other
    });
    for bytes in &others {
        assert!(xdp.passes(bytes).unwrap(), "{bytes:?}");
    }
    assert_eq!(counts.of(Measure::None, Reason::NotIpv6).unwrap().packets, others.len() as u64);
    assert!(xdp.passes(&whole).unwrap());
    assert_eq!(counts.of(Measure::None, Reason::Unlisted).unwrap().packets, 1);
}

/// Frames that promise an IPv6 header and have none that can be read.
fn unread() -> [Vec<u8>; 4] {
    let whole = segment(address("2a00::1"));
    let cut = whole[..14 + 39].to_vec();
    let mut of_another_version = whole.clone();
    of_another_version[14] = 0x45;
    let half_a_tag = [&whole[..12], &[0x81, 0, 0, 7]].concat();
    let mut too_deep = whole.clone();
    for _ in 0..9 {
        too_deep.splice(12..12, [0x81, 0, 0, 7]);
    }
    [cut, of_another_version, half_a_tag, too_deep]
}

#[test]
fn what_promises_ipv6_and_cannot_be_read_meets_what_the_operator_chose_and_in_a_dry_run_nothing() {
    for unknown in [Measure::None, Measure::Observe, Measure::Mark, Measure::Drop] {
        for dry_run in [false, true] {
            let policy = Policy { unknown, dry_run, dscp: Some(8), sample: 1, ..Policy::default() };
            let Some(mut xdp) = loaded_with_another_list(&policy) else { return };
            let (counts, mut events) = (xdp.counts().unwrap(), xdp.events().unwrap());
            for sent in unread() {
                let expected = (unknown != Measure::Drop || dry_run).then(|| sent.clone());
                assert_eq!(xdp.carried(&sent).unwrap(), expected, "{unknown:?}, dry run {dry_run}");
            }
            let reason = if unknown == Measure::None { Reason::NotIpv6 } else { Reason::Unknown };
            assert_eq!(counts.of(unknown, reason).unwrap().packets, 4, "{unknown:?}, dry run {dry_run}");
            assert_eq!(events.take(), None, "it has no source to tell");
        }
    }
}

#[test]
fn what_cannot_be_read_passes_when_failing_open_and_does_not_when_closed() {
    for (failure, passes) in [(Failure::Open, true), (Failure::Static, false), (Failure::Closed, false)] {
        let policy = Policy { unknown: Measure::Drop, ..Policy::default() };
        let Some(mut xdp) = loaded_with_another_list(&policy) else { return };
        xdp.control().declare(Some(failure));
        for sent in unread() {
            assert_eq!(xdp.passes(&sent).unwrap(), passes, "{failure:?}: {sent:?}");
        }
    }
}

/// The bytes behind a header that claims nothing are not known to belong to it, whatever they look like.
#[test]
fn a_chain_behind_a_length_of_zero_is_walked_in_a_jumbogram_alone() {
    let policy = Policy { unknown: Measure::Drop, ..Policy::default() };
    let Some(mut xdp) = loaded_with_another_list(&policy) else { return };
    let claiming_nothing = |next: u8, head: [u8; 8]| {
        let mut frame = frame(address("2a00::1"), address("3fff::1"), next, &[&head[..], &[0; 20]].concat());
        frame[18..20].fill(0);
        frame
    };
    assert!(!xdp.passes(&claiming_nothing(0, [6, 0, 1, 4, 0, 0, 0, 0])).unwrap());
    assert!(!xdp.passes(&claiming_nothing(60, [6, 0, 0xc2, 4, 0, 1, 0, 0])).unwrap(), "in no other header");
    assert!(xdp.passes(&claiming_nothing(0, [6, 0, 0xc2, 4, 0, 1, 0, 0])).unwrap());
    assert!(!xdp.passes(&claiming_nothing(0, [6, 0, 0xc2, 4, 0, 0, 0, 7])).unwrap(), "cut");
    assert!(xdp.passes(&claiming_nothing(6, [0; 8])).unwrap(), "without extension headers there is no chain");
}
