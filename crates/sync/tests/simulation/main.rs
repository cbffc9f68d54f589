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
mod dice;
mod disk;
mod gateway;
mod mirror;
mod model;
mod platform;
mod story;
mod world;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use checks::Failure;
use world::{Simulation, Told24};

/// A gateway with something missing, to see that it is noticed.
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
}

fn run(seed: u64, sabotage: Option<Sabotage>) -> (Result<Told24, Failure>, Vec<String>) {
    let mut simulation = Simulation::new(seed, sabotage);
    let told = simulation.run();
    (told, simulation.last.into())
}

/// Runs a seed, and tells how to run it again if something does not hold.
fn holds(seed: u64) -> Told24 {
    match run(seed, None) {
        (Ok(told), _) => told,
        (Err(Failure { check, text }), last) => {
            let replay = format!("CREDENCE_SEED={seed} cargo test -p credence-sync --test simulation a_day");
            panic!("seed {seed}: `{check}` does not hold: {text}\n{}\nreplay: {replay}", last.join("\n"));
        }
    }
}

/// What must have happened somewhere, or the days were too quiet to show anything.
const EVENTS: [&str; 42] = [
    "accepted",
    "act_bad_signature",
    "act_future",
    "act_measure_too_hard",
    "act_no_opinion",
    "act_not_theirs",
    "act_outside_holdings",
    "act_replayed",
    "act_stale",
    "act_too_few_signatures",
    "act_too_wide",
    "act_wrong_signer",
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
    "stopped_writing",
    "turned",
    "unkept",
    "withheld",
];

/// Each seed is a day, and another half an hour in which nothing goes wrong any more. Twenty days in the usual run, a thousand in the
/// full one; `CREDENCE_SEED` names a single one. The first is gone through twice, and is the same day to the last event.
#[test]
fn a_day_of_the_whole_is_safe_at_each_step_and_mends_itself_at_length() {
    let one =
        std::env::var("CREDENCE_SEED").ok().map(|seed| seed.parse::<u64>().expect("a seed is a number"));
    if let Some(seed) = one {
        let told = holds(seed);
        println!("seed {seed}: {:#?}", told.met);
        return;
    }
    let seeds = if std::env::var_os("CREDENCE_AT_LENGTH").is_some() { 1_000 } else { 20 };
    let (next, met) = (AtomicU64::new(0), Mutex::new(BTreeMap::<String, u64>::new()));
    thread::scope(|scope| {
        let days = || {
            while let Some(seed) = Some(next.fetch_add(1, Relaxed)).filter(|seed| *seed <= seeds) {
                // The last one is the first once more.
                let told = holds(seed % seeds);
                if seed == seeds {
                    assert_eq!(told.trace, holds(0).trace, "the same seed is another day");
                    return;
                }
                let mut met = met.lock().unwrap();
                told.met.into_iter().for_each(|(what, count)| *met.entry(what).or_default() += count);
            }
        };
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        (0..threads).for_each(|_| drop(scope.spawn(days)));
    });
    let met = met.into_inner().unwrap();
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
