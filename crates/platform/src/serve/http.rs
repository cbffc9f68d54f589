//! What is answered by HTTP.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use credence_credit::ActId;
use credence_prefix::Prefix;
use serde_json::json;

use super::submit::hand_in;
use super::{Platform, now};
use crate::keys::{hex, unhex};
use crate::portal;
use crate::view::{self, SubjectView};

type Shared = State<Arc<Platform>>;

/// All pages.
pub fn router(platform: Arc<Platform>) -> Router {
    Router::new()
        .route("/acts", post(hand_in))
        .route("/acts/{id}", get(sent))
        .route("/subjects/{*subject}", get(subject))
        .route("/log/checkpoint", get(checkpoint))
        .route("/log/proof/{id}", get(proof))
        .route("/log/{*tile}", get(tile))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(page))
        .merge(portal::router())
        .layer(from_fn(guarded))
        .with_state(platform)
}

/// No script, no frame, nothing from elsewhere, on any page.
async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// What is told to whoever asks for something that is not there, or not for everybody: the same.
fn absent() -> Response {
    (StatusCode::NOT_FOUND, "nothing that everybody may read has this name\n").into_response()
}

fn identity(text: &str) -> Option<ActId> {
    unhex(text).map(ActId)
}

async fn sent(State(platform): Shared, Path(id): Path<String>) -> Response {
    let Some(id) = identity(&id) else { return absent() };
    match platform.store.find(&id).await {
        Ok(Some(entry)) if entry.salt.is_none() => match entry.sent {
            Some(sent) => ([(CONTENT_TYPE, "application/octet-stream")], sent).into_response(),
            None => (StatusCode::GONE, "it was erased; the log keeps its hash\n").into_response(),
        },
        Ok(_) => absent(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn checkpoint(State(platform): Shared) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], platform.checkpoint().1).into_response()
}

async fn tile(State(platform): Shared, Path(path): Path<String>) -> Response {
    let tile = platform.read(|desk| desk.log().tile(&path));
    tile.map_or_else(absent, |tile| ([(CONTENT_TYPE, "application/octet-stream")], tile).into_response())
}

async fn proof(State(platform): Shared, Path(id): Path<String>) -> Response {
    let proof = platform.read(|desk| {
        let receipt = desk.receipt(&identity(&id)?)?;
        desk.public(&receipt.id)?;
        let (log, (size, _)) = (desk.log(), platform.checkpoint());
        let path: Vec<String> = log.inclusion(receipt.place, size)?.iter().map(|hash| hex(hash)).collect();
        Some(json!({
            "place": receipt.place,
            "size": size,
            "root": hex(&log.root(size)?),
            "leaf": hex(&log.leaf(receipt.place)?.bytes()),
            "path": path,
        }))
    });
    proof.map_or_else(absent, |proof| Json(proof).into_response())
}

/// The subject that a text names: a prefix, or an address with the /64 that it lies in.
fn named(text: &str) -> Result<Prefix, String> {
    let text = text.trim();
    if let Ok(address) = text.parse::<std::net::Ipv6Addr>() {
        return Ok(Prefix::containing(address.to_bits(), credence_credit::Subject::DEFAULT_LEN));
    }
    text.parse().map_err(|_| {
        "This is no IPv6 address or prefix. One looks like 2001:db8:1:2::3 or 2001:db8:1::/48.".to_owned()
    })
}

fn answer(platform: &Platform, text: &str) -> Result<SubjectView, String> {
    let subject = named(text)?;
    platform.asked();
    platform
        .read(|desk| view::subject(desk, subject, now()))
        .ok_or_else(|| "The world has no rules yet.".to_owned())
}

async fn subject(State(platform): Shared, Path(text): Path<String>) -> Response {
    match answer(&platform, &text) {
        Ok(answer) => Json(answer).into_response(),
        Err(text) => (StatusCode::BAD_REQUEST, Json(json!({ "text": text }))).into_response(),
    }
}

/// Whether things can be taken in.
async fn ready(State(platform): Shared) -> Response {
    if platform.inbox.is_closed() {
        (StatusCode::SERVICE_UNAVAILABLE, "the journal cannot be written; start the platform again\n")
            .into_response()
    } else {
        "ready\n".into_response()
    }
}

async fn page(State(platform): Shared) -> Response {
    let entries = platform.read(|desk| desk.log().len());
    let page = platform.metrics.page(entries);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response()
}
