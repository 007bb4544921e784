//! The cookie driver: the sealed record is the token, and the browser is the storage.
//!
//! Promises that what a browser brings is what was given out for this cookie, whole and in time, or is absent. Cannot promise
//! that an old cookie is not brought again: `revocable` is false. A record that outgrows its cookie is an error, goes into
//! several cookies, or spills into a server-side driver; it comes back when it fits. Knows no name and no line: only how many
//! characters have room.

use super::{
    Browser, Capabilities, Driver, DriverStats, Edit, InBrowser, Limits, Loaded, RecordInfo, Records, Swept, Updated,
    Verdict, within,
};
use crate::error::{Error, Result};
use crate::event::{EventKind, Events};
use crate::id::{Locator, SessionId, random_bytes};
use crate::seal::{self, Opened, Seal};
use base64_simd::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// The first byte of a token. Any other is another format, and absent.
const VERSION: u8 = 1;
const VERSION_BYTES: usize = 1;
const KIND: usize = VERSION_BYTES + seal::HEAD_BYTES;
const ID: usize = KIND + 1;
const EXPIRY: usize = ID + 32;
const BODY: usize = EXPIRY + 8;
/// Ends the body, so that zeros may follow: what pads the length (ISO/IEC 7816-4).
const END: u8 = 0x80;
/// What a token is longer than its body, at the least.
const TOKEN_OVERHEAD: usize = BODY + 1 + (seal::OVERHEAD_BYTES - seal::HEAD_BYTES);
/// The body is the record.
const KIND_RECORD: u8 = 0;
/// The body is the reference of a record that has spilled.
const KIND_SPILLED: u8 = 1;
/// Of a record that has spilled the token holds a number, drawn at random.
const REFERENCE_BYTES: usize = 32;
/// How long a spilled record stays that has gone back into the cookie: for requests that were under way, and for a response that
/// never arrived, whose browser still brings the reference.
const SPILLED_BEHIND_MS: u64 = 60_000;
/// The largest step of padding: a page, where a cookie holds 4096.
const MAX_PAD_TO: usize = 4096;

/// `{"type": "cookie", "overflow": ..., "max_parts": ..., "spill_to": ..., "pad_to": ...}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    overflow: Overflow,
    /// How many cookies a record may take, with `overflow` chunk.
    max_parts: usize,
    /// The server-side driver that takes what does not fit, with `overflow` spill.
    spill_to: Option<String>,
    /// The sealed bytes are a multiple of this long, so that the length says less. 0 pads nothing.
    pad_to: usize,
}

/// What becomes of a record that does not fit one cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Overflow {
    Error,
    Chunk,
    Spill,
}

impl Default for Options {
    fn default() -> Options {
        Options { overflow: Overflow::Error, max_parts: 4, spill_to: None, pad_to: 0 }
    }
}

impl Options {
    pub(super) fn from_url(rest: &str) -> Result<Options> {
        match rest {
            "" => Ok(Options::default()),
            _ => Err(Error::config("url", "cookie: takes nothing behind the colon; use a JSON document for options")),
        }
    }

    pub(super) fn check(&self, driver: &str, _max_record_bytes: usize) -> Result<()> {
        let field = |name: &str| format!("drivers.{driver}.{name}");
        within(&field("pad_to"), self.pad_to, 0, MAX_PAD_TO)?;
        match (self.overflow, &self.spill_to) {
            (Overflow::Spill, None) => {
                Err(Error::config(&field("spill_to"), "name the driver that takes what does not fit"))
            }
            (Overflow::Error | Overflow::Chunk, Some(_)) => {
                Err(Error::config(&field("spill_to"), "goes with `overflow` \"spill\" only"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn open(&self, limits: Limits) -> Result<Cookie> {
        let InBrowser { seal, room, room_in_parts, spill } =
            limits.in_browser.expect("the manager gives it to this driver");
        let max_bytes = match self.overflow {
            Overflow::Spill => limits.max_record_bytes,
            Overflow::Error => self.bytes_in(room).min(limits.max_record_bytes),
            Overflow::Chunk => self.bytes_in(room_in_parts).min(limits.max_record_bytes),
        };
        let seal = Arc::new(seal);
        Ok(Cookie(Arc::new(Shared { seal, spill, room, pad_to: self.pad_to, max_bytes })))
    }

    /// How many bytes of a record go into a token of so many characters.
    fn bytes_in(&self, chars: usize) -> usize {
        let bytes = chars * 3 / 4;
        (bytes - bytes % self.pad_to.max(1)).saturating_sub(TOKEN_OVERHEAD)
    }

    /// How many characters the shortest token has, and would have without padding, where the shortest record is so long.
    pub(crate) fn least_token_chars(&self, least_record: usize) -> (usize, usize) {
        let body = if self.overflow == Overflow::Spill { REFERENCE_BYTES } else { least_record };
        (token_chars(body, self.pad_to), token_chars(body, 0))
    }

    /// `max_parts` as it was given, for the check against how many cookies there can be.
    pub(crate) fn max_parts(&self) -> usize {
        self.max_parts
    }

    /// How many cookies a token may take.
    pub(crate) fn parts(&self) -> usize {
        if self.overflow == Overflow::Chunk { self.max_parts } else { 1 }
    }

    /// The driver that takes what does not fit.
    pub(crate) fn spill_to(&self) -> Option<&str> {
        self.spill_to.as_deref()
    }
}

/// How long the sealed token around a body of so many bytes is.
fn token_bytes(body: usize, pad_to: usize) -> usize {
    (TOKEN_OVERHEAD + body).next_multiple_of(pad_to.max(1))
}

fn token_chars(body: usize, pad_to: usize) -> usize {
    URL_SAFE_NO_PAD.encoded_length(token_bytes(body, pad_to))
}

pub(crate) struct Cookie(Arc<Shared>);

#[derive(Clone)]
struct Shared {
    seal: Arc<Seal>,
    spill: Option<Arc<dyn Driver>>,
    /// How many characters of a token always fit one cookie.
    room: usize,
    pad_to: usize,
    max_bytes: usize,
}

impl Shared {
    /// Whether a record goes into a token of so many characters.
    fn fits(&self, record: usize, room: usize) -> bool {
        token_chars(record, self.pad_to) <= room
    }

    /// Seals what stands at [`BODY`] of the buffer.
    fn seal(&self, mut buffer: Vec<u8>, kind: u8, id: &SessionId, expiry_ms: u64) -> Result<String> {
        buffer[0] = VERSION;
        buffer[KIND] = kind;
        buffer[ID..EXPIRY].copy_from_slice(&id.bytes());
        buffer[EXPIRY..BODY].copy_from_slice(&expiry_ms.to_le_bytes());
        let bytes = token_bytes(buffer.len() - BODY, self.pad_to);
        buffer.push(END);
        buffer.resize(bytes - (seal::OVERHEAD_BYTES - seal::HEAD_BYTES), 0);
        self.seal.seal(&[], &mut buffer, VERSION_BYTES)?;
        Ok(URL_SAFE_NO_PAD.encode_to_string(&buffer))
    }

    /// Opens a token. None for whatever [`seal`](Shared::seal) did not make.
    fn open(&self, token: &[u8]) -> Option<Token> {
        // Strict, also about the spare bits of the last character: a token has one form (webob took several).
        let mut buffer = URL_SAFE_NO_PAD.decode_to_vec(token).ok()?;
        if buffer.first() != Some(&VERSION) {
            return None;
        }
        let Opened { range, is_stale } = self.seal.open(&[], &mut buffer[VERSION_BYTES..])?;
        let end = VERSION_BYTES + range.end;
        let end = buffer[..end].iter().rposition(|byte| *byte != 0)?;
        if end < BODY || buffer[end] != END {
            return None;
        }
        let id = buffer[ID..EXPIRY].try_into().expect("32 bytes");
        let expiry_ms = u64::from_le_bytes(buffer[EXPIRY..BODY].try_into().expect("8 bytes"));
        Some(Token { kind: buffer[KIND], id: SessionId::of_bytes(&id), expiry_ms, is_stale, body: BODY..end, buffer })
    }
}

/// What an opened token holds.
struct Token {
    kind: u8,
    id: SessionId,
    expiry_ms: u64,
    is_stale: bool,
    buffer: Vec<u8>,
    body: std::ops::Range<usize>,
}

impl Token {
    /// The reference of a record that has spilled.
    fn reference(&self) -> Option<[u8; REFERENCE_BYTES]> {
        self.buffer[self.body.clone()].try_into().ok().filter(|_| self.kind == KIND_SPILLED)
    }
}

impl Driver for Cookie {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            client_side: true,
            revocable: false,
            shared_between_processes: true,
            survives_restart: true,
            max_bytes: self.0.max_bytes,
        }
    }

    fn create(&self, _: &Locator, _: &[u8], _: u64, _: u64, _: &mut Events) -> Result<bool> {
        Err(in_browsers("make a record under a locator"))
    }

    fn lock(&self, _: &Locator, _: u64, _: Option<u64>) -> Result<Option<Box<dyn Records>>> {
        Err(in_browsers("lock a session"))
    }

    fn waiting(&self, timeout_ms: u64) -> Option<Arc<dyn Driver>> {
        let spill = self.0.spill.as_ref()?.waiting(timeout_ms)?;
        Some(Arc::new(Cookie(Arc::new(Shared { spill: Some(spill), ..(*self.0).clone() }))))
    }

    /// Of what has spilled: nobody else may use that driver.
    fn sweep(&self, now_ms: u64, limit: usize, events: &mut Events) -> Result<Swept> {
        match &self.0.spill {
            Some(spill) => spill.sweep(now_ms, limit, events),
            None => Ok(Swept { finished: true, ..Swept::default() }),
        }
    }

    fn iterate(&self, _: u64, _: &mut dyn FnMut(RecordInfo) -> bool) -> Result<()> {
        Err(in_browsers("list the sessions"))
    }

    fn stats(&self) -> DriverStats {
        DriverStats::default()
    }

    fn browser(&self, tokens: Vec<Vec<u8>>) -> Option<Box<dyn Browser>> {
        Some(Box::new(InTokens {
            driver: self.0.clone(),
            tokens,
            came: Cell::new(None),
            fresh: Cell::new(None),
            written: RefCell::new(None),
            decided_ms: Cell::new(None),
        }))
    }
}

fn in_browsers(what: &str) -> Error {
    Error::unsupported(format!("the cookie driver cannot {what}: its records are in the browsers"))
}

/// By a locator there is nothing here.
impl Records for Cookie {
    fn load(&self, _: &Locator, _: u64, _: &mut Events) -> Result<Option<Loaded>> {
        Ok(None)
    }

    fn update(&self, _: &Locator, _: Option<&Locator>, _: u64, _: &mut Edit<'_>, _: &mut Events) -> Result<Updated> {
        Ok(Updated::Gone)
    }

    fn delete(&self, _: &Locator, _: u64, _: &mut Events) -> Result<bool> {
        Err(in_browsers("destroy a record by its locator"))
    }
}

/// What one browser brought, and what it will be given.
struct InTokens {
    driver: Arc<Shared>,
    tokens: Vec<Vec<u8>>,
    came: Cell<Option<Came>>,
    /// The reference under which this request lets the record spill, drawn once: a repeated commit must find what an earlier one
    /// has stored.
    fresh: Cell<Option<[u8; REFERENCE_BYTES]>>,
    written: RefCell<Option<Written>>,
    /// When the record ends by what this request has last written into another driver.
    decided_ms: Cell<Option<u64>>,
}

/// The record that was found in a token.
#[derive(Clone, Copy)]
struct Came {
    id: SessionId,
    /// The reference under which it has spilled.
    spilled: Option<[u8; REFERENCE_BYTES]>,
}

/// What the next token is to hold.
struct Written {
    /// The record at [`BODY`], unless it has spilled.
    buffer: Vec<u8>,
    expiry_ms: u64,
    spilled: Option<[u8; REFERENCE_BYTES]>,
}

/// A buffer with room for what stands before the body of a token, and for so much more in it.
fn before(body: &[u8], more: usize) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(TOKEN_OVERHEAD + body.len() + more + 256);
    buffer.resize(BODY, 0);
    buffer.extend_from_slice(body);
    buffer
}

impl InTokens {
    fn fresh(&self) -> Result<[u8; REFERENCE_BYTES]> {
        let reference = match self.fresh.get() {
            Some(reference) => reference,
            None => random_bytes()?,
        };
        self.fresh.set(Some(reference));
        Ok(reference)
    }

    fn spill(&self) -> Result<&dyn Driver> {
        let none = || Error::unsupported("the session has spilled into a driver, and `spill_to` names none any more");
        self.driver.spill.as_deref().ok_or_else(none)
    }

    /// What a token holds, with the record it refers to. None where it is not ours, has ended or refers to nothing.
    fn held(&self, token: &[u8], now_ms: u64, events: &mut Events) -> Result<Option<(Came, Loaded)>> {
        let Some(token) = self.driver.open(token) else {
            events.note_nameless(EventKind::MalformedToken);
            return Ok(None);
        };
        let reference = token.reference();
        let Token { kind, id, expiry_ms, is_stale, buffer, body } = token;
        if expiry_ms <= now_ms {
            events.note(EventKind::Expired, &id.locator());
            return Ok(None);
        }
        if kind == KIND_RECORD {
            let loaded = Loaded::new(buffer, body, expiry_ms).stale(is_stale);
            return Ok(Some((Came { id, spilled: None }, loaded)));
        }
        if let (Some(reference), Some(spill)) = (reference, &self.driver.spill)
            && let Some(mut loaded) = spill.load(&Locator::spilled(&reference), now_ms, events)?
        {
            loaded.expiry_ms = loaded.expiry_ms.min(expiry_ms);
            return Ok(Some((Came { id, spilled: Some(reference) }, loaded.stale(is_stale))));
        }
        events.note(EventKind::UnknownToken, &id.locator());
        Ok(None)
    }

    /// Updates a record that has spilled, where it is, and lets it come back if it fits the cookie again.
    fn update_spilled(
        &self,
        reference: [u8; REFERENCE_BYTES],
        loaded: &Loaded,
        moves: bool,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        let spill = self.spill()?;
        let to = if moves { Some(self.fresh()?) } else { None };
        let mut written = None;
        let mut edit = |stored: &[u8], new: &mut Vec<u8>| {
            let start = new.len();
            let verdict = edit(stored, new)?;
            // `Keep` may mean that an earlier try of this commit has taken effect: then the token is for what that has stored.
            let (record, expiry_ms) = match verdict {
                Verdict::Keep => (stored, self.decided_ms.get().unwrap_or(loaded.expiry_ms)),
                Verdict::Write { expiry_ms } => (&new[start..], expiry_ms),
            };
            self.decided_ms.set(Some(expiry_ms));
            let comes_back = self.driver.fits(record.len(), self.driver.room);
            written = Some(Written {
                buffer: if comes_back { before(record, 0) } else { Vec::new() },
                expiry_ms,
                spilled: if comes_back { None } else { Some(to.unwrap_or(reference)) },
            });
            Ok(match verdict {
                Verdict::Write { expiry_ms } if comes_back => {
                    Verdict::Write { expiry_ms: expiry_ms.min(now_ms.saturating_add(SPILLED_BEHIND_MS)) }
                }
                verdict => verdict,
            })
        };
        let (at, new) = (Locator::spilled(&reference), to.as_ref().map(Locator::spilled));
        let mut updated = spill.update_loaded(loaded, &at, new.as_ref(), now_ms, &mut edit, events)?;
        if let (Updated::Taken | Updated::Moved, Some(new)) = (updated, &new)
            && spill.update(new, None, now_ms, &mut edit, events)? == Updated::Done
        {
            // An earlier try of this commit had moved it although it failed.
            updated = Updated::Done;
        }
        self.written.replace(written);
        Ok(updated)
    }
}

impl Records for InTokens {
    fn load(&self, _: &Locator, now_ms: u64, events: &mut Events) -> Result<Option<Loaded>> {
        for token in &self.tokens {
            if let Some((came, loaded)) = self.held(token, now_ms, events)? {
                self.came.set(Some(came));
                return Ok(Some(loaded));
            }
        }
        Ok(None)
    }

    fn update(
        &self,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        match self.load(locator, now_ms, events)? {
            Some(loaded) => self.update_loaded(&loaded, locator, to, now_ms, edit, events),
            None => Ok(Updated::Gone),
        }
    }

    fn update_loaded(
        &self,
        loaded: &Loaded,
        _: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        match self.came.get() {
            None => Ok(Updated::Gone),
            Some(Came { spilled: Some(reference), .. }) => {
                self.update_spilled(reference, loaded, to.is_some(), now_ms, edit, events)
            }
            Some(Came { spilled: None, .. }) => {
                let mut buffer = before(&[], loaded.bytes().len());
                if let Verdict::Write { expiry_ms } = edit(loaded.bytes(), &mut buffer)? {
                    self.written.replace(Some(Written { buffer, expiry_ms, spilled: None }));
                }
                Ok(Updated::Done)
            }
        }
    }

    /// The browser is told to drop its cookie; that it does so, nobody can make sure.
    fn delete(&self, _: &Locator, now_ms: u64, events: &mut Events) -> Result<bool> {
        match self.came.get() {
            // A record that cannot be read, or is in no token: what they refer to goes.
            None => {
                let opened = self.tokens.iter().filter_map(|token| self.driver.open(token));
                let references: Vec<_> = opened.filter_map(|token| token.reference()).collect();
                references.iter().try_fold(false, |any, reference| {
                    Ok(self.spill()?.delete(&Locator::spilled(reference), now_ms, events)? || any)
                })
            }
            Some(Came { spilled: Some(reference), .. }) => {
                self.spill()?.delete(&Locator::spilled(&reference), now_ms, events)
            }
            Some(Came { id, spilled: None }) => {
                events.note(EventKind::Destroyed, &id.locator());
                Ok(true)
            }
        }
    }
}

impl Browser for InTokens {
    fn id(&self) -> Option<SessionId> {
        self.came.get().map(|came| came.id)
    }

    fn create(&self, bytes: &[u8], _: u64, expiry_ms: u64) -> Result<()> {
        self.written.replace(Some(Written { buffer: before(bytes, 0), expiry_ms, spilled: None }));
        Ok(())
    }

    fn token(&self, id: &SessionId, room: usize, now_ms: u64, events: &mut Events) -> Result<String> {
        let Some(Written { buffer, expiry_ms, spilled }) = self.written.take() else {
            return Err(Error::misuse("there is nothing to seal: the record was neither made nor updated"));
        };
        let reference = match (spilled, &self.driver.spill) {
            (Some(reference), _) => Some(reference),
            (None, Some(spill)) if !self.driver.fits(buffer.len() - BODY, room) => loop {
                let reference = self.fresh()?;
                if spill.create(&Locator::spilled(&reference), &buffer[BODY..], now_ms, expiry_ms, events)? {
                    break Some(reference);
                }
                // Taken by an earlier try of this commit, which failed and took effect. What it made ends by itself.
                self.fresh.set(None);
            },
            (None, _) => None,
        };
        match reference {
            Some(reference) => self.driver.seal(before(&reference, 0), KIND_SPILLED, id, expiry_ms),
            None => self.driver.seal(buffer, KIND_RECORD, id, expiry_ms),
        }
    }
}
