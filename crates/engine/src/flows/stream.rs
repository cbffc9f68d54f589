//! One table of several streams of flows, each of them in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use credence_credit::Anonymiser;
use credence_flow::FlowRecord;

use super::Text;
use super::order::{KEY_LEN, Places, Sorted, order_key};
use super::spill::Spill;

/// Flows in order, from wherever they lie.
pub(super) enum Stream<'r> {
    /// In a temporary file.
    Spilled(Spill),
    /// In memory, the next one taken out.
    Held(Box<dyn Iterator<Item = FlowRecord> + 'r>, Option<FlowRecord>),
}

impl<'r> Stream<'r> {
    /// A stream of flows in memory.
    pub(super) fn held(flows: Sorted<impl Places + 'r>) -> Self {
        Self::Held(Box::new(flows), None)
    }

    /// Goes on to the next flow, and returns its order key; none at the end.
    fn next_key(&mut self) -> io::Result<Option<[u8; KEY_LEN]>> {
        match self {
            Self::Spilled(spill) => spill.next_key(),
            Self::Held(flows, next) => {
                *next = flows.next();
                Ok(next.as_ref().map(order_key))
            }
        }
    }

    /// Appends the line of the flow that was gone on to.
    fn append_line(
        &mut self,
        text: &mut Text<'_, impl Write>,
        anonymiser: Option<&Anonymiser>,
    ) -> io::Result<()> {
        match self {
            Self::Spilled(spill) => spill.append_line(text.bytes())?,
            Self::Held(_, next) => next.iter().for_each(|flow| text.flow(flow, anonymiser)),
        }
        text.write_when_full()
    }

    /// Writes all lines from the flow on that was gone on to. What stands in no order with others needs no key.
    fn write_rest(
        &mut self,
        text: &mut Text<'_, impl Write>,
        anonymiser: Option<&Anonymiser>,
    ) -> io::Result<()> {
        self.append_line(text, anonymiser)?;
        match self {
            Self::Held(flows, _) => flows.try_for_each(|flow| {
                text.flow(&flow, anonymiser);
                text.write_when_full()
            }),
            Self::Spilled(spill) => {
                while spill.next_key()?.is_some() {
                    spill.append_line(text.bytes())?;
                    text.write_when_full()?;
                }
                Ok(())
            }
        }
    }
}

/// Writes the lines of all streams in order, with one key of each in memory.
///
/// # Errors
/// When a file cannot be read or `out` cannot be written.
pub(super) fn merge(
    streams: &mut [Stream<'_>],
    out: &mut impl Write,
    anonymiser: Option<&Anonymiser>,
) -> io::Result<()> {
    let mut text = Text::new(out);
    let mut heads = BinaryHeap::new();
    for (at, stream) in streams.iter_mut().enumerate() {
        heads.extend(stream.next_key()?.map(|key| Reverse((key, at))));
    }
    while let Some(Reverse((_, at))) = heads.pop() {
        let stream = &mut streams[at];
        if heads.is_empty() {
            stream.write_rest(&mut text, anonymiser)?;
            break;
        }
        stream.append_line(&mut text, anonymiser)?;
        heads.extend(stream.next_key()?.map(|key| Reverse((key, at))));
    }
    text.finish()
}
