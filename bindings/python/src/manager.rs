//! Manager: a configuration and its drivers, for Python. Opens sessions.

use crate::error::{guarded, invalid_argument, raised, utf8, wrong_type};
use crate::number;
use crate::session::{Counted, Session};
use crate::value;
use engine::{FlashPolicy, Locator, Manager, Mode, OpenOptions};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMapping, PyString};

/// A configuration and its drivers; opens sessions. Any thread may use it at any time, and so may a process forked after it
/// was made.
#[pyclass(frozen, module = "holdall", name = "SessionManager")]
pub(crate) struct SessionManager {
    manager: Manager,
    /// Whether a load leaves the process, and so is worth letting other threads run.
    does_io: bool,
}

/// What every way to open a session takes.
struct Opening<'a> {
    mode: &'a str,
    secure: bool,
    flash: Option<&'a str>,
    lock_timeout_ms: Option<u64>,
    now_ms: Option<u64>,
}

impl Opening<'_> {
    fn options(&self, py: Python<'_>) -> PyResult<OpenOptions> {
        let mode = match self.mode {
            "shared" => Mode::Shared,
            "exclusive" => Mode::Exclusive,
            "read_only" => Mode::ReadOnly,
            other => {
                let message = format!("mode is \"shared\", \"exclusive\" or \"read_only\", not {other:?}");
                return Err(invalid_argument(py, message));
            }
        };
        let mut options = OpenOptions::new().mode(mode).request_is_secure(self.secure);
        if let Some(policy) = self.flash {
            options = options.flash(flash_policy(py, policy)?);
        }
        if let Some(timeout_ms) = self.lock_timeout_ms {
            options = options.lock_timeout_ms(timeout_ms);
        }
        Ok(match self.now_ms {
            Some(now_ms) => options.at(now_ms),
            None => options,
        })
    }
}

fn flash_policy(py: Python<'_>, name: &str) -> PyResult<FlashPolicy> {
    match name {
        "next_request" => Ok(FlashPolicy::NextRequest),
        "on_read" => Ok(FlashPolicy::OnRead),
        "explicit" => Ok(FlashPolicy::Explicit),
        other => {
            let message = format!("flash is \"next_request\", \"on_read\" or \"explicit\", not {other:?}");
            Err(invalid_argument(py, message))
        }
    }
}

/// The bytes of a str, of bytes, or none of None.
fn bytes_of<'a>(given: Option<&'a Bound<'_, PyAny>>, what: &str) -> PyResult<&'a [u8]> {
    let Some(given) = given else { return Ok(&[]) };
    if let Ok(text) = given.cast::<PyString>() {
        return Ok(utf8(text, || what.to_owned())?.as_bytes());
    }
    match given.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.as_bytes()),
        Err(_) => {
            let kind = given.get_type().qualname()?;
            Err(wrong_type(given.py(), format!("{what} is str, bytes or None, not {kind}")))
        }
    }
}

/// The document of a configuration: a URL, JSON text or a mapping, with single fields over it.
fn document(
    py: Python<'_>,
    config: Option<&Bound<'_, PyAny>>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<String> {
    let fields = PyDict::new(py);
    if let Some(config) = config {
        if let Ok(text) = config.cast::<PyString>() {
            let text = utf8(text, || "the configuration".to_owned())?;
            if options.is_none_or(|options| options.is_empty()) {
                return Ok(text.to_owned());
            }
            if text.trim_start().starts_with('{') {
                fields.update(value::read(py, text)?.cast::<PyMapping>()?)?;
            } else {
                fields.set_item("url", text)?;
            }
        } else if let Ok(mapping) = config.cast::<PyMapping>() {
            fields.update(mapping)?;
        } else {
            let kind = config.get_type().qualname()?;
            return Err(wrong_type(py, format!("the configuration is a URL, JSON text or a mapping, not {kind}")));
        }
    }
    if let Some(options) = options {
        fields.update(options.as_mapping())?;
    }
    value::written("config", &fields)
}

impl SessionManager {
    fn of(manager: Manager) -> SessionManager {
        let does_io = manager.capabilities().shared_between_processes;
        SessionManager { manager, does_io }
    }

    fn session(
        &self,
        py: Python<'_>,
        opening: &Opening<'_>,
        open: impl FnOnce(&Manager, OpenOptions) -> engine::Result<engine::Session> + Send,
    ) -> PyResult<Session> {
        let options = opening.options(py)?;
        let counted = (opening.mode == "exclusive" && !self.does_io).then(Counted::new);
        // In a box at once: it is large, and is handed on six times before it lies in the object.
        let open = || open(&self.manager, options).map(Box::new);
        let opened = if opening.mode == "exclusive" {
            // It may wait for a thread that needs the interpreter to go on.
            py.detach(|| guarded(open))
        } else {
            guarded(open)
        };
        let session = opened.map_err(|error| raised(py, &error))?;
        Ok(Session::new(session, self.does_io, opening.mode, counted))
    }
}

#[pymethods]
impl SessionManager {
    #[new]
    #[pyo3(signature = (config=None, /, **options))]
    fn new(
        py: Python<'_>,
        config: Option<&Bound<'_, PyAny>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<SessionManager> {
        let document = document(py, config, options)?;
        let manager = py.detach(|| guarded(|| Manager::new(&document))).map_err(|error| raised(py, &error))?;
        Ok(SessionManager::of(manager))
    }

    /// Opens the session that a request's Cookie header names: the whole header, str or bytes; None or empty where there was
    /// none. Several header lines are joined with `; `. Reads nothing yet. What is unknown, malformed, expired or tampered with is
    /// absent, and the first write makes a fresh session with a new id.
    ///
    /// `mode`: "shared"; "exclusive" makes others wait for this session's commit, and loads here; "read_only" never writes.
    /// `secure`: whether the request came over https, for `cookie.secure` "auto". `flash`: another flash policy than the
    /// configured one. `lock_timeout_ms`: how long an exclusive open waits for another, and this session's commit or destroy for
    /// whoever has it locked; 0 tries once. `now_ms`: the time, in milliseconds since the Unix epoch, instead of the system's clock.
    ///
    /// Raises `UnavailableError` where an exclusive open waited in vain; `locked` and `retryable` are true then.
    #[pyo3(signature = (cookie_header=None, /, *, mode="shared", secure=false, flash=None, lock_timeout_ms=None, now_ms=None))]
    #[allow(clippy::too_many_arguments, reason = "keywords in Python")]
    fn open(
        &self,
        py: Python<'_>,
        cookie_header: Option<&Bound<'_, PyAny>>,
        mode: &str,
        secure: bool,
        flash: Option<&str>,
        #[pyo3(from_py_with = number::lock_timeout_ms)] lock_timeout_ms: Option<u64>,
        #[pyo3(from_py_with = number::now_ms)] now_ms: Option<u64>,
    ) -> PyResult<Session> {
        let header = bytes_of(cookie_header, "the Cookie header")?;
        let opening = Opening { mode, secure, flash, lock_timeout_ms, now_ms };
        self.session(py, &opening, |manager, options| manager.open_with(header, options))
    }

    /// Opens the session of a token: the cookie's value, or what an API client sends elsewhere. As `open`.
    #[pyo3(signature = (token=None, /, *, mode="shared", secure=false, flash=None, lock_timeout_ms=None, now_ms=None))]
    #[allow(clippy::too_many_arguments, reason = "keywords in Python")]
    fn open_token(
        &self,
        py: Python<'_>,
        token: Option<&Bound<'_, PyAny>>,
        mode: &str,
        secure: bool,
        flash: Option<&str>,
        #[pyo3(from_py_with = number::lock_timeout_ms)] lock_timeout_ms: Option<u64>,
        #[pyo3(from_py_with = number::now_ms)] now_ms: Option<u64>,
    ) -> PyResult<Session> {
        let token = bytes_of(token, "the token")?;
        let opening = Opening { mode, secure, flash, lock_timeout_ms, now_ms };
        self.session(py, &opening, |manager, options| manager.open_token_with(token, options))
    }

    /// Opens the session that belongs to an application key, for callers that have no cookie. Think twice about addresses: many
    /// people share one, and `X-Forwarded-For` is whatever the client wrote unless your own proxy set it.
    ///
    /// Raises `UnsupportedError` unless `keyed_secret` is configured.
    #[pyo3(signature = (key, /, *, mode="shared", flash=None, lock_timeout_ms=None, now_ms=None))]
    fn open_keyed(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        mode: &str,
        flash: Option<&str>,
        #[pyo3(from_py_with = number::lock_timeout_ms)] lock_timeout_ms: Option<u64>,
        #[pyo3(from_py_with = number::now_ms)] now_ms: Option<u64>,
    ) -> PyResult<Session> {
        let key = bytes_of(Some(key), "the key of a keyed session")?;
        let opening = Opening { mode, secure: false, flash, lock_timeout_ms, now_ms };
        self.session(py, &opening, |manager, options| manager.open_keyed_with(key, options))
    }

    /// The same manager with another of its drivers. Its cookie is called like the default driver's, with `-` and the driver's
    /// name behind it. Raises `InvalidArgumentError` where the configuration names no such driver.
    fn driver(&self, py: Python<'_>, name: &str) -> PyResult<SessionManager> {
        let manager = self.manager.driver(name).map_err(|error| raised(py, &error))?;
        Ok(SessionManager::of(manager))
    }

    /// The name of the driver that opens sessions here, as configured.
    ///
    /// >>> import holdall
    /// >>> manager = holdall.SessionManager(drivers={"main": {"type": "memory"}, "quick": {"type": "memory"}}, default="main")
    /// >>> manager.driver_name, manager.driver("quick").driver_name
    /// ('main', 'quick')
    #[getter]
    fn driver_name(&self) -> &str {
        self.manager.driver_name()
    }

    /// The name of the cookie that sessions opened here have.
    ///
    /// >>> import holdall
    /// >>> holdall.SessionManager("memory:").cookie_name
    /// '__Host-sid'
    #[getter]
    fn cookie_name(&self) -> &str {
        self.manager.cookie_name()
    }

    /// Removes expired records, looking at no more than `limit` entries (None: all). Ordinary traffic does this too, 64 entries at
    /// a time. Gives `looked_at`, `removed` and `finished`.
    #[pyo3(signature = (limit=None, *, now_ms=None))]
    fn sweep<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = number::limit)] limit: Option<usize>,
        #[pyo3(from_py_with = number::now_ms)] now_ms: Option<u64>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let limit = limit.unwrap_or(usize::MAX);
        let swept = py.detach(|| {
            guarded(|| match now_ms {
                Some(now_ms) => self.manager.sweep_at(limit, now_ms),
                None => self.manager.sweep(limit),
            })
        });
        let swept = swept.map_err(|error| raised(py, &error))?;
        let answer = PyDict::new(py);
        answer.set_item("looked_at", swept.looked_at)?;
        answer.set_item("removed", swept.removed)?;
        answer.set_item("finished", swept.finished)?;
        Ok(answer)
    }

    /// Locator, expiry and bytes of every record that lives.
    #[pyo3(signature = (*, now_ms=None))]
    fn records(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = number::now_ms)] now_ms: Option<u64>,
    ) -> PyResult<Vec<(String, u64, usize)>> {
        let mut records = Vec::new();
        let gone_through = py.detach(|| {
            guarded(|| {
                let visit = |info: engine::driver::RecordInfo| {
                    records.push((info.locator.to_hex().as_str().to_owned(), info.expiry_ms, info.bytes));
                    true
                };
                match now_ms {
                    Some(now_ms) => self.manager.iterate_at(now_ms, visit),
                    None => self.manager.iterate(visit),
                }
            })
        });
        gone_through.map_err(|error| raised(py, &error))?;
        Ok(records)
    }

    /// Destroys a record by its locator, as `records` gives it. False where there is none.
    #[pyo3(signature = (locator, /, *, now_ms=None))]
    fn destroy(
        &self,
        py: Python<'_>,
        locator: &str,
        #[pyo3(from_py_with = number::now_ms)] now_ms: Option<u64>,
    ) -> PyResult<bool> {
        let Some(locator) = Locator::from_hex(locator.as_bytes()) else {
            return Err(invalid_argument(
                py,
                "a locator is 64 lower-case hexadecimal characters, as records() gives it".into(),
            ));
        };
        let destroyed = py.detach(|| {
            guarded(|| match now_ms {
                Some(now_ms) => self.manager.destroy_at(&locator, now_ms),
                None => self.manager.destroy(&locator),
            })
        });
        destroyed.map_err(|error| raised(py, &error))
    }

    /// Has events told to `callback(kind, session)`, on the thread of whichever call caused them; `session` is a prefix of the
    /// hashed id, never the id. It must not use the session the event comes from. An exception in it goes to
    /// `sys.unraisablehook`. Once a manager: `MisuseError` the second time.
    fn on_event(&self, py: Python<'_>, callback: Py<PyAny>) -> PyResult<()> {
        let listener = move |event: &engine::Event| {
            Python::attach(|py| {
                if let Err(error) = callback.call1(py, (event.kind().name(), event.session())) {
                    // The request it happened in goes on; Python prints it, as for a destructor.
                    error.write_unraisable(py, Some(callback.bind(py)));
                }
            });
        };
        self.manager.on_event(listener).map_err(|error| raised(py, &error))
    }

    /// Counters of this process since the manager was made, and sizes of its drivers.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        value::read(py, &self.manager.stats())
    }

    /// The configuration in force, every default filled in, secrets left out.
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        value::read(py, &self.manager.config())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let config = self.config(py)?;
        let names: Vec<String> = config.get_item("drivers")?.cast::<PyDict>()?.keys().extract()?;
        Ok(format!("<holdall.SessionManager {}>", names.join(", ")))
    }
}
