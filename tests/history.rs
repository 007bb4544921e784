//! Guards that commits are atomic and take effect at one moment between their call and their answer: six clients work on one
//! session, what they did and saw is recorded, and a search looks for an order of single steps that explains all of it
//! (Wing and Gong 1993). Clients of the file driver are processes that are stopped and killed meanwhile.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "processes/request.rs"]
mod request;

use common::processes::program;
use common::{Dice, LastWriteWins, Place, figure, open, scaled, stored};
use holdall::{Manager, Session};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::Duration;

const CLIENTS: usize = 6;
const REQUESTS: usize = 3;
const KEYS: [&str; 4] = ["a", "b", "c", "d"];

type State = Map<String, Value>;

#[derive(Debug)]
enum What {
    /// Saw this.
    Load(State),
    /// Operations, and the keys that were told as conflicts; None where the client was killed and the answer is not known.
    Commit(Vec<Vec<Value>>, Option<Vec<String>>),
}

/// A step of a client, and when it was asked for and answered.
#[derive(Debug)]
struct Step {
    what: What,
    asked: u64,
    answered: u64,
}

/// What a commit does, one operation a key.
fn applied(state: &State, operations: &[Vec<Value>]) -> (State, Vec<String>) {
    let (mut state, mut conflicts) = (state.clone(), Vec::new());
    for operation in operations {
        let key = operation[1].as_str().unwrap();
        match (operation[0].as_str().unwrap(), state.get_mut(key)) {
            ("set", _) => drop(state.insert(key.into(), operation[2].clone())),
            ("delete", _) => drop(state.remove(key)),
            ("increment", None) => drop(state.insert(key.into(), operation[2].clone())),
            ("push", None) => drop(state.insert(key.into(), json!([operation[2]]))),
            ("push", Some(Value::Array(array))) => array.push(operation[2].clone()),
            ("increment", Some(value)) if value.is_i64() => {
                *value = json!(value.as_i64().unwrap() + operation[2].as_i64().unwrap());
            }
            _ => conflicts.push(key.to_owned()),
        }
    }
    conflicts.sort();
    (state, conflicts)
}

/// Whether some order of the steps explains them all: one that keeps what was answered before something else was asked for.
fn explained(start: &State, steps: &[Step]) -> bool {
    assert!(steps.len() <= 64);
    let all = u64::MAX >> (64 - steps.len());
    let mut seen = HashSet::new();
    let mut open = vec![(0u64, start.clone())];
    while let Some((done, state)) = open.pop() {
        if done == all {
            return true;
        }
        if !seen.insert((done, json!(state).to_string())) {
            continue;
        }
        let left = || steps.iter().enumerate().filter(|(number, _)| done & 1 << number == 0);
        let first_answer = left().map(|(_, step)| step.answered).min().unwrap();
        for (number, step) in left().filter(|(_, step)| step.asked < first_answer) {
            let done = done | 1 << number;
            match &step.what {
                What::Load(saw) if *saw == state => open.push((done, state.clone())),
                What::Load(_) => {}
                What::Commit(operations, told) => {
                    let (new, conflicts) = applied(&state, operations);
                    match told {
                        Some(told) if *told != conflicts => {}
                        Some(_) => open.push((done, new)),
                        // It took effect, or it did not.
                        None => open.extend([(done, new), (done, state.clone())]),
                    }
                }
            }
        }
    }
    false
}

/// What is done to a client while it commits.
#[derive(Clone, Copy)]
enum Trouble {
    None,
    Stop(Duration),
    Kill(Duration),
}

trait Client: Send {
    fn load(&mut self, token: &str) -> String;
    /// None where the client died before it answered.
    fn commit(&mut self, operations: &str, trouble: Trouble) -> Option<String>;
}

struct Thread<'m> {
    manager: &'m Manager,
    session: Option<Session>,
}

impl Client for Thread<'_> {
    fn load(&mut self, token: &str) -> String {
        let (session, all) = request::load(self.manager, token);
        self.session = Some(session);
        all
    }

    fn commit(&mut self, operations: &str, _: Trouble) -> Option<String> {
        Some(request::commit(self.session.take().unwrap(), operations))
    }
}

struct Process<'p> {
    config: &'p str,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl<'p> Process<'p> {
    fn new(config: &'p str) -> Process<'p> {
        let mut command = program("worker");
        command.args([config, "-", "obey"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Process { config, child, input, output }
    }

    fn ask(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn answer(&mut self) -> Option<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.strip_suffix('\n').map(str::to_owned)
    }
}

impl Client for Process<'_> {
    fn load(&mut self, token: &str) -> String {
        self.ask(token);
        self.answer().unwrap()
    }

    fn commit(&mut self, operations: &str, trouble: Trouble) -> Option<String> {
        self.ask(operations);
        let pid = Pid::from_child(&self.child);
        match trouble {
            Trouble::None => {}
            Trouble::Stop(after) => {
                std::thread::sleep(after);
                kill_process(pid, Signal::STOP).unwrap();
                std::thread::sleep(Duration::from_millis(1));
                kill_process(pid, Signal::CONT).unwrap();
            }
            Trouble::Kill(after) => {
                std::thread::sleep(after);
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                let answer = self.answer();
                *self = Process::new(self.config);
                return answer;
            }
        }
        Some(self.answer().unwrap())
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Operations on different keys, such as the request's own view allows.
fn operations(dice: &mut Dice, view: &State, fresh: u64) -> Vec<Vec<Value>> {
    let mut keys = KEYS.to_vec();
    (0..1 + dice.below(3))
        .map(|_| {
            let key = keys.swap_remove(dice.below(keys.len()));
            let (number, array) = match view.get(key) {
                None => (true, true),
                Some(value) => (value.is_i64(), value.is_array()),
            };
            match dice.below(8) {
                0 => vec![json!("set"), json!(key), json!(fresh)],
                1 => vec![json!("set"), json!(key), json!([fresh])],
                2 => vec![json!("delete"), json!(key)],
                _ if number && (!array || dice.below(2) == 0) => vec![json!("increment"), json!(key), json!(fresh)],
                _ if array => vec![json!("push"), json!(key), json!(fresh)],
                _ => vec![json!("delete"), json!(key)],
            }
        })
        .collect()
}

/// Records one history. `seed` decides what is asked for, the machine in which order it happens.
fn history(
    manager: &Manager,
    token: &str,
    clients: &mut [Box<dyn Client + '_>],
    seed: u64,
    trouble: bool,
) -> Vec<Step> {
    let (clock, start, steps) = (AtomicU64::new(0), Barrier::new(clients.len()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for (number, client) in clients.iter_mut().enumerate() {
            let (clock, start, steps) = (&clock, &start, &steps);
            let mut dice = Dice(1000 * seed + number as u64);
            scope.spawn(move || {
                let tick = || clock.fetch_add(1, Ordering::SeqCst);
                let moment = |dice: &mut Dice| Duration::from_micros(dice.below(200) as u64);
                start.wait();
                for request in 0..REQUESTS {
                    let asked = tick();
                    let saw = client.load(token);
                    let answered = tick();
                    let saw: State = serde_json::from_str(&saw).unwrap();
                    let operations = operations(&mut dice, &saw, (10 * number + request) as u64 + 100);
                    steps.lock().unwrap().push(Step { what: What::Load(saw), asked, answered });
                    match dice.below(4) {
                        0 => std::thread::sleep(moment(&mut dice)),
                        1 => std::thread::yield_now(),
                        _ => {}
                    }
                    let trouble = match dice.below(40) {
                        0 if trouble => Trouble::Kill(moment(&mut dice)),
                        1 if trouble => Trouble::Stop(moment(&mut dice)),
                        _ => Trouble::None,
                    };
                    let asked = tick();
                    let told = client.commit(&json!(operations).to_string(), trouble);
                    let answered = tick();
                    let told = told.map(|told| {
                        let mut keys: Vec<String> = serde_json::from_str(&told).unwrap();
                        keys.sort();
                        keys
                    });
                    steps.lock().unwrap().push(Step { what: What::Commit(operations, told), asked, answered });
                }
            });
        }
    });
    let end = clock.fetch_add(2, Ordering::SeqCst);
    let mut steps = steps.into_inner().unwrap();
    let left = open(manager, token).all().unwrap();
    steps.push(Step { what: What::Load(serde_json::from_str(&left).unwrap()), asked: end, answered: end + 1 });
    steps
}

/// Records and checks that many histories. How many nothing explains, and how many commits were cut off by a kill.
fn violations(manager: &Manager, clients: &mut [Box<dyn Client + '_>], times: usize, trouble: bool) -> (usize, usize) {
    let start: State = serde_json::from_str(r#"{"a":0,"b":[]}"#).unwrap();
    let (mut violations, mut cut_off) = (0, 0);
    for seed in 0..times as u64 {
        let token = stored(manager, &[("a", "0"), ("b", "[]")]);
        let steps = history(manager, &token, clients, seed, trouble);
        violations += usize::from(!explained(&start, &steps));
        cut_off += steps.iter().filter(|step| matches!(step.what, What::Commit(_, None))).count();
        open(manager, &token).destroy().unwrap();
    }
    (violations, cut_off)
}

fn threads(manager: &Manager) -> Vec<Box<dyn Client + '_>> {
    (0..CLIENTS).map(|_| Box::new(Thread { manager, session: None }) as Box<dyn Client + '_>).collect()
}

#[test]
fn histories_of_six_threads_in_memory_have_an_order_that_explains_them() {
    let (place, times) = (Place::new("memory"), scaled(100, 10_000));
    let (violations, _) = violations(&place.manager, &mut threads(&place.manager), times, false);
    assert_eq!(violations, 0);
    figure("R23", "memory", "histories of 6 threads that nothing explains", format!("0 of {times}"), "0");
}

#[test]
fn histories_of_six_processes_that_are_stopped_and_killed_have_an_order_that_explains_them() {
    let (place, times) = (Place::new("file"), scaled(100, 10_000));
    let mut clients: Vec<Box<dyn Client + '_>> =
        (0..CLIENTS).map(|_| Box::new(Process::new(&place.config)) as Box<dyn Client + '_>).collect();
    let (violations, cut_off) = violations(&place.manager, &mut clients, times, true);
    assert_eq!(violations, 0);
    assert!(cut_off > 0, "no kill came before the answer");
    let what = format!("histories of 6 processes that nothing explains, {cut_off} commits cut off by SIGKILL");
    figure("R23", "file", &what, format!("0 of {times}"), "0");
}

#[test]
fn the_history_check_notices_a_last_write_wins_store() {
    let manager = LastWriteWins::manager();
    let (violations, _) = violations(&manager, &mut threads(&manager), 50, false);
    assert!(violations > 0);
}
