//! Guards that nothing the core says of itself has an id, a token, a key, a value or a CSRF secret: `Debug` of all that it gives
//! out, errors with their sources, events, counters, the configuration, and what a program prints that panics over them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use holdall::driver::Loaded;
use holdall::{Manager, OpenOptions, Session};
use std::error::Error;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

mod common;

const VALUE: &str = "a-value-that-nobody-prints";

/// All that was said, by several.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<String>>);

impl Said {
    fn hear(&self, thing: &dyn Debug) {
        writeln!(self.0.lock().unwrap(), "{thing:?} {thing:#?}").unwrap();
    }

    fn refusal<T: Debug>(&self, refused: holdall::Result<T>) {
        let error = refused.expect_err("this should have been refused");
        self.hear(&error);
        let mut source: Option<&dyn Error> = Some(&error);
        while let Some(error) = source {
            writeln!(self.0.lock().unwrap(), "{error} {error:?}").unwrap();
            source = error.source();
        }
    }
}

/// Shows what a driver gives.
struct Telling(Said);

impl common::Watch for Telling {
    fn loaded(&self, loaded: Option<&Loaded>) {
        self.0.hear(&loaded);
    }
}

fn use_it(session: &mut Session, said: &Said, secrets: &mut Vec<String>) {
    session.set("k", VALUE).unwrap();
    session.set("n", &[VALUE]).unwrap();
    session.flash("f", VALUE).unwrap();
    session.set_previous_url(VALUE).unwrap();
    let token = session.csrf_token().unwrap();
    said.hear(&session.csrf_matches(&token));
    secrets.push(token);
    said.refusal(session.set_json("k", &format!("[\"{VALUE}\", nonsense")));
    said.refusal(session.set_json(&VALUE.repeat(20), "1"));
    said.refusal(session.increment("k", 1));
    said.refusal(session.push("k", VALUE));
    said.refusal(session.set("k", &VALUE.repeat(100_000)));
    said.refusal(session.get::<u64>("k"));
    said.refusal(session.set_idle_timeout(Some(u64::MAX)));
    secrets.push(session.id().unwrap().unwrap().as_str().to_owned());
    said.hear(&session.id().unwrap());
    said.hear(session);
}

#[test]
fn nothing_that_is_said_has_an_id_a_token_a_key_or_a_value() {
    for (driver, at_rest) in [("memory", "plain"), ("file", "plain"), ("file", "sealed_only"), ("cookie", "plain")] {
        let (said, directory) = (Said::default(), tempfile::tempdir().unwrap());
        let keys = [holdall::generate_key().unwrap(), holdall::generate_key().unwrap()];
        let fields = format!(
            r#","keys":["{}",{{"env":"HOLDALL_NO_SUCH_KEY"}}],"at_rest":"{at_rest}","keyed_secret":"{}""#,
            keys[0], keys[1]
        );
        let path = directory.path().join("sessions").display().to_string();
        said.refusal(Manager::new(&common::config(driver, &path, &fields)));
        let fields = fields.replace(r#"{"env":"HOLDALL_NO_SUCH_KEY"}"#, &format!("{:?}", keys[1]));
        let config = common::config(driver, &path, &fields);
        let manager = if driver == "cookie" {
            Manager::new(&config).unwrap()
        } else {
            common::watched(&config, &Arc::new(Telling(said.clone())))
        };
        let mut secrets = vec![VALUE.to_owned(), keys[0].clone(), keys[1].clone()];
        let listening = said.clone();
        manager.on_event(move |event| listening.hear(event)).unwrap();

        let mut session = manager.open("").unwrap();
        use_it(&mut session, &said, &mut secrets);
        let commit = session.commit().unwrap();
        said.hear(&commit);
        let line = common::set_cookie(&commit).unwrap();
        let token = line.split(['=', ';']).nth(1).unwrap().to_owned();
        secrets.push(token.clone());
        let mut session = manager.open_token(&token).unwrap();
        assert_eq!(session.get::<String>("k").unwrap().as_deref(), Some(VALUE));
        session.regenerate().unwrap();
        let commit = session.commit().unwrap();
        secrets.push(common::set_cookie(&commit).unwrap().split(['=', ';']).nth(1).unwrap().to_owned());
        said.hear(&commit);
        said.hear(
            &manager.open_with(format!("__Host-sid={token}x; __Host-sid={token}").as_bytes(), OpenOptions::new()),
        );
        let mut session = manager.open_token(&token).unwrap();
        said.hear(&session.destroy());
        said.refusal(session.set("k", VALUE));
        said.hear(&session);
        said.hear(&(&manager, manager.stats(), manager.config(), OpenOptions::new()));
        said.refusal(manager.driver(VALUE.get(..1).unwrap()));
        said.refusal(Manager::new(&format!("{{\"keys\": \"{}\", \"url\": \"cookie:\"}}", keys[0])));
        said.refusal(Manager::new(&format!("{{\"keys\": [\"{}\"], \"url\": \"cookie:\"}}", &keys[0][1..])));
        // What a panic would show.
        let panic = std::panic::catch_unwind(|| panic!("{:?}", Manager::new("nowhere:"))).unwrap_err();
        said.hear(&panic.downcast_ref::<String>());

        let said = said.0.lock().unwrap();
        for secret in &secrets {
            assert!(secret.len() >= 20);
            assert!(!said.contains(secret.as_str()), "{driver} {at_rest}: secret {} was said", secret.len());
        }
        // Nor as the numbers of its bytes.
        let bytes = format!("{:?}", VALUE.as_bytes());
        assert!(!said.contains(&bytes[1..bytes.len() - 1]), "{driver} {at_rest}: the bytes of a value");
        assert!(said.contains("Commit(saved") && said.contains("Session(..)") && said.len() > 2000);
    }
}

#[test]
fn a_record_that_is_shown_shows_nothing_of_what_is_in_it() {
    let loaded = Loaded::new(VALUE.as_bytes().to_vec(), 0..VALUE.len(), 7);
    assert_eq!(format!("{loaded:?}"), format!("Loaded({} bytes, until 7)", VALUE.len()));
}
