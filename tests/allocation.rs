//! Guards that reading a loaded session allocates nothing: a value is a slice of the bytes that were loaded, or of what this
//! request set. A test of its own program, as the allocator counts for all of it; per thread, as the tests run beside each
//! other.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{open, places, stored};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // A thread that is ending has no counter any more, and nothing to measure.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it came; a counter without a destructor allocates nothing itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, bytes) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(of: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    of();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(black_box(Box::new(black_box(1))))), 1);
    assert_eq!(allocations(|| drop(black_box(vec![0u8; black_box(100)]))), 1);
    assert_eq!(allocations(|| ()), 0);
}

#[test]
fn get_json_of_a_loaded_session_allocates_nothing() {
    for place in places() {
        let text = format!("{:?}", "x".repeat(1000));
        let token =
            stored(&place.manager, &[("user", "42"), ("text", &text), ("cart", r#"[{"amount":1},{"amount":2}]"#)]);
        let mut before = open(&place.manager, &token);
        before.flash_json("notice", r#""Welcome back""#).unwrap();
        drop(before.commit().unwrap());

        let mut session = open(&place.manager, &token);
        // The first access loads, and that allocates.
        assert_eq!(session.get_json("user").unwrap(), Some("42"));
        for (key, expected) in [
            ("user", Some("42")),
            ("text", Some(&*text)),
            ("cart", Some(r#"[{"amount":1},{"amount":2}]"#)),
            ("notice", Some(r#""Welcome back""#)),
            ("missing", None),
        ] {
            let mut found = None;
            let allocated = allocations(|| found = session.get_json(black_box(key)).unwrap());
            assert_eq!(found, expected, "{}: {key}", place.driver);
            assert_eq!(allocated, 0, "{}: {key}", place.driver);
        }

        // The same for what this request has set itself, and has deleted.
        session.set_json("user", "43").unwrap();
        session.delete(&["cart"]).unwrap();
        session.flash_now_json("hint", "1").unwrap();
        for (key, expected) in [("user", Some("43")), ("cart", None), ("hint", Some("1"))] {
            let mut found = None;
            let allocated = allocations(|| found = session.get_json(black_box(key)).unwrap());
            assert_eq!(found, expected, "{}: {key}", place.driver);
            assert_eq!(allocated, 0, "{}: {key}", place.driver);
        }
    }
}
