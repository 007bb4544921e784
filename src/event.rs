//! Events: what happened to sessions, told to whoever runs them.
//!
//! An event carries a prefix of the hashed id, never an id, a key or a value. Drivers collect events while they work; they
//! are delivered on the caller's thread after all locks are released. Knows nothing of what caused them.

use crate::id::Locator;
use std::fmt;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum EventKind {
    /// A record was made.
    Created,
    /// A record got a new id, by `regenerate` or `invalidate`.
    Regenerated,
    /// A record was destroyed.
    Destroyed,
    /// A commit found its record vanished: nothing was stored.
    Gone,
    /// A commit found that another request had changed the id: nothing was stored.
    Moved,
    /// An expired record was removed, by a load that met it or by a sweep.
    Expired,
    /// A record was removed to make room for others (memory).
    Evicted,
    /// A commit listed a conflict.
    Conflict,
    /// A stored record could not be read and was set aside.
    Quarantined,
    /// The newest state of a record was damaged, the one before it is used.
    RolledBack,
    /// A well-formed token named no record.
    UnknownToken,
    /// A token had not the form of one.
    MalformedToken,
    /// The storage did not do what it should.
    Unavailable,
}

impl EventKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [EventKind; 13] = [
        EventKind::Created,
        EventKind::Regenerated,
        EventKind::Destroyed,
        EventKind::Gone,
        EventKind::Moved,
        EventKind::Expired,
        EventKind::Evicted,
        EventKind::Conflict,
        EventKind::Quarantined,
        EventKind::RolledBack,
        EventKind::UnknownToken,
        EventKind::MalformedToken,
        EventKind::Unavailable,
    ];

    /// The kind's name, the same in every language.
    pub const fn name(self) -> &'static str {
        match self {
            EventKind::Created => "created",
            EventKind::Regenerated => "regenerated",
            EventKind::Destroyed => "destroyed",
            EventKind::Gone => "gone",
            EventKind::Moved => "moved",
            EventKind::Expired => "expired",
            EventKind::Evicted => "evicted",
            EventKind::Conflict => "conflict",
            EventKind::Quarantined => "quarantined",
            EventKind::RolledBack => "rolled_back",
            EventKind::UnknownToken => "unknown_token",
            EventKind::MalformedToken => "malformed_token",
            EventKind::Unavailable => "unavailable",
        }
    }
}

/// One event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Event {
    kind: EventKind,
    prefix: Option<[u8; 12]>,
}

impl Event {
    /// What happened.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// The first 12 characters of the record's hashed id in hexadecimal: enough to follow one session through a log,
    /// useless as a cookie. Empty for a malformed token, which has none.
    pub fn session(&self) -> &str {
        self.prefix.as_ref().map_or("", |prefix| std::str::from_utf8(prefix).expect("hexadecimal is ASCII"))
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.session())
    }
}

/// Events on their way out. Allocates nothing until there is one.
#[derive(Debug, Default)]
pub struct Events(Vec<Event>);

impl Events {
    /// Notes an event of a record.
    pub fn note(&mut self, kind: EventKind, locator: &Locator) {
        let mut prefix = [0; 12];
        prefix.copy_from_slice(&locator.to_hex().as_str().as_bytes()[..12]);
        self.0.push(Event { kind, prefix: Some(prefix) });
    }

    /// Notes an event that belongs to no record.
    pub(crate) fn note_nameless(&mut self, kind: EventKind) {
        self.0.push(Event { kind, prefix: None });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_list_and_names_differ() {
        for (index, kind) in EventKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, index);
            assert_eq!(EventKind::ALL.iter().filter(|other| other.name() == kind.name()).count(), 1);
        }
    }
}
