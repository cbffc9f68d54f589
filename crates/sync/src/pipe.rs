//! What gateway and follower say to each other: a line of JSON each, from closed sets of words.
//!
//! Neither can be hurt by the other. A line has a length that it cannot exceed, what is no word is counted and passed over, and
//! an order is short enough for a pipe to take it whole or not at all (pipe(7), `PIPE_BUF`), so that the gateway never waits.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::fetch::Refused;
use crate::outbox::Count;

/// The longest line, in bytes, its end included: what a pipe takes in one piece.
pub const LINE_LEN_MAX: usize = 4_096;

/// What the follower tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Report {
    /// The follower begins.
    Started {
        /// How often it has begun since the gateway did.
        count: u64,
    },
    /// What has become of alerts so far.
    Outbox(Posted),
    /// How fresh a list is of which there is a copy from before.
    Known {
        /// The list.
        source: String,
        /// When it was had last, in Unix seconds; 0 for never.
        checked_s: u64,
    },
    /// A list was had.
    Checked {
        /// The list.
        source: String,
        /// When, in Unix seconds.
        at_s: u64,
        /// Whether it was another than the one before.
        is_new: bool,
    },
    /// A list was not had from one of its places.
    Refused {
        /// The list.
        source: String,
        /// Which of its places, from 0.
        place: usize,
        /// Why.
        why: Refused,
    },
    /// So many files of evidence are kept that what a feed's operator has signed cannot all be true.
    Evidence {
        /// The feed.
        source: String,
        /// How many.
        files: u64,
    },
    /// Whether what the platform asks a party to sign is signed.
    Unstated {
        /// Whether the party is a seat of the coordinating body, or else the member.
        is_seat: bool,
        /// Since when it is not, or nobody could be asked, in Unix seconds; 0 while it is.
        since_s: u64,
    },
    /// A copy of a list waits on the shelf. The gateway knows where that is; no path is ever taken from a follower.
    Offered {
        /// The list.
        source: String,
        /// Its number.
        serial: u64,
        /// Whether it waits for the operator since a gateway looked at it that ended meanwhile.
        was_held: bool,
    },
}

/// What has become of alerts, in the words of closed lists; what never was is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Posted {
    /// Drafts that are not finished, by their state.
    pub drafts: BTreeMap<String, u64>,
    /// When the oldest of those that wait for the operator was opened, in Unix seconds; 0 where none waits.
    pub waiting_since: u64,
    /// What became of what the gateway told.
    pub outcomes: BTreeMap<String, u64>,
    /// What the platform answered.
    pub answers: BTreeMap<String, u64>,
    /// Why something was refused, here or there.
    pub refusals: BTreeMap<String, u64>,
}

/// What the gateway asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Order {
    /// What waits under that number becomes the copy that a start begins with.
    Take {
        /// The list.
        source: String,
        /// The number that it was offered by.
        serial: u64,
    },
    /// What waits under that number waits for the operator from now on, whatever happens to the gateway.
    Hold {
        /// The list.
        source: String,
        /// The number that it was offered by.
        serial: u64,
    },
    /// What waits under that number is thrown away.
    Leave {
        /// The list.
        source: String,
        /// The number that it was offered by.
        serial: u64,
    },
    /// The gateway has raised an alert, which others may have to hear of.
    Alert {
        /// The line of the alert log.
        line: String,
    },
    /// The gateway has done something, which others may have to hear of.
    Applied(Count),
}

impl Order {
    /// What it is about, if that is something that is fetched.
    pub fn source(&self) -> Option<&str> {
        match self {
            Self::Take { source, .. } | Self::Hold { source, .. } | Self::Leave { source, .. } => {
                Some(source)
            }
            Self::Alert { .. } | Self::Applied(_) => None,
        }
    }
}

/// The line that says `word`, its end included.
///
/// # Errors
/// When it would be longer than [`LINE_LEN_MAX`].
pub fn line(word: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    if line.len() > LINE_LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a word too long for the pipe"));
    }
    Ok(line)
}

/// What a line held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard<T> {
    /// A word.
    Word(T),
    /// Nothing that is in the set, or more than a line may hold.
    Garbage,
}

/// Reads words from the other end, with a memory of [`LINE_LEN_MAX`] whatever that sends.
#[derive(Debug)]
pub struct Words<R> {
    from: R,
    line: Vec<u8>,
}

impl<R: BufRead> Words<R> {
    /// A reader of what `from` gives.
    pub fn new(from: R) -> Self {
        Self { from, line: Vec::with_capacity(LINE_LEN_MAX) }
    }

    /// The next line, when it has come whole; none at the end. A last line without its end is no line: whoever wrote it was cut
    /// off in the middle.
    ///
    /// # Errors
    /// When the system cannot read.
    pub fn hear<T: DeserializeOwned>(&mut self) -> io::Result<Option<Heard<T>>> {
        self.line.clear();
        let mut is_too_long = false;
        loop {
            let there = match self.from.fill_buf() {
                Ok(there) => there,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if there.is_empty() {
                return Ok(None);
            }
            let end = there.iter().position(|byte| *byte == b'\n');
            let part = &there[..end.unwrap_or(there.len())];
            is_too_long |= self.line.len() + part.len() >= LINE_LEN_MAX;
            if !is_too_long {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.from.consume(used);
            if end.is_some() {
                break;
            }
        }
        let word = if is_too_long { None } else { serde_json::from_slice(&self.line).ok() };
        Ok(Some(word.map_or(Heard::Garbage, Heard::Word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::{Outcome, State, Tally};

    fn heard(bytes: &[u8], buffer: usize) -> Vec<Heard<Order>> {
        let mut words = Words::new(io::BufReader::with_capacity(buffer, bytes));
        std::iter::from_fn(|| words.hear().unwrap()).collect()
    }

    fn take() -> Order {
        Order::Take { source: "drop".to_owned(), serial: 7 }
    }

    #[test]
    fn words_come_as_they_were_said_in_whatever_pieces() {
        let leave = Order::Leave { source: "é\n\"".to_owned(), serial: u64::MAX };
        let said = [line(&take()).unwrap(), line(&leave).unwrap()].concat();
        for buffer in [1, 2, 7, 64, 9_000] {
            assert_eq!(heard(&said, buffer), [Heard::Word(take()), Heard::Word(leave.clone())]);
        }
    }

    #[test]
    fn what_is_no_word_costs_its_line_alone() {
        let long = vec![b'x'; 3 * LINE_LEN_MAX];
        let unknown: &[u8] = b"{\"order\":\"fly\"}";
        let more: &[u8] = b"{\"order\":\"take\",\"source\":\"a\",\"serial\":1,\"path\":\"/etc/passwd\"}";
        for garbage in [b"".as_slice(), b"\0\xff", &long, unknown, more, &b"[".repeat(4_000)] {
            let said = [garbage, b"\n", &line(&take()).unwrap()].concat();
            for buffer in [1, 100, 9_000] {
                assert_eq!(heard(&said, buffer), [Heard::Garbage, Heard::Word(take())]);
            }
        }
    }

    #[test]
    fn what_has_become_of_alerts_is_told_in_one_line() {
        let every = |words: &mut dyn Iterator<Item = &'static str>| {
            words.map(|word| (word.to_owned(), u64::MAX)).collect::<BTreeMap<_, _>>()
        };
        let tally = Tally::default();
        let posted = Posted {
            drafts: every(&mut State::NAMES.into_iter()),
            waiting_since: u64::MAX,
            outcomes: every(&mut Outcome::NAMES.into_iter()),
            answers: every(&mut Tally::ANSWERS.into_iter()),
            refusals: every(&mut tally.refusals().map(|(word, _)| word)),
        };
        for posted in [Posted::default(), posted] {
            let said = line(&Report::Outbox(posted.clone())).unwrap();
            let mut words = Words::new(said.as_slice());
            assert_eq!(words.hear().unwrap(), Some(Heard::Word(Report::Outbox(posted))));
        }
    }

    #[test]
    fn a_line_that_was_cut_off_is_none() {
        let said = line(&take()).unwrap();
        for cut in 0..said.len() {
            assert_eq!(heard(&said[..cut], 16), []);
        }
    }

    #[test]
    fn a_word_that_no_pipe_takes_whole_is_not_said() {
        let of = |len| Order::Take { source: "s".repeat(len), serial: 0 };
        let most = LINE_LEN_MAX - line(&of(0)).unwrap().len();
        assert_eq!(line(&of(most)).unwrap().len(), LINE_LEN_MAX);
        assert_eq!(heard(&line(&of(most)).unwrap(), 100), [Heard::Word(of(most))]);
        line(&of(most + 1)).unwrap_err();
    }
}
