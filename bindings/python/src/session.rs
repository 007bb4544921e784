//! Session: one request's view of a visitor's data, as a mapping.
//!
//! Adds to the engine's session that a container that was handed out may be changed in place: at commit it is written again
//! and compared with what the engine knows. Lets other threads run where the engine does I/O or may wait.

use crate::commit::Commit;
use crate::error::{guarded, invalid_argument, misuse, raised, utf8, wrong_type};
use crate::number;
use crate::value::{self, is_container};
use engine::CommitOptions;
use pyo3::exceptions::{PyKeyError, PyOverflowError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyMapping, PyString, PyTuple};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

/// One request's view of a visitor's data.
#[pyclass(frozen, mapping, module = "holdall", name = "Session", weakref)]
pub(crate) struct Session {
    state: Mutex<State>,
    does_io: bool,
    reads_only: bool,
}

struct State {
    /// None once it is closed.
    open: Option<Inner>,
    last: Option<Py<Commit>>,
    is_destroyed: bool,
}

/// The exclusive sessions in memory that are open in this process, or being opened. While there is none, no commit in memory
/// waits for anybody: whoever wants to lock a record needs the interpreter first, and the one who commits has it.
static EXCLUSIVE: AtomicUsize = AtomicUsize::new(0);

/// One of [`EXCLUSIVE`], from before it asks for its lock until that is given back.
pub(crate) struct Counted(());

impl Counted {
    pub(crate) fn new() -> Counted {
        EXCLUSIVE.fetch_add(1, Ordering::AcqRel);
        Counted(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        EXCLUSIVE.fetch_sub(1, Ordering::AcqRel);
    }
}

struct Inner {
    session: Box<engine::Session>,
    /// Behind the session, which has the lock: dropped after it.
    _counted: Option<Counted>,
    /// The record has been looked for, so that reading costs no I/O any more.
    is_loaded: bool,
    ended: bool,
    /// Lists and dicts of the data that the caller has in its hands, by key. Those of flash are copies: they are on their way
    /// out, and a key may be in both.
    handed: Vec<(Box<str>, Py<PyAny>)>,
}

/// A session in the hands of one call.
struct Entered<'a>(MutexGuard<'a, State>);

impl Deref for Entered<'_> {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        self.0.open.as_ref().expect("`enter` found it open")
    }
}

impl DerefMut for Entered<'_> {
    fn deref_mut(&mut self) -> &mut Inner {
        self.0.open.as_mut().expect("`enter` found it open")
    }
}

/// A key as Python gives it.
struct Key<'a, 'py>(&'a Bound<'py, PyAny>);

impl<'a> Key<'a, '_> {
    fn text(&self) -> PyResult<&'a str> {
        match self.0.cast::<PyString>() {
            Ok(text) => utf8(text, || "a key".to_owned()),
            Err(_) => {
                let kind = self.0.get_type().qualname()?;
                Err(wrong_type(self.0.py(), format!("a session's keys are str, not {kind}")))
            }
        }
    }
}

fn texts(keys: &Bound<'_, PyTuple>) -> PyResult<Vec<String>> {
    keys.iter().map(|key| Key(&key).text().map(str::to_owned)).collect()
}

fn borrowed(keys: &[String]) -> Vec<&str> {
    keys.iter().map(String::as_str).collect()
}

/// Whole seconds of a number or a timedelta; None is "as configured".
fn seconds(given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<u64>> {
    let Some(given) = given else { return Ok(None) };
    let number = match given.getattr("total_seconds") {
        Ok(total) => total.call0()?.extract::<f64>()?,
        Err(_) => match given.extract::<f64>() {
            Ok(number) => number,
            // Larger than any float: as large as any that is too large.
            Err(error) if error.is_instance_of::<PyOverflowError>(given.py()) => f64::INFINITY,
            Err(_) => {
                let kind = given.get_type().qualname()?;
                let message = format!("a timeout is a number of seconds or a timedelta, not {kind}");
                return Err(wrong_type(given.py(), message));
            }
        },
    };
    // What is too large saturates, and is refused by the engine with its bounds; NaN and what is negative by this one.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as said")]
    if number >= 1.0 {
        Ok(Some(number as u64))
    } else {
        Err(invalid_argument(given.py(), format!("a timeout is at least a second, this is {number}")))
    }
}

impl Inner {
    fn handed(&self, key: &str) -> Option<usize> {
        self.handed.iter().position(|(name, _)| **name == *key)
    }

    fn let_go(&mut self, key: &str) {
        if let Some(at) = self.handed(key) {
            self.handed.swap_remove(at);
        }
    }

    fn hand_out(&mut self, key: &str, object: &Bound<'_, PyAny>) {
        self.let_go(key);
        self.handed.push((key.into(), object.clone().unbind()));
    }

    /// Tells the engine if the container under this key was changed in place.
    fn settle(&mut self, py: Python<'_>, key: &str) -> PyResult<()> {
        match self.handed(key) {
            Some(at) => self.settle_at(py, at),
            None => Ok(()),
        }
    }

    fn settle_all(&mut self, py: Python<'_>) -> PyResult<()> {
        (0..self.handed.len()).try_for_each(|at| self.settle_at(py, at))
    }

    fn settle_at(&mut self, py: Python<'_>, at: usize) -> PyResult<()> {
        let Inner { session, handed, ended: false, .. } = self else { return Ok(()) };
        let (key, object) = &handed[at];
        let now = value::written(key, object.bind(py))?;
        let Some(before) = session.data_json(key).map_err(|error| raised(py, &error))? else { return Ok(()) };
        // Another language may have written the same value with other white space.
        if before == now || value::written(key, &value::read(py, before)?)? == now {
            return Ok(());
        }
        session.replace_json(key, &now).map_err(|error| raised(py, &error))
    }
}

impl Session {
    pub(crate) fn new(session: Box<engine::Session>, does_io: bool, mode: &str, counted: Option<Counted>) -> Session {
        let inner = Inner {
            session,
            _counted: counted,
            is_loaded: mode == "exclusive" || !does_io,
            ended: false,
            handed: Vec::new(),
        };
        let state = State { open: Some(inner), last: None, is_destroyed: false };
        Session { state: Mutex::new(state), does_io, reads_only: mode == "read_only" }
    }

    fn state(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Ok(state),
            Err(TryLockError::WouldBlock) => {
                Err(misuse(py, "this session is in use: it belongs to one request, and to one thread at a time"))
            }
            Err(TryLockError::Poisoned(_)) => Err(misuse(py, "this session was left half-way by a bug in Holdall")),
        }
    }

    fn enter(&self, py: Python<'_>) -> PyResult<Entered<'_>> {
        let state = self.state(py)?;
        if state.open.is_none() {
            return Err(misuse(py, "this session was closed"));
        }
        Ok(Entered(state))
    }

    /// Runs a call of the engine that writes, with the interpreter given up where the call does I/O, or may wait for one who holds
    /// this session and needs the interpreter to go on.
    fn apart<T: Send>(&self, py: Python<'_>, call: impl FnOnce() -> engine::Result<T> + Send) -> PyResult<T> {
        let done = if self.does_io || EXCLUSIVE.load(Ordering::Acquire) > 0 {
            py.detach(|| guarded(call))
        } else {
            guarded(call)
        };
        done.map_err(|error| raised(py, &error))
    }

    /// Enters with the record loaded.
    fn loaded(&self, py: Python<'_>) -> PyResult<Entered<'_>> {
        let mut inner = self.enter(py)?;
        if !inner.is_loaded {
            let session = &mut inner.session;
            py.detach(move || guarded(move || session.is_new())).map_err(|error| raised(py, &error))?;
            inner.is_loaded = true;
        }
        Ok(inner)
    }

    fn with<T>(&self, py: Python<'_>, call: impl FnOnce(&mut engine::Session) -> engine::Result<T>) -> PyResult<T> {
        let mut inner = self.loaded(py)?;
        let session = &mut inner.session;
        guarded(|| call(session)).map_err(|error| raised(py, &error))
    }

    /// The value of a key; None where it is missing.
    fn look<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut inner = self.loaded(py)?;
        let Some(text) = inner.session.data_json(key).map_err(|error| raised(py, &error))? else {
            let flash = inner.session.get_json(key).map_err(|error| raised(py, &error))?;
            return flash.map(|text| value::read(py, text)).transpose();
        };
        if !is_container(text) {
            return value::read(py, text).map(Some);
        }
        if let Some(at) = inner.handed(key) {
            return Ok(Some(inner.handed[at].1.bind(py).clone()));
        }
        let object = value::read(py, text)?;
        inner.hand_out(key, &object);
        Ok(Some(object))
    }

    fn put(&self, py: Python<'_>, key: &str, object: &Bound<'_, PyAny>) -> PyResult<()> {
        let text = value::written(key, object)?;
        let mut inner = self.loaded(py)?;
        guarded(|| inner.session.set_json(key, &text)).map_err(|error| raised(py, &error))?;
        if is_container(&text) {
            inner.hand_out(key, object);
        } else {
            inner.let_go(key);
        }
        Ok(())
    }

    /// Removes a key and gives what was there.
    fn take<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut inner = self.loaded(py)?;
        inner.settle(py, key)?;
        let session = &mut inner.session;
        let text = guarded(|| session.pull_json(key)).map_err(|error| raised(py, &error))?;
        let object = inner.handed(key).map(|at| inner.handed.swap_remove(at).1.into_bound(py));
        match (text, object) {
            (None, _) => Ok(None),
            (Some(_), Some(object)) => Ok(Some(object)),
            (Some(text), None) => value::read(py, &text).map(Some),
        }
    }

    fn object<'py>(
        &self,
        py: Python<'py>,
        call: impl FnOnce(&engine::Session) -> engine::Result<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut inner = self.loaded(py)?;
        inner.settle_all(py)?;
        let text = guarded(|| call(&inner.session)).map_err(|error| raised(py, &error))?;
        let object = value::read(py, &text)?;
        // The same objects as `get` gives, or a change to one of two copies would be lost.
        let object = object.cast_into::<PyDict>()?;
        for (key, value) in &object {
            let Ok(key) = key.cast::<PyString>() else { continue };
            if !(value.is_instance_of::<PyList>() || value.is_instance_of::<PyDict>()) {
                continue;
            }
            let key = key.to_str()?;
            let is_data = inner.session.data_json(key).map_err(|error| raised(py, &error))?.is_some();
            match inner.handed(key) {
                Some(at) => object.set_item(key, inner.handed[at].1.bind(py))?,
                None if is_data => inner.hand_out(key, &value),
                None => {}
            }
        }
        Ok(object.into_any())
    }

    fn names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let text = self.with(py, |session| session.all())?;
        Ok(value::read(py, &text)?.cast::<PyDict>()?.keys())
    }
}

#[pymethods]
impl Session {
    // Reading.

    /// The value of a key, or `default` where it is missing. Sees data, then flash: on an equal key data wins.
    ///
    /// A list or a dict that is handed out may be changed in place; the change is saved by the commit. Under the flash policy
    /// `on_read` a flash value is given once.
    ///
    /// >>> import holdall
    /// >>> session = holdall.SessionManager("memory:").open()
    /// >>> session.get("visits", 0)
    /// 0
    ///
    /// Raises `UnavailableError` or `CorruptError` at the first access, which loads the record.
    #[pyo3(signature = (key, default=None, /))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.look(py, Key(key).text()?)?.or(default))
    }

    /// The value of a key as the JSON text that is stored, or None where it is missing. As `get`.
    #[pyo3(signature = (key, /))]
    fn get_json(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
        let key = Key(key).text()?;
        let mut inner = self.loaded(py)?;
        inner.settle(py, key)?;
        let text = inner.session.get_json(key).map_err(|error| raised(py, &error))?;
        Ok(text.map(str::to_owned))
    }

    /// `get_json` of the data alone, flash left out: for adapters of frameworks where the two are apart.
    #[pyo3(signature = (key, /))]
    fn data_json(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
        let key = Key(key).text()?;
        let mut inner = self.loaded(py)?;
        inner.settle(py, key)?;
        let text = inner.session.data_json(key).map_err(|error| raised(py, &error))?;
        Ok(text.map(str::to_owned))
    }

    /// Whether a key is present and not None. Ends no flash.
    #[pyo3(signature = (key, /))]
    fn has(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let key = Key(key).text()?;
        self.with(py, |session| session.has(key))
    }

    /// Whether a key is present, None or not. Ends no flash. `key in session` is the same.
    #[pyo3(signature = (key, /))]
    fn exists(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let key = Key(key).text()?;
        self.with(py, |session| session.exists(key))
    }

    /// Whether a key is not present.
    #[pyo3(signature = (key, /))]
    fn missing(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(!self.exists(py, key)?)
    }

    /// All there is, data and flash, as a dict. Its lists and dicts are the session's: changed in place, they are saved. The
    /// dict itself is a copy.
    fn all<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.object(py, engine::Session::all)
    }

    /// Like `all`, of these keys alone. Those that are missing are left out.
    #[pyo3(signature = (*keys))]
    fn only<'py>(&self, py: Python<'py>, keys: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let keys = texts(keys)?;
        self.object(py, |session| session.only(&borrowed(&keys)))
    }

    /// Like `all`, without these keys.
    #[pyo3(signature = (*keys))]
    fn except_<'py>(&self, py: Python<'py>, keys: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let keys = texts(keys)?;
        self.object(py, |session| session.except(&borrowed(&keys)))
    }

    /// What was typed into a field of the form that `flash_input` kept in the request before, or `default`.
    #[pyo3(signature = (field, default=None, /))]
    fn old<'py>(
        &self,
        py: Python<'py>,
        field: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let field = Key(field).text()?;
        let text = self.with(py, |session| Ok(session.old(field)?.map(str::to_owned)))?;
        Ok(text.map(|text| value::read(py, &text)).transpose()?.or(default))
    }

    /// The URL that `set_previous_url` kept, in this request or before; None where there is none.
    #[getter]
    fn previous_url(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.with(py, |session| session.previous_url())
    }

    // Writing.

    /// Sets a key to a value: None, bool, int of any size, float, str, list, tuple (kept as a list) or dict with str keys.
    /// `session[key] = value` is the same.
    ///
    /// Of two requests that set the same key the last commit wins. A list or a dict goes on to be the session's: what is done to
    /// it before the commit is saved.
    ///
    /// >>> import holdall
    /// >>> session = holdall.SessionManager("memory:").open()
    /// >>> session.set("when", {1, 2})
    /// Traceback (most recent call last):
    /// holdall.errors.InvalidTypeError: the value of "when": a set is no JSON value
    ///
    /// Raises `InvalidTypeError` (a `TypeError`) or `InvalidValueError` (a `ValueError`) with key and reason, `TooLargeError` with
    /// limit and size, `MisuseError` after the commit or in a read-only session. Nothing has changed then.
    #[pyo3(signature = (key, value, /))]
    fn set(&self, py: Python<'_>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.put(py, Key(key).text()?, value)
    }

    /// Sets a key to a JSON text, which is checked and kept as it is.
    #[pyo3(signature = (key, text, /))]
    fn set_json(&self, py: Python<'_>, key: &Bound<'_, PyAny>, text: &str) -> PyResult<()> {
        let key = Key(key).text()?;
        let mut inner = self.loaded(py)?;
        guarded(|| inner.session.set_json(key, text)).map_err(|error| raised(py, &error))?;
        inner.let_go(key);
        Ok(())
    }

    /// Writes back a value that was read and changed elsewhere: appended elements become a push, no change becomes nothing; else
    /// it is set if the key is still there, and listed in the conflicts if another request changed it too.
    #[pyo3(signature = (key, text, /))]
    fn replace_json(&self, py: Python<'_>, key: &Bound<'_, PyAny>, text: &str) -> PyResult<()> {
        let key = Key(key).text()?;
        self.with(py, |session| session.replace_json(key, text))?;
        self.enter(py)?.let_go(key);
        Ok(())
    }

    /// Deletes keys, data and flash of that name. Those that are missing are no error.
    #[pyo3(signature = (*keys))]
    fn delete(&self, py: Python<'_>, keys: &Bound<'_, PyTuple>) -> PyResult<()> {
        let keys = texts(keys)?;
        let mut inner = self.loaded(py)?;
        guarded(|| inner.session.delete(&borrowed(&keys))).map_err(|error| raised(py, &error))?;
        keys.iter().for_each(|key| inner.let_go(key));
        Ok(())
    }

    /// Gives a value and deletes it, if nobody changed it meanwhile; or gives `default`. Two parallel requests may both get it: a
    /// token that must work once needs `mode="exclusive"`.
    #[pyo3(signature = (key, default=None, /))]
    fn pull<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.take(py, Key(key).text()?)?.or(default))
    }

    /// Adds to an integer, which is 0 where the key is missing, and gives the sum as this request sees it. Parallel increments all
    /// count.
    ///
    /// >>> import holdall
    /// >>> session = holdall.SessionManager("memory:").open()
    /// >>> session.increment("visits")
    /// 1
    ///
    /// Raises `InvalidValueError` where the value is no integer of 64 bits or the sum would not be.
    #[pyo3(signature = (key, n=1))]
    fn increment(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = number::n)] n: i64,
    ) -> PyResult<i64> {
        let key = Key(key).text()?;
        self.with(py, |session| session.increment(key, n))
    }

    /// `increment` by -n.
    #[pyo3(signature = (key, n=1))]
    fn decrement(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = number::n)] n: i64,
    ) -> PyResult<i64> {
        let key = Key(key).text()?;
        self.with(py, |session| session.decrement(key, n))
    }

    /// Appends to a list, which is empty where the key is missing. Parallel pushes all arrive.
    #[pyo3(signature = (key, value, /))]
    fn push(&self, py: Python<'_>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let key = Key(key).text()?;
        let element = value::written(key, value)?;
        let mut inner = self.loaded(py)?;
        inner.settle(py, key)?;
        guarded(|| inner.session.push_json(key, &element)).map_err(|error| raised(py, &error))?;
        // The list in the caller's hands goes on to be the session's.
        if let Some(at) = inner.handed(key) {
            inner.handed[at].1.bind(py).cast::<PyList>()?.append(value)?;
        }
        Ok(())
    }

    /// Gives the value of a key, or what `make()` makes, which is then set if the key is still absent at the commit. `make` runs
    /// with no lock held unless the session is exclusive.
    #[pyo3(signature = (key, make, /))]
    fn remember<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        make: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let key = Key(key).text()?;
        if let Some(value) = self.look(py, key)? {
            // Refused where a change would be, as in every language.
            self.with(py, |session| session.check_json(key, "null"))?;
            return Ok(value);
        }
        // It may look at this very session.
        let made = make.call0()?;
        self.remember_made(py, key, &made)?;
        Ok(made)
    }

    /// Clears data and flash: what is stored at the commit, whoever stored it. The id, the CSRF secret, the previous URL and the
    /// timeouts stay.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let mut inner = self.loaded(py)?;
        guarded(|| inner.session.flush()).map_err(|error| raised(py, &error))?;
        inner.handed.clear();
        Ok(())
    }

    /// Clears the data and leaves flash; with `flash_only`, clears flash alone.
    #[pyo3(signature = (flash_only=false))]
    fn reset(&self, py: Python<'_>, flash_only: bool) -> PyResult<()> {
        let mut inner = self.loaded(py)?;
        guarded(|| inner.session.reset(flash_only)).map_err(|error| raised(py, &error))?;
        if !flash_only {
            inner.handed.clear();
        }
        Ok(())
    }

    /// Keeps a URL to go back to.
    #[pyo3(signature = (url, /))]
    fn set_previous_url(&self, py: Python<'_>, url: &str) -> PyResult<()> {
        self.with(py, |session| session.set_previous_url(url))
    }

    // Flash.

    /// Keeps a value for the next request. The value is written here; what is done to it later is not seen.
    #[pyo3(signature = (key, value, /))]
    fn flash(&self, py: Python<'_>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let key = Key(key).text()?;
        let text = value::written(key, value)?;
        self.with(py, |session| session.flash_json(key, &text))
    }

    /// Shows a value in this request only. It is never stored.
    #[pyo3(signature = (key, value, /))]
    fn flash_now(&self, py: Python<'_>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let key = Key(key).text()?;
        let text = value::written(key, value)?;
        self.with(py, |session| session.flash_now_json(key, &text))
    }

    /// Keeps flash that this request found for one more. Does nothing for keys that are not there or are new anyway.
    #[pyo3(signature = (*keys))]
    fn keep(&self, py: Python<'_>, keys: &Bound<'_, PyTuple>) -> PyResult<()> {
        let keys = texts(keys)?;
        self.with(py, |session| session.keep(&borrowed(&keys)))
    }

    /// `keep` for all of them.
    fn reflash(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, engine::Session::reflash)
    }

    /// Keeps a form for the next request: what the user typed, for `old`. Leave passwords out of it.
    #[pyo3(signature = (form, /))]
    fn flash_input(&self, py: Python<'_>, form: &Bound<'_, PyAny>) -> PyResult<()> {
        let text = match form.cast::<PyMapping>() {
            Ok(mapping) if !form.is_instance_of::<PyDict>() => {
                let plain = PyDict::new(py);
                plain.update(mapping)?;
                value::written("_old_input", &plain)?
            }
            _ => value::written("_old_input", form)?,
        };
        self.with(py, |session| session.flash_input(&text))
    }

    // Identity and time.

    /// The session's id, a secret: keep it out of logs and pages. Chosen here for a session that has no record yet. None for a
    /// keyed session.
    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.with(py, |session| Ok(session.id()?.map(|id| id.as_str().to_owned())))
    }

    /// Whether there is no record yet.
    #[getter]
    fn is_new(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |session| session.is_new())
    }

    /// Chooses a new id for the same data, which the commit puts in force. Call it when somebody signs in or gets more rights
    /// (OWASP Session Management Cheat Sheet, "Renew the Session ID After Any Privilege Level Change").
    fn regenerate(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, engine::Session::regenerate)
    }

    /// Chooses a new id and drops the data: a new life, which the commit puts in force.
    fn invalidate(&self, py: Python<'_>) -> PyResult<()> {
        let mut inner = self.loaded(py)?;
        guarded(|| inner.session.invalidate()).map_err(|error| raised(py, &error))?;
        inner.handed.clear();
        Ok(())
    }

    /// Destroys the record at once and ends this handle. The commit then only removes the cookie.
    #[pyo3(signature = (*, now_ms=None))]
    fn destroy(&self, py: Python<'_>, #[pyo3(from_py_with = number::now_ms)] now_ms: Option<u64>) -> PyResult<()> {
        let mut inner = self.enter(py)?;
        let session = &mut inner.session;
        self.apart(py, || match now_ms {
            Some(now_ms) => session.destroy_at(now_ms),
            None => session.destroy(),
        })?;
        inner.handed.clear();
        inner.ended = true;
        inner.0.is_destroyed = true;
        Ok(())
    }

    /// Whether `destroy` was called here, and did it. Loads nothing.
    #[getter]
    fn is_destroyed(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.state(py)?.is_destroyed)
    }

    /// Extends the idle timeout even where throttling would not.
    fn touch(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, engine::Session::touch)
    }

    /// Ends this session that long after its last use: seconds or a timedelta, None for what is configured. Never later than what is
    /// configured.
    #[pyo3(signature = (timeout, /))]
    fn set_idle_timeout(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let timeout = seconds(timeout)?;
        self.with(py, |session| session.set_idle_timeout(timeout))
    }

    /// Ends this session that long after it was made, used or not. As `set_idle_timeout`.
    #[pyo3(signature = (timeout, /))]
    fn set_absolute_timeout(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let timeout = seconds(timeout)?;
        self.with(py, |session| session.set_absolute_timeout(timeout))
    }

    /// Whether the cookie has Max-Age and outlives the browser. The server's timeouts hold either way.
    #[pyo3(signature = (persistent, /))]
    fn set_persistent(&self, py: Python<'_>, persistent: bool) -> PyResult<()> {
        self.with(py, |session| session.set_persistent(persistent))
    }

    // CSRF.

    /// The CSRF token for a form, masked anew at each call (against BREACH). Makes a record.
    fn csrf_token(&self, py: Python<'_>) -> PyResult<String> {
        self.with(py, engine::Session::csrf_token)
    }

    /// Whether a form's token is this session's. Compared in constant time.
    #[pyo3(signature = (candidate, /))]
    fn csrf_matches(&self, py: Python<'_>, candidate: &str) -> PyResult<bool> {
        self.with(py, |session| session.csrf_matches(candidate))
    }

    /// Makes a new CSRF secret: pages that were shown before no longer match.
    fn regenerate_csrf_token(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, engine::Session::regenerate_csrf_token)
    }

    // The end.

    /// Ends the request: ages flash, writes what changed in one atomic step, and says what the response should carry.
    ///
    /// `age_flash`: whether this response shows flash messages; otherwise as the flash policy says.
    ///
    /// >>> import holdall
    /// >>> session = holdall.SessionManager("memory:").open()
    /// >>> session["user"] = 7
    /// >>> session.commit().outcome
    /// 'saved'
    ///
    /// Raises as `set`, for a container that was changed in place; `UnavailableError`. The stored state is as it was then, unless
    /// the error says `may_have_written`. The commit may be repeated, and one that had taken effect is not applied twice.
    #[pyo3(signature = (*, age_flash=None, now_ms=None))]
    fn commit(
        &self,
        py: Python<'_>,
        age_flash: Option<bool>,
        #[pyo3(from_py_with = number::now_ms)] now_ms: Option<u64>,
    ) -> PyResult<Py<Commit>> {
        let mut options = CommitOptions::new();
        if let Some(ages) = age_flash {
            options = options.age_flash(ages);
        }
        if let Some(now_ms) = now_ms {
            options = options.at(now_ms);
        }
        let mut inner = self.enter(py)?;
        inner.settle_all(py)?;
        let session = &mut inner.session;
        let commit = Py::new(py, Commit(self.apart(py, || session.commit_with(options))?))?;
        // One that was never looked at is still open.
        inner.ended = inner.session.is_ended();
        inner.0.last = Some(commit.clone_ref(py));
        Ok(commit)
    }

    /// What the last commit answered.
    #[getter]
    fn committed(&self, py: Python<'_>) -> PyResult<Option<Py<Commit>>> {
        Ok(self.state(py)?.last.as_ref().map(|commit| commit.clone_ref(py)))
    }

    /// Lets go of what was loaded, of what was changed, and of the lock, without a commit. Where an exclusive session is given up and
    /// something still holds the object, as the traceback of an exception does, others need not wait for the garbage collector.
    ///
    /// >>> import holdall
    /// >>> session = holdall.SessionManager("memory:").open()
    /// >>> session["draft"] = True
    /// >>> session.close()
    /// >>> session["draft"]
    /// Traceback (most recent call last):
    /// holdall.errors.MisuseError: this session was closed
    ///
    /// Twice is as good as once. Afterwards `committed` and `is_destroyed` say what they did, and every other use raises `MisuseError`.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let inner = self.state(py)?.open.take();
        // With the interpreter, as a destructor would: it is an unlock and a close, and its events are told.
        drop(inner);
        Ok(())
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (kind, _value, _traceback, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if !kind.is_none() {
            self.close(py)
        } else if self.state(py)?.open.is_some() {
            self.commit(py, None, None).map(drop)
        } else {
            Ok(())
        }
    }

    // A mapping.

    fn __getitem__<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Key(key).text()?)?.ok_or_else(|| PyKeyError::new_err(key.clone().unbind()))
    }

    fn __setitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.put(py, Key(key).text()?, value)
    }

    fn __delitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.exists(py, key)? {
            self.delete(py, &PyTuple::new(py, [key])?)
        } else {
            Err(PyKeyError::new_err(key.clone().unbind()))
        }
    }

    fn __contains__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.exists(py, key)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.names(py)?.len())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.names(py)?.try_iter()?.into_any())
    }

    /// A view of the keys.
    fn keys<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(this, "KeysView")
    }

    /// A view of the values.
    fn values<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(this, "ValuesView")
    }

    /// A view of keys and values.
    fn items<'py>(this: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(this, "ItemsView")
    }

    /// Gives a value and deletes it, or gives the default; `KeyError` where there is none.
    #[pyo3(signature = (key, *default))]
    fn pop<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self.take(py, Key(key).text()?)? {
            Some(value) => Ok(value),
            None => default.get_item(0).map_err(|_| PyKeyError::new_err(key.clone().unbind())),
        }
    }

    /// Gives a key with its value and deletes it; `KeyError` where the session is empty.
    fn popitem<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let names = self.names(py)?;
        let Ok(key) = names.get_item(names.len().wrapping_sub(1)) else {
            return Err(PyKeyError::new_err("the session is empty"));
        };
        let value = self.take(py, Key(&key).text()?)?;
        Ok((key, value.unwrap_or_else(|| py.None().into_bound(py))))
    }

    /// `flush`.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.flush(py)
    }

    /// Gives the value of a key, or `default`, which is then set if the key is still absent at the commit.
    #[pyo3(signature = (key, default=None, /))]
    fn setdefault<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let name = Key(key).text()?;
        if let Some(value) = self.look(py, name)? {
            return Ok(value);
        }
        let default = default.unwrap_or_else(|| py.None().into_bound(py));
        self.remember_made(py, name, &default)?;
        Ok(default)
    }

    /// Sets several keys. They are checked before the first is set.
    #[pyo3(signature = (other=None, /, **more))]
    fn update(
        &self,
        py: Python<'_>,
        other: Option<&Bound<'_, PyAny>>,
        more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let all =
            py.get_type::<PyDict>().call((other.map_or_else(|| PyDict::new(py).into_any(), Clone::clone),), more)?;
        let all = all.cast_into::<PyDict>()?;
        // All of them are checked before the first is set, so that an error leaves nothing half done.
        for (key, value) in &all {
            let key = Key(&key).text()?;
            let text = value::written(key, &value)?;
            self.with(py, |session| session.check_json(key, &text))?;
        }
        all.iter().try_for_each(|(key, value)| self.put(py, Key(&key).text()?, &value))
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        if other.cast::<PyMapping>().is_err() {
            return Ok(py.NotImplemented());
        }
        let other = py.get_type::<PyDict>().call1((other,))?;
        Ok(self.all(py)?.eq(other)?.into_pyobject(py)?.to_owned().into_any().unbind())
    }

    fn __repr__(&self) -> String {
        // Neither values nor the id, which opens the session; and printing it must not load it.
        let state = match self.state.try_lock().as_deref() {
            Ok(State { open: None, .. }) => "closed",
            Ok(State { open: Some(Inner { ended: true, .. }), .. }) => "ended",
            Ok(_) if self.reads_only => "open, read only",
            Ok(_) => "open",
            Err(_) => "in use",
        };
        format!("<holdall.Session {state}{}>", if self.does_io { "" } else { ", in memory" })
    }
}

impl Session {
    /// Remembers a value that was just made, and hands it out.
    fn remember_made(&self, py: Python<'_>, key: &str, made: &Bound<'_, PyAny>) -> PyResult<()> {
        let text = value::written(key, made)?;
        let mut inner = self.loaded(py)?;
        guarded(|| inner.session.remember_json(key, || Ok(text.clone()))).map_err(|error| raised(py, &error))?;
        if is_container(&text) {
            inner.hand_out(key, made);
        }
        Ok(())
    }
}

/// One of the views of `collections.abc`, which know a mapping by its methods.
fn view<'py>(session: &Bound<'py, Session>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    session.py().import("collections.abc")?.getattr(name)?.call1((session,))
}
