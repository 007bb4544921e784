//! What a stored session weighs in memory: how much larger a process has become after 100,000 of them (its resident set, so
//! with all that the allocator needs). Each is weighed in a process of its own, which is this program called again.

use crate::ours::{Sessions, memory};
use crate::record::{MIDDLE, Record};
use crate::report::{Goal, Report};
use std::process::Command;

const NUMBER: usize = 100_000;
const MORE: f64 = 420.0;

pub fn run(rounds: usize, report: &mut Report) {
    let weigh = |what: &str| -> Vec<f64> { (0..rounds).map(|_| in_a_process(what)).collect() };
    let (ours, allowed) = (weigh("ours"), vec![MIDDLE as f64 + MORE; rounds]);
    let tower = weigh("tower-sessions");
    let ratio = |one: f64, other: f64| one / other;
    report.add(
        "memory, one stored 1 KB session",
        "bytes",
        &ours,
        "payload + 420 B",
        &allowed,
        ratio,
        Goal::AtMost(1.0),
    );
    report.add("memory, one stored 1 KB session", "bytes", &ours, "tower-sessions", &tower, ratio, Goal::None);
}

fn in_a_process(what: &str) -> f64 {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).args(["weigh", what]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// The other end of `in_a_process`.
pub fn weigh(what: &str) {
    let record = Record::new(MIDDLE);
    let before = resident();
    match what {
        "ours" => {
            let manager = memory();
            drop(Sessions::new(&manager, &record, NUMBER));
            let stats: serde_json::Value = serde_json::from_str(&manager.stats()).unwrap();
            assert_eq!(stats["drivers"]["main"]["records"], NUMBER);
            print(before);
        }
        _ => {
            let store = crate::peers::Tower::new(&record, NUMBER);
            print(before);
            drop(store);
        }
    }
}

fn print(before: usize) {
    println!("{}", (resident() - before) as f64 / NUMBER as f64);
}

fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * rustix::param::page_size()
}
