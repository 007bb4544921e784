//! Errors: the engine's kinds as the exceptions of holdall/errors.py.

use engine::{Error, ErrorKind};
use pyo3::exceptions::PyUnicodeDecodeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyType};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The exception of a kind: its class in holdall/errors.py.
fn class_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidArgument => "InvalidArgumentError",
        ErrorKind::InvalidConfig => "InvalidConfigError",
        ErrorKind::InvalidValue => "InvalidValueError",
        ErrorKind::TooLarge => "TooLargeError",
        ErrorKind::Unavailable => "UnavailableError",
        ErrorKind::Corrupt => "CorruptError",
        ErrorKind::Unsupported => "UnsupportedError",
        ErrorKind::Misuse => "MisuseError",
        // `ErrorKind` may grow; a kind that has no class yet is a bug here.
        _ => "PanicError",
    }
}

fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyType>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || py.import("holdall.errors").map(Bound::unbind))?;
    Ok(module.bind(py).getattr(name)?.cast_into()?)
}

fn made(py: Python<'_>, name: &str, message: String) -> PyErr {
    match class(py, name) {
        Ok(class) => PyErr::from_type(class, message),
        Err(error) => error,
    }
}

/// The exception of an engine's error.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let exception = made(py, class_of(error.kind()), error.to_string());
    let value = exception.value(py);
    let flags = [
        ("retryable", error.is_retryable()),
        ("may_have_written", error.may_have_written()),
        ("locked", error.is_locked()),
    ];
    for (name, flag) in flags {
        // Attributes of an exception's instance; where they cannot be set the class says false.
        if flag && let Err(error) = value.setattr(name, true) {
            return error;
        }
    }
    exception
}

/// A value or a key of a type that JSON does not have: a `TypeError`, and an `InvalidValueError`.
pub(crate) fn wrong_type(py: Python<'_>, message: String) -> PyErr {
    made(py, "InvalidTypeError", message)
}

pub(crate) fn invalid_value(py: Python<'_>, message: String) -> PyErr {
    made(py, "InvalidValueError", message)
}

pub(crate) fn invalid_argument(py: Python<'_>, message: String) -> PyErr {
    made(py, "InvalidArgumentError", message)
}

pub(crate) fn misuse(py: Python<'_>, message: &str) -> PyErr {
    made(py, "MisuseError", message.to_owned())
}

/// A string's UTF-8. A lone surrogate has none, and is no text that any other language could read.
pub(crate) fn utf8<'a>(text: &'a Bound<'_, PyString>, what: impl FnOnce() -> String) -> PyResult<&'a str> {
    text.to_str().map_err(|error| {
        let py = text.py();
        debug_assert!(!error.is_instance_of::<PyUnicodeDecodeError>(py));
        invalid_value(py, format!("{} has a lone surrogate, which is no character", what()))
    })
}

/// Runs a call of the engine. A panic in it is a bug of Holdall; it becomes an exception that `except Exception` catches.
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(of_panic(&*panic)))
}

fn of_panic(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Error::new(ErrorKind::Panic, format!("a bug in Holdall, please report it: {text}"))
}
