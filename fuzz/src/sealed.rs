//! What comes from a browser that keeps its session itself: only what was sealed, whole and put together as it was cut, opens, and
//! it opens as the session it was.

use crate::{Bytes, NOW_MS, TOKEN};
use holdall::{Manager, OpenOptions, Session};

const NAME: &str = "__Host-sid";
/// Bytes that stand for the cookies of the planted sessions, a whole `name=value` each: 0xC0 and the next ones.
const COOKIES: u8 = 0xC0;
/// Bytes that stand for their values alone.
const VALUES: u8 = 0xE0;
/// Stands for the cookie's name with `=`.
const NAME_BYTE: u8 = 0xFE;

thread_local! {
    static PLACE: Place = Place::new();
}

struct Place {
    manager: Manager,
    /// Whole tokens, and which session each opens.
    tokens: Vec<(String, Option<usize>)>,
    cookies: Vec<(String, String)>,
}

fn config(keys: &[&str], application: &str) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
    format!(
        r#"{{"drivers":{{"main":{{"type":"cookie","overflow":"chunk","max_parts":5}}}},"keys":[{}],"application":{application:?}}}"#,
        keys.join(",")
    )
}

/// The cookies of a new session, by name and value.
fn cookies(manager: &Manager, which: usize, bytes: usize) -> Vec<(String, String)> {
    let mut session = manager.open_with(b"", OpenOptions::new().at(NOW_MS)).expect("no I/O");
    session.set("which", &which).expect("a value");
    session.set("much", &"x".repeat(bytes)).expect("a value");
    let commit = session.commit_at(NOW_MS).expect("sealed");
    let lines = commit.headers().iter().filter(|(name, _)| *name == "Set-Cookie");
    let pairs = lines.map(|(_, line)| line.split(';').next().expect("a pair").split_once('=').expect("a pair"));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

impl Place {
    fn new() -> Place {
        let keys: Vec<String> = (0..3).map(|_| holdall::generate_key().expect("random bytes")).collect();
        let manager = |keys: &[&str], application| Manager::new(&config(keys, application)).expect("valid");
        let ours = manager(&[&keys[0], &keys[1]], "app");
        let mut place = Place { manager: ours.clone(), tokens: Vec::new(), cookies: Vec::new() };
        place.plant(cookies(&ours, 0, 10), Some(0));
        place.plant(cookies(&ours, 1, 6000), Some(1));
        place.plant(cookies(&ours, 2, 6001), Some(2));
        // Under the old key, and in the same session's cookies under a key, for an application, that are not ours.
        place.plant(cookies(&manager(&[&keys[1]], "app"), 3, 20), Some(3));
        place.plant(cookies(&manager(&[&keys[2]], "app"), 4, 20), None);
        place.plant(cookies(&manager(&[&keys[0]], "other"), 5, 20), None);
        place
    }

    fn plant(&mut self, cookies: Vec<(String, String)>, opens: Option<usize>) {
        let token = match &cookies[..] {
            [(_, whole)] => whole.clone(),
            [(_, first), others @ ..] => {
                let (count, first) = first.split_once('.').expect("the number of parts");
                assert_eq!(count, cookies.len().to_string());
                others.iter().fold(first.to_owned(), |token, (_, part)| token + &part[8..])
            }
            [] => unreachable!("a session has a cookie"),
        };
        self.tokens.push((token, opens));
        self.cookies.extend(cookies);
    }

    /// The input with cookies and values where their bytes stand.
    fn planted(&self, input: &[u8]) -> Vec<u8> {
        let mut planted = Vec::new();
        for byte in input {
            let of = |base: u8| byte.checked_sub(base).and_then(|index| self.cookies.get(usize::from(index)));
            match (of(COOKIES), of(VALUES), *byte) {
                (_, Some((_, value)), VALUES..NAME_BYTE) => planted.extend(value.bytes()),
                (Some((name, value)), _, COOKIES..VALUES) => planted.extend(format!("{name}={value}").bytes()),
                (_, _, NAME_BYTE) => planted.extend(format!("{NAME}=").bytes()),
                (_, _, byte) => planted.push(byte),
            }
        }
        planted
    }

    fn opens(&self, token: &[u8]) -> Option<usize> {
        self.tokens.iter().find(|(known, _)| known.as_bytes() == token)?.1
    }
}

/// The values of the first four cookies of a name (RFC 6265, section 4.2.1).
fn values<'a>(header: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    let space = |byte: &&u8| b" \t".contains(byte);
    let mut values = Vec::new();
    for pair in header.split(|byte| *byte == b';') {
        let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
        let before = pair.iter().take_while(space).count().min(equals);
        let value = &pair[equals + 1..];
        let after = value.iter().rev().take_while(space).count();
        if &pair[before..equals] == name.as_bytes() && values.len() < 4 {
            values.push(&value[..value.len() - after]);
        }
    }
    values
}

/// The tokens of a header, as docs/format.md has it.
fn tokens(header: &[u8]) -> Vec<Vec<u8>> {
    let whole = |value: &[u8]| -> Option<Vec<u8>> {
        let dot = value.iter().position(|byte| *byte == b'.')?;
        let count = (2..=16usize).find(|count| count.to_string().as_bytes() == &value[..dot])?;
        let first = &value[dot + 1..];
        let mark = first.get(..8)?;
        let mut token = first.to_vec();
        for part in 1..count {
            let parts = values(header, &format!("{NAME}.{part}"));
            let Some(piece) = parts.iter().find_map(|part| part.strip_prefix(mark)) else { continue };
            token.extend_from_slice(piece);
        }
        Some(token)
    };
    values(header, NAME).into_iter().map(|value| whole(value).unwrap_or_else(|| value.to_vec())).collect()
}

/// The first byte says what the rest is.
pub(crate) fn run(input: &[u8]) {
    let mut input = Bytes(input);
    PLACE.with(|place| {
        let at = OpenOptions::new().at(NOW_MS);
        let is_header = input.flag();
        let sent = place.planted(input.0);
        let (expected, session) = if is_header {
            let expected = tokens(&sent).iter().find_map(|token| place.opens(token));
            (expected, place.manager.open_with(&sent, at))
        } else {
            (place.opens(&sent), place.manager.open_token_with(&sent, at))
        };
        check(expected, session.expect("no I/O"), &sent);
    });
}

fn check(expected: Option<usize>, mut session: Session, sent: &[u8]) {
    let shown = || sent.escape_ascii().to_string();
    assert_eq!(session.get::<usize>("which").expect("no I/O"), expected, "{}", shown());
    assert_eq!(session.is_new().expect("no I/O"), expected.is_none());
    assert_ne!(session.id().expect("no I/O").expect("not keyed").as_str(), TOKEN, "an id of the visitor's choosing");
    // What is answered opens again, and leaves no part of what was sent behind.
    session.delete(&["much"]).expect("no I/O");
    session.set("again", &true).expect("a value");
    let commit = session.commit_at(NOW_MS).expect("it fits");
    let lines: Vec<&str> =
        commit.headers().iter().filter(|(name, _)| *name == "Set-Cookie").map(|(_, line)| &**line).collect();
    assert!(lines.iter().all(|line| line.len() <= holdall::MAX_SET_COOKIE_BYTES), "{}", shown());
    for part in 1..16 {
        let name = format!("{NAME}.{part}");
        let was_sent = !values(sent, &name).is_empty();
        let is_removed = lines.iter().any(|line| line.starts_with(&format!("{name}=;")));
        assert!(!is_removed || was_sent, "{}", shown());
    }
}
