//! Guards the replay table under real races: every commit of a storm, in the order the driver made them, must give what a
//! plain model of the rules gives. The model keeps trees and clones them; it shares no code with the engine.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{DRIVERS, Dice, Place, Watch, figure, open, revision, scaled, stored, watched};
use holdall::driver::{Loaded, Verdict};
use holdall::{CommitOptions, Session};
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Clone, Debug)]
enum Step {
    Set(usize, Value),
    Delete(usize),
    Pull(usize),
    Replace(usize, Value),
    Remember(usize, Value),
    Increment(usize, i64),
    Push(usize, Value),
    Flush,
    Reset(bool),
    Flash(usize, Value),
    Keep(usize),
    Reflash,
}

/// A record as the model sees it: data, and flash with the revision that stored each entry.
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    data: BTreeMap<String, Value>,
    flash: BTreeMap<String, (Value, u64)>,
}

/// One commit as the driver saw it.
#[derive(Clone, Debug)]
struct Done {
    stored: u64,
    /// None where nothing was to be written.
    new: Option<u64>,
    loaded: u64,
    steps: Vec<Step>,
    ages: bool,
    /// What was written.
    written: State,
}

/// Reads a record as docs/format.md draws it, without the engine.
fn parse(bytes: &[u8]) -> State {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let (count, mut start, mut state) = (number(128), 0, State::default());
    let heap = &bytes[136 + 16 * count..];
    for row in (0..count).map(|index| 136 + 16 * index) {
        let (end, key_bytes) = (number(row), usize::from(bytes[row + 4]) | usize::from(bytes[row + 5]) << 8);
        let (key, value) = heap[start..end].split_at(key_bytes);
        let (key, value) = (String::from_utf8(key.to_vec()).unwrap(), serde_json::from_slice(value).unwrap());
        match bytes[row + 6] {
            0 => drop(state.data.insert(key, value)),
            _ => {
                let stamp = u64::from_le_bytes(bytes[row + 8..row + 16].try_into().unwrap());
                state.flash.insert(key, (value, stamp));
            }
        }
        start = end;
    }
    state
}

thread_local! {
    static LOADED: Cell<u64> = const { Cell::new(0) };
    static EDITED: Cell<Option<(u64, Option<u64>, State)>> = const { Cell::new(None) };
}

struct Recorder;

impl Watch for Recorder {
    fn loaded(&self, loaded: Option<&Loaded>) {
        LOADED.set(revision(loaded.unwrap().bytes()));
    }

    fn edited(&self, stored: &[u8], new: &[u8], verdict: Verdict) {
        // A touch writes the stored bytes again: no commit of its own.
        let wrote = matches!(verdict, Verdict::Write { .. }) && revision(new) != revision(stored);
        let written = if wrote { parse(new) } else { State::default() };
        EDITED.set(Some((revision(stored), wrote.then(|| revision(new)), written)));
    }
}

fn random_steps(dice: &mut Dice) -> Vec<Step> {
    let value = |dice: &mut Dice| match dice.below(4) {
        0 => json!(dice.below(5)),
        1 => json!([dice.below(3)]),
        2 => json!({ "x": dice.below(3) }),
        _ => json!("text"),
    };
    (0..1 + dice.below(5))
        .map(|_| {
            let key = dice.below(KEYS.len());
            match dice.below(24) {
                0..=3 => Step::Set(key, value(dice)),
                4 | 5 => Step::Delete(key),
                6 | 7 => Step::Pull(key),
                8 | 9 => Step::Replace(key, value(dice)),
                10 => Step::Remember(key, value(dice)),
                11..=14 => Step::Increment(key, i64::try_from(dice.below(9)).unwrap() - 4),
                15..=17 => Step::Push(key, value(dice)),
                18 => Step::Flush,
                19 => Step::Reset(dice.below(2) == 0),
                20 | 21 => Step::Flash(key, value(dice)),
                22 => Step::Keep(key),
                _ => Step::Reflash,
            }
        })
        .collect()
}

/// Does the steps to a session; keeps those that it took.
fn apply(session: &mut Session, steps: Vec<Step>) -> Vec<Step> {
    steps
        .into_iter()
        .filter(|step| match step {
            Step::Set(k, v) => session.set(KEYS[*k], v).is_ok(),
            Step::Delete(k) => session.delete(&[KEYS[*k]]).is_ok(),
            Step::Pull(k) => session.pull_json(KEYS[*k]).is_ok(),
            Step::Replace(k, v) => session.replace_json(KEYS[*k], &v.to_string()).is_ok(),
            Step::Remember(k, v) => session.remember_json(KEYS[*k], || Ok(v.to_string())).is_ok(),
            Step::Increment(k, n) => session.increment(KEYS[*k], *n).is_ok(),
            Step::Push(k, v) => session.push(KEYS[*k], v).is_ok(),
            Step::Flush => session.flush().is_ok(),
            Step::Reset(flash_only) => session.reset(*flash_only).is_ok(),
            Step::Flash(k, v) => session.flash(KEYS[*k], v).is_ok(),
            Step::Keep(k) => session.keep(&[KEYS[*k]]).is_ok(),
            Step::Reflash => session.reflash().is_ok(),
        })
        .collect()
}

/// The rules of the replay table, one after the other, on trees. `view` is what the request saw, `now` what is stored.
fn model(stored: &State, loaded: &State, done: &Done, revision: u64) -> State {
    let (mut view, mut now) = (loaded.clone(), stored.clone());
    // Keys whose value no longer depends on what is stored, and flash that this request decided.
    let mut decided: BTreeMap<String, bool> = BTreeMap::new();
    let mut cleared = false;
    let mut flash_cleared = false;
    let mut flash_done: BTreeMap<String, bool> = BTreeMap::new();
    let same_data = |key: &str| stored.data.get(key) == loaded.data.get(key);
    let same_flash = |key: &str| match (stored.flash.get(key), loaded.flash.get(key)) {
        (Some(one), Some(other)) => one.1 == other.1,
        _ => false,
    };

    for step in &done.steps {
        match step {
            Step::Set(k, v) => {
                view.data.insert(KEYS[*k].into(), v.clone());
                now.data.insert(KEYS[*k].into(), v.clone());
                decided.insert(KEYS[*k].into(), true);
            }
            Step::Delete(k) => {
                for state in [&mut view, &mut now] {
                    state.data.remove(KEYS[*k]);
                    state.flash.remove(KEYS[*k]);
                }
                decided.insert(KEYS[*k].into(), true);
                flash_done.insert(KEYS[*k].into(), true);
            }
            Step::Pull(k) => {
                let key = KEYS[*k];
                if view.data.remove(key).is_some() {
                    if cleared || decided.contains_key(key) || same_data(key) {
                        now.data.remove(key);
                    }
                } else if view.flash.remove(key).is_some() {
                    let own = flash_done.get(key) == Some(&false);
                    let from_load = loaded.flash.contains_key(key) && !flash_cleared;
                    if own {
                        // The new message is taken back; what was loaded under the name goes with it, if it is still that.
                        match stored.flash.get(key) {
                            Some(entry) if !(flash_cleared || from_load && same_flash(key)) => {
                                now.flash.insert(key.into(), entry.clone());
                            }
                            _ => {
                                now.flash.remove(key);
                            }
                        }
                        if !from_load {
                            flash_done.remove(key);
                        } else {
                            flash_done.insert(key.into(), true);
                        }
                    } else {
                        if same_flash(key) {
                            now.flash.remove(key);
                        }
                        flash_done.insert(key.into(), true);
                    }
                }
            }
            Step::Replace(k, v) => {
                let key = KEYS[*k];
                let free = cleared || decided.contains_key(key);
                if free {
                    now.data.insert(key.into(), v.clone());
                } else {
                    match (view.data.get(key), v) {
                        (Some(Value::Array(old)), Value::Array(new)) if new.starts_with(old) => {
                            push(&mut now, key, &new[old.len()..]);
                        }
                        (Some(old), new) if old == new => {}
                        _ => {
                            if now.data.contains_key(key) {
                                now.data.insert(key.into(), v.clone());
                            }
                        }
                    }
                }
                view.data.insert(key.into(), v.clone());
            }
            Step::Remember(k, v) => {
                let key = KEYS[*k];
                if !view.data.contains_key(key) && !view.flash.contains_key(key) {
                    view.data.insert(key.into(), v.clone());
                    now.data.entry(key.into()).or_insert_with(|| v.clone());
                }
            }
            Step::Increment(k, n) => {
                for state in [&mut view, &mut now] {
                    match state.data.get(KEYS[*k]).map(|v| v.as_i64()) {
                        None => {
                            state.data.insert(KEYS[*k].into(), json!(n));
                        }
                        Some(Some(old)) => {
                            state.data.insert(KEYS[*k].into(), json!(old + n));
                        }
                        Some(None) => {}
                    }
                }
            }
            Step::Push(k, v) => {
                push(&mut view, KEYS[*k], std::slice::from_ref(v));
                push(&mut now, KEYS[*k], std::slice::from_ref(v));
            }
            Step::Flush | Step::Reset(_) => {
                if !matches!(step, Step::Reset(true)) {
                    view.data.clear();
                    now.data.clear();
                    cleared = true;
                }
                if !matches!(step, Step::Reset(false)) {
                    view.flash.clear();
                    now.flash.clear();
                    flash_cleared = true;
                    flash_done.clear();
                }
            }
            Step::Flash(k, v) => {
                view.flash.insert(KEYS[*k].into(), (v.clone(), revision));
                now.flash.insert(KEYS[*k].into(), (v.clone(), revision));
                flash_done.insert(KEYS[*k].into(), false);
            }
            Step::Keep(k) => {
                keep(&mut now, &mut flash_done, loaded, KEYS[*k], flash_cleared, same_flash(KEYS[*k]), revision)
            }
            Step::Reflash => {
                for key in KEYS {
                    keep(&mut now, &mut flash_done, loaded, key, flash_cleared, same_flash(key), revision);
                }
            }
        }
    }
    if done.ages && !flash_cleared {
        for key in loaded.flash.keys() {
            if !flash_done.contains_key(key) && same_flash(key) {
                now.flash.remove(key);
            }
        }
    }
    now
}

fn keep(
    now: &mut State,
    flash_done: &mut BTreeMap<String, bool>,
    loaded: &State,
    key: &str,
    cleared: bool,
    same: bool,
    revision: u64,
) {
    if cleared || !loaded.flash.contains_key(key) || flash_done.contains_key(key) {
        return;
    }
    flash_done.insert(key.into(), true);
    if same && let Some(entry) = now.flash.get_mut(key) {
        entry.1 = revision;
    }
}

fn push(state: &mut State, key: &str, elements: &[Value]) {
    // Read but unchanged: no operation.
    if elements.is_empty() {
        return;
    }
    if let Value::Array(array) = state.data.entry(key.into()).or_insert_with(|| json!([])) {
        array.extend_from_slice(elements);
    }
}

/// Requests of random operations in so many threads, and the model's opinion of each commit. Gives the number of operations.
/// How many operations were done, and how many requests met another's commit.
fn storm(driver: &'static str, seed: u64, threads: u64, requests: usize) -> (usize, usize) {
    let place = Place::new(driver);
    let manager = watched(&place.config, &Arc::new(Recorder));
    let token = stored(&manager, &[("a", "1"), ("b", "[]")]);
    let log = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (log, manager, token) = (&log, &manager, &token);
            scope.spawn(move || {
                let mut dice = Dice(seed * 1000 + thread);
                for _ in 0..requests {
                    let mut session = open(manager, token);
                    assert!(!session.is_new().unwrap());
                    let loaded = LOADED.get();
                    let steps = apply(&mut session, random_steps(&mut dice));
                    let ages = dice.below(2) == 0;
                    if dice.below(3) == 0 {
                        std::thread::yield_now();
                    }
                    EDITED.set(None);
                    drop(session.commit_with(CommitOptions::new().age_flash(ages)).unwrap());
                    if let Some((stored, new, written)) = EDITED.take() {
                        log.lock().unwrap().push(Done { stored, new, loaded, steps, ages, written });
                    }
                }
            });
        }
    });

    let mut log = log.into_inner().unwrap();
    log.sort_by_key(|done| (done.stored, done.new.is_some()));
    let first = State { data: BTreeMap::from([("a".into(), json!(1)), ("b".into(), json!([]))]), ..State::default() };
    let mut states = BTreeMap::from([(1, first)]);
    let mut raced = 0;
    for done in &log {
        let (stored, loaded) = (&states[&done.stored], &states[&done.loaded]);
        raced += usize::from(done.stored != done.loaded);
        let wanted = model(stored, loaded, done, done.new.unwrap_or(done.stored + 1));
        match done.new {
            None => {
                assert_eq!(&wanted, stored, "seed {seed}: {done:?} changed nothing, the model does\nloaded {loaded:?}")
            }
            Some(new) => {
                assert_eq!(new, done.stored + 1);
                assert_eq!(wanted, done.written, "seed {seed}: {done:?}\nloaded {loaded:?}\nstored {stored:?}");
                states.insert(new, wanted);
            }
        }
    }
    let (_, last) = states.last_key_value().unwrap();
    let mut all: Map<String, Value> = last.flash.iter().map(|(key, entry)| (key.clone(), entry.0.clone())).collect();
    all.extend(last.data.clone());
    let stored: Map<String, Value> = serde_json::from_str(&open(&manager, &token).all().unwrap()).unwrap();
    assert_eq!(stored, all, "{driver}, seed {seed}");
    (log.iter().map(|done| done.steps.len()).sum(), raced)
}

#[test]
fn one_request_after_the_other_is_what_the_model_says() {
    for driver in DRIVERS {
        for seed in 0..40 {
            storm(driver, seed, 1, 50);
        }
    }
}

#[test]
fn parallel_requests_are_what_the_model_says_of_the_order_of_their_commits() {
    for driver in ["memory", "file"] {
        let seeds = 100..100 + scaled(30, 1000) as u64;
        let done = seeds.map(|seed| storm(driver, seed, 4, 100));
        let (operations, raced) = done.fold((0, 0), |sum, done| (sum.0 + done.0, sum.1 + done.1));
        assert!(raced > 100, "{raced} requests met another: this proved nothing");
        assert!(operations >= scaled(30_000, 1_000_000), "{operations}");
        figure("R22", driver, "operations that differ from the model", format!("0 of {operations}"), "0");
    }
}
