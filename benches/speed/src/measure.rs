//! A race: lanes that are run once a round, round after round, so that what disturbs the machine disturbs all of them. A
//! ratio is formed between two lanes inside one round; its median over the rounds is what counts.

use std::collections::HashMap;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// How many rounds, and how long each lane runs in one.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    pub time: Duration,
    /// How many sessions "many" are.
    pub many: usize,
}

/// Runs for about the time given and answers what it measured, mostly microseconds a cycle.
pub type Lane = Box<dyn FnMut(Duration) -> f64>;

#[derive(Default)]
pub struct Race {
    lanes: Vec<(String, Lane)>,
}

impl Race {
    pub fn lane(&mut self, name: impl Into<String>, lane: Lane) {
        self.lanes.push((name.into(), lane));
    }

    /// Runs every lane once to warm it, then the rounds: every second one backwards, so that nobody always follows the same
    /// one.
    pub fn run(mut self, effort: Effort) -> Times {
        let mut times = Times::default();
        for round in 0..=effort.rounds {
            let mut order: Vec<usize> = (0..self.lanes.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for at in order {
                let (name, lane) = &mut self.lanes[at];
                let figure = lane(effort.time);
                if round > 0 {
                    times.0.entry(name.clone()).or_default().push(figure);
                }
            }
        }
        times
    }
}

/// What the lanes of a race measured, round by round.
#[derive(Default)]
pub struct Times(HashMap<String, Vec<f64>>);

impl Times {
    pub fn of(&self, lane: &str) -> &[f64] {
        self.0.get(lane).unwrap_or_else(|| panic!("no lane {lane:?}"))
    }

    pub fn has(&self, lane: &str) -> bool {
        self.0.contains_key(lane)
    }

    pub fn median(&self, lane: &str) -> f64 {
        median(self.of(lane))
    }
}

pub fn median(figures: &[f64]) -> f64 {
    sorted(figures)[figures.len() / 2]
}

pub fn sorted(figures: &[f64]) -> Vec<f64> {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    figures
}

/// Long against the clock's cost, short against a time slice of the scheduler.
const SLICE: Duration = Duration::from_micros(500);

/// A lane that calls `cycle` again and again. What counts is the median of slices of half a millisecond: where the scheduler
/// took the core away in between, that slice is one of many.
pub fn cycles(mut cycle: impl FnMut() + 'static) -> Lane {
    Box::new(move |time| {
        let (start, mut batch, mut figures) = (Instant::now(), 1, Vec::new());
        while start.elapsed() < time || figures.is_empty() {
            let slice = Instant::now();
            for _ in 0..batch {
                cycle();
            }
            let spent = slice.elapsed();
            if spent < SLICE / 2 {
                batch *= 2;
            } else {
                figures.push(spent.as_secs_f64() * 1e6 / batch as f64);
            }
        }
        median(&figures)
    })
}

/// A lane of several threads at once, each with the cycle that `make` gives it. Microseconds of wall time for a cycle of any
/// of them.
pub fn together<C: FnMut() + Send>(threads: usize, make: impl Fn(usize) -> C + 'static) -> Lane {
    Box::new(move |time| {
        let barrier = &Barrier::new(threads);
        let a_second: f64 = std::thread::scope(|scope| {
            let start = |mut cycle: C| {
                scope.spawn(move || {
                    barrier.wait();
                    let (cycles, spent) = count(&mut cycle, time);
                    cycles as f64 / spent.as_secs_f64()
                })
            };
            let running: Vec<_> = (0..threads).map(|thread| start(make(thread))).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        1e6 / a_second
    })
}

/// How often `cycle` ran, and in what time. Nothing is left out here: of two threads that take turns, none is quick.
fn count(cycle: &mut impl FnMut(), time: Duration) -> (u64, Duration) {
    let (start, mut count) = (Instant::now(), 0);
    loop {
        for _ in 0..128 {
            cycle();
        }
        count += 128;
        let spent = start.elapsed();
        if spent >= time {
            return (count, spent);
        }
    }
}

/// 100,000 for 100000.
pub fn words(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap());
    groups.collect::<Vec<_>>().join(",")
}

/// Numbers in an order that no cache foresees.
pub struct Dice(u64);

impl Dice {
    pub fn new() -> Dice {
        Dice(1)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((self.0 >> 32) * bound as u64) >> 32) as usize
    }

    pub fn bytes(&mut self) -> [u8; 32] {
        std::array::from_fn(|_| self.below(256) as u8)
    }
}
