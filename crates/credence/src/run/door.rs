//! The door by which a running gateway is told something: a Unix socket, a request a line, an answer a line, both JSON.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Ipv6Addr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::exit::HostCannot;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// How things stand.
    Status,
    /// The policy of an emergency for so many seconds.
    Emergency {
        /// Seconds.
        seconds: u64,
    },
    /// The usual policy again, at once.
    Calm,
    /// The update that waits takes effect.
    Accept,
    /// The update that waits is forgotten.
    Discard,
    /// What is in force for an address, and how often it was.
    Explain {
        /// The address.
        address: Ipv6Addr,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Whether it was done.
    pub(crate) ok: bool,
    /// A sentence about it.
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn done(text: impl Into<String>) -> Self {
        Self { ok: true, text: text.into() }
    }

    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self { ok: false, text: text.into() }
    }
}

/// A request on its way, and where its answer goes.
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) answer: Sender<Answer>,
}

/// The longest request, in bytes.
const REQUEST_MAX: u64 = 1_024;
/// How long either side may keep the other waiting; the gateway looks ten times a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the door rests when the system lets nobody in.
const REFUSED: Duration = Duration::from_millis(100);

/// A door that is made and not open yet.
pub(super) struct Door(UnixListener);

/// Makes the door at `path`.
///
/// # Errors
/// When the socket cannot be made, or another gateway answers there.
pub(super) fn make(path: &Path) -> anyhow::Result<Door> {
    let name = path.display();
    if UnixStream::connect(path).is_ok() {
        bail!(HostCannot(format!(
            "another gateway answers at {name}; give this one another `control.socket`"
        )));
    }
    // Left behind by a gateway that ended without a chance to tidy up.
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path).map_err(|error| {
        HostCannot(format!("the socket {name} cannot be made: {error}; check that its directory exists"))
    })?;
    fs::set_permissions(path, Permissions::from_mode(0o600))
        .with_context(|| format!("the socket {name} cannot be kept from others"))?;
    Ok(Door(listener))
}

impl Door {
    /// Opens it; requests arrive at the receiver.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn open(self) -> anyhow::Result<Receiver<Asked>> {
        let (send, receive) = channel();
        let serve = move || {
            for stream in self.0.incoming() {
                match stream {
                    // Whoever leaves early misses the answer, and nobody else does.
                    Ok(stream) => drop(serve_one(&stream, &send)),
                    // Such as a lack of descriptors: whoever knocks waits, and asking again at once would only burn time.
                    Err(_) => thread::sleep(REFUSED),
                }
            }
        };
        let thread = thread::Builder::new().name("credence-door".to_owned());
        thread.spawn(serve).context("no thread for the socket")?;
        Ok(receive)
    }
}

fn serve_one(mut stream: &UnixStream, send: &Sender<Asked>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(REQUEST_MAX)).read_line(&mut line)?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => ask(request, send),
        Err(error) => Answer::refused(format!("this is no request: {error}")),
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    stream.write_all(text.as_bytes())
}

fn ask(request: Request, send: &Sender<Asked>) -> Answer {
    let (answer, answered) = channel();
    if send.send(Asked { request, answer }).is_err() {
        return Answer::refused("the gateway is ending");
    }
    answered.recv_timeout(PATIENCE).unwrap_or_else(|_| Answer::refused("the gateway is busy; ask again"))
}

/// Asks the gateway at `path`.
///
/// # Errors
/// When nobody answers there.
pub(crate) fn request(path: &Path, request: Request) -> anyhow::Result<Answer> {
    let name = path.display();
    let mut stream = UnixStream::connect(path).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => HostCannot(format!("{name} is open to its owner alone; ask as root")),
        _ => HostCannot(format!(
            "no gateway answers at {name} ({error}); is it running, and is `control.socket` in its configuration?"
        )),
    })?;
    stream.set_read_timeout(Some(PATIENCE * 2))?;
    let mut text = serde_json::to_string(&request)?;
    text.push('\n');
    stream.write_all(text.as_bytes()).with_context(|| format!("{name} takes no request"))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).with_context(|| format!("{name} does not answer"))?;
    serde_json::from_str(&line).with_context(|| format!("{name} answers what no gateway would"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A door behind which every request is answered by what it was.
    fn echoing() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let asked = make(&path).unwrap().open().unwrap();
        thread::spawn(move || {
            for Asked { request, answer } in asked {
                answer.send(Answer::done(format!("{request:?}"))).unwrap();
            }
        });
        (directory, path)
    }

    #[test]
    fn requests_are_answered_one_after_the_other() {
        let (_directory, path) = echoing();
        for asked in [Request::Status, Request::Emergency { seconds: 600 }, Request::Calm, Request::Accept] {
            assert_eq!(request(&path, asked).unwrap(), Answer::done(format!("{asked:?}")));
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_request_is_refused_and_harms_nobody() {
        let (_directory, path) = echoing();
        for text in
            ["", "{}", "{\"command\":\"fly\"}", "{\"command\":\"emergency\"}", "\u{0}", &"[".repeat(9_000)]
        {
            let mut stream = UnixStream::connect(&path).unwrap();
            // The other side may have read enough and left.
            let _ = stream.write_all(format!("{text}\n").as_bytes());
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            assert!(answer.is_empty() || answer.contains("this is no request"), "{answer}");
        }
        drop(UnixStream::connect(&path).unwrap());
        assert!(request(&path, Request::Status).unwrap().ok);
    }

    #[test]
    fn a_door_that_is_taken_or_missing_is_told() {
        let (directory, path) = echoing();
        let Err(taken) = make(&path) else { panic!("the door is another's") };
        assert!(taken.to_string().contains("another gateway answers"));
        let nobody = directory.path().join("nobody");
        assert!(request(&nobody, Request::Status).unwrap_err().to_string().contains("no gateway answers"));
        // What a dead gateway left is no hindrance.
        drop(UnixListener::bind(&nobody).unwrap());
        make(&nobody).unwrap();
    }
}
