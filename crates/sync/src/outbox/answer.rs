//! What the platform's answers mean.

use credence_credit::ActId;
use credence_law::Refusal;
use credence_law::party::unhex;
use serde::Deserialize;

use super::draft::Receipt;

/// The longest answer that is read, in bytes.
pub const ANSWER_LEN_MAX: usize = 16_384;

/// What came back for an act that was handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It stands in the log, since now or since before.
    Taken(Receipt),
    /// It was not taken, and will not be as it is.
    Refused(Reason),
    /// The platform has too much to do, and looks at it later.
    Later {
        /// Milliseconds after which to come again, if it said so.
        wait_ms: Option<u64>,
    },
    /// Nothing that the platform would say: no connection, a page of something in between, half an answer. The act may have
    /// been taken.
    Silence,
}

/// Why an act was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// By the law.
    Law(Refusal),
    /// For something that this version has no word for.
    Other,
}

impl Reason {
    /// The word in metrics and in the spool.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Law(refusal) => refusal.name(),
            Self::Other => "other",
        }
    }
}

/// The platform's answer in JSON.
#[derive(Deserialize)]
struct Told {
    status: u16,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    place: Option<u64>,
    #[serde(default)]
    accepted: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    retry_after: Option<u64>,
}

impl Answer {
    /// Reads the answer to the act `id`: its status and its body.
    ///
    /// Only what the platform itself can have written counts. A page that a hotel or a proxy puts in its place is silence,
    /// whatever its status, since it says nothing of the act.
    pub fn read(status: u16, body: &[u8], id: &ActId) -> Self {
        let told = serde_json::from_slice::<Told>(body).ok();
        let Some(told) = told.filter(|told| told.status == status && body.len() <= ANSWER_LEN_MAX) else {
            return Self::Silence;
        };
        match (status, told.refusal) {
            (200 | 201, None) => {
                let named = told.id.as_deref().and_then(unhex);
                let receipt = told.place.zip(told.accepted).filter(|_| named == Some(id.0));
                receipt.map_or(Self::Silence, |(place, accepted)| {
                    Self::Taken(Receipt { id: *id, place, accepted })
                })
            }
            (408 | 429 | 500..=599, Some(_)) => {
                Self::Later { wait_ms: told.retry_after.map(|seconds| seconds.saturating_mul(1_000)) }
            }
            (400..=499, Some(word)) => {
                let known = Refusal::ALL.iter().find(|refusal| refusal.name() == word);
                Self::Refused(known.map_or(Reason::Other, |refusal| Reason::Law(*refusal)))
            }
            _ => Self::Silence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ActId = ActId([0xab; 32]);

    #[track_caller]
    fn check(status: u16, body: &str, answer: &Answer) {
        assert_eq!(&Answer::read(status, body.as_bytes(), &ID), answer, "{status} {body}");
    }

    #[test]
    fn a_receipt_is_one_only_for_the_act_that_was_sent() {
        let body = format!(r#"{{"status":201,"id":"{ID}","place":7,"accepted":"2026-11-22T10:00:00Z"}}"#);
        let receipt = Receipt { id: ID, place: 7, accepted: "2026-11-22T10:00:00Z".to_owned() };
        check(201, &body, &Answer::Taken(receipt.clone()));
        check(200, &body.replace("201", "200"), &Answer::Taken(receipt));
        check(201, &body.replace("ab", "ac"), &Answer::Silence);
        check(200, &body, &Answer::Silence);
        check(201, &body.replace("\"place\":7,", ""), &Answer::Silence);
    }

    #[test]
    fn refusals_have_the_laws_words() {
        let body =
            |status: u16, word: &str| format!(r#"{{"status":{status},"refusal":"{word}","text":"so"}}"#);
        for refusal in Refusal::ALL {
            check(422, &body(422, refusal.name()), &Answer::Refused(Reason::Law(*refusal)));
        }
        check(413, &body(413, "large"), &Answer::Refused(Reason::Other));
        check(429, &body(429, "quota"), &Answer::Later { wait_ms: None });
        let waits = r#"{"status":503,"refusal":"busy","retry_after":3}"#;
        check(503, waits, &Answer::Later { wait_ms: Some(3_000) });
    }

    #[test]
    fn what_something_in_between_says_is_silence() {
        check(200, "<html>Welcome to the airport</html>", &Answer::Silence);
        check(422, "<html>Blocked</html>", &Answer::Silence);
        check(422, "{}", &Answer::Silence);
        check(302, r#"{"status":302,"refusal":"replayed"}"#, &Answer::Silence);
        check(204, "", &Answer::Silence);
        check(
            422,
            &format!("{{\"status\":422,\"refusal\":\"stale\"}}{}", " ".repeat(ANSWER_LEN_MAX)),
            &Answer::Silence,
        );
    }
}
