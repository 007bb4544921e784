//! Holdall's speed: every row beside the floor of the same storage, or beside a peer, in the same rounds. Prints a table,
//! writes target/bench/report.json and performance.svg, and ends with 1 where a goal is missed. `make bench`.
//!
//! `HOLDALL_BENCH_QUICK=1`: fewer and shorter rounds, 10,000 sessions for 100,000 and no million of files, and always 0.
//! `HOLDALL_BENCH_DOCS=1`: the table and the picture go into docs/ as well.

mod floors;
mod least;
mod machine;
mod measure;
mod ours;
mod peers;
mod php;
mod plot;
mod record;
mod report;
mod sweep;
mod weight;

use measure::{Effort, Race, Times, words};
use ours::Sessions;
use plot::{Look, Panel, Series};
use record::{LARGE, MIDDLE, Record, SIZES};
use report::{Goal, Report};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Where the table goes in docs/performance.md.
const TABLE: &str = "<!-- table -->";
const END: &str = "<!-- end of table -->";

fn main() -> ExitCode {
    if let [_, order, what] = &std::env::args().collect::<Vec<_>>()[..] {
        assert_eq!(order, "weigh");
        weight::weigh(what);
        return ExitCode::SUCCESS;
    }
    let quick = std::env::var_os("HOLDALL_BENCH_QUICK").is_some();
    let (rounds, milliseconds, many) = if quick { (3, 40, 10_000) } else { (9, 100, 100_000) };
    let effort = Effort { rounds, time: Duration::from_millis(milliseconds), many };
    let mut report = Report::default();
    let mut panels = vec![memory(effort, &mut report)];
    cookie(effort, &mut report);
    weight::run(if quick { 1 } else { 3 }, &mut report);
    for base in ["/var/tmp", "/dev/shm"] {
        let base = Path::new(base);
        let place = format!("file on {}", file_system(base));
        panels.push(file(effort, base, &place, &mut report));
        file_at_random(effort, base, &place, effort.many, &mut report);
        sweep::run(effort, base, &place, &mut report);
    }
    if !quick {
        // In memory: a virtual machine whose host takes pages back does not keep the eight gigabytes of two million files on a
        // disk warm, and a read of the disk is not what is compared.
        let base = Path::new("/dev/shm");
        file_at_random(effort, base, &format!("file on {}", file_system(base)), 1_000_000, &mut report);
    }
    // The picture shows memory and the file system that servers have; tmpfs differs little.
    panels.truncate(2);
    write(&report, &panels, quick);
    let missed = report.missed();
    missed.iter().for_each(|goal| println!("missed: {goal}"));
    if missed.is_empty() || quick { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The report and the picture in target/bench, and in docs/ where that is asked for.
fn write(report: &Report, panels: &[Panel], quick: bool) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let bench = root.join("target/bench");
    std::fs::create_dir_all(&bench).unwrap();
    let machine = machine::words();
    let document = json!({ "machine": machine, "quick": quick, "rows": report.json() });
    std::fs::write(bench.join("report.json"), format!("{document:#}\n")).unwrap();
    let sizes: Vec<&str> = SIZES.iter().map(|(_, size)| *size).collect();
    plot::draw(&bench.join("performance.svg"), &sizes, panels).unwrap();
    if std::env::var_os("HOLDALL_BENCH_DOCS").is_some() {
        std::fs::copy(bench.join("performance.svg"), root.join("docs/performance.svg")).unwrap();
        let page = root.join("docs/performance.md");
        let text = std::fs::read_to_string(&page).unwrap();
        let (before, rest) = text.split_once(TABLE).expect("the marker of the table");
        let (_, after) = rest.split_once(END).expect("the marker of its end");
        let table = report.table();
        std::fs::write(page, format!("{before}{TABLE}\n{machine}\n\n{table}{END}{after}")).unwrap();
    }
}

fn memory(effort: Effort, report: &mut Report) -> Panel {
    let middle = Record::new(MIDDLE);
    let sessions = |record: &Record, number| Sessions::new(&ours::memory(), record, number);
    let mut race = Race::default();
    for (bytes, size) in SIZES {
        let record = Record::new(bytes);
        race.lane(format!("ours, {size}"), sessions(&record, 1).cycle());
        race.lane(format!("floor, {size}"), floors::Memory::new(bytes, 1).cycle());
        race.lane(format!("tower-sessions, {size}"), peers::Tower::new(&record, 1).cycle());
    }
    race.lane("least request", least::request(&middle));
    race.lane("ours, read-only", sessions(&middle, 1).read_only());
    race.lane("floor, read-only", floors::Memory::new(MIDDLE, 1).read_only());
    for threads in [1, 2] {
        race.lane(format!("ours, {threads} threads"), sessions(&middle, 32).threads(threads));
        race.lane(format!("floor, {threads} threads"), floors::Memory::new(MIDDLE, 32).threads(threads));
    }
    race.lane("ours, header", sessions(&middle, 1).cycle_from_header());
    race.lane("ours, create", ours::creating(ours::memory(), &middle));
    let times = race.run(effort);

    let name = "memory, one session";
    report.compare(name, &times, "ours, 1 KB", "floor, 1 KB", Goal::AtMost(2.5));
    report.compare(name, &times, "ours, 1 KB", "least request", Goal::None);
    report.compare("memory, the least request", &times, "least request", "floor, 1 KB", Goal::None);
    report.compare(name, &times, "ours, 1 KB", "tower-sessions, 1 KB", Goal::AtMost(0.15));
    report.compare("memory, one session, read only", &times, "ours, read-only", "floor, read-only", Goal::AtMost(2.0));
    report.compare("memory, one session of 16 KB", &times, "ours, 16 KB", "ours, 1 KB", Goal::AtMost(3.0));
    for (whose, goal) in [("ours", Goal::AtLeast(1.7)), ("floor", Goal::None)] {
        let (two, one) = (format!("{whose}, 2 threads"), format!("{whose}, 1 threads"));
        let name = format!("memory, throughput of two threads ({whose})");
        report.add(&name, "us", times.of(&two), "one thread", times.of(&one), |two, one| one / two, goal);
    }
    sizes("memory", &times, &["floor", "tower-sessions"], report);
    report.compare("memory, one session, open by Cookie header", &times, "ours, header", "ours, 1 KB", Goal::None);
    report.note("memory, create", "us", times.of("ours, create"));
    let lanes = [
        ("Holdall", "ours", Look::Ours),
        ("floor", "floor", Look::Floor),
        ("tower-sessions", "tower-sessions", Look::Peer),
    ];
    let panel = panel("In memory".into(), &times, &lanes);

    let mut race = Race::default();
    race.lane("ours", sessions(&middle, effort.many).cycle());
    race.lane("floor", floors::Memory::new(MIDDLE, effort.many).cycle());
    race.lane("tower-sessions", peers::Tower::new(&middle, effort.many).cycle());
    let times = race.run(effort);
    let name = &format!("memory, {} sessions at random", words(effort.many));
    report.compare(name, &times, "ours", "floor", Goal::AtMost(2.0));
    report.compare(name, &times, "ours", "tower-sessions", Goal::None);
    panel
}

/// The session in the browser's cookie, and what a seal costs where it lies in memory.
fn cookie(effort: Effort, report: &mut Report) {
    let mut race = Race::default();
    // A browser takes no cookie of 16 KB.
    for (bytes, size) in SIZES.into_iter().filter(|(bytes, _)| *bytes < LARGE) {
        let record = Record::new(bytes);
        race.lane(format!("ours, {size}"), ours::sealed_cookie(&record));
        race.lane(format!("floor, {size}"), floors::sealed(bytes));
        race.lane(format!("actix-session, {size}"), peers::actix(&record));
    }
    let middle = Record::new(MIDDLE);
    race.lane("memory", Sessions::new(&ours::memory(), &middle, 1).cycle());
    race.lane("sealed memory", Sessions::new(&ours::sealed_memory(), &middle, 1).cycle());
    let times = race.run(effort);
    let name = "cookie, sealed";
    report.compare(name, &times, "ours, 1 KB", "floor, 1 KB", Goal::AtMost(1.5));
    report.compare(name, &times, "ours, 1 KB", "actix-session, 1 KB", Goal::AtMost(0.15));
    sizes(name, &times, &["floor", "actix-session"], report);
    report.compare("memory, one session, sealed at rest", &times, "sealed memory", "memory", Goal::None);
}

fn file(effort: Effort, base: &Path, place: &str, report: &mut Report) -> Panel {
    let directory = tempfile::tempdir_in(base).unwrap();
    let at = |name: &str| directory.path().join(name);
    let middle = Record::new(MIDDLE);
    let mut race = Race::default();
    for (bytes, size) in SIZES {
        let record = Record::new(bytes);
        let manager = ours::file(&at(&format!("ours {size}")));
        race.lane(format!("ours, {size}"), Sessions::new(&manager, &record, 1).cycle());
        race.lane(format!("floor, {size}"), floors::Files::new(&at(&format!("floor {size}")), bytes, 1).cycle());
        race.lane(format!("PHP, {size}"), php::cycle(&at(&format!("php {size}")), &record, 1));
    }
    let floor = floors::Files::new(&at("floor"), MIDDLE, 1);
    race.lane("ours, read-only", Sessions::new(&ours::file(&at("read")), &middle, 1).read_only());
    race.lane("floor, read-only", floor.clone().read_only());
    race.lane("ours, header", Sessions::new(&ours::file(&at("header")), &middle, 1).cycle_from_header());
    race.lane("ours, durable", Sessions::new(&ours::durable_file(&at("durable")), &middle, 1).cycle());
    race.lane("floor with fdatasync", floor.durable_cycle());
    race.lane("ours, create", ours::creating(ours::file(&at("create")), &middle));
    let times = race.run(effort);

    let name = format!("{place}, one session");
    report.compare(&name, &times, "ours, 1 KB", "floor, 1 KB", Goal::AtMost(1.75));
    report.compare(&name, &times, "ours, 1 KB", "PHP, 1 KB", Goal::AtMost(0.45));
    let reading = format!("{name}, read only");
    report.compare(&reading, &times, "ours, read-only", "floor, read-only", Goal::AtMost(1.5));
    sizes(place, &times, &["floor", "PHP"], report);
    report.compare(&format!("{name}, open by Cookie header"), &times, "ours, header", "ours, 1 KB", Goal::None);
    let durable = format!("{name}, durability commit");
    report.compare(&durable, &times, "ours, durable", "floor with fdatasync", Goal::None);
    report.note(&format!("{place}, create"), "us", times.of("ours, create"));
    let lanes = [("Holdall", "ours", Look::Ours), ("floor", "floor", Look::Floor), ("PHP", "PHP", Look::Peer)];
    panel(format!("In files ({})", file_system(base)), &times, &lanes)
}

fn panel(title: String, times: &Times, lanes: &[(&'static str, &str, Look)]) -> Panel {
    let figures = |lane: &str| -> Vec<f64> {
        let lanes = SIZES.iter().map(|(_, size)| format!("{lane}, {size}"));
        lanes.filter(|lane| times.has(lane)).map(|lane| times.median(&lane)).collect()
    };
    let series = lanes.iter().map(|(name, lane, look)| Series { name, look: *look, figures: figures(lane) }).collect();
    Panel { title, series }
}

/// Sizes that have no row of their own yet.
fn sizes(place: &str, times: &Times, others: &[&str], report: &mut Report) {
    for (bytes, size) in SIZES {
        for other in others {
            let (ours, beside) = (format!("ours, {size}"), format!("{other}, {size}"));
            if bytes != MIDDLE && times.has(&ours) {
                report.compare(&format!("{place}, one session of {size}"), times, &ours, &beside, Goal::None);
            }
        }
    }
}

/// Warm: every file was written and read when it was made.
fn file_at_random(effort: Effort, base: &Path, place: &str, number: usize, report: &mut Report) {
    let directory = tempfile::tempdir_in(base).unwrap();
    let record = Record::new(MIDDLE);
    let mut race = Race::default();
    let manager = ours::file(&directory.path().join("ours"));
    race.lane("ours", Sessions::new(&manager, &record, number).cycle());
    race.lane("floor", floors::Files::new(&directory.path().join("floor"), MIDDLE, number).cycle());
    if number == effort.many {
        race.lane("PHP", php::cycle(&directory.path().join("php"), &record, number));
    }
    let times = race.run(effort);
    let name = format!("{place}, {} sessions at random", words(number));
    report.compare(&name, &times, "ours", "floor", Goal::AtMost(1.75));
    if number == effort.many {
        report.compare(&name, &times, "ours", "PHP", Goal::None);
    }
}

/// What is mounted there.
fn file_system(path: &Path) -> &'static str {
    match rustix::fs::statfs(path).unwrap().f_type {
        0xEF53 => "ext4",
        0x0102_1994 => "tmpfs",
        0x5846_5342 => "xfs",
        0x9123_683E => "btrfs",
        0x794C_7630 => "overlayfs",
        _ => "another file system",
    }
}
