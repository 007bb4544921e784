"use strict";

// Manager: a configuration and its drivers. Opens sessions.

const { inspect } = require("node:util");
const { HoldallError } = require("./errors.js");
const native = require("./native.js");
const { Session } = require("./session.js");
const { written } = require("./value.js");
const { Lines } = require("./waiting.js");

// What the native half has for each of these, by its place here.
const NAMED = { header: 0, token: 1, key: 2 };
const MODES = { shared: 0, exclusive: 1, readOnly: 2 };
const POLICIES = { next_request: 0, on_read: 1, explicit: 2 };

// Handles that wait for another session: as many as there are requests at once, within reason.
const MOST_SPARES = 1000;

// How the adapters open a session of a request; filled in by SessionManager below.
let openAtOnce;

class SessionManager {
  #native;
  #offThread;
  #lockTimeoutMs;
  // What a session has to know of its manager.
  #shared;

  static {
    openAtOnce = (manager, header, options, isLate = false) => manager.#openAtOnce(header, options, isLate);
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
    const driver = settings.drivers[this.driverName];
    this.#lockTimeoutMs = driver.lock_timeout_ms ?? 0;
    // A disk sync takes milliseconds; a write into the page cache less than two changes of thread. With `spill_to` it is that
    // driver's disk.
    const disk = settings.drivers[driver.spill_to] ?? driver;
    const leavesThread = this.#offThread ?? disk.durability === "commit";
    const spares = [];
    const putAside = (handle) => spares.length < MOST_SPARES && spares.push(handle);
    this.#shared = { lines: new Lines(), leavesThread, spares, putAside };
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
    return JSON.parse(await native.managerSweepInThread(this.#native, limit, nowMs));
  }

  async records({ nowMs } = {}) {
    return JSON.parse(await native.managerRecordsInThread(this.#native, nowMs));
  }

  async destroy(locator, { nowMs } = {}) {
    return native.managerDestroyInThread(this.#native, text(locator, "a locator"), nowMs);
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

  async #open(named, what, options) {
    const said = text(named === "key" ? what : (what ?? ""), NAMES[named]);
    const opened = this.#opened(options);
    // An exclusive open loads; so does any where loads are not done here.
    const here = () => this.#openHere(named, said, opened);
    const attempt = this.#offThread === true && said !== "" ? () => this.#openInThread(named, said, opened) : here;
    const waiting = () => this.#shared.lines.unlocked(`${named} ${said}`, opened.lockTimeoutMs, attempt);
    const handle = await (opened.mode === "exclusive" ? waiting() : attempt());
    return new Session(handle, this.#shared, named, said, opened);
  }

  // The session of a Cookie header, where that waits for no lock and need not leave this thread, or `isLate`; else undefined.
  #openAtOnce(header, options, isLate) {
    const opened = this.#opened(options);
    if (opened.mode === "exclusive" || (this.#offThread === true && !isLate)) return undefined;
    const said = text(header ?? "", NAMES.header);
    return new Session(this.#openHere("header", said, opened), this.#shared, "header", said, opened);
  }

  #openHere(named, said, { mode, secure, flash, nowMs }) {
    const spare = this.#shared.spares.pop();
    if (spare === undefined) return native.managerOpen(this.#native, NAMED[named], said, MODES[mode], secure, flash, nowMs);
    native.managerOpenIn(this.#native, NAMED[named], said, MODES[mode], secure, flash, nowMs, spare);
    return spare;
  }

  #openInThread(named, said, { mode, secure, flash, nowMs }) {
    return native.managerOpenInThread(this.#native, NAMED[named], said, MODES[mode], secure, flash, nowMs);
  }

  #opened({ mode = "shared", secure = false, flash, lockTimeoutMs = this.#lockTimeoutMs, nowMs } = {}) {
    if (!Object.hasOwn(MODES, mode)) throw unknown("mode", MODES, mode);
    if (flash !== undefined && !Object.hasOwn(POLICIES, flash)) throw unknown("flash", POLICIES, flash);
    if (typeof secure !== "boolean") throw new HoldallError("invalid_argument", `secure is true or false, not ${typeof secure}`);
    if (!(lockTimeoutMs >= 0)) throw new HoldallError("invalid_argument", "lockTimeoutMs is a number of milliseconds from 0 on");
    return { mode, secure, flash: POLICIES[flash], lockTimeoutMs, nowMs };
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

const NAMES = { header: "the Cookie header", token: "the token", key: "the key of a keyed session" };

function unknown(option, words, given) {
  const list = Object.keys(words).map((word) => JSON.stringify(word));
  const says = `${option} is ${list.slice(0, -1).join(", ")} or ${list.at(-1)}, not ${inspect(given)}`;
  return new HoldallError("invalid_argument", says);
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
