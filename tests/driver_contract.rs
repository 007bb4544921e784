//! Guards that every driver keeps the contract of src/driver.rs, sentence by sentence.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{DRIVERS, NOW_MS, config};
use holdall::driver::{Driver, MOVED_MARKER_MS, Updated, Verdict};
use holdall::{Events, Locator, Manager};
use std::sync::{Arc, Mutex};

const DAY_MS: u64 = 86_400_000;

/// Every server-side driver of the registry, opened alone, plain and sealed.
fn drivers(test: impl Fn(&dyn Driver)) {
    for driver in DRIVERS {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions").display().to_string();
        let opened = Mutex::new(None);
        let manager = Manager::with_driver(&config(driver, &path, ""), |inner| {
            *opened.lock().unwrap() = Some(inner.clone());
            inner
        });
        drop(manager.unwrap());
        let opened: Arc<dyn Driver> = opened.into_inner().unwrap().unwrap();
        test(&*opened);
    }
}

fn locator(number: u8) -> Locator {
    let mut hex = [b'0'; 64];
    hex[0] = b"0123456789abcdef"[usize::from(number >> 4)];
    hex[1] = b"0123456789abcdef"[usize::from(number & 15)];
    Locator::from_hex(&hex).unwrap()
}

fn create(driver: &dyn Driver, number: u8, bytes: &[u8], expiry_ms: u64) -> bool {
    driver.create(&locator(number), bytes, NOW_MS, expiry_ms, &mut Events::default()).unwrap()
}

fn load_at(driver: &dyn Driver, number: u8, now_ms: u64) -> Option<Vec<u8>> {
    driver.load(&locator(number), now_ms, &mut Events::default()).unwrap().map(|loaded| loaded.bytes().to_vec())
}

fn load(driver: &dyn Driver, number: u8) -> Option<Vec<u8>> {
    load_at(driver, number, NOW_MS)
}

fn write(driver: &dyn Driver, number: u8, to: Option<u8>, bytes: &[u8]) -> Updated {
    let mut edit = |_: &[u8], new: &mut Vec<u8>| {
        new.extend_from_slice(bytes);
        Ok(Verdict::Write { expiry_ms: NOW_MS + DAY_MS })
    };
    driver.update(&locator(number), to.map(locator).as_ref(), NOW_MS, &mut edit, &mut Events::default()).unwrap()
}

#[test]
fn a_full_memory_driver_makes_room_from_expired_records_before_living_ones() {
    let opened = Mutex::new(None);
    let config = r#"{"default":"m","drivers":{"m":{"type":"memory","max_bytes":1048576}},"max_record_bytes":262144}"#;
    drop(Manager::with_driver(config, |inner| {
        *opened.lock().unwrap() = Some(inner.clone());
        inner
    }));
    let driver: Arc<dyn Driver> = opened.into_inner().unwrap().unwrap();
    for number in 0..10 {
        assert!(create(&*driver, number, b"", NOW_MS + if number == 9 { 1000 } else { DAY_MS }));
        // Its cookie has come back.
        assert!(load(&*driver, number).is_some());
    }
    for number in 0..10 {
        let mut edit = |_: &[u8], new: &mut Vec<u8>| {
            new.resize(100_000, 7);
            Ok(Verdict::Write { expiry_ms: NOW_MS + if number == 9 { 1000 } else { DAY_MS } })
        };
        driver.update(&locator(number), None, NOW_MS, &mut edit, &mut Events::default()).unwrap();
    }

    let later = NOW_MS + 60_000;
    assert!(driver.create(&locator(100), &[7; 100_000], later, later + DAY_MS, &mut Events::default()).unwrap());

    let living: Vec<u8> = (0..10).filter(|number| load_at(&*driver, *number, later).is_some()).collect();
    assert_eq!(living, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
}

/// Moves the expiry of a record and leaves its bytes.
fn touch(driver: &dyn Driver, number: u8, now_ms: u64, expiry_ms: u64) -> Updated {
    let mut edit = |stored: &[u8], new: &mut Vec<u8>| {
        new.extend_from_slice(stored);
        Ok(Verdict::Write { expiry_ms })
    };
    driver.update(&locator(number), None, now_ms, &mut edit, &mut Events::default()).unwrap()
}

#[test]
fn create_fails_on_a_collision_and_leaves_what_is_there() {
    drivers(|driver| {
        assert!(create(driver, 1, b"one", NOW_MS + DAY_MS));
        assert!(!create(driver, 1, b"two", NOW_MS + DAY_MS));
        assert_eq!(load(driver, 1).as_deref(), Some(b"one".as_slice()));
        assert_eq!(load(driver, 2), None);
    });
}

#[test]
fn a_dead_record_in_the_way_of_a_create_is_cleared() {
    drivers(|driver| {
        assert!(create(driver, 1, b"one", NOW_MS + 10));
        let mut events = Events::default();
        assert!(driver.create(&locator(1), b"two", NOW_MS + 10, NOW_MS + DAY_MS, &mut events).unwrap());
        assert_eq!(load_at(driver, 1, NOW_MS + 10).as_deref(), Some(b"two".as_slice()));
    });
}

#[test]
fn update_sees_the_stored_bytes_and_replaces_them() {
    drivers(|driver| {
        create(driver, 1, b"one", NOW_MS + DAY_MS);
        let mut edit = |stored: &[u8], new: &mut Vec<u8>| {
            new.extend_from_slice(stored);
            new.extend_from_slice(b" more");
            Ok(Verdict::Write { expiry_ms: NOW_MS + 5 })
        };
        let updated = driver.update(&locator(1), None, NOW_MS, &mut edit, &mut Events::default()).unwrap();
        assert_eq!(updated, Updated::Done);
        assert_eq!(load(driver, 1).as_deref(), Some(b"one more".as_slice()));
        assert_eq!(load_at(driver, 1, NOW_MS + 5), None);
    });
}

#[test]
fn sizes_up_and_down_come_back_as_they_were_written() {
    drivers(|driver| {
        create(driver, 1, b"", NOW_MS + DAY_MS);
        let sizes = [0, 1, 900, 936, 937, 1000, 5000, 70_000, 65_448, 65_449, 200_000, 10, 11, 12, 1 << 20, 3, 4, 5];
        for (index, size) in sizes.into_iter().enumerate() {
            let bytes = vec![u8::try_from(index).unwrap(); size];
            assert_eq!(write(driver, 1, None, &bytes), Updated::Done);
            assert!(load(driver, 1) == Some(bytes), "write {index} of {size} bytes");
        }
    });
}

#[test]
fn keep_writes_nothing() {
    drivers(|driver| {
        create(driver, 1, b"one", NOW_MS + 10);
        let mut edit = |_: &[u8], new: &mut Vec<u8>| {
            new.extend_from_slice(b"ignored");
            Ok(Verdict::Keep)
        };
        assert_eq!(driver.update(&locator(1), None, NOW_MS, &mut edit, &mut Events::default()).unwrap(), Updated::Done);
        assert_eq!(load(driver, 1).as_deref(), Some(b"one".as_slice()));
        assert_eq!(load_at(driver, 1, NOW_MS + 10), None);
    });
}

#[test]
fn an_error_from_the_edit_leaves_the_record_as_it_was() {
    drivers(|driver| {
        create(driver, 1, b"one", NOW_MS + DAY_MS);
        let mut edit = |_: &[u8], new: &mut Vec<u8>| {
            new.extend_from_slice(b"half");
            Err(holdall::Error::unavailable("planted", false))
        };
        driver.update(&locator(1), None, NOW_MS, &mut edit, &mut Events::default()).unwrap_err();
        driver.update(&locator(1), Some(&locator(2)), NOW_MS, &mut edit, &mut Events::default()).unwrap_err();
        assert_eq!(load(driver, 1).as_deref(), Some(b"one".as_slice()));
        assert_eq!(load(driver, 2), None);
        assert_eq!(write(driver, 1, None, b"two"), Updated::Done);
    });
}

#[test]
fn a_move_leaves_a_marker_that_reads_as_absent_and_answers_moved_for_a_minute() {
    drivers(|driver| {
        create(driver, 1, b"one", NOW_MS + DAY_MS);
        assert_eq!(write(driver, 1, Some(2), b"two"), Updated::Done);

        assert_eq!(load(driver, 1), None);
        assert_eq!(load(driver, 2).as_deref(), Some(b"two".as_slice()));
        assert_eq!(write(driver, 1, None, b"late"), Updated::Moved);
        assert_eq!(touch(driver, 1, NOW_MS, NOW_MS + 5), Updated::Moved);
        assert!(!driver.delete(&locator(1), NOW_MS, &mut Events::default()).unwrap());
        assert!(!create(driver, 1, b"again", NOW_MS + DAY_MS));
        assert!(driver.lock(&locator(1), NOW_MS, Some(0)).unwrap().is_none());

        let later = NOW_MS + MOVED_MARKER_MS;
        assert_eq!(touch(driver, 1, later, later + 5), Updated::Gone);
        assert!(driver.create(&locator(1), b"new", later, later + 5, &mut Events::default()).unwrap());
        assert_eq!(load(driver, 2).as_deref(), Some(b"two".as_slice()));
    });
}

#[test]
fn a_record_can_move_again_and_again() {
    drivers(|driver| {
        create(driver, 0, b"0", NOW_MS + DAY_MS);
        for step in 0..20 {
            assert_eq!(write(driver, step, Some(step + 1), &[step; 300]), Updated::Done);
            assert_eq!(write(driver, step + 1, None, &[step; 2000]), Updated::Done);
            assert_eq!(load(driver, step), None);
        }
        assert_eq!(load(driver, 20), Some(vec![19; 2000]));
    });
}

#[test]
fn a_move_to_a_taken_locator_changes_nothing() {
    drivers(|driver| {
        create(driver, 1, b"one", NOW_MS + DAY_MS);
        create(driver, 2, b"two", NOW_MS + DAY_MS);
        assert_eq!(write(driver, 1, Some(2), b"moved"), Updated::Taken);
        assert_eq!(load(driver, 1).as_deref(), Some(b"one".as_slice()));
        assert_eq!(load(driver, 2).as_deref(), Some(b"two".as_slice()));
    });
}

#[test]
fn what_is_not_there_answers_gone_and_false() {
    drivers(|driver| {
        assert_eq!(write(driver, 1, None, b"x"), Updated::Gone);
        assert_eq!(write(driver, 1, Some(2), b"x"), Updated::Gone);
        assert_eq!(load(driver, 2), None);
        assert_eq!(touch(driver, 1, NOW_MS, NOW_MS + 5), Updated::Gone);
        assert!(!driver.delete(&locator(1), NOW_MS, &mut Events::default()).unwrap());
        assert!(driver.lock(&locator(1), NOW_MS, None).unwrap().is_none());
    });
}

#[test]
fn delete_is_once_and_the_expiry_moves_either_way() {
    drivers(|driver| {
        create(driver, 1, b"one", NOW_MS + 10);
        assert_eq!(touch(driver, 1, NOW_MS, NOW_MS + 50), Updated::Done);
        assert!(load_at(driver, 1, NOW_MS + 49).is_some());
        assert_eq!(touch(driver, 1, NOW_MS, NOW_MS + 20), Updated::Done);
        assert!(load_at(driver, 1, NOW_MS + 19).is_some());
        assert!(load_at(driver, 1, NOW_MS + 20).is_none());
        assert_eq!(write(driver, 1, None, b"late"), Updated::Gone);

        create(driver, 2, b"two", NOW_MS + 10);
        assert!(driver.delete(&locator(2), NOW_MS, &mut Events::default()).unwrap());
        assert!(!driver.delete(&locator(2), NOW_MS, &mut Events::default()).unwrap());
        assert!(create(driver, 2, b"anew", NOW_MS + 10));
    });
}

#[test]
fn a_lock_keeps_writers_out_and_readers_not() {
    drivers(|driver| {
        create(driver, 1, b"one", NOW_MS + DAY_MS);
        let held = driver.lock(&locator(1), NOW_MS, None).unwrap().unwrap();
        assert_eq!(load(driver, 1).as_deref(), Some(b"one".as_slice()));
        assert_eq!(driver.lock(&locator(1), NOW_MS, Some(0)).err().unwrap().kind().name(), "unavailable");

        let mut edit = |_: &[u8], new: &mut Vec<u8>| {
            new.extend_from_slice(b"two");
            Ok(Verdict::Write { expiry_ms: NOW_MS + DAY_MS })
        };
        assert_eq!(held.update(&locator(1), None, NOW_MS, &mut edit, &mut Events::default()).unwrap(), Updated::Done);
        let loaded = held.load(&locator(1), NOW_MS, &mut Events::default()).unwrap().unwrap();
        assert_eq!(loaded.bytes(), b"two");
        drop(held);

        assert_eq!(write(driver, 1, None, b"three"), Updated::Done);
        let held = driver.lock(&locator(1), NOW_MS, Some(0)).unwrap().unwrap();
        assert!(held.delete(&locator(1), NOW_MS, &mut Events::default()).unwrap());
        drop(held);
        assert_eq!(load(driver, 1), None);
    });
}

#[test]
fn with_a_bound_of_their_own_writers_are_told_that_it_is_locked_and_see_the_same_records() {
    drivers(|driver| {
        let Some(hasty) = driver.waiting(0) else { return };
        assert!(create(&*hasty, 1, b"one", NOW_MS + 1000) && !create(driver, 1, b"two", NOW_MS + 1000));
        let held = driver.lock(&locator(1), NOW_MS, None).unwrap().unwrap();
        let locked = |error: holdall::Error| assert!(error.is_locked() && error.is_retryable(), "{error}");
        let mut edit = |_: &[u8], _: &mut Vec<u8>| panic!("edited under another's lock");

        locked(hasty.update(&locator(1), None, NOW_MS, &mut edit, &mut Events::default()).unwrap_err());
        let loaded = hasty.load(&locator(1), NOW_MS, &mut Events::default()).unwrap().unwrap();
        locked(hasty.update_loaded(&loaded, &locator(1), None, NOW_MS, &mut edit, &mut Events::default()).unwrap_err());
        locked(hasty.delete(&locator(1), NOW_MS, &mut Events::default()).unwrap_err());
        locked(hasty.lock(&locator(1), NOW_MS, None).err().unwrap());
        assert_eq!(load(driver, 1).as_deref(), Some(&b"one"[..]));

        drop(held);
        assert_eq!(write(&*hasty, 1, None, b"three"), Updated::Done);
        assert_eq!(load(driver, 1).as_deref(), Some(&b"three"[..]));
    });
}

#[test]
fn a_writer_that_waited_for_a_record_that_was_destroyed_meanwhile_answers_gone() {
    drivers(|driver| {
        create(driver, 1, b"one", NOW_MS + DAY_MS);
        let held = driver.lock(&locator(1), NOW_MS, None).unwrap().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| write(driver, 1, None, b"late"));
            // Long enough to be waiting; if it is not yet, it finds nothing, which is the same answer.
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert!(held.delete(&locator(1), NOW_MS, &mut Events::default()).unwrap());
            drop(held);
            assert_eq!(waiting.join().unwrap(), Updated::Gone);
        });
        assert_eq!(load(driver, 1), None);
    });
}

#[test]
fn a_writer_that_waited_for_a_record_that_moved_meanwhile_answers_moved() {
    drivers(|driver| {
        create(driver, 1, b"one", NOW_MS + DAY_MS);
        let held = driver.lock(&locator(1), NOW_MS, None).unwrap().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| write(driver, 1, None, b"late"));
            std::thread::sleep(std::time::Duration::from_millis(50));
            let mut edit = |_: &[u8], new: &mut Vec<u8>| {
                new.extend_from_slice(b"two");
                Ok(Verdict::Write { expiry_ms: NOW_MS + DAY_MS })
            };
            let updated = held.update(&locator(1), Some(&locator(2)), NOW_MS, &mut edit, &mut Events::default());
            assert_eq!(updated.unwrap(), Updated::Done);
            drop(held);
            assert_eq!(waiting.join().unwrap(), Updated::Moved);
        });
        assert_eq!(load(driver, 2).as_deref(), Some(b"two".as_slice()));
    });
}

#[test]
fn a_sweep_looks_at_no_more_than_it_may_and_in_the_end_at_all() {
    drivers(|driver| {
        for number in 0..200 {
            create(driver, number, b"x", NOW_MS + if number % 10 == 0 { 10 } else { DAY_MS });
        }
        // Far enough that a driver that looks at coarse steps of time has passed the one in question.
        let now_ms = NOW_MS + 600_000;
        let mut removed = 0;
        for _ in 0..60 {
            let swept = driver.sweep(now_ms, 7, &mut Events::default()).unwrap();
            assert!(swept.looked_at <= 7);
            removed += swept.removed;
        }
        assert_eq!(removed, 20);
        let mut left = 0;
        driver
            .iterate(now_ms, &mut |info| {
                // And what seals it.
                assert!([1, 1 + 53].contains(&info.bytes), "{}", info.bytes);
                left += 1;
                true
            })
            .unwrap();
        assert_eq!(left, 180);
        let mut seen = 0;
        driver
            .iterate(now_ms, &mut |_| {
                seen += 1;
                seen < 5
            })
            .unwrap();
        assert_eq!(seen, 5);
    });
}
