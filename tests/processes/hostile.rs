//! A store under attack: what is no session under a session's name, and what is no id in the cookie.

use crate::operation::{OPERATED_MS, mark, open_at, told};
use holdall::{Manager, OpenOptions, Result};

/// Adds 1 to `n` again and again, whatever lies under the session's name by turns.
pub fn insist(manager: &Manager, token: &str, times: usize) {
    let (mut saved, mut refused) = (0, 0);
    mark();
    for _ in 0..times {
        let increment = || {
            let mut session = open_at(manager, token, OPERATED_MS)?;
            session.increment("n", 1)?;
            session.commit_at(OPERATED_MS)
        };
        match increment() {
            Ok(commit) => {
                assert_eq!(commit.outcome().name(), "saved");
                saved += 1;
            }
            Err(error) => {
                assert_eq!(told(&error), "unavailable");
                refused += 1;
            }
        }
    }
    mark();
    println!("saved {saved}");
    println!("refused {refused}");
}

/// Opens every token of a file, one in hexadecimal a line, by itself and in a `Cookie` header, between two marks. Says how
/// many there were and how many of them named a record.
pub fn open(manager: &Manager, path: &str) -> Result<()> {
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("hexadecimal");
        u8::from_str_radix(pair, 16).expect("hexadecimal")
    };
    let file = std::fs::read_to_string(path).expect("a file of tokens");
    let tokens: Vec<Vec<u8>> = file.lines().map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect();
    let mut found = 0;
    // The first session of a process gives it its random number.
    assert!(manager.open_token(&"A".repeat(43))?.is_new()?);
    let options = || OpenOptions::new().at(OPERATED_MS);
    mark();
    for token in &tokens {
        let header = [b"__Host-sid=", &token[..]].concat();
        for session in [manager.open_token_with(token, options())?, manager.open_with(&header, options())?] {
            found += usize::from(!session.is_new()? || session.get_json("n")?.is_some());
        }
    }
    mark();
    println!("opened {}", tokens.len());
    println!("found {found}");
    Ok(())
}
