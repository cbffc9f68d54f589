//! What members and officers do in the portal: sign in, see what waits for them, prepare acts, and hand signed ones in.
//!
//! Nothing here can sign: a page gives the exact bytes, and takes back what was signed with a key that stays elsewhere.

mod draft;
mod form;
mod inbox;

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, FromRequestParts, Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, COOKIE as COOKIES, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credence_credit::ActId;
use credence_law::{Act, Object, Signed};

use self::draft::{Kind, Writing};
pub(super) use self::form::{Field, Input, Typed};
use self::inbox::{Waiting, inbox};
use super::session::{COOKIE, LASTS, Session, Sessions};
use super::{Frame, absent, fault, lawless, shown};
use crate::access::{Caller, may_read};
use crate::keys::unhex;
use crate::serve::{Answer, Peer, Platform, now};
use crate::sign_in::Challenge;
use crate::words::{self, Fact, Moment};

/// What a form sends.
pub(super) type Values = HashMap<String, String>;
type Shared = State<Arc<Platform>>;

/// The pages for those who sign in. `secret` are 32 random bytes of this process.
pub(super) fn router(secret: [u8; 32]) -> Router<Arc<Platform>> {
    Router::new()
        .route("/sign-in", get(ask).post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/desk", get(desk))
        .route("/desk/new/{kind}", get(blank).post(prepare))
        .route("/desk/draft/{id}", get(draft))
        .route("/desk/draft/{id}/act", get(bytes))
        .route("/desk/act/{id}", get(read))
        .route("/desk/file", get(super::file::by_rule))
        .route("/desk/hand-in", post(hand_in))
        .layer(Extension(Arc::new(Sessions::new(secret))))
}

/// Whoever asks, signed in.
pub(super) struct SignedIn {
    session: Session,
    token: String,
}

impl FromRequestParts<Arc<Platform>> for SignedIn {
    type Rejection = Redirect;

    async fn from_request_parts(parts: &mut Parts, platform: &Arc<Platform>) -> Result<Self, Redirect> {
        let sessions = parts.extensions.get::<Arc<Sessions>>();
        let found = sessions.zip(token(&parts.headers)).and_then(|(sessions, token)| {
            let session = platform.read(|desk| sessions.find(desk.law().ok()?, &token, now()))?;
            Some(Self { session, token })
        });
        found.ok_or_else(|| Redirect::to("/sign-in"))
    }
}

/// What the browser holds.
fn token(headers: &HeaderMap) -> Option<String> {
    let pairs = headers.get_all(COOKIES).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|pairs| pairs.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, token)| token.to_owned())
}

fn cookie(token: &str, seconds: u64) -> [(axum::http::HeaderName, String); 1] {
    let text = format!("{COOKIE}={token}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict");
    [(SET_COOKIE, text)]
}

impl SignedIn {
    /// What is told to a form that was not sent by a page that this session was shown; nothing to one that was.
    fn refusal(&self, platform: &Platform, values: &Values) -> Option<Response> {
        let is_own = values.get("csrf").is_some_and(|csrf| *csrf == self.session.csrf);
        let text = "This form was not shown to this session, or the session has ended. Nothing was done.";
        (!is_own).then(|| fault(platform, StatusCode::FORBIDDEN, "Not from here", text))
    }

    /// Who they are where it is asked who may do what.
    pub(super) const fn caller(&self) -> Caller {
        Caller { party: self.session.party, function: self.session.function }
    }
}

#[derive(Template)]
#[template(path = "portal/sign_in.html")]
struct SignInPage {
    frame: Frame,
    world: String,
    challenge: Challenge,
    fault: Option<String>,
}

fn challenge_page(platform: &Platform, sessions: &Sessions, fault: Option<String>) -> Response {
    let Some(world) = platform.read(|desk| Some(desk.law().ok()?.world.to_string())) else {
        return lawless(platform);
    };
    let challenge = sessions.challenge(now(), rand::random());
    let status = if fault.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    shown(status, &SignInPage { frame: Frame::new(platform, "Sign in", "/desk"), world, challenge, fault })
}

async fn ask(State(platform): Shared, Extension(sessions): Extension<Arc<Sessions>>) -> Response {
    challenge_page(&platform, &sessions, None)
}

async fn sign_in(
    State(platform): Shared,
    Extension(sessions): Extension<Arc<Sessions>>,
    Form(values): Form<Values>,
) -> Response {
    let challenge = values.get("challenge").and_then(|text| Challenge::parse(text));
    let Some((challenge, answer)) = challenge.zip(values.get("answer").and_then(|text| pasted(text))) else {
        let text = "this is not what the command prints; paste all of its line".to_owned();
        return challenge_page(&platform, &sessions, Some(text));
    };
    let random = [rand::random(), rand::random()];
    let opened = platform
        .read(|desk| desk.law().ok().map(|law| sessions.open(law, (&challenge, &answer), now(), random)));
    match opened {
        Some(Ok(token)) => (cookie(&token, LASTS), Redirect::to("/desk")).into_response(),
        Some(Err(fault)) => challenge_page(&platform, &sessions, Some(fault.to_string())),
        None => lawless(&platform),
    }
}

async fn sign_out(
    State(platform): Shared,
    Extension(sessions): Extension<Arc<Sessions>>,
    who: SignedIn,
    Form(values): Form<Values>,
) -> Response {
    if let Some(refused) = who.refusal(&platform, &values) {
        return refused;
    }
    sessions.close(&who.token);
    (cookie("", 0), Redirect::to("/")).into_response()
}

/// Something signed, in base64 as the command line prints it.
fn pasted(text: &str) -> Option<Signed> {
    let plain: String = text.split_whitespace().collect();
    Signed::decode(&STANDARD.decode(plain).ok()?).ok()
}

#[derive(Template)]
#[template(path = "portal/desk.html")]
struct DeskPage {
    frame: Frame,
    name: String,
    until: String,
    csrf: String,
    waiting: Vec<Waiting>,
    kinds: Vec<Kind>,
}

async fn desk(State(platform): Shared, who: SignedIn) -> Response {
    let now = now();
    let Some(waiting) = platform.read(|desk| inbox(desk, &who.session, now)) else {
        return lawless(&platform);
    };
    let page = DeskPage {
        frame: Frame::new(&platform, "Your desk", "/desk"),
        name: super::file::named_caller(&platform, who.caller()),
        until: words::distance(now, who.session.until),
        csrf: who.session.csrf,
        waiting,
        kinds: Kind::of(who.session.function).collect(),
    };
    shown(StatusCode::OK, &page)
}

#[derive(Template)]
#[template(path = "portal/form.html")]
struct FormPage {
    frame: Frame,
    kind: Kind,
    csrf: String,
    fields: Vec<Field>,
    /// How many fields are wrong.
    faults: usize,
}

/// The form of a kind that this session may prepare.
fn kind(who: &SignedIn, word: &str) -> Option<Kind> {
    Kind::of(who.session.function).find(|kind| kind.word() == word)
}

async fn blank(
    State(platform): Shared,
    who: SignedIn,
    Path(word): Path<String>,
    Query(values): Query<Values>,
) -> Response {
    let Some(kind) = kind(&who, &word) else { return absent(&platform) };
    form_page(&platform, &who, kind, &values, &[])
}

fn form_page(
    platform: &Platform,
    who: &SignedIn,
    kind: Kind,
    values: &Values,
    faults: &[(&'static str, String)],
) -> Response {
    let Some(fields) = platform.read(|desk| Some(kind.fields(desk.law().ok()?))) else {
        return lawless(platform);
    };
    let fields = fields.into_iter().map(|field| field.filled(values, faults)).collect();
    let frame = Frame::new(platform, kind.title(), "/desk");
    let csrf = who.session.csrf.clone();
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    shown(status, &FormPage { frame, kind, csrf, fields, faults: faults.len() })
}

async fn prepare(
    State(platform): Shared,
    Extension(sessions): Extension<Arc<Sessions>>,
    who: SignedIn,
    Path(word): Path<String>,
    Form(values): Form<Values>,
) -> Response {
    let Some(kind) = kind(&who, &word) else { return absent(&platform) };
    if let Some(refused) = who.refusal(&platform, &values) {
        return refused;
    }
    let mut typed = Typed::new(&values);
    let written = platform.read(|desk| {
        let law = desk.law().ok()?;
        let writing = Writing { desk, law, issuer: who.session.issuer(), now: now(), salt: rand::random() };
        let act = writing.act(kind, &mut typed)?;
        Some(Object::new(law.world, act).encode())
    });
    match written {
        Some(bytes) if typed.faults.is_empty() => match sessions.keep(&who.token, bytes) {
            Some(id) => Redirect::to(&format!("/desk/draft/{id}")).into_response(),
            None => Redirect::to("/sign-in").into_response(),
        },
        _ => form_page(&platform, &who, kind, &values, &typed.faults),
    }
}

#[derive(Template)]
#[template(path = "portal/draft.html")]
struct DraftPage {
    frame: Frame,
    id: ActId,
    /// What the file is called in which the bytes come.
    file: String,
    world: String,
    csrf: String,
    facts: Vec<Fact>,
    expires: Moment,
    /// How many must sign.
    signers: String,
    /// The word of its function, as its key's file is called.
    function: &'static str,
}

async fn draft(State(platform): Shared, who: SignedIn, Path(id): Path<String>) -> Response {
    let found = unhex(&id).map(ActId).and_then(|id| Some((id, who.session.draft(&id)?.to_vec())));
    let object = found.and_then(|(id, bytes)| Some((id, Object::<Act>::decode(&bytes).ok()?)));
    let Some((id, object)) = object else { return absent(&platform) };
    let (facts, signers) = platform.read(|desk| {
        let law = desk.law().ok();
        (words::facts(&object.body, law), draft::signers(&object.body, law))
    });
    let page = DraftPage {
        frame: Frame::new(&platform, words::title(&object.body), "/desk"),
        id,
        file: file_name(&id.to_string()),
        world: object.world.to_string(),
        function: who.session.function.name(),
        csrf: who.session.csrf,
        facts,
        expires: Moment::at(object.body.preamble().expires),
        signers,
    };
    shown(StatusCode::OK, &page)
}

/// The name of a file with an act of this identity.
fn file_name(id: &str) -> String {
    format!("{id:.16}.act")
}

async fn bytes(State(platform): Shared, who: SignedIn, Path(id): Path<String>) -> Response {
    let Some(bytes) = unhex(&id).and_then(|id| who.session.draft(&ActId(id)).map(<[u8]>::to_vec)) else {
        return absent(&platform);
    };
    let name = format!("attachment; filename=\"{}\"", file_name(&id));
    ([(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_DISPOSITION, name)], bytes)
        .into_response()
}

/// An act that not everybody may read, for those who may.
async fn read(State(platform): Shared, who: SignedIn, Path(id): Path<String>) -> Response {
    let found = unhex(&id).and_then(|id| {
        platform.read(|desk| {
            let accepted = desk.accepted(&ActId(id))?;
            may_read(desk, Some(who.caller()), &accepted.act).then_some(())?;
            super::act::read(desk, accepted, now())
        })
    });
    found.map_or_else(|| absent(&platform), |act| super::act::shown_page(&platform, act))
}

#[derive(Template)]
#[template(path = "portal/receipt.html")]
struct ReceiptPage {
    frame: Frame,
    outcome: Outcome,
}

/// What became of what was handed in.
enum Outcome {
    Taken { id: ActId, place: u64, is_new: bool, is_public: bool },
    Refused { text: String },
}

async fn hand_in(
    State(platform): Shared,
    Peer(network): Peer,
    who: SignedIn,
    Form(values): Form<Values>,
) -> Response {
    if let Some(refused) = who.refusal(&platform, &values) {
        return refused;
    }
    let outcome = match values.get("signed").and_then(|text| pasted(text)) {
        Some(signed) => {
            let answers = platform.hand_in(vec![signed.encode()], network).await;
            outcome(&platform, answers.first())
        }
        None => {
            Outcome::Refused { text: "this is not what the command prints; paste all of its line".to_owned() }
        }
    };
    let (title, status) = match &outcome {
        Outcome::Taken { .. } => ("Accepted", StatusCode::OK),
        Outcome::Refused { .. } => ("Not accepted", StatusCode::UNPROCESSABLE_ENTITY),
    };
    shown(status, &ReceiptPage { frame: Frame::new(&platform, title, "/desk"), outcome })
}

fn outcome(platform: &Platform, answer: Option<&Answer>) -> Outcome {
    match answer {
        Some(Answer::Taken { receipt, is_new }) => Outcome::Taken {
            id: receipt.id,
            place: receipt.place,
            is_new: *is_new,
            is_public: platform.read(|desk| desk.public(&receipt.id).is_some()),
        },
        Some(answer) => Outcome::Refused { text: answer.told() },
        None => Outcome::Refused { text: "it was not looked at; send it again".to_owned() },
    }
}
