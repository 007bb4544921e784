//! Commit: what a commit answered.

use engine::Header;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyString, PyTuple};

/// A header of the response as a pair of strings. The two that stand beside nearly every cookie are made once.
struct Pair<'a>(&'a Header);

impl<'py> IntoPyObject<'py> for Pair<'_> {
    type Target = PyTuple;
    type Output = Bound<'py, PyTuple>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        static VARY: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
        static NO_STORE: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
        let (name, value) = (self.0.0, &*self.0.1);
        let known = match (name, value) {
            ("Vary", "Cookie") => &VARY,
            ("Cache-Control", "no-store") => &NO_STORE,
            ("Set-Cookie", line) => return PyTuple::new(py, [intern!(py, "Set-Cookie"), &PyString::new(py, line)]),
            _ => return (name, value).into_pyobject(py),
        };
        let pair = known.get_or_try_init(py, || (name, value).into_pyobject(py).map(Bound::unbind))?;
        Ok(pair.bind(py).clone())
    }
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
        PyList::new(py, self.0.headers().iter().map(Pair))
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
