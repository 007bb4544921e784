"use strict";

// Northle: its service `Session`, with the data kept by the engine.
//
// Northle has one service for all requests, which it tells of each; here each request finds its own session in it. Its hooks come after the
// response has left, so that the commit is bound to the response itself.

const { current } = require("./context.js");
const { HoldallError } = require("./errors.js");
const { Exchange, managerOf } = require("./exchange.js");
const { attaching } = require("./http.js");

// Northle's own book-keeping of each request: what it counts there, nobody reads in the next one.
const OF_THE_REQUEST = /^_requestId$|^_lastMinuteRequests:/;
const PREVIOUS = "_previousLocation";

function sessionService(service, config, { flash = "on_read", saveOnError = false } = {}) {
  const manager = managerOf(config);
  const { attach } = attaching();
  // Those that are read before the first request, as by a test.
  const exchange = () => {
    const found = current.getStore();
    if (found instanceof NorthleExchange) return found;
    throw new HoldallError("misuse", "there is no session here: this is called in a request");
  };

  const methods = {
    $setRequest(request) {
      const options = { flash, secure: request.protocol === "https" };
      // Entered and not only run in: the hooks and the handler that follow belong to the request.
      current.enterWith(new NorthleExchange(manager, request, options));
      return service;
    },

    $setResponse(reply) {
      const failed = (error) => {
        reply.log.error(error);
        reply.raw.end();
      };
      attach(reply.request.raw, reply.raw, exchange(), saveOnError, failed);
      return service;
    },

    async $setup() {
      await exchange().open();
      return service;
    },

    // The response has left, and its session with it.
    async $saveSessionData() {},

    all: () => exchange().data,
    get: (key, fallback = null) => exchange().data[key] ?? fallback,
    has: (key) => Object.hasOwn(exchange().data, key),

    set(key, value) {
      const { data, isOver } = exchange();
      // Northle sets this one when the response has left; it was kept before.
      if (!(isOver && key === PREVIOUS)) data[key] = value;
    },

    delete(key) {
      delete exchange().data[key];
    },

    increment: (key, by = 1, start = undefined) => exchange().add(key, by, start, "increment"),
    decrement: (key, by = 1, start = undefined) => exchange().add(key, -by, start, "decrement"),

    flash(key, value) {
      const { session } = exchange();
      if (value === undefined) return session.get(`_flash:${key}`, null);
      session.flash(`_flash:${key}`, value);
      return value;
    },

    destroy: () => exchange().destroy(),
  };
  const properties = {
    data: { get: () => exchange().data },
    flashed: { get: () => exchange().flashed },
  };
  for (const [name, value] of Object.entries(methods)) properties[name] = { value };
  return Object.defineProperties(service, properties);
}

class NorthleExchange extends Exchange {
  #request;
  // What is of this request alone.
  #counted = new Map();
  data = new Proxy({}, this.#properties());

  constructor(manager, request, options) {
    super(manager, request.headers.cookie, options);
    this.#request = request;
  }

  get flashed() {
    const all = this.session.isDestroyed ? {} : this.session.all();
    return Object.fromEntries(
      Object.entries(all).filter(([key]) => key.startsWith("_flash:") && this.session.dataJson(key) === undefined),
    );
  }

  add(key, by, start, verb) {
    const value = this.data[key] ?? start;
    if (typeof value !== "number") throw new Error(`Cannot ${verb} session value '${key}' as it is not a number`);
    const isCounted = Number.isSafeInteger(value) && Number.isSafeInteger(by) && !OF_THE_REQUEST.test(key);
    if (!isCounted) this.data[key] = value + by;
    // Parallel requests all count. What was missing begins at `start`, for whoever comes first.
    else if (this.data[key] === undefined) this.session.increment(key, value + by);
    else this.session.increment(key, by);
    return this.data[key];
  }

  endNow(request, status, saveOnError) {
    // As Northle: of what is no form and no file.
    if (request.method === "GET" && !this.session.isDestroyed) this.session.set(PREVIOUS, this.#request.url);
    return super.endNow(request, status, saveOnError);
  }

  // The session's data as the properties of an object: live, and without flash.
  #properties() {
    const own = (key) => this.#counted.has(key) || (!this.session.isDestroyed && this.session.dataJson(key) !== undefined);
    const keys = () =>
      Object.keys(this.session.isDestroyed ? {} : this.session.all()).filter((key) => key !== "__proto__" && own(key));
    return {
      get: (_, key) => (typeof key !== "string" || !own(key) ? undefined : (this.#counted.get(key) ?? this.session.get(key))),
      has: (_, key) => typeof key === "string" && own(key),
      set: (_, key, value) => {
        if (key === "__proto__") throw new HoldallError("invalid_argument", "__proto__ is no name for a property");
        if (OF_THE_REQUEST.test(key)) this.#counted.set(key, value);
        else if (value === undefined) this.session.delete(key);
        else this.session.set(key, value);
        return true;
      },
      deleteProperty: (_, key) => {
        this.#counted.delete(key);
        this.session.delete(key);
        return true;
      },
      ownKeys: () => keys(),
      getOwnPropertyDescriptor: (_, key) => {
        if (typeof key !== "string" || key === "__proto__" || !own(key)) return undefined;
        return { value: this.data[key], writable: true, enumerable: true, configurable: true };
      },
    };
  }
}

module.exports = { sessionService };
