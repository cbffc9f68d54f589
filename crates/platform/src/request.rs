//! Requests that somebody has signed, for what is not for everybody.
//!
//! HTTP message signatures (RFC 9421) in one profile: Ed25519 over the method, the path and the query, with the time of signing, a
//! nonce, the name of a key that the registry knows, and a tag that names the world. So a signature is good for one request to
//! one platform, once, within five minutes; and it means nothing as an act, which begins with other bytes.

use std::collections::{HashMap, HashSet, VecDeque};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credence_law::check::SKEW;
use credence_law::party::{KeyId, Party, World, unhex};
use credence_law::registry::{Register, Speaker};
use credence_law::{Law, Refusal};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::keys::hex;

/// What is signed, in the order in which it is.
const COVERED: &str = r#"("@method" "@path" "@query")"#;
/// Requests of one key that are remembered, at most: its nonces of ten minutes. Twenty-seven a second, for ever.
const NONCES_MAX: usize = 16_384;

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method, in capital letters.
    pub method: &'a str,
    /// The path, as it is sent.
    pub path: &'a str,
    /// What stands behind the question mark; nothing where there is none.
    pub query: &'a str,
}

impl Asked<'_> {
    /// The signature base (RFC 9421, section 2.5).
    fn base(&self, parameters: &str) -> String {
        let Self { method, path, query } = self;
        format!(
            "\"@method\": {method}\n\"@path\": {path}\n\"@query\": ?{query}\n\"@signature-params\": {parameters}"
        )
    }
}

/// The headers `Signature-Input` and `Signature` of a request that is made at `created` (Unix seconds). No two requests of a key
/// may have one nonce.
pub fn sign(key: &SigningKey, world: World, asked: &Asked<'_>, created: u64, nonce: [u8; 16]) -> [String; 2] {
    let id = KeyId::of(key.verifying_key().as_bytes());
    let parameters = format!(
        r#"{COVERED};created={created};keyid="{id}";nonce="{}";alg="ed25519";tag="{}""#,
        hex(&nonce),
        tag(world)
    );
    let signature = key.sign(asked.base(&parameters).as_bytes());
    [format!("sig1={parameters}"), format!("sig1=:{}:", STANDARD.encode(signature.to_bytes()))]
}

/// What tells requests to this world's platform from all others.
fn tag(world: World) -> String {
    format!("credence/{world}")
}

/// What the two headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented<'a> {
    parameters: &'a str,
    created: u64,
    key: KeyId,
    nonce: [u8; 16],
    tag: &'a str,
    signature: [u8; 64],
}

impl<'a> Presented<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    /// When they are not of this profile.
    pub fn read(input: &'a str, signature: &'a str) -> Result<Self, Refusal> {
        Self::parse(input, signature).ok_or(Refusal::Malformed)
    }

    fn parse(input: &'a str, signature: &'a str) -> Option<Self> {
        let (label, parameters) = input.trim().split_once('=')?;
        let (mut created, mut key, mut nonce, mut tag) = (None, None, None, None);
        for parameter in parameters.strip_prefix(COVERED)?.split(';').skip(1) {
            let (name, value) = parameter.split_once('=')?;
            let text = || value.strip_prefix('"')?.strip_suffix('"');
            let is_first = match name {
                "created" => created.replace(value.parse().ok()?).is_none(),
                "keyid" => key.replace(KeyId(unhex(text()?)?)).is_none(),
                "nonce" => nonce.replace(unhex(text()?)?).is_none(),
                "tag" => tag.replace(text()?).is_none(),
                "alg" => text()? == "ed25519",
                // What is not understood could be meant to narrow the signature.
                _ => false,
            };
            is_first.then_some(())?;
        }
        let value = signature.trim().strip_prefix(label)?.strip_prefix("=:")?.strip_suffix(':')?;
        let signature = STANDARD.decode(value).ok()?.try_into().ok()?;
        Some(Self { parameters, created: created?, key: key?, nonce: nonce?, tag: tag?, signature })
    }

    /// Whose key it names, if that speaks for somebody at `now`, in Unix seconds.
    fn speaker(&self, register: &Register, now: u64) -> Result<(VerifyingKey, Speaker), Refusal> {
        if register.is_revoked(self.key) {
            return Err(Refusal::RevokedKey);
        }
        let (public, speaker) = register.speaker(self.key).ok_or(Refusal::UnknownKey)?;
        if !speaker.is_valid(now) {
            return Err(Refusal::KeyTime);
        }
        let mandate = |id| register.member(id).is_some_and(|member| now < member.mandate_until);
        match speaker.party {
            Party::Member(id) if !mandate(id) => Err(Refusal::Mandate),
            _ => Ok((public, speaker)),
        }
    }

    /// Whose request it is, by all but whether it came before. What costs least comes first, the signature last.
    ///
    /// # Errors
    /// Why it is nobody's.
    pub fn verify(&self, law: &Law, asked: &Asked<'_>, now: u64) -> Result<Speaker, Refusal> {
        if self.tag != tag(law.world) {
            return Err(Refusal::World);
        }
        if self.created > now.saturating_add(SKEW) {
            return Err(Refusal::Future);
        }
        if self.created < now.saturating_sub(SKEW) {
            return Err(Refusal::Stale);
        }
        let (public, speaker) = self.speaker(law.register(), now)?;
        let base = asked.base(self.parameters);
        let signature = Signature::from_bytes(&self.signature);
        public.verify_strict(base.as_bytes(), &signature).map_err(|_| Refusal::BadSignature)?;
        Ok(speaker)
    }
}

/// Why a request that is somebody's is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheard {
    /// It was made before, or at a time of which nothing is remembered.
    Replayed,
    /// Its key makes more requests than are remembered.
    TooMany,
}

/// The requests of the last ten minutes. There are no more than 16,384 of each key.
#[derive(Debug)]
pub struct Nonces {
    /// Requests that were signed before are not known here. One that was dated ahead can be heard again after a start.
    since: u64,
    keys: HashMap<KeyId, Used>,
}

/// Nonces of one key.
#[derive(Debug, Default)]
struct Used {
    seen: HashSet<[u8; 16]>,
    /// In the order in which they came, with when that was.
    order: VecDeque<(u64, [u8; 16])>,
}

impl Nonces {
    /// Remembers from `since` on, in Unix seconds.
    pub fn new(since: u64) -> Self {
        Self { since, keys: HashMap::new() }
    }

    /// Notes a request at `now` (Unix seconds) that was verified.
    ///
    /// # Errors
    /// When it came before, or could have.
    pub fn note(&mut self, presented: &Presented<'_>, now: u64) -> Result<(), Unheard> {
        if presented.created < self.since {
            return Err(Unheard::Replayed);
        }
        let used = self.keys.entry(presented.key).or_default();
        used.forget(now);
        if used.seen.contains(&presented.nonce) {
            return Err(Unheard::Replayed);
        }
        if used.order.len() >= NONCES_MAX {
            return Err(Unheard::TooMany);
        }
        used.seen.insert(presented.nonce);
        used.order.push_back((now, presented.nonce));
        Ok(())
    }
}

impl Used {
    /// Forgets what is too old to be heard again: a request can come so long before its time, and so long after.
    fn forget(&mut self, now: u64) {
        while let Some((_, nonce)) = self.order.pop_front_if(|(came, _)| *came + 2 * SKEW < now) {
            self.seen.remove(&nonce);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked<'_> = Asked { method: "GET", path: "/members/1/acts", query: "after=3" };
    const NOW: u64 = 1_800_000_000;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[1; 32])
    }

    /// Another program would build the same lines: RFC 9421, section 2.5, with an empty query as in section 2.2.7.
    #[test]
    fn the_signature_base_is_that_of_the_rfc() {
        let [input, signature] = sign(&key(), World([2; 32]), &Asked { query: "", ..ASKED }, NOW, [3; 16]);
        let (id, nonce) = (KeyId::of(key().verifying_key().as_bytes()), "03".repeat(16));
        let parameters = format!(
            "(\"@method\" \"@path\" \"@query\");created=1800000000;keyid=\"{id}\";nonce=\"{nonce}\";\
             alg=\"ed25519\";tag=\"credence/{}\"",
            "02".repeat(32)
        );
        assert_eq!(input, format!("sig1={parameters}"));
        let base = format!(
            "\"@method\": GET\n\"@path\": /members/1/acts\n\"@query\": ?\n\"@signature-params\": {parameters}"
        );
        let expected = STANDARD.encode(key().sign(base.as_bytes()).to_bytes());
        assert_eq!(signature, format!("sig1=:{expected}:"));
    }

    #[test]
    fn headers_are_read_in_whatever_order_and_nothing_else_is() {
        let [input, signature] = sign(&key(), World([2; 32]), &ASKED, NOW, [3; 16]);
        let read = Presented::read(&input, &signature).unwrap();
        assert_eq!((read.created, read.nonce), (NOW, [3; 16]));
        let (front, tag) = input.rsplit_once(';').unwrap();
        let turned = front.replace(";created", &format!(";{tag};created"));
        assert_eq!(Presented::read(&turned, &signature).unwrap().tag, read.tag);
        let label = |text: &str| text.replace("sig1", "mine");
        assert!(Presented::read(&label(&input), &label(&signature)).is_ok());
        for (wrong_input, wrong_signature) in [
            (front, &*signature),
            (&*input, "sig1=::"),
            (&*input, "sig2=:AAAA:"),
            (&*label(&input), &*signature),
            (&*input.replace(" \"@query\"", ""), &*signature),
            (&*input.replace(COVERED, "()"), &*signature),
            (&*format!("{input};created=1"), &*signature),
            (&*format!("{input};expires=1900000000"), &*signature),
            (&*input.replace("ed25519", "hmac-sha256"), &*signature),
            (&*input.replace("nonce=\"03", "nonce=\"+3"), &*signature),
            (&*input.replace("nonce=\"03", "nonce=\""), &*signature),
            (&*input.replace("nonce=\"03", "nonce=\"\u{661}"), &*signature),
            ("", ""),
        ] {
            assert_eq!(
                Presented::read(wrong_input, wrong_signature),
                Err(Refusal::Malformed),
                "{wrong_input}"
            );
        }
    }

    #[test]
    fn a_request_is_heard_once_and_each_key_fills_its_own_memory_alone() {
        let mut nonces = Nonces::new(NOW);
        let signed = |key: u8, number: u64, created| {
            let mut nonce = [0; 16];
            nonce[..8].copy_from_slice(&number.to_be_bytes());
            sign(&SigningKey::from_bytes(&[key; 32]), World([2; 32]), &ASKED, created, nonce)
        };
        let mut note = |key, number, created, now| {
            let [input, signature] = signed(key, number, created);
            nonces.note(&Presented::read(&input, &signature).unwrap(), now)
        };
        assert_eq!(note(1, 0, NOW - 1, NOW), Err(Unheard::Replayed), "from before the start");
        assert_eq!(note(1, 0, NOW, NOW), Ok(()));
        assert_eq!(note(1, 0, NOW, NOW + 600), Err(Unheard::Replayed));
        assert_eq!(note(2, 0, NOW, NOW + 600), Ok(()), "another key's");
        for number in 1..NONCES_MAX as u64 {
            assert_eq!(note(1, number, NOW + 1, NOW), Ok(()));
        }
        assert_eq!(note(1, 1 << 40, NOW, NOW), Err(Unheard::TooMany));
        assert_eq!(note(2, 1 << 40, NOW, NOW + 600), Ok(()));
        assert_eq!(note(1, 1 << 40, NOW + 601, NOW + 601), Ok(()), "ten minutes later all is forgotten");
        assert_eq!(nonces.keys[&KeyId::of(key().verifying_key().as_bytes())].order.len(), 1);
    }
}
