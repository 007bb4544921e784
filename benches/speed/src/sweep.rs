//! The sweep of a directory of many files, of which a tenth has expired, beside readdir, stat and unlink. Everything is as
//! it would truly be: the expired ones were made and written hours ago, by the records' clock and by the files'.

use crate::floors::Files;
use crate::measure::{Effort, Lane, Race, words};
use crate::ours::{Sessions, create, file};
use crate::record::{MIDDLE, Record};
use crate::report::{Goal, Report};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const HOURS_AGO_S: u64 = 3 * 3600;

pub fn run(effort: Effort, base: &Path, place: &str, report: &mut Report) {
    let directory = tempfile::tempdir_in(base).unwrap();
    let sessions = directory.path().join("sessions");
    let (files, expired) = (effort.many, effort.many / 10);
    drop(Sessions::new(&file(&sessions), &Record::new(MIDDLE), files - expired));
    let mut race = Race::default();
    race.lane("ours", ours(sessions.clone(), expired));
    race.lane("readdir + stat + unlink", floor(Files::new(&directory.path().join("floor"), MIDDLE, files), expired));
    let times = race.run(effort);
    let (one, other) = (times.of("ours"), times.of("readdir + stat + unlink"));
    let name = format!("{place}, sweep of {} files, 10 % expired", words(files));
    report.add(&name, "ms of CPU", one, "readdir + stat + unlink", other, |one, other| one / other, Goal::AtMost(1.3));

    let mut race = Race::default();
    race.lane("ours", unwritten(sessions));
    report.note(
        &format!("{place}, sweep of {} live files, all written 20 minutes ago", words(files - expired)),
        "ms of CPU",
        race.run(effort).of("ours"),
    );
}

/// Milliseconds of a whole round by a manager of its own, as a timer's would be.
fn ours(sessions: PathBuf, number: usize) -> Lane {
    Box::new(move |_| {
        let then_s = now_s() - HOURS_AGO_S;
        let texts: Vec<_> = Record::new(MIDDLE).values.iter().map(|(key, value)| (*key, value.to_string())).collect();
        let manager = file(&sessions);
        for _ in 0..number {
            create(&manager, &texts, Some(then_s * 1000));
        }
        let mut expired = Vec::new();
        let now_ms = now_s() * 1000;
        let visit = |info: holdall::driver::RecordInfo| {
            if info.expiry_ms <= now_ms {
                expired.push(sessions.join(info.locator.to_hex().as_str()));
            }
            true
        };
        manager.iterate_at(then_s * 1000, visit).unwrap();
        assert_eq!(expired.len(), number);
        expired.iter().for_each(|path| written(path, then_s));
        swept(&sessions, number)
    })
}

/// Live sessions that nobody has written for a while must be opened to be known for living.
fn unwritten(sessions: PathBuf) -> Lane {
    let then_s = now_s() - 20 * 60;
    for entry in std::fs::read_dir(&sessions).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().len() == 64 {
            written(&entry.path(), then_s);
        }
    }
    Box::new(move |_| swept(&sessions, 0))
}

fn swept(sessions: &Path, expected: usize) -> f64 {
    let manager = file(sessions);
    let start = processor_ms();
    let swept = manager.sweep(usize::MAX).unwrap();
    let spent = processor_ms() - start;
    assert!(swept.finished);
    assert_eq!(swept.removed, expected);
    spent
}

fn floor(files: Files, number: usize) -> Lane {
    let mut first = true;
    Box::new(move |_| {
        if !std::mem::take(&mut first) {
            (0..number).for_each(|at| files.create(at));
        }
        files.set_back(number, &times(now_s() - HOURS_AGO_S));
        let before = i64::try_from(now_s() - 600).unwrap();
        let start = processor_ms();
        let removed = files.sweep(before);
        let spent = processor_ms() - start;
        assert_eq!(removed, number);
        spent
    })
}

fn written(path: &Path, seconds: u64) {
    rustix::fs::utimensat(CWD, path, &times(seconds), AtFlags::empty()).unwrap();
}

fn times(seconds: u64) -> Timestamps {
    let time = Timespec { tv_sec: i64::try_from(seconds).unwrap(), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// What this thread has had of a processor, in milliseconds. A sweep is too long for what others do meanwhile to be left out
/// of it by the clock on the wall; all it asks for is in the page cache.
fn processor_ms() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
