//! PHP's file sessions, as php-cli runs them: `php/sessions.php` in a process of its own, which is told how long to run and
//! answers what it measured by its own clock.

use crate::measure::Lane;
use crate::record::Record;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

struct Php {
    process: Child,
    to: Option<ChildStdin>,
    from: Lines<BufReader<ChildStdout>>,
}

impl Php {
    fn line(&mut self) -> String {
        self.from.next().expect("php has ended").unwrap()
    }
}

impl Drop for Php {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.to.take());
        let _ = self.process.wait();
    }
}

/// Microseconds a cycle over `number` sessions in `directory`, which it makes and fills.
pub fn cycle(directory: &Path, record: &Record, number: usize) -> Lane {
    std::fs::create_dir(directory).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/php/sessions.php");
    let mut process = Command::new("php")
        .arg(script)
        .arg(directory)
        .args([number.to_string(), record.json()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("php-cli is needed: tools/need apt php-cli");
    let (to, from) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()).lines());
    let mut php = Php { process, to, from };
    assert_eq!(php.line(), "ready");
    Box::new(move |time| {
        writeln!(php.to.as_ref().unwrap(), "{}", time.as_millis()).unwrap();
        php.line().parse::<f64>().unwrap() / 1000.0
    })
}
