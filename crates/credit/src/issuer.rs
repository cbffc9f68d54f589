//! Who says so.

use serde::{Deserialize, Serialize};

/// The place of an issuer in its snapshot's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IssuerId(pub u16);

/// Whoever answers for a record: a member, the coordinating body, or the name that the operator gave a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Issuer {
    name: String,
    complaints: Option<String>,
}

/// Why a text cannot name an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// The name is empty.
    #[error("an issuer needs a name; give one, for example the list's file name")]
    Empty,
    /// The name or the place for complaints is longer than [`Issuer::TEXT_LEN_MAX`].
    #[error("an issuer's name is longer than {} bytes; shorten it", Issuer::TEXT_LEN_MAX)]
    TooLong,
    /// There is a control character or a mark that turns the direction of writing, which could forge a line of output.
    #[error("an issuer's name holds a control character; use plain text")]
    Control,
}

impl Issuer {
    /// The longest name, in bytes. It bounds the table: 65,536 issuers make 32 MiB at most.
    pub const TEXT_LEN_MAX: usize = 256;

    /// An issuer of that name with no place for complaints.
    ///
    /// # Errors
    /// When the name is empty, too long or not plain text.
    pub fn new(name: impl Into<String>) -> Result<Self, IssuerError> {
        let name = name.into();
        check_text(&name)?;
        Ok(Self { name, complaints: None })
    }

    /// The same issuer with the address or page where a subject can complain.
    ///
    /// # Errors
    /// When the text is empty, too long or not plain text.
    pub fn with_complaints(self, place: impl Into<String>) -> Result<Self, IssuerError> {
        let place = place.into();
        check_text(&place)?;
        Ok(Self { complaints: Some(place), ..self })
    }

    /// The name, plain text.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where a subject can complain, if the issuer said.
    pub fn complaints(&self) -> Option<&str> {
        self.complaints.as_deref()
    }
}

fn check_text(text: &str) -> Result<(), IssuerError> {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    match text {
        "" => Err(IssuerError::Empty),
        text if text.len() > Issuer::TEXT_LEN_MAX => Err(IssuerError::TooLong),
        text if text.chars().any(|c| c.is_control() || turns(c)) => Err(IssuerError::Control),
        _ => Ok(()),
    }
}

/// The bare fields, so that a read issuer passes the same checks as a made one.
#[derive(Serialize, Deserialize)]
struct Fields {
    name: String,
    complaints: Option<String>,
}

impl TryFrom<Fields> for Issuer {
    type Error = IssuerError;

    fn try_from(fields: Fields) -> Result<Self, IssuerError> {
        let issuer = Self::new(fields.name)?;
        match fields.complaints {
            None => Ok(issuer),
            Some(place) => issuer.with_complaints(place),
        }
    }
}

impl From<Issuer> for Fields {
    fn from(issuer: Issuer) -> Self {
        Self { name: issuer.name, complaints: issuer.complaints }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_plain_text() {
        assert!(Issuer::new("drop-v6").is_ok());
        assert!(Issuer::new("a".repeat(256)).is_ok());
        assert_eq!(Issuer::new("a".repeat(257)), Err(IssuerError::TooLong));
        assert_eq!(Issuer::new(""), Err(IssuerError::Empty));
        assert_eq!(Issuer::new("a\nb"), Err(IssuerError::Control));
        assert_eq!(Issuer::new("a\u{202e}b"), Err(IssuerError::Control));
        assert_eq!(Issuer::new("a").unwrap().with_complaints("\u{1b}[2J"), Err(IssuerError::Control));
    }

    #[test]
    fn a_read_issuer_is_checked_like_a_made_one() {
        let issuer = Issuer::new("net").unwrap().with_complaints("https://net.example/appeal").unwrap();
        let text = serde_json::to_string(&issuer).unwrap();
        assert_eq!(serde_json::from_str::<Issuer>(&text).unwrap(), issuer);
        assert!(serde_json::from_str::<Issuer>(r#"{"name":"","complaints":null}"#).is_err());
    }
}
