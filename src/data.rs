//! Data: what a request did to one key, and how that is replayed on the value stored at commit.
//!
//! Promises that a decided value (`set`, `delete`, and whatever follows them) never depends on what is stored, and that
//! everything else commutes or says so. Knows nothing of flash, records or time.

use crate::error::{Error, Result};
use crate::json;
use std::borrow::Cow;

/// The changes of one request to one data key, folded as far as the replay rules allow.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Decided here, whatever is stored at commit: the value, or absence.
    Decided(Option<String>),
    /// Depends on what is stored at commit. `seen` is the value as this request sees it.
    Relative { steps: Vec<Step>, seen: Option<String> },
}

/// One change that depends on the stored value.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// `pull`: delete if unchanged since load.
    Take,
    /// A container changed in place: set if unchanged since load, drop if gone, else the last commit wins and says so.
    Replace(String),
    /// `remember`: set if absent.
    Remember(String),
    /// `increment`.
    Add(i64),
    /// `push`.
    Push(Vec<String>),
}

/// An operation that could not be replayed as it was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConflictReason {
    /// An `increment` met a value that is no longer an integer. It was skipped.
    NotAnInteger,
    /// An `increment` would have gone beyond 64 bits. It was skipped.
    OutOfRange,
    /// A `push` met a value that is no longer an array. It was skipped.
    NotAnArray,
    /// A container changed in place was changed by another request too. This request's value was stored.
    Overwritten,
}

impl ConflictReason {
    /// The name, the same in every language.
    pub const fn name(self) -> &'static str {
        match self {
            ConflictReason::NotAnInteger => "not_an_integer",
            ConflictReason::OutOfRange => "out_of_range",
            ConflictReason::NotAnArray => "not_an_array",
            ConflictReason::Overwritten => "overwritten",
        }
    }
}

impl Change {
    /// The value as this request sees it.
    pub(crate) fn seen(&self) -> Option<&str> {
        match self {
            Change::Decided(value) => value.as_deref(),
            Change::Relative { seen, .. } => seen.as_deref(),
        }
    }

    /// No change yet, to a key that is seen with this value.
    pub(crate) fn none(seen: Option<&str>) -> Change {
        Change::Relative { steps: Vec::new(), seen: seen.map(str::to_owned) }
    }

    /// Whether there is something to replay.
    pub(crate) fn is_some(&self) -> bool {
        !matches!(self, Change::Relative { steps, .. } if steps.is_empty())
    }

    pub(crate) fn take(&mut self) {
        match self {
            Change::Decided(value) => *value = None,
            Change::Relative { steps, seen } => {
                steps.push(Step::Take);
                *seen = None;
            }
        }
    }

    pub(crate) fn replace(&mut self, new: &str) {
        match self {
            Change::Decided(value) => *value = Some(new.to_owned()),
            Change::Relative { steps, seen } => {
                match seen.as_deref().and_then(|old| json::appended(old, new)) {
                    Some(elements) if elements.is_empty() => {}
                    Some(elements) => steps.push(Step::Push(elements.into_iter().map(str::to_owned).collect())),
                    None if seen.as_deref() == Some(new) => {}
                    None => steps.push(Step::Replace(new.to_owned())),
                }
                *seen = Some(new.to_owned());
            }
        }
    }

    pub(crate) fn remember(&mut self, new: &str) {
        match self {
            Change::Decided(value) => {
                value.get_or_insert_with(|| new.to_owned());
            }
            Change::Relative { steps, seen } => {
                steps.push(Step::Remember(new.to_owned()));
                seen.get_or_insert_with(|| new.to_owned());
            }
        }
    }

    /// Adds and gives the sum as this request sees it. Wrong types and overflow that are visible here are errors here.
    pub(crate) fn add(&mut self, key: &str, n: i64) -> Result<i64> {
        let sum = match self.seen() {
            None => n,
            Some(text) => json::integer(text)
                .ok_or_else(|| Error::value(format!("cannot increment {key:?}: it is not a 64-bit integer")))?
                .checked_add(n)
                .ok_or_else(|| Error::value(format!("cannot increment {key:?}: the sum is beyond 64 bits")))?,
        };
        match self {
            Change::Decided(value) => *value = Some(sum.to_string()),
            Change::Relative { steps, seen } => {
                // Two additions become one where their sum is a number; it need not be, as in 2^62 + 2^62 - 2^62.
                match steps.last_mut() {
                    Some(Step::Add(before)) if before.checked_add(n).is_some() => *before += n,
                    _ => steps.push(Step::Add(n)),
                }
                *seen = Some(sum.to_string());
            }
        }
        Ok(sum)
    }

    pub(crate) fn push(&mut self, key: &str, element: &str) -> Result<()> {
        let longer = json::pushed(self.seen().unwrap_or("[]"), [element])
            .ok_or_else(|| Error::value(format!("cannot push to {key:?}: it is not an array")))?;
        match self {
            Change::Decided(value) => *value = Some(longer),
            Change::Relative { steps, seen } => {
                match steps.last_mut() {
                    Some(Step::Push(elements)) => elements.push(element.to_owned()),
                    _ => steps.push(Step::Push(vec![element.to_owned()])),
                }
                *seen = Some(longer);
            }
        }
        Ok(())
    }
}

/// The value after steps that depend on what is `stored` now. `loaded` is what this request found at its load.
pub(crate) fn replay<'a>(
    steps: &'a [Step],
    stored: Option<&'a str>,
    loaded: Option<&str>,
    conflict: &mut dyn FnMut(ConflictReason),
) -> Option<Cow<'a, str>> {
    let unchanged = stored == loaded;
    let mut value = stored.map(Cow::Borrowed);
    for step in steps {
        value = match (step, value) {
            (Step::Take, value) => value.filter(|_| !unchanged),
            (Step::Replace(_), None) => None,
            (Step::Replace(new), Some(_)) => {
                if !unchanged {
                    conflict(ConflictReason::Overwritten);
                }
                Some(Cow::Borrowed(new.as_str()))
            }
            (Step::Remember(new), None) => Some(Cow::Borrowed(new.as_str())),
            (Step::Remember(_), value) => value,
            (Step::Add(n), None) => Some(Cow::Owned(n.to_string())),
            (Step::Add(n), Some(text)) => match json::integer(&text).map(|number| number.checked_add(*n)) {
                Some(Some(sum)) => Some(Cow::Owned(sum.to_string())),
                Some(None) => {
                    conflict(ConflictReason::OutOfRange);
                    Some(text)
                }
                None => {
                    conflict(ConflictReason::NotAnInteger);
                    Some(text)
                }
            },
            (Step::Push(elements), value) => {
                let array = value.as_deref().unwrap_or("[]");
                match json::pushed(array, elements.iter().map(String::as_str)) {
                    Some(longer) => Some(Cow::Owned(longer)),
                    None => {
                        conflict(ConflictReason::NotAnArray);
                        value
                    }
                }
            }
        };
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replayed(change: &Change, stored: Option<&str>, loaded: Option<&str>) -> (Option<String>, Vec<ConflictReason>) {
        let mut conflicts = Vec::new();
        let value = match change {
            Change::Decided(value) => value.clone(),
            Change::Relative { steps, .. } => {
                replay(steps, stored, loaded, &mut |reason| conflicts.push(reason)).map(Cow::into_owned)
            }
        };
        (value, conflicts)
    }

    fn relative(loaded: Option<&str>, make: impl FnOnce(&mut Change)) -> Change {
        let mut change = Change::none(loaded);
        make(&mut change);
        change
    }

    #[test]
    fn increments_add_up_and_meet_other_types_without_harm() {
        let change = relative(Some("1"), |c| {
            assert_eq!(c.add("k", 2).expect("integer"), 3);
            assert_eq!(c.add("k", 3).expect("integer"), 6);
        });
        assert_eq!(replayed(&change, Some("10"), Some("1")), (Some("15".into()), vec![]));
        assert_eq!(replayed(&change, None, Some("1")), (Some("5".into()), vec![]));
        assert_eq!(
            replayed(&change, Some("\"x\""), Some("1")),
            (Some("\"x\"".into()), vec![ConflictReason::NotAnInteger])
        );
        let max = i64::MAX.to_string();
        assert_eq!(replayed(&change, Some(&max), Some("1")), (Some(max.clone()), vec![ConflictReason::OutOfRange]));
    }

    #[test]
    fn a_pull_deletes_only_what_it_saw() {
        let change = relative(Some("1"), Change::take);
        assert_eq!(replayed(&change, Some("1"), Some("1")), (None, vec![]));
        assert_eq!(replayed(&change, Some("2"), Some("1")), (Some("2".into()), vec![]));
    }

    #[test]
    fn a_container_changed_in_place_becomes_the_smallest_operation() {
        let appended = relative(Some("[1]"), |c| c.replace("[1,2]"));
        assert_eq!(replayed(&appended, Some("[1,9]"), Some("[1]")), (Some("[1,9,2]".into()), vec![]));
        let rewritten = relative(Some("[1]"), |c| c.replace("[2]"));
        assert_eq!(replayed(&rewritten, Some("[1]"), Some("[1]")), (Some("[2]".into()), vec![]));
        assert_eq!(
            replayed(&rewritten, Some("[9]"), Some("[1]")),
            (Some("[2]".into()), vec![ConflictReason::Overwritten])
        );
        assert_eq!(replayed(&rewritten, None, Some("[1]")), (None, vec![]));
        assert!(!relative(Some("[1]"), |c| c.replace("[1]")).is_some());
        assert!(!relative(Some("{\"a\":1}"), |c| c.replace("{\"a\":1}")).is_some());
    }

    #[test]
    fn what_follows_a_set_folds_into_it() {
        let mut change = Change::Decided(Some("1".into()));
        assert_eq!(change.add("k", 1).expect("integer"), 2);
        assert_eq!(replayed(&change, Some("100"), Some("100")), (Some("2".into()), vec![]));
        let mut deleted = Change::Decided(None);
        deleted.push("k", "1").expect("array");
        assert_eq!(replayed(&deleted, Some("\"other\""), None), (Some("[1]".into()), vec![]));
    }

    #[test]
    fn what_is_visible_at_the_call_is_an_error_at_the_call() {
        assert!(Change::none(Some("\"x\"")).add("k", 1).is_err());
        assert!(Change::none(Some("1.0")).add("k", 1).is_err());
        assert!(Change::none(Some(&i64::MAX.to_string())).add("k", 1).is_err());
        assert!(Change::none(Some("{}")).push("k", "1").is_err());
    }
}
