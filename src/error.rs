//! Errors: one type, one table of kinds.
//!
//! The table gives every language the same kinds: C status numbers, Python exceptions, TypeScript
//! codes. "Not there" is a value and never an error. No message carries an id, a value or a secret.

use std::borrow::Cow;
use std::fmt;

/// What went wrong, in the nine kinds that all languages share.
///
/// The numbers are those of the C library; they are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorKind {
    /// A call was given something it cannot take: a NULL handle, a key that is too long, text that is not UTF-8.
    InvalidArgument = -1,
    /// The configuration document is wrong. The message names the field.
    InvalidConfig = -2,
    /// A value is not JSON as the engine keeps it, or of another type than the call needs. The message names the reason.
    InvalidValue = -3,
    /// Something is over its limit. The message gives the limit and the size.
    TooLarge = -4,
    /// The storage did not do it: I/O, a full disk, a lock held too long.
    Unavailable = -5,
    /// A stored record cannot be read.
    Corrupt = -6,
    /// This driver, platform or version of the format does not offer it.
    Unsupported = -7,
    /// The call does not fit the state of the handle: a write to a read-only session, use after `destroy` or across `fork`.
    Misuse = -8,
    /// A bug in Holdall, caught before it could harm the caller.
    Panic = -9,
}

impl ErrorKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [ErrorKind; 9] = [
        ErrorKind::InvalidArgument,
        ErrorKind::InvalidConfig,
        ErrorKind::InvalidValue,
        ErrorKind::TooLarge,
        ErrorKind::Unavailable,
        ErrorKind::Corrupt,
        ErrorKind::Unsupported,
        ErrorKind::Misuse,
        ErrorKind::Panic,
    ];

    /// The kind's name, the same in every language, vector and log line.
    pub const fn name(self) -> &'static str {
        match self {
            ErrorKind::InvalidArgument => "invalid_argument",
            ErrorKind::InvalidConfig => "invalid_config",
            ErrorKind::InvalidValue => "invalid_value",
            ErrorKind::TooLarge => "too_large",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Misuse => "misuse",
            ErrorKind::Panic => "panic",
        }
    }

    /// The status number of the C library: negative, fixed for ever.
    pub const fn code(self) -> i32 {
        self as i32
    }
}

/// An error: its kind, a sentence, and what lay beneath.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    retryable: bool,
    maybe_written: bool,
    locked: bool,
}

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes an error of a kind with a sentence. Own drivers in Rust use it too.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            source: None,
            retryable: false,
            maybe_written: false,
            locked: false,
        }))
    }

    pub(crate) fn argument(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn config(field: &str, reason: impl fmt::Display) -> Error {
        Error::new(ErrorKind::InvalidConfig, format!("config field `{field}`: {reason}"))
    }

    pub(crate) fn value(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::InvalidValue, message)
    }

    pub(crate) fn too_large(what: &str, limit: usize, size: usize) -> Error {
        Error::new(ErrorKind::TooLarge, format!("{what}: the limit is {limit}, this is {size}"))
    }

    pub(crate) fn corrupt(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::Corrupt, message)
    }

    pub(crate) fn unsupported(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::Unsupported, message)
    }

    pub(crate) fn misuse(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::Misuse, message)
    }

    /// An `unavailable` error. Nothing is known to have been written; see [`Error::after_write`].
    pub fn unavailable(message: impl Into<Cow<'static, str>>, retryable: bool) -> Error {
        let mut error = Error::new(ErrorKind::Unavailable, message);
        error.0.retryable = retryable;
        error
    }

    /// An `unavailable` error of a record that another request has locked; retryable.
    pub fn locked(message: impl Into<Cow<'static, str>>) -> Error {
        let mut error = Error::unavailable(message, true);
        error.0.locked = true;
        error
    }

    /// Says that the write may have happened although it failed, as after an I/O error in `fdatasync`.
    #[must_use]
    pub fn after_write(mut self) -> Error {
        self.0.maybe_written = true;
        self
    }

    pub(crate) fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        self.0.source = Some(Box::new(source));
        self
    }

    /// The same error in better words.
    pub(crate) fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Error {
        self.0.message = message.into();
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The sentence, without the cause beneath it.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether the same call may succeed later without anything being changed: a lock that was held, a full disk.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// Whether the call failed because another request has the record locked, and nothing else is wrong: it is retryable, and
    /// succeeds once the lock is given back. An event loop tries again after a while.
    pub fn is_locked(&self) -> bool {
        self.0.locked
    }

    /// Whether the write may have taken effect although the call failed. A commit that is repeated finds out by itself.
    pub fn may_have_written(&self) -> bool {
        self.0.maybe_written
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.0.kind.name())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_name_and_negative_number() {
        for (index, kind) in ErrorKind::ALL.iter().enumerate() {
            assert_eq!(kind.code(), -(i32::try_from(index).expect("nine kinds") + 1));
            assert_eq!(ErrorKind::ALL.iter().filter(|other| other.name() == kind.name()).count(), 1);
        }
    }

    #[test]
    fn a_size_error_gives_limit_and_size() {
        assert_eq!(Error::too_large("record", 10, 11).message(), "record: the limit is 10, this is 11");
    }
}
