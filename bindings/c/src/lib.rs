//! `libholdall`: the functions of `engine::ffi`, as a shared and a static library.
pub use engine::ffi::*;
