//! Slots: two places in a session's file, written in turn, so that a torn write leaves the state before it.
//!
//! A slot says whose it is, how new it is and how long it lives, under a checksum of 64 bits over all of it; one over the
//! header alone tells a torn body from a lost header. Decides which slot counts and where the next one goes. Does no I/O
//! but reading through [`Source`]. Drawn in docs/format.md.

use crate::id::Locator;
use twox_hash::XxHash3_64;

/// Bytes in front of the record.
pub(super) const HEADER_BYTES: usize = 88;
/// The smallest class: see "Slot sizes" in docs/drivers.md for the figures.
pub(super) const MIN_CLASS: u64 = 1024;
/// A record this many times smaller than its class moves to a smaller one, and the file is cut.
const SHRINK: u64 = 8;
/// Files up to this size are read in one call; of larger ones first the headers, then one body.
pub(super) const READ_WHOLE_BYTES: u64 = 64 << 10;

// 0xFF occurs in no UTF-8, so that no stale user bytes can pose as a slot.
const MAGIC: [u8; 8] = [0xFF, b'H', b'D', b'S', b'L', b'O', b'T', 1];

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    Record = 0,
    /// Destroyed: whoever waits for the lock must not write here any more.
    Tombstone = 1,
    /// Moved to an id that this one does not tell.
    Marker = 2,
}

/// A slot's header, read and found whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) offset: u64,
    pub(super) class: u64,
    pub(super) length: usize,
    pub(super) sequence: u64,
    pub(super) expiry_ms: u64,
    pub(super) locator: Locator,
    pub(super) kind: Kind,
    /// The other slot was not yet written when this one was.
    alone: bool,
    body_checksum: u64,
    /// Of the header, and through it of all.
    pub(super) checksum: u64,
}

impl Slot {
    fn decode(offset: u64, header: &[u8]) -> Option<Slot> {
        if header.len() != HEADER_BYTES {
            return None;
        }
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let long = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
        if header[..8] != MAGIC || long(80) != XxHash3_64::oneshot(&header[..80]) {
            return None;
        }
        let class = u64::from(word(8));
        let length = word(12) as usize;
        let placed = class.is_power_of_two() && class >= MIN_CLASS && (offset == 0 || offset == class);
        let kind = match word(64) {
            0 => Kind::Record,
            1 => Kind::Tombstone,
            2 => Kind::Marker,
            _ => return None,
        };
        (placed && (HEADER_BYTES + length) as u64 <= class).then(|| Slot {
            offset,
            class,
            length,
            sequence: long(16),
            expiry_ms: long(24),
            locator: Locator(header[32..64].try_into().expect("32 bytes")),
            kind,
            alone: word(68) & 1 != 0,
            body_checksum: long(72),
            checksum: long(80),
        })
    }
}

/// What a new slot says beside its record.
#[derive(Clone, Copy)]
pub(super) struct Label<'l> {
    pub(super) kind: Kind,
    pub(super) locator: &'l Locator,
    pub(super) sequence: u64,
    pub(super) expiry_ms: u64,
}

/// Writes the header into the first bytes of `slot`, whose rest is the record, and gives its checksum.
pub(super) fn seal(slot: &mut [u8], place: &Place, label: &Label<'_>) -> u64 {
    let (header, body) = slot.split_at_mut(HEADER_BYTES);
    let class = u32::try_from(place.class).expect("max_record_bytes keeps classes far below 32 bits");
    let length = u32::try_from(body.len()).expect("within its class");
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&class.to_le_bytes());
    header[12..16].copy_from_slice(&length.to_le_bytes());
    header[16..24].copy_from_slice(&label.sequence.to_le_bytes());
    header[24..32].copy_from_slice(&label.expiry_ms.to_le_bytes());
    header[32..64].copy_from_slice(label.locator.as_bytes());
    header[64..68].copy_from_slice(&(label.kind as u32).to_le_bytes());
    header[68..72].copy_from_slice(&u32::from(place.alone).to_le_bytes());
    header[72..80].copy_from_slice(&XxHash3_64::oneshot(body).to_le_bytes());
    let checksum = XxHash3_64::oneshot(&header[..80]);
    header[80..88].copy_from_slice(&checksum.to_le_bytes());
    checksum
}

/// The class of a record: the smallest power of two that holds it with its header.
pub(super) fn class_of(record_bytes: usize) -> u64 {
    ((HEADER_BYTES + record_bytes) as u64).next_power_of_two().max(MIN_CLASS)
}

/// A file that is being read.
pub(super) trait Source {
    type Error;
    /// The bytes from `offset`: `length` of them, or as many as there are before the end of the file.
    fn bytes(&mut self, offset: u64, length: usize) -> Result<&[u8], Self::Error>;
    /// The header at `offset` as it is now, where `bytes` may give what was read before. Zeros where the file ends earlier.
    fn header_now(&mut self, offset: u64) -> Result<[u8; HEADER_BYTES], Self::Error>;
}

/// What a file holds for one id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    size: u64,
    /// The newest whole slot bound to this id.
    pub(super) own: Option<Slot>,
    /// The newest whole slot bound to another id, where it is newer than `own`.
    pub(super) foreign: Option<Slot>,
    /// Something newer than `own` may have been here: a slot being written now, torn, or damaged.
    pub(super) doubtful: bool,
    /// A read without the lock is no snapshot: what it found at the beginning of the file may be older than what it found
    /// behind. Where this is false it may have missed slots that came and went, and `own` be older than the read.
    pub(super) settled: bool,
    /// `own` holds a record of this size, over the limit: it is not read, and was not checked.
    pub(super) too_large: Option<usize>,
    highest_sequence: u64,
}

/// A set of places where a slot can begin: 0 and the powers of two.
#[derive(Clone, Copy)]
struct Offsets(u64);

impl Offsets {
    fn add(&mut self, offset: u64) {
        // 0 and the powers of two from MIN_CLASS on do not meet: bit 0 stands for 0.
        self.0 |= offset.max(1);
    }

    fn has(self, offset: u64) -> bool {
        self.0 & offset.max(1) != 0
    }
}

/// Where the next slot goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) class: u64,
    pub(super) alone: bool,
    /// Where stale bytes would lie in the other place: to be blanked before the slot is written.
    pub(super) blank: Option<u64>,
    /// The file's size before and after the write, where it changes.
    pub(super) grow_to: Option<u64>,
    pub(super) cut_to: Option<u64>,
}

impl Place {
    /// Of the first slot in a new file.
    pub(super) fn first(record_bytes: usize) -> Place {
        let class = class_of(record_bytes);
        Place { offset: 0, class, alone: true, blank: None, grow_to: Some(2 * class), cut_to: None }
    }
}

impl Scan {
    /// Reads what a file of `size` bytes holds for `locator`. No body longer than `max_record_bytes` is read.
    pub(super) fn read<S: Source>(
        source: &mut S,
        size: u64,
        locator: &Locator,
        max_record_bytes: usize,
    ) -> Result<Scan, S::Error> {
        let mut found = Vec::with_capacity(4);
        let (mut whole, mut blank) = (Offsets(0), Offsets(0));
        let mut highest_sequence = 0;
        for offset in std::iter::once(0).chain((0..).map(|n| MIN_CLASS << n).take_while(|class| *class < size)) {
            let header = source.bytes(offset, HEADER_BYTES)?;
            match Slot::decode(offset, header) {
                Some(slot) => {
                    highest_sequence = highest_sequence.max(slot.sequence);
                    whole.add(offset);
                    found.push(slot);
                }
                None if *header == [0; HEADER_BYTES] => blank.add(offset),
                None => {}
            }
        }

        // Newest first; a body is only read until an own slot is found whole.
        found.sort_unstable_by_key(|slot| std::cmp::Reverse(slot.sequence));
        let mut scan =
            Scan { size, own: None, foreign: None, doubtful: false, settled: false, too_large: None, highest_sequence };
        for slot in found {
            if slot.length > max_record_bytes {
                // Its header is whole. That is enough to destroy it or to see it expire; only to read it is refused.
                if slot.locator == *locator {
                    scan.own = Some(slot);
                    scan.too_large = Some(slot.length);
                    break;
                }
                scan.foreign = scan.foreign.or(Some(slot));
                continue;
            }
            let body = source.bytes(slot.offset + HEADER_BYTES as u64, slot.length)?;
            if body.len() != slot.length || XxHash3_64::oneshot(body) != slot.body_checksum {
                scan.doubtful = true;
            } else if slot.locator == *locator {
                scan.own = Some(slot);
                break;
            } else {
                scan.foreign = scan.foreign.or(Some(slot));
            }
        }

        if let Some(own) = scan.own {
            // A newer slot can only have been in the other place of this class, or in the upper one of the class that the
            // file's size tells: the size changes before a slot is written into it.
            let damaged = |offset| offset < size && !whole.has(offset) && !blank.has(offset);
            scan.doubtful |= size < 2 * own.class
                || !size.is_power_of_two()
                || damaged(own.other())
                || (size / 2 > own.class && damaged(size / 2))
                || (blank.has(own.other()) && !own.alone);
            // While a file holds two slots of one class they are written in turn, so that whoever finds one whole, and the other whole
            // or behind it, has found one that was current during the read. It is the changes of class that a read can be
            // overtaken by: a file that another request cut and made grow again is blank where the newest slot was. So the file
            // must be as long as this class makes it, which it is but for moments and after kills.
            scan.settled = size == 2 * own.class;
            // A slot that was alone when it was read, before another request cut the file and made it grow to the same size,
            // would seem to be alone still. The cut comes after a slot was written over it.
            if scan.settled && own.alone && blank.has(own.other()) {
                let now = Slot::decode(own.offset, &source.header_now(own.offset)?);
                scan.settled = now.is_some_and(|now| now.checksum == own.checksum);
            }
        }
        Ok(scan)
    }

    /// Where a slot of this size goes: never over the newest own one. `own` must be there.
    pub(super) fn place(&self, own: &Slot, record_bytes: usize) -> Place {
        let needed = class_of(record_bytes);
        if needed > own.class {
            let grow_to = (self.size < 2 * needed).then_some(2 * needed);
            return Place { offset: needed, class: needed, alone: false, blank: None, grow_to, cut_to: None };
        }
        let other = own.other();
        if other == 0 && needed.saturating_mul(SHRINK) <= own.class {
            let (blank, cut_to) = (Some(needed), Some(2 * needed));
            return Place { offset: 0, class: needed, alone: true, blank, grow_to: None, cut_to };
        }
        // A file that was cut short by somebody else gets its size back, one that a killed writer left too long is cut.
        let size = 2 * own.class;
        let grow_to = (self.size < size).then_some(size);
        let cut_to = (other == 0 && self.size > size).then_some(size);
        Place { offset: other, class: own.class, alone: false, blank: None, grow_to, cut_to }
    }

    /// The label of the next slot: newer than all there is, and than what may have been lost.
    pub(super) fn label<'l>(&self, kind: Kind, locator: &'l Locator, expiry_ms: u64) -> Label<'l> {
        let sequence = self.highest_sequence.wrapping_add(if self.doubtful { 2 } else { 1 });
        Label { kind, locator, sequence, expiry_ms }
    }
}

impl Slot {
    fn other(&self) -> u64 {
        if self.offset == 0 { self.class } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    const ME: Locator = Locator([1; 32]);
    const OTHER: Locator = Locator([2; 32]);
    const MAX: usize = 1 << 20;

    impl Source for Vec<u8> {
        type Error = Infallible;
        fn bytes(&mut self, offset: u64, length: usize) -> Result<&[u8], Infallible> {
            let from = usize::try_from(offset).expect("small").min(self.len());
            Ok(&self[from..(from + length).min(self.len())])
        }

        fn header_now(&mut self, offset: u64) -> Result<[u8; HEADER_BYTES], Infallible> {
            Ok(self.bytes(offset, HEADER_BYTES)?.try_into().expect("a whole header"))
        }
    }

    /// A file as it was read, and as it is by now.
    struct Overtaken(Vec<u8>, Vec<u8>);

    impl Source for Overtaken {
        type Error = Infallible;
        fn bytes(&mut self, offset: u64, length: usize) -> Result<&[u8], Infallible> {
            self.0.bytes(offset, length)
        }

        fn header_now(&mut self, offset: u64) -> Result<[u8; HEADER_BYTES], Infallible> {
            self.1.header_now(offset)
        }
    }

    #[test]
    fn a_slot_that_was_alone_before_the_file_was_cut_and_grew_again_settles_nothing() {
        let large = vec![1; 7000];
        let mut file = Vec::new();
        write(&mut file, &ME, &large, None);
        let alone = file.clone();
        write(&mut file, &ME, &large, None);
        write(&mut file, &ME, &[2; 10], None);
        assert!(file.len() < alone.len(), "it was cut");
        // The lower half was read before all this, the upper one when the file had grown again and was not yet written.
        file.resize(alone.len(), 0);
        let size = alone.len() as u64;

        let quiet = Scan::read(&mut Overtaken(alone.clone(), alone.clone()), size, &ME, MAX).expect("infallible");
        assert!(quiet.settled && quiet.own.is_some());
        let overtaken = Scan::read(&mut Overtaken(alone, file), size, &ME, MAX).expect("infallible");
        assert!(!overtaken.settled);
    }

    #[test]
    fn two_slots_that_were_read_before_the_file_was_cut_and_grew_again_settle_nothing() {
        let (small, large) = (vec![1; 1500], vec![2; 7000]);
        let mut file = Vec::new();
        for body in [&small, &small, &large] {
            write(&mut file, &ME, body, None);
        }
        let before = file.clone();
        assert_eq!(scan(&mut file, &ME).own.map(|own| own.length), Some(large.len()));
        write(&mut file, &ME, &[3; 10], None);
        assert!(file.len() < 4096, "it was cut");
        // The first page was read before all this, the rest when the file had grown again and was not yet written: what is
        // newest there was not the newest any more when the read began.
        let mut overtaken = before[..4096].to_vec();
        overtaken.resize(before.len(), 0);
        let seen = scan(&mut overtaken, &ME);
        assert_eq!(seen.own.map(|own| own.length), Some(small.len()));
        assert!(!seen.doubtful && !seen.settled);
        // Cut, and not yet grown again: the file that was read is as long as it was when the read began.
        let size = before.len() as u64;
        let cut = Scan::read(&mut before[..4096].to_vec(), size, &ME, MAX).expect("infallible");
        assert_eq!(cut.own.map(|own| own.length), Some(small.len()));
        assert!(!cut.settled);
    }

    fn scan(file: &mut Vec<u8>, locator: &Locator) -> Scan {
        let size = file.len() as u64;
        Scan::read(file, size, locator, MAX).expect("infallible")
    }

    fn resize(file: &mut Vec<u8>, size: Option<u64>) {
        if let Some(size) = size {
            file.resize(usize::try_from(size).expect("small"), 0);
        }
    }

    /// Writes as the driver does; `torn` bytes of the slot arrive, and what follows the write only if all did.
    fn write(file: &mut Vec<u8>, locator: &Locator, body: &[u8], torn: Option<usize>) -> Place {
        let before = scan(file, locator);
        let place = before.own.map_or_else(|| Place::first(body.len()), |own| before.place(&own, body.len()));
        let mut slot = vec![0; HEADER_BYTES];
        slot.extend_from_slice(body);
        seal(&mut slot, &place, &before.label(Kind::Record, locator, 9));
        slot.truncate(torn.unwrap_or(slot.len()));
        resize(file, place.grow_to);
        if let Some(blank) = place.blank {
            let at = usize::try_from(blank).expect("small");
            file[at..at + HEADER_BYTES].fill(0);
        }
        let at = usize::try_from(place.offset).expect("small");
        file[at..at + slot.len()].copy_from_slice(&slot);
        if torn.is_none() {
            resize(file, place.cut_to);
        }
        place
    }

    fn body(file: &mut Vec<u8>, locator: &Locator) -> Option<Vec<u8>> {
        let own = scan(file, locator).own?;
        Some(file.bytes(own.offset + HEADER_BYTES as u64, own.length).expect("infallible").to_vec())
    }

    #[test]
    fn slots_alternate_grow_and_shrink_without_touching_the_current_one() {
        let mut file = Vec::new();
        let mut sizes = vec![10, 20, 30, 5000, 5001, 20, 21, 22, 100_000, 100_001, 3, 4, 900_000, 1, 2];
        sizes.extend([700, 800, 900, 1000, 1100]);
        for (index, size) in sizes.into_iter().enumerate() {
            let new = vec![u8::try_from(index).expect("small"); size];
            let before = scan(&mut file, &ME).own;

            let place = write(&mut file, &ME, &new, None);

            if let Some(before) = before {
                let end = place.offset + (HEADER_BYTES + size) as u64;
                let before_end = before.offset + (HEADER_BYTES + before.length) as u64;
                assert!(end <= before.offset || place.offset >= before_end, "{place:?} over {before:?}");
            }
            assert!(body(&mut file, &ME) == Some(new), "write {index}");
            let seen = scan(&mut file, &ME);
            assert!(!seen.doubtful && seen.settled, "after write {index}");
        }
    }

    proptest! {
        #[test]
        fn a_torn_write_leaves_the_state_before_it(sizes in proptest::collection::vec(0usize..9000, 1..12), cut in 0usize..9088) {
            let mut file = Vec::new();
            let mut last = None;
            for size in &sizes {
                let new = vec![7; *size];
                write(&mut file, &ME, &new, None);
                last = Some(new);
            }
            let new = vec![8; sizes[0]];
            let mut complete = file.clone();
            let place = write(&mut complete, &ME, &new, None);
            // The last byte at least is missing.
            write(&mut file, &ME, &new, Some(cut.min(HEADER_BYTES + new.len() - 1)));
            let at = usize::try_from(place.offset).expect("small");
            let slot = at..at + HEADER_BYTES + new.len();
            // What lay there before may be the very bytes that are missing: then nothing is torn.
            if file[slot.clone()] != complete[slot] {
                prop_assert!(body(&mut file, &ME) == last, "not the state before");
            }
            write(&mut file, &ME, &new, None);
            prop_assert!(body(&mut file, &ME) == Some(new), "not the state after");
            prop_assert!(!scan(&mut file, &ME).doubtful);
        }

        #[test]
        fn random_bytes_are_no_slot(file in proptest::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert!(scan(&mut file.clone(), &ME).own.is_none());
        }
    }

    #[test]
    fn a_slot_of_another_id_never_reads() {
        let mut file = Vec::new();
        write(&mut file, &OTHER, b"secret", None);
        let seen = scan(&mut file, &ME);
        assert!(seen.own.is_none());
        assert_eq!(seen.foreign.map(|slot| slot.locator), Some(OTHER));
    }

    #[test]
    fn every_loss_of_the_newest_state_is_doubtful_and_no_flip_reads_wrong() {
        let mut file = Vec::new();
        for new in [b"one".as_slice(), b"two", b"three"] {
            write(&mut file, &ME, new, None);
        }
        for length in 0..file.len() {
            let mut cut = file[..length].to_vec();
            let (seen, read) = (scan(&mut cut, &ME), body(&mut cut, &ME));
            assert!(read.is_none() || seen.doubtful, "prefix {length}");
        }
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let seen = scan(&mut flipped, &ME);
            match body(&mut flipped, &ME).as_deref() {
                Some(b"three") => {}
                Some(b"two") => assert!(seen.doubtful, "bit {bit}"),
                other => panic!("bit {bit} gave {other:?}"),
            }
        }
    }
}
