//! An example world, served by the program on a free port.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use credence_credit::ActId;
use credence_law::acts::{Block, Claim, OwnAlert, Preamble, Purpose};
use credence_law::party::{Function, MemberId, Party, World, act_id};
use credence_law::standard::Standard;
use credence_law::{Act, Object, Signed};
use credence_platform::example::{Place, read_world};
use credence_platform::keys;
use credence_platform::request::{Asked, sign};
use credence_platform::serve::now;
use credence_platform::store::Address;
use serde_json::Value;
use sqlx::{AnyConnection, Connection, Row};
use tempfile::TempDir;

/// The program.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_credence-platform"))
}

/// What the program says to these arguments.
pub(crate) fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().expect("the program runs")
}

/// What it said on both ways.
pub(crate) fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A world in a directory of its own.
pub(crate) struct Site {
    directory: TempDir,
    pub(crate) world: World,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::on(super::postgres::database().as_deref())
    }

    /// With its journal in the database of a URL, or in a file.
    pub(crate) fn on(database: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = database.into_iter().flat_map(|url| ["--database", url]);
        let dir = ["init", "--dir", directory.path().to_str().unwrap()];
        let made = run(&dir.into_iter().chain(database).collect::<Vec<_>>());
        assert!(made.status.success(), "{}", told(&made));
        let world = read_world(&Place::new(directory.path())).unwrap();
        Self { directory, world }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn dir(&self) -> &str {
        self.path().to_str().unwrap()
    }

    pub(crate) fn place(&self) -> Place {
        Place::new(self.path())
    }

    /// The same world in another directory, as it is handed to another host: with the same database, and nothing that was published.
    pub(crate) fn twin(&self) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let copied = Command::new("cp").arg("-r").arg(self.path().join(".")).arg(directory.path()).status();
        assert!(copied.unwrap().success());
        Self { directory, world: self.world }
    }

    /// Works on the journal's database, behind everybody's back.
    pub(crate) fn behind<T>(&self, work: impl AsyncFnOnce(&mut AnyConnection) -> sqlx::Result<T>) -> T {
        let url = match Address::of(self.path()).unwrap() {
            Address::File(path) => format!("sqlite://{}", path.display()),
            Address::Server(url) => url,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            sqlx::any::install_default_drivers();
            let mut connection = AnyConnection::connect(&url).await.unwrap();
            let done = work(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            done
        })
    }

    /// Reads the journal as it is now for so long, behind everybody's back, where it is on a server.
    pub(crate) fn linger(&self, lasts: Duration) {
        self.behind(async |connection| {
            sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ").execute(&mut *connection).await?;
            sqlx::query("SELECT count(*) FROM journal").execute(&mut *connection).await?;
            tokio::time::sleep(lasts).await;
            sqlx::query("COMMIT").execute(connection).await
        });
    }

    /// Flips a bit of an entry.
    pub(crate) fn tamper(&self, place: i64) {
        self.behind(async |connection| {
            let sent = sqlx::query("SELECT sent FROM journal WHERE place = $1").bind(place);
            let mut sent: Vec<u8> = sent.fetch_one(&mut *connection).await?.get("sent");
            sent[60] ^= 1;
            let update = sqlx::query("UPDATE journal SET sent = $1 WHERE place = $2").bind(sent).bind(place);
            update.execute(connection).await
        });
    }

    /// Loses the entries from a place on.
    pub(crate) fn lose(&self, from: i64) {
        self.behind(async |connection| {
            sqlx::query("DELETE FROM journal WHERE place >= $1").bind(from).execute(connection).await
        });
    }

    pub(crate) fn serve(&self) -> Server {
        // Tests hand in as fast as they can.
        self.serve_with(&["--rate", "100000", "--burst", "100000"])
    }

    /// With these arguments besides.
    pub(crate) fn serve_with(&self, more: &[&str]) -> Server {
        self.serve_on("127.0.0.1:0", more)
    }

    /// At this address, with these arguments besides.
    pub(crate) fn serve_on(&self, listen: &str, more: &[&str]) -> Server {
        let mut process = program()
            .args(["serve", "--dir", self.dir(), "--listen", listen])
            .args(more)
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = lines.by_ref().find_map(|line| {
            let line = line.unwrap();
            said += &line;
            let address = line.split("http://").nth(1)?;
            Some(address.split_whitespace().next()?.to_owned())
        });
        // What it says later must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        Server { process, address: address.unwrap_or_else(|| panic!("it does not listen: {said}")) }
    }

    /// An act, signed with members' keys for a function.
    pub(crate) fn signed(&self, act: impl Into<Act>, function: Function, members: &[u16]) -> Signed {
        let keys: Vec<_> =
            members.iter().map(|&id| keys::read(&self.place().member(id, function)).unwrap()).collect();
        Signed::with(Object::new(self.world, act.into()).encode(), &keys)
    }

    /// Member 1's alert about one of its sites.
    pub(crate) fn alert(&self, number: u64, site: u16) -> Signed {
        self.alert_by(1, number, site)
    }

    /// A member's alert about one of its sites.
    pub(crate) fn alert_by(&self, member: u16, number: u64, site: u16) -> Signed {
        let prefix = format!("2001:db8:{member}{site:03x}::/48").parse().unwrap();
        let preamble = preamble(Party::Member(MemberId(member)), number, Purpose::Warning);
        let rating = Standard::first().rating(credence_credit::Score::new(400).unwrap());
        let act =
            OwnAlert { preamble, claim: claim(prefix), rating, measure: credence_credit::Measure::RateLimit };
        self.signed(act, Function::Alerts, &[member])
    }
}

pub(crate) fn preamble(issuer: Party, number: u64, purpose: Purpose) -> Preamble {
    Preamble { issuer, number, issued: now(), expires: now() + 86_400, registry: 1, purpose }
}

pub(crate) fn claim(prefix: credence_prefix::Prefix) -> Claim {
    Claim {
        subject: Block { prefix, learned: credence_credit::Learned::Default },
        item: credence_credit::Reason::Scanning as u16,
        catalogue: 1,
        standard: 1,
        evidence: credence_credit::EvidenceClass::Confirmed,
        seen_from: now() - 60,
        seen_until: now() - 60,
        commitment: [7; 32],
        repeats: None,
    }
}

pub(crate) fn id(signed: &Signed) -> ActId {
    act_id(signed.bytes())
}

/// The program at work; killed when this value goes.
pub(crate) struct Server {
    process: Child,
    address: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|fault| panic!("{fault}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Server {
    /// Where a page is.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Asks, or hands in.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &[u8]) -> std::io::Result<Answer> {
        self.ask_with(method, path, "", body)
    }

    /// With these lines in the head besides.
    pub(crate) fn ask_with(
        &self,
        method: &str,
        path: &str,
        more: &str,
        body: &[u8],
    ) -> std::io::Result<Answer> {
        ask(&self.address, method, path, more, body)
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, b"").unwrap()
    }

    #[track_caller]
    pub(crate) fn hand_in(&self, signed: &Signed) -> Answer {
        self.ask("POST", "/acts", &signed.encode()).unwrap()
    }

    /// Asks with a signature by the key in a file, made now.
    #[track_caller]
    pub(crate) fn get_signed(&self, world: World, key: &Path, path: &str) -> Answer {
        let (target, query) = path.split_once('?').unwrap_or((path, ""));
        let asked = Asked { method: "GET", path: target, query };
        let [input, signature] = sign(&keys::read(key).unwrap(), world, &asked, now(), rand::random());
        let more = format!("Signature-Input: {input}\r\nSignature: {signature}\r\n");
        self.ask_with("GET", path, &more, b"").unwrap()
    }

    /// Waits until it has published something for gateways.
    #[track_caller]
    pub(crate) fn has_published(&self) {
        let published = (0..1_000).any(|_| {
            let is = self.get("/feed/head").status == 200;
            is || {
                thread::sleep(Duration::from_millis(20));
                false
            }
        });
        assert!(published, "no head after twenty seconds");
    }

    pub(crate) fn process_id(&self) -> String {
        self.process.id().to_string()
    }

    /// Ends it without a word.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) {
        let asked = Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(asked.success() && self.process.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks whoever is at an address, with these lines in the head besides.
pub(crate) fn ask(
    address: &str,
    method: &str,
    path: &str,
    more: &str,
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n{more}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    // What is too large is answered before all of it was read.
    let _ = stream.write_all(body);
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer { status: status.unwrap(), head, body: bytes[end + 4..].to_vec() })
}
