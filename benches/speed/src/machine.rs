//! The machine, in a sentence, and how busy others kept it: figures mean nothing without it.

use std::process::Command;

pub fn words() -> String {
    let processors = read("/proc/cpuinfo");
    let model = field(&processors, "model name").unwrap_or("an unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = read("/proc/meminfo");
    let kib: f64 = field(&memory, "MemTotal").and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0.0);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load: Vec<&str> = load.split(' ').take(3).collect();
    let (date, rustc, php) = (said("date", "-I"), said("rustc", "--version"), said("php", "--version"));
    format!(
        "{date}: {cores} x {model}, {:.0} GiB, Linux {}, {rustc}, {}. Load average at the end: {}.",
        kib / 1024.0 / 1024.0,
        kernel.trim(),
        php.split(" (").next().unwrap_or_default(),
        load.join(", "),
    )
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

/// The first line that a program says.
fn said(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or_default().to_owned()
}
