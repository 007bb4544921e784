//! What a `fork` may not carry into the child: locks, memory sessions, the lock on a file.
//!
//! A generation is a random number that names this process. It lies in a page that the kernel wipes in the child,
//! so that even a raw `clone()` is noticed. Knows nothing of sessions. One of the two places in the engine with `unsafe`
//! (the other is the C interface); each block has its proof.
#![allow(unsafe_code)]

use crate::error::{Error, ErrorKind, Result};
use crate::id::random_bytes;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};

/// Why the engine's locks are std's: parking_lot's table of parked threads is global, and a child forked while another
/// thread was parked hung in 6 of 20 runs. `benches/locks.rs` measures both.
static PAGE: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());

/// The number of this process. Differs in a forked child, and between any two children.
pub(crate) fn generation() -> Result<u64> {
    let mut page = PAGE.load(Ordering::Acquire);
    if page.is_null() {
        page = prepare()?;
    }
    // SAFETY: `page` came from `prepare`, which maps a zeroed, aligned page and never unmaps the one it publishes;
    // zero bytes are a valid AtomicU64, and so is the page after the kernel wiped it.
    let cell = unsafe { &*page };
    match cell.load(Ordering::Acquire) {
        0 => {
            let fresh = u64::from_ne_bytes(random_bytes()?).max(1);
            // Two threads may meet here after a fork; the first number stands for both.
            Ok(cell.compare_exchange(0, fresh, Ordering::AcqRel, Ordering::Acquire).map_or_else(|seen| seen, |_| fresh))
        }
        seen => Ok(seen),
    }
}

/// Whether a handle made under this generation belongs to this process.
pub(crate) fn check(generation_then: u64) -> Result<()> {
    if generation()? == generation_then {
        Ok(())
    } else {
        Err(Error::misuse("the handle was opened before a fork and cannot be used in the child; open a new one"))
    }
}

/// How many counters stand for one, so that two cores seldom write to the same line of memory: such a write costs 50 ns, where
/// a line of one's own costs 6.
pub(crate) const STRIPES: usize = 16;

/// A counter, or several that are written together, on two lines of memory of its own.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Stripe<T>(pub(crate) T);

/// Counts the commits of this process. Part of no session: it only makes [`unique`] so.
static COMMITS: [Stripe<AtomicU64>; STRIPES] = [const { Stripe(AtomicU64::new(0)) }; STRIPES];

/// Sixteen bytes that no other commit has, in this process or any other, at the price of one addition where 16 fresh random
/// bytes cost a system call (0.3 us of a commit's 0.6 in memory). Not a secret, and not to be used as one. `near` is any number
/// in which commits that run at the same time are likely to differ.
pub(crate) fn unique(near: u8) -> Result<[u8; 16]> {
    let stripe = usize::from(near) % STRIPES;
    let count = COMMITS[stripe].0.fetch_add(1, Ordering::Relaxed) * STRIPES as u64 + stripe as u64;
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&generation()?.to_le_bytes());
    bytes[8..].copy_from_slice(&count.to_le_bytes());
    Ok(bytes)
}

#[cfg(target_os = "linux")]
fn map_page() -> Result<*mut AtomicU64> {
    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
    let length = rustix::param::page_size();
    let failed = |error| Error::unavailable("no memory for the page that notices a fork", true).with_source(error);
    // SAFETY: a new private mapping at an address of the kernel's choice overlaps nothing.
    let page =
        unsafe { mmap_anonymous(std::ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }
            .map_err(failed)?;
    // SAFETY: `page` and `length` are exactly the mapping made above; the advice changes what a child sees, not this process.
    if let Err(error) = unsafe { madvise(page, length, Advice::LinuxWipeOnFork) } {
        // SAFETY: the mapping was made above and nothing refers to it.
        let _ = unsafe { munmap(page, length) };
        return Err(failed(error));
    }
    Ok(page.cast())
}

#[cfg(not(target_os = "linux"))]
fn map_page() -> Result<*mut AtomicU64> {
    // Without a page the kernel wipes, the child handler below does it: fork is noticed, a raw clone() is not.
    Ok(Box::into_raw(Box::new(AtomicU64::new(0))))
}

fn prepare() -> Result<*mut AtomicU64> {
    let page = map_page()?;
    match PAGE.compare_exchange(std::ptr::null_mut(), page, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            // SAFETY: the handler touches atomics and calls close(2), both async-signal-safe, and lives as long as the
            // process: the library is linked `-z nodelete`.
            let status = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
            if status != 0 {
                return Err(Error::new(ErrorKind::Unavailable, "pthread_atfork has no memory"));
            }
            Ok(page)
        }
        // Another thread was first. Its page stands; ours, one page once in a process, is left.
        Err(first) => Ok(first),
    }
}

extern "C" fn in_child() {
    let page = PAGE.load(Ordering::Acquire);
    if !page.is_null() {
        // SAFETY: see `generation`.
        unsafe { &*page }.store(0, Ordering::Release);
    }
    for slot in &UNINHERITED {
        let fd = slot.swap(NO_FD, Ordering::AcqRel);
        if fd != NO_FD {
            // SAFETY: the slot held a descriptor that its owner, a thread of the parent, had open at the fork. That thread
            // does not exist here, so nobody else will use or close it. Closing it ends the child's share of the lock.
            unsafe { libc::close(fd) };
        }
    }
}

// A flock belongs to the open file, not to the process: a child forked while a thread of the parent holds one, or may come to
// hold one, would keep it held until the child exits. The child closes every descriptor in this table. 2048 sessions that are
// locked or being written at once are far more than a process has threads; one more lock is told `unavailable`.
const NO_FD: RawFd = -1;
static UNINHERITED: [AtomicI32; 2048] = [const { AtomicI32::new(NO_FD) }; 2048];

/// A place in the table of descriptors that a child closes, given back on drop. Unlock before you drop it, and close after.
pub(crate) struct Uninherited(usize);

impl Uninherited {
    /// Enters a descriptor. To be called before the lock is taken.
    pub(crate) fn enter(fd: BorrowedFd<'_>) -> Result<Uninherited> {
        let fd = fd.as_raw_fd();
        // Descriptor numbers are small and unique, so the number itself is a good place to start looking.
        let start = usize::try_from(fd).unwrap_or(0);
        for step in 0..UNINHERITED.len() {
            let place = (start + step) % UNINHERITED.len();
            if UNINHERITED[place].compare_exchange(NO_FD, fd, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Ok(Uninherited(place));
            }
        }
        Err(Error::unavailable(
            "this process holds 2048 sessions that are locked or being written; no more can be at once",
            true,
        ))
    }
}

impl Drop for Uninherited {
    fn drop(&mut self) {
        UNINHERITED[self.0].store(NO_FD, Ordering::Release);
    }
}

/// A value that belongs to one process: after a fork the child sees a fresh one.
///
/// The parent's value is left where it is and never dropped in the child: one of its locks may be held by a thread that
/// does not exist there, and its contents may be half changed.
pub(crate) struct PerProcess<T: Send + Sync> {
    current: AtomicPtr<Owned<T>>,
    make: Box<dyn Fn() -> T + Send + Sync>,
}

struct Owned<T> {
    generation: u64,
    value: T,
}

impl<T: Send + Sync> PerProcess<T> {
    pub(crate) fn new(make: impl Fn() -> T + Send + Sync + 'static) -> PerProcess<T> {
        PerProcess { current: AtomicPtr::new(std::ptr::null_mut()), make: Box::new(make) }
    }

    /// The value of this process, made at the first call in it.
    pub(crate) fn get(&self) -> Result<&T> {
        let generation = generation()?;
        let mut seen = self.current.load(Ordering::Acquire);
        loop {
            if !seen.is_null() {
                // SAFETY: every non-null pointer here came from Box::into_raw below and is freed only in `drop`, which
                // needs `&mut self`; an older generation's value is leaked, never freed, so shared references stay good.
                let owned = unsafe { &*seen };
                if owned.generation == generation {
                    return Ok(&owned.value);
                }
            }
            let fresh = Box::into_raw(Box::new(Owned { generation, value: (self.make)() }));
            match self.current.compare_exchange(seen, fresh, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => seen = fresh,
                Err(first) => {
                    // SAFETY: `fresh` was made two lines up and published nowhere.
                    drop(unsafe { Box::from_raw(fresh) });
                    seen = first;
                }
            }
        }
    }
}

impl<T: Send + Sync> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let last = *self.current.get_mut();
        if last.is_null() {
            return;
        }
        // SAFETY: the pointer came from Box::into_raw in `get`, and `&mut self` says that no reference is left.
        let owned = unsafe { Box::from_raw(last) };
        if generation().ok() != Some(owned.generation) {
            // The parent's value, in a child that never made its own: see above.
            std::mem::forget(owned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_stable_in_one_process_and_never_zero() {
        let first = generation().expect("a page");
        assert_ne!(first, 0);
        assert_eq!(std::thread::spawn(|| generation().expect("a page")).join().expect("no panic"), first);
        assert!(check(first).is_ok());
        assert_eq!(check(first ^ 1).expect_err("another process").kind(), ErrorKind::Misuse);
    }

    #[test]
    fn threads_that_meet_at_the_first_use_see_one_value() {
        let made = std::sync::Arc::new(AtomicU64::new(0));
        let counted = made.clone();
        let value = PerProcess::new(move || counted.fetch_add(1, Ordering::Relaxed));
        let seen: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| *value.get().expect("a page"))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(seen.iter().all(|number| number == &seen[0]));
    }
}
