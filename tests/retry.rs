//! Guards that a commit that failed can be repeated, and is applied exactly once wherever it failed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{AFTER, BEFORE, DRIVERS, FailOnce, Place, open, records, set_cookie, stored, value, watched};
use holdall::{ErrorKind, Manager, Outcome, Session};
use std::sync::Arc;

/// Commits with a failure at a moment, then again, and gives the second answer.
fn fail_then_repeat(session: &mut Session, watch: &FailOnce, moment: u8) -> holdall::Commit {
    watch.arm(moment);
    let error = session.commit().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.may_have_written(), moment == AFTER);
    session.commit().unwrap()
}

fn everywhere(test: impl Fn(&Manager, &FailOnce, u8)) {
    for driver in DRIVERS {
        for moment in [BEFORE, AFTER] {
            let place = Place::new(driver);
            let watch = Arc::new(FailOnce::default());
            test(&watched(&place.config, &watch), &watch, moment);
        }
    }
}

#[test]
fn an_update_that_is_repeated_is_applied_once() {
    everywhere(|manager, watch, moment| {
        let token = stored(manager, &[("n", "1"), ("l", "[]")]);
        let mut session = open(manager, &token);
        session.increment("n", 1).unwrap();
        session.push("l", &1).unwrap();

        let commit = fail_then_repeat(&mut session, watch, moment);

        assert_eq!(commit.outcome(), Outcome::Saved);
        assert_eq!(value(manager, &token, "n").as_deref(), Some("2"));
        assert_eq!(value(manager, &token, "l").as_deref(), Some("[1]"));
    });
}

#[test]
fn a_first_write_that_is_repeated_makes_one_record() {
    everywhere(|manager, watch, moment| {
        let mut session = manager.open("").unwrap();
        session.increment("n", 1).unwrap();
        let csrf = session.csrf_token().unwrap();

        let commit = fail_then_repeat(&mut session, watch, moment);

        assert_eq!(commit.outcome(), Outcome::Saved);
        let token = session.id().unwrap().unwrap().as_str().to_owned();
        assert!(set_cookie(&commit).unwrap().contains(&token));
        assert_eq!(value(manager, &token, "n").as_deref(), Some("1"));
        assert!(open(manager, &token).csrf_matches(&csrf).unwrap());
        assert_eq!(records(manager), 1);
    });
}

#[test]
fn a_regenerate_that_is_repeated_moves_once_and_sends_the_cookie() {
    everywhere(|manager, watch, moment| {
        let token = stored(manager, &[("n", "1")]);
        let mut session = open(manager, &token);
        session.regenerate().unwrap();
        session.increment("n", 1).unwrap();

        let commit = fail_then_repeat(&mut session, watch, moment);

        assert_eq!(commit.outcome(), Outcome::Saved);
        let new = session.id().unwrap().unwrap().as_str().to_owned();
        assert!(set_cookie(&commit).unwrap().contains(&new));
        assert_eq!(value(manager, &new, "n").as_deref(), Some("2"));
        assert!(open(manager, &token).is_new().unwrap());
        assert_eq!(records(manager), 1);
    });
}

#[test]
fn an_invalidate_that_is_repeated_leaves_one_record() {
    everywhere(|manager, watch, moment| {
        let token = stored(manager, &[("n", "1")]);
        let mut session = open(manager, &token);
        session.invalidate().unwrap();
        session.flash("bye", &1).unwrap();

        let commit = fail_then_repeat(&mut session, watch, moment);

        assert!(set_cookie(&commit).is_some());
        let new = session.id().unwrap().unwrap().as_str().to_owned();
        assert_eq!(open(manager, &new).all().unwrap(), r#"{"bye":1}"#);
        assert_eq!(records(manager), 1);
    });
}

#[test]
fn flash_that_aged_in_a_failed_commit_ages_once() {
    everywhere(|manager, watch, moment| {
        let mut session = manager.open("").unwrap();
        session.flash("n", &1).unwrap();
        drop(session.commit().unwrap());
        let token = session.id().unwrap().unwrap().as_str().to_owned();
        let mut reading = open(manager, &token);
        assert!(reading.exists("n").unwrap());
        reading.flash("next", &2).unwrap();

        drop(fail_then_repeat(&mut reading, watch, moment));

        assert_eq!(open(manager, &token).all().unwrap(), r#"{"next":2}"#);
    });
}

#[test]
fn a_destroy_that_failed_may_be_repeated() {
    everywhere(|manager, watch, moment| {
        let token = stored(manager, &[("n", "1")]);
        let mut session = open(manager, &token);
        assert!(!session.is_new().unwrap());
        watch.arm(moment);

        session.destroy().unwrap_err();
        session.destroy().unwrap();

        let commit = session.commit().unwrap();
        assert_eq!(commit.outcome(), Outcome::Gone);
        assert!(set_cookie(&commit).unwrap().contains("Max-Age=0"));
        assert_eq!(records(manager), 0);
    });
}

#[test]
fn a_commit_that_failed_for_good_leaves_the_stored_state_as_it_was() {
    everywhere(|manager, watch, _| {
        let token = stored(manager, &[("n", "1")]);
        let mut session = open(manager, &token);
        session.flush().unwrap();
        watch.arm(BEFORE);

        session.commit().unwrap_err();
        drop(session);

        assert_eq!(open(manager, &token).all().unwrap(), r#"{"n":1}"#);
    });
}

#[test]
fn nothing_can_be_added_to_a_commit_that_may_have_been_written_until_it_was_repeated() {
    // It would be lost: the repeated commit finds itself written and writes nothing.
    everywhere(|manager, watch, moment| {
        let token = stored(manager, &[("n", "1")]);
        let mut session = open(manager, &token);
        session.increment("n", 1).unwrap();
        watch.arm(moment);
        session.commit().unwrap_err();

        let added = session.flash("sorry", &1);
        assert_eq!(added.is_ok(), moment == BEFORE);
        assert_eq!(session.regenerate().is_ok(), moment == BEFORE);
        assert_eq!(session.commit().unwrap().outcome(), Outcome::Saved);

        let token = session.id().unwrap().unwrap().as_str().to_owned();
        assert_eq!(value(manager, &token, "n").as_deref(), Some("2"));
        assert_eq!(open(manager, &token).exists("sorry").unwrap(), moment == BEFORE);
    });
}
