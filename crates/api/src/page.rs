//! Lists as the API answers them: one page, links to its neighbours, the count of all; and the
//! envelope that repeats the status inside the body.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::link::{Link, NEXT, PREVIOUS, SELF};
use crate::query::Query;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// This page (`self`), the one before (`previous`) and the one after (`next`).
    #[serde(default)]
    pub links: Vec<Link>,
    /// The items of this page.
    pub results: Vec<T>,
    /// The status, repeated here when the request asked for an envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How many items there are on all pages, unless the request declined it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_count: Option<u64>,
}

impl<T> List<T> {
    /// Makes the page that `query` asked for at `url` (scheme, host and path, without query).
    ///
    /// `total` counts the items of all pages. A page past the end is empty and has no `next`.
    pub fn new(url: &str, query: &Query, results: Vec<T>, total: u64) -> Self {
        Self {
            links: links(url, query, total),
            results,
            status: query.style.envelope.then_some(200),
            total_count: query.include_count.then_some(total),
        }
    }

    /// Returns whether another page follows.
    pub fn has_next(&self) -> bool {
        self.links.iter().any(|link| link.rel == NEXT)
    }
}

/// The order of parameters is that of recorded answers: number first in `self`, last elsewhere.
fn links(url: &str, query: &Query, total: u64) -> Vec<Link> {
    let (page, items, repeated) = (query.page_num, query.items_per_page, query.repeated());
    let neighbour = |rel, number: u32| {
        Link::new(
            rel,
            format!("{url}?{repeated}itemsPerPage={items}&pageNum={number}"),
        )
    };
    let own = format!("{url}?{repeated}pageNum={page}&itemsPerPage={items}");
    let mut links = vec![Link::new(SELF, own)];
    if page > 1 {
        links.push(neighbour(PREVIOUS, page - 1));
    }
    if query.offset() + u64::from(items) < total {
        // More items than this page's last means that its number can still grow.
        links.push(neighbour(NEXT, page.saturating_add(1)));
    }
    links
}

/// A single entity with the status repeated beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// The status of the answer.
    pub status: u16,
    /// The entity, or the error document.
    pub content: T,
}

#[cfg(test)]
mod tests {
    use super::{Envelope, List};
    use crate::pretty;
    use crate::query::Query;

    const URL: &str = "http://127.0.0.1:8080/api/atlas/v1.0/orgs";

    fn check(raw: &str, total: u64, expected: &[(&str, &str)]) {
        let query = Query::parse(raw, &[]).unwrap();
        let list = List::<u8>::new(URL, &query, vec![], total);
        let found: Vec<_> = list
            .links
            .iter()
            .map(|link| (link.rel.as_str(), link.href.strip_prefix(URL).unwrap()))
            .collect();
        assert_eq!(found, expected, "{raw}");
    }

    #[test]
    fn links_have_the_recorded_layout() {
        check("", 1, &[("self", "?pageNum=1&itemsPerPage=100")]);
        check(
            "pretty=true",
            0,
            &[("self", "?pretty=true&pageNum=1&itemsPerPage=100")],
        );
        check(
            "",
            101,
            &[
                ("self", "?pageNum=1&itemsPerPage=100"),
                ("next", "?itemsPerPage=100&pageNum=2"),
            ],
        );
        check(
            "pageNum=2&includeCount=true&itemsPerPage=1&pretty=false",
            3,
            &[
                (
                    "self",
                    "?includeCount=true&pretty=false&pageNum=2&itemsPerPage=1",
                ),
                (
                    "previous",
                    "?includeCount=true&pretty=false&itemsPerPage=1&pageNum=1",
                ),
                (
                    "next",
                    "?includeCount=true&pretty=false&itemsPerPage=1&pageNum=3",
                ),
            ],
        );
    }

    #[test]
    fn the_last_page_has_no_next_and_a_page_past_the_end_has_a_previous() {
        check(
            "pageNum=2&itemsPerPage=2",
            4,
            &[
                ("self", "?pageNum=2&itemsPerPage=2"),
                ("previous", "?itemsPerPage=2&pageNum=1"),
            ],
        );
        check(
            "pageNum=9&itemsPerPage=2",
            4,
            &[
                ("self", "?pageNum=9&itemsPerPage=2"),
                ("previous", "?itemsPerPage=2&pageNum=8"),
            ],
        );
    }

    #[test]
    fn the_body_is_alphabetical_and_leaves_out_what_was_declined() {
        let written = |raw| {
            let query = Query::parse(raw, &[]).unwrap();
            let bytes = pretty::to_bytes(&List::new(URL, &query, vec![7], 1), false);
            String::from_utf8(bytes).unwrap()
        };
        let plain = written("");
        assert!(
            plain.starts_with(r#"{"links":[{"href":"http://127.0.0.1:8080/"#),
            "{plain}"
        );
        assert!(
            plain.ends_with(r#""rel":"self"}],"results":[7],"totalCount":1}"#),
            "{plain}"
        );
        assert!(written("includeCount=false").ends_with(r#""results":[7]}"#));
        assert!(
            written("envelope=true").ends_with(r#""results":[7],"status":200,"totalCount":1}"#)
        );
    }

    #[test]
    fn an_envelope_names_its_content() {
        let bytes = pretty::to_bytes(
            &Envelope {
                status: 200,
                content: 7,
            },
            false,
        );
        assert_eq!(bytes, br#"{"status":200,"content":7}"#);
    }
}
