//! A process of its own for the tests of several processes: does one job on a session and says so on standard output.
//!
//! `worker CONFIG TOKEN increment N` adds 1 to `n`, N times, one commit each.
//! `worker CONFIG TOKEN storm` commits for ever: `n` grows by 1, `text` becomes a string whose length follows from `n`, and
//! after each commit that was acknowledged `n` is printed.
//! `worker CONFIG TOKEN full` finds its files limited to 2 KiB, as a full disk would: a commit that grows must fail, one that
//! does not must work, and the failed one must work when there is room again.
//! `worker CONFIG - make TIMES` makes a session whose `text` is 20,000 bytes, written TIMES times, and prints its token.
//! `worker CONFIG TOKEN shrink` deletes `text`, adds 1 to `n` and regenerates; prints the new token, commits, prints what came.
//! `worker CONFIG TOKEN read` prints `n` and the length of `text`, or `absent`.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a process that says what it did and cannot go on otherwise"
)]

use holdall::Manager;
use std::io::Write as _;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let manager = Manager::new(&arguments[1]).expect("the configuration");
    let token = &arguments[2];
    match arguments[3].as_str() {
        "increment" => {
            let times: u64 = arguments[4].parse().expect("a number");
            for _ in 0..times {
                let mut session = manager.open_token(token).expect("open");
                session.increment("n", 1).expect("increment");
                let commit = session.commit().expect("commit");
                assert_eq!(commit.outcome().name(), "saved");
            }
        }
        "storm" => {
            let mut output = std::io::stdout().lock();
            loop {
                let mut session = manager.open_token(token).expect("open");
                let n = session.increment("n", 1).expect("increment");
                session.set("text", &text_for(n)).expect("set");
                drop(session.commit().expect("commit"));
                writeln!(output, "{n}").expect("the parent listens");
                output.flush().expect("the parent listens");
            }
        }
        "full" => full(&manager, token),
        "make" => {
            let times: usize = arguments[4].parse().expect("a number");
            let mut session = manager.open("").expect("open");
            session.set("n", &0).expect("set");
            drop(session.commit().expect("commit"));
            let token = session.id().expect("an id").expect("an id").as_str().to_owned();
            for time in 0..times {
                let mut session = manager.open_token(&token).expect("open");
                session.set("text", &"x".repeat(20_000 - times + 1 + time)).expect("set");
                drop(session.commit().expect("commit"));
            }
            println!("{token}");
        }
        "shrink" => {
            let mut session = manager.open_token(token).expect("open");
            session.delete(&["text"]).expect("delete");
            session.increment("n", 1).expect("increment");
            session.regenerate().expect("regenerate");
            println!("{}", session.id().expect("an id").expect("an id").as_str());
            match session.commit() {
                Ok(commit) => println!("{}", commit.outcome().name()),
                Err(error) => println!("{}", error.kind().name()),
            }
        }
        "read" => {
            let session = manager.open_token(token).expect("open");
            match session.get::<i64>("n").expect("readable") {
                Some(n) => {
                    println!("{n} {}", session.get::<String>("text").expect("readable").unwrap_or_default().len())
                }
                None => println!("absent"),
            }
        }
        other => panic!("no such job: {other}"),
    }
}

fn full(manager: &Manager, token: &str) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // SAFETY: ignoring a signal installs no handler. The write then fails with EFBIG, instead of ending the process.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(2048), ..before }).expect("a lower limit");

    let mut growing = manager.open_token(token).expect("open");
    growing.set("text", &text_for(2)).expect("set");
    growing.increment("n", 1).expect("increment");
    let error = growing.commit().expect_err("there is no room");
    assert_eq!(error.kind().name(), "unavailable");
    assert!(error.is_retryable() && !error.may_have_written());

    let mut small = manager.open_token(token).expect("open");
    assert_eq!(small.get::<i64>("n").expect("readable"), Some(0));
    small.increment("n", 1).expect("increment");
    assert_eq!(small.commit().expect("there is room for this").outcome().name(), "saved");

    setrlimit(Resource::Fsize, before).expect("the old limit");
    assert_eq!(growing.commit().expect("there is room again").outcome().name(), "saved");
    let session = manager.open_token(token).expect("open");
    assert_eq!(session.get::<i64>("n").expect("readable"), Some(2));
}

/// Up to 6000 bytes, so that a file grows and shrinks.
fn text_for(n: i64) -> String {
    let length = usize::try_from(n * 2711 % 6000).expect("positive");
    "x".repeat(length)
}
