//! What is answered by HTTP: the interface for machines behind its door, and the pages for people.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::serve::{ListenerExt, TapIo};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{Platform, api, door, forward};
use crate::portal;

/// How many connections may wait to be taken up: a doorbell has thousands of gateways come within a fifth of a second, and one that finds no
/// room tries again after a second. The kernel may allow fewer (`net.core.somaxconn`, 4,096 unless somebody has set it).
const WAITING_MAX: u32 = 1 << 16;

/// What listens, and answers at once.
pub type Listening = TapIo<TcpListener, fn(&mut TcpStream)>;

/// Listens at an address. Must be called inside a runtime.
///
/// # Errors
/// When that is taken, or not one of this host's.
pub fn listen(at: SocketAddr) -> io::Result<Listening> {
    let socket = if at.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    // A process that is started again takes the place of the one before.
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    Ok(socket.listen(WAITING_MAX)?.tap_io(answer_at_once as fn(&mut TcpStream)))
}

/// Answers are short, and nothing follows that they could wait for.
fn answer_at_once(connection: &mut TcpStream) {
    // Without it they come later, and that is all.
    let _ = connection.set_nodelay(true);
}

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
