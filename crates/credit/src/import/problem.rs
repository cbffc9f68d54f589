//! What is wrong with an entry, where, and what to do.

use core::fmt;

/// How many problems are kept in full. The rest is counted, since a list in the wrong format has one a line.
pub const PROBLEMS_KEPT: usize = 20;

/// How much of an entry a problem quotes, in characters.
const QUOTED_MAX: usize = 48;

/// Where in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line and a byte in it, both from 1.
    Line {
        /// The line.
        line: u64,
        /// The byte in the line where the text at fault begins.
        column: u64,
    },
    /// An element of a JSON document, in the order of reading, from 1.
    Element(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, column } => write!(f, "line {line}, column {column}"),
            Self::Element(number) => write!(f, "element {number}"),
        }
    }
}

/// An entry that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The list.
    pub source_name: String,
    /// Where in it.
    pub place: Place,
    /// The text at fault, shortened and with control characters escaped, so that printing it is safe.
    pub text: String,
    /// What is wrong with it and what to do.
    pub fault: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: \"{}\": {}", self.source_name, self.place, self.text, self.fault)
    }
}

/// The entries that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Problems {
    first: Vec<Problem>,
    total: u64,
}

impl Problems {
    /// The first [`PROBLEMS_KEPT`] of them, in the order of reading.
    pub fn first(&self) -> &[Problem] {
        &self.first
    }

    /// How many there were in all.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Counts a problem and keeps it while there is room.
    pub(super) fn note(&mut self, source_name: &str, place: Place, text: &[u8], fault: &Fault) {
        self.total += 1;
        if self.first.len() < PROBLEMS_KEPT {
            self.first.push(Problem {
                source_name: source_name.to_owned(),
                place,
                text: quoted(text),
                fault: fault.0.clone(),
            });
        }
    }
}

/// What is wrong and what to do, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault(pub(super) String);

impl Fault {
    /// A fault from what an error says and a cure.
    pub(super) fn new(wrong: impl fmt::Display, cure: &str) -> Self {
        Self(format!("{wrong}; {cure}"))
    }
}

fn quoted(text: &[u8]) -> String {
    // Four bytes a character at most, so that a long line is not decoded to its end for the sake of its beginning.
    let head = &text[..text.len().min(4 * QUOTED_MAX)];
    let decoded = String::from_utf8_lossy(head);
    let mut short: String = decoded.chars().take(QUOTED_MAX).flat_map(char::escape_debug).collect();
    if decoded.chars().nth(QUOTED_MAX).is_some() || head.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_short_and_safe_to_print() {
        assert_eq!(quoted(b"2001:dg8::/32"), "2001:dg8::/32");
        assert_eq!(quoted(b"a\x1b[2J\n"), "a\\u{1b}[2J\\n");
        assert_eq!(quoted(&[b'x'; 49]), format!("{}…", "x".repeat(48)));
        assert_eq!(quoted(&[b'x'; 48]), "x".repeat(48));
        assert_eq!(quoted("é".repeat(60).as_bytes()).chars().count(), 49);
        assert_eq!(quoted(&[0xff; 3]), "\u{fffd}\u{fffd}\u{fffd}");
    }

    #[test]
    fn only_the_first_are_kept_and_all_are_counted() {
        let mut problems = Problems::default();
        for number in 1..=25 {
            problems.note("list", Place::Element(number), b"text", &Fault::new("wrong", "mend it"));
        }
        assert_eq!((problems.first().len(), problems.total()), (20, 25));
        assert_eq!(problems.first()[19].to_string(), "list: element 20: \"text\": wrong; mend it");
    }
}
