//! The native half of the Node package: the engine's managers and sessions as functions on handles.
//!
//! Functions and not classes, which cost Node three times as much a call; the classes are in lib/. Values cross as JSON text,
//! which V8 reads and writes itself. Sits on the engine's public interface; knows no framework.

mod error;
mod manager;
mod session;
mod thread;
