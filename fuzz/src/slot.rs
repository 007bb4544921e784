//! Hostile bytes as a session's file: what is read is what the newest intact slot of that session says, or nothing.
//!
//! Which slots are intact is read here a second time, from docs/format.md, over the bytes as they lie in the file.

use crate::{Bytes, NOW_MS, TOKEN, allowed};
use holdall::{Error, ErrorKind, Manager, Mode, OpenOptions, Outcome, Result, Session};
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use xxhash_rust::xxh3::xxh3_64;

const HEADER: usize = 88;
const MAGIC: &[u8; 8] = b"\xFFHDSLOT\x01";
/// Small, so that a record over the limit is found in a small file.
const MAX_RECORD: usize = 2000;
const EXPIRY_MS: u64 = NOW_MS + 7_200_000;
const RECORD: u32 = 0;
const TOMBSTONE: u32 = 1;
const MARKER: u32 = 2;

thread_local! {
    static PLACE: Place = Place::new();
}

struct Place {
    manager: Manager,
    _directory: tempfile::TempDir,
    sessions: PathBuf,
    /// The name of the session's file, and the locator in it.
    name: String,
    locator: [u8; 32],
    /// The bytes of a record with `"k":"0"`, to be marked.
    record: Vec<u8>,
}

impl Place {
    fn new() -> Place {
        // In memory where there is such a place: a file system on a disk is slower.
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let directory = directory.expect("a directory");
        let sessions = directory.path().join("sessions");
        let driver = serde_json::json!({ "type": "file", "path": &sessions, "lock_timeout_ms": 0 });
        let config = serde_json::json!({ "drivers": { "main": driver }, "max_record_bytes": MAX_RECORD });
        let manager = Manager::new(&config.to_string()).expect("a valid configuration");
        let mut session = manager.open("").expect("no I/O");
        session.set_json("k", "\"0\"").expect("a value");
        drop(session.commit_at(NOW_MS).expect("stored"));
        let path = files(&sessions).pop().expect("a session file");
        let file = fs::read(&path).expect("a session file");
        let length = u32::from_le_bytes(file[12..16].try_into().expect("four bytes")) as usize;
        let record = file[HEADER..HEADER + length].to_vec();
        fs::remove_file(path).expect("a session file");
        let (name, locator) = locator_of_token(&manager, &sessions);
        Place { manager, _directory: directory, sessions, name, locator, record }
    }

    fn path(&self) -> PathBuf {
        self.sessions.join(&self.name)
    }

    fn open(&self, mode: Mode) -> Result<Session> {
        let options = OpenOptions::new().at(NOW_MS).mode(mode).lock_timeout_ms(0);
        self.manager.open_token_with(TOKEN.as_bytes(), options)
    }

    /// `k` as a shared session sees it.
    fn value(&self, token: &str) -> Result<Option<String>> {
        let session = self.manager.open_token_with(token.as_bytes(), OpenOptions::new().at(NOW_MS))?;
        Ok(session.get_json("k")?.map(str::to_owned))
    }

    fn lay(&self, file: &[u8]) {
        fs::write(self.path(), file).expect("a session file");
        let written = File::open(self.path()).expect("a session file");
        written.set_permissions(Permissions::from_mode(0o600)).expect("our own file");
        // Long ago, or a sweep would believe it too young to have expired.
        written.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH)).expect("our own file");
    }

    fn clear(&self) {
        for path in files(&self.sessions) {
            fs::remove_file(path).expect("a session file");
        }
        let _ = fs::remove_dir_all(self.sessions.join("quarantine"));
    }

    /// A record whose value of `k` is this one character.
    fn record(&self, mark: u8) -> Vec<u8> {
        let mut record = self.record.clone();
        let at = record.len() - 2;
        record[at] = b'a' + mark % 26;
        record
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.file_name().is_some_and(|name| name.len() == 64)).collect()
}

/// SHA-256("holdall/id/v1" || 32 zero bytes), as the engine says too: a directory under that name is refused.
fn locator_of_token(manager: &Manager, sessions: &Path) -> (String, [u8; 32]) {
    let name = "ea1b2e031105f695f4098a3a7d3e4c8830c040de5b349f321c38ef5c620ab114";
    let mut locator = [0; 32];
    for (byte, pair) in locator.iter_mut().zip(name.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).expect("ASCII"), 16).expect("two digits");
    }
    fs::create_dir(sessions.join(name)).expect("a directory");
    assert!(manager.open_token(TOKEN).and_then(|session| session.is_new()).is_err(), "the name is another");
    fs::remove_dir(sessions.join(name)).expect("a directory");
    (name.to_owned(), locator)
}

/// A slot that is intact and bound to the session.
#[derive(Clone)]
struct Intact {
    sequence: u64,
    kind: u32,
    expiry_ms: u64,
    record: Vec<u8>,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn offsets(size: usize) -> impl Iterator<Item = usize> {
    std::iter::once(0).chain((10..20).map(|power| 1 << power).take_while(move |offset| *offset < size))
}

fn intact(file: &[u8], locator: &[u8; 32]) -> Vec<Intact> {
    let mut found = Vec::new();
    for offset in offsets(file.len()) {
        let Some(header) = file.get(offset..offset + HEADER) else { continue };
        let (class, length, kind) = (word(header, 8), word(header, 12) as usize, word(header, 64));
        let placed = class.is_power_of_two() && class >= 1024 && [0, class as usize].contains(&offset);
        let whole = header[..8] == *MAGIC && long(header, 80) == xxh3_64(&header[..80]);
        if !whole || !placed || HEADER + length > class as usize || kind > MARKER || header[32..64] != *locator {
            continue;
        }
        let too_large = length > MAX_RECORD;
        let record = file.get(offset + HEADER..offset + HEADER + length).unwrap_or_default().to_vec();
        if too_large || record.len() == length && xxh3_64(&record) == long(header, 72) {
            found.push(Intact { sequence: long(header, 16), kind, expiry_ms: long(header, 24), record });
        }
    }
    found.sort_by_key(|slot| slot.sequence);
    found
}

/// A file made of slots that the input describes, then of what it changes in them.
fn built(place: &Place, input: &mut Bytes<'_>) -> Vec<u8> {
    let mut file = Vec::new();
    for mark in 0..input.below(5) {
        let (at, class) = (input.below(8), 1024usize << input.below(4));
        let offset = if at == 0 {
            0
        } else if at == 7 {
            64 << 10
        } else {
            512 << at
        };
        let class = if offset == 0 { class } else { offset };
        let mut record = place.record(u8::try_from(mark).expect("at most 4"));
        match input.below(8) {
            0 => record = input.short().to_vec(),
            1 => record.resize(MAX_RECORD + usize::from(input.byte()), b'x'),
            2 => record.clear(),
            _ => {}
        }
        let kind = [RECORD, RECORD, RECORD, TOMBSTONE, MARKER, 3][input.below(6)];
        let own = input.below(4) != 0;
        let mut header = MAGIC.to_vec();
        header.extend(u32::try_from(class).expect("small").to_le_bytes());
        header.extend(u32::try_from(record.len()).expect("small").to_le_bytes());
        header.extend(u64::from(input.byte()).to_le_bytes());
        header.extend([EXPIRY_MS, EXPIRY_MS, EXPIRY_MS, NOW_MS, 0, u64::MAX][input.below(6)].to_le_bytes());
        header.extend(if own { place.locator } else { [7; 32] });
        header.extend(kind.to_le_bytes());
        header.extend(u32::from(input.byte()).to_le_bytes());
        header.extend(xxh3_64(&record).to_le_bytes());
        header.extend(xxh3_64(&header).to_le_bytes());
        header.extend(record);
        let end = offset + header.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[offset..end].copy_from_slice(&header);
    }
    let size = match input.below(4) {
        0 => file.len(),
        1 => file.len().saturating_sub(usize::from(input.byte())),
        _ => file.len().next_power_of_two().max(2048),
    };
    file.resize(size, 0);
    for _ in 0..input.below(4) {
        let at = usize::from(input.byte()) | usize::from(input.byte()) << 8;
        if let Some(byte) = file.get_mut(at) {
            *byte ^= input.byte();
        }
    }
    file
}

/// Makes the checksums of all headers right, and where the record is there too.
fn seal(file: &mut [u8], locator: &[u8; 32]) {
    for offset in offsets(file.len()) {
        let Some(slot) = file.get_mut(offset..).filter(|slot| slot.len() >= HEADER) else { continue };
        let length = word(slot, 12) as usize;
        slot[..8].copy_from_slice(MAGIC);
        if slot[32] & 1 == 0 {
            slot[32..64].copy_from_slice(locator);
        }
        // A file gets no older than 2^63 commits.
        slot[23] &= 0x7F;
        let body = slot.get(HEADER..HEADER.saturating_add(length)).map(xxh3_64);
        slot[72..80].copy_from_slice(&body.unwrap_or(0).to_le_bytes());
        let checksum = xxh3_64(&slot[..80]);
        slot[80..88].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// The first byte says how the file comes out of the rest, the next what is done to it.
pub(crate) fn run(input: &[u8]) {
    PLACE.with(|place| {
        place.clear();
        let mut input = Bytes(input);
        let (form, first, second) = (input.byte(), input.byte(), input.byte());
        let file = match form % 4 {
            0 => input.0.to_vec(),
            1 => {
                let mut file = input.0.to_vec();
                seal(&mut file, &place.locator);
                file
            }
            _ => built(place, &mut input),
        };
        place.lay(&file);
        let intact = intact(&file, &place.locator);
        let newest = intact.last().map_or(0, |slot| slot.sequence);
        let newest: Vec<Intact> = intact.into_iter().filter(|slot| slot.sequence == newest).collect();
        let mut sayable = Sayable::of(place, &newest);
        act(place, first, &mut sayable);
        act(place, second, &mut sayable);
    });
}

/// What the session may say.
struct Sayable {
    /// One value for each slot that can be meant, None for one that does not read.
    values: Vec<Option<String>>,
    /// Whether the record is one of ours. Another may be refused, and says anything.
    ours: bool,
}

impl Sayable {
    fn of(place: &Place, newest: &[Intact]) -> Sayable {
        let value_at = place.record.len() - 3..;
        let is_ours = |slot: &Intact| {
            let mark = slot.record.get(place.record.len() - 2).filter(|mark| mark.is_ascii_lowercase());
            slot.kind != RECORD || mark.is_some_and(|mark| place.record(mark - b'a') == slot.record)
        };
        let ours = newest.iter().all(is_ours);
        let living = |slot: &Intact| slot.kind == RECORD && slot.expiry_ms > NOW_MS;
        let value = |slot: &Intact| String::from_utf8(slot.record[value_at.clone()].to_vec()).expect("one of ours");
        let mut values: Vec<_> = match ours {
            true => newest.iter().map(|slot| living(slot).then(|| value(slot))).collect(),
            false => Vec::new(),
        };
        if newest.is_empty() {
            values.push(None);
        }
        Sayable { values, ours }
    }

    fn only(&mut self, value: Option<&str>) {
        *self = Sayable { values: vec![value.map(str::to_owned)], ours: true };
    }

    /// Whatever was said must be said again.
    fn said(&mut self, seen: Result<Option<String>>) {
        match seen {
            Ok(value) if self.ours => {
                assert!(self.values.contains(&value), "{value:?} is none of {:?}", self.values);
                self.only(value.as_deref());
            }
            Ok(_) => {}
            Err(error) => self.refused(&error),
        }
    }

    fn refused(&self, error: &Error) {
        assert!(!self.ours, "not readable, and nothing is wrong with it: {error:?}");
        allowed(error, &[ErrorKind::Corrupt, ErrorKind::Unsupported, ErrorKind::TooLarge]);
    }
}

fn value_of(session: &Session) -> Result<Option<String>> {
    Ok(session.get_json("k")?.map(str::to_owned))
}

fn act(place: &Place, action: u8, sayable: &mut Sayable) {
    match action % 8 {
        0 => sayable.said(place.value(TOKEN)),
        1 | 2 => {
            let mode = if action & 8 == 0 { Mode::Shared } else { Mode::Exclusive };
            let committed = place.open(mode).and_then(|mut session| {
                session.set_json("k", "\"written\"")?;
                if action % 8 == 2 {
                    session.regenerate()?;
                }
                let token = session.id()?.expect("not keyed").as_str().to_owned();
                let found = !session.is_new()?;
                let outcome = session.commit_at(NOW_MS)?.outcome();
                Ok((found && [Outcome::Saved, Outcome::Unchanged].contains(&outcome), token))
            });
            match committed {
                Ok((true, token)) => {
                    assert_eq!(place.value(&token).expect("written").as_deref(), Some("\"written\""));
                    sayable.only((token == TOKEN).then_some("\"written\""));
                    sayable.said(place.value(TOKEN));
                }
                Ok((false, token)) => {
                    assert!(!sayable.ours || token != TOKEN, "a record of ours was not written to");
                    sayable.said(place.value(TOKEN));
                }
                Err(error) => sayable.refused(&error),
            }
        }
        3 => match place.open(Mode::Shared).and_then(|mut session| session.destroy_at(NOW_MS)) {
            Ok(()) => {
                sayable.only(None);
                sayable.said(place.value(TOKEN));
            }
            Err(error) => sayable.refused(&error),
        },
        4 => {
            while !place.manager.sweep_at(64, NOW_MS).expect("a sweep").finished {}
            sayable.said(place.value(TOKEN));
        }
        5 => {
            let mut listed = 0;
            let count = |_| {
                listed += 1;
                true
            };
            place.manager.iterate_at(NOW_MS, count).expect("a list");
            assert!(listed <= 3, "this session, and one new visitor for each of two actions");
        }
        6 => sayable.said(place.open(Mode::ReadOnly).and_then(|session| value_of(&session))),
        _ => sayable.said(place.open(Mode::Exclusive).and_then(|session| value_of(&session))),
    }
}
