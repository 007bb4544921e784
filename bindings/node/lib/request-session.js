"use strict";

// RequestSession: what `request.session` is. Its properties are the session's data, and its methods are those that people know from
// express-session. The engine's own session is `request.session.holdall`.

const { inspect } = require("node:util");
const { answered } = require("./callback.js");
const { HoldallError } = require("./errors.js");

// No name, or it could not be one of the data.
const CHANGING = Symbol("changing");

class RequestSession {
  #exchange;

  constructor(exchange) {
    this.#exchange = exchange;
  }

  static of(exchange) {
    return new Proxy(new RequestSession(exchange), properties);
  }

  get holdall() {
    return this.#exchange.session;
  }

  // The engine's session, where it may still be changed.
  get [CHANGING]() {
    return this.#exchange.changing;
  }

  get id() {
    return this.holdall.id;
  }

  get cookie() {
    return new Cookie(this.#exchange);
  }

  // A new id and no data, as in express-session. For a new id with the same data: `holdall.regenerate()`.
  regenerate(callback) {
    return answered((async () => this[CHANGING].invalidate())(), callback);
  }

  // Destroys the record; the response removes the cookie. `request.session` is gone at once.
  destroy(callback) {
    return answered(this.#exchange.destroy(), callback);
  }

  // Saves now, and goes on with what is stored.
  save(callback) {
    return answered(this.#exchange.save(), callback);
  }

  // Drops what this request did, and goes on with what is stored.
  reload(callback) {
    return answered(this.#exchange.reload(), callback);
  }

  touch() {
    this[CHANGING].touch();
    return this;
  }

  resetMaxAge() {
    return this.touch();
  }

  toJSON() {
    return data(this.holdall);
  }
}

const OWN = new Set(Object.getOwnPropertyNames(RequestSession.prototype).filter((name) => name !== "constructor"));

// All there is, without what would become the prototype of a copy.
function data(session) {
  const all = session.all();
  Reflect.deleteProperty(all, "__proto__");
  return all;
}

function refuseOwn(key) {
  if (OWN.has(key)) {
    throw new HoldallError("invalid_argument", `${key} is a part of the session itself; keep data under another name`);
  }
  if (key === "__proto__") {
    throw new HoldallError("invalid_argument", "__proto__ is no name for a property; session.holdall takes it as a key");
  }
}

// Properties with the name of a symbol are of this request and are not stored.
const properties = {
  get(target, key) {
    if (typeof key === "symbol") return key === inspect.custom ? () => "RequestSession {}" : Reflect.get(target, key);
    if (OWN.has(key)) {
      const own = Reflect.get(target, key);
      return typeof own === "function" ? own.bind(target) : own;
    }
    const value = key === "__proto__" ? undefined : target.holdall.get(key);
    return value === undefined ? Reflect.get(target, key) : value;
  },

  set(target, key, value) {
    if (typeof key === "symbol") return Reflect.set(target, key, value);
    refuseOwn(key);
    if (value === undefined) target[CHANGING].delete(key);
    else target[CHANGING].set(key, value);
    return true;
  },

  has(target, key) {
    return Reflect.has(target, key) || (typeof key === "string" && target.holdall.exists(key));
  },

  deleteProperty(target, key) {
    if (typeof key === "symbol") return Reflect.deleteProperty(target, key);
    refuseOwn(key);
    target[CHANGING].delete(key);
    return true;
  },

  ownKeys(target) {
    return [...Object.keys(data(target.holdall)), ...Reflect.ownKeys(target)];
  },

  getOwnPropertyDescriptor(target, key) {
    if (typeof key === "symbol") return Reflect.getOwnPropertyDescriptor(target, key);
    if (OWN.has(key) || key === "__proto__") return undefined;
    const value = target.holdall.get(key);
    return value === undefined ? undefined : { value, writable: true, enumerable: true, configurable: true };
  },

  defineProperty(target, key, descriptor) {
    if (typeof key === "symbol") return Reflect.defineProperty(target, key, descriptor);
    return "value" in descriptor && properties.set(target, key, descriptor.value);
  },

  setPrototypeOf() {
    return false;
  },

  preventExtensions() {
    return false;
  },
};

// The cookie of the session, as express-session shows it: what is set here is how long the session and its cookie last.
class Cookie {
  #exchange;

  constructor(exchange) {
    this.#exchange = exchange;
    const { cookie } = exchange.manager.config();
    const { path, domain, secure, http_only: httpOnly, same_site: sameSite, partitioned } = cookie;
    Object.assign(this, { path, domain, secure, httpOnly, sameSite, partitioned });
  }

  // In milliseconds, or null for a cookie that lasts as long as the browser. As set in this request, else as configured.
  get maxAge() {
    const config = this.#exchange.manager.config();
    const { maxAge } = this.#exchange;
    if (maxAge !== undefined) return maxAge;
    return config.cookie.persistent ? config.idle_timeout_s * 1000 : null;
  }

  set maxAge(milliseconds) {
    const { changing: session } = this.#exchange;
    const lasts = milliseconds !== null && milliseconds !== undefined && milliseconds !== false;
    if (lasts) session.setIdleTimeout(Math.max(1, Math.round(Number(milliseconds) / 1000)));
    session.setPersistent(lasts);
    this.#exchange.maxAge = lasts ? Number(milliseconds) : null;
  }

  get originalMaxAge() {
    return this.maxAge;
  }

  get expires() {
    return this.maxAge === null ? null : new Date(Date.now() + this.maxAge);
  }

  set expires(date) {
    this.maxAge = date ? date.getTime() - Date.now() : null;
  }
}

module.exports = { RequestSession };
