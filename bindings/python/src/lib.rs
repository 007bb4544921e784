//! The native half of the Python package: the engine's managers and sessions as Python objects.
//!
//! Adds to the engine what Python's users expect of a mapping, values as Python objects, and containers that are saved when
//! they were changed in place. Sits on the engine's public interface; knows no framework.

mod commit;
mod error;
mod manager;
mod session;
mod value;

use pyo3::prelude::*;

#[pymodule]
fn _holdall(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<manager::SessionManager>()?;
    module.add_class::<session::Session>()?;
    module.add_class::<commit::Commit>()?;
    Ok(())
}
