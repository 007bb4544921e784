//! Guards that expired sessions go by ordinary traffic alone, that no request pays for more than a bounded look, and what the
//! bounds of the drivers do: eviction in memory, max_records in the file driver.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{NOW_MS, Place, Watch, open, places, records, stored, watched};
use holdall::driver::Swept;
use holdall::{EventKind, Manager, OpenOptions};
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

        for n in 0..20_000 {
            stored(&manager, &[("bot", &n.to_string())]);
        }

        assert!(evicted.load(Ordering::Relaxed) > 15_000);
        let lost = users.iter().filter(|user| open(&manager, user).is_new().unwrap()).count();
        assert_eq!(lost, 0);
        assert!(bytes(&manager) <= 1_048_576);
        assert!(bytes(&manager) - by_users <= 1_048_576 / 4);
        assert_eq!(bytes(&manager) - by_users > 1_048_576 / 5, room, "the bots' part of what is there");
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
