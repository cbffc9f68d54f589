//! The interface for machines, and the document that describes it.
//!
//! A route stands here once: what the router answers and what the document says come from the same lines.

use std::sync::{Arc, LazyLock};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use credence_credit::ActId;
use credence_law::Book;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{Info, OpenApi, OpenApiBuilder, Paths};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::door::{Refused, Signed, absent, without_rules};
use super::role::Role;
use super::{Platform, feed, members, now, proposals, public_log, submit};
use crate::access;
use crate::desk::Desk;
use crate::keys::unhex;
use crate::portal;
use crate::view::{self, SubjectView};

/// What the document says of the whole.
const ABOUT: &str = "\
Acts are handed in as signed bytes, and everybody may check what became of them.

**Handing in again is safe.** An act is named by the SHA-256 of its bytes. Handed in again, it is answered with its first \
receipt and status 200; an `Idempotency-Key` is neither needed nor looked at.

**Requests that are not for everybody** are signed after RFC 9421 with Ed25519 and a key of the registry. `Signature-Input` is \
`sig1=(\"@method\" \"@path\" \"@query\");created=UNIX_SECONDS;keyid=\"KEY\";nonce=\"32 HEX DIGITS\";alg=\"ed25519\";\
tag=\"credence/WORLD\"`, where KEY is the first half of the public key's SHA-256 in hexadecimal digits. A request is heard once, \
within five minutes of `created`.

**Too much** is answered with 429 and `Retry-After`, in seconds: each member has an allowance, and so has each network for what \
turns out to be signed by nobody.";

/// The routes, and the document.
pub(super) fn routes() -> (Router<Arc<Platform>>, OpenApi) {
    let router = OpenApiRouter::with_openapi(document())
        .routes(routes!(submit::hand_in))
        .routes(routes!(sent))
        .routes(routes!(subject))
        .routes(routes!(members::exercises))
        .routes(routes!(drilled))
        .routes(routes!(members::file))
        .routes(routes!(members::own_acts))
        .routes(routes!(members::concerns))
        .routes(routes!(public_log::checkpoint))
        .routes(routes!(public_log::witnessed))
        .routes(routes!(public_log::cosign))
        .routes(routes!(public_log::proof))
        .routes(routes!(public_log::consistency))
        .routes(routes!(public_log::tile))
        .routes(routes!(feed::head))
        .routes(routes!(feed::rule))
        .routes(routes!(feed::file))
        .routes(routes!(feed::events))
        .routes(routes!(proposals::proposal, proposals::sign))
        .routes(routes!(healthy))
        .routes(routes!(ready))
        .routes(routes!(metrics))
        .routes(routes!(described));
    let (router, mut document) = router.split_for_parts();
    // A name that stands for several segments has its own sign in the router, and none in the document.
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    (router, document)
}

fn document() -> OpenApi {
    let mut info = Info::new("credence-platform", env!("CARGO_PKG_VERSION"));
    info.description = Some(ABOUT.to_owned());
    let mut document = OpenApiBuilder::new().info(info).paths(Paths::new()).build();
    let about = "RFC 9421, with Signature-Input beside it";
    let signature = ApiKey::Header(ApiKeyValue::with_description("Signature", about));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("signature", SecurityScheme::ApiKey(signature));
    document
}

/// This document
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, body = Object)))]
async fn described() -> Response {
    // It is the same for as long as the process lives.
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
        let (_, document) = routes();
        document.to_json().expect("a document is JSON")
    });
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

/// The bytes of an act, as they were handed in
///
/// Reports and complaints are read by those concerned, who sign the request; for all others they do not exist.
#[utoipa::path(
    get,
    path = "/acts/{id}",
    params(("id" = String, Path, description = "The act's identity: 64 hexadecimal digits")),
    responses(
        (status = 200, body = [u8], content_type = "application/octet-stream"),
        (status = 404, body = Refused),
        (status = 410, body = Refused),
        (status = 503, body = Refused),
    ),
    security((), ("signature" = [])),
)]
async fn sent(
    State(platform): State<Arc<Platform>>,
    Signed(caller): Signed,
    Path(id): Path<String>,
) -> Response {
    let Some(id) = unhex(&id).map(ActId) else { return absent() };
    let entry = match platform.store.find(&id).await {
        Ok(Some(entry)) => entry,
        Ok(None) => return absent(),
        Err(_) => {
            return Refused::answer(StatusCode::SERVICE_UNAVAILABLE, "failed", "the journal does not answer");
        }
    };
    let may_read = |desk: &Desk| {
        desk.accepted(&id).is_some_and(|accepted| access::may_read(desk, caller, &accepted.act))
    };
    if entry.salt.is_some() && !platform.read(may_read) {
        return absent();
    }
    match entry.sent {
        Some(sent) => ([(CONTENT_TYPE, "application/octet-stream")], sent).into_response(),
        None => Refused::answer(StatusCode::GONE, "erased", "it was erased; the log keeps its hash"),
    }
}

/// How a subject's credit is now, and the public acts that it rests on
#[utoipa::path(
    get,
    path = "/subjects/{*subject}",
    params((
        "subject" = String,
        Path,
        description = "A prefix, whose slash is written as it is, or an address, for the /64 that it lies in"
    )),
    responses((status = 200, body = SubjectView), (status = 400, body = Refused), (status = 503, body = Refused)),
)]
async fn subject(State(platform): State<Arc<Platform>>, Path(text): Path<String>) -> Response {
    credit(&platform, &text, Desk::book)
}

/// How a subject's credit would be if exercises were in earnest, and their public acts that it would rest on
///
/// Nothing follows from any of it.
#[utoipa::path(
    get,
    path = "/exercises/{*subject}",
    params(("subject" = String, Path, description = "As for `/subjects`")),
    responses((status = 200, body = SubjectView), (status = 400, body = Refused), (status = 503, body = Refused)),
)]
async fn drilled(State(platform): State<Arc<Platform>>, Path(text): Path<String>) -> Response {
    credit(&platform, &text, Desk::drills)
}

/// The answer to whoever asks how the credit of a subject is by the acts of a book.
fn credit(platform: &Platform, text: &str, book: fn(&Desk) -> &Book) -> Response {
    let subject = match portal::named(text.trim()) {
        Ok(subject) => subject,
        Err(text) => return Refused::answer(StatusCode::BAD_REQUEST, "subject", text),
    };
    platform.asked();
    let answer =
        platform.read(|desk| view::subject(desk, book(desk), subject, now()).map(SubjectView::for_anyone));
    answer.map_or_else(without_rules, |answer| Json(answer).into_response())
}

/// Whether the process lives
#[utoipa::path(get, path = "/healthz", responses((status = 200, body = String, content_type = "text/plain")))]
async fn healthy() -> &'static str {
    "ok\n"
}

/// Whether acts can be taken in
#[utoipa::path(
    get,
    path = "/readyz",
    responses((status = 200, body = String, content_type = "text/plain"), (status = 503, body = Refused)),
)]
async fn ready(State(platform): State<Arc<Platform>>) -> Response {
    let role = platform.roles.role();
    let text = if platform.inbox.is_closed() || role == Role::Deposed {
        "somebody else has written to the journal; see to that, and start the platform again"
    } else if role == Role::StandsBy {
        return "another process leads; this one stands by\n".into_response();
    } else if platform.way.is_broken() {
        "the journal cannot be written at the moment; it is tried again"
    } else {
        return "ready\n".into_response();
    };
    Refused::answer(StatusCode::SERVICE_UNAVAILABLE, "failed", text)
}

/// Counters for Prometheus
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(State(platform): State<Arc<Platform>>) -> Response {
    let record = Arc::clone(&platform).record().await;
    let entries = platform.read(|desk| desk.log().len());
    let page = platform.metrics.page((entries, platform.roles.leads()), record.as_deref());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response()
}
