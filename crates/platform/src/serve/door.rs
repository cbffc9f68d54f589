//! The door: each request meets the table of who may ask for what before it meets anything else.

use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use credence_law::Refusal;
use credence_law::party::MemberId;
use serde::Serialize;
use utoipa::ToSchema;

use super::peer::Peer;
use super::{Platform, now};
use crate::access::{self, Caller, Endpoint, Owner};
use crate::gate::{Turned, is_forged};
use crate::request::{Asked, Presented, Unheard};

/// Who has signed the request that is being answered, if somebody has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed(pub(super) Option<Caller>);

impl FromRequestParts<Arc<Platform>> for Signed {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Platform>) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or(Self(None)))
    }
}

/// Why a request is not answered.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Refused {
    /// A word from a closed list.
    #[schema(value_type = String)]
    pub(super) refusal: &'static str,
    /// The same for people, with what to do.
    pub(super) text: String,
}

impl Refused {
    pub(super) fn answer(status: StatusCode, refusal: &'static str, text: impl Into<String>) -> Response {
        (status, Json(Self { refusal, text: text.into() })).into_response()
    }
}

/// What is told to whoever asks for something that is not there, or not for them: the same.
pub(super) fn absent() -> Response {
    Refused::answer(StatusCode::NOT_FOUND, "absent", "nothing that you may read has this name")
}

/// What is told of a world that has no rules so far.
pub(super) fn without_rules() -> Response {
    Refused::answer(StatusCode::SERVICE_UNAVAILABLE, "rules", "the world has no rules yet")
}

/// Answers only those who may ask.
pub(super) async fn guarded(State(platform): State<Arc<Platform>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Some(path) = parts.extensions.get::<MatchedPath>().cloned() else { return absent() };
    let method = if parts.method == Method::HEAD { "GET" } else { parts.method.as_str() };
    let Some(endpoint) = Endpoint::of(method, path.as_str()) else {
        return Refused::answer(StatusCode::METHOD_NOT_ALLOWED, "method", "this is asked for in another way");
    };
    let caller = match caller(&platform, &mut parts).await {
        Ok(caller) => caller,
        Err(refused) => return refused,
    };
    if !endpoint.is_open() {
        let Some(caller) = caller else { return unsigned() };
        let owner = owner(&platform, endpoint.owner, &mut parts).await;
        if !endpoint.admits(caller, owner) {
            let text = "this is for others; sign with a key of whoever it belongs to, or of an officer";
            return Refused::answer(StatusCode::FORBIDDEN, "forbidden", text);
        }
    }
    parts.extensions.insert(Signed(caller));
    next.run(Request::from_parts(parts, body)).await
}

fn unsigned() -> Response {
    let text = "this is not for everybody; sign the request as in RFC 9421: `credence-platform request` makes the headers";
    let refused = Refused::answer(StatusCode::UNAUTHORIZED, Refusal::Unsigned.name(), text);
    ([(WWW_AUTHENTICATE, "Signature")], refused).into_response()
}

/// The member that what is asked for belongs to.
async fn owner(platform: &Platform, owner: Owner, parts: &mut Parts) -> Option<MemberId> {
    let names = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    let (_, value) = names.iter().next()?;
    match owner {
        Owner::Nobody => None,
        Owner::Member => value.parse().ok().map(MemberId),
        Owner::Holder => platform.read(|desk| access::holder(desk, value.parse().ok()?)),
    }
}

/// Who has signed a request; nobody where it has no signature.
async fn caller(platform: &Arc<Platform>, parts: &mut Parts) -> Result<Option<Caller>, Response> {
    let Ok(Peer(network)) = Peer::from_request_parts(parts, platform).await;
    let (input, signature) =
        match (header(&parts.headers, "signature-input"), header(&parts.headers, "signature")) {
            (None, None) => return Ok(None),
            (input, signature) => (input.unwrap_or_default(), signature.unwrap_or_default()),
        };
    let (now, now_ms) = (now(), platform.elapsed_ms());
    let gate = || platform.gate.lock().unwrap_or_else(PoisonError::into_inner);
    let charge = gate().admit(network, now_ms).map_err(turned)?;
    let asked = Asked {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
    };
    let verified = Presented::read(input, signature).and_then(|presented| {
        let speaker = platform.read(|desk| {
            let law = desk.law().map_err(|_| Refusal::Rules)?;
            presented.verify(law, &asked, now)
        })?;
        Ok((presented, speaker))
    });
    let (presented, speaker) = verified.map_err(|refusal| {
        if is_forged(refusal) {
            gate().forged(charge, now_ms);
        }
        Refused::answer(StatusCode::UNAUTHORIZED, refusal.name(), refusal.to_string())
    })?;
    let mut nonces = platform.nonces.lock().unwrap_or_else(PoisonError::into_inner);
    match nonces.note(&presented, now) {
        Ok(()) => Ok(Some(speaker.into())),
        Err(Unheard::Replayed) => {
            let text = "this request came before; sign each with a nonce of its own";
            Err(Refused::answer(StatusCode::UNAUTHORIZED, Refusal::Replayed.name(), text))
        }
        Err(Unheard::TooMany) => Err(turned(Turned::Quota { wait_ms: 60_000 })),
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn turned(turned: Turned) -> Response {
    let (word, wait_ms, text) = match turned {
        Turned::Refused(refusal) => {
            return Refused::answer(StatusCode::UNAUTHORIZED, refusal.name(), refusal.to_string());
        }
        Turned::Quota { wait_ms } => ("quota", wait_ms, "this key makes too many requests; come again later"),
        Turned::Strangers { wait_ms } => {
            ("strangers", wait_ms, "too much that nobody has signed came from this network; come again later")
        }
    };
    let refused = Refused::answer(StatusCode::TOO_MANY_REQUESTS, word, text);
    ([(RETRY_AFTER, wait_ms.div_ceil(1_000).max(1).to_string())], refused).into_response()
}
