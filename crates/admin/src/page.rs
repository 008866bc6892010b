//! Lists with `limit` and `cursor`.

use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// A list, or a page of it.
#[derive(Debug, Serialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// What all lists take.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paging {
    pub(crate) limit: Option<usize>,
    pub(crate) cursor: Option<String>,
}

pub(crate) const DEFAULT_LIMIT: usize = 100;
pub(crate) const MAX_LIMIT: usize = 1_000;

/// The number of items that a page may have.
pub(crate) fn limit(given: Option<usize>) -> Result<usize, Problem> {
    match given.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        other => Err(Problem::bad_request(format!("limit={other} is out of bounds; give 1 to {MAX_LIMIT}"))),
    }
}

impl Paging {
    /// The page of `items`, in the order of their names; a cursor is the name
    /// of the last item before it.
    pub(crate) fn of<T>(&self, mut items: Vec<T>, name: impl Fn(&T) -> String) -> Result<Page<T>, Problem> {
        let limit = limit(self.limit)?;
        items.sort_by_cached_key(&name);
        if let Some(cursor) = &self.cursor {
            items.retain(|item| name(item) > *cursor);
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = if more { items.last().map(name) } else { None };
        Ok(Page { items, next_cursor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_without_loss_or_repeat() {
        let all: Vec<String> = (0..25).map(|n| format!("n{n:02}")).collect();
        let mut paging = Paging { limit: Some(10), cursor: None };
        let mut seen = Vec::new();
        loop {
            let page = paging.of(all.clone(), String::clone).unwrap();
            seen.extend(page.items);
            match page.next_cursor {
                Some(cursor) => paging.cursor = Some(cursor),
                None => break,
            }
        }
        assert_eq!(seen, all);
        assert!(Paging { limit: Some(0), cursor: None }.of(all, String::clone).is_err());
    }
}
