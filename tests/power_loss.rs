//! Guards what the file driver promises with `durability` `commit`: after a power loss at any moment every acknowledged commit
//! is there, and of the one under way all or nothing. Also that the disk it is tried on would show a sync that is missing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
mod power;

use common::processes::program;
use common::{Dice, config, figure, scaled};
use holdall::{Manager, OpenOptions, Session};
use power::{Event, Trace};
use std::collections::BTreeSet;
use std::path::Path;

const SESSIONS: usize = 4;
const IDLE_MS: u64 = 7_200_000;

fn configured(root: &Path, durability: &str) -> String {
    let path = root.join("sessions").display().to_string();
    // The life of a new record is that of any other, so that every acknowledged state is known to live as long.
    config("file", &path, r#","new_idle_timeout_s":7200"#)
        .replace(r#""type""#, &format!(r#""durability":"{durability}","type""#))
}

/// A run of the worker over several sessions, in a directory that is there already unless it is to be made.
fn run(durability: &str, seed: u64, made_before: bool) -> Trace {
    let mut dice = Dice(seed);
    let mut living = [false; SESSIONS];
    let mut plan = String::new();
    for _ in 0..scaled(60, 300) {
        let (session, at) = (dice.below(SESSIONS), dice.below(12));
        let step = if living[session] { &"wwwwwxxttrrd"[at..=at] } else { "w" };
        living[session] = step != "d";
        plan += &format!("{session}{step}");
    }
    let root = tempfile::tempdir().unwrap();
    if made_before {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new().mode(0o700).create(root.path().join("sessions")).unwrap();
    }
    let mut worker = program("worker");
    worker.args([&configured(root.path(), durability), "-", "follow", &plan]);
    Trace::of(&mut worker, root.path())
}

/// One session as an answer of the worker tells it.
#[derive(Clone)]
struct Told {
    session: usize,
    /// Its token and `n`; None where it was destroyed.
    state: Option<(String, i64)>,
    at_ms: u64,
}

impl Told {
    fn read(answer: &str) -> Told {
        let parts: Vec<&str> = answer.split(' ').collect();
        let state = (parts[1] != "-").then(|| (parts[1].to_owned(), parts[2].parse().unwrap()));
        Told { session: parts[0].parse().unwrap(), state, at_ms: parts[3].parse().unwrap() }
    }
}

/// What is stored under these tokens.
fn found(manager: &Manager, tokens: &BTreeSet<&str>, at_ms: u64) -> holdall::Result<Vec<(String, i64)>> {
    let open = |token: &str| manager.open_token_with(token.as_bytes(), OpenOptions::new().at(at_ms));
    let whole = |session: &Session| -> holdall::Result<i64> {
        let (n, text) = (session.get_or("n", -1)?, session.get_or("text", String::new())?);
        assert_eq!(text.len(), usize::try_from(n * 2711 % 6000).unwrap(), "half of a commit");
        Ok(n)
    };
    let mut found = Vec::new();
    for token in tokens {
        let mut session = open(token)?;
        if session.is_new()? {
            continue;
        }
        found.push(((*token).to_owned(), whole(&session)?));
        // It still takes commits.
        session.set("after", &1)?;
        assert_eq!(session.commit_at(at_ms)?.outcome().name(), "saved");
        assert_eq!(open(token)?.get::<i64>("after")?, Some(1));
    }
    Ok(found)
}

/// Cuts the power at random moments of a run. Gives the number of acknowledged states that had to be there, and what was
/// missing.
fn cuts(trace: &Trace, durability: &str, seed: u64, times: usize) -> (usize, Vec<String>) {
    let told = |event: &Event| if let Event::Answer(answer) = event { Some(Told::read(answer)) } else { None };
    let all: Vec<Told> = trace.events.iter().filter_map(told).collect();
    let mut dice = Dice(seed);
    let (mut acknowledged, mut lost) = (0, Vec::new());
    for _ in 0..times {
        let end = dice.below(trace.events.len() + 1);
        let before = trace.events[..end].iter().filter(|event| matches!(event, Event::Answer(_))).count();
        let root = tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" }).unwrap();
        trace.cut(end, &mut dice).write_to(root.path());
        let manager = match Manager::new(&configured(root.path(), durability)) {
            Ok(manager) => manager,
            Err(error) => {
                lost.push(format!("before event {end}: {error:?}"));
                continue;
            }
        };
        let mut sessions: Vec<_> = (0..SESSIONS)
            .map(|number| {
                let of = |told: &&Told| told.session == number;
                let (last, under_way) = (all[..before].iter().rev().find(of), all.get(before).filter(of));
                // The last moment at which what was acknowledged still lives: a touch that was lost shows.
                let at_ms = last.or(under_way).map_or(0, |told| told.at_ms + IDLE_MS - 1);
                let states = all.iter().filter(of).filter_map(|told| told.state.as_ref());
                let tokens: BTreeSet<&str> = states.map(|(token, _)| token.as_str()).collect();
                (at_ms, number, tokens, last, under_way)
            })
            .collect();
        // The commits that try them sweep what has expired at their moment.
        sessions.sort_by_key(|session| session.0);
        for (at_ms, number, tokens, last, under_way) in sessions {
            let allowed = [Some(last.and_then(|told| told.state.clone())), under_way.map(|told| told.state.clone())];
            acknowledged += usize::from(last.is_some());
            let found = found(&manager, &tokens, at_ms);
            let right = found.as_ref().is_ok_and(|found| {
                found.len() < 2 && allowed.iter().flatten().any(|state| state.as_ref() == found.first())
            });
            if !right {
                lost.push(format!("before event {end}, session {number}: {found:?}, allowed {allowed:?}"));
            }
        }
    }
    (acknowledged, lost)
}

#[test]
fn after_a_power_loss_every_acknowledged_commit_is_there() {
    let (runs, times) = (scaled(3, 20), scaled(100, 500));
    let (mut acknowledged, mut lost) = (0, Vec::new());
    for seed in 0..runs as u64 {
        let (more, missing) = cuts(&run("commit", seed, true), "commit", 100 + seed, times);
        acknowledged += more;
        lost.extend(missing);
    }
    assert!(lost.is_empty(), "{} of {acknowledged}, the first: {}", lost.len(), lost[0]);
    let what = format!("acknowledged states of sessions lost in {} power losses", runs * times);
    figure("R24", "file", &what, format!("0 of {acknowledged}"), "0");
}

#[test]
fn every_kind_of_sync_is_needed() {
    let times = scaled(20, 400);
    let committed = || run("commit", 7, true);
    for (what, trace, durability) in [
        ("without `durability`", run("none", 7, true), "none"),
        ("where the disk ignores syncs of files", committed().without_syncs(false), "commit"),
        ("where the disk ignores syncs of the directory", committed().without_syncs(true), "commit"),
    ] {
        let (acknowledged, lost) = cuts(&trace, durability, 7, times);
        assert!(!lost.is_empty(), "{what} nothing is lost: the model keeps what it need not");
        let what = format!("acknowledged states of sessions lost in {times} power losses {what}");
        figure("R24", "file", &what, format!("{} of {acknowledged}", lost.len()), "more than 0: the model bites");
    }
}

#[test]
fn a_directory_that_the_engine_has_made_outlives_a_power_loss() {
    let (acknowledged, lost) = cuts(&run("commit", 9, false), "commit", 9, scaled(50, 500));
    assert!(lost.is_empty(), "{} of {acknowledged}, the first: {}", lost.len(), lost[0]);
    figure("R24", "file", "the same in a directory that the engine made", format!("0 of {acknowledged}"), "0");
}
