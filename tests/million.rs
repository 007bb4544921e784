//! Guards that a store of a million sessions is as quick as a small one: a read costs little more than the file system
//! takes, a sweep goes in short steps and little memory, and the memory driver's price of a session is known.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Dice, config, figure, open, processes, scaled, torture};
use holdall::{Manager, OpenOptions};
use rustix::fs::{Mode, OFlags};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const HOUR_MS: u64 = 3_600_000;

fn store(manager: &Manager, count: usize, value: &str, now_ms: u64) -> Vec<String> {
    let stored = |_| {
        let mut session = manager.open_with(b"", OpenOptions::new().at(now_ms)).unwrap();
        session.set_json("k", value).unwrap();
        assert_eq!(session.commit_at(now_ms).unwrap().outcome().name(), "saved");
        session.id().unwrap().unwrap().as_str().to_owned()
    };
    (0..count).map(stored).collect()
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[times.len() * percent / 100]
}

fn microseconds(time: Duration) -> String {
    format!("{:.1} us", time.as_secs_f64() * 1e6)
}

/// The p99, on the processor, of reads by token and of bare open, pread and close of the same kind of files: medians of
/// rounds that take turns.
fn read_p99(manager: &Manager, directory: &std::path::Path, tokens: &[String], dice: &mut Dice) -> [Duration; 2] {
    let directory = rustix::fs::open(directory, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let sample = 2000.min(tokens.len() / 4);
    let mut p99 = [Vec::new(), Vec::new()];
    for round in 0..22 {
        let mut times = Vec::with_capacity(sample);
        for _ in 0..sample {
            let token = &tokens[dice.below(tokens.len())];
            // Hashed first: the name is what the bare call is given.
            let name = file_name(token);
            let began = processes::processor_time();
            if round % 2 == 0 {
                assert!(open(manager, token).get_json("k").unwrap().is_some());
            } else {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&directory, name.as_str(), flags, Mode::empty()).unwrap();
                assert_eq!(rustix::io::pread(&file, &mut [0; 2048], 0).unwrap(), 2048);
            }
            times.push(processes::processor_time() - began);
        }
        p99[round % 2].push(percentile(&mut times, 99));
    }
    p99.map(|mut rounds| percentile(&mut rounds, 50))
}

/// docs/format.md: `SHA-256("holdall/id/v1" || id)` in hexadecimal.
fn file_name(token: &str) -> String {
    use sha2::Digest as _;
    let id = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token).unwrap();
    let hash = sha2::Sha256::new().chain_update("holdall/id/v1").chain_update(id).finalize();
    hash.iter().fold(String::new(), |mut name, byte| {
        write!(name, "{byte:02x}").unwrap();
        name
    })
}

/// A whole round in steps of 64.
struct Pass {
    steps: Vec<Duration>,
    steps_on_processor: Vec<Duration>,
    looked_at: usize,
    grown: usize,
}

fn pass(manager: &Manager, now_ms: u64) -> Pass {
    // The rest of a round that traffic has begun.
    while !manager.sweep_at(64, now_ms).unwrap().finished {}
    let before = processes::resident_bytes();
    let mut pass = Pass { steps: Vec::new(), steps_on_processor: Vec::new(), looked_at: 0, grown: 0 };
    loop {
        let (began, began_on_processor) = (Instant::now(), processes::processor_time());
        let swept = manager.sweep_at(64, now_ms).unwrap();
        pass.steps_on_processor.push(processes::processor_time() - began_on_processor);
        pass.steps.push(began.elapsed());
        pass.looked_at += swept.looked_at;
        assert_eq!(swept.removed, 0);
        if pass.steps.len().is_multiple_of(256) || swept.finished {
            pass.grown = pass.grown.max(processes::resident_bytes().saturating_sub(before));
        }
        if swept.finished {
            return pass;
        }
    }
}

#[test]
fn a_million_files_are_read_and_swept_like_a_thousand() {
    let count = scaled(2000, 1_000_000);
    // Not where temporary files are: that may be memory.
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let now_ms = common::actor::Clock::start().now_ms();
    let value = format!("{:?}", "x".repeat(600));
    let mut dice = Dice(14);
    let mut p99 = Vec::new();
    let found = |what: &str, demanded: &str, found: String| figure("R14", "file", what, found, demanded);
    for count in [1000, count] {
        let path = directory.path().join(format!("sessions{count}"));
        let fields = r#","idle_timeout_s":36000,"new_idle_timeout_s":36000,"absolute_timeout_s":36000"#;
        let manager = Manager::new(&config("file", path.to_str().unwrap(), fields)).unwrap();
        let began = Instant::now();
        // Made in the future, so that they have not expired when the time their files were written says nothing any more.
        let tokens = store(&manager, count, &value, now_ms + HOUR_MS);
        let took = began.elapsed() / u32::try_from(count).unwrap();
        let [read, bare] = read_p99(&manager, &path, &tokens, &mut dice);
        p99.push((read, bare));
        if count == 1000 {
            continue;
        }
        found(&format!("to make one of {count} sessions"), "", microseconds(took));

        // A pass that only looks at the times of files, and one that opens every file.
        for (what, at_ms) in
            [("by the file's time", now_ms + HOUR_MS), ("opening each", now_ms + 10 * HOUR_MS + HOUR_MS / 2)]
        {
            let Pass { mut steps, mut steps_on_processor, looked_at, grown } = pass(&manager, at_ms);
            assert!(looked_at >= count, "{looked_at} looked at");
            let (half, p99) = (percentile(&mut steps, 50), percentile(&mut steps, 99));
            let p99_on_processor = percentile(&mut steps_on_processor, 99);
            let most = Duration::from_millis(10);
            assert!(!torture() || half <= most && p99_on_processor <= most, "{half:?} {p99_on_processor:?}");
            assert!(grown <= 50 << 20, "{grown} bytes");
            let steps =
                [half, p99, p99_on_processor].map(|time| format!("{:.2} ms", time.as_secs_f64() * 1e3)).join(", ");
            let step = format!("a sweep's step of 64 among {count} files, {what}: median, p99, p99 on the processor");
            found(&step, "<= 10 ms", steps);
            found(
                &format!("memory a sweep of {count} files grew by, {what}"),
                "<= 50 MiB",
                format!("{} KiB", grown / 1024),
            );
        }
    }
    let [(small, small_bare), (large, bare)] = p99[..] else { panic!("two sizes") };
    let ratio = large.as_secs_f64() / bare.as_secs_f64();
    let two = |one, other| format!("{}, {}", microseconds(one), microseconds(other));
    found("p99 of a warm read among 1,000 files, and of open, pread, close", "", two(small, small_bare));
    found(&format!("p99 of a warm read among {count} files, and of open, pread, close"), "", two(large, bare));
    assert!(!torture() || ratio <= 1.5, "{}", two(large, bare));
    found(
        &format!("p99 of a warm read among {count} files to that of open, pread, close"),
        "<= 1.5",
        format!("{ratio:.2}"),
    );
    let to_small = large.as_secs_f64() / small.as_secs_f64();
    found(&format!("p99 of a warm read among {count} files to that among 1,000"), "", format!("{to_small:.2}"));
}

#[test]
fn the_memory_driver_says_what_a_session_costs_and_that_is_what_it_takes() {
    let count = scaled(2000, 1_000_000);
    // Room for all of them in the quarter for those whose cookie has not come back.
    let document = format!(r#"{{"default":"m","drivers":{{"m":{{"type":"memory","max_bytes":{}}}}}}}"#, 8u64 << 30);
    let manager = Manager::new(&document).unwrap();
    let before = processes::resident_bytes();
    let began = Instant::now();
    // With its head, one row of the table, key and quotes: a record of 1024 bytes.
    let value = format!("{:?}", "x".repeat(1024 - 136 - 16 - 3));
    for _ in 0..count {
        store(&manager, 1, &value, common::NOW_MS);
    }
    let took = began.elapsed() / u32::try_from(count).unwrap();

    let stats: serde_json::Value = serde_json::from_str(&manager.stats()).unwrap();
    let driver = &stats["drivers"]["m"];
    assert_eq!(driver["records"], count);
    let said = usize::try_from(driver["bytes"].as_u64().unwrap()).unwrap() / count;
    let taken = (processes::resident_bytes() - before) / count;
    assert!(said < 1400, "{said} bytes");
    // Vectors that have just doubled are larger than what is in them.
    assert!(!torture() || taken < said * 5 / 4, "{taken} bytes taken, {said} said");
    let found = |what: &str, demanded: &str, found: String| figure("R14", "memory", what, found, demanded);
    found(&format!("bytes a session of 1 KB, of {count}: by stats(), in the process"), "", format!("{said}, {taken}"));
    found(&format!("to make one of {count} sessions"), "", microseconds(took));
}
