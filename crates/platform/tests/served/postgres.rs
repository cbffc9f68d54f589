//! All tests of this program once more, on a real PostgreSQL: one cluster for all, one database for each world.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs};

use rustix::process::geteuid;

/// Makes a cluster in a directory of its own, says where, and takes it away when whoever asked is gone: the pipe to its standard
/// input is closed then, in whatever way that process ended.
///
/// The cluster listens on a socket in that directory alone. It need not survive the machine, so that nothing waits for the disk.
const CLUSTER: &str = r#"
trap '' INT
directory=$(mktemp -d) || exit 1
"$1/initdb" -D "$directory/data" -A trust -U postgres -N -E UTF8 --locale=C --no-instructions --wal-segsize=1 >&2 || exit 1
"$1/pg_ctl" -s -w -D "$directory/data" -l "$directory/log" \
    -o "-F -k $directory -c listen_addresses='' -c shared_buffers=32MB -c max_connections=200" start || exit 1
echo "$directory"
read -r _
"$1/pg_ctl" -s -D "$directory/data" -m immediate stop
rm -rf "$directory"
"#;

/// Where the tests find the cluster: its programs, and the directory of its socket.
const PROGRAMS: &str = "CREDENCE_TEST_PG_PROGRAMS";
const SOCKET: &str = "CREDENCE_TEST_PG_SOCKET";

/// A running cluster.
struct Cluster {
    programs: PathBuf,
    socket: String,
    shell: Child,
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

fn start() -> Cluster {
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
    let shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell runs");
    let mut cluster = Cluster { programs, socket: String::new(), shell };
    let said = cluster.shell.stdout.take().unwrap();
    BufReader::new(said).read_line(&mut cluster.socket).unwrap();
    assert!(!cluster.socket.is_empty(), "PostgreSQL does not start");
    cluster.socket.truncate(cluster.socket.trim_end().len());
    cluster
}

/// The URL of a new, empty database where this process runs on PostgreSQL.
pub(crate) fn database() -> Option<String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let (programs, socket) = (env::var_os(PROGRAMS)?, env::var(SOCKET).ok()?);
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let made = Command::new(PathBuf::from(programs).join("createdb"))
        .args(["-h", &socket, "-U", "postgres", &name])
        .status()
        .expect("createdb runs");
    assert!(made.success(), "no database {name}");
    Some(format!("postgres:///{name}?host={socket}&user=postgres"))
}

#[test]
fn all_of_it_holds_on_postgresql() {
    let cluster = start();
    let ended = Command::new(env::current_exe().unwrap())
        // Pages are drawn alike from either.
        .args(["--skip", "postgres::", "--skip", "portal::"])
        .env(PROGRAMS, &cluster.programs)
        .env(SOCKET, &cluster.socket)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    println!("{said}");
    assert!(ended.status.success(), "not all of it holds on PostgreSQL");
    assert!(!said.contains("running 0 tests"), "nothing was run");
}
