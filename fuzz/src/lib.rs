//! What the fuzzer runs, as plain functions: each takes any bytes, and panics where a promise does not hold.
//!
//! targets/ gives them to libFuzzer, the test below replays the corpus through them and some thousand mutations of it, the
//! same in every run.
#![allow(clippy::missing_panics_doc, reason = "to panic is how a target says that a promise does not hold")]

mod c_calls;
mod config;
mod cookie_header;
mod json;
mod record;
mod sealed;
mod slot;

use holdall::{Error, ErrorKind};

/// A target: its name, which is that of its corpus and dictionary, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 6] = [
    ("record", record::run),
    ("slot", slot::run),
    ("config", config::run),
    ("cookie_header", cookie_header::run),
    ("c_calls", c_calls::run),
    ("sealed", sealed::run),
];

/// The function of a target.
pub fn run(target: &str, input: &[u8]) {
    let (_, run) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target of that name");
    run(input);
}

/// The main program of a target: libFuzzer's under cargo-fuzz, else one that does nothing.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $crate::run(stringify!($name), input));

        #[cfg(not(fuzzing))]
        fn main() {}
    };
}

/// A moment to inject.
const NOW_MS: u64 = 1_700_000_000_000;
/// A well-formed token, of 32 zero bytes.
const TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Input that is read as decisions: where it ends there are only zeros.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> u8 {
        self.some(1).first().copied().unwrap_or(0)
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 != 0
    }

    fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n
    }

    fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        let some = self.some(8);
        bytes[..some.len()].copy_from_slice(some);
        u64::from_le_bytes(bytes)
    }

    /// `n` bytes, or what is left.
    fn some(&mut self, n: usize) -> &'a [u8] {
        let (some, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        some
    }

    /// Up to 255 bytes, with their number in front.
    fn short(&mut self) -> &'a [u8] {
        let n = usize::from(self.byte());
        self.some(n)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The error must be of one of these kinds.
#[track_caller]
fn allowed(error: &Error, kinds: &[ErrorKind]) {
    assert!(kinds.contains(&error.kind()), "{error:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::panic::catch_unwind;
    use std::path::{Path, PathBuf};

    /// In each target, beside the corpus itself.
    const MUTATIONS: usize = 2000;

    fn folder(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
        let mut paths: Vec<_> = fs::read_dir(folder("corpus").join(target))
            .expect("a corpus")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        paths.sort();
        paths.into_iter().map(|path| (path.display().to_string(), fs::read(&path).expect("a file"))).collect()
    }

    /// The words of a dictionary: what stands between the quotes, with `\xNN`, `\"` and `\\`.
    fn words(target: &str) -> Vec<Vec<u8>> {
        let text = fs::read_to_string(folder("dictionaries").join(target)).unwrap_or_default();
        text.lines().filter_map(|line| Some(line.split_once('"')?.1.rsplit_once('"')?.0)).map(unescaped).collect()
    }

    fn unescaped(word: &str) -> Vec<u8> {
        let (mut bytes, mut rest) = (Vec::new(), word.as_bytes());
        while let Some((byte, tail)) = rest.split_first() {
            let (byte, length) = match (byte, tail) {
                (b'\\', [b'x', high, low, ..]) => {
                    let digit = |digit: u8| char::from(digit).to_digit(16).expect("two digits");
                    (u8::try_from(digit(*high) * 16 + digit(*low)).expect("a byte"), 4)
                }
                (b'\\', [escaped, ..]) => (*escaped, 2),
                _ => (*byte, 1),
            };
            bytes.push(byte);
            rest = &rest[length..];
        }
        bytes
    }

    /// Numbers that look random and are the same in every run: SplitMix64 (Steele, Lea, Flood 2014).
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, n: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            usize::try_from((z ^ (z >> 31)) % n as u64).expect("below n")
        }

        fn mutate(&mut self, input: &mut Vec<u8>, others: &[(String, Vec<u8>)], words: &[Vec<u8>]) {
            for _ in 0..=self.below(4) {
                let at = self.below(input.len() + 1);
                let end = (at + 1 + self.below(8)).min(input.len());
                match self.below(7) {
                    0 if at < end => input[at] ^= 1 << self.below(8),
                    1 if at < end => input[at] = [0, 1, 0x7F, 0x80, 0xFF][self.below(5)],
                    2 if at < end => drop(input.drain(at..end)),
                    3 if at < end => input[at..end].fill(0xFF),
                    4 => input.insert(at, u8::try_from(self.below(256)).expect("a byte")),
                    5 if !words.is_empty() => drop(input.splice(at..at, words[self.below(words.len())].clone())),
                    _ => {
                        let other = &others[self.below(others.len())].1;
                        input.truncate(at);
                        input.extend_from_slice(&other[self.below(other.len() + 1)..]);
                    }
                }
            }
        }
    }

    #[track_caller]
    fn holds(target: Target, input: &[u8], what: &str) {
        let (name, run) = target;
        if catch_unwind(|| run(input)).is_err() {
            let file = folder("artifacts").join(format!("{name}-from-the-test"));
            fs::create_dir_all(folder("artifacts")).and_then(|()| fs::write(&file, input)).expect("a file");
            panic!("{name}: {what} does not hold; the input is in {}", file.display());
        }
    }

    fn replayed(name: &str) {
        let target = *TARGETS.iter().find(|(known, _)| *known == name).expect("a target of that name");
        let corpus = corpus(name);
        assert!(corpus.len() >= 10, "the corpus of {name} has gone");
        for (path, input) in &corpus {
            holds(target, input, path);
        }
        let (words, mut dice) = (words(name), Dice(1));
        for round in 0..MUTATIONS {
            let mut input = corpus[dice.below(corpus.len())].1.clone();
            dice.mutate(&mut input, &corpus, &words);
            holds(target, &input, &format!("mutation {round}"));
        }
    }

    #[test]
    fn a_hostile_record_is_refused_or_read_and_survives_a_commit() {
        replayed("record");
    }

    #[test]
    fn a_hostile_session_file_never_reads_as_what_no_intact_slot_says() {
        replayed("slot");
    }

    #[test]
    fn any_text_as_configuration_is_refused_by_name_or_works() {
        replayed("config");
    }

    #[test]
    fn only_the_planted_token_finds_the_session_and_only_json_is_a_value() {
        replayed("cookie_header");
    }

    #[test]
    fn only_what_was_sealed_opens_and_as_what_it_was() {
        replayed("sealed");
    }

    #[test]
    fn no_sequence_of_c_calls_ends_in_a_panic_or_touches_an_output_it_should_not() {
        replayed("c_calls");
    }
}
