//! Flash: data for the next request.
//!
//! What was loaded from the record is old, what is set in this request is new. A commit that ages drops an old entry only
//! if its stamp is still the stored one, so a parallel request never loses a newer message. Knows nothing of drivers or time.

use crate::record::Entry;
use serde::{Deserialize, Serialize};

/// When a flash entry ends.
///
/// | policy | an entry ends | as in |
/// |---|---|---|
/// | `next_request` | at the end of the next request that commits with aging | Laravel, Rails, Adonis |
/// | `on_read` | when `get` or `pull` gives it; `has`, `exists`, `all` leave it | Northle's document, Masonite 4 |
/// | `explicit` | at a commit that the adapter says ages, as after a view was rendered | Lunox |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlashPolicy {
    /// Ends with the next request.
    #[default]
    NextRequest,
    /// Ends when it is read.
    OnRead,
    /// Ends when the adapter says.
    Explicit,
}

/// What a request did to one flash key.
#[derive(Clone, Debug)]
pub(crate) enum FlashChange {
    /// `flash`: a new entry, whatever is stored.
    New(String),
    /// `keep`: a new stamp for what was loaded; nothing if that is gone.
    Keep,
    /// `delete`: unconditional.
    Delete,
    /// Given to the caller: delete if it is still what was loaded.
    Take,
}

impl FlashChange {
    /// The value as this request sees it; `loaded` is the value it found.
    pub(crate) fn seen<'a>(&'a self, loaded: Option<&'a str>) -> Option<&'a str> {
        match self {
            FlashChange::New(value) => Some(value),
            FlashChange::Keep => loaded,
            FlashChange::Delete | FlashChange::Take => None,
        }
    }
}

/// What a commit leaves of one flash key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left<'a> {
    /// With the stamp it has.
    AsStored(Entry<'a>),
    /// With the stamp of this commit.
    Stamped(&'a str),
    Nothing,
}

/// Replays the change (if any) to one key on the entry that is stored now.
pub(crate) fn replay<'a>(
    change: Option<&'a FlashChange>,
    stored: Option<Entry<'a>>,
    loaded: Option<Entry<'_>>,
    ages: bool,
) -> Left<'a> {
    let same = matches!((stored, loaded), (Some(now), Some(then)) if now.stamp == then.stamp);
    let as_stored = stored.map_or(Left::Nothing, Left::AsStored);
    match (change, stored) {
        (Some(FlashChange::New(value)), _) => Left::Stamped(value),
        (Some(FlashChange::Delete), _) => Left::Nothing,
        (Some(FlashChange::Keep), Some(entry)) if same => Left::Stamped(entry.value),
        (Some(FlashChange::Keep), _) => as_stored,
        (Some(FlashChange::Take), _) if same => Left::Nothing,
        (Some(FlashChange::Take), _) => as_stored,
        (None, _) if same && ages => Left::Nothing,
        (None, _) => as_stored,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Space;

    fn entry(value: &str, stamp: u64) -> Option<Entry<'_>> {
        Some(Entry { space: Space::Flash, key: "notice", value, stamp })
    }

    #[test]
    fn aging_drops_what_was_loaded_and_spares_what_came_since() {
        assert_eq!(replay(None, entry("1", 3), entry("1", 3), true), Left::Nothing);
        assert_eq!(replay(None, entry("2", 4), entry("1", 3), true), Left::AsStored(entry("2", 4).expect("some")));
        assert_eq!(replay(None, entry("1", 3), None, true), Left::AsStored(entry("1", 3).expect("some")));
        assert_eq!(replay(None, entry("1", 3), entry("1", 3), false), Left::AsStored(entry("1", 3).expect("some")));
    }

    #[test]
    fn keep_stamps_anew_and_does_nothing_when_it_is_gone_or_newer() {
        let keep = FlashChange::Keep;
        assert_eq!(replay(Some(&keep), entry("1", 3), entry("1", 3), true), Left::Stamped("1"));
        assert_eq!(replay(Some(&keep), None, entry("1", 3), true), Left::Nothing);
        assert_eq!(
            replay(Some(&keep), entry("2", 4), entry("1", 3), true),
            Left::AsStored(entry("2", 4).expect("some"))
        );
    }

    #[test]
    fn a_message_taken_by_this_request_spares_a_newer_one() {
        let take = FlashChange::Take;
        assert_eq!(replay(Some(&take), entry("1", 3), entry("1", 3), false), Left::Nothing);
        assert_eq!(
            replay(Some(&take), entry("2", 4), entry("1", 3), false),
            Left::AsStored(entry("2", 4).expect("some"))
        );
    }
}
