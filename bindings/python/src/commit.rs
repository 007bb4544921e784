//! Commit: what a commit answered.

use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

/// What a commit answered: the outcome, the headers for the response, the conflicts.
#[pyclass(frozen, module = "holdall", name = "Commit")]
pub(crate) struct Commit(pub(crate) engine::Commit);

#[pymethods]
impl Commit {
    #[getter]
    fn outcome(&self) -> &'static str {
        self.0.outcome().name()
    }

    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.headers().iter().map(|(name, value)| (*name, &**value)))
    }

    #[getter]
    fn conflicts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let conflicts = self.0.conflicts().iter();
        PyTuple::new(py, conflicts.map(|conflict| (conflict.key.as_str(), conflict.reason.name())))
    }

    fn __repr__(&self) -> String {
        // No header: one of them carries the token.
        format!("<holdall.Commit {}, {} headers, {} conflicts>", self.outcome(), self.0.headers().len(), self.0.conflicts().len())
    }
}
