//! The client's turn: answers a challenge, again and again with a rising count.

use std::borrow::Cow;

use super::{Authorization, Challenge, Parts, ha1, response};

/// One challenge and how often it was answered.
#[derive(Debug, Clone)]
pub struct Exchange {
    challenge: Challenge,
    count: u32,
}

impl Exchange {
    /// Begins with a challenge that was just received.
    pub fn new(challenge: Challenge) -> Self {
        Self {
            challenge,
            count: 0,
        }
    }

    /// Returns the value of the `Authorization` header for the next request.
    ///
    /// `uri` is path and query as on the request line; `cnonce` is a fresh random text without
    /// quotes.
    pub fn authorize(
        &mut self,
        credentials: (&str, &str),
        method: &str,
        uri: &str,
        cnonce: &str,
    ) -> String {
        let (username, password) = credentials;
        let Challenge {
            realm,
            nonce,
            algorithm,
            opaque,
            ..
        } = &self.challenge;
        self.count += 1;
        let nc = format!("{:08x}", self.count);
        let ha1 = ha1(*algorithm, username, realm, password);
        let answer = response(
            *algorithm,
            &ha1,
            method,
            Parts {
                nonce,
                nc: &nc,
                cnonce,
                uri,
            },
        );
        let authorization = Authorization {
            username: Cow::Borrowed(username),
            realm: Cow::Borrowed(realm),
            nonce: Cow::Borrowed(nonce),
            uri: Cow::Borrowed(uri),
            response: Cow::Owned(answer),
            algorithm: *algorithm,
            nc: Cow::Owned(nc),
            cnonce: Cow::Borrowed(cnonce),
            opaque: opaque.as_deref().map(Cow::Borrowed),
        };
        authorization.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::Exchange;
    use crate::digest::{Algorithm, Authorization, Challenge, REALM, ha1, verify};

    #[test]
    fn the_server_accepts_what_the_client_computes_and_nothing_else() {
        let mut exchange = Exchange::new(Challenge::new("MDEy", false));
        let kept = ha1(Algorithm::Md5, "abcdefgh", REALM, "secret");
        for count in 1..=3 {
            let header = exchange.authorize(("abcdefgh", "secret"), "GET", "/a?b=c", "0a4f");
            let read = Authorization::parse(&header).unwrap();
            assert_eq!(read.count(), count);
            assert!(verify(&read, &kept, "GET"));
            assert!(!verify(&read, &kept, "POST"));
            let changed = Authorization {
                uri: "/a?b=d".into(),
                ..read.clone()
            };
            assert!(!verify(&changed, &kept, "GET"));
            let shortened = Authorization {
                response: "".into(),
                ..read
            };
            assert!(!verify(&shortened, &kept, "GET"));
        }
        let wrong = ha1(Algorithm::Md5, "abcdefgh", REALM, "Secret");
        let header = exchange.authorize(("abcdefgh", "secret"), "GET", "/", "0a4f");
        assert!(!verify(
            &Authorization::parse(&header).unwrap(),
            &wrong,
            "GET"
        ));
    }
}
