//! A process of its own for the tests of several processes: does one job on a session and says so on standard output.
//!
//! `worker CONFIG TOKEN increment N` adds 1 to `n`, N times, one commit each.
//! `worker CONFIG TOKEN storm` commits for ever: `n` grows by 1, `text` becomes a string whose length follows from `n`, and
//! after each commit that was acknowledged `n` is printed.

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
        other => panic!("no such job: {other}"),
    }
}

/// Up to 6000 bytes, so that a file grows and shrinks.
fn text_for(n: i64) -> String {
    let length = usize::try_from(n * 2711 % 6000).expect("positive");
    "x".repeat(length)
}
