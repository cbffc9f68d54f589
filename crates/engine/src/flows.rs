//! Ended flows as a table, sorted by first packet, in bounded memory: what does not fit waits in sorted temporary files.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::net::Ipv6Addr;

use credence_flow::FlowRecord;
use credence_score::Verdict;
use tempfile::tempfile;

use crate::anonymise::Anonymiser;

/// Flows sorted in memory at once: some 120 MB.
const RUN_FLOWS: usize = 1 << 20;

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
        self.run.extend(flows);
        if self.run.len() >= self.run_flows { self.spill() } else { Ok(()) }
    }

    /// Writes the table: a header, then a line a flow, sorted by first packet, then by frame and key.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn finish(mut self) -> io::Result<()> {
        writeln!(self.out, "{HEADER}")?;
        if self.spilled.is_empty() {
            self.run.sort_unstable_by_key(order);
            for flow in &self.run {
                write_line(&mut self.out, flow, self.anonymiser.as_ref())?;
            }
        } else {
            self.spill()?;
            self.merge()?;
        }
        self.out.flush()
    }

    /// Moves the flows in memory to a sorted temporary file: a line is an order key and the finished text.
    fn spill(&mut self) -> io::Result<()> {
        self.run.sort_unstable_by_key(order);
        let mut file = BufWriter::new(tempfile()?);
        for flow in self.run.drain(..) {
            let (first_ns, frame, key) = order(&flow);
            write!(file, "{first_ns:016x}{frame:08x}{:032x}{:032x}", key.src, key.dst)?;
            write!(file, "{:02x}{:04x}{:04x}", key.proto, key.sport, key.dport)?;
            write_line(&mut file, &flow, self.anonymiser.as_ref())?;
        }
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
            self.out.write_all(line.get(ORDER_LEN..).unwrap_or_default())?;
            heads.extend(next_line(&mut self.spilled[i])?.map(|line| Reverse((line, i))));
        }
        Ok(())
    }
}

/// Hexadecimal digits of an order key: time, frame, two addresses, protocol and ports.
const ORDER_LEN: usize = 16 + 8 + 32 + 32 + 2 + 4 + 4;

/// What flows are sorted by: one flow begins with one packet, so that time and frame decide but in the wildest captures.
const fn order(flow: &FlowRecord) -> (u64, u32, credence_flow::FlowKey) {
    (flow.first_ns, flow.first_frame, flow.key)
}

fn next_line(file: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    Ok((file.read_until(b'\n', &mut line)? > 0).then_some(line))
}

fn write_line(out: &mut impl Write, flow: &FlowRecord, anonymiser: Option<&Anonymiser>) -> io::Result<()> {
    let shown = |addr: u128| Ipv6Addr::from(anonymiser.map_or(addr, |a| a.address(addr)));
    let key = &flow.key;
    write!(out, "{}\t{}\t", shown(key.src), shown(key.dst))?;
    write!(out, "{}\t{}\t{}\t", key.proto, key.sport, key.dport)?;
    write!(out, "{}\t{}\t{}\t{}\t", flow.packets, flow.bytes, flow.first_ns, flow.last_ns)?;
    write!(out, "{}\t", flow.fragments)?;
    let mut separator = "";
    for anomaly in flow.anomalies.iter() {
        write!(out, "{separator}{}", anomaly.name())?;
        separator = ",";
    }
    if separator.is_empty() {
        write!(out, "-")?;
    }
    let verdict = Verdict::from_number(flow.verdict).unwrap_or(Verdict::Pass);
    writeln!(out, "\t{}\t{}", flow.score, verdict.name())
}

#[cfg(test)]
mod tests {
    use credence_flow::{Anomalies, Anomaly, FlowKey};

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
    fn spilling_changes_nothing() {
        let flows: Vec<_> =
            (0..1000_u32).map(|i| flow(u64::from(i * 7919 % 97), i * 31 % 1000, u128::from(i))).collect();
        let in_memory = written(&flows, usize::MAX);
        assert_eq!(in_memory.lines().count(), 1001);
        for run in [1, 7, 100, 999] {
            assert_eq!(written(&flows, run), in_memory, "runs of {run}");
        }
    }
}
