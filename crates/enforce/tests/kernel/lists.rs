//! Lists have the same effect in the kernel as in user space.

use credence_credit::{Authority, Measure, Record};
use credence_enforce::Policy;
use credence_prefix::Prefix;

use crate::world::{
    NOW_S, Random, address, any_snapshot, cache, edges, loaded, now, record, segment, small, snapshot,
};

#[test]
fn nothing_is_dropped_before_anything_is_published() {
    let Some((mut xdp, mut records)) = loaded(&small(), &Policy::default()) else { return };
    let frame = segment(address("2001:db8::1"));
    assert!(xdp.passes(&frame).unwrap());
    records.publish(&cache(Vec::new()), now()).unwrap();
    assert!(xdp.passes(&frame).unwrap());
}

#[test]
fn lists_have_the_same_effect_in_the_kernel_as_in_the_cache() {
    let Some((mut xdp, mut records)) = loaded(&small(), &Policy { sample: 0, ..Policy::default() }) else {
        return;
    };
    let (mut random, mut dropped, mut packets) = (Random(1), 0, 0);
    for round in 0..40 {
        let snapshots = (0..1 + round % 3).map(|_| any_snapshot(&mut random, 300)).collect();
        let cache = cache(snapshots);
        records.publish(&cache, now()).unwrap();
        for source in edges(&cache) {
            let ruling = cache.effective(source, NOW_S).ruling.map(|number| cache.entry(number).allowed());
            let expected = ruling != Some(Measure::Drop);
            let passes = xdp.passes(&segment(source)).unwrap();
            assert_eq!(passes, expected, "{source:#034x} in round {round}: {ruling:?}");
            dropped += usize::from(!expected);
            packets += 1;
        }
    }
    assert!(dropped > packets / 50, "{dropped} of {packets}");
}

#[test]
fn a_set_that_is_too_large_is_refused_and_the_one_before_stays() {
    let setup = credence_enforce::Setup { records: 1_024, ..small() };
    let Some((mut xdp, mut records)) = loaded(&setup, &Policy::default()) else { return };
    let listed = segment(address("2001:db8::1"));
    records.publish(&cache(vec![snapshot(vec![record("2001:db8::/32", Measure::Drop)])]), now()).unwrap();
    assert!(!xdp.passes(&listed).unwrap());
    let met = |records: &credence_enforce::Records, number| {
        let met = records.met(number);
        (met.packets, met.bytes)
    };
    let len = listed.len() as u64;
    assert_eq!([0, 1, u32::MAX].map(|number| met(&records, number)), [(1, len), (0, 0), (0, 0)]);
    let many = (0..1_025).map(|i| record(&format!("2a00:{i:x}::/32"), Measure::Drop)).collect();
    let error = records.publish(&cache(vec![snapshot(many)]), now()).unwrap_err().to_string();
    assert!(error.contains("1025") && error.contains("1024") && error.contains("enforce.records"), "{error}");
    assert!(!xdp.passes(&listed).unwrap(), "the set before is in force");
    assert!(xdp.passes(&segment(address("2a00:1::1"))).unwrap());
}

/// Each record outlives those inside it, so that all of them matter; the operator's word stands outermost.
#[test]
fn a_deep_nest_of_records_hides_nobodys_word() {
    let Some((mut xdp, mut records)) = loaded(&small(), &Policy::default()) else { return };
    let source = address("2001:db8::1");
    let nested = (33..=128).map(|len| Record {
        prefix: Prefix::containing(source, len),
        authority: Authority::Decision,
        signatures: 2,
        expires: NOW_S + 3_600 - u64::from(len),
        ..record("::/0", Measure::Drop)
    });
    let outermost = record("2001:db8::/32", Measure::None);
    let cache = cache(vec![snapshot(nested.chain([outermost]).collect())]);
    records.publish(&cache, now()).unwrap();
    assert_eq!(cache.effective(source, NOW_S).ruling, Some(0), "in user space the operator rules");
    assert!(xdp.passes(&segment(source)).unwrap(), "and in the kernel");
    assert_eq!(records.met(0).packets, 1);
}
