//! `credence sync --once`: one round, and what came of it.

use std::collections::BTreeMap;
use std::io;

use credence_credit::file;
use credence_sync::fetch::Refused;
use credence_sync::lists::{Lists, Plan};
use credence_sync::pipe::Report;
use indicatif::HumanCount;
use serde::Serialize;

use crate::exit::Exit;
use crate::outputs::{Format, json, print};

/// What came of a list.
#[derive(Default, Serialize)]
struct Found {
    /// Whether one of its places gave it.
    had: bool,
    /// Records of the copy that waits for the gateway, where there is another than the one it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<usize>,
    /// Why places did not give it, in their order.
    refused: Vec<Refused>,
}

impl Found {
    fn of(reports: &[Report], lists: &Lists) -> Self {
        let mut found = Self::default();
        for report in reports {
            match report {
                Report::Checked { .. } => found.had = true,
                Report::Refused { why, .. } => found.refused.push(*why),
                Report::Offered { source, .. } => {
                    let copy = file::read(&lists.shelf().offered(source)).ok();
                    found.records = copy.map(|copy| copy.records().len());
                }
                _ => {}
            }
        }
        found
    }

    fn told(&self) -> String {
        let came = match (self.had, self.records) {
            (true, None) => "had, and nothing has changed".to_owned(),
            (true, Some(records)) => {
                format!("{} records wait for the gateway to take them", HumanCount(records as u64))
            }
            (false, _) => "not had; what was there stays".to_owned(),
        };
        let refused: Vec<String> = self.refused.iter().map(|why| format!("; one place: {why}")).collect();
        came + &refused.concat()
    }
}

/// Asks for each list once, prints what came, and ends as after bad input where one was not to be had.
pub(super) async fn round(lists: &Lists, plans: &[Plan], format: Format) -> anyhow::Result<Exit> {
    let mut found = BTreeMap::new();
    for plan in plans {
        found.insert(plan.name.as_str(), Found::of(&lists.once(plan).await, lists));
    }
    print(|out| match format {
        Format::Text => {
            let mut lines = found.iter();
            lines
                .try_for_each(|(name, found)| -> io::Result<()> { writeln!(out, "{name}: {}", found.told()) })
        }
        Format::Json => json(out, &found),
    })?;
    Ok(Exit::after(found.values().any(|found| !found.had)))
}
