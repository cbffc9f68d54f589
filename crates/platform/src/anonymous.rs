//! Exports that tell what has happened, and not to whom.
//!
//! The public log holds each act with its addresses, so it is not enough to replace those: whoever finds an act there finds them.
//! So whatever leads to an entry goes as well. Identities become others, places and hashes are left out, issuers are told by what
//! they are, moments by their days. Items, scores, measures and days stay, for they are what such an export is made for; who knows
//! the log may still recognise a day's only act of its kind.

use std::net::{Ipv4Addr, Ipv6Addr};

use credence_credit::{Anonymiser, AnonymiserKey};
use credence_prefix::Prefix;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::keys::hex;
use crate::stix;
use crate::view::{ActView, SubjectView};

/// What stands for something that looks like an address and is none that can be replaced.
const HIDDEN: &str = "…";
/// Digits between dots, from which on a name may be an address written backwards (RFC 3596 section 2.5).
const REVERSE_LABELS: usize = 8;

/// Makes exports anonymous, in the same way as long as the key is the same.
pub struct Veil {
    anonymiser: Anonymiser,
    names: Hmac<Sha256>,
}

impl Veil {
    /// The veil of a key.
    pub fn new(key: &AnonymiserKey) -> Self {
        let mut names = Hmac::<Sha256>::new_from_slice(key.bytes()).expect("a key of any length will do");
        names.update(b"credence export");
        Self { anonymiser: Anonymiser::new(key), names }
    }

    /// What stands for a name: nobody finds the one from the other without the key.
    fn name(&self, of: &str) -> [u8; 32] {
        let mut names = self.names.clone();
        names.update(of.as_bytes());
        names.finalize().into_bytes().into()
    }

    fn prefix(&self, text: &str) -> String {
        let prefix = text.parse().map(|prefix: Prefix| self.anonymiser.prefix(prefix).to_string());
        prefix.unwrap_or_else(|_| HIDDEN.to_owned())
    }

    /// A credit file.
    pub fn credit_file(&self, view: SubjectView) -> Value {
        let acts = view.acts.into_iter().map(|act| self.act(act)).collect();
        let subject = self.prefix(&view.subject);
        // Who holds the addresses would tell where they begin, and sums to the byte are found again in the public log.
        let view = SubjectView { subject, holder: None, applied: Vec::new(), acts, ..view };
        let mut file = json!(view);
        let acts = file["acts"].as_array_mut().into_iter().flatten();
        acts.filter_map(Value::as_object_mut).for_each(|act| drop(act.remove("place")));
        file
    }

    fn act(&self, act: ActView) -> ActView {
        ActView {
            id: hex(&self.name(&act.id)),
            issuer: act.issuer.split(' ').next().unwrap_or_default().to_owned(),
            prefix: self.prefix(&act.prefix),
            issued: day(&act.issued).to_owned(),
            expires: day(&act.expires).to_owned(),
            ..act
        }
    }

    /// A bundle of security alerts, as [`stix::bundle`] has made it.
    pub fn bundle(&self, bundle: &Value) -> Value {
        let objects = bundle["objects"].as_array().into_iter().flatten();
        stix::bundled(&objects.map(|object| self.object(object.clone())).collect::<Vec<_>>())
    }

    fn object(&self, mut object: Value) -> Value {
        let is_identity = object["type"] == "identity";
        for (name, value) in object.as_object_mut().into_iter().flatten() {
            *value = match (name.as_str(), &*value) {
                ("id" | "created_by_ref", Value::String(id)) => json!(self.reference(id)),
                ("object_refs", Value::Array(ids)) => {
                    ids.iter().filter_map(Value::as_str).map(|id| self.reference(id)).collect()
                }
                ("created" | "modified" | "published", Value::String(moment)) => {
                    json!(format!("{}T00:00:00Z", day(moment)))
                }
                ("name", Value::String(_)) if is_identity => json!("a party"),
                ("name", Value::String(text)) => json!(self.text(text)),
                _ => continue,
            };
        }
        if let Some(object) = object.as_object_mut() {
            object.remove("external_references");
        }
        object
    }

    /// What stands for the identifier of an object.
    fn reference(&self, id: &str) -> String {
        let kind = id.split("--").next().unwrap_or_default();
        stix::name(kind, &self.name(id))
    }

    /// What somebody has written, with others in the place of addresses. What has the form of one and is none is hidden.
    fn text(&self, text: &str) -> String {
        let (mut shown, mut left) = (String::with_capacity(text.len()), text);
        while let Some(begin) = left.find(is_of_address) {
            let (before, from) = left.split_at(begin);
            let (run, after) = from.split_at(from.find(|other| !is_of_address(other)).unwrap_or(from.len()));
            // A full stop behind an address ends the sentence.
            let (run, stop) = run.split_at(run.trim_end_matches('.').len());
            shown += before;
            let (stands, rest) = self.run(run, after);
            (shown, left) = (shown + &stands + stop, rest);
        }
        shown + left
    }

    /// What stands for a run of characters of which addresses are made, and what of the text behind it is left.
    fn run<'t>(&self, run: &str, after: &'t str) -> (String, &'t str) {
        if let Ok(address) = run.parse::<Ipv6Addr>() {
            if let Some((len, rest)) = length(after) {
                let prefix = Prefix::containing(address.to_bits(), len);
                return (self.anonymiser.prefix(prefix).to_string(), rest);
            }
            let shown = Ipv6Addr::from_bits(self.anonymiser.address(address.to_bits()));
            return (shown.to_string(), after);
        }
        let is_near = run.matches(':').count() > 1
            || run.parse::<Ipv4Addr>().is_ok()
            || run.matches('.').count() >= REVERSE_LABELS;
        (if is_near { HIDDEN } else { run }.to_owned(), after)
    }
}

/// Whether addresses are written with this character.
const fn is_of_address(character: char) -> bool {
    character.is_ascii_hexdigit() || matches!(character, ':' | '.')
}

/// The length of a prefix that a text begins with, and what is left behind it.
fn length(text: &str) -> Option<(u8, &str)> {
    let digits = text.strip_prefix('/')?;
    let (len, rest) =
        digits.split_at(digits.find(|other: char| !other.is_ascii_digit()).unwrap_or(digits.len()));
    Some((len.parse().ok().filter(|len| *len <= 128)?, rest))
}

/// The day of a moment as in RFC 3339.
fn day(moment: &str) -> &str {
    moment.split('T').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn veil(key: u8) -> Veil {
        let bytes = std::array::from_fn(|place| key.wrapping_add(place as u8));
        Veil::new(&AnonymiserKey::new(bytes).unwrap())
    }

    #[test]
    fn addresses_in_words_are_replaced_and_what_is_near_one_is_hidden() {
        let veil = veil(1);
        let address = |text: &str| {
            let bits = text.parse::<Ipv6Addr>().unwrap().to_bits();
            Ipv6Addr::from_bits(veil.anonymiser.address(bits)).to_string()
        };
        let one = address("2001:db8::1");
        for (written, shown) in [
            (
                "nothing to hide, a bad cafe. 12.5 % at 9:30",
                "nothing to hide, a bad cafe. 12.5 % at 9:30".to_owned(),
            ),
            ("seen at 2001:db8::1.", format!("seen at {one}.")),
            ("[2001:DB8:0::1]:443 and 2001:db8::1", format!("[{one}]:443 and {one}")),
            ("x2001:db8::1%eth0", format!("x{one}%eth0")),
            ("2001:db8::1/129", format!("{one}/129")),
            ("::ffff:192.0.2.1", address("::ffff:192.0.2.1")),
            ("2001:db8::1::", HIDDEN.to_owned()),
            ("face2001:db8::1", HIDDEN.to_owned()),
            ("192.0.2.1!", format!("{HIDDEN}!")),
            ("1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", format!("{HIDDEN}.ip6.arpa")),
            ("", String::new()),
        ] {
            assert_eq!(veil.text(written), shown, "{written}");
        }
        let prefix = veil.text("all of 2001:db8:1::/48, they say");
        let prefix = prefix.strip_prefix("all of ").and_then(|text| text.strip_suffix(", they say")).unwrap();
        assert_eq!(prefix.parse::<Prefix>().unwrap().len(), 48, "{prefix} has no bits behind its length");
        assert_eq!(prefix, veil.prefix("2001:db8:1::/48"));
    }

    #[test]
    fn names_are_those_of_their_key() {
        assert_eq!(veil(1).name("one"), veil(1).name("one"));
        assert_ne!(veil(1).name("one"), veil(1).name("two"));
        assert_ne!(veil(1).name("one"), veil(2).name("one"));
    }
}
