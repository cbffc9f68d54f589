//! One file over HTTP, from whoever answers there.
//!
//! Nothing about the other end is believed: how much it sends, how fast, where it sends one on to, or that it has not changed.
//! What is encrypted is checked against the authorities that the host trusts, so that an operator's own authority counts as
//! it does for every other program. Nothing is unpacked, since a small body that unpacks to a large one is an attack.

mod pace;
mod post;
mod refused;

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use pace::Pace;
pub use pace::Patience;
pub use refused::Refused;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, LOCATION, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

/// How often a publisher may send one on, within its own origin.
const REDIRECTS_MAX: usize = 3;

/// The most header lines of an answer.
const HEADERS_MAX: usize = 64;

/// The longest validator that is kept, in bytes; real ones have some forty.
const VALIDATOR_LEN_MAX: usize = 256;

/// How long a doorbell may be silent; publishers say that they are there every fifteen seconds.
const BELL_SILENT_MAX: Duration = Duration::from_secs(45);

/// How long a connection is kept for what is asked for next.
const LINGERS: Duration = Duration::from_secs(2);

/// The longest rest that a publisher is granted, which is a day.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(86_400);

/// What a publisher said of a version, to ask later whether there is another.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Validators {
    /// Its name (RFC 9110, section 8.8.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// When it was made (RFC 9110, section 8.8.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

impl Validators {
    /// Whether there is nothing to ask by.
    pub const fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    fn of(headers: &HeaderMap) -> Self {
        let text = |name| {
            let text = headers.get(name)?.to_str().ok()?;
            (text.len() <= VALIDATOR_LEN_MAX).then(|| text.to_owned())
        };
        Self { etag: text(ETAG), last_modified: text(LAST_MODIFIED) }
    }
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The version that is known is the newest.
    Unchanged,
    /// The whole file.
    Body {
        /// Its bytes.
        bytes: Vec<u8>,
        /// What to ask by the next time.
        validators: Validators,
    },
}

/// Why nothing came, and how long the publisher wants to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub why: Refused,
    /// At least so long (RFC 9110, section 10.2.3), and at most a day.
    pub rest: Option<Duration>,
}

impl From<Refused> for Failure {
    fn from(why: Refused) -> Self {
        Self { why, rest: None }
    }
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(Url);

/// Why a text is no place that anything is fetched from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// It is no URL.
    #[error("is no URL; write it like https://lists.example/drop_v6.json")]
    NoUrl,
    /// It is read by another protocol.
    #[error("is neither https nor http")]
    Scheme,
    /// It is a directory of another host, or none.
    #[error("names no directory of this host; write it like file:///media/stick")]
    Directory,
    /// Anybody on the way could change it.
    #[error(
        "is not encrypted, and anybody on the way could change it; take https, or set `sync.plain_http = true`"
    )]
    Plain,
}

impl Place {
    /// Reads a URL. One that is not encrypted has to lead to this very host, unless `plain` ones are wanted.
    ///
    /// # Errors
    /// When nothing is fetched from there.
    pub fn parse(text: &str, plain: bool) -> Result<Self, PlaceError> {
        let url = Url::parse(text).map_err(|_| PlaceError::NoUrl)?;
        match url.scheme() {
            _ if url.host().is_none() => Err(PlaceError::NoUrl),
            "https" => Ok(Self(url)),
            "http" if plain || is_loopback(&url) => Ok(Self(url)),
            "http" => Err(PlaceError::Plain),
            _ => Err(PlaceError::Scheme),
        }
    }

    /// Whether whoever is there has to prove who it is.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The place without what may be secret in it: user, password and question.
    pub fn shown(&self) -> String {
        let (scheme, path) = (self.0.scheme(), self.0.path());
        let host = self.0.host_str().unwrap_or_default();
        let port = self.0.port().map_or_else(String::new, |port| format!(":{port}"));
        format!("{scheme}://{host}{port}{path}")
    }
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Fetches files.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: Client,
    patience: Patience,
}

/// No file can be fetched.
#[derive(Debug, thiserror::Error)]
#[error("nothing can be fetched over the network")]
pub struct NoClient(#[source] reqwest::Error);

impl Fetcher {
    /// A fetcher with this patience. The authorities that this host trusts are read now; where it trusts none, only pages that
    /// are not encrypted can be had.
    ///
    /// # Errors
    /// When the system has no room for one.
    pub fn new(patience: Patience) -> Result<Self, NoClient> {
        // Whoever came first has chosen the same.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = builder(patience).build().or_else(|error| {
            tracing::warn!(%error, "this host names no authority to trust; install its package ca-certificates");
            builder(patience).tls_certs_only([]).build()
        });
        Ok(Self { client: client.map_err(NoClient)?, patience })
    }

    /// Fetches the file at `place`, of at most `bytes_max` bytes, unless it is the version that `known` tells of.
    ///
    /// # Errors
    /// When anything about it is not as it has to be.
    pub async fn fetch(&self, place: &Place, bytes_max: u64, known: &Validators) -> Result<Fetched, Failure> {
        let begun = Instant::now();
        let mut url = place.0.clone();
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.ask(&url, known, begun).await?;
            match answer.status() {
                StatusCode::OK => return self.body(answer, bytes_max, begun).await,
                StatusCode::NOT_MODIFIED if known.is_empty() => return Err(Refused::Unasked.into()),
                StatusCode::NOT_MODIFIED => return Ok(Fetched::Unchanged),
                status if is_redirect(status) => url = onward(&url, &answer)?,
                status => return Err(refusal(status, answer.headers())),
            }
        }
        Err(Refused::Redirect.into())
    }

    /// Listens to the server-sent events of `place` and calls `ring` at each, until the publisher hangs up, falls silent, or `ring` wants
    /// no more. What an event says is not looked at, and nothing of it is kept.
    pub async fn listen(&self, place: &Place, mut ring: impl FnMut() -> bool) {
        let Ok(mut answer) = self.ask(&place.0, &Validators::default(), Instant::now()).await else { return };
        if answer.status() != StatusCode::OK {
            return;
        }
        let mut line_begins = true;
        while let Ok(Ok(Some(part))) = timeout(BELL_SILENT_MAX, answer.chunk()).await {
            for byte in part.as_ref() {
                // A field called `data` ends what tells of an event; comments begin with a colon.
                if line_begins && *byte == b'd' && !ring() {
                    return;
                }
                line_begins = *byte == b'\n';
            }
        }
    }

    async fn ask(&self, url: &Url, known: &Validators, begun: Instant) -> Result<Response, Failure> {
        let mut request = self.client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        let asked = [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.last_modified)];
        for (name, value) in asked {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let left = Pace::new(self.patience).wait(begun.elapsed()).ok_or(Refused::Late)?;
        let again = request.try_clone();
        let sent = async {
            match (request.send().await, again) {
                // The publisher has hung up on a connection that was kept, before it read this.
                (Err(error), Some(again)) if is_unheard(&error) => again.send().await,
                (answer, _) => answer,
            }
        };
        match timeout(left, sent).await {
            Ok(answer) => answer.map_err(|error| cause(&error).into()),
            Err(_) => Err(Refused::Idle.into()),
        }
    }

    async fn body(&self, mut answer: Response, bytes_max: u64, begun: Instant) -> Result<Fetched, Failure> {
        let (headers, announced) = (answer.headers(), answer.content_length());
        if announced.is_some_and(|announced| announced > bytes_max) {
            return Err(Refused::TooLong.into());
        }
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(Refused::Encoded.into());
        }
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.to_ascii_lowercase().starts_with("text/html") {
            return Err(Refused::Page.into());
        }
        let validators = Validators::of(headers);
        let (mut bytes, mut pace) = (Vec::new(), Pace::new(self.patience));
        loop {
            let left = pace.wait(begun.elapsed()).ok_or(Refused::Late)?;
            let part = match timeout(left, answer.chunk()).await {
                Ok(Ok(Some(part))) => part,
                Ok(Ok(None)) => return Ok(Fetched::Body { bytes, validators }),
                Ok(Err(_)) => return Err(Refused::Cut.into()),
                Err(_) if begun.elapsed() >= self.patience.total => return Err(Refused::Late.into()),
                Err(_) => return Err(Refused::Idle.into()),
            };
            if (bytes.len() + part.len()) as u64 > bytes_max {
                return Err(Refused::TooLong.into());
            }
            bytes.extend_from_slice(&part);
            if !pace.came(part.len() as u64, begun.elapsed()) {
                return Err(Refused::Slow.into());
            }
        }
    }
}

fn builder(patience: Patience) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("credence/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(patience.connect)
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .http1_only()
        .http1_max_headers(HEADERS_MAX)
        // What a round asks for one after the other goes over one connection; none waits for the next round.
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(LINGERS)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where an answer sends one, which has to be the same origin: scheme, host and port.
fn onward(from: &Url, answer: &Response) -> Result<Url, Refused> {
    let place = answer.headers().get(LOCATION).and_then(|place| place.to_str().ok());
    let url = place.and_then(|place| from.join(place).ok()).ok_or(Refused::Redirect)?;
    if url.origin() == from.origin() { Ok(url) } else { Err(Refused::Redirect) }
}

fn refusal(status: StatusCode, headers: &HeaderMap) -> Failure {
    if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return Refused::Absent.into();
    }
    if status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
        return Refused::Status.into();
    }
    let seconds = headers.get(RETRY_AFTER).and_then(|rest| rest.to_str().ok()?.trim().parse().ok());
    let rest = seconds.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    Failure { why: Refused::Busy, rest }
}

/// What lies behind an error of the client, as far as it matters.
fn cause(error: &reqwest::Error) -> Refused {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if is_of_tls(inner) {
            return Refused::Certificate;
        }
        cause = inner.source();
    }
    match error {
        error if error.is_timeout() => Refused::Idle,
        error if is_malformed(error) => Refused::Malformed,
        _ => Refused::Unreachable,
    }
}

/// Whether there was a connection, and it ended without an answer.
fn is_unheard(error: &reqwest::Error) -> bool {
    !error.is_connect() && !error.is_timeout() && cause(error) == Refused::Unreachable
}

/// Whether an error is one of TLS, or wraps one as the system's errors do, which do not name it as their source.
fn is_of_tls(error: &(dyn Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || wrapped.is_some_and(|wrapped| is_of_tls(wrapped))
}

/// Whether the other end said something, and that was no answer.
fn is_malformed(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return true;
        }
        cause = inner.source();
    }
    false
}

#[cfg(test)]
mod tests;
