//! A running gateway, asked over its pages.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use credence_engine::clock::{Stopwatch, unix_s};

use super::exposition::Samples;
use crate::serve::subjects::Subjects;

/// How long one page may take in all.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of a page at most: some fifty times the metrics page.
const PAGE_MAX: usize = 4 << 20;

/// Where a gateway is asked.
pub(super) struct Gateway {
    /// The address as it was given, for people.
    url: String,
    /// Host and port.
    authority: String,
}

/// What is seen of a gateway at one time.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// Time since this program's start.
    pub(super) at: Duration,
    /// Unix seconds.
    pub(super) unix_s: u64,
    /// What stands at `/metrics`.
    pub(super) samples: Samples,
    /// What stands at `/subjects`; none where a gateway does not tell.
    pub(super) subjects: Option<Subjects>,
    /// What it says at `/readyz`, an empty text when it is ready.
    pub(super) fault: String,
}

impl Gateway {
    /// The gateway at an address such as `http://127.0.0.1:9469`.
    ///
    /// # Errors
    /// When the address is of another kind.
    pub(super) fn at(url: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let authority = rest.filter(|rest| !rest.is_empty() && !rest.contains(['/', '@', '?', '#']));
        let authority = authority.with_context(|| {
            format!("{url} is no address of a gateway; one is http://127.0.0.1:9469, without a path")
        })?;
        let port = authority.rsplit_once(':').filter(|(host, port)| {
            (!host.contains(':') || host.ends_with(']')) && port.parse::<u16>().is_ok()
        });
        let authority = if port.is_some() { authority.to_owned() } else { format!("{authority}:80") };
        Ok(Self { url: url.trim_end_matches('/').to_owned(), authority })
    }

    /// The address, for people.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Looks at every page; `clock` says when that was.
    ///
    /// # Errors
    /// When nobody answers, or somebody who is no gateway, with what to do.
    pub(super) fn look(&self, clock: &Stopwatch) -> anyhow::Result<Look> {
        let metrics = self.page("/metrics").map_err(|error| self.refusal(&error))?;
        ensure!(
            metrics.status == 200,
            "{}/metrics answers {}; is that a gateway's address?",
            self.url,
            metrics.status
        );
        let (at, samples) = (clock.elapsed(), Samples::read(&metrics.body));
        if samples.of("credence_build_info").is_empty() {
            bail!("what answers at {} is no credence; --url names the address of its metrics page", self.url);
        }
        let ready = self.page("/readyz").map_err(|error| self.refusal(&error))?;
        let subjects = self.page("/subjects").ok().filter(|page| page.status == 200);
        Ok(Look {
            at,
            unix_s: unix_s(),
            samples,
            subjects: subjects.and_then(|page| serde_json::from_str(&page.body).ok()),
            fault: if ready.status == 200 { String::new() } else { ready.body.trim().to_owned() },
        })
    }

    fn refusal(&self, error: &io::Error) -> anyhow::Error {
        anyhow!(
            "{} does not answer: {error}; see that `credence run` is at work there (`systemctl status credence`), and give the \
             address of its metrics page (`metrics.listen` in its configuration) with --url",
            self.url
        )
    }

    /// The page at `path`.
    fn page(&self, path: &str) -> io::Result<Page> {
        let clock = Stopwatch::start();
        let mut stream = self.connect()?;
        stream.set_write_timeout(Some(PATIENCE))?;
        // In version 1.0 the answer comes in one piece and ends with the connection.
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.authority).as_bytes())?;
        let (mut answer, mut piece) = (Vec::new(), [0; 16 << 10]);
        while answer.len() <= PAGE_MAX {
            let left = PATIENCE.checked_sub(clock.elapsed()).filter(|left| !left.is_zero());
            stream.set_read_timeout(Some(left.ok_or(io::ErrorKind::TimedOut)?))?;
            match stream.read(&mut piece)? {
                0 => return Page::of(&answer),
                len => answer.extend_from_slice(&piece[..len]),
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("{path} is longer than {PAGE_MAX} bytes")))
    }

    /// A connection to the first address of the host that takes one.
    fn connect(&self) -> io::Result<TcpStream> {
        let mut refused = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => return Ok(stream),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    status: u16,
    body: String,
}

impl Page {
    fn of(answer: &[u8]) -> io::Result<Self> {
        let no_answer = || io::Error::new(io::ErrorKind::InvalidData, "what it says is not HTTP");
        let text = String::from_utf8_lossy(answer);
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(no_answer)?;
        let status =
            head.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.get(..3)?.parse().ok());
        Ok(Self { status: status.ok_or_else(no_answer)?, body: body.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (url, authority) in [
            ("http://127.0.0.1:9469", "127.0.0.1:9469"),
            ("http://[::1]:9469/", "[::1]:9469"),
            ("http://gateway", "gateway:80"),
            ("http://[::1]", "[::1]:80"),
        ] {
            assert_eq!(Gateway::at(url).unwrap().authority, authority);
        }
        for url in ["", "127.0.0.1:9469", "https://a:1", "http://", "http://a:1/metrics", "http://user@a:1"] {
            let told = Gateway::at(url).err().unwrap_or_else(|| panic!("{url}")).to_string();
            assert!(told.contains("http://127.0.0.1:9469"), "{told}");
        }
    }

    #[test]
    fn answers_are_taken_apart() {
        let page = Page::of(b"HTTP/1.0 503 Service Unavailable\r\na: b\r\n\r\nnot ready\r\n\r\nyet").unwrap();
        assert_eq!(page, Page { status: 503, body: "not ready\r\n\r\nyet".to_owned() });
        for answer in ["", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\n"] {
            assert!(Page::of(answer.as_bytes()).is_err(), "{answer}");
        }
    }

    /// What is told of somebody who answers with these bytes.
    fn told_of(answer: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gateway = Gateway::at(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let answering = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            let read = stream.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"GET /metrics HTTP/1.0\r\n"));
            // Whoever has heard enough goes away.
            let _ = stream.write_all(&answer);
        });
        let told = gateway.look(&Stopwatch::start()).unwrap_err().to_string();
        answering.join().unwrap();
        told
    }

    #[test]
    fn whoever_is_no_gateway_is_told_apart() {
        assert!(told_of(b"HTTP/1.0 200 OK\r\n\r\nup 1\n".to_vec()).contains("is no credence"));
        assert!(told_of(b"HTTP/1.0 404 Not Found\r\n\r\n".to_vec()).contains("answers 404"));
        assert!(told_of(b"hello\n".to_vec()).contains("not HTTP"));
        let endless = [b"HTTP/1.0 200 OK\r\n\r\n".to_vec(), vec![b'x'; PAGE_MAX + (1 << 20)]].concat();
        assert!(told_of(endless).contains("longer than"));
    }
}
