//! The session that everybody stores: the same keys and values for all, in three sizes.

use serde_json::{Value, json};

/// Bytes of the JSON object.
pub const SMALL: usize = 94;
pub const MIDDLE: usize = 1027;
pub const LARGE: usize = 16_346;
pub const SIZES: [(usize, &str); 3] = [(SMALL, "94 B"), (MIDDLE, "1 KB"), (LARGE, "16 KB")];

/// What a cycle reads.
pub const READ: [&str; 3] = ["user", "locale", "name"];
/// What a cycle sets: a counter that begins where it keeps its length.
pub const COUNTER: &str = "count";
pub const FIRST_COUNT: u64 = 1_000_000;

pub struct Record {
    pub values: Vec<(&'static str, Value)>,
}

impl Record {
    /// 4 keys where it is small, else 10, of which the cart grows. The last text fills up to `bytes`.
    pub fn new(bytes: usize) -> Record {
        let mut values = vec![(COUNTER, json!(FIRST_COUNT)), ("user", json!(4711)), ("locale", json!("en_GB"))];
        if bytes >= MIDDLE {
            let item = |n: usize| json!({"article": format!("A-{n:05}"), "amount": 1 + n % 3, "price_cents": 1995});
            values.push(("roles", json!(["editor", "author", "translator"])));
            values.push(("signed_in_at", json!(1_763_712_000)));
            values.push(("remembered", json!(true)));
            values.push(("cart", (0..bytes / 100).map(item).collect()));
            values.push(("preferences", json!({"theme": "dark", "rows": 50, "newsletter": false})));
            values.push(("email", json!("ada.lovelace@example.com")));
        }
        values.push(("name", json!("")));
        let mut record = Record { values };
        let missing = bytes - record.json().len();
        record.values.last_mut().unwrap().1 = json!("n".repeat(missing));
        assert_eq!(record.json().len(), bytes);
        record
    }

    /// The JSON object, compact.
    pub fn json(&self) -> String {
        let pairs: Vec<String> = self.values.iter().map(|(key, value)| format!("{key:?}:{value}")).collect();
        format!("{{{}}}", pairs.join(","))
    }
}
