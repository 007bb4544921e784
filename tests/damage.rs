//! Guards what the file driver does with files that are damaged, swapped or not its own: an older state with an event,
//! quarantine with an event, or a refusal. Never wrong data, never a panic, never silence.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Dice, Place, figure, open, processes, scaled, stored, value};
use holdall::{ErrorKind, EventKind, Manager};
use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::sync::{Arc, Mutex};

struct Watched {
    place: Place,
    events: Arc<Mutex<Vec<EventKind>>>,
}

fn watched() -> Watched {
    let place = Place::new("file");
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    place.manager.on_event(move |event| seen.lock().unwrap().push(event.kind())).unwrap();
    Watched { place, events }
}

impl Watched {
    /// The value of `k`, and the events that loading it made.
    fn read(&self, token: &str) -> (Option<String>, Vec<EventKind>) {
        self.events.lock().unwrap().clear();
        let value = value(&self.place.manager, token, "k");
        (value, self.events.lock().unwrap().clone())
    }

    fn quarantined(&self) -> usize {
        fs::read_dir(self.place.sessions().join("quarantine")).map_or(0, Iterator::count)
    }
}

/// A session whose file has been written three times: "new" in one slot, "old" in the other.
fn written_thrice(manager: &Manager) -> String {
    let token = stored(manager, &[("k", "\"first\"")]);
    for text in ["old", "new"] {
        let mut session = open(manager, &token);
        session.set("k", text).unwrap();
        drop(session.commit().unwrap());
    }
    token
}

fn damaged(
    damages: impl Iterator<Item = Vec<u8>>,
    token: &str,
    watched: &Watched,
    file: &std::path::Path,
) -> [usize; 3] {
    let mut seen = [0; 3];
    for (index, damage) in damages.enumerate() {
        overwrite(file, &damage);
        let (value, events) = watched.read(token);
        match value.as_deref() {
            Some("\"new\"") => seen[0] += 1,
            Some("\"old\"") => {
                assert!(
                    events.contains(&EventKind::RolledBack),
                    "damage {index}: lost the newest state without a word"
                );
                seen[1] += 1;
                // Told once: the record was written anew over the damage.
                assert_eq!(watched.read(token), (Some("\"old\"".into()), vec![]), "damage {index}");
            }
            None => {
                assert!(events.contains(&EventKind::Quarantined), "damage {index}: gone without a word");
                assert!(!file.exists());
                seen[2] += 1;
            }
            Some(other) => panic!("damage {index} gave {other}"),
        }
        if !file.exists() {
            fs::write(file, b"").unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    seen
}

/// In place: a file that is truncated and written costs ext4 a write to the disk.
fn overwrite(file: &std::path::Path, bytes: &[u8]) {
    let file = fs::OpenOptions::new().write(true).open(file).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

#[test]
fn every_prefix_of_a_session_file_reads_as_a_committed_state_or_is_quarantined() {
    let watched = watched();
    let token = written_thrice(&watched.place.manager);
    let file = watched.place.only_file();
    let whole = fs::read(&file).unwrap();

    let prefixes = (0..whole.len()).map(|length| whole[..length].to_vec());
    let [new, old, gone] = damaged(prefixes, &token, &watched, &file);

    assert!(new == 0 && old + gone == whole.len() || new > 0, "{new} {old} {gone}");
    assert!(gone > 0 && watched.quarantined() <= 100);
    figure("R6", "file", "prefixes of a session file that gave wrong data", format!("0 of {}", whole.len()), "0");
}

#[test]
fn every_single_bit_flip_of_a_session_file_reads_as_a_committed_state() {
    let watched = watched();
    let token = written_thrice(&watched.place.manager);
    let file = watched.place.only_file();
    let whole = fs::read(&file).unwrap();

    let flips = (0..whole.len() * 8).map(|bit| {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    });
    let [new, old, gone] = damaged(flips, &token, &watched, &file);

    assert_eq!(new + old, whole.len() * 8);
    assert_eq!(gone, 0);
    assert!(old > 1000, "the newest slot has more bits than {old}");
    figure("R6", "file", "single bits flipped that gave wrong data", format!("0 of {}", whole.len() * 8), "0");
}

/// Damages a file here and there: bits, bytes, ranges zeroed, filled, copied, taken from another session; cut or made
/// longer.
fn mutate(bytes: &mut Vec<u8>, stranger: &[u8], dice: &mut Dice) {
    for _ in 0..=dice.below(4) {
        if bytes.is_empty() {
            return;
        }
        let (at, other) = (dice.below(bytes.len()), dice.below(bytes.len()));
        if at.abs_diff(other) % 1024 == 0 {
            // A whole slot in the place of another is no damage: an older state, or a regenerate that was cut short.
            continue;
        }
        let most = 1 << dice.below(11);
        let length = dice.below(most).min(bytes.len() - at.max(other));
        match dice.below(16) {
            0..5 => bytes[at] ^= 1 << dice.below(8),
            5..8 => bytes[at] = u8::try_from(dice.below(256)).unwrap(),
            8 | 9 => bytes[at..at + length].fill(0),
            10 => bytes[at..at + length].fill(u8::try_from(dice.below(256)).unwrap()),
            11 | 12 => bytes.copy_within(other..other + length, at),
            13 => {
                let length = length.min(stranger.len().saturating_sub(other));
                bytes[at..at + length].copy_from_slice(&stranger[other.min(stranger.len())..][..length]);
            }
            14 => bytes.truncate(at),
            _ => bytes.extend((0..length).map(|_| u8::try_from(dice.below(256)).unwrap())),
        }
    }
}

#[test]
fn a_million_random_damages_give_a_committed_state_or_quarantine_and_never_wrong_data() {
    let watched = watched();
    let manager = &watched.place.manager;
    let token = written_thrice(manager);
    let file = watched.place.only_file();
    let whole = fs::read(&file).unwrap();
    let stranger_token = written_thrice(manager);
    let stranger_file = watched.place.files().into_iter().find(|other| *other != file).unwrap();
    let stranger = fs::read(&stranger_file).unwrap();
    fs::remove_file(&stranger_file).unwrap();
    let mut dice = Dice(6);
    let times = scaled(20_000, 1_000_000);
    let (mut before, mut most) = (0, 0);

    let damages = (0..times).map(|time| {
        if time == times / 10 {
            before = processes::resident_bytes();
        } else if time % 1000 == 0 && time > times / 10 {
            most = most.max(processes::resident_bytes());
        }
        let mut bytes = whole.clone();
        mutate(&mut bytes, &stranger, &mut dice);
        bytes
    });
    let [new, old, gone] = damaged(damages, &token, &watched, &file);

    assert_eq!(new + old + gone, times);
    assert!(new.min(old).min(gone) > times / 100, "{new} {old} {gone}");
    assert!(watched.read(&stranger_token).0.is_none());
    let grown = most.saturating_sub(before);
    assert!(grown < 4 << 20, "the process grew by {grown} bytes");
    let found = |what, demanded, found: String| figure("R6", "file", what, found, demanded);
    found("random damages that gave wrong data, or were met without an event", "0", format!("0 of {times}"));
    found("of them: the newest state whole, the one before it, quarantined", "", format!("{new}, {old}, {gone}"));
    found("memory the process grew by over them", "< 4 MiB", format!("{} KiB", grown / 1024));
}

#[test]
fn a_file_under_another_sessions_name_never_reads_as_that_session() {
    let watched = watched();
    let manager = &watched.place.manager;
    let ann = stored(manager, &[("k", "\"ann\"")]);
    let ann_file = watched.place.only_file();
    let bob = stored(manager, &[("k", "\"bob\"")]);
    let bob_file = watched.place.files().into_iter().find(|file| *file != ann_file).unwrap();

    fs::copy(&ann_file, &bob_file).unwrap();

    let (value, events) = watched.read(&bob);
    assert_eq!(value, None);
    assert_eq!(events, [EventKind::Quarantined, EventKind::UnknownToken]);
    assert_eq!(watched.read(&ann).0.as_deref(), Some("\"ann\""));
}

#[test]
fn empty_and_enormous_files_are_quarantined_without_reading_them_whole() {
    let watched = watched();
    let token = stored(&watched.place.manager, &[("k", "1")]);
    let file = watched.place.only_file();
    for size in [0, 1, 87, 88, 1 << 30, 1 << 40] {
        fs::write(&file, b"").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(size).unwrap();
        let (value, events) = watched.read(&token);
        assert_eq!(value, None, "{size}");
        assert!(events.contains(&EventKind::Quarantined), "{size}");
        assert!(!file.exists());
    }
}

#[test]
fn what_lies_under_a_sessions_name_and_is_not_ours_is_refused_and_left_alone() {
    let place = Place::new("file");
    let token = stored(&place.manager, &[("k", "1")]);
    let file = place.only_file();
    let outside = place.directory.path().join("outside");
    fs::copy(&file, &outside).unwrap();
    let make: [(&str, &dyn Fn()); 6] = [
        ("symlink", &|| symlink(&outside, &file).unwrap()),
        ("dangling symlink", &|| symlink("/nonexistent", &file).unwrap()),
        ("hard link", &|| fs::hard_link(&outside, &file).unwrap()),
        ("directory", &|| fs::create_dir(&file).unwrap()),
        ("fifo", &|| {
            assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
        }),
        ("open to others", &|| {
            fs::copy(&outside, &file).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        }),
    ];
    for (what, make) in make {
        let _ = fs::remove_file(&file);
        make();

        let error = open(&place.manager, &token).get_json("k").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{what}");
        assert!(!error.is_retryable(), "{what}");
        assert!(fs::symlink_metadata(&file).is_ok(), "{what} was removed");
        let swept = place.manager.sweep_at(1000, u64::MAX / 2).unwrap();
        assert_eq!(swept.removed, 0, "{what} was swept");
        if what == "directory" {
            fs::remove_dir(&file).unwrap();
        }
    }
    assert!(outside.exists());
}

#[test]
fn files_and_directory_are_private_whatever_the_umask() {
    let place = Place::new("file");
    stored(&place.manager, &[("k", "1")]);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&place.sessions()), 0o700);
    assert_eq!(mode(&place.only_file()), 0o600);
    assert_eq!(mode(&place.sessions().join(".holdall")), 0o600);
}

#[test]
fn a_directory_that_others_may_enter_is_a_config_error_that_says_what_to_do() {
    let place = Place::new("file");
    fs::set_permissions(place.sessions(), fs::Permissions::from_mode(0o755)).unwrap();
    let error = Manager::new(&place.config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.message().contains("drivers.main.path") && error.message().contains("chmod 700"), "{error}");
}

#[test]
fn processes_that_promise_different_durability_cannot_share_a_directory() {
    let place = Place::new("file");
    let error = Manager::new(&place.config.replace(r#""type""#, r#""durability":"commit","type""#)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.message().contains("drivers.main.durability"), "{error}");
}

#[test]
fn durable_sessions_do_all_that_others_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions");
    let config =
        common::config("file", &path.display().to_string(), "").replace(r#""type""#, r#""durability":"commit","type""#);
    let manager = Manager::new(&config).unwrap();
    let token = stored(&manager, &[("n", "1")]);

    let mut session = open(&manager, &token);
    session.increment("n", 1).unwrap();
    session.regenerate().unwrap();
    drop(session.commit().unwrap());

    let token = session.id().unwrap().unwrap().as_str().to_owned();
    // Another process: what it did not sync itself it syncs before it overwrites.
    let other = Manager::new(&config).unwrap();
    let mut session = open(&other, &token);
    session.increment("n", 1).unwrap();
    drop(session.commit().unwrap());
    assert_eq!(value(&manager, &token, "n").as_deref(), Some("3"));
    open(&manager, &token).destroy().unwrap();
    assert!(open(&other, &token).is_new().unwrap());
}

#[test]
fn a_regenerate_that_stopped_half_way_leaves_the_old_id_whole() {
    // A slot bound to the new id is written, and the names were never exchanged: rebuilt here from a finished one.
    let place = Place::new("file");
    let manager = &place.manager;
    let token = stored(manager, &[("n", "1")]);
    let old = place.only_file();
    let mut session = open(manager, &token);
    session.regenerate().unwrap();
    session.increment("n", 10).unwrap();
    drop(session.commit().unwrap());
    let new_token = session.id().unwrap().unwrap().as_str().to_owned();
    let new = place.files().into_iter().find(|file| *file != old).unwrap();
    let (marker, record) = (fs::read(&old).unwrap(), fs::read(&new).unwrap());
    fs::write(&old, record).unwrap();
    fs::write(&new, marker).unwrap();

    assert_eq!(value(manager, &token, "n").as_deref(), Some("1"));
    assert!(open(manager, &new_token).is_new().unwrap());
    let mut session = open(manager, &token);
    session.increment("n", 1).unwrap();
    assert_eq!(session.commit().unwrap().outcome().name(), "saved");
    assert_eq!(value(manager, &token, "n").as_deref(), Some("2"));

    // The marker under the name that was never used goes with the sweep, once its minute is over.
    let later = common::NOW_MS * 2;
    assert_eq!(place.files().len(), 2);
    while !manager.sweep_at(1000, later).unwrap().finished {}
    assert_eq!(place.files().len(), 0, "the record has expired by then too");
}

#[test]
fn a_record_over_a_limit_that_was_lowered_is_not_read_but_can_be_destroyed_and_swept() {
    let place = Place::new("file");
    let text = format!("{:?}", "x".repeat(10_000));
    let tokens: Vec<String> = (0..3).map(|_| stored(&place.manager, &[("k", &text)])).collect();
    let lower = place.config.replace(r#"{"default""#, r#"{"max_record_bytes":2000,"default""#);
    let manager = Manager::new(&lower).unwrap();

    let error = open(&manager, &tokens[0]).get_json("k").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.message().contains("limit is 2000"), "{error}");

    let mut session = open(&manager, &tokens[0]);
    session.destroy().unwrap();
    assert_eq!(session.commit().unwrap().outcome().name(), "gone");
    assert_eq!(place.files().len(), 2);
    assert_eq!(common::records(&manager), 2);
    let mut removed = 0;
    while removed < 2 {
        removed += manager.sweep_at(100, common::NOW_MS * 2).unwrap().removed;
    }
    assert_eq!(place.files().len(), 0);
}
