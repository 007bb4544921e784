//! Eight writers over two hundred sessions, killed at any moment: what they acknowledged through a pipe must be there,
//! nothing may be half of a commit, and nobody may wait for a dead one.

use super::processes::{Running, storm};
use super::{Dice, Place, open, stored};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub const WRITERS: usize = 8;
pub const SESSIONS: usize = 200;
/// The first are written by all. Of the others each writer has some alone, because it changes their ids.
pub const SHARED: usize = 160;
pub const ALONE: usize = (SESSIONS - SHARED) / WRITERS;
/// How long a writer may be without an acknowledgement.
const STUCK: Duration = Duration::from_secs(20);

struct Writer {
    process: Running,
    reader: JoinHandle<Vec<String>>,
    lines: Arc<AtomicU64>,
}

pub struct Writers<'p> {
    place: &'p Place,
    dice: Dice,
    tokens: Vec<String>,
    /// How often each writer has written each session.
    written: Vec<Vec<i64>>,
    running: Vec<Option<Writer>>,
    pub kills: usize,
    pub acknowledged: i64,
    pub ids_changed: usize,
}

impl<'p> Writers<'p> {
    pub fn start(place: &'p Place, seed: u64) -> Writers<'p> {
        let tokens: Vec<String> = (0..SESSIONS).map(|_| stored(&place.manager, &[("text", "\"\"")])).collect();
        for token in &tokens {
            // Its cookie has come back, so that it lives as long as configured.
            let mut session = open(&place.manager, token);
            session.touch().unwrap();
            drop(session.commit().unwrap());
        }
        let mut writers = Writers {
            place,
            dice: Dice(seed),
            tokens,
            written: vec![vec![0; SESSIONS]; WRITERS],
            running: (0..WRITERS).map(|_| None).collect(),
            kills: 0,
            acknowledged: 0,
            ids_changed: 0,
        };
        (0..WRITERS).for_each(|number| writers.spawn(number));
        writers
    }

    fn spawn(&mut self, number: usize) {
        let tokens = self.place.directory.path().join(format!("tokens{number}"));
        std::fs::write(&tokens, self.tokens.join("\n")).unwrap();
        let seed = self.dice.below(usize::MAX).to_string();
        let mut process = storm([&self.place.config, tokens.to_str().unwrap(), "write", &number.to_string(), &seed]);
        let lines = Arc::new(AtomicU64::new(0));
        let (output, count) = (process.lines(), lines.clone());
        // Read all the time: a writer whose pipe is full would write no session.
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            for line in output.map_while(Result::ok) {
                count.fetch_add(1, Ordering::Relaxed);
                all.push(line);
            }
            all
        });
        self.running[number] = Some(Writer { process, reader, lines });
    }

    /// Kills one of them 1 to 50 ms from now, looks at all it can have written, and starts another in its place.
    pub fn kill_one(&mut self) {
        let number = self.dice.below(WRITERS);
        std::thread::sleep(Duration::from_micros(1000 + self.dice.below(49_000) as u64));
        self.end(number);
        self.spawn(number);
        self.kills += 1;
    }

    fn end(&mut self, number: usize) {
        let mut writer = self.running[number].take().unwrap();
        let began = Instant::now();
        while writer.lines.load(Ordering::Relaxed) == 0 {
            assert!(began.elapsed() < STUCK, "writer {number} is stuck");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(writer.process.try_wait().unwrap().is_none(), "writer {number} ended before it was killed");
        writer.process.kill().unwrap();
        writer.process.wait().unwrap();
        let lines = writer.reader.join().unwrap();

        let mut coming: HashMap<usize, String> = HashMap::new();
        for line in &lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["to", index, token] if token.len() == 43 => {
                    coming.insert(index.parse().unwrap(), token.to_owned());
                }
                // The end tells a line that was cut by the kill.
                ["wrote", index, n, "."] => {
                    let (index, n): (usize, i64) = (index.parse().unwrap(), n.parse().unwrap());
                    self.acknowledged += 1;
                    self.written[number][index] = n;
                    if let Some(token) = coming.remove(&index) {
                        self.ids_changed += 1;
                        self.tokens[index] = token;
                    }
                }
                _ => {}
            }
        }
        assert!(coming.len() <= 1, "one request at a time");
        for (index, token) in coming {
            // Under one of the two ids, and not under both.
            let manager = &self.place.manager;
            let there = !open(manager, &token).is_new().unwrap();
            let old_there = !open(manager, &self.tokens[index]).is_new().unwrap();
            assert!(there != old_there, "new id {there}, old id {old_there}");
            if there {
                self.tokens[index] = token;
            }
        }
        self.verify(number);
    }

    fn verify(&mut self, number: usize) {
        let alone = SHARED + number * ALONE;
        let mut unacknowledged = Vec::new();
        for index in (0..SHARED).chain(alone..alone + ALONE) {
            let session = open(&self.place.manager, &self.tokens[index]);
            assert!(!session.is_new().unwrap(), "session {index} is lost");
            let written = |number: usize| session.get::<i64>(&format!("w{number}")).unwrap().unwrap_or(0);
            let (n, acknowledged) = (written(number), self.written[number][index]);
            assert!(n >= acknowledged, "session {index}: {acknowledged} acknowledged, {n} stored");
            if n > acknowledged {
                unacknowledged.push((index, acknowledged, n));
            }
            self.written[number][index] = n;
            if let Some((last, n, length)) = session.get::<(usize, i64, usize)>("last").unwrap() {
                let text = session.get_json("text").unwrap().unwrap();
                let whole = written(last) == n && text.len() == length + 2;
                let (w, bytes) = (written(last), text.len() - 2);
                assert!(whole, "session {index}: last ({last}, {n}, {length}), stored {w} and {bytes} bytes");
            }
        }
        // The request it was killed in.
        let commits: i64 = unacknowledged.iter().map(|(_, acknowledged, n)| n - acknowledged).sum();
        assert!(commits <= 1, "session, acknowledged, stored: {unacknowledged:?}");
    }

    /// Kills the rest, looks at everything, and at what the kills have left in the directory.
    pub fn finish(&mut self) {
        (0..WRITERS).for_each(|number| self.end(number));
        for (index, token) in self.tokens.iter().enumerate() {
            let mut session = open(&self.place.manager, token);
            session.set("end", &true).unwrap();
            assert_eq!(session.commit().unwrap().outcome().name(), "saved", "session {index} is stuck");
            for (number, written) in self.written.iter().enumerate() {
                assert_eq!(session.get::<i64>(&format!("w{number}")).unwrap().unwrap_or(0), written[index]);
            }
        }
    }
}
