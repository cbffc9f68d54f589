//! `credence sync --once`: one round, and what came of it.

use std::collections::BTreeMap;
use std::io;

use anyhow::Context;
use credence_credit::file;
use credence_sync::feed::{Client, Told};
use credence_sync::fetch::Refused;
use credence_sync::lists::{Lists, Plan};
use credence_sync::pipe::Report;
use indicatif::HumanCount;
use serde::Serialize;

use crate::config::FEED;
use crate::exit::Exit;
use crate::outputs::{Format, json, print};

/// What came of a list, or of the feed.
#[derive(Default, Serialize)]
struct Found {
    /// Whether one of its places gave it.
    had: bool,
    /// Records of the copy that waits for the gateway, where there is another than the one it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<usize>,
    /// The version of the feed that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<u64>,
    /// Files of evidence against the feed's operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<usize>,
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

    /// Asks the places of the feed, one after the other, until one is believed.
    ///
    /// # Errors
    /// When what has come cannot be kept.
    async fn of_feed(mut client: Client, places: usize) -> io::Result<Self> {
        let mut found = Self::default();
        for _ in 0..places {
            match client.ask().await? {
                Told::Refused(_, why) => found.refused.push(why),
                Told::Fresh(_) | Told::New(..) => {
                    found.had = true;
                    break;
                }
            }
        }
        found.serial = client.held().map(|held| held.serial);
        found.records = client
            .offered()
            .and(client.held())
            .and_then(|held| held.state.records().ok())
            .map(|(_, all)| all.len());
        found.evidence = Some(client.evidence()?).filter(|files| *files > 0);
        Ok(found)
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
        let serial = self.serial.map_or_else(String::new, |serial| format!("; its serial is {serial}"));
        let evidence = self.evidence.map_or_else(String::new, |files| {
            format!("; {files} files of evidence against its operator are kept, which `credence feed evidence` shows")
        });
        came + &serial + &refused.concat() + &evidence
    }
}

/// Asks for the feed, at so many places, and for each list once, prints what came, and ends as after bad input where one was not to
/// be had.
pub(super) async fn round(
    feed: Option<(Client, usize)>,
    lists: &Lists,
    plans: &[Plan],
    format: Format,
) -> anyhow::Result<Exit> {
    let mut found = BTreeMap::new();
    if let Some((client, places)) = feed {
        let of_feed = Found::of_feed(client, places).await;
        found.insert(FEED, of_feed.context("what the feed says cannot be kept")?);
    }
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
