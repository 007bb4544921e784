//! Guards what a manager made before `fork` promises its children, as a server that loads before it forks has it: no two
//! processes choose the same id, no call hangs, no lock is shared, and a session belongs to the process that opened it.
//! tests/c/fork.c says the same of the C library.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{KEY, Place, figure, jar::Jar, open, places, scaled, stored, value};
use holdall::{Manager, Mode, OpenOptions, Session};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

const CHILDREN: usize = 8;
/// A child that hangs ends by a signal, and with it the test.
const WATCHDOG_S: u32 = 60;

/// A child that runs this and nothing else of the test.
fn child(run: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child runs only the closure and ends by _exit: it never returns into the test harness. The engine says itself
    // that it may be used after a fork of a process with threads, and of the allocator the C library says so.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: sets a timer of this process. Alarms are not inherited.
            unsafe { libc::alarm(WATCHDOG_S) };
            let status = i32::from(catch_unwind(AssertUnwindSafe(run)).is_err());
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(status) }
        }
        pid => {
            assert!(pid > 0, "fork failed");
            pid
        }
    }
}

fn wait(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: `status` is there to be written to.
    let ended = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(ended, pid);
    let hung = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGALRM;
    assert!(!hung, "a child hung");
    assert_eq!(status, 0, "a child failed");
}

fn warm(manager: &Manager) {
    for _ in 0..200 {
        stored(manager, &[("n", "1")]);
    }
    drop(manager.stats());
}

fn increment(manager: &Manager, token: &str) {
    let mut session = open(manager, token);
    session.increment("n", 1).unwrap();
    assert_eq!(session.commit().unwrap().outcome().name(), "saved");
}

/// Opens and locks, or says that another has it.
fn locked(manager: &Manager, token: &str) -> Option<Session> {
    let options = OpenOptions::new().mode(Mode::Exclusive).lock_timeout_ms(0);
    match manager.open_token_with(token.as_bytes(), options) {
        Ok(session) => Some(session),
        Err(error) => {
            assert_eq!(error.kind().name(), "unavailable");
            None
        }
    }
}

/// Makes this many ids, every other by regeneration, and leaves them in a file.
fn make_ids(manager: &Manager, count: usize, file: &Path) {
    let mut ids = String::new();
    for _ in 0..count / 2 {
        let first = stored(manager, &[("n", "1")]);
        let mut session = open(manager, &first);
        session.regenerate().unwrap();
        drop(session.commit().unwrap());
        ids += &format!("{first}\n{}\n", session.id().unwrap().unwrap().as_str());
    }
    std::fs::write(file, ids).unwrap();
}

#[test]
fn parent_and_children_never_choose_the_same_id() {
    let each = scaled(500, 10_000);
    for place in places() {
        warm(&place.manager);
        let file = |number| place.directory.path().join(format!("ids-{number}"));
        let children: Vec<_> =
            (0..CHILDREN).map(|number| child(|| make_ids(&place.manager, each, &file(number)))).collect();
        make_ids(&place.manager, each, &file(CHILDREN));
        children.into_iter().for_each(wait);

        let lists: Vec<String> = (0..=CHILDREN).map(|number| std::fs::read_to_string(file(number)).unwrap()).collect();
        let ids: Vec<&str> = lists.iter().flat_map(|list| list.lines()).collect();
        let different: HashSet<&str> = ids.iter().copied().collect();

        assert_eq!(ids.len(), each * (CHILDREN + 1));
        let equal = ids.len() - different.len();
        assert_eq!(equal, 0, "{}", place.driver);
        let what = "equal ids of 8 children of a warm parent, and the parent (Rust)";
        figure("R8", place.driver, what, format!("{equal} of {}", ids.len()), "0");
    }
}

/// Seals this many cookies, and leaves their nonces in a file, as they stand in the tokens: 32 characters behind the version.
fn seal(manager: &Manager, count: usize, file: &Path) {
    let mut jar = Jar::default();
    let mut nonces = String::new();
    for _ in 0..count {
        jar.visit(manager, |session| assert!(session.increment("n", 1).is_ok()));
        let sealed = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(jar.token()).unwrap();
        nonces += &format!("{:?}\n", &sealed[1..25]);
    }
    std::fs::write(file, nonces).unwrap();
}

#[test]
fn parent_and_children_never_seal_with_the_same_nonce() {
    let directory = tempfile::tempdir().unwrap();
    let manager = Manager::new(&format!(r#"{{"url":"cookie:","keys":["{KEY}"]}}"#)).unwrap();
    let each = scaled(100, 10_000);
    let file = |number| directory.path().join(format!("nonces-{number}"));
    seal(&manager, each, &file(CHILDREN));
    let children: Vec<_> = (0..CHILDREN).map(|number| child(|| seal(&manager, each, &file(number)))).collect();
    seal(&manager, each, &file(CHILDREN + 1));
    children.into_iter().for_each(wait);

    let lists: Vec<String> = (0..CHILDREN + 2).map(|number| std::fs::read_to_string(file(number)).unwrap()).collect();
    let nonces: Vec<&str> = lists.iter().flat_map(|list| list.lines()).collect();
    assert_eq!(nonces.len(), each * (CHILDREN + 2));
    assert_eq!(nonces.iter().collect::<HashSet<_>>().len(), nonces.len());
}

#[test]
fn workers_forked_from_one_manager_share_files_and_have_a_memory_each_and_lose_nothing() {
    let times = scaled(50, 1000);
    for place in places() {
        let (manager, over_files) = (&place.manager, place.driver == "file");
        warm(manager);
        let shared = stored(manager, &[("n", "0")]);
        let work = || {
            let mine = if over_files { shared.clone() } else { stored(manager, &[("n", "0")]) };
            assert_eq!(value(manager, &shared, "n").is_some(), over_files);
            (0..times).for_each(|_| increment(manager, &mine));
            assert!(over_files || value(manager, &mine, "n") == Some(times.to_string()));
        };
        let children: Vec<_> = (0..CHILDREN).map(|_| child(work)).collect();
        children.into_iter().for_each(wait);

        let wanted = if over_files { CHILDREN * times } else { 0 };
        assert_eq!(value(manager, &shared, "n"), Some(wanted.to_string()), "{}", place.driver);
        let what = "increments lost by 8 workers forked from one manager (Rust)";
        figure("R8", place.driver, what, format!("0 of {}", CHILDREN * times), "0");
    }
}

/// Threads that commit, some of them under a lock, until they are told to stop. How many commits there were.
fn hammer(manager: &Manager, tokens: &[String], stop: &AtomicBool, commits: &AtomicI64) {
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let mode = if turn % 2 == 0 { Mode::Exclusive } else { Mode::Shared };
        let token = &tokens[turn % tokens.len()];
        let mut session = manager.open_token_with(token.as_bytes(), OpenOptions::new().mode(mode)).unwrap();
        session.increment("n", 1).unwrap();
        drop(session.commit().unwrap());
        if turn % 16 == 0 {
            stored(manager, &[("n", "1")]);
        }
        commits.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a child of the busy parent does with its parent's sessions and with its own.
fn one_request(place: &Place, hot: &str, held_token: &str, held: &mut Option<Session>, id_file: &Path) {
    let manager = &place.manager;
    let own = stored(manager, &[("n", "1")]);
    std::fs::write(id_file, &own).unwrap();
    assert_eq!(value(manager, &own, "n").as_deref(), Some("1"));
    let mut of_parent = held.take().unwrap();
    // With something to store, so that no other answer will do.
    drop(of_parent.set("n", &1));
    assert_eq!(of_parent.commit().unwrap_err().kind().name(), "misuse");
    drop(of_parent);
    if place.driver == "file" {
        assert!(locked(manager, held_token).is_none(), "the child freed its parent's lock");
        increment(manager, hot);
    } else {
        assert_eq!(value(manager, hot, "n"), None);
    }
}

#[test]
fn children_of_a_busy_parent_finish_and_share_no_id_and_no_lock() {
    let forks = scaled(60, 1000);
    for place in places() {
        let manager = &place.manager;
        warm(manager);
        let hot: Vec<String> = (0..4).map(|_| stored(manager, &[("n", "0")])).collect();
        let held_token = stored(manager, &[("n", "0")]);
        let mut held = locked(manager, &held_token);
        let (stop, commits, mut ids) = (AtomicBool::new(false), AtomicI64::new(0), HashSet::new());
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| hammer(manager, &hot, &stop, &commits));
            }
            let finished = catch_unwind(AssertUnwindSafe(|| {
                for _ in 0..forks {
                    let id_file = place.directory.path().join("id");
                    let pid = child(|| {
                        one_request(&place, &hot[0], &held_token, &mut held, &id_file);
                    });
                    wait(pid);
                    ids.insert(std::fs::read_to_string(&id_file).unwrap());
                    // Nobody else can have it now, unless the child gave it back.
                    assert!(locked(manager, &held_token).is_none(), "a child freed its parent's lock");
                    drop(held.take());
                    held = locked(manager, &held_token);
                    assert!(held.is_some(), "a child kept its parent's lock");
                }
            }));
            stop.store(true, Ordering::Relaxed);
            assert!(finished.is_ok(), "{}", place.driver);
        });

        let counted: i64 = hot.iter().map(|token| open(manager, token).get::<i64>("n").unwrap().unwrap()).sum();
        let of_children = if place.driver == "file" { i64::try_from(forks).unwrap() } else { 0 };
        let commits = commits.load(Ordering::Relaxed);
        assert!(commits > 0);
        assert_eq!(counted, commits + of_children, "{}", place.driver);
        assert_eq!(ids.len(), forks, "{}", place.driver);
        let what = "children that hung or failed, forked beside 3 busy threads (Rust)";
        figure("R8", place.driver, what, format!("0 of {forks}"), "0");
    }
}
