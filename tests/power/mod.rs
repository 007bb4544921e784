//! A disk that loses power. A program runs under strace; its calls become changes of a model of inodes and names; a cut at
//! any point leaves what a disk may hold then.
//!
//! What a cut leaves: data and size of a file as of its last fdatasync or fsync, names of a directory as of its last fsync. A
//! later write may be there, or not, or some of its sectors of 512 bytes; a later size may be there or not; so may a later
//! change of a name, but never without the changes of that name before it. Modes and times are not modelled.

use crate::common::Dice;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::Command;

const SECTOR_BYTES: usize = 512;
const CALLS: &str = "open,openat,creat,close,dup,dup2,dup3,mkdir,mkdirat,rmdir,write,writev,pwrite64,pwritev,pwritev2,\
                     ftruncate,truncate,fallocate,copy_file_range,sendfile,fdatasync,fsync,sync,sync_file_range,link,linkat,\
                     symlink,symlinkat,unlink,unlinkat,rename,renameat,renameat2";

type Inode = usize;
/// A directory and a name in it.
type Name = (Inode, String);
/// The directory that a trace takes place in. It is on disk when the trace begins.
const ROOT: Inode = 0;

pub enum Event {
    Data {
        file: Inode,
        at: usize,
        bytes: Vec<u8>,
    },
    Size {
        file: Inode,
        size: usize,
    },
    /// What each of these names stands for after it; all of them at once.
    Names(Vec<(Name, Option<Inode>)>),
    /// Of a file or a directory.
    Sync(Inode),
    /// A line on standard output.
    Answer(String),
}

/// What a program did, in its order.
#[derive(Default)]
pub struct Trace {
    pub events: Vec<Event>,
    directories: BTreeSet<Inode>,
    inodes: usize,
    names: HashMap<Name, Inode>,
    open: HashMap<i32, Inode>,
}

impl Trace {
    /// Runs a program that works on the directory `root`, in which there may be empty directories.
    pub fn of(program: &mut Command, root: &Path) -> Trace {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut strace = Command::new("strace");
        strace.args(["-xx", "-s", "1000000", "-e", &format!("trace={CALLS}"), "-o"]).arg(log.path());
        let ran = strace.arg(program.get_program()).args(program.get_args()).output();
        let ran = ran.unwrap_or_else(|error| panic!("this test needs strace (apt-get install strace): {error}"));
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));

        let mut trace = Trace { inodes: 1, directories: BTreeSet::from([ROOT]), ..Trace::default() };
        for entry in std::fs::read_dir(root).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let directory = trace.inode();
            trace.directories.insert(directory);
            trace.name(vec![((ROOT, name), Some(directory))]);
        }
        trace.events.push(Event::Sync(ROOT));
        for line in std::fs::read_to_string(log.path()).unwrap().lines() {
            trace.call(line, root.to_str().unwrap());
        }
        trace
    }

    fn inode(&mut self) -> Inode {
        self.inodes += 1;
        self.inodes - 1
    }

    fn name(&mut self, changes: Vec<(Name, Option<Inode>)>) {
        for (name, inode) in &changes {
            match inode {
                Some(inode) => drop(self.names.insert(name.clone(), *inode)),
                None => drop(self.names.remove(name)),
            }
        }
        self.events.push(Event::Names(changes));
    }

    /// The name that a call means; None for what lies outside of the root.
    fn find(&self, directory: &str, path: &str, root: &str) -> Option<Name> {
        let path = String::from_utf8(text(path)).unwrap();
        let (mut at, rest) = match path.strip_prefix(root) {
            Some(rest) => (ROOT, rest),
            None if path.starts_with('/') => return None,
            None => (*self.open.get(&directory.parse().ok()?)?, path.as_str()),
        };
        let mut parts = rest.split('/').filter(|part| !part.is_empty()).peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return Some((at, part.to_owned()));
            }
            at = self.names[&(at, part.to_owned())];
        }
        Some((at, ".".to_owned()))
    }

    /// Takes one line of the log. A call that it does not know, within the root, fails the test.
    fn call(&mut self, line: &str, root: &str) {
        let Some((call, result)) = line.rsplit_once(" = ") else { return };
        let result: i32 = result.split(' ').next().unwrap().parse().unwrap();
        if result < 0 {
            return;
        }
        let (call, arguments) = call.trim_end().trim_end_matches(')').split_once('(').unwrap();
        let mut arguments: Vec<&str> = arguments.split(", ").collect();
        if ["open", "mkdir"].contains(&call) {
            arguments.insert(0, "AT_FDCWD");
        }
        let file = arguments[0].parse().ok().and_then(|fd: i32| self.open.get(&fd).copied());
        match call {
            "open" | "openat" => {
                let Some(name) = self.find(arguments[0], arguments[1], root) else { return };
                let new = arguments[2].contains("O_TMPFILE");
                let inode = match self.names.get(&name) {
                    _ if new => self.inode(),
                    Some(inode) => *inode,
                    None if name.1 == "." => name.0,
                    None => {
                        assert!(arguments[2].contains("O_CREAT"), "{line}");
                        let inode = self.inode();
                        self.name(vec![(name, Some(inode))]);
                        inode
                    }
                };
                self.open.insert(result, inode);
            }
            "close" => drop(self.open.remove(&arguments[0].parse().unwrap())),
            "mkdir" | "mkdirat" => {
                let Some(name) = self.find(arguments[0], arguments[1], root) else { return };
                let inode = self.inode();
                self.directories.insert(inode);
                self.name(vec![(name, Some(inode))]);
            }
            "write" if arguments[0] == "1" => {
                self.events.push(Event::Answer(String::from_utf8(text(arguments[1])).unwrap().trim_end().to_owned()));
            }
            "pwrite64" if file.is_some() => {
                let mut bytes = text(arguments[1]);
                bytes.truncate(usize::try_from(result).unwrap());
                self.events.push(Event::Data { file: file.unwrap(), at: arguments[3].parse().unwrap(), bytes });
            }
            "ftruncate" if file.is_some() => {
                self.events.push(Event::Size { file: file.unwrap(), size: arguments[1].parse().unwrap() });
            }
            "fdatasync" | "fsync" => self.events.extend(file.map(Event::Sync)),
            "linkat" => {
                let from = String::from_utf8(text(arguments[1])).unwrap();
                let fd = from.strip_prefix("/proc/self/fd/").unwrap().parse().unwrap();
                let name = self.find(arguments[2], arguments[3], root).unwrap();
                self.name(vec![(name, Some(self.open[&fd]))]);
            }
            "unlinkat" => {
                let name = self.find(arguments[0], arguments[1], root).unwrap();
                self.name(vec![(name, None)]);
            }
            "renameat2" | "renameat" => {
                let from = self.find(arguments[0], arguments[1], root).unwrap();
                let to = self.find(arguments[2], arguments[3], root).unwrap();
                let exchange = arguments.get(4).is_some_and(|flags| flags.contains("RENAME_EXCHANGE"));
                let (inode, other) = (self.names[&from], self.names.get(&to).copied().filter(|_| exchange));
                self.name(vec![(from, other), (to, Some(inode))]);
            }
            _ => assert!(arguments[0] == "2", "a call that the model does not know: {line}"),
        }
    }

    /// The same run on a disk that ignores one kind of sync.
    pub fn without_syncs(mut self, of_directories: bool) -> Trace {
        let ignored = |inode: &Inode| *inode != ROOT && self.directories.contains(inode) == of_directories;
        self.events.retain(|event| !matches!(event, Event::Sync(inode) if ignored(inode)));
        self
    }

    /// What the disk may hold after a power loss just before the event at `end`.
    pub fn cut(&self, end: usize, dice: &mut Dice) -> Disk {
        let mut safe = vec![false; end];
        let mut synced = BTreeSet::new();
        for (place, event) in self.events[..end].iter().enumerate().rev() {
            safe[place] = match event {
                Event::Sync(inode) => synced.insert(*inode),
                Event::Data { file, .. } | Event::Size { file, .. } => synced.contains(file),
                Event::Names(changes) => changes.iter().all(|((directory, _), _)| synced.contains(directory)),
                Event::Answer(_) => true,
            };
        }
        // Some losses take nearly everything, some nearly nothing.
        let likely = [1, 4, 7][dice.below(3)];
        let mut arrives = || dice.below(8) < likely;
        let mut disk = Disk { files: BTreeMap::new(), names: BTreeMap::new(), directories: self.directories.clone() };
        let mut stuck: BTreeSet<&Name> = BTreeSet::new();
        for (event, safe) in self.events[..end].iter().zip(safe) {
            match event {
                Event::Data { file, at, bytes } => {
                    let torn = !safe && arrives();
                    let whole = safe || !torn && arrives();
                    let content = disk.files.entry(*file).or_default();
                    let mut from = 0;
                    while from < bytes.len() {
                        let until = bytes.len().min((at + from) / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES - at);
                        if whole || torn && arrives() {
                            content.resize(content.len().max(at + until), 0);
                            content[at + from..at + until].copy_from_slice(&bytes[from..until]);
                        }
                        from = until;
                    }
                }
                Event::Size { file, size } if safe || arrives() => {
                    disk.files.entry(*file).or_default().resize(*size, 0)
                }
                Event::Names(changes) => {
                    if safe || arrives() && !changes.iter().any(|(name, _)| stuck.contains(name)) {
                        disk.names.extend(changes.iter().cloned());
                    } else {
                        stuck.extend(changes.iter().map(|(name, _)| name));
                    }
                }
                Event::Size { .. } | Event::Sync(_) | Event::Answer(_) => {}
            }
        }
        disk
    }
}

/// The bytes of a string as strace prints it: `"\x2f\x74"`.
fn text(printed: &str) -> Vec<u8> {
    let hex = printed.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).expect("a whole string");
    hex.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// What is left of a root directory.
pub struct Disk {
    files: BTreeMap<Inode, Vec<u8>>,
    names: BTreeMap<Name, Option<Inode>>,
    directories: BTreeSet<Inode>,
}

impl Disk {
    /// Makes it real.
    pub fn write_to(&self, path: &Path) {
        self.write_directory(ROOT, path);
    }

    fn write_directory(&self, directory: Inode, path: &Path) {
        let empty = Vec::new();
        for ((_, name), inode) in self.names.iter().filter(|((parent, _), _)| *parent == directory) {
            let Some(inode) = inode else { continue };
            let path = path.join(name);
            if self.directories.contains(inode) {
                std::fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
                self.write_directory(*inode, &path);
            } else {
                let mut file =
                    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
                std::io::Write::write_all(&mut file, self.files.get(inode).unwrap_or(&empty)).unwrap();
            }
        }
    }
}
