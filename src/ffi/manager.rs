//! `holdall_manager`: a configuration and its drivers.

use super::bytes::{Out, bytes, holdall_buf, holdall_slice, text};
use super::guard::{Handle, Opaque, guard};
use super::session::holdall_session;
use super::status::{HOLDALL_NOT_FOUND, HOLDALL_OK};
use crate::driver::RecordInfo;
use crate::error::{Error, Result};
use crate::{Event, FlashPolicy, Locator, Manager, Mode, OpenOptions, Session};
use std::ffi::{c_char, c_void};

/// A configuration and its drivers. Any thread may use it at any time, and so may a process forked after it was made. Sessions
/// keep it alive: it may be freed before them.
pub struct holdall_manager(());

impl Opaque for Manager {
    const NAME: &'static str = "manager";
    const MAGIC: u64 = 0x4844_4C4C_4D47_5201;
    type Handle = holdall_manager;
}

/// `now_ms` counts: the time in milliseconds since the Unix epoch, instead of the system's clock.
pub const HOLDALL_AT: u32 = 1;
/// `lock_timeout_ms` counts: how long an exclusive open, and the session's commit or destroy, waits for a lock of another, up to
/// an hour; 0 tries once. HOLDALL_LOCKED is among the flags of the error then.
pub const HOLDALL_LOCK_TIMEOUT: u32 = 2;
/// The request came over https. Only matters where `cookie.secure` is "auto".
pub const HOLDALL_REQUEST_IS_SECURE: u32 = 4;
/// This commit ages flash, whatever the policy says.
pub const HOLDALL_AGE_FLASH: u32 = 8;
/// This commit does not age flash, whatever the policy says: a redirect, an asset, HEAD.
pub const HOLDALL_KEEP_FLASH: u32 = 16;

/// Reads and writes; waits for nobody.
pub const HOLDALL_MODE_SHARED: u32 = 0;
/// Others wait for this session's commit, or are told HOLDALL_E_UNAVAILABLE. The record is loaded at once.
pub const HOLDALL_MODE_EXCLUSIVE: u32 = 1;
/// Never writes: every change is HOLDALL_E_MISUSE.
pub const HOLDALL_MODE_READ_ONLY: u32 = 2;

/// As configured.
pub const HOLDALL_FLASH_CONFIGURED: u32 = 0;
/// A flash entry ends with the next request that commits with aging.
pub const HOLDALL_FLASH_NEXT_REQUEST: u32 = 1;
/// A flash entry ends when it is read.
pub const HOLDALL_FLASH_ON_READ: u32 = 2;
/// A flash entry ends at a commit with HOLDALL_AGE_FLASH.
pub const HOLDALL_FLASH_EXPLICIT: u32 = 3;

/// How to open a session. All zeros but `size` is the default; NULL instead of a pointer to it too.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct holdall_open_options {
    /// sizeof(holdall_open_options) as your program was compiled: later versions may add fields behind the last.
    pub size: usize,
    /// HOLDALL_AT, HOLDALL_LOCK_TIMEOUT, HOLDALL_REQUEST_IS_SECURE.
    pub flags: u32,
    /// HOLDALL_MODE_*.
    pub mode: u32,
    /// HOLDALL_FLASH_*.
    pub flash: u32,
    /// 0.
    pub reserved: u32,
    /// With HOLDALL_AT.
    pub now_ms: u64,
    /// With HOLDALL_LOCK_TIMEOUT.
    pub lock_timeout_ms: u64,
}

/// An event, as a listener is told it.
#[repr(C)]
pub struct holdall_event {
    /// A number that holdall_event_name() names.
    pub kind: i32,
    /// 12 characters that follow one session through a log and are useless as a cookie; empty for a malformed token. Lives as
    /// long as the listener's call.
    pub session: holdall_slice,
}

/// A listener for events. Called on the thread of whichever call caused the event, after all locks of the library are released;
/// so from several threads at once, if you use several. It must not throw, and not use the session the event comes from.
pub type holdall_listener = Option<unsafe extern "C" fn(event: *const holdall_event, user: *mut c_void)>;

/// What holdall_manager_iterate() shows of a record.
#[repr(C)]
pub struct holdall_record {
    /// The handle to destroy it by: 64 hexadecimal characters. Not a cookie. Lives as long as the visitor's call.
    pub locator: holdall_slice,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expiry_ms: u64,
    /// Its size in bytes.
    pub bytes: usize,
}

/// A visitor of records. It answers true to go on. It must not throw.
pub type holdall_visitor = Option<unsafe extern "C" fn(record: *const holdall_record, user: *mut c_void) -> bool>;

/// What a sweep did.
#[repr(C)]
pub struct holdall_swept {
    /// Entries looked at.
    pub looked_at: usize,
    /// Records removed.
    pub removed: usize,
    /// Whether it came to the end of what there is.
    pub finished: bool,
}

pub(super) fn known_flags(flags: u32, known: u32) -> Result<()> {
    match flags & !known {
        0 => Ok(()),
        unknown => Err(Error::argument(format!("options.flags has bits that do not belong there: {unknown:#x}"))),
    }
}

/// A field that has no meaning yet must be 0, or it could never be given one.
pub(super) fn unused(reserved: u32) -> Result<()> {
    match reserved {
        0 => Ok(()),
        other => Err(Error::argument(format!("options.reserved: 0, this is {other}"))),
    }
}

/// Reads options of the size that the caller's program knows.
///
/// # Safety
/// A non-null `options` points to as many readable bytes as its first field says.
pub(super) unsafe fn read_options<T: Copy>(options: *const T) -> Result<Option<T>> {
    if options.is_null() {
        return Ok(None);
    }
    if !options.is_aligned() {
        return Err(Error::argument("options is not aligned"));
    }
    // SAFETY: not null and aligned; every options type begins with its size.
    let size = unsafe { *options.cast::<usize>() };
    if size != size_of::<T>() {
        return Err(Error::argument(format!("options.size: {} in this version, this is {size}", size_of::<T>())));
    }
    // SAFETY: the caller's struct is as large as ours.
    Ok(Some(unsafe { *options }))
}

/// # Safety
/// As [`read_options`].
unsafe fn open_options(options: *const holdall_open_options) -> Result<OpenOptions> {
    // SAFETY: this function's own condition.
    let Some(given) = (unsafe { read_options(options) })? else {
        return Ok(OpenOptions::new());
    };
    known_flags(given.flags, HOLDALL_AT | HOLDALL_LOCK_TIMEOUT | HOLDALL_REQUEST_IS_SECURE)?;
    unused(given.reserved)?;
    let mode = match given.mode {
        HOLDALL_MODE_SHARED => Mode::Shared,
        HOLDALL_MODE_EXCLUSIVE => Mode::Exclusive,
        HOLDALL_MODE_READ_ONLY => Mode::ReadOnly,
        other => return Err(Error::argument(format!("options.mode: 0 to 2, this is {other}"))),
    };
    let mut options = OpenOptions::new().mode(mode).request_is_secure(given.flags & HOLDALL_REQUEST_IS_SECURE != 0);
    options = match given.flash {
        HOLDALL_FLASH_CONFIGURED => options,
        HOLDALL_FLASH_NEXT_REQUEST => options.flash(FlashPolicy::NextRequest),
        HOLDALL_FLASH_ON_READ => options.flash(FlashPolicy::OnRead),
        HOLDALL_FLASH_EXPLICIT => options.flash(FlashPolicy::Explicit),
        other => return Err(Error::argument(format!("options.flash: 0 to 3, this is {other}"))),
    };
    if given.flags & HOLDALL_AT != 0 {
        options = options.at(given.now_ms);
    }
    if given.flags & HOLDALL_LOCK_TIMEOUT != 0 {
        options = options.lock_timeout_ms(given.lock_timeout_ms);
    }
    Ok(options)
}

/// Makes a manager from a configuration: a JSON document, or a URL such as "memory:" or "file:///var/lib/app/sessions". The
/// fields are in docs/config.md. HOLDALL_E_INVALID_CONFIG names the field, also where its directory cannot be used;
/// HOLDALL_E_UNAVAILABLE where the storage failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_manager_new(
    config: *const c_char,
    config_len: usize,
    out: *mut *mut holdall_manager,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for inputs.
        let config = unsafe { text(config, config_len, "config") }?;
        out.set(Handle::give(Manager::new(config)?));
        Ok(HOLDALL_OK)
    })
}

/// Frees a manager. NULL does nothing. Sessions that it opened go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_manager_free(manager: *mut holdall_manager) {
    // SAFETY: the header's rule for handles.
    unsafe { Handle::<Manager>::free(manager) };
}

/// The same manager with another of its drivers opening sessions, under a cookie of its own (the default's name, "-", the
/// driver's name). A handle to be freed like any other. HOLDALL_E_INVALID_ARGUMENT where the configuration has no such driver.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_manager_driver(
    manager: *const holdall_manager,
    name: *const c_char,
    name_len: usize,
    out: *mut *mut holdall_manager,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for handles.
        let manager = unsafe { Handle::<Manager>::shared(manager) }?;
        // SAFETY: the header's rule for inputs.
        let name = unsafe { text(name, name_len, "name") }?;
        out.set(Handle::give(manager.driver(name)?));
        Ok(HOLDALL_OK)
    })
}

/// What the three ways to open have in common.
///
/// # Safety
/// As the header asks of its callers.
unsafe fn open(
    manager: *const holdall_manager,
    input: (*const c_char, usize, &str),
    options: *const holdall_open_options,
    out: *mut *mut holdall_session,
    how: impl FnOnce(&Manager, &[u8], OpenOptions) -> Result<Session>,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for handles.
        let manager = unsafe { Handle::<Manager>::shared(manager) }?;
        // SAFETY: the header's rule for inputs.
        let input = unsafe { bytes(input.0, input.1, input.2) }?;
        // SAFETY: the header's rule for options.
        let options = unsafe { open_options(options) }?;
        out.set(Handle::give(how(manager, input, options)?));
        Ok(HOLDALL_OK)
    })
}

/// Opens the session that a request's Cookie header names: the whole header, NULL and 0 where there was none, several lines
/// joined with "; ". Reads nothing yet. A cookie that is unknown, malformed, expired or tampered with is absent, never an
/// error; the first write makes a fresh session with a new id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_manager_open(
    manager: *const holdall_manager,
    cookie_header: *const c_char,
    cookie_header_len: usize,
    options: *const holdall_open_options,
    out: *mut *mut holdall_session,
) -> i32 {
    // SAFETY: the caller's promises are passed on.
    unsafe { open(manager, (cookie_header, cookie_header_len, "cookie_header"), options, out, Manager::open_with) }
}

/// Opens the session of a token: the cookie's value alone, or what an API client sends elsewhere. Else as
/// holdall_manager_open().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_manager_open_token(
    manager: *const holdall_manager,
    token: *const c_char,
    token_len: usize,
    options: *const holdall_open_options,
    out: *mut *mut holdall_session,
) -> i32 {
    // SAFETY: the caller's promises are passed on.
    unsafe { open(manager, (token, token_len, "token"), options, out, Manager::open_token_with) }
}

/// Opens the session that belongs to an application key: an API token, an IP address (think twice: many people share one, and
/// X-Forwarded-For is whatever the client wrote unless your own proxy set it). HOLDALL_E_UNSUPPORTED unless `keyed_secret` is
/// configured.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_manager_open_keyed(
    manager: *const holdall_manager,
    key: *const c_char,
    key_len: usize,
    options: *const holdall_open_options,
    out: *mut *mut holdall_session,
) -> i32 {
    // SAFETY: the caller's promises are passed on.
    unsafe { open(manager, (key, key_len, "key"), options, out, Manager::open_keyed_with) }
}

/// A pointer of the caller's that goes with its function.
struct User(*mut c_void);

// SAFETY: the engine never looks at what it points to. The header tells the caller that the listener is called on every thread
// that uses the manager.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

impl User {
    fn get(&self) -> *mut c_void {
        self.0
    }
}

/// Has events told to `listener`, with `user` handed on untouched. Once a manager: HOLDALL_E_MISUSE the second time. Both must
/// stay good until the manager and all its sessions are freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_manager_on_event(
    manager: *const holdall_manager,
    listener: holdall_listener,
    user: *mut c_void,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for handles.
        let manager = unsafe { Handle::<Manager>::shared(manager) }?;
        let listener = listener.ok_or_else(|| Error::argument("listener is NULL"))?;
        let user = User(user);
        manager.on_event(move |event: &Event| {
            let told =
                holdall_event { kind: event.kind() as i32, session: holdall_slice::of(event.session().as_bytes()) };
            // SAFETY: the header asks that the listener and `user` stay good while the manager or a session of it lives, and
            // that the listener does not throw.
            unsafe { listener(&raw const told, user.get()) };
        })?;
        Ok(HOLDALL_OK)
    })
}

/// Counters since the manager was made and sizes of its drivers, as a JSON document.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_manager_stats(manager: *const holdall_manager, out: *mut holdall_buf) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for handles.
        let manager = unsafe { Handle::<Manager>::shared(manager) }?;
        out.set(holdall_buf::of(manager.stats()));
        Ok(HOLDALL_OK)
    })
}

/// Makes a key for `keys` in the configuration: 32 random bytes as 43 characters of base64url. A secret: whoever has it can make
/// himself any session. Needs no manager.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_generate_key(out: *mut holdall_buf) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        out.set(holdall_buf::of(crate::generate_key()?));
        Ok(HOLDALL_OK)
    })
}

/// The configuration in force, every default filled in, secrets left out, as a JSON document.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_manager_config(manager: *const holdall_manager, out: *mut holdall_buf) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for handles.
        let manager = unsafe { Handle::<Manager>::shared(manager) }?;
        out.set(holdall_buf::of(manager.config()));
        Ok(HOLDALL_OK)
    })
}

/// Removes expired records, looking at no more than `limit` entries. Ordinary traffic does this too, 64 entries at a time; a
/// timer or a cron job makes expired data go sooner. In memory a record may outlast its end by a 512th of the idle timeout, and
/// at least a second, before a sweep sees it; it is never read then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_manager_sweep(
    manager: *const holdall_manager,
    limit: usize,
    out: *mut holdall_swept,
) -> i32 {
    // SAFETY: the caller's promises are passed on.
    unsafe { sweep(manager, limit, None, out) }
}

/// holdall_manager_sweep() at a time of your own, in milliseconds since the Unix epoch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_manager_sweep_at(
    manager: *const holdall_manager,
    limit: usize,
    now_ms: u64,
    out: *mut holdall_swept,
) -> i32 {
    // SAFETY: the caller's promises are passed on.
    unsafe { sweep(manager, limit, Some(now_ms), out) }
}

/// # Safety
/// As the header asks of its callers.
unsafe fn sweep(manager: *const holdall_manager, limit: usize, now_ms: Option<u64>, out: *mut holdall_swept) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: the header's rule for handles.
        let manager = unsafe { Handle::<Manager>::shared(manager) }?;
        let swept = match now_ms {
            Some(now_ms) => manager.sweep_at(limit, now_ms)?,
            None => manager.sweep(limit)?,
        };
        out.set(holdall_swept { looked_at: swept.looked_at, removed: swept.removed, finished: swept.finished });
        Ok(HOLDALL_OK)
    })
}

/// Shows every record that lives, in no order, until the visitor answers false. It looks at all there is: for tools, not for
/// requests.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_manager_iterate(
    manager: *const holdall_manager,
    visitor: holdall_visitor,
    user: *mut c_void,
) -> i32 {
    // SAFETY: the caller's promises are passed on.
    unsafe { iterate(manager, None, visitor, user) }
}

/// holdall_manager_iterate() at a time of your own, in milliseconds since the Unix epoch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_manager_iterate_at(
    manager: *const holdall_manager,
    now_ms: u64,
    visitor: holdall_visitor,
    user: *mut c_void,
) -> i32 {
    // SAFETY: the caller's promises are passed on.
    unsafe { iterate(manager, Some(now_ms), visitor, user) }
}

/// # Safety
/// As the header asks of its callers.
unsafe fn iterate(
    manager: *const holdall_manager,
    now_ms: Option<u64>,
    visitor: holdall_visitor,
    user: *mut c_void,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for handles.
        let manager = unsafe { Handle::<Manager>::shared(manager) }?;
        let visitor = visitor.ok_or_else(|| Error::argument("visitor is NULL"))?;
        let visit = |info: RecordInfo| {
            let name = info.locator.to_hex();
            let locator = holdall_slice::of(name.as_str().as_bytes());
            let record = holdall_record { locator, expiry_ms: info.expiry_ms, bytes: info.bytes };
            // SAFETY: the header asks that the visitor does not throw; the record lives as long as this call.
            unsafe { visitor(&raw const record, user) }
        };
        match now_ms {
            Some(now_ms) => manager.iterate_at(now_ms, visit)?,
            None => manager.iterate(visit)?,
        }
        Ok(HOLDALL_OK)
    })
}

/// Destroys a record by its locator, as holdall_manager_iterate() shows it. HOLDALL_NOT_FOUND where there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_manager_destroy(
    manager: *const holdall_manager,
    locator: *const c_char,
    locator_len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for handles.
        let manager = unsafe { Handle::<Manager>::shared(manager) }?;
        // SAFETY: the header's rule for inputs.
        let name = unsafe { bytes(locator, locator_len, "locator") }?;
        let locator = Locator::from_hex(name)
            .ok_or_else(|| Error::argument("locator is not 64 lower-case hexadecimal characters"))?;
        Ok(if manager.destroy(&locator)? { HOLDALL_OK } else { HOLDALL_NOT_FOUND })
    })
}
