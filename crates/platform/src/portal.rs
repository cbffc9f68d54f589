//! The inquiry portal: what anybody can read of the platform in a browser.
//!
//! Pages are written by the server and work without script. Whatever comes from outside is text in them and nothing else: templates
//! escape it, and the content security policy lets nothing run that slipped through. A page shows what is so at the moment when it
//! is asked for.

mod act;
mod answer;
mod chart;
mod complaint;
mod desk;
mod file;
mod inquiry;
mod institution;
mod log;
mod session;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use self::desk::Input;
pub(crate) use self::file::look_by_machine;
pub(crate) use self::inquiry::named;
use crate::serve::Platform;

/// The pages that each page leads to, with what they are called.
const NAVIGATION: [(&str, &str); 7] = [
    ("/", "Look up"),
    ("/rules", "Rules"),
    ("/members", "Members"),
    ("/record", "Record"),
    ("/log", "Log"),
    ("/how", "How it works"),
    ("/desk", "Desk"),
];

/// The largest form: a signed act in base64, which browsers write as up to three times as many bytes.
const FORM_BYTES_MAX: usize = 1 << 18;

/// The portal's pages.
pub(crate) fn router() -> Router<Arc<Platform>> {
    Router::new()
        .route("/", get(inquiry::page))
        .route("/act/{id}", get(act::page))
        .route("/file", get(file::own))
        .route("/complain", get(complaint::form).post(complaint::file))
        .route("/complaint/{token}", get(complaint::hearing))
        .route("/rules", get(institution::rules))
        .route("/members", get(institution::members))
        .route("/record", get(institution::record))
        .route("/log", get(log::page))
        .route("/how", get(how))
        .route(
            "/style.css",
            get(async || still("text/css; charset=utf-8", include_str!("../templates/style.css"))),
        )
        .route("/icon.svg", get(async || still("image/svg+xml", include_str!("../templates/icon.svg"))))
        .merge(desk::router(rand::random()))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .fallback(missing)
}

/// What stands around a page.
#[derive(Debug)]
struct Frame {
    /// What the page is called.
    title: String,
    /// Where it is, if the navigation leads there.
    path: &'static str,
    /// Whether nothing follows from any of this, since the world was made for trying out.
    is_example: bool,
}

impl Frame {
    fn new(platform: &Platform, title: impl Into<String>, path: &'static str) -> Self {
        let is_example = platform.read(|desk| desk.law().is_ok_and(|law| law.is_example));
        Self { title: title.into(), path, is_example }
    }

    /// The navigation, with whether this is the page.
    fn navigation(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        NAVIGATION.into_iter().map(|(path, name)| (path, name, path == self.path))
    }
}

/// A page, as it is sent. What is shown holds for this moment and this reader, and is kept nowhere.
fn shown(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => {
            let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "no-store")];
            (status, headers, text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A file that is part of the program.
fn still(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "max-age=3600")], text).into_response()
}

#[derive(Template)]
#[template(path = "portal/fault.html")]
struct FaultPage {
    frame: Frame,
    text: String,
}

/// A page that says why there is no other.
fn fault(platform: &Platform, status: StatusCode, title: &str, text: &str) -> Response {
    shown(status, &FaultPage { frame: Frame::new(platform, title, ""), text: text.to_owned() })
}

async fn missing(State(platform): State<Arc<Platform>>) -> Response {
    absent(&platform)
}

/// What is told to whoever asks for something that is not there, or not for everybody: the same.
fn absent(platform: &Platform) -> Response {
    let text = "There is no page of this name, or none that everybody may read.";
    fault(platform, StatusCode::NOT_FOUND, "Nothing here", text)
}

/// What is told before a world has rules.
fn lawless(platform: &Platform) -> Response {
    let text = "This world has no rules yet. Its members have to adopt a catalogue and a standard first.";
    fault(platform, StatusCode::SERVICE_UNAVAILABLE, "No rules yet", text)
}

#[derive(Template)]
#[template(path = "portal/how.html")]
struct HowPage {
    frame: Frame,
}

async fn how(State(platform): State<Arc<Platform>>) -> Response {
    shown(StatusCode::OK, &HowPage { frame: Frame::new(&platform, "How it works", "/how") })
}
