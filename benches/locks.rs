//! Why the engine's locks are std's: the cost of both under contention, and how many forked children hang when another thread
//! is parked on a lock at that moment. `cargo bench --bench locks`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for a terminal")]
#![allow(unsafe_code, reason = "it forks")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const FORKS: usize = 100;
const PATIENCE: Duration = Duration::from_millis(300);

trait Lock: Send + Sync + Default + 'static {
    const NAME: &'static str;
    fn with(&self, body: impl FnOnce(&mut u64));
}

#[derive(Default)]
struct Std(std::sync::Mutex<u64>);

impl Lock for Std {
    const NAME: &'static str = "std";
    fn with(&self, body: impl FnOnce(&mut u64)) {
        body(&mut self.0.lock().unwrap());
    }
}

#[derive(Default)]
struct ParkingLot(parking_lot::Mutex<u64>);

impl Lock for ParkingLot {
    const NAME: &'static str = "parking_lot";
    fn with(&self, body: impl FnOnce(&mut u64)) {
        body(&mut self.0.lock());
    }
}

fn main() {
    println!("| lock | alone, ns | 4 threads, ns | children hung of {FORKS}, with fresh locks |");
    println!("|---|---:|---:|---:|");
    row::<Std>();
    row::<ParkingLot>();
}

fn row<L: Lock>() {
    let mut alone: Vec<f64> = (0..7).map(|_| nanoseconds::<L>(1)).collect();
    let mut contended: Vec<f64> = (0..7).map(|_| nanoseconds::<L>(4)).collect();
    alone.sort_by(f64::total_cmp);
    contended.sort_by(f64::total_cmp);
    println!("| {} | {:.1} | {:.1} | {} |", L::NAME, alone[3], contended[3], hung::<L>());
}

fn nanoseconds<L: Lock>(threads: u32) -> f64 {
    const TIMES: u32 = 200_000;
    let lock = L::default();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..TIMES {
                    lock.with(|n| *n = black_box(*n + 1));
                }
            });
        }
    });
    start.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES * threads)
}

/// Forks while four threads fight for a lock. The child, as the engine does, makes a lock of its own and lets two threads of
/// its own fight for it; what a lock keeps globally is all that it has of its parent.
fn hung<L: Lock>() -> usize {
    let (lock, stop) = (Arc::new(L::default()), Arc::new(AtomicBool::new(false)));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (lock, stop) = (lock.clone(), stop.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    lock.with(|_| std::thread::sleep(Duration::from_micros(20)));
                }
            })
        })
        .collect();
    let mut hung = 0;
    for _ in 0..FORKS {
        // SAFETY: the child only uses locks it makes itself, starts threads and ends with _exit. Whether it can is the question.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let own = L::default();
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        for _ in 0..20 {
                            own.with(|_| std::thread::sleep(Duration::from_micros(50)));
                        }
                    });
                }
            });
            // SAFETY: ends the child without running its parent's handlers.
            unsafe { libc::_exit(0) };
        }
        let start = Instant::now();
        loop {
            let mut status = 0;
            // SAFETY: `child` is a child of this process that was not waited for yet.
            if unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == child {
                break;
            }
            if start.elapsed() > PATIENCE {
                hung += 1;
                // SAFETY: as above; it is killed and then waited for.
                unsafe { libc::kill(child, libc::SIGKILL) };
                // SAFETY: as above.
                unsafe { libc::waitpid(child, &raw mut status, 0) };
                break;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
    hung
}
