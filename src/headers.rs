//! Headers: which tokens a `Cookie` header carries, and the lines a commit sends back.
//!
//! Names are compared byte by byte, never decoded (CVE-2020-7070, CVE-2022-36032); at most four cookies of the name are
//! looked at. The whole `Set-Cookie` line is written and counted here (RFC 6265, section 6.1). Knows nothing of records.

use crate::config::{CookieConfig, SameSite, Secure};
use std::borrow::Cow;
use std::fmt::Write as _;

/// Browsers keep 4096 bytes of name, value and attributes, and drop a longer line without a word.
pub const MAX_SET_COOKIE_BYTES: usize = 4096;
/// How many cookies of the session's name are tried: a sub-domain can plant one before ours, but not without end.
const MAX_TOKENS: usize = 4;

/// The values of the first four cookies called `name`, in the order they came. Nameless cookies (`=x`, `x`) are
/// ignored (CVE-2023-23934).
pub(crate) fn tokens<'a>(header: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    header
        .split(|byte| *byte == b';')
        .filter_map(move |pair| {
            let pair = pair.trim_ascii_start();
            let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(value.trim_ascii_end())
        })
        .take(MAX_TOKENS)
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
}

impl Cookie {
    pub(crate) fn new(config: &CookieConfig, name: String) -> Cookie {
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
        Cookie { name, attributes, secure: config.secure, persistent: config.persistent }
    }

    /// The longest line this cookie can become around a token of `token_bytes`.
    pub(crate) fn longest_line(&self, token_bytes: usize) -> usize {
        self.removal(true).len().max(self.line(&"A".repeat(token_bytes), Some(u64::MAX), true).len())
    }

    /// A `Set-Cookie` line that carries a token, for the browser session or for `max_age_s`.
    pub(crate) fn line(&self, token: &str, max_age_s: Option<u64>, request_is_secure: bool) -> String {
        let mut line = String::with_capacity(self.name.len() + token.len() + self.attributes.len() + 48);
        line.push_str(&self.name);
        line.push('=');
        line.push_str(token);
        self.finish(&mut line, request_is_secure);
        if let Some(seconds) = max_age_s {
            write!(line, "; Max-Age={seconds}").expect("a String takes everything");
        }
        line
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
        if match self.secure {
            Secure::Always => true,
            Secure::Never => false,
            Secure::Auto => request_is_secure,
        } {
            line.push_str("; Secure");
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
    fn of_many_the_first_four_are_tried() {
        assert_eq!(found("sid=1;sid=2;  sid=3 ; sid=4; sid=5", "sid"), ["1", "2", "3", "4"]);
    }

    #[test]
    fn the_default_line_is_exactly_this() {
        let cookie = Cookie::new(&CookieConfig::default(), "__Host-sid".into());
        assert_eq!(cookie.line("TOKEN", None, true), "__Host-sid=TOKEN; Path=/; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(
            cookie.removal(true),
            "__Host-sid=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        );
        assert_eq!(cookie.line("T", Some(60), true).rsplit("; ").next(), Some("Max-Age=60"));
    }
}
