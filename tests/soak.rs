//! Guards that half an hour of mixed load leaves no violation and no growth: visitors who make, read, write, grow, shrink,
//! regenerate, destroy and outlive sessions, writers that are killed, and sweeps, all at once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::actor::{ACTOR_FIELDS, Actor, Clock, Done};
use common::writers::Writers;
use common::{Place, figure, processes, scaled, torture};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// `HOLDALL_SOAK_S` says how long; else half an hour in `make torture`.
fn seconds() -> u64 {
    let asked = std::env::var("HOLDALL_SOAK_S").ok().map(|seconds| seconds.parse().unwrap());
    asked.unwrap_or(scaled(3, 1800) as u64)
}

/// By how much the median of the second half's readings is above the first half's. The first tenth fills buffers and the
/// population of sessions.
fn growth(readings: &[usize]) -> i64 {
    let settled = &readings[readings.len() / 10..];
    let (first, second) = settled.split_at(settled.len() / 2);
    let median = |half: &[usize]| {
        let mut sorted = half.to_vec();
        sorted.sort_unstable();
        i64::try_from(sorted[sorted.len() / 2]).unwrap()
    };
    median(second) - median(first)
}

/// Ends the actors when it is dropped.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Two visitors' threads for each place until the time is over, while `meanwhile` does something again and again. Gives what
/// they did, and readings of the resident memory.
fn soak(places: &[Place; 2], duration: Duration, mut meanwhile: impl FnMut()) -> ([Done; 2], Vec<usize>) {
    let (clock, began) = (Clock::start(), Instant::now());
    let over = AtomicBool::new(false);
    let mut resident = Vec::new();
    let done = std::thread::scope(|scope| {
        // Also when `meanwhile` panics, or the scope would wait for its actors to the end before it is told.
        let end = Ends(&over);
        let actors = places.each_ref().map(|place| {
            [1, 2].map(|seed| {
                let mut actor = Actor::new(place.manager.clone(), clock, seed);
                let over = &over;
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        actor.act();
                    }
                    actor.done
                })
            })
        });
        let every = duration / 200;
        let mut next = every;
        while began.elapsed() < duration && !actors.iter().flatten().any(|actor| actor.is_finished()) {
            meanwhile();
            if began.elapsed() >= next {
                resident.push(processes::resident_bytes());
                next = began.elapsed() + every;
            }
        }
        drop(end);
        actors.map(|two| {
            let mut done = Done::default();
            two.into_iter().for_each(|actor| done.add(&actor.join().unwrap()));
            done
        })
    });
    (done, resident)
}

#[test]
fn half_an_hour_of_mixed_load_leaves_no_violation_and_no_growth() {
    let duration = Duration::from_secs(seconds());
    let descriptors_before = processes::descriptors();
    // Of files the killed writers' sessions have to outlive a clock that runs a hundred times as fast.
    let longer = r#","idle_timeout_s":1000000000,"absolute_timeout_s":1000000000"#;
    let places = [Place::with("memory", ACTOR_FIELDS), Place::with("file", &format!("{ACTOR_FIELDS}{longer}"))];
    let mut writers = Writers::start(&places[1], 25);
    let (done, resident) = soak(&places, duration, || writers.kill_one());
    writers.finish();

    for (place, done) in places.iter().zip(done) {
        assert!(done.expired > 0 && done.destroyed > 0 && done.regenerated > 0, "{done:?}");
        let found = |what: &str, demanded: &str, found: String| figure("R25", place.driver, what, found, demanded);
        let Done { requests, created, expired, destroyed, regenerated, .. } = done;
        let kills = if place.driver == "file" { writers.kills } else { 0 };
        let load = format!("0 of {requests} requests, {kills} kills");
        found(&format!("violations in {} s of mixed load", duration.as_secs()), "0", load);
        let kinds = format!("{created}, {expired}, {destroyed}, {regenerated}");
        found("sessions made, expired, destroyed, moved", "", kinds);
    }
    // With all that may hold one while it is under way gone: sessions, writers, the sweep.
    drop(writers);
    drop(places);
    assert_eq!(processes::descriptors(), descriptors_before, "open descriptors");
    let resident = growth(&resident);
    assert!(!torture() || resident < 2 << 20, "grown by {resident} bytes");
    let found = |what: &str, demanded: &str, found: String| figure("R25", "both", what, found, demanded);
    found("growth of memory, second half to first", "< 2 MiB", format!("{} KiB", resident / 1024));
    found("descriptors left open", "0", "0".to_owned());
}
