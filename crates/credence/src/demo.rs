//! `credence demo`: the tour. A capture that comes with the program is played in real time, again and again,
//! while the engine scores it with a feed made for it; a live table and a metrics page show what happens.
//!
//! Beside it runs the alert platform with an example world, in which one source of the capture goes from report to decision to
//! verdict, and by a complaint back again.
//!
//! It needs no privilege and no network, opens ports on loopback and leaves no file behind.

#[cfg(not(feature = "tour"))]
#[path = "demo/alone.rs"]
mod tour;
#[cfg(feature = "tour")]
mod tour;

mod feed;
mod hardest;
mod looped;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use credence_capture::Source;
use credence_credit::{Cache, Guards, Published};
use credence_engine::clock::{Stopwatch, unix_ns, unix_s};
use credence_engine::{AlertWriter, Engine, LineConfig, Lists, Output, Pace, Recorder, Totals};
use serde::Serialize;
use serde_json::Value;

use crate::exit::Exit;
use crate::outputs::{Format, json, print, tell};
use crate::run::stop_at_signals;
use crate::serve;
use crate::serve::alert_log::{AlertLog, Tally};
use crate::serve::pulse::{Pulse, Watched};
use crate::serve::status::Status;
use crate::summary::{Run, Summary};
use crate::view::View;
use hardest::{Hardest, explain};
use looped::Looped;
use tour::{Circle, Tour};

/// Half a minute at the edge of a small access network; `tests/captures/README.md` says what is in it.
static CAPTURE: &[u8] = include_bytes!("../../../tests/captures/demo.pcap.zst");

/// Flows held at most: many times what the capture has.
const FLOWS: u32 = 1 << 16;

/// Source prefixes held at most.
const SOURCES: u32 = 1 << 14;

/// Alert lines in a second at most, as on a gateway.
const ALERTS_PER_S_MAX: u64 = 100;

/// A thread has died.
const BROKEN: &str = "internal error; please report this";

/// How often there is a look at the engine.
const TICK: Duration = Duration::from_millis(100);

/// Arguments of `credence demo`.
#[derive(clap::Args)]
pub(crate) struct DemoArgs {
    /// End after so many seconds
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,

    /// The form of what is said at the end; `json` is one object
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Serve the metrics page there; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
}

/// What the tour showed, as one JSON object. The names of the members are a contract.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    conservation: Conservation,
    /// Times that the capture was begun.
    rounds: u64,
    metrics: String,
    /// The alert that is explained, as a gateway writes it.
    explained: Option<&'a Value>,
    #[serde(flatten)]
    circle: Option<&'a Circle>,
}

/// What the tour's parts go by.
struct Scene<'s> {
    /// Runs from its beginning on.
    clock: Stopwatch,
    /// How long it is.
    length: Duration,
    /// Whether it is over.
    stop: &'s AtomicBool,
}

/// Where every frame went.
#[derive(Serialize)]
struct Conservation {
    received: u64,
    scored: u64,
    not_ipv6: u64,
    malformed: u64,
    shed: u64,
    /// Whether the last four add up to the first.
    balances: bool,
}

impl Conservation {
    fn of(totals: &Totals) -> Self {
        Self {
            received: totals.received,
            scored: totals.scored,
            not_ipv6: totals.not_ipv6.sum(),
            malformed: totals.malformed.sum(),
            shed: totals.shed,
            balances: totals.balances(),
        }
    }
}

/// Plays the capture and shows what comes of it.
pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<Exit> {
    let stop = stop_at_signals().context("signals cannot be handled")?;
    let line = line()?;
    let credit = Published::default();
    let made = unix_s();
    credit.store(Cache::build(vec![feed::snapshot(made)?], &Guards::default())?);
    let records = credit.current().len();
    let tour = Tour::open(&credit, made);
    let (hardest, tally, pulse) = (Hardest::default(), Arc::<Tally>::default(), Arc::<Pulse>::default());
    let out: Output = Box::new(AlertLog::new(hardest.clone(), Arc::clone(&tally)));
    let alerts = AlertWriter::new(out, Arc::clone(&line.lists), None, ALERTS_PER_S_MAX);
    let engine = Arc::new(Engine::new(line, credit.clone(), 1));
    let status = Arc::new(Status::new(engine, credit, tally, &alerts, Arc::clone(&pulse), None));
    let recorder = Recorder::new(Some(alerts), None).watched(Arc::clone(status.best_sources()));
    let mut recorder = match &tour {
        Some(tour) => tour.listen(recorder),
        None => recorder,
    };
    let page = serve::bind(args.listen)?;
    let address = page.address();
    page.serve(Arc::clone(&status))?;
    introduce(args.seconds, address, records);
    if let Some(tour) = &tour {
        tour.introduce();
    }

    let looped = Looped::new(CAPTURE, unix_ns())?;
    let rounds = looped.rounds();
    let mut source = Watched::new(Box::new(looped), pulse);
    let scene =
        Scene { clock: Stopwatch::start(), length: Duration::from_secs(args.seconds.into()), stop: &stop };
    let (elapsed, circle) = play(&mut source, &mut recorder, &status, &scene, tour)?;

    let (totals, cache) = (status.engine().totals(), status.credit().current());
    let alerts = recorder.alert_counts();
    recorder.finish()?;
    ensure!(totals.balances(), "internal error: frames are unaccounted for; please report this");
    let summary =
        Summary::of(&totals, &Run { alerts, cache: &cache, workers: 1, elapsed, interrupted: false });
    let alert = hardest.alert();
    let shown = Shown {
        summary: &summary,
        conservation: Conservation::of(&totals),
        rounds: rounds.load(Ordering::Relaxed),
        metrics: format!("http://{address}/metrics"),
        explained: alert.as_ref(),
        circle: circle.as_ref(),
    };
    print(|out| match args.format {
        Format::Text => conclude(out, &shown),
        Format::Json => json(out, &shown),
    })?;
    Ok(Exit::Done)
}

/// Scores `source` as long as the scene is, under the eyes of the live table, while the tour goes its round. Returns how long that
/// took, and how far the tour came.
fn play(
    source: &mut dyn Source,
    recorder: &mut Recorder,
    status: &Status,
    scene: &Scene<'_>,
    tour: Option<Tour>,
) -> anyhow::Result<(Duration, Option<Circle>)> {
    let (outcome, circle) = thread::scope(|scope| {
        let ((ended, end), (say, said)) = (channel(), channel());
        let touring = tour.map(|tour| scope.spawn(move || tour.show(scene, &say)));
        let playing = scope.spawn(move || {
            let outcome = status.engine().replay(source, Pace::Real, recorder, scene.stop);
            // The table may have seen the end by itself.
            let _ = ended.send(());
            outcome
        });
        watch(status, scene, &end, &said);
        // The line may have ended by itself, and the tour with it.
        scene.stop.store(true, Ordering::Relaxed);
        (playing.join(), touring.map(thread::ScopedJoinHandle::join))
    });
    outcome.ok().context(BROKEN)??;
    let circle = circle.map(|circle| circle.ok().context(BROKEN)?).transpose()?;
    Ok((scene.clock.elapsed(), circle))
}

/// Shows the live table until the `end`, with what is `said` meanwhile, and ends the scene in its time.
fn watch(status: &Status, scene: &Scene<'_>, end: &Receiver<()>, said: &Receiver<String>) {
    let mut view = View::start();
    while end.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        let now = scene.clock.elapsed();
        status.observe(now);
        said.try_iter().for_each(|text| view.say(&text));
        view.update(now, &status.engine().totals(), status.offenders());
        if now >= scene.length {
            scene.stop.store(true, Ordering::Relaxed);
        }
    }
    view.finish();
}

/// A small line; the prefix of the capture's subscribers is the operator's own.
fn line() -> anyhow::Result<LineConfig> {
    let guards = Guards::default();
    let lists = Arc::new(Lists::new(guards.never_block().prefixes(), &[feed::OWN])?);
    Ok(LineConfig { flows: FLOWS, sources: SOURCES, lists, ..LineConfig::default() })
}

/// Says in plain words what is about to be seen.
fn introduce(seconds: u32, address: SocketAddr, records: usize) {
    tell(format_args!(
        "a bundled capture of an access network is played in real time for {seconds} s and scored as on a gateway: \
         subscribers and visitors, a port scan, a flood of forged SYNs, overlapping fragments, an infected device"
    ));
    tell(format_args!(
        "the credit of sources comes from a made-up feed of {records} records; sources it does not know are judged by \
         what they do; nothing is enforced, nothing leaves this host"
    ));
    tell(format_args!("metrics are on http://{address}/metrics"));
}

fn conclude(out: &mut dyn Write, shown: &Shown<'_>) -> io::Result<()> {
    shown.summary.write_text(out)?;
    let c = &shown.conservation;
    let sum = format!(
        "{} scored + {} not IPv6 + {} malformed + {} shed",
        c.scored, c.not_ipv6, c.malformed, c.shed
    );
    writeln!(out, "\nevery packet is accounted for: {} received = {sum}", c.received)?;
    if let Some(alert) = shown.explained {
        writeln!(out)?;
        explain(out, alert)?;
    }
    writeln!(
        out,
        "\nnext: `credence replay CAPTURE` scores captures of yours, `credence check` a configuration, and"
    )?;
    writeln!(out, "`credence run` an interface")
}
