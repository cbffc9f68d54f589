//! A whole object: what it is, what it says, and what later versions add.

use credence_credit::ActId;

use crate::acts::Act;
use crate::layout::{DecodeError, Fault, Input, Layout, in_order};
use crate::party::{World, act_id};

/// What every object of this layout begins with; the last byte is the layout's version.
const MAGIC: [u8; 5] = *b"CRED\x01";
/// A field with this bit in its number must be understood, or the object means something else than is read.
const CRITICAL: u16 = 1 << 15;

/// Something that a later version of an act adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Which field; below 32,768, for one that may be passed over.
    pub number: u16,
    /// What it holds.
    pub value: Vec<u8>,
}

/// What an object can say.
pub trait Body: Sized {
    /// The number of its kind.
    fn kind(&self) -> u8;

    /// Appends its bytes.
    #[doc(hidden)]
    fn write(&self, out: &mut Vec<u8>);

    /// Reads one of this kind; none for a number that stands for none.
    #[doc(hidden)]
    fn read(kind: u8, input: &mut Input<'_>) -> Option<Result<Self, DecodeError>>;
}

/// An act or a rule in its world.
///
/// The layout: five bytes `CRED` 1, one for the kind, one that is 1 for an exercise and 0 otherwise, 32 for the world, what it
/// says, and then fields to the end of the object, in the order of their numbers, each once: the number in two bytes, the
/// length in two, the value. A field whose number has the highest bit must be understood: a reader that does not know it
/// refuses the object. This version knows none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object<B = Act> {
    /// Where it belongs.
    pub world: World,
    /// Whether it is a drill. Nothing follows from one.
    pub exercise: bool,
    /// What it says.
    pub body: B,
    /// What this version passes over.
    pub extensions: Vec<Extension>,
}

impl<B: Body> Object<B> {
    /// An object of this world, in earnest.
    pub const fn new(world: World, body: B) -> Self {
        Self { world, exercise: false, body, extensions: Vec::new() }
    }

    /// The bytes that are signed.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.push(self.body.kind());
        self.exercise.put(&mut out);
        self.world.put(&mut out);
        self.body.write(&mut out);
        for extension in &self.extensions {
            extension.number.put(&mut out);
            (extension.value.len() as u16).put(&mut out);
            out.extend_from_slice(&extension.value);
        }
        out
    }

    /// Reads an object. To be called on bytes whose signatures were checked.
    ///
    /// # Errors
    /// When the bytes are no object of this version, or hold a field that must be understood and is not.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Input::new(bytes);
        input.checked(|magic: [u8; 5]| if magic == MAGIC { Ok(()) } else { Err(Fault::Magic) })?;
        let (at, kind) = (input.at(), u8::take(&mut input)?);
        let (exercise, world) = (bool::take(&mut input)?, World::take(&mut input)?);
        let unknown = DecodeError { at, fault: Fault::Number(kind.into()) };
        let body = B::read(kind, &mut input).ok_or(unknown)??;
        Ok(Self { world, exercise, body, extensions: extensions(&mut input)? })
    }

    /// Its identity.
    pub fn id(&self) -> ActId {
        act_id(&self.encode())
    }
}

fn extensions(input: &mut Input<'_>) -> Result<Vec<Extension>, DecodeError> {
    let (begin, mut found) = (input.at(), Vec::new());
    while !input.is_empty() {
        let number = input.checked(|number: u16| match number & CRITICAL {
            0 => Ok(number),
            _ => Err(Fault::Critical(number)),
        })?;
        let len = u16::take(input)?;
        found.push(Extension { number, value: input.bytes(len.into())?.to_vec() });
    }
    in_order(&found, |extension| extension.number).map_err(|fault| DecodeError { at: begin, fault })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layout::Text;
    use crate::rules::{Root, Rules};
    use crate::sign::Signed;
    use crate::world::{Known, WORLD, all, signed};

    fn acts() -> Vec<Object> {
        all(&mut Known::default()).into_iter().map(|act| Object::new(WORLD, act)).collect()
    }

    fn rules() -> Vec<Object<Rules>> {
        let catalogue = crate::catalogue::Catalogue::first();
        let items = Vec::new();
        let supplement =
            crate::catalogue::Supplement { member: crate::party::MemberId(1), version: 1, items };
        let root = Root {
            version: 1,
            previous: None,
            name: Text::new("a world").unwrap(),
            is_example: true,
            keys: vec![[1; 32]],
            threshold: 1,
            expires: 9,
        };
        let all = [
            Rules::Root(root),
            Rules::Registry(crate::world::registry()),
            Rules::Catalogue(catalogue),
            Rules::Supplement(supplement),
            Rules::Standard(crate::standard::Standard::first()),
            Rules::Procedure(crate::procedure::Procedure::first()),
        ];
        all.map(|rule| Object::new(WORLD, rule)).into()
    }

    #[test]
    fn objects_of_all_kinds_are_read_back_as_they_were_written() {
        for object in acts() {
            assert_eq!(Object::decode(&object.encode()), Ok(object));
        }
        for object in rules() {
            assert_eq!(Object::decode(&object.encode()), Ok(object));
        }
    }

    #[test]
    fn an_act_is_no_rule_and_a_rule_no_act() {
        let kind = |kind| DecodeError { at: 5, fault: Fault::Number(kind) };
        assert_eq!(Object::<Rules>::decode(&acts()[0].encode()), Err(kind(16)));
        assert_eq!(Object::<Act>::decode(&rules()[0].encode()), Err(kind(1)));
    }

    #[test]
    fn an_object_that_is_cut_short_anywhere_is_none() {
        for object in acts() {
            let bytes = object.encode();
            for len in 0..bytes.len() {
                assert!(Object::<Act>::decode(&bytes[..len]).is_err(), "{len} bytes of {object:?}");
            }
        }
    }

    #[test]
    fn what_later_versions_add_is_passed_over_and_kept_unless_it_must_be_understood() {
        let field = |number| Extension { number, value: vec![1, 2, 3] };
        let mut object = acts().remove(0);
        object.extensions = vec![field(1), field(7)];
        assert_eq!(Object::decode(&object.encode()), Ok(object.clone()));
        object.extensions = vec![field(7), field(1)];
        assert_eq!(Object::<Act>::decode(&object.encode()).unwrap_err().fault, Fault::Order);
        object.extensions = vec![field(1), field(CRITICAL | 1)];
        assert_eq!(Object::<Act>::decode(&object.encode()).unwrap_err().fault, Fault::Critical(CRITICAL | 1));
    }

    proptest! {
        /// Nothing is read as two different things: a changed byte is either refused or makes another object.
        #[test]
        fn a_changed_object_is_refused_or_another(
            which in 0..21_usize,
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = acts()[which].encode();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(object) = Object::<Act>::decode(&bytes) {
                prop_assert_eq!(object.encode(), bytes);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(signed) = Signed::decode(&bytes) {
                prop_assert_eq!(signed.encode(), bytes.clone());
            }
            if let Ok(object) = Object::<Act>::decode(&bytes) {
                prop_assert_eq!(object.encode(), bytes);
            }
        }
    }

    #[test]
    fn what_travels_has_the_shape_of_an_act() {
        for object in acts() {
            let sent = signed(object.body.clone());
            assert_eq!(Signed::decode(&sent.encode()), Ok(sent.clone()));
            assert_eq!(Object::decode(sent.bytes()), Ok(object));
        }
    }
}
