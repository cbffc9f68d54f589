//! The follower, seen from the gateway: two pipes to a process that has met strangers.
//!
//! It is started before the gateway gives up its privileges. What it says is read by a thread of its own, so much a second and
//! no more; what it is told, it is told without waiting. Whatever becomes of it, what is in force stays.

use std::env;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use credence_engine::clock::Stopwatch;
use credence_sync::pipe::{self, Heard, LINE_LEN_MAX, Order, Report, Words};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tracing::warn;

use crate::config::Config;
use crate::follower;
use crate::sandbox::User;
use crate::serve::followed::Followed;

/// Reports that wait for the watch, which looks ten times a second.
const REPORTS_MAX: usize = 64;

/// How long the follower may take at the end, and how long to wait for room in its pipe.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Lines that are read between two rests, and how long a rest is: a follower that babbles costs a hundredth of a core.
const LINES: usize = 1_000;
const REST: Duration = Duration::from_secs(1);

/// The follower's pipes.
pub(super) struct Follower {
    orders: ChildStdin,
    says: Option<ChildStdout>,
    reports: Option<Receiver<Report>>,
    followed: Arc<Followed>,
    /// Whether it tells others what it is told, and keeps that until it has.
    has_outbox: bool,
    /// Never waited for: it ends with this process.
    _process: Child,
}

impl Follower {
    /// Starts it, where the configuration of `file` has something to fetch; the directory that both use is made.
    ///
    /// # Errors
    /// When the directory cannot be made or the program not be started.
    pub(super) fn start(
        config: &Config,
        file: &Path,
        followed: Arc<Followed>,
    ) -> anyhow::Result<Option<Self>> {
        if !config.sync.is_on() {
            return Ok(None);
        }
        let state = &config.sync.state;
        follower::make_state(state)?;
        if let Some(user) = config.sandbox.user.as_deref().map(User::named).transpose()? {
            [state.clone(), follower::lists(state), follower::feed(state)]
                .iter()
                .try_for_each(|made| user.own(made))?;
        }
        let mut command = Command::new(env::current_exe().context("this program has no file")?);
        command.args([follower::COMMAND, "--part", "supervisor", "--config"]).arg(file);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("the process that fetches cannot be started")?;
        let orders = process.stdin.take().context("it has no standard input")?;
        let says = process.stdout.take();
        let flags = fcntl_getfl(&orders).and_then(|flags| fcntl_setfl(&orders, flags | OFlags::NONBLOCK));
        flags.context("the gateway would wait for the process that fetches")?;
        let has_outbox = config.sync.outbox.is_on();
        Ok(Some(Self { orders, says, reports: None, followed, has_outbox, _process: process }))
    }

    /// Begins to read what it says.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn listen(&mut self) -> anyhow::Result<()> {
        let Some(says) = self.says.take() else { return Ok(()) };
        let (send, reports) = sync_channel(REPORTS_MAX);
        self.reports = Some(reports);
        let followed = Arc::clone(&self.followed);
        let thread = thread::Builder::new().name("credence-reports".to_owned());
        thread.spawn(move || read(says, &send, &followed)).context("no thread for what is fetched")?;
        Ok(())
    }

    /// The next of what it said, if there is any.
    pub(super) fn report(&self) -> Option<Report> {
        self.reports.as_ref().and_then(|reports| reports.try_recv().ok())
    }

    /// Tells it all of this, and that it was the last; waits until it has stored what it keeps and ended, for a while.
    pub(super) fn end(self, last: &[Order]) {
        let Self { mut orders, reports, has_outbox, followed, _process, .. } = self;
        followed.ends();
        if !has_outbox {
            return;
        }
        let clock = Stopwatch::start();
        let is_told = last.iter().all(|order| {
            let line = pipe::line(order).unwrap_or_default();
            // A pipe takes a line whole or not at all; what reads at the other end makes room.
            while let Err(error) = orders.write_all(&line) {
                if error.kind() != io::ErrorKind::WouldBlock || clock.elapsed() >= PATIENCE {
                    return false;
                }
                thread::sleep(LOOK_AGAIN);
            }
            true
        });
        drop(orders);
        // When nothing can be said any more, it is gone; what it still says concerns nobody.
        let is_gone = reports.is_none_or(|reports| {
            loop {
                match reports.recv_timeout(PATIENCE.saturating_sub(clock.elapsed())) {
                    Ok(_) => {}
                    Err(gone) => break gone == RecvTimeoutError::Disconnected,
                }
            }
        });
        if !(is_told && is_gone) {
            warn!(
                "the process that tells others did not store all that it was told last: the newest alerts and accounts may be lost"
            );
        }
    }

    /// Tells it something; whether it took that. It is not waited for.
    pub(super) fn order(&mut self, order: &Order) -> bool {
        // A pipe takes a line whole or not at all.
        let is_told = pipe::line(order).and_then(|line| self.orders.write_all(&line)).is_ok();
        if !is_told {
            self.followed.untold.fetch_add(1, Relaxed);
        }
        is_told
    }
}

/// Reads until the other end is gone for good.
fn read(says: impl Read, send: &SyncSender<Report>, followed: &Followed) {
    let mut words = Words::new(BufReader::with_capacity(LINE_LEN_MAX, says));
    for line in 1_usize.. {
        match words.hear() {
            // Where the watch is busy, what fetches waits.
            Ok(Some(Heard::Word(report))) => {
                if send.send(report).is_err() {
                    return;
                }
            }
            Ok(Some(Heard::Garbage)) => {
                followed.garbage.fetch_add(1, Relaxed);
            }
            Ok(None) | Err(_) => {
                if followed.falls_silent() {
                    warn!(
                        "the process that starts whoever fetches has died, and the sandbox forbids another: what is in force stays, and \
                         nothing is fetched or told any more until this gateway is started again"
                    );
                }
                return;
            }
        }
        if line.is_multiple_of(LINES) {
            thread::sleep(REST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_counted_and_costs_nothing_else() {
        let word = pipe::line(&Report::Started { count: 2 }).unwrap();
        let said = [
            b"\0\xff{]\n".as_slice(),
            &word,
            &[b'x'; 9_000],
            b"\n{\"report\":\"offered\",\"source\":\"bad\",\"serial\":1,\"snapshot\":\"/etc/shadow\"}\n",
            &word,
            b"{\"report\":\"start",
        ]
        .concat();
        let (send, reports) = sync_channel(REPORTS_MAX);
        let followed = Followed::default();
        read(said.as_slice(), &send, &followed);
        drop(send);
        let started = Report::Started { count: 2 };
        assert_eq!(reports.into_iter().collect::<Vec<_>>(), [started.clone(), started.clone()]);
        assert_eq!(followed.garbage.load(Relaxed), 3);
        followed.heard(&started);
        assert!(followed.told().is_some_and(|told| told.is_cut_off));
    }

    #[test]
    fn who_ends_with_the_gateway_has_not_left_it() {
        let (send, _reports) = sync_channel(REPORTS_MAX);
        let followed = Followed::default();
        followed.ends();
        read(pipe::line(&Report::Started { count: 1 }).unwrap().as_slice(), &send, &followed);
        followed.heard(&Report::Started { count: 1 });
        assert!(followed.told().is_some_and(|told| !told.is_cut_off));
    }
}
