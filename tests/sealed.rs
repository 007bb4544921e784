//! Guards the cookie driver: what a browser brings is what was given out, whole, in time and for this cookie, or is absent;
//! no line is ever longer than browsers keep; what outgrows its cookie is refused, cut or spilled, and comes back.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use common::jar::Jar;
use common::{AFTER, BEFORE, Dice, FailOnce, NOW_MS, Watched, records, scaled, set_cookie};
use holdall::{ErrorKind, EventKind, Manager, OpenOptions, Outcome, generate_key};
use proptest::prelude::*;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

const MINUTE_MS: u64 = 60_000;

/// A configuration of one cookie driver, `main`, beside a memory driver, `store`. `options` and `fields` begin with a comma.
fn config(keys: &[&str], options: &str, fields: &str) -> String {
    let keys = serde_json::to_string(keys).unwrap();
    let drivers = format!(r#"{{"main":{{"type":"cookie"{options}}},"store":{{"type":"memory"}}}}"#);
    format!(r#"{{"default":"main","drivers":{drivers},"keys":{keys}{fields}}}"#)
}

fn manager(options: &str, fields: &str) -> Manager {
    Manager::new(&config(&[&generate_key().unwrap()], options, fields)).unwrap()
}

const CHUNK: &str = r#","overflow":"chunk""#;
const SPILL: &str = r#","overflow":"spill","spill_to":"store""#;
/// More than one cookie holds.
const LARGE: usize = 4000;

fn text(length: usize) -> String {
    // Not all the same, so that pieces in another order are another text.
    (0..length).map(|at| char::from(b'a' + u8::try_from(at / 7 % 26).unwrap())).collect()
}

/// Whatever this header carries is nobody's session: it is not adopted, it is no error, and nobody is told to drop it.
fn assert_absent(manager: &Manager, header: &[u8], what: &str) {
    let mut session = manager.open_with(header, OpenOptions::new().at(NOW_MS)).unwrap();
    assert!(session.is_new().unwrap(), "{what}");
    assert_eq!(session.all().unwrap(), "{}", "{what}");
    let commit = session.commit_at(NOW_MS).unwrap();
    assert_eq!(commit.outcome(), Outcome::Unchanged, "{what}");
    assert_eq!(set_cookie(&commit), None, "{what}");
}

fn assert_absent_token(manager: &Manager, token: &str, what: &str) {
    assert_absent(manager, format!("__Host-sid={token}").as_bytes(), what);
}

fn opens(manager: &Manager, token: &str) -> bool {
    !manager.open_token_with(token.as_bytes(), OpenOptions::new().at(NOW_MS)).unwrap().is_new().unwrap()
}

/// A session of one value, as a browser keeps it.
fn jar(manager: &Manager, bytes: usize) -> Jar {
    let mut jar = Jar::default();
    jar.visit(manager, |session| session.set("v", &text(bytes)).unwrap());
    jar
}

/// One that has come back once: no touch is due that would seal it anew in any case.
fn settled_jar(manager: &Manager, bytes: usize) -> Jar {
    let mut jar = jar(manager, bytes);
    jar.visit(manager, |session| assert!(!session.is_new().unwrap()));
    jar
}

// Sealing.

#[test]
fn every_bit_of_a_sealed_cookie_counts() {
    let manager = manager("", "");
    for bytes in [1, 2, 3] {
        let token = jar(&manager, bytes).token().to_owned();
        assert!(opens(&manager, &token));
        let sealed = URL_SAFE_NO_PAD.decode_to_vec(&token).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_absent_token(&manager, &URL_SAFE_NO_PAD.encode_to_string(altered), "a flipped bit");
        }
    }
}

#[test]
fn every_truncation_and_every_extension_of_a_sealed_cookie_is_absent() {
    let manager = manager("", "");
    let token = jar(&manager, 10).token().to_owned();
    for cut in 0..token.len() {
        assert_absent_token(&manager, &token[..cut], "cut at its end");
        if cut > 0 {
            assert_absent_token(&manager, &token[cut..], "cut at its beginning");
        }
    }
    for more in (0x21..0x7f).map(char::from).filter(|c| *c != ';') {
        assert_absent_token(&manager, &format!("{token}{more}"), "a character behind");
        assert_absent_token(&manager, &format!("{more}{token}"), "a character before");
    }
    for more in ["=", "==", "AAAA", ".", "\0\0\0\0", "%3D"] {
        assert_absent_token(&manager, &format!("{token}{more}"), "more behind");
    }
    assert_absent_token(&manager, &token.repeat(2), "twice");
}

#[test]
fn every_character_of_a_sealed_cookie_replaced_by_another_is_absent() {
    let manager = manager("", "");
    let token = jar(&manager, 10).token().to_owned();
    let bytes =
        [b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".as_slice(), b"+/=.%\"\0\n\xff\xc3"]
            .concat();
    let mut dice = Dice(7);
    for at in 0..token.len() {
        for _ in 0..scaled(8, 400) {
            let mut altered = token.clone().into_bytes();
            altered[at] = dice.of(&bytes);
            if altered != token.as_bytes() {
                assert_absent(&manager, &[b"__Host-sid=", &*altered].concat(), "another character");
            }
        }
    }
}

#[test]
fn a_sealed_cookie_has_one_spelling() {
    // webob took a base64 text whose unused bits were altered, and any padding.
    let manager = manager("", "");
    let mut met = HashSet::new();
    for bytes in 0..6 {
        let token = jar(&manager, bytes).token().to_owned();
        let unused_bits = [0, 0, 4, 2][token.len() % 4];
        met.insert(unused_bits);
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = alphabet.iter().position(|c| *c == *token.as_bytes().last().unwrap()).unwrap();
        for unused in 1..1 << unused_bits {
            let altered = format!("{}{}", &token[..token.len() - 1], char::from(alphabet[last ^ unused]));
            assert_absent_token(&manager, &altered, "altered unused bits");
        }
        let sealed = URL_SAFE_NO_PAD.decode_to_vec(&token).unwrap();
        for padded in [base64_simd::URL_SAFE.encode_to_string(&sealed), STANDARD.encode_to_string(&sealed)] {
            if padded != token {
                assert_absent_token(&manager, &padded, "padded, or in the standard alphabet");
            }
        }
        let quoted = format!("\"{token}\"");
        assert_absent_token(&manager, &quoted, "quoted");
    }
    assert_eq!(met, HashSet::from([0, 2, 4]));

    // A token that has a character by which the alphabets differ: nearly every one.
    let different = (0..1000).map(|_| jar(&manager, 3).token().to_owned()).find(|token| token.contains(['-', '_']));
    let token = different.unwrap();
    assert!(opens(&manager, &token));
    assert_absent_token(&manager, &token.replace('-', "+").replace('_', "/"), "in the standard alphabet");
}

#[test]
fn a_cookie_of_another_key_name_driver_application_or_version_is_absent() {
    let (key, other) = (generate_key().unwrap(), generate_key().unwrap());
    let named = |name: &str| format!(r#","cookie":{{"name":"{name}"}}"#);
    let with = |keys: &[&str], fields: &str| Manager::new(&config(keys, "", fields)).unwrap();
    let own = with(&[&key], &named("sid"));
    let token = jar(&own, 10).token().to_owned();
    let absent = |manager: &Manager, what: &str| {
        for header in [format!("sid={token}"), format!("other={token}"), format!("sid-main={token}")] {
            assert_absent(manager, header.as_bytes(), what);
        }
        assert!(!opens(manager, &token), "{what}");
    };

    assert!(opens(&with(&[&key], &named("sid")), &token));
    assert!(opens(&with(&[&other, &key], &named("sid")), &token));
    absent(&with(&[&other], &named("sid")), "another key");
    absent(&with(&[&key], &named("other")), "another name");
    absent(&with(&[&key], &format!(r#"{},"application":"shop""#, named("sid"))), "another application");

    // Two drivers of one manager.
    let two = r#"{"default":"a","drivers":{"a":{"type":"cookie"},"b":{"type":"cookie"}},"cookie":{"name":"sid"},"keys":["KEY"]}"#;
    let two = Manager::new(&two.replace("KEY", &key)).unwrap();
    assert!(opens(&two, &token));
    let second = two.driver("b").unwrap();
    assert!(!opens(&second, &token));
    assert_absent(&second, format!("sid-b={token}").as_bytes(), "of another driver");

    // The first byte is the version of the format.
    for version in (0..=255).filter(|version| *version != 1) {
        let mut sealed = URL_SAFE_NO_PAD.decode_to_vec(&token).unwrap();
        sealed[0] = version;
        assert!(!opens(&own, &URL_SAFE_NO_PAD.encode_to_string(sealed)));
    }
}

#[test]
fn what_other_libraries_put_into_cookies_is_absent() {
    let manager = manager("", "");
    for token in [
        "",
        "{}",
        "null",
        r#"{"v":"admin"}"#,
        "eyJhZG1pbiI6dHJ1ZX0",
        "eyJhbGciOiJub25lIn0.eyJhZG1pbiI6dHJ1ZX0.",
        "gASVFAAAAAAAAAB9lIwFYWRtaW6Ui4hzLg==",
        "BAh7BkkiCmFkbWluBjoGRVRU",
        "rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcA==",
        "O:8:\"stdClass\":0:{}",
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "7hT8wC5Zf1m0u9Jq2rXyKdLpBvN4sGaE6oQiRkWzMxc",
    ] {
        assert_absent_token(&manager, token, token);
    }
}

#[test]
fn a_cookie_that_is_played_again_after_its_end_is_absent() {
    let manager = manager("", r#","idle_timeout_s":100,"absolute_timeout_s":250,"touch_after":0"#);
    let mut jar = jar(&manager, 10);
    let first = jar.clone();
    let lives = |jar: &Jar, now_ms: u64| !jar.open(&manager, now_ms).is_new().unwrap();

    assert!(lives(&first, NOW_MS + 99_999));
    assert!(!lives(&first, NOW_MS + 100_000));
    for seconds in [90, 180, 240] {
        jar.try_visit(&manager, NOW_MS + seconds * 1000, |session| assert!(!session.is_new().unwrap())).unwrap();
    }
    assert!(lives(&jar, NOW_MS + 249_999));
    assert!(!lives(&jar, NOW_MS + 250_000));
    assert!(!lives(&first, NOW_MS + 240_000));
}

#[test]
fn no_two_seals_have_a_nonce_in_common() {
    let manager = manager("", "");
    let count = scaled(2000, 1_000_000);
    let mut nonces = HashSet::new();
    let mut jar = Jar::default();
    for _ in 0..count {
        jar.visit(&manager, |session| assert!(session.increment("n", 1).is_ok()));
        nonces.insert(URL_SAFE_NO_PAD.decode_to_vec(jar.token()).unwrap()[1..25].to_vec());
    }
    assert_eq!(nonces.len(), count);
}

#[test]
fn what_is_in_a_sealed_cookie_cannot_be_read() {
    let manager = manager("", "");
    let mut session = manager.open("").unwrap();
    session.set("who", "alice the admin").unwrap();
    let mut jar = Jar::default();
    jar.take(&session.commit().unwrap());
    let sealed = URL_SAFE_NO_PAD.decode_to_vec(jar.token()).unwrap();
    let id = session.id().unwrap().unwrap().as_str().to_owned();
    for secret in [b"alice".to_vec(), b"who".to_vec(), b"HDR".to_vec(), URL_SAFE_NO_PAD.decode_to_vec(&id).unwrap()] {
        assert!(!sealed.windows(secret.len()).any(|part| part == secret));
    }
}

#[test]
fn padding_hides_the_length_and_comes_off() {
    let manager = manager(r#","pad_to":512"#, "");
    let lengths: HashSet<usize> = (0..200).map(|bytes| jar(&manager, bytes).token().len()).collect();
    assert_eq!(lengths, HashSet::from([(512 * 4usize).div_ceil(3)]));
    assert_eq!(jar(&manager, 200).all(&manager), format!(r#"{{"v":"{}"}}"#, text(200)));
    // Ends in zeros of its own.
    let mut jar = Jar::default();
    jar.visit(&manager, |session| session.set_json("v", "1000000").unwrap());
    assert_eq!(jar.all(&manager), r#"{"v":1000000}"#);
}

// Keys.

#[test]
fn an_old_key_opens_and_the_next_commit_seals_with_the_new_one_also_where_it_only_read() {
    let (old, new) = (generate_key().unwrap(), generate_key().unwrap());
    let with = |keys: &[&str]| Manager::new(&config(keys, "", "")).unwrap();
    let (before, during, after) = (with(&[&old]), with(&[&new, &old]), with(&[&new]));
    let mut jar = settled_jar(&before, 10);
    assert!(after.open_with(jar.header().as_bytes(), OpenOptions::new().at(NOW_MS)).unwrap().is_new().unwrap());

    let of_old_key = jar.clone();
    let outcome = jar.visit(&during, |session| assert!(!session.is_new().unwrap()));

    assert_eq!(outcome, Outcome::Unchanged);
    assert_ne!(jar, of_old_key);
    assert_eq!(jar.all(&after), of_old_key.all(&during));
    assert!(jar.open(&before, NOW_MS).is_new().unwrap());
    // Once is enough.
    let sealed_anew = jar.clone();
    jar.visit(&during, |session| assert!(!session.is_new().unwrap()));
    assert_eq!(jar, sealed_anew);
}

#[test]
fn all_keys_of_a_ring_open_and_one_that_was_taken_out_does_not() {
    let keys: Vec<String> = (0..8).map(|_| generate_key().unwrap()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let all = Manager::new(&config(&keys, "", "")).unwrap();
    for key in &keys {
        let jar = jar(&Manager::new(&config(&[key], "", "")).unwrap(), 10);
        assert!(!jar.open(&all, NOW_MS).is_new().unwrap());
        let others: Vec<&str> = keys.iter().copied().filter(|other| other != key).collect();
        assert_absent(&Manager::new(&config(&others, "", "")).unwrap(), jar.header().as_bytes(), "its key is gone");
    }
}

// Sizes.

#[test]
fn a_line_of_4096_bytes_is_sent_and_one_more_is_refused_with_both_sizes() {
    let key = generate_key().unwrap();
    let with = |path: &str, persistent: bool| {
        let cookie = format!(r#","cookie":{{"name":"sid","path":"{path}","persistent":{persistent}}}"#);
        Manager::new(&config(&[&key], "", &cookie)).unwrap()
    };
    for persistent in [false, true] {
        for payload in [2400, 2401, 2402] {
            let mut session = with("/", persistent).open_with(b"", OpenOptions::new().at(NOW_MS)).unwrap();
            session.set("v", &text(payload)).unwrap();
            let line = set_cookie(&session.commit_at(NOW_MS).unwrap()).unwrap().len();
            for wanted in [4095, 4096, 4097] {
                let manager = with(&format!("/{}", "p".repeat(wanted - line)), persistent);
                let mut jar = jar(&manager, 3);
                let before = jar.clone();
                let mut session = jar.open(&manager, NOW_MS);
                session.set("v", &text(payload)).unwrap();
                let committed = session.commit_at(NOW_MS);
                if wanted > 4096 {
                    let error = committed.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::TooLarge);
                    assert!(error.message().contains("4096") && error.message().contains("4097"), "{error}");
                    assert!(!error.may_have_written());
                    assert_eq!(before.all(&manager), r#"{"v":"aaa"}"#);
                    // The handle goes on, without what was too much.
                    session.set("v", &1).unwrap();
                    jar.take(&session.commit_at(NOW_MS).unwrap());
                    assert_eq!(jar.all(&manager), r#"{"v":1}"#);
                } else {
                    let commit = committed.unwrap();
                    assert_eq!(set_cookie(&commit).unwrap().len(), wanted);
                    jar.take(&commit);
                    assert_eq!(jar.all(&manager), format!(r#"{{"v":"{}"}}"#, text(payload)));
                }
            }
        }
    }
}

/// How long the record of one value is, as another driver tells.
fn record_bytes(value_bytes: usize) -> usize {
    let manager = Manager::new("memory:").unwrap();
    common::stored(&manager, &[("v", &format!("{:?}", text(value_bytes)))]);
    let mut bytes = 0;
    manager
        .iterate(|info| {
            bytes = info.bytes;
            true
        })
        .unwrap();
    bytes
}

#[test]
fn max_bytes_is_what_always_fits_and_not_a_byte_less() {
    // The longest Max-Age there is.
    let timeouts = r#","idle_timeout_s":1000000000,"absolute_timeout_s":1000000000,"cookie":{"persistent":true}"#;
    let overhead = record_bytes(0);
    for options in [
        "",
        r#","pad_to":7"#,
        r#","pad_to":1000"#,
        CHUNK,
        r#","overflow":"chunk","max_parts":16"#,
        r#","overflow":"chunk","pad_to":100,"max_parts":2"#,
    ] {
        let manager = manager(options, timeouts);
        let stats: serde_json::Value = serde_json::from_str(&manager.stats()).unwrap();
        let max_bytes =
            usize::try_from(stats["drivers"]["main"]["capabilities"]["max_bytes"].as_u64().unwrap()).unwrap();
        let commit = |bytes: usize| {
            let mut jar = Jar::default();
            let outcome = jar.try_visit(&manager, NOW_MS, |session| session.set("v", &text(bytes - overhead)).unwrap());
            outcome.map(|_| {
                assert_eq!(jar.open(&manager, NOW_MS).get::<String>("v").unwrap().unwrap().len(), bytes - overhead)
            })
        };
        commit(max_bytes).unwrap();
        assert_eq!(commit(max_bytes + 1).unwrap_err().kind(), ErrorKind::TooLarge, "{options}");
    }
}

const OVERFLOW: [&str; 3] = ["error", "chunk", "spill"];
const SECURE: [&str; 3] = ["true", "false", r#""auto""#];

#[derive(Clone, Debug)]
enum Step {
    Set(usize),
    Delete,
    Read,
    Regenerate,
    Rotate,
    Destroy,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..14_000usize).prop_map(Step::Set),
        3 => (2000..3200usize).prop_map(Step::Set),
        2 => Just(Step::Delete),
        2 => Just(Step::Read),
        1 => Just(Step::Regenerate),
        2 => Just(Step::Rotate),
        1 => Just(Step::Destroy),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: u32::try_from(scaled(120, 4000)).unwrap(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_fits_and_every_round_trip_restores_the_session_and_leaves_no_stale_part(
        name in "[a-zA-Z_.-]{1,24}",
        domain in prop_oneof![Just(None), "[a-z]{1,60}\\.example".prop_map(Some)],
        path in 0..700usize,
        (http_only, persistent, secure, partitioned, same_site) in (any::<bool>(), any::<bool>(), 0..3usize, any::<bool>(), prop_oneof![Just("lax"), Just("strict")]),
        overflow in 0..3usize,
        max_parts in 2..16usize,
        pad_to in prop_oneof![Just(0), Just(1), Just(16), Just(255), Just(1000)],
        steps in proptest::collection::vec(step(), 1..12),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let keys: Vec<String> = (0..3).map(|_| generate_key().unwrap()).collect();
        // Three managers of one application, of which each knows the key that the one before it seals with.
        let managers: Vec<Manager> = [[0, 2], [1, 0], [2, 1]].iter().map(|ring| {
            let mut cookie = serde_json::json!({
                "name": name, "path": format!("/{}", "p".repeat(path)), "http_only": http_only, "persistent": persistent,
                "secure": SECURE[secure].parse::<serde_json::Value>().unwrap(), "same_site": same_site,
                "partitioned": partitioned && secure == 0,
            });
            if let Some(domain) = &domain {
                cookie["domain"] = domain.as_str().into();
            }
            let mut main = serde_json::json!({ "type": "cookie", "pad_to": pad_to, "overflow": OVERFLOW[overflow] });
            match overflow {
                1 => main["max_parts"] = max_parts.into(),
                2 => main["spill_to"] = "store".into(),
                _ => {}
            }
            let store = serde_json::json!({ "type": "file", "path": directory.path().join("store") });
            let config = serde_json::json!({
                "default": "main", "drivers": { "main": main, "store": store }, "cookie": cookie,
                "keys": ring.iter().map(|key| &keys[*key]).collect::<Vec<_>>(),
            });
            Manager::new(&config.to_string()).unwrap()
        }).collect();
        let (mut jar, mut model, mut turn) = (Jar::default(), None, 0);
        for step in steps {
            if let Step::Rotate = step {
                turn = (turn + 1) % managers.len();
            }
            let (manager, sealed) = (&managers[turn], jar.clone());
            let mut session = jar.open(manager, NOW_MS);
            prop_assert!(session.get::<String>("v").unwrap() == model);
            let mut after = model.clone();
            match step {
                Step::Set(bytes) => {
                    session.set("v", &text(bytes)).unwrap();
                    after = Some(text(bytes));
                }
                Step::Delete => {
                    session.delete(&["v"]).unwrap();
                    after = None;
                }
                Step::Read | Step::Rotate => {}
                Step::Regenerate => session.regenerate().unwrap(),
                Step::Destroy => {
                    session.destroy_at(NOW_MS).unwrap();
                    after = None;
                }
            }
            match session.commit_at(NOW_MS) {
                Ok(commit) => {
                    jar.take(&commit);
                    model = after;
                    if let Step::Destroy = step {
                        prop_assert!(jar.0.is_empty());
                    }
                    if let Step::Rotate = step && !sealed.0.is_empty() {
                        prop_assert!(jar != sealed, "the old key stays");
                    }
                }
                Err(error) => {
                    prop_assert_eq!(error.kind(), ErrorKind::TooLarge);
                    prop_assert!(overflow != 2, "what spills always has room");
                }
            }
        }
        prop_assert!(jar.open(&managers[turn], NOW_MS).get::<String>("v").unwrap() == model);
    }
}

// Parts.

#[test]
fn parts_that_are_missing_foreign_or_in_another_order_are_absent() {
    let manager = manager(CHUNK, "");
    let (own, foreign) = (jar(&manager, 2 * LARGE), jar(&manager, 2 * LARGE));
    let names: Vec<String> = own.0.keys().cloned().collect();
    assert_eq!(names, ["__Host-sid", "__Host-sid.1", "__Host-sid.2"]);
    assert_eq!(own.all(&manager), format!(r#"{{"v":"{}"}}"#, text(2 * LARGE)));

    let absent = |jar: Jar, what: &str| assert_absent(&manager, jar.header().as_bytes(), what);
    for name in &names {
        let mut missing = own.clone();
        missing.0.remove(name);
        absent(missing, "missing");
        let mut mixed = own.clone();
        mixed.0.insert(name.clone(), foreign.0[name].clone());
        absent(mixed, "foreign");
        for length in [0, 1, 2, 3, 7, 8, 9, 10] {
            let mut cut = own.clone();
            cut.0.insert(name.clone(), own.0[name][..length].to_owned());
            absent(cut, "cut");
        }
        for other in names.iter().filter(|other| *other != name) {
            let mut swapped = own.clone();
            swapped.0.insert(name.clone(), own.0[other].clone());
            absent(swapped.clone(), "twice the same");
            swapped.0.insert(other.clone(), own.0[name].clone());
            absent(swapped, "in another order");
        }
    }
    let first = own.token().strip_prefix("3.").unwrap();
    for count in
        ["", ".", "0.", "1.", "2.", "4.", "03.", "+3.", " 3.", "3", "3..", "16.", "17.", "99.", "255.", "256.", "-1."]
    {
        let mut other = own.clone();
        other.0.insert("__Host-sid".into(), format!("{count}{first}"));
        absent(other, count);
    }
}

#[test]
fn parts_of_two_tokens_of_one_browser_are_never_mixed() {
    // As when the answers of two requests meet in the browser.
    let manager = manager(CHUNK, "");
    let older = jar(&manager, 2 * LARGE);
    let mut newer = older.clone();
    newer.visit(&manager, |session| session.set("w", &1).unwrap());
    let names: Vec<&String> = older.0.keys().collect();
    for choice in 0..1 << names.len() {
        let of = |at: usize| if choice >> at & 1 == 0 { &older } else { &newer };
        let mixed =
            Jar(names.iter().enumerate().map(|(at, name)| ((*name).clone(), of(at).0[*name].clone())).collect());
        match choice {
            0 => assert_eq!(mixed.all(&manager), older.all(&manager)),
            7 => assert_eq!(mixed.all(&manager), newer.all(&manager)),
            _ => assert_absent(&manager, mixed.header().as_bytes(), "a mixture"),
        }
        // Both sets at once, in any order: one of the two, whole.
        let both = format!("{}; {}", mixed.header(), if choice == 7 { &older } else { &newer }.header());
        let read = manager.open_with(both.as_bytes(), OpenOptions::new().at(NOW_MS)).unwrap().all().unwrap();
        assert!([older.all(&manager), newer.all(&manager)].contains(&read));
    }
}

#[test]
fn of_many_cookies_the_first_of_four_that_opens_wins_and_parts_planted_before_are_passed_over() {
    let manager = manager(CHUNK, "");
    let (small, large) = (jar(&manager, 3), jar(&manager, LARGE));
    let read =
        |header: String| manager.open_with(header.as_bytes(), OpenOptions::new().at(NOW_MS)).unwrap().all().unwrap();

    let bad = "__Host-sid=AAAA; ";
    assert_eq!(read(format!("{}{}", bad.repeat(3), small.header())), small.all(&manager));
    assert_eq!(read(format!("{}{}", bad.repeat(4), small.header())), "{}");
    assert_eq!(read(format!("{}; {}", small.header(), large.header())), small.all(&manager));
    assert_eq!(read(format!("__Host-sid=2.AAAAAAAAAAAA; {}", large.header())), large.all(&manager));
    let planted = "__Host-sid.1=x; __Host-sid.1=; __Host-sid.1=AAAAAAAAAAAAAAAAAAAA; ";
    assert_eq!(read(format!("{planted}{}", large.header())), large.all(&manager));
}

#[test]
fn a_browser_that_lost_a_part_is_rid_of_the_others_at_the_next_write() {
    let manager = manager(CHUNK, "");
    let mut jar = jar(&manager, 2 * LARGE);
    jar.0.remove("__Host-sid");
    jar.visit(&manager, |session| session.set("v", &1).unwrap());
    assert_eq!(jar.0.keys().collect::<Vec<_>>(), ["__Host-sid"]);
    // And of all of them when chunks are no longer configured.
    assert_eq!(jar.all(&manager), r#"{"v":1}"#);
}

#[test]
fn parts_of_a_time_when_the_driver_cut_are_removed_when_it_does_not_any_more() {
    let key = generate_key().unwrap();
    let with = |options: &str| Manager::new(&config(&[&key], options, "")).unwrap();
    let mut jar = jar(&with(CHUNK), LARGE);
    let now = with("");
    assert_eq!(jar.0.len(), 2);
    jar.visit(&now, |session| {
        assert!(!session.is_new().unwrap());
        session.set("v", &1).unwrap();
    });
    assert_eq!(jar.0.keys().collect::<Vec<_>>(), ["__Host-sid"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: u32::try_from(scaled(1000, 100_000)).unwrap(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_header_is_an_error_and_none_is_adopted(pieces in proptest::collection::vec(
        prop_oneof![
            Just(b"sid=".to_vec()), Just(b"sid.1=".to_vec()), Just(b"sid.15=".to_vec()), Just(b"sid.16=".to_vec()), Just(b"; ".to_vec()),
            Just(b"2.".to_vec()), Just(b"16.".to_vec()), Just(b"AQIDBAUG".to_vec()), Just(b"sid".to_vec()), Just(b".".to_vec()), Just(b"=".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..20), Just(vec![b'A'; 400]), Just(b"AQ".repeat(200)),
        ],
        0..24,
    )) {
        use std::sync::LazyLock;
        static MANAGER: LazyLock<Manager> = LazyLock::new(|| manager(CHUNK, r#","cookie":{"name":"sid"}"#));
        let header = pieces.concat();
        assert_absent(&MANAGER, &header, "any bytes");
        prop_assert!(MANAGER.open_token_with(&header, OpenOptions::new()).unwrap().is_new().unwrap());
    }
}

// Spilling.

/// A manager whose `store` fails when it is told to, and `store` by itself.
fn failing() -> (Manager, Arc<FailOnce>, Manager) {
    let watch = Arc::new(FailOnce::default());
    let manager = Manager::with_drivers(&config(&[&generate_key().unwrap()], SPILL, ""), |name, inner| match name {
        "store" => Arc::new(Watched { inner, watch: watch.clone() }),
        _ => inner,
    });
    let manager = manager.unwrap();
    let store = manager.driver("store").unwrap();
    (manager, watch, store)
}

fn store_records_at(store: &Manager, now_ms: u64) -> usize {
    let mut count = 0;
    store
        .iterate_at(now_ms, |_| {
            count += 1;
            true
        })
        .unwrap();
    count
}

#[test]
fn what_outgrows_the_cookie_spills_is_merged_there_and_comes_back() {
    let (manager, _, store) = failing();
    let mut jar = jar(&manager, 3);
    assert_eq!(store_records_at(&store, NOW_MS), 0);

    jar.visit(&manager, |session| session.set("large", &text(LARGE)).unwrap());
    assert_eq!(store_records_at(&store, NOW_MS), 1);
    assert!(jar.header().len() < 300);

    let (mut one, mut two) = (jar.open(&manager, NOW_MS), jar.open(&manager, NOW_MS));
    one.increment("n", 1).unwrap();
    two.increment("n", 10).unwrap();
    jar.take(&one.commit_at(NOW_MS).unwrap());
    jar.take(&two.commit_at(NOW_MS).unwrap());
    assert_eq!(jar.open(&manager, NOW_MS).get::<i64>("n").unwrap(), Some(11));

    jar.visit(&manager, |session| session.delete(&["large"]).unwrap());
    assert_eq!(jar.all(&manager), r#"{"n":11,"v":"aaa"}"#);
    // Nobody asks the store for it any more.
    store.sweep_at(1000, NOW_MS + 2 * MINUTE_MS).unwrap();
    assert_eq!(store_records_at(&store, NOW_MS), 0);
    assert_eq!(jar.all(&manager), r#"{"n":11,"v":"aaa"}"#);
}

#[test]
fn a_reference_still_reads_for_a_while_after_the_record_has_come_back() {
    // The response that carried the record was lost, or another request is under way.
    let (manager, _, store) = failing();
    let mut jar = jar(&manager, LARGE);
    let (lost, mut slow) = (jar.clone(), jar.open(&manager, NOW_MS));
    slow.increment("n", 1).unwrap();
    jar.visit(&manager, |session| session.set("v", &1).unwrap());

    assert_eq!(lost.all(&manager), r#"{"v":1}"#);
    // The slow one finds what was written meanwhile, and both are in its answer.
    let mut late = lost.clone();
    late.take(&slow.commit_at(NOW_MS + 1000).unwrap());
    assert_eq!(late.all(&manager), r#"{"n":1,"v":1}"#);

    // Who comes in time has it for as long as any session.
    let mut in_time = lost.clone();
    in_time.try_visit(&manager, NOW_MS + MINUTE_MS / 2, |session| assert!(!session.is_new().unwrap())).unwrap();
    assert!(!in_time.open(&manager, NOW_MS + 10 * MINUTE_MS).is_new().unwrap());
    // And what stays behind ends by itself.
    assert_eq!(store_records_at(&store, NOW_MS + 2 * MINUTE_MS), 0);
    assert!(lost.open(&manager, NOW_MS + 2 * MINUTE_MS).is_new().unwrap());
}

#[test]
fn a_store_that_fails_is_an_error_and_the_repeated_commit_is_applied_once() {
    for moment in [BEFORE, AFTER] {
        // At the first that spills, at an update, at one that comes back, and at a regenerate.
        for (bytes_before, bytes_after, regenerates) in
            [(3, LARGE, false), (LARGE, LARGE + 9, false), (LARGE, 5, false), (LARGE, LARGE, true), (LARGE, 5, true)]
        {
            let (manager, watch, store) = failing();
            let mut jar = jar(&manager, bytes_before);
            jar.visit(&manager, |session| session.set("n", &0).unwrap());
            let before = jar.clone();
            let mut session = jar.open(&manager, NOW_MS);
            session.set("v", &text(bytes_after)).unwrap();
            session.increment("n", 1).unwrap();
            if regenerates {
                session.regenerate().unwrap();
            }
            watch.arm(moment);

            let error = session.commit_at(NOW_MS).unwrap_err();

            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert_eq!(error.may_have_written(), moment == AFTER);
            if moment == BEFORE {
                assert_eq!(before.open(&manager, NOW_MS).get::<i64>("n").unwrap(), Some(0));
            }
            let commit = session.commit_at(NOW_MS).unwrap();
            assert_eq!(commit.outcome(), Outcome::Saved);
            jar.take(&commit);
            let now = jar.open(&manager, NOW_MS);
            assert_eq!(now.get::<i64>("n").unwrap(), Some(1), "{bytes_before} {bytes_after} {regenerates}");
            assert_eq!(now.get::<String>("v").unwrap(), Some(text(bytes_after)));
            assert_eq!(now.id().unwrap(), session.id().unwrap());
            if regenerates {
                assert!(before.open(&manager, NOW_MS).is_new().unwrap(), "the old id still opens");
            }
            // Two where the first try has made a record that nobody was told of.
            assert!(store_records_at(&store, NOW_MS) <= 2);
        }
    }
}

#[test]
fn a_commit_that_took_effect_although_it_failed_gives_the_cookie_its_whole_time_when_it_is_repeated() {
    // The repeated one finds itself stored and writes nothing; it sealed the time that was left before it.
    let (manager, watch, _) = failing();
    for bytes in [LARGE, 5] {
        let mut jar = jar(&manager, LARGE);
        // A first record lives ten minutes.
        let late_ms = NOW_MS + 9 * MINUTE_MS;
        let mut session = jar.open(&manager, late_ms);
        session.set("v", &text(bytes)).unwrap();
        watch.arm(AFTER);
        session.commit_at(late_ms).unwrap_err();
        jar.take(&session.commit_at(late_ms).unwrap());
        assert!(!jar.open(&manager, late_ms + 60 * MINUTE_MS).is_new().unwrap(), "{bytes}");
    }
}

#[test]
fn a_store_that_fails_at_a_load_is_an_error_and_not_an_empty_session() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let main = r#"{"type":"cookie","overflow":"spill","spill_to":"store"}"#;
    let key = generate_key().unwrap();
    let config = format!(
        r#"{{"default":"main","drivers":{{"main":{main},"store":{{"type":"file","path":{path:?}}}}},"keys":["{key}"]}}"#
    );
    let manager = Manager::new(&config).unwrap();
    let jar = jar(&manager, LARGE);
    let files = || {
        std::fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().len() == 64)
    };
    let file = files().next().unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();

    let mut session = jar.open(&manager, NOW_MS);
    assert_eq!(session.get_json("v").unwrap_err().kind(), ErrorKind::Unavailable);
    session.set("w", &1).unwrap_err();
    // Nothing was looked at, nothing is committed, and the browser keeps its cookie.
    assert_eq!(set_cookie(&session.commit_at(NOW_MS).unwrap()), None);

    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(jar.open(&manager, NOW_MS).get::<String>("v").unwrap(), Some(text(LARGE)));
}

#[test]
fn a_record_that_has_spilled_is_locked_swept_and_ends_like_any_other() {
    let (manager, _, _) = failing();
    let mut jar = jar(&manager, LARGE);
    jar.visit(&manager, |session| session.touch().unwrap());
    let end_ms = NOW_MS + 120 * MINUTE_MS;
    assert!(!jar.open(&manager, end_ms - 1).is_new().unwrap());
    assert!(jar.open(&manager, end_ms).is_new().unwrap());

    // A touch takes both along, the record and the cookie.
    jar.try_visit(&manager, end_ms - 1, |session| assert!(!session.is_new().unwrap())).unwrap();
    assert!(!jar.open(&manager, end_ms + 100 * MINUTE_MS).is_new().unwrap());
    assert!(jar.open(&manager, end_ms - 1 + 120 * MINUTE_MS).is_new().unwrap());

    let (manager, _, store) = failing();
    let jar = self::jar(&manager, LARGE);
    assert_eq!(store_records_at(&store, NOW_MS), 1);
    let much_later_ms = NOW_MS + 2000 * MINUTE_MS;
    let mut removed = 0;
    loop {
        let swept = manager.sweep_at(1000, much_later_ms).unwrap();
        removed += swept.removed;
        if swept.finished {
            break;
        }
    }
    assert_eq!(removed, 1);
    assert!(jar.open(&manager, NOW_MS).is_new().unwrap());
}

#[test]
fn a_record_that_ends_sooner_than_its_reference_says_is_absent() {
    let (manager, _, store) = failing();
    let jar = jar(&manager, LARGE);
    let mut locator = None;
    store
        .iterate_at(NOW_MS, |info| {
            locator = Some(info.locator);
            true
        })
        .unwrap();
    assert!(store.destroy_at(&locator.unwrap(), NOW_MS).unwrap());
    assert_absent(&manager, jar.header().as_bytes(), "refers to nothing");
}

#[test]
fn regenerate_ends_the_old_reference_and_destroy_the_record() {
    let (manager, _, store) = failing();
    let mut jar = jar(&manager, LARGE);
    let old = jar.clone();
    let mut slow = old.open(&manager, NOW_MS);
    slow.increment("n", 1).unwrap();
    jar.visit(&manager, |session| session.regenerate().unwrap());

    assert_absent(&manager, old.header().as_bytes(), "of before the regenerate");
    let commit = slow.commit_at(NOW_MS).unwrap();
    assert_eq!((commit.outcome(), set_cookie(&commit)), (Outcome::Moved, None));
    assert_eq!(jar.open(&manager, NOW_MS).get::<String>("v").unwrap(), Some(text(LARGE)));

    let copy = jar.clone();
    let mut slow = jar.open(&manager, NOW_MS);
    slow.increment("n", 1).unwrap();
    jar.visit(&manager, |session| session.destroy_at(NOW_MS).unwrap());
    assert_eq!(jar, Jar::default());
    assert_eq!(slow.commit_at(NOW_MS).unwrap().outcome(), Outcome::Gone);
    assert_absent(&manager, copy.header().as_bytes(), "destroyed");
    assert_eq!(store_records_at(&store, NOW_MS), 0);

    // Invalidated, and small again.
    let mut jar = self::jar(&manager, LARGE);
    let old = jar.clone();
    jar.visit(&manager, |session| {
        session.invalidate().unwrap();
        session.flash("bye", &1).unwrap();
    });
    assert_eq!(jar.all(&manager), r#"{"bye":1}"#);
    assert_absent(&manager, old.header().as_bytes(), "of before the invalidate");
}

#[test]
fn a_record_that_has_spilled_and_cannot_be_read_is_destroyed_all_the_same() {
    let (old, new) = (generate_key().unwrap(), generate_key().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let with = |keys: &str, fields: &str| {
        let main = r#"{"type":"cookie","overflow":"spill","spill_to":"store"}"#;
        let store = format!(r#"{{"type":"file","path":{path:?}}}"#);
        Manager::new(&format!(
            r#"{{"default":"main","drivers":{{"main":{main},"store":{store}}},"keys":[{keys}]{fields}}}"#
        ))
        .unwrap()
    };
    let (before, both) =
        (with(&format!("{old:?}"), ""), with(&format!("{old:?}, {new:?}"), r#","at_rest":"sealed_only""#));
    let mut jar = jar(&before, LARGE);
    let copy = jar.clone();

    // The record is plain, and only sealed ones are read now.
    let mut session = jar.open(&both, NOW_MS);
    assert_eq!(session.get_json("v").unwrap_err().kind(), ErrorKind::Corrupt);
    session.destroy_at(NOW_MS).unwrap();
    jar.take(&session.commit_at(NOW_MS).unwrap());

    assert_eq!(jar, Jar::default());
    assert!(copy.open(&before, NOW_MS).is_new().unwrap());
    assert_eq!(records(&before.driver("store").unwrap()), 0);
}

#[test]
fn what_spills_is_sealed_at_rest_too_and_both_seals_rotate() {
    let (old, new) = (generate_key().unwrap(), generate_key().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let with = |keys: &[&str]| {
        let keys = serde_json::to_string(keys).unwrap();
        let main = r#"{"type":"cookie","overflow":"spill","spill_to":"store"}"#;
        let store = format!(r#"{{"type":"file","path":{path:?}}}"#);
        Manager::new(&format!(
            r#"{{"default":"main","drivers":{{"main":{main},"store":{store}}},"keys":{keys},"at_rest":"sealed_only"}}"#
        ))
        .unwrap()
    };
    let mut jar = settled_jar(&with(&[&old]), LARGE);
    let stored = || {
        std::fs::read_dir(&path)
            .unwrap()
            .map(|entry| std::fs::read(entry.unwrap().path()).unwrap_or_default())
            .collect::<Vec<_>>()
            .concat()
    };
    let plain = text(20);
    assert!(!stored().windows(20).any(|part| part == plain.as_bytes()));

    jar.visit(&with(&[&new, &old]), |session| assert!(!session.is_new().unwrap()));
    assert_eq!(jar.open(&with(&[&new]), NOW_MS).get::<String>("v").unwrap(), Some(text(LARGE)));
}

#[test]
fn events_tell_what_came_and_what_became_of_it() {
    let (manager, watch, _) = failing();
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = told.clone();
    manager.on_event(move |event| listener.lock().unwrap().push(event.kind())).unwrap();
    let told = || std::mem::take(&mut *told.lock().unwrap());

    let mut jar = jar(&manager, LARGE);
    assert_eq!(told(), [EventKind::Created]);
    // Of a commit that failed nothing was made.
    watch.arm(BEFORE);
    Jar::default().try_visit(&manager, NOW_MS, |session| session.set("v", &text(LARGE)).unwrap()).unwrap_err();
    assert_eq!(told(), [EventKind::Unavailable]);
    jar.visit(&manager, |session| session.regenerate().unwrap());
    assert_eq!(told(), [EventKind::Regenerated]);
    assert!(manager.open("__Host-sid=x; __Host-sid=2.yyyyyyyyyyyy").unwrap().is_new().unwrap());
    assert_eq!(told(), [EventKind::MalformedToken, EventKind::MalformedToken]);
    let copy = jar.clone();
    jar.visit(&manager, |session| session.destroy_at(NOW_MS).unwrap());
    assert_eq!(told(), [EventKind::Destroyed]);
    assert!(copy.open(&manager, NOW_MS).is_new().unwrap());
    assert_eq!(told(), [EventKind::UnknownToken]);
    assert!(copy.open(&manager, NOW_MS + 2000 * MINUTE_MS).is_new().unwrap());
    assert_eq!(told(), [EventKind::Expired]);
}

#[test]
fn what_needs_a_locator_is_unsupported_and_says_so() {
    let manager = manager("", "");
    let locator = holdall::Locator::from_hex(&[b'0'; 64]).unwrap();
    assert_eq!(manager.destroy(&locator).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(manager.iterate(|_| true).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn a_driver_that_wraps_the_cookies_and_hands_no_browser_on_is_an_error() {
    struct Forgetful(Arc<dyn holdall::driver::Driver>);
    use holdall::driver::*;
    use holdall::{Events, Locator, Result};
    impl Records for Forgetful {
        fn load(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<Option<Loaded>> {
            self.0.load(locator, now_ms, events)
        }
        fn update(
            &self,
            locator: &Locator,
            to: Option<&Locator>,
            now_ms: u64,
            edit: &mut Edit<'_>,
            events: &mut Events,
        ) -> Result<Updated> {
            self.0.update(locator, to, now_ms, edit, events)
        }
        fn delete(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<bool> {
            self.0.delete(locator, now_ms, events)
        }
    }
    impl Driver for Forgetful {
        fn capabilities(&self) -> Capabilities {
            self.0.capabilities()
        }
        fn create(
            &self,
            locator: &Locator,
            bytes: &[u8],
            now_ms: u64,
            expiry_ms: u64,
            events: &mut Events,
        ) -> Result<bool> {
            self.0.create(locator, bytes, now_ms, expiry_ms, events)
        }
        fn lock(&self, locator: &Locator, now_ms: u64, timeout_ms: Option<u64>) -> Result<Option<Box<dyn Records>>> {
            self.0.lock(locator, now_ms, timeout_ms)
        }
        fn sweep(&self, now_ms: u64, limit: usize, events: &mut Events) -> Result<Swept> {
            self.0.sweep(now_ms, limit, events)
        }
        fn iterate(&self, now_ms: u64, visit: &mut dyn FnMut(RecordInfo) -> bool) -> Result<()> {
            self.0.iterate(now_ms, visit)
        }
        fn stats(&self) -> DriverStats {
            self.0.stats()
        }
    }
    let config = config(&[&generate_key().unwrap()], "", "");
    let manager = Manager::with_driver(&config, |inner| Arc::new(Forgetful(inner))).unwrap();
    assert_eq!(manager.open("").unwrap_err().kind(), ErrorKind::Misuse);
}
