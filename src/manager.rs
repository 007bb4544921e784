//! Manager: a configuration and its drivers. Opens sessions.
//!
//! Cheap to clone, safe to share between threads and to make before a fork. Does no I/O of its own but the sweep that
//! ordinary traffic pays for, a bounded step at a time. Knows nothing of what is in a session.

use crate::config::{AtRestPolicy, Config};
use crate::driver::{AT_REST_BYTES, AtRest, Capabilities, Driver, InBrowser, Limits, RecordInfo, Sealed, Swept};
use crate::error::{Error, Result};
use crate::event::{Event, EventKind, Events};
use crate::flash::FlashPolicy;
use crate::fork::{STRIPES, Stripe};
use crate::headers::Cookie;
use crate::id::Locator;
use crate::keys::{self, Key};
use crate::seal::Seal;
use crate::session::{Outcome, Session};
use crate::time;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// How many entries one step of the sweep looks at, and so the most that one request pays for.
pub(crate) const SWEEP_STEP: usize = 64;
/// What each new record adds to the sweep: with four entries looked at for one made, a pass is over before a store grows
/// by a quarter.
const SWEEP_PER_CREATE: u64 = 4;
/// A step is also due when this long has passed, so that a store that no longer grows is swept too.
const SWEEP_EVERY_MS: u64 = 1000;

type Listener = Box<dyn Fn(&Event) + Send + Sync>;

/// A configuration and its drivers.
///
/// Clones share everything. Any thread may use it at any time, and so may a process forked after it was made.
#[derive(Clone)]
pub struct Manager {
    shared: Arc<Shared>,
    driver: usize,
}

// Apart from the count of its owners, which every session writes to.
#[repr(align(128))]
pub(crate) struct Shared {
    pub(crate) config: Config,
    drivers: Vec<Named>,
    listener: OnceLock<Listener>,
    events: Stripe<[AtomicU64; EventKind::ALL.len()]>,
    outcomes: [Stripe<[AtomicU64; Outcome::ALL.len()]>; STRIPES],
}

/// One driver of a manager, under its name.
pub(crate) struct Named {
    name: String,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) cookie: Cookie,
    pub(crate) client_side: bool,
    sweep_owed: AtomicU64,
    swept_at_ms: AtomicU64,
}

/// Who may do what with a session that is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Reads and writes; waits for nobody.
    #[default]
    Shared,
    /// Others wait for this session's commit, or are told `unavailable`. For what must not run twice at once; the record is
    /// loaded when it is opened. Where there is no record yet, nothing is locked.
    Exclusive,
    /// Never writes: every change is `misuse`, no touch, no aging.
    ReadOnly,
}

/// How to open a session. `OpenOptions::new()` is what [`Manager::open`] uses.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct OpenOptions {
    pub(crate) mode: Mode,
    pub(crate) now_ms: Option<u64>,
    pub(crate) lock_timeout_ms: Option<u64>,
    pub(crate) request_is_secure: bool,
    pub(crate) flash: Option<FlashPolicy>,
}

impl OpenOptions {
    /// Shared, by the system clock, on a request that did not come over https.
    pub fn new() -> OpenOptions {
        OpenOptions::default()
    }

    /// Sets the mode.
    pub fn mode(mut self, mode: Mode) -> OpenOptions {
        self.mode = mode;
        self
    }

    /// Sets the time, in milliseconds since the Unix epoch, instead of asking the system's clock.
    pub fn at(mut self, now_ms: u64) -> OpenOptions {
        self.now_ms = Some(now_ms);
        self
    }

    /// How long an exclusive open waits for another, and this session's commit or destroy for whoever has it locked, in
    /// milliseconds, up to an hour; 0 tries once. Else as the driver is configured. What waited in vain is
    /// [`locked`](Error::is_locked), and may be repeated: so an event loop tries, and waits in its own way between tries.
    pub fn lock_timeout_ms(mut self, timeout_ms: u64) -> OpenOptions {
        self.lock_timeout_ms = Some(timeout_ms);
        self
    }

    /// Whether the request came over https, as the adapter knows it. Only counts where `cookie.secure` is `"auto"`.
    pub fn request_is_secure(mut self, secure: bool) -> OpenOptions {
        self.request_is_secure = secure;
        self
    }

    /// Overrides the configured flash policy, for adapters of frameworks that have another.
    pub fn flash(mut self, policy: FlashPolicy) -> OpenOptions {
        self.flash = Some(policy);
        self
    }
}

impl Manager {
    /// Reads a configuration (a JSON document, or a URL such as `memory:` or `file:///var/lib/app/sessions`) and opens
    /// its drivers. The fields are in docs/config.md.
    ///
    /// # Errors
    /// `invalid_config`, naming the field; `unavailable` where a driver cannot be opened.
    pub fn new(config: &str) -> Result<Manager> {
        Manager::with_drivers(config, |_, driver| driver)
    }

    /// Like [`Manager::new`], with drivers of your own in the place of those it opens: `wrap` is given the name and the driver,
    /// opened, and may wrap it (to count, to log, to test failures) or put it aside. A driver that takes what does not fit a
    /// cookie is wrapped before that of the cookie.
    ///
    /// # Errors
    /// As [`Manager::new`].
    pub fn with_drivers(
        config: &str,
        mut wrap: impl FnMut(&str, Arc<dyn Driver>) -> Arc<dyn Driver>,
    ) -> Result<Manager> {
        let config = Config::read(config)?;
        let drivers = open_drivers(&config, config.drivers.keys(), &mut wrap)?;
        Ok(Manager::assemble(config, drivers))
    }

    /// [`with_drivers`](Manager::with_drivers) of the default driver alone: no other opens sessions.
    ///
    /// # Errors
    /// As [`Manager::new`].
    pub fn with_driver(config: &str, wrap: impl FnOnce(Arc<dyn Driver>) -> Arc<dyn Driver>) -> Result<Manager> {
        let config = Config::read(config)?;
        let name = config.default.clone();
        let driver = open_drivers(&config, std::iter::once(&name), &mut |_, driver| driver)?.remove(&name);
        Ok(Manager::assemble(config, [(name, wrap(driver.expect("opened by its name")))]))
    }

    fn assemble(config: Config, drivers: impl IntoIterator<Item = (String, Arc<dyn Driver>)>) -> Manager {
        let drivers: Vec<Named> = drivers
            .into_iter()
            .map(|(name, driver)| Named {
                cookie: config.cookie_of(&name),
                client_side: driver.capabilities().client_side,
                name,
                driver,
                sweep_owed: AtomicU64::new(0),
                swept_at_ms: AtomicU64::new(0),
            })
            .collect();
        let driver = drivers.iter().position(|named| named.name == config.default).expect("checked by Config::read");
        let shared = Shared {
            config,
            drivers,
            listener: OnceLock::new(),
            events: Stripe::default(),
            outcomes: Default::default(),
        };
        Manager { shared: Arc::new(shared), driver }
    }

    /// The same manager with another of its drivers as the one that opens sessions. Its cookie is called like the default
    /// driver's, with `-` and the driver's name behind it.
    ///
    /// # Errors
    /// `invalid_argument` where the configuration names no such driver.
    pub fn driver(&self, name: &str) -> Result<Manager> {
        let found = self.shared.drivers.iter().position(|named| named.name == name);
        match found {
            Some(driver) => Ok(Manager { shared: self.shared.clone(), driver }),
            None => Err(Error::argument(format!("the configuration has no driver {name:?}"))),
        }
    }

    /// The name of the driver that opens sessions here, as configured.
    pub fn driver_name(&self) -> &str {
        &self.named().name
    }

    /// The name of the cookie that sessions opened here have.
    pub fn cookie_name(&self) -> &str {
        &self.named().cookie.name
    }

    /// What the driver that opens sessions here can and cannot do.
    pub fn capabilities(&self) -> Capabilities {
        self.named().driver.capabilities()
    }

    /// Opens the session that a request's `Cookie` header names: the whole header, empty where there was none. Several
    /// header lines are joined with `; ` (RFC 9113, section 8.2.3). Reads nothing yet.
    ///
    /// # Errors
    /// None from the header: what is unknown, malformed, expired or tampered with is absent, and the first write makes a
    /// fresh session with a new id.
    pub fn open(&self, cookie_header: &str) -> Result<Session> {
        self.open_with(cookie_header.as_bytes(), OpenOptions::new())
    }

    /// [`open`](Manager::open) by options, from a header's bytes as they came.
    ///
    /// # Errors
    /// `unavailable` where an exclusive open waited in vain; `unsupported` for one on the cookie driver.
    pub fn open_with(&self, cookie_header: &[u8], options: OpenOptions) -> Result<Session> {
        Session::open_header(self.clone(), cookie_header, options)
    }

    /// Opens the session of a token: the cookie's value, or what an API client sends elsewhere. An empty token is none.
    ///
    /// # Errors
    /// As [`open`](Manager::open).
    pub fn open_token(&self, token: &str) -> Result<Session> {
        self.open_token_with(token.as_bytes(), OpenOptions::new())
    }

    /// [`open_token`](Manager::open_token) by options.
    ///
    /// # Errors
    /// As [`open_with`](Manager::open_with).
    pub fn open_token_with(&self, token: &[u8], options: OpenOptions) -> Result<Session> {
        Session::open_token(self.clone(), token, options)
    }

    /// Opens the session that belongs to an application key, for callers that have no cookie: an API token, an IP address.
    /// Think twice about addresses: many people share one, and `X-Forwarded-For` is whatever the client wrote unless your
    /// own proxy set it.
    ///
    /// # Errors
    /// `unsupported` unless `keyed_secret` is configured, and on the cookie driver; `invalid_argument` for an empty key.
    pub fn open_keyed(&self, key: &str) -> Result<Session> {
        self.open_keyed_with(key.as_bytes(), OpenOptions::new())
    }

    /// [`open_keyed`](Manager::open_keyed) by options.
    ///
    /// # Errors
    /// As [`open_keyed`](Manager::open_keyed), and `unavailable` where an exclusive open waited in vain.
    pub fn open_keyed_with(&self, key: &[u8], options: OpenOptions) -> Result<Session> {
        let Some(secret) = &self.shared.config.keyed_secret else {
            return Err(Error::unsupported("keyed sessions are off: configure `keyed_secret`"));
        };
        if self.named().client_side {
            return Err(Error::unsupported("the cookie driver has no keyed sessions: its records are in the browsers"));
        }
        if key.is_empty() {
            return Err(Error::argument("the key of a keyed session is empty"));
        }
        Session::open_locator(self.clone(), Locator::keyed(&secret.0, key), options)
    }

    /// Has events told to `listener`, on the thread of whichever call caused them, after all locks are released. It must
    /// not call back into the session the event comes from. Once a manager; clones and drivers share it.
    ///
    /// # Errors
    /// `misuse` the second time.
    pub fn on_event(&self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Result<()> {
        self.shared
            .listener
            .set(Box::new(listener))
            .map_err(|_| Error::misuse("this manager has a listener for events already"))
    }

    /// Counters since the manager was made, and sizes of its drivers, as a JSON document. Counters are of this process.
    pub fn stats(&self) -> String {
        let shared = &self.shared;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let events: serde_json::Map<String, serde_json::Value> = EventKind::ALL
            .iter()
            .map(|kind| (kind.name().into(), count(&shared.events.0[*kind as usize]).into()))
            .collect();
        let outcomes: serde_json::Map<String, serde_json::Value> = Outcome::ALL
            .iter()
            .map(|outcome| {
                let counted: u64 = shared.outcomes.iter().map(|stripe| count(&stripe.0[*outcome as usize])).sum();
                (outcome.name().into(), counted.into())
            })
            .collect();
        let drivers: serde_json::Map<String, serde_json::Value> = shared
            .drivers
            .iter()
            .map(|named| {
                let (stats, can) = (named.driver.stats(), named.driver.capabilities());
                (
                    named.name.clone(),
                    serde_json::json!({ "records": stats.records, "bytes": stats.bytes, "capabilities": can }),
                )
            })
            .collect();
        serde_json::json!({ "commits": outcomes, "events": events, "drivers": drivers }).to_string()
    }

    /// The configuration in force as a JSON document, every default filled in. Secrets are left out.
    pub fn config(&self) -> String {
        serde_json::to_string(&self.shared.config).expect("a plain structure")
    }

    /// Removes expired records, looking at no more than `limit` entries of the driver. Ordinary traffic does this too,
    /// 64 entries at a time; call it from a timer or a cron job to have expired data gone sooner. In memory a record may
    /// outlast its end by a 512th of the idle timeout, and at least a second, before a sweep sees it; it is never read then.
    ///
    /// # Errors
    /// `unavailable`.
    pub fn sweep(&self, limit: usize) -> Result<Swept> {
        self.sweep_at(limit, time::now_ms())
    }

    /// [`sweep`](Manager::sweep) at a time of your own, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// `unavailable`.
    pub fn sweep_at(&self, limit: usize, now_ms: u64) -> Result<Swept> {
        let mut events = Events::default();
        let swept = self.named().driver.sweep(now_ms, limit, &mut events);
        self.deliver(&mut events);
        swept
    }

    /// Shows every record that lives, until `visit` answers false. It looks at all there is: for tools, not for requests.
    ///
    /// # Errors
    /// `unavailable`.
    pub fn iterate(&self, visit: impl FnMut(RecordInfo) -> bool) -> Result<()> {
        self.iterate_at(time::now_ms(), visit)
    }

    /// [`iterate`](Manager::iterate) at a time of your own, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// `unavailable`.
    pub fn iterate_at(&self, now_ms: u64, mut visit: impl FnMut(RecordInfo) -> bool) -> Result<()> {
        self.named().driver.iterate(now_ms, &mut visit)
    }

    /// Destroys a record by its locator, as [`iterate`](Manager::iterate) shows it. False where there is none.
    ///
    /// # Errors
    /// `unavailable`.
    pub fn destroy(&self, locator: &Locator) -> Result<bool> {
        self.destroy_at(locator, time::now_ms())
    }

    /// [`destroy`](Manager::destroy) at a time of your own, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// `unavailable`.
    pub fn destroy_at(&self, locator: &Locator, now_ms: u64) -> Result<bool> {
        let mut events = Events::default();
        let destroyed = self.named().driver.delete(locator, now_ms, &mut events);
        self.deliver(&mut events);
        destroyed
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn named(&self) -> &Named {
        &self.shared.drivers[self.driver]
    }

    /// The driver that waits for locks as long as an open says, if it says so.
    pub(crate) fn waiting(&self, options: &OpenOptions) -> Option<Arc<dyn Driver>> {
        options.lock_timeout_ms.and_then(|timeout_ms| self.named().driver.waiting(timeout_ms))
    }

    /// Counts a commit; `near` is a number by which sessions differ.
    pub(crate) fn count_outcome(&self, outcome: Outcome, near: u8) {
        self.shared.outcomes[usize::from(near) % STRIPES].0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts events and tells them. No lock of the engine is held here.
    pub(crate) fn deliver(&self, events: &mut Events) {
        if events.is_empty() {
            return;
        }
        for event in events.take() {
            self.shared.events.0[event.kind() as usize].fetch_add(1, Ordering::Relaxed);
            if let Some(listener) = self.shared.listener.get() {
                listener(&event);
            }
        }
    }

    /// The sweep that ordinary traffic pays for: one step of [`SWEEP_STEP`] entries when enough records were made or enough
    /// time has passed, and none otherwise. A failure is an event; the request it happened in has been answered.
    pub(crate) fn sweep_a_step(&self, created: bool, now_ms: u64, events: &mut Events) {
        let named = self.named();
        let step = SWEEP_STEP as u64;
        let owed = if created {
            named.sweep_owed.fetch_add(SWEEP_PER_CREATE, Ordering::Relaxed) + SWEEP_PER_CREATE
        } else {
            0
        };
        let last = named.swept_at_ms.load(Ordering::Relaxed);
        // A clock that was set back counts as time passed: the difference wraps to something large.
        let due = owed >= step || now_ms.wrapping_sub(last) >= SWEEP_EVERY_MS;
        if !due || named.swept_at_ms.compare_exchange(last, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let _ =
            named.sweep_owed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |owed| Some(owed.saturating_sub(step)));
        if named.driver.sweep(now_ms, SWEEP_STEP, events).is_err() {
            events.note_nameless(EventKind::Unavailable);
        }
    }
}

/// Gives a driver, by its name, another in its place.
type Wrap<'a> = dyn FnMut(&str, Arc<dyn Driver>) -> Arc<dyn Driver> + 'a;

/// Opens drivers by their names, each once: one that takes what spills from cookies also opens sessions of its own.
fn open_drivers<'a>(
    config: &'a Config,
    names: impl Iterator<Item = &'a String>,
    wrap: &mut Wrap<'_>,
) -> Result<BTreeMap<String, Arc<dyn Driver>>> {
    let keys = keys::ring(&config.keys)?;
    let mut opened: BTreeMap<String, Arc<dyn Driver>> = BTreeMap::new();
    for name in names {
        let spill_to = config.drivers[name].cookie().and_then(|cookie| cookie.spill_to());
        for name in spill_to.into_iter().chain([&**name]) {
            if !opened.contains_key(name) {
                let spill = spill_to.and_then(|spill| opened.get(spill).cloned());
                opened.insert(name.to_owned(), wrap(name, open_driver(config, &keys, name, spill)?));
            }
        }
    }
    Ok(opened)
}

fn open_driver(config: &Config, keys: &[Key], name: &str, spill: Option<Arc<dyn Driver>>) -> Result<Arc<dyn Driver>> {
    let options = &config.drivers[name];
    let cookie = config.cookie_of(name);
    let in_browser = options.cookie().map(|_| InBrowser {
        seal: Seal::new(keys, "holdall/cookie/v1", &[&config.application, &cookie.name]),
        room: cookie.least_room(),
        room_in_parts: cookie.least_room_in_parts(),
        spill,
    });
    let is_sealed = config.at_rest != AtRestPolicy::Plain && in_browser.is_none();
    let limits = Limits {
        max_record_bytes: config.max_record_bytes + if is_sealed { AT_REST_BYTES } else { 0 },
        shortest_life_ms: config.idle_timeout_s.min(config.new_idle_timeout_s).min(config.absolute_timeout_s) * 1000,
        idle_ms: config.idle_timeout_s * 1000,
        in_browser,
    };
    let driver = options.open(limits).map_err(|error| match error.message().strip_prefix("config field `") {
        // Said by the driver, which does not know its name in the configuration.
        Some(rest) => {
            let message = format!("config field `drivers.{name}.{rest}");
            error.with_message(message)
        }
        None => error,
    })?;
    if !is_sealed {
        return Ok(driver);
    }
    let seal = Seal::new(keys, "holdall/at-rest/v1", &[&config.application]);
    let only = config.at_rest == AtRestPolicy::SealedOnly;
    Ok(Arc::new(AtRest::new(driver, Arc::new(Sealed { seal, only }))))
}

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Manager({})", self.named().name)
    }
}
