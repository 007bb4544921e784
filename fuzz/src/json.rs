//! A second opinion on what a value may be: the grammar of RFC 8259 read by hand, with the limits of docs/architecture.md.
//!
//! serde_json answers for strings and numbers one at a time; nesting, names and what stands between them are counted here.

use std::collections::BTreeSet;

/// Whether the engine should keep it. The depth is that of arrays and objects in one another.
pub(crate) fn is_a_value(text: &str) -> bool {
    let mut reader = Reader { text, at: 0 };
    reader.value(0).is_some() && {
        reader.space();
        reader.at == text.len()
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        if !self.eat(b'"') {
            return None;
        }
        let bytes = self.text.as_bytes();
        while *bytes.get(self.at)? != b'"' {
            self.at += if bytes[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        serde_json::from_str(self.text.get(start..self.at)?).ok()
    }

    fn scalar(&mut self) -> Option<()> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).unwrap_or(rest.len());
        self.at += end;
        let number = |text: &str| {
            serde_json::from_str::<f64>(text).is_ok_and(f64::is_finite) && text.parse::<f64>().is_ok_and(f64::is_finite)
        };
        (["null", "true", "false"].contains(&&rest[..end]) || number(&rest[..end])).then_some(())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        self.space();
        match self.text.as_bytes().get(self.at)? {
            b'"' => self.string().map(|_| ()),
            b'[' | b'{' if depth == holdall::MAX_DEPTH => None,
            b'[' => {
                self.at += 1;
                let mut first = true;
                while !self.eat(b']') {
                    if !first && !self.eat(b',') {
                        return None;
                    }
                    self.value(depth + 1)?;
                    first = false;
                }
                Some(())
            }
            b'{' => {
                self.at += 1;
                let mut names = BTreeSet::new();
                while !self.eat(b'}') {
                    if !names.is_empty() && !self.eat(b',') {
                        return None;
                    }
                    self.space();
                    let name = self.string()?;
                    if !self.eat(b':') || !names.insert(name) {
                        return None;
                    }
                    self.value(depth + 1)?;
                }
                Some(())
            }
            _ => self.scalar(),
        }
    }
}
