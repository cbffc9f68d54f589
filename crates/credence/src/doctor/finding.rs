//! A finding: what was looked at, how it is, and what mends it.

use std::borrow::Cow;

use serde::Serialize;

/// How something is. The words are a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// As it should be.
    Good,
    /// It could not be looked at; the finding says why.
    Unknown,
    /// credence works, and would work better.
    CouldBeBetter,
    /// It is not there.
    Missing,
}

impl State {
    /// The word for people.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unknown => "unknown",
            Self::CouldBeBetter => "could be better",
            Self::Missing => "MISSING",
        }
    }
}

/// What came of one check. The names of the members are a contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at; one name a check.
    pub(super) name: &'static str,
    /// The interface; none for what concerns the host.
    pub(super) interface: Option<String>,
    pub(super) state: State,
    /// Whether the configuration cannot do without.
    pub(super) needed: bool,
    /// What was found, a sentence.
    pub(super) found: String,
    /// Commands that mend it, one after the other; none where nothing is to be mended.
    pub(super) cures: Vec<String>,
}

impl Finding {
    fn new(name: &'static str, state: State, found: impl Into<Cow<'static, str>>) -> Self {
        let found = found.into().into_owned();
        Self { name, interface: None, state, needed: false, found, cures: Vec::new() }
    }

    /// All is well with `name`.
    pub(super) fn good(name: &'static str, found: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, State::Good, found)
    }

    /// It could not be found out how `name` is.
    pub(super) fn unknown(name: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, State::Unknown, why)
    }

    /// `name` could be better.
    pub(super) fn could_be_better(name: &'static str, found: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, State::CouldBeBetter, found)
    }

    /// `name` is not there.
    pub(super) fn missing(name: &'static str, found: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, State::Missing, found)
    }

    /// The finding, with one more command that mends it.
    pub(super) fn cure(mut self, command: impl Into<String>) -> Self {
        self.cures.push(command.into());
        self
    }

    /// The finding, of something that the configuration cannot do without when `needed`.
    pub(super) fn needed(mut self, needed: bool) -> Self {
        self.needed = needed;
        self
    }

    /// The finding, about that interface.
    pub(super) fn on(mut self, interface: &str) -> Self {
        self.interface = Some(interface.to_owned());
        self
    }

    /// Whether the configuration cannot work because of this.
    pub(super) fn is_fatal(&self) -> bool {
        self.needed && self.state == State::Missing
    }
}

/// `word` as a shell takes it for one: names of interfaces and paths may hold what a shell would act on.
pub(super) fn shell_word(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_./:@%+=,-".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_any_name_for_one_word() {
        for (name, word) in [
            ("eth0.100", "eth0.100"),
            ("/etc/my own.toml", "'/etc/my own.toml'"),
            ("a;reboot", "'a;reboot'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(name), word);
        }
    }
}
