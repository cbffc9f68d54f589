//! Complaints of those who are no members: a form for whoever asks from inside the addresses that an act is about, and the page by
//! which they follow the hearing.
//!
//! What is written goes into the act as a commitment and is kept nowhere here: the complainant shows it to those who hear them.

use std::net::IpAddr;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use credence_credit::ActId;
use credence_law::acts::Ground;
use credence_law::cycle::complaint::State as Stands;
use credence_law::{Act, Acts, Law, Turn};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::desk::{Field, Typed, Values};
use super::{Frame, absent, fault, shown};
use crate::complaint::{Answered, Challenge};
use crate::desk::Desk;
use crate::keys::{hex, unhex};
use crate::serve::{Peer, Platform, now};
use crate::words::{self, Moment};

/// The most that can be written, in bytes.
const STATEMENT_MAX: usize = 8_192;
/// Why an act should not stand.
const GROUNDS: [Ground; 4] = [Ground::Error, Ground::Reassigned, Ground::Remedied, Ground::Excessive];

/// What is complained about.
#[derive(Debug, Deserialize)]
pub(super) struct Against {
    act: String,
}

#[derive(Template)]
#[template(path = "portal/complain.html")]
struct ComplainPage {
    frame: Frame,
    act: String,
    subject: String,
    challenge: String,
    until: String,
    fields: Vec<Field>,
}

pub(super) async fn form(
    State(platform): State<Arc<Platform>>,
    Peer(peer): Peer,
    Query(against): Query<Against>,
) -> Response {
    match challenged(&platform, &against.act, peer) {
        Ok(challenge) => form_page(&platform, &against.act, &challenge, fields()),
        Err(refused) => *refused,
    }
}

/// A challenge for whoever asks, for where they ask from; otherwise the page that says why not.
fn challenged(platform: &Platform, act: &str, peer: IpAddr) -> Result<Challenge, Box<Response>> {
    let Some(id) = unhex(act).map(ActId) else { return Err(Box::new(absent(platform))) };
    let told = match peer {
        IpAddr::V6(address) => platform.challenge(&id, address).map_err(|fault| fault.to_string()),
        IpAddr::V4(_) => Err("the answer must come from an IPv6 address".to_owned()),
    };
    told.map_err(|text| {
        let text = format!(
            "You ask from {peer}, and nobody can complain from there about this act: {text}. Open this page from inside the \
             addresses that the act is about, or complain to the member that holds them."
        );
        Box::new(fault(platform, StatusCode::FORBIDDEN, "Object to an act", &text))
    })
}

fn fields() -> Vec<Field> {
    let grounds = (0_usize..).map(|place| place.to_string()).zip(GROUNDS.map(words::ground));
    vec![
        Field::choice("ground", "Why the act should not stand", grounds),
        Field::area(
            "statement",
            "What you have to say",
            "It is not kept here. You get a receipt for it, and show it to those who hear you.",
        ),
    ]
}

fn form_page(platform: &Platform, act: &str, challenge: &Challenge, fields: Vec<Field>) -> Response {
    let is_wrong = fields.iter().any(|field| field.fault.is_some());
    let status = if is_wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = ComplainPage {
        frame: Frame::new(platform, "Object to an act", ""),
        act: act.to_owned(),
        subject: challenge.subject.to_string(),
        challenge: challenge.text.clone(),
        until: words::distance(now(), challenge.until),
        fields,
    };
    shown(status, &page)
}

#[derive(Template)]
#[template(path = "portal/complained.html")]
struct ComplainedPage {
    frame: Frame,
    token: ActId,
    salt: String,
    statement: String,
}

pub(super) async fn file(
    State(platform): State<Arc<Platform>>,
    Peer(peer): Peer,
    Form(values): Form<Values>,
) -> Response {
    let mut typed = Typed::new(&values);
    let ground = typed.chosen("ground", &GROUNDS);
    let statement = typed.read("statement", "Say what is wrong, in 8,192 bytes at most.", |text| {
        (1..=STATEMENT_MAX).contains(&text.len()).then(|| text.to_owned())
    });
    let act = typed.text("act");
    let ((Some(ground), Some(statement)), IpAddr::V6(from)) = ((ground, statement), peer) else {
        return match challenged(&platform, act, peer) {
            Ok(challenge) => {
                let fields = fields().into_iter().map(|field| field.filled(&values, &typed.faults)).collect();
                form_page(&platform, act, &challenge, fields)
            }
            Err(refused) => *refused,
        };
    };
    let salt: [u8; 32] = rand::random();
    let commitment = Sha256::new().chain_update(salt).chain_update(&statement).finalize().into();
    let answered = Answered { challenge: typed.text("challenge"), from, ground, commitment };
    match platform.complain(&answered).await {
        Ok(token) => {
            let frame = Frame::new(&platform, "Your complaint is heard", "");
            shown(StatusCode::CREATED, &ComplainedPage { frame, token, salt: hex(&salt), statement })
        }
        Err(why) => {
            let text = format!("Your complaint was not taken: {why}.");
            fault(&platform, StatusCode::UNPROCESSABLE_ENTITY, "Object to an act", &text)
        }
    }
}

#[derive(Template)]
#[template(path = "portal/hearing.html")]
struct HearingPage {
    frame: Frame,
    hearing: Hearing,
}

/// How far a complaint has come.
struct Hearing {
    against: ActId,
    subject: String,
    ground: &'static str,
    filed: Moment,
    state: &'static str,
    /// Whose turn it is, until when, how far away that is, and whether it has passed.
    turn: Option<(String, Moment, String, bool)>,
    /// How the act stands that it is about.
    standing: super::act::Standing,
    /// What each step may take, in days.
    steps: [(&'static str, u16); 3],
}

/// The page of a complaint, for whoever knows its identity: nobody can guess that, and the log does not hold it.
pub(super) async fn hearing(State(platform): State<Arc<Platform>>, Path(token): Path<String>) -> Response {
    let hearing = unhex(&token).and_then(|id| platform.read(|desk| read(desk, ActId(id), now())));
    let Some(hearing) = hearing else { return absent(&platform) };
    shown(StatusCode::OK, &HearingPage { frame: Frame::new(&platform, "Your complaint", ""), hearing })
}

fn read(desk: &Desk, id: ActId, now: u64) -> Option<Hearing> {
    let (law, book) = (desk.law().ok()?, desk.book());
    let Act::Complaint(complaint) = book.act(&id)? else { return None };
    let due = book.due(law, now).into_iter().find(|due| due.act == id);
    let turn = due.map(|due| {
        (turn(law, due.turn), Moment::at(due.until), words::distance(now, due.until), due.is_overdue(now))
    });
    let procedure = law.procedure(now);
    let expires = book.act(&complaint.against)?.preamble().expires;
    Some(Hearing {
        against: complaint.against,
        subject: complaint.subject.prefix.to_string(),
        ground: words::ground(complaint.ground),
        filed: Moment::at(complaint.preamble.issued),
        state: state(book.complaint(law, &id, now)?),
        turn,
        standing: super::act::standing(book.state(&complaint.against, now)?, now, expires),
        steps: [
            ("Consultation: whoever made the act and you talk", procedure.consultation),
            ("Mediation: advisers help you to a settlement", procedure.mediation),
            ("Adjudication: the coordinating body rules", procedure.adjudication),
        ],
    })
}

/// How far a complaint has come, told to whoever complained.
const fn state(state: Stands) -> &'static str {
    match state {
        Stands::Consultation => "Heard: whoever made the act and you talk (consultation)",
        Stands::Mediation => "Heard: advisers help you to a settlement (mediation)",
        Stands::Adjudication => "Heard: the coordinating body rules (adjudication)",
        Stands::Upheld => "Upheld: you were right",
        Stands::Settled => "Settled: you were right in part",
        Stands::Rejected => "Rejected: the act stands",
        Stands::Withdrawn => "Withdrawn: you have taken it back",
    }
}

fn turn(law: &Law, turn: Turn) -> String {
    match turn {
        Turn::Party(party) => words::party(Some(law), party),
        Turn::Advisers => "the advisers".to_owned(),
        Turn::Members => "all members".to_owned(),
    }
}
