//! The meeting at the end of a step, under a model checker: every order in which workers come, wait, leave and come again.

use std::sync::Arc as Outside;
use std::sync::atomic::AtomicUsize as Tally;
use std::sync::atomic::Ordering::Relaxed;

use credence_flow::Level;
use loom::thread;

use super::*;

const WORKERS: usize = 2;
const STEPS: u32 = 2;

/// What a worker's one source did in a step.
fn delta(worker: usize, step: u32) -> Delta {
    Delta { packets: 1 + step, ..Delta::none(Level::Host, worker as u128) }
}

/// Runs two workers through all steps, and asserts that each leaves each step with the deltas of both. Returns how often
/// a worker came to a step while the other had not left the one before.
fn check(meet: fn(&Exchange, &mut Vec<Delta>) -> Option<Arc<Vec<Delta>>>) -> usize {
    let overtaken = Outside::new(Tally::new(0));
    let tally = Outside::clone(&overtaken);
    loom::model(move || {
        let exchange = Outside::new(Exchange::new(WORKERS));
        let left = Outside::new([Tally::new(0), Tally::new(0)]);
        let work = |own: usize| {
            let (exchange, left, tally) =
                (Outside::clone(&exchange), Outside::clone(&left), Outside::clone(&tally));
            move || {
                let mut deltas = Vec::new();
                for step in 0..STEPS {
                    let behind = left[1 - own].load(Relaxed) < step as usize;
                    tally.fetch_add(usize::from(behind), Relaxed);
                    deltas.clear();
                    deltas.push(delta(own, step));
                    let merged = meet(&exchange, &mut deltas).expect("nobody is gone");
                    assert_eq!(merged.as_slice(), [delta(0, step), delta(1, step)]);
                    left[own].fetch_add(1, Relaxed);
                }
            }
        };
        let other = thread::spawn(work(1));
        work(0)();
        other.join().expect("a worker comes to its end");
    });
    overtaken.load(Relaxed)
}

#[test]
fn each_step_is_left_with_its_own_deltas_and_everybodys() {
    assert!(check(Exchange::meet) > 0, "a worker came again before the other had left");
}

#[test]
#[should_panic(expected = "deadlock")]
fn waiting_for_an_empty_table_instead_of_the_next_round_is_found() {
    check(|exchange, deltas| {
        let mut round = exchange.round.lock().unwrap();
        round.brought.push(std::mem::take(deltas));
        if round.brought.len() == exchange.workers {
            round.turn();
            exchange.turned.notify_all();
        }
        while !round.brought.is_empty() {
            round = exchange.turned.wait(round).unwrap();
        }
        Some(Arc::clone(&round.merged))
    });
}

/// Lets one of two workers come, and the other be gone.
fn check_gone(break_up: fn(&Exchange)) {
    loom::model(move || {
        let exchange = Outside::new(Exchange::new(WORKERS));
        let met = Outside::clone(&exchange);
        let waiting = thread::spawn(move || met.meet(&mut Vec::new()).is_none());
        break_up(&exchange);
        assert!(waiting.join().expect("a worker comes to its end"), "nobody else was there");
    });
}

#[test]
fn whoever_waits_for_a_worker_that_is_gone_goes_on() {
    check_gone(Exchange::break_up);
}

#[test]
#[should_panic(expected = "deadlock")]
fn waking_before_the_word_is_found() {
    check_gone(|exchange| {
        exchange.turned.notify_all();
        exchange.round.lock().unwrap().broken = true;
    });
}
