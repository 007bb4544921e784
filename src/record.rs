//! Record format v1: the one codec, the same bytes in every driver.
//!
//! A fixed little-endian head, a table of entries, then keys and values. Reading is bounded by the number of entries and
//! never by the bytes of the values; a value is a slice of the loaded buffer. No checksum: integrity is the driver's
//! (slot checksum, AEAD tag). Drawn byte by byte in docs/format.md, held by golden files in tests/golden.

use crate::error::{Error, Result};
use crate::id::CsrfSecret;

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

/// Writes a record at the end of `out`. The entries come sorted by space and key, each pair once.
pub(crate) fn write(out: &mut Vec<u8>, head: &Head, entries: &[Entry<'_>]) -> Result<()> {
    debug_assert!(entries.windows(2).all(|pair| (pair[0].space, pair[0].key) < (pair[1].space, pair[1].key)));
    let heap: usize = entries.iter().map(|entry| entry.key.len() + entry.value.len()).sum();
    let (Ok(count), Ok(heap_bytes)) = (u32::try_from(entries.len()), u32::try_from(heap)) else {
        return Err(Error::too_large("a record in bytes", u32::MAX as usize, heap));
    };
    let flags: u16 = match head.persistence {
        Persistence::Configured => 0,
        Persistence::Persistent => 1,
        Persistence::Browser => 2,
    };
    out.reserve(HEAD_BYTES + entries.len() * ROW_BYTES + heap);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&head.revision.to_le_bytes());
    out.extend_from_slice(&head.commit);
    out.extend_from_slice(&head.created_ms.to_le_bytes());
    out.extend_from_slice(&head.idle_ms.to_le_bytes());
    out.extend_from_slice(&head.absolute_ms.to_le_bytes());
    out.extend_from_slice(&head.csrf);
    out.extend_from_slice(&head.owner);
    out.extend_from_slice(&head.epoch.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&heap_bytes.to_le_bytes());
    let mut end: u32 = 0;
    for entry in entries {
        let Ok(key_bytes) = u16::try_from(entry.key.len()) else {
            return Err(Error::too_large("a key in bytes", usize::from(u16::MAX), entry.key.len()));
        };
        // Each part is within the heap, whose size was checked above.
        end += u32::from(key_bytes) + u32::try_from(entry.value.len()).expect("within the heap");
        out.extend_from_slice(&end.to_le_bytes());
        out.extend_from_slice(&key_bytes.to_le_bytes());
        out.extend_from_slice(&[entry.space as u8, 0]);
        out.extend_from_slice(&entry.stamp.to_le_bytes());
    }
    for entry in entries {
        out.extend_from_slice(entry.key.as_bytes());
        out.extend_from_slice(entry.value.as_bytes());
    }
    Ok(())
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
        let mut start = 0;
        for index in 0..count {
            let row = view.row(index);
            if row.end < start || row.end - start < row.key_bytes || row.end > heap || row.space > Space::Engine as u8 {
                return Err(Error::corrupt("a row of a stored record points outside of it"));
            }
            start = row.end;
        }
        if start != heap {
            return Err(Error::corrupt("a stored record has bytes that belong to no entry"));
        }
        Ok(view)
    }

    /// A record that was parsed before, without doing it again.
    pub(crate) fn parsed_before(bytes: &'a [u8]) -> View<'a> {
        View { bytes, count: size(bytes, 128) }
    }

    /// The id of the commit that wrote it.
    pub(crate) fn commit(&self) -> [u8; 16] {
        field(self.bytes, 16)
    }

    pub(crate) fn head(&self) -> Head {
        let bytes = self.bytes;
        Head {
            revision: u64::from_le_bytes(field(bytes, 8)),
            commit: field(bytes, 16),
            created_ms: u64::from_le_bytes(field(bytes, 32)),
            idle_ms: u64::from_le_bytes(field(bytes, 40)),
            absolute_ms: u64::from_le_bytes(field(bytes, 48)),
            csrf: field(bytes, 56),
            owner: field(bytes, 88),
            epoch: u64::from_le_bytes(field(bytes, 120)),
            persistence: match u16::from_le_bytes(field(bytes, 6)) & COOKIE_BITS {
                1 => Persistence::Persistent,
                2 => Persistence::Browser,
                _ => Persistence::Configured,
            },
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    fn row(&self, index: usize) -> Row {
        let at = HEAD_BYTES + index * ROW_BYTES;
        Row {
            end: size(self.bytes, at),
            key_bytes: usize::from(u16::from_le_bytes(field(self.bytes, at + 4))),
            space: self.bytes[at + 6],
            stamp: u64::from_le_bytes(field(self.bytes, at + 8)),
        }
    }

    fn parts(&self, index: usize) -> (Row, &'a [u8], &'a [u8]) {
        let start = if index == 0 { 0 } else { self.row(index - 1).end };
        let row = self.row(index);
        let heap = HEAD_BYTES + self.count * ROW_BYTES;
        let (key, value) = self.bytes[heap + start..heap + row.end].split_at(row.key_bytes);
        (row, key, value)
    }

    /// The entry at a place in the table.
    pub(crate) fn entry(&self, index: usize) -> Result<Entry<'a>> {
        let (row, key, value) = self.parts(index);
        let text =
            |bytes| std::str::from_utf8(bytes).map_err(|_| Error::corrupt("an entry of a stored record is not UTF-8"));
        let space = match row.space {
            0 => Space::Data,
            1 => Space::Flash,
            _ => Space::Engine,
        };
        Ok(Entry { space, key: text(key)?, value: text(value)?, stamp: row.stamp })
    }

    /// The entry of a space and key, by bisection.
    pub(crate) fn find(&self, space: Space, key: &str) -> Result<Option<Entry<'a>>> {
        let wanted = (space as u8, key.as_bytes());
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = usize::midpoint(low, high);
            let (row, found, _) = self.parts(middle);
            match (row.space, found).cmp(&wanted) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.entry(middle).map(Some),
            }
        }
        Ok(None)
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

struct Row {
    end: usize,
    key_bytes: usize,
    space: u8,
    stamp: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry<'a>(space: Space, key: &'a str, value: &'a str, stamp: u64) -> Entry<'a> {
        Entry { space, key, value, stamp }
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
        write(&mut bytes, &head, &entries).expect("small");
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
