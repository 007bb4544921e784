//! Numbers: integer arguments, refused by their name where they are none or out of range.

use crate::error::{invalid_argument, wrong_type};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// What Python says of a negative or a large one names neither the argument nor the bounds, and is no `ValueError`.
fn integer<'a, 'py, T>(given: &'a Bound<'py, PyAny>, name: &str, bounds: &RangeInclusive<T>) -> PyResult<T>
where
    T: FromPyObject<'a, 'py, Error = PyErr> + PartialOrd + Display,
{
    let py = given.py();
    let out_of_range = || {
        let message = format!("{name} is an integer from {} to {}", bounds.start(), bounds.end());
        Err(invalid_argument(py, message))
    };
    match given.extract::<T>() {
        Ok(number) if bounds.contains(&number) => Ok(number),
        Ok(_) => out_of_range(),
        Err(error) if error.is_instance_of::<PyOverflowError>(py) => out_of_range(),
        Err(error) if error.is_instance_of::<PyTypeError>(py) => {
            let kind = given.get_type().qualname()?;
            Err(wrong_type(py, format!("{name} is an integer, not {kind}")))
        }
        Err(error) => Err(error),
    }
}

fn milliseconds(given: &Bound<'_, PyAny>, name: &str) -> PyResult<Option<u64>> {
    if given.is_none() { Ok(None) } else { integer(given, name, &(0..=u64::MAX)).map(Some) }
}

/// The time in milliseconds since the Unix epoch; None for the system's clock.
pub(crate) fn now_ms(given: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
    milliseconds(given, "now_ms")
}

/// How long to wait for a lock; None for as long as is configured. The engine has a bound of its own.
pub(crate) fn lock_timeout_ms(given: &Bound<'_, PyAny>) -> PyResult<Option<u64>> {
    milliseconds(given, "lock_timeout_ms")
}

/// How many entries a sweep looks at; None for all.
pub(crate) fn limit(given: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    if given.is_none() { Ok(None) } else { integer(given, "limit", &(0..=usize::MAX)).map(Some) }
}

/// What is added or taken away.
pub(crate) fn n(given: &Bound<'_, PyAny>) -> PyResult<i64> {
    integer(given, "n", &(i64::MIN..=i64::MAX))
}
