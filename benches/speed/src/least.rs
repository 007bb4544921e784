//! The least request over memory: what a session engine of this kind cannot leave out, and nothing else. The id is decoded and
//! hashed, the clock read twice, the record copied out, three keys found, one value checked and put into new bytes, these copied in, and the
//! cookie's line built. No conflicts, no flash, no expiry, no eviction, no events, no errors, no limits.

use crate::floors::Shards;
use crate::measure::{Dice, Lane, cycles};
use crate::record::{COUNTER, FIRST_COUNT, READ, Record};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use std::hint::black_box;
use std::time::SystemTime;

/// A table of key and value lengths, then keys and values.
fn encode(pairs: &[(&str, String)]) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(pairs.len()).unwrap()];
    for (key, value) in pairs {
        bytes.push(u8::try_from(key.len()).unwrap());
        bytes.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
    }
    for (key, value) in pairs {
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(value.as_bytes());
    }
    bytes
}

/// The row of a key, and where its value lies.
fn find(bytes: &[u8], key: &str) -> (usize, std::ops::Range<usize>) {
    let count = usize::from(bytes[0]);
    let mut at = 1 + 3 * count;
    for row in (1..).step_by(3).take(count) {
        let (name, value) =
            (usize::from(bytes[row]), usize::from(u16::from_le_bytes([bytes[row + 1], bytes[row + 2]])));
        if &bytes[at..at + name] == key.as_bytes() {
            return (row, at + name..at + name + value);
        }
        at += name + value;
    }
    panic!("{key} is not there")
}

fn set(bytes: &[u8], key: &str, value: &str, new: &mut Vec<u8>) {
    let (row, place) = find(bytes, key);
    new.clear();
    new.extend_from_slice(&bytes[..place.start]);
    new.extend_from_slice(value.as_bytes());
    new.extend_from_slice(&bytes[place.end..]);
    new[row + 1..row + 3].copy_from_slice(&u16::try_from(value.len()).unwrap().to_le_bytes());
}

fn hash(id: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(b"holdall/id/v1").chain_update(id).finalize().into()
}

/// Requests to one session.
pub fn request(record: &Record) -> Lane {
    let pairs: Vec<(&str, String)> = record.values.iter().map(|(key, value)| (*key, value.to_string())).collect();
    let id: [u8; 32] = Dice::new().bytes();
    let token = URL_SAFE_NO_PAD.encode(id);
    let shards = Shards::new([(hash(&id), encode(&pairs))]);
    let (mut count, mut new) = (FIRST_COUNT, Vec::new());
    cycles(move || {
        let mut id = [0; 32];
        assert_eq!(URL_SAFE_NO_PAD.decode_slice(black_box(&token), &mut id), Ok(32));
        let key = hash(&id);
        black_box(SystemTime::now());
        let stored = shards.read(&key);
        for name in READ {
            black_box(std::str::from_utf8(&stored[find(&stored, name).1]).unwrap());
        }
        count += 1;
        let value = count.to_string();
        serde_json::from_str::<serde::de::IgnoredAny>(&value).unwrap();
        black_box(SystemTime::now());
        set(&stored, COUNTER, &value, &mut new);
        shards.write(&key, &new);
        black_box(format!("__Host-sid={token}; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=7200"));
    })
}
