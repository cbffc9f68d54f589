//! What is answered by HTTP: the interface for machines behind its door, and the pages for people.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;

use super::{Platform, api, door, forward};
use crate::portal;

/// All that is answered.
pub fn router(platform: Arc<Platform>) -> Router {
    let (api, _) = api::routes();
    // Acts have their own limit, which goes further.
    let api = api
        .layer(DefaultBodyLimit::max(1 << 16))
        .route_layer(from_fn_with_state(Arc::clone(&platform), door::guarded));
    let leader = from_fn_with_state(Arc::clone(&platform), forward::forwarded);
    Router::new()
        .merge(api)
        .merge(portal::router())
        .layer(leader)
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
