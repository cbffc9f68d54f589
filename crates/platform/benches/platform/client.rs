//! A connection that asks one thing after another.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Asks, and returns the body of the answer.
    pub(crate) fn ask(&mut self, method: &str, path: &str, more: &str, body: &[u8]) -> String {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: platform\r\n{more}Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.stream.get_mut().write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut len = 0;
        for line in self.stream.by_ref().lines() {
            let line = line.unwrap();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                len = value.parse().unwrap();
            }
        }
        let mut body = vec![0; len];
        self.stream.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }

    /// Hands an act in, and returns its place.
    pub(crate) fn hand_in(&mut self, act: &[u8]) -> u64 {
        let answer = self.ask("POST", "/acts", "", act);
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["place"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    }

    /// How many entries the newest checkpoint has.
    pub(crate) fn published(&mut self) -> u64 {
        self.ask("GET", "/log/checkpoint", "", b"").lines().nth(1).unwrap().parse().unwrap()
    }
}
