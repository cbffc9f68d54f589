//! CrowdSec's decisions.
//!
//! Its programs write them in three shapes: a list, an object with what is `new` and what is `deleted`, and alerts that
//! hold `decisions`. One visitor walks all three, handing over each decision as it ends, so that only one is in memory.
//! No type of any member can stop it; only text that is no JSON does, and what came before stays.

use core::fmt;
use std::io::BufRead;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::problem::{Fault, Place};
use super::{Claim, ImportError, Importer, address, duration};
use crate::{Measure, Reason, Reasons};

/// The longest document, in bytes: 512 MiB, some two million decisions. It bounds the longest string too.
const DOCUMENT_LEN_MAX: u64 = 512 << 20;

/// How many words of a scenario's name are looked at.
const SCENARIO_WORDS_MAX: usize = 32;

pub(super) fn read(
    importer: &mut Importer,
    source_name: &str,
    input: impl BufRead,
) -> Result<(), ImportError> {
    let mut walk = Walk { importer, source_name, elements: 0, fatal: None };
    let mut json = serde_json::Deserializer::from_reader(input.take(DOCUMENT_LEN_MAX));
    let outcome = Node(&mut walk).deserialize(&mut json).and_then(|()| json.end());
    match (walk.fatal, outcome) {
        (Some(fatal), _) => Err(fatal),
        (None, Err(error)) if error.is_io() => {
            Err(ImportError::Read { source_name: source_name.to_owned(), error: error.into() })
        }
        (None, Err(error)) => {
            let place = Place::Line { line: error.line() as u64, column: error.column() as u64 };
            let fault = Fault::new(&error, "what came before it is imported; fetch the file again");
            importer.problems.note(source_name, place, b"", &fault);
            Ok(())
        }
        (None, Ok(())) => Ok(()),
    }
}

/// What is known while walking through a document.
struct Walk<'a> {
    importer: &'a mut Importer,
    source_name: &'a str,
    /// Decisions and misplaced values so far.
    elements: u64,
    /// Why the walk ended, when not because of the document.
    fatal: Option<ImportError>,
}

/// The members of a decision that matter. A member of another type than expected counts as text that fits nowhere.
#[derive(Default)]
struct Decision {
    duration: Option<String>,
    scope: Option<String>,
    value: Option<String>,
    kind: Option<String>,
    scenario: Option<String>,
    simulated: bool,
}

impl Walk<'_> {
    fn decision(&mut self, decision: &Decision) -> Result<(), ImportError> {
        self.elements += 1;
        let value = decision.value.as_deref().unwrap_or_default();
        match self.importer.decision(self.source_name, decision, value) {
            Ok(outcome) => outcome,
            Err(fault) => {
                self.misplaced(value, &fault);
                Ok(())
            }
        }
    }

    fn misplaced(&mut self, text: &str, fault: &Fault) {
        let place = Place::Element(self.elements);
        self.importer.problems.note(self.source_name, place, text.as_bytes(), fault);
    }
}

impl Importer {
    /// Adds a decision, or counts why not. The outer result is about the decision, the inner one about the import.
    fn decision(
        &mut self,
        source_name: &str,
        decision: &Decision,
        value: &str,
    ) -> Result<Result<(), ImportError>, Fault> {
        self.tally.entries += 1;
        let scope = decision.scope.as_deref().unwrap_or_default();
        if !["ip", "range"].iter().any(|known| scope.eq_ignore_ascii_case(known)) {
            self.tally.other_scopes += 1;
            return Ok(Ok(()));
        }
        if decision.simulated {
            self.tally.simulated += 1;
            return Ok(Ok(()));
        }
        let left = match decision.duration.as_deref() {
            None => None,
            Some(text) => Some(duration::seconds(text).ok_or_else(|| {
                let cure = "write it like 4h or 59m58.7s";
                Fault::new(format_args!("its duration {:?} is none", shortened(text)), cure)
            })?),
        };
        let claim = Claim {
            rating: None,
            measure: Some(measure(decision.kind.as_deref(), self.options.measure)),
            reasons: reasons(decision.scenario.as_deref().unwrap_or_default()),
            expires: left.map(|left| self.options.now.saturating_add(left)),
        };
        let address = address::parse(value)?;
        Ok(self.add(source_name, address, claim))
    }
}

/// The beginning of a text, enough to recognise it.
fn shortened(text: &str) -> String {
    text.chars().take(32).collect()
}

/// What a decision asks for. A ban is what the options say; any other remedy, such as a captcha, is milder than a ban
/// and must not turn into more than a rate limit.
fn measure(kind: Option<&str>, options: Measure) -> Measure {
    match kind {
        Some(kind) if !kind.eq_ignore_ascii_case("ban") => options.min(Measure::RateLimit),
        _ => options,
    }
}

/// The catalogue items that a scenario's name speaks of, by the words in use for the public scenarios.
fn reasons(scenario: &str) -> Reasons {
    let words = scenario.split(|c: char| !c.is_ascii_alphanumeric()).take(SCENARIO_WORDS_MAX);
    words
        .filter_map(|word| match word {
            "scan" | "portscan" | "probing" => Some(Reason::Scanning),
            "bf" | "bruteforce" => Some(Reason::CredentialAttack),
            "dos" | "ddos" | "flood" => Some(Reason::Flooding),
            "spam" => Some(Reason::SpamSource),
            _ => None,
        })
        .collect()
}

/// Walks over one value of the document: nothing, a list of values, a decision, or an object that holds lists of them.
struct Node<'w, 'a>(&'w mut Walk<'a>);

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("decisions")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Node(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut decision, mut holds_lists) = (Decision::default(), false);
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "new" | "decisions" => {
                    holds_lists = true;
                    map.next_value_seed(Node(self.0))?;
                }
                "deleted" => {
                    holds_lists = true;
                    if let Member::List(count) = map.next_value_seed(AnyMember)? {
                        self.0.importer.tally.deleted += count;
                    }
                }
                "duration" => decision.duration = map.next_value_seed(AnyMember)?.text(),
                "scope" => decision.scope = map.next_value_seed(AnyMember)?.text(),
                "value" => decision.value = map.next_value_seed(AnyMember)?.text(),
                "type" => decision.kind = map.next_value_seed(AnyMember)?.text(),
                "scenario" => decision.scenario = map.next_value_seed(AnyMember)?.text(),
                "simulated" => {
                    let text = map.next_value_seed(AnyMember)?.text();
                    decision.simulated = text.as_deref() == Some("true");
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if holds_lists {
            return Ok(());
        }
        self.0.decision(&decision).map_err(|fatal| {
            self.0.fatal = Some(fatal);
            A::Error::custom("the import has ended")
        })
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.scalar(value)
    }
}

impl Node<'_, '_> {
    /// Notes a value that stands where a decision should.
    fn scalar<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.elements += 1;
        self.0.importer.tally.entries += 1;
        self.0.misplaced(text, &Fault::new("not a decision", "export the decisions again, as JSON"));
        Ok(())
    }
}

/// What a member of an object holds, as far as that matters here.
enum Member {
    /// Nothing, which is the same as being left out.
    Null,
    /// Text; a number or a truth value in the form that it was written.
    Text(String),
    /// A list of so many elements.
    List(u64),
    /// An object.
    Object,
}

impl Member {
    /// The text. A list or an object gives one that no duration, scope or address looks like.
    fn text(self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(text),
            Self::List(_) => Some("[…]".to_owned()),
            Self::Object => Some("{…}".to_owned()),
        }
    }
}

/// Reads a member of any type; the elements of lists and objects are passed over.
struct AnyMember;

impl<'de> DeserializeSeed<'de> for AnyMember {
    type Value = Member;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Member, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyMember {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Member, E> {
        Ok(Member::Null)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Member, E> {
        Ok(Member::Text(value.to_owned()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Member, E> {
        Ok(Member::Text(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Member, E> {
        Ok(Member::Text(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Member, E> {
        Ok(Member::Text(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Member, E> {
        Ok(Member::Text(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Member, A::Error> {
        let mut count = 0;
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Member::List(count))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Member, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Member::Object)
    }
}
