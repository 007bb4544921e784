//! Guards what the file driver promises when a process is killed: every acknowledged commit is there, and every session
//! reads as some commit left it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Dice, Place, open, stored, value, worker_path};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn a_commit_that_finds_no_room_says_so_and_leaves_the_state_before_it() {
    let place = Place::new("file");
    let token = stored(&place.manager, &[("n", "0"), ("text", "\"\"")]);

    let worker = Command::new(worker_path()).args([&place.config, &token, "full"]).output().unwrap();

    assert!(worker.status.success(), "{}", String::from_utf8_lossy(&worker.stderr));
    assert_eq!(value(&place.manager, &token, "n").as_deref(), Some("2"));
}

#[test]
fn after_two_hundred_kills_every_acknowledged_commit_is_there() {
    let place = Place::new("file");
    let mut dice = Dice(7);
    let tokens: Vec<String> = (0..5).map(|_| stored(&place.manager, &[("n", "0"), ("text", "\"\"")])).collect();
    let mut acknowledged = vec![0i64; tokens.len()];

    for kill in 0..200 {
        let which = dice.below(tokens.len());
        let mut worker = Command::new(worker_path())
            .args([&place.config, &tokens[which], "storm"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(worker.stdout.take().unwrap()).lines();
        // Not before it has done some work, or on a busy machine most kills would hit its start.
        for _ in 0..5 {
            acknowledged[which] = output.next().unwrap().unwrap().parse().unwrap();
        }
        std::thread::sleep(Duration::from_micros(u64::try_from(dice.below(3000)).unwrap()));
        worker.kill().unwrap();
        worker.wait().unwrap();
        for line in output.map_while(Result::ok) {
            // The last line may be cut by the kill.
            if let Ok(n) = line.parse::<i64>()
                && n == acknowledged[which] + 1
            {
                acknowledged[which] = n;
            }
        }

        let session = open(&place.manager, &tokens[which]);
        let n: i64 = session.get("n").unwrap().unwrap();
        let text: String = session.get("text").unwrap().unwrap();
        assert!(n >= acknowledged[which], "kill {kill}: {} acknowledged, {n} stored", acknowledged[which]);
        // At most the one commit that had not been acknowledged yet.
        assert!(n <= acknowledged[which] + 1, "kill {kill}: {} acknowledged, {n} stored", acknowledged[which]);
        assert_eq!(text.len(), usize::try_from(n * 2711 % 6000).unwrap(), "kill {kill}: half of a commit");
        acknowledged[which] = n;
    }

    assert!(acknowledged.iter().sum::<i64>() >= 1000, "the workers did nothing: {acknowledged:?}");
    for (token, n) in tokens.iter().zip(&acknowledged) {
        assert_eq!(value(&place.manager, token, "n"), Some(n.to_string()));
    }
    assert_eq!(place.files().len(), tokens.len());
}
