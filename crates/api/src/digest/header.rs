//! The two headers of digest authentication: `WWW-Authenticate` and `Authorization`.
//!
//! Reading accepts what real clients send: values quoted or not, `algorithm="MD5"`, any order,
//! white space around commas. Writing a challenge is exact to the byte, because official Go
//! clients split it at `, ` and refuse directives that they don't know.

use std::borrow::Cow;
use std::fmt;

use super::{Algorithm, REALM};

/// Most directives that a header may have; real ones have at most twelve.
const DIRECTIVES_MAX: usize = 20;

/// The header cannot be understood or lacks something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("digest header: {0}")]
pub struct InvalidHeader(&'static str);

/// What a server asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Whose credentials are wanted.
    pub realm: String,
    /// What the response must include; valid for a while.
    pub nonce: String,
    /// Which hash to use.
    pub algorithm: Algorithm,
    /// Whether only the nonce was too old and the credentials need not be asked for anew.
    pub stale: bool,
    /// What the client must send back, when the server wants that.
    pub opaque: Option<String>,
}

impl Challenge {
    /// Makes the challenge of this service.
    pub fn new(nonce: impl Into<String>, stale: bool) -> Self {
        Self {
            realm: REALM.to_owned(),
            nonce: nonce.into(),
            algorithm: Algorithm::Md5,
            stale,
            opaque: None,
        }
    }

    /// Reads the value of a `WWW-Authenticate` header.
    ///
    /// # Errors
    /// When it is no digest challenge that offers `qop=auth` with a known hash.
    pub fn parse(value: &str) -> Result<Self, InvalidHeader> {
        let directives = Directives::parse(value)?;
        let offers = directives.optional("qop").unwrap_or_default();
        if !offers
            .split(',')
            .any(|offer| offer.trim().eq_ignore_ascii_case("auth"))
        {
            return Err(InvalidHeader("qop does not offer auth"));
        }
        Ok(Self {
            realm: directives.required("realm")?.into_owned(),
            nonce: directives.required("nonce")?.into_owned(),
            algorithm: directives.algorithm()?,
            stale: directives
                .optional("stale")
                .is_some_and(|word| word.eq_ignore_ascii_case("true")),
            opaque: directives.optional("opaque").map(Cow::into_owned),
        })
    }
}

/// The value of the `WWW-Authenticate` header, exactly as Atlas sends it.
impl fmt::Display for Challenge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            realm,
            nonce,
            algorithm,
            stale,
            opaque: _,
        } = self;
        write!(
            formatter,
            "Digest realm=\"{realm}\", domain=\"\", nonce=\"{nonce}\", algorithm={}, \
             qop=\"auth\", stale={stale}",
            algorithm.as_str()
        )
    }
}

/// What a client answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// The public key.
    pub username: Cow<'a, str>,
    /// The realm of the challenge.
    pub realm: Cow<'a, str>,
    /// The nonce of the challenge.
    pub nonce: Cow<'a, str>,
    /// The request target that the response is for.
    pub uri: Cow<'a, str>,
    /// The hash over all of it.
    pub response: Cow<'a, str>,
    /// Which hash; MD5 when the header doesn't say.
    pub algorithm: Algorithm,
    /// How often this nonce was used, as eight hexadecimal digits.
    pub nc: Cow<'a, str>,
    /// The client's own nonce.
    pub cnonce: Cow<'a, str>,
    /// The opaque text of the challenge.
    pub opaque: Option<Cow<'a, str>>,
}

impl<'a> Authorization<'a> {
    /// Reads the value of an `Authorization` header.
    ///
    /// # Errors
    /// When it is no digest answer with `qop=auth`, a count and a known hash.
    pub fn parse(value: &'a str) -> Result<Self, InvalidHeader> {
        let directives = Directives::parse(value)?;
        if directives.required("qop")? != "auth" {
            return Err(InvalidHeader("qop is not auth"));
        }
        let nc = directives.required("nc")?;
        if nc.len() != 8 || !nc.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(InvalidHeader("nc is not eight hexadecimal digits"));
        }
        Ok(Self {
            username: directives.required("username")?,
            realm: directives.required("realm")?,
            nonce: directives.required("nonce")?,
            uri: directives.required("uri")?,
            response: directives.required("response")?,
            algorithm: directives.algorithm()?,
            nc,
            cnonce: directives.required("cnonce")?,
            opaque: directives.optional("opaque"),
        })
    }

    /// Returns the count of requests with this nonce.
    pub fn count(&self) -> u32 {
        u32::from_str_radix(&self.nc, 16).expect("parse let only eight hexadecimal digits in")
    }
}

/// The value of the `Authorization` header; only the fields that RFC 7616 quotes are quoted.
impl fmt::Display for Authorization<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", response=\"{}\", \
             algorithm={}, cnonce=\"{}\", nc={}, qop=auth",
            Quoted(&self.username),
            Quoted(&self.realm),
            Quoted(&self.nonce),
            Quoted(&self.uri),
            Quoted(&self.response),
            self.algorithm.as_str(),
            Quoted(&self.cnonce),
            self.nc,
        )?;
        match &self.opaque {
            Some(opaque) => write!(formatter, ", opaque=\"{}\"", Quoted(opaque)),
            None => Ok(()),
        }
    }
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in self.0.split_inclusive(['"', '\\']) {
            match piece.strip_suffix(['"', '\\']) {
                Some(before) => write!(formatter, "{before}\\{}", &piece[before.len()..])?,
                None => formatter.write_str(piece)?,
            }
        }
        Ok(())
    }
}

/// `name=value` pairs after the word `Digest`.
struct Directives<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> Directives<'a> {
    fn parse(value: &'a str) -> Result<Self, InvalidHeader> {
        let (scheme, mut rest) = value
            .trim()
            .split_once(' ')
            .ok_or(InvalidHeader("no directives"))?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Err(InvalidHeader("another scheme"));
        }
        let mut directives: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(12);
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return Ok(Self(directives));
            }
            if directives.len() == DIRECTIVES_MAX {
                return Err(InvalidHeader("too many directives"));
            }
            let (name, after) = rest.split_once('=').ok_or(InvalidHeader("no value"))?;
            let name = name.trim_end();
            let (text, after) = value_of(after.trim_start())?;
            if directives
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
            {
                return Err(InvalidHeader("a directive twice"));
            }
            directives.push((name, text));
            rest = after;
        }
    }

    fn optional(&self, name: &str) -> Option<Cow<'a, str>> {
        let found = self
            .0
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    }

    fn required(&self, name: &'static str) -> Result<Cow<'a, str>, InvalidHeader> {
        self.optional(name).ok_or(InvalidHeader(name))
    }

    fn algorithm(&self) -> Result<Algorithm, InvalidHeader> {
        match self.optional("algorithm") {
            None => Ok(Algorithm::Md5),
            Some(name) => Algorithm::from_name(&name).ok_or(InvalidHeader("unknown algorithm")),
        }
    }
}

/// Splits a value, quoted or not, from what follows it.
fn value_of(text: &str) -> Result<(Cow<'_, str>, &str), InvalidHeader> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return Ok((Cow::Borrowed(text[..end].trim_end()), &text[end..]));
    };
    let mut unescaped = String::new();
    let mut rest = quoted;
    loop {
        let end = rest
            .find(['"', '\\'])
            .ok_or(InvalidHeader("a quote is not closed"))?;
        let (before, mark) = rest.split_at(end);
        if let Some(after) = mark.strip_prefix('"') {
            let value = if unescaped.is_empty() {
                Cow::Borrowed(before)
            } else {
                unescaped.push_str(before);
                Cow::Owned(unescaped)
            };
            return Ok((value, after));
        }
        let escaped = mark[1..]
            .chars()
            .next()
            .ok_or(InvalidHeader("a quote is not closed"))?;
        unescaped.push_str(before);
        unescaped.push(escaped);
        rest = &mark[1 + escaped.len_utf8()..];
    }
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, Authorization, Challenge};

    #[test]
    fn the_challenge_is_exact_to_the_byte() {
        let challenge = Challenge::new("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", false);
        let expected = concat!(
            r#"Digest realm="MMS Public API", domain="", "#,
            r#"nonce="MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", algorithm=MD5, qop="auth", stale=false"#,
        );
        assert_eq!(challenge.to_string(), expected);
        assert_eq!(Challenge::parse(expected), Ok(challenge));
        let stale = Challenge::new("n", true);
        assert!(stale.to_string().ends_with("stale=true"));
        assert!(Challenge::parse(&stale.to_string()).unwrap().stale);
    }

    fn check(header: &str) {
        let read = Authorization::parse(header).unwrap_or_else(|error| panic!("{error}: {header}"));
        assert_eq!(read.username, "abcdefgh");
        assert_eq!(read.realm, "MMS Public API");
        assert_eq!(read.nonce, "MDEy");
        assert_eq!(read.uri, "/api/atlas/v1.0/groups?pretty=true");
        assert_eq!(read.response, "6629fae49393a05397450978507c4ef1");
        assert_eq!(read.algorithm, Algorithm::Md5);
        assert_eq!(read.count(), 10);
        assert_eq!(read.cnonce, "0a4f113b");
    }

    #[test]
    fn reads_what_real_clients_send() {
        // curl
        check(concat!(
            r#"Digest username="abcdefgh", realm="MMS Public API", nonce="MDEy", "#,
            r#"uri="/api/atlas/v1.0/groups?pretty=true", cnonce="0a4f113b", nc=0000000a, "#,
            r#"qop=auth, response="6629fae49393a05397450978507c4ef1", algorithm=MD5"#,
        ));
        // the Go library of the official clients
        check(concat!(
            r#"Digest username="abcdefgh", realm="MMS Public API", nonce="MDEy", "#,
            r#"uri="/api/atlas/v1.0/groups?pretty=true", "#,
            r#"response="6629fae49393a05397450978507c4ef1", algorithm="MD5", "#,
            r#"cnonce="0a4f113b", qop=auth, nc=0000000a"#,
        ));
        // python-requests
        check(concat!(
            r#"Digest username="abcdefgh", realm="MMS Public API", nonce="MDEy", "#,
            r#"uri="/api/atlas/v1.0/groups?pretty=true", "#,
            r#"response="6629fae49393a05397450978507c4ef1", algorithm="MD5", "#,
            r#"qop="auth", nc=0000000a, cnonce="0a4f113b""#,
        ));
        // the npm client, and anything else that is legal
        check(concat!(
            "digest USERNAME = abcdefgh ,realm=\"MMS Public \\API\",\tnonce=MDEy,",
            r#"uri="/api/atlas/v1.0/groups?pretty=true",nc="0000000A",cnonce="0a4f113b","#,
            r#"response="6629fae49393a05397450978507c4ef1",qop=auth,"#,
        ));
    }

    #[test]
    fn refuses_what_cannot_be_checked() {
        let whole = concat!(
            r#"Digest username="u", realm="r", nonce="n", uri="/", cnonce="c", nc=00000001, "#,
            r#"qop=auth, response="x""#,
        );
        assert!(Authorization::parse(whole).is_ok());
        for (from, to) in [
            ("Digest", "Basic"),
            ("username=\"u\", ", ""),
            ("nonce=\"n\", ", ""),
            ("uri=\"/\", ", ""),
            ("cnonce=\"c\", ", ""),
            ("qop=auth", "qop=auth-int"),
            ("qop=auth, ", ""),
            ("nc=00000001", "nc=1"),
            ("nc=00000001", "nc=0000000g"),
            ("nc=00000001, ", ""),
            ("response=\"x\"", "response=\"x"),
            ("response=\"x\"", "response=\"x\\"),
            ("qop=auth", "qop=auth, algorithm=MD5-sess"),
            ("qop=auth", "qop=auth, nonce=\"again\""),
        ] {
            let header = whole.replace(from, to);
            assert!(Authorization::parse(&header).is_err(), "{header}");
        }
        assert!(Authorization::parse("Digest").is_err());
        let many: String = (0..30).map(|index| format!("a{index}=b, ")).collect();
        assert!(Authorization::parse(&format!("Digest {many}")).is_err());
    }

    #[test]
    fn a_name_with_quotes_survives_the_journey() {
        let header = concat!(
            r#"Digest username="a\"b\\c", realm="r", nonce="n", uri="/", response="x", "#,
            r#"algorithm=SHA-256, cnonce="c", nc=00000001, qop=auth, opaque="o""#,
        );
        let read = Authorization::parse(header).unwrap();
        assert_eq!(read.username, r#"a"b\c"#);
        assert_eq!(read.algorithm, Algorithm::Sha256);
        assert_eq!(read.to_string(), header);
    }
}
