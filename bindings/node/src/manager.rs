//! Manager: a configuration and its drivers, for Node. Opens sessions.

use crate::error::{guarded, invalid_argument, whole};
use crate::session::Handle;
use crate::thread::{InThread, in_thread};
use engine::{FlashPolicy, Locator, Manager, Mode, OpenOptions};
use napi::bindgen_prelude::{AsyncTask, Env, External, FnArgs, Function, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{ScopedTask, Status};
use napi_derive::napi;

/// A listener that keeps no process alive.
type Listener = ThreadsafeFunction<FnArgs<(String, String)>, (), FnArgs<(String, String)>, Status, false, true>;

/// A key for `keys` in the configuration.
#[napi]
pub fn generate_key() -> napi::Result<String> {
    guarded(engine::generate_key)
}

/// Opens a configuration: a URL or a JSON text.
#[napi]
pub fn manager_new(document: String) -> napi::Result<External<Manager>> {
    guarded(|| Manager::new(&document)).map(External::new)
}

/// The same manager with another of its drivers.
#[napi]
pub fn manager_driver(manager: &External<Manager>, name: String) -> napi::Result<External<Manager>> {
    guarded(|| manager.driver(&name)).map(External::new)
}

/// The configuration in force as JSON text.
#[napi]
pub fn manager_config(manager: &External<Manager>) -> String {
    manager.config()
}

/// Counters and sizes as JSON text.
#[napi]
pub fn manager_stats(manager: &External<Manager>) -> String {
    manager.stats()
}

/// The name of the driver that opens sessions here.
#[napi]
pub fn manager_driver_name(manager: &External<Manager>) -> String {
    manager.driver_name().to_owned()
}

/// The name of the cookie that sessions opened here have.
#[napi]
pub fn manager_cookie_name(manager: &External<Manager>) -> String {
    manager.cookie_name().to_owned()
}

/// Has events told to `listener`, on the thread of JavaScript, soon after they happened.
#[napi]
pub fn manager_on_event(
    manager: &External<Manager>,
    listener: Function<'_, FnArgs<(String, String)>, ()>,
) -> napi::Result<()> {
    let listener: Listener = listener.build_threadsafe_function().callee_handled::<false>().weak::<true>().build()?;
    guarded(|| {
        manager.on_event(move |event| {
            let told = FnArgs { data: (event.kind().name().to_owned(), event.session().to_owned()) };
            // Where the environment is closing there is nobody left to tell.
            let _ = listener.call(told, ThreadsafeFunctionCallMode::NonBlocking);
        })
    })
}

/// Sweeps in a thread. Answers JSON text.
#[napi]
pub fn manager_sweep_in_thread(
    manager: &External<Manager>,
    limit: Option<f64>,
    now_ms: Option<f64>,
) -> napi::Result<AsyncTask<InThread<String>>> {
    let limit = limit.map(|limit| whole("the limit of a sweep", limit)).transpose()?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let (manager, now_ms) = (Manager::clone(manager), time(now_ms)?);
    Ok(in_thread(move || {
        let swept = match now_ms {
            Some(now_ms) => manager.sweep_at(limit, now_ms),
            None => manager.sweep(limit),
        }?;
        Ok(format!(r#"{{"lookedAt":{},"removed":{},"finished":{}}}"#, swept.looked_at, swept.removed, swept.finished))
    }))
}

/// Locator, expiry and bytes of every record that lives, in a thread. Answers JSON text.
#[napi]
pub fn manager_records_in_thread(
    manager: &External<Manager>,
    now_ms: Option<f64>,
) -> napi::Result<AsyncTask<InThread<String>>> {
    let (manager, now_ms) = (Manager::clone(manager), time(now_ms)?);
    Ok(in_thread(move || {
        let mut records = String::from("[");
        let visit = |info: engine::driver::RecordInfo| {
            if records.len() > 1 {
                records.push(',');
            }
            let locator = info.locator.to_hex();
            records.push_str(&format!(
                r#"{{"locator":"{}","expiryMs":{},"bytes":{}}}"#,
                locator.as_str(),
                info.expiry_ms,
                info.bytes
            ));
            true
        };
        match now_ms {
            Some(now_ms) => manager.iterate_at(now_ms, visit),
            None => manager.iterate(visit),
        }?;
        records.push(']');
        Ok(records)
    }))
}

/// Destroys a record by its locator, in a thread.
#[napi]
pub fn manager_destroy_in_thread(
    manager: &External<Manager>,
    locator: String,
    now_ms: Option<f64>,
) -> napi::Result<AsyncTask<InThread<bool>>> {
    let Some(locator) = Locator::from_hex(locator.as_bytes()) else {
        let says = "a locator is 64 lower-case hexadecimal characters, as records() gives it";
        return Err(invalid_argument(says.into()));
    };
    let (manager, now_ms) = (Manager::clone(manager), time(now_ms)?);
    Ok(in_thread(move || match now_ms {
        Some(now_ms) => manager.destroy_at(&locator, now_ms),
        None => manager.destroy(&locator),
    }))
}

/// What names the session that is opened. Numbers, as all that lib/manager.js chooses from a list: a string costs ten times as much to
/// take.
const BY_HEADER: u32 = 0;
const BY_TOKEN: u32 = 1;

struct Opening {
    named: u32,
    text: String,
    options: OpenOptions,
}

impl Opening {
    /// The lock is tried once: it is the event loop that waits.
    fn new(
        named: u32,
        text: String,
        mode: u32,
        secure: bool,
        flash: Option<u32>,
        now_ms: Option<f64>,
    ) -> napi::Result<Opening> {
        let mode = match mode {
            0 => Mode::Shared,
            1 => Mode::Exclusive,
            _ => Mode::ReadOnly,
        };
        let mut options = OpenOptions::new().mode(mode).request_is_secure(secure).lock_timeout_ms(0);
        if let Some(policy) = flash {
            options = options.flash(match policy {
                0 => FlashPolicy::NextRequest,
                1 => FlashPolicy::OnRead,
                _ => FlashPolicy::Explicit,
            });
        }
        if let Some(now_ms) = time(now_ms)? {
            options = options.at(now_ms);
        }
        Ok(Opening { named, text, options })
    }

    fn open(&self, manager: &Manager) -> engine::Result<engine::Session> {
        let text = self.text.as_bytes();
        match self.named {
            BY_HEADER => manager.open_with(text, self.options),
            BY_TOKEN => manager.open_token_with(text, self.options),
            _ => manager.open_keyed_with(text, self.options),
        }
    }
}

pub(crate) fn time(now_ms: Option<f64>) -> napi::Result<Option<u64>> {
    now_ms.map(|now_ms| whole("nowMs", now_ms)).transpose()
}

/// Opens a session here and now. An exclusive one loads.
#[napi]
pub fn manager_open(
    manager: &External<Manager>,
    named: u32,
    text: String,
    mode: u32,
    secure: bool,
    flash: Option<u32>,
    now_ms: Option<f64>,
) -> napi::Result<External<Handle>> {
    let opening = Opening::new(named, text, mode, secure, flash, now_ms)?;
    guarded(|| opening.open(manager)).map(Handle::external)
}

/// `manager_open` in a handle that was released. To make one and to collect it costs V8 and Node more than to open a session.
#[napi]
#[allow(clippy::too_many_arguments, reason = "an object of JavaScript would cost more than all of them")]
pub fn manager_open_in(
    manager: &External<Manager>,
    named: u32,
    text: String,
    mode: u32,
    secure: bool,
    flash: Option<u32>,
    now_ms: Option<f64>,
    released: &External<Handle>,
) -> napi::Result<()> {
    let opening = Opening::new(named, text, mode, secure, flash, now_ms)?;
    released.reopen(guarded(|| opening.open(manager))?)
}

/// Opens a session in a thread, and loads it there.
pub struct OpenInThread {
    manager: Manager,
    opening: Opening,
}

impl<'task> ScopedTask<'task> for OpenInThread {
    type Output = engine::Session;
    type JsValue = Unknown<'task>;

    fn compute(&mut self) -> napi::Result<engine::Session> {
        guarded(|| {
            let session = self.opening.open(&self.manager)?;
            session.is_new()?;
            Ok(session)
        })
    }

    fn resolve(&mut self, env: &'task Env, session: engine::Session) -> napi::Result<Unknown<'task>> {
        Handle::external(session).into_unknown(env)
    }
}

/// `manager_open` in a thread.
#[napi]
pub fn manager_open_in_thread(
    manager: &External<Manager>,
    named: u32,
    text: String,
    mode: u32,
    secure: bool,
    flash: Option<u32>,
    now_ms: Option<f64>,
) -> napi::Result<AsyncTask<OpenInThread>> {
    let opening = Opening::new(named, text, mode, secure, flash, now_ms)?;
    Ok(AsyncTask::new(OpenInThread { manager: Manager::clone(manager), opening }))
}
