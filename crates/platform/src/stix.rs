//! Security alerts as a STIX 2.1 bundle (OASIS Standard, 10 June 2021), for the tools of those who answer incidents.
//!
//! Each alert in force becomes a report by its issuer; one about a weakness, malicious software or a campaign names that as an
//! object of its own as well. They say nothing of anybody's credit, and exercises are not among them.

use std::collections::BTreeMap;

use credence_credit::ActId;
use credence_law::acts::{SecurityAlert, Threat};
use credence_law::party::{Party, World};
use credence_law::{Act, Law, State};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::desk::Desk;
use crate::keys::hex;
use crate::view::moment;

/// The bundle of a world's security alerts at `now`, in Unix seconds. None while the world has no rules. The same alerts make the
/// same bundle.
pub fn bundle(desk: &Desk, now: u64) -> Option<Value> {
    let law = desk.law().ok()?;
    let alerts = desk.book().acts().filter_map(|accepted| match &accepted.act {
        Act::SecurityAlert(alert) if desk.book().state(&accepted.id, now) == Some(State::InForce) => {
            Some((accepted.id, alert))
        }
        _ => None,
    });
    let (mut objects, mut identities) = (Vec::new(), BTreeMap::new());
    for (id, alert) in alerts {
        let issuer = alert.preamble.issuer;
        let identity = identities.entry(issuer).or_insert_with(|| identity(law, issuer));
        let by = identity["id"].clone();
        let subject = subject(&id, alert, &by);
        let refers = subject.as_ref().map_or_else(|| by.clone(), |subject| subject["id"].clone());
        objects.extend(subject);
        objects.push(report(&id, alert, &by, &refers));
    }
    Some(bundled(&identities.into_values().chain(objects).collect::<Vec<_>>()))
}

/// A bundle of these objects, whose name follows from them.
pub(crate) fn bundled(objects: &[Value]) -> Value {
    let hashed: Vec<_> = objects.iter().map(ToString::to_string).collect();
    json!({
        "type": "bundle",
        "id": name("bundle", hashed.concat().as_bytes()),
        "objects": objects,
    })
}

/// Whose alerts they are.
fn identity(law: &Law, issuer: Party) -> Value {
    let World(world) = law.world;
    let member = issuer.member().and_then(|id| law.register().member(id));
    let name_of = member.map_or_else(|| issuer.to_string(), |member| member.name.to_string());
    // An identity is older than whatever it says, and does not change with the registry.
    let (created, whose) = (moment(0), format!("{issuer}"));
    json!({
        "type": "identity",
        "spec_version": "2.1",
        "id": name("identity", &[&world[..], whose.as_bytes()].concat()),
        "created": created,
        "modified": created,
        "name": name_of,
        "identity_class": "organization",
    })
}

/// What an alert is about, where STIX has an object for it.
fn subject(id: &ActId, alert: &SecurityAlert, by: &Value) -> Option<Value> {
    let kind = match alert.threat {
        Threat::Vulnerability => "vulnerability",
        Threat::Malware => "malware",
        Threat::Campaign => "campaign",
        // Without a pattern it is no indicator there.
        Threat::Indicator => return None,
    };
    let mut object = common(kind, id, alert, by);
    if alert.threat == Threat::Malware {
        object["is_family"] = json!(false);
    }
    Some(object)
}

fn report(id: &ActId, alert: &SecurityAlert, by: &Value, refers: &Value) -> Value {
    let mut object = common("report", id, alert, by);
    object["published"] = json!(moment(alert.preamble.issued));
    object["report_types"] = json!([match alert.threat {
        Threat::Vulnerability => "vulnerability",
        Threat::Malware => "malware",
        Threat::Campaign => "campaign",
        Threat::Indicator => "indicator",
    }]);
    object["object_refs"] = json!([refers]);
    object["external_references"] = json!([{
        "source_name": "credence",
        "external_id": id.to_string(),
        "description": format!("SHA-256 of the details: {}", hex(&alert.details)),
    }]);
    object
}

/// What all objects about an alert have.
fn common(kind: &str, id: &ActId, alert: &SecurityAlert, by: &Value) -> Value {
    let issued = moment(alert.preamble.issued);
    json!({
        "type": kind,
        "spec_version": "2.1",
        "id": name(kind, &id.0),
        "created_by_ref": by,
        "created": issued,
        "modified": issued,
        "name": alert.title.as_str(),
    })
}

/// An identifier that follows from what it names: a UUID of version 8 (RFC 9562 section 5.8) out of a SHA-256.
pub(crate) fn name(kind: &str, of: &[u8]) -> String {
    let hash = Sha256::new().chain_update(kind).chain_update([0]).chain_update(of).finalize();
    let mut bytes: [u8; 16] = core::array::from_fn(|place| hash[place]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex(&bytes);
    format!("{kind}--{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_uuid_that_follows_from_what_it_names() {
        let one = name("report", b"something");
        assert_eq!(one, name("report", b"something"));
        assert_ne!(one, name("report", b"something else"));
        let uuid = one.strip_prefix("report--").unwrap();
        let parts: Vec<_> = uuid.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(uuid.as_bytes()[14], b'8');
        assert!(matches!(uuid.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }
}
