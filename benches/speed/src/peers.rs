//! Two peers in Rust, each driven as its own middleware drives it but without HTTP round it: tower-sessions over its memory
//! store, and actix-session's cookie store in an encrypted jar. They keep the values as `serde_json` has them.

use crate::measure::{Dice, Lane, cycles};
use crate::record::{COUNTER, FIRST_COUNT, READ, Record};
use actix_session::storage::{CookieSessionStore, SessionKey, SessionStore as _};
use cookie::{Cookie, CookieJar, Key};
use pollster::block_on;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use tower_sessions::{MemoryStore, session::Id};

/// Its store in memory. It builds no cookie here: its middleware would, after `save`.
pub struct Tower {
    store: Arc<MemoryStore>,
    ids: Vec<Id>,
}

impl Tower {
    pub fn new(record: &Record, number: usize) -> Tower {
        let store = Arc::new(MemoryStore::default());
        let create = |_| {
            let session = tower_sessions::Session::new(None, store.clone(), None);
            for (key, value) in &record.values {
                block_on(session.insert_value(key, value.clone())).unwrap();
            }
            block_on(session.save()).unwrap();
            session.id().unwrap()
        };
        let ids = (0..number).map(create).collect();
        Tower { store, ids }
    }

    pub fn cycle(self) -> Lane {
        let (mut dice, mut count) = (Dice::new(), FIRST_COUNT);
        cycles(move || {
            let id = self.ids[dice.below(self.ids.len())];
            block_on(async {
                let session = tower_sessions::Session::new(Some(id), self.store.clone(), None);
                for key in READ {
                    black_box(session.get_value(key).await.unwrap().unwrap());
                }
                count += 1;
                session.insert(COUNTER, black_box(count)).await.unwrap();
                session.save().await.unwrap();
            });
        })
    }
}

/// actix-session's cookie store: the whole session is in the cookie, so nothing is stored and nothing can be revoked.
pub fn actix(record: &Record) -> Lane {
    const NAME: &str = "id";
    let (key, store) = (Key::generate(), CookieSessionStore::default());
    let seal = |text: String| {
        let mut jar = CookieJar::new();
        jar.private_mut(&key).add(Cookie::build((NAME, text)).path("/").http_only(true).secure(true).build());
        jar.delta().next().unwrap().to_string()
    };
    let state: HashMap<&str, String> = record.values.iter().map(|(key, value)| (*key, value.to_string())).collect();
    let mut line = seal(serde_json::to_string(&state).unwrap());
    let (key, mut count) = (key.clone(), FIRST_COUNT);
    cycles(move || {
        let sealed = line.split(';').next().unwrap().to_owned();
        let mut jar = CookieJar::new();
        jar.add_original(Cookie::parse(sealed).unwrap());
        let text = jar.private(&key).get(NAME).unwrap().value().to_owned();
        let session: SessionKey = text.try_into().unwrap();
        let mut state = block_on(store.load(&session)).unwrap().unwrap();
        for key in READ {
            black_box(state.get(key).unwrap());
        }
        count += 1;
        state.insert(COUNTER.to_owned(), count.to_string());
        let saved = block_on(store.update(session, state, &cookie::time::Duration::hours(2))).unwrap();
        let cookie = Cookie::build((NAME, String::from(saved))).path("/").http_only(true).secure(true).build();
        jar.private_mut(&key).add(cookie);
        line = jar.delta().next().unwrap().to_string();
    })
}
