//! Fields of forms: what they show, what was typed into them, and what is wrong with that.

use std::collections::HashMap;
use std::str::FromStr;

use credence_credit::{ActId, Score};
use credence_prefix::Prefix;

use crate::keys::unhex;

/// Identities that are typed into one field, at most.
pub(super) const LIST_MAX: usize = 64;

/// A field.
#[derive(Debug)]
pub(in crate::portal) struct Field {
    pub(in crate::portal) name: &'static str,
    pub(in crate::portal) label: &'static str,
    pub(in crate::portal) hint: &'static str,
    pub(in crate::portal) input: Input,
    pub(in crate::portal) value: String,
    pub(in crate::portal) fault: Option<String>,
}

/// How something is typed.
#[derive(Debug)]
pub(in crate::portal) enum Input {
    /// In a line.
    Line,
    /// In several.
    Area,
    /// By choosing: values with their words.
    Choice(Vec<(String, String)>),
}

impl Field {
    /// An empty field for a line.
    pub(in crate::portal) const fn line(name: &'static str, label: &'static str, hint: &'static str) -> Self {
        Self { name, label, hint, input: Input::Line, value: String::new(), fault: None }
    }

    /// An empty field for several lines.
    pub(in crate::portal) const fn area(name: &'static str, label: &'static str, hint: &'static str) -> Self {
        Self { name, label, hint, input: Input::Area, value: String::new(), fault: None }
    }

    /// A field in which one of several is chosen.
    pub(in crate::portal) fn choice<V: Into<String>, W: Into<String>>(
        name: &'static str,
        label: &'static str,
        options: impl IntoIterator<Item = (V, W)>,
    ) -> Self {
        let options = options.into_iter().map(|(value, words)| (value.into(), words.into())).collect();
        Self { name, label, hint: "", input: Input::Choice(options), value: String::new(), fault: None }
    }

    /// With something in it from the beginning.
    pub(in crate::portal) fn with(self, value: &str) -> Self {
        Self { value: value.to_owned(), ..self }
    }

    /// With what was typed, and what is wrong with it.
    pub(in crate::portal) fn filled(
        mut self,
        values: &HashMap<String, String>,
        faults: &[(&'static str, String)],
    ) -> Self {
        if let Some(value) = values.get(self.name) {
            self.value.clone_from(value);
        }
        self.fault = faults.iter().find(|(name, _)| *name == self.name).map(|(_, text)| text.clone());
        self
    }
}

/// What was typed into a form, read field by field. What cannot be read is noted.
#[derive(Debug)]
pub(in crate::portal) struct Typed<'v> {
    values: &'v HashMap<String, String>,
    /// What is wrong, by field.
    pub(in crate::portal) faults: Vec<(&'static str, String)>,
}

impl<'v> Typed<'v> {
    pub(in crate::portal) const fn new(values: &'v HashMap<String, String>) -> Self {
        Self { values, faults: Vec::new() }
    }

    pub(in crate::portal) fn text(&self, name: &str) -> &'v str {
        self.values.get(name).map_or("", |value| value.trim())
    }

    /// Notes that a field is wrong.
    pub(in crate::portal) fn fault(&mut self, name: &'static str, text: impl Into<String>) {
        self.faults.push((name, text.into()));
    }

    /// What `read` makes of a field; noted with `wrong` where that is nothing.
    pub(in crate::portal) fn read<T>(
        &mut self,
        name: &'static str,
        wrong: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = read(self.text(name));
        if value.is_none() {
            self.fault(name, wrong);
        }
        value
    }

    pub(in crate::portal) fn prefix(&mut self, name: &'static str) -> Option<Prefix> {
        match crate::portal::inquiry::named(self.text(name)) {
            Ok(prefix) => Some(prefix),
            Err(text) => {
                self.fault(name, text);
                None
            }
        }
    }

    pub(in crate::portal) fn number<N: FromStr + PartialOrd>(
        &mut self,
        name: &'static str,
        least: N,
        most: N,
        wrong: &str,
    ) -> Option<N> {
        self.read(name, wrong, |text| text.parse().ok().filter(|number| (least..=most).contains(number)))
    }

    pub(in crate::portal) fn score(&mut self, name: &'static str) -> Option<Score> {
        self.read(name, "A score is a number from 0 to 1000.", |text| Score::new(text.parse().ok()?).ok())
    }

    pub(in crate::portal) fn id(&mut self, name: &'static str) -> Option<ActId> {
        self.read(name, "The identity of an act has 64 hexadecimal digits.", |text| unhex(text).map(ActId))
    }

    /// Several identities, in their order.
    pub(in crate::portal) fn ids(&mut self, name: &'static str) -> Option<Vec<ActId>> {
        self.read(
            name,
            "Identities of acts, one a line: 64 hexadecimal digits each, 64 lines at most.",
            |text| {
                let ids = text.split_whitespace().take(LIST_MAX + 1).map(|text| unhex(text).map(ActId));
                let mut ids: Vec<_> = ids.collect::<Option<_>>()?;
                ids.sort_unstable();
                ids.dedup();
                (1..=LIST_MAX).contains(&ids.len()).then_some(ids)
            },
        )
    }

    pub(in crate::portal) fn commitment(&mut self, name: &'static str) -> Option<[u8; 32]> {
        self.read(name, "A commitment has 64 hexadecimal digits.", unhex)
    }

    /// One of a closed list, by its place.
    pub(in crate::portal) fn chosen<T: Copy>(&mut self, name: &'static str, all: &[T]) -> Option<T> {
        self.read(name, "Choose one.", |text| all.get(text.parse::<usize>().ok()?).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_noted_by_its_field_and_the_rest_is_read() {
        let values = [("a", " 7 "), ("b", "1001"), ("c", "<b>"), ("d", "1"), ("e", "2")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut typed = Typed::new(&values);
        assert_eq!(typed.number::<u16>("a", 1, 90, "days"), Some(7));
        assert_eq!(typed.number::<u16>("a", 8, 90, "days"), None);
        assert_eq!(typed.score("b"), None);
        assert_eq!(typed.id("c"), None);
        assert_eq!(typed.ids("missing"), None);
        assert_eq!(typed.chosen("d", &["x", "y"]), Some("y"));
        assert_eq!(typed.chosen("e", &["x", "y"]), None);
        let names: Vec<_> = typed.faults.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["a", "b", "c", "missing", "e"]);
        let field = Field::line("c", "C", "").filled(&values, &typed.faults);
        assert_eq!(field.value, "<b>", "what was typed is kept");
        assert!(field.fault.is_some_and(|fault| fault.contains("64 hexadecimal")));
    }

    #[test]
    fn identities_come_in_order_each_once_and_not_too_many() {
        let ids = |count: usize| {
            let lines: Vec<_> = (0..count).rev().map(|number| format!("{number:064x}")).collect();
            let values = HashMap::from([("on".to_owned(), format!("{}\n{}", lines.join("\n"), lines[0]))]);
            Typed::new(&values).ids("on").map(|ids| ids.len())
        };
        assert_eq!((ids(1), ids(3), ids(63), ids(65)), (Some(1), Some(3), Some(63), None));
    }
}
