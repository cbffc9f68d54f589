//! Who polls, and has no doorbell.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::sleep_until;

use crate::platform::Site;
use crate::{Scale, processor, runtime, tell};

/// How often one asks.
const POLLS: Duration = Duration::from_secs(15);
/// Connections that they have together.
const CONNECTIONS: usize = 256;

/// An answer.
pub(crate) struct Answered {
    pub(crate) status: u16,
    tag: String,
}

impl Answered {
    /// The serial of the head that was answered, which its ETag ends with.
    pub(crate) fn serial(&self) -> u64 {
        let (_, serial) = self.tag.trim_matches('"').split_once('-').unwrap();
        serial.parse().unwrap()
    }
}

/// A connection that asks one thing after another.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) async fn ask(&mut self, method: &str, path: &str, more: &str, body: &[u8]) -> Answered {
        let len = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: platform\r\n{more}Content-Length: {len}\r\n\r\n");
        self.0.get_mut().write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        let (mut status, mut tag, mut len) = (0, String::new(), 0);
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).await.unwrap() > 0, "it hung up");
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            match line.split_once(": ") {
                Some(("etag", value)) => value.clone_into(&mut tag),
                Some(("content-length", value)) => len = value.parse().unwrap(),
                None => status = line.split(' ').nth(1).unwrap().parse().unwrap(),
                _ => {}
            }
        }
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).await.unwrap();
        Answered { status, tag }
    }
}

pub(crate) fn run(scale: Scale) {
    let mut site = Site::begin();
    let runtime = runtime();
    let seconds = POLLS.as_secs() as u32 * scale.polls;
    let (begin, before) = (Instant::now(), [processor(site.process()), processor(std::process::id())]);
    let took = runtime.block_on(async {
        let connections = CONNECTIONS.min(scale.pollers);
        let pollers: Vec<_> = (0..connections)
            .map(|first| tokio::spawn(poll(site.address, first, connections, scale)))
            .collect();
        let mut member = Connection::open(site.address).await;
        for second in 0..seconds {
            sleep_until((begin + Duration::from_secs(second.into())).into()).await;
            assert_eq!(member.ask("POST", "/acts", "", &site.act()).await.status, 201);
        }
        let mut took = Vec::new();
        for poller in pollers {
            took.extend(poller.await.unwrap());
        }
        took
    });
    let polls = took.len();
    let rate = polls as f64 / begin.elapsed().as_secs_f64();
    tell(&format!("polled/{}: {rate:.0} polls a second", scale.pollers), took);
    let spent = [processor(site.process()) - before[0], processor(std::process::id()) - before[1]];
    println!(
        "polled/{}: processor time of the platform {:.1?}, of all who poll {:.1?}",
        scale.pollers, spent[0], spent[1]
    );
}

/// What the pollers of one connection wait for, each from its own moment on.
async fn poll(address: SocketAddr, first: usize, connections: usize, scale: Scale) -> Vec<Duration> {
    let begin = Instant::now();
    let pollers: Vec<_> = (first..scale.pollers).step_by(connections).collect();
    let mut tags = vec![String::new(); pollers.len()];
    let mut connection = Connection::open(address).await;
    let mut took = Vec::new();
    for poll in 0..scale.polls {
        for (poller, tag) in pollers.iter().zip(&mut tags) {
            let moment = begin + POLLS * poll + POLLS * *poller as u32 / scale.pollers as u32;
            sleep_until(moment.into()).await;
            assert_eq!(connection.ask("GET", "/feed/rules/4", "", b"").await.status, 404);
            let known = format!("If-None-Match: {tag}\r\n");
            let answered = connection.ask("GET", "/feed/head", &known, b"").await;
            assert!(matches!(answered.status, 200 | 304));
            took.push(moment.elapsed());
            *tag = answered.tag;
        }
    }
    took
}
