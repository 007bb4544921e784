//! A browser, as far as one site sees it: keeps the cookies that responses set, sends all of them, and drops a line over 4096
//! bytes without a word, which is why no line may ever be one.

use super::NOW_MS;
use holdall::{Commit, MAX_SET_COOKIE_BYTES, Manager, OpenOptions, Outcome, Result, Session};
use std::collections::BTreeMap;

/// The cookies by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jar(pub BTreeMap<String, String>);

impl Jar {
    pub fn take(&mut self, commit: &Commit) {
        let mut is_set = false;
        for (_, line) in commit.headers().iter().filter(|(name, _)| *name == "Set-Cookie") {
            assert!(line.len() <= MAX_SET_COOKIE_BYTES, "a line of {} bytes", line.len());
            let (name, rest) = line.split_once('=').unwrap();
            if line.contains("; Max-Age=0;") {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
                is_set = true;
            }
        }
        if is_set {
            let set =
                commit.headers().iter().filter(|(_, line)| line.contains("; Path=") && !line.contains("; Max-Age=0;"));
            assert_eq!(set.count(), self.0.len(), "a stale cookie stays: {:?}", self.0.keys());
        }
    }

    /// What it sends; the order of cookies says nothing.
    pub fn header(&self) -> String {
        let pairs: Vec<String> = self.0.iter().rev().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    /// The token in one cookie, or its first part.
    pub fn token(&self) -> &str {
        self.0.values().next().unwrap()
    }

    pub fn open(&self, manager: &Manager, now_ms: u64) -> Session {
        manager.open_with(self.header().as_bytes(), OpenOptions::new().at(now_ms)).unwrap()
    }

    /// One request: what is done in it, its commit, and the response.
    pub fn try_visit(&mut self, manager: &Manager, now_ms: u64, act: impl FnOnce(&mut Session)) -> Result<Outcome> {
        let mut session = self.open(manager, now_ms);
        act(&mut session);
        let commit = session.commit_at(now_ms)?;
        self.take(&commit);
        Ok(commit.outcome())
    }

    pub fn visit(&mut self, manager: &Manager, act: impl FnOnce(&mut Session)) -> Outcome {
        self.try_visit(manager, NOW_MS, act).unwrap()
    }

    pub fn all(&self, manager: &Manager) -> String {
        self.open(manager, NOW_MS).all().unwrap()
    }
}
