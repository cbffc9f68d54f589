//! What must hold after each step, checked by counting and comparing one by one, with nothing of the code that is tested but its
//! results.

use std::collections::{BTreeMap, VecDeque};

use credence_credit::{Measure, Record};
use credence_feed::HEAD_LASTS_MAX;
use credence_prefix::Prefix;

use crate::gateway::{Before, Gateway};
use crate::model::{Known, Model};

/// What does not hold, and how it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Which check found it.
    pub(crate) check: &'static str,
    pub(crate) text: String,
}

/// How long it takes at most until an issuer states what nobody is told before, in seconds: it looks every five minutes.
const UNSTATED: u64 = 420;

pub(crate) type Checked = Result<(), Failure>;

fn hold(check: &'static str, holds: bool, text: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Failure { check, text: text() }) }
}

/// Sources of flows that a gateway has seen of late, kept once more.
#[derive(Debug, Default)]
pub(crate) struct Seen(VecDeque<(u64, u128)>);

impl Seen {
    pub(crate) fn saw(&mut self, sources: &[u128], at_ms: u64) {
        self.0.extend(sources.iter().map(|source| (at_ms, *source)));
        self.0.retain(|(seen_ms, _)| at_ms - seen_ms <= 600_000);
    }

    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

/// What a gateway trusts never goes back, whatever happened to its machine.
pub(crate) fn monotone(gateway: &mut Gateway) -> Checked {
    let Some(rounds) = &gateway.rounds else { return Ok(()) };
    let trusted = rounds.follower().trusted();
    let (session, serial) = trusted.version();
    let (version, log, rules) = ((session, serial), trusted.log_size, trusted.rules);
    let (known, floor) = ((gateway.floor.0, gateway.floor.1), gateway.floor);
    hold("monotone", version >= known && log >= floor.2 && rules >= floor.3, || {
        format!("gateway {} trusts {version:?} of a log of {log}, after {floor:?}", gateway.id)
    })?;
    gateway.floor = (session, serial, log, rules);
    Ok(())
}

/// No version is ever put out twice, whatever happened to the platform's machine.
pub(crate) fn serial(version: (u64, u64), before: Option<&Vec<u8>>, head: &[u8]) -> Checked {
    hold("serial", before.is_none_or(|before| before == head), || {
        format!("two heads of version {version:?} were put out")
    })
}

/// Who says that what it knows is the newest has not been shown anything older than a head lasts, by its own clock.
pub(crate) fn fresh(gateway: &Gateway, put_out_ms: u64, at_ms: u64) -> Checked {
    let age_ms = at_ms as i64 - put_out_ms as i64 + gateway.offset_ms;
    hold("fresh", age_ms <= HEAD_LASTS_MAX as i64 * 1_000 + 1_000, || {
        format!("gateway {} takes what is {} s old for the newest", gateway.id, age_ms / 1_000)
    })
}

/// Everything about what is in force after an update, by what was known then.
pub(crate) fn update(
    gateway: &Gateway,
    (model, known): (&Model, Known),
    (before, seen): (&Before, &Seen),
    at_ms: u64,
) -> Checked {
    let now = gateway.unix(at_ms);
    let all = gateway.found();
    let enforceable = all.iter().filter(|(_, is_enforced)| *is_enforced).count();
    hold(
        "account",
        all.len() == gateway.records && enforceable as u64 + gateway.kept() == all.len() as u64,
        || format!("gateway {}: {} records came, {} are there", gateway.id, gateway.records, all.len()),
    )?;
    for (record, _) in all.iter().filter(|(record, is_enforced)| *is_enforced && record.measure.constrains())
    {
        one(gateway, record, (model, known))?;
    }
    if before.is_asked {
        return Ok(());
    }
    guarded(gateway, &before.enforced, &gateway.enforced(now), now)?;
    newly_hit(gateway, before, seen, now)
}

/// A record that is enforced.
fn one(gateway: &Gateway, record: &Record, (model, known): (&Model, Known)) -> Checked {
    let (id, prefix) = (gateway.id, record.prefix);
    let is_wide = prefix.len() < 32 || prefix.len() < 48 && record.signatures < 2;
    hold("width", !is_wide, || format!("gateway {id} enforces {record:?}"))?;
    let own = gateway.own.iter().find(|own| own.covers(prefix) || prefix.covers(**own));
    hold("never_block", own.is_none(), || format!("gateway {id} enforces {record:?} over {own:?}"))?;
    hold("support", model.supports(record, known), || {
        format!("gateway {id} enforces {record:?}, for which nobody has signed who may")
    })
}

/// What was not asked for has changed no more than it may: a tenth of what was in force comes, or half of it goes.
fn guarded(
    gateway: &Gateway,
    before: &[(Prefix, Measure, u64)],
    after: &[(Prefix, Measure, u64)],
    now: u64,
) -> Checked {
    let hardest = |all: &[(Prefix, Measure, u64)]| {
        let mut hardest: BTreeMap<Prefix, Measure> = BTreeMap::new();
        for (prefix, measure, _) in all.iter().filter(|(_, _, expires)| now < *expires) {
            let known = hardest.entry(*prefix).or_insert(*measure);
            *known = (*known).max(*measure);
        }
        hardest
    };
    let (old, new) = (hardest(before), hardest(after));
    let added =
        new.iter().filter(|(prefix, measure)| old.get(*prefix).is_none_or(|old| old < *measure)).count();
    let removed = old.keys().filter(|prefix| !new.contains_key(*prefix)).count();
    let is_fine = old.is_empty() || added <= 100 || added * 10 <= old.len();
    hold("guards", is_fine && (removed <= 100 || removed * 2 <= old.len()), || {
        format!("gateway {} added {added} and took back {removed} where {} were", gateway.id, old.len())
    })
}

/// Nor does it hit more than half a percent of the flows of late that were not hit.
fn newly_hit(gateway: &Gateway, before: &Before, seen: &Seen, now: u64) -> Checked {
    let covering = |source: u128| {
        let covers = before.enforced.iter().filter(|(prefix, ..)| prefix.contains(source));
        covers.map(|(_, measure, _)| *measure).max().unwrap_or(Measure::None)
    };
    let is_hit = |(_, source): &&(u64, u128)| {
        let after = gateway.measure(*source, now);
        after.constrains() && after > covering(*source)
    };
    let (hit, recent) = (seen.0.iter().filter(is_hit).count(), seen.0.len());
    hold("guards", hit * 200 <= recent, || {
        format!("gateway {} newly hits {hit} of {recent} recent flows", gateway.id)
    })
}

/// What is true at any moment: nothing that is over is enforced, and nothing ever on what is never blocked. Looks at so many records
/// from a place on.
pub(crate) fn moment(gateway: &Gateway, at_ms: u64, (from, count): (usize, usize)) -> Checked {
    let now = gateway.unix(at_ms);
    for own in &gateway.own {
        let measure = gateway.measure(own.first() | 1, now);
        hold("never_block", !measure.constrains(), || {
            format!("gateway {} answers {own} with {}", gateway.id, measure.name())
        })?;
    }
    let all = gateway.all();
    for (record, _) in all.iter().cycle().skip(from).take(count.min(all.len())) {
        let source = record.prefix.first();
        let live = all.iter().filter(|(other, _)| now < other.expires && other.prefix.contains(source));
        let most = live.map(|(other, _)| other.measure).max().unwrap_or(Measure::None);
        let measure = gateway.measure(source, now);
        hold("expiry", measure <= most, || {
            format!(
                "gateway {} answers {} with {}, and what says so is over",
                gateway.id,
                record.prefix,
                measure.name()
            )
        })?;
    }
    Ok(())
}

/// When everything is calm, what is in force is what was said and not taken back, no more and no less.
pub(crate) fn equal(gateway: &Gateway, (model, known): (&Model, Known), at_ms: u64) -> Checked {
    let now = gateway.unix(at_ms);
    let made = gateway.header.map_or(0, |header| header.created);
    let mut expected = model.in_force(known, made);
    // Where a harder word of the same issuer's about the same addresses has just ended, the milder one is heard again with the next
    // manifest.
    let before = model.in_force(known, made.saturating_sub(UNSTATED));
    expected.retain(|key, said| before.get(key).is_none_or(|before| before == said));
    // Clocks differ by a second or two even now.
    let lasts = |expires: u64| now + 5 < expires;
    let expected: BTreeMap<_, _> = expected.into_iter().filter(|(_, (_, expires))| lasts(*expires)).collect();
    let live = gateway.all().iter().map(|(record, _)| record).filter(|record| lasts(record.expires));
    let found: BTreeMap<_, _> =
        live.map(|record| ((record.prefix, record.authority), (record.measure, record.expires))).collect();
    let missing: Vec<_> =
        expected.iter().filter(|(key, said)| found.get(*key) != Some(*said)).take(3).collect();
    let all = model.in_force(known, made);
    let more: Vec<_> = found.iter().filter(|(key, _)| !all.contains_key(*key)).take(3).collect();
    hold("equal", missing.is_empty() && more.is_empty(), || {
        let (id, there, said) = (gateway.id, found.len(), expected.len());
        format!("gateway {id} has {there} records of {said}; missing {missing:?}, too many {more:?}")
    })
}

/// Nobody is at another version than the newest any more.
pub(crate) fn alive(gateway: &Gateway, root: [u8; 32], rounds: u32) -> Checked {
    let held = gateway.rounds.as_ref().and_then(|rounds| rounds.follower().held());
    hold("alive", held.is_some_and(|held| held.state.root() == root), || {
        let version = held.map(|held| (held.session, held.serial));
        format!(
            "gateway {} is at {version:?} after {rounds} calm rounds, which is not the newest",
            gateway.id
        )
    })
}
