//! Documents that somebody has signed: an envelope after the DSSE protocol, version 1, around JSON.
//!
//! What is signed are the type and the payload with their lengths, so that no byte of either can be taken for one of the other,
//! and nobody needs a canonical form of JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credence_law::party::KeyId;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde_json::{Value, json};

/// The type of a credit file.
pub const CREDIT_FILE: &str = "application/vnd.credence.credit-file+json";
/// The type of a credit file whose addresses stand for others. It is one of its own, so that nobody takes it for a statement
/// about whoever really has those addresses.
pub const ANONYMOUS_CREDIT_FILE: &str = "application/vnd.credence.anonymous-credit-file+json";

fn signed(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// A document of this type, signed with a key.
pub fn seal(kind: &str, document: &Value, key: &SigningKey) -> Value {
    let payload = document.to_string();
    let signature = key.sign(&signed(kind, payload.as_bytes())).to_bytes();
    json!({
        "payloadType": kind,
        "payload": STANDARD.encode(payload),
        "signatures": [{
            "keyid": KeyId::of(key.verifying_key().as_bytes()).to_string(),
            "sig": STANDARD.encode(signature),
        }],
    })
}

/// The document of this type in an envelope, if this key has signed it.
pub fn open(kind: &str, envelope: &Value, key: &VerifyingKey) -> Option<Value> {
    let payload = STANDARD.decode(envelope["payload"].as_str()?).ok()?;
    let is_theirs = |sealed: &Value| {
        let value = sealed["sig"].as_str().and_then(|text| STANDARD.decode(text).ok());
        let value = value.and_then(|bytes| Signature::from_slice(&bytes).ok());
        value.is_some_and(|value| key.verify_strict(&signed(kind, &payload), &value).is_ok())
    };
    let is_signed =
        envelope["payloadType"] == kind && envelope["signatures"].as_array()?.iter().any(is_theirs);
    if is_signed { serde_json::from_slice(&payload).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_opened_with_its_key_and_type_alone() {
        let (key, other) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let document = json!({ "subject": "2001:db8::/48" });
        let envelope = seal(CREDIT_FILE, &document, &key);
        assert_eq!(open(CREDIT_FILE, &envelope, &key.verifying_key()), Some(document));
        assert_eq!(open(CREDIT_FILE, &envelope, &other.verifying_key()), None);
        assert_eq!(open("text/plain", &envelope, &key.verifying_key()), None);
        let mut changed = envelope.clone();
        changed["payload"] = json!(STANDARD.encode("{}"));
        assert_eq!(open(CREDIT_FILE, &changed, &key.verifying_key()), None);
        assert_eq!(open(CREDIT_FILE, &json!({}), &key.verifying_key()), None);
    }

    /// The example of the protocol's own description, up to the signature.
    #[test]
    fn type_and_payload_stand_with_their_lengths() {
        let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(signed("http://example.com/HelloWorld", b"hello world"), expected);
    }
}
