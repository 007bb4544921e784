//! One request of tests/history.rs in two steps, the same in a thread and in a process of its own.

use holdall::{Manager, Session};
use serde_json::{Value, json};

/// Opens a session and loads it: the session, and all that is in it.
pub fn load(manager: &Manager, token: &str) -> (Session, String) {
    let session = manager.open_token(token).expect("a session");
    assert!(!session.is_new().expect("readable"), "the session is gone");
    let all = session.all().expect("readable");
    (session, all)
}

/// Does `[["set", key, value], ["increment", key, n], ["push", key, element], ["delete", key], ...]`, commits, and says
/// which keys met a conflict.
pub fn commit(mut session: Session, operations: &str) -> String {
    let operations: Vec<Vec<Value>> = serde_json::from_str(operations).expect("operations");
    for operation in operations {
        let key = operation[1].as_str().expect("a key");
        match operation[0].as_str().expect("a name") {
            "set" => session.set(key, &operation[2]).expect("set"),
            "increment" => {
                session.increment(key, operation[2].as_i64().expect("a number")).expect("increment");
            }
            "push" => session.push(key, &operation[2]).expect("push"),
            _ => session.delete(&[key]).expect("delete"),
        }
    }
    let commit = session.commit().expect("commit");
    assert!(["saved", "unchanged"].contains(&commit.outcome().name()), "{commit:?}");
    json!(commit.conflicts().iter().map(|conflict| &conflict.key).collect::<Vec<_>>()).to_string()
}
