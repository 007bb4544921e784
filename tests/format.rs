//! Guards the formats: what a release has written, every later one reads. tests/golden holds a directory that release 0.1
//! left, with its token, and the same sealed, with a sealed cookie; docs/format.md draws their bytes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{KEY, NOW_MS, config};
use holdall::{CommitOptions, Manager, OpenOptions, Session};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/0.1")
}

/// The same under a seal, with a sealed cookie.
fn sealed() -> PathBuf {
    golden().join("sealed")
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(path).unwrap().trim().to_owned()
}

/// A copy of a golden directory with the modes that git does not keep, and the token of its session.
fn copy(golden: &Path, driver: &str) -> (tempfile::TempDir, Manager, String) {
    let directory = tempfile::tempdir().unwrap();
    let sessions = directory.path().join("sessions");
    fs::create_dir(&sessions).unwrap();
    fs::set_permissions(&sessions, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(golden.join("sessions")).unwrap() {
        let from = entry.unwrap().path();
        let to = sessions.join(from.file_name().unwrap());
        fs::copy(&from, &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let manager = Manager::new(&config(driver, &sessions.display().to_string(), "")).unwrap();
    (directory, manager, read(golden.join("token")))
}

/// Run once for a release, with HOLDALL_WRITE_GOLDEN set; afterwards the files are never touched again.
#[test]
fn the_golden_directory_is_there_and_reads() {
    if std::env::var("HOLDALL_WRITE_GOLDEN").is_ok_and(|what| what == "plain") {
        let _ = fs::remove_dir_all(golden());
        write(&golden(), "file");
    }
    let (_directory, manager, token) = copy(&golden(), "file");
    reads(&golden(), &manager, &token);
}

/// The same, with HOLDALL_WRITE_GOLDEN=sealed. The key is that of all tests.
#[test]
fn the_golden_sealed_directory_is_there_and_reads() {
    if std::env::var("HOLDALL_WRITE_GOLDEN").is_ok_and(|what| what == "sealed") {
        let _ = fs::remove_dir_all(sealed());
        write(&sealed(), "sealed file");
    }
    let (_directory, manager, token) = copy(&sealed(), "sealed file");
    reads(&sealed(), &manager, &token);
    let (_directory, plain, token) = copy(&sealed(), "file");
    assert!(plain.open_token_with(token.as_bytes(), OpenOptions::new().at(NOW_MS)).unwrap().all().is_err());
}

#[test]
fn the_golden_cookie_opens() {
    let manager = Manager::new(&format!(r#"{{"url":"cookie:","keys":["{KEY}"]}}"#)).unwrap();
    let options = OpenOptions::new().at(NOW_MS + 1000);
    let header = format!("__Host-sid={}", read(sealed().join("cookie")));

    let mut session = manager.open_with(header.as_bytes(), options).unwrap();

    reads_content(&session);
    assert_eq!(session.id().unwrap().unwrap().as_str(), read(sealed().join("cookie-id")));
    session.increment("a", 1).unwrap();
    assert_eq!(session.commit_at(NOW_MS + 1000).unwrap().outcome().name(), "saved");
}

fn reads(golden: &Path, manager: &Manager, token: &str) {
    let options = OpenOptions::new().at(NOW_MS + 1000);

    let mut session = manager.open_token_with(token.as_bytes(), options).unwrap();

    reads_content(&session);
    assert!(session.csrf_matches(&read(golden.join("csrf"))).unwrap());
    session.increment("a", 1).unwrap();
    assert_eq!(session.commit_at(NOW_MS + 1000).unwrap().outcome().name(), "saved");
}

fn reads_content(session: &Session) {
    assert_eq!(session.all().unwrap(), r#"{"a":1,"list":[1, 2],"notice":"saved","text":"h\u00e9","user":{"id":7}}"#);
    assert_eq!(session.previous_url().unwrap().as_deref(), Some("/cart"));
}

#[test]
fn its_timeouts_hold() {
    let (_directory, manager, token) = copy(&golden(), "file");
    let alive =
        |now_ms| !manager.open_token_with(token.as_bytes(), OpenOptions::new().at(now_ms)).unwrap().is_new().unwrap();
    assert!(alive(NOW_MS + 1_799_999));
    assert!(!alive(NOW_MS + 1_800_000));
}

#[test]
fn its_bytes_are_those_that_docs_format_draws() {
    let entries = fs::read_dir(golden().join("sessions")).unwrap().map(|entry| entry.unwrap().path());
    let file = entries
        .filter(|path| path.file_name().unwrap().len() == 64)
        .map(|path| fs::read(path).unwrap())
        .next()
        .unwrap();
    assert_eq!(file.len(), 2048);
    // Two commits: the first at 0, the second, which counts, at the class.
    for (offset, sequence) in [(0, 1u64), (1024, 2)] {
        let slot = &file[offset..];
        assert_eq!(&slot[..8], b"\xFFHDSLOT\x01");
        assert_eq!(u32::from_le_bytes(slot[8..12].try_into().unwrap()), 1024);
        assert_eq!(u64::from_le_bytes(slot[16..24].try_into().unwrap()), sequence);
        let record = &slot[88..88 + u32::from_le_bytes(slot[12..16].try_into().unwrap()) as usize];
        assert_eq!(&record[..8], b"\xFFHDR\x01\x00\x01\x00");
        assert_eq!(common::revision(record), sequence);
        assert_eq!(u64::from_le_bytes(record[32..40].try_into().unwrap()), NOW_MS);
        assert_eq!(u64::from_le_bytes(record[40..48].try_into().unwrap()), 1_800_000);
    }
    assert_eq!(u64::from_le_bytes(file[1024 + 24..1024 + 32].try_into().unwrap()), NOW_MS + 1_800_000);
}

fn write(golden: &Path, driver: &str) {
    let sessions = golden.join("sessions").display().to_string();
    let manager = Manager::new(&config(driver, &sessions, "")).unwrap();
    let options = OpenOptions::new().at(NOW_MS);
    let mut session = manager.open_with(b"", options).unwrap();
    session.set("a", &0).unwrap();
    session.set_idle_timeout(Some(1800)).unwrap();
    session.set_persistent(true).unwrap();
    fs::write(golden.join("csrf"), session.csrf_token().unwrap()).unwrap();
    drop(session.commit_at(NOW_MS).unwrap());
    let token = session.id().unwrap().unwrap().as_str().to_owned();
    let mut session = manager.open_token_with(token.as_bytes(), options).unwrap();
    fill(&mut session);
    drop(session.commit_with(CommitOptions::new().at(NOW_MS)).unwrap());
    fs::write(golden.join("token"), token).unwrap();

    if driver == "sealed file" {
        let manager = Manager::new(&format!(r#"{{"url":"cookie:","keys":["{KEY}"]}}"#)).unwrap();
        let mut session = manager.open_with(b"", options).unwrap();
        session.set("a", &0).unwrap();
        fill(&mut session);
        let mut jar = common::jar::Jar::default();
        jar.take(&session.commit_at(NOW_MS).unwrap());
        fs::write(golden.join("cookie"), jar.token()).unwrap();
        fs::write(golden.join("cookie-id"), session.id().unwrap().unwrap().as_str()).unwrap();
    }
}

fn fill(session: &mut Session) {
    session.increment("a", 1).unwrap();
    session.set_json("list", "[1, 2]").unwrap();
    session.set_json("text", r#""h\u00e9""#).unwrap();
    session.set_json("user", r#"{"id":7}"#).unwrap();
    session.flash("notice", "saved").unwrap();
    session.set_previous_url("/cart").unwrap();
}
