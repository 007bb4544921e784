//! Record format v1: the one codec, the same bytes in every driver.
//!
//! A fixed little-endian head, a table of entries, then keys and values. Reading is bounded by the number of entries and
//! never by the bytes of the values; a value is a slice of the loaded buffer. No checksum: integrity is the driver's
//! (slot checksum, AEAD tag). Drawn byte by byte in docs/format.md, held by golden files in tests/golden.

use crate::error::{Error, Result};
use crate::id::CsrfSecret;
use std::cmp::Ordering;
use std::ops::Range;

const MAGIC: [u8; 4] = [0xFF, b'H', b'D', b'R'];
const VERSION: u16 = 1;
/// Bytes of the head.
pub(crate) const HEAD_BYTES: usize = 136;
/// Bytes of one row of the table.
pub(crate) const ROW_BYTES: usize = 16;
const COOKIE_BITS: u16 = 0b11;

/// Which of the three name spaces of a record an entry is in. The table is sorted by space, then key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Space {
    Data = 0,
    Flash = 1,
    /// The engine's own fields that have no fixed size, as the previous URL. Not in `all()`, not cleared by `flush`.
    Engine = 2,
}

/// How long the browser keeps the cookie of this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Persistence {
    /// As configured.
    #[default]
    Configured,
    /// With Max-Age.
    Persistent,
    /// Until the browser closes.
    Browser,
}

/// The fixed part of a record.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Head {
    /// Grows by one with every commit. A flash entry is stamped with it.
    pub(crate) revision: u64,
    /// The id of the last commit, which no other has: a commit that is repeated finds itself here.
    pub(crate) commit: [u8; 16],
    pub(crate) created_ms: u64,
    /// The session's own timeouts; 0 is "as configured".
    pub(crate) idle_ms: u64,
    pub(crate) absolute_ms: u64,
    pub(crate) csrf: CsrfSecret,
    /// Room for the hash of an owner and an epoch, for "log out everywhere". Kept as found.
    pub(crate) owner: [u8; 32],
    pub(crate) epoch: u64,
    pub(crate) persistence: Persistence,
}

/// One entry of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) space: Space,
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
    /// The revision of the commit that stored it; 0 outside of flash.
    pub(crate) stamp: u64,
}

/// Writes a record at the end of a buffer: entries in the order of the table, each space and key once, then the head.
pub(crate) struct Writer<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    /// Where keys and values begin for now: behind room for as many rows as there can be.
    heap: usize,
    rows: usize,
}

impl<'o> Writer<'o> {
    /// Begins a record of at most `rows` entries. `heap_bytes` is a guess at what their keys and values take.
    pub(crate) fn begin(out: &'o mut Vec<u8>, rows: usize, heap_bytes: usize) -> Writer<'o> {
        let start = out.len();
        let heap = start + HEAD_BYTES + rows * ROW_BYTES;
        out.reserve(heap - start + heap_bytes);
        out.resize(heap, 0);
        Writer { out, start, heap, rows: 0 }
    }

    fn heap_bytes(&self) -> usize {
        self.out.len() - self.heap
    }

    /// Adds an entry.
    pub(crate) fn push(&mut self, space: Space, key: &str, value: &str, stamp: u64) -> Result<()> {
        let Ok(key_bytes) = u16::try_from(key.len()) else {
            return Err(Error::too_large("a key in bytes", usize::from(u16::MAX), key.len()));
        };
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(value.as_bytes());
        let end = self.heap_end()?;
        let at = self.start + HEAD_BYTES + self.rows * ROW_BYTES;
        let row = &mut self.out[at..at + ROW_BYTES];
        row[..4].copy_from_slice(&end.to_le_bytes());
        row[4..6].copy_from_slice(&key_bytes.to_le_bytes());
        row[6] = space as u8;
        row[8..].copy_from_slice(&stamp.to_le_bytes());
        self.rows += 1;
        Ok(())
    }

    /// Adds entries of a stored record as they are: keys and values in one piece, the rows with their ends moved.
    pub(crate) fn copy(&mut self, view: &View<'_>, entries: Range<usize>) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let (from, to) = (view.heap_start(entries.start), view.heap_start(entries.end));
        let moved = self.heap_bytes();
        self.out.extend_from_slice(&view.heap()[from..to]);
        self.heap_end()?;
        let at = self.start + HEAD_BYTES + self.rows * ROW_BYTES;
        let table = &view.bytes[HEAD_BYTES + entries.start * ROW_BYTES..HEAD_BYTES + entries.end * ROW_BYTES];
        let rows = &mut self.out[at..at + table.len()];
        rows.copy_from_slice(table);
        for row in rows.as_chunks_mut::<ROW_BYTES>().0 {
            // No end is beyond that of the heap, which was checked.
            let end = u32::try_from(size(row, 0) - from + moved).expect("within the heap");
            row[..4].copy_from_slice(&end.to_le_bytes());
        }
        self.rows += entries.len();
        Ok(())
    }

    fn heap_end(&self) -> Result<u32> {
        u32::try_from(self.heap_bytes())
            .map_err(|_| Error::too_large("a record in bytes", u32::MAX as usize, self.heap_bytes()))
    }

    /// How long the record is with what was added so far.
    pub(crate) fn bytes(&self) -> usize {
        HEAD_BYTES + self.rows * ROW_BYTES + self.heap_bytes()
    }

    /// How many entries were added so far.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// Ends the record.
    pub(crate) fn finish(self, head: &Head) -> Result<()> {
        let heap_bytes = self.heap_end()?;
        let rows = u32::try_from(self.rows).map_err(|_| Error::too_large("entries", u32::MAX as usize, self.rows))?;
        let end = self.start + self.bytes();
        if end < self.out.len() {
            // Fewer entries than there was room for.
            self.out.copy_within(self.heap.., self.start + HEAD_BYTES + self.rows * ROW_BYTES);
            self.out.truncate(end);
        }
        let flags: u16 = match head.persistence {
            Persistence::Configured => 0,
            Persistence::Persistent => 1,
            Persistence::Browser => 2,
        };
        let bytes = &mut self.out[self.start..self.start + HEAD_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[6..8].copy_from_slice(&flags.to_le_bytes());
        bytes[8..16].copy_from_slice(&head.revision.to_le_bytes());
        bytes[16..32].copy_from_slice(&head.commit);
        bytes[32..40].copy_from_slice(&head.created_ms.to_le_bytes());
        bytes[40..48].copy_from_slice(&head.idle_ms.to_le_bytes());
        bytes[48..56].copy_from_slice(&head.absolute_ms.to_le_bytes());
        bytes[56..88].copy_from_slice(&head.csrf);
        bytes[88..120].copy_from_slice(&head.owner);
        bytes[120..128].copy_from_slice(&head.epoch.to_le_bytes());
        bytes[128..132].copy_from_slice(&rows.to_le_bytes());
        bytes[132..136].copy_from_slice(&heap_bytes.to_le_bytes());
        Ok(())
    }
}

/// A record that was read: its table checked, its values still where they were loaded.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    bytes: &'a [u8],
    count: usize,
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the slice has the length of the array")
}

fn size(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(field(bytes, at)) as usize
}

fn key_bytes(row: &[u8; ROW_BYTES]) -> usize {
    usize::from(u16::from_le_bytes(field(row, 4)))
}

/// A key of the heap for comparison: its first eight bytes as one number, which nearly always decides. A call of memcmp for
/// each step of a bisection takes longer than all the rest of it.
#[derive(Clone, Copy)]
struct Key<'a> {
    prefix: u64,
    heap: &'a [u8],
    start: usize,
    length: usize,
}

impl<'a> Key<'a> {
    #[inline]
    fn new(heap: &'a [u8], start: usize, length: usize) -> Key<'a> {
        let eight = match heap[start..].first_chunk() {
            Some(eight) => u64::from_be_bytes(*eight),
            None => last_bytes(&heap[start..]),
        };
        // What lies behind a shorter key is not part of it.
        let prefix = if length < 8 { eight & !(u64::MAX >> (8 * length)) } else { eight };
        Key { prefix, heap, start, length }
    }

    #[inline]
    fn order(&self, other: &Key<'_>) -> Ordering {
        if self.prefix != other.prefix {
            self.prefix.cmp(&other.prefix)
        } else if self.length <= 8 && other.length <= 8 {
            self.length.cmp(&other.length)
        } else {
            self.bytes().cmp(other.bytes())
        }
    }

    fn bytes(&self) -> &'a [u8] {
        &self.heap[self.start..self.start + self.length]
    }
}

/// Fewer than eight bytes as the number that eight would be with zeros behind them.
#[cold]
fn last_bytes(bytes: &[u8]) -> u64 {
    let mut eight = [0; 8];
    eight[..bytes.len()].copy_from_slice(bytes);
    u64::from_be_bytes(eight)
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Error::corrupt("an entry of a stored record is not UTF-8"))
}

impl<'a> View<'a> {
    /// Checks head and table. An unknown version is `unsupported`, anything else that is wrong `corrupt`.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<View<'a>> {
        if bytes.len() < HEAD_BYTES || bytes[..4] != MAGIC {
            return Err(Error::corrupt("a stored record does not begin like one"));
        }
        let version = u16::from_le_bytes(field(bytes, 4));
        if version != VERSION {
            return Err(Error::unsupported(format!(
                "a stored record has format version {version}; this release reads version {VERSION}"
            )));
        }
        if u16::from_le_bytes(field(bytes, 6)) & !COOKIE_BITS != 0 {
            return Err(Error::unsupported("a stored record has flags this release does not know"));
        }
        let (count, heap) = (size(bytes, 128), size(bytes, 132));
        // Compared as a subtraction: counts up to 2^32 cannot overflow it, and nothing is allocated.
        let table = count.checked_mul(ROW_BYTES).and_then(|table| table.checked_add(HEAD_BYTES + heap));
        if table != Some(bytes.len()) {
            return Err(Error::corrupt("a stored record is not as long as its table says"));
        }
        let view = View { bytes, count };
        let (mut start, mut before) = (0, None);
        for row in view.table() {
            let end = size(row, 0);
            if end < start || end - start < key_bytes(row) || end > heap || row[6] > Space::Engine as u8 {
                return Err(Error::corrupt("a row of a stored record points outside of it"));
            }
            // Bisection and replay rely on the order; a key that is there twice would let an old value come back.
            let (space, key) = (row[6], Key::new(view.heap(), start, key_bytes(row)));
            if let Some((space_before, key_before)) = before
                && (space_before > space || space_before == space && key.order(&key_before) != Ordering::Greater)
            {
                return Err(Error::corrupt("the entries of a stored record are out of order"));
            }
            (start, before) = (end, Some((space, key)));
        }
        if start != heap {
            return Err(Error::corrupt("a stored record has bytes that belong to no entry"));
        }
        Ok(view)
    }

    /// Reads a record that is most likely `known`: where head and table are the same, their bounds are checked already. Keys are
    /// not compared; other keys in the same places could be out of order, which bisection survives.
    pub(crate) fn parse_like(bytes: &'a [u8], known: &View<'_>) -> Result<View<'a>> {
        let table = HEAD_BYTES + known.count * ROW_BYTES;
        if bytes.len() == known.bytes.len() && bytes[..table] == known.bytes[..table] {
            return Ok(View { bytes, count: known.count });
        }
        View::parse(bytes)
    }

    /// A record that was parsed before, without doing it again.
    pub(crate) fn parsed_before(bytes: &'a [u8]) -> View<'a> {
        View { bytes, count: size(bytes, 128) }
    }

    /// How long the whole record is.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The id of the commit that wrote it.
    pub(crate) fn commit(&self) -> [u8; 16] {
        field(self.bytes, 16)
    }

    pub(crate) fn revision(&self) -> u64 {
        u64::from_le_bytes(field(self.bytes, 8))
    }

    pub(crate) fn created_ms(&self) -> u64 {
        u64::from_le_bytes(field(self.bytes, 32))
    }

    pub(crate) fn idle_ms(&self) -> u64 {
        u64::from_le_bytes(field(self.bytes, 40))
    }

    pub(crate) fn absolute_ms(&self) -> u64 {
        u64::from_le_bytes(field(self.bytes, 48))
    }

    pub(crate) fn csrf(&self) -> CsrfSecret {
        field(self.bytes, 56)
    }

    pub(crate) fn persistence(&self) -> Persistence {
        match u16::from_le_bytes(field(self.bytes, 6)) & COOKIE_BITS {
            1 => Persistence::Persistent,
            2 => Persistence::Browser,
            _ => Persistence::Configured,
        }
    }

    pub(crate) fn head(&self) -> Head {
        let bytes = self.bytes;
        Head {
            revision: self.revision(),
            commit: self.commit(),
            created_ms: self.created_ms(),
            idle_ms: self.idle_ms(),
            absolute_ms: self.absolute_ms(),
            csrf: self.csrf(),
            owner: field(bytes, 88),
            epoch: u64::from_le_bytes(field(bytes, 120)),
            persistence: self.persistence(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The rows.
    fn table(&self) -> &'a [[u8; ROW_BYTES]] {
        self.bytes[HEAD_BYTES..HEAD_BYTES + self.count * ROW_BYTES].as_chunks().0
    }

    /// Keys and values.
    fn heap(&self) -> &'a [u8] {
        &self.bytes[HEAD_BYTES + self.count * ROW_BYTES..]
    }

    /// Where an entry begins in the heap; for the number of entries, where the last one ends.
    fn heap_start(&self, index: usize) -> usize {
        if index == 0 { 0 } else { size(self.bytes, HEAD_BYTES + (index - 1) * ROW_BYTES) }
    }

    fn parts(&self, index: usize) -> (&'a [u8; ROW_BYTES], &'a [u8], &'a [u8]) {
        let row = &self.table()[index];
        let (key, value) = self.heap()[self.heap_start(index)..size(row, 0)].split_at(key_bytes(row));
        (row, key, value)
    }

    /// The entry at a place in the table.
    pub(crate) fn entry(&self, index: usize) -> Result<Entry<'a>> {
        let (row, key, value) = self.parts(index);
        let space = match row[6] {
            0 => Space::Data,
            1 => Space::Flash,
            _ => Space::Engine,
        };
        Ok(Entry { space, key: text(key)?, value: text(value)?, stamp: u64::from_le_bytes(field(row, 8)) })
    }

    /// Where the entry of a space and key is (Ok) or would be (Err), by bisection.
    pub(crate) fn search(&self, space: Space, key: &str) -> Result<usize, usize> {
        let (table, heap, wanted) = (self.table(), self.heap(), Key::new(key.as_bytes(), 0, key.len()));
        let Range { start: mut low, end: mut high } = self.range(space);
        while low < high {
            let middle = usize::midpoint(low, high);
            let start = if middle == 0 { 0 } else { size(&table[middle - 1], 0) };
            match Key::new(heap, start, key_bytes(&table[middle])).order(&wanted) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// The entries of a space.
    pub(crate) fn range(&self, space: Space) -> Range<usize> {
        let begin = |space: u8| {
            match self.table().last() {
                // Data alone is what most records hold.
                Some(last) if last[6] < space => self.count,
                _ if space == 0 => 0,
                _ => self.table().partition_point(|row| row[6] < space),
            }
        };
        begin(space as u8)..begin(space as u8 + 1)
    }

    /// The value of a space and key.
    pub(crate) fn value(&self, space: Space, key: &str) -> Result<Option<&'a str>> {
        let Ok(index) = self.search(space, key) else { return Ok(None) };
        let (_, _, value) = self.parts(index);
        text(value).map(Some)
    }

    /// The entry of a space and key.
    pub(crate) fn find(&self, space: Space, key: &str) -> Result<Option<Entry<'a>>> {
        self.search(space, key).ok().map(|index| self.entry(index)).transpose()
    }

    /// All entries, in the order of the table.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Result<Entry<'a>>> {
        let view = *self;
        (0..view.len()).map(move |index| view.entry(index))
    }
}

/// Whether two records differ in nothing but which commit wrote them, and when they say they were made.
pub(crate) fn same_content(one: &[u8], other: &[u8]) -> bool {
    // Revision, commit id and creation: bytes 8 to 39.
    one.len() == other.len() && one.len() >= HEAD_BYTES && one[..8] == other[..8] && one[40..] == other[40..]
}

/// Sets when a record says it was made.
pub(crate) fn set_created(record: &mut [u8], created_ms: u64) {
    record[32..40].copy_from_slice(&created_ms.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry<'a>(space: Space, key: &'a str, value: &'a str, stamp: u64) -> Entry<'a> {
        Entry { space, key, value, stamp }
    }

    fn write(out: &mut Vec<u8>, head: &Head, entries: &[Entry<'_>]) {
        let mut writer = Writer::begin(out, entries.len(), 0);
        for entry in entries {
            writer.push(entry.space, entry.key, entry.value, entry.stamp).expect("small");
        }
        writer.finish(head).expect("small");
    }

    fn sample() -> (Head, Vec<u8>) {
        let head = Head {
            revision: 7,
            commit: [1; 16],
            created_ms: 1_700_000_000_000,
            idle_ms: 5,
            absolute_ms: 0,
            csrf: [2; 32],
            owner: [3; 32],
            epoch: 9,
            persistence: Persistence::Browser,
        };
        let mut bytes = Vec::new();
        let entries = [
            entry(Space::Data, "a", "1", 0),
            entry(Space::Data, "b", "\"two\"", 0),
            entry(Space::Flash, "a", "[3]", 6),
            entry(Space::Engine, "previous_url", "\"/\"", 0),
        ];
        write(&mut bytes, &head, &entries);
        (head, bytes)
    }

    #[test]
    fn what_was_written_reads_back() {
        let (head, bytes) = sample();
        let view = View::parse(&bytes).expect("own bytes");

        assert_eq!(view.head(), head);
        assert_eq!(view.len(), 4);
        assert_eq!(view.find(Space::Data, "b").expect("utf-8").map(|e| e.value), Some("\"two\""));
        assert_eq!(view.find(Space::Flash, "a").expect("utf-8").map(|e| (e.value, e.stamp)), Some(("[3]", 6)));
        assert_eq!(view.find(Space::Flash, "b").expect("utf-8"), None);
        assert_eq!(view.find(Space::Data, "").expect("utf-8"), None);
    }

    #[test]
    fn entries_copied_in_runs_are_those_that_were_stored() {
        let (head, bytes) = sample();
        let view = View::parse(&bytes).expect("own bytes");
        assert_eq!([view.range(Space::Data), view.range(Space::Flash), view.range(Space::Engine)], [0..2, 2..3, 3..4]);
        let mut out = b"before".to_vec();
        let mut writer = Writer::begin(&mut out, 9, 0);
        writer.copy(&view, 0..1).expect("small");
        writer.push(Space::Data, "aa", "null", 0).expect("small");
        writer.copy(&view, 1..1).expect("small");
        writer.copy(&view, 2..4).expect("small");
        assert_eq!(writer.len(), 4);
        let bytes_said = writer.bytes();
        writer.finish(&head).expect("small");

        assert_eq!(out.len(), "before".len() + bytes_said);
        let copied = View::parse(&out["before".len()..]).expect("own bytes");
        assert_eq!(copied.head(), head);
        let entries = copied.entries().collect::<Result<Vec<_>>>().expect("utf-8");
        let expected = [
            entry(Space::Data, "a", "1", 0),
            entry(Space::Data, "aa", "null", 0),
            entry(Space::Flash, "a", "[3]", 6),
            entry(Space::Engine, "previous_url", "\"/\"", 0),
        ];
        assert_eq!(entries, expected);
        assert_eq!(copied.search(Space::Data, "b"), Err(2));
        assert_eq!(copied.search(Space::Flash, "a"), Ok(2));
    }

    #[test]
    fn an_unknown_version_is_said_and_not_taken_for_damage() {
        let (_, mut bytes) = sample();
        bytes[4] = 2;
        let error = View::parse(&bytes).err().expect("version 2");
        assert_eq!(error.kind(), crate::error::ErrorKind::Unsupported);
        assert!(error.message().contains("version 2"));
    }

    #[test]
    fn every_prefix_and_every_bit_flip_is_read_without_a_panic() {
        let (_, bytes) = sample();
        for length in 0..bytes.len() {
            assert!(View::parse(&bytes[..length]).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(view) = View::parse(&flipped) {
                let _ = view.entries().collect::<Result<Vec<_>>>();
                let _ = view.find(Space::Flash, "a");
            }
        }
    }

    #[test]
    fn sizes_up_to_the_largest_are_refused_before_anything_is_allocated() {
        let (_, mut bytes) = sample();
        for at in [128, 132, HEAD_BYTES] {
            let mut hostile = bytes.clone();
            hostile[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
            assert!(View::parse(&hostile).is_err());
        }
        bytes[128..136].copy_from_slice(&[0xFF; 8]);
        assert!(View::parse(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn keys_are_ordered_as_their_bytes_are(one in "[\\x00ab]{0,12}", other in "[\\x00ab]{0,12}", behind in "[\\x00b]{0,9}") {
            // What lies behind a key in the heap must not count.
            let heap = format!("{one}{behind}");
            let order = Key::new(heap.as_bytes(), 0, one.len()).order(&Key::new(other.as_bytes(), 0, other.len()));
            prop_assert_eq!(order, one.as_bytes().cmp(other.as_bytes()));
        }

        #[test]
        fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = View::parse(&bytes);
            if bytes.len() >= HEAD_BYTES {
                bytes[..4].copy_from_slice(&MAGIC);
                bytes[4..8].copy_from_slice(&[1, 0, 0, 0]);
                if let Ok(view) = View::parse(&bytes) {
                    let _ = view.entries().collect::<Result<Vec<_>>>();
                    let _ = view.find(Space::Data, "x");
                }
            }
        }
    }
}
