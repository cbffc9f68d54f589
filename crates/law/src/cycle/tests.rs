use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::procedure::Procedure;

/// That a table leads from its first state to each of `all`, that no event leads two ways, and that those without a way on are
/// `last`.
fn check_table<S: Cycle + core::fmt::Debug>(all: &[S], last: &[S]) {
    let names: BTreeSet<_> = all.iter().map(|state| state.name()).collect();
    assert_eq!(names.len(), all.len(), "each has a word of its own");
    for (place, (from, event, to)) in S::TABLE.iter().enumerate() {
        assert!(from != to && !last.contains(from), "{from:?} is left");
        let other = S::TABLE[..place].iter().find(|row| row.0 == *from && row.1 == *event);
        assert!(other.is_none(), "{from:?} is left two ways");
    }
    let mut reached = vec![all[0]];
    while let Some(row) = S::TABLE.iter().find(|row| reached.contains(&row.0) && !reached.contains(&row.2)) {
        reached.push(row.2);
    }
    for state in all {
        assert!(reached.contains(state), "nothing leads to {state:?}");
        let is_left = S::TABLE.iter().any(|row| row.0 == *state);
        assert_ne!(is_left, last.contains(state), "{state:?}");
    }
}

#[test]
fn every_table_leads_everywhere_and_ends() {
    {
        use standing::State::{Corrected, Expired, InForce, Lifted, Relieved};
        check_table(&[InForce, Relieved, Lifted, Corrected, Expired], &[Corrected]);
    }
    {
        use report::State::{Decided, Lapsed, Opined, Reported};
        check_table(&[Reported, Opined, Decided, Lapsed], &[Decided, Lapsed]);
    }
    {
        use proposal::State::{Agreed, Failed, Voting};
        check_table(&[Voting, Agreed, Failed], &[Agreed, Failed]);
    }
    {
        use draft::State::{Adopted, Comment, Lapsed, Ready};
        check_table(&[Comment, Ready, Adopted, Lapsed], &[Adopted, Lapsed]);
    }
    {
        use complaint::State::{Adjudication, Consultation, Mediation, Rejected, Settled, Upheld, Withdrawn};
        let all = [Consultation, Mediation, Adjudication, Upheld, Settled, Rejected, Withdrawn];
        check_table(&all, &[Upheld, Settled, Rejected, Withdrawn]);
    }
    {
        use repair::State::{Announced, Lapsed, Probation, Relapsed, Restored};
        check_table(&[Announced, Probation, Restored, Relapsed, Lapsed], &[Restored, Relapsed, Lapsed]);
    }
    {
        use call::State::{Answered, Calling, Over};
        check_table(&[Calling, Answered, Over], &[Over]);
    }
}

/// The same life lived one step of time after the other.
fn lived<S: Cycle>(
    first: S,
    events: &[(u64, S::Event)],
    terms: &S::Terms,
    now: u64,
    step: u64,
) -> Running<S> {
    let (mut state, mut since) = (first, 0);
    for moment in (0..=now).step_by(step as usize) {
        if state.lapses(since, terms) == Some(moment) {
            (state, since) = (state.after(S::LAPSE).unwrap(), moment);
        }
        for (_, event) in events.iter().filter(|(at, _)| *at == moment) {
            if let Some(next) = state.after(*event) {
                (state, since) = (next, moment);
            }
        }
    }
    Running { state, since }
}

/// Events at moments, as numbers that stand for rows of a table.
type Moves = [(u64, usize)];

fn check_life<S: Cycle + core::fmt::Debug>(first: S, moves: &Moves, terms: &S::Terms, now: u64, step: u64) {
    let event = |which: usize| S::TABLE[which % S::TABLE.len()].1;
    let mut events: Vec<_> = moves.iter().map(|(at, which)| (at * step, event(*which))).collect();
    events.retain(|(_, event)| *event != S::LAPSE);
    events.sort_by_key(|(at, _)| *at);
    let found = Running { state: first, since: 0 }.through(events.iter().copied(), terms, now * step);
    assert_eq!(found, lived(first, &events, terms, now * step, step));
}

proptest! {
    #[test]
    fn a_life_is_the_one_that_is_lived_step_by_step(
        moves in proptest::collection::vec((0..60_u64, 0..20_usize), 0..8),
        now in 0..70_u64,
        (one, two, three) in (1..30_u16, 1..30_u16, 1..60_u16),
    ) {
        let [first, second, third] = [one, two, three].map(u64::from);
        check_life(standing::State::InForce, &moves, &first, now, 1);
        check_life(report::State::Reported, &moves, &first, now, 1);
        check_life(call::State::Calling, &moves, &first, now, 1);
        check_life(proposal::State::Voting, &moves, &first, now, 1);
        check_life(draft::State::Comment, &moves, &draft::Terms { closes: first, expires: first + second }, now, 1);
        let terms = repair::Terms { confirmation: first, probation: second, until: third };
        check_life(repair::State::Announced, &moves, &terms, now, 1);
        let procedure = Procedure { consultation: one, mediation: two, ..Procedure::first() };
        check_life(complaint::State::Consultation, &moves, &procedure, now, 86_400);
    }
}
