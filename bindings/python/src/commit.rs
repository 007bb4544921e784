//! Commit: what a commit answered.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

/// A header's name or value. What is in every answer is made once: five strings would take half of what the list takes.
fn text<'py>(py: Python<'py>, text: &str) -> Bound<'py, PyString> {
    let known = match text {
        "Set-Cookie" => intern!(py, "Set-Cookie"),
        "Cache-Control" => intern!(py, "Cache-Control"),
        "no-store" => intern!(py, "no-store"),
        "Vary" => intern!(py, "Vary"),
        "Cookie" => intern!(py, "Cookie"),
        _ => return PyString::new(py, text),
    };
    known.clone()
}

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
        let headers = self.0.headers().iter();
        PyList::new(py, headers.map(|(name, value)| (text(py, name), text(py, value))))
    }

    #[getter]
    fn conflicts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let conflicts = self.0.conflicts().iter();
        PyTuple::new(py, conflicts.map(|conflict| (conflict.key.as_str(), conflict.reason.name())))
    }

    fn __repr__(&self) -> String {
        // No header: one of them carries the token.
        format!(
            "<holdall.Commit {}, {} headers, {} conflicts>",
            self.outcome(),
            self.0.headers().len(),
            self.0.conflicts().len()
        )
    }
}
