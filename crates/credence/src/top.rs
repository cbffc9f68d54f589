//! `credence top`: a live view of a running gateway in the terminal, made of the pages that the gateway serves.
//!
//! It needs no privilege and touches nothing of the gateway's. Rates are those between two looks. Where standard output is
//! no terminal, or with `--once`, one picture is printed.

mod exposition;
mod gateway;
mod picture;
mod screen;

use std::io::{self, IsTerminal};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use credence_engine::clock::Stopwatch;

use crate::exit::Exit;
use crate::outputs::print;
use crate::run::stop_at_signals;
use gateway::{Gateway, Look};
use picture::{Between, clipped};
use screen::{Screen, Wake};

/// Arguments of `credence top`.
#[derive(clap::Args)]
pub(crate) struct TopArgs {
    /// Where the gateway serves its metrics page, without the path
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9469")]
    url: String,

    /// Look again after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: u64,

    /// Print one picture and end
    #[arg(long)]
    once: bool,
}

/// Shows a running gateway.
///
/// # Errors
/// When there is none at the address, or the terminal goes away.
pub(crate) fn top(args: &TopArgs) -> anyhow::Result<Exit> {
    let gateway = Gateway::at(&args.url)?;
    let (clock, interval) = (Stopwatch::start(), Duration::from_secs(args.interval));
    let first = gateway.look(&clock)?;
    if args.once || !io::stdout().is_terminal() {
        once(&gateway, &clock, &first, interval)?;
    } else {
        let stop = stop_at_signals().context("signals cannot be handled")?;
        live(&gateway, &clock, first, interval, &stop)
            .context("the terminal cannot be drawn on; --once prints one picture")?;
    }
    Ok(Exit::Done)
}

/// Prints one picture, of the rates from now on.
fn once(gateway: &Gateway, clock: &Stopwatch, first: &Look, interval: Duration) -> anyhow::Result<()> {
    thread::sleep(interval);
    let now = gateway.look(clock)?;
    let lines = Between::new(Some(first), &now).lines(gateway.url(), None);
    print(|out| lines.iter().try_for_each(|line| writeln!(out, "{}", clipped(line, usize::MAX))))
}

/// Draws a picture after the other until a key, a signal, or the end of the terminal. A gateway that does not answer for a
/// while is waited for, its last picture in view.
fn live(
    gateway: &Gateway,
    clock: &Stopwatch,
    first: Look,
    interval: Duration,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut screen = Screen::open()?;
    let (mut before, mut now, mut fault) = (None, first, None);
    loop {
        let lines = Between::new(before.as_ref(), &now).lines(gateway.url(), fault.as_deref());
        screen.draw(&lines)?;
        match screen.wait(interval, stop)? {
            Wake::Quit => return Ok(()),
            Wake::Resized => continue,
            Wake::Due => {}
        }
        match gateway.look(clock) {
            Ok(look) => (before, now, fault) = (Some(now), look, None),
            Err(error) => fault = Some(error.to_string()),
        }
    }
}
