//! A visitor or fifty: makes, reads, writes, grows, shrinks, regenerates, destroys and outlives sessions of its own, and
//! knows after each step what must be there. Many of them share a driver with each other and with sweeps.

use super::Dice;
use holdall::{Manager, Mode, OpenOptions, Outcome, Session};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that runs a hundred times as fast, the same in every process: sessions expire while a test runs.
#[derive(Clone, Copy)]
pub struct Clock {
    pub began_us: u64,
}

fn system_us() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

impl Clock {
    const SPEED: u64 = 100;

    pub fn start() -> Clock {
        Clock { began_us: system_us() }
    }

    pub fn now_ms(self) -> u64 {
        (self.began_us + (system_us() - self.began_us) * Clock::SPEED) / 1000
    }

    /// Waits until it shows this time.
    pub fn wait_for(self, time_ms: u64) {
        while self.now_ms() < time_ms {
            std::thread::sleep(Duration::from_micros(
                (time_ms - self.now_ms().min(time_ms)) * 1000 / Clock::SPEED + 10,
            ));
        }
    }
}

/// The fields of the configuration that an actor needs: every request extends, and a first life that is shorter than any.
pub const ACTOR_FIELDS: &str = r#","touch_after":0,"new_idle_timeout_s":20"#;
const NEW_IDLE_S: u64 = 20;

struct Own {
    token: String,
    n: i64,
    text: usize,
    idle_s: u64,
    expiry_ms: u64,
    /// Left alone until it has expired.
    resting: bool,
}

/// What actors have done and seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub requests: u64,
    /// Commits that moved the expiry, by a touch or a write.
    pub touched: u64,
    pub created: u64,
    pub regenerated: u64,
    pub destroyed: u64,
    /// Sessions whose time came, and that were absent from then on.
    pub expired: u64,
}

impl Done {
    pub fn add(&mut self, other: &Done) {
        self.requests += other.requests;
        self.touched += other.touched;
        self.created += other.created;
        self.regenerated += other.regenerated;
        self.destroyed += other.destroyed;
        self.expired += other.expired;
    }

    pub fn to_line(self) -> String {
        let Done { requests, touched, created, regenerated, destroyed, expired } = self;
        format!("{requests} {touched} {created} {regenerated} {destroyed} {expired}")
    }

    pub fn from_line(line: &str) -> Done {
        let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        let [requests, touched, created, regenerated, destroyed, expired] = numbers[..] else { panic!("{line}") };
        Done { requests, touched, created, regenerated, destroyed, expired }
    }
}

pub struct Actor {
    manager: Manager,
    clock: Clock,
    dice: Dice,
    sessions: Vec<Option<Own>>,
    pub done: Done,
}

impl Actor {
    pub fn new(manager: Manager, clock: Clock, seed: u64) -> Actor {
        Actor { manager, clock, dice: Dice(seed), sessions: (0..50).map(|_| None).collect(), done: Done::default() }
    }

    fn open(&self, token: &str, mode: Mode, now_ms: u64) -> Session {
        self.manager.open_token_with(token.as_bytes(), OpenOptions::new().mode(mode).at(now_ms)).unwrap()
    }

    /// A session was absent: its time must have come, for whoever looked last.
    fn must_be_over(&self, own: &Own, what: &str) {
        let now_ms = self.clock.now_ms();
        assert!(now_ms >= own.expiry_ms, "a living session was lost at {what}, {} ms early", own.expiry_ms - now_ms);
    }

    /// One request.
    pub fn act(&mut self) {
        self.done.requests += 1;
        let at = self.dice.below(self.sessions.len());
        self.sessions[at] = match self.sessions[at].take() {
            Some(own) if own.resting => self.look_at_resting(own),
            Some(own) => self.work_on(own),
            None => self.create(),
        };
    }

    fn create(&mut self) -> Option<Own> {
        let now_ms = self.clock.now_ms();
        let (idle_s, text) = (5 + self.dice.below(60) as u64, self.dice.below(3000));
        let mut session = self.open("", Mode::Shared, now_ms);
        session.set("n", &1).unwrap();
        session.set("text", &"x".repeat(text)).unwrap();
        session.set_idle_timeout(Some(idle_s)).unwrap();
        assert_eq!(session.commit_at(now_ms).unwrap().outcome(), Outcome::Saved);
        self.done.created += 1;
        let token = session.id().unwrap().unwrap().as_str().to_owned();
        let expiry_ms = now_ms + idle_s.min(NEW_IDLE_S) * 1000;
        Some(Own { token, n: 1, text, idle_s, expiry_ms, resting: false })
    }

    /// Whether a session is there as it was left; only its end can have taken it away.
    fn is_there(&mut self, session: &Session, own: &Own) -> bool {
        if session.is_new().unwrap() {
            self.must_be_over(own, "a load");
            self.done.expired += 1;
            return false;
        }
        assert_eq!(session.get::<i64>("n").unwrap(), Some(own.n), "another state");
        let text = session.get_json("text").unwrap().unwrap();
        assert_eq!(text.len() - 2, own.text, "another state");
        true
    }

    fn look_at_resting(&mut self, own: Own) -> Option<Own> {
        let now_ms = self.clock.now_ms();
        let session = self.open(&own.token, Mode::ReadOnly, now_ms);
        if now_ms < own.expiry_ms {
            return self.is_there(&session, &own).then_some(own);
        }
        assert!(session.is_new().unwrap(), "an expired session was returned");
        self.done.expired += 1;
        None
    }

    fn work_on(&mut self, mut own: Own) -> Option<Own> {
        let now_ms = self.clock.now_ms();
        if now_ms >= own.expiry_ms {
            return self.look_at_resting(own);
        }
        let mode = if self.dice.below(20) == 0 { Mode::Exclusive } else { Mode::Shared };
        let mut session = self.open(&own.token, mode, now_ms);
        if !self.is_there(&session, &own) {
            return None;
        }
        let mut left = Own { token: own.token.clone(), ..own };
        let mut new_token = false;
        match self.dice.below(100) {
            0..40 => session.touch().unwrap(),
            40..60 => left.n = session.increment("n", 1).unwrap(),
            60..80 => {
                // Past 64 KiB a file is read piece by piece.
                left.text = if self.dice.below(16) == 0 { self.dice.below(100_000) } else { self.dice.below(3000) };
                session.set("text", &"x".repeat(left.text)).unwrap();
            }
            80..85 => {
                left.idle_s = 5 + self.dice.below(60) as u64;
                session.set_idle_timeout(Some(left.idle_s)).unwrap();
            }
            85..90 => {
                session.regenerate().unwrap();
                new_token = true;
            }
            90..93 => {
                session.destroy_at(now_ms).unwrap();
                drop(session);
                assert!(self.open(&own.token, Mode::ReadOnly, now_ms).is_new().unwrap(), "destroyed and there");
                self.done.destroyed += 1;
                return None;
            }
            // Not too many, or most requests would look at those.
            93..97 if self.sessions.iter().flatten().filter(|other| other.resting).count() < 10 => {
                own.resting = true;
                return Some(own);
            }
            _ => {
                self.manager.sweep_at(64, now_ms).unwrap();
            }
        }
        if new_token {
            left.token = session.id().unwrap().unwrap().as_str().to_owned();
        }
        let commit = session.commit_at(now_ms).unwrap();
        match commit.outcome() {
            Outcome::Gone => {
                self.must_be_over(&own, "a commit");
                self.done.expired += 1;
                return None;
            }
            Outcome::Moved => panic!("moved, and nobody else has the id"),
            Outcome::Saved | Outcome::Unchanged => {}
        }
        if new_token {
            self.done.regenerated += 1;
            assert!(self.open(&own.token, Mode::ReadOnly, now_ms).is_new().unwrap(), "the old id still reads");
        }
        self.done.touched += 1;
        left.expiry_ms = now_ms + left.idle_s * 1000;
        Some(left)
    }
}
