//! Ended flows as a table, sorted by first packet, in bounded memory: what does not fit waits in sorted temporary files.

mod text;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};

use credence_flow::{FlowKey, FlowRecord};
use tempfile::tempfile;

use crate::anonymise::Anonymiser;

/// Flows sorted in memory at once: some 120 MB.
const RUN_FLOWS: usize = 1 << 20;
/// Flows copied out of the run before their lines are made. They lie all over it: copies wait for memory together, a line
/// at a time would wait for each.
const GATHERED: usize = 32;
/// Bytes of text handed on at once.
const TEXT: usize = 64 * 1024;

/// The columns of a flow line, a contract.
pub const HEADER: &str =
    "src\tdst\tproto\tsport\tdport\tpackets\tbytes\tfirst_ns\tlast_ns\tfragments\tanomalies\tscore\tverdict";

/// Collects flows and writes them, sorted, at the end.
pub struct FlowWriter<W: Write> {
    out: W,
    run: Vec<FlowRecord>,
    run_flows: usize,
    spilled: Vec<BufReader<std::fs::File>>,
    anonymiser: Option<Anonymiser>,
}

impl<W: Write> FlowWriter<W> {
    /// A writer onto `out`, replacing addresses when an anonymiser is given.
    pub fn new(out: W, anonymiser: Option<Anonymiser>) -> Self {
        Self::with_run(out, anonymiser, RUN_FLOWS)
    }

    fn with_run(out: W, anonymiser: Option<Anonymiser>, run_flows: usize) -> Self {
        Self { out, run: Vec::new(), run_flows, spilled: Vec::new(), anonymiser }
    }

    /// Takes ended flows.
    ///
    /// # Errors
    /// When a temporary file cannot be written.
    pub fn extend(&mut self, flows: Vec<FlowRecord>) -> io::Result<()> {
        if self.run.len() + flows.len() > self.run_flows {
            self.spill()?;
        }
        // The whole run at once: untouched pages cost nothing, and growing would copy it twice over.
        self.run.reserve_exact(self.run_flows.saturating_sub(self.run.len()));
        self.run.extend(flows);
        Ok(())
    }

    /// Writes the table: a header, then a line a flow, sorted by first packet, then by frame and key.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn finish(mut self) -> io::Result<()> {
        writeln!(self.out, "{HEADER}")?;
        if self.spilled.is_empty() {
            let Self { out, run, anonymiser, .. } = &mut self;
            write_sorted(out, run, |text, flow| text::line(text, flow, anonymiser.as_ref()))?;
        } else {
            self.spill()?;
            self.merge()?;
        }
        self.out.flush()
    }

    /// Moves the flows in memory to a sorted temporary file: a line is an order key and the finished text.
    fn spill(&mut self) -> io::Result<()> {
        if self.run.is_empty() {
            return Ok(());
        }
        let mut file = BufWriter::new(tempfile()?);
        write_sorted(&mut file, &self.run, |text, flow| {
            text::order_key(text, flow.first_ns, flow.first_frame, &flow.key);
            text::line(text, flow, self.anonymiser.as_ref());
        })?;
        self.run.clear();
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.spilled.push(BufReader::new(file));
        Ok(())
    }

    /// Merges the sorted files, one line of each in memory. Lines compare as their order keys do.
    fn merge(&mut self) -> io::Result<()> {
        let mut heads = BinaryHeap::new();
        for (i, file) in self.spilled.iter_mut().enumerate() {
            heads.extend(next_line(file)?.map(|line| Reverse((line, i))));
        }
        while let Some(Reverse((line, i))) = heads.pop() {
            self.out.write_all(line.get(text::ORDER_LEN..).unwrap_or_default())?;
            heads.extend(next_line(&mut self.spilled[i])?.map(|line| Reverse((line, i))));
        }
        Ok(())
    }
}

/// Writes the text that `line` makes of each flow, in their order.
fn write_sorted(
    out: &mut impl Write,
    run: &[FlowRecord],
    line: impl Fn(&mut Vec<u8>, &FlowRecord),
) -> io::Result<()> {
    let mut text = Vec::with_capacity(2 * TEXT);
    for places in sorted(run).chunks(GATHERED) {
        let mut gathered = [None; GATHERED];
        for (slot, place) in gathered.iter_mut().zip(places) {
            *slot = run.get(place.flow()).copied();
        }
        gathered.iter().flatten().for_each(|flow| line(&mut text, flow));
        if text.len() >= TEXT {
            out.write_all(&text)?;
            text.clear();
        }
    }
    out.write_all(&text)
}

/// Time and frame of a flow's first packet and its place in the run, as one number that sorts: a third of the time that
/// sorting records takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(u128);

impl Place {
    fn of(at: usize, flow: &FlowRecord) -> Self {
        Self(u128::from(flow.first_ns) << 64 | u128::from(flow.first_frame) << 32 | at as u128)
    }

    /// Where in the run the flow lies.
    const fn flow(self) -> usize {
        self.0 as u32 as usize
    }

    /// Whether another flow began with the same packet.
    const fn is_level(self, other: Self) -> bool {
        self.0 >> 32 == other.0 >> 32
    }
}

/// The places of all flows by first packet, then by frame and key. One flow begins with one packet, so that time and
/// frame decide but in the wildest captures.
fn sorted(run: &[FlowRecord]) -> Vec<Place> {
    let mut places: Vec<_> = run.iter().enumerate().map(|(at, flow)| Place::of(at, flow)).collect();
    places.sort_unstable();
    let key = |place: &Place| run.get(place.flow()).map(|flow: &FlowRecord| -> FlowKey { flow.key });
    for level in places.chunk_by_mut(|a, b| a.is_level(*b)).filter(|level| level.len() > 1) {
        level.sort_unstable_by_key(key);
    }
    places
}

fn next_line(file: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    Ok((file.read_until(b'\n', &mut line)? > 0).then_some(line))
}

#[cfg(test)]
mod tests {
    use credence_flow::{Anomalies, Anomaly};

    use super::*;

    fn flow(first_ns: u64, first_frame: u32, src: u128) -> FlowRecord {
        FlowRecord {
            key: FlowKey { src, dst: 2, proto: 6, sport: 1, dport: 2 },
            first_ns,
            last_ns: first_ns,
            first_frame,
            packets: 1,
            bytes: 60,
            fragments: 0,
            anomalies: Anomalies::NONE,
            score: 600,
            verdict: 1,
            confirmed: false,
            paired: false,
        }
    }

    fn written(flows: &[FlowRecord], run: usize) -> String {
        let mut out = Vec::new();
        let mut writer = FlowWriter::with_run(&mut out, None, run);
        for flow in flows {
            writer.extend(vec![*flow]).expect("writable");
        }
        writer.finish().expect("writable");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_line_has_the_columns_of_the_header() {
        let mut odd = flow(5, 1, 1);
        odd.anomalies.insert(Anomaly::TcpNull);
        odd.anomalies.insert(Anomaly::PortZero);
        let text = written(&[odd], 10);
        assert_eq!(
            text,
            format!("{HEADER}\n::1\t::2\t6\t1\t2\t1\t60\t5\t5\t0\ttcp_null,port_zero\t600\tpass\n")
        );
    }

    #[test]
    fn flows_that_begin_with_the_same_packet_are_sorted_by_their_keys() {
        let flows: Vec<_> = [5, 3, 9, 1].into_iter().map(|src| flow(7, 1, src)).collect();
        let text = written(&flows, 10);
        let sources: Vec<_> = text.lines().skip(1).map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(sources, ["::1", "::3", "::5", "::9"]);
    }

    #[test]
    fn a_large_table_is_sorted_by_time_then_frame() {
        let flows: Vec<_> = (0..5000_u32).map(|i| flow(u64::from(i * 7919 % 499), i, 1)).collect();
        let text = written(&flows, 10_000);
        let times: Vec<(u64, u32)> = {
            let mut sorted = flows.clone();
            sorted.sort_by_key(|flow| (flow.first_ns, flow.first_frame));
            sorted.iter().map(|flow| (flow.first_ns, flow.first_frame)).collect()
        };
        let column = |line: &str| line.split('\t').nth(7).unwrap().parse::<u64>().unwrap();
        assert!(text.lines().skip(1).map(column).eq(times.iter().map(|time| time.0)));
    }

    #[test]
    fn spilling_changes_nothing() {
        let flows: Vec<_> =
            (0..1000_u32).map(|i| flow(u64::from(i * 7919 % 97), i * 31 % 1000, u128::from(i))).collect();
        let in_memory = written(&flows, 10_000);
        assert_eq!(in_memory.lines().count(), 1001);
        for run in [1, 7, 100, 999] {
            assert_eq!(written(&flows, run), in_memory, "runs of {run}");
        }
    }
}
