//! A store at its limits: a disk and a table of inodes that are full, a process without descriptors.

use crate::operation::{open_at, told};
use holdall::{Error, Manager, OpenOptions, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const NOW_MS: u64 = 1_700_000_000_000;
/// When every tenth session of `fill` has ended.
const LATER_MS: u64 = NOW_MS + 60_000;

fn text(n: usize, step: usize) -> String {
    "x".repeat(n * step % 6000)
}

fn ends_soon(n: usize) -> bool {
    n.is_multiple_of(10)
}

fn written(manager: &Manager, token: &str, n: usize, text: &str) -> Result<String> {
    let mut session = open_at(manager, token, NOW_MS)?;
    session.set("n", &n)?;
    session.set("text", text)?;
    if ends_soon(n) {
        session.set_idle_timeout(Some(10))?;
    }
    drop(session.commit_at(NOW_MS)?);
    Ok(session.id()?.expect("an id").as_str().to_owned())
}

fn refused(error: &Error) {
    assert_eq!(told(error), "unavailable retryable");
}

/// Makes sessions until there is no room for the smallest. Says how many there are, how many read back as they were
/// acknowledged, how many were written to in vain, how many in spite, and how many of the others the sweep took.
pub fn fill(manager: &Manager, config: &str, step: usize) -> Result<()> {
    let mut sessions: Vec<(String, usize, usize)> = Vec::new();
    for length in [step, 0] {
        loop {
            let n = sessions.len();
            match written(manager, "", n, &text(n, length)) {
                Ok(token) => sessions.push((token, n, text(n, length).len())),
                Err(error) => break refused(&error),
            }
        }
    }
    println!("acknowledged {}", sessions.len());

    let (mut told_full, mut wrote) = (0, 0);
    for (token, n, length) in &mut sessions {
        match written(manager, token, *n + 1000, &"y".repeat(*length + 3000)) {
            Ok(_) => {
                wrote += 1;
                (*n, *length) = (*n + 1000, *length + 3000);
            }
            Err(error) => {
                refused(&error);
                told_full += 1;
            }
        }
    }
    println!("refused {told_full}");
    println!("written {wrote}");

    // As a process sees it that begins now.
    let manager = &Manager::new(config)?;
    let intact = |sessions: &[(String, usize, usize)], now_ms| {
        let same = |(token, n, length): &&(String, usize, usize)| {
            let session = open_at(manager, token, now_ms).expect("a token");
            let text = session.get::<String>("text").expect("readable").unwrap_or_default();
            session.get::<usize>("n").expect("readable") == Some(*n) && text.len() == *length
        };
        sessions.iter().filter(same).count()
    };
    println!("intact {}", intact(&sessions, NOW_MS));

    let (token, ..) = sessions.pop().expect("there was room for one");
    open_at(manager, &token, NOW_MS)?.destroy_at(NOW_MS)?;
    println!("destroyed {}", open_at(manager, &token, NOW_MS)?.is_new()?);
    let token = written(manager, "", 1, "")?;
    println!("again {}", open_at(manager, &token, NOW_MS)?.get::<usize>("n")? == Some(1));

    let living: Vec<_> = sessions.iter().filter(|(_, n, _)| !ends_soon(*n)).cloned().collect();
    let (mut swept, mut rounds) = (0, 0);
    // The commit above has begun a round.
    while rounds < 2 {
        let step = manager.sweep_at(1000, LATER_MS)?;
        swept += step.removed;
        rounds += usize::from(step.finished);
    }
    println!("ended {}", sessions.len() - living.len());
    println!("swept {swept}");
    println!("living {}", living.len());
    println!("intact {}", intact(&living, LATER_MS));
    Ok(())
}

/// How many this process has open, when no sweep is under way, which keeps one.
fn descriptors(manager: &Manager) -> Result<usize> {
    while !manager.sweep(1000)?.finished {}
    Ok(std::fs::read_dir("/proc/self/fd").expect("/proc").count())
}

/// 64 threads with 32 descriptors among them. Each has a session of its own and holds it locked every other time, and all
/// count in one. Says what was answered and what is stored.
pub fn descriptors_short(manager: &Manager, config: &str, operations: usize) -> Result<()> {
    const THREADS: usize = 64;
    let counted = |token: &str, exclusive: bool| {
        let options = if exclusive { OpenOptions::new().mode(holdall::Mode::Exclusive) } else { OpenOptions::new() };
        let mut session = manager.open_token_with(token.as_bytes(), options)?;
        session.increment("n", 1)?;
        if exclusive {
            std::thread::sleep(Duration::from_millis(1));
        }
        session.commit()
    };
    let made = || {
        let mut session = manager.open("").expect("open");
        session.set("n", &0).expect("set");
        drop(session.commit().expect("commit"));
        session.id().expect("an id").expect("an id").as_str().to_owned()
    };
    let common = made();
    let tokens: Vec<String> = (0..THREADS).map(|_| made()).collect();
    let limit = Rlimit { current: Some(32), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).expect("a lower limit");
    let before = descriptors(manager)?;

    let (answered, in_common, short) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let lost: usize = std::thread::scope(|scope| {
        let (common, counted, answered, in_common, short) = (&common, &counted, &answered, &in_common, &short);
        let threads = tokens.iter().map(|own| {
            scope.spawn(move || {
                let mut mine = 0;
                for operation in 0..operations / THREADS {
                    let of_all = operation % 4 == 3;
                    match counted(if of_all { common } else { own }, operation % 2 == 0) {
                        Ok(commit) => {
                            assert_eq!(commit.outcome().name(), "saved");
                            answered.fetch_add(1, Ordering::Relaxed);
                            in_common.fetch_add(usize::from(of_all), Ordering::Relaxed);
                            mine += i64::from(!of_all);
                        }
                        Err(error) => {
                            refused(&error);
                            short.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                mine
            })
        });
        let threads: Vec<_> = threads.collect();
        // Read when nobody is short of descriptors any more.
        let mine: Vec<i64> = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        let manager = Manager::new(config).expect("a descriptor for it");
        let stored = |token: &str| manager.open_token(token).expect("open").get::<i64>("n").expect("readable");
        let own = tokens.iter().zip(&mine).filter(|(token, mine)| stored(token) != Some(**mine)).count();
        let shared = i64::try_from(in_common.load(Ordering::Relaxed)).expect("few");
        own + usize::from(stored(common) != Some(shared))
    });
    println!("answered {}", answered.into_inner());
    println!("short {}", short.into_inner());
    println!("lost {lost}");
    println!("descriptors {before} {}", descriptors(manager)?);
    Ok(())
}
