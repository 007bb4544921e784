//! Guards what a clock may do that jumps: to and fro by a second or ten years, between a load and its commit, to 1970, past
//! 2038 and to the end of time. A model of a few lines says what each request must find; what was met expired or was
//! destroyed never reads again, and nobody is signed in for longer than the absolute timeout and what the clock went back.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{DRIVERS, Dice, NOW_MS, Place, figure, scaled};
use holdall::{Manager, Mode, OpenOptions, Outcome, Session};

const IDLE_S: u64 = 100;
const NEW_IDLE_S: u64 = 20;
const ABSOLUTE_S: u64 = 1000;
const FIELDS: &str = r#","idle_timeout_s":100,"new_idle_timeout_s":20,"absolute_timeout_s":1000,"touch_after":0.5"#;
const YEAR_MS: usize = 365 * 24 * 3600 * 1000;

/// What a session must be, by docs/architecture.md.
#[derive(Clone)]
struct Model {
    token: String,
    n: i64,
    created_ms: u64,
    expiry_ms: u64,
    idle_s: u64,
    absolute_s: u64,
    /// A sweep may have taken it: some request came at a time when it had expired.
    may_be_gone: bool,
    /// What has passed since it began, and how far the clock went back meanwhile.
    passed_ms: u64,
    back_ms: u64,
}

impl Model {
    fn expiry_at(&self, now_ms: u64, idle_s: u64) -> u64 {
        let absolute_ms = self.created_ms.min(now_ms).saturating_add(self.absolute_s.min(ABSOLUTE_S) * 1000);
        now_ms.saturating_add(idle_s.min(IDLE_S) * 1000).min(absolute_ms)
    }
}

#[derive(Default)]
struct Seen {
    steps: u64,
    over: u64,
    over_looked_at: u64,
}

struct World<'m> {
    manager: &'m Manager,
    dice: Dice,
    now_ms: u64,
    living: Vec<Model>,
    /// Met expired, destroyed, or an id that was left: never to read again.
    over: Vec<String>,
    seen: Seen,
}

impl World<'_> {
    /// Moves the clock: mostly on, often back, sometimes to where times go wrong.
    fn step(&mut self) {
        const FAR: [u64; 7] = [0, 1, (1 << 31) * 1000 - 1, (1 << 31) * 1000, 1 << 63, u64::MAX - 1, u64::MAX];
        let before = self.now_ms;
        let most = self.dice.of(&[2, 1001, 5000, 30_000, 70_000, 400_000, 3_600_000, YEAR_MS, 10 * YEAR_MS]);
        let by = self.dice.below(most) as u64;
        self.now_ms = match self.dice.below(40) {
            0..8 => before,
            8..24 => before.saturating_add(self.dice.below(30_000) as u64),
            24..31 => before.saturating_add(by),
            31..38 => before.saturating_sub(by),
            38 => self.dice.of(&FAR),
            _ => NOW_MS,
        };
        for model in &mut self.living {
            model.passed_ms = model.passed_ms.saturating_add(self.now_ms.saturating_sub(before));
            model.back_ms = model.back_ms.saturating_add(before.saturating_sub(self.now_ms));
        }
        self.seen.steps += 1;
    }

    fn open(&self, token: &str, mode: Mode) -> Session {
        self.manager.open_token_with(token.as_bytes(), OpenOptions::new().mode(mode).at(self.now_ms)).unwrap()
    }

    /// Every commit that was not read-only may sweep, at its time.
    fn swept(&mut self) {
        for model in &mut self.living {
            model.may_be_gone |= model.expiry_ms <= self.now_ms;
        }
    }

    fn end(&mut self, token: String) {
        self.seen.over += 1;
        self.over.push(token);
        if self.over.len() > 20 {
            let at = self.dice.below(20);
            self.over.swap_remove(at);
        }
    }

    fn create(&mut self) {
        let mut session = self.open("", Mode::Shared);
        session.set("n", &1).unwrap();
        self.step();
        assert_eq!(session.commit_at(self.now_ms).unwrap().outcome(), Outcome::Saved);
        let mut model = Model {
            token: session.id().unwrap().unwrap().as_str().to_owned(),
            n: 1,
            created_ms: self.now_ms,
            expiry_ms: 0,
            idle_s: IDLE_S,
            absolute_s: ABSOLUTE_S,
            may_be_gone: false,
            passed_ms: 0,
            back_ms: 0,
        };
        model.expiry_ms = model.expiry_at(self.now_ms, NEW_IDLE_S);
        self.living.push(model);
        self.swept();
    }

    /// One request on one session, with the clock moving between its load and its commit.
    fn request(&mut self) {
        if !self.over.is_empty() && self.dice.below(4) == 0 {
            let token = &self.over[self.dice.below(self.over.len())];
            assert!(self.open(token, Mode::ReadOnly).is_new().unwrap(), "over, and it reads at {}", self.now_ms);
            self.seen.over_looked_at += 1;
        }
        if self.living.len() < 4 {
            return self.create();
        }
        let at = self.dice.below(self.living.len());
        let model = self.living[at].clone();
        let mode = self.dice.of(&[Mode::Shared, Mode::Shared, Mode::Shared, Mode::Exclusive, Mode::ReadOnly]);
        let session = self.open(&model.token, mode);
        let there = !session.is_new().unwrap();
        let context = format!("at {}: expiry {}, created {}", self.now_ms, model.expiry_ms, model.created_ms);
        if model.expiry_ms <= self.now_ms {
            assert!(!there, "expired, and it reads {context}");
        } else {
            assert!(there || model.may_be_gone, "lost {context}");
        }
        if !there {
            self.living.swap_remove(at);
            return self.end(model.token);
        }
        assert_eq!(session.get::<i64>("n").unwrap(), Some(model.n));
        let longest = (ABSOLUTE_S * 1000).saturating_add(model.back_ms);
        assert!(model.passed_ms <= longest, "lived {} of {longest} ms {context}", model.passed_ms);
        if mode == Mode::ReadOnly {
            return;
        }
        self.change(at, model, session);
    }

    fn change(&mut self, at: usize, model: Model, mut session: Session) {
        let mut next = model.clone();
        let what = self.dice.below(10);
        let mut begins_anew = false;
        match what {
            0..3 => {}
            3 => session.touch().unwrap(),
            4 | 5 => next.n = session.increment("n", 1).unwrap(),
            6 => {
                next.n = session.increment("n", 1).unwrap();
                next.idle_s = 1 + self.dice.below(200) as u64;
                session.set_idle_timeout(Some(next.idle_s)).unwrap();
            }
            7 => {
                next.n = session.increment("n", 1).unwrap();
                next.absolute_s = 1 + self.dice.below(2000) as u64;
                session.set_absolute_timeout(Some(next.absolute_s)).unwrap();
            }
            8 => {
                if self.dice.below(2) == 0 {
                    session.regenerate().unwrap();
                } else {
                    session.invalidate().unwrap();
                    next.n = session.increment("n", 7).unwrap();
                    begins_anew = true;
                }
                next.token = session.id().unwrap().unwrap().as_str().to_owned();
            }
            _ => {
                self.step();
                session.destroy_at(self.now_ms).unwrap();
                assert_eq!(session.commit_at(self.now_ms).unwrap().outcome(), Outcome::Gone);
                self.living.swap_remove(at);
                self.end(model.token);
                return self.swept();
            }
        }
        self.step();
        let now_ms = self.now_ms;
        if begins_anew {
            // Invalidated: another life, with all its timeouts as configured.
            next = Model { created_ms: now_ms, idle_s: IDLE_S, absolute_s: ABSOLUTE_S, ..next };
        }
        next.expiry_ms = next.expiry_at(now_ms, next.idle_s);
        next.created_ms = next.created_ms.min(now_ms);
        let begins_later = model.created_ms > now_ms;
        let gained = next.expiry_ms.saturating_sub(model.expiry_ms);
        let due = next.expiry_ms != model.expiry_ms
            && (next.expiry_ms < model.expiry_ms || what == 3 || gained >= next.idle_s.min(IDLE_S) * 500);
        let outcome = session.commit_at(now_ms).unwrap().outcome();
        drop(session);
        let passed = self.living[at].clone();
        if what <= 3 && !due && !begins_later {
            assert_eq!(outcome, Outcome::Unchanged);
        } else if model.expiry_ms <= now_ms || next.expiry_ms <= now_ms {
            assert_eq!(outcome, Outcome::Gone, "at {now_ms}: expiry {}", model.expiry_ms);
            self.living.swap_remove(at);
            self.end(model.token);
        } else {
            assert_eq!(outcome, if what <= 3 { Outcome::Unchanged } else { Outcome::Saved });
            if next.token != model.token {
                self.end(model.token);
            }
            let (passed_ms, back_ms) = if begins_anew { (0, 0) } else { (passed.passed_ms, passed.back_ms) };
            self.living[at] = Model { may_be_gone: false, passed_ms, back_ms, ..next };
        }
        self.swept();
    }
}

#[test]
fn whatever_the_clock_does_sessions_end_in_time_and_stay_ended() {
    for driver in ["memory", "file"] {
        let place = Place::with(driver, FIELDS);
        let mut total = Seen::default();
        let worlds = scaled(100, 5_000);
        for seed in 0..worlds {
            let mut world = World {
                manager: &place.manager,
                dice: Dice(seed as u64),
                now_ms: NOW_MS,
                living: Vec::new(),
                over: Vec::new(),
                seen: Seen::default(),
            };
            for _ in 0..60 {
                world.step();
                if world.dice.below(20) == 0 {
                    place.manager.sweep_at(64, world.now_ms).unwrap();
                    world.swept();
                }
                world.request();
            }
            total.steps += world.seen.steps;
            total.over += world.seen.over;
            total.over_looked_at += world.seen.over_looked_at;
            for session in world.living {
                let mut left = place.manager.open_token(&session.token).unwrap();
                left.destroy_at(0).unwrap();
            }
        }

        let Seen { steps, over, over_looked_at } = total;
        assert!(over > worlds as u64 * 5 && over_looked_at > worlds as u64 * 5, "{over} {over_looked_at}");
        let found = |what, demanded, found: String| figure("R7", driver, what, found, demanded);
        found("steps of the clock, of 1 ms to 10 years, to and fro", "no panic, no overflow", steps.to_string());
        found("sessions that were over and read again", "0", format!("0 of {over}, in {over_looked_at} looks"));
        found("sessions that outlived the absolute timeout and what the clock went back", "0", "0".into());
    }
}

#[test]
fn a_session_that_a_commit_met_expired_stays_away_when_the_clock_goes_back() {
    for driver in DRIVERS {
        let place = Place::with(driver, FIELDS);
        let at = |now_ms| OpenOptions::new().at(now_ms);
        let mut session = place.manager.open_with(b"", at(NOW_MS)).unwrap();
        session.set("n", &1).unwrap();
        drop(session.commit_at(NOW_MS).unwrap());
        let token = session.id().unwrap().unwrap().as_str().to_owned();
        let end_ms = NOW_MS + NEW_IDLE_S * 1000;

        let mut late = place.manager.open_token_with(token.as_bytes(), at(end_ms - 1)).unwrap();
        late.increment("n", 1).unwrap();
        assert_eq!(late.commit_at(end_ms).unwrap().outcome(), Outcome::Gone);
        let back = place.manager.open_token_with(token.as_bytes(), at(end_ms - 1)).unwrap();
        assert!(back.is_new().unwrap(), "{driver}: gone, and it reads again");
    }
}
