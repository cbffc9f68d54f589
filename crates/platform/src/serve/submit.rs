//! Acts, handed in by HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credence_credit::ActId;
use credence_law::{AdoptError, BYTES_MAX, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::intake::Answer;
use super::peer::Peer;
use super::{Platform, metrics};
use crate::desk::Rejection;
use crate::gate::Turned;
use crate::view;

/// Room for everything that is being handed in, in KiB: four of the largest objects, or a thousand acts of the largest size.
pub(super) const ROOM_KIB: u32 = 64 * 1_024;
/// The most acts that are handed in together.
const TOGETHER_MAX: usize = 256;
/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Acts that are handed in together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    /// Signed acts in base64 (RFC 4648, section 4), at most 256.
    acts: Vec<String>,
}

/// What became of each of the acts that were handed in together, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Results {
    results: Vec<Told>,
}

/// What became of an act.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Told {
    /// The status that the act alone would have been answered with.
    status: u16,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Its place in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<u64>,
    /// When it was accepted (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<String>,
    /// Why it was not taken: a word from a closed list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    refusal: Option<&'static str>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Seconds after which to come again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

/// The answer to one act, or to several.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Handed {
    /// To one.
    One(Told),
    /// To several.
    Together(Results),
}

/// Hands acts in: the bytes of one, or JSON with up to 256 of them
///
/// It is answered when they are on disk. Those that are handed in together are written down together, and each is answered as it
/// would have been alone.
#[utoipa::path(
    post,
    path = "/acts",
    request_body(
        description = "The signed bytes of one act or rule, or several acts in JSON",
        content((Vec<u8> = "application/octet-stream"), (Batch = "application/json"))
    ),
    responses(
        (status = 200, description = "It was taken before; or what became of several", body = inline(Handed)),
        (status = 201, description = "It was taken", body = Told),
        (status = 400, body = Told),
        (status = 401, body = Told),
        (status = 408, body = Told),
        (status = 409, body = Told),
        (status = 411, body = Told),
        (status = 413, body = Told),
        (status = 422, body = Told),
        (status = 429, body = Told),
        (status = 503, body = Told),
    ),
)]
pub(super) async fn hand_in(
    State(platform): State<Arc<Platform>>,
    Peer(network): Peer,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(len) = length(&headers) else {
        return refused(StatusCode::LENGTH_REQUIRED, "length", "say how long it is: Content-Length");
    };
    if len > BYTES_MAX {
        return Told::from(&Answer::Rejected(Rejection::Large(len))).into_response();
    }
    let Ok(_room) = platform.room.try_acquire_many((len / 1_024) as u32 + 1) else {
        return Told::from(&Answer::Busy).into_response();
    };
    let Ok(Ok(sent)) = tokio::time::timeout(PATIENCE, to_bytes(body, len)).await else {
        return refused(StatusCode::REQUEST_TIMEOUT, "body", "it did not come whole within ten seconds");
    };
    let is_json =
        headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_json {
        return together(&platform, &sent, network).await;
    }
    Told::from(&platform.hand_in_one(sent.into(), network).await).into_response()
}

async fn together(platform: &Platform, sent: &Bytes, network: std::net::IpAddr) -> Response {
    let shaped = serde_json::from_slice::<Batch>(sent).map_err(|fault| fault.to_string());
    let acts = shaped.and_then(|batch| {
        let count = batch.acts.len();
        if count == 0 || count > TOGETHER_MAX {
            return Err(format!("{count} acts; from 1 to {TOGETHER_MAX} can be handed in together"));
        }
        let decoded = batch.acts.iter().map(|act| STANDARD.decode(act));
        decoded.collect::<Result<Vec<_>, _>>().map_err(|fault| fault.to_string())
    });
    match acts {
        Ok(acts) => {
            let answers = platform.hand_in(acts, network).await;
            Json(Handed::Together(Results { results: answers.iter().map(Told::from).collect() }))
                .into_response()
        }
        Err(text) => refused(StatusCode::BAD_REQUEST, Refusal::Malformed.name(), &text),
    }
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn refused(status: StatusCode, refusal: &'static str, text: &str) -> Response {
    Told::refused(status, refusal, text.to_owned()).into_response()
}

impl Told {
    fn refused(status: StatusCode, refusal: &'static str, text: String) -> Self {
        let (id, place, accepted) = (None, None, None);
        let (refusal, text) = (Some(refusal), Some(text));
        Self { status: status.as_u16(), id, place, accepted, refusal, text, retry_after: None }
    }

    /// That an act has signatures that are right, and too few of them so far.
    pub(super) fn gathered(id: ActId, signatures: usize) -> Self {
        let text = format!("it has {signatures} signatures, and is kept until there are enough");
        let (status, id) = (StatusCode::ACCEPTED.as_u16(), Some(id.to_string()));
        Self { status, id, place: None, accepted: None, refusal: None, text: Some(text), retry_after: None }
    }

    /// That something else is asked for.
    pub(super) fn overtaken() -> Self {
        let text = "something else is asked for, or nothing; ask anew what that is";
        Self::refused(StatusCode::CONFLICT, "overtaken", text.to_owned())
    }

    /// With when to come again.
    fn again(self, wait_ms: u64) -> Self {
        Self { retry_after: Some(wait_ms.div_ceil(1_000).max(1)), ..self }
    }
}

impl Answer {
    /// Why it was not taken, for people; nothing where it was.
    pub(crate) fn told(&self) -> String {
        Told::from(self).text.unwrap_or_default()
    }
}

impl From<&Answer> for Told {
    fn from(answer: &Answer) -> Self {
        let word = metrics::reason(answer);
        match answer {
            Answer::Taken { receipt, is_new } => Self {
                status: if *is_new { StatusCode::CREATED } else { StatusCode::OK }.as_u16(),
                id: Some(receipt.id.to_string()),
                place: Some(receipt.place),
                accepted: Some(view::moment(receipt.accepted)),
                refusal: None,
                text: None,
                retry_after: None,
            },
            Answer::Rejected(rejection) => Self::refused(status(rejection), word, rejection.to_string()),
            Answer::Turned(Turned::Refused(refusal)) => {
                Self::refused(status(&(*refusal).into()), word, refusal.to_string())
            }
            Answer::Turned(Turned::Quota { wait_ms }) => {
                let text = "its issuer has handed in too much; come again later";
                Self::refused(StatusCode::TOO_MANY_REQUESTS, word, text.to_owned()).again(*wait_ms)
            }
            Answer::Turned(Turned::Strangers { wait_ms }) => {
                let text = "too much that nobody has signed came from this network; come again later";
                Self::refused(StatusCode::TOO_MANY_REQUESTS, word, text.to_owned()).again(*wait_ms)
            }
            Answer::Busy => {
                let text = "too much is waiting; come again in a second";
                Self::refused(StatusCode::SERVICE_UNAVAILABLE, word, text.to_owned()).again(1_000)
            }
            Answer::Failed => {
                let text = "it could not be written down so far; hand it in again, for it is taken once however often it comes";
                Self::refused(StatusCode::SERVICE_UNAVAILABLE, word, text.to_owned()).again(1_000)
            }
        }
    }
}

impl IntoResponse for Told {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let again = self.retry_after.map(|seconds| [(RETRY_AFTER, seconds.to_string())]);
        let body = Json(Handed::One(self));
        match again {
            Some(again) => (status, again, body).into_response(),
            None => (status, body).into_response(),
        }
    }
}

/// The status that comes nearest to a rejection.
const fn status(rejection: &Rejection) -> StatusCode {
    match rejection {
        Rejection::Refused(refusal) | Rejection::Rules(AdoptError::Refused(refusal)) => match refusal {
            Refusal::Malformed | Refusal::Critical => StatusCode::BAD_REQUEST,
            Refusal::Unsigned
            | Refusal::UnknownKey
            | Refusal::RevokedKey
            | Refusal::KeyTime
            | Refusal::WrongSigner
            | Refusal::BadSignature => StatusCode::UNAUTHORIZED,
            Refusal::Replayed => StatusCode::CONFLICT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        },
        Rejection::Rules(AdoptError::Succession { .. }) => StatusCode::CONFLICT,
        Rejection::Rules(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Rejection::Large(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Rejection::Clock | Rejection::Journal(..) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
