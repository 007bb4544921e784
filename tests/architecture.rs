//! Guards the direction of knowledge: which module of src/ uses which, as docs/architecture.md says in its `arrows` block.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The module a file is a part of: `src/driver/file/slot.rs` is of `driver/file`, `src/session.rs` of `session`.
fn module(path: &Path) -> String {
    let relative = path.strip_prefix(root().join("src")).unwrap().with_extension("");
    let parts: Vec<&str> = relative.iter().map(|part| part.to_str().unwrap()).collect();
    match parts.as_slice() {
        ["driver", file, ..] => format!("driver/{file}"),
        [first, ..] => (*first).to_owned(),
        [] => unreachable!("every file has a name"),
    }
}

/// Names that src/lib.rs gives out stand for the module they come from.
fn exported() -> BTreeMap<String, String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut names = BTreeMap::new();
    for line in lib.lines().filter_map(|line| line.strip_prefix("pub use ")) {
        let (module, list) = line.trim_end_matches(';').split_once("::").unwrap();
        for name in list.trim_matches(['{', '}']).split(", ") {
            names.insert(name.to_owned(), module.to_owned());
        }
    }
    names
}

/// What a file uses of the crate, without its tests.
fn used(text: &str, own: &str, exported: &BTreeMap<String, String>) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        let names: Vec<&str> = match part.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap().split(',').map(str::trim).collect(),
            None => vec![part],
        };
        for name in names {
            let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let module = exported.get(&name).cloned().unwrap_or(name);
            if !module.is_empty() && module != own {
                found.insert(module);
            }
        }
    }
    if own.starts_with("driver/") && code.contains("super::") {
        found.insert("driver".to_owned());
        for other in ["memory", "file", "list"] {
            if code.contains(&format!("super::{other}::")) && own != format!("driver/{other}") {
                found.insert(format!("driver/{other}"));
            }
        }
    }
    found
}

fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let (mut files, exported) = (Vec::new(), exported());
    sources(&root().join("src"), &mut files);
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files {
        let own = module(&path);
        if own != "lib" {
            let uses = used(&fs::read_to_string(&path).unwrap(), &own, &exported);
            arrows.entry(own).or_default().extend(uses);
        }
    }
    arrows
}

#[test]
fn the_arrows_are_those_that_docs_architecture_shows() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let block = text.split("```arrows\n").nth(1).expect("an arrows block").split("```").next().unwrap();
    let shown: BTreeMap<String, BTreeSet<String>> = block
        .lines()
        .map(|line| {
            let (from, to) = line.split_once("->").unwrap_or_else(|| panic!("not an arrow: {line}"));
            (from.trim().to_owned(), to.split_whitespace().map(str::to_owned).collect())
        })
        .collect();
    let found = arrows();
    let print = |arrows: &BTreeMap<String, BTreeSet<String>>| {
        let lines: Vec<String> = arrows
            .iter()
            .map(|(from, to)| format!("{from} -> {}", to.iter().cloned().collect::<Vec<_>>().join(" ")))
            .collect();
        lines.join("\n")
    };
    assert!(shown == found, "docs/architecture.md shows\n{}\n\nsrc/ has\n{}", print(&shown), print(&found));
}

#[test]
fn the_engine_does_not_know_the_c_interface_nor_a_driver_another_or_the_session() {
    for (from, to) in arrows() {
        if from != "ffi" {
            assert!(!to.contains("ffi"), "{from} knows ffi");
        }
        if from.starts_with("driver/") {
            for forbidden in ["session", "manager", "operation", "record", "data", "flash", "headers", "json"] {
                assert!(!to.contains(forbidden), "{from} knows {forbidden}");
            }
            let siblings = to.iter().filter(|other| other.starts_with("driver/") && *other != "driver/list");
            assert_eq!(siblings.count(), 0, "{from} knows another driver");
        }
    }
}

#[test]
fn unsafe_code_stands_only_where_libc_and_c_are_met() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        if text.contains("unsafe {") || text.contains("allow(unsafe_code)") {
            let own = module(&path);
            assert!(own == "fork" || own == "ffi", "{} has unsafe code", path.display());
        }
    }
}

#[test]
fn every_file_opens_by_saying_what_it_is() {
    let mut files = Vec::new();
    for folder in ["src", "bindings/c/src"] {
        sources(&root().join(folder), &mut files);
    }
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} has no opening", path.display());
    }
}

/// The text files of the repository, as git lists them.
fn tracked() -> Vec<(String, String)> {
    let listed = std::process::Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    assert!(listed.status.success());
    let names = String::from_utf8(listed.stdout).unwrap();
    let files = names.split('\0').filter(|name| !name.is_empty() && !name.starts_with("tests/golden/"));
    files.filter_map(|name| Some((name.to_owned(), fs::read_to_string(root().join(name)).ok()?))).collect()
}

#[test]
fn the_source_is_ascii_and_nothing_is_left_for_later() {
    // Written so that this file does not find itself.
    let later = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let files = tracked();
    assert!(files.len() > 50, "git lists {} files", files.len());
    // What a fuzzer found is no source, and a picture is none. What others wrote stays as they wrote it.
    let is_source =
        |name: &str| !name.starts_with("fuzz/corpus/") && !name.ends_with(".svg") && !name.contains("/tests/vendor/");
    for (name, text) in files.into_iter().filter(|(name, _)| is_source(name)) {
        assert!(text.is_ascii(), "{name} is not ASCII");
        for (number, line) in text.lines().enumerate() {
            let word = later.iter().find(|word| line.contains(*word));
            assert!(word.is_none(), "{name}:{}: {line}", number + 1);
        }
    }
}
