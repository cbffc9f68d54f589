//! One prefix a line.

use super::Claim;
use super::address;
use super::lines::{Line, LineFault, LineFormat};
use super::problem::Fault;

/// Lines that each hold a prefix or an address, and comments behind `#` or `;`.
pub(super) struct List;

impl LineFormat for List {
    fn line<'a>(&mut self, line: &'a str) -> Result<Line, LineFault<'a>> {
        let text = line.split(['#', ';']).next().unwrap_or(line).trim();
        if text.is_empty() {
            return Ok(Line::Nothing);
        }
        if text.contains(char::is_whitespace) {
            let fault = Fault::new("more than a prefix", "put # before a comment, or import it as csv");
            return Err(LineFault { text, fault });
        }
        let address = address::parse(text).map_err(|fault| LineFault { text, fault })?;
        Ok(Line::Entry(address, Claim::default()))
    }
}
