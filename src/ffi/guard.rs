//! The guard round every function, and the handles.

use super::status::LAST_ERROR;
use crate::error::{Error, ErrorKind, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Runs a function's body: an error becomes its status and the thread's message, a panic becomes `HOLDALL_E_PANIC`.
pub(super) fn guard(body: impl FnOnce() -> Result<i32>) -> i32 {
    // Unwind-safe: after a panic the handle is only good to be freed, which the header says.
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        let what = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        let message = format!("a bug in Holdall, please report it: {}", what.unwrap_or("panic"));
        // A payload whose destructor panics must not unwind from here.
        std::mem::forget(payload);
        Err(Error::new(ErrorKind::Panic, message))
    });
    match result {
        Ok(status) => status,
        Err(error) => {
            let flags = u32::from(error.is_retryable())
                | u32::from(error.may_have_written()) << 1
                | u32::from(error.is_locked()) << 2;
            // In a thread that is ending, after its locals are gone, there is nobody left to read the message.
            let _ = LAST_ERROR.try_with(|last| {
                if let Ok(mut last) = last.try_borrow_mut() {
                    last.message = error.to_string();
                    last.flags = flags;
                }
            });
            error.kind().code()
        }
    }
}

/// What a handle points to. The magic number at its head tells types apart, and freed from living as long as the memory lasts.
#[repr(C)]
pub(super) struct Handle<T> {
    magic: AtomicU64,
    busy: AtomicBool,
    value: T,
}

/// A handle's value, in the hands of one call until it is dropped.
pub(super) struct Claim<'a, T> {
    busy: &'a AtomicBool,
    value: *mut T,
}

impl<T> std::ops::Deref for Claim<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `claim` checked the handle and set its flag, so nobody else refers to the value while the claim lasts.
        unsafe { &*self.value }
    }
}

impl<T> std::ops::DerefMut for Claim<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and `&mut self` says that no other reference came from this claim.
        unsafe { &mut *self.value }
    }
}

impl<T> Drop for Claim<'_, T> {
    fn drop(&mut self) {
        self.busy.store(false, Ordering::Release);
    }
}

/// A type that C holds a handle of.
pub(super) trait Opaque: Sized {
    /// What the header calls it.
    const NAME: &'static str;
    /// Differs from type to type, and from anything likely to lie in memory.
    const MAGIC: u64;
    /// The C type.
    type Handle;
}

impl<T: Opaque> Handle<T> {
    pub(super) fn give(value: T) -> *mut T::Handle {
        let handle = Handle { magic: AtomicU64::new(T::MAGIC), busy: AtomicBool::new(false), value };
        Box::into_raw(Box::new(handle)).cast()
    }

    fn check(handle: *const T::Handle) -> Result<*const Handle<T>> {
        let handle: *const Handle<T> = handle.cast();
        if handle.is_null() {
            return Err(Error::argument(format!("the {} handle is NULL", T::NAME)));
        }
        if !handle.is_aligned() {
            return Err(Error::argument(format!("the {} handle is none of this library", T::NAME)));
        }
        // SAFETY: not null and aligned; the header asks that a handle came from this library and was not freed, and every
        // handle of this library begins with its magic number.
        let magic = unsafe { &*handle.cast::<AtomicU64>() };
        if magic.load(Ordering::Relaxed) != T::MAGIC {
            return Err(Error::argument(format!("the {} handle is of another type, or freed", T::NAME)));
        }
        Ok(handle)
    }

    /// The value for reading from any thread.
    ///
    /// # Safety
    /// The handle is NULL, or came from this library and is not freed while `'a` lasts; nobody has it mutably.
    pub(super) unsafe fn shared<'a>(handle: *const T::Handle) -> Result<&'a T> {
        let handle = Self::check(handle)?;
        // SAFETY: `check` found the magic number of this type, so a `Handle<T>` of ours is there; the rest is the condition.
        Ok(unsafe { &(*handle).value })
    }

    /// The value for this call alone. Two calls at once on one handle are noticed and the second is refused.
    ///
    /// # Safety
    /// The handle is NULL, or came from this library and is not freed while the claim lasts.
    pub(super) unsafe fn claim<'a>(handle: *const T::Handle) -> Result<Claim<'a, T>> {
        let handle = Self::check(handle)?.cast_mut();
        // SAFETY: as in `shared`. Only the flag is borrowed.
        let busy = unsafe { &(*handle).busy };
        if busy.swap(true, Ordering::Acquire) {
            return Err(Error::misuse(format!(
                "the {} is in use by another thread, or by the call this one is made from",
                T::NAME
            )));
        }
        // SAFETY: as above; the address of a field of what is there.
        let value = unsafe { &raw mut (*handle).value };
        Ok(Claim { busy, value })
    }

    /// Frees a handle. NULL does nothing, and neither does a handle of another type.
    ///
    /// # Safety
    /// The handle is NULL, or came from this library, was not freed, and is used by nobody any more.
    pub(super) unsafe fn free(handle: *mut T::Handle) {
        if handle.is_null() {
            return;
        }
        guard(|| {
            let handle = Self::check(handle)?.cast_mut();
            // SAFETY: `check` found the magic number of this type: the box that `give` made.
            let handle = unsafe { Box::from_raw(handle) };
            handle.magic.store(0, Ordering::Relaxed);
            drop(handle);
            Ok(0)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status_and_a_message() {
        let status = guard(|| panic!("planted"));

        assert_eq!(status, ErrorKind::Panic.code());
        assert!(LAST_ERROR.with_borrow(|last| last.message.contains("planted")));
    }
}
