//! Status numbers, and what the last failed call of this thread left to say.

use super::bytes::holdall_slice;
use crate::{ConflictReason, ErrorKind, EventKind, Outcome};
use std::cell::RefCell;
use std::ffi::c_char;

/// Done.
pub const HOLDALL_OK: i32 = 0;
/// Not there: a missing key, an index past the end, no such record. Not an error.
pub const HOLDALL_NOT_FOUND: i32 = 1;
/// A commit had nothing to store.
pub const HOLDALL_UNCHANGED: i32 = 2;
/// A commit found that the record was destroyed or has vanished. Nothing was stored.
pub const HOLDALL_GONE: i32 = 3;
/// A commit found that another request has changed the id. Nothing was stored.
pub const HOLDALL_MOVED: i32 = 4;
/// The call was given something it cannot take: NULL, a wrong length, text that is not UTF-8, a handle of another type.
pub const HOLDALL_E_INVALID_ARGUMENT: i32 = -1;
/// The configuration is wrong. The message names the field.
pub const HOLDALL_E_INVALID_CONFIG: i32 = -2;
/// A value is not JSON as the engine keeps it, or of another type than the call needs.
pub const HOLDALL_E_INVALID_VALUE: i32 = -3;
/// Something is over its limit. The message gives limit and size.
pub const HOLDALL_E_TOO_LARGE: i32 = -4;
/// The storage did not do it. holdall_last_error_flags() says whether to try again, and whether it may have happened.
pub const HOLDALL_E_UNAVAILABLE: i32 = -5;
/// A stored record cannot be read.
pub const HOLDALL_E_CORRUPT: i32 = -6;
/// This driver, platform or version of the format does not offer it.
pub const HOLDALL_E_UNSUPPORTED: i32 = -7;
/// The call does not fit the state of the handle.
pub const HOLDALL_E_MISUSE: i32 = -8;
/// A bug in Holdall, caught before it could harm the caller. The handle should only be freed.
pub const HOLDALL_E_PANIC: i32 = -9;

/// The same call may succeed later without anything being changed.
pub const HOLDALL_RETRYABLE: u32 = 1;
/// The write may have taken effect although the call failed. A commit that is repeated finds out by itself.
pub const HOLDALL_MAY_HAVE_WRITTEN: u32 = 2;
/// Another request has the session locked, and nothing else is wrong. HOLDALL_RETRYABLE is set too: an event loop tries again after
/// a while.
pub const HOLDALL_LOCKED: u32 = 4;

/// The version of this binary interface. A program built against version n runs with every library that answers n.
pub const HOLDALL_ABI_VERSION: u32 = 1;

const _: () = {
    assert!(HOLDALL_E_INVALID_ARGUMENT == ErrorKind::InvalidArgument.code());
    assert!(HOLDALL_E_INVALID_CONFIG == ErrorKind::InvalidConfig.code());
    assert!(HOLDALL_E_INVALID_VALUE == ErrorKind::InvalidValue.code());
    assert!(HOLDALL_E_TOO_LARGE == ErrorKind::TooLarge.code());
    assert!(HOLDALL_E_UNAVAILABLE == ErrorKind::Unavailable.code());
    assert!(HOLDALL_E_CORRUPT == ErrorKind::Corrupt.code());
    assert!(HOLDALL_E_UNSUPPORTED == ErrorKind::Unsupported.code());
    assert!(HOLDALL_E_MISUSE == ErrorKind::Misuse.code());
    assert!(HOLDALL_E_PANIC == ErrorKind::Panic.code());
};

pub(super) fn of_outcome(outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Saved => HOLDALL_OK,
        Outcome::Unchanged => HOLDALL_UNCHANGED,
        Outcome::Gone => HOLDALL_GONE,
        Outcome::Moved => HOLDALL_MOVED,
    }
}

/// Why an operation is in a commit's list of conflicts: the number of holdall_commit_conflict().
pub const HOLDALL_CONFLICT_NOT_AN_INTEGER: i32 = 1;
/// An increment would have gone beyond 64 bits. It was skipped.
pub const HOLDALL_CONFLICT_OUT_OF_RANGE: i32 = 2;
/// A push met a value that is no longer an array. It was skipped.
pub const HOLDALL_CONFLICT_NOT_AN_ARRAY: i32 = 3;
/// A container changed in place was changed by another request too. This request's value was stored.
pub const HOLDALL_CONFLICT_OVERWRITTEN: i32 = 4;

pub(super) fn of_conflict(reason: ConflictReason) -> i32 {
    match reason {
        ConflictReason::NotAnInteger => HOLDALL_CONFLICT_NOT_AN_INTEGER,
        ConflictReason::OutOfRange => HOLDALL_CONFLICT_OUT_OF_RANGE,
        ConflictReason::NotAnArray => HOLDALL_CONFLICT_NOT_AN_ARRAY,
        ConflictReason::Overwritten => HOLDALL_CONFLICT_OVERWRITTEN,
    }
}

/// A record was made.
pub const HOLDALL_EVENT_CREATED: i32 = 0;
/// A record got a new id.
pub const HOLDALL_EVENT_REGENERATED: i32 = 1;
/// A record was destroyed.
pub const HOLDALL_EVENT_DESTROYED: i32 = 2;
/// A commit found its record vanished.
pub const HOLDALL_EVENT_GONE: i32 = 3;
/// A commit found its id changed by another request.
pub const HOLDALL_EVENT_MOVED: i32 = 4;
/// An expired record was removed.
pub const HOLDALL_EVENT_EXPIRED: i32 = 5;
/// A record was removed to make room (memory).
pub const HOLDALL_EVENT_EVICTED: i32 = 6;
/// A commit listed a conflict.
pub const HOLDALL_EVENT_CONFLICT: i32 = 7;
/// A stored record could not be read and was set aside.
pub const HOLDALL_EVENT_QUARANTINED: i32 = 8;
/// The newest state of a record was damaged, the one before it is used.
pub const HOLDALL_EVENT_ROLLED_BACK: i32 = 9;
/// A well-formed token named no record.
pub const HOLDALL_EVENT_UNKNOWN_TOKEN: i32 = 10;
/// A token had not the form of one.
pub const HOLDALL_EVENT_MALFORMED_TOKEN: i32 = 11;
/// The storage did not do what it should.
pub const HOLDALL_EVENT_UNAVAILABLE: i32 = 12;

#[derive(Default)]
pub(super) struct LastError {
    pub(super) message: String,
    pub(super) flags: u32,
}

thread_local! {
    pub(super) static LAST_ERROR: RefCell<LastError> = RefCell::default();
}

/// The version of the binary interface this library has. Compare it with HOLDALL_ABI_VERSION where it is loaded at run time.
#[unsafe(no_mangle)]
pub extern "C" fn holdall_abi_version() -> u32 {
    HOLDALL_ABI_VERSION
}

/// The library's release, as "0.1.0". NUL-terminated, lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn holdall_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The name of a status, as "ok", "gone" or "unavailable"; "unknown" for any other number. NUL-terminated, lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn holdall_status_name(status: i32) -> *const c_char {
    match status {
        HOLDALL_OK => c"ok",
        HOLDALL_NOT_FOUND => c"not_found",
        HOLDALL_UNCHANGED => c"unchanged",
        HOLDALL_GONE => c"gone",
        HOLDALL_MOVED => c"moved",
        HOLDALL_E_INVALID_ARGUMENT => c"invalid_argument",
        HOLDALL_E_INVALID_CONFIG => c"invalid_config",
        HOLDALL_E_INVALID_VALUE => c"invalid_value",
        HOLDALL_E_TOO_LARGE => c"too_large",
        HOLDALL_E_UNAVAILABLE => c"unavailable",
        HOLDALL_E_CORRUPT => c"corrupt",
        HOLDALL_E_UNSUPPORTED => c"unsupported",
        HOLDALL_E_MISUSE => c"misuse",
        HOLDALL_E_PANIC => c"panic",
        _ => c"unknown",
    }
    .as_ptr()
}

/// The name of an event's kind, as "created" or "rolled_back"; "unknown" for any other number. NUL-terminated, lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn holdall_event_name(kind: i32) -> *const c_char {
    const NAMES: [&std::ffi::CStr; EventKind::ALL.len()] = [
        c"created",
        c"regenerated",
        c"destroyed",
        c"gone",
        c"moved",
        c"expired",
        c"evicted",
        c"conflict",
        c"quarantined",
        c"rolled_back",
        c"unknown_token",
        c"malformed_token",
        c"unavailable",
    ];
    usize::try_from(kind).ok().and_then(|kind| NAMES.get(kind)).unwrap_or(&c"unknown").as_ptr()
}

/// What the last failed call of this thread has to say: a sentence that names the thing, the limit and the size, and never an
/// id or a value. Empty where none has failed yet. The view lives until this thread's next call that fails.
#[unsafe(no_mangle)]
pub extern "C" fn holdall_last_error_message() -> holdall_slice {
    LAST_ERROR.try_with(|last| holdall_slice::of(last.borrow().message.as_bytes())).unwrap_or(holdall_slice::of(b""))
}

/// HOLDALL_RETRYABLE, HOLDALL_MAY_HAVE_WRITTEN and HOLDALL_LOCKED of the last failed call of this thread.
#[unsafe(no_mangle)]
pub extern "C" fn holdall_last_error_flags() -> u32 {
    LAST_ERROR.try_with(|last| last.borrow().flags).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn the_names_in_c_are_those_of_the_engine() {
        // SAFETY: both functions answer with C strings that live for ever.
        let name = |text: *const c_char| unsafe { CStr::from_ptr(text) }.to_str().expect("ascii");
        for kind in ErrorKind::ALL {
            assert_eq!(name(holdall_status_name(kind.code())), kind.name());
        }
        for kind in EventKind::ALL {
            assert_eq!(name(holdall_event_name(kind as i32)), kind.name());
        }
        assert_eq!(name(holdall_event_name(-1)), "unknown");
        assert_eq!(name(holdall_status_name(i32::MIN)), "unknown");
    }
}
