//! Headers: which tokens a `Cookie` header carries, and the lines a commit sends back.
//!
//! Names are compared byte by byte, never decoded (CVE-2020-7070, CVE-2022-36032); at most four cookies of the name are
//! looked at. The whole `Set-Cookie` line is written and counted here (RFC 6265, section 6.1), and a token that needs several
//! lines is cut and put together again. Knows nothing of records, nor of what is in a token.

use crate::config::{CookieConfig, MAX_TIMEOUT_S, SameSite, Secure};
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::fmt::Write as _;

/// Browsers keep 4096 bytes of name, value and attributes, and drop a longer line without a word.
pub const MAX_SET_COOKIE_BYTES: usize = 4096;
/// How many cookies of the session's name are tried: a sub-domain can plant one before ours, but not without end.
const MAX_TOKENS: usize = 4;

/// The values of the first four cookies called `name`, in the order they came. Nameless cookies (`=x`, `x`) are
/// ignored (CVE-2023-23934).
pub(crate) fn tokens<'a>(header: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    pairs(header)
        .filter_map(move |pair| trimmed(pair).strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .take(MAX_TOKENS)
}

/// What stands between the semicolons.
fn pairs(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut begin = 0;
    memchr::memchr_iter(b';', header).chain(std::iter::once(header.len())).map(move |end| {
        let pair = &header[begin..end];
        begin = end + 1;
        pair
    })
}

/// Without spaces and tabs at its ends: the white space of HTTP (RFC 9110, section 5.6.3), and all that browsers take off a
/// name (RFC 6265bis). A form feed is part of a name like any other byte; to skip it would make `\x0c__Host-sid` a `__Host-sid`
/// that no rule of browsers protects.
fn trimmed(mut pair: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = pair {
        pair = rest;
    }
    pair
}

const SECURE: &str = "; Secure";
const MAX_AGE: &str = "; Max-Age=";

/// How many cookies one token can be cut into. More than a server takes in its headers as it is delivered (gunicorn 8 KB, nginx
/// 8 KB a line, Node 16 KB in all).
pub(crate) const MAX_PARTS: usize = 16;
/// A part begins with as many characters of its token, which are random there: parts of two tokens are never put together.
const MARK_CHARS: usize = 8;
/// What stands before the beginning of a token that was cut, at its longest.
const LONGEST_COUNT: &str = "16.";

/// The tokens that came in a `Cookie` header, put together from their parts, and which parts came.
///
/// A token that fits one line is the value of `name`. Of a longer one `name` carries `N.` and its beginning, and `name.1` to
/// `name.N-1` each the first eight characters of the token and its next piece. What is missing, foreign or in another order gives
/// bytes that no seal opens.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) tokens: Vec<Vec<u8>>,
    /// Bit `k`: a cookie `name.k` came.
    pub(crate) parts: u32,
}

impl Sent {
    pub(crate) fn read(header: &[u8], name: &str) -> Sent {
        let mut sent = Sent::default();
        // Nearly always there is no part: not in a header without a dot, which is found at once.
        let has_parts = header.contains(&b'.')
            && header.windows(name.len() + 1).any(|part| part.ends_with(b".") && part.starts_with(name.as_bytes()));
        let names: Vec<String> =
            if has_parts { (1..MAX_PARTS).map(|k| part_name(name, k)).collect() } else { Vec::new() };
        for (k, part) in names.iter().enumerate() {
            if tokens(header, part).next().is_some() {
                sent.parts |= 2 << k;
            }
        }
        sent.tokens.extend(tokens(header, name).map(|value| {
            let whole = count_and_beginning(value).and_then(|(count, beginning)| {
                let (mark, mut token) = (&beginning[..MARK_CHARS], beginning.to_vec());
                // As many as were counted, or a token could be written with any larger count.
                for part in names.get(..count - 1)? {
                    let piece = tokens(header, part).find_map(|value| value.strip_prefix(mark))?;
                    token.extend_from_slice(piece);
                }
                Some(token)
            });
            whole.unwrap_or_else(|| value.to_vec())
        }));
        sent
    }
}

fn part_name(name: &str, k: usize) -> String {
    format!("{name}.{k}")
}

/// What stands before a token that was cut: `3.`, and never `1.` or `03.`, so that a token is written in one way only.
fn count_and_beginning(value: &[u8]) -> Option<(usize, &[u8])> {
    let dot = value.iter().take(3).position(|byte| *byte == b'.')?;
    let count = std::str::from_utf8(&value[..dot]).ok()?.parse::<u8>().ok().map(usize::from)?;
    let beginning = &value[dot + 1..];
    let is_canonical = count.to_string().len() == dot && (2..=MAX_PARTS).contains(&count);
    (is_canonical && beginning.len() >= MARK_CHARS).then_some((count, beginning))
}

/// A response header: a name and a value.
pub type Header = (&'static str, Cow<'static, str>);

/// The cookie as configured, with everything that can be written ahead.
#[derive(Clone, Debug)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    attributes: String,
    secure: Secure,
    pub(crate) persistent: bool,
    /// How many lines a token may take.
    parts: usize,
}

impl Cookie {
    pub(crate) fn new(config: &CookieConfig, name: String, parts: usize) -> Cookie {
        let mut attributes = format!("; Path={}", config.path);
        if let Some(domain) = &config.domain {
            attributes.push_str("; Domain=");
            attributes.push_str(domain);
        }
        if config.http_only {
            attributes.push_str("; HttpOnly");
        }
        attributes.push_str(match config.same_site {
            SameSite::Lax => "; SameSite=Lax",
            SameSite::Strict => "; SameSite=Strict",
            SameSite::None => "; SameSite=None",
        });
        if config.partitioned {
            attributes.push_str("; Partitioned");
        }
        Cookie { name, attributes, secure: config.secure, persistent: config.persistent, parts }
    }

    /// How many characters a token may have that goes into one line.
    pub(crate) fn room(&self, max_age_s: Option<u64>, request_is_secure: bool) -> usize {
        let digits = |number: u64| number.checked_ilog10().map_or(1, |power| power as usize + 1);
        let taken = self.name.len()
            + "=".len()
            + self.attributes.len()
            + if self.is_secure(request_is_secure) { SECURE.len() } else { 0 }
            + max_age_s.map_or(0, |seconds| MAX_AGE.len() + digits(seconds));
        MAX_SET_COOKIE_BYTES.saturating_sub(taken)
    }

    /// [`room`](Cookie::room) whatever the session says and however the request came.
    pub(crate) fn least_room(&self) -> usize {
        self.room(Some(MAX_TIMEOUT_S), true)
    }

    /// [`least_room`](Cookie::least_room) of all the lines that a token may take.
    pub(crate) fn least_room_in_parts(&self) -> usize {
        let parts = (1..self.parts).map(|k| self.part(k).least_room().saturating_sub(MARK_CHARS));
        let first = if self.parts == 1 { 0 } else { LONGEST_COUNT.len() };
        self.least_room().saturating_sub(first) + parts.sum::<usize>()
    }

    /// The cookie that carries a part of a token.
    fn part(&self, k: usize) -> Cookie {
        Cookie { name: part_name(&self.name, k), ..self.clone() }
    }

    /// The `Set-Cookie` lines that carry a token: one, or as many as it needs and may take.
    ///
    /// # Errors
    /// `too_large`: a browser would drop a longer line without a word.
    pub(crate) fn lines(&self, token: &str, max_age_s: Option<u64>, request_is_secure: bool) -> Result<Vec<String>> {
        let whole = self.line(&[token], max_age_s, request_is_secure);
        if whole.len() <= MAX_SET_COOKIE_BYTES {
            return Ok(vec![whole]);
        }
        if self.parts == 1 {
            let what = "the Set-Cookie line of the session in bytes";
            return Err(Error::too_large(what, MAX_SET_COOKIE_BYTES, whole.len()));
        }
        let (room, mark) = (self.room(max_age_s, request_is_secure), &token[..MARK_CHARS.min(token.len())]);
        let (first, mut rest) = token.split_at((room.saturating_sub(LONGEST_COUNT.len())).min(token.len()));
        let (mut pieces, mut part) = (vec![first], self.clone());
        while !rest.is_empty() {
            part.name = part_name(&self.name, pieces.len());
            let room = part.room(max_age_s, request_is_secure).saturating_sub(MARK_CHARS);
            if pieces.len() == self.parts || room == 0 {
                let what = format!("the session in bytes of its {} cookies", self.parts);
                return Err(Error::too_large(&what, token.len() - rest.len(), token.len()));
            }
            let (piece, after) = rest.split_at(room.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        let count = format!("{}.", pieces.len());
        let mut lines = vec![self.line(&[&count, first], max_age_s, request_is_secure)];
        for (k, piece) in pieces.iter().enumerate().skip(1) {
            part.name = part_name(&self.name, k);
            lines.push(part.line(&[mark, piece], max_age_s, request_is_secure));
        }
        Ok(lines)
    }

    /// A `Set-Cookie` line that carries a value in pieces, for the browser session or for `max_age_s`.
    pub(crate) fn line(&self, value: &[&str], max_age_s: Option<u64>, request_is_secure: bool) -> String {
        let bytes: usize = value.iter().map(|piece| piece.len()).sum();
        let mut line = String::with_capacity(self.name.len() + bytes + self.attributes.len() + 48);
        line.push_str(&self.name);
        line.push('=');
        line.extend(value.iter().copied());
        self.finish(&mut line, request_is_secure);
        if let Some(seconds) = max_age_s {
            write!(line, "{MAX_AGE}{seconds}").expect("a String takes everything");
        }
        line
    }

    /// Lines that make the browser drop those of `parts` that came and are not among the first `count` any more.
    pub(crate) fn removals(&self, parts: u32, count: usize, request_is_secure: bool) -> impl Iterator<Item = String> {
        (count.max(1)..MAX_PARTS)
            .filter(move |k| parts >> k & 1 == 1)
            .map(move |k| self.part(k).removal(request_is_secure))
    }

    /// The longest line that removes a part.
    pub(crate) fn longest_removal(&self) -> usize {
        self.part(MAX_PARTS - 1).removal(true).len()
    }

    /// A line that makes the browser drop the cookie: the same name, path and domain, or it would not match.
    pub(crate) fn removal(&self, request_is_secure: bool) -> String {
        let mut line = format!("{}=", self.name);
        self.finish(&mut line, request_is_secure);
        // Max-Age for every browser of today, Expires for what reads only that.
        line.push_str("; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        line
    }

    fn finish(&self, line: &mut String, request_is_secure: bool) {
        line.push_str(&self.attributes);
        if self.is_secure(request_is_secure) {
            line.push_str(SECURE);
        }
    }

    fn is_secure(&self, request_is_secure: bool) -> bool {
        match self.secure {
            Secure::Always => true,
            Secure::Never => false,
            Secure::Auto => request_is_secure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(header: &'a str, name: &'a str) -> Vec<&'a str> {
        tokens(header.as_bytes(), name).map(|value| std::str::from_utf8(value).expect("utf-8")).collect()
    }

    #[test]
    fn only_the_exact_name_counts() {
        assert_eq!(found("a=1; __Host-sid=x; b=2", "__Host-sid"), ["x"]);
        for header in
            ["", ";", "=x", "sid", "sid2=x", "xsid=x", "SID=x", "%73id=x", "a= sid=x", "=sid=x", "sid =x", "..sid=x"]
        {
            assert!(found(header, "sid").is_empty(), "{header}");
        }
    }

    #[test]
    fn only_spaces_and_tabs_are_no_part_of_a_name_or_value() {
        assert_eq!(found("a=1; \t sid=x \t;b=2", "sid"), ["x"]);
        for space in ["\x0b", "\x0c", "\r", "\n", "\0", "\u{85}", "\u{a0}"] {
            assert!(found(&format!("a=1; {space}sid=x"), "sid").is_empty(), "{space:?}");
            assert_eq!(found(&format!("sid=x{space}"), "sid"), [format!("x{space}")]);
        }
    }

    #[test]
    fn of_many_the_first_four_are_tried() {
        assert_eq!(found("sid=1;sid=2;  sid=3 ; sid=4; sid=5", "sid"), ["1", "2", "3", "4"]);
    }

    #[test]
    fn the_room_is_what_a_line_leaves() {
        for secure in [Secure::Always, Secure::Never, Secure::Auto] {
            let config = CookieConfig { secure, ..CookieConfig::default() };
            let cookie = Cookie::new(&config, "sid".into(), 1);
            for max_age_s in [None, Some(0), Some(9), Some(10), Some(7200), Some(u64::MAX)] {
                for request_is_secure in [false, true] {
                    let line = cookie.line(&[], max_age_s, request_is_secure);
                    assert_eq!(cookie.room(max_age_s, request_is_secure) + line.len(), MAX_SET_COOKIE_BYTES);
                }
            }
        }
    }

    #[test]
    fn the_default_line_is_exactly_this() {
        let cookie = Cookie::new(&CookieConfig::default(), "__Host-sid".into(), 1);
        assert_eq!(cookie.line(&["TOKEN"], None, true), "__Host-sid=TOKEN; Path=/; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(
            cookie.removal(true),
            "__Host-sid=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        );
        assert_eq!(cookie.line(&["T"], Some(60), true).rsplit("; ").next(), Some("Max-Age=60"));
    }
}
