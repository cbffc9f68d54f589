//! Programs run for a while and ended for certain: each in a process group of its own, under a time limit, with nothing
//! left running behind it whether it ends well, badly, too late or by Ctrl-C.

use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::sys;

/// Time between two looks at a child.
const POLL: Duration = Duration::from_millis(25);

/// Time between two looks at a child whose time is measured: looking costs little, and the wall clock must not be coarse.
const GLANCE: Duration = Duration::from_millis(1);

/// Time a group gets between the request to end and the end.
const GRACE: Duration = Duration::from_secs(2);

/// The present instant: chores measure real work, so this is one of the places that ask the machine.
#[expect(clippy::disallowed_methods, reason = "chores measure and limit real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Sleeps, and fails as soon as the program was interrupted.
pub(crate) fn pause(time: Duration) -> Result<()> {
    let until = now() + time;
    loop {
        ensure!(!sys::interrupted(), "interrupted");
        let left = until.saturating_duration_since(now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(POLL));
    }
}

/// A child with its whole process group, which ends with this value.
struct Group(Child);

impl Group {
    fn spawn(command: &mut Command) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", shown(command)))?;
        Ok(Self(child))
    }

    fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = now() + limit;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            ensure!(!sys::interrupted(), "interrupted");
            ensure!(now() < deadline, "took longer than its limit of {} s", limit.as_secs());
            thread::sleep(POLL);
        }
    }
}

impl Drop for Group {
    /// Asks the group to end, then ends it: also what a finished child left in the background.
    fn drop(&mut self) {
        let group = self.0.id();
        if matches!(self.0.try_wait(), Ok(None)) {
            sys::signal_group(group, libc::SIGTERM);
            let deadline = now() + GRACE;
            while matches!(self.0.try_wait(), Ok(None)) && now() < deadline {
                thread::sleep(POLL);
            }
        }
        sys::signal_group(group, libc::SIGKILL);
        // The status of a child that was just killed says nothing that the caller does not know.
        let _ = self.0.wait();
    }
}

/// A command as one would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Runs a command with its output shown.
///
/// # Errors
/// When it cannot be started, fails, takes longer than `limit`, or the program is interrupted.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<()> {
    let status = Group::spawn(command)?.wait(limit).with_context(|| shown(command))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs a command and returns its standard output; standard error is shown.
///
/// # Errors
/// As [`run`].
pub(crate) fn read(command: &mut Command, limit: Duration) -> Result<String> {
    let (status, text) = collect(command.stdout(Stdio::piped()), limit)?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(text)
}

/// What a program took from the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Processor time of all its threads, the user's and the system's.
    pub(crate) cpu: Duration,
    /// Time from its start to its end.
    pub(crate) wall: Duration,
    /// The most memory that it had resident, in bytes.
    pub(crate) peak_bytes: u64,
}

/// Runs a command and returns what it took.
///
/// # Errors
/// As [`run`].
pub(crate) fn measure(command: &mut Command, limit: Duration) -> Result<Usage> {
    let started = now();
    let group = Group::spawn(command)?;
    loop {
        if let Some((status, cpu, peak_bytes)) = sys::reap(group.0.id())? {
            let wall = started.elapsed();
            ensure!(status.success(), "`{}` ended with {status}", shown(command));
            return Ok(Usage { cpu, wall, peak_bytes });
        }
        ensure!(!sys::interrupted(), "interrupted");
        ensure!(started.elapsed() < limit, "took longer than its limit of {} s", limit.as_secs());
        thread::sleep(GLANCE);
    }
}

/// Runs a command in silence and returns whether it succeeded; one that cannot be started did not.
pub(crate) fn succeeds(command: &mut Command, limit: Duration) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Group::spawn(command).and_then(|mut group| group.wait(limit)).is_ok_and(|status| status.success())
}

fn collect(command: &mut Command, limit: Duration) -> Result<(ExitStatus, String)> {
    let mut group = Group::spawn(command)?;
    let mut pipe = group.0.stdout.take().context("the output of a child is piped")?;
    let reader = thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).map(|_| text)
    });
    let status = group.wait(limit).with_context(|| shown(command));
    // Ends whatever still holds the pipe, so that the reader sees its end.
    drop(group);
    let text = reader.join().map_err(|_| anyhow::anyhow!("the reader of a child's output panicked"))??;
    Ok((status?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_failure_are_told() {
        assert_eq!(read(&mut sh("echo yes"), 10 * SECOND).unwrap(), "yes\n");
        let failure = run(&mut sh("exit 7"), 10 * SECOND).unwrap_err();
        assert!(failure.to_string().contains("exit status: 7"), "{failure}");
        assert!(succeeds(&mut sh("true"), 10 * SECOND));
        assert!(!succeeds(&mut Command::new("no-such-program"), 10 * SECOND));
    }

    #[test]
    fn what_a_program_took_is_measured() {
        let idle = measure(&mut sh("sleep 0.05"), 10 * SECOND).unwrap();
        let busy =
            measure(&mut sh("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"), 60 * SECOND).unwrap();
        assert!(idle.wall >= SECOND / 20 && idle.cpu < SECOND / 20, "{idle:?}");
        assert!(busy.cpu > idle.cpu && busy.peak_bytes > 100_000, "{busy:?}");
        let failure = measure(&mut sh("exit 7"), 10 * SECOND).unwrap_err();
        assert!(failure.to_string().contains("exit status: 7"), "{failure}");
    }

    #[test]
    fn a_limit_ends_the_whole_group() {
        let started = now();
        let failure = run(&mut sh("sleep 60 & sleep 60"), SECOND / 5).unwrap_err();
        assert!(format!("{failure:#}").contains("limit"), "{failure:#}");
        assert!(started.elapsed() < 10 * SECOND);
    }

    #[test]
    fn what_a_finished_child_left_behind_ends_too() {
        let text = read(&mut sh("sleep 60 & echo $!"), 10 * SECOND).unwrap();
        let stat = std::path::PathBuf::from(format!("/proc/{}/stat", text.trim()));
        let ended = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        let deadline = now() + 5 * SECOND;
        while !ended() {
            assert!(now() < deadline, "the background child still runs");
            thread::sleep(POLL);
        }
    }
}
