//! Guards parallel requests over the memory driver by trying every order in which its locks can be taken, not those that the
//! machine happens to choose: what is told, what is stored, and that nobody waits for ever.
//!
//! Runs only where the driver takes its locks from the model checker:
//! `RUSTFLAGS='--cfg holdall_shuttle' CARGO_TARGET_DIR=target/shuttle cargo test --test interleavings`.
//! A scenario says in words how one execution ended. The words of all executions are compared with those that may occur, and
//! each scenario must say others over a store that reads, changes and writes in separate steps.
#![cfg(holdall_shuttle)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{NOW_MS, figure, scaled, set_cookie};
use holdall::driver::{Capabilities, Driver, DriverStats, Edit, Loaded, RecordInfo, Records, Swept, Updated, Verdict};
use holdall::{Commit, Events, Locator, Manager, Mode, OpenOptions, Result, Session};
use sha2::{Digest as _, Sha256};
use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread::spawn;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Reads the record in one step and writes it in two others: what a store does that has no atomic update.
struct InSteps(Arc<dyn Driver>);

impl Records for InSteps {
    fn load(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<Option<Loaded>> {
        self.0.load(locator, now_ms, events)
    }

    fn update(
        &self,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        let Some(loaded) = self.0.load(locator, now_ms, events)? else { return Ok(Updated::Gone) };
        let mut new = Vec::new();
        if let Verdict::Write { expiry_ms } = edit(loaded.bytes(), &mut new)? {
            self.0.delete(locator, now_ms, events)?;
            self.0.create(to.unwrap_or(locator), &new, now_ms, expiry_ms, events)?;
        }
        Ok(Updated::Done)
    }

    fn delete(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<bool> {
        self.0.delete(locator, now_ms, events)
    }
}

impl Driver for InSteps {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn create(&self, at: &Locator, bytes: &[u8], now_ms: u64, expiry_ms: u64, events: &mut Events) -> Result<bool> {
        self.0.create(at, bytes, now_ms, expiry_ms, events)
    }

    fn lock(&self, _: &Locator, _: u64, _: Option<u64>) -> Result<Option<Box<dyn Records>>> {
        Ok(Some(Box::new(InSteps(self.0.clone()))))
    }

    fn sweep(&self, now_ms: u64, limit: usize, events: &mut Events) -> Result<Swept> {
        self.0.sweep(now_ms, limit, events)
    }

    fn iterate(&self, now_ms: u64, visit: &mut dyn FnMut(RecordInfo) -> bool) -> Result<()> {
        self.0.iterate(now_ms, visit)
    }

    fn stats(&self) -> DriverStats {
        self.0.stats()
    }
}

/// Runs a scenario under a scheduler, and counts how often each ending occurred.
fn endings(
    scheduler: impl Scheduler + 'static,
    broken: bool,
    shards: usize,
    scenario: fn(&Manager) -> String,
) -> BTreeMap<String, usize> {
    let config = format!(
        r#"{{"drivers":{{"main":{{"type":"memory","max_bytes":{}}}}},"max_record_bytes":65536}}"#,
        shards * 4 * 65536
    );
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let found = seen.clone();
    let mut how = shuttle::Config::new();
    how.stack_size = 1 << 18;
    shuttle::Runner::new(scheduler, how).run(move || {
        let wrap = |driver: Arc<dyn Driver>| if broken { Arc::new(InSteps(driver)) } else { driver };
        let ending = scenario(&Manager::with_driver(&config, wrap).unwrap());
        *found.lock().unwrap().entry(ending).or_insert(0) += 1;
    });
    Arc::into_inner(seen).unwrap().into_inner().unwrap()
}

/// All interleavings must end in one of `allowed`, and each of these must occur; over the store without atomic updates there
/// must be others. Where there are too many to try them all, the first of them and as many random ones are tried.
fn every_interleaving(what: &str, shards: usize, scenario: fn(&Manager) -> String, allowed: &[&str]) {
    let limit = scaled(1_000, 100_000);
    let mut found = endings(DfsScheduler::new(Some(limit), false), false, shards, scenario);
    let all = if found.values().sum::<usize>() < limit {
        "all "
    } else {
        for (ending, times) in endings(RandomScheduler::new(limit), false, shards, scenario) {
            *found.entry(ending).or_insert(0) += times;
        }
        ""
    };
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), allowed, "{found:?}");
    let others = endings(RandomScheduler::new(300), true, shards, scenario);
    assert!(others.keys().any(|ending| !allowed.contains(&&**ending)), "a broken store is not noticed: {others:?}");
    let runs: usize = found.values().sum();
    figure("R13", "memory", &format!("wrong endings of {what}"), format!("0 of {all}{runs} interleavings"), "0");
}

fn open(manager: &Manager, token: &str) -> Session {
    manager.open_token_with(token.as_bytes(), OpenOptions::new().at(NOW_MS)).unwrap()
}

/// A session that was loaded before the others begin: that leaves fewer interleavings to try, and the worst of them.
fn loaded(manager: &Manager, token: &str) -> Session {
    let session = open(manager, token);
    assert!(!session.is_new().unwrap());
    session
}

fn exclusive(manager: &Manager, token: &str) -> Session {
    manager.open_token_with(token.as_bytes(), OpenOptions::new().at(NOW_MS).mode(Mode::Exclusive)).unwrap()
}

fn token(session: &Session) -> String {
    session.id().unwrap().unwrap().as_str().to_owned()
}

fn stored(manager: &Manager) -> String {
    let mut session = manager.open_token_with(b"", OpenOptions::new().at(NOW_MS)).unwrap();
    session.set("n", &0).unwrap();
    drop(session.commit_at(NOW_MS).unwrap());
    token(&session)
}

/// A request: loads, does something to the session and commits. Says what came of it; `new` where it found no record, and
/// then it does nothing.
fn request(manager: &Manager, token: &str, change: impl FnOnce(&mut Session)) -> String {
    told(open(manager, token), change)
}

fn told(mut session: Session, change: impl FnOnce(&mut Session)) -> String {
    if session.is_new().unwrap() {
        return "new".into();
    }
    change(&mut session);
    answer(&session.commit_at(NOW_MS).unwrap())
}

fn answer(commit: &Commit) -> String {
    let cookie = match set_cookie(commit) {
        None => "",
        Some(line) if line.contains("Max-Age=0") => ", cookie removed",
        Some(_) => ", cookie set",
    };
    format!("{}{cookie}", commit.outcome().name())
}

fn add(session: &mut Session) {
    session.increment("n", 1).unwrap();
}

/// Does one thing in each thread, and gives what they said.
fn parallel(actors: Vec<Box<dyn FnOnce() -> String + Send>>) -> Vec<String> {
    let threads: Vec<_> = actors.into_iter().map(spawn).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// Does each of these in a thread of its own, with a manager and a token of its own.
macro_rules! parallel {
    ($manager:ident, $token:ident; $($actor:expr),+ $(,)?) => {
        parallel(vec![$({
            #[allow(unused_variables, reason = "an actor that was loaded before needs neither")]
            let ($manager, $token) = ($manager.clone(), $token.clone());
            Box::new(move || $actor)
        }),+])
    };
}

fn n(manager: &Manager, token: &str) -> String {
    open(manager, token).get_json("n").unwrap().unwrap_or("absent").to_owned()
}

fn living(manager: &Manager) -> usize {
    let mut count = 0;
    let count_up = |_| {
        count += 1;
        true
    };
    manager.iterate_at(NOW_MS, count_up).unwrap();
    count
}

#[test]
fn a_destroyed_session_stays_destroyed_and_the_slower_request_is_told() {
    every_interleaving(
        "a commit against a destroy",
        1,
        |manager| {
            let token = stored(manager);
            let said = parallel!(manager, token;
                request(&manager, &token, |session| session.set("k", &1).unwrap()),
                request(&manager, &token, |session| session.destroy_at(NOW_MS).unwrap()),
            );
            format!("{}; {} records", said[0], living(manager))
        },
        &["gone, cookie removed; 0 records", "new; 0 records", "saved; 0 records"],
    );
}

#[test]
fn two_commits_of_different_keys_are_both_stored() {
    every_interleaving(
        "two commits of different keys",
        1,
        |manager| {
            let token = stored(manager);
            let said = parallel!(manager, token;
                request(&manager, &token, |session| session.set("a", &1).unwrap()),
                request(&manager, &token, |session| session.set("b", &2).unwrap()),
            );
            format!("{}; {}", said.join(", "), open(manager, &token).all().unwrap())
        },
        &[r#"saved, saved; {"a":1,"b":2,"n":0}"#],
    );
}

#[test]
fn three_increments_count_three() {
    every_interleaving(
        "three increments",
        1,
        |manager| {
            let token = stored(manager);
            let (one, two, three) = (loaded(manager, &token), loaded(manager, &token), loaded(manager, &token));
            parallel!(manager, token; told(one, add), told(two, add), told(three, add));
            n(manager, &token)
        },
        &["3"],
    );
}

/// A request that changes the id. Says also what is under the new one.
fn regenerate(manager: &Manager, token: &str) -> (String, String) {
    let mut new = String::new();
    let said = request(manager, token, |session| {
        session.regenerate().unwrap();
        new = self::token(session);
    });
    (said, new)
}

#[test]
fn a_commit_is_carried_to_the_new_id_or_told_that_the_session_moved() {
    every_interleaving(
        "a commit against a regenerate",
        1,
        |manager| {
            let token = stored(manager);
            let said = parallel!(manager, token;
                {
                    let (said, new) = regenerate(&manager, &token);
                    format!("{said} {new}")
                },
                request(&manager, &token, add),
            );
            let (regenerated, new) = said[0].rsplit_once(' ').unwrap();
            let (old, new) = (n(manager, &token), n(manager, new));
            format!("{regenerated}; {}; old {old}, new {new}, {} records", said[1], living(manager))
        },
        &[
            "saved, cookie set; moved; old absent, new 0, 1 records",
            "saved, cookie set; new; old absent, new 0, 1 records",
            "saved, cookie set; saved; old absent, new 1, 1 records",
        ],
    );
}

#[test]
fn of_two_regenerates_one_moves_the_session_and_the_other_is_told() {
    every_interleaving(
        "two regenerates",
        1,
        |manager| {
            let token = stored(manager);
            let mut said = parallel!(manager, token;
                regenerate(&manager, &token).0,
                regenerate(&manager, &token).0,
            );
            said.sort();
            format!("{}; {} records", said.join("; "), living(manager))
        },
        &["moved; saved, cookie set; 1 records", "new; saved, cookie set; 1 records"],
    );
}

#[test]
fn an_exclusive_session_is_not_disturbed_by_a_commit_or_a_destroy() {
    every_interleaving(
        "an exclusive session, a commit and a destroy",
        1,
        |manager| {
            let token = stored(manager);
            let (adding, ending) = (loaded(manager, &token), loaded(manager, &token));
            let said = parallel!(manager, token;
                told(exclusive(&manager, &token), add),
                told(adding, add),
                told(ending, |session| session.destroy_at(NOW_MS).unwrap()),
            );
            format!("exclusive {}; {}; {} records", said[0], said[1], living(manager))
        },
        &[
            "exclusive new; gone, cookie removed; 0 records",
            "exclusive new; saved; 0 records",
            "exclusive saved; gone, cookie removed; 0 records",
            "exclusive saved; saved; 0 records",
        ],
    );
}

#[test]
fn of_two_exclusive_sessions_and_a_commit_one_takes_the_ticket_and_nothing_is_lost() {
    every_interleaving(
        "two exclusive sessions and a commit",
        1,
        |manager| {
            let token = stored(manager);
            let take = |session: &mut Session| {
                if session.pull_json("n").unwrap().is_some() {
                    session.increment("taken", 1).unwrap();
                }
            };
            let setting = loaded(manager, &token);
            parallel!(manager, token;
                told(exclusive(&manager, &token), take),
                told(exclusive(&manager, &token), take),
                told(setting, |session| session.set("k", &1).unwrap()),
            );
            open(manager, &token).all().unwrap()
        },
        &[r#"{"k":1,"taken":1}"#],
    );
}

#[test]
fn a_sweep_takes_an_expired_record_or_a_commit_keeps_it_and_never_both() {
    // The commit's clock is a little slow, so that both are right.
    const LATE_MS: u64 = NOW_MS + 599_999;
    every_interleaving(
        "a commit against a sweep",
        1,
        |manager| {
            let token = stored(manager);
            let said = parallel!(manager, token;
                {
                    let mut session = open(&manager, &token);
                    if session.is_new().unwrap() {
                        "new".to_owned()
                    } else {
                        session.set("k", &1).unwrap();
                        answer(&session.commit_at(LATE_MS).unwrap())
                    }
                },
                manager.sweep_at(64, LATE_MS + 60_000).unwrap().removed.to_string(),
            );
            let late = manager.open_token_with(token.as_bytes(), OpenOptions::new().at(LATE_MS + 60_000)).unwrap();
            format!("{}; swept {}; now {}", said[0], said[1], late.all().unwrap())
        },
        &["gone, cookie removed; swept 1; now {}", "new; swept 1; now {}", r#"saved; swept 0; now {"k":1,"n":0}"#],
    );
}

/// Which of two shards an id belongs to (docs/format.md).
fn shard(id: &str) -> u8 {
    let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(id).unwrap();
    Sha256::new().chain_update(b"holdall/id/v1").chain_update(bytes).finalize()[0] & 1
}

fn stored_in(manager: &Manager, wanted: u8) -> String {
    loop {
        let mut session = manager.open_token_with(b"", OpenOptions::new().at(NOW_MS)).unwrap();
        session.set("n", &0).unwrap();
        session.regenerate().unwrap();
        if shard(&token(&session)) == wanted {
            drop(session.commit_at(NOW_MS).unwrap());
            return token(&session);
        }
    }
}

fn regenerate_to(session: &mut Session, wanted: u8) {
    while {
        session.regenerate().unwrap();
        shard(&token(session)) != wanted
    } {}
}

#[test]
fn sessions_that_cross_between_two_shards_do_not_wait_for_each_other() {
    every_interleaving(
        "two sessions that change their shards in opposite order",
        2,
        |manager| {
            let (up, down) = (stored_in(manager, 0), stored_in(manager, 1));
            let tokens = (up, down);
            let said = parallel!(manager, tokens;
                request(&manager, &tokens.0, |session| regenerate_to(session, 1)),
                request(&manager, &tokens.1, |session| regenerate_to(session, 0)),
                request(&manager, &tokens.0, add),
            );
            format!("{}; {}; {}; {} records", said[0], said[1], said[2], living(manager))
        },
        &[
            "saved, cookie set; saved, cookie set; moved; 2 records",
            "saved, cookie set; saved, cookie set; new; 2 records",
            "saved, cookie set; saved, cookie set; saved; 2 records",
        ],
    );
}

#[test]
fn a_session_that_changes_its_shard_waits_for_an_exclusive_one_without_holding_others_up() {
    every_interleaving(
        "a change of shards against an exclusive session",
        2,
        |manager| {
            let token = stored_in(manager, 1);
            let moving = loaded(manager, &token);
            let said = parallel!(manager, token;
                told(exclusive(&manager, &token), add),
                {
                    let mut new = String::new();
                    let said = told(moving, |session| {
                        regenerate_to(session, 0);
                        new = self::token(session);
                    });
                    format!("{said} {new}")
                },
            );
            let (moved, new) = said[1].rsplit_once(' ').unwrap();
            format!("exclusive {}; {moved}; n {}, {} records", said[0], n(manager, new), living(manager))
        },
        &["exclusive new; saved, cookie set; n 0, 1 records", "exclusive saved; saved, cookie set; n 1, 1 records"],
    );
}

/// Eight requests while the id changes.
fn sign_in_among_eight(manager: &Manager) -> String {
    let token = stored(manager);
    let signing_in = manager.clone();
    let old = token.clone();
    let mut actors: Vec<Box<dyn FnOnce() -> String + Send>> = (0..8)
        .map(|_| -> Box<dyn FnOnce() -> String + Send> {
            let (manager, token) = (manager.clone(), token.clone());
            Box::new(move || request(&manager, &token, add))
        })
        .collect();
    actors.push(Box::new(move || {
        let (said, new) = regenerate(&signing_in, &old);
        format!("{said} {new}")
    }));
    let said = parallel(actors);
    let (moved, new) = said[8].rsplit_once(' ').unwrap();
    let saved = said.iter().filter(|said| *said == "saved").count();
    let told = said[..8].iter().all(|said| ["saved", "moved", "new"].contains(&&**said));
    let kept = n(manager, new) == saved.to_string();
    format!("{moved}; each told {told}; what was saved is there {kept}; {} records", living(manager))
}

#[test]
fn eight_requests_while_the_id_changes_are_carried_over_or_told() {
    let runs = scaled(250, 10_000);
    let right = "saved, cookie set; each told true; what was saved is there true; 1 records";
    let mut found = endings(RandomScheduler::new(runs), false, 1, sign_in_among_eight);
    // Few changes of thread at the worst of moments (Burckhardt and others 2010).
    for (ending, times) in endings(PctScheduler::new(3, runs), false, 1, sign_in_among_eight) {
        *found.entry(ending).or_insert(0) += times;
    }
    assert_eq!(found.keys().collect::<Vec<_>>(), [right], "{found:?}");
    assert!(endings(RandomScheduler::new(50), true, 1, sign_in_among_eight).keys().any(|ending| ending != right));
    figure(
        "R13",
        "memory",
        "wrong endings of eight requests while the id changes",
        format!("0 of {}", found[right]),
        "0",
    );
}
