//! The rules in force, who the members are, and how the institution itself has done.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use credence_law::book::{Durations, Institution};
use credence_law::catalogue::{Catalogue, Direction};
use credence_law::party::KeyId;
use credence_law::registry::{Key, Office, Registry};
use credence_law::standard::{Rule, Standard};
use credence_law::{ADOPTION, Law};

use super::answer::{Band, bands};
use super::{Frame, lawless, shown};
use crate::serve::{Platform, now};
use crate::words::{self, Moment};

#[derive(Template)]
#[template(path = "portal/rules.html")]
struct RulesPage {
    frame: Frame,
    catalogue: u32,
    standard: u32,
    items: Vec<Item>,
    bands: Vec<Band>,
    base: u16,
    earned_max: u16,
    trust: Vec<(&'static str, String)>,
    registry: u32,
    adoption: (usize, usize),
}

/// An item of the catalogue with the rule by which it counts.
#[derive(Debug)]
struct Item {
    name: String,
    meaning: String,
    evidence: String,
    kept_days: u16,
    counts: Option<String>,
    half_life_days: u16,
    cap: String,
}

pub(super) async fn rules(State(platform): State<Arc<Platform>>) -> Response {
    let frame = Frame::new(&platform, "The rules in force", "/rules");
    let page = platform.read(|desk| desk.law().ok().map(|law| RulesPage::new(frame, law)));
    page.map_or_else(|| lawless(&platform), |page| shown(StatusCode::OK, &page))
}

impl RulesPage {
    fn new(frame: Frame, law: &Law) -> Self {
        let (standard, catalogue) = law.newest();
        Self {
            frame,
            catalogue: catalogue.version,
            standard: standard.version,
            items: items(catalogue, standard),
            bands: bands(standard),
            base: standard.base,
            earned_max: standard.earned_max,
            trust: ["confirmed", "unconfirmed", "declared"]
                .into_iter()
                .zip(standard.trust.iter().map(|share| percent(*share)))
                .collect(),
            registry: law.register().registry().version,
            adoption: ADOPTION,
        }
    }
}

fn items(catalogue: &Catalogue, standard: &Standard) -> Vec<Item> {
    let item = |item: &credence_law::catalogue::Item| {
        let rule = standard.rules.iter().find(|rule| rule.item == item.number);
        let evidence: Vec<_> = item.evidence.iter().map(|class| class.name()).collect();
        Item {
            name: words::spaced(item.name.as_str()),
            meaning: item.meaning.to_string(),
            evidence: evidence.join(" or "),
            kept_days: item.kept_days,
            counts: rule.map(|rule| weight(rule, item.direction).0),
            half_life_days: rule.map_or(0, |rule| rule.half_life_days),
            cap: rule.map_or_else(String::new, |rule| weight(rule, item.direction).1),
        }
    };
    catalogue.items.iter().map(item).collect()
}

/// What a rule takes or gives, and the most of it.
fn weight(rule: &Rule, direction: Direction) -> (String, String) {
    match direction {
        Direction::Against => (format!("−{} of what is left", percent(rule.weight)), percent(rule.cap)),
        Direction::For => (format!("+{} points", rule.weight), format!("{} points", rule.cap)),
    }
}

#[derive(Template)]
#[template(path = "portal/record.html")]
struct RecordPage {
    frame: Frame,
    record: Arc<Institution>,
    share: String,
    times: [(&'static str, Option<Took>); 3],
    /// What has the institution's time, in days: opinion, decision, and the three steps of a complaint.
    terms: [(&'static str, u16); 5],
}

/// How long something takes, in words.
#[derive(Debug)]
struct Took {
    median: String,
    longest: String,
    count: usize,
}

impl Took {
    /// None where there is nothing to tell yet.
    fn of(durations: &Durations) -> Option<Self> {
        let Durations { count, median, longest } = *durations;
        (count > 0).then(|| Self { median: words::span(median), longest: words::span(longest), count })
    }
}

pub(super) async fn record(State(platform): State<Arc<Platform>>) -> Response {
    let frame = Frame::new(&platform, "The institution’s own record", "/record");
    let Some(record) = Arc::clone(&platform).record().await else { return lawless(&platform) };
    let page = platform.read(|desk| {
        let procedure = desk.law().ok()?.procedure(now());
        Some(RecordPage {
            frame,
            share: percent(record.overturned_share()),
            times: [
                ("To decide, from the first report", Took::of(&record.decided_in)),
                ("To hear a complaint to its end", Took::of(&record.heard_in)),
                ("To correct what was wrong", Took::of(&record.corrected_in)),
            ],
            terms: [
                ("Advisers give an opinion on a report", procedure.opinion),
                ("The coordinating body decides after that", procedure.decision),
                ("Issuer and subject talk about a complaint", procedure.consultation),
                ("Advisers mediate", procedure.mediation),
                ("The coordinating body rules", procedure.adjudication),
            ],
            record,
        })
    });
    page.map_or_else(|| lawless(&platform), |page| shown(StatusCode::OK, &page))
}

/// Thousandths as a percentage.
fn percent(thousandths: u16) -> String {
    match thousandths % 10 {
        0 => format!("{} %", thousandths / 10),
        tenth => format!("{}.{tenth} %", thousandths / 10),
    }
}

#[derive(Template)]
#[template(path = "portal/members.html")]
struct MembersPage {
    frame: Frame,
    version: u32,
    quorum: u16,
    advice_quorum: u16,
    revoked: usize,
    members: Vec<Member>,
    /// Duties besides membership, with who has them.
    offices: Vec<Officer>,
}

/// A member as everybody may know it.
#[derive(Debug)]
struct Member {
    number: u16,
    name: String,
    organisation: String,
    complaints: String,
    mandate: Moment,
    /// What it holds, and what one of its subscribers gets.
    holdings: Vec<(String, Option<u8>)>,
    keys: Vec<(&'static str, KeyId)>,
}

#[derive(Debug)]
struct Officer {
    duty: String,
    organisation: String,
    keys: Vec<(&'static str, KeyId)>,
}

pub(super) async fn members(State(platform): State<Arc<Platform>>) -> Response {
    let frame = Frame::new(&platform, "Members and officers", "/members");
    let page = platform.read(|desk| {
        let registry = desk.law().ok()?.register().registry();
        Some(MembersPage::new(frame, registry))
    });
    page.map_or_else(|| lawless(&platform), |page| shown(StatusCode::OK, &page))
}

impl MembersPage {
    fn new(frame: Frame, registry: &Registry) -> Self {
        let member = |member: &credence_law::registry::Member| Member {
            number: member.id.0,
            name: member.name.to_string(),
            organisation: member.organisation.to_string(),
            complaints: member.complaints.to_string(),
            mandate: Moment::at(member.mandate_until),
            holdings: member.holdings.iter().map(|held| (held.prefix.to_string(), held.delegated)).collect(),
            keys: keys(&member.keys),
        };
        let advisers = (0_u16..).zip(&registry.advisers);
        let advisers = advisers.map(|(place, office)| officer(format!("Adviser {place}"), office));
        let others = [("Executive", &registry.executive), ("Operator", &registry.operator)];
        let others = others.into_iter().map(|(duty, office)| officer(duty.to_owned(), office));
        Self {
            frame,
            version: registry.version,
            quorum: registry.quorum,
            advice_quorum: registry.advice_quorum,
            revoked: registry.revoked.len(),
            members: registry.members.iter().map(member).collect(),
            offices: advisers.chain(others).collect(),
        }
    }
}

fn officer(duty: String, office: &Office) -> Officer {
    Officer { duty, organisation: office.organisation.to_string(), keys: keys(&office.keys) }
}

/// Keys by their names, with what they may sign.
fn keys(keys: &[Key]) -> Vec<(&'static str, KeyId)> {
    keys.iter().map(|key| (key.function.name(), KeyId::of(&key.public))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_told_as_percentages() {
        assert_eq!(
            (percent(600).as_str(), percent(25).as_str(), percent(0).as_str()),
            ("60 %", "2.5 %", "0 %")
        );
    }

    #[test]
    fn each_item_of_the_first_catalogue_has_its_rule_beside_it() {
        let items = items(&Catalogue::first(), &Standard::first());
        assert_eq!(items.len(), Standard::first().rules.len());
        let scanning = &items[0];
        assert_eq!((scanning.name.as_str(), scanning.half_life_days), ("scanning", 14));
        assert_eq!(scanning.counts.as_deref(), Some("−20 % of what is left"));
        assert_eq!(scanning.cap, "60 %");
        assert!(items.iter().all(|item| item.counts.is_some()));
    }
}
