//! Guards that the documents say what the code does: the fields and defaults of docs/config.md, the names and numbers of
//! docs/errors.md, the tests that docs/security.md names.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use holdall::{ConflictReason, ErrorKind, EventKind, Manager, Outcome};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

fn document(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The rows of all tables: what stands in back-ticks in the first cell, what else stands there, and the second cell.
fn rows(text: &str) -> impl Iterator<Item = (String, String, String)> {
    text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let (name, rest) = cells.next()?.split_once('`')?;
        let second = cells.next()?.trim_end_matches(" |");
        Some((name.to_owned(), rest.trim().to_owned(), second.trim_matches('`').to_owned()))
    })
}

fn flatten(prefix: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                flatten(&format!("{prefix}{}{name}", if prefix.is_empty() { "" } else { "." }), value, found);
            }
        }
        other => {
            found.insert(prefix.to_owned(), other.clone());
        }
    }
}

#[test]
fn docs_config_has_every_field_with_its_default_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions");
    let config = format!(
        r#"{{"default":"memory","keys":["{}"],
            "drivers":{{"memory":{{"type":"memory"}},"file":{{"type":"file","path":{path:?}}},"cookie":{{"type":"cookie"}}}}}}"#,
        holdall::generate_key().unwrap()
    );
    let mut defaults = BTreeMap::new();
    flatten("", &serde_json::from_str(&Manager::new(&config).unwrap().config()).unwrap(), &mut defaults);
    // What this test itself had to say.
    assert_eq!(defaults.insert("keys".into(), Value::Array(Vec::new())), Some(serde_json::json!([".."])));
    defaults.retain(|field, _| {
        let said = ["default", "drivers.memory.type", "drivers.file.type", "drivers.file.path", "drivers.cookie.type"];
        !said.contains(&field.as_str())
    });

    let text = document("docs/config.md");
    let table = text.split("## Fields").nth(1).unwrap().split("## ").next().unwrap();
    let mut shown = BTreeMap::new();
    for (field, of, default) in rows(table) {
        let driver = of.trim_matches(['(', ')']);
        if ["default", "drivers"].contains(&field.as_str()) || default == "required" {
            continue;
        }
        let default: Value =
            serde_json::from_str(&default).unwrap_or_else(|error| panic!("{field}: {default}: {error}"));
        shown.insert(field.replace('*', driver), default);
    }
    assert_eq!(shown, defaults);
}

#[test]
fn docs_errors_has_every_name_with_its_number_and_no_other() {
    let text = document("docs/errors.md");
    let section = |title: &str| -> BTreeMap<String, i32> {
        let part = text.split(&format!("## {title}\n")).nth(1).unwrap_or_else(|| panic!("no section {title}"));
        let part = part.split("\n## ").next().unwrap();
        rows(part).map(|(name, _, number)| (name, number.parse().unwrap())).collect()
    };
    let errors: BTreeMap<_, _> = ErrorKind::ALL.iter().map(|kind| (kind.name().to_owned(), kind.code())).collect();
    assert_eq!(section("Errors"), errors);
    let events: BTreeMap<_, _> = EventKind::ALL.iter().map(|kind| (kind.name().to_owned(), *kind as i32)).collect();
    assert_eq!(section("Events"), events);
    // The numbers of the C library (src/ffi/status.rs, held to these names there).
    let outcomes =
        Outcome::ALL.iter().zip([0, 2, 3, 4]).map(|(outcome, number)| (outcome.name().to_owned(), number)).collect();
    assert_eq!(section("Outcomes of a commit"), outcomes);
    use ConflictReason::{NotAnArray, NotAnInteger, OutOfRange, Overwritten};
    let reasons = [NotAnInteger, OutOfRange, NotAnArray, Overwritten];
    let reasons = reasons.iter().zip(1..).map(|(reason, number)| (reason.name().to_owned(), number)).collect();
    assert_eq!(section("Conflicts"), reasons);
}

#[test]
fn docs_security_names_tests_that_exist_and_each_item_of_the_checklists() {
    let text = document("docs/security.md");
    let named: Vec<(&str, &str)> =
        text.split('`').filter(|word| word.starts_with("tests/")).filter_map(|word| word.split_once("::")).collect();
    assert!(named.len() > 30);
    for (file, test) in &named {
        assert!(document(file).contains(&format!("def {test}(")), "{file} has no {test}");
    }

    for file in ["tests/gauntlet/test_checklist.py", "tests/gauntlet/test_sealing.py"] {
        let source = document(file);
        let tests = source.lines().filter_map(|line| line.strip_prefix("def ")?.split('(').next());
        for test in tests.filter(|test| test.starts_with("test_asvs_") || test.starts_with("test_cheat_sheet_")) {
            assert!(named.contains(&(file, test)), "docs/security.md does not name {file}::{test}");
        }
    }
}
