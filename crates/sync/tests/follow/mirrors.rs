//! Mirrors on the network and in directories: a real client, its directory, and just what it asked for.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use credence_sync::feed::evidence::kept_evidence;
use credence_sync::feed::{Client, Folder, Mirror, Offer, Plan, Timings, Told};
use credence_sync::fetch::{Fetcher, Patience, Refused};
use credence_sync::lists::Machine;
use tempfile::TempDir;

use crate::rounds::{followed, forged};
use crate::stage::{BEGIN, Gateway, Publisher};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Tests have less of it than gateways.
const PATIENCE: Patience =
    Patience { connect: ms(1_000), idle: ms(1_500), total: ms(20_000), window: ms(300), least: 2_000 };

/// What a server does in the place of answering.
type Play = fn(&mut TcpStream);
/// What it does about a path: none for what it should.
type Trick = Option<(String, Play)>;
/// And why that is not taken.
type Tried = (Play, Refused);

/// A server of a publisher's files, which plays a trick in one place.
struct Server {
    address: String,
    trick: Arc<Mutex<Trick>>,
    asked: Receiver<String>,
}

impl Server {
    fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (send, asked) = channel();
        let trick = Arc::<Mutex<Trick>>::default();
        let played = Arc::clone(&trick);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (mut request, mut byte) = (Vec::new(), [0]);
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
                    request.push(byte[0]);
                }
                let request = String::from_utf8(request).unwrap();
                let path = request.split(' ').nth(1).unwrap()[1..].to_owned();
                // Whoever listened has heard enough.
                let _ = send.send(path.clone());
                let trick = played.lock().unwrap().clone();
                match (trick, files.get(&path)) {
                    (Some((at, play)), _) if at == path => play(&mut stream),
                    (_, Some(bytes)) => say(&mut stream, "200 OK", bytes),
                    (_, None) => say(&mut stream, "404 Not Found", b""),
                }
            }
        });
        Self { address, trick, asked }
    }

    fn plays(&self, path: &str, play: Play) {
        *self.trick.lock().unwrap() = Some((path.to_owned(), play));
    }

    fn asked(&self) -> Vec<String> {
        self.asked.try_iter().collect()
    }
}

fn say(stream: &mut TcpStream, status: &str, bytes: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
    // Whoever asked may have left.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(bytes));
}

fn begin(stream: &mut TcpStream, head: &str) {
    let _ = stream.write_all(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes());
}

/// What a mirror of plain files has: no proof of consistency, and the log's tiles.
pub(crate) fn files(publisher: &Publisher) -> BTreeMap<String, Vec<u8>> {
    let (signed, head) = publisher.head();
    let mut files = BTreeMap::from([("feed/head".to_owned(), signed.encode())]);
    for (number, entry) in publisher.feed.rules().entries().iter().enumerate() {
        files.insert(format!("feed/rules/{number}"), entry.encode());
    }
    let list = publisher.list();
    let named = [&head.snapshot].into_iter().chain(head.deltas.iter().map(|delta| &delta.file));
    for file in named.chain(list.shards.0.iter().map(|shard| &shard.file)) {
        let bytes = publisher.feed.file(&file.hash).unwrap().to_vec();
        files.insert(format!("feed/files/{}", file.name()), bytes);
    }
    for tile in credence_feed::tiles::tiles_since(0, head.log_size) {
        files.insert(format!("log/{tile}"), publisher.desk.log().tile(&tile).unwrap());
    }
    files
}

/// A client of mirrors, at the time of the tests, with what it keeps in a directory.
fn client(publisher: &Publisher, mirrors: &[&str], kept: &Path) -> Client {
    let pinned = Gateway::new(publisher).pinned;
    let mirrors = mirrors.iter().map(|mirror| Mirror::parse(mirror, false).unwrap()).collect();
    let plan = Plan { pinned, mirrors, timings: Timings::default() };
    let machine = Machine { unix_s: || BEGIN + 60, chance: || 7 };
    Client::new(Fetcher::new(PATIENCE).unwrap(), plan, Folder::new(kept).unwrap(), machine)
}

fn ask(client: &mut Client) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(client.ask()).unwrap()
}

/// That something of this serial has come.
#[track_caller]
fn is_new(told: Told, serial: u64) {
    assert!(matches!(told, Told::New(Offer { serial: came, .. }) if came == serial), "{told:?}");
}

/// All files of a directory, with their bytes.
fn disk(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// Endless and slow answers, bombs, redirects, and whatever else is none: in each place of a round.
#[test]
pub(crate) fn whatever_a_mirror_does_with_its_answers_nothing_changes() {
    let (publisher, gateway) = followed();
    let site = TempDir::new().unwrap();
    for (name, bytes) in &gateway.disk.0 {
        fs::write(site.path().join(name), bytes).unwrap();
    }
    let (before, server) = (disk(site.path()), Server::start(files(&publisher)));
    let (_, head) = publisher.head();
    let file = |file: &credence_feed::FileRef| format!("feed/files/{}", file.name());
    let (delta, list) = (file(head.way_from(head.serial - 1).unwrap()[0]), file(&head.snapshot));
    let order = ["feed/rules/4", "feed/head", "log/consistency/5/6", "log/tile/0/000.p/6", &delta, &list];
    let tricks: [Tried; 14] = [
        (
            |stream| {
                begin(stream, "200 OK\r\nTransfer-Encoding: chunked");
                let chunk = [&b"10000\r\n"[..], &vec![b'x'; 1 << 16], b"\r\n"].concat();
                while stream.write_all(&chunk).is_ok() {}
            },
            Refused::TooLong,
        ),
        (|stream| begin(stream, "200 OK\r\nContent-Length: 99999999999"), Refused::TooLong),
        (
            |stream| {
                begin(stream, "200 OK\r\nContent-Length: 90");
                thread::sleep(ms(2_500));
            },
            Refused::Idle,
        ),
        (
            |stream| {
                begin(stream, "200 OK\r\nContent-Length: 30");
                while stream.write_all(b"x").is_ok() {
                    thread::sleep(ms(90));
                }
            },
            Refused::Slow,
        ),
        (|stream| begin(stream, "200 OK\r\nContent-Length: 30"), Refused::Cut),
        (|stream| begin(stream, "302 Found\r\nLocation: http://127.0.0.2:1/feed/head"), Refused::Redirect),
        (|stream| begin(stream, "302 Found\r\nLocation: file:///etc/passwd"), Refused::Redirect),
        (|stream| begin(stream, "200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0"), Refused::Encoded),
        (|stream| begin(stream, "304 Not Modified"), Refused::Unasked),
        (|stream| begin(stream, "200 OK\r\nContent-Type: text/html\r\nContent-Length: 0"), Refused::Page),
        (
            |stream| begin(stream, "503 Service Unavailable\r\nRetry-After: 9\r\nContent-Length: 0"),
            Refused::Busy,
        ),
        (|stream| begin(stream, "403 Forbidden\r\nContent-Length: 0"), Refused::Status),
        (|stream| drop(stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")), Refused::Malformed),
        (|stream| drop(stream.shutdown(std::net::Shutdown::Both)), Refused::Unreachable),
    ];
    let mut client = client(&publisher, &[&server.address], site.path());
    for (number, (play, why)) in tricks.into_iter().enumerate() {
        // Each trick in one place of the round, and the first two everywhere.
        let places = order.iter().enumerate().take(5).filter(|(place, _)| number < 2 || number % 5 == *place);
        for (place, path) in places {
            server.plays(path, play);
            assert_eq!(ask(&mut client), Told::Refused(0, why), "{path} {number}");
            let mut asked = order[..=place].to_vec();
            if why == Refused::Unreachable {
                // Whoever hung up may not have heard: it is asked once more.
                asked.extend_from_within(place..);
            }
            assert_eq!(server.asked(), asked, "{number}");
            assert_eq!(disk(site.path()), before, "{path} {number}");
        }
    }
    *server.trick.lock().unwrap() = None;
    is_new(ask(&mut client), head.serial);
    assert_eq!(server.asked(), order[..5]);
}

fn write(files: &BTreeMap<String, Vec<u8>>, to: &Path) {
    for (path, bytes) in files {
        let path = to.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// A directory is a mirror like any other: followed the same way, refused the same way.
#[test]
pub(crate) fn a_directory_is_followed_and_believed_no_more_than_a_server() {
    let (mut publisher, _) = followed();
    publisher.attest(0);
    publisher.publish();
    let (site, stick) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let address = format!("file://{}", stick.path().display());
    let (_, head) = publisher.head();
    let mut client = client(&publisher, &[&address], site.path());
    assert_eq!(ask(&mut client), Told::Refused(0, Refused::Law), "there is nothing");
    let whole = files(&publisher);
    for path in whole.keys() {
        // Without one of its files, or with one bit of it flipped, or longer.
        let is_needed =
            !path.starts_with("log/") && head.deltas.iter().all(|way| !path.ends_with(&way.file.name()));
        for spoil in [
            (|_| None) as fn(Vec<u8>) -> Option<Vec<u8>>,
            |mut bytes| {
                // Within what is signed: of signatures there may be more than it takes.
                bytes[30] ^= 4;
                Some(bytes)
            },
            |bytes| Some([bytes, vec![0; 1 << 21]].concat()),
        ] {
            let (kept, stick) = (TempDir::new().unwrap(), TempDir::new().unwrap());
            let mut files = whole.clone();
            let bytes = files.remove(path).unwrap();
            files.extend(spoil(bytes).map(|bytes| (path.clone(), bytes)));
            write(&files, stick.path());
            let address = format!("file://{}", stick.path().display());
            let mut other = self::client(&publisher, &[&address], kept.path());
            let told = ask(&mut other);
            if is_needed {
                assert!(matches!(told, Told::Refused(..)), "{path}: {told:?}");
                assert!(disk(kept.path()).keys().all(|name| name == "rules"), "{path}");
            } else {
                // It is not asked for at first.
                is_new(told, head.serial);
            }
        }
    }
    write(&whole, stick.path());
    is_new(ask(&mut client), head.serial);
    assert_eq!(ask(&mut client), Told::Fresh(BEGIN + 60));
    // An older stick, and a newer one, whose log is shown by its tiles.
    publisher.alert(3, 3);
    publisher.now += 1;
    publisher.publish();
    write(&files(&publisher), stick.path());
    is_new(ask(&mut client), head.serial + 1);
    write(&whole, stick.path());
    let before = disk(site.path());
    assert_eq!(ask(&mut client), Told::Refused(0, Refused::Rollback));
    assert_eq!(disk(site.path()), before);
    // What is no file is not waited for.
    fs::remove_file(stick.path().join("feed/head")).unwrap();
    fs::create_dir(stick.path().join("feed/head")).unwrap();
    assert_eq!(ask(&mut client), Told::Refused(0, Refused::Status));
    assert_eq!(disk(site.path()), before);
    for wrong in ["file://host/media/stick", "file://", "file:stick", "ftp://host/"] {
        assert!(Mirror::parse(wrong, true).is_err(), "{wrong}");
    }
}

/// Two heads of one version from two mirrors: the one that came first stays, and both lie in a file that its group may read.
#[test]
pub(crate) fn evidence_lies_in_a_file_of_its_own() {
    let (publisher, _) = followed();
    let (site, one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let good = files(&publisher);
    let other = forged(&publisher, &[&publisher.operator()], |head| head.expires -= 1);
    let mut bad = good.clone();
    bad.insert("feed/head".to_owned(), other.encode());
    write(&good, one.path());
    write(&bad, two.path());
    let [one, two] = [&one, &two].map(|directory| format!("file://{}", directory.path().display()));
    let mut client = client(&publisher, &[&one, &two], site.path());
    let (_, head) = publisher.head();
    is_new(ask(&mut client), head.serial);
    assert_eq!(client.evidence().unwrap(), 0);
    let mut client = self::client(&publisher, &[&two, &one], site.path());
    assert_eq!(ask(&mut client), Told::Refused(0, Refused::Equivocation));
    assert_eq!(client.evidence().unwrap(), 1);
    assert_eq!(ask(&mut client), Told::Fresh(BEGIN + 60), "the other mirror is asked");
    let [name] = &kept_evidence(&Folder::to_read(site.path())).unwrap()[..] else { panic!("one file") };
    let mode = fs::metadata(site.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let text = fs::read_to_string(site.path().join(name)).unwrap();
    assert!(text.contains(&two) && text.contains("\"deceit\": \"heads\""), "{text}");
}
