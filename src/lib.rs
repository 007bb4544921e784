//! Holdall: a session engine for every language.
//!
//! A session is a record plus the operations of this request. Nothing is read until the first access; [`Session::commit`]
//! replays the operations on the record *as it is stored then*, in one atomic step, so that parallel requests do not
//! overwrite each other, and a slow one does not log a user in again.
//!
//! ```
//! # fn main() -> holdall::Result<()> {
//! let manager = holdall::Manager::new("memory:")?;
//!
//! let mut session = manager.open("")?; // the request's whole Cookie header
//! session.set("user", &42)?;
//! session.flash("notice", &"Welcome back")?;
//! let commit = session.commit()?;
//!
//! for (name, value) in commit.headers() {
//!     println!("{name}: {value}"); // Set-Cookie: __Host-sid=...; Vary: Cookie; Cache-Control: no-store
//! }
//! # Ok(()) }
//! ```
//!
//! Start reading at [`Manager`], then [`Session`]; the semantics are in docs/architecture.md, the configuration in
//! docs/config.md. Linux with glibc is tested; macOS and aarch64 are meant to build.
#![deny(unsafe_code)]

#[cfg(not(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    any(all(target_os = "linux", target_env = "gnu"), target_os = "macos")
)))]
compile_error!(
    "Holdall is made for Linux with glibc and for macOS, on x86-64 and aarch64: its locks and crash promises are tested there"
);

mod config;
mod data;
pub mod driver;
mod error;
mod event;
#[cfg(feature = "capi")]
pub mod ffi;
mod flash;
mod fork;
mod headers;
mod id;
mod json;
mod keys;
mod manager;
mod operation;
mod record;
mod seal;
mod session;
mod time;

pub use data::ConflictReason;
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, EventKind, Events};
pub use flash::FlashPolicy;
pub use headers::{Header, MAX_SET_COOKIE_BYTES};
pub use id::{HexName, Locator, SessionId};
pub use json::MAX_DEPTH;
pub use keys::generate_key;
pub use manager::{Manager, Mode, OpenOptions};
pub use operation::Conflict;
pub use session::{Commit, CommitOptions, Outcome, Session};
