//! Mailboxes under a model checker: every order in which two workers post and take.

use std::sync::Arc as Outside;
use std::sync::atomic::AtomicUsize as Tally;
use std::sync::atomic::Ordering::Relaxed;

use credence_flow::Level;
use loom::thread;

use super::*;

const WORKERS: usize = 2;
/// Steps of each worker.
const STEPS: u32 = 2;
/// What a worker has heard of another that it heard once in each step.
const ALL: u64 = (1 << (8 * STEPS)) / 255;

/// What a worker's one source did in a step: a number of packets that tells steps apart when they are added up, up to 255
/// times each.
fn deltas(worker: usize, step: u32) -> Vec<Delta> {
    vec![Delta { packets: 1 << (8 * step), ..Delta::none(Level::Host, worker as u128) }]
}

/// Adds to what was heard of each worker.
fn hear(heard: &mut [u64; WORKERS], merged: &[Delta]) {
    merged.iter().for_each(|delta| heard[delta.prefix as usize] += u64::from(delta.packets));
}

/// How many runs ended how, counted where the model does not look.
#[derive(Default)]
struct Runs {
    /// A worker heard something only after its last step.
    late: Tally,
    /// A worker had heard everything by its last step.
    in_time: Tally,
    /// Something was not heard once, but never or more often.
    wrong: Tally,
}

/// Runs two workers and adds up what each has heard, with what waits for it at the end.
fn check(exchange: fn(&Mailboxes, usize, &[Delta]) -> Vec<Delta>) -> Outside<Runs> {
    let runs = Outside::new(Runs::default());
    let tallies = Outside::clone(&runs);
    loom::model(move || {
        let mailboxes = Outside::new(Mailboxes::new(WORKERS));
        let work = |own: usize| {
            let mailboxes = Outside::clone(&mailboxes);
            move || {
                let mut heard = [0; WORKERS];
                for step in 0..STEPS {
                    hear(&mut heard, &exchange(&mailboxes, own, &deltas(own, step)));
                }
                heard
            }
        };
        let other = thread::spawn(work(1));
        let heard = [work(0)(), other.join().expect("a worker comes to its end")];
        for (own, mut heard) in heard.into_iter().enumerate() {
            let tally = if heard == [ALL; WORKERS] { &tallies.in_time } else { &tallies.late };
            tally.fetch_add(1, Relaxed);
            hear(&mut heard, &mailboxes.exchange(own, &[]));
            tallies.wrong.fetch_add(usize::from(heard != [ALL; WORKERS]), Relaxed);
        }
    });
    runs
}

#[test]
fn every_list_is_heard_once_by_everyone() {
    let runs = check(Mailboxes::exchange);
    assert_eq!(runs.wrong.load(Relaxed), 0);
    assert!(runs.late.load(Relaxed) > 0 && runs.in_time.load(Relaxed) > 0, "both orders were reached");
}

#[test]
fn taking_in_two_steps_is_found() {
    let runs = check(|mailboxes, own, deltas| {
        let heard = mailboxes.open(own).waiting.clone();
        mailboxes.open(own).waiting.clear();
        let all: Vec<_> = heard.into_iter().chain([mailboxes.exchange(own, deltas).into()]).collect();
        merge(&all)
    });
    assert!(runs.wrong.load(Relaxed) > 0);
}
