//! HTTP Digest authentication, RFC 7616: the arithmetic, the two headers, and the client's turn.
//!
//! Server and command line share it. Nothing here makes nonces, reads a clock or draws random
//! numbers: those come in as arguments. Only `qop=auth` exists; the form without `qop` has no
//! count and so no protection against replay, and is not accepted.

mod client;
mod header;

use std::fmt::Write as _;

use md5::Md5;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

pub use client::Exchange;
pub use header::{Authorization, Challenge, InvalidHeader};

/// The realm of every challenge; Atlas' own, because clients may be configured for it.
pub const REALM: &str = "MMS Public API";

/// The hash that a challenge asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// What every client knows and Atlas asks for.
    #[default]
    Md5,
    /// What RFC 7616 adds.
    Sha256,
}

impl Algorithm {
    /// Returns the name in the headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(name))
    }

    /// Returns the hash of the parts joined by colons, in lower-case hexadecimal digits.
    fn hash(self, parts: &[&str]) -> String {
        match self {
            Self::Md5 => hash_joined::<Md5>(parts),
            Self::Sha256 => hash_joined::<Sha256>(parts),
        }
    }
}

fn hash_joined<D: md5::Digest>(parts: &[&str]) -> String {
    let mut hasher = D::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hasher.update(b":");
        }
        hasher.update(part.as_bytes());
    }
    let mut digits = String::with_capacity(64);
    for byte in hasher.finalize() {
        write!(digits, "{byte:02x}").expect("writing to memory succeeds");
    }
    digits
}

/// Returns `HA1`: the hash of user, realm and password, which is all that a server must keep.
///
/// It is worth as much as the password within the realm.
pub fn ha1(algorithm: Algorithm, username: &str, realm: &str, password: &str) -> String {
    algorithm.hash(&[username, realm, password])
}

/// What a response is computed from, beside `HA1` and the method.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The server's nonce.
    pub nonce: &'a str,
    /// The count of requests with this nonce, as eight hexadecimal digits.
    pub nc: &'a str,
    /// The client's own nonce.
    pub cnonce: &'a str,
    /// The request target: path and query, as on the request line.
    pub uri: &'a str,
}

/// Returns the response for `qop=auth`, in lower-case hexadecimal digits.
pub fn response(algorithm: Algorithm, ha1: &str, method: &str, parts: Parts<'_>) -> String {
    let ha2 = algorithm.hash(&[method, parts.uri]);
    algorithm.hash(&[ha1, parts.nonce, parts.nc, parts.cnonce, "auth", &ha2])
}

/// Returns whether the header's response is that of the key's `HA1`.
///
/// The time it takes does not depend on where the two differ.
pub fn verify(authorization: &Authorization<'_>, ha1: &str, method: &str) -> bool {
    let parts = Parts {
        nonce: &authorization.nonce,
        nc: &authorization.nc,
        cnonce: &authorization.cnonce,
        uri: &authorization.uri,
    };
    let expected = response(authorization.algorithm, ha1, method, parts);
    expected
        .as_bytes()
        .ct_eq(authorization.response.as_bytes())
        .into()
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, Parts, ha1, response};

    /// The example of RFC 7616, section 3.9.1.
    fn check(algorithm: Algorithm, expected: &str) {
        let ha1 = ha1(
            algorithm,
            "Mufasa",
            "http-auth@example.org",
            "Circle of Life",
        );
        let parts = Parts {
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            nc: "00000001",
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            uri: "/dir/index.html",
        };
        assert_eq!(response(algorithm, &ha1, "GET", parts), expected);
    }

    #[test]
    fn agrees_with_the_examples_of_rfc_7616() {
        check(Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec");
        check(
            Algorithm::Sha256,
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        );
    }
}
