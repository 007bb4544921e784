"use strict";

// Session: one request's view of a visitor's data, over the functions of the native half.
//
// Adds that an array or an object that was handed out may be changed in place: at the commit it is written again and compared with
// what the engine knows. Waits for locks without holding up the event loop. Knows no framework.

const { inspect } = require("node:util");
const { HoldallError } = require("./errors.js");
const native = require("./native.js");
const { hasGreatInteger, isContainer, refused, written } = require("./value.js");

// A key as the engine takes it. A string with half of a pair has no UTF-8, and two such keys would become one.
function text(key) {
  if (typeof key !== "string") {
    throw new HoldallError("invalid_value", `a session's keys are strings, not ${key === null ? "null" : typeof key}`);
  }
  if (!key.isWellFormed()) throw new HoldallError("invalid_value", "a key has a lone surrogate, which is no character");
  return key;
}

// What a session has when its own handle was released.
const CLOSED = native.closedSession();
// Most sessions hand out no container.
const NOTHING = new Map();

// How the adapters commit before they know whether they have to wait, whether the application has given a session up, how they let
// go of one that nobody else can reach, and what they wait for before; filled in by Session below.
let commitAtOnce;
let isClosed;
let release;
let underWay;

class Session {
  #native;
  // Of the manager: { lines, leavesThread, spares, putAside }.
  #shared;
  // What names the session, for those who wait for its lock.
  #named;
  #said;
  #opened;
  // Arrays and objects of the data that the caller has in its hands, by key. Those of flash are copies: they are on their way out,
  // and a key may be in both.
  #handed = NOTHING;
  #ended = false;
  #destroyed = false;
  #closed = false;
  // The commits and destroys that have not answered: how many, and a promise of the last one's end.
  #underWay = 0;
  #settled;
  #committed;

  static {
    commitAtOnce = (session, ageFlash) => session.#commitAtOnce(ageFlash);
    isClosed = (session) => session.#closed;
    release = (session) => session.#release();
    underWay = (session) => session.#settled;
  }

  // For the manager.
  constructor(handle, shared, named, said, opened) {
    this.#native = handle;
    this.#shared = shared;
    this.#named = named;
    this.#said = said;
    this.#opened = opened;
  }

  // Reading.

  get(key, fallback) {
    const held = this.#handed.get(text(key));
    if (held !== undefined) return held;
    const json = native.getJson(this.#native, key);
    if (json === null) return fallback;
    const value = JSON.parse(json);
    if (isContainer(json) && native.isData(this.#native, key)) this.#hold(key, value);
    return value;
  }

  getJson(key) {
    this.#settle(text(key));
    return native.getJson(this.#native, key) ?? undefined;
  }

  dataJson(key) {
    this.#settle(text(key));
    return native.dataJson(this.#native, key) ?? undefined;
  }

  has(key) {
    return native.has(this.#native, text(key));
  }

  exists(key) {
    return native.exists(this.#native, text(key));
  }

  missing(key) {
    return !this.exists(key);
  }

  all() {
    return this.#object(this.allJson());
  }

  allJson() {
    this.#settleAll();
    return native.allJson(this.#native);
  }

  only(...keys) {
    this.#settleAll();
    return this.#object(native.onlyJson(this.#native, keys.map(text)));
  }

  except(...keys) {
    this.#settleAll();
    return this.#object(native.exceptJson(this.#native, keys.map(text)));
  }

  old(field, fallback) {
    const json = native.oldJson(this.#native, text(field));
    return json === null ? fallback : JSON.parse(json);
  }

  get previousUrl() {
    return native.previousUrl(this.#native) ?? undefined;
  }

  // Writing.

  set(key, value) {
    const json = written(text(key), value);
    native.setJson(this.#native, key, json);
    this.#handOut(key, value, json);
  }

  setJson(key, json) {
    native.setJson(this.#native, text(key), json);
    this.#handed.delete(key);
  }

  replaceJson(key, json) {
    native.replaceJson(this.#native, text(key), json);
    this.#handed.delete(key);
  }

  checkJson(key, json) {
    native.checkJson(this.#native, text(key), json);
  }

  delete(...keys) {
    native.deleteKeys(this.#native, keys.map(text));
    for (const key of keys) this.#handed.delete(key);
  }

  pull(key, fallback) {
    this.#settle(text(key));
    const json = native.pullJson(this.#native, key);
    const held = this.#handed.get(key);
    this.#handed.delete(key);
    return json === null ? fallback : (held ?? JSON.parse(json));
  }

  increment(key, n = 1) {
    return native.increment(this.#native, text(key), integer(n));
  }

  decrement(key, n = 1) {
    return native.increment(this.#native, text(key), -integer(n));
  }

  push(key, value) {
    const json = written(text(key), value);
    this.#settle(key);
    native.pushJson(this.#native, key, json);
    // The array in the caller's hands goes on to be the session's.
    this.#handed.get(key)?.push(value);
  }

  remember(key, make) {
    const value = this.get(key);
    if (value !== undefined) {
      // Refused where a change would be, as in every language.
      native.checkJson(this.#native, key, "null");
      return value;
    }
    // It may look at this very session.
    const made = make();
    return typeof made?.then === "function" ? made.then((value) => this.#remembered(key, value)) : this.#remembered(key, made);
  }

  #remembered(key, value) {
    const json = written(key, value);
    native.rememberJson(this.#native, key, json);
    this.#handOut(key, value, json);
    return value;
  }

  flush() {
    native.flush(this.#native);
    this.#handed.clear();
  }

  reset({ flashOnly = false } = {}) {
    native.reset(this.#native, flashOnly);
    if (!flashOnly) this.#handed.clear();
  }

  setPreviousUrl(url) {
    native.setPreviousUrl(this.#native, text(url));
  }

  // Flash.

  flash(key, value) {
    const json = written(text(key), value);
    native.flashJson(this.#native, key, json);
  }

  flashNow(key, value) {
    const json = written(text(key), value);
    native.flashNowJson(this.#native, key, json);
  }

  keep(...keys) {
    native.keep(this.#native, keys.map(text));
  }

  reflash() {
    native.reflash(this.#native);
  }

  flashInput(form) {
    const json = written("_old_input", form);
    native.flashInput(this.#native, json);
  }

  // Identity and time.

  get id() {
    return native.id(this.#native) ?? undefined;
  }

  get isNew() {
    return native.isNew(this.#native);
  }

  regenerate() {
    native.regenerate(this.#native);
  }

  invalidate() {
    native.invalidate(this.#native);
    this.#handed.clear();
  }

  async destroy(options) {
    return this.#waitedFor(this.#destroy(options));
  }

  async #destroy({ nowMs } = {}) {
    await this.#unlocked(
      () => native.destroy(this.#native, nowMs),
      () => native.destroyInThread(this.#native, nowMs),
    );
    this.#handed.clear();
    this.#ended = true;
    this.#destroyed = true;
  }

  get isDestroyed() {
    return this.#destroyed;
  }

  touch() {
    native.touch(this.#native);
  }

  setIdleTimeout(seconds) {
    native.setIdleTimeout(this.#native, seconds);
  }

  setAbsoluteTimeout(seconds) {
    native.setAbsoluteTimeout(this.#native, seconds);
  }

  setPersistent(persistent) {
    native.setPersistent(this.#native, persistent);
  }

  // CSRF.

  csrfToken() {
    return native.csrfToken(this.#native);
  }

  csrfMatches(candidate) {
    // What a form sends may be missing, or a list.
    return typeof candidate === "string" && native.csrfMatches(this.#native, candidate);
  }

  regenerateCsrfToken() {
    native.regenerateCsrfToken(this.#native);
  }

  // The end.

  async commit(options) {
    return this.#waitedFor(this.#commit(options));
  }

  async #commit({ ageFlash, nowMs } = {}) {
    this.#settleAll();
    const lines = await this.#unlocked(
      () => native.commit(this.#native, ageFlash, nowMs),
      () => native.commitInThread(this.#native, ageFlash, nowMs),
    );
    return this.#answered(lines);
  }

  get committed() {
    return this.#committed;
  }

  close() {
    native.close(this.#native);
    this.#ended = true;
    this.#closed = true;
    this.#handed.clear();
  }

  // Closes, and leaves the handle to another session. False, and nothing has happened, where a commit or a destroy is under way or
  // waits for a lock: that is not given up, and lets go itself.
  #release() {
    // Once: CLOSED is everybody's, and no session may ever be opened in it.
    if (this.#native === CLOSED) return true;
    if (this.#underWay > 0) return false;
    const handle = this.#native;
    const isFree = native.release(handle);
    this.#native = CLOSED;
    this.#ended = true;
    this.#handed.clear();
    if (isFree) this.#shared.putAside(handle);
    return true;
  }

  // The commit, if it need not leave this thread and nobody has the lock; else undefined, and nothing has happened.
  #commitAtOnce(ageFlash) {
    if (this.#shared.leavesThread || this.#mustWait) return undefined;
    this.#settleAll();
    try {
      return this.#answered(native.commit(this.#native, ageFlash, undefined));
    } catch (error) {
      if (error.locked) return undefined;
      throw error;
    }
  }

  // Somebody stands in line for this session. Who has the lock does not stand behind those who wait for it.
  get #mustWait() {
    return this.#opened.mode !== "exclusive" && this.#shared.lines.any && this.#shared.lines.has(this.#place);
  }

  get #place() {
    return `${this.#named} ${this.#said}`;
  }

  // Does I/O, here or in a thread, as soon as nobody else has the lock.
  async #unlocked(here, inThread) {
    const attempt = this.#shared.leavesThread ? inThread : here;
    if (!this.#mustWait) {
      try {
        return await attempt();
      } catch (error) {
        if (!error.locked || this.#opened.mode === "exclusive") throw error;
      }
    }
    return this.#shared.lines.unlocked(this.#place, this.#opened.lockTimeoutMs, attempt);
  }

  // A call that nobody may have awaited, and that the end of the response has to wait for. Its caller has a promise of its own, whose
  // rejection is unhandled where nobody handles it.
  #waitedFor(call) {
    const before = this.#settled;
    const over = () => {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#settled = undefined;
      return before;
    };
    this.#underWay += 1;
    this.#settled = call.then(over, over);
    return call;
  }

  #answered(lines) {
    const commit = new Commit(lines.split("\n"));
    const saysNothing = commit.outcome === "unchanged" && commit.headers.length === 0;
    // One that was never looked at is still open.
    this.#ended = !saysNothing || native.isEnded(this.#native);
    // Once more after the end, it has nothing to say, and takes nothing back.
    if (this.#committed === undefined || !saysNothing) this.#committed = commit;
    return commit;
  }

  // Containers.

  #handOut(key, value, json) {
    if (isContainer(json)) this.#hold(key, value);
    else this.#handed.delete(key);
  }

  #hold(key, value) {
    if (this.#handed === NOTHING) this.#handed = new Map();
    this.#handed.set(key, value);
  }

  // The object of a JSON text of several keys, with the very arrays and objects that `get` gives, or a change to one of two copies
  // would be lost.
  #object(json) {
    const object = JSON.parse(json);
    for (const key of Object.keys(object)) {
      const value = object[key];
      if (typeof value !== "object" || value === null) continue;
      const held = this.#handed.get(key);
      // Also of `__proto__`, which JSON.parse has made a property like all others.
      if (held !== undefined) object[key] = held;
      else if (native.isData(this.#native, key)) this.#hold(key, value);
    }
    return object;
  }

  // Tells the engine if the container under this key was changed in place.
  #settle(key) {
    const value = this.#handed.get(key);
    if (value === undefined || this.#ended) return;
    const json = written(key, value);
    const before = native.differsFrom(this.#native, key, json);
    // Another language may have written the same value with other white space.
    if (before === null || JSON.stringify(JSON.parse(before)) === json) return;
    if (hasGreatInteger(before)) {
      throw refused(key, "it was changed in place, and has an integer beyond 2^53 that would be rounded: use setJson");
    }
    native.replaceJson(this.#native, key, json);
  }

  #settleAll() {
    for (const key of this.#handed.keys()) this.#settle(key);
  }

  [inspect.custom]() {
    // Neither values nor the id, which opens the session; and printing it must not load it.
    return `Session { ${this.#ended ? "ended" : "open"} }`;
  }
}

function integer(n) {
  if (Number.isSafeInteger(n)) return n;
  throw new HoldallError("invalid_argument", `an integer from -(2^53 - 1) to 2^53 - 1 can be added, not ${String(n)}`);
}

// What a commit answered.
class Commit {
  // The outcome, the conflicts, and the name and the value of each header, as the native half writes them.
  constructor(lines) {
    this.outcome = lines[0];
    this.conflicts = lines[1] === "" ? [] : JSON.parse(lines[1]);
    this.headers = [];
    for (let at = 2; at < lines.length; at += 2) this.headers.push([lines[at], lines[at + 1]]);
  }

  [inspect.custom]() {
    // No header: one of them carries the token.
    return `Commit { ${this.outcome}, ${this.headers.length} headers, ${this.conflicts.length} conflicts }`;
  }
}

module.exports = { Commit, Session, commitAtOnce, isClosed, release, underWay };
