//! How values stand in bytes.
//!
//! Numbers are in network byte order. A list is its count in two bytes and its items; an optional value is one byte, 0 or 1,
//! and the value; text is its length in two bytes and UTF-8. A structure is its fields in the order in which its
//! documentation lists them, with nothing between. Each value has one form: whatever is read is written back as the same
//! bytes, or it is not read.

use core::fmt;

use credence_credit::{ActRef, Authority, EvidenceClass, Learned, Measure, Rating, Reasons, Score, Status};
use credence_prefix::Prefix;

/// Why bytes are no object, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}: {fault}")]
pub struct DecodeError {
    /// The offset of the value that is wrong.
    pub at: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes end in the middle.
    #[error("the object ends in the middle of a value")]
    Short,
    /// Bytes are left over.
    #[error("there are bytes behind the end of the object")]
    Long,
    /// No object of this layout begins so.
    #[error("this is no object of layout version 1")]
    Magic,
    /// A number that stands for nothing in this place.
    #[error("{0} stands for nothing here")]
    Number(u64),
    /// Text that is no UTF-8, too long, or not plain.
    #[error("this is no plain text of at most {} bytes", Text::LEN_MAX)]
    Text,
    /// A prefix with bits behind its length.
    #[error("the prefix has bits behind its length, or more than 128")]
    Prefix,
    /// Items of an ordered list that are not in their order, or one that comes twice.
    #[error("the list is out of order, or an item comes twice")]
    Order,
    /// A field that must be understood and is not.
    #[error("field {0} must be understood and is not: a newer program is needed")]
    Critical(u16),
}

/// Bytes that are being read.
#[derive(Debug)]
#[doc(hidden)]
pub struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    /// Reading from the first byte on.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The next so many bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count).ok_or(DecodeError { at: self.at, fault: Fault::Short })?;
        self.at += count;
        Ok(taken)
    }

    /// The next bytes, as many as the array has.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.bytes(N).map(|bytes| bytes.try_into().expect("so many were asked for"))
    }

    /// What `read` makes of the next value; a fault that it finds lies where the value begins.
    ///
    /// # Errors
    /// When there is no such value, or `read` finds a fault.
    pub fn checked<T: Layout, U>(
        &mut self,
        read: impl FnOnce(T) -> Result<U, Fault>,
    ) -> Result<U, DecodeError> {
        let at = self.at;
        read(T::take(self)?).map_err(|fault| DecodeError { at, fault })
    }

    /// That nothing is left.
    ///
    /// # Errors
    /// When something is.
    pub const fn end(&self) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(DecodeError { at: self.at, fault: Fault::Long }) }
    }
}

/// A value that has a form in bytes.
pub trait Layout: Sized {
    /// Appends the value's bytes.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads the next value.
    ///
    /// # Errors
    /// When the bytes there are none.
    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError>;

    /// Its bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    /// The value of these bytes, all of them.
    ///
    /// # Errors
    /// When they are none, or more than one.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Input::new(bytes);
        let value = Self::take(&mut input)?;
        input.end()?;
        Ok(value)
    }
}

macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl Layout for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
                input.array().map(Self::from_be_bytes)
            }
        }
    )+};
}
numbers!(u8, u16, u32, u64, u128);

impl<const N: usize> Layout for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.array()
    }
}

impl Layout for bool {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self).put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.checked(|byte: u8| match byte {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Fault::Number(byte.into())),
        })
    }
}

impl<T: Layout> Layout for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(if bool::take(input)? { Some(T::take(input)?) } else { None })
    }
}

/// At most 65,535 items. Memory grows with the items that are there, never with the count that is claimed.
impl<T: Layout> Layout for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        debug_assert!(u16::try_from(self.len()).is_ok(), "a list has at most 65,535 items");
        (self.len() as u16).put(out);
        self.iter().for_each(|item| item.put(out));
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let count = u16::take(input)?;
        let mut items = Self::new();
        for _ in 0..count {
            items.push(T::take(input)?);
        }
        Ok(items)
    }
}

/// That `items` stand in the order of their keys, each once.
///
/// # Errors
/// When they do not.
pub fn in_order<T, K: Ord>(items: &[T], key: impl Fn(&T) -> K) -> Result<(), Fault> {
    if items.is_sorted_by(|left, right| key(left) < key(right)) { Ok(()) } else { Err(Fault::Order) }
}

/// Its first address in sixteen bytes, and its length in one.
impl Layout for Prefix {
    fn put(&self, out: &mut Vec<u8>) {
        self.first().put(out);
        self.len().put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.checked(|(bits, len): (u128, u8)| Self::new(bits, len).map_err(|_| Fault::Prefix))
    }
}

impl<A: Layout, B: Layout> Layout for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok((A::take(input)?, B::take(input)?))
    }
}

/// A closed list whose items stand as one byte each: their place in it.
#[doc(hidden)]
#[macro_export]
macro_rules! listed {
    ($($type:ty: $all:expr),+ $(,)?) => {$(
        impl $crate::layout::Layout for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let place = $all.iter().position(|item| item == self).expect("the list is whole");
                out.push(place as u8);
            }

            fn take(input: &mut $crate::layout::Input<'_>) -> Result<Self, $crate::layout::DecodeError> {
                input.checked(|place: u8| {
                    let item = $all.get(usize::from(place)).copied();
                    item.ok_or($crate::layout::Fault::Number(place.into()))
                })
            }
        }
    )+};
}
pub use listed;

listed! {
    Authority: Authority::ALL,
    Measure: Measure::ALL,
    EvidenceClass: [EvidenceClass::Confirmed, EvidenceClass::Unconfirmed, EvidenceClass::Declared],
    Status: Status::ALL,
    Learned: [Learned::Declared, Learned::Observed, Learned::Default],
}

impl Layout for ActRef {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.array().map(Self)
    }
}

/// A bit for each item, from the lowest on.
impl Layout for Reasons {
    fn put(&self, out: &mut Vec<u8>) {
        u16::from(*self).put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.checked(|bits: u16| Self::try_from(bits).map_err(|_| Fault::Number(bits.into())))
    }
}

/// The score in two bytes and the status in one; unrated is 65,535 alone.
impl Layout for Rating {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Unrated => u16::MAX.put(out),
            Self::Rated { score, status } => {
                score.value().put(out);
                status.put(out);
            }
        }
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let score = input.checked(|value: u16| match value {
            u16::MAX => Ok(None),
            _ => Score::new(value).map(Some).map_err(|_| Fault::Number(value.into())),
        })?;
        let Some(score) = score else { return Ok(Self::Unrated) };
        Ok(Self::Rated { score, status: Status::take(input)? })
    }
}

/// Plain text: no control characters, and none that turn the direction of writing and so could forge what is read.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(String);

impl Text {
    /// The longest text, in bytes.
    pub const LEN_MAX: usize = 1_024;

    /// The text, if it is plain and not too long.
    ///
    /// # Errors
    /// When it is not.
    pub fn new(text: impl Into<String>) -> Result<Self, Fault> {
        let text = text.into();
        let turns =
            |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let is_plain = text.len() <= Self::LEN_MAX && !text.chars().any(|c| c.is_control() || turns(c));
        if is_plain { Ok(Self(text)) } else { Err(Fault::Text) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Layout for Text {
    fn put(&self, out: &mut Vec<u8>) {
        (self.0.len() as u16).put(out);
        out.extend_from_slice(self.0.as_bytes());
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let at = input.at();
        let len = u16::take(input)?;
        let text = str::from_utf8(input.bytes(len.into())?).map_err(|_| Fault::Text);
        text.and_then(Self::new).map_err(|fault| DecodeError { at, fault })
    }
}

/// A structure whose bytes are those of its fields, in their order.
#[doc(hidden)]
#[macro_export]
macro_rules! fields {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$about:meta])* pub $field:ident: $type:ty,)+ })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[$about])* pub $field: $type,)+ }

        impl $crate::layout::Layout for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $($crate::layout::Layout::put(&self.$field, out);)+
            }

            fn take(input: &mut $crate::layout::Input<'_>) -> Result<Self, $crate::layout::DecodeError> {
                Ok(Self { $($field: $crate::layout::Layout::take(input)?,)+ })
            }
        }
    )+};
}
pub use fields;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fields! {
        /// Some of everything.
        #[expect(unreachable_pub, reason = "structures of the law are public")]
        pub struct Sample {
            /// A number.
            pub number: u16,
            /// A prefix.
            pub prefix: Prefix,
            /// A rating.
            pub rating: Rating,
            /// A list of texts.
            pub texts: Vec<Text>,
            /// A word, or none.
            pub measure: Option<Measure>,
        }
    }

    fn sample() -> Sample {
        Sample {
            number: 0x0102,
            prefix: "2001:db8::/32".parse().unwrap(),
            rating: Rating::of(Score::new(259).unwrap()),
            texts: vec![Text::new("a").unwrap(), Text::new("é").unwrap()],
            measure: Some(Measure::RateLimit),
        }
    }

    #[test]
    fn a_structure_is_its_fields_one_behind_the_other() {
        let mut expected = vec![1, 2, 0x20, 1, 0x0d, 0xb8];
        expected.extend([0; 12]);
        expected.extend([32, 1, 3, 3, 0, 2, 0, 1, b'a', 0, 2, 0xc3, 0xa9, 1, 4]);
        assert_eq!(sample().to_bytes(), expected);
        assert_eq!(Sample::from_bytes(&expected), Ok(sample()));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let good = sample().to_bytes();
        let fault = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            change(&mut bytes);
            Sample::from_bytes(&bytes).unwrap_err()
        };
        let at = |at, fault| DecodeError { at, fault };
        assert_eq!(fault(&|bytes| bytes[17] = 1), at(2, Fault::Prefix));
        assert_eq!(fault(&|bytes| bytes[18] = 129), at(2, Fault::Prefix));
        assert_eq!(fault(&|bytes| bytes[19] = 4), at(19, Fault::Number(0x0403)));
        assert_eq!(fault(&|bytes| bytes[21] = 5), at(21, Fault::Number(5)));
        assert_eq!(fault(&|bytes| bytes[26] = 0x1b), at(24, Fault::Text));
        assert_eq!(fault(&|bytes| bytes[30] = 0xff), at(27, Fault::Text));
        assert_eq!(fault(&|bytes| bytes[31] = 2), at(31, Fault::Number(2)));
        assert_eq!(fault(&|bytes| bytes.push(0)), at(33, Fault::Long));
        assert_eq!(fault(&|bytes| bytes.truncate(32)), at(32, Fault::Short));
        assert_eq!(fault(&|bytes| bytes[22] = 0xff).fault, Fault::Short);
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_back_as_the_same_bytes(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..64),
            flips in proptest::collection::vec((0..40_usize, any::<u8>()), 0..3),
            from_sample: bool,
        ) {
            if from_sample {
                bytes = sample().to_bytes();
                for (at, byte) in flips {
                    let at = at % bytes.len();
                    bytes[at] = byte;
                }
            }
            if let Ok(value) = Sample::from_bytes(&bytes) {
                prop_assert_eq!(value.to_bytes(), bytes);
            }
        }
    }
}
