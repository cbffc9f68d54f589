//! Ended flows as a table, sorted by first packet, in bounded memory: what does not fit waits in sorted temporary files.

mod order;
mod spill;
mod stream;
mod text;

use std::io::{self, Write};

use credence_credit::Anonymiser;
use credence_flow::{FlowRecord, FlowTable};
use credence_memory::room;

use self::order::Sorted;
use self::spill::Spill;
use self::stream::Stream;
use self::text::Sheet;

/// Flows sorted in memory at once: some 120 MB.
const RUN_FLOWS: usize = 1 << 20;
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
    spilled: Vec<Spill>,
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

    /// Takes ended flows out of a list, whose memory stays with the caller.
    ///
    /// # Errors
    /// When a temporary file cannot be written.
    pub fn take(&mut self, flows: &mut Vec<FlowRecord>) -> io::Result<()> {
        let most = self.run_flows.max(flows.len());
        if self.run.len() + flows.len() > most {
            self.spill()?;
        }
        if self.run.capacity() < most {
            // The whole run at once: growing would copy it twice over, and pages cost nothing until flows lie in them.
            let shorter = std::mem::replace(&mut self.run, room(most));
            self.run.extend(shorter);
        }
        self.run.append(flows);
        Ok(())
    }

    /// Writes the table, the flows of `left` among those taken before: a header, then a line a flow, sorted by first packet,
    /// then by frame and key.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn finish(mut self, left: Vec<FlowTable>) -> io::Result<()> {
        writeln!(self.out, "{HEADER}")?;
        let spilled = self.spilled.into_iter().map(Stream::Spilled);
        let run = std::iter::once(Stream::held(Sorted::new(self.run.as_slice())));
        let left = left.into_iter().map(|table| Stream::held(Sorted::new(table)));
        let mut streams: Vec<_> = spilled.chain(run).chain(left).collect();
        stream::merge(&mut streams, &mut self.out, self.anonymiser.as_ref())?;
        self.out.flush()
    }

    /// Moves the flows in memory to a sorted temporary file.
    fn spill(&mut self) -> io::Result<()> {
        if !self.run.is_empty() {
            self.spilled.push(Spill::of(&self.run, self.anonymiser.as_ref())?);
            self.run.clear();
        }
        Ok(())
    }
}

/// Text on its way to `out`, handed on in large pieces.
struct Text<'o, W> {
    bytes: Vec<u8>,
    sheet: Sheet,
    out: &'o mut W,
}

impl<'o, W: Write> Text<'o, W> {
    fn new(out: &'o mut W) -> Self {
        Self { bytes: Vec::with_capacity(2 * TEXT), sheet: Sheet::default(), out }
    }

    /// Appends the line of a flow.
    fn flow(&mut self, flow: &FlowRecord, anonymiser: Option<&Anonymiser>) {
        text::line(&mut self.bytes, &mut self.sheet, flow, anonymiser);
    }

    /// Where other text is appended.
    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Hands the text on if there is much of it.
    fn write_when_full(&mut self) -> io::Result<()> {
        if self.bytes.len() < TEXT {
            return Ok(());
        }
        self.write()
    }

    /// Hands all text on.
    fn finish(mut self) -> io::Result<()> {
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        self.out.write_all(&self.bytes)?;
        self.bytes.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use credence_flow::{Anomalies, Anomaly, FlowKey, FullPolicy, Now, TableConfig, Timeouts};

    use super::*;

    pub(super) fn flow(first_ns: u64, first_frame: u32, src: u128) -> FlowRecord {
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
            writer.take(&mut vec![*flow]).expect("writable");
        }
        writer.finish(Vec::new()).expect("writable");
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

    /// A table in which flows began with every `step`th frame, the latest first.
    fn left(step: u64) -> FlowTable {
        let config = TableConfig { capacity: 64, full: FullPolicy::Refuse, timeouts: Timeouts::default() };
        let mut table = FlowTable::new(config, 1);
        for frame in (1..=20).rev().map(|n| n * step) {
            let key = flow(0, 0, u128::from(frame)).key;
            table.place(&key, table.candidates(&key), Now { ts_ns: frame / 3, frame }, &mut |_| ());
        }
        table
    }

    #[test]
    fn flows_that_were_left_are_written_among_those_that_ended() {
        let ended: Vec<_> = (0..60_u32).map(|i| flow(u64::from(i), i, 1)).collect();
        let held = [left(1), left(2), left(5)];
        let records = held.iter().flat_map(|table| (0..20).filter_map(|place| table.record(place)));
        let all: Vec<_> = ended.iter().copied().chain(records).collect();
        let expected = written(&all, 1_000);
        assert_eq!(expected.lines().count(), 121);
        for run in [7, 1_000] {
            let mut out = Vec::new();
            let mut writer = FlowWriter::with_run(&mut out, None, run);
            ended.iter().for_each(|flow| writer.take(&mut vec![*flow]).expect("writable"));
            writer.finish([1, 2, 5].map(left).into()).expect("writable");
            assert_eq!(String::from_utf8(out).expect("text"), expected, "runs of {run}");
        }
    }

    #[test]
    fn more_flows_at_once_than_a_run_are_taken_and_the_list_is_left_empty() {
        let flows: Vec<_> = (0..50_u32).rev().map(|i| flow(u64::from(i), i, 1)).collect();
        let (mut out, mut given) = (Vec::new(), flows.clone());
        let mut writer = FlowWriter::with_run(&mut out, None, 7);
        writer.take(&mut given).expect("writable");
        writer.take(&mut vec![flow(50, 50, 1)]).expect("writable");
        writer.finish(Vec::new()).expect("writable");
        assert!(given.is_empty());
        let all: Vec<_> = flows.into_iter().chain([flow(50, 50, 1)]).collect();
        assert_eq!(String::from_utf8(out).expect("text"), written(&all, 1_000));
    }
}
