//! Witnesses: others who have seen the log, and say so.
//!
//! A witness signs a checkpoint once it has seen that the log still begins with what it was when it signed last. Who trusts a
//! witness knows then that the log shows everybody the same. The signatures are those of c2sp.org/tlog-cosignature, in
//! Ed25519: over the time and the checkpoint's text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature as Ed25519, Signer as _, SigningKey, VerifyingKey};
use signed_note::{Note, Signature, Verifier, VerifierList};

/// The first byte of a witness's key in Ed25519.
const COSIGNATURE: u8 = 4;

/// Why a text names no witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWitness {
    /// It has other parts.
    #[error("a witness is written NAME+NUMBER+KEY")]
    Shape,
    /// Its name is none.
    #[error("this is no name of a key")]
    Name,
    /// Its key is none.
    #[error("its key is no Ed25519 key for cosignatures in base64")]
    Key,
    /// The number is another key's.
    #[error("the number of its key is another")]
    Number,
}

/// Somebody whose word on the log is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    name: String,
    id: u32,
    key: VerifyingKey,
}

/// That a witness has seen the log as a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// Who it was.
    pub witness: String,
    /// When, in Unix seconds.
    pub time: u64,
    /// The line of the signed note, with its end.
    pub line: Vec<u8>,
}

impl Witness {
    /// A witness of this name with this key.
    pub fn new(name: &str, key: VerifyingKey) -> Self {
        let public = [&[COSIGNATURE][..], key.as_bytes()].concat();
        Self { name: name.to_owned(), id: signed_note::key_id(name, &public), key }
    }

    /// Reads a verifier key as witnesses publish it: the name, the number of the key and the key, with a plus between them.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &str) -> Result<Self, NoWitness> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoWitness::Shape);
        };
        if !signed_note::is_key_name_valid(name) {
            return Err(NoWitness::Name);
        }
        let key = STANDARD.decode(key).map_err(|_| NoWitness::Key)?;
        let Some((&COSIGNATURE, key)) = key.split_first() else { return Err(NoWitness::Key) };
        let key = key.try_into().ok().and_then(|key| VerifyingKey::from_bytes(key).ok());
        let witness = Self::new(name, key.ok_or(NoWitness::Key)?);
        if format!("{:08x}", witness.id) == id { Ok(witness) } else { Err(NoWitness::Number) }
    }

    /// As it is published.
    pub fn verifier_key(&self) -> String {
        let public = [&[COSIGNATURE][..], self.key.as_bytes()].concat();
        format!("{}+{:08x}+{}", self.name, self.id, STANDARD.encode(public))
    }

    /// The line that this witness adds to a checkpoint at `time`, in Unix seconds.
    pub fn cosign(&self, key: &SigningKey, checkpoint: &[u8], time: u64) -> Option<Vec<u8>> {
        let note = Note::from_bytes(checkpoint).ok()?;
        let signature = key.sign(&message(note.text(), time)).to_bytes();
        let value = [&time.to_be_bytes()[..], &signature].concat();
        Some(Signature::new(self.name.clone(), self.id, value).ok()?.to_bytes())
    }
}

/// What is signed.
fn message(checkpoint: &[u8], time: u64) -> Vec<u8> {
    [format!("cosignature/v1\ntime {time}\n").as_bytes(), checkpoint].concat()
}

impl Verifier for Witness {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        let Some((time, value)) = parts(signature) else { return false };
        self.key.verify_strict(&message(text, time), &value).is_ok()
    }
}

/// The time and the signature proper.
fn parts(signature: &[u8]) -> Option<(u64, Ed25519)> {
    let (time, value) = signature.split_first_chunk()?;
    Some((u64::from_be_bytes(*time), Ed25519::from_bytes(value.try_into().ok()?)))
}

/// What these witnesses say of a checkpoint. Signatures of others are passed over; none where one of theirs is wrong.
pub fn cosignatures(checkpoint: &[u8], witnesses: &[Witness]) -> Option<Vec<Cosignature>> {
    let verifiers = witnesses.iter().map(|witness| Box::new(witness.clone()) as Box<dyn Verifier>);
    let note = Note::from_bytes(checkpoint).ok()?;
    let verified = match note.verify(&VerifierList::new(verifiers.collect())) {
        Ok((verified, _)) => verified,
        Err(signed_note::NoteError::UnverifiedNote) => Vec::new(),
        Err(_) => return None,
    };
    let cosignature = |signature: &Signature| {
        let (time, _) = parts(signature.signature())?;
        Some(Cosignature { witness: signature.name().to_owned(), time, line: signature.to_bytes() })
    };
    verified.iter().map(cosignature).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(seed: u8) -> (Witness, SigningKey) {
        let key = SigningKey::from_bytes(&[seed; 32]);
        (Witness::new(&format!("witness.example/{seed}"), key.verifying_key()), key)
    }

    /// A log's checkpoint, with the log's own line.
    fn checkpoint() -> Vec<u8> {
        let mut note =
            Note::new(b"log.example\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", &[]).unwrap();
        let key = SigningKey::from_bytes(&[9; 32]);
        let secret = STANDARD.encode([&[1][..], &key.to_bytes()].concat());
        let public = [&[1][..], key.verifying_key().as_bytes()].concat();
        let id = signed_note::key_id("log.example", &public);
        let signer =
            signed_note::StandardSigner::new(&format!("PRIVATE+KEY+log.example+{id:08x}+{secret}")).unwrap();
        note.add_sigs(&[&signer]).unwrap();
        note.to_bytes()
    }

    #[test]
    fn a_witness_is_read_as_it_is_published() {
        let (known, _) = witness(1);
        let text = known.verifier_key();
        assert_eq!(Witness::read(&text).unwrap(), known);
        let other = text.replace("witness.example/1", "witness.example/2");
        for wrong in ["", "a+b", &other, &text.replace("+B", "+A"), &format!("{text}AAAA")] {
            assert!(Witness::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_witness_speaks_for_itself_and_a_wrong_word_counts_for_nothing() {
        let ((one, key), (two, other)) = (witness(1), witness(2));
        let mut text = checkpoint();
        assert_eq!(cosignatures(&text, std::slice::from_ref(&one)), Some(Vec::new()));
        let line = one.cosign(&key, &text, 77).unwrap();
        text.extend(&line);
        let said = Cosignature { witness: "witness.example/1".to_owned(), time: 77, line };
        assert_eq!(cosignatures(&text, &[one.clone(), two.clone()]), Some(vec![said]));
        assert_eq!(cosignatures(&text, std::slice::from_ref(&two)), Some(Vec::new()), "a stranger's");
        let forged = [checkpoint(), one.cosign(&other, &text, 77).unwrap()].concat();
        assert_eq!(cosignatures(&forged, &[one]), None);
    }

    /// The bytes that are signed, written out by hand.
    #[test]
    fn what_is_signed_is_the_time_and_the_text() {
        assert_eq!(
            message(b"log\n1\nAAAA\n", 1_679_315_147),
            b"cosignature/v1\ntime 1679315147\nlog\n1\nAAAA\n"
        );
    }
}
