//! From which address a request truly comes.
//!
//! Access lists are decided by it, so a header that anyone can send must not change it:
//! `X-Forwarded-For` counts only when the connection comes from a configured proxy, and then
//! only its rightmost entry that is not such a proxy itself.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Returns the client's address.
///
/// Entries are looked at from the right, the way proxies append them. One that cannot be read
/// ends the search at the hop that reported it.
pub(crate) fn client(peer: SocketAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let trusted = |address: IpAddr| proxies.iter().any(|net| net.contains(&address));
    let mut address = peer.ip().to_canonical();
    if !trusted(address) {
        return address;
    }
    let values = headers.get_all("x-forwarded-for").into_iter().rev();
    let entries = values.flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
    for entry in entries {
        let Some(hop) = address_of(entry.trim()) else {
            return address;
        };
        address = hop;
        if !trusted(address) {
            return address;
        }
    }
    address
}

/// Returns whether a configured proxy says that the client used TLS.
pub(crate) fn is_forwarded_tls(peer: SocketAddr, headers: &HeaderMap, proxies: &[IpNet]) -> bool {
    let address = peer.ip().to_canonical();
    let trusted = proxies.iter().any(|net| net.contains(&address));
    let proto = headers.get("x-forwarded-proto");
    trusted && proto.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// Reads an address with or without a port, with or without brackets.
fn address_of(text: &str) -> Option<IpAddr> {
    let plain = text.trim_start_matches('[').trim_end_matches(']');
    let address = plain.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::client;

    fn check(peer: &str, forwarded: &[&str], expected: &str) {
        let proxies = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
        }
        let found = client(peer.parse().unwrap(), &headers, &proxies);
        assert_eq!(
            found,
            expected.parse::<std::net::IpAddr>().unwrap(),
            "{peer} {forwarded:?}"
        );
    }

    #[test]
    fn a_stranger_cannot_choose_an_address() {
        check("203.0.113.9:1000", &[], "203.0.113.9");
        check("203.0.113.9:1000", &["192.0.2.1"], "203.0.113.9");
        check("[::ffff:203.0.113.9]:1000", &["192.0.2.1"], "203.0.113.9");
    }

    #[test]
    fn a_proxy_is_believed_about_its_own_client_only() {
        check("10.0.0.1:1000", &["192.0.2.1"], "192.0.2.1");
        check("10.0.0.1:1000", &["127.0.0.1, 192.0.2.1"], "192.0.2.1");
        check("10.0.0.1:1000", &["127.0.0.1", "192.0.2.1"], "192.0.2.1");
        check(
            "10.0.0.1:1000",
            &["127.0.0.1, 192.0.2.1, 10.0.0.2"],
            "192.0.2.1",
        );
        check("10.0.0.1:1000", &["192.0.2.1:4711"], "192.0.2.1");
        check("[::1]:1000", &["[2001:db8::5]:4711"], "2001:db8::5");
        check("[::1]:1000", &["::ffff:192.0.2.1"], "192.0.2.1");
    }

    #[test]
    fn without_a_readable_entry_the_last_known_hop_counts() {
        check("10.0.0.1:1000", &[], "10.0.0.1");
        check("10.0.0.1:1000", &["unknown"], "10.0.0.1");
        check(
            "10.0.0.1:1000",
            &["192.0.2.1, unknown, 10.0.0.2"],
            "10.0.0.2",
        );
        check("10.0.0.1:1000", &[""], "10.0.0.1");
    }
}
