//! Sets of records that take each other's place while frames are judged.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use credence_credit::{Cache, Measure};
use credence_enforce::Policy;

use super::world::{address, cache, loaded, now, record, segment, small, snapshot};

/// Says how often one set takes the place of the other; ten thousand times by hand. Each waits for a grace period of the
/// kernel's, some milliseconds, in which thousands of frames are judged.
const SWAPS: &str = "CREDENCE_SWAPS";
const SWAPS_USUALLY: usize = 400;

/// The source that both sets name, at another place and under another number in each.
const LISTED: &str = "2001:db8:7::66";
/// A source that neither names, between those that one or the other does.
const WELCOME: &str = "2001:db8:8::1";

/// A set of the listed source and of so many sites around the welcome one.
fn set(sites: u32, listed: &str) -> Cache {
    let others = (0..sites).map(|n| record(&format!("2001:db8:{:x}::/48", 9 + n), Measure::Drop));
    cache(vec![snapshot(others.chain([record(listed, Measure::Drop)]).collect())])
}

#[test]
fn sets_that_take_each_others_place_let_no_listed_frame_through_and_hold_up_no_other() {
    let Some((mut xdp, mut records)) = loaded(&small(), &Policy::default()) else { return };
    let sets = [set(3, "2001:db8:7::66/128"), set(2_000, "2001:db8:7::/48")];
    records.publish(&sets[1], now()).unwrap();
    let swaps = env::var(SWAPS).map_or(SWAPS_USUALLY, |count| count.parse().unwrap());
    let done = AtomicBool::new(false);
    let judged = thread::scope(|scope| {
        let judging = scope.spawn(|| {
            let (listed, welcome) = (segment(address(LISTED)), segment(address(WELCOME)));
            let mut judged = 0_u64;
            while !done.load(Ordering::Relaxed) {
                assert!(xdp.passes(&welcome).unwrap(), "after {judged} frames");
                assert!(!xdp.passes(&listed).unwrap(), "after {judged} frames");
                judged += 2;
            }
            judged
        });
        for set in sets.iter().cycle().take(swaps) {
            records.publish(set, now()).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        judging.join().unwrap()
    });
    println!("{judged} frames in {swaps} swaps");
    assert!(judged > swaps as u64, "frames were judged between swaps");
}
