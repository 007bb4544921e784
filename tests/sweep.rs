//! Guards that expired sessions go by ordinary traffic alone, that no request pays for more than a bounded look, and what the
//! bounds of the drivers do: eviction in memory, max_records in the file driver.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::actor::{ACTOR_FIELDS, Clock, Done};
use common::processes::storm;
use common::{NOW_MS, Place, Watch, figure, open, places, records, scaled, stored, watched};
use holdall::driver::Swept;
use holdall::{EventKind, Manager, OpenOptions};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Looks {
    most: AtomicUsize,
    this_request: AtomicUsize,
    removed: AtomicUsize,
}

impl Watch for Looks {
    fn swept(&self, limit: usize, swept: Swept) {
        assert!(swept.looked_at <= limit);
        let so_far = self.this_request.fetch_add(swept.looked_at, Ordering::Relaxed) + swept.looked_at;
        self.most.fetch_max(so_far, Ordering::Relaxed);
        self.removed.fetch_add(swept.removed, Ordering::Relaxed);
    }
}

fn visit(manager: &Manager, now_ms: u64) {
    let mut session = manager.open_with(b"", OpenOptions::new().at(now_ms)).unwrap();
    session.set("k", &1).unwrap();
    drop(session.commit_at(now_ms).unwrap());
}

#[test]
fn ordinary_traffic_sweeps_all_expired_sessions_with_a_bounded_look_a_request() {
    for place in places() {
        let looks = Arc::new(Looks::default());
        let manager = watched(&place.config, &looks);
        for _ in 0..1000 {
            looks.this_request.store(0, Ordering::Relaxed);
            visit(&manager, NOW_MS);
        }
        looks.removed.store(0, Ordering::Relaxed);
        // Two hours later: all of them have expired, and each new visitor pays for a few.
        let later = NOW_MS + 7_200_000;
        let mut requests = 0;
        while looks.removed.load(Ordering::Relaxed) < 1000 && requests < 2000 {
            looks.this_request.store(0, Ordering::Relaxed);
            visit(&manager, later + requests);
            requests += 1;
        }

        assert_eq!(looks.removed.load(Ordering::Relaxed), 1000, "{}", place.driver);
        let most = looks.most.load(Ordering::Relaxed);
        assert!(most > 0 && most <= 64, "{}: one request looked at {most} entries", place.driver);
        // Four entries are looked at for each one made; living ones among them.
        assert!(requests < 700, "{}: it took {requests} requests", place.driver);
    }
}

#[test]
fn the_tenth_of_a_full_store_that_has_expired_goes_by_ordinary_traffic() {
    let count = scaled(2000, 100_000);
    for place in places() {
        let looks = Arc::new(Looks::default());
        let manager = watched(&place.config, &looks);
        let mut living = Vec::new();
        for n in 0..count {
            let idle_s = if n % 10 == 0 { Some(60) } else { None };
            let token = user(&manager, 10, idle_s, NOW_MS);
            if n % 10 != 0 && n % 100 < 20 {
                living.push(token);
            }
        }
        looks.removed.store(0, Ordering::Relaxed);
        looks.most.store(0, Ordering::Relaxed);
        let later = NOW_MS + 3_600_000;
        let mut requests = 0;
        while looks.removed.load(Ordering::Relaxed) < count / 10 {
            looks.this_request.store(0, Ordering::Relaxed);
            visit(&manager, later + requests);
            requests += 1;
            assert!(requests < count as u64, "{}: not swept after {requests} requests", place.driver);
        }

        let most = looks.most.load(Ordering::Relaxed);
        assert!(most > 0 && most <= 64, "{}: one request looked at {most} entries", place.driver);
        assert!(living.iter().all(|token| lives(&manager, token, later + requests)));
        let found = |what: &str, demanded: &str, found: String| figure("R14", place.driver, what, found, demanded);
        let swept = format!("{} of {}, by {requests} requests", count / 10, count / 10);
        found(&format!("expired of {count} sessions swept by ordinary traffic"), "all", swept);
        found("entries that one request looked at, at most", "<= 64", most.to_string());
    }
}

#[test]
fn sweeps_beside_eight_processes_take_no_living_session_and_leave_no_expired_one_readable() {
    let place = Place::with("file", ACTOR_FIELDS);
    let clock = Clock::start();
    let shared: Vec<String> = (0..10).map(|_| user(&place.manager, 100, None, clock.now_ms())).collect();
    let list = place.directory.path().join("shared");
    std::fs::write(&list, shared.join("\n")).unwrap();
    let (foreign, outside) = foreign_files(&place);
    let touches = scaled(5_000, 1_000_000) / 8;

    let began = clock.began_us.to_string();
    let sweepers = [0, 1].map(|_| storm([&place.config, "-", "sweep", began.as_str()]));
    let visitors: Vec<_> = (0..8)
        .map(|seed| {
            let arguments = [&place.config, list.to_str().unwrap(), "visit", began.as_str()];
            let numbers = [(seed * 1000).to_string(), touches.to_string()];
            storm(arguments.into_iter().map(str::to_owned).chain(numbers))
        })
        .collect();
    let (mut done, mut of_shared) = (Done::default(), 0);
    for visitor in visitors {
        let line = visitor.ended_well();
        let (its, shared) = line.rsplit_once(' ').unwrap();
        done.add(&Done::from_line(its));
        of_shared += shared.parse::<u64>().unwrap();
    }
    let swept: usize = sweepers.into_iter().map(|sweeper| sweeper.ended_well().parse::<usize>().unwrap()).sum();

    let now_ms = clock.now_ms();
    let stored: u64 = shared.iter().map(|token| count_of(&place.manager, token, now_ms)).sum();
    assert_eq!(stored, of_shared);
    assert!(swept > 0 && done.expired > 100, "{swept} swept, {done:?}");
    for (path, was) in foreign.iter().chain([&outside]) {
        assert_eq!(&what_lies(path), was, "{}", path.display());
    }
    let found = |what: &str, demanded: &str, found: String| figure("R12", "file", what, found, demanded);
    let touched = done.touched + of_shared;
    found("living sessions lost beside 2 sweeps", "0", format!("0 of {}, {touched} touches", done.created + 10));
    found("expired sessions returned", "0", format!("0 of {}, {swept} swept by the two", done.expired));
    found("foreign files, links and directories removed or changed", "0", format!("0 of {}", foreign.len()));
}

fn count_of(manager: &Manager, token: &str, now_ms: u64) -> u64 {
    let session = manager.open_token_with(token.as_bytes(), OpenOptions::new().at(now_ms)).unwrap();
    session.get("n").unwrap().unwrap_or(0)
}

/// A path, and what lies there.
type Lying = (PathBuf, String);

/// What is not Holdall's, in its directory, under all kinds of names; and a file outside that some of it leads to.
fn foreign_files(place: &Place) -> (Vec<Lying>, Lying) {
    let (inside, outside) = (place.sessions(), place.directory.path().join("outside"));
    std::fs::write(&outside, "mine").unwrap();
    let mut made = Vec::new();
    let hexadecimal = |digit: &str, count| digit.repeat(count);
    for name in ["README".into(), ".hidden".into(), hexadecimal("a", 63), hexadecimal("a", 65), hexadecimal("A", 64)] {
        std::fs::write(inside.join(&name), "mine").unwrap();
        made.push(name);
    }
    symlink(&outside, inside.join("link")).unwrap();
    symlink(&outside, inside.join(hexadecimal("b", 64))).unwrap();
    symlink("/nonexistent", inside.join(hexadecimal("c", 64))).unwrap();
    std::fs::hard_link(&outside, inside.join(hexadecimal("d", 64))).unwrap();
    std::fs::create_dir(inside.join(hexadecimal("e", 64))).unwrap();
    std::fs::create_dir(inside.join("directory")).unwrap();
    made.extend(["link".into(), "directory".into()]);
    made.extend(["b", "c", "d", "e"].map(|digit| hexadecimal(digit, 64)));
    let lying = |path: PathBuf| {
        let what = what_lies(&path);
        (path, what)
    };
    (made.iter().map(|name| lying(inside.join(name))).collect(), lying(outside))
}

fn what_lies(path: &Path) -> String {
    let kind = std::fs::symlink_metadata(path).map(|found| found.file_type());
    format!("{kind:?} {:?} {:?}", std::fs::read_link(path).ok(), std::fs::read(path).ok())
}

#[test]
fn a_store_that_no_longer_grows_is_swept_by_requests_that_only_read() {
    for place in places() {
        let manager = &place.manager;
        for _ in 0..100 {
            visit(manager, NOW_MS);
        }
        for second in 0..20 {
            let now_ms = NOW_MS + 7_200_000 + second * 1000;
            let mut session = manager.open_with(b"", OpenOptions::new().at(now_ms)).unwrap();
            assert_eq!(session.get_json("k").unwrap(), None);
            drop(session.commit_at(now_ms).unwrap());
        }
        let mut left = 0;
        manager
            .iterate_at(NOW_MS, |_| {
                left += 1;
                true
            })
            .unwrap();
        assert_eq!(left, 0, "{}", place.driver);
    }
}

fn bytes(manager: &Manager) -> u64 {
    let stats: serde_json::Value = serde_json::from_str(&manager.stats()).unwrap();
    stats["drivers"]["m"]["bytes"].as_u64().unwrap()
}

#[test]
fn bots_evict_bots_and_no_session_whose_cookie_has_come_back() {
    // Once with room beside the users, where bots may have a quarter of all; once with users nearly filling it.
    for (size, room) in [(100, true), (1600, false)] {
        let manager = Manager::new(ONE_SHARD).unwrap();
        let evicted = Arc::new(AtomicUsize::new(0));
        let seen = evicted.clone();
        manager
            .on_event(move |event| {
                seen.fetch_add(usize::from(event.kind() == EventKind::Evicted), Ordering::Relaxed);
            })
            .unwrap();
        let text = format!("{:?}", "x".repeat(size));
        let users: Vec<String> = (0..500)
            .map(|_| {
                let token = stored(&manager, &[("user", &text)]);
                assert!(!open(&manager, &token).is_new().unwrap());
                token
            })
            .collect();
        let by_users = bytes(&manager);

        let bots = scaled(20_000, 500_000);
        for n in 0..bots {
            stored(&manager, &[("bot", &n.to_string())]);
        }

        assert!(evicted.load(Ordering::Relaxed) > bots * 3 / 4);
        let lost = users.iter().filter(|user| open(&manager, user).is_new().unwrap()).count();
        assert_eq!(lost, 0);
        assert!(bytes(&manager) <= 1_048_576);
        assert!(bytes(&manager) - by_users <= 1_048_576 / 4);
        assert_eq!(bytes(&manager) - by_users > 1_048_576 / 5, room, "the bots' part of what is there");
        let what =
            format!("sessions of users pushed out by {bots} bots, {}", if room { "with room" } else { "nearly full" });
        figure("R14", "memory", &what, "0 of 500", "0");
    }
}

/// A session of about `size` bytes whose cookie has come back, all at `now_ms`.
fn user(manager: &Manager, size: usize, idle_s: Option<u64>, now_ms: u64) -> String {
    let options = OpenOptions::new().at(now_ms);
    let mut session = manager.open_with(b"", options).unwrap();
    session.set("k", &1).unwrap();
    drop(session.commit_at(now_ms).unwrap());
    let token = session.id().unwrap().unwrap().as_str().to_owned();
    let mut session = manager.open_token_with(token.as_bytes(), options).unwrap();
    session.set("k", &"x".repeat(size)).unwrap();
    session.set_idle_timeout(idle_s).unwrap();
    drop(session.commit_at(now_ms).unwrap());
    token
}

const ONE_SHARD: &str =
    r#"{"default":"m","drivers":{"m":{"type":"memory","max_bytes":1048576}},"max_record_bytes":262144}"#;

fn lives(manager: &Manager, token: &str, now_ms: u64) -> bool {
    !manager.open_token_with(token.as_bytes(), OpenOptions::new().at(now_ms)).unwrap().is_new().unwrap()
}

#[test]
fn when_memory_is_full_of_users_the_least_recently_used_goes_first() {
    let manager = Manager::new(ONE_SHARD).unwrap();
    let tokens: Vec<String> = (0..9).map(|_| user(&manager, 100_000, None, NOW_MS)).collect();
    // The oldest is used again, two seconds on; so the second oldest is the one to go.
    assert!(lives(&manager, &tokens[0], NOW_MS + 2000));

    let last = user(&manager, 200_000, None, NOW_MS);

    let living: Vec<bool> = tokens.iter().map(|token| lives(&manager, token, NOW_MS)).collect();
    assert_eq!(living, [true, false, true, true, true, true, true, true, true]);
    assert!(lives(&manager, &last, NOW_MS));
}

#[test]
fn when_memory_is_full_expired_records_go_before_any_that_lives() {
    let manager = Manager::new(ONE_SHARD).unwrap();
    let tokens: Vec<String> = (0..8).map(|_| user(&manager, 100_000, None, NOW_MS)).collect();
    // The most recently used of all, and over in a second.
    let short = user(&manager, 100_000, Some(1), NOW_MS);

    let later = NOW_MS + 60_000;
    let last = user(&manager, 200_000, None, later);

    assert!(tokens.iter().all(|token| lives(&manager, token, later)));
    assert!(lives(&manager, &last, later));
    assert!(!lives(&manager, &short, later));
}

#[test]
fn the_file_driver_refuses_more_than_max_records_and_says_how_many_there_are() {
    let place = Place::new("file");
    let config = place.config.replace(r#""type""#, r#""max_records":3,"type""#);
    let manager = Manager::new(&config).unwrap();
    let tokens: Vec<String> = (0..3).map(|_| stored(&manager, &[("k", "1")])).collect();

    let mut fourth = manager.open("").unwrap();
    fourth.set("k", &1).unwrap();
    let error = fourth.commit().unwrap_err();
    assert_eq!(error.kind().name(), "unavailable");
    assert!(
        error.is_retryable() && error.message().contains("limit is 3") && error.message().contains("are 3"),
        "{error}"
    );

    open(&manager, &tokens[0]).destroy().unwrap();
    assert_eq!(fourth.commit().unwrap().outcome().name(), "saved");
    assert_eq!(records(&manager), 3);
    // What was there before counts too.
    let again = Manager::new(&config).unwrap();
    let mut session = again.open("").unwrap();
    session.set("k", &1).unwrap();
    session.commit().unwrap_err();
}

#[test]
fn events_tell_a_life_without_a_secret() {
    for place in places() {
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = events.clone();
        place
            .manager
            .on_event(move |event| seen.lock().unwrap().push((event.kind(), event.session().to_owned())))
            .unwrap();
        assert_eq!(place.manager.on_event(|_| ()).unwrap_err().kind().name(), "misuse");

        let token = stored(&place.manager, &[("n", "1")]);
        let mut conflicting = open(&place.manager, &token);
        conflicting.increment("n", 1).unwrap();
        let mut other = open(&place.manager, &token);
        other.set("n", "text").unwrap();
        drop(other.commit().unwrap());
        assert_eq!(conflicting.commit().unwrap().conflicts().len(), 1);
        let mut slow = open(&place.manager, &token);
        slow.set("x", &1).unwrap();
        let mut moving = open(&place.manager, &token);
        moving.regenerate().unwrap();
        drop(moving.commit().unwrap());
        drop(slow.commit().unwrap());
        let new = moving.id().unwrap().unwrap().as_str().to_owned();
        let mut gone = open(&place.manager, &new);
        gone.set("x", &1).unwrap();
        open(&place.manager, &new).destroy().unwrap();
        drop(gone.commit().unwrap());
        assert!(open(&place.manager, "../../etc").is_new().unwrap());
        assert!(open(&place.manager, &new).is_new().unwrap());

        let events = events.lock().unwrap();
        let kinds: Vec<EventKind> = events.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(
            kinds,
            [
                EventKind::Created,
                EventKind::Conflict,
                EventKind::Regenerated,
                EventKind::Moved,
                EventKind::Destroyed,
                EventKind::Gone,
                EventKind::MalformedToken,
                EventKind::UnknownToken
            ],
            "{}",
            place.driver
        );
        assert!(
            events
                .iter()
                .all(|(kind, session)| session.len() == if *kind == EventKind::MalformedToken { 0 } else { 12 })
        );
        let stats: serde_json::Value = serde_json::from_str(&place.manager.stats()).unwrap();
        assert_eq!(stats["events"]["created"], 1);
        assert_eq!(stats["commits"]["moved"], 1);
        let told = format!("{events:?}{}{:?}{:?}", place.manager.stats(), moving, place.manager);
        assert!(!told.contains(&token[..12]) && !told.contains(&new[..12]));
    }
}
