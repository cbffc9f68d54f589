//! The metrics page and the two questions of whoever supervises the process, over plain HTTP.
//!
//! `/metrics` is for Prometheus. `/healthz` answers as long as the process runs; `/readyz` answers 200 only
//! while frames, or the word that there are none, still get through to every worker. `/subjects` names the sources that
//! fare worst and best, and is there only on a loopback address.
//!
//! The server has a thread of its own with a small runtime on it, and ends with the process. Nothing on the
//! way of a packet waits for it: a page is made of counters that workers write anyway. It holds at most
//! [`CONNECTIONS_MAX`] connections, each for at most [`LIFETIME`] whatever its other end does, so that slow
//! or silent clients cost nothing that is missed.

pub(crate) mod alert_log;
mod connection;
pub(crate) mod followed;
pub(crate) mod kernel;
mod posted;
mod process;
pub(crate) mod pulse;
mod readiness;
pub(crate) mod status;
pub(crate) mod subjects;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use credence_engine::clock::unix_s;
use credence_engine::metrics;
use tokio::runtime;

use crate::exit::HostCannot;
use connection::Bounded;
use status::Status;
use subjects::Subjects;

/// Connections at a time; a handful of scrapers with one connection each is what a gateway sees.
const CONNECTIONS_MAX: usize = 64;

/// How long a connection lasts: many times what a page takes, and half of the usual time between scrapes.
const LIFETIME: Duration = Duration::from_secs(5);

/// What it means when a step towards the page fails.
const UNSERVED: &str = "the metrics page cannot be served";

/// A page that has its address and is not served yet.
pub(crate) struct Page {
    listener: TcpListener,
    address: SocketAddr,
    runtime: runtime::Runtime,
}

/// Takes the address `listen`.
///
/// # Errors
/// When it cannot be listened on, with what to do.
pub(crate) fn bind(listen: SocketAddr) -> anyhow::Result<Page> {
    let listener = TcpListener::bind(listen).map_err(|error| HostCannot(refusal(listen, &error)))?;
    let address = listener.local_addr().context("the metrics page has no address")?;
    listener.set_nonblocking(true).context(UNSERVED)?;
    // Here, since it opens what the sandbox does not let it open later; it starts no thread.
    let runtime =
        runtime::Builder::new_current_thread().enable_io().enable_time().build().context(UNSERVED)?;
    Ok(Page { listener, address, runtime })
}

impl Page {
    /// The address, with the port that was taken where 0 was asked for.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to serve `status`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn serve(self, status: Arc<Status>) -> anyhow::Result<()> {
        let Self { listener, address, runtime } = self;
        let thread = thread::Builder::new().name("credence-metrics".to_owned());
        let serving = thread.spawn(move || runtime.block_on(serve(listener, router(address, status))));
        serving.map(drop).context(UNSERVED)
    }
}

async fn serve(listener: TcpListener, router: Router) {
    let served = match Bounded::new(listener, CONNECTIONS_MAX, LIFETIME) {
        Ok(listener) => axum::serve(listener, router).await,
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        tracing::error!(%error, "the metrics page is no longer served");
    }
}

fn router(address: SocketAddr, status: Arc<Status>) -> Router {
    let router = Router::new()
        .route("/metrics", get(page))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz));
    let router = if address.ip().is_loopback() { router.route("/subjects", get(subjects)) } else { router };
    router.with_state(status)
}

async fn page(State(status): State<Arc<Status>>) -> Response {
    match status.page() {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn subjects(State(status): State<Arc<Status>>) -> Response {
    let page = serde_json::to_string(&Subjects::of(status.offenders(), status.best_sources(), unix_s()));
    let page = page.expect("names and numbers can be written as JSON");
    ([(CONTENT_TYPE, "application/json")], page).into_response()
}

async fn readyz(State(status): State<Arc<Status>>) -> Response {
    if status.is_ready() {
        return "ready\n".into_response();
    }
    let why = "not ready: the interface is not read yet, or for 5 seconds a worker has neither processed frames nor found that there are none\n";
    (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
}

fn refusal(listen: SocketAddr, error: &io::Error) -> String {
    let cure = match error.kind() {
        io::ErrorKind::AddrInUse => {
            let port = listen.port();
            format!(
                "`ss -ltnp 'sport = :{port}'` shows who has it; take another port, or port 0 for any free one"
            )
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; take a higher one".to_owned(),
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this host has that address; `ip addr` lists them".to_owned()
        }
        _ => "take another address".to_owned(),
    };
    format!("the metrics page cannot listen on {listen}: {error}; {cure}")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use credence_credit::Published;
    use credence_engine::clock::Stopwatch;
    use credence_engine::{AlertWriter, Engine, LineConfig, Output};

    use super::*;
    use crate::serve::alert_log::Tally;
    use crate::serve::pulse::Pulse;

    /// A server over an engine that has seen nothing, and the place where its readiness is decided.
    fn served() -> (SocketAddr, Arc<Status>) {
        served_on("127.0.0.1:0")
    }

    fn served_on(listen: &str) -> (SocketAddr, Arc<Status>) {
        let line = LineConfig { flows: 16, sources: 16, datagrams: 16, ..LineConfig::default() };
        let engine = Arc::new(Engine::new(line, Published::default(), 2));
        let (tally, pulse) = (Arc::<Tally>::default(), Arc::<Pulse>::default());
        let out: Output = Box::new(io::sink());
        let alerts = AlertWriter::new(out, Arc::clone(&LineConfig::default().lists), None, 1);
        let status = Arc::new(Status::new(engine, Published::default(), tally, &alerts, pulse, None));
        let page = bind(listen.parse().unwrap()).unwrap();
        let address = page.address();
        page.serve(Arc::clone(&status)).unwrap();
        (address, status)
    }

    /// What the server answers to `request`, until it closes the connection.
    fn answer(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIFETIME * 4)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    fn page_at(address: SocketAddr, path: &str) -> String {
        answer(address, &format!("GET {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"))
    }

    #[test]
    fn pages_are_served_and_others_are_not_found() {
        let (address, _) = served();
        assert_ne!(address.port(), 0);
        let page = page_at(address, "/metrics");
        assert!(page.starts_with("HTTP/1.1 200") && page.contains("text/plain; version=0.0.4"), "{page}");
        assert!(
            page.contains("\ncredence_workers 2\n") && page.contains("\ncredence_received_packets_total 0\n"),
            "{page}"
        );
        assert!(page_at(address, "/healthz").starts_with("HTTP/1.1 200"));
        assert!(page_at(address, "/secrets").starts_with("HTTP/1.1 404"));
        let posted = answer(
            address,
            "POST /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        );
        assert!(posted.starts_with("HTTP/1.1 405"), "{posted}");
    }

    #[test]
    fn subjects_are_told_on_loopback_alone() {
        let (address, _) = served();
        let page = page_at(address, "/subjects");
        assert!(
            page.starts_with("HTTP/1.1 200") && page.ends_with("{\"window_s\":600,\"worst\":[],\"best\":[]}"),
            "{page}"
        );
        let (everywhere, _) = served_on("0.0.0.0:0");
        let loopback = SocketAddr::from(([127, 0, 0, 1], everywhere.port()));
        assert!(page_at(loopback, "/subjects").starts_with("HTTP/1.1 404"));
        assert!(page_at(loopback, "/metrics").starts_with("HTTP/1.1 200"));
    }

    #[test]
    fn readiness_follows_what_was_observed() {
        let (address, status) = served();
        status.observe(Duration::from_secs(1));
        assert!(page_at(address, "/readyz").starts_with("HTTP/1.1 200"));
        // No poll between the two looks, which lie far apart.
        status.observe(Duration::from_secs(60));
        let page = page_at(address, "/readyz");
        assert!(page.starts_with("HTTP/1.1 503") && page.contains("not ready"), "{page}");
        assert!(page_at(address, "/healthz").starts_with("HTTP/1.1 200"), "the process itself is up");
    }

    #[test]
    fn silent_clients_are_let_go_and_keep_nobody_out() {
        let (address, _) = served();
        let watch = Stopwatch::start();
        let silent: Vec<_> = (0..CONNECTIONS_MAX)
            .map(|_| {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Endless: ").unwrap();
                stream
            })
            .collect();
        assert!(
            page_at(address, "/healthz").starts_with("HTTP/1.1 200"),
            "one waits for a place, and gets it"
        );
        let waited = watch.elapsed();
        assert!(waited < LIFETIME * 2, "{waited:?}");
        for mut stream in silent {
            stream.set_read_timeout(Some(LIFETIME * 2)).unwrap();
            let mut rest = Vec::new();
            // The end may come as an end or as a reset, but it comes.
            if let Err(error) = stream.read_to_end(&mut rest) {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            }
        }
    }

    #[test]
    fn an_address_in_use_is_told_with_its_cure() {
        let (address, _) = served();
        let Err(error) = bind(address) else { panic!("{address} was taken twice") };
        assert!(error.is::<HostCannot>());
        let told = error.to_string();
        assert!(told.contains(&address.to_string()) && told.contains("port 0"), "{told}");
    }
}
