//! Commit: the end of a request, in one atomic step of the driver, and what the response should carry.
//!
//! Replays the session's operations on the record as it is stored now, or makes a record, or moves its expiry, or does nothing.
//! A commit that failed may be repeated and is applied once. Decides what the cookie does; sends nothing itself.

use super::{COMMIT_AGAIN, Found, Mode, Record, Session, Source, Stage};
use crate::driver::{Updated, Verdict};
use crate::error::{Error, Result};
use crate::event::{EventKind, Events};
use crate::flash::FlashPolicy;
use crate::fork;
use crate::headers::{Cookie, Header};
use crate::id::{CsrfSecret, Locator, SessionId, random_bytes};
use crate::operation::{Conflict, Identity, Replay};
use crate::record::{self, Persistence, Space, View};
use crate::time::{self, Timeouts};
use once_cell::unsync::OnceCell;
use std::borrow::Cow;

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Outcome {
    /// This request's operations are stored.
    Saved = 0,
    /// There was nothing to store.
    Unchanged = 1,
    /// The record was destroyed or has vanished. Nothing was stored; the browser is told to drop the cookie.
    Gone = 2,
    /// Another request has changed the id. Nothing was stored, and no cookie is sent: the browser keeps the new one.
    Moved = 3,
}

impl Outcome {
    /// All outcomes, in the order of their numbers.
    pub const ALL: [Outcome; 4] = [Outcome::Saved, Outcome::Unchanged, Outcome::Gone, Outcome::Moved];

    /// The name, the same in every language.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Saved => "saved",
            Outcome::Unchanged => "unchanged",
            Outcome::Gone => "gone",
            Outcome::Moved => "moved",
        }
    }
}

/// The answer of a commit. `Debug` counts its headers and shows none: one of them carries the token.
#[must_use = "the headers belong in the response"]
pub struct Commit {
    outcome: Outcome,
    conflicts: Vec<Conflict>,
    headers: Headers,
}

/// The headers of a commit.
enum Headers {
    /// The first so many of these: three are nearly always all, and need no allocation.
    Few([Header; 3], usize),
    /// Of a session in several cookies.
    Many(Vec<Header>),
}

impl Headers {
    const NONE: Headers = Headers::Few([NO_HEADER; 3], 0);
}

const NO_HEADER: Header = ("", Cow::Borrowed(""));
const VARY: Header = ("Vary", Cow::Borrowed("Cookie"));
const NO_STORE: Header = ("Cache-Control", Cow::Borrowed("no-store"));

impl std::fmt::Debug for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (outcome, headers) = (self.outcome.name(), self.headers().len());
        write!(f, "Commit({outcome}, {headers} headers, {:?})", self.conflicts)
    }
}

impl Commit {
    /// What it did.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Operations that met a change by another request: which key, and what became of them. All others are stored.
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// Headers to add to the response, none to many: `Set-Cookie` lines, `Cache-Control: no-store` beside them, and
    /// `Vary: Cookie` where the session was looked at.
    pub fn headers(&self) -> &[Header] {
        match &self.headers {
            Headers::Few(headers, count) => &headers[..*count],
            Headers::Many(headers) => headers,
        }
    }
}

/// How to commit. `CommitOptions::new()` is what [`Session::commit`] uses.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct CommitOptions {
    age_flash: Option<bool>,
    now_ms: Option<u64>,
}

impl CommitOptions {
    /// Ages flash as the policy says, by the system clock.
    pub fn new() -> CommitOptions {
        CommitOptions::default()
    }

    /// Whether this commit ages flash. An adapter says false where the response shows nothing: redirects, assets, HEAD.
    /// Under `explicit`, it says true when it has shown the messages.
    pub fn age_flash(mut self, ages: bool) -> CommitOptions {
        self.age_flash = Some(ages);
        self
    }

    /// Sets the time, in milliseconds since the Unix epoch, instead of asking the system's clock.
    pub fn at(mut self, now_ms: u64) -> CommitOptions {
        self.now_ms = Some(now_ms);
        self
    }
}

/// What a commit did to the record.
struct Done {
    outcome: Outcome,
    conflicts: Vec<Conflict>,
    cookie: CookieChange,
    /// What is told of it once its headers are there: without them it has failed.
    event: Option<(EventKind, Locator)>,
}

enum CookieChange {
    None,
    Set { id: SessionId, max_age_s: Option<u64> },
    Remove,
}

impl Done {
    fn plain(outcome: Outcome) -> Done {
        Done { outcome, conflicts: Vec::new(), cookie: CookieChange::None, event: None }
    }
}

/// What an edit does where the operations change nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    Keep,
    /// The same bytes with a later expiry.
    Touch,
    /// The record moves: it is written in any case.
    Write,
}

/// How an edit ended, told from inside the driver.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edited {
    Written {
        expiry_ms: u64,
        persistence: Persistence,
    },
    /// Nothing but the expiry was written.
    Touched {
        expiry_ms: u64,
        persistence: Persistence,
    },
    Same,
    Before {
        persistence: Persistence,
    },
    Expired,
    Gone,
}

// Commit.
impl Session {
    /// Ends the request: ages flash, writes what changed in one atomic step, and says what the response should carry.
    ///
    /// # Errors
    /// The stored state is as it was, unless the error says [`may_have_written`](Error::may_have_written). The handle keeps
    /// its operations: the commit may be repeated, and one that had taken effect is not applied twice. `too_large` with limit
    /// and size; `unavailable`; `misuse` in a forked child.
    pub fn commit(&mut self) -> Result<Commit> {
        self.commit_with(CommitOptions::new())
    }

    /// [`commit`](Session::commit) at a time of your own, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// As [`commit`](Session::commit).
    pub fn commit_at(&mut self, now_ms: u64) -> Result<Commit> {
        self.commit_with(CommitOptions::new().at(now_ms))
    }

    /// [`commit`](Session::commit) by options. After a success, and for a session that was never looked at, it answers
    /// `unchanged` without headers.
    ///
    /// # Errors
    /// As [`commit`](Session::commit).
    pub fn commit_with(&mut self, options: CommitOptions) -> Result<Commit> {
        if self.stage == Stage::Committed || self.stage == Stage::Open && self.found.get().is_none() {
            return Ok(Commit { outcome: Outcome::Unchanged, conflicts: Vec::new(), headers: Headers::NONE });
        }
        fork::check(self.generation)?;
        let now_ms = options.now_ms.unwrap_or_else(time::now_ms);
        let ages_flash = options.age_flash.unwrap_or(self.policy == FlashPolicy::NextRequest);
        let done = match (self.stage, self.mode) {
            (Stage::Destroyed, _) => Ok(self.after_destroy()),
            (_, Mode::ReadOnly) => Ok(Done::plain(Outcome::Unchanged)),
            _ => {
                self.settle();
                self.write(now_ms, ages_flash)
            }
        };
        // A token may be too long for its cookie, and a record may have no place to spill to: such a commit has failed.
        let done = done.and_then(|done| Ok((self.headers(&done.cookie, now_ms)?, done)));
        let (headers, done) = match done {
            Ok(done) => done,
            Err(error) => {
                self.uncertain |= error.may_have_written();
                self.note_failure(&error);
                return Err(error);
            }
        };
        self.stage = Stage::Committed;
        if let Some((kind, locator)) = &done.event {
            self.events.get_mut().note(*kind, locator);
        }
        self.manager.count_outcome(done.outcome, self.stripe());
        self.release();
        if self.mode != Mode::ReadOnly {
            let mut events = Events::default();
            let created = matches!(done.event, Some((EventKind::Created, _)));
            self.manager.sweep_a_step(created, now_ms, &mut events);
            self.manager.deliver(&mut events);
        }
        Ok(Commit { outcome: done.outcome, conflicts: done.conflicts, headers })
    }

    /// Gives back the lock of an exclusive session and what the driver kept open, then tells the events.
    pub(super) fn release(&mut self) {
        if let Some(Found::Record(record)) = self.found.get_mut() {
            record.held = None;
            record.loaded.let_go();
        }
        self.deliver();
    }

    fn headers(&self, cookie: &CookieChange, now_ms: u64) -> Result<Headers> {
        if matches!(self.source, Source::Keyed(_)) {
            return Ok(Headers::NONE);
        }
        let (lines, secure) = (&self.manager.named().cookie, self.request_is_secure);
        let (first, others) = match cookie {
            CookieChange::None => return Ok(Headers::Few([VARY, NO_HEADER, NO_HEADER], 1)),
            CookieChange::Set { id, max_age_s } => match &self.source {
                Source::Browser { browser, parts, .. } => {
                    let room = lines.room(*max_age_s, secure);
                    let token = browser.token(id, room, now_ms, &mut self.events.borrow_mut())?;
                    let mut set = lines.lines(&token, *max_age_s, secure)?;
                    set.extend(lines.removals(*parts, set.len(), secure));
                    let others = set.split_off(1);
                    (set.swap_remove(0), others)
                }
                _ => (lines.line(&[id.as_str()], *max_age_s, secure), Vec::new()),
            },
            CookieChange::Remove => (lines.removal(secure), self.removals(lines)),
        };
        let first: Header = ("Set-Cookie", Cow::Owned(first));
        if others.is_empty() {
            return Ok(Headers::Few([first, NO_STORE, VARY], 3));
        }
        let others = others.into_iter().map(|line| ("Set-Cookie", Cow::Owned(line)));
        Ok(Headers::Many(std::iter::once(first).chain(others).chain([NO_STORE, VARY]).collect()))
    }

    /// Lines that remove all parts of a token that came.
    fn removals(&self, lines: &Cookie) -> Vec<String> {
        match self.source {
            Source::Browser { parts, .. } => lines.removals(parts, 0, self.request_is_secure).collect(),
            _ => Vec::new(),
        }
    }

    fn after_destroy(&self) -> Done {
        Done {
            cookie: if self.source.was_sent() { CookieChange::Remove } else { CookieChange::None },
            ..Done::plain(Outcome::Gone)
        }
    }

    fn write(&mut self, now_ms: u64, ages_flash: bool) -> Result<Done> {
        match (self.found()?, &self.source) {
            (Found::Record(_), _) => self.write_record(now_ms, ages_flash),
            (Found::Nothing, _) if !self.operations.make_record() => Ok(Done::plain(Outcome::Unchanged)),
            (Found::Nothing, Source::Tokens { .. } | Source::Browser { .. }) => self.create(now_ms),
            (Found::Nothing, Source::Keyed(locator)) => {
                let locator = *locator;
                self.create_keyed(locator, now_ms)
            }
        }
    }

    fn commit_id(&mut self) -> Result<[u8; 16]> {
        match self.commit_id {
            Some(id) => Ok(id),
            None => Ok(*self.commit_id.insert(fork::unique(self.stripe())?)),
        }
    }

    /// A number by which sessions differ, for counters that cores should not meet at.
    fn stripe(&self) -> u8 {
        let locator = match (self.found.get(), &self.source) {
            (Some(Found::Record(record)), _) => Some(record.locator),
            (_, Source::Keyed(locator)) => Some(*locator),
            _ => self.fresh.get().map(SessionId::locator),
        };
        locator.map_or(0, |locator| locator.as_bytes()[0])
    }

    fn replay<'a>(
        &'a self,
        loaded: Option<View<'a>>,
        ages_flash: bool,
        commit: [u8; 16],
        fresh_csrf: CsrfSecret,
        now_ms: u64,
    ) -> Replay<'a> {
        let config = &self.manager.shared().config;
        Replay {
            operations: &self.operations,
            loaded,
            ages_flash,
            commit,
            fresh_csrf,
            now_ms,
            max_keys: config.max_keys,
            max_record_bytes: config.max_record_bytes,
        }
    }

    /// Max-Age for a cookie that outlives the browser, from what the server's timeouts leave.
    fn max_age_s(&self, persistence: Persistence, expiry_ms: u64, now_ms: u64) -> Option<u64> {
        let persistent = match persistence {
            Persistence::Configured => self.manager.named().cookie.persistent,
            Persistence::Persistent => true,
            Persistence::Browser => false,
        };
        persistent.then(|| expiry_ms.saturating_sub(now_ms) / 1000)
    }

    /// Makes the record of a visitor who has none.
    fn create(&mut self, now_ms: u64) -> Result<Done> {
        // Drawn first: it says at which counter this commit counts.
        self.fresh.get_or_try_init(SessionId::generate)?;
        let commit = self.commit_id()?;
        let csrf = *self.fresh_csrf.get_or_try_init(random_bytes)?;
        for _ in 0..COMMIT_AGAIN {
            let id = *self.fresh.get_or_try_init(SessionId::generate)?;
            let locator = id.locator();
            let (mut bytes, mut conflicts) = (Vec::new(), Vec::new());
            let head = self.replay(None, false, commit, csrf, now_ms).write(None, &mut bytes, &mut conflicts)?;
            let timeouts = self.timeouts(head.idle_ms, head.absolute_ms);
            let full_ms = timeouts.expiry_ms(now_ms, now_ms);
            // Until its cookie has come back once the record lives only a short while: most of those that never come
            // back are crawlers.
            let new_idle_ms = self.manager.shared().config.new_idle_timeout_s * 1000;
            let first = Timeouts { idle_ms: timeouts.idle_ms.min(new_idle_ms), ..timeouts };
            let expiry_ms = first.expiry_ms(now_ms, now_ms);
            let events = &mut *self.events.borrow_mut();
            let created = match &self.source {
                Source::Browser { browser, .. } => browser.create(&bytes, now_ms, expiry_ms).map(|()| true)?,
                _ => {
                    self.driver().create(&locator, &bytes, now_ms, expiry_ms, events)?
                        || self.is_stored(&locator, commit, now_ms)?
                }
            };
            if created {
                let max_age_s = self.max_age_s(head.persistence, full_ms, now_ms);
                let cookie = CookieChange::Set { id, max_age_s };
                let event = Some((EventKind::Created, locator));
                return Ok(Done { conflicts, cookie, event, ..Done::plain(Outcome::Saved) });
            }
            self.fresh = OnceCell::new();
        }
        Err(Error::unavailable("no free session id was found", true))
    }

    /// Whether a record holds this commit: one that failed had taken effect after all.
    fn is_stored(&self, locator: &Locator, commit: [u8; 16], now_ms: u64) -> Result<bool> {
        let loaded = self.manager.named().driver.load(locator, now_ms, &mut Events::default())?;
        Ok(match &loaded {
            Some(loaded) => View::parse(loaded.bytes())?.commit() == commit,
            None => false,
        })
    }

    /// Makes the record of an application key, or writes to the one another request has made meanwhile.
    fn create_keyed(&mut self, locator: Locator, now_ms: u64) -> Result<Done> {
        let commit = self.commit_id()?;
        let csrf = *self.fresh_csrf.get_or_try_init(random_bytes)?;
        for _ in 0..COMMIT_AGAIN {
            let (mut bytes, mut conflicts) = (Vec::new(), Vec::new());
            let replay = self.replay(None, false, commit, csrf, now_ms);
            let head = replay.write(None, &mut bytes, &mut conflicts)?;
            let expiry_ms = self.timeouts(head.idle_ms, head.absolute_ms).expiry_ms(now_ms, now_ms);
            let (driver, events) = (self.driver(), &mut *self.events.borrow_mut());
            if driver.create(&locator, &bytes, now_ms, expiry_ms, events)? {
                let event = Some((EventKind::Created, locator));
                return Ok(Done { conflicts, event, ..Done::plain(Outcome::Saved) });
            }
            let mut edited = Edited::Same;
            let updated = driver.update(
                &locator,
                None,
                now_ms,
                &mut |stored, new| self.edit(&replay, stored, new, &mut conflicts, Otherwise::Touch, &mut edited),
                events,
            )?;
            match (updated, edited) {
                (Updated::Done, Edited::Expired) => {
                    driver.delete(&locator, now_ms, events)?;
                }
                (Updated::Done, _) => {
                    if !conflicts.is_empty() {
                        events.note(EventKind::Conflict, &locator);
                    }
                    return Ok(Done { conflicts, ..Done::plain(Outcome::Saved) });
                }
                _ => {}
            }
        }
        Err(Error::unavailable("a keyed session came and went while it was written", true))
    }

    /// One edit inside a driver: replays on what is stored, unless this commit is in it already or changes nothing.
    fn edit(
        &self,
        replay: &Replay<'_>,
        stored: &[u8],
        new: &mut Vec<u8>,
        conflicts: &mut Vec<Conflict>,
        otherwise: Otherwise,
        edited: &mut Edited,
    ) -> Result<Verdict> {
        let view = match &replay.loaded {
            Some(loaded) => View::parse_like(stored, loaded)?,
            None => View::parse(stored)?,
        };
        if view.commit() == replay.commit {
            *edited = Edited::Before { persistence: view.persistence() };
            return Ok(Verdict::Keep);
        }
        if let Some(loaded) = &replay.loaded
            && (view.revision() < loaded.revision() || view.created_ms() > loaded.created_ms())
        {
            // Another life under the same name, of a keyed session: the one that was loaded is gone.
            *edited = Edited::Gone;
            return Ok(Verdict::Keep);
        }
        let start = new.len();
        let head = replay.write(Some(view), new, conflicts)?;
        let expiry_ms = self.timeouts(head.idle_ms, head.absolute_ms).expiry_ms(head.created_ms, replay.now_ms);
        if expiry_ms <= replay.now_ms {
            *edited = Edited::Expired;
            return Ok(Verdict::Keep);
        }
        if otherwise != Otherwise::Write && record::same_content(stored, &new[start..]) {
            if otherwise == Otherwise::Keep {
                *edited = Edited::Same;
                return Ok(Verdict::Keep);
            }
            new.truncate(start);
            new.extend_from_slice(stored);
            record::set_created(&mut new[start..], head.created_ms);
            *edited = Edited::Touched { expiry_ms, persistence: head.persistence };
            return Ok(Verdict::Write { expiry_ms });
        }
        *edited = Edited::Written { expiry_ms, persistence: head.persistence };
        Ok(Verdict::Write { expiry_ms })
    }

    /// Whether the stored expiry is to be moved: a part of the idle timeout has passed, or it is later than it may be.
    fn touch_is_due(&self, record: &Record, expiry_ms: u64, idle_ms: u64) -> bool {
        let stored = record.loaded.expiry_ms;
        // Milliseconds of any timeout here are far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let gained = expiry_ms.saturating_sub(stored) as f64;
        #[allow(clippy::cast_precision_loss)]
        let needed = idle_ms as f64 * self.manager.shared().config.touch_after;
        expiry_ms != stored && (expiry_ms < stored || self.operations.touch || gained >= needed)
    }

    /// Writes to the record that was found, or touches it, or does nothing.
    fn write_record(&mut self, now_ms: u64, ages_flash: bool) -> Result<Done> {
        let commit = self.commit_id()?;
        let fresh_csrf = self.operations.csrf.unwrap_or_default();
        for _ in 0..COMMIT_AGAIN {
            let Some(record) = self.record()? else { return Ok(Done::plain(Outcome::Gone)) };
            let view = record.view();
            let idle_ms = self.operations.idle_ms.unwrap_or(view.idle_ms());
            let absolute_ms = self.operations.absolute_ms.unwrap_or(view.absolute_ms());
            let timeouts = self.timeouts(idle_ms, absolute_ms);
            let expiry_ms = timeouts.expiry_ms(view.created_ms(), now_ms);
            let touch_is_due = record.loaded.is_stale() || self.touch_is_due(record, expiry_ms, timeouts.idle_ms);
            // A clock was set back: what is stored as the beginning must come back too, or the record outlives its timeout.
            let begins_later = view.created_ms() > now_ms;
            let changes = self.operations.change_record() || ages_flash && has_old_flash(record) || begins_later;

            if !changes && !touch_is_due {
                return Ok(Done::plain(Outcome::Unchanged));
            }
            let records = self.records(record);
            let (mut conflicts, mut edited) = (Vec::new(), Edited::Same);
            let to = match &self.operations.identity {
                Some(Identity::Regenerate(id) | Identity::Invalidate(id)) => Some(*id),
                None => None,
            };
            let locator = record.locator;
            let updated = {
                let events = &mut *self.events.borrow_mut();
                let replay = self.replay(Some(view), ages_flash, commit, fresh_csrf, now_ms);
                let otherwise = match to {
                    Some(_) => Otherwise::Write,
                    None if touch_is_due || begins_later => Otherwise::Touch,
                    None => Otherwise::Keep,
                };
                let mut edit = |stored: &[u8], new: &mut Vec<u8>| {
                    self.edit(&replay, stored, new, &mut conflicts, otherwise, &mut edited)
                };
                let to = to.map(|id| id.locator());
                records.update_loaded(&record.loaded, &locator, to.as_ref(), now_ms, &mut edit, events)?
            };
            let done = match (updated, to) {
                (Updated::Done, _) => self.after_update(record, to, edited, expiry_ms, now_ms, conflicts)?,
                (Updated::Taken | Updated::Moved, Some(to)) if self.is_stored(&to.locator(), commit, now_ms)? => {
                    // An earlier try of this commit had moved the record although it failed.
                    let before =
                        Edited::Before { persistence: self.operations.persistence.unwrap_or(view.persistence()) };
                    self.after_update(record, Some(to), before, expiry_ms, now_ms, conflicts)?
                }
                (Updated::Taken, Some(_)) => {
                    let id = SessionId::generate()?;
                    self.operations.identity = match self.operations.identity {
                        Some(Identity::Invalidate(_)) => Some(Identity::Invalidate(id)),
                        _ => Some(Identity::Regenerate(id)),
                    };
                    continue;
                }
                (Updated::Moved, _) => {
                    self.events.borrow_mut().note(EventKind::Moved, &locator);
                    Done::plain(Outcome::Moved)
                }
                (Updated::Gone | Updated::Taken, _) => self.vanished(&locator),
            };
            return Ok(done);
        }
        Err(Error::unavailable("no free session id was found", true))
    }

    fn vanished(&self, locator: &Locator) -> Done {
        self.events.borrow_mut().note(EventKind::Gone, locator);
        Done { cookie: CookieChange::Remove, ..Done::plain(Outcome::Gone) }
    }

    fn after_update(
        &self,
        record: &Record,
        to: Option<SessionId>,
        edited: Edited,
        expiry_ms: u64,
        now_ms: u64,
        conflicts: Vec<Conflict>,
    ) -> Result<Done> {
        if edited == Edited::Expired {
            // The absolute timeout passed while this request was under way.
            self.records(record).delete(&record.locator, now_ms, &mut Events::default())?;
            self.events.borrow_mut().note(EventKind::Expired, &record.locator);
        }
        if matches!(edited, Edited::Expired | Edited::Gone) {
            return Ok(self.vanished(&record.locator));
        }
        // Told even where nothing else was left to store: an increment that was skipped is not lost without a word.
        if !conflicts.is_empty() {
            self.events.borrow_mut().note(EventKind::Conflict, &record.locator);
        }
        let (outcome, expiry_ms, persistence) = match edited {
            Edited::Written { expiry_ms, persistence } => (Outcome::Saved, expiry_ms, persistence),
            Edited::Before { persistence } => (Outcome::Saved, expiry_ms, persistence),
            Edited::Touched { expiry_ms, persistence } => (Outcome::Unchanged, expiry_ms, persistence),
            Edited::Same | Edited::Expired | Edited::Gone => {
                return Ok(Done { conflicts, ..Done::plain(Outcome::Unchanged) });
            }
        };
        let event = to.map(|_| (EventKind::Regenerated, record.locator));
        let max_age_s = self.max_age_s(persistence, expiry_ms, now_ms);
        // A cookie with Max-Age ends in the browser unless it is renewed with the record. A sealed one is the record, or says
        // how long the one it refers to lives.
        let is_brought = matches!(self.source, Source::Browser { .. });
        let says_something_new =
            is_brought || to.is_some() || max_age_s.is_some() || self.operations.persistence.is_some();
        let cookie = match to.or(record.id) {
            Some(id) if says_something_new => CookieChange::Set { id, max_age_s },
            _ => CookieChange::None,
        };
        Ok(Done { conflicts, cookie, event, ..Done::plain(outcome) })
    }
}

fn has_old_flash(record: &Record) -> bool {
    !record.view().range(Space::Flash).is_empty()
}
