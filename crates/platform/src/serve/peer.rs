//! Where a request comes from.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::Platform;

/// The address that a request comes from.
///
/// Behind a proxy it is the last one of `X-Forwarded-For`, which the proxy has put there itself; those before it are what its
/// client wrote. Another process of the same platform that hands a request on is such a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl FromRequestParts<Arc<Platform>> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, platform: &Arc<Platform>) -> Result<Self, Infallible> {
        let connected = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        let is_believed = platform.settings.is_behind_proxy || platform.is_from_peer(&parts.headers);
        let forwarded = is_believed.then(|| forwarded(&parts.headers)).flatten();
        // Nobody is known where requests come from within the process.
        Ok(Self(forwarded.or(connected).unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))))
    }
}

fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxys_own_word_is_the_last() {
        let said = |values: &[&'static str]| {
            let name = axum::http::HeaderName::from_static("x-forwarded-for");
            let headers = values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect();
            forwarded(&headers).map(|address| address.to_string())
        };
        assert_eq!(said(&["192.0.2.1, 2001:db8::1"]).as_deref(), Some("2001:db8::1"));
        assert_eq!(said(&["2001:db8::1", "192.0.2.1"]).as_deref(), Some("192.0.2.1"));
        assert_eq!([said(&[]), said(&["nobody"]), said(&["2001:db8::1,"])], [None, None, None]);
    }
}
