//! Encryption at rest: any driver, with its records sealed.
//!
//! Promises that what a driver gives back was sealed for this very locator and has not passed the expiry inside the seal, whatever
//! was done to the place it lay in; an older state of the same record, put back whole, is the one thing a seal cannot tell. Knows
//! no driver but by its contract, and nothing of what is in a record but whether it is sealed.

use super::{Capabilities, Driver, DriverStats, Edit, Loaded, RecordInfo, Records, Swept, Updated, Verdict};
use crate::error::{Error, Result};
use crate::event::{EventKind, Events};
use crate::id::Locator;
use crate::seal::{self, Opened, Seal};
use std::ops::{Deref, Range};
use std::sync::Arc;

/// 0xFF, "HDE": no record begins like this, and no text.
const MAGIC: [u8; 4] = [0xff, b'H', b'D', b'E'];
const VERSION: u8 = 1;
const SEALED: usize = MAGIC.len() + 1;
const EXPIRY: usize = SEALED + seal::HEAD_BYTES;
const BODY: usize = EXPIRY + 8;
/// How much longer a record is when it is sealed.
pub(crate) const OVERHEAD_BYTES: usize = BODY + seal::OVERHEAD_BYTES - seal::HEAD_BYTES;

/// How records are sealed, and whether one that is not may be read.
pub(crate) struct Sealed {
    pub(crate) seal: Seal,
    /// A record that is not sealed is refused. Else it is read, and sealed at the next commit.
    pub(crate) only: bool,
}

/// Records or a driver, behind a seal.
pub(crate) struct AtRest<R> {
    inner: R,
    sealed: Arc<Sealed>,
}

/// What was stored, opened.
struct Plain<'a> {
    bytes: std::borrow::Cow<'a, [u8]>,
    record: Range<usize>,
    /// None where it was not sealed.
    expiry_ms: Option<u64>,
    is_stale: bool,
}

impl Sealed {
    fn open<'a>(&self, locator: &Locator, stored: &'a [u8]) -> Result<Plain<'a>> {
        if !stored.starts_with(&MAGIC) {
            if self.only {
                return Err(Error::corrupt("a record is not sealed, and `at_rest` is \"sealed_only\""));
            }
            return Ok(Plain { record: 0..stored.len(), bytes: stored.into(), expiry_ms: None, is_stale: true });
        }
        match stored.get(MAGIC.len()) {
            Some(&VERSION) | None => {}
            Some(version) => {
                return Err(Error::unsupported(format!(
                    "a record is sealed in version {version}, this reads {VERSION}"
                )));
            }
        }
        let mut bytes = stored.to_vec();
        let sealed = bytes.get_mut(SEALED..).and_then(|sealed| self.seal.open(locator.as_bytes(), sealed));
        let Some(Opened { range, is_stale }) = sealed.filter(|opened| opened.range.len() >= BODY - EXPIRY) else {
            return Err(Error::corrupt("a sealed record does not open: it was altered, or its key is not in `keys`"));
        };
        let expiry_ms = u64::from_le_bytes(bytes[EXPIRY..BODY].try_into().expect("8 bytes"));
        Ok(Plain { record: BODY..SEALED + range.end, bytes: bytes.into(), expiry_ms: Some(expiry_ms), is_stale })
    }

    /// Appends the room that [`finish`](Sealed::finish) fills; the record goes behind it.
    fn begin(out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.push(VERSION);
        out.resize(out.len() + BODY - SEALED, 0);
    }

    fn finish(&self, locator: &Locator, expiry_ms: u64, out: &mut Vec<u8>, start: usize) -> Result<()> {
        out[start + EXPIRY..start + BODY].copy_from_slice(&expiry_ms.to_le_bytes());
        self.seal.seal(locator.as_bytes(), out, start + SEALED)
    }
}

impl<R> AtRest<R>
where
    R: Deref + Send,
    R::Target: Records,
{
    pub(crate) fn new(inner: R, sealed: Arc<Sealed>) -> AtRest<R> {
        AtRest { inner, sealed }
    }

    /// Runs an update of the inner records, with an edit that sees through the seal.
    fn edited(
        &self,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        update: impl FnOnce(&R::Target, &mut Edit<'_>) -> Result<Updated>,
    ) -> Result<Updated> {
        let mut has_ended = false;
        let mut sealing = |stored: &[u8], new: &mut Vec<u8>| {
            let plain = self.sealed.open(locator, stored)?;
            has_ended = plain.expiry_ms.is_some_and(|expiry_ms| expiry_ms <= now_ms);
            if let (true, Some(expiry_ms)) = (has_ended, plain.expiry_ms) {
                // Somebody has set the driver's own expiry later. Set right, it is as dead to the driver as it is here.
                new.extend_from_slice(stored);
                return Ok(Verdict::Write { expiry_ms });
            }
            let start = new.len();
            Sealed::begin(new);
            let verdict = edit(&plain.bytes[plain.record], new)?;
            if let Verdict::Write { expiry_ms } = verdict {
                self.sealed.finish(to.unwrap_or(locator), expiry_ms, new, start)?;
            }
            Ok(verdict)
        };
        let updated = update(&self.inner, &mut sealing)?;
        Ok(if has_ended { Updated::Gone } else { updated })
    }
}

impl<R> Records for AtRest<R>
where
    R: Deref + Send,
    R::Target: Records,
{
    fn load(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<Option<Loaded>> {
        let Some(inner) = self.inner.load(locator, now_ms, events)? else { return Ok(None) };
        let Plain { bytes, record, expiry_ms, is_stale } = self.sealed.open(locator, inner.bytes())?;
        // The driver's own expiry lies outside of the seal, for its sweep. Whoever set it later has set nothing.
        let expiry_ms = expiry_ms.map_or(inner.expiry_ms, |sealed| sealed.min(inner.expiry_ms));
        if expiry_ms <= now_ms {
            events.note(EventKind::Expired, locator);
            return Ok(None);
        }
        let loaded = Loaded::new(bytes.into_owned(), record, expiry_ms).stale(is_stale);
        Ok(Some(loaded.keeping(Box::new(inner))))
    }

    fn update(
        &self,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        self.edited(locator, to, now_ms, edit, |inner, edit| inner.update(locator, to, now_ms, edit, events))
    }

    fn update_loaded(
        &self,
        loaded: &Loaded,
        locator: &Locator,
        to: Option<&Locator>,
        now_ms: u64,
        edit: &mut Edit<'_>,
        events: &mut Events,
    ) -> Result<Updated> {
        self.edited(locator, to, now_ms, edit, |inner, edit| match loaded.kept::<Loaded>() {
            Some(kept) => inner.update_loaded(kept, locator, to, now_ms, edit, events),
            None => inner.update(locator, to, now_ms, edit, events),
        })
    }

    fn delete(&self, locator: &Locator, now_ms: u64, events: &mut Events) -> Result<bool> {
        self.inner.delete(locator, now_ms, events)
    }
}

impl Driver for AtRest<Arc<dyn Driver>> {
    fn capabilities(&self) -> Capabilities {
        let inner = self.inner.capabilities();
        Capabilities { max_bytes: inner.max_bytes.saturating_sub(OVERHEAD_BYTES), ..inner }
    }

    fn create(
        &self,
        locator: &Locator,
        bytes: &[u8],
        now_ms: u64,
        expiry_ms: u64,
        events: &mut Events,
    ) -> Result<bool> {
        let mut sealed = Vec::with_capacity(bytes.len() + OVERHEAD_BYTES);
        Sealed::begin(&mut sealed);
        sealed.extend_from_slice(bytes);
        self.sealed.finish(locator, expiry_ms, &mut sealed, 0)?;
        self.inner.create(locator, &sealed, now_ms, expiry_ms, events)
    }

    fn lock(&self, locator: &Locator, now_ms: u64, timeout_ms: Option<u64>) -> Result<Option<Box<dyn Records>>> {
        let locked = self.inner.lock(locator, now_ms, timeout_ms)?;
        Ok(locked.map(|records| Box::new(AtRest::new(records, self.sealed.clone())) as Box<dyn Records>))
    }

    fn waiting(&self, timeout_ms: u64) -> Option<Arc<dyn Driver>> {
        let inner = self.inner.waiting(timeout_ms)?;
        Some(Arc::new(AtRest::new(inner, self.sealed.clone())))
    }

    fn sweep(&self, now_ms: u64, limit: usize, events: &mut Events) -> Result<Swept> {
        self.inner.sweep(now_ms, limit, events)
    }

    fn iterate(&self, now_ms: u64, visit: &mut dyn FnMut(RecordInfo) -> bool) -> Result<()> {
        self.inner.iterate(now_ms, visit)
    }

    fn stats(&self) -> DriverStats {
        self.inner.stats()
    }
}
