//! Operations: everything one request did, and its replay on the record as it is stored at commit.
//!
//! The serial order of commits decides; the rules are the replay table of docs/architecture.md. Replay reads the stored
//! record, the record as it was loaded and the operations, and writes new bytes. Knows nothing of drivers or cookies.

use crate::data::{Change, ConflictReason};
use crate::error::{Error, Result};
use crate::flash::{self, FlashChange, Left};
use crate::id::{CsrfSecret, SessionId};
use crate::record::{self, Entry, Head, Persistence, Space, View};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The key of the previous URL in the engine's own space.
pub(crate) const PREVIOUS_URL: &str = "previous_url";

/// What a request wants its id to become.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Identity {
    /// New id, same data.
    Regenerate(SessionId),
    /// New id, no data: a new life.
    Invalidate(SessionId),
}

/// The operations of one request.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    pub(crate) data: BTreeMap<Box<str>, Change>,
    pub(crate) flash: BTreeMap<Box<str>, FlashChange>,
    /// `flush`, `reset`: what is stored at commit goes, before the operations above.
    pub(crate) clear_data: bool,
    pub(crate) clear_flash: bool,
    /// Inner 0: back to what is configured.
    pub(crate) idle_ms: Option<u64>,
    pub(crate) absolute_ms: Option<u64>,
    pub(crate) persistence: Option<Persistence>,
    pub(crate) previous_url: Option<String>,
    pub(crate) csrf: Option<CsrfSecret>,
    pub(crate) identity: Option<Identity>,
    /// `touch`: extend the idle timeout even where throttling would not.
    pub(crate) touch: bool,
}

impl Operations {
    /// Whether a commit has something to write to a record that exists.
    pub(crate) fn change_record(&self) -> bool {
        self.data.values().any(Change::is_some)
            || !self.flash.is_empty()
            || self.clear_data
            || self.clear_flash
            || self.idle_ms.is_some()
            || self.absolute_ms.is_some()
            || self.persistence.is_some()
            || self.previous_url.is_some()
            || self.csrf.is_some()
            || self.identity.is_some()
    }

    /// Whether a visitor without a record gets one: there is data, a flash message, or a CSRF token on a page.
    /// Settings alone do not make a record, or every crawler would leave one.
    pub(crate) fn make_record(&self) -> bool {
        self.data.values().any(|change| change.seen().is_some())
            || self.flash.values().any(|change| matches!(change, FlashChange::New(_)))
            || self.csrf.is_some()
    }
}

/// An operation of this request that met a change by another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The data key.
    pub key: String,
    /// What happened to the operation.
    pub reason: ConflictReason,
}

/// What a replay needs to know beside the operations.
pub(crate) struct Replay<'a> {
    pub(crate) operations: &'a Operations,
    /// The record as this request found it. None for a visitor without one.
    pub(crate) loaded: Option<View<'a>>,
    pub(crate) ages_flash: bool,
    pub(crate) commit: [u8; 16],
    /// For a record that begins now: a new one, or one that is invalidated.
    pub(crate) fresh_csrf: CsrfSecret,
    pub(crate) now_ms: u64,
    pub(crate) max_keys: usize,
    pub(crate) max_record_bytes: usize,
}

impl Replay<'_> {
    /// Appends the new record to `out` and gives its head. `stored` is the record as it is now; None makes a new one.
    /// On an error nothing of `out` may be used.
    pub(crate) fn write(
        &self,
        stored: Option<View<'_>>,
        out: &mut Vec<u8>,
        conflicts: &mut Vec<Conflict>,
    ) -> Result<Head> {
        conflicts.clear();
        let begins_anew = stored.is_none() || matches!(self.operations.identity, Some(Identity::Invalidate(_)));
        let head = self.head(stored, begins_anew);
        let entries = self.entries(if begins_anew { None } else { stored }, head.revision, conflicts)?;

        let keys = entries.iter().filter(|entry| entry.space != Space::Engine).count();
        if keys > self.max_keys {
            return Err(Error::too_large("the number of keys in a session", self.max_keys, keys));
        }
        let borrowed: Vec<Entry<'_>> = entries.iter().map(NewEntry::borrow).collect();
        let bytes = record::HEAD_BYTES
            + borrowed.iter().map(|e| record::ROW_BYTES + e.key.len() + e.value.len()).sum::<usize>();
        if bytes > self.max_record_bytes {
            return Err(Error::too_large("the stored session in bytes", self.max_record_bytes, bytes));
        }
        record::write(out, &head, &borrowed)?;
        Ok(head)
    }

    fn head(&self, stored: Option<View<'_>>, begins_anew: bool) -> Head {
        let operations = self.operations;
        let mut head = stored.map(|view| view.head()).unwrap_or_default();
        if begins_anew {
            head = Head {
                revision: head.revision,
                created_ms: self.now_ms,
                csrf: self.fresh_csrf,
                // The browser goes on: whether its cookie outlives it is not data of the old session.
                persistence: head.persistence,
                ..Head::default()
            };
        }
        head.revision = head.revision.wrapping_add(1);
        head.commit = self.commit;
        head.created_ms = head.created_ms.min(self.now_ms);
        head.idle_ms = operations.idle_ms.unwrap_or(head.idle_ms);
        head.absolute_ms = operations.absolute_ms.unwrap_or(head.absolute_ms);
        head.persistence = operations.persistence.unwrap_or(head.persistence);
        head.csrf = operations.csrf.unwrap_or(head.csrf);
        head
    }

    fn entries<'a>(
        &'a self,
        stored: Option<View<'a>>,
        revision: u64,
        conflicts: &mut Vec<Conflict>,
    ) -> Result<Vec<NewEntry<'a>>> {
        let operations = self.operations;
        let mut new = Vec::with_capacity(
            stored.map_or(0, |view| view.len()) + operations.data.len() + operations.flash.len() + 1,
        );
        let (mut data, mut flash, mut engine) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(view) = stored {
            data.reserve(view.len());
            for entry in view.entries() {
                let entry = entry?;
                match entry.space {
                    Space::Data if !operations.clear_data => data.push(entry),
                    Space::Flash if !operations.clear_flash => flash.push(entry),
                    Space::Engine => engine.push(entry),
                    Space::Data | Space::Flash => {}
                }
            }
        }
        let loaded = |space, key| match self.loaded {
            Some(view) => view.find(space, key),
            None => Ok(None),
        };

        merge(&data, &operations.data, |key, stored, change| {
            let Some(change) = change else {
                new.extend(stored.map(NewEntry::as_stored));
                return Ok(());
            };
            let then = if operations.clear_data { None } else { loaded(Space::Data, key)? };
            let value = change.replay(stored.map(|entry| entry.value), then.map(|entry| entry.value), &mut |reason| {
                conflicts.push(Conflict { key: key.to_owned(), reason });
            });
            new.extend(value.map(|value| NewEntry { space: Space::Data, key, value, stamp: 0 }));
            Ok(())
        })?;

        merge(&flash, &operations.flash, |key, stored, change| {
            let then = if operations.clear_flash { None } else { loaded(Space::Flash, key)? };
            match flash::replay(change, stored, then, self.ages_flash) {
                Left::AsStored(entry) => new.push(NewEntry::as_stored(entry)),
                Left::Stamped(value) => {
                    new.push(NewEntry { space: Space::Flash, key, value: Cow::Borrowed(value), stamp: revision });
                }
                Left::Nothing => {}
            }
            Ok(())
        })?;

        match &operations.previous_url {
            Some(url) => {
                new.push(NewEntry { space: Space::Engine, key: PREVIOUS_URL, value: Cow::Borrowed(url), stamp: 0 })
            }
            None => new.extend(engine.into_iter().map(NewEntry::as_stored)),
        }
        Ok(new)
    }
}

/// An entry of the record that is about to be written.
struct NewEntry<'a> {
    space: Space,
    key: &'a str,
    value: Cow<'a, str>,
    stamp: u64,
}

impl<'a> NewEntry<'a> {
    fn as_stored(entry: Entry<'a>) -> NewEntry<'a> {
        NewEntry { space: entry.space, key: entry.key, value: Cow::Borrowed(entry.value), stamp: entry.stamp }
    }

    fn borrow(&self) -> Entry<'_> {
        Entry { space: self.space, key: self.key, value: &self.value, stamp: self.stamp }
    }
}

/// Walks stored entries and changes, both sorted by key, side by side: each key once, with what is there of the two.
fn merge<'a, C>(
    stored: &[Entry<'a>],
    changes: &'a BTreeMap<Box<str>, C>,
    mut visit: impl FnMut(&'a str, Option<Entry<'a>>, Option<&'a C>) -> Result<()>,
) -> Result<()> {
    let mut stored = stored.iter().copied().peekable();
    let mut changes = changes.iter().map(|(key, change)| (&**key, change)).peekable();
    loop {
        let order = match (stored.peek(), changes.peek()) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(entry), Some((key, _))) => entry.key.cmp(key),
        };
        let entry = if order == Ordering::Greater { None } else { stored.next() };
        let change = if order == Ordering::Less { None } else { changes.next() };
        let key = entry.map(|entry| entry.key).or(change.map(|(key, _)| key));
        visit(key.expect("one of the two was there"), entry, change.map(|(_, change)| change))?;
    }
}
