//! Guards what the file driver promises when a process is killed: every acknowledged commit is there, and every session
//! reads as some commit left it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::processes::program;
use common::writers::{SESSIONS, WRITERS, Writers};
use common::{Place, figure, scaled, stored, torture, value};
use holdall::EventKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

fn real_now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[test]
fn a_commit_that_finds_no_room_says_so_and_leaves_the_state_before_it() {
    let place = Place::new("file");
    let token = stored(&place.manager, &[("n", "0"), ("text", "\"\"")]);

    let worker = program("worker").args([&place.config, &token, "full"]).output().unwrap();

    assert!(worker.status.success(), "{}", String::from_utf8_lossy(&worker.stderr));
    assert_eq!(value(&place.manager, &token, "n").as_deref(), Some("2"));
}

#[test]
fn writers_that_are_killed_lose_nothing_they_acknowledged_and_leave_nobody_waiting() {
    let place = Place::new("file");
    let rolled_back = Arc::new(AtomicUsize::new(0));
    let seen = rolled_back.clone();
    place
        .manager
        .on_event(move |event| match event.kind() {
            EventKind::RolledBack => drop(seen.fetch_add(1, Ordering::Relaxed)),
            kind => assert_ne!(kind, EventKind::Quarantined),
        })
        .unwrap();
    let kills = scaled(40, 1000);
    let mut writers = Writers::start(&place, 7);

    while writers.kills < kills || (writers.acknowledged < 100_000 && torture()) {
        writers.kill_one();
    }
    writers.finish();

    assert!(writers.acknowledged >= if torture() { 100_000 } else { 1000 }, "{} acknowledged", writers.acknowledged);
    assert!(writers.ids_changed >= kills / 4, "{} ids changed", writers.ids_changed);
    // Markers and unfinished regenerates go with the sweep, once no session can have been written since; sessions stay.
    let later_ms = real_now_ms() + 601_000;
    // Twice: the traffic has left off somewhere within a round.
    for _ in 0..2 {
        while !place.manager.sweep_at(1000, later_ms).unwrap().finished {}
    }
    assert_eq!(place.files().len(), SESSIONS);
    let found = |what: &str, demanded: &str, found: String| figure("R2", "file", what, found, demanded);
    let (kills, acknowledged) = (writers.kills + WRITERS, writers.acknowledged);
    found("acknowledged commits of 8 writers", ">= 100,000", acknowledged.to_string());
    found("acknowledged commits lost", "0", format!("0 of {acknowledged} after {kills} kills"));
    found("sessions that read as half of a commit", "0", "0".into());
    found("sessions or writers stuck after a kill", "0", "0".into());
    found("torn slots set right after a kill", "told as rolled_back", rolled_back.load(Ordering::Relaxed).to_string());
}
