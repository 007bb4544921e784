//! Configuration: one JSON document, or a URL, the same in every language.
//!
//! Unknown fields and impossible combinations are refused, naming the field, when the document is read and never at a
//! request. The fields and defaults are in docs/config.md, held to this file by a test. Opens nothing.

use crate::driver::DriverConfig;
use crate::error::{Error, Result};
use crate::flash::FlashPolicy;
use crate::headers::{Cookie, MAX_PARTS, MAX_SET_COOKIE_BYTES};
use crate::id;
use crate::json;
use crate::keys::{self, KeySource};
use crate::record;
use crate::time::Timeouts;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// 31 years: long enough for any session, short enough that a millisecond sum cannot overflow.
pub(crate) const MAX_TIMEOUT_S: u64 = 1_000_000_000;
/// A slot of the file driver and a size in the record are 32 bits; this stays far below both.
const MAX_MAX_RECORD_BYTES: usize = 256 << 20;
/// The token of a server-side driver: the 43 characters of an id.
const TOKEN_BYTES: usize = 43;

/// The whole document.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// One driver by a URL, in place of `default` and `drivers`: read into these, and null from then on.
    pub(crate) url: Option<String>,
    /// The driver that `open` uses. May be left out where `drivers` has one.
    pub(crate) default: String,
    pub(crate) drivers: BTreeMap<String, DriverConfig>,
    pub(crate) cookie: CookieConfig,
    pub(crate) idle_timeout_s: u64,
    pub(crate) absolute_timeout_s: u64,
    /// How long a record lives until its cookie has come back once.
    pub(crate) new_idle_timeout_s: u64,
    /// The part of the idle timeout that has to pass before a request that only reads extends it.
    pub(crate) touch_after: f64,
    pub(crate) max_record_bytes: usize,
    pub(crate) max_key_bytes: usize,
    pub(crate) max_keys: usize,
    pub(crate) flash: FlashPolicy,
    pub(crate) keyed_secret: Option<Secret>,
    /// The ring that seals cookies, and records at rest.
    #[serde(deserialize_with = "keys::sources")]
    pub(crate) keys: Vec<KeySource>,
    /// Which application seals: what another one sealed under the same key opens in none.
    pub(crate) application: String,
    pub(crate) at_rest: AtRestPolicy,
}

/// Whether server-side drivers keep records sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AtRestPolicy {
    Plain,
    /// Plain records are read, and sealed at the next commit.
    Sealed,
    /// Plain records are refused: else whoever can write to the storage could put one there.
    SealedOnly,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            url: None,
            default: String::new(),
            drivers: BTreeMap::new(),
            cookie: CookieConfig::default(),
            idle_timeout_s: 7200,
            absolute_timeout_s: 2_592_000,
            new_idle_timeout_s: 600,
            touch_after: 0.1,
            max_record_bytes: 1 << 20,
            max_key_bytes: 255,
            max_keys: 4096,
            flash: FlashPolicy::NextRequest,
            keyed_secret: None,
            keys: Vec::new(),
            application: String::new(),
            at_rest: AtRestPolicy::Plain,
        }
    }
}

/// The session cookie.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CookieConfig {
    /// None: `__Host-sid` where its rules hold, else `sid`.
    pub(crate) name: Option<String>,
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) secure: Secure,
    pub(crate) http_only: bool,
    pub(crate) same_site: SameSite,
    pub(crate) partitioned: bool,
    pub(crate) persistent: bool,
}

impl Default for CookieConfig {
    fn default() -> CookieConfig {
        CookieConfig {
            name: None,
            path: "/".into(),
            domain: None,
            secure: Secure::Always,
            http_only: true,
            same_site: SameSite::Lax,
            partitioned: false,
            persistent: false,
        }
    }
}

/// `true`, `false` or `"auto"`: as the request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secure {
    Always,
    Never,
    Auto,
}

impl Serialize for Secure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Secure::Always => serializer.serialize_bool(true),
            Secure::Never => serializer.serialize_bool(false),
            Secure::Auto => serializer.serialize_str("auto"),
        }
    }
}

impl<'de> Deserialize<'de> for Secure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secure, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected true, false or \"auto\"")]
        enum Written {
            Switch(bool),
            Word(Auto),
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Auto {
            Auto,
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Switch(true) => Secure::Always,
            Written::Switch(false) => Secure::Never,
            Written::Word(Auto::Auto) => Secure::Auto,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SameSite {
    Lax,
    Strict,
    None,
}

/// At least 32 secret bytes, written as base64url. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("..")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        // Whatever stands there is taken for a secret: no message quotes it.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Other(serde::de::IgnoredAny),
        }
        let secret = match Written::deserialize(deserializer)? {
            Written::Text(text) => id::decode_secret(&text),
            Written::Other(_) => None,
        };
        secret.map(Secret).ok_or_else(|| {
            serde::de::Error::custom("expected at least 32 random bytes as base64url without padding (43 characters)")
        })
    }
}

impl Config {
    /// Reads a JSON document (it begins with `{`) or a URL, and checks all of it.
    pub(crate) fn read(text: &str) -> Result<Config> {
        let is_document = text.trim_start().starts_with('{');
        let mut config =
            if is_document { Config::from_json(text)? } else { Config { url: Some(text.into()), ..Config::default() } };
        if let Some(url) = config.url.take() {
            if !config.drivers.is_empty() || !config.default.is_empty() {
                return Err(Error::config("url", "stands in place of `default` and `drivers`, not beside them"));
            }
            let (name, driver) = DriverConfig::from_url(&url)?;
            config.drivers.insert(name.into(), driver);
        }
        if config.default.is_empty()
            && let (Some(only), 1) = (config.drivers.keys().next(), config.drivers.len())
        {
            config.default = only.clone();
        }
        config.check()?;
        Ok(config)
    }

    fn from_json(text: &str) -> Result<Config> {
        // A field written twice is refused everywhere, also where a map would silently take the last.
        json::checked("config", text, usize::MAX).map_err(|error| Error::config(".", error.message()))?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let config = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| Error::config(&error.path().to_string(), error.into_inner()))?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        if self.drivers.is_empty() {
            return Err(Error::config("drivers", "name at least one, as {\"main\": {\"type\": \"memory\"}}"));
        }
        for name in self.drivers.keys() {
            let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if name.is_empty() || !name.chars().all(word) {
                return Err(Error::config("drivers", format!("the name {name:?} may only have a-z, 0-9 and _")));
            }
        }
        if self.default.is_empty() {
            return Err(Error::config("default", "say which of the drivers it is"));
        }
        if !self.drivers.contains_key(&self.default) {
            return Err(Error::config("default", format!("there is no driver {:?} in `drivers`", self.default)));
        }
        for (field, seconds) in [
            ("idle_timeout_s", self.idle_timeout_s),
            ("absolute_timeout_s", self.absolute_timeout_s),
            ("new_idle_timeout_s", self.new_idle_timeout_s),
        ] {
            within(field, seconds, 1, MAX_TIMEOUT_S)?;
        }
        if !(0.0..=1.0).contains(&self.touch_after) {
            return Err(Error::config("touch_after", format!("between 0 and 1, this is {}", self.touch_after)));
        }
        within("max_key_bytes", self.max_key_bytes, 1, usize::from(u16::MAX))?;
        within("max_keys", self.max_keys, 1, 1 << 20)?;
        within("max_record_bytes", self.max_record_bytes, record::HEAD_BYTES + 1024, MAX_MAX_RECORD_BYTES)?;
        self.cookie.check()?;
        for (name, driver) in &self.drivers {
            driver.check(name, self.max_record_bytes)?;
            self.check_sealing(name, driver)?;
            self.check_room(name, driver)?;
        }
        Ok(())
    }

    /// Refuses a cookie that has no room for any session, or could not be removed.
    fn check_room(&self, name: &str, driver: &DriverConfig) -> Result<()> {
        let cookie = self.cookie_of(name);
        let (shortest, unpadded, removal) = match driver.cookie() {
            None => (TOKEN_BYTES, TOKEN_BYTES, cookie.removal(true).len()),
            Some(options) => {
                let (shortest, unpadded) = options.least_token_chars(record::HEAD_BYTES);
                (shortest, unpadded, cookie.longest_removal())
            }
        };
        if removal > MAX_SET_COOKIE_BYTES {
            let reason = format!("a Set-Cookie line of {removal} bytes, browsers keep {MAX_SET_COOKIE_BYTES}");
            return Err(Error::config("cookie", reason));
        }
        let room = cookie.least_room_in_parts();
        if shortest > room {
            let reason = format!(
                "the shortest token has {shortest} characters, and {room} have room: browsers keep {MAX_SET_COOKIE_BYTES} bytes of a Set-Cookie line"
            );
            let padding = format!("drivers.{name}.pad_to");
            return Err(Error::config(if unpadded > room { "cookie" } else { &padding }, reason));
        }
        Ok(())
    }

    /// What a driver needs of the document beside its own options.
    fn check_sealing(&self, name: &str, driver: &DriverConfig) -> Result<()> {
        let missing = |who: String| {
            Err(Error::config("keys", format!("{who} needs one; make it with `openssl rand -base64 32`")))
        };
        let Some(cookie) = driver.cookie() else {
            return match self.at_rest {
                AtRestPolicy::Sealed | AtRestPolicy::SealedOnly if self.keys.is_empty() => missing("`at_rest`".into()),
                _ => Ok(()),
            };
        };
        if self.keys.is_empty() {
            return missing(format!("the cookie driver `{name}`"));
        }
        within(&format!("drivers.{name}.max_parts"), cookie.max_parts(), 2, MAX_PARTS)?;
        let Some(spill_to) = cookie.spill_to() else { return Ok(()) };
        match self.drivers.get(spill_to) {
            Some(driver) if driver.cookie().is_none() => Ok(()),
            _ => {
                let reason = format!("{spill_to:?} is no server-side driver in `drivers`");
                Err(Error::config(&format!("drivers.{name}.spill_to"), reason))
            }
        }
    }

    /// The cookie of a driver. Each driver but the default has a cookie of its own, or two sessions in one response would
    /// overwrite each other.
    pub(crate) fn cookie_of(&self, driver: &str) -> Cookie {
        let name = self.cookie.name();
        let name = if driver == self.default { name.to_owned() } else { format!("{name}-{driver}") };
        Cookie::new(&self.cookie, name, self.drivers[driver].cookie().map_or(1, |cookie| cookie.parts()))
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        Timeouts { idle_ms: self.idle_timeout_s * 1000, absolute_ms: self.absolute_timeout_s * 1000 }
    }
}

/// Refuses a number outside of its bounds, naming field, bounds and number.
pub(crate) fn within<N: PartialOrd + fmt::Display>(field: &str, number: N, least: N, most: N) -> Result<()> {
    if number < least || number > most {
        return Err(Error::config(field, format!("between {least} and {most}, this is {number}")));
    }
    Ok(())
}

/// Reads a timeout of one session, in seconds. None is "as configured".
pub(crate) fn timeout_ms(what: &str, seconds: Option<u64>) -> Result<u64> {
    match seconds {
        None => Ok(0),
        Some(seconds @ 1..=MAX_TIMEOUT_S) => Ok(seconds * 1000),
        Some(seconds) => {
            Err(Error::argument(format!("{what}: between 1 and {MAX_TIMEOUT_S} seconds, this is {seconds}")))
        }
    }
}

impl CookieConfig {
    fn name(&self) -> &str {
        match &self.name {
            Some(name) => name,
            // The rules of __Host-: Secure, Path=/, no Domain (RFC 6265bis, section 4.1.3.2).
            None if self.secure == Secure::Always && self.path == "/" && self.domain.is_none() => "__Host-sid",
            None => "sid",
        }
    }

    fn check(&self) -> Result<()> {
        let name = self.name();
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(token) {
            return Err(Error::config(
                "cookie.name",
                "letters, digits and !#$%&'*+-.^_`|~ only (RFC 6265, section 4.1.1)",
            ));
        }
        // Browsers take spaces off the end (RFC 6265, section 5.2), so that the cookie would belong to another path.
        let in_a_path = |c: char| c == ' ' || c.is_ascii_graphic() && c != ';';
        if !self.path.starts_with('/') || self.path.ends_with(' ') || !self.path.chars().all(in_a_path) {
            return Err(Error::config(
                "cookie.path",
                "begins with /, does not end with a space, and has no control characters, no ; and only ASCII",
            ));
        }
        if let Some(domain) = &self.domain {
            let letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            if domain.is_empty() || !domain.chars().all(letter) {
                return Err(Error::config("cookie.domain", "letters, digits, - and . only"));
            }
        }
        let lower = name.to_ascii_lowercase();
        let always_secure = self.secure == Secure::Always;
        // Browsers compare the prefixes without regard to case and drop a cookie that breaks its prefix's rules.
        if lower.starts_with("__host-") {
            if !always_secure {
                return Err(Error::config(
                    "cookie.secure",
                    "a __Host- cookie must be Secure: true, not false or \"auto\"",
                ));
            }
            if self.path != "/" {
                return Err(Error::config("cookie.path", "a __Host- cookie must have the path /"));
            }
            if self.domain.is_some() {
                return Err(Error::config("cookie.domain", "a __Host- cookie must have none"));
            }
        }
        if lower.starts_with("__secure-") && !always_secure {
            return Err(Error::config(
                "cookie.secure",
                "a __Secure- cookie must be Secure: true, not false or \"auto\"",
            ));
        }
        if lower.starts_with("__http-") || lower.starts_with("__hosthttp-") {
            return Err(Error::config("cookie.name", "the prefixes __Http- and __HostHttp- are not supported"));
        }
        if self.same_site == SameSite::None && !always_secure {
            return Err(Error::config("cookie.same_site", "browsers drop SameSite=None unless secure is true"));
        }
        if self.partitioned && !always_secure {
            return Err(Error::config("cookie.partitioned", "browsers drop Partitioned unless secure is true"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn refused(text: &str) -> String {
        let error = Config::read(text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{text}");
        error.to_string()
    }

    fn with_cookie(cookie: &str) -> String {
        format!(r#"{{"drivers":{{"main":{{"type":"memory"}}}},"cookie":{cookie}}}"#)
    }

    #[test]
    fn every_refusal_names_the_field() {
        for (text, field) in [
            (r#"{"drivers":{"m":{"type":"memory"}},"idle_timeout":1}"#, "idle_timeout"),
            (r#"{"drivers":{"m":{"type":"memory","max_byte":1}}}"#, "max_byte"),
            (r#"{"drivers":{"m":{"type":"memcached"}}}"#, "drivers.m"),
            (r#"{"drivers":{"m":{"type":"file"}}}"#, "path"),
            (r#"{"drivers":{"m":{"type":"memory"}},"idle_timeout_s":0}"#, "idle_timeout_s"),
            (r#"{"drivers":{"m":{"type":"memory"}},"idle_timeout_s":-1}"#, "idle_timeout_s"),
            (r#"{"drivers":{"m":{"type":"memory"}},"idle_timeout_s":1e30}"#, "idle_timeout_s"),
            (r#"{"drivers":{"m":{"type":"memory"}},"touch_after":1.5}"#, "touch_after"),
            (r#"{"drivers":{"m":{"type":"memory"}},"max_key_bytes":65536}"#, "max_key_bytes"),
            (r#"{"drivers":{"m":{"type":"memory"}},"max_record_bytes":10}"#, "max_record_bytes"),
            (r#"{"drivers":{"m":{"type":"memory"}},"flash":"never"}"#, "flash"),
            (r#"{"drivers":{"m":{"type":"memory"}},"keyed_secret":"short"}"#, "keyed_secret"),
            (r#"{"drivers":{"m":{"type":"memory"}},"default":"n"}"#, "default"),
            (r#"{"drivers":{"a":{"type":"memory"},"b":{"type":"memory"}}}"#, "default"),
            (r#"{"drivers":{"A b":{"type":"memory"}}}"#, "drivers"),
            (r#"{}"#, "drivers"),
            (r#"{"url":"memory:","drivers":{"m":{"type":"memory"}}}"#, "url"),
            (r#"{"url":"memory:","default":"memory"}"#, "url"),
            (r#"{"url":"redis:"}"#, "url"),
            (r#"{"drivers":{"m":{"type":"memory"}}} x"#, "."),
            (r#"{"drivers":{"m":{"type":"memory"},"m":{"type":"memory"}}}"#, "same name twice"),
        ] {
            assert!(refused(text).contains(field), "{text}: {}", refused(text));
        }
    }

    #[test]
    fn the_rules_of_the_cookie_are_checked_when_it_is_read() {
        for (cookie, field) in [
            (r#"{"name":"__Host-s","secure":false}"#, "cookie.secure"),
            (r#"{"name":"__host-s","secure":"auto"}"#, "cookie.secure"),
            (r#"{"name":"__Host-s","path":"/app"}"#, "cookie.path"),
            (r#"{"name":"__Host-s","domain":"example.org"}"#, "cookie.domain"),
            (r#"{"name":"__Secure-s","secure":"auto"}"#, "cookie.secure"),
            (r#"{"same_site":"none","secure":false}"#, "cookie.same_site"),
            (r#"{"partitioned":true,"secure":"auto"}"#, "cookie.partitioned"),
            (r#"{"name":"a;b"}"#, "cookie.name"),
            (r#"{"name":"a,b"}"#, "cookie.name"),
            (r#"{"name":"a=b"}"#, "cookie.name"),
            (r#"{"name":"a\r\nb"}"#, "cookie.name"),
            (r#"{"name":""}"#, "cookie.name"),
            (r#"{"path":"app"}"#, "cookie.path"),
            (r#"{"path":"/a;b"}"#, "cookie.path"),
            (r#"{"path":"/a\nb"}"#, "cookie.path"),
            (r#"{"path":"/a "}"#, "cookie.path"),
            (r#"{"domain":"a;b"}"#, "cookie.domain"),
            (r#"{"secure":"always"}"#, "cookie.secure"),
            (r#"{"same_site":"Lax"}"#, "cookie.same_site"),
        ] {
            let message = refused(&with_cookie(cookie));
            assert!(message.contains(field), "{cookie}: {message}");
        }
    }

    #[test]
    fn a_cookie_line_that_cannot_fit_is_refused_with_sizes() {
        let message = refused(&with_cookie(&format!(r#"{{"path":"/{}"}}"#, "a".repeat(4096))));
        assert!(message.contains("4096") && message.contains("cookie"), "{message}");
    }

    #[test]
    fn a_cookie_driver_that_could_keep_no_session_is_refused() {
        let key = keys::generate_key().expect("random");
        let checked = |options: &str, cookie: String| {
            Config::read(&format!(
                r#"{{"drivers":{{"m":{{"type":"cookie"{options}}},"s":{{"type":"memory"}}}},"default":"m","keys":["{key}"],"cookie":{cookie}}}"#
            ))
        };
        let with_path = |chars: usize| format!(r#"{{"path":"/{}","name":"sid"}}"#, "a".repeat(chars));

        // A token is a multiple of 4096 bytes then, which has no room in one cookie. It has in several.
        for overflow in ["", r#","overflow":"spill","spill_to":"s""#] {
            let error = checked(&format!(r#","pad_to":4096{overflow}"#), "{}".into()).expect_err(overflow);
            assert!(error.message().contains("drivers.m.pad_to"), "{error}");
            assert!(checked(&format!(r#","pad_to":1024{overflow}"#), "{}".into()).is_ok());
        }
        assert!(checked(r#","pad_to":4096,"overflow":"chunk""#, "{}".into()).is_ok());

        // Every character counts: a record without a value takes 136 bytes, a reference 32, and what is round them 83.
        for (overflow, needed) in [("", 292), (r#","overflow":"spill","spill_to":"s""#, 154)] {
            let fits = |path: usize| checked(overflow, with_path(path)).is_ok();
            let line = "sid=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=1000000000".len() + needed;
            assert!(fits(4096 - line) && !fits(4096 - line + 1), "{overflow}");
        }
    }

    #[test]
    fn the_name_is_the_strictest_whose_rules_hold() {
        let name = |cookie: &str| Config::read(&with_cookie(cookie)).expect(cookie).cookie_of("main").name;
        assert_eq!(name("{}"), "__Host-sid");
        assert_eq!(name(r#"{"secure":false}"#), "sid");
        assert_eq!(name(r#"{"secure":"auto"}"#), "sid");
        assert_eq!(name(r#"{"path":"/app"}"#), "sid");
    }

    #[test]
    fn urls_name_a_driver() {
        assert_eq!(Config::read("memory:").expect("memory").default, "memory");
        assert_eq!(Config::read("file:///var/lib/a%20b").expect("file").default, "file");
        let with_fields = Config::read(r#"{"url":"memory:","idle_timeout_s":600}"#).expect("a URL among fields");
        assert_eq!((with_fields.default.as_str(), with_fields.idle_timeout_s), ("memory", 600));
        for bad in [
            "",
            "memory",
            "memory:x",
            "file:relative",
            "file://host/x",
            "file:",
            "http://x",
            "file:///a?durability=commit",
        ] {
            assert!(refused(bad).contains("url"), "{bad}: {}", refused(bad));
        }
    }

    #[test]
    fn no_secret_is_printed() {
        let text = format!(r#"{{"drivers":{{"m":{{"type":"memory"}}}},"keyed_secret":"{}"}}"#, "A".repeat(43));
        let config = Config::read(&text).expect("valid");
        assert!(!format!("{config:?}").contains("AAAA"));
        assert!(!serde_json::to_string(&config).expect("serializable").contains("AAAA"));
    }

    #[test]
    fn no_message_quotes_a_key_wherever_it_was_written() {
        for keys in [r#""SECRET""#, r#"[["SECRET"]]"#, r#"{"a":"SECRET"}"#, r#"[{"file":["SECRET"]}]"#, r#"["SECRET"]"#]
        {
            let text = format!(r#"{{"url":"cookie:","keys":{keys}}}"#);
            let said = match Config::read(&text) {
                Ok(config) => keys::ring(&config.keys).expect_err(keys).to_string(),
                Err(error) => error.to_string(),
            };
            assert!(said.contains("keys") && !said.contains("SECRET"), "{keys}: {said}");
        }
    }
}
