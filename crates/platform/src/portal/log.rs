//! The page of the public log: its checkpoint, its last entries, and how to check it.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use credence_credit::ActId;

use super::{Frame, shown};
use crate::desk::Desk;
use crate::serve::Platform;
use crate::words::{self, Moment};

/// Entries that are listed, at most.
const LISTED_MAX: u64 = 25;

#[derive(Template)]
#[template(path = "portal/log.html")]
struct LogPage {
    frame: Frame,
    /// How many entries the checkpoint is of.
    size: u64,
    /// The signed text.
    checkpoint: String,
    /// The last entries, newest first.
    entries: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    place: u64,
    accepted: Moment,
    /// What it is, and which, where everybody may read it.
    act: Option<(&'static str, ActId)>,
    is_exercise: bool,
    is_rule: bool,
}

pub(super) async fn page(State(platform): State<Arc<Platform>>) -> Response {
    let (size, checkpoint) = platform.checkpoint();
    let entries = platform.read(|desk| {
        let newest_first = (size.saturating_sub(LISTED_MAX)..size).rev();
        newest_first.filter_map(|place| row(desk, place)).collect()
    });
    let checkpoint = String::from_utf8_lossy(&checkpoint).into_owned();
    let frame = Frame::new(&platform, "The public log", "/log");
    shown(StatusCode::OK, &LogPage { frame, size, checkpoint, entries })
}

fn row(desk: &Desk, place: u64) -> Option<Row> {
    let leaf = desk.log().leaf(place)?;
    // Of what is public the log holds the identity itself, and of the rest a hash that names nothing.
    let id = ActId(leaf.digest);
    let act = desk.public(&id).map(|accepted| (words::title(&accepted.act), id));
    let is_rule = act.is_none() && desk.receipt(&id).is_some();
    let is_exercise = desk.drills().accepted(&id).is_some();
    Some(Row { place, accepted: Moment::at(leaf.accepted), act, is_exercise, is_rule })
}
