//! Pages of lists.

/// Which stretch of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Page {
    /// Number of the page, from 1.
    pub number: u32,
    /// Items on a page, 1 to 500.
    pub size: u32,
}

impl Page {
    /// The first page with the most items that a page may have.
    pub const FIRST: Page = Page {
        number: 1,
        size: 500,
    };

    /// Everything, for lists that are short.
    pub const ALL: Page = Page {
        number: 1,
        size: u32::MAX,
    };

    /// Returns how many items come before the page.
    pub fn offset(self) -> u64 {
        u64::from(self.number.saturating_sub(1)) * u64::from(self.size)
    }
}

/// A page of items, and how many there are on all pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// The page's items, in the list's order.
    pub items: Vec<T>,
    /// Items on all pages.
    pub total: u64,
}

impl<T> Listed<T> {
    /// Cuts `page` out of a whole list.
    pub fn cut(all: Vec<T>, page: Page) -> Self {
        let total = all.len() as u64;
        let before = usize::try_from(page.offset()).unwrap_or(usize::MAX);
        Self {
            items: all
                .into_iter()
                .skip(before)
                .take(page.size as usize)
                .collect(),
            total,
        }
    }

    /// Converts each item.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Listed<U> {
        Listed {
            items: self.items.into_iter().map(convert).collect(),
            total: self.total,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_past_the_end_is_empty_and_keeps_the_total() {
        let listed = Listed::cut(vec![1, 2, 3], Page { number: 3, size: 2 });
        assert_eq!(
            listed,
            Listed {
                items: vec![],
                total: 3
            }
        );
    }
}
