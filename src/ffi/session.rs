//! `holdall_session`: one request's view of a visitor's data.

use super::bytes::{Out, bytes, holdall_buf, holdall_slice, text, texts};
use super::commit::holdall_commit;
use super::guard::{Handle, Opaque, guard};
use super::manager::{HOLDALL_AGE_FLASH, HOLDALL_AT, HOLDALL_KEEP_FLASH, known_flags, read_options, unused};
use super::status::{HOLDALL_NOT_FOUND, HOLDALL_OK, of_outcome};
use crate::error::{Error, Result};
use crate::{Commit, CommitOptions, Session};
use std::ffi::c_char;

/// One request's view of a visitor's data. It belongs to one request, and may move from thread to thread with it; two calls at
/// once are noticed and the second is HOLDALL_E_MISUSE. After the commit it still reads and no longer writes. Made before a
/// fork, it is HOLDALL_E_MISUSE in the child wherever it would do I/O, and gives no cookie there.
pub struct holdall_session(());

impl Opaque for Session {
    const NAME: &'static str = "session";
    const MAGIC: u64 = 0x4844_4C4C_5345_5302;
    type Handle = holdall_session;
}

/// The value of a key as JSON text. HOLDALL_NOT_FOUND where it is missing; a stored `null` is the text "null". Sees data, then
/// flash: on an equal key data wins. Under the flash policy "on_read" a flash value is given once. The view lives until the next
/// call on this session that takes it without const.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_get_json(
    session: *const holdall_session,
    key: *const c_char,
    key_len: usize,
    out: *mut holdall_slice,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for handles.
        let session = unsafe { Handle::<Session>::claim(session) }?;
        let Some(text) = session.get_json(key)? else {
            return Ok(HOLDALL_NOT_FOUND);
        };
        out.set(holdall_slice::of(text.as_bytes()));
        Ok(HOLDALL_OK)
    })
}

/// holdall_session_get_json() of the data alone; a flash message is HOLDALL_NOT_FOUND and is not ended. For bindings: what their
/// language let its user change in place is written back by holdall_session_replace_json() only if it is data.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_data_json(
    session: *const holdall_session,
    key: *const c_char,
    key_len: usize,
    out: *mut holdall_slice,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for handles.
        let session = unsafe { Handle::<Session>::claim(session) }?;
        let Some(text) = session.data_json(key)? else {
            return Ok(HOLDALL_NOT_FOUND);
        };
        out.set(holdall_slice::of(text.as_bytes()));
        Ok(HOLDALL_OK)
    })
}

/// The value of a key that is a JSON string, decoded. HOLDALL_E_INVALID_VALUE where it is another type. Else as
/// holdall_session_get_json(); the buffer is yours.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_get_string(
    session: *const holdall_session,
    key: *const c_char,
    key_len: usize,
    out: *mut holdall_buf,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for handles.
        let session = unsafe { Handle::<Session>::claim(session) }?;
        let Some(text) = session.get::<String>(key)? else {
            return Ok(HOLDALL_NOT_FOUND);
        };
        out.set(holdall_buf::of(text));
        Ok(HOLDALL_OK)
    })
}

/// The value of a key that is an integer of 64 bits. Else as holdall_session_get_string().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_get_int(
    session: *const holdall_session,
    key: *const c_char,
    key_len: usize,
    out: *mut i64,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for handles.
        let session = unsafe { Handle::<Session>::claim(session) }?;
        let Some(number) = session.get::<i64>(key)? else {
            return Ok(HOLDALL_NOT_FOUND);
        };
        out.set(number);
        Ok(HOLDALL_OK)
    })
}

/// The value of a key that is `true` or `false`. Else as holdall_session_get_string().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_get_bool(
    session: *const holdall_session,
    key: *const c_char,
    key_len: usize,
    out: *mut bool,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for handles.
        let session = unsafe { Handle::<Session>::claim(session) }?;
        let Some(truth) = session.get::<bool>(key)? else {
            return Ok(HOLDALL_NOT_FOUND);
        };
        out.set(truth);
        Ok(HOLDALL_OK)
    })
}

/// Whether a key is present and not `null`. Ends no flash.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_has(
    session: *const holdall_session,
    key: *const c_char,
    key_len: usize,
    out: *mut bool,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for handles.
        let session = unsafe { Handle::<Session>::claim(session) }?;
        out.set(session.has(key)?);
        Ok(HOLDALL_OK)
    })
}

/// Whether a key is present, `null` or not. Ends no flash.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_exists(
    session: *const holdall_session,
    key: *const c_char,
    key_len: usize,
    out: *mut bool,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for handles.
        let session = unsafe { Handle::<Session>::claim(session) }?;
        out.set(session.exists(key)?);
        Ok(HOLDALL_OK)
    })
}

/// Whether a key is not present.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_missing(
    session: *const holdall_session,
    key: *const c_char,
    key_len: usize,
    out: *mut bool,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for handles.
        let session = unsafe { Handle::<Session>::claim(session) }?;
        out.set(session.missing(key)?);
        Ok(HOLDALL_OK)
    })
}

/// Everything as one JSON object, in the order of the keys: data and flash, never the engine's own fields. Ends no flash.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_all(session: *const holdall_session, out: *mut holdall_buf) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for handles.
        let session = unsafe { Handle::<Session>::claim(session) }?;
        out.set(holdall_buf::of(session.all()?));
        Ok(HOLDALL_OK)
    })
}

/// holdall_session_all(), but only these keys; those that are missing are left out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_only(
    session: *const holdall_session,
    keys: *const holdall_slice,
    keys_count: usize,
    out: *mut holdall_buf,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for inputs.
        let keys = unsafe { texts(keys, keys_count, "keys") }?;
        // SAFETY: the header's rule for handles.
        let session = unsafe { Handle::<Session>::claim(session) }?;
        out.set(holdall_buf::of(session.only(&keys)?));
        Ok(HOLDALL_OK)
    })
}

/// holdall_session_all() without these keys.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_except(
    session: *const holdall_session,
    keys: *const holdall_slice,
    keys_count: usize,
    out: *mut holdall_buf,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for inputs.
        let keys = unsafe { texts(keys, keys_count, "keys") }?;
        // SAFETY: the header's rule for handles.
        let session = unsafe { Handle::<Session>::claim(session) }?;
        out.set(holdall_buf::of(session.except(&keys)?));
        Ok(HOLDALL_OK)
    })
}

/// Sets a key to a JSON value. HOLDALL_E_INVALID_VALUE names the key and the reason, HOLDALL_E_TOO_LARGE limit and size; nothing
/// has changed then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_set_json(
    session: *mut holdall_session,
    key: *const c_char,
    key_len: usize,
    value: *const c_char,
    value_len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for inputs.
        let value = unsafe { text(value, value_len, "value") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.set_json(key, value)?;
        Ok(HOLDALL_OK)
    })
}

/// Sets a key to a string, which is written as JSON for you. It must be UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_set_string(
    session: *mut holdall_session,
    key: *const c_char,
    key_len: usize,
    value: *const c_char,
    value_len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for inputs.
        let value = unsafe { text(value, value_len, "value") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.set(key, value)?;
        Ok(HOLDALL_OK)
    })
}

/// Sets a key to an integer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_set_int(
    session: *mut holdall_session,
    key: *const c_char,
    key_len: usize,
    value: i64,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.set(key, &value)?;
        Ok(HOLDALL_OK)
    })
}

/// Sets a key to `true` or `false`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_set_bool(
    session: *mut holdall_session,
    key: *const c_char,
    key_len: usize,
    value: bool,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.set(key, &value)?;
        Ok(HOLDALL_OK)
    })
}

/// Deletes keys, data and flash of that name. Those that are missing are no error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_delete(
    session: *mut holdall_session,
    keys: *const holdall_slice,
    keys_count: usize,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for inputs.
        let keys = unsafe { texts(keys, keys_count, "keys") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.delete(&keys)?;
        Ok(HOLDALL_OK)
    })
}

/// Gives what holdall_session_get_json() would and deletes it, if nobody changed it meanwhile. Two parallel requests may both get
/// the value: a token that must work once needs HOLDALL_MODE_EXCLUSIVE. HOLDALL_NOT_FOUND where it is missing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_pull_json(
    session: *mut holdall_session,
    key: *const c_char,
    key_len: usize,
    out: *mut holdall_buf,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        let Some(text) = session.pull_json(key)? else {
            return Ok(HOLDALL_NOT_FOUND);
        };
        out.set(holdall_buf::of(text));
        Ok(HOLDALL_OK)
    })
}

/// Adds to an integer, which is 0 where the key is missing; `sum` is what this request sees. Parallel increments all count.
/// HOLDALL_E_INVALID_VALUE where the value is no integer of 64 bits, or the sum would not be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_increment(
    session: *mut holdall_session,
    key: *const c_char,
    key_len: usize,
    n: i64,
    sum: *mut i64,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let sum = unsafe { Out::new(sum, "sum") }?;
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        sum.set(session.increment(key, n)?);
        Ok(HOLDALL_OK)
    })
}

/// holdall_session_increment() by -n.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_decrement(
    session: *mut holdall_session,
    key: *const c_char,
    key_len: usize,
    n: i64,
    sum: *mut i64,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let sum = unsafe { Out::new(sum, "sum") }?;
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        sum.set(session.decrement(key, n)?);
        Ok(HOLDALL_OK)
    })
}

/// Appends a JSON value to an array, which is empty where the key is missing. Parallel pushes all arrive.
/// HOLDALL_E_INVALID_VALUE where the value is no array.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_push_json(
    session: *mut holdall_session,
    key: *const c_char,
    key_len: usize,
    element: *const c_char,
    element_len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for inputs.
        let element = unsafe { text(element, element_len, "element") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.push_json(key, element)?;
        Ok(HOLDALL_OK)
    })
}

/// For bindings: writes back a container that the language let its user change in place. Elements that were appended to an array
/// become a push, no change becomes nothing; else the value is set if the key is still there, and listed in the conflicts if
/// another request changed it too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_replace_json(
    session: *mut holdall_session,
    key: *const c_char,
    key_len: usize,
    value: *const c_char,
    value_len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for inputs.
        let value = unsafe { text(value, value_len, "value") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.replace_json(key, value)?;
        Ok(HOLDALL_OK)
    })
}

/// Sets a key if it is absent, here and still at commit; `out` gets what this request sees. Ask holdall_session_get_json() first,
/// and make the value only where that answers HOLDALL_NOT_FOUND.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_remember_json(
    session: *mut holdall_session,
    key: *const c_char,
    key_len: usize,
    value: *const c_char,
    value_len: usize,
    out: *mut holdall_buf,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for inputs.
        let value = unsafe { text(value, value_len, "value") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        let value = session.remember_json(key, || Ok(value.to_owned()))?;
        out.set(holdall_buf::of(value));
        Ok(HOLDALL_OK)
    })
}

/// Clears data and flash: what is stored at commit, whoever stored it. The id, the CSRF secret, the previous URL and the timeouts
/// stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_flush(session: *mut holdall_session) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.flush()?;
        Ok(HOLDALL_OK)
    })
}

/// Clears the data and leaves flash, or with `flash_only` clears flash alone. Else as holdall_session_flush().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_reset(session: *mut holdall_session, flash_only: bool) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.reset(flash_only)?;
        Ok(HOLDALL_OK)
    })
}

/// Keeps a JSON value for the next request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_flash_json(
    session: *mut holdall_session,
    key: *const c_char,
    key_len: usize,
    value: *const c_char,
    value_len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for inputs.
        let value = unsafe { text(value, value_len, "value") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.flash_json(key, value)?;
        Ok(HOLDALL_OK)
    })
}

/// Keeps a string for the next request. It must be UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_flash_string(
    session: *mut holdall_session,
    key: *const c_char,
    key_len: usize,
    value: *const c_char,
    value_len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for inputs.
        let value = unsafe { text(value, value_len, "value") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.flash(key, value)?;
        Ok(HOLDALL_OK)
    })
}

/// Shows a JSON value in this request only. It is never stored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_flash_now_json(
    session: *mut holdall_session,
    key: *const c_char,
    key_len: usize,
    value: *const c_char,
    value_len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for inputs.
        let key = unsafe { text(key, key_len, "key") }?;
        // SAFETY: the header's rule for inputs.
        let value = unsafe { text(value, value_len, "value") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.flash_now_json(key, value)?;
        Ok(HOLDALL_OK)
    })
}

/// Keeps flash entries that this request found for one more. Does nothing for keys that are not there, are new anyway, or that
/// another request has ended meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_keep(
    session: *mut holdall_session,
    keys: *const holdall_slice,
    keys_count: usize,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for inputs.
        let keys = unsafe { texts(keys, keys_count, "keys") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.keep(&keys)?;
        Ok(HOLDALL_OK)
    })
}

/// holdall_session_keep() for all of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_reflash(session: *mut holdall_session) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.reflash()?;
        Ok(HOLDALL_OK)
    })
}

/// Keeps a form, a JSON object, for the next request: what the user typed, to show it again beside the errors. Leave passwords out
/// of it. It is the flash entry "_old_input".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_flash_input(
    session: *mut holdall_session,
    form: *const c_char,
    form_len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for inputs.
        let form = unsafe { text(form, form_len, "form") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.flash_input(form)?;
        Ok(HOLDALL_OK)
    })
}

/// A field of the form that holdall_session_flash_input() kept, as JSON text. HOLDALL_NOT_FOUND where it is missing. The view
/// lives as that of holdall_session_get_json().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_old(
    session: *const holdall_session,
    field: *const c_char,
    field_len: usize,
    out: *mut holdall_slice,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for inputs.
        let field = unsafe { text(field, field_len, "field") }?;
        // SAFETY: the header's rule for handles.
        let session = unsafe { Handle::<Session>::claim(session) }?;
        let Some(text) = session.old(field)? else {
            return Ok(HOLDALL_NOT_FOUND);
        };
        out.set(holdall_slice::of(text.as_bytes()));
        Ok(HOLDALL_OK)
    })
}

/// The session's id, 43 characters. For a session that has no record yet it is chosen here and stored with the first write.
/// HOLDALL_NOT_FOUND for a keyed session. A secret: keep it out of logs and pages. The view lives as that of
/// holdall_session_get_json().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_id(session: *const holdall_session, out: *mut holdall_slice) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for handles.
        let session = unsafe { Handle::<Session>::claim(session) }?;
        let Some(id) = session.id()? else {
            return Ok(HOLDALL_NOT_FOUND);
        };
        out.set(holdall_slice::of(id.as_str().as_bytes()));
        Ok(HOLDALL_OK)
    })
}

/// Whether no stored record was found: a first visit, or a token that was absent, unknown or expired.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_is_new(session: *const holdall_session, out: *mut bool) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for handles.
        let session = unsafe { Handle::<Session>::claim(session) }?;
        out.set(session.is_new()?);
        Ok(HOLDALL_OK)
    })
}

/// Gives the session a new id and a new CSRF secret, and keeps its data and its age. Call it whenever rights are gained, at sign-in
/// above all (OWASP: session fixation). Acts in the commit: a request that fails before leaves the old id alive; afterwards the
/// old id is absent at once. HOLDALL_E_MISUSE for a keyed session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_regenerate(session: *mut holdall_session) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.regenerate()?;
        Ok(HOLDALL_OK)
    })
}

/// Gives the session a new id and nothing of the old one: no data, no flash, a new CSRF secret, a new age. What this request sets
/// afterwards is kept. Acts in the commit. HOLDALL_E_MISUSE for a keyed session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_invalidate(session: *mut holdall_session) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.invalidate()?;
        Ok(HOLDALL_OK)
    })
}

/// Deletes the record now, without a successor, and ends this handle: later writes are HOLDALL_E_MISUSE, and its commit only has
/// the browser drop the cookie. A slower request under the same id cannot bring it back. Twice is as good as once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_destroy(session: *mut holdall_session) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.destroy()?;
        Ok(HOLDALL_OK)
    })
}

/// holdall_session_destroy() at a time of your own, in milliseconds since the Unix epoch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_destroy_at(session: *mut holdall_session, now_ms: u64) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.destroy_at(now_ms)?;
        Ok(HOLDALL_OK)
    })
}

/// Extends the idle timeout at commit, even where throttling would not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_touch(session: *mut holdall_session) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.touch()?;
        Ok(HOLDALL_OK)
    })
}

/// Gives this session an idle timeout of its own, in seconds; 0 is "as configured". It can only be shorter: the earlier of the two
/// counts, always. HOLDALL_E_INVALID_ARGUMENT for more than 31 years.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_set_idle_timeout(session: *mut holdall_session, seconds: u64) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.set_idle_timeout((seconds != 0).then_some(seconds))?;
        Ok(HOLDALL_OK)
    })
}

/// Gives this session an absolute timeout of its own, counted from when it was made. Else as holdall_session_set_idle_timeout().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_set_absolute_timeout(session: *mut holdall_session, seconds: u64) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.set_absolute_timeout((seconds != 0).then_some(seconds))?;
        Ok(HOLDALL_OK)
    })
}

/// Whether this session's cookie outlives the browser ("remember me") or not, whatever is configured. The server's timeouts hold
/// either way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_set_persistent(session: *mut holdall_session, persistent: bool) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.set_persistent(persistent)?;
        Ok(HOLDALL_OK)
    })
}

/// A CSRF token for a form or a header, 86 characters, masked anew at every call. For a session that has no record yet this makes
/// one, or the token could never be checked. Renewed by holdall_session_regenerate() and holdall_session_invalidate().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_csrf_token(session: *mut holdall_session, out: *mut holdall_buf) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        out.set(holdall_buf::of(session.csrf_token()?));
        Ok(HOLDALL_OK)
    })
}

/// Whether a token that came with a request is of this session, compared in constant time. False for any bytes that are none, and
/// for a session that has given none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_csrf_matches(
    session: *const holdall_session,
    candidate: *const c_char,
    candidate_len: usize,
    out: *mut bool,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for inputs.
        let candidate = unsafe { bytes(candidate, candidate_len, "candidate") }?;
        // SAFETY: the header's rule for handles.
        let session = unsafe { Handle::<Session>::claim(session) }?;
        let candidate = std::str::from_utf8(candidate).unwrap_or_default();
        out.set(session.csrf_matches(candidate)?);
        Ok(HOLDALL_OK)
    })
}

/// Makes all CSRF tokens given so far invalid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_regenerate_csrf_token(session: *mut holdall_session) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.regenerate_csrf_token()?;
        Ok(HOLDALL_OK)
    })
}

/// The URL that holdall_session_set_previous_url() kept. HOLDALL_NOT_FOUND where there is none. The buffer is yours.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_previous_url(session: *const holdall_session, out: *mut holdall_buf) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for handles.
        let session = unsafe { Handle::<Session>::claim(session) }?;
        let Some(url) = session.previous_url()? else {
            return Ok(HOLDALL_NOT_FOUND);
        };
        out.set(holdall_buf::of(url));
        Ok(HOLDALL_OK)
    })
}

/// Keeps a URL to come back to. Not in holdall_session_all(), not cleared by holdall_session_flush(); makes no record by itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_set_previous_url(
    session: *mut holdall_session,
    url: *const c_char,
    url_len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for inputs.
        let url = unsafe { text(url, url_len, "url") }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        session.set_previous_url(url)?;
        Ok(HOLDALL_OK)
    })
}

/// How to commit. All zeros but `size` is the default; NULL instead of a pointer to it too.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct holdall_commit_options {
    /// sizeof(holdall_commit_options) as your program was compiled.
    pub size: usize,
    /// HOLDALL_AT, and HOLDALL_AGE_FLASH or HOLDALL_KEEP_FLASH.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
    /// With HOLDALL_AT.
    pub now_ms: u64,
}

/// # Safety
/// As [`read_options`].
unsafe fn commit_options(options: *const holdall_commit_options) -> Result<CommitOptions> {
    // SAFETY: this function's own condition.
    let Some(given) = (unsafe { read_options(options) })? else {
        return Ok(CommitOptions::new());
    };
    known_flags(given.flags, HOLDALL_AT | HOLDALL_AGE_FLASH | HOLDALL_KEEP_FLASH)?;
    unused(given.reserved)?;
    let mut options = CommitOptions::new();
    if given.flags & HOLDALL_AT != 0 {
        options = options.at(given.now_ms);
    }
    match (given.flags & HOLDALL_AGE_FLASH != 0, given.flags & HOLDALL_KEEP_FLASH != 0) {
        (true, true) => {
            Err(Error::argument("options.flags: HOLDALL_AGE_FLASH and HOLDALL_KEEP_FLASH exclude each other"))
        }
        (true, false) => Ok(options.age_flash(true)),
        (false, true) => Ok(options.age_flash(false)),
        (false, false) => Ok(options),
    }
}

/// Ends the request: ages flash, writes what changed in one atomic step, and says what the response should carry. Answers
/// HOLDALL_OK (saved), HOLDALL_UNCHANGED, HOLDALL_GONE or HOLDALL_MOVED. On an error the stored state is as it was, unless
/// holdall_last_error_flags() has HOLDALL_MAY_HAVE_WRITTEN; the session keeps its operations, so the commit may be repeated, and
/// one that had taken effect is not applied twice. After a success it answers HOLDALL_UNCHANGED without headers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_commit(
    session: *mut holdall_session,
    options: *const holdall_commit_options,
    out: *mut *mut holdall_commit,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for options.
        let options = unsafe { commit_options(options) }?;
        // SAFETY: the header's rule for handles.
        let mut session = unsafe { Handle::<Session>::claim(session) }?;
        let commit = session.commit_with(options)?;
        let status = of_outcome(commit.outcome());
        out.set(Handle::<Commit>::give(commit));
        Ok(status)
    })
}

/// Frees a session. What was not committed is dropped, an exclusive lock given back. NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_session_free(session: *mut holdall_session) {
    // SAFETY: the header's rule for handles.
    unsafe { Handle::<Session>::free(session) };
}
