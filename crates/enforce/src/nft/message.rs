//! What the gateway and its carrier say to each other over two pipes.
//!
//! The gateway reads packets of strangers, and the carrier may change the kernel's rules. So all text that the program `nft` is
//! ever given is said first, before there was a packet; from then on the gateway says nothing but numbers: ranges, addresses
//! and which text is due. Whoever took it over could list and spare sources in its one table, as the gateway itself can, and
//! nothing else.
//!
//! Integers are in network order. A message is its kind, the length of its body in 64 bits, and the body.

use std::io::{self, Read, Write};

use credence_credit::Measure;

use super::counters::COUNTED;
use super::elements::Listed;
use super::flatten::Class;
use crate::counts::Count;

/// Stands in texts for the generation of maps that is to be asked, and for the one before.
pub(crate) const NEXT: &str = "{next}";
pub(crate) const BEFORE: &str = "{before}";

/// The most bytes of a body: ranges of eight million records, twice over.
const BODY_BYTES_MAX: u64 = 1 << 30;

/// All that `nft` is ever given.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Texts {
    /// The table's name.
    pub(crate) table: String,
    pub(crate) define: String,
    /// With the places of [`NEXT`] and [`BEFORE`].
    pub(crate) make: String,
    pub(crate) remove: String,
    pub(crate) swap: String,
    pub(crate) join: String,
    /// The pace of behaviour in ordinary times, and in an emergency.
    pub(crate) pace: [String; 2],
    /// How long opinions last, in seconds.
    pub(crate) opinions_last_s: u32,
}

/// What the gateway asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Define the table.
    Define(Texts),
    /// Put these ranges in force in the place of all before.
    List(Vec<Listed>),
    /// Let packets come to the table.
    Join,
    /// Take these opinions of sources.
    Tell(Vec<(u128, Measure)>),
    /// Pace behaviour as in an emergency, or as usual.
    Alarm(bool),
    /// Tell what was done.
    Count,
}

/// What the carrier answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    /// Packets and bytes of each of [`COUNTED`].
    Counts([Count; COUNTED.len()]),
    /// What went wrong, in words.
    Failed(String),
}

impl Request {
    /// # Errors
    /// When the other side is gone.
    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut body = Vec::new();
        let kind = match self {
            Self::Define(texts) => {
                texts.write(&mut body);
                0
            }
            Self::List(ranges) => {
                body.reserve_exact(ranges.len() * LISTED_BYTES);
                ranges.iter().for_each(|range| write_listed(range, &mut body));
                1
            }
            Self::Join => 2,
            Self::Tell(opinions) => {
                for (source, measure) in opinions {
                    body.extend(source.to_be_bytes());
                    body.push(*measure as u8);
                }
                3
            }
            Self::Alarm(is_emergency) => {
                body.push((*is_emergency).into());
                4
            }
            Self::Count => 5,
        };
        send(to, kind, &body)
    }

    /// The next request; none when the other side is gone.
    ///
    /// # Errors
    /// When it is none of the above, or cut.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let Some((kind, body)) = receive(from)? else { return Ok(None) };
        let request = match kind {
            0 => Texts::read(&body).map(Self::Define),
            1 => each(&body, LISTED_BYTES, read_listed).map(Self::List),
            2 => Some(Self::Join),
            3 => each(&body, OPINION_BYTES, read_opinion).map(Self::Tell),
            4 => body.first().map(|is_emergency| Self::Alarm(*is_emergency != 0)),
            5 => Some(Self::Count),
            _ => None,
        };
        request.map(Some).ok_or_else(unknown)
    }
}

impl Answer {
    /// # Errors
    /// When the other side is gone.
    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Done => send(to, 0, &[]),
            Self::Counts(counts) => {
                let words = counts.iter().flat_map(|count| [count.packets, count.bytes]);
                send(to, 1, &words.flat_map(u64::to_be_bytes).collect::<Vec<u8>>())
            }
            Self::Failed(why) => send(to, 2, why.as_bytes()),
        }
    }

    /// The next answer; none when the other side is gone.
    ///
    /// # Errors
    /// When it is none of the above, or cut.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let Some((kind, body)) = receive(from)? else { return Ok(None) };
        let answer = match kind {
            0 => Self::Done,
            1 => {
                let mut words = body.as_chunks::<8>().0.iter().map(|word| u64::from_be_bytes(*word));
                let mut next = || words.next().unwrap_or_default();
                Self::Counts(std::array::from_fn(|_| Count { packets: next(), bytes: next() }))
            }
            2 => Self::Failed(String::from_utf8_lossy(&body).into_owned()),
            _ => return Err(unknown()),
        };
        Ok(Some(answer))
    }
}

impl Texts {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend(self.opinions_last_s.to_be_bytes());
        let Self { table, define, make, remove, swap, join, pace: [usual, emergency], .. } = self;
        for text in [table, define, make, remove, swap, join, usual, emergency] {
            to.extend((text.len() as u32).to_be_bytes());
            to.extend(text.as_bytes());
        }
    }

    fn read(mut from: &[u8]) -> Option<Self> {
        let opinions_last_s = word(&mut from)?;
        let mut text = || {
            let len = word(&mut from)? as usize;
            let text = from.get(..len)?;
            from = &from[len..];
            String::from_utf8(text.to_vec()).ok()
        };
        Some(Self {
            table: text()?,
            define: text()?,
            make: text()?,
            remove: text()?,
            swap: text()?,
            join: text()?,
            pace: [text()?, text()?],
            opinions_last_s,
        })
    }
}

/// Takes a word of 32 bits.
fn word(from: &mut &[u8]) -> Option<u32> {
    let (word, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(u32::from_be_bytes(*word))
}

const LISTED_BYTES: usize = 16 + 16 + 4 + 1 + 4;
const OPINION_BYTES: usize = 16 + 1;

fn write_listed(range: &Listed, to: &mut Vec<u8>) {
    to.extend(range.first.to_be_bytes());
    to.extend(range.last.to_be_bytes());
    to.extend(range.lasts_s.to_be_bytes());
    to.push(range.class);
    to.extend(range.subject.to_be_bytes());
}

fn read_listed(from: &[u8]) -> Option<Listed> {
    let (first, rest) = from.split_first_chunk()?;
    let (last, rest) = rest.split_first_chunk()?;
    let (lasts_s, rest) = rest.split_first_chunk()?;
    let (class, subject) = rest.split_first().filter(|(class, _)| usize::from(**class) < Class::ALL.len())?;
    Some(Listed {
        first: u128::from_be_bytes(*first),
        last: u128::from_be_bytes(*last),
        lasts_s: u32::from_be_bytes(*lasts_s),
        class: *class,
        subject: u32::from_be_bytes(*subject.first_chunk()?),
    })
}

fn read_opinion(from: &[u8]) -> Option<(u128, Measure)> {
    let (source, measure) = from.split_first_chunk()?;
    let measure = Measure::ALL.get(usize::from(*measure.first()?))?;
    Some((u128::from_be_bytes(*source), *measure))
}

/// Items of `len` bytes each; none when one of them is none.
fn each<T>(body: &[u8], len: usize, read: impl Fn(&[u8]) -> Option<T>) -> Option<Vec<T>> {
    body.chunks(len).map(read).collect()
}

fn send(to: &mut impl Write, kind: u8, body: &[u8]) -> io::Result<()> {
    to.write_all(&[kind])?;
    to.write_all(&(body.len() as u64).to_be_bytes())?;
    to.write_all(body)?;
    to.flush()
}

fn receive(from: &mut impl Read) -> io::Result<Option<(u8, Vec<u8>)>> {
    // Whoever is gone between two messages is gone; in the middle of one it is a fault.
    let mut kind = Vec::new();
    from.by_ref().take(1).read_to_end(&mut kind)?;
    let Some(&kind) = kind.first() else { return Ok(None) };
    let mut len = [0; 8];
    from.read_exact(&mut len)?;
    let len = u64::from_be_bytes(len);
    if len > BODY_BYTES_MAX {
        return Err(unknown());
    }
    let mut body = Vec::new();
    from.take(len).read_to_end(&mut body)?;
    if body.len() as u64 != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((kind, body)))
}

fn unknown() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no message that is known")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Vec<Request> {
        let listed = Listed { first: 1 << 100, last: 2 << 100, lasts_s: 60, class: 12, subject: 7 };
        let texts = Texts {
            table: "t".to_owned(),
            define: "d".to_owned(),
            make: "m".to_owned(),
            remove: String::new(),
            swap: "s".to_owned(),
            join: "j".to_owned(),
            pace: ["usual".to_owned(), "emergency".to_owned()],
            opinions_last_s: 60,
        };
        vec![
            Request::Define(texts),
            Request::List(vec![listed, Listed { subject: 0, ..listed }]),
            Request::List(Vec::new()),
            Request::Join,
            Request::Tell(vec![(5, Measure::Mark), (6, Measure::RateLimit)]),
            Request::Alarm(true),
            Request::Count,
        ]
    }

    #[test]
    fn what_is_asked_is_heard() {
        let mut bytes = Vec::new();
        requests().iter().for_each(|request| request.write(&mut bytes).unwrap());
        let mut from = &bytes[..];
        for request in requests() {
            assert_eq!(Request::read(&mut from).unwrap(), Some(request));
        }
        assert_eq!(Request::read(&mut from).unwrap(), None);
    }

    #[test]
    fn what_is_answered_is_heard() {
        let counts = std::array::from_fn(|at| Count { packets: at as u64, bytes: 1 << 40 });
        for answer in [Answer::Done, Answer::Counts(counts), Answer::Failed("no memory".to_owned())] {
            let mut bytes = Vec::new();
            answer.write(&mut bytes).unwrap();
            assert_eq!(Answer::read(&mut &bytes[..]).unwrap(), Some(answer));
        }
    }

    #[test]
    fn what_is_cut_or_unknown_is_refused() {
        for request in requests() {
            let mut bytes = Vec::new();
            request.write(&mut bytes).unwrap();
            for cut in 1..bytes.len() {
                assert!(Request::read(&mut &bytes[..cut]).is_err(), "{request:?} cut at {cut}");
            }
        }
        let mut endless = vec![1];
        endless.extend(u64::MAX.to_be_bytes());
        assert!(Request::read(&mut &endless[..]).is_err());
        assert!(Request::read(&mut &[9, 0, 0, 0, 0, 0, 0, 0, 0][..]).is_err());
        let crooked = [&[3, 0, 0, 0, 0, 0, 0, 0, 17][..], &[0; 16], &[200]].concat();
        assert!(Request::read(&mut &crooked[..]).is_err());
        let listed = Listed { first: 1, last: 2, lasts_s: 60, class: Class::ALL.len() as u8, subject: 7 };
        let mut classless = Vec::new();
        Request::List(vec![listed]).write(&mut classless).unwrap();
        assert!(Request::read(&mut &classless[..]).is_err());
    }
}
