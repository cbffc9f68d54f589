//! What is not for everybody: a member's own acts, what is said about its addresses, and credit files with their history.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use credence_law::party::{MemberId, Party};
use credence_law::{Accepted, Acts, Book};
use credence_prefix::Prefix;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::door::{Refused, Signed, without_rules};
use super::{Platform, now};
use crate::access::{self, Caller};
use crate::desk::{Desk, is_public, kind_name};
use crate::portal::look_by_machine;
use crate::view::{self, SubjectView};

/// The most acts of one answer.
const PAGE_MAX: usize = 1_000;

/// An act, as it is listed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Listed {
    /// Its identity, by which `/acts/{id}` has its bytes.
    id: String,
    /// What it is.
    #[schema(value_type = String)]
    kind: &'static str,
    /// How it stands.
    #[schema(value_type = Option<String>)]
    state: Option<&'static str>,
    /// Whose it is.
    issuer: String,
    /// The addresses that it is about.
    subject: Option<String>,
    /// When it was made (RFC 3339).
    issued: String,
    /// When it ends (RFC 3339).
    expires: String,
    /// Its place in the log.
    place: u64,
}

/// Acts in the order of the log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ActsPage {
    /// Whether they are acts of exercises, from which nothing follows.
    is_exercise: bool,
    /// The acts, a thousand at most.
    acts: Vec<Listed>,
    /// What to ask for next with `after`; nothing where this was all.
    next: Option<u64>,
}

/// A subject's credit with all that was ever said about it, as far as whoever asks may read it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FileView {
    /// How its credit is now.
    credit: SubjectView,
    /// Every act about it and about what it is part of, in the order of the log.
    history: Vec<Listed>,
}

/// Which acts of many.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// Those that stand behind this place of the log.
    after: Option<u64>,
}

fn listed(desk: &Desk, book: &Book, accepted: &Accepted, now: u64) -> Option<Listed> {
    let preamble = accepted.act.preamble();
    Some(Listed {
        id: accepted.id.to_string(),
        kind: kind_name(&accepted.act),
        state: book.state(&accepted.id, now).map(view::state_name),
        issuer: preamble.issuer.to_string(),
        subject: accepted.act.subject().map(|subject| subject.prefix.to_string()),
        issued: view::moment(preamble.issued),
        expires: view::moment(preamble.expires),
        place: desk.receipt(&accepted.id)?.place,
    })
}

/// The acts of a book that are wanted, from a place of the log on.
fn page(desk: &Desk, book: &Book, page: &Page, now: u64, wanted: impl Fn(&Accepted) -> bool) -> ActsPage {
    let acts = book.acts().filter(|accepted| wanted(accepted));
    let listed = acts.filter_map(|accepted| listed(desk, book, accepted, now));
    let mut acts: Vec<_> =
        listed.filter(|act| page.after.is_none_or(|after| act.place > after)).take(PAGE_MAX + 1).collect();
    let is_all = acts.len() <= PAGE_MAX;
    acts.truncate(PAGE_MAX);
    let next = acts.last().filter(|_| !is_all).map(|act| act.place);
    ActsPage { is_exercise: book.are_exercises(), acts, next }
}

/// The acts that a member has made, with its reports and complaints
///
/// For the member alone.
#[utoipa::path(
    get,
    path = "/members/{member}/acts",
    params(("member" = u16, Path, description = "The member's number"), Page),
    responses((status = 200, body = ActsPage), (status = 401, body = Refused), (status = 403, body = Refused)),
    security(("signature" = [])),
)]
pub(super) async fn own_acts(
    State(platform): State<Arc<Platform>>,
    Path(member): Path<u16>,
    Query(asked): Query<Page>,
) -> Json<ActsPage> {
    let party = Party::Member(MemberId(member));
    Json(
        platform
            .read(|desk| page(desk, desk.book(), &asked, now(), |accepted| accepted.act.issuer() == party)),
    )
}

/// Reports and complaints about what a member holds, and complaints about its acts
///
/// For the member, and for officers.
#[utoipa::path(
    get,
    path = "/members/{member}/concerns",
    params(("member" = u16, Path, description = "The member's number"), Page),
    responses((status = 200, body = ActsPage), (status = 401, body = Refused), (status = 403, body = Refused)),
    security(("signature" = [])),
)]
pub(super) async fn concerns(
    State(platform): State<Arc<Platform>>,
    Path(member): Path<u16>,
    Query(asked): Query<Page>,
) -> Json<ActsPage> {
    let member = Caller::reading_for(MemberId(member));
    Json(platform.read(|desk| {
        page(desk, desk.book(), &asked, now(), |accepted| {
            let is_own = accepted.act.issuer() == member.party;
            !is_public(&accepted.act) && !is_own && access::may_read(desk, Some(member), &accepted.act)
        })
    }))
}

/// The acts of exercises
///
/// Nothing follows from any of them, and none is told anywhere but here and in the log. Reports and complaints are in it for those
/// who may read them, who sign the request.
#[utoipa::path(
    get,
    path = "/exercises",
    params(Page),
    responses((status = 200, body = ActsPage)),
    security((), ("signature" = [])),
)]
pub(super) async fn exercises(
    State(platform): State<Arc<Platform>>,
    Signed(caller): Signed,
    Query(asked): Query<Page>,
) -> Json<ActsPage> {
    Json(platform.read(|desk| {
        page(desk, desk.drills(), &asked, now(), |accepted| access::may_read(desk, caller, &accepted.act))
    }))
}

/// A subject's credit file with its history
///
/// For members and officers. Reports and complaints are in it for those who may read them. The look is written down, and the subject
/// sees it.
#[utoipa::path(
    get,
    path = "/files/{*subject}",
    params(("subject" = String, Path, description = "A prefix, whose slash is written as it is")),
    responses(
        (status = 200, body = FileView),
        (status = 400, body = Refused),
        (status = 401, body = Refused),
        (status = 403, body = Refused),
        (status = 503, body = Refused),
    ),
    security(("signature" = [])),
)]
pub(super) async fn file(
    State(platform): State<Arc<Platform>>,
    Signed(caller): Signed,
    Path(subject): Path<String>,
) -> Response {
    let Ok(subject) = subject.parse::<Prefix>() else {
        return Refused::answer(
            StatusCode::BAD_REQUEST,
            "subject",
            "a subject is a prefix, like 2001:db8:1::/48",
        );
    };
    if let Some(caller) = caller
        && look_by_machine(&platform, caller, subject).await.is_err()
    {
        let text = "the look could not be written down, so nothing is shown; come again later";
        return Refused::answer(StatusCode::SERVICE_UNAVAILABLE, "failed", text);
    }
    let now = now();
    let file = platform.read(|desk| {
        let book = desk.book();
        let credit = view::subject(desk, book, subject, now)?;
        let readable = book.about(subject).filter(|accepted| access::may_read(desk, caller, &accepted.act));
        let mut history: Vec<_> = readable.filter_map(|accepted| listed(desk, book, accepted, now)).collect();
        history.sort_by_key(|act| act.place);
        Some(FileView { credit, history })
    });
    file.map_or_else(without_rules, |file| Json(file).into_response())
}
