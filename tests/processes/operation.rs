//! One operation of the engine between two marks in a log of system calls, told in lines of a word and its value, and what a
//! reader in another process finds of it.
//!
//! A mark is `getppid`, which nothing else here calls. Times are injected: an operation never pays for a step of the sweep,
//! and the same store gives the same calls in every run.

use holdall::{Error, Manager, OpenOptions, Result, Session};

/// When `make` makes its sessions.
const MADE_MS: u64 = 1_700_000_000_000;
/// When the short-lived ones of `make` have ended, and the others have not.
const SWEPT_MS: u64 = MADE_MS + 60_000;
/// When operations happen: too soon after the last step of the sweep for another one.
pub const OPERATED_MS: u64 = MADE_MS + 500;
/// When every record has ended.
const ENDED_MS: u64 = MADE_MS + 40 * 365 * 86_400_000;

pub fn mark() {
    let _ = rustix::process::getppid();
}

pub fn open_at(manager: &Manager, token: &str, now_ms: u64) -> Result<Session> {
    manager.open_token_with(token.as_bytes(), OpenOptions::new().at(now_ms))
}

pub fn told(error: &Error) -> String {
    let flag = |set, name| if set { name } else { "" };
    let retryable = flag(error.is_retryable(), " retryable");
    format!("{}{retryable}{}", error.kind().name(), flag(error.may_have_written(), " may_have_written"))
}

/// A session of `length` bytes, written `times` times; and one that has ended and a marker that has, for a sweep to take.
pub fn make(manager: &Manager, times: usize, length: usize) -> Result<()> {
    let made = |token: &str, change: &dyn Fn(&mut Session) -> Result<()>| {
        let mut session = open_at(manager, token, MADE_MS)?;
        change(&mut session)?;
        drop(session.commit_at(MADE_MS)?);
        Ok::<_, Error>(session.id()?.expect("an id").as_str().to_owned())
    };
    let ended = made("", &|session| session.set_idle_timeout(Some(10)).and_then(|()| session.set("n", &0)))?;
    made(&ended, &Session::regenerate)?;
    let token = made("", &|session| session.set("n", &0))?;
    for time in 0..times {
        made(&token, &|session| session.set("text", &"x".repeat(length - times + 1 + time)))?;
    }
    println!("new {token}");
    Ok(())
}

fn change(session: &mut Session, operation: &str) -> Result<()> {
    if operation == "touch" {
        return session.touch();
    }
    // Nothing here depends on what was there, so that a change that failed half-way may be made again.
    session.set("n", &1)?;
    match operation {
        "create" => session.set("text", &"x".repeat(5000))?,
        "longer" | "regenerate_longer" => session.set("text", &"x".repeat(30_000))?,
        "shorter" | "regenerate_shorter" => session.delete(&["text"])?,
        _ => {}
    }
    if operation.starts_with("regenerate") {
        session.regenerate()?;
    }
    Ok(())
}

/// The id a session is to have, told if it is a new one.
fn id_told(session: &Session, operation: &str) -> Result<String> {
    let id = session.id()?.expect("an id").as_str();
    if operation == "create" || operation.starts_with("regenerate") {
        println!("new {id}");
    }
    Ok(id.to_owned())
}

/// `changed` is the id the session is to have, once its changes are made.
fn attempt(
    manager: &Manager,
    session: &mut Session,
    operation: &str,
    changed: &mut Option<String>,
) -> Result<&'static str> {
    if operation == "sweep" {
        while !manager.sweep_at(1000, SWEPT_MS)?.finished {}
        return Ok("swept");
    }
    if operation == "destroy" {
        session.destroy_at(OPERATED_MS)?;
        return Ok(session.commit_at(OPERATED_MS)?.outcome().name());
    }
    if changed.is_none() {
        change(session, operation)?;
        *changed = Some(id_told(session, operation)?);
    }
    let outcome = session.commit_at(OPERATED_MS)?.outcome().name();
    // It may be another one: a repeated commit finds the first one's id taken where that got half-way.
    *changed = Some(id_told(session, operation)?);
    Ok(outcome)
}

/// Does an operation once, and if it failed once more, and tells what came of it.
pub fn operate(manager: &Manager, token: &str, operation: &str) -> Result<()> {
    // Takes the step of the sweep that a first commit pays for.
    let mut idle = open_at(manager, "", MADE_MS)?;
    idle.has("n")?;
    drop(idle.commit_at(MADE_MS)?);

    let opened = if operation == "create" { "" } else { token };
    let mut session = open_at(manager, opened, OPERATED_MS)?;
    let mut changed = None;
    mark();
    let first = attempt(manager, &mut session, operation, &mut changed);
    mark();
    println!("outcome {}", first.as_ref().map_or_else(told, |name| (*name).to_owned()));
    if first.is_err() {
        let new = changed.as_deref().filter(|new| *new != token);
        for token in std::iter::once(token).chain(new) {
            println!("between {}", state(manager, token));
        }
        let again = attempt(manager, &mut session, operation, &mut changed);
        println!("outcome {}", again.as_ref().map_or_else(told, |name| (*name).to_owned()));
    }
    Ok(())
}

/// What a reader finds of a session: `n` and the length of `text`.
fn state(manager: &Manager, token: &str) -> String {
    let read = || {
        let session = open_at(manager, token, OPERATED_MS)?;
        let Some(n) = session.get::<i64>("n")? else { return Ok("absent".to_owned()) };
        Ok(format!("{n} {}", session.get::<String>("text")?.unwrap_or_default().len()))
    };
    read().unwrap_or_else(|error: Error| told(&error))
}

/// The size and the expiry of every record that lives.
fn records(manager: &Manager) -> Result<String> {
    let mut records = Vec::new();
    manager.iterate_at(OPERATED_MS, |record| {
        records.push(format!("{}/{}", record.bytes, record.expiry_ms));
        true
    })?;
    records.sort_unstable();
    Ok(records.join(" "))
}

pub fn read(manager: &Manager, tokens: &[String]) {
    for token in tokens {
        println!("state {}", state(manager, token));
    }
}

/// Reads sessions, writes to those that are there, and sweeps when all have ended.
pub fn check(manager: &Manager, tokens: &[String]) -> Result<()> {
    read(manager, tokens);
    println!("records {}", records(manager)?);
    for token in tokens {
        let mut session = open_at(manager, token, OPERATED_MS)?;
        if session.has("n")? {
            session.set("n", &99)?;
            println!(
                "write {}",
                session.commit_at(OPERATED_MS).map_or_else(|e| told(&e), |c| c.outcome().name().into())
            );
            println!("wrote {}", state(manager, token));
        }
    }
    while !manager.sweep_at(1000, ENDED_MS)?.finished {}
    Ok(())
}

/// Creates, updates and regenerates in turn, and says so each time it was answered.
pub fn acknowledge(manager: &Manager, times: usize) -> Result<()> {
    let mut token = String::new();
    mark();
    for time in 0..times {
        let kind = ["create", "update", "update", "regenerate", "update"][time % 5];
        let mut session = open_at(manager, if kind == "create" { "" } else { &token }, OPERATED_MS)?;
        session.set("n", &time)?;
        session.set("text", &"x".repeat(time * 2711 % 6000))?;
        if kind == "regenerate" {
            session.regenerate()?;
        }
        assert_eq!(session.commit_at(OPERATED_MS)?.outcome().name(), "saved");
        session.id()?.expect("an id").as_str().clone_into(&mut token);
        println!("{kind} {token}");
    }
    mark();
    Ok(())
}
