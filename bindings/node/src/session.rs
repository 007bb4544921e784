//! Session: a handle to one request's view of a visitor's data, and the functions on it.
//!
//! Each enters the handle for the length of the call, so that a call from elsewhere while a thread is at work is `misuse` and
//! waits for nothing. What the caller changes in place is looked after in lib/session.js.

use crate::error::{guarded, misuse};
use crate::manager::time;
use crate::thread::{InThread, in_thread};
use engine::{Commit, CommitOptions};
use napi::bindgen_prelude::{AsyncTask, External};
use napi_derive::napi;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

/// A session, or nothing once it was closed.
#[derive(Clone)]
pub struct Handle(Arc<Mutex<Option<engine::Session>>>);

impl Handle {
    pub(crate) fn external(session: engine::Session) -> External<Handle> {
        // V8 is told no size. With 2 KB a session it collected everything after each 16,000 of them, which cost twice what they did.
        External::new(Handle(Arc::new(Mutex::new(Some(session)))))
    }

    /// Opens another session in a handle that was released. Where one is open the two would be one visitor's.
    pub(crate) fn reopen(&self, session: engine::Session) -> napi::Result<()> {
        let mut inner = self.enter()?;
        if inner.is_some() {
            return Err(misuse("a bug in Holdall, please report it: this handle was not released"));
        }
        *inner = Some(session);
        Ok(())
    }

    fn enter(&self) -> napi::Result<MutexGuard<'_, Option<engine::Session>>> {
        match self.0.try_lock() {
            Ok(inner) => Ok(inner),
            Err(TryLockError::WouldBlock) => {
                Err(misuse("this session is in use: await what was called before, and then call the next"))
            }
            Err(TryLockError::Poisoned(_)) => Err(misuse("this session was left half-way by a bug in Holdall")),
        }
    }

    fn with<T>(&self, call: impl FnOnce(&mut engine::Session) -> engine::Result<T>) -> napi::Result<T> {
        let mut inner = self.enter()?;
        let Some(session) = inner.as_mut() else { return Err(closed()) };
        guarded(|| call(session))
    }

    /// As `with`, in a thread. A handle that is in use or closed is noticed at the call.
    fn with_in_thread<T: crate::thread::Answer>(
        &self,
        call: impl FnOnce(&mut engine::Session) -> engine::Result<T> + Send + 'static,
    ) -> napi::Result<AsyncTask<InThread<T>>> {
        if self.enter()?.is_none() {
            return Err(closed());
        }
        let handle = self.clone();
        Ok(in_thread(move || {
            let in_use = || engine::Error::new(engine::ErrorKind::Misuse, "this session is in use or was closed");
            let mut inner = handle.0.try_lock().map_err(|_| in_use())?;
            call(inner.as_mut().ok_or_else(in_use)?)
        }))
    }
}

fn closed() -> napi::Error {
    misuse("this session was closed")
}

fn borrowed(keys: &[String]) -> Vec<&str> {
    keys.iter().map(String::as_str).collect()
}

/// Loads the record, in a thread.
#[napi]
pub fn load_in_thread(session: &External<Handle>) -> napi::Result<AsyncTask<InThread<bool>>> {
    session.with_in_thread(|session| session.is_new())
}

/// The value of a key as JSON text.
#[napi]
pub fn get_json(session: &External<Handle>, key: String) -> napi::Result<Option<String>> {
    session.with(|session| Ok(session.get_json(&key)?.map(str::to_owned)))
}

/// `get_json` of the data alone.
#[napi]
pub fn data_json(session: &External<Handle>, key: String) -> napi::Result<Option<String>> {
    session.with(|session| Ok(session.data_json(&key)?.map(str::to_owned)))
}

/// Whether a key is in the data, flash left out.
#[napi]
pub fn is_data(session: &External<Handle>, key: String) -> napi::Result<bool> {
    session.with(|session| Ok(session.data_json(&key)?.is_some()))
}

/// Whether a key is present and not null.
#[napi]
pub fn has(session: &External<Handle>, key: String) -> napi::Result<bool> {
    session.with(|session| session.has(&key))
}

/// Whether a key is present.
#[napi]
pub fn exists(session: &External<Handle>, key: String) -> napi::Result<bool> {
    session.with(|session| session.exists(&key))
}

/// Everything as JSON text.
#[napi]
pub fn all_json(session: &External<Handle>) -> napi::Result<String> {
    session.with(|session| session.all())
}

/// These keys as JSON text.
#[napi]
pub fn only_json(session: &External<Handle>, keys: Vec<String>) -> napi::Result<String> {
    session.with(|session| session.only(&borrowed(&keys)))
}

/// All but these keys as JSON text.
#[napi]
pub fn except_json(session: &External<Handle>, keys: Vec<String>) -> napi::Result<String> {
    session.with(|session| session.except(&borrowed(&keys)))
}

/// A field of the form that was kept, as JSON text.
#[napi]
pub fn old_json(session: &External<Handle>, field: String) -> napi::Result<Option<String>> {
    session.with(|session| Ok(session.old(&field)?.map(str::to_owned)))
}

/// The URL to go back to.
#[napi]
pub fn previous_url(session: &External<Handle>) -> napi::Result<Option<String>> {
    session.with(|session| session.previous_url())
}

/// Keeps a URL to go back to.
#[napi]
pub fn set_previous_url(session: &External<Handle>, url: String) -> napi::Result<()> {
    session.with(|session| session.set_previous_url(&url))
}

/// Sets a key to a JSON text.
#[napi]
pub fn set_json(session: &External<Handle>, key: String, text: String) -> napi::Result<()> {
    session.with(|session| session.set_json(&key, &text))
}

/// Whether a key may be set to a JSON text.
#[napi]
pub fn check_json(session: &External<Handle>, key: String, text: String) -> napi::Result<()> {
    session.with(|session| session.check_json(&key, &text))
}

/// The text that a container was made from, where it is another than the one it has now; null where it is the same, or where
/// there is no such key any more.
#[napi]
pub fn differs_from(session: &External<Handle>, key: String, text: String) -> napi::Result<Option<String>> {
    session.with(|session| Ok(session.data_json(&key)?.filter(|before| *before != text).map(str::to_owned)))
}

/// Writes back a value that was changed in place.
#[napi]
pub fn replace_json(session: &External<Handle>, key: String, text: String) -> napi::Result<()> {
    session.with(|session| session.replace_json(&key, &text))
}

/// Deletes keys.
#[napi]
pub fn delete_keys(session: &External<Handle>, keys: Vec<String>) -> napi::Result<()> {
    session.with(|session| session.delete(&borrowed(&keys)))
}

/// Gives a value and deletes it.
#[napi]
pub fn pull_json(session: &External<Handle>, key: String) -> napi::Result<Option<String>> {
    session.with(|session| session.pull_json(&key))
}

/// Adds to an integer.
#[napi]
pub fn increment(session: &External<Handle>, key: String, n: i64) -> napi::Result<i64> {
    session.with(|session| session.increment(&key, n))
}

/// Appends to an array.
#[napi]
pub fn push_json(session: &External<Handle>, key: String, text: String) -> napi::Result<()> {
    session.with(|session| session.push_json(&key, &text))
}

/// Sets a key if it is still absent at the commit.
#[napi]
pub fn remember_json(session: &External<Handle>, key: String, text: String) -> napi::Result<()> {
    session.with(|session| session.remember_json(&key, || Ok(text)).map(|_| ()))
}

/// Clears data and flash.
#[napi]
pub fn flush(session: &External<Handle>) -> napi::Result<()> {
    session.with(|session| session.flush())
}

/// Clears the data, or the flash.
#[napi]
pub fn reset(session: &External<Handle>, flash_only: bool) -> napi::Result<()> {
    session.with(|session| session.reset(flash_only))
}

/// Keeps a value for the next request.
#[napi]
pub fn flash_json(session: &External<Handle>, key: String, text: String) -> napi::Result<()> {
    session.with(|session| session.flash_json(&key, &text))
}

/// Shows a value in this request only.
#[napi]
pub fn flash_now_json(session: &External<Handle>, key: String, text: String) -> napi::Result<()> {
    session.with(|session| session.flash_now_json(&key, &text))
}

/// Keeps flash for one request more.
#[napi]
pub fn keep(session: &External<Handle>, keys: Vec<String>) -> napi::Result<()> {
    session.with(|session| session.keep(&borrowed(&keys)))
}

/// Keeps all flash for one request more.
#[napi]
pub fn reflash(session: &External<Handle>) -> napi::Result<()> {
    session.with(|session| session.reflash())
}

/// Keeps a form for the next request.
#[napi]
pub fn flash_input(session: &External<Handle>, text: String) -> napi::Result<()> {
    session.with(|session| session.flash_input(&text))
}

/// The session's id.
#[napi]
pub fn id(session: &External<Handle>) -> napi::Result<Option<String>> {
    session.with(|session| Ok(session.id()?.map(|id| id.as_str().to_owned())))
}

/// Whether there is no record yet.
#[napi]
pub fn is_new(session: &External<Handle>) -> napi::Result<bool> {
    session.with(|session| session.is_new())
}

/// A new id for the same data.
#[napi]
pub fn regenerate(session: &External<Handle>) -> napi::Result<()> {
    session.with(|session| session.regenerate())
}

/// A new id and no data.
#[napi]
pub fn invalidate(session: &External<Handle>) -> napi::Result<()> {
    session.with(|session| session.invalidate())
}

/// Extends the idle timeout.
#[napi]
pub fn touch(session: &External<Handle>) -> napi::Result<()> {
    session.with(|session| session.touch())
}

/// Sets the idle timeout; null is as configured.
#[napi]
pub fn set_idle_timeout(session: &External<Handle>, seconds: Option<f64>) -> napi::Result<()> {
    let seconds = seconds.map(|seconds| crate::error::whole("a timeout", seconds)).transpose()?;
    session.with(|session| session.set_idle_timeout(seconds))
}

/// Sets the absolute timeout; null is as configured.
#[napi]
pub fn set_absolute_timeout(session: &External<Handle>, seconds: Option<f64>) -> napi::Result<()> {
    let seconds = seconds.map(|seconds| crate::error::whole("a timeout", seconds)).transpose()?;
    session.with(|session| session.set_absolute_timeout(seconds))
}

/// Whether the cookie outlives the browser.
#[napi]
pub fn set_persistent(session: &External<Handle>, persistent: bool) -> napi::Result<()> {
    session.with(|session| session.set_persistent(persistent))
}

/// The CSRF token for a form.
#[napi]
pub fn csrf_token(session: &External<Handle>) -> napi::Result<String> {
    session.with(|session| session.csrf_token())
}

/// Whether a form's token is this session's.
#[napi]
pub fn csrf_matches(session: &External<Handle>, candidate: String) -> napi::Result<bool> {
    session.with(|session| session.csrf_matches(&candidate))
}

/// Makes a new CSRF secret.
#[napi]
pub fn regenerate_csrf_token(session: &External<Handle>) -> napi::Result<()> {
    session.with(|session| session.regenerate_csrf_token())
}

/// Destroys the record.
#[napi]
pub fn destroy(session: &External<Handle>, now_ms: Option<f64>) -> napi::Result<()> {
    let now_ms = time(now_ms)?;
    session.with(|session| destroyed(session, now_ms))
}

/// `destroy` in a thread.
#[napi]
pub fn destroy_in_thread(session: &External<Handle>, now_ms: Option<f64>) -> napi::Result<AsyncTask<InThread<()>>> {
    let now_ms = time(now_ms)?;
    session.with_in_thread(move |session| destroyed(session, now_ms))
}

fn destroyed(session: &mut engine::Session, now_ms: Option<u64>) -> engine::Result<()> {
    match now_ms {
        Some(now_ms) => session.destroy_at(now_ms),
        None => session.destroy(),
    }
}

fn commit_options(age_flash: Option<bool>, now_ms: Option<f64>) -> napi::Result<CommitOptions> {
    let mut options = CommitOptions::new();
    if let Some(ages) = age_flash {
        options = options.age_flash(ages);
    }
    if let Some(now_ms) = time(now_ms)? {
        options = options.at(now_ms);
    }
    Ok(options)
}

/// What a commit answered, in lines: the outcome, the conflicts as JSON text or nothing, then a name and a value for each header.
/// None of them has a line break in it. A string costs Node a fifth of what arrays in an object do.
fn lines(commit: &Commit) -> String {
    let mut lines = String::with_capacity(256);
    lines.push_str(commit.outcome().name());
    lines.push('\n');
    if !commit.conflicts().is_empty() {
        let conflicts: Vec<(&str, &str)> =
            commit.conflicts().iter().map(|conflict| (conflict.key.as_str(), conflict.reason.name())).collect();
        lines.push_str(&serde_json::to_string(&conflicts).expect("pairs of strings"));
    }
    for (name, value) in commit.headers() {
        lines.push('\n');
        lines.push_str(name);
        lines.push('\n');
        lines.push_str(value);
    }
    lines
}

/// Commits here and now.
#[napi]
pub fn commit(session: &External<Handle>, age_flash: Option<bool>, now_ms: Option<f64>) -> napi::Result<String> {
    let options = commit_options(age_flash, now_ms)?;
    session.with(|session| Ok(lines(&session.commit_with(options)?)))
}

/// `commit` in a thread.
#[napi]
pub fn commit_in_thread(
    session: &External<Handle>,
    age_flash: Option<bool>,
    now_ms: Option<f64>,
) -> napi::Result<AsyncTask<InThread<String>>> {
    let options = commit_options(age_flash, now_ms)?;
    session.with_in_thread(move |session| Ok(lines(&session.commit_with(options)?)))
}

/// Whether the session was committed or destroyed.
#[napi]
pub fn is_ended(session: &External<Handle>) -> napi::Result<bool> {
    session.with(|session| Ok(session.is_ended()))
}

/// Lets go of the session and of its lock. What was not committed is gone.
#[napi]
pub fn close(session: &External<Handle>) -> napi::Result<()> {
    let ended = session.enter()?.take();
    guarded(|| {
        drop(ended);
        Ok(())
    })
}

/// Closes, and answers whether another session may be opened in the handle: no thread has it, at work or still waiting for its turn.
#[napi]
pub fn release(session: &mut External<Handle>) -> napi::Result<bool> {
    close(session)?;
    Ok(Arc::get_mut(&mut session.0).is_some())
}

/// A handle of no session, for those whose own one was released.
#[napi]
pub fn closed_session() -> External<Handle> {
    External::new(Handle(Arc::new(Mutex::new(None))))
}
