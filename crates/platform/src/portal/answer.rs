//! What everybody may know of a subject: what is in force now.
//!
//! What is over is not shown here, so that nobody can follow a stranger's address through time. It still moves the score until it has
//! faded, and stands in the account as one sum.

use credence_credit::{ActId, Measure, Rating};
use credence_law::standard::{Assessment, Standard};
use credence_law::{Act, Law, State};
use credence_prefix::Prefix;

use crate::desk::Desk;
use crate::words::{self, Moment};

/// A subject's credit as everybody may see it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) subject: String,
    pub(super) scale: Scale,
    pub(super) account: Account,
    pub(super) acts: Vec<Card>,
    /// Whether the subject gets milder treatment or harder by what is in force: the hardest measure, in words.
    pub(super) effect: &'static str,
    pub(super) holder: Option<Holder>,
}

/// A score on its scale.
#[derive(Debug)]
pub(super) struct Scale {
    /// None for an unrated subject.
    pub(super) score: Option<Scored>,
    /// The statuses with the scores from which they begin, worst first.
    pub(super) bands: Vec<Band>,
}

#[derive(Debug)]
pub(super) struct Scored {
    pub(super) value: u16,
    pub(super) status: String,
    /// The word for the style sheet.
    pub(super) class: &'static str,
}

#[derive(Debug)]
pub(super) struct Band {
    pub(super) name: String,
    pub(super) class: &'static str,
    pub(super) from: u16,
    pub(super) until: u16,
}

impl Band {
    pub(super) const fn width(&self) -> u16 {
        self.until - self.from + 1
    }
}

/// How a score comes about. Base and lines add up to it.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) standard: u32,
    pub(super) base: u16,
    pub(super) lines: Vec<Line>,
    /// What acts that are over still take or give; none where nothing does.
    pub(super) over: Option<String>,
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) act: ActId,
    pub(super) name: String,
    pub(super) points: String,
}

/// An act in brief.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) id: ActId,
    pub(super) title: &'static str,
    pub(super) prefix: String,
    pub(super) issuer: String,
    pub(super) item: Option<String>,
    pub(super) effect: Option<&'static str>,
    pub(super) is_relieved: bool,
    pub(super) rules: Option<(u32, u32)>,
    pub(super) expires: Moment,
    pub(super) left: String,
    pub(super) place: u64,
}

/// The member that answers for addresses.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) number: u16,
    pub(super) name: String,
    pub(super) complaints: String,
}

/// What everybody may know of a subject at `now`, in Unix seconds. None while the world has no rules.
pub(super) fn answer(desk: &Desk, subject: Prefix, now: u64) -> Option<Answer> {
    let law = desk.law().ok()?;
    let file = desk.book().file(law, subject, now);
    let stands = |state: State| matches!(state, State::InForce | State::Relieved);
    let in_force: Vec<_> = file.acts.iter().copied().filter(|(_, state)| stands(*state)).collect();
    let restrictions = desk.book().restrictions(law, now);
    let cards: Vec<_> =
        in_force.iter().filter_map(|(id, state)| card(desk, law, id, *state, &restrictions, now)).collect();
    let standard = law.newest().0;
    Some(Answer {
        subject: subject.to_string(),
        scale: Scale::new(standard, file.assessment.rating),
        account: account(law, standard, &file.assessment, &in_force),
        effect: hardest(desk, &in_force, &restrictions),
        acts: cards,
        holder: holder(law, subject),
    })
}

impl Scale {
    pub(super) fn new(standard: &Standard, rating: Rating) -> Self {
        let score = rating.score().zip(rating.status());
        let score = score.map(|(score, status)| Scored {
            value: score.value(),
            status: words::status(status),
            class: status.name(),
        });
        Self { score, bands: bands(standard) }
    }
}

/// The statuses of a standard, worst first.
pub(super) fn bands(standard: &Standard) -> Vec<Band> {
    let bounds = &standard.bounds;
    let from = [0, bounds.poor, bounds.watch, bounds.normal, bounds.good];
    let until = [bounds.poor, bounds.watch, bounds.normal, bounds.good, 1_001];
    let worst_first = credence_credit::Status::ALL.into_iter().rev();
    let band = |(status, (from, until)): (credence_credit::Status, (u16, u16))| {
        let until = until.saturating_sub(1).max(from);
        Band { name: words::status(status), class: status.name(), from, until }
    };
    worst_first.zip(from.into_iter().zip(until)).map(band).collect()
}

fn account(law: &Law, standard: &Standard, assessment: &Assessment, in_force: &[(ActId, State)]) -> Account {
    let (mut lines, mut over) = (Vec::new(), None);
    for term in &assessment.terms {
        if in_force.iter().any(|(id, _)| *id == term.act) {
            let item = law.newest().1.item(term.item);
            let name = item.map_or_else(String::new, |item| words::spaced(item.name.as_str()));
            lines.push(Line { act: term.act, name, points: words::points(term.points) });
        } else {
            *over.get_or_insert(0) += term.points;
        }
    }
    Account { standard: standard.version, base: assessment.base, lines, over: over.map(words::points) }
}

/// What the hardest act in force does to the subject's traffic.
fn hardest(desk: &Desk, in_force: &[(ActId, State)], restrictions: &[ActId]) -> &'static str {
    let effects = in_force.iter().filter_map(|(id, state)| effect(desk, id, *state, restrictions));
    words::consequence(effects.max().unwrap_or(Measure::None))
}

/// What an act in force does to traffic; none for one that does nothing by itself.
fn effect(desk: &Desk, id: &ActId, state: State, restrictions: &[ActId]) -> Option<Measure> {
    let act = &desk.public(id)?.act;
    if matches!(act, Act::Proposal(_)) && !restrictions.contains(id) {
        return None;
    }
    let most = if state == State::Relieved { Measure::RateLimit } else { Measure::Drop };
    Some(act.measure()?.min(most))
}

fn card(desk: &Desk, law: &Law, id: &ActId, state: State, restrictions: &[ActId], now: u64) -> Option<Card> {
    let act = &desk.public(id)?.act;
    let claim = act.claim();
    let item = claim.and_then(|claim| law.catalogues.get(&claim.catalogue)?.item(claim.item));
    let expires = act.preamble().expires;
    let is_restriction = restrictions.contains(id);
    Some(Card {
        id: *id,
        title: if is_restriction { "Restriction by all members" } else { words::title(act) },
        prefix: act.subject()?.prefix.to_string(),
        issuer: words::party(Some(law), act.issuer()),
        item: item.map(|item| format!("{}: {}", words::spaced(item.name.as_str()), item.meaning)),
        effect: effect(desk, id, state, restrictions).map(words::consequence),
        is_relieved: state == State::Relieved,
        rules: claim.map(|claim| (claim.catalogue, claim.standard)),
        expires: Moment::at(expires),
        left: words::distance(now, expires),
        place: desk.receipt(id)?.place,
    })
}

/// Who answers for addresses.
pub(super) fn holder(law: &Law, subject: Prefix) -> Option<Holder> {
    let (_, id) = law.register().holder(subject)?;
    let member = law.register().member(id)?;
    Some(Holder { number: id.0, name: member.name.to_string(), complaints: member.complaints.to_string() })
}
