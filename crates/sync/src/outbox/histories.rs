//! Whole histories: an outbox beside a platform that is as simple as can be, with everything in between going wrong.

use std::collections::{BTreeMap, BTreeSet};

use credence_credit::{ActId, Measure, Reason as Item};
use credence_law::acts::{Preamble, Purpose, Report};
use credence_law::party::{Party, act_id};
use credence_law::{Act, Book, Law, Object, Refusal, Signed};
use ed25519_dalek::SigningKey;

use super::world::{DAY, NOW_MS, OWN, footing, key, law, scan};
use super::*;

/// A platform with a list of what it took.
struct Platform {
    law: Law,
    /// For a while it does not know the member's key: a refusal that is over some time.
    is_closed: bool,
    taken: Vec<(ActId, Act)>,
    book: Book,
}

impl Platform {
    fn new() -> Self {
        Self { law: law(), is_closed: false, taken: Vec::new(), book: Book::default() }
    }

    fn hand_in(&mut self, bytes: &[u8], now_ms: u64) -> Answer {
        let signed = Signed::decode(bytes).unwrap();
        let id = act_id(signed.bytes());
        if let Some(place) = self.taken.iter().position(|(taken, _)| *taken == id) {
            return Answer::Taken(Receipt { id, place: place as u64, accepted: String::new() });
        }
        if self.is_closed {
            return Answer::Refused(Reason::Law(Refusal::UnknownKey));
        }
        match self.law.submit(&signed, &self.book, now_ms / 1_000) {
            Ok(accepted) => {
                self.taken.push((id, accepted.act.clone()));
                self.book.enter(accepted);
                let place = self.taken.len() as u64 - 1;
                Answer::Taken(Receipt { id, place, accepted: String::new() })
            }
            Err(refusal) => Answer::Refused(Reason::Law(refusal)),
        }
    }
}

/// Numbers that follow from a seed: splitmix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }
}

/// What can happen to an act on its way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Way {
    Through,
    AnswerLost,
    Lost,
    Late,
    Busy,
}

struct History {
    chance: Chance,
    law: Law,
    key: SigningKey,
    platform: Platform,
    outbox: Outbox,
    disk: Kept,
    /// Time at the gateway, and by how much the platform's differs.
    now_ms: u64,
    skew_ms: i64,
    /// What is on its way although nobody waits for it any more.
    late: Vec<Vec<u8>>,
    /// Each draft's acts, as they were handed over for sending.
    sent: BTreeMap<u64, BTreeSet<ActId>>,
    /// What happened, so that a history that shows nothing is noticed.
    met: BTreeSet<String>,
    is_calm: bool,
}

const LIMITS: Limits = Limits { drafts_max: 64, drafts_per_day: 40, window_s: DAY, account_s: HOUR };
const HOUR: u64 = 3_600;

impl History {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let skew_ms = chance.below(598_000) as i64 - 299_000;
        Self {
            chance,
            law: law(),
            key: key(1, 0),
            platform: Platform::new(),
            outbox: Outbox::new(Rule::Automatic, LIMITS, Kept::default()),
            disk: Kept::default(),
            now_ms: NOW_MS,
            skew_ms,
            late: Vec::new(),
            sent: BTreeMap::new(),
            met: BTreeSet::new(),
            is_calm: false,
        }
    }

    fn platform_ms(&self) -> u64 {
        self.now_ms.saturating_add_signed(self.skew_ms)
    }

    /// Writes what changed into the copy that survives a crash.
    fn store(&mut self) {
        let Changes { drafts, last_draft, last_act, rows, closed } = self.outbox.changes();
        for (line, row) in rows {
            self.disk.rows.retain(|kept| kept.line != line);
            self.disk.rows.extend(row.cloned());
        }
        self.disk.closed = closed;
        for draft in drafts {
            self.disk.drafts.retain(|kept| kept.number != draft.number);
            self.disk.drafts.push(draft.clone());
        }
        self.disk.drafts.sort_by_key(|draft| draft.number);
        (self.disk.last_draft, self.disk.last_act) = (last_draft, last_act);
        self.outbox.stored();
    }

    fn crash(&mut self) {
        self.met.insert("crash".to_owned());
        self.outbox = Outbox::new(Rule::Automatic, LIMITS, self.disk.clone());
    }

    fn see(&mut self) {
        let subject = self.chance.below(12);
        let source = match subject % 3 {
            0 => format!("2a00:2:0:{subject}::1"),
            _ => format!("2a00:1:0:{subject}00::{:x}", self.chance.below(9)),
        };
        let mut sighting = scan(&source, self.now_ms);
        sighting.reason = Some([Item::Scanning, Item::Flooding][self.chance.below(2) as usize]);
        let salt = core::array::from_fn(|_| self.chance.next() as u8);
        let outcome = self.outbox.see(&sighting, &footing(&self.law, &self.key, self.now_ms), salt);
        self.met.insert(outcome.name().to_owned());
    }

    fn operate(&mut self) {
        let waiting: Vec<u64> = self
            .outbox
            .drafts()
            .filter(|draft| draft.state == State::Waiting)
            .map(|draft| draft.number)
            .collect();
        if waiting.is_empty() {
            return;
        }
        let number = waiting[self.chance.below(waiting.len() as u64) as usize];
        match self.chance.below(4) {
            0 => self.outbox.drop(number).unwrap(),
            1 => {
                let edit = Edit { measure: Some(Measure::Observe), ..Edit::default() };
                self.outbox.edit(number, edit, &footing(&self.law, &self.key, self.now_ms)).unwrap();
            }
            _ => self.outbox.send(number).unwrap(),
        }
    }

    /// Another gateway of the member hands something in; now and then with a clock ten years ahead.
    fn neighbour(&mut self) {
        self.platform.is_closed = false;
        let (issued, ahead) = (self.platform_ms() / 1_000, self.chance.below(40) == 0);
        let number = self.platform_ms() + if ahead { 3_650 * DAY * 1_000 } else { 0 };
        let preamble = Preamble {
            issuer: Party::Member(OWN),
            number,
            issued,
            expires: issued + DAY,
            registry: 1,
            purpose: Purpose::Warning,
        };
        let seen = Seen {
            item: Item::Scanning as u16,
            measure: Measure::Observe,
            from: issued,
            until: issued,
            alerts: 1,
            evidence: String::new(),
            salt: [0; 32],
        };
        let claim = credence_law::acts::Claim {
            subject: credence_law::acts::Block {
                prefix: "2a00:3:1::/64".parse().unwrap(),
                learned: credence_credit::Learned::Default,
            },
            item: seen.item,
            catalogue: 1,
            standard: 1,
            evidence: credence_credit::EvidenceClass::Confirmed,
            seen_from: issued,
            seen_until: issued,
            commitment: commitment(&seen),
            repeats: None,
        };
        let act = Object::new(self.law.world, Act::from(Report { preamble, claim })).encode();
        let now_ms = self.platform_ms();
        let answer = self.platform.hand_in(&Signed::with(act, [&self.key]).encode(), now_ms);
        assert!(
            matches!(answer, Answer::Taken(_) | Answer::Refused(Reason::Law(Refusal::Replayed))),
            "{answer:?}"
        );
    }

    fn way(&mut self) -> Way {
        if self.is_calm {
            return Way::Through;
        }
        [Way::Through, Way::Through, Way::AnswerLost, Way::Lost, Way::Late, Way::Busy]
            [self.chance.below(6) as usize]
    }

    fn send(&mut self, number: u64, id: ActId, bytes: Vec<u8>) {
        self.sent.entry(number).or_default().insert(id);
        let (way, now_ms) = (self.way(), self.platform_ms());
        self.met.insert(format!("{way:?}"));
        let answer = match way {
            Way::Through => self.platform.hand_in(&bytes, now_ms),
            Way::AnswerLost => {
                self.platform.hand_in(&bytes, now_ms);
                Answer::Silence
            }
            Way::Late => {
                self.late.push(bytes);
                Answer::Silence
            }
            Way::Lost => Answer::Silence,
            Way::Busy => Answer::Later { wait_ms: Some(self.chance.below(5_000)) },
        };
        if let Answer::Refused(reason) = &answer {
            self.met.insert(reason.name().to_owned());
        }
        if !self.is_calm && self.chance.below(12) == 0 {
            return self.crash();
        }
        let random = self.chance.next();
        self.outbox.answered(number, answer, self.now_ms, random);
    }

    /// Does what is to be done for a while.
    fn work(&mut self, turns: u64) {
        for _ in 0..turns {
            match self.outbox.turn(&footing(&self.law, &self.key, self.now_ms)) {
                Turn::Store => {
                    if !self.is_calm && self.chance.below(25) == 0 {
                        self.crash();
                    }
                    self.store();
                    if !self.is_calm && self.chance.below(25) == 0 {
                        self.crash();
                    }
                }
                Turn::Send { draft, id, bytes } => {
                    assert!(self.outbox.changes().drafts.is_empty(), "sent before everything is on disk");
                    let on_disk = self.disk.drafts.iter().find(|kept| kept.number == draft).unwrap();
                    assert!(matches!(&on_disk.state, State::Signed(dispatch) if dispatch.bytes == bytes));
                    self.send(draft, id, bytes);
                }
                Turn::Rest { until_ms } if self.is_calm => match until_ms {
                    Some(until_ms) => self.now_ms = self.now_ms.max(until_ms),
                    None => return,
                },
                Turn::Rest { .. } => return,
            }
        }
    }

    fn step(&mut self) {
        self.now_ms += match self.chance.below(10) {
            0 => 1_200_000,
            1..=3 => self.chance.below(120_000),
            _ => self.chance.below(3_000),
        };
        match self.chance.below(12) {
            0 => self.neighbour(),
            1..=5 => self.see(),
            6 | 7 => self.operate(),
            8 if !self.late.is_empty() => {
                let which = self.chance.below(self.late.len() as u64) as usize;
                let (bytes, now_ms) = (self.late.swap_remove(which), self.platform_ms());
                self.platform.hand_in(&bytes, now_ms);
            }
            9 => self.crash(),
            10 => self.platform.is_closed = true,
            _ => {}
        }
        let turns = self.chance.below(8);
        self.work(turns);
    }

    /// Everything that was ever on its way arrives, and the outbox is left alone until it has nothing more to do.
    fn calm(&mut self) {
        self.is_calm = true;
        self.platform.is_closed = false;
        let now_ms = self.platform_ms();
        for bytes in std::mem::take(&mut self.late) {
            self.platform.hand_in(&bytes, now_ms);
        }
        self.work(5_000);
    }

    fn check(&self, seed: u64) {
        let taken = |id: &ActId| self.platform.taken.iter().any(|(taken, _)| taken == id);
        for draft in &self.disk.drafts {
            let times =
                self.sent.get(&draft.number).map_or(0, |ids| ids.iter().filter(|id| taken(id)).count());
            match &draft.state {
                State::Taken(receipt) => {
                    assert_eq!(times, 1, "seed {seed}, draft {}", draft.number);
                    assert_eq!(self.platform.taken[receipt.place as usize].0, receipt.id);
                }
                State::Waiting | State::Dropped => {
                    assert_eq!(times, 0, "seed {seed}, draft {}", draft.number);
                }
                state => panic!("seed {seed}: draft {} is {} at the end", draft.number, state.name()),
            }
        }
    }
}

/// Nothing is lost and nothing doubled, whatever the network, the disk, the clocks and the neighbours do.
#[test]
fn each_draft_that_is_to_be_sent_stands_in_the_log_once() {
    let mut met = BTreeSet::new();
    let mut taken = 0;
    for seed in 0..100 {
        let mut history = History::new(seed);
        (0..120).for_each(|_| history.step());
        history.calm();
        history.check(seed);
        taken += history.sent.len();
        met.append(&mut history.met);
    }
    for expected in [
        "crash",
        "drafted",
        "merged",
        "replayed",
        "stale",
        "unknown_key",
        "Late",
        "Busy",
        "AnswerLost",
        "Lost",
    ] {
        assert!(met.contains(expected), "no history met {expected:?}: {met:?}");
    }
    assert!(taken > 300, "{taken}");
}
