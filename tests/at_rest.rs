//! Guards encryption at rest: whoever reads the storage learns nothing, whoever writes to it gets nothing read that was not sealed
//! for that very place and time; it can be turned on over plain records, and a key can be replaced.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Dice, KEY, NOW_MS, Place, config, open, records, scaled, stored, value};
use holdall::driver::{Driver, Updated, Verdict};
use holdall::{ErrorKind, EventKind, Events, Locator, Manager, Mode, OpenOptions, Outcome, generate_key};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, Mutex};

/// What seals a record, in bytes: magic, version, nonce, expiry, tag.
const OVERHEAD_BYTES: usize = 4 + 1 + 24 + 8 + 16;

/// A manager over the files of a place, with another ring and policy.
fn over(place: &Place, policy: &str, keys: &[&str]) -> Manager {
    let keys = serde_json::to_string(keys).unwrap();
    let path = place.sessions().display().to_string();
    Manager::new(&config("file", &path, &format!(r#","at_rest":"{policy}","keys":{keys}"#))).unwrap()
}

/// Who has the storage in his hands: the file driver by itself, which writes valid files of whatever bytes.
struct Intruder(Arc<dyn Driver>);

impl Intruder {
    fn at(place: &Place) -> Intruder {
        let taken = Mutex::new(None);
        let plain = config("file", &place.sessions().display().to_string(), "");
        drop(Manager::with_driver(&plain, |inner| {
            *taken.lock().unwrap() = Some(inner.clone());
            inner
        }));
        Intruder(taken.into_inner().unwrap().unwrap())
    }

    /// Where the records are, and until when.
    fn found(&self) -> Vec<(Locator, u64)> {
        let mut found = Vec::new();
        let mut note = |info: holdall::driver::RecordInfo| {
            found.push((info.locator, info.expiry_ms));
            true
        };
        self.0.iterate(NOW_MS, &mut note).unwrap();
        found
    }

    fn read(&self, locator: &Locator) -> Vec<u8> {
        self.0.load(locator, NOW_MS, &mut Events::default()).unwrap().unwrap().bytes().to_vec()
    }

    fn write(&self, locator: &Locator, bytes: &[u8], expiry_ms: u64) {
        let mut edit = |_: &[u8], new: &mut Vec<u8>| {
            new.extend_from_slice(bytes);
            Ok(Verdict::Write { expiry_ms })
        };
        let updated = self.0.update(locator, None, NOW_MS, &mut edit, &mut Events::default()).unwrap();
        assert_eq!(updated, Updated::Done);
    }
}

/// Where the record of a token is (docs/format.md).
fn locator_of(token: &str) -> Locator {
    let id = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token).unwrap();
    let hash = Sha256::new_with_prefix("holdall/id/v1").chain_update(id).finalize();
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Locator::from_hex(hex.as_bytes()).unwrap()
}

/// A session that has come back once: no touch is due that would seal it in any case.
fn settled(manager: &Manager, values: &[(&str, &str)]) -> String {
    let token = stored(manager, values);
    let mut session = open(manager, &token);
    session.set("settled", &true).unwrap();
    drop(session.commit().unwrap());
    token
}

#[test]
fn nothing_of_a_session_can_be_read_in_its_file() {
    let place = Place::new("sealed file");
    let token =
        stored(&place.manager, &[("who", "\"alice the admin\""), ("large", &format!("{:?}", "needle ".repeat(900)))]);
    // Both slots, and one of a larger class.
    for n in 0..3 {
        let mut session = open(&place.manager, &token);
        session.set("who", &format!("alice the admin {n}")).unwrap();
        session.flash("note", "alice was here").unwrap();
        drop(session.commit().unwrap());
    }
    let file = std::fs::read(place.only_file()).unwrap();
    for secret in ["alice", "admin", "needle", "note", "who", "large", "HDR", KEY, &token] {
        assert!(!file.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
    }
}

#[test]
fn a_record_in_memory_is_sealed_too_and_no_two_seals_are_alike() {
    let size = |place: &Place| {
        stored(&place.manager, &[("n", "1")]);
        let mut bytes = 0;
        place
            .manager
            .iterate(|info| {
                bytes = info.bytes;
                true
            })
            .unwrap();
        bytes
    };
    assert_eq!(size(&Place::new("sealed memory")), size(&Place::new("memory")) + OVERHEAD_BYTES);

    let place = Place::new("sealed file");
    for _ in 0..10 {
        stored(&place.manager, &[("n", "1")]);
    }
    let intruder = Intruder::at(&place);
    let sealed: Vec<Vec<u8>> =
        intruder.found().iter().map(|(locator, _)| intruder.read(locator)[5..].to_vec()).collect();
    for (index, one) in sealed.iter().enumerate() {
        for other in &sealed[index + 1..] {
            assert!(one.chunks(16).zip(other.chunks(16)).all(|(a, b)| a != b));
        }
    }
}

#[test]
fn turned_on_over_plain_records_it_reads_them_and_seals_them_at_the_next_commit() {
    for only_reads in [false, true] {
        let place = Place::new("file");
        let token = settled(&place.manager, &[("who", "\"alice\"")]);
        let sealed = over(&place, "sealed", &[KEY]);
        let is_plain = || std::fs::read(place.only_file()).unwrap().windows(5).any(|part| part == b"alice");
        assert!(is_plain());

        // To look is not to write.
        let options = OpenOptions::new().mode(Mode::ReadOnly);
        let mut session = sealed.open_token_with(token.as_bytes(), options).unwrap();
        assert_eq!(session.get::<String>("who").unwrap().as_deref(), Some("alice"));
        drop(session.commit().unwrap());
        assert_eq!(Intruder::at(&place).read(&locator_of(&token))[..4], *b"\xffHDR");

        for _ in 0..2 {
            // The first commit overwrites the slot that is not current, the second the one that was.
            let mut session = open(&sealed, &token);
            assert!(session.exists("who").unwrap());
            if !only_reads {
                session.increment("n", 1).unwrap();
            }
            drop(session.commit().unwrap());
            assert_eq!(Intruder::at(&place).read(&locator_of(&token))[..4], *b"\xffHDE");
        }
        assert_eq!(value(&over(&place, "sealed_only", &[KEY]), &token, "who").as_deref(), Some("\"alice\""));
        assert_eq!(is_plain(), only_reads, "the slot of before stays until it is overwritten");
    }
}

#[test]
fn sealed_only_refuses_a_plain_record_and_leaves_it_where_it_is() {
    let place = Place::new("file");
    let token = stored(&place.manager, &[("admin", "true")]);
    let sealed = over(&place, "sealed_only", &[KEY]);

    for mode in [Mode::Shared, Mode::ReadOnly, Mode::Exclusive] {
        let session = sealed.open_token_with(token.as_bytes(), OpenOptions::new().mode(mode));
        let error = session.and_then(|session| session.get_json("admin").map(|_| ())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }

    assert_eq!(value(&place.manager, &token, "admin").as_deref(), Some("true"));
    // And one that is written while a request is under way.
    let token = stored(&sealed, &[("n", "1")]);
    let mut session = open(&sealed, &token);
    session.increment("n", 1).unwrap();
    let intruder = Intruder::at(&place);
    let plain = intruder
        .found()
        .into_iter()
        .map(|(locator, _)| intruder.read(&locator))
        .find(|bytes| bytes.starts_with(b"\xffHDR"));
    let locator = locator_of(&token);
    intruder.write(&locator, &plain.unwrap(), NOW_MS * 2);
    assert_eq!(session.commit().unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(intruder.read(&locator)[..4], *b"\xffHDR");
}

#[test]
fn every_bit_of_a_sealed_record_counts() {
    let place = Place::new("sealed file");
    let token = stored(&place.manager, &[("n", "1")]);
    let (intruder, locator) = (Intruder::at(&place), locator_of(&token));
    let expiry_ms = intruder.found()[0].1;
    let whole = intruder.read(&locator);
    let refused = |bytes: &[u8], what: &str| {
        intruder.write(&locator, bytes, expiry_ms);
        let kind = open(&place.manager, &token).get_json("n").unwrap_err().kind();
        let is_other_version = bytes.len() > 4 && bytes[..4] == whole[..4] && bytes[4] != whole[4];
        assert_eq!(kind, if is_other_version { ErrorKind::Unsupported } else { ErrorKind::Corrupt }, "{what}");
    };
    let mut dice = Dice(3);
    let bits: Vec<usize> = (0..whole.len() * 8).filter(|_| dice.below(scaled(4, 1)) == 0).collect();
    for bit in bits.into_iter().chain(0..40) {
        let mut altered = whole.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        refused(&altered, "a flipped bit");
    }
    for length in 0..whole.len() {
        refused(&whole[..length], "cut");
    }
    refused(&[&*whole, b"\0"].concat(), "longer");

    intruder.write(&locator, &whole, expiry_ms);
    assert_eq!(value(&place.manager, &token, "n").as_deref(), Some("1"));
}

#[test]
fn a_record_under_another_name_is_refused_also_after_a_regenerate() {
    let place = Place::new("sealed file");
    let manager = &place.manager;
    let (mine, other) = (stored(manager, &[("user", "1")]), stored(manager, &[("user", "2")]));
    let intruder = Intruder::at(&place);
    let (my_locator, other_locator) = (locator_of(&mine), locator_of(&other));
    let (my_bytes, other_bytes) = (intruder.read(&my_locator), intruder.read(&other_locator));
    intruder.write(&my_locator, &other_bytes, NOW_MS * 2);
    intruder.write(&other_locator, &my_bytes, NOW_MS * 2);
    for token in [&mine, &other] {
        assert_eq!(open(manager, token).get_json("user").unwrap_err().kind(), ErrorKind::Corrupt);
    }

    intruder.write(&my_locator, &my_bytes, NOW_MS * 2);
    let mut session = open(manager, &mine);
    session.regenerate().unwrap();
    drop(session.commit().unwrap());
    let new = session.id().unwrap().unwrap().as_str().to_owned();
    assert_eq!(value(manager, &new, "user").as_deref(), Some("1"));
    intruder.write(&locator_of(&new), &my_bytes, NOW_MS * 2);
    assert_eq!(open(manager, &new).get_json("user").unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn an_expiry_that_was_set_later_outside_of_the_seal_lets_no_session_live_longer() {
    let place = Place::with("sealed file", &format!(r#","keyed_secret":"{}""#, "A".repeat(43)));
    let manager = &place.manager;
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    manager.on_event(move |event| seen.lock().unwrap().push(event.kind())).unwrap();
    let keyed = |now_ms| manager.open_keyed_with(b"k", OpenOptions::new().at(now_ms)).unwrap();
    let mut session = keyed(NOW_MS);
    session.set("n", &1).unwrap();
    drop(session.commit_at(NOW_MS).unwrap());
    let intruder = Intruder::at(&place);
    let (locator, expiry_ms) = intruder.found()[0];
    let mut late = keyed(expiry_ms - 1);
    late.increment("n", 1).unwrap();
    let sealed = intruder.read(&locator);
    intruder.write(&locator, &sealed, expiry_ms * 2);

    assert!(!keyed(expiry_ms - 1).is_new().unwrap());
    events.lock().unwrap().clear();
    assert!(keyed(expiry_ms).is_new().unwrap());
    assert_eq!(*events.lock().unwrap(), [EventKind::Expired]);
    // It is as dead to a commit that had loaded it before, and in nobody's way.
    assert_eq!(late.commit_at(expiry_ms).unwrap().outcome(), Outcome::Gone);
    let planted = intruder.0.create(&locator, &sealed, NOW_MS, expiry_ms * 2, &mut Events::default());
    assert!(planted.unwrap(), "the commit has swept it");
    let mut session = keyed(expiry_ms);
    session.set("m", &1).unwrap();
    assert_eq!(session.commit_at(expiry_ms).unwrap().outcome(), Outcome::Saved);
    assert_eq!(keyed(expiry_ms).all().unwrap(), r#"{"m":1}"#);

    // One that was set sooner ends it, as a sweep would.
    let (locator, expiry_ms) = intruder.found()[0];
    let sealed = intruder.read(&locator);
    intruder.write(&locator, &sealed, expiry_ms - 1000);
    assert!(keyed(expiry_ms - 1000).is_new().unwrap());
}

#[test]
fn an_old_key_opens_and_the_next_commit_seals_with_the_new_one_also_where_it_only_read() {
    let (old, new) = (generate_key().unwrap(), generate_key().unwrap());
    let place = Place::new("file");
    let token = settled(&over(&place, "sealed_only", &[&old]), &[("n", "1")]);
    let both = over(&place, "sealed_only", &[&new, &old]);

    let mut session = open(&both, &token);
    assert!(session.exists("n").unwrap());
    assert_eq!(session.commit().unwrap().outcome(), Outcome::Unchanged);

    assert_eq!(value(&over(&place, "sealed_only", &[&new]), &token, "n").as_deref(), Some("1"));
    let before = std::fs::read(place.only_file()).unwrap();
    let mut session = open(&both, &token);
    assert!(session.exists("n").unwrap());
    drop(session.commit().unwrap());
    assert!(std::fs::read(place.only_file()).unwrap() == before, "once is enough");
}

#[test]
fn a_key_that_is_missing_is_an_error_and_throws_nothing_away() {
    let (key, other) = (generate_key().unwrap(), generate_key().unwrap());
    let place = Place::new("file");
    let right = over(&place, "sealed_only", &[&key]);
    let token = stored(&right, &[("n", "1")]);
    let mut elsewhere = Vec::new();
    for policy in ["sealed", "sealed_only"] {
        elsewhere.push(over(&place, policy, &[&other]));
    }
    let path = place.sessions().display().to_string();
    let shop = format!(r#","at_rest":"sealed","application":"shop","keys":["{key}"]"#);
    elsewhere.push(Manager::new(&config("file", &path, &shop)).unwrap());
    for wrong in &elsewhere {
        let mut session = open(wrong, &token);
        assert_eq!(session.get_json("n").unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(session.set("n", &2).unwrap_err().kind(), ErrorKind::Corrupt);
        wrong.sweep(1000).unwrap();
    }
    assert_eq!(value(&right, &token, "n").as_deref(), Some("1"));

    // And without a seal at all.
    assert!(open(&place.manager, &token).get_json("n").is_err());
    assert_eq!(value(&right, &token, "n").as_deref(), Some("1"));

    // Who signs out is signed out, whether it can be read or not.
    open(&elsewhere[0], &token).destroy().unwrap();
    assert!(open(&right, &token).is_new().unwrap());
}

#[test]
fn a_record_of_the_largest_size_has_room_for_its_seal() {
    for driver in ["memory", "file", "sealed memory", "sealed file"] {
        let place = Place::with(driver, r#","max_record_bytes":20000"#);
        let manager = &place.manager;
        let token = stored(manager, &[("v", "\"\"")]);
        let overhead = {
            let plain = Manager::new("memory:").unwrap();
            stored(&plain, &[("v", "\"\"")]);
            let mut bytes = 0;
            plain
                .iterate(|info| {
                    bytes = info.bytes;
                    true
                })
                .unwrap();
            bytes
        };
        for (size, fits) in [(20_000, true), (20_001, false), (20_000, true), (200, true), (19_999, true)] {
            let mut session = open(manager, &token);
            let text = "x".repeat(size - overhead);
            session.set("v", &text).unwrap();
            match session.commit() {
                Ok(_) => {
                    assert_eq!(open(manager, &token).get::<String>("v").unwrap().unwrap(), text, "{driver}: {size}")
                }
                Err(error) => assert!(!fits && error.kind() == ErrorKind::TooLarge, "{driver}: {size}: {error}"),
            }
        }
        let stats: serde_json::Value = serde_json::from_str(&manager.stats()).unwrap();
        assert_eq!(stats["drivers"]["main"]["capabilities"]["max_bytes"], 20_000, "{driver}");
    }
}

#[test]
fn sealed_records_grow_shrink_move_and_are_destroyed_like_any() {
    for driver in ["sealed memory", "sealed file"] {
        let place = Place::new(driver);
        let manager = &place.manager;
        let mut token = stored(manager, &[("n", "0")]);
        let mut dice = Dice(11);
        for round in 1..=30 {
            let length = dice.of(&[0, 1, 700, 820, 900, 2000, 20_000, 10]);
            let mut session = open(manager, &token);
            session.set("text", &"x".repeat(length)).unwrap();
            session.increment("n", 1).unwrap();
            if round % 7 == 0 {
                session.regenerate().unwrap();
            }
            drop(session.commit().unwrap());
            let old = std::mem::replace(&mut token, session.id().unwrap().unwrap().as_str().to_owned());
            assert_eq!(open(manager, &old).is_new().unwrap(), round % 7 == 0);
            let session = open(manager, &token);
            assert_eq!(session.get::<String>("text").unwrap().unwrap().len(), length);
            assert_eq!(session.get::<i64>("n").unwrap(), Some(round));
        }
        assert_eq!(records(manager), 1);
        open(manager, &token).destroy().unwrap();
        assert_eq!(records(manager), 0);
    }
}
