//! The page of one act.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use credence_credit::ActId;
use credence_law::{Accepted, Acts};

use super::answer::{Holder, holder};
use super::{Frame, absent, shown};
use crate::desk::Desk;
use crate::keys::unhex;
use crate::serve::{Platform, now};
use crate::words::{self, Fact, Moment};

#[derive(Template)]
#[template(path = "portal/act.html")]
struct ActPage {
    frame: Frame,
    act: Shown,
}

/// An act with all that can be read of it.
#[derive(Debug)]
pub(super) struct Shown {
    id: ActId,
    /// Whether everybody may read it.
    is_public: bool,
    /// Whether nothing follows from it.
    is_exercise: bool,
    title: &'static str,
    standing: Standing,
    facts: Vec<Fact>,
    issued: Moment,
    expires: Moment,
    signatures: u16,
    place: u64,
    accepted: Moment,
    /// Who hears objections; nobody where nothing follows from it.
    holder: Option<Holder>,
}

/// How an act stands, in words and for the style sheet.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) class: &'static str,
    pub(super) text: String,
}

pub(super) async fn page(State(platform): State<Arc<Platform>>, Path(id): Path<String>) -> Response {
    let id = unhex(&id).map(ActId);
    let act = id.and_then(|id| platform.read(|desk| read(desk, desk.public(&id)?, now())));
    act.map_or_else(|| absent(&platform), |act| shown_page(&platform, act))
}

/// The page of an act that whoever asks may read.
pub(super) fn shown_page(platform: &Platform, act: Shown) -> Response {
    shown(StatusCode::OK, &ActPage { frame: Frame::new(platform, act.title, ""), act })
}

/// An act at `now`, in Unix seconds.
pub(super) fn read(desk: &Desk, accepted: &Accepted, now: u64) -> Option<Shown> {
    let law = desk.law().ok()?;
    let id = accepted.id;
    let book = desk.book_with(&id)?;
    let is_exercise = book.are_exercises();
    let subject = accepted.act.subject().filter(|_| !is_exercise);
    let (receipt, preamble) = (desk.receipt(&id)?, accepted.act.preamble());
    Some(Shown {
        id,
        is_public: desk.public(&id).is_some(),
        is_exercise,
        title: words::title(&accepted.act),
        standing: standing(book.state(&id, now)?, now, preamble.expires),
        facts: words::facts(&accepted.act, Some(law)),
        issued: Moment::at(preamble.issued),
        expires: Moment::at(preamble.expires),
        signatures: accepted.signatures,
        place: receipt.place,
        accepted: Moment::at(receipt.accepted),
        holder: subject.and_then(|subject| holder(law, subject.prefix)),
    })
}

/// How an act stands at `now` that ends at `expires`, both in Unix seconds.
pub(super) fn standing(state: credence_law::State, now: u64, expires: u64) -> Standing {
    use credence_law::State;
    let end = words::distance(now, expires);
    let (class, text) = match state {
        State::InForce => ("in_force", format!("In force; ends {end}")),
        State::Relieved => ("relieved", format!("In force, and milder because of a complaint; ends {end}")),
        State::Lifted => ("over", "Lifted before its time".to_owned()),
        State::Corrected => ("over", "Taken back, because it was wrong".to_owned()),
        State::Expired => ("over", format!("Over; it ended {end}")),
    };
    Standing { class, text }
}
