//! Processes for the tests of many processes at once: writers that are killed, holders of locks, visitors beside a sweep,
//! and one that reads what is hostile with little memory.
//!
//! `storm CONFIG TOKENS write NUMBER SEED` writes the sessions whose tokens the file TOKENS lists, for ever. Before an id
//! changes it prints `to INDEX TOKEN`, after each commit `wrote INDEX N .`.
//! `storm CONFIG TOKEN hold` locks a session, prints `held`, and commits `n` + 1 when its standard input ends.
//! `storm CONFIG TOKEN turn` prints `waiting`, locks a session, adds 1 to `n` and commits.
//! `storm CONFIG TOKEN,TOKEN both TIMES` locks the first and then the second, adds 1 to `n` of both, TIMES times; where the
//! second is not to be had it gives both back. Prints how often it had both.
//! `storm CONFIG TOKENS visit BEGAN SEED TOUCHES` is an actor (tests/common/actor.rs) for so many touches, who also adds 1
//! to `n` of the sessions listed in TOKENS; prints what it did and how often that was.
//! `storm CONFIG - sweep BEGAN` sweeps until its standard input ends, and prints how many records went.
//! `storm CONFIG TOKEN hostile FILE TIMES` reads that session's file with claims of all sizes in it, and cookies, with 256
//! MiB of address space; prints by how many bytes it grew.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a process that says what it did and cannot go on otherwise"
)]

#[path = "../common/mod.rs"]
mod common;

use common::actor::{Actor, Clock};
use common::{Dice, open, processes, writers};
use holdall::{Manager, Mode, OpenOptions, Session};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use twox_hash::XxHash3_64;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize| -> u64 { arguments[at].parse().unwrap() };
    let job = arguments[3].as_str();
    if job == "hostile" {
        return hostile(&arguments[1], &arguments[2], &arguments[4], number(5));
    }
    let manager = Manager::new(&arguments[1]).unwrap();
    let token = &arguments[2];
    match job {
        "write" => write(&manager, token, usize::try_from(number(4)).unwrap(), number(5)),
        "hold" => {
            let mut session = lock(&manager, token).unwrap();
            println!("held");
            wait_for_the_end_of_input();
            session.increment("n", 1).unwrap();
            assert_eq!(session.commit().unwrap().outcome().name(), "saved");
        }
        "turn" => {
            println!("waiting");
            let mut session = lock(&manager, token).unwrap();
            session.increment("n", 1).unwrap();
            assert_eq!(session.commit().unwrap().outcome().name(), "saved");
        }
        "both" => println!("{}", both(&manager, token, number(4))),
        "visit" => visit(&manager, token, number(4), number(5), number(6)),
        "sweep" => {
            let clock = Clock { began_us: number(4) };
            let ended = std::thread::spawn(wait_for_the_end_of_input);
            let mut removed = 0;
            while !ended.is_finished() {
                removed += manager.sweep_at(64, clock.now_ms()).unwrap().removed;
                // The visitors are to get something done.
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            println!("{removed}");
        }
        other => panic!("no such job: {other}"),
    }
}

fn wait_for_the_end_of_input() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn lock(manager: &Manager, token: &str) -> holdall::Result<Session> {
    manager.open_token_with(token.as_bytes(), OpenOptions::new().mode(Mode::Exclusive))
}

fn write(manager: &Manager, tokens: &str, number: usize, seed: u64) {
    // So that the one that kills and verifies is not the last to run.
    rustix::process::nice(10).unwrap();
    let mut tokens: Vec<String> = std::fs::read_to_string(tokens).unwrap().lines().map(str::to_owned).collect();
    let mut dice = Dice(seed);
    let mut output = std::io::stdout().lock();
    let mut tell = |line: String| {
        // One write, so that a kill cuts no line.
        output.write_all(line.as_bytes()).unwrap();
        output.flush().unwrap();
    };
    loop {
        let alone = dice.below(8) == 0;
        let first = if alone { writers::SHARED + number * writers::ALONE } else { 0 };
        let index = first + dice.below(if alone { writers::ALONE } else { writers::SHARED });
        // Mostly of one class or two, and now and then a large file, so that it grows and shrinks.
        let length = if dice.below(32) == 0 { dice.below(100_000) } else { dice.below(6000) };
        let mut session = open(manager, &tokens[index]);
        let n = session.increment(&format!("w{number}"), 1).unwrap();
        session.set("last", &(number, n, length)).unwrap();
        session.set("text", &"x".repeat(length)).unwrap();
        if alone && dice.below(4) == 0 {
            session.regenerate().unwrap();
            let token = session.id().unwrap().unwrap().as_str().to_owned();
            tell(format!("to {index} {token}\n"));
            tokens[index] = token;
        }
        assert_eq!(session.commit().unwrap().outcome().name(), "saved");
        tell(format!("wrote {index} {n} .\n"));
    }
}

fn both(manager: &Manager, tokens: &str, times: u64) -> u64 {
    let (first, second) = tokens.split_once(',').unwrap();
    let mut had = 0;
    for _ in 0..times {
        let Ok(mut one) = lock(manager, first) else { continue };
        let mut other = match lock(manager, second) {
            Ok(other) => other,
            Err(error) => {
                assert!(error.kind().name() == "unavailable" && error.is_retryable(), "{error}");
                continue;
            }
        };
        for session in [&mut one, &mut other] {
            session.increment("n", 1).unwrap();
            assert_eq!(session.commit().unwrap().outcome().name(), "saved");
        }
        had += 1;
    }
    had
}

fn visit(manager: &Manager, tokens: &str, began_us: u64, seed: u64, touches: u64) {
    let clock = Clock { began_us };
    let tokens: Vec<String> = std::fs::read_to_string(tokens).unwrap().lines().map(str::to_owned).collect();
    let mut dice = Dice(seed);
    let mut actor = Actor::new(manager.clone(), clock, seed + 1);
    let mut shared = 0;
    while actor.done.touched + shared < touches {
        actor.act();
        if dice.below(8) == 0 {
            let now_ms = clock.now_ms();
            let token = &tokens[dice.below(tokens.len())];
            let mut session = manager.open_token_with(token.as_bytes(), OpenOptions::new().at(now_ms)).unwrap();
            session.increment("n", 1).unwrap();
            assert_eq!(session.commit_at(now_ms).unwrap().outcome().name(), "saved", "a living session was lost");
            shared += 1;
        }
    }
    println!("{} {shared}", actor.done.to_line());
}

/// What a 32-bit size in a file may claim.
const CLAIMS: [u32; 12] =
    [0, 1, 87, 88, 1024, 2047, 1 << 20, (1 << 20) + 1, 1 << 28, (1 << 31) - 88, u32::MAX - 88, u32::MAX];
/// What a 64-bit number may claim.
const LONG_CLAIMS: [u64; 7] = [0, 1, 1 << 31, 1 << 32, 1 << 63, u64::MAX - 1, u64::MAX];

fn hostile(config: &str, token: &str, path: &str, times: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = Rlimit { current: Some(256 << 20), ..getrlimit(Resource::As) };
    setrlimit(Resource::As, limit).unwrap();
    let manager = Manager::new(config).unwrap();
    let whole = std::fs::read(path).unwrap();
    let class = whole.len() / 2;
    let mut dice = Dice(16);
    let mut cookie = vec![b'='; 1 << 20];
    let mut before = 0;
    // The first tenth brings every buffer to its size.
    for time in 0..times + times / 10 {
        if time == times / 10 {
            before = processes::resident_bytes();
        }
        if dice.below(4) == 0 {
            hostile_cookie(&manager, token, &mut cookie, &mut dice);
            continue;
        }
        let mut bytes = whole.clone();
        // The record's own claims first, then the slot's, sealed again each time: the checksum must not be what saves us.
        let slot = class * dice.below(2);
        let record = slot + 88;
        for _ in 0..dice.below(3) {
            match dice.below(4) {
                0 => put32(&mut bytes, record + dice.of(&[128, 132]), dice.of(&CLAIMS)),
                1 => {
                    let at = record + dice.of(&[8, 32, 40, 48, 120]);
                    put64(&mut bytes, at, dice.of(&LONG_CLAIMS));
                }
                // A row of the table: where its entry ends, and how long its key is.
                _ => put32(&mut bytes, record + 136 + 4 * dice.below(2), dice.of(&CLAIMS)),
            }
        }
        let length = u32::from_le_bytes(bytes[slot + 12..slot + 16].try_into().unwrap()) as usize;
        let body = XxHash3_64::oneshot(&bytes[record..record + length]);
        put64(&mut bytes, slot + 72, body);
        if dice.below(2) == 0 {
            // A class that holds what is claimed, or any.
            let class = if dice.below(2) == 0 { 1 << 31 } else { 1 << dice.below(32) };
            put32(&mut bytes, slot + 8, class);
            put32(&mut bytes, slot + 12, dice.of(&CLAIMS));
        }
        if dice.below(2) == 0 {
            put64(&mut bytes, slot + 16, dice.of(&LONG_CLAIMS));
        }
        let header = XxHash3_64::oneshot(&bytes[slot..slot + 80]);
        put64(&mut bytes, slot + 80, header);

        let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path).unwrap();
        let size = if dice.below(4) == 0 { 1 << (11 + dice.below(30)) } else { bytes.len() as u64 };
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        file.set_len(size).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        drop(file);
        // Any answer will do, but no panic and no memory.
        let mut session = open(&manager, token);
        let _ = session.all();
        // The table of a record that was sealed anew may be out of order; a debug build asserts that what it writes is not.
        if !cfg!(debug_assertions) {
            let _ = session.set("k", &1).and_then(|()| session.commit().map(drop));
        }
        let _ = manager.sweep(64);
        drop(session);
    }
    println!("{}", processes::resident_bytes().saturating_sub(before));
}

/// A header of up to a mebibyte in the buffer it is given: one endless token, or thousands of the session's name.
fn hostile_cookie(manager: &Manager, token: &str, buffer: &mut [u8], dice: &mut Dice) {
    let length = 1 << dice.below(21);
    let pair = match dice.below(3) {
        0 => b"__Host-sid=; ".to_vec(),
        1 => format!("__Host-sid={token}").into_bytes(),
        _ => format!("__Host-sid={}; ", "A".repeat(43)).into_bytes(),
    };
    for chunk in buffer[..length].chunks_mut(pair.len()) {
        chunk.copy_from_slice(&pair[..chunk.len()]);
    }
    let session = manager.open_with(&buffer[..length], OpenOptions::new()).unwrap();
    let _ = session.all();
    let _ = manager.open_token_with(&buffer[..length], OpenOptions::new()).unwrap().is_new();
}

fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn put64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}
