//! Errors: the engine's kinds and flags, in one line that lib/errors.js reads.

use engine::{Error, ErrorKind};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What napi throws for an engine's error: a message whose first line is the kind and the flags that are set. Properties of an
/// error object would need a way of their own out of a thread; a line takes the same way everywhere.
pub(crate) fn raised(error: &Error) -> napi::Error {
    let mut line = error.kind().name().to_owned();
    let flags = [
        ("retryable", error.is_retryable()),
        ("mayHaveWritten", error.may_have_written()),
        ("locked", error.is_locked()),
    ];
    for (name, flag) in flags {
        if flag {
            line.push(' ');
            line.push_str(name);
        }
    }
    napi::Error::from_reason(format!("{line}\n{error}"))
}

pub(crate) fn invalid_argument(message: String) -> napi::Error {
    raised(&Error::new(ErrorKind::InvalidArgument, message))
}

pub(crate) fn misuse(message: &'static str) -> napi::Error {
    raised(&Error::new(ErrorKind::Misuse, message))
}

/// Runs a call of the engine. A panic in it is a bug of Holdall; it becomes an error and leaves the process alive.
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T, Error>) -> napi::Result<T> {
    let answer = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(of_panic(&*panic)));
    answer.map_err(|error| raised(&error))
}

fn of_panic(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Error::new(ErrorKind::Panic, format!("a bug in Holdall, please report it: {text}"))
}

/// A whole number that JavaScript holds exactly.
pub(crate) fn whole(what: &str, number: f64) -> napi::Result<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds asked for")]
    if (0.0..=9_007_199_254_740_991.0).contains(&number) && number.fract() == 0.0 {
        Ok(number as u64)
    } else {
        Err(invalid_argument(format!("{what} is a whole number from 0 on, not {number}")))
    }
}
