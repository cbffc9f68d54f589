//! Starts the follower again whenever it dies.

use std::env;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use credence_engine::clock::Stopwatch;
use credence_sync::pipe::Report;
use tracing::warn;

use super::report;
use crate::exit::Exit;

/// The command that this program is started with once more.
pub(crate) const COMMAND: &str = "sync";

/// How long it rests after the first death in a row, and at most.
const REST: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Whoever lived as long as this did not die of what the one before died of.
const LONG: Duration = Duration::from_secs(600);

/// Starts the follower with the pipes of this process, and again whenever it dies, until it ends because the gateway has.
pub(super) fn supervise(config: &Path) -> anyhow::Result<Exit> {
    let program = env::current_exe().context("this program has no file")?;
    // What dies of what it was offered is the gateway, and not the follower, which is started again for the same one.
    let gateway = RandomState::new().hash_one(0).to_string();
    let mut deaths = 0;
    for count in 1.. {
        // Where nobody listens any more, the gateway is gone.
        report(&Report::Started { count }).context("nobody listens")?;
        let clock = Stopwatch::start();
        let mut command = Command::new(&program);
        command.args([COMMAND, "--part", "follower", "--config"]).arg(config).args(["--gateway", &gateway]);
        let told = match command.status() {
            Ok(status) if status.success() => break,
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        deaths = if clock.elapsed() >= LONG { 1 } else { deaths + 1 };
        let rest = rest(deaths);
        warn!("what follows others ended ({told}) and is started again in {} s", rest.as_secs());
        thread::sleep(rest);
    }
    Ok(Exit::Done)
}

/// How long to wait after so many deaths in a row.
fn rest(deaths: u32) -> Duration {
    let [first, most] = REST;
    first.saturating_mul(1 << deaths.saturating_sub(1).min(30)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_up_to_a_minute() {
        let rests: Vec<u64> = (1..=8).map(|deaths| rest(deaths).as_secs()).collect();
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(rest(u32::MAX), REST[1]);
    }
}
