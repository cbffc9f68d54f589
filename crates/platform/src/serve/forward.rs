//! What is handed on to the process that leads: all but what can be read here.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{CONNECTION, HOST, RETRY_AFTER, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use reqwest::redirect::Policy;

use super::Platform;
use super::door::Refused;
use super::peer::Peer;
use crate::bucket::provide;
use crate::keys::{hex, unhex};
use crate::store::Leader;

/// By which the leader knows that a process which stands by has handed a request on, and for whom.
const PEER: HeaderName = HeaderName::from_static("credence-peer");
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// How long the leader may take until there is a connection.
const PATIENCE: Duration = Duration::from_secs(2);
/// What every process can answer.
const LOCAL: [&str; 8] =
    ["/feed/", "/log/", "/subjects/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/icon.svg"];

/// What hands requests on, and follows nobody elsewhere.
pub(super) fn client() -> reqwest::Result<reqwest::Client> {
    provide();
    reqwest::Client::builder().redirect(Policy::none()).no_proxy().connect_timeout(PATIENCE).build()
}

impl Platform {
    /// Whether another process of the same platform has handed a request on, so that its word for whom is believed.
    pub(super) fn is_from_peer(&self, headers: &HeaderMap) -> bool {
        let said = headers.get(PEER).and_then(|token| unhex(token.to_str().ok()?));
        // Compared by its hash, so that the time it takes tells nothing.
        let digest = |token: [u8; 32]| <sha2::Sha256 as sha2::Digest>::digest(token);
        self.roles.own().zip(said).is_some_and(|(own, said)| digest(own.token) == digest(said))
    }

    async fn forward(&self, leader: &Leader, address: String, request: Request) -> Option<Response> {
        let client = self.forwards.as_ref()?;
        let (parts, body) = request.into_parts();
        let target = format!("{}{}", leader.address, parts.uri.path_and_query()?);
        let mut headers = parts.headers;
        for name in [HOST, CONNECTION, TRANSFER_ENCODING, FOR] {
            headers.remove(name);
        }
        headers.insert(PEER, HeaderValue::from_str(&hex(&leader.token)).ok()?);
        headers.insert(FOR, HeaderValue::from_str(&address).ok()?);
        let body = reqwest::Body::wrap_stream(body.into_data_stream());
        let answer = client.request(parts.method, target).headers(headers).body(body).send().await.ok()?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        for name in [CONNECTION, TRANSFER_ENCODING] {
            headers.remove(name);
        }
        Some((status, headers, Body::from_stream(answer.bytes_stream())).into_response())
    }
}

/// What only the leader knows of it.
const ASKED: &str = "/feed/proposals/";

/// Whether a request can be answered by whoever stands by: it changes nothing, and nobody has signed it.
fn is_local(request: &Request) -> bool {
    let (path, reads) = (request.uri().path(), matches!(*request.method(), Method::GET | Method::HEAD));
    let is_signed = request.headers().contains_key("signature");
    reads && !is_signed && !path.starts_with(ASKED) && LOCAL.iter().any(|local| path.starts_with(local))
}

/// Answers here, or has the leader answer.
pub(super) async fn forwarded(
    State(platform): State<Arc<Platform>>,
    request: Request,
    next: Next,
) -> Response {
    if platform.roles.leads() || is_local(&request) {
        return next.run(request).await;
    }
    // Whoever was handed on to a process that leads no more comes again.
    let was_handed_on = request.headers().contains_key(PEER);
    if let Some(leader) = platform.roles.leader().filter(|_| !was_handed_on) {
        let (mut parts, body) = request.into_parts();
        let Ok(Peer(address)) = Peer::from_request_parts(&mut parts, &platform).await;
        let request = Request::from_parts(parts, body);
        if let Some(answer) = platform.forward(&leader, address.to_string(), request).await {
            return answer;
        }
    }
    let text = "the process that leads is not there at the moment; come again in a second";
    ([(RETRY_AFTER, "1")], Refused::answer(StatusCode::SERVICE_UNAVAILABLE, "failed", text)).into_response()
}
