"use strict";

// A store for express-session: its sessions, one record each, under the id that express-session has chosen.
//
// express-session hands over whole sessions. What a request changed is found by comparing with what it was given, and only that is
// replayed on the record: parallel requests keep what the others did, and a session that was destroyed is not brought back.

const { createHash } = require("node:crypto");
const { Store } = require("express-session");
const { answered } = require("./callback.js");
const { HoldallError } = require("./errors.js");
const { SessionManager } = require("./manager.js");
const { release } = require("./session.js");
const { isContainer, written } = require("./value.js");

// The ids of express-session are secrets of 192 bits, so that their hash needs none; and all processes need the same.
const KEYED_SECRET = createHash("sha256").update("holdall/express-session/v1").digest("base64url");
const DAY_S = 24 * 60 * 60;
// How long a session lasts is its cookie's to say, within this. A sweep looks no sooner at what a shorter cookie has ended, so that
// it is not simply the longest there is.
const IDLE_TIMEOUT_S = 30 * DAY_S;
// As express-session, which knows no end of a session that is in use.
const ABSOLUTE_TIMEOUT_S = 1_000_000_000;

class HoldallStore extends Store {
  #manager;
  #ttlS;
  #longestS;
  // Names the property of what express-session holds that says under which id and from which of the engine's sessions it came, what was
  // in it, and the last call for it. No WeakMap, whose entries are dear to collect: one a request took a tenth of the request.
  #given = Symbol("holdall");

  constructor(config = "memory:", { ttlS = DAY_S } = {}) {
    super();
    if (config instanceof SessionManager) {
      this.#manager = config;
    } else {
      const given = typeof config === "string" ? { url: config } : config;
      const { idle_timeout_s = IDLE_TIMEOUT_S } = given;
      const defaults = { idle_timeout_s, new_idle_timeout_s: idle_timeout_s, absolute_timeout_s: ABSOLUTE_TIMEOUT_S };
      this.#manager = new SessionManager({ ...defaults, keyed_secret: KEYED_SECRET, ...given });
    }
    const settings = this.#manager.config();
    if (settings.keyed_secret === null) {
      throw new HoldallError("invalid_config", "config field `keyed_secret`: a manager of a store needs one");
    }
    this.#longestS = settings.idle_timeout_s;
    this.#ttlS = Math.min(ttlS, this.#longestS);
  }

  get manager() {
    return this.#manager;
  }

  get(sid, callback) {
    return answered(this.#get(sid), callback);
  }

  set(sid, session, callback) {
    return answered(
      this.#inTurn(sid, session, (given) => this.#set(sid, session, given)),
      callback,
    );
  }

  touch(sid, session, callback) {
    return answered(
      this.#inTurn(sid, session, (given) => this.#touch(sid, given)),
      callback,
    );
  }

  destroy(sid, callback) {
    return answered(
      this.#manager.openKeyed(sid).then((record) => record.destroy()),
      callback,
    );
  }

  length(callback) {
    return answered(
      this.#manager.records().then((records) => records.length),
      callback,
    );
  }

  clear(callback) {
    return answered(this.#clear(), callback);
  }

  // What came from `get` goes on as a Session of express-session.
  createSession(req, data) {
    const session = super.createSession(req, data);
    if (data[this.#given] !== undefined) this.#give(session, data[this.#given]);
    return session;
  }

  // Not to be enumerated: a copy that the application makes is another object.
  #give(session, value) {
    Object.defineProperty(session, this.#given, { value, writable: true, configurable: true });
  }

  async #get(sid) {
    const record = await this.#manager.openKeyed(sid);
    if (record.isNew) return null;
    const data = JSON.parse(record.allJson());
    const before = new Map(Object.keys(data).map((key) => [key, JSON.stringify(data[key])]));
    // Of a record that somebody else has made.
    data.cookie ??= { originalMaxAge: null };
    this.#give(data, { sid, record, before });
    return data;
  }

  // One call after the other: a `save` that nobody awaited and the end of its response would share one of the engine's sessions.
  async #inTurn(sid, session, work) {
    let given = session[this.#given];
    if (given?.sid !== sid) {
      given = { sid };
      this.#give(session, given);
    }
    const done = given.last === undefined ? work(given) : given.last.then(() => work(given));
    given.last = done.catch(() => {});
    return done;
  }

  async #set(sid, session, given) {
    const { before } = given;
    const record = await this.#opened(sid, given);
    // Destroyed meanwhile.
    if (before !== undefined && record.isNew) return;
    const now = new Map();
    for (const key of Object.keys(session)) {
      if (session[key] !== undefined && typeof session[key] !== "function") now.set(key, written(key, session[key]));
    }
    for (const [key, json] of now) {
      const was = before?.get(key);
      if (was === json) continue;
      // An array with elements at its end, or an object that was changed in place.
      if (was !== undefined && key !== "cookie" && isContainer(was) && isContainer(json)) record.replaceJson(key, json);
      else record.setJson(key, json);
    }
    for (const key of before?.keys() ?? []) {
      if (!now.has(key)) record.delete(key);
    }
    if (before?.get("cookie") !== now.get("cookie")) record.setIdleTimeout(this.#secondsOf(session));
    await record.commit();
    release(record);
    given.record = undefined;
    given.before = now;
  }

  // A commit that changes nothing extends the idle timeout, when a tenth of it has passed.
  async #touch(sid, given) {
    const record = await this.#opened(sid, given);
    if (record.isNew) return;
    await record.commit();
    release(record);
    given.record = undefined;
  }

  // The engine's session that this one came from; another, once that was committed.
  async #opened(sid, given) {
    return given.record ?? this.#manager.openKeyed(sid);
  }

  #secondsOf({ cookie }) {
    const milliseconds = cookie?.originalMaxAge ?? cookie?.maxAge;
    if (typeof milliseconds !== "number") return this.#ttlS;
    const seconds = Math.max(1, Math.ceil(milliseconds / 1000));
    if (seconds > this.#longestS) {
      const says = `config field \`idle_timeout_s\`: ${this.#longestS} ends a session before its cookie, which lasts ${seconds}`;
      throw new HoldallError("invalid_config", says);
    }
    return seconds;
  }

  async #clear() {
    for (const { locator } of await this.#manager.records()) await this.#manager.destroy(locator);
  }
}

module.exports = { HoldallStore };
