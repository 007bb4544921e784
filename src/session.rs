//! Session: one request's view of a visitor's data.
//!
//! A record plus the operations of this request. Loads at the first access, and no sooner; every change stays in this handle
//! until `commit` replays it on the record as it is stored then. Sends nothing itself: `commit` answers with headers.

use crate::config::timeout_ms;
use crate::data::Change;
use crate::driver::{Browser, Driver, Loaded, MAX_LOCK_TIMEOUT_MS, Records};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{EventKind, Events};
use crate::flash::{FlashChange, FlashPolicy};
use crate::fork;
use crate::headers::{self, Sent};
use crate::id::{self, CsrfSecret, Locator, SessionId, random_bytes};
use crate::json;
use crate::manager::{Manager, Mode, OpenOptions};
use crate::operation::{Identity, Operations, PREVIOUS_URL};
use crate::record::{Persistence, Space, View};
use crate::time::{self, Timeouts};
use once_cell::unsync::OnceCell;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

mod commit;

pub use commit::{Commit, CommitOptions, Outcome};

/// The flash key of `flash_input`, as in Laravel.
const OLD_INPUT: &str = "_old_input";
/// How often a commit begins again because an id was taken, or a keyed record came or went meanwhile.
const COMMIT_AGAIN: usize = 16;
/// A browser has one record; by which name it is asked for says nothing.
const ANYTHING: Locator = Locator([0; 32]);

/// One request's view of a visitor's data.
///
/// `Send` but not `Sync`: it belongs to one request, and moves between threads with it. Values are JSON; the `_json` calls
/// take and give text and cost no conversion. After [`commit`](Session::commit) the handle still reads and no longer writes.
pub struct Session {
    manager: Manager,
    generation: u64,
    mode: Mode,
    policy: FlashPolicy,
    opened_ms: u64,
    lock_timeout_ms: Option<u64>,
    /// The driver that waits this long, where a timeout was given.
    waiting: Option<Arc<dyn Driver>>,
    request_is_secure: bool,
    source: Source,
    found: OnceCell<Found>,
    operations: Operations,
    /// `flash_now`: seen in this request, never stored.
    now: BTreeMap<Box<str>, String>,
    /// Flash given to the caller under `on_read`. Apart from the operations, because reading borrows them.
    taken: RefCell<BTreeSet<Box<str>>>,
    /// The id and the CSRF secret of a session that has no record yet, drawn once: a repeated commit must not make another
    /// secret than the one that a page may carry.
    fresh: OnceCell<SessionId>,
    fresh_csrf: OnceCell<CsrfSecret>,
    /// The id of the commit under way. Kept until it succeeds, so that a repeated one finds itself.
    commit_id: Option<[u8; 16]>,
    /// The last commit failed and may have been written. Until it has been repeated, nothing may be added to it: if it is found
    /// written, what was added would be lost.
    uncertain: bool,
    stage: Stage,
    events: RefCell<Events>,
}

/// How the visitor is known.
#[allow(clippy::large_enum_variant, reason = "one a session, moved once")]
enum Source {
    /// The well-formed tokens of the cookie, in their order: nearly always one, and then without an allocation.
    Tokens { first: Option<SessionId>, others: Vec<SessionId>, malformed: usize },
    /// The locator of an application key.
    Keyed(Locator),
    /// The browser brought its record itself, if it has one.
    Browser {
        browser: Box<dyn Browser>,
        /// Whether a token came, good or bad, and which parts of one.
        was_sent: bool,
        parts: u32,
    },
}

/// What the first access found.
enum Found {
    Nothing,
    Record(Record),
}

struct Record {
    /// None for a keyed session.
    id: Option<SessionId>,
    locator: Locator,
    loaded: Loaded,
    /// The lock of an exclusive session.
    held: Option<Box<dyn Records>>,
}

impl Record {
    fn view(&self) -> View<'_> {
        View::parsed_before(self.loaded.bytes())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Committed,
    Destroyed,
}

// Opening.
impl Session {
    pub(crate) fn open_header(manager: Manager, header: &[u8], options: OpenOptions) -> Result<Session> {
        let named = manager.named();
        let name = &named.cookie.name;
        let source = match named.client_side {
            true => Source::of_browser(&manager, &options, Sent::read(header, name))?,
            false => Source::of_tokens(headers::tokens(header, name)),
        };
        Session::open(manager.clone(), source, options)
    }

    pub(crate) fn open_token(manager: Manager, token: &[u8], options: OpenOptions) -> Result<Session> {
        let token = Some(token).filter(|token| !token.is_empty());
        let source = match manager.named().client_side {
            true => {
                let tokens = token.into_iter().map(<[u8]>::to_vec).collect();
                Source::of_browser(&manager, &options, Sent { tokens, parts: 0 })?
            }
            false => Source::of_tokens(token.into_iter()),
        };
        Session::open(manager.clone(), source, options)
    }

    pub(crate) fn open_locator(manager: Manager, locator: Locator, options: OpenOptions) -> Result<Session> {
        Session::open(manager, Source::Keyed(locator), options)
    }

    fn open(manager: Manager, source: Source, options: OpenOptions) -> Result<Session> {
        if let Some(timeout_ms) = options.lock_timeout_ms.filter(|timeout_ms| *timeout_ms > MAX_LOCK_TIMEOUT_MS) {
            return Err(Error::argument(format!("lock_timeout_ms: 0 to {MAX_LOCK_TIMEOUT_MS}, this is {timeout_ms}")));
        }
        let session = Session {
            generation: fork::generation()?,
            mode: options.mode,
            policy: options.flash.unwrap_or(manager.shared().config.flash),
            opened_ms: options.now_ms.unwrap_or_else(time::now_ms),
            lock_timeout_ms: options.lock_timeout_ms,
            waiting: manager.waiting(&options),
            request_is_secure: options.request_is_secure,
            source,
            found: OnceCell::new(),
            operations: Operations::default(),
            now: BTreeMap::new(),
            taken: RefCell::default(),
            fresh: OnceCell::new(),
            fresh_csrf: OnceCell::new(),
            commit_id: None,
            uncertain: false,
            stage: Stage::Open,
            events: RefCell::default(),
            manager,
        };
        if session.mode == Mode::Exclusive {
            if matches!(session.source, Source::Browser { .. }) {
                let reason = "the cookie driver cannot lock a session: its records are in the browsers";
                return Err(Error::unsupported(reason));
            }
            session.found()?;
        }
        Ok(session)
    }

    #[inline]
    fn found(&self) -> Result<&Found> {
        match self.found.get() {
            Some(found) => Ok(found),
            None => self.find(),
        }
    }

    /// Loads at the first access.
    #[cold]
    fn find(&self) -> Result<&Found> {
        let found = self.found.get_or_try_init(|| self.load());
        // An exclusive session holds a lock now; its events wait for the end of it.
        if self.mode != Mode::Exclusive {
            self.deliver();
        }
        if let Err(error) = &found {
            self.note_failure(error);
        }
        found
    }

    fn load(&self) -> Result<Found> {
        fork::check(self.generation)?;
        match &self.source {
            Source::Keyed(locator) => Ok(self.load_record(*locator, None)?.map_or(Found::Nothing, Found::Record)),
            Source::Browser { browser, .. } => Ok(self.load_brought(&**browser)?.map_or(Found::Nothing, Found::Record)),
            Source::Tokens { malformed, .. } => {
                for _ in 0..*malformed {
                    self.events.borrow_mut().note_nameless(EventKind::MalformedToken);
                }
                for id in self.source.ids() {
                    if let Some(record) = self.load_record(id.locator(), Some(*id))? {
                        return Ok(Found::Record(record));
                    }
                    self.events.borrow_mut().note(EventKind::UnknownToken, &id.locator());
                }
                Ok(Found::Nothing)
            }
        }
    }

    fn load_record(&self, locator: Locator, id: Option<SessionId>) -> Result<Option<Record>> {
        let driver = &self.manager.named().driver;
        let now_ms = self.opened_ms;
        let mut tries = 0;
        let (held, loaded) = loop {
            let held = match self.mode {
                Mode::Exclusive => driver.lock(&locator, now_ms, self.lock_timeout_ms)?,
                Mode::Shared | Mode::ReadOnly => None,
            };
            let events = &mut *self.events.borrow_mut();
            let loaded = match &held {
                Some(held) => held.load(&locator, now_ms, events)?,
                None => driver.load(&locator, now_ms, events)?,
            };
            tries += 1;
            match loaded {
                None => return Ok(None),
                // There was nothing to lock a moment ago, and now somebody has made it.
                Some(_) if held.is_none() && self.mode == Mode::Exclusive => {
                    if tries == COMMIT_AGAIN {
                        return Err(Error::unavailable("a session came and went while it was locked", true));
                    }
                }
                Some(mut loaded) => {
                    if self.mode == Mode::ReadOnly {
                        loaded.let_go();
                    }
                    break (held, loaded);
                }
            }
        };
        self.in_time(Record { id, locator, loaded, held })
    }

    fn load_brought(&self, browser: &dyn Browser) -> Result<Option<Record>> {
        let loaded = browser.load(&ANYTHING, self.opened_ms, &mut self.events.borrow_mut())?;
        match (loaded, browser.id()) {
            (Some(mut loaded), Some(id)) => {
                if self.mode == Mode::ReadOnly {
                    loaded.let_go();
                }
                self.in_time(Record { id: Some(id), locator: id.locator(), loaded, held: None })
            }
            _ => Ok(None),
        }
    }

    /// The record, unless it was stored under a longer absolute timeout than is configured now and has passed that.
    fn in_time(&self, record: Record) -> Result<Option<Record>> {
        let (now_ms, locator) = (self.opened_ms, record.locator);
        let view = View::parse(record.loaded.bytes())?;
        let timeouts = self.timeouts(view.idle_ms(), view.absolute_ms());
        let created_ms = view.created_ms();
        if created_ms.min(now_ms).saturating_add(timeouts.absolute_ms) <= now_ms {
            if self.mode != Mode::ReadOnly {
                let records: &dyn Records = match (&record.held, &self.source) {
                    // A load waits as configured, whatever its open said.
                    (None, Source::Tokens { .. } | Source::Keyed(_)) => &*self.manager.named().driver,
                    _ => self.records(&record),
                };
                records.delete(&locator, now_ms, &mut Events::default())?;
                self.events.borrow_mut().note(EventKind::Expired, &locator);
            }
            return Ok(None);
        }
        Ok(Some(record))
    }

    fn records<'a>(&'a self, record: &'a Record) -> &'a dyn Records {
        match (&record.held, &self.source) {
            (Some(held), _) => &**held,
            (None, Source::Browser { browser, .. }) => &**browser,
            (None, _) => self.driver(),
        }
    }

    /// Where a commit and a destroy write. A load, which waits for nobody's request, asks the manager's.
    fn driver(&self) -> &dyn Driver {
        self.waiting.as_deref().unwrap_or(&*self.manager.named().driver)
    }

    fn record(&self) -> Result<Option<&Record>> {
        match self.found()? {
            Found::Record(record) => Ok(Some(record)),
            Found::Nothing => Ok(None),
        }
    }

    fn timeouts(&self, idle_ms: u64, absolute_ms: u64) -> Timeouts {
        self.manager.shared().config.timeouts().limited(idle_ms, absolute_ms)
    }

    fn deliver(&self) {
        if self.events.borrow().is_empty() {
            return;
        }
        // Taken out first: a listener may look at another session of this thread, and this one's cell must be free.
        let mut events = std::mem::take(&mut *self.events.borrow_mut());
        self.manager.deliver(&mut events);
    }

    fn note_failure(&self, error: &Error) {
        // Who tries once and waits in its own way is told each time, and an alarm need not be.
        let is_a_try = error.is_locked() && self.lock_timeout_ms == Some(0);
        if error.kind() == ErrorKind::Unavailable && !is_a_try {
            self.events.borrow_mut().note_nameless(EventKind::Unavailable);
            if self.mode != Mode::Exclusive {
                self.deliver();
            }
        }
    }
}

impl Source {
    fn of_browser(manager: &Manager, options: &OpenOptions, sent: Sent) -> Result<Source> {
        let (was_sent, parts) = (!sent.tokens.is_empty() || sent.parts != 0, sent.parts);
        let waiting = manager.waiting(options);
        let driver = waiting.as_deref().unwrap_or(&*manager.named().driver);
        // One that wraps another must hand this on too.
        let none = || Error::misuse("the driver says `client_side`, and its `browser` gives none");
        Ok(Source::Browser { browser: driver.browser(sent.tokens).ok_or_else(none)?, was_sent, parts })
    }

    fn of_tokens<'a>(tokens: impl Iterator<Item = &'a [u8]>) -> Source {
        let (mut first, mut others, mut malformed) = (None, Vec::new(), 0);
        for token in tokens {
            match (SessionId::parse(token), &first) {
                (None, _) => malformed += 1,
                (id, None) => first = id,
                (Some(id), Some(_)) => others.push(id),
            }
        }
        Source::Tokens { first, others, malformed }
    }

    /// The ids that may name the session, in their order.
    fn ids(&self) -> impl Iterator<Item = &SessionId> {
        let (first, others) = match self {
            Source::Tokens { first, others, .. } => (first.as_ref(), &**others),
            Source::Keyed(_) | Source::Browser { .. } => (None, &[][..]),
        };
        first.into_iter().chain(others)
    }

    /// Whether the browser sent a cookie of ours, good or bad.
    fn was_sent(&self) -> bool {
        match self {
            Source::Tokens { first, malformed, .. } => first.is_some() || *malformed > 0,
            Source::Browser { was_sent, .. } => *was_sent,
            Source::Keyed(_) => false,
        }
    }
}

// Reading.
impl Session {
    fn data_seen(&self, key: &str) -> Result<Option<&str>> {
        let record = self.record()?;
        match self.operations.data.get(key) {
            Some(change) => Ok(change.seen()),
            None if self.operations.clear_data => Ok(None),
            None => Ok(match record {
                Some(record) => record.view().value(Space::Data, key)?,
                None => None,
            }),
        }
    }

    /// The flash entry as it was loaded, if nothing of this request cleared it.
    fn flash_loaded(&self, key: &str) -> Result<Option<&str>> {
        match self.record()? {
            Some(record) if !self.operations.clear_flash => record.view().value(Space::Flash, key),
            _ => Ok(None),
        }
    }

    fn flash_seen(&self, key: &str) -> Result<Option<&str>> {
        if self.taken.borrow().contains(key) {
            return Ok(None);
        }
        if let Some(value) = self.now.get(key) {
            return Ok(Some(value));
        }
        let loaded = self.flash_loaded(key)?;
        Ok(match self.operations.flash.get(key) {
            Some(change) => change.seen(loaded),
            None => loaded,
        })
    }

    fn seen(&self, key: &str) -> Result<Option<&str>> {
        match self.data_seen(key)? {
            Some(value) => Ok(Some(value)),
            None => self.flash_seen(key),
        }
    }

    /// Notes that a flash value was given to the caller. Reading in a read-only session or after the commit ends nothing.
    fn given(&self, key: &str) {
        if self.policy == FlashPolicy::OnRead && self.stage == Stage::Open && self.mode != Mode::ReadOnly {
            self.taken.borrow_mut().insert(key.into());
        }
    }

    /// The value of a key as JSON text; None where it is missing. Sees data, then flash: on an equal key data wins. Under
    /// the flash policy `on_read` a flash value is given once, which is noted; nothing else is allocated.
    ///
    /// # Errors
    /// `unavailable` or `corrupt` at the load.
    pub fn get_json(&self, key: &str) -> Result<Option<&str>> {
        if let Some(value) = self.data_seen(key)? {
            return Ok(Some(value));
        }
        let value = self.flash_seen(key)?;
        if value.is_some() {
            self.given(key);
        }
        Ok(value)
    }

    /// For bindings: [`get_json`](Session::get_json) of the data alone. What the language let its user change in place is written
    /// back by [`replace_json`](Session::replace_json) only if it is data; a flash message is a copy.
    ///
    /// # Errors
    /// As [`get_json`](Session::get_json).
    pub fn data_json(&self, key: &str) -> Result<Option<&str>> {
        self.data_seen(key)
    }

    /// The value of a key in a type of yours; None where it is missing. `null` is a value: read it as an `Option`.
    ///
    /// # Errors
    /// `invalid_value` where it is of another type; else as [`get_json`](Session::get_json).
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        self.get_json(key)?.map(|text| typed(key, text)).transpose()
    }

    /// The value of a key, or `default` where it is missing.
    ///
    /// # Errors
    /// As [`get`](Session::get).
    pub fn get_or<T: DeserializeOwned>(&self, key: &str, default: T) -> Result<T> {
        Ok(self.get(key)?.unwrap_or(default))
    }

    /// Whether a key is present and not `null`. Ends no flash.
    ///
    /// # Errors
    /// `unavailable` or `corrupt` at the load.
    pub fn has(&self, key: &str) -> Result<bool> {
        Ok(self.seen(key)?.is_some_and(|value| value != "null"))
    }

    /// Whether a key is present, `null` or not. Ends no flash.
    ///
    /// # Errors
    /// As [`has`](Session::has).
    pub fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.seen(key)?.is_some())
    }

    /// Whether a key is not present.
    ///
    /// # Errors
    /// As [`has`](Session::has).
    pub fn missing(&self, key: &str) -> Result<bool> {
        Ok(!self.exists(key)?)
    }

    fn object(&self, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let mut keys = BTreeSet::new();
        if let Some(record) = self.record()? {
            for entry in record.view().entries() {
                let entry = entry?;
                if entry.space != Space::Engine && wanted(entry.key) {
                    keys.insert(entry.key);
                }
            }
        }
        keys.extend(self.operations.data.keys().map(|key| &**key).filter(|key| wanted(key)));
        keys.extend(self.operations.flash.keys().map(|key| &**key).filter(|key| wanted(key)));
        keys.extend(self.now.keys().map(|key| &**key).filter(|key| wanted(key)));
        let mut text = String::from("{");
        for key in keys {
            let Some(value) = self.seen(key)? else { continue };
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&json::quoted(key));
            text.push(':');
            text.push_str(value);
        }
        text.push('}');
        Ok(text)
    }

    /// Everything as one JSON object, in the order of the keys: data and flash, never the engine's own fields. Ends no flash.
    ///
    /// # Errors
    /// As [`has`](Session::has).
    pub fn all(&self) -> Result<String> {
        self.object(|_| true)
    }

    /// [`all`](Session::all), but only these keys; those that are missing are left out.
    ///
    /// # Errors
    /// As [`has`](Session::has).
    pub fn only(&self, keys: &[&str]) -> Result<String> {
        self.object(|key| keys.contains(&key))
    }

    /// [`all`](Session::all) without these keys.
    ///
    /// # Errors
    /// As [`has`](Session::has).
    pub fn except(&self, keys: &[&str]) -> Result<String> {
        self.object(|key| !keys.contains(&key))
    }

    /// A field of the form that [`flash_input`](Session::flash_input) kept, as JSON text; None where it is missing. Under
    /// `on_read` the form ends with this request, however often it is asked.
    ///
    /// # Errors
    /// As [`has`](Session::has).
    pub fn old(&self, field: &str) -> Result<Option<&str>> {
        let loaded = self.flash_loaded(OLD_INPUT)?;
        let form = match self.operations.flash.get(OLD_INPUT) {
            Some(FlashChange::New(form)) => form,
            Some(FlashChange::Delete) => return Ok(None),
            Some(FlashChange::Keep | FlashChange::Take) | None => match loaded {
                Some(form) => {
                    self.given(OLD_INPUT);
                    form
                }
                None => return Ok(None),
            },
        };
        let fields: BTreeMap<Cow<'_, str>, &RawValue> = typed_borrowed(OLD_INPUT, form)?;
        Ok(fields.get(field).map(|value| value.get()))
    }

    /// The URL that [`set_previous_url`](Session::set_previous_url) kept; None where there is none.
    ///
    /// # Errors
    /// As [`has`](Session::has).
    pub fn previous_url(&self) -> Result<Option<String>> {
        if let Some(url) = &self.operations.previous_url {
            return Ok(json::unquoted(url));
        }
        match self.record()? {
            Some(record) if !matches!(self.operations.identity, Some(Identity::Invalidate(_))) => {
                Ok(record.view().value(Space::Engine, PREVIOUS_URL)?.and_then(json::unquoted))
            }
            _ => Ok(None),
        }
    }
}

fn typed<T: DeserializeOwned>(key: &str, text: &str) -> Result<T> {
    typed_borrowed(key, text)
}

fn typed_borrowed<'a, T: serde::Deserialize<'a>>(key: &str, text: &'a str) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_str(text);
    // Bounded by json::MAX_DEPTH when it was set.
    reader.disable_recursion_limit();
    // What the reader has to say would quote the value, and no message carries one.
    T::deserialize(&mut reader).map_err(|_| Error::value(format!("the value of {key:?} is of another type")))
}

// Writing.
impl Session {
    fn may_write(&self) -> Result<()> {
        match (self.stage, self.mode) {
            (Stage::Committed, _) => Err(Error::misuse("the session was committed; open another for further changes")),
            (Stage::Destroyed, _) => Err(Error::misuse("the session was destroyed")),
            (Stage::Open, Mode::ReadOnly) => Err(Error::misuse("the session was opened read-only")),
            (Stage::Open, _) if self.uncertain => {
                Err(Error::misuse("the last commit failed and may have been written; repeat it before anything else"))
            }
            (Stage::Open, _) => Ok(()),
        }
    }

    fn for_writing(&mut self) -> Result<()> {
        self.may_write()?;
        self.found()?;
        self.settle();
        Ok(())
    }

    /// Turns flash that was given to the caller into operations.
    fn settle(&mut self) {
        if self.taken.get_mut().is_empty() {
            return;
        }
        for key in std::mem::take(self.taken.get_mut()) {
            self.now.remove(&key);
            self.take_flash(&key);
        }
    }

    fn take_flash(&mut self, key: &str) {
        if matches!(self.operations.flash.get(key), Some(FlashChange::Delete)) {
            return;
        }
        match self.flash_loaded(key) {
            Ok(Some(_)) => self.operations.flash.insert(key.into(), FlashChange::Take),
            _ => self.operations.flash.remove(key),
        };
    }

    fn checked_key(&self, key: &str) -> Result<()> {
        let limit = self.manager.shared().config.max_key_bytes;
        match key.len() {
            0 => Err(Error::argument("a key is empty")),
            size if size > limit => Err(Error::too_large("a key in bytes", limit, size)),
            _ => Ok(()),
        }
    }

    fn checked_value<'a>(&self, key: &str, value: &'a str) -> Result<&'a str> {
        self.checked_key(key)?;
        json::checked(key, value, self.manager.shared().config.max_record_bytes)
    }

    fn change(&mut self, key: &str) -> Result<&mut Change> {
        if !self.operations.data.contains_key(key) {
            let change =
                if self.operations.clear_data { Change::Decided(None) } else { Change::none(self.data_seen(key)?) };
            self.operations.data.insert(key.into(), change);
        }
        Ok(self.operations.data.get_mut(key).expect("put there above"))
    }

    /// For bindings that set several keys or none: whether [`set_json`](Session::set_json) would take this key and value.
    ///
    /// # Errors
    /// As [`set_json`](Session::set_json).
    pub fn check_json(&self, key: &str, value: &str) -> Result<()> {
        self.checked_value(key, value)?;
        self.may_write()
    }

    /// Sets a key to a JSON value.
    ///
    /// # Errors
    /// `invalid_value` with the key and the reason, `too_large` with limit and size, `invalid_argument` for an empty key,
    /// `misuse` after the commit or in a read-only session. Nothing has changed then.
    pub fn set_json(&mut self, key: &str, value: &str) -> Result<()> {
        let value = self.checked_value(key, value)?;
        self.for_writing()?;
        self.operations.data.insert(key.into(), Change::Decided(Some(value.to_owned())));
        Ok(())
    }

    /// Sets a key to a value of a type of yours.
    ///
    /// # Errors
    /// As [`set_json`](Session::set_json).
    pub fn set<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<()> {
        self.set_json(key, &written(key, value)?)
    }

    /// Deletes keys, data and flash of that name. Those that are missing are no error.
    ///
    /// # Errors
    /// `misuse`, `invalid_argument` for an empty key.
    pub fn delete(&mut self, keys: &[&str]) -> Result<()> {
        for key in keys {
            self.checked_key(key)?;
        }
        self.for_writing()?;
        for key in keys {
            self.operations.data.insert((*key).into(), Change::Decided(None));
            self.operations.flash.insert((*key).into(), FlashChange::Delete);
            self.now.remove(*key);
        }
        Ok(())
    }

    /// Gives what [`get_json`](Session::get_json) would, and deletes it, if nobody changed it meanwhile. Two parallel
    /// requests may both get the value: a token that must work once needs [`Mode::Exclusive`].
    ///
    /// # Errors
    /// As [`delete`](Session::delete).
    pub fn pull_json(&mut self, key: &str) -> Result<Option<String>> {
        self.checked_key(key)?;
        self.for_writing()?;
        if let Some(value) = self.data_seen(key)?.map(str::to_owned) {
            self.change(key)?.take();
            return Ok(Some(value));
        }
        let value = self.flash_seen(key)?.map(str::to_owned);
        if value.is_some() {
            self.now.remove(key);
            self.take_flash(key);
        }
        Ok(value)
    }

    /// [`pull_json`](Session::pull_json) in a type of yours. Nothing is deleted where the type does not fit.
    ///
    /// # Errors
    /// As [`get`](Session::get) and [`delete`](Session::delete).
    pub fn pull<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>> {
        if let Some(text) = self.seen(key)? {
            typed::<T>(key, text)?;
        }
        self.pull_json(key)?.map(|text| typed(key, &text)).transpose()
    }

    /// Adds to an integer, which is 0 where the key is missing, and gives the sum as this request sees it. Parallel
    /// increments all count.
    ///
    /// # Errors
    /// `invalid_value` where the value is no integer of 64 bits or the sum would not be; else as [`delete`](Session::delete).
    pub fn increment(&mut self, key: &str, n: i64) -> Result<i64> {
        self.checked_key(key)?;
        self.for_writing()?;
        self.change(key)?.add(key, n)
    }

    /// [`increment`](Session::increment) by `-n`.
    ///
    /// # Errors
    /// As [`increment`](Session::increment).
    pub fn decrement(&mut self, key: &str, n: i64) -> Result<i64> {
        let n = n.checked_neg().ok_or_else(|| Error::argument("decrement by -2^63 has no 64-bit opposite"))?;
        self.increment(key, n)
    }

    /// Appends to an array, which is empty where the key is missing. Parallel pushes all arrive.
    ///
    /// # Errors
    /// `invalid_value` where the value is no array; else as [`set_json`](Session::set_json).
    pub fn push_json(&mut self, key: &str, element: &str) -> Result<()> {
        self.checked_key(key)?;
        let element = json::checked_element(key, element, self.manager.shared().config.max_record_bytes)?;
        self.for_writing()?;
        self.change(key)?.push(key, element)
    }

    /// [`push_json`](Session::push_json) with a value of a type of yours.
    ///
    /// # Errors
    /// As [`push_json`](Session::push_json).
    pub fn push<T: Serialize + ?Sized>(&mut self, key: &str, element: &T) -> Result<()> {
        self.push_json(key, &written(key, element)?)
    }

    /// For bindings: writes back a container that the language let its user change in place. Elements that were appended to
    /// an array become a push, no change becomes nothing; else the value is set if the key is still there, and listed in
    /// the conflicts if another request changed it too.
    ///
    /// # Errors
    /// As [`set_json`](Session::set_json).
    pub fn replace_json(&mut self, key: &str, value: &str) -> Result<()> {
        let value = self.checked_value(key, value)?;
        self.for_writing()?;
        self.change(key)?.replace(value);
        Ok(())
    }

    /// Gives what [`get_json`](Session::get_json) does, or what `make` makes, which is then set if the key is still absent at
    /// commit. `make` runs here, with no lock held unless the session is exclusive.
    ///
    /// # Errors
    /// What `make` answers; else as [`set_json`](Session::set_json).
    pub fn remember_json(&mut self, key: &str, make: impl FnOnce() -> Result<String>) -> Result<String> {
        self.checked_key(key)?;
        self.for_writing()?;
        if let Some(value) = self.get_json(key)? {
            return Ok(value.to_owned());
        }
        let made = make()?;
        let value = self.checked_value(key, &made)?;
        self.change(key)?.remember(value);
        Ok(value.to_owned())
    }

    /// [`remember_json`](Session::remember_json) in a type of yours.
    ///
    /// # Errors
    /// As [`remember_json`](Session::remember_json).
    pub fn remember<T: Serialize + DeserializeOwned>(&mut self, key: &str, make: impl FnOnce() -> T) -> Result<T> {
        let text = self.remember_json(key, || written(key, &make()))?;
        typed(key, &text)
    }

    /// Clears data and flash: what is stored at commit, whoever stored it. The id, the CSRF secret, the previous URL and
    /// the timeouts stay.
    ///
    /// # Errors
    /// `misuse`.
    pub fn flush(&mut self) -> Result<()> {
        self.reset(false)?;
        self.reset(true)
    }

    /// Clears the data and leaves flash, or clears flash alone. Else as [`flush`](Session::flush).
    ///
    /// # Errors
    /// `misuse`.
    pub fn reset(&mut self, flash_only: bool) -> Result<()> {
        self.for_writing()?;
        if flash_only {
            self.operations.flash.clear();
            self.operations.clear_flash = true;
            self.now.clear();
        } else {
            self.operations.data.clear();
            self.operations.clear_data = true;
        }
        Ok(())
    }
}

fn written<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::value(format!("the value of {key:?} cannot be written as JSON")).with_source(error))
}

// Flash.
impl Session {
    /// Keeps a JSON value for the next request.
    ///
    /// # Errors
    /// As [`set_json`](Session::set_json).
    pub fn flash_json(&mut self, key: &str, value: &str) -> Result<()> {
        let value = self.checked_value(key, value)?;
        self.for_writing()?;
        self.now.remove(key);
        self.operations.flash.insert(key.into(), FlashChange::New(value.to_owned()));
        Ok(())
    }

    /// [`flash_json`](Session::flash_json) with a value of a type of yours.
    ///
    /// # Errors
    /// As [`set_json`](Session::set_json).
    pub fn flash<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<()> {
        self.flash_json(key, &written(key, value)?)
    }

    /// Shows a JSON value in this request only. It is never stored.
    ///
    /// # Errors
    /// As [`set_json`](Session::set_json).
    pub fn flash_now_json(&mut self, key: &str, value: &str) -> Result<()> {
        let value = self.checked_value(key, value)?;
        self.for_writing()?;
        self.now.insert(key.into(), value.to_owned());
        Ok(())
    }

    /// [`flash_now_json`](Session::flash_now_json) with a value of a type of yours.
    ///
    /// # Errors
    /// As [`set_json`](Session::set_json).
    pub fn flash_now<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<()> {
        self.flash_now_json(key, &written(key, value)?)
    }

    /// Keeps flash entries that this request found for one more. Does nothing for keys that are not there, are new anyway,
    /// or that another request has ended meanwhile.
    ///
    /// # Errors
    /// As [`delete`](Session::delete).
    pub fn keep(&mut self, keys: &[&str]) -> Result<()> {
        for key in keys {
            self.checked_key(key)?;
        }
        self.for_writing()?;
        for key in keys {
            if self.flash_loaded(key)?.is_some() {
                self.operations.flash.entry((*key).into()).or_insert(FlashChange::Keep);
            }
        }
        Ok(())
    }

    /// [`keep`](Session::keep) for all of them.
    ///
    /// # Errors
    /// `misuse`.
    pub fn reflash(&mut self) -> Result<()> {
        self.for_writing()?;
        let mut keys: Vec<Box<str>> = Vec::new();
        if let Some(record) = self.record()?
            && !self.operations.clear_flash
        {
            for entry in record.view().entries() {
                let entry = entry?;
                if entry.space == Space::Flash {
                    keys.push(entry.key.into());
                }
            }
        }
        for key in keys {
            self.operations.flash.entry(key).or_insert(FlashChange::Keep);
        }
        Ok(())
    }

    /// Keeps a form, a JSON object, for the next request: what the user typed, to show it again beside the errors. Leave
    /// passwords out of it. It is the flash entry `_old_input`.
    ///
    /// # Errors
    /// `invalid_value` unless it is an object; else as [`set_json`](Session::set_json).
    pub fn flash_input(&mut self, form: &str) -> Result<()> {
        if !self.checked_value(OLD_INPUT, form)?.starts_with('{') {
            return Err(Error::value("flash_input takes a JSON object, a form's fields and their values"));
        }
        self.flash_json(OLD_INPUT, form)
    }
}

// Identity, time, CSRF, previous URL.
impl Session {
    /// The session's id. For a session that has no record yet it is chosen here, and stored with the first write. None for
    /// a keyed session. A secret: keep it out of logs and pages.
    ///
    /// # Errors
    /// `unavailable` or `corrupt` at the load.
    pub fn id(&self) -> Result<Option<&SessionId>> {
        if let Some(Identity::Regenerate(id) | Identity::Invalidate(id)) = &self.operations.identity {
            return Ok(Some(id));
        }
        match (self.record()?, &self.source) {
            (Some(record), _) => Ok(record.id.as_ref()),
            (None, Source::Keyed(_)) => Ok(None),
            (None, Source::Tokens { .. } | Source::Browser { .. }) => {
                self.fresh.get_or_try_init(SessionId::generate).map(Some)
            }
        }
    }

    /// Whether no stored record was found: a first visit, or a token that was absent, unknown or expired.
    ///
    /// # Errors
    /// `unavailable` or `corrupt` at the load.
    pub fn is_new(&self) -> Result<bool> {
        Ok(self.record()?.is_none())
    }

    fn for_identity(&mut self, what: &str) -> Result<()> {
        if matches!(self.source, Source::Keyed(_)) {
            return Err(Error::misuse(format!("{what}: a keyed session has no id of its own")));
        }
        self.for_writing()
    }

    /// Gives the session a new id and a new CSRF secret, and keeps its data and its age. Call it whenever rights are gained,
    /// at sign-in above all (OWASP: session fixation). Acts in the commit: a request that fails before leaves the old id alive;
    /// afterwards the old id is absent at once.
    ///
    /// # Errors
    /// `misuse` for a keyed session; else as [`flush`](Session::flush).
    pub fn regenerate(&mut self) -> Result<()> {
        self.for_identity("regenerate")?;
        let (id, csrf) = (SessionId::generate()?, random_bytes()?);
        if self.record()?.is_some() {
            self.operations.identity = Some(match self.operations.identity {
                Some(Identity::Invalidate(_)) => Identity::Invalidate(id),
                _ => Identity::Regenerate(id),
            });
            self.operations.csrf = Some(csrf);
        } else {
            self.fresh = OnceCell::with_value(id);
            self.operations.csrf = self.operations.csrf.map(|_| csrf);
        }
        Ok(())
    }

    /// Gives the session a new id and nothing of the old one: no data, no flash, a new CSRF secret, a new age. What this
    /// request sets afterwards is kept. Acts in the commit.
    ///
    /// # Errors
    /// As [`regenerate`](Session::regenerate).
    pub fn invalidate(&mut self) -> Result<()> {
        self.for_identity("invalidate")?;
        let (id, csrf) = (SessionId::generate()?, random_bytes()?);
        let has_record = self.record()?.is_some();
        self.now.clear();
        self.operations = Operations {
            clear_data: true,
            clear_flash: true,
            identity: has_record.then_some(Identity::Invalidate(id)),
            csrf: has_record.then_some(csrf),
            ..Operations::default()
        };
        if !has_record {
            self.fresh = OnceCell::with_value(id);
        }
        Ok(())
    }

    /// Deletes the record now, without a successor, and ends this handle: later writes are `misuse`, and its commit only has
    /// the browser drop the cookie. A slower request under the same id cannot bring it back. Twice is as good as once.
    ///
    /// # Errors
    /// `unavailable`: it may be repeated; `misuse` in a read-only session or after the commit.
    pub fn destroy(&mut self) -> Result<()> {
        self.destroy_at(time::now_ms())
    }

    /// [`destroy`](Session::destroy) at a time of your own, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// As [`destroy`](Session::destroy).
    pub fn destroy_at(&mut self, now_ms: u64) -> Result<()> {
        if self.stage == Stage::Destroyed {
            return Ok(());
        }
        self.may_write()?;
        fork::check(self.generation)?;
        self.delete_record(now_ms).inspect_err(|error| self.note_failure(error))?;
        self.stage = Stage::Destroyed;
        self.release();
        Ok(())
    }

    fn delete_record(&self, now_ms: u64) -> Result<()> {
        match self.found() {
            Ok(Found::Nothing) => Ok(()),
            Ok(Found::Record(record)) => {
                let events = &mut *self.events.borrow_mut();
                self.records(record).delete(&record.locator, now_ms, events).map(|_| ())
            }
            // A record that cannot be read must not keep anybody signed in: whatever the request's tokens name goes.
            Err(error) if matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Corrupt | ErrorKind::Unsupported) => {
                let events = &mut *self.events.borrow_mut();
                let locators: Vec<Locator> = match &self.source {
                    Source::Browser { browser, .. } => return browser.delete(&ANYTHING, now_ms, events).map(|_| ()),
                    Source::Keyed(locator) => vec![*locator],
                    Source::Tokens { .. } => self.source.ids().map(SessionId::locator).collect(),
                };
                locators.iter().try_for_each(|locator| self.driver().delete(locator, now_ms, events).map(|_| ()))
            }
            Err(error) => Err(error),
        }
    }

    /// For bindings: whether this handle was committed or destroyed, and takes no further changes. The commit of a session that
    /// was never looked at does not end it.
    pub fn is_ended(&self) -> bool {
        self.stage != Stage::Open
    }

    /// Extends the idle timeout at commit, even where throttling would not.
    ///
    /// # Errors
    /// `misuse`.
    pub fn touch(&mut self) -> Result<()> {
        self.for_writing()?;
        self.operations.touch = true;
        Ok(())
    }

    /// Gives this session an idle timeout of its own, in seconds; None is "as configured". It can only be shorter: the
    /// earlier of the two counts, always.
    ///
    /// # Errors
    /// `invalid_argument` for 0 or more than 31 years, `misuse`.
    pub fn set_idle_timeout(&mut self, seconds: Option<u64>) -> Result<()> {
        let milliseconds = timeout_ms("the idle timeout", seconds)?;
        self.for_writing()?;
        self.operations.idle_ms = Some(milliseconds);
        Ok(())
    }

    /// Gives this session an absolute timeout of its own, counted from when it was made. Else as
    /// [`set_idle_timeout`](Session::set_idle_timeout).
    ///
    /// # Errors
    /// As [`set_idle_timeout`](Session::set_idle_timeout).
    pub fn set_absolute_timeout(&mut self, seconds: Option<u64>) -> Result<()> {
        let milliseconds = timeout_ms("the absolute timeout", seconds)?;
        self.for_writing()?;
        self.operations.absolute_ms = Some(milliseconds);
        Ok(())
    }

    /// Whether this session's cookie outlives the browser ("remember me") or not, whatever is configured. The server's
    /// timeouts hold either way.
    ///
    /// # Errors
    /// `misuse`.
    pub fn set_persistent(&mut self, persistent: bool) -> Result<()> {
        self.for_writing()?;
        self.operations.persistence = Some(if persistent { Persistence::Persistent } else { Persistence::Browser });
        Ok(())
    }

    fn csrf_secret(&self) -> Result<Option<CsrfSecret>> {
        match self.operations.csrf {
            Some(secret) => Ok(Some(secret)),
            None => Ok(self.record()?.map(|record| record.view().csrf())),
        }
    }

    /// A CSRF token for a form or a header, masked anew at every call. For a session that has no record yet this makes one,
    /// or the token could never be checked. Renewed by `regenerate` and `invalidate`; survives `flush`.
    ///
    /// # Errors
    /// `misuse` for a session without a record that is read-only or committed; `unavailable` or `corrupt` at the load.
    pub fn csrf_token(&mut self) -> Result<String> {
        let secret = match self.csrf_secret()? {
            Some(secret) => secret,
            None => {
                self.for_writing()?;
                *self.operations.csrf.insert(random_bytes()?)
            }
        };
        id::csrf_token(&secret)
    }

    /// Whether a token that came with a request is of this session, compared in constant time. False for a session that has
    /// given none.
    ///
    /// # Errors
    /// `unavailable` or `corrupt` at the load.
    pub fn csrf_matches(&self, candidate: &str) -> Result<bool> {
        Ok(self.csrf_secret()?.is_some_and(|secret| id::csrf_matches(&secret, candidate)))
    }

    /// Makes all CSRF tokens given so far invalid.
    ///
    /// # Errors
    /// `misuse`.
    pub fn regenerate_csrf_token(&mut self) -> Result<()> {
        self.for_writing()?;
        self.operations.csrf = Some(random_bytes()?);
        Ok(())
    }

    /// Keeps a URL to come back to. Not in [`all`](Session::all), and not cleared by [`flush`](Session::flush). Makes no
    /// record by itself.
    ///
    /// # Errors
    /// `too_large`, `misuse`.
    pub fn set_previous_url(&mut self, url: &str) -> Result<()> {
        let quoted = json::quoted(url);
        json::checked(PREVIOUS_URL, &quoted, self.manager.shared().config.max_record_bytes)?;
        self.for_writing()?;
        self.operations.previous_url = Some(quoted);
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The lock goes first; what is still to be told is told without it.
        self.release();
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session(..)")
    }
}
