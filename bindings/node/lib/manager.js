"use strict";

// Manager: a configuration and its drivers. Opens sessions.

const { inspect } = require("node:util");
const { HoldallError } = require("./errors.js");
const native = require("./native.js");
const { Session } = require("./session.js");
const { written } = require("./value.js");
const { Lines } = require("./waiting.js");

// How the adapters open a session of a request; filled in by SessionManager below.
let openAtOnce;

class SessionManager {
  #native;
  #offThread;
  #driver;
  #leavesThread;
  #lines = new Lines();

  static {
    openAtOnce = (manager, header, options) => manager.#openAtOnce("header", header, options);
  }

  constructor(config, fields = {}) {
    if (config instanceof Reopened) {
      [this.#native, this.#offThread] = [config.handle, config.offThread];
    } else {
      const { document, offThread } = read(config, fields);
      this.#native = native.managerNew(document);
      this.#offThread = offThread;
    }
    const settings = this.config();
    this.#driver = settings.drivers[this.driverName];
    // A disk sync takes milliseconds; a write into the page cache less than two changes of thread. With `spill_to` it is that
    // driver's disk.
    const disk = settings.drivers[this.#driver.spill_to] ?? this.#driver;
    this.#leavesThread = this.#offThread ?? disk.durability === "commit";
  }

  async open(cookieHeader, options) {
    return this.#open("header", cookieHeader, options);
  }

  async openToken(token, options) {
    return this.#open("token", token, options);
  }

  async openKeyed(key, options) {
    return this.#open("key", key, options);
  }

  driver(name) {
    return new SessionManager(new Reopened(native.managerDriver(this.#native, text(name, "a driver's name")), this.#offThread));
  }

  async sweep(limit, { nowMs } = {}) {
    return JSON.parse(await native.managerSweep(this.#native, limit, nowMs));
  }

  async records({ nowMs } = {}) {
    return JSON.parse(await native.managerRecords(this.#native, nowMs));
  }

  async destroy(locator, { nowMs } = {}) {
    return native.managerDestroy(this.#native, text(locator, "a locator"), nowMs);
  }

  onEvent(listener) {
    if (typeof listener !== "function") throw new HoldallError("invalid_argument", "a listener is a function");
    native.managerOnEvent(this.#native, (kind, session) => {
      try {
        listener(kind, session);
      } catch (error) {
        // The request it happened in has gone on.
        process.emitWarning(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }

  get driverName() {
    return native.managerDriverName(this.#native);
  }

  get cookieName() {
    return native.managerCookieName(this.#native);
  }

  stats() {
    return JSON.parse(native.managerStats(this.#native));
  }

  config() {
    return JSON.parse(native.managerConfig(this.#native));
  }

  async #open(named, what, options = {}) {
    const opened = this.#options(options);
    const call = this.#call(named, what, opened);
    // An exclusive open loads; so does any where loads are not done here.
    const attempt =
      this.#offThread === true && call[0] !== "" ? () => native.managerOpenInThread(this.#native, named, ...call) : undefined;
    const here = attempt ?? (() => native.managerOpen(this.#native, named, ...call));
    const place = `${named} ${call[0]}`;
    let handle;
    if (opened.mode === "exclusive") handle = await this.#lines.unlocked(place, opened.lockTimeoutMs, here);
    else handle = await here();
    return new Session(handle, this.#io, place, opened);
  }

  #openAtOnce(named, what, options = {}) {
    const opened = this.#options(options);
    if (opened.mode === "exclusive" || this.#offThread === true) return undefined;
    const call = this.#call(named, what, opened);
    return new Session(native.managerOpen(this.#native, named, ...call), this.#io, `${named} ${call[0]}`, opened);
  }

  #options(options) {
    const { mode = "shared", lockTimeoutMs = this.#driver.lock_timeout_ms ?? 0 } = options;
    if (!(lockTimeoutMs >= 0)) throw new HoldallError("invalid_argument", "lockTimeoutMs is a number of milliseconds from 0 on");
    return { ...options, mode, lockTimeoutMs };
  }

  // A lock is tried once: it is the event loop that waits.
  #call(named, what, { mode, secure, flash, nowMs }) {
    const said = named === "key" ? text(what, "the key of a keyed session") : (what ?? "");
    const name = named === "header" ? "the Cookie header" : "the token";
    return [text(said, name), mode, secure, flash, 0, nowMs];
  }

  // What a session has to know of its manager.
  get #io() {
    return { lines: this.#lines, leavesThread: this.#leavesThread };
  }

  [inspect.custom]() {
    return `SessionManager { ${this.driverName} }`;
  }
}

// A driver of a manager that is there already.
class Reopened {
  constructor(handle, offThread) {
    Object.assign(this, { handle, offThread });
  }
}

function text(value, what) {
  if (typeof value !== "string") throw new HoldallError("invalid_argument", `${what} is a string, not ${typeof value}`);
  return value;
}

// The document of a configuration: a URL, JSON text or an object, with single fields over it. `offThread` is this package's own.
function read(config, fields) {
  if (config !== undefined && typeof config !== "string" && (typeof config !== "object" || config === null)) {
    throw new HoldallError("invalid_argument", `the configuration is a URL, JSON text or an object, not ${typeof config}`);
  }
  if (typeof config === "string" && Object.keys(fields).length === 0) return { document: config, offThread: undefined };
  let base = config;
  if (typeof config === "string") {
    if (config.trimStart().startsWith("{")) {
      // With its mistakes, if it has any, told by the engine.
      try {
        base = JSON.parse(config);
      } catch {
        return { document: config, offThread: undefined };
      }
    } else {
      base = { url: config };
    }
  }
  const { offThread, ...document } = { ...base, ...fields };
  if (offThread !== undefined && typeof offThread !== "boolean") {
    throw new HoldallError("invalid_config", "config field `offThread`: true, false, or left out");
  }
  return { document: written("config", document), offThread };
}

module.exports = { SessionManager, openAtOnce };
