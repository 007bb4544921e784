//! What comes from a browser: cookie headers, tokens, CSRF tokens and values. Only the right token finds a session, only the
//! right secret matches, and only JSON is a value.

use crate::{Bytes, NOW_MS, allowed, json};
use holdall::driver::{Capabilities, Driver, DriverStats, Edit, Loaded, RecordInfo, Records, Swept, Updated};
use holdall::{ErrorKind, Events, Locator, Manager, OpenOptions, Result, Session};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const NAME: &[u8] = b"__Host-sid";
/// Bytes that stand for the token of a stored session, another one's, and the cookie's name with `=`.
const TOKENS: [u8; 2] = [0xFE, 0xFD];
const NAME_BYTE: u8 = 0xFC;
const MAX_VALUE: usize = 4000;

thread_local! {
    static PLACE: Place = Place::new();
}

struct Place {
    manager: Manager,
    loads: Arc<AtomicUsize>,
    tokens: [String; 2],
    csrf: [String; 2],
}

/// Counts loads.
struct Counting {
    inner: Arc<dyn Driver>,
    loads: Arc<AtomicUsize>,
}

impl Records for Counting {
    fn load(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<Option<Loaded>> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        self.inner.load(locator, now_ms, events)
    }

    fn update(
        &self,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        self.inner.update(locator, to, now_ms, edit, events)
    }

    fn delete(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<bool> {
        self.inner.delete(locator, now_ms, events)
    }
}

impl Driver for Counting {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn create(&self, at: &Locator, bytes: &[u8], now_ms: u64, expiry_ms: u64, events: &mut Events) -> Result<bool> {
        self.inner.create(at, bytes, now_ms, expiry_ms, events)
    }

    fn lock(&self, locator: &Locator, now_ms: u64, timeout_ms: Option<u64>) -> Result<Option<Box<dyn Records>>> {
        self.inner.lock(locator, now_ms, timeout_ms)
    }

    fn sweep(&self, now_ms: u64, limit: usize, events: &mut Events) -> Result<Swept> {
        self.inner.sweep(now_ms, limit, events)
    }

    fn iterate(&self, now_ms: u64, visit: &mut dyn FnMut(RecordInfo) -> bool) -> Result<()> {
        self.inner.iterate(now_ms, visit)
    }

    fn stats(&self) -> DriverStats {
        self.inner.stats()
    }
}

impl Place {
    fn new() -> Place {
        let loads = Arc::new(AtomicUsize::new(0));
        let counted = loads.clone();
        let config = format!(r#"{{"drivers":{{"main":{{"type":"memory"}}}},"max_record_bytes":{}}}"#, MAX_VALUE + 1000);
        let wrap = |inner| Arc::new(Counting { inner, loads: counted }) as Arc<dyn Driver>;
        let manager = Manager::with_driver(&config, wrap).expect("a valid configuration");
        let (mut tokens, mut csrf) = <([String; 2], [String; 2])>::default();
        for (index, token) in tokens.iter_mut().enumerate() {
            let mut session = manager.open_with(b"", at()).expect("no I/O");
            session.set("which", &index).expect("a value");
            csrf[index] = session.csrf_token().expect("random bytes");
            drop(session.commit_at(NOW_MS).expect("stored"));
            *token = session.id().expect("loaded").expect("not keyed").as_str().to_owned();
            // Comes back once, so that it is no longer new and lives on.
            let mut session = manager.open_token_with(token.as_bytes(), at()).expect("no I/O");
            session.touch().expect("stored");
            drop(session.commit_at(NOW_MS).expect("stored"));
        }
        Place { manager, loads, tokens, csrf }
    }

    /// The input with the tokens and the name where their bytes stand.
    fn planted(&self, input: &[u8]) -> Vec<u8> {
        let mut planted = Vec::new();
        for byte in input {
            match byte {
                byte if *byte == TOKENS[0] => planted.extend(self.tokens[0].bytes()),
                byte if *byte == TOKENS[1] => planted.extend(self.tokens[1].bytes()),
                &NAME_BYTE => planted.extend(NAME.iter().chain(b"=")),
                byte => planted.push(*byte),
            }
        }
        planted
    }

    fn which(&self, token: &[u8]) -> Option<usize> {
        self.tokens.iter().position(|planted| planted.as_bytes() == token)
    }

    fn found(&self, session: &Session) -> Option<usize> {
        session.get("which").expect("memory")
    }
}

fn at() -> OpenOptions {
    OpenOptions::new().at(NOW_MS)
}

/// The values of the first four cookies of the name (RFC 6265, section 4.2.1, with spaces and tabs where people write them).
fn values(header: &[u8]) -> Vec<&[u8]> {
    let mut values = Vec::new();
    for pair in header.split(|byte| *byte == b';') {
        let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
        let before = pair.iter().take_while(|byte| b" \t".contains(byte)).count();
        let after = pair[equals + 1..].iter().rev().take_while(|byte| b" \t".contains(byte)).count();
        let (name, value) = (&pair[before.min(equals)..equals], &pair[equals + 1..pair.len() - after]);
        if name == NAME && values.len() < 4 {
            values.push(value);
        }
    }
    values
}

/// The first byte says what the rest is.
pub(crate) fn run(input: &[u8]) {
    let mut input = Bytes(input);
    PLACE.with(|place| match input.byte() % 4 {
        0 => {
            let header = place.planted(input.0);
            let values = values(&header);
            let expected = values.iter().find_map(|value| place.which(value));
            checked(place, &values, expected, |options| place.manager.open_with(&header, options));
        }
        1 => {
            let token = place.planted(input.0);
            let expected = place.which(&token);
            checked(place, &[&token], expected, |options| place.manager.open_token_with(&token, options));
        }
        2 => csrf(place, &mut input),
        _ => value(place, input.0),
    });
}

fn checked(place: &Place, values: &[&[u8]], expected: Option<usize>, open: impl Fn(OpenOptions) -> Result<Session>) {
    let session = open(at()).expect("no I/O");
    place.loads.store(0, Ordering::Relaxed);
    assert_eq!(
        place.found(&session),
        expected,
        "{:?}",
        values.iter().map(|value| value.escape_ascii().to_string()).collect::<Vec<_>>()
    );
    let well_formed = values.iter().filter(|value| value.len() == 43).count();
    assert!(place.loads.load(Ordering::Relaxed) <= well_formed, "what is malformed goes no further");
    assert_eq!(session.is_new().expect("memory"), expected.is_none());
    let id = session.id().expect("memory").expect("not keyed").as_str();
    match expected {
        Some(index) => assert_eq!(id, place.tokens[index]),
        None => assert!(!values.contains(&id.as_bytes()), "an id of the visitor's choosing"),
    }
}

/// base64url without padding (RFC 4648, section 5), strict: no other character, no bits left over.
fn decoded(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0u32);
    for byte in text.bytes() {
        held = held << 6 | u32::try_from(DIGITS.iter().position(|digit| *digit == byte)?).expect("below 64");
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xFF).expect("a byte"));
            held &= (1 << bits) - 1;
        }
    }
    (held == 0 && bits < 6).then_some(bytes)
}

fn secret(token: &str) -> Option<Vec<u8>> {
    let token = decoded(token).filter(|token| token.len() == 64)?;
    Some(token[..32].iter().zip(&token[32..]).map(|(mask, masked)| mask ^ masked).collect())
}

/// A real token of the session or of another, changed as the input says; or the input itself.
fn csrf(place: &Place, input: &mut Bytes<'_>) {
    let session = place.manager.open_token_with(place.tokens[0].as_bytes(), at()).expect("no I/O");
    let mut candidate = match input.below(3) {
        0 => String::from_utf8_lossy(input.0).into_owned(),
        which => place.csrf[which - 1].clone(),
    };
    while !input.is_empty() {
        let (at, to) = (input.below(candidate.len() + 1), char::from(input.byte()));
        if candidate.is_char_boundary(at) {
            match input.below(3) {
                0 => candidate.insert(at, to),
                1 => candidate.truncate(at),
                _ => candidate.replace_range(
                    at..candidate[at..].char_indices().nth(1).map_or(candidate.len(), |(n, _)| at + n),
                    &to.to_string(),
                ),
            }
        }
    }
    let expected = secret(&place.csrf[0]).expect("a token of ours");
    assert_eq!(
        session.csrf_matches(&candidate).expect("memory"),
        secret(&candidate) == Some(expected),
        "{candidate:?}"
    );
}

fn value(place: &Place, input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut session = place.manager.open_with(b"", at()).expect("no I/O");
    match session.set_json("k", text) {
        Ok(()) => {
            assert!(json::is_a_value(text), "kept, and no JSON: {text:?}");
            assert!(text.len() <= MAX_VALUE + 1000);
            let kept = text.trim_matches([' ', '\t', '\n', '\r']);
            assert_eq!(session.get_json("k").expect("memory"), Some(kept));
            match session.commit_at(NOW_MS) {
                Ok(_) => {
                    let token = session.id().expect("memory").expect("not keyed").as_str().to_owned();
                    let mut again = place.manager.open_token_with(token.as_bytes(), at()).expect("no I/O");
                    assert_eq!(again.get_json("k").expect("memory"), Some(kept));
                    assert_eq!(again.all().expect("memory"), format!("{{\"k\":{kept}}}"));
                    again.destroy_at(NOW_MS).expect("memory");
                }
                Err(error) => allowed(&error, &[ErrorKind::TooLarge]),
            }
        }
        Err(error) if error.kind() == ErrorKind::TooLarge => assert!(text.len() > MAX_VALUE, "{error}"),
        Err(error) => {
            allowed(&error, &[ErrorKind::InvalidValue]);
            assert!(!json::is_a_value(text), "refused, and JSON: {text:?}: {error}");
        }
    }
}
