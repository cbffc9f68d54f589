//! The page on which anybody looks an address up.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use credence_credit::Subject;
use credence_prefix::Prefix;
use serde::Deserialize;

use super::answer::{Answer, answer};
use super::{Frame, lawless, shown};
use crate::serve::{Platform, now};

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    address: Option<String>,
}

#[derive(Template)]
#[template(path = "portal/inquiry.html")]
struct InquiryPage {
    frame: Frame,
    /// What was asked for, as it was typed.
    asked: String,
    /// Why it cannot be answered.
    fault: Option<String>,
    answer: Option<Answer>,
}

pub(super) async fn page(State(platform): State<Arc<Platform>>, Query(asked): Query<Asked>) -> Response {
    let asked = asked.address.unwrap_or_default();
    let subject = match asked.trim() {
        "" => None,
        text => Some(named(text)),
    };
    let (answer, fault) = match subject {
        None => (None, None),
        Some(Err(fault)) => (None, Some(fault)),
        Some(Ok(subject)) => {
            platform.asked();
            let Some(answer) = platform.read(|desk| answer(desk, subject, now())) else {
                return lawless(&platform);
            };
            (Some(answer), None)
        }
    };
    let title =
        answer.as_ref().map_or_else(|| "Look an address up".to_owned(), |answer| answer.subject.clone());
    let status = if fault.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    shown(status, &InquiryPage { frame: Frame::new(&platform, title, "/"), asked, fault, answer })
}

/// The subject that a text names: a prefix, or an address with the /64 that it lies in. Otherwise what is wrong with it.
pub(crate) fn named(text: &str) -> Result<Prefix, String> {
    if let Ok(address) = text.parse::<std::net::Ipv6Addr>() {
        return Ok(Prefix::containing(address.to_bits(), Subject::DEFAULT_LEN));
    }
    if text.split('/').next().is_some_and(|address| address.parse::<std::net::Ipv4Addr>().is_ok()) {
        return Err("This is an IPv4 address. Credit is kept for IPv6 addresses alone.".to_owned());
    }
    text.parse().map_err(|fault: credence_prefix::PrefixError| match fault {
        credence_prefix::PrefixError::HostBits(prefix) => {
            format!("The address has bits behind the length of its prefix. Did you mean {prefix}?")
        }
        _ => {
            "This is no IPv6 address or prefix. One looks like 2001:db8:1:2::3 or 2001:db8:1::/48.".to_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_for_its_64_and_what_is_none_is_told_why() {
        let told = |text: &str| named(text).map(|prefix| prefix.to_string());
        assert_eq!(told("2001:db8:1:2:3::4"), Ok("2001:db8:1:2::/64".to_owned()));
        assert_eq!(told("2001:db8::/32"), Ok("2001:db8::/32".to_owned()));
        assert!(told("192.0.2.1").is_err_and(|fault| fault.contains("IPv4")));
        assert!(told("192.0.2.0/24").is_err_and(|fault| fault.contains("IPv4")));
        assert!(told("2001:db8::1/32").is_err_and(|fault| fault.contains("2001:db8::/32")));
        for text in ["x", "2001:db8::/129", "2001:db8::/", "fe80::1%eth0", "<script>", "\u{202e}1::", "=1+1"]
        {
            assert!(told(text).is_err_and(|fault| fault.contains("no IPv6")), "{text}");
        }
    }
}
