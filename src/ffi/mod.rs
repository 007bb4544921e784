//! The C interface: every `holdall_*` function of `include/holdall.h`, and nothing else.
//!
//! The engine's public API behind handles, slices and status numbers. One guard catches every panic and sets the thread's
//! message; one place decides what a pointer from C may be. The text of the header is the text here (cbindgen.toml has its
//! opening chapter), so read it there.
//!
//! What every `unsafe` block here relies on is what the header asks of its caller, rule by rule: a pointer with a length
//! points to that many readable bytes for the length of the call; an output pointer points to one writable value; a handle
//! came from this library and was not freed. NULL, wrong lengths and handles of another type are checked, not relied on.
#![allow(unsafe_code)]
#![allow(non_camel_case_types, reason = "the names are C's")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the rules of the header, above, are the safety section of every function"
)]

mod bytes;
mod commit;
mod guard;
mod manager;
mod session;
mod status;

pub use bytes::{holdall_buf, holdall_buf_free, holdall_slice};
pub use commit::*;
pub use manager::*;
pub use session::*;
pub use status::*;
