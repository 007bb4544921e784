//! The native half of the Python package: the engine's managers and sessions as Python objects.
//!
//! Adds to the engine what Python's users expect of a mapping, values as Python objects, and containers that are saved when
//! they were changed in place. Sits on the engine's public interface; knows no framework.

mod commit;
mod error;
mod manager;
mod number;
mod session;
mod value;

use pyo3::prelude::*;

/// Makes a key for `keys` in the configuration: 32 random bytes as 43 characters of base64url.
///
/// A secret: whoever has it can make himself any session. Keep it in a file or a variable of the environment, which the
/// configuration can name.
///
/// >>> import holdall
/// >>> key = holdall.generate_key()
/// >>> manager = holdall.SessionManager({"drivers": {"main": {"type": "cookie"}}, "keys": [key]})
#[pyfunction]
fn generate_key(py: Python<'_>) -> PyResult<String> {
    error::guarded(engine::generate_key).map_err(|error| error::raised(py, &error))
}

#[pymodule]
fn _holdall(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<manager::SessionManager>()?;
    module.add_class::<session::Session>()?;
    module.add_class::<commit::Commit>()?;
    module.add_function(wrap_pyfunction!(generate_key, module)?)?;
    Ok(())
}
