//! The program `nft`.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// Where administrators' programs lie, for those whose path does not say so.
const PLACES: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Gives `text` to the program, which does all of it or nothing.
///
/// # Errors
/// When there is no such program, or with what it says.
pub(crate) fn apply(text: &str) -> io::Result<()> {
    run(&["-f", "-"], text)
}

/// Whether the program is here and may change the rules of this network namespace, which stay as they are.
///
/// # Errors
/// When it is not, or with what it says.
pub(crate) fn try_out() -> io::Result<()> {
    let text = "table ip6 credence/tried {\n\
                map tried { type ipv6_addr : verdict; flags interval,timeout; }\n\
                chain tried { type filter hook prerouting priority raw; policy accept; ip6 saddr vmap @tried; }\n}\n";
    run(&["--check", "-f", "-"], text)
}

fn run(arguments: &[&str], text: &str) -> io::Result<()> {
    let mut command = Command::new(program());
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            io::Error::new(error.kind(), format!("the program nft cannot be started: {error}"))
        })?;
    // It may end before it has read everything, and then says why.
    let written = child.stdin.take().map_or(Ok(()), |mut to| to.write_all(text.as_bytes()));
    let output = child.wait_with_output()?;
    if output.status.success() {
        return written;
    }
    let told = String::from_utf8_lossy(&output.stderr);
    let first = told.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
    Err(io::Error::other(format!("nft says: {}", first.trim())))
}

/// The program, by its place where the path does not lead to it.
fn program() -> String {
    let on_path = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|place| place.join("nft").is_file()));
    let elsewhere =
        PLACES.iter().map(|place| format!("{place}/nft")).find(|place| Path::new(place).is_file());
    if on_path { "nft".to_owned() } else { elsewhere.unwrap_or_else(|| "nft".to_owned()) }
}
