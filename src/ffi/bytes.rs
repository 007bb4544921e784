//! Bytes across the border: borrowed slices, owned buffers, and what may come in.

use crate::error::{Error, Result};
use std::ffi::c_char;

/// A borrowed view of bytes, mostly UTF-8 text, without a terminating NUL. Never free it. How long it lives is said where it
/// is given.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct holdall_slice {
    /// The first byte. Not NULL where a call gave it; may be NULL with `len` 0 where you give it.
    pub data: *const c_char,
    /// How many bytes.
    pub len: usize,
}

impl holdall_slice {
    pub(super) fn of(bytes: &[u8]) -> holdall_slice {
        holdall_slice { data: bytes.as_ptr().cast(), len: bytes.len() }
    }
}

/// Bytes that are yours. Free them with holdall_buf_free(), and with nothing else. A NUL byte follows the last one, so that
/// text without NUL inside can be printed with `%s`.
#[repr(C)]
pub struct holdall_buf {
    /// The first byte.
    pub data: *mut c_char,
    /// How many bytes, without the NUL.
    pub len: usize,
    /// How many bytes were allocated. Not yours to change.
    pub capacity: usize,
}

impl holdall_buf {
    pub(super) fn of(text: String) -> holdall_buf {
        let mut bytes = std::mem::ManuallyDrop::new(text.into_bytes());
        bytes.push(0);
        holdall_buf { data: bytes.as_mut_ptr().cast(), len: bytes.len() - 1, capacity: bytes.capacity() }
    }
}

/// Frees a buffer and makes it empty; doing it again, or to one that is all zeros, or to NULL, does nothing. A copy of the
/// struct must not be freed too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_buf_free(buf: *mut holdall_buf) {
    // SAFETY: the header asks for NULL or a writable holdall_buf.
    let Some(buf) = (unsafe { buf.as_mut() }) else { return };
    if !buf.data.is_null() && buf.capacity > buf.len {
        // SAFETY: the three fields are those that `of` took from a Vec, and the header forbids changing them; what was freed
        // before has been nulled below.
        drop(unsafe { Vec::from_raw_parts(buf.data.cast::<u8>(), buf.len + 1, buf.capacity) });
    }
    *buf = holdall_buf { data: std::ptr::null_mut(), len: 0, capacity: 0 };
}

/// Bytes that C gave. NULL with 0 is empty, NULL with more is an error, and so is a length no object can have.
///
/// # Safety
/// A non-null `data` points to `len` bytes that are readable and do not change while `'a` lasts.
pub(super) unsafe fn bytes<'a>(data: *const c_char, len: usize, name: &str) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Error::argument(format!("{name} is NULL, its length is {len}")));
    }
    if isize::try_from(len).is_err() {
        return Err(Error::argument(format!("{name} cannot be {len} bytes long")));
    }
    // SAFETY: not null, and short enough; the rest is this function's own condition.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// Text that C gave: [`bytes`] that are UTF-8.
///
/// # Safety
/// As [`bytes`].
pub(super) unsafe fn text<'a>(data: *const c_char, len: usize, name: &str) -> Result<&'a str> {
    // SAFETY: this function's own condition.
    let bytes = unsafe { bytes(data, len, name) }?;
    std::str::from_utf8(bytes).map_err(|error| Error::argument(format!("{name} is not UTF-8")).with_source(error))
}

/// An array of texts that C gave.
///
/// # Safety
/// A non-null `items` points to `count` slices, each as [`bytes`] asks.
pub(super) unsafe fn texts<'a>(items: *const holdall_slice, count: usize, name: &str) -> Result<Vec<&'a str>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if items.is_null() {
        return Err(Error::argument(format!("{name} is NULL, its count is {count}")));
    }
    if !items.is_aligned() || isize::try_from(count.saturating_mul(size_of::<holdall_slice>())).is_err() {
        return Err(Error::argument(format!("{name} cannot have {count} items")));
    }
    // SAFETY: not null, aligned and short enough; the rest is this function's own condition.
    let items = unsafe { std::slice::from_raw_parts(items, count) };
    // SAFETY: this function's own condition, for each item.
    items.iter().map(|item| unsafe { text(item.data, item.len, name) }).collect()
}

/// A place for a result, checked before anything is done and written only on success.
pub(super) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// A non-null `place` is writable as one `T` while this value lasts.
    pub(super) unsafe fn new(place: *mut T, name: &str) -> Result<Out<T>> {
        if place.is_null() || !place.is_aligned() {
            return Err(Error::argument(format!("{name}, where the result goes, is NULL or not aligned")));
        }
        Ok(Out(place))
    }

    pub(super) fn set(self, value: T) {
        // SAFETY: not null and aligned (checked in `new`), writable by the condition of `new`.
        unsafe { self.0.write(value) };
    }
}
