//! Processes beside the test's own, and what this one uses of the machine.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader};
use std::ops::{Deref, DerefMut};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// One of the programs in tests/processes, which `cargo test` builds beside the tests.
pub fn program(name: &str) -> Command {
    // target/debug/deps/crash-... -> target/debug/examples/worker
    let test = std::env::current_exe().unwrap();
    Command::new(test.parent().unwrap().parent().unwrap().join("examples").join(name))
}

/// A job of tests/processes/storm.rs whose output is read.
pub fn storm<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Running {
    let mut command = program("storm");
    Running(command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
}

/// A process that ends with the test, whatever becomes of that.
pub struct Running(Child);

impl Running {
    pub fn lines(&mut self) -> std::io::Lines<BufReader<ChildStdout>> {
        BufReader::new(self.0.stdout.take().unwrap()).lines()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Its whole output, once it has ended by itself and well.
    pub fn ended_well(mut self) -> String {
        drop(self.0.stdin.take());
        let lines: Vec<String> = match self.0.stdout {
            Some(_) => self.lines().map(Result::unwrap).collect(),
            // The test has read it itself.
            None => Vec::new(),
        };
        assert!(self.0.wait().unwrap().success());
        lines.join("\n")
    }
}

impl Deref for Running {
    type Target = Child;
    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The memory of this process that is in use, in bytes.
pub fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = status.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}

/// The time this thread has had a processor for. On a machine that others use too it says more than the clock on the wall.
pub fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec, where it is told to.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) }, 0);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// The files this process has open.
pub fn descriptors() -> usize {
    // The one that reads them is among them, each time.
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
