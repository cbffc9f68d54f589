//! The carrier: a process that may change the kernel's rules, and hears what of them is due.
//!
//! The gateway starts it before it gives up its own privileges. It ends when the gateway does; the rules stay.

use std::io::{self, Read, Write};

use super::counters;
use super::elements::{self, Holds, Listed};
use super::message::{Answer, BEFORE, NEXT, Request, Texts};
use super::netlink::{self, Kind, attribute, text};
use super::rules::{listed, subjects};
use super::tool;

/// Does what is asked for until the gateway is gone.
///
/// # Errors
/// When what comes is no request, or nobody takes the answer.
pub fn carry(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let Some(Request::Define(texts)) = Request::read(&mut from)? else { return Ok(()) };
    let mut carrier = Carrier { texts, generation: 0, is_joined: false };
    answer(tool::apply(&carrier.texts.define)).write(&mut to)?;
    let mut outcome = Ok(());
    while outcome.is_ok() {
        match Request::read(&mut from) {
            Ok(None) => break,
            Ok(Some(request)) => outcome = carrier.act(request).write(&mut to),
            Err(error) => outcome = Err(error),
        }
    }
    carrier.leave();
    outcome
}

/// What became of the table.
struct Carrier {
    texts: Texts,
    /// Of the maps that are asked.
    generation: u64,
    is_joined: bool,
}

impl Carrier {
    fn act(&mut self, request: Request) -> Answer {
        match request {
            Request::Define(_) => Answer::Failed("the table is defined already".to_owned()),
            Request::List(ranges) => answer(self.list(&ranges)),
            Request::Join => {
                let outcome = tool::apply(&self.texts.join);
                self.is_joined |= outcome.is_ok();
                answer(outcome)
            }
            Request::Tell(opinions) => {
                answer(elements::tell(&self.texts.table, &opinions, self.texts.opinions_last_s))
            }
            Request::Alarm(is_emergency) => answer(tool::apply(&self.texts.pace[usize::from(is_emergency)])),
            Request::Count => match counters::read(&self.texts.table) {
                Ok(counts) => Answer::Counts(counts),
                Err(error) => Answer::Failed(format!("the counters cannot be read: {error}")),
            },
        }
    }

    /// Fills a new pair of maps beside the one that is asked, and exchanges them.
    fn list(&mut self, ranges: &[Listed]) -> io::Result<()> {
        let (before, next) = (self.generation.to_string(), (self.generation + 1).to_string());
        let at = |text: &str| text.replace(NEXT, &next).replace(BEFORE, &before);
        tool::apply(&at(&self.texts.make))?;
        let outcome = self
            .fill(&listed(&next), Holds::Chain, ranges)
            .and_then(|()| self.fill(&subjects(&next), Holds::Subject, ranges))
            .and_then(|()| tool::apply(&at(&self.texts.swap)));
        match &outcome {
            Ok(()) => self.generation += 1,
            // Nothing asks the new maps. If they cannot be removed either, they lapse with their elements.
            Err(_) => drop(tool::apply(&at(&self.texts.remove))),
        }
        outcome
    }

    fn fill(&self, map: &str, holds: Holds, ranges: &[Listed]) -> io::Result<()> {
        elements::fill(&self.texts.table, map, holds, ranges).map_err(|error| {
            let cure = match error.raw_os_error() {
                Some(libc::ENOMEM) => "; the kernel has no memory for so many",
                _ => "",
            };
            io::Error::other(format!("the kernel does not take the records: {error}{cure}"))
        })
    }

    /// Removes a table that packets never came to.
    fn leave(&self) {
        if !self.is_joined {
            // Whoever starts next removes it otherwise.
            drop(remove(&[&self.texts.table]));
        }
    }
}

fn answer(outcome: io::Result<()>) -> Answer {
    outcome.map_or_else(|error| Answer::Failed(error.to_string()), |()| Answer::Done)
}

/// The attribute of a table that is its name.
const TABLE_NAME: u16 = 1;

/// The tables of this network namespace whose names begin so.
///
/// # Errors
/// When this process may not ask, or the kernel has no nftables.
pub(crate) fn tables(beginning: &str) -> io::Result<Vec<String>> {
    let mut tables = Vec::new();
    netlink::list(
        Kind::ListTables,
        |_| {},
        |table| {
            let name = attribute(table, TABLE_NAME).and_then(text);
            tables.extend(name.filter(|name| name.starts_with(beginning)).map(str::to_owned));
        },
    )?;
    Ok(tables)
}

/// Removes tables, all or none.
///
/// # Errors
/// What the kernel says.
pub(crate) fn remove(tables: &[impl AsRef<str>]) -> io::Result<()> {
    let mut batch = netlink::Batch::new();
    for table in tables {
        batch.message(Kind::DeleteTable, |message| message.text(TABLE_NAME, table.as_ref()));
    }
    if tables.is_empty() { Ok(()) } else { netlink::commit(batch) }
}
