//! Operations: everything one request did, and its replay on the record as it is stored at commit.
//!
//! The serial order of commits decides; the rules are the replay table of docs/architecture.md. Replay reads the stored
//! record, the record as it was loaded and the operations, and writes new bytes. Knows nothing of drivers or cookies.

use crate::data::{self, Change, ConflictReason};
use crate::error::{Error, Result};
use crate::flash::{self, FlashChange, Left};
use crate::id::{CsrfSecret, SessionId};
use crate::record::{Head, Persistence, Space, View, Writer};
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
        let stored = if begins_anew { None } else { stored };

        let operations = self.operations;
        let rows = stored.map_or(0, |view| view.len()) + operations.data.len() + operations.flash.len() + 1;
        let mut new = Writer::begin(out, rows, stored.map_or(256, |view| view.bytes() + 64));
        self.data(stored.filter(|_| !operations.clear_data), &mut new, conflicts)?;
        self.flash(stored.filter(|_| !operations.clear_flash), head.revision, &mut new)?;
        if new.len() > self.max_keys {
            return Err(Error::too_large("the number of keys in a session", self.max_keys, new.len()));
        }
        match (&operations.previous_url, stored) {
            (Some(url), _) => new.push(Space::Engine, PREVIOUS_URL, url, 0)?,
            (None, Some(view)) => new.copy(&view, view.range(Space::Engine))?,
            (None, None) => {}
        }
        if new.bytes() > self.max_record_bytes {
            return Err(Error::too_large("the stored session in bytes", self.max_record_bytes, new.bytes()));
        }
        new.finish(&head)?;
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

    /// Replays the data: what lies between two changed keys is copied as it is stored, in one piece.
    fn data(&self, stored: Option<View<'_>>, new: &mut Writer<'_>, conflicts: &mut Vec<Conflict>) -> Result<()> {
        let operations = self.operations;
        let mut rest = stored.map_or(0..0, |view| view.range(Space::Data));
        for (key, change) in &operations.data {
            let mut at = None;
            if let Some(view) = &stored {
                let (before, found) = match view.search(Space::Data, key) {
                    Ok(index) => (index, true),
                    Err(index) => (index, false),
                };
                new.copy(view, rest.start..before)?;
                rest.start = before + usize::from(found);
                at = found.then_some((view, before));
            }
            let value = match change {
                // Whatever is stored.
                Change::Decided(value) => value.as_deref().map(Cow::Borrowed),
                Change::Relative { steps, .. } => {
                    let entry = at.map(|(view, index)| view.entry(index)).transpose()?;
                    let loaded = match self.loaded {
                        Some(view) if !operations.clear_data => view.value(Space::Data, key)?,
                        _ => None,
                    };
                    data::replay(steps, entry.map(|entry| entry.value), loaded, &mut |reason| {
                        conflicts.push(Conflict { key: key.clone().into(), reason });
                    })
                }
            };
            if let Some(value) = value {
                new.push(Space::Data, key, &value, 0)?;
            }
        }
        match &stored {
            Some(view) => new.copy(view, rest),
            None => Ok(()),
        }
    }

    /// Replays flash: stored entries and changes, both sorted by key, side by side.
    fn flash(&self, stored: Option<View<'_>>, revision: u64, new: &mut Writer<'_>) -> Result<()> {
        let operations = self.operations;
        let stored = stored.map(|view| (view, view.range(Space::Flash)));
        let mut entries = stored.into_iter().flat_map(|(view, range)| range.map(move |index| view.entry(index)));
        let mut next = entries.next().transpose()?;
        let mut changes = operations.flash.iter().map(|(key, change)| (&**key, change)).peekable();
        loop {
            let order = match (&next, changes.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(entry), Some((key, _))) => entry.key.cmp(key),
            };
            let change = if order == Ordering::Less { None } else { changes.next() };
            let entry = if order == Ordering::Greater { None } else { next };
            if entry.is_some() {
                next = entries.next().transpose()?;
            }
            let key = entry.map(|entry| entry.key).or(change.map(|(key, _)| key)).expect("one of the two was there");
            let loaded = match self.loaded {
                Some(view) if !operations.clear_flash => view.find(Space::Flash, key)?,
                _ => None,
            };
            match flash::replay(change.map(|(_, change)| change), entry, loaded, self.ages_flash) {
                Left::AsStored(entry) => new.push(Space::Flash, entry.key, entry.value, entry.stamp)?,
                Left::Stamped(value) => new.push(Space::Flash, key, value, revision)?,
                Left::Nothing => {}
            }
        }
    }
}
