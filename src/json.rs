//! Values: JSON text, checked once and then kept as it is.
//!
//! This is the only place that decides what a value may be: depth, lone surrogates, numbers out of range, duplicate
//! names, size. A value is never parsed into a tree to store, load or merge it. Knows nothing of keys or sessions.

use crate::error::{Error, Result};
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;

/// How deep arrays and objects may nest: `[[1]]` is 2 deep. Every reader recurses, so the bound is what keeps a
/// hostile value from exhausting somebody's stack.
pub const MAX_DEPTH: usize = 128;

/// Checks a value and gives it back without surrounding white space. `key` only names it in the error.
pub(crate) fn checked<'a>(key: &str, text: &'a str, max_bytes: usize) -> Result<&'a str> {
    checked_to(MAX_DEPTH, key, text, max_bytes)
}

/// Checks a value that goes into an array: it may be one less deep.
pub(crate) fn checked_element<'a>(key: &str, text: &'a str, max_bytes: usize) -> Result<&'a str> {
    checked_to(MAX_DEPTH - 1, key, text, max_bytes)
}

fn checked_to<'a>(depth_left: usize, key: &str, text: &'a str, max_bytes: usize) -> Result<&'a str> {
    if text.len() > max_bytes {
        return Err(Error::too_large(&format!("the value of {key:?} in bytes"), max_bytes, text.len()));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    // serde_json's own depth limit is off by one from ours and cannot be set; `Check` counts instead.
    reader.disable_recursion_limit();
    Check { depth_left }
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .map_err(|error| Error::value(format!("the value of {key:?} is not JSON as it is kept here: {error}")))?;
    Ok(text.trim_matches([' ', '\t', '\n', '\r']))
}

/// Visits a value and keeps nothing of it. Numbers out of the range of a double and lone surrogates are already
/// refused by the reader; integers of more than 64 bits pass, because the text is kept.
struct Check {
    depth_left: usize,
}

impl Check {
    fn deeper<E: serde::de::Error>(&self) -> Result<Check, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Check { depth_left }),
            None => Err(E::custom(format_args!("nested more than {MAX_DEPTH} deep"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Check {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(self.deeper()?)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        // Names are compared as they read, not as they are written: "a" and "\u0061" are one name. Which of two
        // values a reader takes differs from language to language, so neither is kept.
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value_seed(self.deeper()?)?;
            if !names.insert(name) {
                return Err(serde::de::Error::custom("an object has the same name twice"));
            }
        }
        // An empty object nests as deep as a full one.
        self.deeper().map(|_| ())
    }
}

/// The integer a value is. None for any other value, a float among them, and beyond 64 bits.
pub(crate) fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Whether a value is an array.
pub(crate) fn is_array(text: &str) -> bool {
    text.starts_with('[')
}

/// An array with more elements at its end. None when `array` is not one.
pub(crate) fn pushed<'a>(array: &str, elements: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut text = array.strip_prefix('[')?.strip_suffix(']')?.trim_end_matches([' ', '\t', '\n', '\r']).to_owned();
    let mut first = text.is_empty();
    for element in elements {
        if !first {
            text.push(',');
        }
        text.push_str(element);
        first = false;
    }
    Some(format!("[{text}]"))
}

/// The elements that `new` has after all those of `old`. None unless both are arrays and `old` begins `new`.
pub(crate) fn appended<'a>(old: &str, new: &'a str) -> Option<Vec<&'a str>> {
    let old: Vec<&RawValue> = is_array(old).then(|| serde_json::from_str(old).ok())??;
    let new: Vec<&RawValue> = is_array(new).then(|| serde_json::from_str(new).ok())??;
    let begins = new.len() >= old.len() && old.iter().zip(&new).all(|(a, b)| a.get() == b.get());
    begins.then(|| new[old.len()..].iter().map(|element| element.get()).collect())
}

/// A JSON string of a Rust one.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("any string can be written as JSON")
}

/// The Rust string of a JSON one. None for any other value.
pub(crate) fn unquoted(text: &str) -> Option<String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    struct Text;
    impl Visitor<'_> for Text {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }
        fn visit_str<E>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
    }
    reader.deserialize_str(Text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ok(text: &str) -> bool {
        checked("k", text, 1 << 20).is_ok()
    }

    #[test]
    fn depth_128_is_kept_and_129_is_refused() {
        for (open, close, inner) in [("[", "]", ""), ("{\"a\":", "}", "{}")] {
            let depth = |n: usize| {
                let n = if inner.is_empty() { n } else { n - 1 };
                format!("{}{inner}{}", open.repeat(n), close.repeat(n))
            };
            assert!(ok(&depth(128)), "{open}");
            assert!(!ok(&depth(129)), "{open}");
        }
        assert!(!ok(&"[".repeat(100_000)));
    }

    #[test]
    fn what_json_leaves_open_is_decided_here() {
        for good in
            ["null", "0", "-0", "1.5e300", "123456789012345678901234567890", r#""\ud83d\ude00""#, " [1, 2] ", "{}"]
        {
            assert!(ok(good), "{good}");
        }
        for bad in [
            "",
            " ",
            "nul",
            "NaN",
            "1e999",
            "01",
            "+1",
            ".5",
            "'a'",
            r#""\ud800""#,
            r#""\udc00x""#,
            "\"\u{1}\"",
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"x":{"b":1,"b":1}}]"#,
            "1 2",
            "[1,]",
            "{\"a\":1,}",
        ] {
            assert!(!ok(bad), "{bad}");
        }
    }

    #[test]
    fn surrounding_white_space_goes_and_inner_stays() {
        assert_eq!(checked("k", " \n[1, 2]\t", 100).expect("valid"), "[1, 2]");
    }

    #[test]
    fn a_value_over_the_limit_names_key_limit_and_size() {
        let error = checked("k", "\"abc\"", 4).expect_err("5 bytes");
        assert_eq!(error.message(), "the value of \"k\" in bytes: the limit is 4, this is 5");
    }

    #[test]
    fn pushing_works_on_text() {
        assert_eq!(pushed("[]", ["1"]).as_deref(), Some("[1]"));
        assert_eq!(pushed("[ ]", ["1", "\"a\""]).as_deref(), Some("[1,\"a\"]"));
        assert_eq!(pushed("[1 ]", ["[2]"]).as_deref(), Some("[1,[2]]"));
        assert_eq!(pushed("{}", ["1"]), None);
        assert_eq!(pushed("[1]", []).as_deref(), Some("[1]"));
    }

    #[test]
    fn appended_sees_elements_not_characters() {
        assert_eq!(appended("[1]", "[1, 2,3]"), Some(vec!["2", "3"]));
        assert_eq!(appended("[1]", "[10]"), None);
        assert_eq!(appended("[]", "[]"), Some(vec![]));
        assert_eq!(appended("[1,2]", "[1]"), None);
        assert_eq!(appended("{}", "[1]"), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_in_nothing_panics(text in ".*") {
            let _ = checked("k", &text, 1 << 16);
            let _ = pushed(&text, ["1"]);
            let _ = appended(&text, &text);
        }

        #[test]
        fn strings_survive_quoting(text in any::<String>()) {
            prop_assert_eq!(unquoted(&quoted(&text)), Some(text));
        }
    }
}
