//! Keys: the ring that seals, and where each of its keys is written.
//!
//! A key is 32 random bytes in base64. The first of a ring seals, all of them open, so that a new key is put in front and the old
//! one taken out when nothing is under it any more. What can be guessed is refused. Nothing here prints a key.

use crate::error::{Error, Result};
use crate::id::random_bytes;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// How many keys a ring holds: a token is tried under each of them.
pub(crate) const MAX_KEYS: usize = 8;
/// 32 random bytes hold 30 different ones on average, and fewer than 16 once in 10^21 draws.
const LEAST_DIFFERENT_BYTES: usize = 16;
/// A key file is one line. Reading stops here, whatever it is.
const MAX_FILE_BYTES: u64 = 1024;
const HOW: &str = "expected 32 random bytes in base64; make a key with `openssl rand -base64 32`";

/// Makes a key: 32 bytes of the operating system's random source as 43 characters of base64url, for `keys` in the
/// configuration. A secret: whoever has it can make himself any session.
///
/// ```
/// # fn main() -> holdall::Result<()> {
/// let key = holdall::generate_key()?;
/// let manager = holdall::Manager::new(&format!(
///     r#"{{"drivers": {{"main": {{"type": "cookie"}}}}, "keys": ["{key}"]}}"#
/// ))?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// `unavailable` where the system has no random bytes.
pub fn generate_key() -> Result<String> {
    Ok(base64_simd::URL_SAFE_NO_PAD.encode_to_string(random_bytes::<32>()?))
}

/// The 32 bytes of a key. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) [u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// Reads base64 of either alphabet, padded or not.
    fn read(text: &str) -> std::result::Result<Key, String> {
        let text = text.trim_ascii();
        let bare = text.strip_suffix('=').unwrap_or(text);
        let decoded = base64_simd::URL_SAFE_NO_PAD
            .decode_to_vec(bare)
            .or_else(|_| base64_simd::STANDARD_NO_PAD.decode_to_vec(bare))
            .map_err(|_| format!("this is no base64; {HOW}"))?;
        let size = decoded.len();
        let key: [u8; 32] = decoded.try_into().map_err(|_| format!("this is {size} bytes; {HOW}"))?;
        let mut different = key;
        different.sort_unstable();
        let repeats = different.windows(2).filter(|pair| pair[0] == pair[1]).count();
        // A sentence or hexadecimal digits in base64 look like a key: all 32 bytes can be typed. Chance does that once in 10^13.
        let typed = key.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        // 0, 1, 2 and so on: the key of every second example, also of these documents.
        let counts = key.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == key[1].wrapping_sub(key[0]));
        if typed || counts || key.len() - repeats < LEAST_DIFFERENT_BYTES {
            return Err(format!("this can be guessed, it is not random; {HOW}"));
        }
        Ok(Key(key))
    }
}

/// Where a key is written: in the document, in a file, in a variable of the environment.
#[derive(Clone)]
pub(crate) enum KeySource {
    Text(String),
    File(String),
    Env(String),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::Text(_) => f.write_str("Text(..)"),
            KeySource::File(path) => write!(f, "File({path:?})"),
            KeySource::Env(name) => write!(f, "Env({name:?})"),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Elsewhere {
    File(String),
    Env(String),
}

impl Serialize for KeySource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            KeySource::Text(_) => serializer.serialize_str(".."),
            KeySource::File(path) => Elsewhere::File(path.clone()).serialize(serializer),
            KeySource::Env(name) => Elsewhere::Env(name.clone()).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for KeySource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KeySource, D::Error> {
        // Whatever stands there is taken for a key: no message quotes it.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Elsewhere(Elsewhere),
            Other(serde::de::IgnoredAny),
        }
        match Written::deserialize(deserializer)? {
            Written::Text(text) => Ok(KeySource::Text(text)),
            Written::Elsewhere(Elsewhere::File(path)) => Ok(KeySource::File(path)),
            Written::Elsewhere(Elsewhere::Env(name)) => Ok(KeySource::Env(name)),
            Written::Other(_) => {
                Err(serde::de::Error::custom("expected a key in base64, {\"file\": \"/path\"} or {\"env\": \"NAME\"}"))
            }
        }
    }
}

/// Reads the field `keys`.
pub(crate) fn sources<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<KeySource>, D::Error> {
    struct List;

    impl<'de> Visitor<'de> for List {
        type Value = Vec<KeySource>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of keys")
        }

        // Who forgets the brackets has written a key here, and serde's own message would quote it.
        fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Vec<KeySource>, E> {
            Err(E::custom("expected a list of keys, this is a text"))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<KeySource>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(list))
        }
    }

    deserializer.deserialize_any(List)
}

impl KeySource {
    fn key(&self, field: &str) -> Result<Key> {
        match self {
            KeySource::Text(text) => Key::read(text).map_err(|why| Error::config(field, why)),
            KeySource::File(path) => {
                use std::io::Read as _;
                let mut text = String::new();
                let read =
                    std::fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text));
                read.map_err(|error| Error::config(field, format!("the file {path:?} cannot be read: {error}")))?;
                Key::read(&text).map_err(|why| Error::config(field, format!("in the file {path:?}: {why}")))
            }
            KeySource::Env(name) => {
                let text = std::env::var(name)
                    .map_err(|_| Error::config(field, format!("the variable {name:?} is not set, or is not text")))?;
                Key::read(&text).map_err(|why| Error::config(field, format!("in the variable {name:?}: {why}")))
            }
        }
    }
}

/// Reads all keys of a ring, in their order.
pub(crate) fn ring(sources: &[KeySource]) -> Result<Vec<Key>> {
    if sources.len() > MAX_KEYS {
        return Err(Error::config("keys", format!("at most {MAX_KEYS}, these are {}", sources.len())));
    }
    let mut keys: Vec<Key> = Vec::with_capacity(sources.len());
    for (index, source) in sources.iter().enumerate() {
        let field = format!("keys[{index}]");
        let key = source.key(&field)?;
        if let Some(twin) = keys.iter().position(|known| *known == key) {
            return Err(Error::config(&field, format!("is the same key as `keys[{twin}]`")));
        }
        keys.push(key);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        ring(&[KeySource::Text(text.into())]).expect_err(text).to_string()
    }

    #[test]
    fn a_generated_key_is_taken_in_every_form_of_base64() {
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            // Both alphabets differ in these: 0xfb, 0xff and their like.
            *byte = 255 - u8::try_from(index * index / 4).expect("small");
        }
        for text in [
            generate_key().expect("random"),
            base64_simd::STANDARD.encode_to_string(bytes),
            base64_simd::URL_SAFE.encode_to_string(bytes),
            format!("  {}\n", base64_simd::STANDARD_NO_PAD.encode_to_string(bytes)),
        ] {
            assert_eq!(ring(&[KeySource::Text(text.clone())]).expect("a key").len(), 1, "{text}");
        }
        assert_ne!(generate_key().expect("random"), generate_key().expect("random"));
    }

    #[test]
    fn what_can_be_guessed_is_refused_with_the_command_that_makes_a_key() {
        let counting = |step: u8| -> Vec<u8> { (0..32u8).map(|index| index.wrapping_mul(step)).collect() };
        let hex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
        for text in [
            "",
            "secret",
            "correct horse battery staple",
            hex,
            &hex[..32],
            &base64_simd::STANDARD.encode_to_string(&hex[..32]),
            &base64_simd::STANDARD.encode_to_string("a password of 32 characters, it!"),
            &base64_simd::STANDARD.encode_to_string([0; 32]),
            &base64_simd::STANDARD.encode_to_string([1, 2, 3, 4, 5, 6, 7, 8].repeat(4)),
            &base64_simd::STANDARD.encode_to_string(counting(1)),
            &base64_simd::STANDARD.encode_to_string(counting(249)),
            &base64_simd::STANDARD.encode_to_string([7; 31]),
            &base64_simd::STANDARD.encode_to_string([7; 33]),
        ] {
            let said = refusal(text);
            assert!(said.contains("keys[0]") && said.contains("openssl rand -base64 32"), "{said}");
            assert!(text.is_empty() || !said.contains(text), "the message quotes the key: {said}");
        }
    }

    #[test]
    fn keys_come_from_files_and_variables_too() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key").display().to_string();
        let text = generate_key().expect("random");
        std::fs::write(&path, format!("{text}\n")).expect("written");

        let both = [KeySource::File(path.clone()), KeySource::Text(text.clone())];
        let said = ring(&both).expect_err("twice the same").to_string();
        assert!(said.contains("keys[1]") && said.contains("keys[0]") && !said.contains(&text), "{said}");
        assert_eq!(ring(&both[..1]).expect("a key"), ring(&both[1..]).expect("a key"));

        std::fs::write(&path, "short").expect("written");
        assert!(ring(&both[..1]).expect_err("no key").to_string().contains(&path));
        let missing = KeySource::File(format!("{path}.no"));
        assert!(ring(&[missing]).expect_err("no file").to_string().contains("cannot be read"));
        let unset = KeySource::Env("HOLDALL_TEST_NO_SUCH_VARIABLE".into());
        assert!(ring(&[unset]).expect_err("not set").to_string().contains("HOLDALL_TEST_NO_SUCH_VARIABLE"));
    }

    #[test]
    fn nothing_prints_a_key() {
        let text = generate_key().expect("random");
        let source = KeySource::Text(text.clone());
        assert_eq!(format!("{source:?}"), "Text(..)");
        assert_eq!(serde_json::to_string(&source).expect("json"), "\"..\"");
        assert_eq!(format!("{:?}", source.key("keys[0]").expect("a key")), "Key(..)");
    }
}
