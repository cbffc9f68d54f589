//! Rows of cells with commas between them.

use core::str::FromStr;

use csv_core::ReadRecordResult;

use super::Claim;
use super::address;
use super::lines::{LINE_LEN_MAX, Line, LineFault, LineFormat};
use super::problem::Fault;
use crate::{Rating, Reason, Reasons, Score, Status, UnknownWord};

/// A column that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Prefix,
    Score,
    Status,
    Measure,
    Reasons,
    Expires,
}

impl Column {
    /// Where nothing says otherwise, the columns in this order.
    const ORDER: [Self; 6] =
        [Self::Prefix, Self::Score, Self::Status, Self::Measure, Self::Reasons, Self::Expires];

    /// The column of that name.
    fn named(text: &str) -> Option<Self> {
        let names: [(&str, Self); 10] = [
            ("prefix", Self::Prefix),
            ("cidr", Self::Prefix),
            ("range", Self::Prefix),
            ("ip", Self::Prefix),
            ("score", Self::Score),
            ("status", Self::Status),
            ("measure", Self::Measure),
            ("reasons", Self::Reasons),
            ("reason", Self::Reasons),
            ("expires", Self::Expires),
        ];
        names.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, column)| column)
    }
}

/// The most cells that a row may have.
const CELLS_MAX: usize = 256;

/// Rows of a CSV file. One parser is set back for each line, instead of one that reads the whole file: a quote that is
/// never closed then spoils its line, and not all that follow.
pub(super) struct Delimited {
    parser: csv_core::Reader,
    /// Which column each place of a row is; `None` before the first row.
    places: Option<Vec<Option<Column>>>,
    /// The cells of a row without their quotes, one behind the other.
    cells: Vec<u8>,
    /// Where each cell ends.
    ends: Vec<usize>,
}

impl Default for Delimited {
    fn default() -> Self {
        Self {
            parser: csv_core::Reader::new(),
            places: None,
            cells: vec![0; LINE_LEN_MAX + 1],
            ends: vec![0; CELLS_MAX],
        }
    }
}

impl LineFormat for Delimited {
    fn line<'a>(&mut self, line: &'a str) -> Result<Line, LineFault<'a>> {
        if line.trim().is_empty() || line.starts_with('#') {
            return Ok(Line::Nothing);
        }
        let count = self.split(line).map_err(|fault| LineFault { text: line, fault })?;
        if self.places.is_none() {
            let header = header((0..count).map(|place| self.cell(place)));
            let is_header = header.is_some();
            self.places = Some(header.unwrap_or_else(|| Column::ORDER.map(Some).to_vec()));
            if is_header {
                return Ok(Line::Nothing);
            }
        }
        let places = self.places.iter().flatten().take(count).enumerate();
        let cells = places.filter_map(|(place, column)| Some(((*column)?, self.cell(place))));
        // A cell has lost its quotes and is found again in the line, which tells its column.
        entry(cells).map_err(|(cell, fault)| {
            let start = line.find(cell).filter(|_| !cell.is_empty());
            LineFault { text: start.map_or(line, |start| &line[start..start + cell.len()]), fault }
        })
    }
}

impl Delimited {
    /// Splits a line into its cells, and returns how many there are.
    fn split(&mut self, line: &str) -> Result<usize, Fault> {
        self.parser.reset();
        let (mut written, mut count) = (0, 0);
        // The empty input behind the line tells the parser that nothing follows.
        for input in [line.as_bytes(), &[]] {
            let (result, read, bytes, ends) =
                self.parser.read_record(input, &mut self.cells[written..], &mut self.ends[count..]);
            (written, count) = (written + bytes, count + ends);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record if read == input.len() => return Ok(count),
                ReadRecordResult::Record => {
                    return Err(Fault::new("a line break within the row", "put each row on one line"));
                }
                _ => return Err(Fault(format!("more than {CELLS_MAX} cells; leave out columns"))),
            }
        }
        Ok(count)
    }

    /// The cell at a place below the count that [`Delimited::split`] returned.
    fn cell(&self, place: usize) -> &str {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        // The line was valid text and is cut at ASCII characters only.
        str::from_utf8(&self.cells[start..self.ends[place]]).unwrap_or_default().trim()
    }
}

/// Which column is where, if the row names any.
fn header<'c>(cells: impl Iterator<Item = &'c str>) -> Option<Vec<Option<Column>>> {
    let places: Vec<_> = cells.map(Column::named).collect();
    places.iter().any(Option::is_some).then_some(places)
}

/// What a row says, from its non-empty cells. A fault comes with the cell that has it.
fn entry<'c>(cells: impl Iterator<Item = (Column, &'c str)>) -> Result<Line, (&'c str, Fault)> {
    let (mut address, mut claim) = (None, Claim::default());
    let (mut rating, mut status) = (None, None);
    for (column, cell) in cells.filter(|(_, cell)| !cell.is_empty()) {
        let in_cell = |fault| (cell, fault);
        match column {
            Column::Prefix if address.is_some() => {}
            Column::Prefix => address = Some(address::parse(cell).map_err(in_cell)?),
            Column::Score => rating = Some((cell, score(cell).map_err(in_cell)?)),
            Column::Status => status = Some(word::<Status>(cell).map_err(in_cell)?),
            Column::Measure => claim.measure = Some(word(cell).map_err(in_cell)?),
            Column::Reasons => claim.reasons = reasons(cell).map_err(in_cell)?,
            Column::Expires => claim.expires = Some(moment(cell).map_err(in_cell)?),
        }
    }
    claim.rating = match (rating, status) {
        (None, None) => None,
        (None, Some(status)) => Some(Rating::of(status.best_score())),
        (Some((_, rating)), None) => Some(rating),
        (Some((cell, rating)), Some(status)) => Some(agreed(rating, status).map_err(|fault| (cell, fault))?),
    };
    let none = || ("", Fault::new("no prefix in the row", "name a column prefix, cidr, range or ip"));
    Ok(Line::Entry(address.ok_or_else(none)?, claim))
}

fn score(cell: &str) -> Result<Rating, Fault> {
    if cell.eq_ignore_ascii_case("unrated") {
        return Ok(Rating::Unrated);
    }
    let score = cell.parse().ok().and_then(|value| Score::new(value).ok());
    score
        .map(Rating::of)
        .ok_or_else(|| Fault::new("not a score", "write 0 (worst) to 1000 (best), or unrated"))
}

/// A rating for which both a number and a word are given.
fn agreed(rating: Rating, status: Status) -> Result<Rating, Fault> {
    match rating.status() {
        Some(own) if own == status => Ok(rating),
        Some(own) => Err(Fault(format!("this score is {own}, and the row says {status}; leave out either"))),
        None => Err(Fault::new(
            format_args!("unrated has no status, and the row says {status}"),
            "leave out either",
        )),
    }
}

fn word<T: FromStr<Err = UnknownWord>>(cell: &str) -> Result<T, Fault> {
    cell.parse().map_err(|error: UnknownWord| Fault(error.to_string()))
}

fn reasons(cell: &str) -> Result<Reasons, Fault> {
    let words = cell.split([' ', '|', ';', ',']).filter(|word| !word.is_empty());
    words.map(word::<Reason>).collect()
}

/// A moment in Unix seconds, or as RFC 3339 writes it. What lies before 1970 is long over.
fn moment(cell: &str) -> Result<u64, Fault> {
    if let Ok(seconds) = cell.parse() {
        return Ok(seconds);
    }
    let cure = "write Unix seconds, or a moment like 2030-01-31T00:00:00Z";
    let moment: jiff::Timestamp = cell.parse().map_err(|_| Fault::new("not a moment", cure))?;
    Ok(u64::try_from(moment.as_second()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Measure;
    use crate::import::address::Address;

    /// Reads rows and returns what the last one says.
    fn last<'a>(rows: &[&'a str]) -> Result<Line, LineFault<'a>> {
        let mut format = Delimited::default();
        rows.iter().map(|row| format.line(row)).last().unwrap()
    }

    fn check(rows: &[&str], prefix: &str, claim: Claim) {
        let address = Address::V6 { prefix: prefix.parse().unwrap(), truncated: false };
        assert_eq!(last(rows), Ok(Line::Entry(address, claim)));
    }

    fn check_fault(rows: &[&str], text: &str, part: &str) {
        let found = last(rows).unwrap_err();
        assert_eq!(found.text, text);
        assert!(found.fault.0.contains(part), "{}", found.fault.0);
    }

    fn rated(score: u16) -> Option<Rating> {
        Some(Rating::of(Score::new(score).unwrap()))
    }

    #[test]
    fn columns_are_found_by_name_in_any_order_and_case() {
        let claim = Claim {
            rating: rated(120),
            measure: Some(Measure::RateLimit),
            reasons: [Reason::Scanning, Reason::Flooding].into_iter().collect(),
            expires: Some(99),
        };
        let header = "Comment,SCORE,expires,cidr,measure,reasons";
        check(
            &[header, r#""a, b",120,99,2001:db8::/32,rate-limit,scanning|flooding"#],
            "2001:db8::/32",
            claim,
        );
    }

    #[test]
    fn without_a_header_the_columns_have_their_order_and_may_end_early() {
        check(&["2001:db8::1"], "2001:db8::1/128", Claim::default());
        let claim = Claim { rating: rated(300), measure: Some(Measure::Drop), ..Claim::default() };
        check(&["2001:db8::1,300,,drop"], "2001:db8::1/128", claim);
        assert_eq!(last(&["# a comment"]), Ok(Line::Nothing));
        assert_eq!(last(&["ip"]), Ok(Line::Nothing));
    }

    #[test]
    fn a_status_without_a_score_is_read_in_the_subjects_favour() {
        check(&["2001:db8::1,,poor"], "2001:db8::1/128", Claim { rating: rated(349), ..Claim::default() });
        let unrated = Claim { rating: Some(Rating::Unrated), ..Claim::default() };
        check(&["2001:db8::1,unrated"], "2001:db8::1/128", unrated);
        check_fault(&["2001:db8::1,900,poor"], "900", "good");
        check_fault(&["2001:db8::1,unrated,poor"], "unrated", "no status");
    }

    #[test]
    fn each_bad_cell_is_pointed_at() {
        check_fault(&["2001:dg8::1,5"], "2001:dg8::1", "not an IPv6 address");
        check_fault(&["2001:db8::1,1001"], "1001", "0 (worst) to 1000");
        check_fault(&["2001:db8::1,-1"], "-1", "0 (worst) to 1000");
        check_fault(&["2001:db8::1,,bad"], "bad", "seriously_dishonest");
        check_fault(&["2001:db8::1,,,ban"], "ban", "rate_limit");
        check_fault(&["2001:db8::1,,,,evil"], "evil", "credential_attack");
        check_fault(&["2001:db8::1,,,,,soon"], "soon", "2030-01-31");
        check_fault(&["score", "5"], "5", "no prefix");
        check_fault(&[",5"], ",5", "no prefix");
    }

    #[test]
    fn an_open_quote_spoils_its_own_row_alone() {
        let rows = ["ip,comment", "\"2001:db8::1,open", "2001:db8::2,closed"];
        assert!(last(&rows[..2]).is_err());
        check(&rows, "2001:db8::2/128", Claim::default());
    }

    #[test]
    fn a_row_of_too_many_cells_is_refused_and_the_next_one_read() {
        let wide = ",".repeat(CELLS_MAX);
        assert!(last(&["ip", &wide]).unwrap_err().fault.0.contains("256 cells"));
        check(&["ip", &wide, "2001:db8::1"], "2001:db8::1/128", Claim::default());
    }

    #[test]
    fn moments_are_seconds_or_rfc_3339() {
        assert_eq!(moment("1893456000"), Ok(1_893_456_000));
        assert_eq!(moment("2030-01-01T00:00:00Z"), Ok(1_893_456_000));
        assert_eq!(moment("2030-01-01T01:00:00.5+01:00"), Ok(1_893_456_000));
        assert_eq!(moment("1960-01-01T00:00:00Z"), Ok(0));
        assert!(moment("30d").is_err());
    }
}
