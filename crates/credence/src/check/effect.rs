//! What a configuration would do to the packets of a capture.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use credence_capture::{Error, Frame, Poll, Source, open};
use credence_credit::{Cache, Published};
use credence_engine::{Engine, LineConfig, Pace, Recorder, RunError, standing};
use credence_flow::{Anomalies, SketchSeed};
use credence_prefix::NO_MATCH;
use credence_score::{Basis, Facts, Verdict, assess};
use credence_wire::{Link, parse};
use serde::Serialize;

use super::count;
use crate::config::Config;

/// Flows held at most while the capture is read; a gateway's own table may be larger than the host of a check
/// can bear.
const FLOWS_MAX: u32 = 1 << 20;

/// What would happen to the packets of a capture.
#[derive(Serialize)]
pub(super) struct Effect {
    /// Frames in the capture.
    packets: u64,
    /// Those among them with an IPv6 packet that gets a verdict.
    scored: u64,
    /// What lists and snapshots alone say of these, by whose word it is.
    listed: Vec<Share>,
    /// What becomes of them with behaviour and anomalies counted in.
    verdicts: Vec<Share>,
}

/// Packets with one verdict.
#[derive(Serialize)]
struct Share {
    #[serde(skip_serializing_if = "Option::is_none")]
    basis: Option<&'static str>,
    verdict: &'static str,
    packets: u64,
    /// Of all packets with a verdict, from 0 to 1.
    share: f64,
}

impl Share {
    fn of(basis: Option<Basis>, verdict: Verdict, packets: u64, all: u64) -> Self {
        let share = packets as f64 / all.max(1) as f64;
        Self { basis: basis.map(Basis::name), verdict: verdict.name(), packets, share }
    }
}

impl Effect {
    /// Scores the capture at `path` with `config` and the published credit; none when it cannot be opened.
    /// What is wrong with it is added to `problems`, and what comes before a damaged part still counts.
    ///
    /// # Errors
    /// When a list is too large, or by a mistake of this program.
    pub(super) fn on(
        path: &Path,
        config: &Config,
        credit: &Published,
        problems: &mut Vec<String>,
    ) -> anyhow::Result<Option<Self>> {
        let source = match open(path) {
            Ok(source) => source,
            Err(error) => {
                problems.push(error.to_string());
                return Ok(None);
            }
        };
        let line = config.line(&config.guards(), 1)?;
        // The same answer for the same capture, each time it is asked.
        let flows = line.flows.min(FLOWS_MAX);
        let line = LineConfig { flows, sketch: SketchSeed(0), prefault: false, restarts: false, ..line };
        let mut asked = Asked { source, line: &line, cache: &credit.current(), said: BTreeMap::new() };
        let engine = Engine::new(line.clone(), credit.clone(), 1);
        match engine.replay(&mut asked, Pace::Max, &mut Recorder::default(), &AtomicBool::new(false)) {
            Ok(()) => {}
            Err(RunError::Capture(error)) => problems.push(error.to_string()),
            Err(error) => return Err(error.into()),
        }
        let totals = engine.totals();
        let listed = asked.said.into_iter();
        let verdicts = Verdict::ALL.into_iter().zip(totals.verdict_packets.0);
        Ok(Some(Self {
            packets: totals.received,
            scored: totals.scored,
            listed: listed
                .map(|((basis, verdict), n)| Share::of(Some(basis), verdict, n, totals.scored))
                .collect(),
            verdicts: verdicts.map(|(verdict, n)| Share::of(None, verdict, n, totals.scored)).collect(),
        }))
    }

    /// Writes the effect for people.
    ///
    /// # Errors
    /// When `out` refuses.
    pub(super) fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "\nof the capture's {} packets, {} get a verdict",
            count(self.packets),
            count(self.scored)
        )?;
        writeln!(out, "lists and snapshots alone")?;
        if self.listed.is_empty() {
            writeln!(out, "  say nothing of any")?;
        }
        self.listed.iter().try_for_each(|share| share.write_text(out))?;
        writeln!(out, "with what the flows do")?;
        self.verdicts.iter().try_for_each(|share| share.write_text(out))
    }
}

impl Share {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (percent, packets) = (self.share * 100.0, count(self.packets));
        writeln!(
            out,
            "  {:<12}{packets:>12} {percent:>7.2} %  {}",
            self.verdict,
            self.basis.unwrap_or_default()
        )
    }
}

/// A source whose frames are looked up on their way: what lists and records say of each packet's source.
struct Asked<'a, S> {
    source: S,
    line: &'a LineConfig,
    cache: &'a Cache,
    said: BTreeMap<(Basis, Verdict), u64>,
}

impl<S: Source> Source for Asked<'_, S> {
    fn poll(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, Error> {
        let Self { source, line, cache, said } = self;
        source.poll(&mut |frames| {
            for answer in frames.iter().filter_map(|frame| listed(frame, line, cache)) {
                *said.entry(answer).or_default() += 1;
            }
            sink(frames);
        })
    }

    fn kernel_drops(&mut self) -> u64 {
        self.source.kernel_drops()
    }

    fn describe(&self) -> String {
        self.source.describe()
    }
}

/// What lists and records say of a frame's source, if they say anything.
fn listed(frame: &Frame<'_>, line: &LineConfig, cache: &Cache) -> Option<(Basis, Verdict)> {
    let link = Link::from_linktype(frame.linktype)?;
    let packet = parse(link, frame.bytes, frame.wire_len, &line.limits).ok()?;
    let source = line.keyed.header(&packet).0.src;
    let record = cache.longest_match(source).unwrap_or(NO_MATCH);
    let standing = standing(cache, record, &line.lists, source, frame.ts_ns / 1_000_000_000);
    let is_rated = standing.rating.score().is_some();
    let facts = Facts { standing, confirmed: false, anomalies: Anomalies::NONE, behaviour: [None; 4] };
    let assessment = assess(&facts, &line.policy);
    (is_rated || assessment.basis != Basis::LocalScore).then_some((assessment.basis, assessment.verdict))
}
