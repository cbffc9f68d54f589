//! `credence lookup`: what the credit cache says of addresses.

use std::io::{self, BufRead, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use credence_credit::{Cache, Guards, KeepReason};
use credence_engine::clock::unix_s;
use serde::Serialize;

use crate::exit::Exit;
use crate::moment::{distance, parse_moment, utc};
use crate::outputs::{Format, print, tell};
use crate::snapshots::load_some;
use crate::statement::{Statement, UNRATED};

/// The longest line that can hold an address, in bytes. What is longer is told and passed over, so that an endless line
/// takes no memory.
const LINE_LEN_MAX: u64 = 128;

/// How many bad addresses are told in full; the rest is counted.
const TOLD_MAX: u64 = 20;

/// Arguments of `credence lookup`.
#[derive(clap::Args)]
pub(crate) struct LookupArgs {
    /// IPv6 addresses; - reads them from standard input, one a line
    #[arg(required = true, value_name = "ADDR")]
    addresses: Vec<String>,

    /// Look up in this credit snapshot; may be given several times
    #[arg(long, value_name = "SNAPSHOT", required = true)]
    credit: Vec<PathBuf>,

    /// Answer for this moment instead of now: Unix seconds, or a time like 2026-11-21T10:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    at: Option<u64>,

    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints what the snapshots say of each address.
pub(crate) fn lookup(args: &LookupArgs) -> anyhow::Result<Exit> {
    let (cache, exit) = load_some(&args.credit, &Guards::default())?;
    let now = args.at.unwrap_or_else(unix_s);
    let mut bad = 0;
    print(|out| {
        let mut answers = Answers { out, format: args.format, now, any: false };
        each(&args.addresses, |place, text| match parse(text) {
            Ok(address) => answers.write(&cache, address),
            Err(fault) => {
                bad += 1;
                if bad <= TOLD_MAX {
                    tell(format_args!("{place}: {:?} {fault}", shortened(text)));
                }
                Ok(())
            }
        })?;
        answers.end()
    })?;
    if bad > TOLD_MAX {
        tell(format_args!("{} more that are no IPv6 addresses", bad - TOLD_MAX));
    }
    Ok(if bad > 0 { Exit::BadInput } else { exit })
}

/// Calls `on` with each address and where it stands.
fn each(addresses: &[String], mut on: impl FnMut(&str, &str) -> io::Result<()>) -> io::Result<()> {
    for (number, text) in (1..).zip(addresses) {
        if text == "-" {
            each_line(io::stdin().lock(), &mut on)?;
        } else {
            on(&format!("argument {number}"), text)?;
        }
    }
    Ok(())
}

/// Calls `on` with each line that is neither blank nor a comment, cut to [`LINE_LEN_MAX`].
fn each_line(mut input: impl BufRead, on: &mut impl FnMut(&str, &str) -> io::Result<()>) -> io::Result<()> {
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if input.by_ref().take(LINE_LEN_MAX).read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            break;
        }
        if !line.ends_with(b"\n") {
            input.skip_until(b'\n').map_err(unreadable)?;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if !text.is_empty() && !text.starts_with('#') {
            on(&format!("standard input, line {number}"), text)?;
        }
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` calls")]
fn unreadable(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("standard input cannot be read: {error}"))
}

/// The address, or what is wrong with the text and what to do.
pub(crate) fn parse(text: &str) -> Result<u128, &'static str> {
    if text.parse::<Ipv4Addr>().is_ok() {
        return Err("is IPv4, and credence looks at IPv6 alone; give an IPv6 address");
    }
    match text.parse::<Ipv6Addr>() {
        Ok(address) if address.to_ipv4_mapped().is_some() => {
            Err("is IPv4 in its mapped form, which is not matched; give an IPv6 address")
        }
        Ok(address) => Ok(address.to_bits()),
        Err(_) if text.contains('/') => {
            Err("is no address; give one address of the prefix, without a length")
        }
        Err(_) => Err("is no IPv6 address; write it like 2001:db8::1"),
    }
}

/// The beginning of a text, enough to recognise it.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(48).collect()
}

/// Writes answers one by one, so that any number of them takes no memory.
struct Answers<'a> {
    out: &'a mut dyn Write,
    format: Format,
    now: u64,
    any: bool,
}

/// What the cache says of an address.
#[derive(Serialize)]
struct Answer {
    address: Ipv6Addr,
    #[serde(flatten)]
    credit: Credit,
    /// The record that rules what may be done, where that is another one.
    ruling: Option<Shown>,
}

/// The live record of the longest prefix, which tells the credit.
#[derive(Serialize)]
#[serde(untagged)]
enum Credit {
    Known(Box<Shown>),
    /// No live record covers the address.
    Unrated(Unrated),
}

/// The members of a record that every answer has, without values.
#[derive(Serialize)]
struct Unrated {
    prefix: (),
    score: (),
    status: &'static str,
    measure: (),
    issuer: (),
    expires: (),
}

impl Unrated {
    const ANSWER: Self =
        Self { prefix: (), score: (), status: UNRATED, measure: (), issuer: (), expires: () };
}

/// A record, and whether it may act.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    statement: Statement,
    enforced: bool,
    /// Why it is shown and never enforced.
    kept: Option<&'static str>,
}

impl Answer {
    fn of(cache: &Cache, address: u128, now: u64) -> Self {
        let standing = cache.effective(address, now);
        let shown = |number: u32| {
            let record = cache.record(number);
            let kept = cache.entry(number).kept().map(KeepReason::name);
            Shown {
                statement: Statement::of(&record, &cache.issuer(record.issuer)),
                enforced: kept.is_none(),
                kept,
            }
        };
        Self {
            address: Ipv6Addr::from(address),
            credit: standing
                .credit
                .map_or(Credit::Unrated(Unrated::ANSWER), |number| Credit::Known(Box::new(shown(number)))),
            ruling: standing.ruling.filter(|_| standing.ruling != standing.credit).map(shown),
        }
    }

    fn write_text(&self, out: &mut dyn Write, now: u64) -> io::Result<()> {
        match &self.credit {
            Credit::Unrated(_) => writeln!(out, "{}  {UNRATED}", self.address)?,
            Credit::Known(shown) => writeln!(out, "{}  {}", self.address, shown.line(now))?,
        }
        match &self.ruling {
            None => Ok(()),
            Some(shown) => writeln!(out, "    ruled by  {}", shown.line(now)),
        }
    }
}

impl Shown {
    fn line(&self, now: u64) -> String {
        let Statement { prefix, issuer, expires, .. } = &self.statement;
        let never = self.kept.map_or_else(String::new, |why| format!(", never enforced: {why}"));
        let (end, left) = (utc(*expires), distance(*expires, now));
        format!("{}  {prefix} by {issuer:?}, until {end} ({left}){never}", self.statement)
    }
}

impl Answers<'_> {
    fn write(&mut self, cache: &Cache, address: u128) -> io::Result<()> {
        let answer = Answer::of(cache, address, self.now);
        match self.format {
            Format::Text => answer.write_text(self.out, self.now),
            Format::Json => {
                self.out.write_all(if self.any { b",\n" } else { b"[\n" })?;
                self.any = true;
                Ok(serde_json::to_writer(&mut *self.out, &answer)?)
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match (self.format, self.any) {
            (Format::Text, _) => Ok(()),
            (Format::Json, true) => writeln!(self.out, "\n]"),
            (Format::Json, false) => writeln!(self.out, "[]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ipv6_is_looked_up_and_the_rest_is_told_apart() {
        assert_eq!(parse("2001:db8::1"), Ok(0x2001_0db8 << 96 | 1));
        for (text, word) in [
            ("192.0.2.1", "is IPv4"),
            ("::ffff:192.0.2.1", "mapped"),
            ("2001:db8::/32", "without a length"),
            ("fe80::1%eth0", "write it like"),
            ("", "write it like"),
        ] {
            assert!(parse(text).unwrap_err().contains(word), "{text}");
        }
    }

    #[test]
    fn lines_are_numbered_and_bounded() {
        let text = format!("# list\n\n  ::1 \r\n{}\n::2", "x".repeat(10_000));
        let mut seen = Vec::new();
        let mut on = |place: &str, text: &str| {
            seen.push((place.to_owned(), text.to_owned()));
            Ok(())
        };
        each_line(text.as_bytes(), &mut on).unwrap();
        let line = |number| format!("standard input, line {number}");
        let expected = [(line(3), "::1".into()), (line(4), "x".repeat(128)), (line(5), "::2".into())];
        assert_eq!(seen, expected);
    }
}
