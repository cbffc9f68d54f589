//! Credit files with their history: for the subject itself, and for members and officers by rule.
//!
//! Whoever asks from inside a block has shown control of it by receiving the answer there. Every look is written down before
//! anything is shown, and the subject sees who looked.

use std::net::IpAddr;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use credence_credit::{ActId, Subject};
use credence_prefix::Prefix;
use serde::Deserialize;

use super::act::{Standing, standing};
use super::answer::{Scale, bands};
use super::chart::{Chart, moments};
use super::desk::SignedIn;
use super::inquiry::named;
use super::{Frame, fault, lawless, shown};
use crate::access::{Caller, Endpoint, Grant, Owner, may_read};
use crate::desk::Desk;
use crate::serve::{Peer, Platform, now};
use crate::store::Inquiry;
use crate::words::{self, Moment};

/// How long inquiries are kept, in seconds: half a year.
const KEPT: u64 = 180 * 86_400;

/// What for a member or an officer may look, as it is written down and shown to the subject.
const PURPOSES: [&str; 4] =
    ["Warning of a risk", "Deciding on a matter", "Hearing a complaint", "Giving account"];

/// Who may see a file with its history, besides the subject itself.
const FILES: Endpoint = Endpoint {
    method: "GET",
    path: "/desk/file",
    owner: Owner::Holder,
    grants: &[Grant::Owner, Grant::Members, Grant::Officers],
};

/// What somebody who is signed in asks for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    address: String,
    #[serde(default)]
    purpose: String,
}

#[derive(Template)]
#[template(path = "portal/file.html")]
struct FilePage {
    frame: Frame,
    /// Whether the subject itself asks.
    is_own: bool,
    file: File,
    looks: Vec<Look>,
}

/// A credit file, as one reader may see it.
struct File {
    subject: String,
    scale: Scale,
    chart: Chart,
    rows: Vec<Row>,
}

struct Row {
    path: String,
    title: &'static str,
    issuer: String,
    issued: Moment,
    standing: Standing,
    points: Option<String>,
}

/// Somebody's look at the file.
struct Look {
    at: Moment,
    who: String,
    purpose: String,
    subject: String,
}

/// The file of whoever asks: of the block that they ask from.
pub(super) async fn own(State(platform): State<Arc<Platform>>, Peer(peer): Peer) -> Response {
    let IpAddr::V6(address) = peer else { return stranger(&platform) };
    let held = platform.read(|desk| {
        let register = desk.law().ok()?.register();
        let subject = Prefix::containing(address.to_bits(), Subject::DEFAULT_LEN);
        // What somebody else may have as well shows nothing of one subscriber.
        let (held, _) = register.holder(subject)?;
        Some(Prefix::containing(address.to_bits(), held.delegated.unwrap_or(Subject::DEFAULT_LEN).max(64)))
    });
    let Some(subject) = held else { return stranger(&platform) };
    let inquiry =
        Inquiry { at: now(), who: "the subject".to_owned(), purpose: "Its own file".to_owned(), subject };
    page(&platform, inquiry, None).await
}

fn stranger(platform: &Platform) -> Response {
    let text = "Your own file is shown to you when you ask from inside the block of addresses that it is about: the answer goes \
                there, and that is the proof. You ask from elsewhere, or no member answers for your address.";
    fault(platform, StatusCode::FORBIDDEN, "Your own credit file", text)
}

/// The file that a member or an officer asks for.
pub(super) async fn by_rule(
    State(platform): State<Arc<Platform>>,
    who: SignedIn,
    Query(asked): Query<Asked>,
) -> Response {
    let Some(purpose) = asked.purpose.parse::<usize>().ok().and_then(|place| PURPOSES.get(place)) else {
        return form_page(&platform, &asked, None);
    };
    let subject = match named(asked.address.trim()) {
        Ok(subject) => subject,
        Err(text) => return form_page(&platform, &asked, Some(text)),
    };
    let caller = who.caller();
    let holder = platform.read(|desk| crate::access::holder(desk, subject));
    if !FILES.admits(caller, holder) {
        let text = "Credit files are for members and officers by rule, and for their subjects.";
        return fault(&platform, StatusCode::FORBIDDEN, "Not for this key", text);
    }
    let inquiry =
        Inquiry { at: now(), who: named_caller(&platform, caller), purpose: (*purpose).to_owned(), subject };
    page(&platform, inquiry, Some(caller)).await
}

#[derive(Template)]
#[template(path = "portal/file_form.html")]
struct FormPage {
    frame: Frame,
    asked: String,
    purposes: [&'static str; 4],
    fault: Option<String>,
}

fn form_page(platform: &Platform, asked: &Asked, fault: Option<String>) -> Response {
    let status = if fault.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let frame = Frame::new(platform, "Look into a credit file", "/desk");
    shown(status, &FormPage { frame, asked: asked.address.clone(), purposes: PURPOSES, fault })
}

/// Writes the inquiry down, and shows the file.
async fn page(platform: &Platform, inquiry: Inquiry, caller: Option<Caller>) -> Response {
    let (now, subject) = (inquiry.at, inquiry.subject);
    let is_own = caller.is_none();
    let Ok(looks) = noted(platform, &inquiry).await else {
        let text = "The look could not be written down, so nothing is shown. Come again later.";
        return fault(platform, StatusCode::SERVICE_UNAVAILABLE, "Not now", text);
    };
    let Some(file) = platform.read(|desk| file(desk, subject, caller, now)) else { return lawless(platform) };
    let looks = looks.into_iter().map(|look| Look {
        at: Moment::at(look.at),
        who: look.who,
        purpose: look.purpose,
        subject: look.subject.to_string(),
    });
    let frame =
        Frame::new(platform, format!("Credit file of {subject}"), if is_own { "/file" } else { "/desk" });
    shown(StatusCode::OK, &FilePage { frame, is_own, file, looks: looks.collect() })
}

/// Writes down that a machine of somebody looks at a file.
///
/// # Errors
/// When that is not on disk: the file is not to be shown then.
pub(crate) async fn look_by_machine(
    platform: &Platform,
    caller: Caller,
    subject: Prefix,
) -> sqlx::Result<()> {
    let (who, purpose) = (named_caller(platform, caller), "Asked by a machine".to_owned());
    noted(platform, &Inquiry { at: now(), who, purpose, subject }).await.map(drop)
}

/// Whoever looks, in words.
pub(super) fn named_caller(platform: &Platform, caller: Caller) -> String {
    let party = platform.read(|desk| words::party(desk.law().ok(), caller.party));
    format!("{party}, key for {}", caller.function.name())
}

/// Writes an inquiry down, unless it repeats one, and returns all about the subject.
async fn noted(platform: &Platform, inquiry: &Inquiry) -> sqlx::Result<Vec<Inquiry>> {
    let looks = platform.inquiries(inquiry.subject).await?;
    if looks.iter().any(|look| repeats(inquiry, look)) {
        return Ok(looks);
    }
    platform.inquired(inquiry, inquiry.at.saturating_sub(KEPT)).await?;
    platform.inquiries(inquiry.subject).await
}

/// Whether an inquiry is but another that is not an hour old, so that nobody fills the list by asking again.
fn repeats(inquiry: &Inquiry, other: &Inquiry) -> bool {
    let is_same =
        (&inquiry.who, &inquiry.purpose, inquiry.subject) == (&other.who, &other.purpose, other.subject);
    is_same && inquiry.at < other.at.saturating_add(3_600)
}

/// The file of a subject at `now` (Unix seconds), as a caller may read it, or the subject.
fn file(desk: &Desk, subject: Prefix, caller: Option<Caller>, now: u64) -> Option<File> {
    let law = desk.law().ok()?;
    let file = desk.book().file(law, subject, now);
    let (moments, standard) = (moments(now), law.newest().0);
    let ratings = desk.book().history(law, subject, &moments);
    let points = |id: &ActId| {
        let terms = file.assessment.terms.iter().filter(|term| term.act == *id);
        terms.map(|term| term.points).reduce(|sum, points| sum + points).map(words::points)
    };
    let row = |(id, state): &(ActId, credence_law::State)| {
        let accepted = desk.book().accepted(id)?;
        let is_public = crate::desk::is_public(&accepted.act);
        may_read(desk, caller, &accepted.act).then_some(())?;
        let preamble = accepted.act.preamble();
        Some(Row {
            path: if is_public { format!("/act/{id}") } else { format!("/desk/act/{id}") },
            title: words::title(&accepted.act),
            issuer: words::party(Some(law), preamble.issuer),
            issued: Moment::at(preamble.issued),
            standing: standing(*state, now, preamble.expires),
            points: points(id),
        })
    };
    Some(File {
        subject: subject.to_string(),
        scale: Scale::new(standard, file.assessment.rating),
        chart: Chart::new(&moments, &ratings, &bands(standard)),
        rows: file.acts.iter().rev().filter_map(row).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_another_one_after_an_hour_or_for_something_else() {
        let look = |at, purpose: &str| {
            let subject = "2001:db8::/64".parse().unwrap();
            Inquiry { at, who: "member 3".to_owned(), purpose: purpose.to_owned(), subject }
        };
        let first = look(1_000, "Giving account");
        assert!(repeats(&first, &first) && repeats(&look(4_599, "Giving account"), &first));
        assert!(!repeats(&look(4_600, "Giving account"), &first));
        assert!(!repeats(&look(1_001, "Hearing a complaint"), &first));
    }
}
