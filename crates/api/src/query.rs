//! The query parameters that every request of the API takes, and how they are checked.
//!
//! `itemsPerPage` above 500 becomes 500; anything else that is not understood is refused by name
//! (`INVALID_QUERY_PARAMETER`), because a misspelt parameter that is ignored gives a wrong answer
//! quietly. An empty query, as some clients send it, is no query.

use std::borrow::Cow;

use crate::error::{ApiError, Code};

/// Most items that one page has, whatever was asked for.
pub const ITEMS_PER_PAGE_MAX: u32 = 500;

/// Items that a page has when nothing was asked for.
pub const ITEMS_PER_PAGE_DEFAULT: u32 = 100;

/// How an answer is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Whether the body is indented.
    pub pretty: bool,
    /// Whether the status is repeated inside the body.
    pub envelope: bool,
}

/// The query of one request, read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Which page, counted from 1.
    pub page_num: u32,
    /// How many items a page has, 1 to [`ITEMS_PER_PAGE_MAX`].
    pub items_per_page: u32,
    /// Whether a list carries `totalCount`.
    pub include_count: bool,
    /// How the answer is to be written.
    pub style: Style,
    /// The parameters that links repeat, as they came, in their order, each followed by `&`.
    repeated: String,
    filters: Vec<(String, String)>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            page_num: 1,
            items_per_page: ITEMS_PER_PAGE_DEFAULT,
            include_count: true,
            style: Style::default(),
            repeated: String::new(),
            filters: Vec::new(),
        }
    }
}

impl Query {
    /// Reads a raw query; `filters` are the names that this request takes beside the common five.
    ///
    /// # Errors
    /// `INVALID_QUERY_PARAMETER` with the name of what is unknown, repeated or not valid.
    pub fn parse(raw: &str, filters: &[&str]) -> Result<Self, ApiError> {
        let mut query = Self::default();
        let mut seen: Vec<Cow<'_, str>> = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = decode_pair(pair);
            if seen.contains(&name) {
                return Err(invalid(&name, "is given more than once"));
            }
            query.set(&name, &value, filters)?;
            if !matches!(name.as_ref(), "pageNum" | "itemsPerPage") {
                query.repeated.push_str(pair);
                query.repeated.push('&');
            }
            seen.push(name);
        }
        Ok(query)
    }

    fn set(&mut self, name: &str, value: &str, filters: &[&str]) -> Result<(), ApiError> {
        match name {
            "pageNum" => self.page_num = count(name, value)?,
            "itemsPerPage" => self.items_per_page = count(name, value)?.min(ITEMS_PER_PAGE_MAX),
            "includeCount" => self.include_count = flag(name, value)?,
            "pretty" => self.style.pretty = flag(name, value)?,
            "envelope" => self.style.envelope = flag(name, value)?,
            _ if filters.contains(&name) => {
                self.filters.push((name.to_owned(), value.to_owned()));
            }
            _ => return Err(invalid(name, "is not known here")),
        }
        Ok(())
    }

    /// Returns the value of a filter, when it was given.
    pub fn filter(&self, name: &str) -> Option<&str> {
        let found = self.filters.iter().find(|(candidate, _)| candidate == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns how many items come before this page.
    pub fn offset(&self) -> u64 {
        u64::from(self.page_num - 1) * u64::from(self.items_per_page)
    }

    /// Returns the parameters that links repeat: all but the page's own, each followed by `&`.
    pub(crate) fn repeated(&self) -> &str {
        &self.repeated
    }
}

impl Style {
    /// Reads what a raw query says about style and skips everything that is not valid.
    ///
    /// For answers to requests that are refused before or because their query is read.
    pub fn of(raw: &str) -> Self {
        let mut style = Self::default();
        for pair in raw.split('&') {
            let (name, value) = decode_pair(pair);
            match name.as_ref() {
                "pretty" => style.pretty = flag(&name, &value).unwrap_or(false),
                "envelope" => style.envelope = flag(&name, &value).unwrap_or(false),
                _ => {}
            }
        }
        style
    }
}

fn count(name: &str, value: &str) -> Result<u32, ApiError> {
    match value.parse() {
        Ok(0) | Err(_) => Err(invalid(name, "must be a whole number from 1")),
        Ok(number) => Ok(number),
    }
}

/// Reads a flag; clients written in Python send `True`.
fn flag(name: &str, value: &str) -> Result<bool, ApiError> {
    if value.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(invalid(name, "must be true or false"))
    }
}

/// Makes the error about a query parameter.
pub fn invalid(name: &str, why: &str) -> ApiError {
    ApiError::new(Code::InvalidQueryParameter, [name])
        .with_detail(format!("The query parameter {name} {why}."))
}

fn decode_pair(pair: &str) -> (Cow<'_, str>, Cow<'_, str>) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decode(name), decode(value))
}

/// Decodes `%XX` and `+`; what is no UTF-8 afterwards gets replacement characters.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match first {
            b'+' => (b' ', after),
            b'%' => hex_pair(after).unwrap_or((b'%', after)),
            other => (*other, after),
        };
        bytes.push(byte);
        rest = after;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex_pair(text: &[u8]) -> Option<(u8, &[u8])> {
    let (pair, rest) = text.split_at_checked(2)?;
    let high = char::from(pair[0]).to_digit(16)?;
    let low = char::from(pair[1]).to_digit(16)?;
    Some((u8::try_from(high << 4 | low).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::{Query, Style};

    fn check_refused(raw: &str, name: &str) {
        let error = Query::parse(raw, &["name"]).unwrap_err();
        let document = error.document();
        assert_eq!(document.error_code, "INVALID_QUERY_PARAMETER", "{raw}");
        assert_eq!(document.parameters, Some(vec![name.to_owned()]), "{raw}");
    }

    #[test]
    fn nothing_asked_for_gives_the_documented_defaults() {
        for raw in ["", "&", "&&"] {
            let query = Query::parse(raw, &[]).unwrap();
            assert_eq!(query, Query::default());
            assert_eq!(
                (query.page_num, query.items_per_page, query.offset()),
                (1, 100, 0)
            );
        }
    }

    #[test]
    fn everything_asked_for_is_read() {
        let raw =
            "pageNum=3&itemsPerPage=20&includeCount=False&pretty=True&envelope=true&name=a+%2Fb";
        let query = Query::parse(raw, &["name"]).unwrap();
        assert_eq!(
            (query.page_num, query.items_per_page, query.offset()),
            (3, 20, 40)
        );
        assert!(!query.include_count && query.style.pretty && query.style.envelope);
        assert_eq!(query.filter("name"), Some("a /b"));
        assert_eq!(
            query.repeated(),
            "includeCount=False&pretty=True&envelope=true&name=a+%2Fb&"
        );
    }

    #[test]
    fn pages_larger_than_500_become_500() {
        for raw in ["itemsPerPage=501", "itemsPerPage=4294967295"] {
            assert_eq!(Query::parse(raw, &[]).unwrap().items_per_page, 500);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        check_refused("pageNum=0", "pageNum");
        check_refused("pageNum=-1", "pageNum");
        check_refused("pageNum=", "pageNum");
        check_refused("pageNum=one", "pageNum");
        check_refused("pageNum=99999999999", "pageNum");
        check_refused("itemsPerPage=0", "itemsPerPage");
        check_refused("itemsPerPage=1.5", "itemsPerPage");
        check_refused("pretty=yes", "pretty");
        check_refused("envelope", "envelope");
        check_refused("pagenum=1", "pagenum");
        check_refused("name=a&name=b", "name");
        check_refused("%7Bx=1", "{x");
        check_refused("%zz=1", "%zz");
    }

    #[test]
    fn style_is_read_from_a_query_that_is_refused() {
        let style = Style::of("bogus=1&pretty=true&envelope=maybe");
        assert_eq!(
            style,
            Style {
                pretty: true,
                envelope: false
            }
        );
        assert_eq!(Style::of(""), Style::default());
    }

    #[test]
    fn the_last_page_of_all_does_not_overflow() {
        let query = Query::parse("pageNum=4294967295&itemsPerPage=500", &[]).unwrap();
        assert_eq!(query.offset(), 4_294_967_294 * 500);
    }
}
