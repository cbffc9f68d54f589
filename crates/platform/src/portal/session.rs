//! Who is signed in.
//!
//! A session is a party's key that answered a challenge, for half an hour at most. It lies in memory alone: a restart ends all of
//! them. The browser holds 32 random bytes, the platform their hash.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use credence_credit::ActId;
use credence_law::party::{Function, KeyId, Party, act_id};
use credence_law::{Law, Refusal, Signed};

use crate::keys::{hex, unhex};
use crate::sign_in::{ANSWER_WITHIN, Challenge};

/// How long a session lasts, in seconds.
pub(super) const LASTS: u64 = 1_800;
/// Sessions at once, at most. Only those who have a key of the registry open one; the one that ends first gives way.
const SESSIONS_MAX: usize = 1_024;
/// Drafts that a session keeps, at most; the oldest gives way.
const DRAFTS_MAX: usize = 16;

/// The name of the cookie. A browser takes it over TLS or from this very machine alone, and for no other path or host.
pub(super) const COOKIE: &str = "__Host-credence";

/// Somebody who has signed in.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) party: Party,
    pub(super) function: Function,
    pub(super) until: u64,
    /// What each form sends back, which no other site can know.
    pub(super) csrf: String,
    key: KeyId,
    drafts: Vec<(ActId, Vec<u8>)>,
}

impl Session {
    /// In whose name acts of this session are made: seats decide in the name of the body.
    pub(super) const fn issuer(&self) -> Party {
        match self.function {
            Function::Decisions => Party::Body,
            _ => self.party,
        }
    }

    /// A draft of this session.
    pub(super) fn draft(&self, id: &ActId) -> Option<&[u8]> {
        self.drafts.iter().find(|(draft, _)| draft == id).map(|(_, bytes)| bytes.as_slice())
    }
}

/// All who are signed in.
#[derive(Debug)]
pub(super) struct Sessions {
    secret: [u8; 32],
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the hash of what the browser holds.
    open: HashMap<ActId, Session>,
    /// Challenges that were answered, until they are over.
    answered: BTreeMap<String, u64>,
}

impl Sessions {
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self { secret, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A challenge for whoever wants to sign in at `now`, in Unix seconds.
    pub(super) fn challenge(&self, now: u64, nonce: [u8; 16]) -> Challenge {
        Challenge::new(&self.secret, now + ANSWER_WITHIN, nonce)
    }

    /// Opens a session for whoever has answered a challenge by `now` (Unix seconds), and returns what their browser is to hold.
    /// `random` are 64 random bytes.
    ///
    /// # Errors
    /// When the challenge is over, was answered before, or somebody else has signed.
    pub(super) fn open(
        &self,
        law: &Law,
        (challenge, answer): (&Challenge, &Signed),
        now: u64,
        random: [[u8; 32]; 2],
    ) -> Result<String, Fault> {
        if !challenge.is_open(&self.secret, now) || !challenge.is_answered(law.world, answer) {
            return Err(Fault::Challenge);
        }
        let (key, party, function) = signer(law, answer, now)?;
        let mut state = self.state();
        state.answered.retain(|_, until| now < *until);
        if state.answered.insert(challenge.to_string(), challenge.until()).is_some() {
            return Err(Fault::Challenge);
        }
        state.open.retain(|_, session| now < session.until);
        if state.open.len() >= SESSIONS_MAX {
            let first = state.open.iter().min_by_key(|(_, session)| session.until).map(|(token, _)| *token);
            first.map(|token| state.open.remove(&token));
        }
        let [token, csrf] = random;
        let session =
            Session { party, function, until: now + LASTS, csrf: hex(&csrf), key, drafts: Vec::new() };
        state.open.insert(act_id(&token), session);
        Ok(hex(&token))
    }

    /// The session of whoever holds this at `now` (Unix seconds), as long as its key speaks for somebody.
    pub(super) fn find(&self, law: &Law, token: &str, now: u64) -> Option<Session> {
        let session = self.state().open.get(&act_id(&unhex::<32>(token)?)).cloned()?;
        let register = law.register();
        let speaks = register.speaker(session.key).is_some_and(|(_, speaker)| speaker.is_valid(now));
        (now < session.until && speaks && !register.is_revoked(session.key)).then_some(session)
    }

    /// Ends a session.
    pub(super) fn close(&self, token: &str) {
        if let Some(token) = unhex::<32>(token) {
            self.state().open.remove(&act_id(&token));
        }
    }

    /// Keeps a draft for a session.
    pub(super) fn keep(&self, token: &str, draft: Vec<u8>) -> Option<ActId> {
        let (id, mut state) = (act_id(&draft), self.state());
        let drafts = &mut state.open.get_mut(&act_id(&unhex::<32>(token)?))?.drafts;
        if drafts.len() >= DRAFTS_MAX {
            drafts.remove(0);
        }
        drafts.push((id, draft));
        Some(id)
    }
}

/// Why somebody is not signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Not a challenge of this platform's, or not one that can still be answered.
    #[error("this answers another challenge, or one that is over; sign the one below")]
    Challenge,
    /// The key is nobody's.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Whose key alone has signed an answer.
fn signer(law: &Law, answer: &Signed, now: u64) -> Result<(KeyId, Party, Function), Refusal> {
    let mut claims = answer.claims();
    let (Some(key), None) = (claims.next(), claims.next()) else { return Err(Refusal::WrongSigner) };
    if law.register().is_revoked(key) {
        return Err(Refusal::RevokedKey);
    }
    let speakers = answer.verify(|key| law.register().speaker(key))?;
    let speaker = speakers.first().filter(|speaker| speaker.is_valid(now)).ok_or(Refusal::KeyTime)?;
    Ok((key, speaker.party, speaker.function))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::desk::Desk;
    use crate::example::{Place, make_world};
    use crate::keys;

    const NOW: u64 = 1_800_000_000;

    /// An example's desk, and a member's key.
    fn world() -> (Desk, SigningKey) {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path());
        let (world, entries) = make_world(&place, NOW).unwrap();
        let mut desk = Desk::begin(&entries[0], world).unwrap();
        entries[1..].iter().for_each(|entry| desk.replay(entry).unwrap());
        (desk, keys::read(&place.member(1, Function::Alerts)).unwrap())
    }

    /// Opens a session at `now` by the challenge and the token of this number.
    fn open(
        sessions: &Sessions,
        law: &Law,
        key: &SigningKey,
        number: u16,
        now: u64,
    ) -> Result<String, Fault> {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        let challenge = sessions.challenge(now, bytes[..16].try_into().unwrap());
        sessions.open(law, (&challenge, &challenge.answer(law.world, key)), now, [bytes; 2])
    }

    #[test]
    fn a_session_lasts_half_an_hour_or_until_it_is_closed() {
        let ((desk, key), sessions) = (world(), Sessions::new([1; 32]));
        let law = desk.law().unwrap();
        let token = open(&sessions, law, &key, 1, NOW).unwrap();
        let session = sessions.find(law, &token, NOW + LASTS - 1).unwrap();
        assert_eq!((session.issuer().member().map(|id| id.0), session.function), (Some(1), Function::Alerts));
        assert!(sessions.find(law, &token, NOW + LASTS).is_none(), "its time is over");
        assert!(sessions.find(law, &"0".repeat(64), NOW).is_none(), "nobody's");
        assert_eq!(open(&sessions, law, &key, 1, NOW), Err(Fault::Challenge), "answered before");
        let stranger = SigningKey::from_bytes(&[9; 32]);
        assert_eq!(open(&sessions, law, &stranger, 2, NOW), Err(Fault::Refused(Refusal::UnknownKey)));
        sessions.close(&token);
        assert!(sessions.find(law, &token, NOW).is_none(), "signed out");
    }

    #[test]
    fn neither_sessions_nor_their_drafts_grow_without_bound() {
        let ((desk, key), sessions) = (world(), Sessions::new([1; 32]));
        let law = desk.law().unwrap();
        let tokens: Vec<_> = (0..=SESSIONS_MAX as u16)
            .map(|number| open(&sessions, law, &key, number, NOW + u64::from(number)).unwrap())
            .collect();
        let later = NOW + SESSIONS_MAX as u64;
        assert!(sessions.find(law, &tokens[0], later).is_none(), "the one that ends first gave way");
        let [second, last] = [&tokens[1], &tokens[SESSIONS_MAX]];
        assert!(sessions.find(law, second, later).is_some() && sessions.find(law, last, later).is_some());
        let drafts: Vec<_> =
            (0..=DRAFTS_MAX as u8).map(|number| sessions.keep(last, vec![number]).unwrap()).collect();
        let session = sessions.find(law, last, later).unwrap();
        assert_eq!(session.draft(&drafts[0]), None, "the oldest gave way");
        assert_eq!(session.draft(&drafts[DRAFTS_MAX]), Some(&[DRAFTS_MAX as u8][..]));
        assert_eq!(sessions.find(law, second, later).unwrap().draft(&drafts[DRAFTS_MAX]), None, "another's");
    }
}
