//! Hostile bytes as a stored record: refused as docs/format.md says, or read, replayed on and written back with nothing
//! lost.
//!
//! The codec is private, so a driver that holds one record gives it the bytes. What a record says is read here a second
//! time, from the document.

use crate::{Bytes, NOW_MS, TOKEN, allowed};
use holdall::driver::{Capabilities, Driver, DriverStats, Edit, Loaded, Records, Swept, Updated, Verdict};
use holdall::{CommitOptions, ErrorKind, Events, FlashPolicy, Locator, Manager, Mode, OpenOptions, Result, Session};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

const HEAD: usize = 136;
const ROW: usize = 16;
const EXPIRY_MS: u64 = NOW_MS + 7_200_000;
const ABSOLUTE_MS: u64 = 2_592_000_000;
const REFUSED: [ErrorKind; 3] = [ErrorKind::Corrupt, ErrorKind::Unsupported, ErrorKind::TooLarge];

thread_local! {
    static SINGLE: (Single, Manager) = {
        let capabilities = Manager::new("memory:").expect("a valid configuration").capabilities();
        let single = Single { record: Arc::default(), capabilities };
        let driver = Arc::new(single.clone());
        (single, Manager::with_driver("memory:", |_| driver).expect("a valid configuration"))
    };
}

/// A driver with one record, whatever the locator.
#[derive(Clone)]
struct Single {
    record: Arc<Mutex<Option<Vec<u8>>>>,
    capabilities: Capabilities,
}

impl Single {
    fn stored(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        // A target that panicked is the failure; the next input sets the record anew.
        self.record.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Records for Single {
    fn load(&self, _: &Locator, _: u64, _: &mut Events) -> Result<Option<Loaded>> {
        Ok(self.stored().clone().map(|bytes| {
            let length = bytes.len();
            Loaded::new(bytes, 0..length, EXPIRY_MS)
        }))
    }

    fn update(&self, _: &Locator, _: Option<&Locator>, _: u64, edit: &mut Edit<'_>, _: &mut Events) -> Result<Updated> {
        let mut stored = self.stored();
        let Some(bytes) = stored.as_mut() else { return Ok(Updated::Gone) };
        let mut new = Vec::new();
        if let Verdict::Write { .. } = edit(bytes, &mut new)? {
            *bytes = new;
        }
        Ok(Updated::Done)
    }

    fn delete(&self, _: &Locator, _: u64, _: &mut Events) -> Result<bool> {
        Ok(self.stored().take().is_some())
    }
}

impl Driver for Single {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn create(&self, _: &Locator, bytes: &[u8], _: u64, _: u64, _: &mut Events) -> Result<bool> {
        let mut stored = self.stored();
        let free = stored.is_none();
        if free {
            *stored = Some(bytes.to_vec());
        }
        Ok(free)
    }

    fn lock(&self, _: &Locator, _: u64, _: Option<u64>) -> Result<Option<Box<dyn Records>>> {
        Ok(self.stored().is_some().then(|| Box::new(self.clone()) as Box<dyn Records>))
    }

    fn sweep(&self, _: u64, _: usize, _: &mut Events) -> Result<Swept> {
        Ok(Swept::default())
    }

    fn iterate(&self, _: u64, _: &mut dyn FnMut(holdall::driver::RecordInfo) -> bool) -> Result<()> {
        Ok(())
    }

    fn stats(&self) -> DriverStats {
        DriverStats::default()
    }
}

/// A record as docs/format.md draws it.
struct Drawn {
    head: Vec<u8>,
    /// Space, key, value, stamp.
    entries: Vec<(u8, Vec<u8>, Vec<u8>, u64)>,
}

impl Drawn {
    fn read(bytes: &[u8]) -> Result<Drawn, ErrorKind> {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        if bytes.len() < HEAD || bytes[..4] != *b"\xFFHDR" {
            return Err(ErrorKind::Corrupt);
        }
        if bytes[4..6] != [1, 0] || bytes[6] & !3 != 0 || bytes[7] != 0 {
            return Err(ErrorKind::Unsupported);
        }
        let (count, heap) = (u64::from(word(128)), u64::from(word(132)));
        if HEAD as u64 + count * ROW as u64 + heap != bytes.len() as u64 {
            return Err(ErrorKind::Corrupt);
        }
        let (rows, heap) = bytes[HEAD..].split_at(usize::try_from(count).expect("it fits the file") * ROW);
        let (mut entries, mut start) = (Vec::new(), 0);
        for row in rows.chunks_exact(ROW) {
            let end = u32::from_le_bytes(row[..4].try_into().expect("four bytes")) as usize;
            let part = heap.get(start..end).ok_or(ErrorKind::Corrupt)?;
            let key = usize::from(u16::from_le_bytes([row[4], row[5]]));
            let (key, value) = part.split_at_checked(key).ok_or(ErrorKind::Corrupt)?;
            if row[6] > 2 {
                return Err(ErrorKind::Corrupt);
            }
            let stamp = u64::from_le_bytes(row[8..].try_into().expect("eight bytes"));
            entries.push((row[6], key.to_vec(), value.to_vec(), stamp));
            start = end;
        }
        let drawn = Drawn { head: bytes[..HEAD].to_vec(), entries };
        if start == heap.len() && drawn.is_in_order() { Ok(drawn) } else { Err(ErrorKind::Corrupt) }
    }

    fn number(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.head[at..at + 8].try_into().expect("eight bytes"))
    }

    fn is_text(&self) -> bool {
        self.entries.iter().all(|(_, key, value, _)| str::from_utf8(key).is_ok() && str::from_utf8(value).is_ok())
    }

    fn is_in_order(&self) -> bool {
        self.entries.windows(2).all(|pair| (pair[0].0, &pair[0].1) < (pair[1].0, &pair[1].1))
    }

    fn is_over(&self) -> bool {
        let absolute_ms = match self.number(48) {
            0 => ABSOLUTE_MS,
            own => own.min(ABSOLUTE_MS),
        };
        self.number(32).min(NOW_MS).saturating_add(absolute_ms) <= NOW_MS
    }

    fn key(&self, number: usize) -> &str {
        let keys: Vec<&str> = self.entries.iter().filter_map(|(_, key, ..)| str::from_utf8(key).ok()).collect();
        keys.get(number % (keys.len() + 1)).copied().unwrap_or("other")
    }
}

fn opened(manager: &Manager, options: OpenOptions) -> Result<Session> {
    manager.open_token_with(TOKEN.as_bytes(), options.at(NOW_MS))
}

/// The first byte is how many of the next are operations; the rest is the record.
pub(crate) fn run(input: &[u8]) {
    let mut input = Bytes(input);
    let operations = input.below(32);
    let mut operations = Bytes(input.some(operations));
    SINGLE.with(|(single, manager)| {
        *single.stored() = Some(input.0.to_vec());
        let drawn = match Drawn::read(input.0) {
            Ok(drawn) => drawn,
            Err(kind) => {
                let error = opened(manager, OpenOptions::new()).and_then(|session| session.all()).expect_err("refused");
                assert_eq!(error.kind(), kind, "{error}");
                return;
            }
        };
        read(manager, &drawn);
        written_back(single, manager, &drawn);
        if drawn.is_over() {
            // The visitor is a new one, and this driver has room for one record only.
            return;
        }
        *single.stored() = Some(input.0.to_vec());
        if let Err(error) = operate(single, manager, &drawn, &mut operations) {
            allowed(&error, &REFUSED);
        }
        if let Some(stored) = &*single.stored() {
            match Drawn::read(stored) {
                Ok(after) => assert!(after.is_in_order(), "a commit left the table out of order"),
                Err(_) => assert!(stored.len() < HEAD || stored[8] == 0xA5, "a commit wrote what does not read"),
            }
        }
    });
}

fn read(manager: &Manager, drawn: &Drawn) {
    let session = opened(manager, OpenOptions::new().mode(Mode::ReadOnly)).expect("no I/O");
    assert_eq!(session.is_new().expect("it decodes"), drawn.is_over());
    match session.all() {
        Ok(_) => assert!(drawn.is_text() || drawn.is_over(), "what is not UTF-8 was read"),
        Err(error) => {
            assert!(!drawn.is_text());
            allowed(&error, &[ErrorKind::Corrupt]);
        }
    }
    if drawn.is_over() || !drawn.is_text() {
        return;
    }
    let mut seen = BTreeMap::new();
    for (space, key, value, _) in drawn.entries.iter().filter(|entry| entry.0 < 2) {
        // Data comes first, and wins over flash.
        seen.entry(key).or_insert((space, value));
    }
    for (key, (_, value)) in seen {
        let key = str::from_utf8(key).expect("text");
        let found = session.get_json(key).expect("it decodes").expect("an entry of the table");
        assert_eq!(found.as_bytes(), value, "{key:?}");
        assert_eq!(session.has(key).expect("it decodes"), value != b"null");
    }
    // Stored values need not be JSON here; none of these may panic on it.
    for result in [session.old("a").map(|_| ()), session.get::<u8>(drawn.key(0)).map(|_| ())] {
        let _ = result.map_err(|error| allowed(&error, &[ErrorKind::InvalidValue]));
    }
    session.previous_url().expect("it decodes");
    assert!(!session.csrf_matches(TOKEN).expect("it decodes"));
}

/// One entry is set, and all others must come through as they were.
fn written_back(single: &Single, manager: &Manager, drawn: &Drawn) {
    let before = single.stored().clone();
    let mut session = opened(manager, OpenOptions::new()).expect("no I/O");
    session.set_json("set", "1").expect("it decodes");
    let outcome = session.commit_with(CommitOptions::new().at(NOW_MS).age_flash(false));
    if drawn.is_over() {
        // The old one went with the load, and the new visitor got a record of an id of its own.
        assert!(outcome.is_ok(), "{outcome:?}");
        return;
    }
    if let Err(error) = outcome {
        allowed(&error, &[ErrorKind::Corrupt, ErrorKind::TooLarge]);
        assert!(error.kind() == ErrorKind::TooLarge || !drawn.is_text());
        assert_eq!(*single.stored(), before, "a commit that failed has written");
        return;
    }
    let after = Drawn::read(single.stored().as_ref().expect("stored")).expect("written by the engine");
    let mut expected = drawn.entries.clone();
    expected.retain(|(space, key, ..)| (*space, key.as_slice()) != (0, b"set"));
    expected.push((0, b"set".to_vec(), b"1".to_vec(), 0));
    expected.sort();
    assert!(after.entries == expected, "{:?} became {:?}", drawn.entries, after.entries);
    assert_eq!(after.number(8), drawn.number(8).wrapping_add(1), "revision");
    assert_eq!(after.number(32), drawn.number(32).min(NOW_MS), "created");
    assert_eq!(after.head[40..128], drawn.head[40..128], "timeouts, secret, owner, epoch");
    let text = opened(manager, OpenOptions::new()).and_then(|session| session.get_json("set").map(|v| v == Some("1")));
    assert!(text.expect("written by the engine"));
}

fn operate(single: &Single, manager: &Manager, drawn: &Drawn, operations: &mut Bytes<'_>) -> Result<()> {
    let policy = [FlashPolicy::NextRequest, FlashPolicy::OnRead, FlashPolicy::Explicit][operations.below(3)];
    let mode = [Mode::Shared, Mode::Exclusive][operations.below(2)];
    let mut session = opened(manager, OpenOptions::new().flash(policy).mode(mode))?;
    // Damage comes behind the load: a record that is over before it makes a new visitor, for whom this driver has no room.
    session.is_new()?;
    while !operations.is_empty() {
        let (operation, key) = (operations.byte(), drawn.key(operations.below(256)));
        let result = match operation % 26 {
            0 => session.get_json(key).map(|_| ()),
            1 => session.set_json(key, "[1, 2]"),
            2 => session.delete(&[key]),
            3 => session.pull_json(key).map(|_| ()),
            4 => session.increment(key, i64::MAX).map(|_| ()),
            5 => session.push_json(key, "{}"),
            6 => session.replace_json(key, "[1, 2, 3]"),
            7 => session.remember_json(key, || Ok("\"made\"".into())).map(|_| ()),
            8 => session.flush(),
            9 => session.reset(operations.flag()),
            10 => session.flash_json(key, "\"new\""),
            11 => session.flash_now_json(key, "0"),
            12 => session.keep(&[key, "other"]),
            13 => session.reflash(),
            14 => session.flash_input("{\"a\":1}"),
            15 => session.regenerate(),
            16 => session.invalidate(),
            17 => session.set_idle_timeout(Some(u64::from(operation))),
            18 => session.set_absolute_timeout(None),
            19 => session.set_persistent(operations.flag()),
            20 => session.csrf_token().map(|token| assert!(matches!(session.csrf_matches(&token), Ok(true)))),
            21 => session.regenerate_csrf_token(),
            22 => session.set_previous_url("/\"\\\u{1}"),
            23 => session.touch(),
            24 if mode == Mode::Shared => another_commits(manager, key),
            25 if mode == Mode::Shared => {
                damage(single, operations);
                Ok(())
            }
            _ => session.all().map(|_| ()),
        };
        if let Err(error) = result {
            let of_the_call = [ErrorKind::InvalidValue, ErrorKind::InvalidArgument];
            allowed(&error, &[&REFUSED[..], &of_the_call].concat());
        }
    }
    match operation_at_the_end(&mut session, operations) {
        Err(error) if error.kind() == ErrorKind::Unavailable => panic!("{error}"),
        result => result,
    }
}

fn operation_at_the_end(session: &mut Session, operations: &mut Bytes<'_>) -> Result<()> {
    let commit = session.commit_at(NOW_MS + 1000 * u64::from(operations.byte()))?;
    let seen = session.all()?;
    assert!(commit.headers().iter().all(|(_, value)| value.is_ascii()) && seen.starts_with('{'));
    Ok(())
}

fn another_commits(manager: &Manager, key: &str) -> Result<()> {
    let mut other = opened(manager, OpenOptions::new())?;
    other.push_json(key, "9")?;
    other.flash_json(key, "8")?;
    other.commit_at(NOW_MS).map(|_| ())
}

/// What another process, or a disk, may leave between the load and the commit. The mark in the revision tells it from what
/// the engine has written.
fn damage(single: &Single, operations: &mut Bytes<'_>) {
    if let Some(stored) = &mut *single.stored()
        && stored.len() > HEAD
    {
        let mut damaged = stored.clone();
        let at = 4 + usize::from(operations.byte()) * 3 % (stored.len() - 4);
        damaged[at] ^= operations.byte() | 1;
        damaged[8] = 0xA5;
        *stored = damaged;
    }
}
