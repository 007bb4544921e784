//! Any sequence of C calls: NULL, wrong lengths, handles of another type, frees in any order. No call panics, and no output
//! is written by a call that failed. Under cargo-fuzz the address sanitizer watches the memory.
//!
//! What the header forbids is not done: nothing is used after it was freed, and a pointer with a length points to that many
//! bytes.

use crate::{Bytes, NOW_MS};
use holdall::ffi::*;
use std::ffi::c_void;
use std::ptr;

/// Small, so that a manager is made quickly, and limits are met. No call waits for a lock that this thread holds itself.
const CONFIG: &str = r#"{"default":"main","max_keys":8,"max_record_bytes":2000,
    "keyed_secret":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","drivers":{
    "main":{"type":"memory","lock_timeout_ms":0,"max_bytes":2000000},"other":{"type":"memory","lock_timeout_ms":0}}}"#;
const LITTLE: &str = r#"{"drivers":{"m":{"type":"memory","lock_timeout_ms":0}}}"#;
/// Names a sequence is likely to come back to.
const WORDS: [&str; 16] = [
    "a",
    "b",
    "",
    "null",
    "1",
    "\"text\"",
    "[1]",
    "{\"a\":1}",
    "[",
    "9223372036854775807",
    "true",
    LITTLE,
    "other",
    "_old_input",
    "\u{1F600}",
    "key",
];

/// What the program has in hand.
#[derive(Default)]
struct Hands {
    managers: Vec<*mut holdall_manager>,
    sessions: Vec<*mut holdall_session>,
    commits: Vec<*mut holdall_commit>,
    /// The value of an id cookie, to open a session again.
    token: String,
    /// A borrowed value, whose it is, and what it said.
    borrowed: Option<(*mut holdall_session, holdall_slice, Vec<u8>)>,
}

/// One of the handles, mostly; else NULL, or one of another type.
fn pick<T>(right: &[*mut T], wrong: *mut c_void, input: &mut Bytes<'_>) -> *mut T {
    match input.byte() {
        0xFF => ptr::null_mut(),
        0xFE => wrong.cast(),
        // Not aligned: looked at before anything is read.
        0xFD if !wrong.is_null() => wrong.cast::<u8>().wrapping_add(1).cast(),
        byte => right.get(usize::from(byte) % right.len().max(1)).copied().unwrap_or(ptr::null_mut()),
    }
}

impl Hands {
    fn manager(&self, input: &mut Bytes<'_>) -> *mut holdall_manager {
        let wrong = self.sessions.first().map_or(ptr::null_mut(), |session| session.cast());
        pick(&self.managers, wrong, input)
    }

    fn session(&self, input: &mut Bytes<'_>) -> *mut holdall_session {
        let wrong = self.managers.first().map_or(ptr::null_mut(), |manager| manager.cast());
        pick(&self.sessions, wrong, input)
    }

    fn commit(&self, input: &mut Bytes<'_>) -> *mut holdall_commit {
        let wrong = self.sessions.last().map_or(ptr::null_mut(), |session| session.cast());
        pick(&self.commits, wrong, input)
    }

    /// A text of the input or a usual one, or a pointer and a length that do not go together.
    fn text(&self, input: &mut Bytes<'_>) -> holdall_slice {
        let (data, len) = match input.byte() {
            0xFF => (ptr::null(), 0),
            0xFE => (ptr::null(), 1),
            0xFD => (WORDS[0].as_ptr(), usize::MAX),
            0xFC => (WORDS[0].as_ptr(), 0),
            0xFB => (self.token.as_ptr(), self.token.len()),
            byte if byte < 0x80 => {
                let word = WORDS[usize::from(byte) % WORDS.len()];
                (word.as_ptr(), word.len())
            }
            byte => {
                let bytes = input.some(usize::from(byte - 0x80));
                (bytes.as_ptr(), bytes.len())
            }
        };
        holdall_slice { data: data.cast(), len }
    }

    /// The borrowed value lives until its session's next call that is not const.
    fn still_there(&self) {
        if let Some((_, slice, copy)) = &self.borrowed {
            assert!(bytes_of(slice) == copy, "a borrowed value changed");
        }
    }

    fn forget(&mut self, session: *mut holdall_session) {
        if self.borrowed.as_ref().is_some_and(|(of, ..)| *of == session) {
            self.borrowed = None;
        }
    }
}

fn bytes_of(slice: &holdall_slice) -> &[u8] {
    // SAFETY: the library says that what it gives has this many bytes, and the caller that it is still borrowed.
    unsafe { std::slice::from_raw_parts(slice.data.cast(), slice.len) }
}

/// A status the header knows; the message of an error is text.
#[track_caller]
fn status(status: i32) -> bool {
    assert!(
        (-8..=4).contains(&status),
        "status {status}: {}",
        String::from_utf8_lossy(bytes_of(&holdall_last_error_message()))
    );
    if status < 0 {
        let message = holdall_last_error_message();
        assert!(!bytes_of(&message).is_empty() && str::from_utf8(bytes_of(&message)).is_ok());
        assert!(holdall_last_error_flags() <= (HOLDALL_RETRYABLE | HOLDALL_MAY_HAVE_WRITTEN | HOLDALL_LOCKED));
    }
    status == HOLDALL_OK
}

/// A call with an output: given NULL sometimes, and written only where the status says so.
#[track_caller]
fn with_out<T: Copy + PartialEq + std::fmt::Debug>(
    untouched: T,
    input: &mut Bytes<'_>,
    call: impl FnOnce(*mut T) -> i32,
) -> Option<T> {
    if input.byte() == 0xFF {
        assert_eq!(call(ptr::null_mut()), HOLDALL_E_INVALID_ARGUMENT);
        return None;
    }
    let mut out = untouched;
    let done = status(call(&raw mut out));
    assert!(done || out == untouched, "written by a call that did not do it: {out:?}");
    done.then_some(out)
}

/// A call that gives a buffer, which is text with a NUL behind it, and freed twice.
#[track_caller]
fn with_buf(input: &mut Bytes<'_>, call: impl FnOnce(*mut holdall_buf) -> i32) -> Option<String> {
    if input.byte() == 0xFF {
        assert_eq!(call(ptr::null_mut()), HOLDALL_E_INVALID_ARGUMENT);
        return None;
    }
    let mut buf = holdall_buf { data: ptr::null_mut(), len: 0, capacity: 0 };
    let done = status(call(&raw mut buf));
    assert_eq!(done, !buf.data.is_null(), "written by a call that did not do it, or not written");
    let text = done.then(|| {
        // SAFETY: the header: `len` bytes and a NUL.
        let bytes = unsafe { std::slice::from_raw_parts(buf.data.cast::<u8>(), buf.len + 1) };
        assert_eq!(bytes[buf.len], 0);
        str::from_utf8(&bytes[..buf.len]).expect("text").to_owned()
    });
    for _ in 0..2 {
        // SAFETY: as the library gave it; the second time it is empty.
        unsafe { holdall_buf_free(&raw mut buf) };
    }
    text
}

/// A call that lends a value.
#[track_caller]
fn with_slice(input: &mut Bytes<'_>, call: impl FnOnce(*mut holdall_slice) -> i32) -> Option<holdall_slice> {
    let mut slice = holdall_slice { data: ptr::null(), len: 7 };
    if input.byte() == 0xFF {
        assert_eq!(call(ptr::null_mut()), HOLDALL_E_INVALID_ARGUMENT);
        return None;
    }
    let done = status(call(&raw mut slice));
    assert_eq!(done, !slice.data.is_null(), "written by a call that did not do it, or not written");
    done.then_some(slice)
}

unsafe extern "C" fn listener(event: *const holdall_event, user: *mut c_void) {
    // SAFETY: the header: an event lives as long as this call.
    let event = unsafe { &*event };
    assert!(user.is_null() && [0, 12].contains(&bytes_of(&event.session).len()));
}

unsafe extern "C" fn visitor(record: *const holdall_record, _: *mut c_void) -> bool {
    // SAFETY: the header: a record lives as long as this call.
    let record = unsafe { &*record };
    bytes_of(&record.locator).len() == 64
}

pub(crate) fn run(input: &[u8]) {
    let mut input = Bytes(input);
    let mut hands = Hands::default();
    let mut out = ptr::null_mut();
    // SAFETY: a text and a place for the handle.
    assert!(status(unsafe { holdall_manager_new(CONFIG.as_ptr().cast(), CONFIG.len(), &raw mut out) }));
    hands.managers.push(out);
    let mut calls = 0;
    while !input.is_empty() && calls < 200 {
        hands.still_there();
        call(&mut hands, &mut input);
        calls += 1;
    }
    // The rest in any order: handles outlive one another.
    hands.borrowed = None;
    let Hands { managers, sessions, commits, .. } = hands;
    // SAFETY: a handle of the library, not freed before.
    let free_managers = || managers.iter().for_each(|manager| unsafe { holdall_manager_free(*manager) });
    if calls % 2 == 0 {
        free_managers();
    }
    // SAFETY: as above.
    sessions.iter().for_each(|session| unsafe { holdall_session_free(*session) });
    if calls % 2 != 0 {
        free_managers();
    }
    // SAFETY: as above.
    commits.iter().for_each(|commit| unsafe { holdall_commit_free(*commit) });
}

fn open_options(input: &mut Bytes<'_>) -> holdall_open_options {
    holdall_open_options {
        size: if input.byte() == 0xFF { input.below(100) } else { size_of::<holdall_open_options>() },
        // Never to wait for a lock that this thread holds itself.
        flags: HOLDALL_AT | HOLDALL_LOCK_TIMEOUT | if input.byte() == 0xFF { u32::from(input.byte()) } else { 0 },
        mode: u32::try_from(input.below(4)).expect("small"),
        flash: u32::try_from(input.below(5)).expect("small"),
        reserved: u32::from(input.byte() == 0xFF),
        now_ms: NOW_MS,
        lock_timeout_ms: 0,
    }
}

#[allow(clippy::undocumented_unsafe_blocks, reason = "each call is given what the picking functions above promise")]
#[allow(clippy::too_many_lines, reason = "one arm a function of the header")]
fn call(hands: &mut Hands, input: &mut Bytes<'_>) {
    let operation = input.byte() % 64;
    match operation {
        0 => {
            let text = hands.text(input);
            let config =
                if text.data.is_null() || text.len > 256 { None } else { str::from_utf8(bytes_of(&text)).ok() };
            if config.is_some_and(|text| !crate::config::is_harmless(text, "/dev/null".as_ref())) {
                return;
            }
            let out = with_out(ptr::null_mut(), input, |out| unsafe { holdall_manager_new(text.data, text.len, out) });
            hands.managers.extend(out);
        }
        1 if hands.managers.len() > 1 => {
            let manager = hands.managers.swap_remove(input.below(hands.managers.len()));
            unsafe { holdall_manager_free(manager) };
        }
        1 => {
            let session = hands.sessions.first().map_or(ptr::null_mut(), |session| session.cast());
            // NULL, or of another type: nothing happens.
            unsafe { holdall_manager_free(session) };
        }
        2 => {
            let (manager, name) = (hands.manager(input), hands.text(input));
            let call = |out| unsafe { holdall_manager_driver(manager, name.data, name.len, out) };
            let out = with_out(ptr::null_mut(), input, call);
            hands.managers.extend(out);
        }
        3..=9 => {
            let (manager, text) = (hands.manager(input), hands.text(input));
            let given = open_options(input);
            let options = if input.byte() == 0xFF { ptr::null() } else { &raw const given };
            let call = |out| unsafe {
                match operation {
                    3 => holdall_manager_open(manager, text.data, text.len, options, out),
                    4 => holdall_manager_open_keyed(manager, text.data, text.len, options, out),
                    _ => holdall_manager_open_token(manager, text.data, text.len, options, out),
                }
            };
            let out = with_out(ptr::null_mut(), input, call);
            hands.sessions.extend(out);
        }
        10 => {
            let manager = hands.manager(input);
            let listener: holdall_listener = if input.byte() == 0xFF { None } else { Some(listener) };
            status(unsafe { holdall_manager_on_event(manager, listener, ptr::null_mut()) });
        }
        11 => {
            let manager = hands.manager(input);
            let stats = with_buf(input, |out| unsafe { holdall_manager_stats(manager, out) });
            let config = with_buf(input, |out| unsafe { holdall_manager_config(manager, out) });
            for document in stats.into_iter().chain(config) {
                serde_json::from_str::<serde_json::Value>(&document).expect("JSON");
            }
        }
        12 => {
            let (manager, limit) = (hands.manager(input), input.below(80));
            let mut swept = holdall_swept { looked_at: 0, removed: 0, finished: false };
            status(unsafe { holdall_manager_sweep_at(manager, limit, NOW_MS, &raw mut swept) });
            assert!(swept.looked_at <= limit);
            status(unsafe { holdall_manager_sweep(manager, limit, ptr::null_mut()) });
        }
        13 => {
            let manager = hands.manager(input);
            let visitor: holdall_visitor = if input.byte() == 0xFF { None } else { Some(visitor) };
            status(unsafe { holdall_manager_iterate_at(manager, NOW_MS, visitor, ptr::null_mut()) });
            status(unsafe { holdall_manager_iterate(manager, visitor, ptr::null_mut()) });
        }
        14 => {
            let (manager, text) = (hands.manager(input), hands.text(input));
            status(unsafe { holdall_manager_destroy(manager, text.data, text.len) });
        }
        15 if !hands.sessions.is_empty() => {
            let session = hands.sessions.swap_remove(input.below(hands.sessions.len()));
            hands.forget(session);
            unsafe { holdall_session_free(session) };
        }
        15 => unsafe { holdall_session_free(hands.managers[0].cast()) },
        16 if !hands.commits.is_empty() => {
            let commit = hands.commits.swap_remove(input.below(hands.commits.len()));
            unsafe { holdall_commit_free(commit) };
        }
        16 => unsafe { holdall_commit_free(hands.managers[0].cast()) },
        17 => {
            let (commit, index) = (hands.commit(input), input.below(4));
            status(unsafe { holdall_commit_outcome(commit) });
            let mut slices = [holdall_slice { data: ptr::null(), len: 0 }; 2];
            let [name, value] = &mut slices;
            if status(unsafe { holdall_commit_header(commit, index, name, value) }) {
                assert!(index < unsafe { holdall_commit_header_count(commit) });
                assert!(slices.iter().all(|slice| str::from_utf8(bytes_of(slice)).is_ok()));
            }
            let (key, mut reason) = (&raw mut slices[0], 0);
            if status(unsafe { holdall_commit_conflict(commit, index, key, &raw mut reason) }) {
                assert!(index < unsafe { holdall_commit_conflict_count(commit) } && (1..=4).contains(&reason));
            }
        }
        18 => {
            let numbers = [i32::from(input.byte()), -i32::from(input.byte())];
            for name in numbers.map(|number| [holdall_status_name(number), holdall_event_name(number)]).as_flattened() {
                assert!(!unsafe { std::ffi::CStr::from_ptr(*name) }.is_empty());
            }
        }
        19..=28 => read(hands, operation, input),
        _ => write(hands, operation, input),
    }
}

/// The calls whose session is const: what was borrowed from it stays.
#[allow(clippy::undocumented_unsafe_blocks, reason = "each call is given what the picking functions above promise")]
fn read(hands: &mut Hands, operation: u8, input: &mut Bytes<'_>) {
    let (session, key) = (hands.session(input), hands.text(input));
    let (data, len) = (key.data, key.len);
    match operation {
        19 | 20 => {
            let lent = match operation {
                19 => with_slice(input, |out| unsafe { holdall_session_get_json(session, data, len, out) }),
                // By the key, so that the corpus reads as before.
                _ if len % 2 == 1 => {
                    with_slice(input, |out| unsafe { holdall_session_data_json(session, data, len, out) })
                }
                _ => with_slice(input, |out| unsafe { holdall_session_old(session, data, len, out) }),
            };
            if let Some(slice) = lent {
                hands.borrowed = Some((session, slice, bytes_of(&slice).to_vec()));
            }
        }
        21 => {
            if let Some(id) = with_slice(input, |out| unsafe { holdall_session_id(session, out) }) {
                hands.token = str::from_utf8(bytes_of(&id)).expect("text").to_owned();
            }
        }
        22 => {
            with_buf(input, |out| unsafe { holdall_session_get_string(session, data, len, out) });
            with_buf(input, |out| unsafe { holdall_session_previous_url(session, out) });
        }
        23 => {
            with_out(77, input, |out| unsafe { holdall_session_get_int(session, data, len, out) });
        }
        24 => {
            with_out(false, input, |out| unsafe { holdall_session_get_bool(session, data, len, out) });
            with_out(false, input, |out| unsafe { holdall_session_csrf_matches(session, data, len, out) });
        }
        25 => {
            let has = with_out(false, input, |out| unsafe { holdall_session_has(session, data, len, out) });
            let exists = with_out(false, input, |out| unsafe { holdall_session_exists(session, data, len, out) });
            let missing = with_out(false, input, |out| unsafe { holdall_session_missing(session, data, len, out) });
            assert!(exists.is_none() || missing.is_none() || exists != missing);
            assert!(has != Some(true) || exists != Some(false));
            with_out(false, input, |out| unsafe { holdall_session_is_new(session, out) });
        }
        _ => {
            let keys = [key, hands.text(input)];
            let (keys, count) = match input.byte() {
                0xFF => (ptr::null(), 1),
                0xFE => (ptr::null(), 0),
                0xFD => (keys.as_ptr(), usize::MAX),
                byte => (keys.as_ptr(), usize::from(byte) % 3),
            };
            let object = with_buf(input, |out| unsafe {
                match operation {
                    26 => holdall_session_all(session, out),
                    27 => holdall_session_only(session, keys, count, out),
                    _ => holdall_session_except(session, keys, count, out),
                }
            });
            if let Some(object) = object {
                assert!(crate::json::is_a_value(&object), "{object}");
            }
        }
    }
}

/// The calls that change a session.
#[allow(clippy::undocumented_unsafe_blocks, reason = "each call is given what the picking functions above promise")]
fn write(hands: &mut Hands, operation: u8, input: &mut Bytes<'_>) {
    let session = hands.session(input);
    hands.forget(session);
    let (key, value) = (hands.text(input), hands.text(input));
    let (k, kl, v, vl) = (key.data, key.len, value.data, value.len);
    let done = match operation {
        29..=31 => unsafe { holdall_session_set_json(session, k, kl, v, vl) },
        32 => unsafe { holdall_session_set_string(session, k, kl, v, vl) },
        33 => unsafe { holdall_session_set_int(session, k, kl, input.number().cast_signed()) },
        34 => unsafe { holdall_session_set_bool(session, k, kl, input.flag()) },
        35 => {
            let keys = [key, value];
            unsafe { holdall_session_delete(session, keys.as_ptr(), input.below(3)) }
        }
        36 => {
            let keys = [key, value];
            unsafe { holdall_session_keep(session, keys.as_ptr(), input.below(3)) }
        }
        37 => {
            with_buf(input, |out| unsafe { holdall_session_pull_json(session, k, kl, out) });
            HOLDALL_OK
        }
        38 | 39 => {
            let n = input.number().cast_signed();
            // The sum is not asked for with NULL.
            let mut sum = 0;
            let out = if input.flag() { ptr::null_mut() } else { &raw mut sum };
            unsafe {
                match operation {
                    38 => holdall_session_increment(session, k, kl, n, out),
                    _ => holdall_session_decrement(session, k, kl, n, out),
                }
            }
        }
        40 => unsafe { holdall_session_push_json(session, k, kl, v, vl) },
        41 => unsafe { holdall_session_replace_json(session, k, kl, v, vl) },
        42 => {
            with_buf(input, |out| unsafe { holdall_session_remember_json(session, k, kl, v, vl, out) });
            HOLDALL_OK
        }
        43 => unsafe { holdall_session_flush(session) },
        44 => unsafe { holdall_session_reset(session, input.flag()) },
        45 => unsafe { holdall_session_flash_json(session, k, kl, v, vl) },
        46 => unsafe { holdall_session_flash_string(session, k, kl, v, vl) },
        47 => unsafe { holdall_session_flash_now_json(session, k, kl, v, vl) },
        48 => unsafe { holdall_session_reflash(session) },
        49 => unsafe { holdall_session_flash_input(session, v, vl) },
        50 => unsafe { holdall_session_regenerate(session) },
        51 => unsafe { holdall_session_invalidate(session) },
        52 => unsafe { holdall_session_destroy_at(session, NOW_MS) },
        53 => unsafe { holdall_session_destroy(session) },
        54 => unsafe { holdall_session_touch(session) },
        55 => unsafe { holdall_session_set_idle_timeout(session, input.number()) },
        56 => unsafe { holdall_session_set_absolute_timeout(session, input.number()) },
        57 => unsafe { holdall_session_set_persistent(session, input.flag()) },
        58 => {
            with_buf(input, |out| unsafe { holdall_session_csrf_token(session, out) });
            unsafe { holdall_session_regenerate_csrf_token(session) }
        }
        59 => unsafe { holdall_session_set_previous_url(session, v, vl) },
        _ => {
            let options = holdall_commit_options {
                size: if input.byte() == 0xFF { input.below(100) } else { size_of::<holdall_commit_options>() },
                flags: HOLDALL_AT | u32::from(input.byte() & 0x58),
                reserved: u32::from(input.byte() == 0xFF),
                now_ms: NOW_MS + u64::from(input.byte()),
            };
            let options = if input.byte() == 0xFF { ptr::null() } else { &raw const options };
            let mut commit = ptr::null_mut();
            let done = unsafe { holdall_session_commit(session, options, &raw mut commit) };
            assert_eq!(done >= 0, !commit.is_null(), "a commit where there is an outcome, and only there");
            if !commit.is_null() {
                hands.commits.push(commit);
            }
            done
        }
    };
    status(done);
}
