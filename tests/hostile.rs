//! Guards that no size a file or a cookie claims is believed: nothing is allocated for it, and the process does not grow.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::processes::storm;
use common::{Place, figure, scaled, stored};

#[test]
fn sizes_claimed_in_records_and_cookies_cost_no_memory() {
    let place = Place::new("file");
    let token = stored(&place.manager, &[("k", "\"value\""), ("l", "[1,2,3]")]);
    // Both slots hold the record.
    let mut session = common::open(&place.manager, &token);
    session.set("k", "other").unwrap();
    drop(session.commit().unwrap());
    let file = place.only_file();
    let times = scaled(2000, 10_000);

    let reader = storm([&place.config, token.as_str(), "hostile", file.to_str().unwrap(), &times.to_string()]);
    let grown: usize = reader.ended_well().parse().unwrap();

    assert!(grown < 1 << 20, "the process grew by {grown} bytes");
    let found = format!("{} KiB", grown / 1024);
    figure(
        "R16",
        "file",
        "growth over 10,000 hostile records and cookies, in 256 MiB of address space",
        found,
        "< 1 MiB",
    );
}
