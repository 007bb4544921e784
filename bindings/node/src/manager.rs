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
pub fn manager_sweep(
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
pub fn manager_records(manager: &External<Manager>, now_ms: Option<f64>) -> napi::Result<AsyncTask<InThread<String>>> {
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
pub fn manager_destroy(
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

/// What names the session that is opened.
enum Named {
    Header,
    Token,
    Key,
}

struct Opening {
    named: Named,
    text: String,
    options: OpenOptions,
}

impl Opening {
    #[allow(clippy::too_many_arguments, reason = "an object of JavaScript would cost more than all of them")]
    fn new(
        named: &str,
        text: String,
        mode: Option<String>,
        secure: Option<bool>,
        flash: Option<String>,
        lock_timeout_ms: Option<f64>,
        now_ms: Option<f64>,
    ) -> napi::Result<Opening> {
        let named = match named {
            "header" => Named::Header,
            "token" => Named::Token,
            _ => Named::Key,
        };
        let mode = match mode.as_deref() {
            None | Some("shared") => Mode::Shared,
            Some("exclusive") => Mode::Exclusive,
            Some("readOnly") => Mode::ReadOnly,
            Some(other) => {
                let says = format!("mode is \"shared\", \"exclusive\" or \"readOnly\", not {other:?}");
                return Err(invalid_argument(says));
            }
        };
        let mut options = OpenOptions::new().mode(mode).request_is_secure(secure.unwrap_or(false));
        if let Some(policy) = flash {
            options = options.flash(flash_policy(&policy)?);
        }
        if let Some(timeout_ms) = lock_timeout_ms {
            options = options.lock_timeout_ms(whole("lockTimeoutMs", timeout_ms)?);
        }
        if let Some(now_ms) = time(now_ms)? {
            options = options.at(now_ms);
        }
        Ok(Opening { named, text, options })
    }

    fn open(&self, manager: &Manager) -> engine::Result<engine::Session> {
        let text = self.text.as_bytes();
        match self.named {
            Named::Header => manager.open_with(text, self.options),
            Named::Token => manager.open_token_with(text, self.options),
            Named::Key => manager.open_keyed_with(text, self.options),
        }
    }
}

fn flash_policy(name: &str) -> napi::Result<FlashPolicy> {
    match name {
        "next_request" => Ok(FlashPolicy::NextRequest),
        "on_read" => Ok(FlashPolicy::OnRead),
        "explicit" => Ok(FlashPolicy::Explicit),
        other => {
            let says = format!("flash is \"next_request\", \"on_read\" or \"explicit\", not {other:?}");
            Err(invalid_argument(says))
        }
    }
}

pub(crate) fn time(now_ms: Option<f64>) -> napi::Result<Option<u64>> {
    now_ms.map(|now_ms| whole("nowMs", now_ms)).transpose()
}

/// Opens a session here and now. An exclusive one loads.
#[napi]
#[allow(clippy::too_many_arguments, reason = "an object of JavaScript would cost more than all of them")]
pub fn manager_open(
    manager: &External<Manager>,
    named: String,
    text: String,
    mode: Option<String>,
    secure: Option<bool>,
    flash: Option<String>,
    lock_timeout_ms: Option<f64>,
    now_ms: Option<f64>,
) -> napi::Result<External<Handle>> {
    let opening = Opening::new(&named, text, mode, secure, flash, lock_timeout_ms, now_ms)?;
    guarded(|| opening.open(manager)).map(Handle::external)
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
#[allow(clippy::too_many_arguments, reason = "an object of JavaScript would cost more than all of them")]
pub fn manager_open_in_thread(
    manager: &External<Manager>,
    named: String,
    text: String,
    mode: Option<String>,
    secure: Option<bool>,
    flash: Option<String>,
    lock_timeout_ms: Option<f64>,
    now_ms: Option<f64>,
) -> napi::Result<AsyncTask<OpenInThread>> {
    let opening = Opening::new(&named, text, mode, secure, flash, lock_timeout_ms, now_ms)?;
    Ok(AsyncTask::new(OpenInThread { manager: Manager::clone(manager), opening }))
}
