//! The whole in simulated time: a platform, mirrors, a witness, members of whom some are hostile, and gateways, through crashes,
//! partitions, loss, damage, wrong clocks and full disks, from a seed.
//!
//! What is simulated is the world around the code: the network, disks, clocks and people. What is driven is the code that runs in
//! earnest: the desk, the gate and the feed of the platform, rounds of following with what they keep, and the gateway's look at what
//! is offered, with its guards and its cache. After each step it is checked against a [model](model) as simple as can be, kept apart.
//! A seed that fails is replayed by its number.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod cast;
mod checks;
mod council;
mod dice;
mod disk;
mod faults;
mod following;
mod gateway;
mod mirror;
mod model;
mod platform;
mod plots;
mod station;
mod story;
mod world;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use checks::Failure;
use world::{Simulation, Told24};

/// Something missing, in a gateway if nothing else is said, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// It enforces what is over.
    Expiry,
    /// It forgets what it never blocks.
    NeverBlock,
    /// It takes any head for new enough.
    Frozen,
    /// It asks its operator nothing.
    Guards,
    /// Its disk is set back when it starts.
    Rollback,
    /// It believes a record that nobody has signed.
    Forged,
    /// Not a gateway: the platform's disk says that things stay, and keeps them when it sees fit.
    Forgetful,
}

fn run(seed: u64, sabotage: Option<Sabotage>) -> (Result<Told24, Failure>, Vec<String>) {
    let mut simulation = Simulation::new(seed, sabotage);
    let told = simulation.run();
    (told, simulation.last.into())
}

/// Tells how to run a seed again, whatever its day has ended with.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("replay: CREDENCE_SEED={} cargo test -p credence-sync --test simulation a_day", self.0);
        }
    }
}

/// Runs a seed, and tells how to run it again if something does not hold.
fn holds(seed: u64) -> Told24 {
    let _replay = Replay(seed);
    match run(seed, None) {
        (Ok(told), _) => told,
        (Err(Failure { check, text }), last) => {
            panic!("seed {seed}: `{check}` does not hold: {text}\n{}", last.join("\n"));
        }
    }
}

/// What must have happened somewhere, or the days were too quiet to show anything.
const EVENTS: [&str; 46] = [
    "accepted",
    "act_bad_signature",
    "act_future",
    "act_measure_too_hard",
    "act_no_opinion",
    "act_not_theirs",
    "act_outside_holdings",
    "act_replayed",
    "act_revoked_key",
    "act_stale",
    "act_too_few_signatures",
    "act_too_wide",
    "act_wrong_signer",
    "agreed",
    "applied",
    "clock_off",
    "clock_wild",
    "discarded",
    "disk_full",
    "follower_killed",
    "given_up",
    "held",
    "killed",
    "known",
    "parted",
    "platform_killed",
    "platform_lost_an_act",
    "platform_lost_power",
    "platform_rot",
    "refused_Cut",
    "refused_Expired",
    "refused_Future",
    "refused_Hash",
    "refused_Idle",
    "refused_Log",
    "refused_Rollback",
    "refused_Signature",
    "refused_TooLong",
    "refused_Unreachable",
    "refused_Unreadable",
    "rot",
    "ruled",
    "stopped_writing",
    "turned",
    "unkept",
    "withheld",
];

/// The seeds that `CREDENCE_SEED` names: one, or from one up to and without another, as in `20..60`.
fn named() -> Option<Range<u64>> {
    let named = std::env::var("CREDENCE_SEED").ok()?;
    let number = |text: &str| text.parse::<u64>().expect("seeds are a number, or two with two dots between");
    Some(match named.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&named)..number(&named) + 1,
    })
}

/// What happened in some days, and the trace of each by its seed.
type Days = (BTreeMap<String, u64>, Vec<(u64, [u8; 32])>);

/// Goes through these days on as many threads as there are cores, and tells of each that holds how many are left if `is_told`.
fn days(seeds: &[u64], is_told: bool) -> Days {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Days::default());
    thread::scope(|scope| {
        let go = || {
            while let Some(&seed) = seeds.get(next.fetch_add(1, Relaxed)) {
                let day = holds(seed);
                let (met, traces) = &mut *all.lock().unwrap();
                day.met.into_iter().for_each(|(what, count)| *met.entry(what).or_default() += count);
                traces.push((seed, day.trace));
                if is_told {
                    println!("seed {seed} holds; {} of {} days are over", traces.len(), seeds.len());
                }
            }
        };
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        (0..threads).for_each(|_| drop(scope.spawn(go)));
    });
    all.into_inner().unwrap()
}

/// Each seed is a day, and another half an hour in which nothing goes wrong any more. Twenty days in the usual run, a thousand in the
/// full one; `CREDENCE_SEED` names others. The first is gone through twice, and is the same day to the last event.
#[test]
fn a_day_of_the_whole_is_safe_at_each_step_and_mends_itself_at_length() {
    if let Some(seeds) = named() {
        let (met, _) = days(&seeds.clone().collect::<Vec<_>>(), true);
        println!("seeds {seeds:?}: {met:#?}");
        return;
    }
    let is_full = std::env::var_os("CREDENCE_AT_LENGTH").is_some_and(|value| value == "1");
    let seeds = if is_full { 1_000 } else { 20 };
    let (met, traces) = days(&(0..seeds).chain([0]).collect::<Vec<_>>(), is_full);
    let first: Vec<_> = traces.iter().filter(|(seed, _)| *seed == 0).collect();
    assert!(first.len() == 2 && first[0] == first[1], "the same seed is another day");
    let missing: Vec<_> = EVENTS.iter().filter(|event| !met.contains_key(**event)).collect();
    assert!(missing.is_empty(), "no day had {missing:?}: {met:?}");
}

/// That a check finds what it is for, within a few days.
#[track_caller]
fn is_noticed(sabotage: Sabotage, check: &str) {
    let found = (0..4).find_map(|seed| run(seed, Some(sabotage)).0.err());
    assert_eq!(found.map(|failure| failure.check), Some(check), "{sabotage:?}");
}

#[test]
fn a_gateway_that_enforces_what_is_over_is_noticed() {
    is_noticed(Sabotage::Expiry, "expiry");
}

#[test]
fn a_gateway_that_blocks_what_it_never_blocks_is_noticed() {
    is_noticed(Sabotage::NeverBlock, "never_block");
}

#[test]
fn a_gateway_that_believes_what_is_frozen_is_noticed() {
    is_noticed(Sabotage::Frozen, "fresh");
}

#[test]
fn a_gateway_that_asks_nobody_is_noticed() {
    is_noticed(Sabotage::Guards, "guards");
}

#[test]
fn a_gateway_that_goes_back_is_noticed() {
    is_noticed(Sabotage::Rollback, "monotone");
}

#[test]
fn a_gateway_that_believes_what_nobody_signed_is_noticed() {
    is_noticed(Sabotage::Forged, "support");
}

#[test]
fn a_platform_that_keeps_no_head_is_noticed() {
    is_noticed(Sabotage::Forgetful, "serial");
}
