//! What is answered by HTTP: the interface for machines behind its door, and the pages.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::api::{self, answer};
use super::{Platform, door};
use crate::view::InquiryPage;

/// All that is answered.
pub fn router(platform: Arc<Platform>) -> Router {
    let (api, _) = api::routes();
    // Acts have their own limit, which goes further.
    let api = api
        .layer(DefaultBodyLimit::max(1 << 16))
        .route_layer(from_fn_with_state(Arc::clone(&platform), door::guarded));
    Router::new()
        .route("/", get(inquiry))
        .route("/style.css", get(style))
        .merge(api)
        .layer(from_fn(guarded))
        .with_state(platform)
}

/// No script, no frame, nothing from elsewhere, on any page.
async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let policy =
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// What the form sends.
#[derive(Deserialize)]
struct Inquiry {
    address: Option<String>,
}

async fn inquiry(State(platform): State<Arc<Platform>>, Query(inquiry): Query<Inquiry>) -> Response {
    let asked = inquiry.address.unwrap_or_default();
    let answered = (!asked.is_empty()).then(|| answer(&platform, &asked)).transpose();
    let (answer, fault) = answered.map_or_else(|fault| (None, Some(fault)), |answer| (answer, None));
    let status = if fault.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    match (InquiryPage { asked, fault, answer }).render() {
        Ok(page) => (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../../templates/style.css")).into_response()
}
