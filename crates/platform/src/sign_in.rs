//! Signing in without a password: the platform names a challenge, and whoever has a party's key signs it on their own machine.
//!
//! The platform keeps no secret of anybody, and a challenge until it is answered neither: it carries its end and a tag by which the
//! platform knows its own again (HMAC-SHA-256, RFC 2104, cut to 16 bytes as in its section 5).

use credence_law::Signed;
use credence_law::party::{World, unhex};
use ed25519_dalek::SigningKey;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::keys::hex;

/// How long a challenge can be answered, in seconds.
pub const ANSWER_WITHIN: u64 = 300;

/// What the signed statement begins with. No act and no rule begins so: a signature on one is none on the other.
const MAGIC: &[u8] = b"credence sign-in 1\n";
/// When it ends in 8 bytes, 16 random ones, and the tag in 16.
const LEN: usize = 40;
/// Where the tag begins.
const TAG: usize = 24;

/// What a party signs to show who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge([u8; LEN]);

impl Challenge {
    /// A challenge that can be answered until `until` (Unix seconds), under the platform's secret.
    pub fn new(secret: &[u8; 32], until: u64, nonce: [u8; 16]) -> Self {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&until.to_be_bytes());
        bytes[8..TAG].copy_from_slice(&nonce);
        let tag = mac(secret, &bytes[..TAG]).finalize().into_bytes();
        bytes[TAG..].copy_from_slice(&tag[..LEN - TAG]);
        Self(bytes)
    }

    /// The challenge that a text names, made by whoever has the secret or not.
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text.trim()).map(Self)
    }

    /// Whether it was made under this secret and can be answered at `now`, in Unix seconds.
    pub fn is_open(&self, secret: &[u8; 32], now: u64) -> bool {
        let is_own = mac(secret, &self.0[..TAG]).verify_truncated_left(&self.0[TAG..]).is_ok();
        is_own && now < self.until()
    }

    /// Until when it can be answered, in Unix seconds.
    pub fn until(&self) -> u64 {
        u64::from_be_bytes(self.0[..8].try_into().expect("eight of them"))
    }

    /// The bytes that are signed in this world.
    fn statement(&self, world: World) -> Vec<u8> {
        [MAGIC, &world.0, &self.0].concat()
    }

    /// The answer of whoever has this key.
    pub fn answer(&self, world: World, key: &SigningKey) -> Signed {
        Signed::with(self.statement(world), [key])
    }

    /// Whether somebody's answer is one to this challenge. Who has signed it is still to be looked at.
    pub fn is_answered(&self, world: World, answer: &Signed) -> bool {
        answer.bytes() == self.statement(world)
    }
}

/// Hexadecimal, 80 digits.
impl core::fmt::Display for Challenge {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

fn mac(secret: &[u8; 32], bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length will do");
    mac.update(bytes);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const WORLD: World = World([9; 32]);

    #[test]
    fn a_challenge_is_known_again_for_its_time_and_by_its_maker_alone() {
        let challenge = Challenge::new(&[1; 32], NOW + ANSWER_WITHIN, [7; 16]);
        let read = Challenge::parse(&format!(" {challenge}\n")).unwrap();
        assert_eq!(read, challenge);
        assert!(read.is_open(&[1; 32], NOW) && read.is_open(&[1; 32], NOW + ANSWER_WITHIN - 1));
        assert!(!read.is_open(&[1; 32], NOW + ANSWER_WITHIN), "too late");
        assert!(!read.is_open(&[2; 32], NOW), "somebody else's");
        for at in 0..LEN {
            let mut changed = challenge;
            changed.0[at] ^= 1;
            assert!(!changed.is_open(&[1; 32], NOW), "byte {at}");
        }
        for wrong in
            ["", "00", &"g".repeat(80), &"é".repeat(40), &"0".repeat(82), &format!("+{}", "0".repeat(79))]
        {
            assert_eq!(Challenge::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_one_to_this_challenge_in_this_world_alone() {
        let key = SigningKey::from_bytes(&[3; 32]);
        let [one, other] = [7, 8].map(|nonce| Challenge::new(&[1; 32], NOW, [nonce; 16]));
        let answer = one.answer(WORLD, &key);
        assert!(one.is_answered(WORLD, &answer));
        assert!(!one.is_answered(World([8; 32]), &answer) && !other.is_answered(WORLD, &answer));
        assert!(credence_law::Object::<credence_law::Act>::decode(answer.bytes()).is_err(), "it is no act");
    }
}
