//! Any text as configuration: refused naming the field, or a manager that works and shows a configuration it would read
//! again.

use crate::allowed;
use holdall::{ErrorKind, MAX_SET_COOKIE_BYTES, Manager};
use serde_json::Value;
use std::cell::LazyCell;
use std::path::Path;

/// What stands in the corpus for the temporary directory of this process.
const ROOT: &str = "/ROOT";

thread_local! {
    static DIRECTORY: LazyCell<tempfile::TempDir> = LazyCell::new(|| tempfile::tempdir().expect("a directory"));
}

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    DIRECTORY.with(|root| {
        let text = text.replace(ROOT, root.path().to_str().expect("UTF-8"));
        if !is_harmless(&text, root.path()) {
            return;
        }
        check(&text);
        for entry in std::fs::read_dir(root.path()).expect("a directory") {
            let path = entry.expect("an entry").path();
            let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        }
    });
}

/// Whether the text opens no directory outside of `root`: the file driver makes what it is told to.
pub(crate) fn is_harmless(text: &str, root: &Path) -> bool {
    let inside = |path: &Path| path.starts_with(root) && !path.components().any(|part| part.as_os_str() == "..");
    if let Some(rest) = text.strip_prefix("file://") {
        let decoded = percent_decoded(rest.as_bytes());
        return String::from_utf8(decoded).is_ok_and(|path| inside(Path::new(&path)));
    }
    // The engine refuses what is not JSON, and everything this deep, before it opens anything.
    if text.matches(['[', '{']).count() > 1000 {
        return false;
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit();
    let Ok(document) = <Value as serde::Deserialize>::deserialize(&mut reader) else { return true };
    let drivers = document.get("drivers").and_then(Value::as_object);
    let paths = drivers.into_iter().flatten().filter_map(|(_, driver)| driver.get("path")?.as_str());
    paths.map(Path::new).all(|path| path.as_os_str().is_empty() || inside(path))
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| (*byte as char).to_digit(16));
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < text.len() {
        match (text[at], digit(text.get(at + 1)), digit(text.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).expect("two digits"));
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

fn check(text: &str) {
    let secret = serde_json::from_str::<Value>(text)
        .ok()
        .and_then(|document| Some(document.get("keyed_secret")?.as_str()?.to_owned()))
        .filter(|secret| secret.len() >= 40);
    let manager = match Manager::new(text) {
        Ok(manager) => manager,
        Err(error) => {
            allowed(&error, &[ErrorKind::InvalidConfig, ErrorKind::Unavailable]);
            let message = error.to_string();
            assert!(error.kind() != ErrorKind::InvalidConfig || message.contains('`'), "names no field: {message}");
            assert!(!secret.is_some_and(|secret| message.contains(&secret)), "quotes the secret: {message}");
            return;
        }
    };
    let shown = manager.config();
    assert!(!secret.is_some_and(|secret| shown.contains(&secret)), "shows the secret");
    let mut document: Value = serde_json::from_str(&shown).expect("a JSON document");
    document["keyed_secret"] = Value::Null;
    let again = Manager::new(&document.to_string()).expect("its own configuration").config();
    let mut again: Value = serde_json::from_str(&again).expect("a JSON document");
    again["keyed_secret"] = Value::Null;
    assert_eq!(document, again);

    let mut session = manager.open("").expect("no I/O");
    if session.set_json("k", "1").is_err() {
        return;
    }
    match session.commit() {
        Ok(commit) => {
            for (name, value) in commit.headers() {
                assert!(value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{name}: {value:?}");
                assert!(value.len() <= MAX_SET_COOKIE_BYTES, "{name}: {}", value.len());
            }
        }
        Err(error) => allowed(&error, &[ErrorKind::TooLarge, ErrorKind::Unavailable]),
    }
}
