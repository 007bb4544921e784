//! `holdall_commit`: the answer of a commit, as an indexed view.

use super::bytes::{Out, holdall_slice};
use super::guard::{Handle, Opaque, guard};
use super::status::{HOLDALL_NOT_FOUND, HOLDALL_OK, of_conflict, of_outcome};
use crate::Commit;

/// The answer of a commit: headers for the response, and conflicts. Any thread may read it. Lives until it is freed, whatever
/// becomes of session and manager.
pub struct holdall_commit(());

impl Opaque for Commit {
    const NAME: &'static str = "commit";
    const MAGIC: u64 = 0x4844_4C4C_434F_4D03;
    type Handle = holdall_commit;
}

/// What the commit did: HOLDALL_OK (saved), HOLDALL_UNCHANGED, HOLDALL_GONE or HOLDALL_MOVED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_commit_outcome(commit: *const holdall_commit) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for handles.
        let commit = unsafe { Handle::<Commit>::shared(commit) }?;
        Ok(of_outcome(commit.outcome()))
    })
}

/// How many headers belong in the response. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_commit_header_count(commit: *const holdall_commit) -> usize {
    let mut count = 0;
    guard(|| {
        // SAFETY: the header's rule for handles.
        count = unsafe { Handle::<Commit>::shared(commit) }?.headers().len();
        Ok(HOLDALL_OK)
    });
    count
}

/// One header: add it to the response, do not replace others of its name. HOLDALL_NOT_FOUND past the end. The views live as
/// long as the commit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_commit_header(
    commit: *const holdall_commit,
    index: usize,
    name: *mut holdall_slice,
    value: *mut holdall_slice,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out_name = unsafe { Out::new(name, "name") }?;
        // SAFETY: the header's rule for outputs.
        let out_value = unsafe { Out::new(value, "value") }?;
        // SAFETY: the header's rule for handles.
        let commit = unsafe { Handle::<Commit>::shared(commit) }?;
        let Some((name, value)) = commit.headers().get(index) else {
            return Ok(HOLDALL_NOT_FOUND);
        };
        out_name.set(holdall_slice::of(name.as_bytes()));
        out_value.set(holdall_slice::of(value.as_bytes()));
        Ok(HOLDALL_OK)
    })
}

/// How many operations met a change by another request. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_commit_conflict_count(commit: *const holdall_commit) -> usize {
    let mut count = 0;
    guard(|| {
        // SAFETY: the header's rule for handles.
        count = unsafe { Handle::<Commit>::shared(commit) }?.conflicts().len();
        Ok(HOLDALL_OK)
    });
    count
}

/// One conflict: the key, and HOLDALL_CONFLICT_* in `reason`. HOLDALL_NOT_FOUND past the end. The view lives as long as the
/// commit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_commit_conflict(
    commit: *const holdall_commit,
    index: usize,
    key: *mut holdall_slice,
    reason: *mut i32,
) -> i32 {
    guard(|| {
        // SAFETY: the header's rule for outputs.
        let out_key = unsafe { Out::new(key, "key") }?;
        // SAFETY: the header's rule for outputs.
        let out_reason = unsafe { Out::new(reason, "reason") }?;
        // SAFETY: the header's rule for handles.
        let commit = unsafe { Handle::<Commit>::shared(commit) }?;
        let Some(conflict) = commit.conflicts().get(index) else {
            return Ok(HOLDALL_NOT_FOUND);
        };
        out_key.set(holdall_slice::of(conflict.key.as_bytes()));
        out_reason.set(of_conflict(conflict.reason));
        Ok(HOLDALL_OK)
    })
}

/// Frees a commit. NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn holdall_commit_free(commit: *mut holdall_commit) {
    // SAFETY: the header's rule for handles.
    unsafe { Handle::<Commit>::free(commit) };
}
