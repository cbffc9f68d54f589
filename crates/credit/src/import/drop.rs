//! Spamhaus's DROP lists in JSON.

use core::fmt;

use serde::Deserialize;

use super::Claim;
use super::address;
use super::lines::{Line, LineFault, LineFormat};
use super::problem::Fault;

/// One JSON object a line: prefixes, and at the end one object about the list itself.
pub(super) struct Drop;

/// The members that matter; the rest are references for people.
#[derive(Deserialize)]
struct Row {
    cidr: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl LineFormat for Drop {
    fn line<'a>(&mut self, line: &'a str) -> Result<Line, LineFault<'a>> {
        if line.trim().is_empty() {
            return Ok(Line::Nothing);
        }
        let fault = |wrong: &dyn fmt::Display, cure| LineFault { text: line, fault: Fault::new(wrong, cure) };
        let row: Row = serde_json::from_str(line).map_err(|error| {
            fault(&error, "each line must be a JSON object; for the text form of DROP use --from cidr")
        })?;
        match row {
            Row { kind: Some(kind), .. } if kind == "metadata" => Ok(Line::Nothing),
            Row { cidr: Some(cidr), .. } => {
                let address = address::parse(cidr.trim()).map_err(|fault| LineFault { text: line, fault })?;
                Ok(Line::Entry(address, Claim::default()))
            }
            Row { cidr: None, .. } => Err(fault(&"no \"cidr\" in the object", "fetch the list again")),
        }
    }
}
