//! Holdall's lanes, through its public interface alone. A cycle opens by token, reads 3 keys, sets a counter and commits;
//! the cookie is persistent, so that every commit builds its `Set-Cookie` line.

use crate::measure::{Dice, Lane, cycles, together};
use crate::record::{COUNTER, FIRST_COUNT, READ, Record};
use holdall::{CommitOptions, Manager, OpenOptions};
use std::hint::black_box;
use std::path::Path;

const TOKEN_BYTES: usize = 43;

pub fn memory() -> Manager {
    manager(r#"{"type":"memory"}"#)
}

pub fn file(directory: &Path) -> Manager {
    manager(&format!(r#"{{"type":"file","path":{:?}}}"#, directory.display().to_string()))
}

pub fn durable_file(directory: &Path) -> Manager {
    manager(&format!(r#"{{"type":"file","path":{:?},"durability":"commit"}}"#, directory.display().to_string()))
}

/// Memory whose records are sealed.
pub fn sealed_memory() -> Manager {
    with_key(r#"{"type":"memory"}"#, r#","at_rest":"sealed_only""#)
}

fn with_key(driver: &str, fields: &str) -> Manager {
    let key = holdall::generate_key().unwrap();
    let config =
        format!(r#"{{"drivers":{{"main":{driver}}},"cookie":{{"persistent":true}},"keys":["{key}"]{fields}}}"#);
    Manager::new(&config).unwrap()
}

/// The cycle of a sealed cookie: from one token to the next, which is cut out of the `Set-Cookie` line.
pub fn sealed_cookie(record: &Record) -> Lane {
    let manager = with_key(r#"{"type":"cookie"}"#, "");
    let mut session = manager.open("").unwrap();
    for (key, value) in &record.values {
        session.set_json(key, &value.to_string()).unwrap();
    }
    let token = |mut session: holdall::Session| {
        let commit = session.commit().unwrap();
        let (_, line) = &commit.headers()[0];
        line[line.find('=').unwrap() + 1..line.find(';').unwrap()].to_owned()
    };
    let (mut sent, mut count) = (token(session), FIRST_COUNT);
    cycles(move || {
        let mut session = manager.open_token(black_box(&sent)).unwrap();
        for key in READ {
            black_box(session.get_json(key).unwrap().unwrap());
        }
        count += 1;
        session.set_json(COUNTER, black_box(&count.to_string())).unwrap();
        sent = token(session);
    })
}

fn manager(driver: &str) -> Manager {
    Manager::new(&format!(r#"{{"drivers":{{"main":{driver}}},"cookie":{{"persistent":true}}}}"#)).unwrap()
}

/// Sessions of one record, and their tokens side by side, as near as they would be in a request.
#[derive(Clone)]
pub struct Sessions {
    manager: Manager,
    tokens: String,
    count: u64,
}

impl Sessions {
    /// Stores them, and lets each come back at once: until then a session is on probation, lives shorter and is evicted
    /// first.
    pub fn new(manager: &Manager, record: &Record, number: usize) -> Sessions {
        let texts: Vec<(&str, String)> = record.values.iter().map(|(key, value)| (*key, value.to_string())).collect();
        let mut sessions = Sessions { manager: manager.clone(), tokens: String::new(), count: FIRST_COUNT };
        for at in 0..number {
            sessions.tokens.push_str(&create(manager, &texts, None));
            sessions.write(at);
        }
        (0..number).for_each(|at| sessions.read(at));
        sessions
    }

    fn len(&self) -> usize {
        self.tokens.len() / TOKEN_BYTES
    }

    fn token(&self, at: usize) -> &str {
        &self.tokens[at * TOKEN_BYTES..][..TOKEN_BYTES]
    }

    fn write(&mut self, at: usize) {
        self.finish(self.manager.open_token(self.token(at)).unwrap());
        self.count += 1;
    }

    fn finish(&self, mut session: holdall::Session) {
        for key in READ {
            black_box(session.get_json(key).unwrap().unwrap());
        }
        session.set_json(COUNTER, black_box(&self.count.to_string())).unwrap();
        black_box(session.commit().unwrap().headers());
    }

    fn read(&self, at: usize) {
        let mut session = self.manager.open_token(self.token(at)).unwrap();
        for key in READ {
            black_box(session.get_json(key).unwrap().unwrap());
        }
        black_box(session.commit().unwrap().headers());
    }

    pub fn cycle(mut self) -> Lane {
        let mut dice = Dice::new();
        cycles(move || {
            let at = dice.below(self.len());
            self.write(at);
        })
    }

    pub fn read_only(self) -> Lane {
        let mut dice = Dice::new();
        cycles(move || self.read(dice.below(self.len())))
    }

    /// The cycle from a whole `Cookie` header with two other cookies in it.
    pub fn cycle_from_header(mut self) -> Lane {
        let header = format!("theme=dark; __Host-sid={}; consent=2026-01-01", self.token(0));
        cycles(move || {
            self.finish(self.manager.open(black_box(&header)).unwrap());
            self.count += 1;
        })
    }

    /// Each thread in a loop over its own part of the sessions; all of them together.
    pub fn threads(self, threads: usize) -> Lane {
        let part = self.len() / threads;
        together(threads, move |thread| {
            let (mut own, mut dice) = (self.clone(), Dice::new());
            move || own.write(thread * part + dice.below(part))
        })
    }
}

/// A new session a cycle.
pub fn creating(manager: Manager, record: &Record) -> Lane {
    let texts: Vec<(&str, String)> = record.values.iter().map(|(key, value)| (*key, value.to_string())).collect();
    cycles(move || {
        black_box(create(&manager, &texts, None));
    })
}

/// A new session, by the clock or at a time of its own. Its token.
pub fn create(manager: &Manager, texts: &[(&str, String)], at_ms: Option<u64>) -> String {
    let (mut open, mut commit) = (OpenOptions::new(), CommitOptions::new());
    if let Some(at_ms) = at_ms {
        (open, commit) = (open.at(at_ms), commit.at(at_ms));
    }
    let mut session = manager.open_with(b"", open).unwrap();
    for (key, text) in texts {
        session.set_json(key, text).unwrap();
    }
    black_box(session.commit_with(commit).unwrap().headers());
    let token = session.id().unwrap().unwrap().as_str();
    assert_eq!(token.len(), TOKEN_BYTES);
    token.to_owned()
}
