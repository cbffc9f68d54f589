//! Each of these is a server that does one thing wrong.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use reqwest::Certificate;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, Stream};

use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Tests have less of it than gateways.
const PATIENCE: Patience =
    Patience { connect: ms(1_000), idle: ms(300), total: ms(1_500), window: ms(400), least: 1_000 };

/// More than any body here.
const MOST: u64 = 100_000;

/// A server that answers each connection by `answer`, and what it was asked.
fn server(answer: impl Fn(&mut TcpStream, usize) + Send + 'static) -> (Place, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("http://{}/list", listener.local_addr().unwrap());
    let (send, asked) = channel();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
                request.push(byte[0]);
            }
            // Whoever made the server may not care.
            let _ = send.send(String::from_utf8(request).unwrap());
            answer(&mut stream, number);
        }
    });
    (Place::parse(&place, false).unwrap(), asked)
}

/// A server that says this and closes.
fn saying(answer: impl Into<Vec<u8>>) -> Place {
    let answer = answer.into();
    // The other end may have heard enough.
    server(move |stream, _| drop(stream.write_all(&answer))).0
}

fn fetch(place: &Place, known: &Validators) -> Result<Fetched, Failure> {
    fetch_most(place, MOST, known)
}

fn fetch_most(place: &Place, most: u64, known: &Validators) -> Result<Fetched, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { Fetcher::new(PATIENCE).unwrap().fetch(place, most, known).await })
}

#[track_caller]
fn refused(place: &Place, why: Refused) {
    assert_eq!(fetch(place, &Validators::default()), Err(why.into()));
}

fn body(text: &str) -> Fetched {
    Fetched::Body { bytes: text.as_bytes().to_vec(), validators: Validators::default() }
}

fn etag(tag: &str) -> Validators {
    Validators { etag: Some(tag.to_owned()), last_modified: None }
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

#[test]
fn a_file_comes_with_what_to_ask_by_and_is_asked_for_by_it() {
    let (place, asked) = server(|stream, number| {
        let changed = b"HTTP/1.1 200 OK\r\nETag: \"7\"\r\nLast-Modified: Sun, 22 Nov 2026 18:00:00 GMT\r\nContent-Length: 3\r\n\r\na/b";
        let same = b"HTTP/1.1 304 Not Modified\r\nETag: \"7\"\r\n\r\n";
        stream.write_all(if number == 0 { &changed[..] } else { &same[..] }).unwrap();
    });
    let Ok(Fetched::Body { bytes, validators }) = fetch(&place, &Validators::default()) else { panic!() };
    assert_eq!(bytes, b"a/b");
    let first = asked.recv().unwrap().to_ascii_lowercase();
    assert!(first.contains("accept-encoding: identity") && !first.contains("if-none-match"), "{first}");
    assert_eq!(fetch(&place, &validators), Ok(Fetched::Unchanged));
    let second = asked.recv().unwrap();
    let has = |line: &str| second.to_ascii_lowercase().contains(line);
    assert!(
        has("if-none-match: \"7\"") && has("if-modified-since: sun, 22 nov 2026 18:00:00 gmt"),
        "{second}"
    );
}

#[test]
fn not_a_byte_more_than_allowed_is_taken() {
    let announced = |len: usize| saying(format!("{OK}Content-Length: {len}\r\n\r\n{}", "x".repeat(len)));
    let unannounced = |len: usize| saying(format!("{OK}Connection: close\r\n\r\n{}", "x".repeat(len)));
    let none = Validators::default();
    for place in [announced(1_000), unannounced(1_000)] {
        assert_eq!(fetch_most(&place, 1_000, &none), Ok(body(&"x".repeat(1_000))));
        assert_eq!(fetch_most(&place, 999, &none), Err(Refused::TooLong.into()));
    }
}

#[test]
fn an_endless_body_ends_at_the_limit() {
    let (place, _) = server(|stream, _| {
        let begun = stream.write_all(format!("{OK}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
        let mut sent = begun;
        while sent.is_ok() {
            sent = stream.write_all(format!("1000\r\n{}\r\n", "x".repeat(4_096)).as_bytes());
        }
    });
    refused(&place, Refused::TooLong);
}

#[test]
fn a_length_that_is_not_kept_is_noticed() {
    refused(&saying(format!("{OK}Content-Length: 50\r\n\r\nshort")), Refused::Cut);
    refused(&saying(format!("{OK}Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n")), Refused::Cut);
    refused(&saying(format!("{OK}Content-Length: 99999999999\r\n\r\nshort")), Refused::TooLong);
    // What goes beyond the announced end is not read.
    let beyond = saying(format!("{OK}Content-Length: 5\r\n\r\nshort and more"));
    assert_eq!(fetch(&beyond, &Validators::default()), Ok(body("short")));
}

#[test]
fn huge_headers_and_what_is_no_http_are_refused() {
    let many: String = (0..10_000).map(|number| format!("X-{number}: y\r\n")).collect();
    let long = format!("X: {}\r\n", "y".repeat(2_000_000));
    for place in [
        saying(format!("{OK}{many}\r\n")),
        saying(format!("{OK}{long}\r\n")),
        saying("SSH-2.0-OpenSSH_9.2\r\n"),
        saying(format!("{OK}Content-Length: -5\r\n\r\n")),
        saying(format!("{OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\nshort!")),
    ] {
        refused(&place, Refused::Malformed);
    }
}

#[test]
fn who_is_silent_is_left() {
    let hold = |said: &'static str| {
        server(move |stream, _| {
            stream.write_all(said.as_bytes()).unwrap();
            thread::sleep(ms(3_000));
        })
    };
    for said in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"] {
        refused(&hold(said).0, Refused::Idle);
    }
    let (place, _) = server(|stream, _| {
        let most = format!("{OK}Content-Length: 10000\r\n\r\n{}", "x".repeat(9_900));
        stream.write_all(most.as_bytes()).unwrap();
        thread::sleep(ms(3_000));
    });
    refused(&place, Refused::Idle);
}

#[test]
fn who_drips_is_left_though_never_silent() {
    let drip = |bytes: usize, every: u64| {
        server(move |stream, _| {
            let mut sent = stream.write_all(format!("{OK}Content-Length: 90000\r\n\r\n").as_bytes());
            while sent.is_ok() {
                thread::sleep(ms(every));
                sent = stream.write_all("x".repeat(bytes).as_bytes());
            }
        })
    };
    refused(&drip(1, 20).0, Refused::Slow);
    // Fast enough in each window, and too slow for the whole.
    refused(&drip(400, 40).0, Refused::Late);
}

#[test]
fn who_is_gone_is_told() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    refused(&Place::parse(&format!("http://{gone}/"), false).unwrap(), Refused::Unreachable);
    refused(&server(|_, _| {}).0, Refused::Unreachable);
    refused(&Place::parse("http://no-such-host.invalid/", true).unwrap(), Refused::Unreachable);
}

#[test]
fn who_cannot_prove_who_it_is_is_not_believed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("https://{}/list", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            assert!(stream.read(&mut [0; 4_096]).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            thread::sleep(ms(100));
        }
    });
    refused(&Place::parse(&place, false).unwrap(), Refused::Certificate);
}

/// A server that shows a certificate by `params`, which `authority` signed, and gives one line; and what comes of asking it when
/// `trusted` is trusted.
fn shown(
    params: &CertificateParams,
    authority: &CertifiedIssuer<'_, KeyPair>,
    trusted: &CertifiedIssuer<'_, KeyPair>,
) -> Result<Fetched, Failure> {
    // The same that a fetcher takes; whoever comes first chooses for all.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("https://{}/list", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(config).unwrap();
        let mut encrypted = Stream::new(&mut connection, &mut stream);
        // A client that does not believe the certificate leaves.
        if encrypted.read(&mut [0; 4_096]).is_ok() {
            let _ = encrypted.write_all(format!("{OK}Content-Length: 5\r\n\r\ntrust").as_bytes());
        }
    });
    let trusted = Certificate::from_der(trusted.der()).unwrap();
    let client = builder(PATIENCE).tls_certs_only([trusted]).build().unwrap();
    let place = Place::parse(&place, false).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Fetcher { client, patience: PATIENCE }.fetch(&place, MOST, &Validators::default()))
}

#[test]
fn a_certificate_has_to_be_of_this_host_of_today_and_of_a_trusted_authority() {
    let authority = || {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (ours, others) = (authority(), authority());
    let of = |host: &str| CertificateParams::new(vec![host.to_owned()]).unwrap();
    assert_eq!(shown(&of("127.0.0.1"), &ours, &ours), Ok(body("trust")));
    let mut over = of("127.0.0.1");
    over.not_after = date_time_ymd(2_020, 1, 1);
    let mut ahead = of("127.0.0.1");
    ahead.not_before = date_time_ymd(2_999, 1, 1);
    for params in [over, ahead, of("lists.example")] {
        assert_eq!(shown(&params, &ours, &ours), Err(Refused::Certificate.into()));
    }
    assert_eq!(shown(&of("127.0.0.1"), &others, &ours), Err(Refused::Certificate.into()));
}

#[test]
fn only_the_same_origin_may_be_gone_on_to() {
    let (place, _) = server(|stream, number| {
        let answer = match number {
            0 => "HTTP/1.1 302 Found\r\nLocation: /moved?by=1\r\nContent-Length: 0\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere",
        };
        stream.write_all(answer.as_bytes()).unwrap();
    });
    assert_eq!(fetch(&place, &Validators::default()), Ok(body("here")));
    let elsewhere = saying(format!("{OK}Content-Length: 4\r\n\r\nhere"));
    let to = |location: &str| saying(format!("HTTP/1.1 301 Moved\r\nLocation: {location}\r\n\r\n"));
    let others = [
        elsewhere.0.as_str(),
        &elsewhere.0.as_str().replace("127.0.0.1", "localhost"),
        "http://[fe80::1]/",
        "https://127.0.0.1/",
        "//lists.example/",
        "file:///etc/passwd",
        "ht!tp:",
    ];
    for location in others {
        refused(&to(location), Refused::Redirect);
    }
    refused(&saying("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"), Refused::Redirect);
    refused(&to("/list"), Refused::Redirect);
}

#[test]
fn nothing_has_changed_only_where_something_was() {
    refused(&saying("HTTP/1.1 304 Not Modified\r\n\r\n"), Refused::Unasked);
    assert_eq!(fetch(&saying("HTTP/1.1 304 Not Modified\r\n\r\n"), &etag("\"7\"")), Ok(Fetched::Unchanged));
}

#[test]
fn pages_for_people_and_packed_bodies_are_refused() {
    refused(
        &saying(format!("{OK}Content-Type: Text/HTML; charset=utf-8\r\nContent-Length: 1\r\n\r\n<")),
        Refused::Page,
    );
    refused(
        &saying(format!("{OK}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x08")),
        Refused::Encoded,
    );
}

#[test]
fn who_asks_to_be_left_alone_is_left_alone_a_day_at_most() {
    let busy = |code: u16, after: &str| {
        let place = saying(format!("HTTP/1.1 {code} No\r\n{after}Content-Length: 0\r\n\r\n"));
        fetch(&place, &Validators::default()).unwrap_err()
    };
    let rest = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(busy(429, "Retry-After: 90\r\n"), Failure { why: Refused::Busy, rest: rest(90) });
    assert_eq!(busy(503, "Retry-After: 99999999\r\n"), Failure { why: Refused::Busy, rest: rest(86_400) });
    assert_eq!(busy(503, "Retry-After: soon\r\n"), Refused::Busy.into());
    assert_eq!(busy(500, ""), Refused::Busy.into());
    for code in [404, 410] {
        assert_eq!(busy(code, ""), Refused::Absent.into(), "{code}");
    }
    for code in [403, 206, 204] {
        assert_eq!(busy(code, ""), Refused::Status.into(), "{code}");
    }
}

#[test]
fn a_validator_that_nobody_would_make_is_forgotten() {
    let place = saying(format!("{OK}ETag: \"{}\"\r\nContent-Length: 1\r\n\r\nx", "7".repeat(300)));
    assert_eq!(fetch(&place, &Validators::default()), Ok(body("x")));
}

#[test]
fn unencrypted_places_are_this_very_host_unless_wanted() {
    for place in ["http://127.0.0.1:80/a", "http://[::1]/", "http://localhost/", "https://lists.example/"] {
        Place::parse(place, false).unwrap_or_else(|error| panic!("{place} {error}"));
    }
    for (place, error) in [
        ("http://lists.example/", PlaceError::Plain),
        ("http://localhost.example/", PlaceError::Plain),
        ("http://127.0.0.1.example/", PlaceError::Plain),
        ("ftp://lists.example/", PlaceError::Scheme),
        ("lists.example", PlaceError::NoUrl),
        ("/etc/passwd", PlaceError::NoUrl),
        ("file:///etc/passwd", PlaceError::NoUrl),
        ("data:,x", PlaceError::NoUrl),
    ] {
        assert_eq!(Place::parse(place, false), Err(error), "{place}");
    }
    Place::parse("http://lists.example/", true).unwrap();
}

#[test]
fn what_may_be_secret_is_not_shown() {
    let place = Place::parse("https://me:secret@lists.example:8443/v6?key=secret#x", false).unwrap();
    assert_eq!(place.shown(), "https://lists.example:8443/v6");
}

#[test]
fn every_refusal_has_its_own_name_and_is_read_back_by_it() {
    let names: std::collections::BTreeSet<_> = Refused::ALL.map(Refused::name).into();
    assert_eq!(names.len(), Refused::ALL.len());
    for refused in Refused::ALL {
        assert_eq!(serde_json::to_string(&refused).unwrap(), format!("\"{}\"", refused.name()));
    }
}
