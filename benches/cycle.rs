//! Times a whole request (open by token, read 3 keys, set 1, commit) over each driver, beside the least that the same storage
//! could do. 1 KB in 10 keys. Prints the median of the rounds with minimum and maximum, and the ratio to the floor of the
//! same round. `cargo bench --bench cycle`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for a terminal")]

use holdall::Manager;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(150);

fn main() {
    if let Ok(url) = std::env::var("PROFILE") {
        let sessions = std::env::var("SESSIONS").ok().map_or(1, |n| n.parse().unwrap());
        let mut cycle = engine(&url, sessions);
        let (mut best, mut all) = (f64::MAX, Vec::new());
        for _ in 0..20 {
            let us = microseconds(&mut cycle);
            best = best.min(us);
            all.push(us);
        }
        all.sort_by(f64::total_cmp);
        println!("best {best:.3} median {:.3}", all[10]);
        return;
    }
    println!("| row | median, us | min..max | floor, us | ratio to the floor |");
    println!("|---|---:|---:|---:|---:|");
    row("memory, one session", &mut engine("memory:", 1), &mut memory_floor(1));
    row("memory, 100,000 at random", &mut engine("memory:", 100_000), &mut memory_floor(100_000));
    for (name, base) in [("file, one session, disk", "/var/tmp"), ("file, one session, tmpfs", "/dev/shm")] {
        let Ok(directory) = tempfile::tempdir_in(base) else { continue };
        let url = format!("file://{}/sessions", directory.path().display());
        row(name, &mut engine(&url, 1), &mut file_floor(directory.path()));
        let path = directory.path().join("durable").display().to_string();
        let config = format!(r#"{{"drivers":{{"file":{{"type":"file","path":{path:?},"durability":"commit"}}}}}}"#);
        row(&format!("{name}, durability commit"), &mut engine(&config, 1), &mut file_floor(directory.path()));
    }
}

/// One call is one cycle.
type Cycle = Box<dyn FnMut()>;

fn row(name: &str, engine: &mut Cycle, floor: &mut Cycle) {
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (one, other) = (microseconds(engine), microseconds(floor));
        ours.push(one);
        theirs.push(other);
        ratios.push(one / other);
    }
    for list in [&mut ours, &mut theirs, &mut ratios] {
        list.sort_by(f64::total_cmp);
    }
    let middle = ROUNDS / 2;
    println!(
        "| {name} | {:.2} | {:.2}..{:.2} | {:.2} | {:.2} |",
        ours[middle],
        ours[0],
        ours[ROUNDS - 1],
        theirs[middle],
        ratios[middle]
    );
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn microseconds(cycle: &mut Cycle) -> f64 {
    let (start, mut count) = (Instant::now(), 0u64);
    while start.elapsed() < ROUND {
        for _ in 0..8 {
            cycle();
        }
        count += 8;
    }
    start.elapsed().as_secs_f64() * 1e6 / count as f64
}

/// Numbers in an order that no cache foresees.
fn next(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from((*state >> 33) % below as u64).unwrap()
}

fn engine(config: &str, sessions: usize) -> Cycle {
    let manager = Manager::new(config).unwrap();
    let text = "x".repeat(90);
    let tokens: Vec<String> = (0..sessions)
        .map(|_| {
            let mut session = manager.open("").unwrap();
            for key in 0..10 {
                session.set(&format!("key{key}"), &text).unwrap();
            }
            drop(session.commit().unwrap());
            session.id().unwrap().unwrap().as_str().to_owned()
        })
        .collect();
    let (mut state, mut n) = (1, 0u64);
    Box::new(move || {
        let mut session = manager.open_token(&tokens[next(&mut state, tokens.len())]).unwrap();
        for key in ["key1", "key5", "key9"] {
            black_box(session.get_json(key).unwrap());
        }
        n += 1;
        session.set_json("key0", &n.to_string()).unwrap();
        drop(black_box(session.commit().unwrap()));
    })
}

/// A lock, a look-up, a copy of 1 KB out and in.
fn memory_floor(sessions: usize) -> Cycle {
    let map: HashMap<usize, Vec<u8>> = (0..sessions).map(|number| (number, vec![7u8; 1200])).collect();
    let (map, mut state) = (Mutex::new(map), 1);
    Box::new(move || {
        let number = next(&mut state, sessions);
        let copy = map.lock().unwrap()[&number].clone();
        map.lock().unwrap().get_mut(&number).unwrap().copy_from_slice(black_box(&copy));
    })
}

/// open, flock, pread, pwrite, close of 1 KB.
fn file_floor(directory: &std::path::Path) -> Cycle {
    let path = directory.join("floor");
    std::fs::write(&path, vec![7u8; 4096]).unwrap();
    Box::new(move || {
        let fd = rustix::fs::open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap();
        rustix::fs::flock(&fd, FlockOperation::LockExclusive).unwrap();
        let mut buffer = [0u8; 1200];
        rustix::io::pread(&fd, &mut buffer, 0).unwrap();
        rustix::io::pwrite(&fd, black_box(&buffer), 2048).unwrap();
    })
}
