//! Drivers: where records live.
//!
//! A driver sees a locator, bytes and an expiry, never ids, keys or values. This file is the whole contract; each driver is
//! one more file and one line in the registry at the end. tests/driver_contract.rs holds every driver in it to this text.

use crate::config::within;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::id::{Locator, SessionId};
use crate::seal::Seal;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

mod at_rest;
mod cookie;
mod file;
mod list;
mod memory;

pub(crate) use at_rest::{AtRest, OVERHEAD_BYTES as AT_REST_BYTES, Sealed};

/// How long the marker stays that a moved record leaves under its old locator: longer than any request that was under
/// way when the id changed. It reads as absent, and tells a commit `moved` from `gone`.
pub const MOVED_MARKER_MS: u64 = 60_000;

/// What can be done to a record that exists. A driver does it to any record; what [`Driver::lock`] gives, to the one locked.
pub trait Records: Send {
    /// The record, or None where there is none that lives at `now_ms`. An expired record that is met is removed.
    /// Never waits for a lock longer than a writer needs to write.
    fn load(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<Option<Loaded>>;

    /// One atomic read-modify-write: `edit` gets the stored bytes and appends the new ones to its buffer, or says that
    /// nothing is to be done. With `to`, the record moves there in the same step and leaves a marker for
    /// [`MOVED_MARKER_MS`]. After an error from `edit` or from the storage the record is as it was, unless the error says
    /// [`Error::may_have_written`]. `edit` may run more than once. To move the expiry alone is an update too, with the same
    /// bytes: how long a record may live stands in it, and may have been changed since it was loaded.
    fn update(
        &self,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated>;

    /// [`update`](Records::update) of a record that this caller has loaded, and may have changed since: a driver that kept
    /// something with what it gave, as an open file, goes on from there. `loaded` is what this very driver gave for `locator`.
    fn update_loaded(
        &self,
        loaded: &Loaded,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        let _ = loaded;
        self.update(locator, to, now_ms, edit, events)
    }

    /// Removes a record. False where there was none; a marker stays. Twice is as good as once.
    fn delete(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<bool>;
}

/// A place where records live.
pub trait Driver: Records + Sync {
    /// What this driver can and cannot do.
    fn capabilities(&self) -> Capabilities;

    /// Makes a record, complete or not at all. False where the locator is taken by a record that lives.
    fn create(&self, locator: &Locator, bytes: &[u8], now_ms: u64, expiry_ms: u64, events: &mut Events)
    -> Result<bool>;

    /// Locks a record until what it gives is dropped: other locks and updates wait, up to `timeout_ms` and then
    /// `unavailable`; loads do not. None where there is no record to lock. A timeout of 0 tries once, None is as configured.
    fn lock(&self, locator: &Locator, now_ms: u64, timeout_ms: Option<u64>) -> Result<Option<Box<dyn Records>>>;

    /// The same records, with updates, deletes and creates that wait up to `timeout_ms` for a lock and not as configured; 0
    /// tries once. Loads are as ever. None where there is nothing to wait for, or no way to say how long.
    fn waiting(&self, timeout_ms: u64) -> Option<Arc<dyn Driver>> {
        let _ = timeout_ms;
        None
    }

    /// Removes expired records, looking at no more than `limit` entries. Goes on where the last call stopped.
    fn sweep(&self, now_ms: u64, limit: usize, events: &mut Events) -> Result<Swept>;

    /// Shows every record that lives, in no order, until `visit` answers false. Records that come or go meanwhile may
    /// be missed. For people and tools, not for requests: it looks at everything there is.
    fn iterate(&self, now_ms: u64, visit: &mut dyn FnMut(RecordInfo) -> bool) -> Result<()>;

    /// Sizes that cost nothing to know.
    fn stats(&self) -> DriverStats;

    /// The records of one browser, which brings them itself: with [`client_side`](Capabilities::client_side), sessions are
    /// opened through this and not by a locator. `tokens` are what its request carried, in their order. A driver that wraps one
    /// hands this on.
    fn browser(&self, tokens: Vec<Vec<u8>>) -> Option<Box<dyn Browser>> {
        let _ = tokens;
        None
    }
}

/// The records of one browser, for one request: its tokens are the storage, and it has one record or none. Locators say
/// nothing here, what is in the tokens does; `load` takes the first of them that holds.
pub trait Browser: Records {
    /// The id of the record that was loaded. None before, and where there is none.
    fn id(&self) -> Option<SessionId>;

    /// Makes a record in the place of whatever there is.
    fn create(&self, bytes: &[u8], now_ms: u64, expiry_ms: u64) -> Result<()>;

    /// The token for what was created or updated last, under this id. It may be longer than `room`, the characters that fit
    /// one cookie, unless the driver has another place for the record.
    fn token(&self, id: &SessionId, room: usize, now_ms: u64, events: &mut Events) -> Result<String>;
}

/// See [`Records::update`].
pub type Edit<'a> = dyn FnMut(&[u8], &mut Vec<u8>) -> Result<Verdict> + 'a;

/// What an edit decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The stored bytes stay: this commit is already in them.
    Keep,
    /// The appended bytes replace the stored ones, with this expiry.
    Write {
        /// When the record ends, in milliseconds since the Unix epoch.
        expiry_ms: u64,
    },
}

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    /// Done, or found done.
    Done,
    /// There is no record. Nothing was stored.
    Gone,
    /// The record has moved to a locator that this caller does not know. Nothing was stored.
    Moved,
    /// The locator it was to move to is taken. Nothing was stored.
    Taken,
}

/// A record as it was loaded, in the buffer it was read into. `Debug` shows its size, and nothing of what is in it.
pub struct Loaded {
    buffer: Vec<u8>,
    record: Range<usize>,
    /// When the record ends, in milliseconds since the Unix epoch.
    pub expiry_ms: u64,
    is_stale: bool,
    kept: Option<Box<dyn Any + Send>>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Loaded({} bytes, until {})", self.record.len(), self.expiry_ms)
    }
}

impl Loaded {
    /// A record that is a part of the buffer it was read into.
    pub fn new(buffer: Vec<u8>, record: Range<usize>, expiry_ms: u64) -> Loaded {
        assert!(record.start <= record.end && record.end <= buffer.len(), "the record lies in the buffer");
        Loaded { buffer, record, expiry_ms, is_stale: false, kept: None }
    }

    /// Says that the next commit should write it, though nothing in it changes: it is under an old key, or under none.
    pub fn stale(mut self, is_stale: bool) -> Loaded {
        self.is_stale |= is_stale;
        self
    }

    /// See [`stale`](Loaded::stale).
    pub fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Keeps something of the driver's with it, for [`Records::update_loaded`].
    pub fn keeping(mut self, kept: Box<dyn Any + Send>) -> Loaded {
        self.kept = Some(kept);
        self
    }

    /// What the driver kept, if it is of this type.
    pub fn kept<T: Any>(&self) -> Option<&T> {
        self.kept.as_ref()?.downcast_ref()
    }

    /// Drops what the driver kept. The bytes stay.
    pub(crate) fn let_go(&mut self) {
        self.kept = None;
    }

    /// The bytes of the record.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.record.clone()]
    }
}

/// What a driver can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// The record is in the browser; there is nothing here to list or count.
    pub client_side: bool,
    /// A destroyed session cannot come back.
    pub revocable: bool,
    /// Other processes see the same sessions.
    pub shared_between_processes: bool,
    /// Sessions outlive the process.
    pub survives_restart: bool,
    /// The largest record in bytes.
    pub max_bytes: usize,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Entries looked at.
    pub looked_at: usize,
    /// Records removed.
    pub removed: usize,
    /// The sweep came to the end of what there is; the next call begins anew.
    pub finished: bool,
}

/// What `iterate` shows of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordInfo {
    /// Where it is. Its hexadecimal name is the handle to destroy it by; it is not a cookie.
    pub locator: Locator,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expiry_ms: u64,
    /// Its size in bytes, with what seals it where records are sealed at rest.
    pub bytes: usize,
}

/// Sizes of a driver. None where it would have to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DriverStats {
    /// Records stored.
    pub records: Option<u64>,
    /// Bytes they take, with what the driver needs around them.
    pub bytes: Option<u64>,
}

/// The longest that anybody may wait for a lock: an hour.
pub(crate) const MAX_LOCK_TIMEOUT_MS: u64 = 3_600_000;

/// A flock or a lock in memory could not be had in time.
fn locked_too_long(timeout_ms: u64) -> Error {
    Error::locked(format!("the session is locked by another request; waited {timeout_ms} ms"))
}

macro_rules! registry {
    ($($name:literal $variant:ident $module:ident),+ $(,)?) => {
        /// The options of one driver, as they stand in the configuration: `{"type": "memory", ...}`.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[serde(tag = "type")]
        pub(crate) enum DriverConfig {
            $(#[serde(rename = $name)] $variant($module::Options),)+
        }

        impl DriverConfig {
            /// Refuses options that cannot hold.
            pub(crate) fn check(&self, driver: &str, max_record_bytes: usize) -> Result<()> {
                match self { $(DriverConfig::$variant(options) => options.check(driver, max_record_bytes),)+ }
            }

            /// Opens the driver.
            pub(crate) fn open(&self, limits: Limits) -> Result<Arc<dyn Driver>> {
                match self { $(DriverConfig::$variant(options) => Ok(Arc::new(options.open(limits)?)),)+ }
            }

            /// Reads a URL: the driver's name and its options.
            pub(crate) fn from_url(url: &str) -> Result<(&'static str, DriverConfig)> {
                let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
                match scheme {
                    $($name if url.contains(':') => Ok(($name, DriverConfig::$variant($module::Options::from_url(rest)?))),)+
                    _ => Err(Error::config("url", concat!("begins with one of", $(" ", $name, ":",)+ " or is a JSON document"))),
                }
            }
        }
    };
}

impl DriverConfig {
    /// The options of the driver whose records are in the browser.
    pub(crate) fn cookie(&self) -> Option<&cookie::Options> {
        match self {
            DriverConfig::Cookie(options) => Some(options),
            _ => None,
        }
    }
}

/// What every driver is told when it is opened.
pub(crate) struct Limits {
    pub(crate) max_record_bytes: usize,
    /// The shortest time a record lives that sets no timeout of its own.
    pub(crate) shortest_life_ms: u64,
    /// The usual time a record lives.
    pub(crate) idle_ms: u64,
    /// For a driver of the browser's.
    pub(crate) in_browser: Option<InBrowser>,
}

/// What a driver is told whose records are in the browser.
pub(crate) struct InBrowser {
    pub(crate) seal: Seal,
    /// How many characters of a token always fit one cookie, and all the cookies it may take.
    pub(crate) room: usize,
    pub(crate) room_in_parts: usize,
    /// Where records go that do not fit.
    pub(crate) spill: Option<Arc<dyn Driver>>,
}

// The registry: the name in the configuration, the variant, the module.
registry! {
    "memory" Memory memory,
    "file" File file,
    "cookie" Cookie cookie,
}
