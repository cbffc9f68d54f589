//! From the text of a configuration file to [`Config`], with every mistake on the way.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::mistakes::{Mistakes, Place, syntax, wording};
use super::{Config, cores};

/// The largest file that is read, in bytes: lists of some 30,000 prefixes. Longer ones belong into a credit
/// snapshot.
const FILE_LEN_MAX: u64 = 1 << 20;

/// How many mistakes are told. Whoever made more than that meant another file.
const MISTAKES_MAX: usize = 20;

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Every mistake in it that can be told, up to twenty, or why it cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self, Mistakes> {
        let file = path.display().to_string();
        match text_of(path) {
            Ok(text) => Self::parse(&file, &text, cores()),
            Err(mistake) => Err(Mistakes::new(file, vec![mistake])),
        }
    }

    /// Reads the text of the file called `file`, for a host on which this process may use `cores` cores.
    ///
    /// A value that is wrong is told, left out and given its default, and the rest is read on, so that one
    /// run shows all.
    ///
    /// # Errors
    /// Every mistake, up to twenty.
    pub(crate) fn parse(file: &str, text: &str, cores: usize) -> Result<Self, Mistakes> {
        parse(file, text, |config: &Self| {
            let unsound = config.unsound(cores).into_iter().map(|(key, fault)| (key.to_owned(), fault));
            unsound.chain(config.sync.unsound()).collect()
        })
    }
}

/// Reads the text of the file called `file`; `unsound` says what no type can refuse, each with the path of its key.
///
/// # Errors
/// Every mistake, up to twenty.
pub(super) fn parse<T: DeserializeOwned>(
    file: &str,
    text: &str,
    unsound: impl FnOnce(&T) -> Vec<(String, String)>,
) -> Result<T, Mistakes> {
    let mut document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => return Err(Mistakes::new(file.to_owned(), vec![syntax(text, &error)])),
    };
    let mut mistakes = Vec::new();
    let value = loop {
        let error = match T::deserialize(Deserializer::from(document.clone())) {
            Ok(value) => break Some(value),
            Err(error) => error,
        };
        let at = error.span().map_or(0, |span| span.start);
        let place = leave_out(document.get_mut(), at);
        mistakes.push(wording(error.message(), place.as_deref(), line(text, at)));
        if place.is_none() || mistakes.len() == MISTAKES_MAX {
            break None;
        }
    };
    if let Some(value) = &value {
        let line_of = |key: &str| position(document.get_ref(), key).map(|at| line(text, at));
        let unsound = unsound(value);
        let placed = unsound.iter().map(|(key, fault)| (Place { key, line: line_of(key) }, fault));
        mistakes.extend(placed.map(|(place, fault)| format!("{place} {fault}")));
        mistakes.truncate(MISTAKES_MAX);
    }
    match value {
        Some(value) if mistakes.is_empty() => Ok(value),
        _ => Err(Mistakes::new(file.to_owned(), mistakes)),
    }
}

/// The text of the file at `path`.
///
/// # Errors
/// Why it cannot be read, and what to do.
pub(super) fn text_of(path: &Path) -> Result<String, String> {
    let cure = "check that the path is right and that this user may read it";
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}; {cure}");
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_LEN_MAX {
        return Err("is longer than 1 MiB and so no configuration; long lists belong into a credit snapshot"
            .to_owned());
    }
    String::from_utf8(bytes)
        .map_err(|_| "is not text in UTF-8 and so no configuration; give the TOML file".to_owned())
}

/// The line, counted from 1, of the byte at `at`.
fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// Takes the entry or list element that stands at the byte `at` out of the table, and returns its path.
fn leave_out(table: &mut DeTable<'_>, at: usize) -> Option<String> {
    let mut enclosing = None;
    for (key, value) in table.iter_mut() {
        let name = key.get_ref().as_ref();
        if key.span().contains(&at) {
            enclosing = Some(name.to_owned());
            break;
        }
        let spanned = value.span().contains(&at);
        let inside = match value.get_mut() {
            // The span of a section is that of its header, so that every section has to be searched.
            DeValue::Table(inner) => leave_out(inner, at).map(|path| format!("{name}.{path}")),
            DeValue::Array(elements) if spanned => {
                let is_there = elements.iter().any(|element| element.span().contains(&at));
                let others = std::mem::replace(elements, DeArray::new()).into_iter();
                *elements = others.filter(|element| !element.span().contains(&at)).collect();
                is_there.then(|| name.to_owned())
            }
            _ => None,
        };
        if inside.is_some() {
            return inside;
        }
        if spanned {
            enclosing = Some(name.to_owned());
        }
    }
    let name = enclosing?;
    table.remove(name.as_str());
    Some(name)
}

/// Where the key with this path stands, as a byte of the text.
fn position(table: &DeTable<'_>, path: &str) -> Option<usize> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let (key, value): (&Spanned<_>, &Spanned<DeValue<'_>>) = table.get_key_value(name)?;
    match (rest, value.get_ref()) {
        (None, _) => Some(key.span().start),
        (Some(rest), DeValue::Table(inner)) => position(inner, rest),
        _ => None,
    }
}
