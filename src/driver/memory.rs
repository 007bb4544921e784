//! The memory driver: records in this process, in shards of one mutex each.
//!
//! Bounded by `max_bytes`: when full, expired records go first, then those whose cookie has never come back (probation, at
//! most a quarter), then the least recently used. Expiry is a timing wheel: O(1) a request, no thread, no scan. A forked
//! child starts empty. Every commit copies into the buffer the record already has.

use super::list::{Links, List, NONE};
use super::{
    Capabilities, Driver, DriverStats, Edit, Limits, Loaded, MOVED_MARKER_MS, RecordInfo, Records, Swept, Updated,
};
use super::{MAX_LOCK_TIMEOUT_MS, Verdict, locked_too_long, within};
use crate::error::{Error, Result};
use crate::event::{EventKind, Events};
use crate::fork::{self, PerProcess};
use crate::id::Locator;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
// The model checker of tests/interleavings.rs brings locks of its own, through which it decides who goes on.
#[cfg(holdall_shuttle)]
use shuttle::sync::{Condvar, Mutex, MutexGuard};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
#[cfg(not(holdall_shuttle))]
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Enough that two cores seldom meet (measured with 64); fewer where the budget of a shard would get too small.
const MAX_SHARDS: usize = 64;
/// A shard must hold a few of the largest records, or evicting could not make room.
const RECORDS_PER_SHARD: usize = 4;
/// The wheel's buckets. An idle timeout spans all of them once; what ends later stays for another round.
const BUCKETS: usize = 512;
/// How many due entries an eviction looks at before it takes a living record.
const EXPIRED_FIRST: usize = 32;
/// How many records that are locked an eviction steps over before it gives up.
const LOCKED_PASSED: u32 = 32;
/// A record used twice within this many milliseconds keeps its place among the recently used: to move it costs three more
/// cache misses, and nobody can tell an eviction order that is a second off. A power of two: it is a shift, once a request.
const USED_AGAIN_MS: u64 = 1024;
/// A scratch buffer above this is given back after use, so that one large record does not cost its size in every shard.
const KEPT_SCRATCH_BYTES: usize = 64 << 10;

/// `{"type": "memory", "max_bytes": ..., "lock_timeout_ms": ...}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    max_bytes: usize,
    lock_timeout_ms: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { max_bytes: 256 << 20, lock_timeout_ms: 5000 }
    }
}

impl Options {
    pub(super) fn from_url(rest: &str) -> Result<Options> {
        match rest {
            "" => Ok(Options::default()),
            _ => Err(Error::config("url", "memory: takes nothing behind the colon; use a JSON document for options")),
        }
    }

    pub(super) fn check(&self, driver: &str, max_record_bytes: usize) -> Result<()> {
        let field = |name: &str| format!("drivers.{driver}.{name}");
        within(&field("max_bytes"), self.max_bytes, RECORDS_PER_SHARD * max_record_bytes, isize::MAX.unsigned_abs())?;
        within(&field("lock_timeout_ms"), self.lock_timeout_ms, 0, MAX_LOCK_TIMEOUT_MS)
    }

    pub(super) fn open(&self, limits: Limits) -> Result<Memory> {
        let fitting = self.max_bytes / (RECORDS_PER_SHARD * limits.max_record_bytes);
        let count = (MAX_SHARDS.min(fitting.max(1)) + 1).next_power_of_two() / 2;
        let budget = self.max_bytes / count;
        let granule_ms = (limits.idle_ms / BUCKETS as u64).max(1000);
        let shards = PerProcess::new(move || Shards {
            shards: (0..count).map(|_| Shard::new(budget, granule_ms)).collect(),
            sweeping: AtomicUsize::new(0),
        });
        shards.get()?;
        Ok(Memory {
            shards: Arc::new(shards),
            lock_timeout_ms: self.lock_timeout_ms,
            max_bytes: limits.max_record_bytes,
        })
    }
}

pub(crate) struct Memory {
    shards: Arc<PerProcess<Shards>>,
    lock_timeout_ms: u64,
    max_bytes: usize,
}

impl Memory {
    /// An ordinary request: it holds no lock and waits as long as configured.
    fn asker(&self) -> Asker {
        Asker { lock: 0, timeout_ms: self.lock_timeout_ms }
    }
}

struct Shards {
    shards: Box<[Shard]>,
    /// The shard the next sweep begins with.
    sweeping: AtomicUsize,
}

// Two lines of cache, so that two cores in neighbouring shards do not share one.
#[repr(align(128))]
struct Shard {
    state: Mutex<State>,
    unlocked: Condvar,
}

impl Shard {
    fn new(budget: usize, granule_ms: u64) -> Shard {
        let state = State {
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            probation: List::default(),
            proven: List::default(),
            wheel: vec![List::default(); BUCKETS].into(),
            granule_ms,
            due: 0,
            due_left: None,
            budget,
            bytes: 0,
            probation_bytes: 0,
            last_lock: 0,
            scratch: Vec::new(),
        };
        Shard { state: Mutex::new(state), unlocked: Condvar::new() }
    }

    /// A poisoned lock is entered: every change below is complete before anything that could panic, or not begun.
    fn enter(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the record is not locked by another, or is not there.
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        locator: &Locator,
        asker: Asker,
    ) -> Result<(MutexGuard<'a, State>, Option<u32>)> {
        let free = |state: &State| match state.find(locator) {
            Some(at) if ![0, asker.lock].contains(&state.slots[at as usize].lock) => None,
            found => Some(found),
        };
        if let Some(found) = free(&state) {
            return Ok((state, found));
        }
        let deadline = Instant::now() + Duration::from_millis(asker.timeout_ms);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(locked_too_long(asker.timeout_ms));
            }
            state = self.unlocked.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            if let Some(found) = free(&state) {
                return Ok((state, found));
            }
        }
    }
}

/// Who asks: the number of the lock it holds (0 for none), and how long it waits where another holds one.
#[derive(Clone, Copy)]
struct Asker {
    lock: u32,
    timeout_ms: u64,
}

/// What one mutex guards.
struct State {
    index: HashTable<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Records whose cookie has not come back, newest first.
    probation: List,
    /// All others, most recently used first.
    proven: List,
    wheel: Box<[List]>,
    granule_ms: u64,
    /// The first granule of time that has not been swept, and, once that has begun, how many of its bucket are left to look at.
    due: u64,
    due_left: Option<u32>,
    budget: usize,
    bytes: usize,
    probation_bytes: usize,
    last_lock: u32,
    scratch: Vec<u8>,
}

struct Slot {
    locator: Locator,
    bytes: Vec<u8>,
    expiry_ms: u64,
    kind: Kind,
    /// The number of the lock that is held on it; 0 for none.
    lock: u32,
    /// When it was last moved to the front, in steps of [`USED_AGAIN_MS`].
    used: u32,
    recency: Links,
    timer: Links,
    /// The granule it is filed under. Never later than its expiry; an expiry that moves on is filed anew when it is met.
    granule: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Free,
    Probation,
    Proven,
    /// What a moved record leaves.
    Marker,
}

fn recency(slot: &mut Slot) -> &mut Links {
    &mut slot.recency
}

fn timer(slot: &mut Slot) -> &mut Links {
    &mut slot.timer
}

/// The locator is a hash already; its first bytes choose the shard, the next eight the place in the index.
fn hash(locator: &Locator) -> u64 {
    u64::from_le_bytes(locator.0[8..16].try_into().expect("eight bytes"))
}

impl State {
    fn find(&self, locator: &Locator) -> Option<u32> {
        self.index.find(hash(locator), |at| self.slots[*at as usize].locator == *locator).copied()
    }

    /// The slot of a record (not a marker) that lives.
    fn living(&self, at: Option<u32>, now_ms: u64) -> Option<u32> {
        at.filter(|at| {
            let slot = &self.slots[*at as usize];
            slot.kind != Kind::Marker && slot.expiry_ms > now_ms
        })
    }

    fn moved(&self, at: Option<u32>, now_ms: u64) -> Updated {
        match at.map(|at| &self.slots[at as usize]) {
            Some(slot) if slot.kind == Kind::Marker && slot.expiry_ms > now_ms => Updated::Moved,
            _ => Updated::Gone,
        }
    }

    fn cost(bytes: &Vec<u8>) -> usize {
        // The slot, its place in the index, and what malloc keeps in front of the buffer.
        size_of::<Slot>() + 24 + bytes.capacity()
    }

    fn list_of(&mut self, kind: Kind) -> &mut List {
        if kind == Kind::Probation { &mut self.probation } else { &mut self.proven }
    }

    fn link_recent(&mut self, at: u32) {
        let kind = self.slots[at as usize].kind;
        let mut list = *self.list_of(kind);
        list.push_front(&mut self.slots, at, recency);
        *self.list_of(kind) = list;
    }

    fn unlink_recent(&mut self, at: u32) {
        let kind = self.slots[at as usize].kind;
        let mut list = *self.list_of(kind);
        list.remove(&mut self.slots, at, recency);
        *self.list_of(kind) = list;
    }

    /// Notes that a record was used; its cookie has come back.
    fn used(&mut self, at: u32, now_ms: u64) {
        // Compared for equality alone, so the high bits do not matter.
        #[allow(clippy::cast_possible_truncation)]
        let now = (now_ms / USED_AGAIN_MS) as u32;
        let slot = &self.slots[at as usize];
        if slot.kind == Kind::Proven && slot.used == now {
            return;
        }
        self.unlink_recent(at);
        let slot = &mut self.slots[at as usize];
        slot.used = now;
        if slot.kind == Kind::Probation {
            slot.kind = Kind::Proven;
            let cost = Self::cost(&slot.bytes);
            self.probation_bytes -= cost;
        }
        self.link_recent(at);
    }

    fn file_under(&mut self, at: u32, expiry_ms: u64) {
        // Not into a bucket that is being looked at: what joins it now would wait for another round.
        let granule = (expiry_ms / self.granule_ms).max(self.due + u64::from(self.due_left.is_some()));
        self.slots[at as usize].granule = granule;
        let bucket = Self::bucket(granule);
        self.wheel[bucket].push_back(&mut self.slots, at, timer);
    }

    fn unfile(&mut self, at: u32) {
        let bucket = Self::bucket(self.slots[at as usize].granule);
        self.wheel[bucket].remove(&mut self.slots, at, timer);
    }

    fn bucket(granule: u64) -> usize {
        usize::try_from(granule % BUCKETS as u64).expect("less than the number of buckets")
    }

    fn set_expiry(&mut self, at: u32, expiry_ms: u64) {
        self.slots[at as usize].expiry_ms = expiry_ms;
        // Later costs nothing now: the entry is filed anew when its bucket is due.
        if expiry_ms < self.slots[at as usize].granule.saturating_mul(self.granule_ms) {
            self.unfile(at);
            self.file_under(at, expiry_ms);
        }
    }

    fn insert(&mut self, locator: &Locator, bytes: Vec<u8>, expiry_ms: u64, kind: Kind) {
        let cost = Self::cost(&bytes);
        let slot = Slot {
            locator: *locator,
            bytes,
            expiry_ms,
            kind,
            lock: 0,
            used: 0,
            recency: Links::default(),
            timer: Links::default(),
            granule: 0,
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                if self.slots.len() == self.slots.capacity() {
                    // By an eighth: doubling would leave up to a slot's 104 bytes unused beside each one in use.
                    self.slots.reserve_exact(self.slots.len() / 8 + 8);
                }
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).expect("a shard of 2^32 slots of 100 bytes is over any budget")
            }
        };
        self.bytes += cost;
        if kind == Kind::Probation {
            self.probation_bytes += cost;
        }
        let slots = &self.slots;
        self.index.insert_unique(hash(locator), at, |at| hash(&slots[*at as usize].locator));
        self.link_recent(at);
        self.file_under(at, expiry_ms);
    }

    fn remove(&mut self, at: u32) {
        self.unlink_recent(at);
        self.unfile(at);
        let slot = &mut self.slots[at as usize];
        let cost = Self::cost(&slot.bytes);
        self.bytes -= cost;
        if slot.kind == Kind::Probation {
            self.probation_bytes -= cost;
        }
        slot.bytes = Vec::new();
        slot.kind = Kind::Free;
        slot.lock = 0;
        let locator = slot.locator;
        if let Ok(entry) = self.index.find_entry(hash(&locator), |other| *other == at) {
            entry.remove();
        }
        self.free.push(at);
    }

    /// Replaces a record's bytes: a copy into the buffer it has, unless that is too small or far too large.
    fn replace(&mut self, at: u32, bytes: &[u8]) {
        let slot = &mut self.slots[at as usize];
        let before = Self::cost(&slot.bytes);
        let capacity = slot.bytes.capacity();
        if bytes.len() > capacity || capacity > 2 * bytes.len() + 256 {
            slot.bytes = bytes.to_vec();
        } else {
            slot.bytes.clear();
            slot.bytes.extend_from_slice(bytes);
        }
        let after = Self::cost(&slot.bytes);
        self.bytes = self.bytes - before + after;
        if slot.kind == Kind::Probation {
            self.probation_bytes = self.probation_bytes - before + after;
        }
    }

    /// Makes room for `more` bytes without touching the record at `spared`.
    fn make_room(&mut self, more: usize, probation: bool, spared: u32, now_ms: u64, events: &mut Events) -> Result<()> {
        if self.bytes + more > self.budget {
            self.sweep(now_ms, EXPIRED_FIRST, events);
        }
        while probation && self.probation_bytes + more > self.budget / 4 {
            let oldest = self.probation.last();
            if oldest == NONE || !self.evict(oldest, spared, events) {
                break;
            }
        }
        let mut busy = 0;
        while self.bytes + more > self.budget {
            // Those that cannot go are moved out of the way below, so that the look goes on to others.
            let victim = if self.probation.last() == NONE || busy > self.probation.len() {
                self.proven.last()
            } else {
                self.probation.last()
            };
            if victim == NONE || busy > LOCKED_PASSED {
                return Err(Error::unavailable(
                    format!("memory driver: full at {} bytes a shard, and what is in it is locked", self.budget),
                    true,
                ));
            }
            if !self.evict(victim, spared, events) {
                // In use by an exclusive request, or the one that grows: look behind it.
                self.unlink_recent(victim);
                self.link_recent(victim);
                busy += 1;
            }
        }
        Ok(())
    }

    fn evict(&mut self, at: u32, spared: u32, events: &mut Events) -> bool {
        let slot = &self.slots[at as usize];
        if at == spared || slot.lock != 0 {
            return false;
        }
        if slot.kind != Kind::Marker {
            events.note(EventKind::Evicted, &slot.locator);
        }
        self.remove(at);
        true
    }

    /// A clock that was ahead is set back: the sweep goes back with it, before anything is filed by the new time. What is
    /// filed under later granules is met again within one round.
    fn notice(&mut self, now_ms: u64) {
        if now_ms < self.due.saturating_mul(self.granule_ms) {
            self.due = now_ms / self.granule_ms;
            self.due_left = None;
        }
    }

    /// Looks at entries whose granule has passed, at no more than `limit` of them. Empty buckets are stepped over, at most
    /// one round of them.
    fn sweep(&mut self, now_ms: u64, limit: usize, events: &mut Events) -> Swept {
        let mut swept = Swept::default();
        let now_granule = now_ms / self.granule_ms;
        self.notice(now_ms);
        if now_granule.saturating_sub(self.due) > BUCKETS as u64 {
            // A whole round has passed: every bucket is due once, none twice.
            self.due = now_granule - BUCKETS as u64;
            self.due_left = None;
        }
        while swept.looked_at < limit {
            if self.due >= now_granule {
                swept.finished = true;
                break;
            }
            let bucket = &self.wheel[Self::bucket(self.due)];
            let (at, left) = (bucket.first(), self.due_left.unwrap_or(bucket.len()));
            if left == 0 || at == NONE {
                self.due += 1;
                self.due_left = None;
                continue;
            }
            self.due_left = Some(left - 1);
            swept.looked_at += 1;
            let slot = &self.slots[at as usize];
            if slot.expiry_ms <= now_ms && slot.lock == 0 {
                if slot.kind != Kind::Marker {
                    events.note(EventKind::Expired, &slot.locator);
                    swept.removed += 1;
                }
                self.remove(at);
            } else {
                // Extended since, or due in a later round, or locked: once more in time.
                let expiry_ms = slot.expiry_ms.max(now_ms);
                self.unfile(at);
                self.file_under(at, expiry_ms);
            }
        }
        swept
    }
}

impl Shards {
    fn number(&self, locator: &Locator) -> usize {
        usize::from(locator.0[0]) & (self.shards.len() - 1)
    }

    fn of(&self, locator: &Locator) -> &Shard {
        &self.shards[self.number(locator)]
    }

    fn update(
        &self,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        mut asker: Asker,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        let shard = self.of(locator);
        let target = to.filter(|to| self.number(to) != self.number(locator)).map(|to| self.of(to));
        // Two shards are entered in the order of their numbers, whatever moves where. Waiting for a lock gives up only
        // the first, so nobody waits with the second in hand.
        let below = to.is_some_and(|to| self.number(to) < self.number(locator));
        loop {
            let mut other = if below { target.map(Shard::enter) } else { None };
            let state = shard.enter();
            let (mut state, found) = match other {
                None => shard.wait(state, locator, asker)?,
                Some(_) => match shard.wait(state, locator, Asker { timeout_ms: 0, ..asker }) {
                    Ok(free) => free,
                    Err(_) => {
                        drop(other.take());
                        let began = Instant::now();
                        drop(shard.wait(shard.enter(), locator, asker)?);
                        // Somebody else may be quicker: what was waited for counts.
                        let waited = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                        asker.timeout_ms = asker.timeout_ms.saturating_sub(waited);
                        continue;
                    }
                },
            };
            if !below {
                other = target.map(Shard::enter);
            }
            state.notice(now_ms);
            if let Some(other) = &mut other {
                other.notice(now_ms);
            }
            let Some(at) = state.living(found, now_ms) else {
                let updated = state.moved(found, now_ms);
                // A record that is met expired goes at once, or a clock that is set back would bring it to life again.
                if let Some(at) = found
                    && updated == Updated::Gone
                {
                    if state.slots[at as usize].kind != Kind::Marker {
                        events.note(EventKind::Expired, locator);
                    }
                    state.remove(at);
                    shard.unlocked.notify_all();
                }
                return Ok(updated);
            };
            if let Some(to) = to {
                let taken = other.as_ref().map_or_else(|| state.find(to), |other| other.find(to));
                if taken.is_some() {
                    return Ok(Updated::Taken);
                }
            }
            let mut new = std::mem::take(&mut state.scratch);
            new.clear();
            let verdict = edit(&state.slots[at as usize].bytes, &mut new)?;
            let Verdict::Write { expiry_ms } = verdict else {
                return Ok(Updated::Done);
            };
            match to {
                None => {
                    // First of all it has been used: so it is not the one that has to make room.
                    state.used(at, now_ms);
                    let grown = new.len().saturating_sub(state.slots[at as usize].bytes.capacity());
                    state.make_room(grown, false, at, now_ms, events)?;
                    state.replace(at, &new);
                    state.set_expiry(at, expiry_ms);
                }
                Some(to) => {
                    let needed = new.len() + State::cost(&Vec::new());
                    other.as_mut().unwrap_or(&mut state).make_room(
                        needed,
                        false,
                        at_if_same(at, target),
                        now_ms,
                        events,
                    )?;
                    // The user behind this id is real: the record does not start in probation again.
                    other.as_mut().unwrap_or(&mut state).insert(to, new.clone(), expiry_ms, Kind::Proven);
                    state.used(at, now_ms);
                    state.replace(at, &[]);
                    state.slots[at as usize].kind = Kind::Marker;
                    state.slots[at as usize].lock = 0;
                    state.set_expiry(at, now_ms.saturating_add(MOVED_MARKER_MS));
                    shard.unlocked.notify_all();
                }
            }
            if new.capacity() <= KEPT_SCRATCH_BYTES {
                state.scratch = new;
            }
            return Ok(Updated::Done);
        }
    }

    fn delete(&self, locator: &Locator, now_ms: u64, asker: Asker, events: &mut Events) -> Result<bool> {
        let shard = self.of(locator);
        let (mut state, found) = shard.wait(shard.enter(), locator, asker)?;
        match found {
            Some(at) if state.slots[at as usize].kind != Kind::Marker => {
                let lived = state.slots[at as usize].expiry_ms > now_ms;
                state.remove(at);
                shard.unlocked.notify_all();
                events.note(if lived { EventKind::Destroyed } else { EventKind::Expired }, locator);
                Ok(lived)
            }
            _ => Ok(false),
        }
    }

    fn load(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Option<Loaded> {
        let mut state = self.of(locator).enter();
        let at = state.find(locator)?;
        let slot = &state.slots[at as usize];
        if slot.kind == Kind::Marker {
            return None;
        }
        if slot.expiry_ms <= now_ms {
            if slot.lock == 0 {
                state.remove(at);
                events.note(EventKind::Expired, locator);
            }
            return None;
        }
        let loaded = Loaded::new(slot.bytes.clone(), 0..slot.bytes.len(), slot.expiry_ms);
        state.used(at, now_ms);
        Some(loaded)
    }
}

/// The slot that must stay while room is made, if it is in the shard where room is made.
fn at_if_same(at: u32, other_shard: Option<&Shard>) -> u32 {
    if other_shard.is_some() { NONE } else { at }
}

impl Records for Memory {
    fn load(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<Option<Loaded>> {
        Ok(self.shards.get()?.load(locator, now_ms, events))
    }

    fn update(
        &self,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        self.shards.get()?.update(locator, to, now_ms, self.asker(), edit, events)
    }

    fn delete(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<bool> {
        self.shards.get()?.delete(locator, now_ms, self.asker(), events)
    }
}

impl Driver for Memory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            client_side: false,
            revocable: true,
            shared_between_processes: false,
            survives_restart: false,
            max_bytes: self.max_bytes,
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
        let mut state = self.shards.get()?.of(locator).enter();
        state.notice(now_ms);
        if let Some(at) = state.find(locator) {
            if state.slots[at as usize].expiry_ms > now_ms || state.slots[at as usize].lock != 0 {
                return Ok(false);
            }
            state.remove(at);
        }
        let bytes = bytes.to_vec();
        state.make_room(State::cost(&bytes), true, NONE, now_ms, events)?;
        state.insert(locator, bytes, expiry_ms, Kind::Probation);
        Ok(true)
    }

    fn lock(&self, locator: &Locator, now_ms: u64, timeout_ms: Option<u64>) -> Result<Option<Box<dyn Records>>> {
        let generation = fork::generation()?;
        let asker = Asker { lock: 0, timeout_ms: timeout_ms.unwrap_or(self.lock_timeout_ms) };
        let shard = self.shards.get()?.of(locator);
        let (mut state, found) = shard.wait(shard.enter(), locator, asker)?;
        let Some(at) = state.living(found, now_ms) else {
            return Ok(None);
        };
        // 0 is "not locked". After 2^32 locks of a shard a number comes again; its first holder is long gone.
        state.last_lock = state.last_lock.checked_add(1).unwrap_or(1);
        let number = state.last_lock;
        state.slots[at as usize].lock = number;
        Ok(Some(Box::new(Held { shards: self.shards.clone(), locator: *locator, number, generation })))
    }

    fn waiting(&self, timeout_ms: u64) -> Option<Arc<dyn Driver>> {
        Some(Arc::new(Memory { shards: self.shards.clone(), lock_timeout_ms: timeout_ms, max_bytes: self.max_bytes }))
    }

    fn sweep(&self, now_ms: u64, limit: usize, events: &mut Events) -> Result<Swept> {
        let shards = self.shards.get()?;
        let mut total = Swept::default();
        for _ in 0..shards.shards.len() {
            let number = shards.sweeping.load(Ordering::Relaxed) % shards.shards.len();
            let swept = shards.shards[number].enter().sweep(now_ms, limit - total.looked_at, events);
            total.looked_at += swept.looked_at;
            total.removed += swept.removed;
            if !swept.finished {
                return Ok(total);
            }
            shards.sweeping.store(number + 1, Ordering::Relaxed);
            if total.looked_at == limit {
                return Ok(total);
            }
        }
        total.finished = true;
        Ok(total)
    }

    fn iterate(&self, now_ms: u64, visit: &mut dyn FnMut(RecordInfo) -> bool) -> Result<()> {
        for shard in &self.shards.get()?.shards {
            // Copied out, so that no caller's code runs under the lock.
            let records: Vec<RecordInfo> = {
                let state = shard.enter();
                let lives = |slot: &&Slot| !matches!(slot.kind, Kind::Free | Kind::Marker) && slot.expiry_ms > now_ms;
                let info = |slot: &Slot| RecordInfo {
                    locator: slot.locator,
                    expiry_ms: slot.expiry_ms,
                    bytes: slot.bytes.len(),
                };
                state.slots.iter().filter(lives).map(info).collect()
            };
            if !records.into_iter().all(&mut *visit) {
                break;
            }
        }
        Ok(())
    }

    fn stats(&self) -> DriverStats {
        let Ok(shards) = self.shards.get() else {
            return DriverStats::default();
        };
        let (mut records, mut bytes) = (0, 0);
        for shard in &shards.shards {
            let state = shard.enter();
            records += state.index.len() as u64;
            bytes += state.bytes as u64;
        }
        DriverStats { records: Some(records), bytes: Some(bytes) }
    }
}

/// A lock on one record, given back on drop.
struct Held {
    shards: Arc<PerProcess<Shards>>,
    locator: Locator,
    number: u32,
    generation: u64,
}

impl Held {
    /// The holder itself waits for nobody.
    fn asker(&self) -> Asker {
        Asker { lock: self.number, timeout_ms: 0 }
    }
}

impl Records for Held {
    fn load(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<Option<Loaded>> {
        Ok(self.shards.get()?.load(locator, now_ms, events))
    }

    fn update(
        &self,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        self.shards.get()?.update(locator, to, now_ms, self.asker(), edit, events)
    }

    fn delete(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<bool> {
        self.shards.get()?.delete(locator, now_ms, self.asker(), events)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if fork::check(self.generation).is_err() {
            // The child's locks are others, and may have the same numbers.
            return;
        }
        let Ok(shards) = self.shards.get() else { return };
        let shard = shards.of(&self.locator);
        let mut state = shard.enter();
        if let Some(at) = state.find(&self.locator)
            && state.slots[at as usize].lock == self.number
        {
            state.slots[at as usize].lock = 0;
            shard.unlocked.notify_all();
        }
    }
}
