//! All tests of this program once more, on a real PostgreSQL: one cluster for all, one database for each world.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use std::{env, fs, thread};

use credence_credit::ActId;
use rustix::process::geteuid;
use sqlx::{AnyConnection, Row};

use super::world::{Server, Site, id, run, told};

/// Makes a cluster in a directory of its own, says where, and takes it away when whoever asked is gone: the pipe to its standard
/// input is closed then, in whatever way that process ended.
///
/// The cluster listens on a socket in that directory alone. It need not survive the machine, so that nothing waits for the disk.
const CLUSTER: &str = r#"
trap '' INT
directory=$(mktemp -d) || exit 1
"$1/initdb" -D "$directory/data" -A trust -U postgres -N -E UTF8 --locale=C --no-instructions --wal-segsize=1 >&2 || exit 1
begin() {
    "$1/pg_ctl" -s -w -D "$directory/data" -l "$directory/log" \
        -o "-F -k $directory -c listen_addresses='' -c shared_buffers=32MB -c max_connections=200" start >&2
}
begin "$1" || exit 1
echo "$directory"
# Each line says how to stop it, and after how many seconds it is started again; the answer says that it was.
while read -r how seconds; do
    "$1/pg_ctl" -s -D "$directory/data" -m "$how" stop >&2
    sleep "$seconds"
    begin "$1" && echo again
done
"$1/pg_ctl" -s -D "$directory/data" -m immediate stop
rm -rf "$directory"
"#;

/// Where the tests find the cluster: its programs, and the directory of its socket.
const PROGRAMS: &str = "CREDENCE_TEST_PG_PROGRAMS";
const SOCKET: &str = "CREDENCE_TEST_PG_SOCKET";

/// A running cluster.
pub(super) struct Cluster {
    programs: PathBuf,
    socket: String,
    shell: Child,
    said: BufReader<ChildStdout>,
}

impl Cluster {
    /// The URL of a new, empty database.
    pub(super) fn database(&self) -> String {
        create(&self.programs, &self.socket)
    }

    /// Stops it in one of the ways that `pg_ctl` knows, and starts it again after so many seconds.
    fn restart(&mut self, how: &str, seconds: u8) {
        writeln!(self.shell.stdin.as_mut().unwrap(), "{how} {seconds}").unwrap();
        let mut answer = String::new();
        self.said.read_line(&mut answer).unwrap();
        assert_eq!(answer, "again\n");
    }
}

/// Closes the pipe, and waits until the cluster is gone.
impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // A shell that ended by itself has taken the cluster along.
        let _ = self.shell.wait();
    }
}

/// The newest PostgreSQL of this host; Debian keeps its programs apart by version.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists());
    found.max().expect("PostgreSQL is not installed: `apt-get install postgresql`, or run `cargo xtask test`")
}

pub(super) fn start() -> Cluster {
    let programs = programs();
    // The server refuses to run as root.
    let mut command = if geteuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    command.args(["-c", CLUSTER, "cluster"]).arg(&programs).current_dir("/");
    let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell runs");
    let said = BufReader::new(shell.stdout.take().unwrap());
    let mut cluster = Cluster { programs, socket: String::new(), shell, said };
    cluster.said.read_line(&mut cluster.socket).unwrap();
    assert!(!cluster.socket.is_empty(), "PostgreSQL does not start");
    cluster.socket.truncate(cluster.socket.trim_end().len());
    cluster
}

/// The URL of a new, empty database where this process runs on PostgreSQL.
pub(crate) fn database() -> Option<String> {
    let (programs, socket) = (env::var_os(PROGRAMS)?, env::var(SOCKET).ok()?);
    Some(create(Path::new(&programs), &socket))
}

fn create(programs: &Path, socket: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let made = Command::new(programs.join("createdb"))
        .args(["-h", socket, "-U", "postgres", &name])
        .status()
        .expect("createdb runs");
    assert!(made.success(), "no database {name}");
    format!("postgres:///{name}?host={socket}&user=postgres")
}

#[test]
fn all_of_it_holds_on_postgresql() {
    let cluster = start();
    let ended = Command::new(env::current_exe().unwrap())
        // Pages are drawn alike from either.
        .args(["--skip", "postgres::", "--skip", "several::", "--skip", "portal::"])
        .env(PROGRAMS, &cluster.programs)
        .env(SOCKET, &cluster.socket)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    println!("{said}");
    assert!(ended.status.success(), "not all of it holds on PostgreSQL");
    assert!(!said.contains("running 0 tests"), "nothing was run");
}

/// The connection that writes, as others see it in the database.
const WRITERS: &str = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted \
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Ends the connection that writes.
async fn cut(connection: &mut AnyConnection) -> sqlx::Result<bool> {
    let cut = format!("SELECT count(pg_terminate_backend(pid)) AS cut FROM ({WRITERS}) AS writers");
    let row = sqlx::query(sqlx::AssertSqlSafe(cut)).fetch_one(connection).await?;
    Ok(row.try_get::<i64, _>("cut")? > 0)
}

/// Three members that hand in one alert after another, each again until it is taken, until they are told to end.
struct Load<'s> {
    site: &'s Site,
    server: &'s Server,
    is_over: AtomicBool,
    put_off: AtomicU64,
    taken: Mutex<Vec<ActId>>,
}

impl Load<'_> {
    fn by(&self, member: u16) {
        for number in 1.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let alert = self.site.alert_by(member, number, number as u16 % 4_096);
            loop {
                let answer = self.server.hand_in(&alert);
                match answer.status {
                    200 | 201 => break self.taken.lock().unwrap().push(id(&alert)),
                    503 => self.put_off.fetch_add(1, Ordering::Relaxed),
                    _ => panic!("{}", answer.text()),
                };
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Waits until so many more were taken.
    fn go_on(&self, more: usize) {
        let due = self.taken.lock().unwrap().len() + more;
        let is_there = || self.taken.lock().unwrap().len() >= due;
        assert!((0..6_000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            is_there()
        }));
    }
}

#[test]
fn a_lost_connection_loses_nothing_and_doubles_nothing() {
    let mut cluster = start();
    let site = Site::on(Some(&cluster.database()));
    let server = site.serve();
    let (is_over, put_off, taken) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::default());
    let load = Load { site: &site, server: &server, is_over, put_off, taken };
    thread::scope(|scope| {
        for member in 1..=3 {
            let load = &load;
            scope.spawn(move || load.by(member));
        }
        for round in 0..20 {
            load.go_on(5 + round % 7);
            assert!(site.behind(cut), "nobody writes");
        }
        assert_eq!(
            load.put_off.load(Ordering::Relaxed),
            0,
            "a database that is there at once is not noticed"
        );
        for (how, seconds) in [("fast", 0), ("immediate", 0), ("immediate", 4)] {
            load.go_on(5);
            cluster.restart(how, seconds);
        }
        load.go_on(20);
        assert!(load.put_off.load(Ordering::Relaxed) > 0, "four seconds are too long to wait for");
        load.is_over.store(true, Ordering::Relaxed);
    });
    // While nobody hands anything in it is noticed as well.
    assert!(site.behind(cut));
    assert_eq!(server.hand_in(&site.alert_by(4, 1, 1)).status, 201);
    let taken = load.taken.into_inner().unwrap();
    for id in &taken {
        assert_eq!(server.get(&format!("/acts/{id}")).status, 200, "{id} was acknowledged and is gone");
    }
    let size: usize = server.get("/log/checkpoint").text().lines().nth(1).unwrap().parse().unwrap();
    assert_eq!(size, 4 + taken.len() + 1, "nothing is there twice, or that nobody was told of");
    println!("{} acts were taken, {} times somebody was put off", taken.len(), load.put_off.into_inner());
    server.stop();
    let verified = run(&["verify", "--dir", site.dir()]);
    assert!(verified.status.success(), "{}", told(&verified));
}

#[test]
fn a_platform_does_not_go_on_behind_what_another_has_written() {
    let cluster = start();
    let site = Site::on(Some(&cluster.database()));
    let server = site.serve();
    assert_eq!(server.hand_in(&site.alert(1, 1)).status, 201);
    site.behind(async |connection| {
        // Whoever asks in the moment in which the lock is free has it.
        let key = i64::from_be_bytes(*b"credence");
        loop {
            cut(connection).await?;
            let held = sqlx::query("SELECT pg_try_advisory_lock($1) AS is_held").bind(key);
            if held.fetch_one(&mut *connection).await?.try_get("is_held")? {
                break;
            }
        }
        let other = "INSERT INTO journal SELECT place + 1, accepted, decode(repeat('07', 32), 'hex'), salt, sent \
                     FROM journal ORDER BY place DESC LIMIT 1";
        sqlx::query(other).execute(connection).await
    });
    let is_ready = || server.get("/readyz").status == 200;
    assert!((0..1_000).any(|_| {
        thread::sleep(Duration::from_millis(10));
        !is_ready()
    }));
    let answer = server.hand_in(&site.alert(2, 2));
    assert_eq!((answer.status, &answer.json()["refusal"]), (503, &"failed".into()));
    let given_up = (0..1_000).any(|_| {
        thread::sleep(Duration::from_millis(10));
        server.get("/readyz").text().contains("somebody else has written")
    });
    assert!(given_up && !is_ready());
    assert_eq!(server.get("/subjects/2001:db8:1001::1").json()["score"], 520, "what is there is still read");
}
