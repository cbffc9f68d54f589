//! What everybody may see of a subject, as JSON.

use std::collections::BTreeMap;

use credence_credit::{ActId, Measure};
use credence_law::acts::Applied;
use credence_law::party::Party;
use credence_law::registry::Register;
use credence_law::{Act, Acts, Book, CreditFile, Law, State};
use credence_prefix::Prefix;
use serde::Serialize;
use utoipa::ToSchema;

use crate::desk::{Desk, kind_name};

/// A subject's credit, and the acts that it rests on.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubjectView {
    /// Whom it is about.
    pub subject: String,
    /// Whether nothing follows from any of this, since the world was made for trying out.
    pub is_example: bool,
    /// Whether nothing follows from any of this, since these are the acts of exercises.
    pub is_exercise: bool,
    /// The score from 0 to 1000; none for an unrated subject.
    pub score: Option<u16>,
    /// The word for it.
    #[schema(value_type = Option<String>)]
    pub status: Option<&'static str>,
    /// What the score begins with; this and the terms add up to it.
    pub base: u16,
    /// The version of the standard that the score is by.
    pub standard: u32,
    /// The acts that are in force and cover the subject. In a credit file, which is not for everybody, those that were and are
    /// not any more as well.
    pub acts: Vec<ActView>,
    /// What networks say to have done to its traffic, by the accounts that are in force. Nothing of it moves the score.
    pub applied: Vec<AppliedView>,
    /// By how much acts that are not listed here still move the score: what is over fades, and is nobody else's business.
    pub past: i32,
    /// Who holds the addresses, and hears complaints about them first.
    pub holder: Option<HolderView>,
}

/// The member that answers for addresses.
#[derive(Debug, Serialize, ToSchema)]
pub struct HolderView {
    /// What it is called.
    pub name: String,
    /// Where its subjects complain.
    pub complaints: String,
}

/// An act about a subject.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActView {
    /// Its identity.
    pub id: String,
    /// What it is.
    #[schema(value_type = String)]
    pub kind: &'static str,
    /// How it stands.
    #[schema(value_type = String)]
    pub state: &'static str,
    /// Whose it is.
    pub issuer: String,
    /// The addresses that it is about.
    pub prefix: String,
    /// The item of the catalogue.
    pub item: Option<String>,
    /// How far its evidence can be forged.
    #[schema(value_type = Option<String>)]
    pub evidence: Option<&'static str>,
    /// What it asks for.
    #[schema(value_type = Option<String>)]
    pub measure: Option<&'static str>,
    /// Versions of catalogue and standard that it cites.
    pub rules: Option<(u32, u32)>,
    /// By how much it moves the score.
    pub points: Option<i32>,
    /// When it was made, and when it ends.
    pub issued: String,
    /// When it ends.
    pub expires: String,
    /// Its place in the log, which proves it.
    pub place: u64,
}

/// What a network says to have done to a subject's traffic by one act: the sum of its accounts. They are lower bounds, and periods of
/// little traffic are in none.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppliedView {
    /// Which network.
    pub issuer: String,
    /// The addresses that it is about.
    pub prefix: String,
    /// What was done.
    #[schema(value_type = String)]
    pub measure: &'static str,
    /// The act on whose word.
    pub because: String,
    /// How many accounts these are.
    pub accounts: u64,
    /// When that was first, and last.
    pub from: String,
    /// When that was last.
    pub until: String,
    /// Packets that met it.
    pub packets: u64,
    /// Bytes of those on the wire.
    pub bytes: u64,
}

/// The credit of a subject at `now` (Unix seconds) by the acts of a desk's book, with what is over. None while the world has no
/// rules.
pub fn subject(desk: &Desk, book: &Book, subject: Prefix, now: u64) -> Option<SubjectView> {
    let law = desk.law().ok()?;
    let file = book.file(law, subject, now);
    let points =
        |id: &ActId| file.assessment.terms.iter().find(|term| term.act == *id).map(|term| term.points);
    let is_account = |id: &ActId| matches!(book.act(id), Some(Act::Applied(_)));
    let others = file.acts.iter().filter(|(id, _)| !is_account(id));
    let acts = others.filter_map(|(id, state)| act(desk, law, id, *state, points(id)));
    Some(SubjectView {
        subject: subject.to_string(),
        is_example: law.is_example,
        is_exercise: book.are_exercises(),
        score: file.assessment.rating.score().map(credence_credit::Score::value),
        status: file.assessment.rating.status().map(credence_credit::Status::name),
        base: file.assessment.base,
        standard: law.newest().0.version,
        acts: acts.collect(),
        applied: applied(book, &file),
        past: 0,
        holder: holder(law.register(), subject),
    })
}

impl SubjectView {
    /// The part that everybody may see: nobody can follow a stranger's address through time.
    pub fn for_anyone(mut self) -> Self {
        let is_over = |act: &mut ActView| !matches!(act.state, "in_force" | "relieved");
        self.past = self.acts.extract_if(.., is_over).filter_map(|act| act.points).sum();
        self
    }
}

fn holder(register: &Register, subject: Prefix) -> Option<HolderView> {
    let (_, id) = register.holder(subject)?;
    let member = register.member(id)?;
    Some(HolderView { name: member.name.to_string(), complaints: member.complaints.to_string() })
}

/// The accounts in a file, summed up by who gives them and what they are of.
fn applied(book: &Book, file: &CreditFile) -> Vec<AppliedView> {
    let in_force = file.acts.iter().filter(|(_, state)| state.is_in_force());
    let accounts = in_force.filter_map(|(id, _)| match book.act(id)? {
        Act::Applied(account) => Some(account),
        _ => None,
    });
    let mut sums: BTreeMap<(Party, Prefix, Measure, ActId), Vec<&Applied>> = BTreeMap::new();
    for account in accounts {
        let Applied { preamble, subject, measure, because, .. } = account;
        sums.entry((preamble.issuer, subject.prefix, *measure, *because)).or_default().push(account);
    }
    let sum = |((issuer, prefix, measure, because), of): ((Party, Prefix, Measure, ActId), Vec<&Applied>)| {
        let total =
            |count: fn(&Applied) -> u64| of.iter().fold(0, |sum: u64, one| sum.saturating_add(count(one)));
        AppliedView {
            issuer: issuer.to_string(),
            prefix: prefix.to_string(),
            measure: measure.name(),
            because: because.to_string(),
            accounts: of.len() as u64,
            from: moment(of.iter().map(|one| one.from).min().unwrap_or_default()),
            until: moment(of.iter().map(|one| one.until).max().unwrap_or_default()),
            packets: total(|one| one.packets),
            bytes: total(|one| one.bytes),
        }
    };
    sums.into_iter().map(sum).collect()
}

fn act(desk: &Desk, law: &Law, id: &ActId, state: State, points: Option<i32>) -> Option<ActView> {
    let accepted = desk.public(id)?;
    let (act, preamble) = (&accepted.act, accepted.act.preamble());
    let claim = act.claim();
    let item = claim.and_then(|claim| law.catalogues.get(&claim.catalogue)?.item(claim.item));
    Some(ActView {
        id: id.to_string(),
        kind: kind_name(act),
        state: state_name(state),
        issuer: preamble.issuer.to_string(),
        prefix: act.subject()?.prefix.to_string(),
        item: item.map(|item| item.name.to_string()),
        evidence: claim.map(|claim| claim.evidence.name()),
        measure: act.measure().map(Measure::name),
        rules: claim.map(|claim| (claim.catalogue, claim.standard)),
        points,
        issued: moment(preamble.issued),
        expires: moment(preamble.expires),
        place: desk.receipt(id)?.place,
    })
}

/// The word for how an act stands.
pub(crate) const fn state_name(state: State) -> &'static str {
    match state {
        State::InForce => "in_force",
        State::Relieved => "relieved",
        State::Lifted => "lifted",
        State::Corrected => "corrected",
        State::Expired => "expired",
    }
}

/// A moment as in RFC 3339, in UTC.
pub fn moment(unix_s: u64) -> String {
    let moment = i64::try_from(unix_s).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    moment.map_or_else(|| "never".to_owned(), |moment| moment.to_string())
}
