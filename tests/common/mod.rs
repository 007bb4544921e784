//! What several chapters of tests share: managers over every driver, and drivers that watch, fail or misbehave.
#![allow(dead_code, reason = "each chapter uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

pub mod actor;
pub mod jar;
pub mod processes;
pub mod writers;

use holdall::driver::{
    Browser, Capabilities, Driver, DriverStats, Edit, Loaded, RecordInfo, Records, Swept, Updated, Verdict,
};
use holdall::{Commit, Error, Events, Locator, Manager, Result, Session};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

/// A moment to inject where a test does not care which.
pub const NOW_MS: u64 = 1_700_000_000_000;

/// A manager over one driver, with the directory that goes when it does.
pub struct Place {
    pub manager: Manager,
    pub config: String,
    pub directory: tempfile::TempDir,
    pub driver: &'static str,
}

impl Place {
    pub fn new(driver: &'static str) -> Place {
        Place::with(driver, "")
    }

    /// `fields` are more fields of the configuration, each with a comma before it.
    pub fn with(driver: &'static str, fields: &str) -> Place {
        let directory = tempfile::tempdir().unwrap();
        let config = config(driver, &directory.path().join("sessions").display().to_string(), fields);
        Place { manager: Manager::new(&config).unwrap(), config, directory, driver }
    }

    pub fn sessions(&self) -> std::path::PathBuf {
        self.directory.path().join("sessions")
    }

    /// The one session file there is.
    pub fn only_file(&self) -> std::path::PathBuf {
        let files = self.files();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }

    /// All session files.
    pub fn files(&self) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.sessions()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.file_name().unwrap().len() == 64).collect()
    }
}

/// The server-side drivers, each plain and with its records sealed.
pub const DRIVERS: [&str; 4] = ["memory", "file", "sealed memory", "sealed file"];
/// For tests; not a secret.
pub const KEY: &str = "7hT8wC5Zf1m0u9Jq2rXyKdLpBvN4sGaE6oQiRkWzMxc";

pub fn config(driver: &str, path: &str, fields: &str) -> String {
    let (kind, sealed) = match driver.strip_prefix("sealed ") {
        Some(kind) => (kind, format!(r#","at_rest":"sealed_only","keys":["{KEY}"]"#)),
        None => (driver, String::new()),
    };
    let options = if kind == "file" { format!(r#","path":{path:?}"#) } else { String::new() };
    format!(r#"{{"default":"main","drivers":{{"main":{{"type":"{kind}"{options}}}}}{fields}{sealed}}}"#)
}

/// Every server-side driver once.
pub fn places() -> [Place; 2] {
    [Place::new("memory"), Place::new("file")]
}

/// Every server-side driver, plain and sealed: for what a seal could break.
pub fn all_places() -> [Place; 4] {
    DRIVERS.map(Place::new)
}

/// A session with a record, and its token.
pub fn stored(manager: &Manager, values: &[(&str, &str)]) -> String {
    let mut session = manager.open("").unwrap();
    for (key, value) in values {
        session.set_json(key, value).unwrap();
    }
    assert_eq!(session.commit().unwrap().outcome().name(), "saved");
    session.id().unwrap().unwrap().as_str().to_owned()
}

pub fn open(manager: &Manager, token: &str) -> Session {
    manager.open_token(token).unwrap()
}

pub fn value(manager: &Manager, token: &str, key: &str) -> Option<String> {
    open(manager, token).get_json(key).unwrap().map(str::to_owned)
}

pub fn records(manager: &Manager) -> usize {
    let mut count = 0;
    manager
        .iterate(|_| {
            count += 1;
            true
        })
        .unwrap();
    count
}

pub fn set_cookie(commit: &Commit) -> Option<&str> {
    commit.headers().iter().find(|(name, _)| *name == "Set-Cookie").map(|(_, value)| &**value)
}

/// The revision of a record: bytes 8 to 15 (docs/format.md).
pub fn revision(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[8..16].try_into().unwrap())
}

/// What happens round the calls of a driver that is watched. Every hook does nothing unless it is set.
pub trait Watch: Send + Sync {
    fn before(&self, _call: &'static str) -> Result<()> {
        Ok(())
    }
    fn after(&self, _call: &'static str) -> Result<()> {
        Ok(())
    }
    fn loaded(&self, _loaded: Option<&Loaded>) {}
    fn edited(&self, _stored: &[u8], _new: &[u8], _verdict: Verdict) {}
    fn swept(&self, _limit: usize, _swept: Swept) {}
}

/// A driver with a watch round it.
pub struct Watched<W: Watch> {
    pub inner: Arc<dyn Driver>,
    pub watch: Arc<W>,
}

pub fn watched<W: Watch + 'static>(config: &str, watch: &Arc<W>) -> Manager {
    let watch = watch.clone();
    Manager::with_driver(config, |inner| Arc::new(Watched { inner, watch })).unwrap()
}

impl<W: Watch> Watched<W> {
    fn updated(&self, edit: &mut Edit<'_>, update: impl FnOnce(&mut Edit<'_>) -> Result<Updated>) -> Result<Updated> {
        self.watch.before("update")?;
        let mut seen = |stored: &[u8], new: &mut Vec<u8>| {
            let start = new.len();
            let verdict = edit(stored, new)?;
            self.watch.edited(stored, &new[start..], verdict);
            Ok(verdict)
        };
        let updated = update(&mut seen)?;
        self.watch.after("update")?;
        Ok(updated)
    }
}

impl<W: Watch> Records for Watched<W> {
    fn load(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<Option<Loaded>> {
        self.watch.before("load")?;
        let loaded = self.inner.load(locator, now_ms, events)?;
        self.watch.loaded(loaded.as_ref());
        self.watch.after("load")?;
        Ok(loaded)
    }

    fn update(
        &self,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        self.updated(edit, |seen| self.inner.update(locator, to, now_ms, seen, events))
    }

    fn update_loaded(
        &self,
        loaded: &Loaded,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        self.updated(edit, |seen| self.inner.update_loaded(loaded, locator, to, now_ms, seen, events))
    }

    fn delete(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<bool> {
        self.watch.before("delete")?;
        let deleted = self.inner.delete(locator, now_ms, events)?;
        self.watch.after("delete")?;
        Ok(deleted)
    }
}

impl<W: Watch> Driver for Watched<W> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn create(
        &self,
        locator: &Locator,
        bytes: &[u8],
        now_ms: u64,
        expiry_ms: u64,
        events: &mut Events,
    ) -> Result<bool> {
        self.watch.before("create")?;
        let created = self.inner.create(locator, bytes, now_ms, expiry_ms, events)?;
        self.watch.after("create")?;
        Ok(created)
    }

    fn lock(&self, locator: &Locator, now_ms: u64, timeout_ms: Option<u64>) -> Result<Option<Box<dyn Records>>> {
        self.inner.lock(locator, now_ms, timeout_ms)
    }

    fn sweep(&self, now_ms: u64, limit: usize, events: &mut Events) -> Result<Swept> {
        let swept = self.inner.sweep(now_ms, limit, events)?;
        self.watch.swept(limit, swept);
        Ok(swept)
    }

    fn iterate(&self, now_ms: u64, visit: &mut dyn FnMut(RecordInfo) -> bool) -> Result<()> {
        self.inner.iterate(now_ms, visit)
    }

    fn stats(&self) -> DriverStats {
        self.inner.stats()
    }

    fn browser(&self, tokens: Vec<Vec<u8>>) -> Option<Box<dyn Browser>> {
        self.inner.browser(tokens)
    }
}

/// Fails the next writing call once: before it reaches the driver, or after it took effect.
#[derive(Default)]
pub struct FailOnce(AtomicU8);

pub const BEFORE: u8 = 1;
pub const AFTER: u8 = 2;

impl FailOnce {
    pub fn arm(&self, moment: u8) {
        self.0.store(moment, Ordering::Relaxed);
    }

    fn fire(&self, moment: u8, call: &str) -> Result<()> {
        if call == "load" || self.0.compare_exchange(moment, 0, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return Ok(());
        }
        let error = Error::unavailable("planted", true);
        Err(if moment == AFTER { error.after_write() } else { error })
    }
}

impl Watch for FailOnce {
    fn before(&self, call: &'static str) -> Result<()> {
        self.fire(BEFORE, call)
    }

    fn after(&self, call: &'static str) -> Result<()> {
        self.fire(AFTER, call)
    }
}

/// What every peer but one does: the whole record as this request loaded it, with its changes, replaces what is stored. The
/// tests of parallel requests must fail on it, or they prove nothing.
pub struct LastWriteWins {
    capabilities: Capabilities,
    records: Mutex<HashMap<Locator, Vec<u8>>>,
    loaded: Mutex<HashMap<std::thread::ThreadId, Vec<u8>>>,
}

impl LastWriteWins {
    pub fn manager() -> Manager {
        let store = |inner: Arc<dyn Driver>| LastWriteWins {
            capabilities: inner.capabilities(),
            records: Mutex::default(),
            loaded: Mutex::default(),
        };
        Manager::with_driver("memory:", |inner| Arc::new(store(inner))).unwrap()
    }
}

impl Records for LastWriteWins {
    fn load(&self, locator: &Locator, _: u64, _: &mut Events) -> Result<Option<Loaded>> {
        let Some(bytes) = self.records.lock().unwrap().get(locator).cloned() else { return Ok(None) };
        self.loaded.lock().unwrap().insert(std::thread::current().id(), bytes.clone());
        let length = bytes.len();
        Ok(Some(Loaded::new(bytes, 0..length, u64::MAX)))
    }

    fn update(
        &self,
        locator: &Locator,
        _: Option<&Locator>,
        _: u64,
        edit: &mut Edit<'_>,
        _: &mut Events,
    ) -> Result<Updated> {
        let loaded = self.loaded.lock().unwrap().get(&std::thread::current().id()).cloned();
        let Some(loaded) = loaded else { return Ok(Updated::Gone) };
        let mut new = Vec::new();
        edit(&loaded, &mut new)?;
        self.records.lock().unwrap().insert(*locator, new);
        Ok(Updated::Done)
    }

    fn delete(&self, locator: &Locator, _: u64, _: &mut Events) -> Result<bool> {
        Ok(self.records.lock().unwrap().remove(locator).is_some())
    }
}

impl Driver for LastWriteWins {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn create(&self, locator: &Locator, bytes: &[u8], _: u64, _: u64, _: &mut Events) -> Result<bool> {
        Ok(self.records.lock().unwrap().insert(*locator, bytes.to_vec()).is_none())
    }

    fn lock(&self, _: &Locator, _: u64, _: Option<u64>) -> Result<Option<Box<dyn Records>>> {
        Err(Error::unavailable("last write wins has no locks", false))
    }

    fn sweep(&self, _: u64, _: usize, _: &mut Events) -> Result<Swept> {
        Ok(Swept::default())
    }

    fn iterate(&self, _: u64, _: &mut dyn FnMut(RecordInfo) -> bool) -> Result<()> {
        Ok(())
    }

    fn stats(&self) -> DriverStats {
        DriverStats::default()
    }
}

/// Numbers that look random and are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: usize) -> usize {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Whether the long tests run whole, as under `make torture`. Durations and ratios are asserted only then.
pub fn torture() -> bool {
    std::env::var_os("HOLDALL_TORTURE").is_some()
}

/// How often a test does its thing: `short` in `make test`, `whole` in `make torture`.
pub fn scaled(short: usize, whole: usize) -> usize {
    if torture() { whole } else { short }
}

/// Records what a test has found, for docs/reliability.md: `row` is the promise's number there, `what` says in a few words what
/// was counted or measured, `demanded` what had to hold. To be called after it was asserted. Does nothing in `make test`.
pub fn figure(row: &str, driver: &str, what: &str, found: impl std::fmt::Display, demanded: &str) {
    use std::io::Write as _;
    let Some(path) = std::env::var_os("HOLDALL_FIGURES") else { return };
    let program = std::env::current_exe().unwrap();
    let program = program.file_stem().unwrap().to_str().unwrap();
    let chapter = program.rsplit_once('-').map_or(program, |(name, _)| name);
    let test = std::thread::current().name().unwrap_or("").to_owned();
    let build =
        if cfg!(holdall_shuttle) { "RUSTFLAGS='--cfg holdall_shuttle' CARGO_TARGET_DIR=target/shuttle " } else { "" };
    let line = serde_json::json!({
        "row": row, "driver": driver, "what": what, "found": found.to_string(), "demanded": demanded,
        "command": format!("{build}HOLDALL_TORTURE=1 cargo test --release --test {chapter} -- {test}"),
    });
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    // One write, so that tests that end together do not mix their lines.
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}
