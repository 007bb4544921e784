//! The file driver: one file a session, written in place and crash-consistent.
//!
//! Readers take no lock: the newest whole slot of their own id counts. Writers hold `flock`, write the slot that is not
//! current, and a kill at any point leaves the state before or after. What damage costs is decided under the lock after
//! reading again, and always told by an event. Many processes may share a directory; network file systems are refused.
//! The protocol is drawn in docs/format.md, the figures behind it stand in docs/drivers.md.

use super::{
    Capabilities, Driver, DriverStats, Edit, Limits, Loaded, MOVED_MARKER_MS, RecordInfo, Records, Swept, Updated,
};
use super::{MAX_LOCK_TIMEOUT_MS, Verdict, locked_too_long, within};
use crate::error::{Error, Result};
use crate::event::{EventKind, Events};
use crate::fork::{self, PerProcess, Uninherited};
use crate::id::Locator;
use directory::{Directory, Entry, NewFile, io_error};
use rustix::buffer::spare_capacity;
use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{FlockOperation, OFlags, Stat, flock};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Resource, getrlimit};
use serde::{Deserialize, Serialize};
use slot::{HEADER_BYTES, Kind, Label, Place, READ_WHOLE_BYTES, Scan, Slot, Source, seal};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

mod directory;
mod slot;

/// A reader that meets a slot being written reads again this often before it waits for the writer.
const READ_AGAIN: usize = 3;
/// A held lock is asked for again after 20 us, then at doubling intervals up to 2 ms: the usual holder is gone in 3 us.
const FIRST_POLL: Duration = Duration::from_micros(20);
const LAST_POLL: Duration = Duration::from_millis(2);
/// Names that other processes put in the way of a create and that are removed, before it gives up.
const CREATE_AGAIN: usize = 16;
/// At most so many descriptors stay open from a load to the commit: they have places in the table that a fork closes, beside
/// those of sessions that are locked.
const KEPT_BELOW: i32 = 512;
/// Files up to this size, those of records up to 4 KiB, are compared with what was loaded.
const COMPARED_BYTES: usize = 8 << 10;
/// How many sessions' syncs a process remembers; a forgotten one costs an fdatasync, never safety.
const SYNCED: usize = 1024;

/// What a write promises before it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Durability {
    /// Survives a kill of any process at any point. Not a power loss: the kernel writes back in its own time.
    #[default]
    None,
    /// Survives a power loss too: fdatasync before every answer, fsync of the directory where a name changed.
    Commit,
}

/// `{"type": "file", "path": ..., ...}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    path: String,
    #[serde(default)]
    durability: Durability,
    #[serde(default = "default_lock_timeout_ms")]
    lock_timeout_ms: u64,
    #[serde(default)]
    max_records: Option<u64>,
    #[serde(default)]
    allow_network_file_system: bool,
}

fn default_lock_timeout_ms() -> u64 {
    5000
}

impl Options {
    pub(super) fn from_url(rest: &str) -> Result<Options> {
        let form = || Error::config("url", "file:///absolute/path; use a JSON document for options");
        let path = rest.strip_prefix("//").filter(|path| path.starts_with('/') && !path.contains(['?', '#']));
        let path = percent_encoding::percent_decode_str(path.ok_or_else(form)?).decode_utf8().map_err(|_| form())?;
        Ok(Options {
            path: path.into_owned(),
            durability: Durability::None,
            lock_timeout_ms: default_lock_timeout_ms(),
            max_records: None,
            allow_network_file_system: false,
        })
    }

    pub(super) fn check(&self, driver: &str, _max_record_bytes: usize) -> Result<()> {
        let field = |name: &str| format!("drivers.{driver}.{name}");
        if self.path.is_empty() || self.path.contains('\0') {
            return Err(Error::config(&field("path"), "name a directory"));
        }
        within(&field("lock_timeout_ms"), self.lock_timeout_ms, 0, MAX_LOCK_TIMEOUT_MS)?;
        within(&field("max_records"), self.max_records.unwrap_or(1), 1, i64::MAX.unsigned_abs())
    }

    pub(super) fn open(&self, limits: Limits) -> Result<File> {
        let directory = Directory::open(&self.path, self.durability, self.allow_network_file_system)?;
        let store = Store {
            directory,
            durability: self.durability,
            lock_timeout_ms: self.lock_timeout_ms,
            max_record_bytes: limits.max_record_bytes,
            shortest_life_ms: limits.shortest_life_ms,
            max_records: self.max_records,
            keep_below: i32::try_from(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / 2)
                .map_or(KEPT_BELOW, |half| half.min(KEPT_BELOW)),
            records: AtomicI64::new(0),
            synced: [const { AtomicU64::new(0) }; SYNCED],
            cursor: PerProcess::new(|| Mutex::new(None)),
        };
        if self.max_records.is_some() {
            // Once, when the driver is opened and no request waits. Sweeps keep the number right.
            store.records.store(store.directory.count()?, Ordering::Relaxed);
        }
        Ok(File { store: Arc::new(store), lock_timeout_ms: self.lock_timeout_ms })
    }
}

pub(crate) struct File {
    store: Arc<Store>,
    /// How long what writes waits for a lock.
    lock_timeout_ms: u64,
}

struct Store {
    directory: Directory,
    durability: Durability,
    /// As configured: how long a load waits that has to look again under the lock.
    lock_timeout_ms: u64,
    max_record_bytes: usize,
    shortest_life_ms: u64,
    max_records: Option<u64>,
    /// Descriptors below this number may stay open from a load to the commit: the lower half of what the process may have. So
    /// they never take the other half, and no count is needed.
    keep_below: i32,
    /// Files in the directory as this process knows them; kept only where there is a limit.
    records: AtomicI64,
    /// Which slots this process has synced, by locator: see [`Store::sync_current`].
    synced: [AtomicU64; SYNCED],
    /// Where this process's sweep is. Of its own descriptor, so that two processes sweep different parts.
    cursor: PerProcess<Mutex<Option<Sweeping>>>,
}

struct Sweeping {
    entries: directory::Entries,
    seen: i64,
}

/// The descriptor of a session's file that is open to be written. Closed on drop, and unlocked before; in a forked child it is
/// left alone, because the child closed it when it began.
struct Descriptor {
    open: Option<(Uninherited, OwnedFd)>,
    generation: u64,
    locked: Cell<bool>,
}

impl Descriptor {
    /// Entered in the table before it is locked: a child forked in between closes it, locked or not.
    fn new(fd: OwnedFd, generation: u64) -> Result<Descriptor> {
        let open = Some((Uninherited::enter(fd.as_fd())?, fd));
        Ok(Descriptor { open, generation, locked: Cell::new(false) })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.open.as_ref().expect("open until it is dropped").1.as_fd()
    }

    fn with(&self, stat: Stat) -> Opened<'_> {
        Opened { fd: self.fd(), stat }
    }

    /// Locks it, waiting until `deadline` and no longer than `timeout_ms` from the first time it finds it locked.
    fn lock(&self, timeout_ms: u64, deadline: &mut Option<Instant>) -> Result<()> {
        let mut pause = FIRST_POLL;
        loop {
            match retry_on_intr(|| flock(self.fd(), FlockOperation::NonBlockingLockExclusive)) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) => {}
                Err(errno) => return Err(io_error("locking a session file", errno)),
            }
            let now = Instant::now();
            let left = deadline.get_or_insert(now + Duration::from_millis(timeout_ms)).saturating_duration_since(now);
            if left.is_zero() {
                return Err(locked_too_long(timeout_ms));
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(LAST_POLL);
        }
        self.locked.set(true);
        Ok(())
    }

    fn unlock(&self) {
        // Not left to the close: a child that has a copy of the descriptor would keep the lock.
        if self.locked.replace(false) {
            let _ = flock(self.fd(), FlockOperation::Unlock);
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if fork::check(self.generation).is_err() {
            // The number may be another file's by now.
            std::mem::forget(self.open.take());
            return;
        }
        // Unlocked before it leaves the table, and it leaves the table before the number can be used again: a fork in
        // between inherits at most an unlocked descriptor.
        self.unlock();
        if let Some((entry, fd)) = self.open.take() {
            drop(entry);
            drop(fd);
        }
    }
}

/// An open file of a session and its status.
#[derive(Clone, Copy)]
struct Opened<'f> {
    fd: BorrowedFd<'f>,
    stat: Stat,
}

impl<'f> Opened<'f> {
    fn size(&self) -> u64 {
        u64::try_from(self.stat.st_size).unwrap_or(0)
    }

    fn reader(&self) -> Result<Reader<'f>> {
        Reader::new(self.fd, self.size())
    }

    /// Whether a locked file holds these bytes and no others, as when nobody has written since they were read. To compare
    /// them is cheaper than to check them again. A file too large for the stack answers false.
    fn is_still(&self, bytes: &[u8]) -> Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); COMPARED_BYTES];
        let Some(buffer) = buffer.get_mut(..bytes.len()).filter(|_| self.size() == bytes.len() as u64) else {
            return Ok(false);
        };
        retry_on_intr(|| rustix::io::pread(self.fd, &mut *buffer, 0).map(|(read, _)| *read == *bytes))
            .map_err(|errno| io_error("reading a session file", errno))
    }
}

/// A session's file under its lock, and its status since then.
struct Locked {
    descriptor: Descriptor,
    stat: Stat,
}

impl Locked {
    fn file(&self) -> Opened<'_> {
        self.descriptor.with(self.stat)
    }
}

/// What stays from a load to the update that may follow.
struct Kept {
    descriptor: Descriptor,
    scan: Scan,
}

/// A lock that is given back on drop, on a file that stays open.
struct Unlocking<'d>(&'d Descriptor);

impl Drop for Unlocking<'_> {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

/// A file as [`Scan`] reads it: small ones whole and at once, large ones piece by piece.
struct Reader<'f> {
    fd: BorrowedFd<'f>,
    buffer: Vec<u8>,
    whole: bool,
    size: u64,
}

impl<'f> Reader<'f> {
    /// Of a file of this size. If it is cut meanwhile that stays its size: what was read of it may be older than the cut, and
    /// must not look as if the file had been that short all the time.
    fn new(fd: BorrowedFd<'f>, size: u64) -> Result<Reader<'f>> {
        let whole = size <= READ_WHOLE_BYTES;
        let mut reader = Reader { fd, buffer: Vec::new(), whole, size };
        if whole {
            reader.fill(0, size)?;
        }
        Ok(reader)
    }

    /// Reads from `offset`: `length` bytes, or what there is before the end of the file.
    fn fill(&mut self, offset: u64, length: u64) -> Result<()> {
        let length = usize::try_from(length).map_err(|_| Error::corrupt("a session file is larger than memory"))?;
        self.buffer.clear();
        self.buffer.reserve_exact(length);
        while self.buffer.len() < length {
            let at = offset + self.buffer.len() as u64;
            let read = retry_on_intr(|| rustix::io::pread(self.fd, spare_capacity(&mut self.buffer), at))
                .map_err(|errno| io_error("reading a session file", errno))?;
            if read == 0 {
                break;
            }
        }
        self.buffer.truncate(length);
        Ok(())
    }

    fn scan(&mut self, locator: &Locator, max_record_bytes: usize) -> Result<Scan> {
        let size = self.size;
        Scan::read(self, size, locator, max_record_bytes)
    }

    /// The record of a slot that was found whole, in the buffer it was read into.
    fn into_loaded(self, slot: &Slot) -> Result<Loaded> {
        let offset = slot.offset + HEADER_BYTES as u64;
        // Of a large file the buffer holds the body that was checked last, which is this one's. It must not be read again:
        // a second read could meet another commit, with nothing to tell.
        let start = if self.whole { usize::try_from(offset).expect("in the buffer") } else { 0 };
        if start + slot.length > self.buffer.len() {
            return Err(Error::unavailable("a session file was cut while it was read", true));
        }
        Ok(Loaded::new(self.buffer, start..start + slot.length, slot.expiry_ms))
    }
}

impl Source for Reader<'_> {
    type Error = Error;

    fn bytes(&mut self, offset: u64, length: usize) -> Result<&[u8]> {
        let from = if self.whole {
            usize::try_from(offset).unwrap_or(usize::MAX).min(self.buffer.len())
        } else {
            self.fill(offset, length as u64)?;
            0
        };
        Ok(&self.buffer[from..(from + length).min(self.buffer.len())])
    }

    fn header_now(&mut self, offset: u64) -> Result<[u8; HEADER_BYTES]> {
        let mut header = [0; HEADER_BYTES];
        // Of one that the file's end cuts short, what is missing stays zero: it is another header in any case.
        retry_on_intr(|| rustix::io::pread(self.fd, &mut header, offset))
            .map_err(|errno| io_error("reading a session file", errno))?;
        Ok(header)
    }
}

/// What a look at an entry of the directory removed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Removed {
    Nothing,
    Record,
    /// A tombstone, or a marker whose time was over.
    Remains,
}

/// What a locked file turned out to hold for an id.
enum Found<'f> {
    Record(Slot, Reader<'f>),
    /// Nothing that can be written to.
    Gone,
    Moved,
}

impl Store {
    /// Refuses to read what was stored under a higher limit. To destroy or to expire it stays possible.
    fn within_limit(&self, scan: &Scan) -> Result<()> {
        match scan.too_large {
            Some(size) => Err(Error::too_large("a stored session in bytes", self.max_record_bytes, size)),
            None => Ok(()),
        }
    }

    /// Opens a session's file and locks it, waiting up to `timeout_ms`. None where the name is not there.
    fn open_locked(&self, locator: &Locator, timeout_ms: u64) -> Result<Option<Locked>> {
        self.open_locked_until(locator, timeout_ms, &mut None)
    }

    fn open_locked_until(
        &self,
        locator: &Locator,
        timeout_ms: u64,
        deadline: &mut Option<Instant>,
    ) -> Result<Option<Locked>> {
        let generation = fork::generation()?;
        loop {
            let Some(fd) = self.directory.open_session(locator, OFlags::RDWR)? else {
                return Ok(None);
            };
            let descriptor = Descriptor::new(fd, generation)?;
            descriptor.lock(timeout_ms, deadline)?;
            if let Some(stat) = self.directory.checked_stat(descriptor.fd())? {
                return Ok(Some(Locked { descriptor, stat }));
            }
            // The file lost its name while we waited. Under the name there is nothing now, or another one (a keyed record).
        }
    }

    /// Reads a locked file and says what there is to write to. Damage is set aside here, expired records removed.
    fn examine<'f>(
        &self,
        file: Opened<'f>,
        locator: &Locator,
        now_ms: u64,
        events: &mut Events,
    ) -> Result<(Found<'f>, Scan)> {
        let mut reader = file.reader()?;
        let scan = reader.scan(locator, self.max_record_bytes)?;
        let ours = || self.directory.refers_to(locator, &file.stat);
        let found = match (scan.own, scan.foreign) {
            // The newest slot is another id's: a regenerate went through (then the name is no longer this file), or it
            // stopped half-way (then that slot never counted, and is overwritten).
            (_, Some(_)) if !ours()? => Found::Moved,
            (Some(own), _) => match own.kind {
                Kind::Record if own.expiry_ms > now_ms => {
                    if scan.doubtful {
                        events.note(EventKind::RolledBack, locator);
                    }
                    Found::Record(own, reader)
                }
                Kind::Record => {
                    self.remove(file, &scan, locator)?;
                    events.note(EventKind::Expired, locator);
                    Found::Gone
                }
                Kind::Marker if own.expiry_ms > now_ms => Found::Moved,
                Kind::Marker | Kind::Tombstone => Found::Gone,
            },
            // A regenerate that stopped before the exchange left its marker under the new name. A sweep takes it.
            (None, Some(foreign)) if foreign.kind == Kind::Marker => Found::Gone,
            (None, _) => {
                if ours()? {
                    self.directory.quarantine(locator)?;
                    self.records.fetch_sub(1, Ordering::Relaxed);
                    events.note(EventKind::Quarantined, locator);
                }
                Found::Gone
            }
        };
        Ok((found, scan))
    }

    /// Writes a slot: `slot` is room for the header, then the record.
    fn write(&self, file: BorrowedFd<'_>, place: &Place, slot: &mut [u8], label: &Label<'_>) -> Result<()> {
        let checksum = seal(slot, place, label);
        let failed = |errno| io_error("writing a session file", errno);
        if let Some(size) = place.grow_to {
            retry_on_intr(|| rustix::fs::ftruncate(file, size)).map_err(failed)?;
        }
        if let Some(blank) = place.blank {
            write_all(file, &[0; HEADER_BYTES], blank).map_err(failed)?;
        }
        // What arrives of a write that fails is no whole slot; the one before it stays.
        write_all(file, slot, place.offset).map_err(failed)?;
        if self.durability == Durability::Commit {
            if let Err(errno) = data_sync(file) {
                // It must not be found whole later, after the caller was told that it failed.
                let _ = write_all(file, &[0; HEADER_BYTES], place.offset);
                return Err(io_error("syncing a session file", errno).after_write());
            }
            self.synced_place(label.locator).store(checksum, Ordering::Relaxed);
        }
        cut(file, place.cut_to);
        Ok(())
    }

    /// The slot that is current must be on disk before the other one is overwritten, or a power loss could take both.
    /// A writer that was killed between its write and its sync leaves one that is not.
    fn sync_current(&self, file: BorrowedFd<'_>, own: &Slot) -> Result<()> {
        let synced = self.synced_place(&own.locator).load(Ordering::Relaxed) == own.checksum;
        if self.durability == Durability::Commit && !synced {
            data_sync(file).map_err(|errno| io_error("syncing a session file", errno))?;
        }
        Ok(())
    }

    /// Where the checksum of the last slot is kept that this process synced for a session.
    fn synced_place(&self, locator: &Locator) -> &AtomicU64 {
        let start = u64::from_le_bytes(locator.as_bytes()[..8].try_into().expect("eight bytes"));
        &self.synced[usize::try_from(start % SYNCED as u64).expect("less than SYNCED")]
    }

    /// Takes a session's file away: first a tombstone for whoever waits for its lock, then the name, and that only while
    /// it still is this file's.
    fn remove(&self, file: Opened<'_>, scan: &Scan, locator: &Locator) -> Result<()> {
        if let Some(own) = scan.own
            && own.kind != Kind::Tombstone
        {
            let place = scan.place(&own, 0);
            let mut slot = [0; HEADER_BYTES];
            let written = self.write(file.fd, &place, &mut slot, &scan.label(Kind::Tombstone, locator, own.expiry_ms));
            // A full disk must not keep a session alive: a waiting writer finds a file without a name and stops there.
            if let Err(error) = written
                && !error.is_retryable()
            {
                return Err(error);
            }
        }
        // What fails from here on leaves a file that reads as absent.
        if self.directory.refers_to(locator, &file.stat).map_err(Error::after_write)? {
            self.directory.unlink(locator.to_hex().as_str()).map_err(Error::after_write)?;
            self.records.fetch_sub(1, Ordering::Relaxed);
            self.sync_directory()?;
        }
        Ok(())
    }

    fn sync_directory(&self) -> Result<()> {
        match self.durability {
            Durability::None => Ok(()),
            // The change is made; whether it is on disk is not known.
            Durability::Commit => self.directory.sync().map_err(Error::after_write),
        }
    }

    fn load(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<Option<Loaded>> {
        let generation = fork::generation()?;
        let mut unsure = None;
        for _ in 0..READ_AGAIN {
            let Some((fd, to_write)) = self.directory.open_to_load(locator)? else {
                return Ok(None);
            };
            let Some(stat) = self.directory.checked_stat(fd.as_fd())? else {
                return Ok(None);
            };
            let mut reader = Opened { fd: fd.as_fd(), stat }.reader()?;
            let scan = reader.scan(locator, self.max_record_bytes)?;
            match scan.own {
                Some(own) if !scan.doubtful && scan.settled => match own.kind {
                    Kind::Record if own.expiry_ms > now_ms => {
                        self.within_limit(&scan)?;
                        let loaded = reader.into_loaded(&own)?;
                        if !to_write || fd.as_raw_fd() >= self.keep_below {
                            return Ok(Some(loaded));
                        }
                        // Without a place in the table it is closed here, and opened again by the commit.
                        return Ok(Some(match Descriptor::new(fd, generation) {
                            Ok(descriptor) => loaded.keeping(Box::new(Kept { descriptor, scan })),
                            Err(_) => loaded,
                        }));
                    }
                    Kind::Record => return self.expire(locator, now_ms, events).map(|()| None),
                    Kind::Tombstone | Kind::Marker => return Ok(None),
                },
                Some(own) if own.kind == Kind::Record && own.expiry_ms > now_ms && scan.too_large.is_none() => {
                    unsure = Some((reader.into_loaded(&own)?, scan.doubtful));
                }
                None if scan.foreign.is_some_and(|slot| slot.kind == Kind::Marker) => return Ok(None),
                _ => {}
            }
        }
        match (self.load_locked(locator, now_ms, events), unsure) {
            // A read-only file system: it can be neither locked for writing nor mended. What is whole of it is read.
            (Err(error), Some((loaded, is_doubtful))) if !error.is_retryable() => {
                if is_doubtful {
                    events.note(EventKind::RolledBack, locator);
                }
                Ok(Some(loaded))
            }
            (loaded, _) => loaded,
        }
    }

    /// A reader that cannot make sense of a file looks again with the lock in hand, and mends what it finds.
    fn load_locked(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<Option<Loaded>> {
        match self.open_locked(locator, self.lock_timeout_ms)? {
            Some(file) => self.load_and_mend(file.file(), locator, now_ms, events),
            None => Ok(None),
        }
    }

    fn load_and_mend(
        &self,
        file: Opened<'_>,
        locator: &Locator,
        now_ms: u64,
        events: &mut Events,
    ) -> Result<Option<Loaded>> {
        let (found, scan) = self.examine(file, locator, now_ms, events)?;
        let Found::Record(own, reader) = found else {
            return Ok(None);
        };
        self.within_limit(&scan)?;
        let loaded = reader.into_loaded(&own)?;
        let mut place = None;
        if scan.doubtful {
            // Written once more over the damage, so that this is told once and not at every load.
            let mut slot = vec![0; HEADER_BYTES];
            slot.extend_from_slice(loaded.bytes());
            let place = place.insert(scan.place(&own, loaded.bytes().len()));
            // If this fails, on a full disk for one, the record is as good as before, and is told of again.
            let _ = self.write(file.fd, place, &mut slot, &scan.label(Kind::Record, locator, own.expiry_ms));
        }
        // What a killed writer left behind the two slots would send every reader here again. Not where it may be a slot
        // of a regenerate.
        let was_cut = place.is_some_and(|place| place.cut_to.is_some());
        if file.size() > 2 * own.class && scan.foreign.is_none() && !was_cut {
            cut(file.fd, Some(2 * own.class));
        }
        Ok(Some(loaded))
    }

    /// Removes a record that a reader met expired. On a read-only file system it stays, and stays unread.
    fn expire(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<()> {
        match self.open_locked(locator, 0) {
            Ok(Some(file)) => self.examine(file.file(), locator, now_ms, events).map(|_| ()),
            // Somebody is at it, or nobody can be: it is expired all the same.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "an update's, and the locked file")]
    fn update_locked(
        &self,
        file: Opened<'_>,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        let (found, scan) = self.examine(file, locator, now_ms, events)?;
        match found {
            Found::Record(own, reader) => {
                self.within_limit(&scan)?;
                let stored = reader.into_loaded(&own)?;
                self.write_over(file, &scan, &own, stored.bytes(), to, now_ms, edit)
            }
            Found::Gone => Ok(Updated::Gone),
            Found::Moved => Ok(Updated::Moved),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "an update's, and how long it waits")]
    fn update(
        &self,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
        timeout_ms: u64,
        deadline: &mut Option<Instant>,
    ) -> Result<Updated> {
        match self.open_locked_until(locator, timeout_ms, deadline)? {
            Some(locked) => self.update_locked(locked.file(), locator, to, now_ms, edit, events),
            None => Ok(Updated::Gone),
        }
    }

    /// Has `edit` make the successor of a record that is stored in the slot `own`, and writes it.
    #[allow(clippy::too_many_arguments, reason = "an update's, and what was found")]
    fn write_over(
        &self,
        file: Opened<'_>,
        scan: &Scan,
        own: &Slot,
        stored: &[u8],
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
    ) -> Result<Updated> {
        let locator = &own.locator;
        let mut slot = Vec::with_capacity(HEADER_BYTES + stored.len() + 256);
        slot.resize(HEADER_BYTES, 0);
        let Verdict::Write { expiry_ms } = edit(stored, &mut slot)? else {
            return Ok(Updated::Done);
        };
        let mut place = scan.place(own, slot.len() - HEADER_BYTES);
        self.sync_current(file.fd, own)?;
        let Some(to) = to else {
            self.write(file.fd, &place, &mut slot, &scan.label(Kind::Record, locator, expiry_ms))?;
            return Ok(Updated::Done);
        };

        // Regenerate. The marker of the old id is put under the new name, the record gets a slot for the new id, and one
        // exchange of the names makes both true at once: at every instant exactly one record takes writes. The marker is
        // locked before it has a name: a sweep that took it for a dead one would else unlink the record behind it.
        let marker = self.directory.new_file()?;
        retry_on_intr(|| flock(marker.fd(), FlockOperation::NonBlockingLockExclusive))
            .map_err(|errno| io_error("locking a session file", errno))?;
        let expiry_of_marker_ms = now_ms.saturating_add(MOVED_MARKER_MS);
        if !self.make(&marker, to, locator, Kind::Marker, &mut [0; HEADER_BYTES], expiry_of_marker_ms)? {
            return Ok(Updated::Taken);
        }
        // What is cut away may be the old id's only slot: not before the names are exchanged.
        let cut_to = place.cut_to.take();
        let moved = self
            .write(file.fd, &place, &mut slot, &scan.label(Kind::Record, to, expiry_ms))
            .and_then(|()| self.directory.exchange(locator, to));
        if let Err(error) = moved {
            // The slot for the new id, if it is there, is bound to a name that is not this file's: it never counts.
            let _ = self.directory.unlink(to.to_hex().as_str());
            self.records.fetch_sub(1, Ordering::Relaxed);
            return Err(error);
        }
        // Unlocked and not only closed: a child that was forked meanwhile has a copy of the descriptor.
        let _ = flock(marker.fd(), FlockOperation::Unlock);
        self.sync_directory()?;
        cut(file.fd, cut_to);
        Ok(Updated::Done)
    }

    fn delete_locked(&self, file: Opened<'_>, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<bool> {
        let (found, scan) = self.examine(file, locator, now_ms, events)?;
        let Found::Record(..) = found else {
            return Ok(false);
        };
        self.remove(file, &scan, locator)?;
        events.note(EventKind::Destroyed, locator);
        Ok(true)
    }

    /// Makes a complete file under the name of `name`, holding one slot of `owner`. False where the name is taken.
    fn make(
        &self,
        file: &NewFile,
        name: &Locator,
        owner: &Locator,
        kind: Kind,
        slot: &mut [u8],
        expiry_ms: u64,
    ) -> Result<bool> {
        let place = Place::first(slot.len() - HEADER_BYTES);
        self.write(file.fd(), &place, slot, &Label { kind, locator: owner, sequence: 1, expiry_ms })?;
        let made = file.give_name(&self.directory, name)?;
        if made {
            self.records.fetch_add(1, Ordering::Relaxed);
            self.sync_directory()?;
        }
        Ok(made)
    }

    fn create(
        &self,
        locator: &Locator,
        bytes: &[u8],
        now_ms: u64,
        expiry_ms: u64,
        events: &mut Events,
        timeout_ms: u64,
    ) -> Result<bool> {
        if let Some(limit) = self.max_records {
            let stored = self.records.load(Ordering::Relaxed).max(0).unsigned_abs();
            if stored >= limit {
                return Err(Error::unavailable(
                    format!("file driver: the limit is {limit} records (max_records), there are {stored}"),
                    true,
                ));
            }
        }
        let mut slot = Vec::with_capacity(HEADER_BYTES + bytes.len());
        slot.resize(HEADER_BYTES, 0);
        slot.extend_from_slice(bytes);
        for _ in 0..CREATE_AGAIN {
            let file = self.directory.new_file()?;
            if self.make(&file, locator, locator, Kind::Record, &mut slot, expiry_ms)? {
                return Ok(true);
            }
            // Only what is dead is cleared away, and only under its lock.
            let Some(file) = self.open_locked(locator, timeout_ms)? else {
                continue;
            };
            let (found, scan) = self.examine(file.file(), locator, now_ms, events)?;
            match found {
                Found::Record(..) => return Ok(false),
                Found::Gone => self.remove(file.file(), &scan, locator)?,
                Found::Moved if scan.own.is_some_and(|own| own.kind == Kind::Marker) => return Ok(false),
                // The file went to another name while we waited for it, and is alive there: hands off.
                Found::Moved => {}
            }
        }
        Err(Error::unavailable("a session file could not be created: its name is taken again and again", true))
    }

    /// Looks at one entry of the directory and removes what is over.
    fn sweep_entry(&self, entry: &Entry, now_ms: u64, events: &mut Events) -> Result<Removed> {
        match entry {
            Entry::Foreign => Ok(Removed::Nothing),
            Entry::Temporary(name) => {
                self.directory.remove_stale_temporary(name);
                Ok(Removed::Nothing)
            }
            Entry::Session(locator) => {
                // mtime is only a hint that saves reading: it is the clock's and `now_ms` may not be.
                if self.directory.is_younger_than(locator, now_ms, self.shortest_life_ms) {
                    return Ok(Removed::Nothing);
                }
                let Ok(Some(file)) = self.open_locked(locator, 0) else {
                    // In use, gone, or not ours to read.
                    return Ok(Removed::Nothing);
                };
                let scan = file.file().reader()?.scan(locator, self.max_record_bytes)?;
                if scan.foreign.is_some() && !self.directory.refers_to(locator, &file.stat)? {
                    // It has moved to another name since it was opened.
                    return Ok(Removed::Nothing);
                }
                // The marker of a regenerate that stopped half-way is another id's; damage is left to whoever meets it.
                let marker = scan.foreign.filter(|slot| slot.kind == Kind::Marker);
                let Some(slot) = scan.own.or(marker) else { return Ok(Removed::Nothing) };
                if slot.kind != Kind::Tombstone && slot.expiry_ms > now_ms {
                    return Ok(Removed::Nothing);
                }
                self.remove(file.file(), &scan, locator)?;
                if slot.kind == Kind::Record {
                    events.note(EventKind::Expired, locator);
                }
                Ok(if slot.kind == Kind::Record { Removed::Record } else { Removed::Remains })
            }
        }
    }

    fn sweep(&self, now_ms: u64, limit: usize, events: &mut Events) -> Result<Swept> {
        let mut swept = Swept::default();
        let mut cursor = match self.cursor.get()?.try_lock() {
            Ok(cursor) => cursor,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Another thread of this process is sweeping.
            Err(TryLockError::WouldBlock) => return Ok(swept),
        };
        if cursor.is_none() {
            self.directory.prune_quarantine()?;
            // A round that is to count begins at the start: one that begins elsewhere may see an entry twice.
            let entries = match self.max_records {
                Some(_) => self.directory.entries_from_start()?,
                None => self.directory.entries()?,
            };
            *cursor = Some(Sweeping { entries, seen: 0 });
        }
        while swept.looked_at < limit {
            let Some(sweeping) = cursor.as_mut() else { break };
            let Some(entry) = sweeping.entries.next()? else {
                if self.max_records.is_some() {
                    self.records.store(sweeping.seen, Ordering::Relaxed);
                }
                *cursor = None;
                swept.finished = true;
                break;
            };
            swept.looked_at += 1;
            let removed = self.sweep_entry(&entry, now_ms, events)?;
            swept.removed += usize::from(removed == Removed::Record);
            match entry {
                Entry::Session(_) if removed == Removed::Nothing => sweeping.seen += 1,
                Entry::Session(locator) => sweeping.entries.was_removed(&locator),
                Entry::Temporary(_) | Entry::Foreign => {}
            }
        }
        Ok(swept)
    }
}

/// After the new slot is down. If this fails the file is only larger than it need be.
fn cut(file: BorrowedFd<'_>, size: Option<u64>) {
    if let Some(size) = size {
        let _ = retry_on_intr(|| rustix::fs::ftruncate(file, size));
    }
}

fn write_all(fd: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> Result<(), Errno> {
    let mut written = 0;
    while written < bytes.len() {
        match retry_on_intr(|| rustix::io::pwrite(fd, &bytes[written..], offset + written as u64))? {
            // A file that takes no byte and gives no error is full.
            0 => return Err(Errno::NOSPC),
            more => written += more,
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn data_sync(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    retry_on_intr(|| rustix::fs::fdatasync(fd))
}

#[cfg(target_os = "macos")]
fn data_sync(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // fsync there only reaches the drive's cache.
    retry_on_intr(|| rustix::fs::fcntl_fullfsync(fd))
}

impl Records for File {
    fn load(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<Option<Loaded>> {
        self.store.load(locator, now_ms, events)
    }

    fn update(
        &self,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        self.store.update(locator, to, now_ms, edit, events, self.lock_timeout_ms, &mut None)
    }

    fn update_loaded(
        &self,
        loaded: &Loaded,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        let Some(Kept { descriptor, scan }) = loaded.kept() else {
            return self.update(locator, to, now_ms, edit, events);
        };
        fork::check(descriptor.generation)?;
        let mut deadline = None;
        descriptor.lock(self.lock_timeout_ms, &mut deadline)?;
        let unlocking = Unlocking(descriptor);
        if let Some(stat) = self.store.directory.checked_stat(descriptor.fd())? {
            let file = descriptor.with(stat);
            let updated = match &scan.own {
                // Where there was a slot of another id, a regenerate may have come through without changing a byte since.
                Some(own) if own.expiry_ms > now_ms && scan.foreign.is_none() && file.is_still(&loaded.buffer)? => {
                    self.store.write_over(file, scan, own, loaded.bytes(), to, now_ms, edit)?
                }
                _ => self.store.update_locked(file, locator, to, now_ms, edit, events)?,
            };
            if !matches!(updated, Updated::Gone | Updated::Moved) {
                return Ok(updated);
            }
        }
        // This file is not the session's any more. What is under its name now, a marker or nothing, says what became of it.
        drop(unlocking);
        self.store.update(locator, to, now_ms, edit, events, self.lock_timeout_ms, &mut deadline)
    }

    fn delete(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<bool> {
        match self.store.open_locked(locator, self.lock_timeout_ms)? {
            Some(file) => self.store.delete_locked(file.file(), locator, now_ms, events),
            None => Ok(false),
        }
    }
}

impl Driver for File {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            client_side: false,
            revocable: true,
            shared_between_processes: true,
            survives_restart: true,
            max_bytes: self.store.max_record_bytes,
        }
    }

    fn create(
        &self,
        locator: &Locator,
        bytes: &[u8],
        now_ms: u64,
        expiry_ms: u64,
        events: &mut Events,
    ) -> Result<bool> {
        self.store.create(locator, bytes, now_ms, expiry_ms, events, self.lock_timeout_ms)
    }

    fn lock(&self, locator: &Locator, now_ms: u64, timeout_ms: Option<u64>) -> Result<Option<Box<dyn Records>>> {
        let Some(file) = self.store.open_locked(locator, timeout_ms.unwrap_or(self.lock_timeout_ms))? else {
            return Ok(None);
        };
        // An expired record is met again, and removed with its event, by the load that follows.
        let scan = file.file().reader()?.scan(locator, self.store.max_record_bytes)?;
        let lives = scan.own.is_some_and(|own| own.kind == Kind::Record && own.expiry_ms > now_ms);
        Ok(lives.then(|| Box::new(Held { store: self.store.clone(), descriptor: file.descriptor }) as Box<dyn Records>))
    }

    fn waiting(&self, timeout_ms: u64) -> Option<Arc<dyn Driver>> {
        Some(Arc::new(File { store: self.store.clone(), lock_timeout_ms: timeout_ms }))
    }

    fn sweep(&self, now_ms: u64, limit: usize, events: &mut Events) -> Result<Swept> {
        self.store.sweep(now_ms, limit, events)
    }

    fn iterate(&self, now_ms: u64, visit: &mut dyn FnMut(RecordInfo) -> bool) -> Result<()> {
        let mut entries = self.store.directory.entries_from_start()?;
        while let Some(entry) = entries.next()? {
            let Entry::Session(locator) = entry else { continue };
            let opened = match self.store.directory.open_session(&locator, OFlags::RDONLY) {
                Ok(Some(fd)) => self.store.directory.checked_stat(fd.as_fd()).map(|stat| stat.map(|stat| (fd, stat))),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
            let (fd, stat) = match opened {
                Ok(Some(opened)) => opened,
                Ok(None) => continue,
                // What is not ours is no record, and must not hide the others.
                Err(error) if !error.is_retryable() => continue,
                Err(error) => return Err(error),
            };
            let scan = Opened { fd: fd.as_fd(), stat }.reader()?.scan(&locator, self.store.max_record_bytes)?;
            let Some(own) = scan.own.filter(|own| own.kind == Kind::Record && own.expiry_ms > now_ms) else { continue };
            if !visit(RecordInfo { locator, expiry_ms: own.expiry_ms, bytes: own.length }) {
                break;
            }
        }
        Ok(())
    }

    fn stats(&self) -> DriverStats {
        let known = self.store.max_records.is_some();
        DriverStats {
            records: known.then(|| self.store.records.load(Ordering::Relaxed).max(0).unsigned_abs()),
            bytes: None,
        }
    }
}

/// A lock on one session's file, given back on drop.
struct Held {
    store: Arc<Store>,
    descriptor: Descriptor,
}

impl Held {
    /// The file as it is now; None where it has lost its name.
    fn file(&self) -> Result<Option<Opened<'_>>> {
        fork::check(self.descriptor.generation)?;
        Ok(self.store.directory.checked_stat(self.descriptor.fd())?.map(|stat| self.descriptor.with(stat)))
    }
}

impl Records for Held {
    fn load(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<Option<Loaded>> {
        match self.file()? {
            Some(file) => self.store.load_and_mend(file, locator, now_ms, events),
            None => Ok(None),
        }
    }

    fn update(
        &self,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        match self.file()? {
            Some(file) => self.store.update_locked(file, locator, to, now_ms, edit, events),
            None => Ok(Updated::Gone),
        }
    }

    fn delete(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<bool> {
        match self.file()? {
            Some(file) => self.store.delete_locked(file, locator, now_ms, events),
            None => Ok(false),
        }
    }
}
