"use strict";

// Express, Connect and plain node:http: a session in `req.session`.
//
// Commits when the headers are about to leave: at the first `writeHead`, `write`, `end` or `flushHeaders`. Where the commit has to leave
// the thread or wait for a lock, what the application writes meanwhile is kept back until it is done.

const onHeaders = require("on-headers");
const { current } = require("./context.js");
const { Exchange, managerOf, modeOf, putHeaders } = require("./exchange.js");

const WRITERS = ["writeHead", "write", "end", "flushHeaders"];

function sessionMiddleware(config, { property = "session", mode, flash, saveOnError = false } = {}) {
  const manager = managerOf(config);
  const attach = attaching();
  return function holdallSession(req, res, next) {
    // Mounted twice: the first one does it.
    if (req[property] !== undefined) return next();
    const exchange = new Exchange(manager, req.headers.cookie, { mode: modeOf(mode, req), flash, secure: isSecure(req) });
    // Entered and not only run in: what a body parser calls later belongs to the request, and not to this call.
    current.enterWith(exchange);
    const go = () => {
      exchange.showIn(req, property);
      attach(req, res, exchange, saveOnError, next);
      next();
    };
    let opening;
    try {
      opening = exchange.open();
    } catch (error) {
      return next(error);
    }
    return opening === undefined ? go() : opening.then(go, next);
  };
}

// What makes a response end an exchange when its head is about to leave.
//
// The functions that stand in for the response's own are the same for all of them: made for each one, they live through V8's first
// collections and cost as much as all the rest (33 us a request instead of 18).
function attaching() {
  const ours = Symbol("holdall");
  const writers = WRITERS.map((name) => [
    name,
    function (...given) {
      return this[ours].write(name, given);
    },
  ]);
  // The visitor has gone, or the response has: a session that nobody ended is not saved, and its lock is free.
  function closed() {
    this[ours].exchange.giveUp();
  }
  return (req, res, exchange, saveOnError, next) => {
    res.on("close", closed);
    res[ours] = new Response(req, res, exchange, saveOnError, next);
    for (const [name, writer] of writers) res[name] = writer;
  };
}

// As the application knows it: Express, with its `trust proxy`, or the socket.
function isSecure(req) {
  return req.secure ?? req.socket.encrypted === true;
}

// A response whose headers wait for the commit.
class Response {
  // What was called while the commit was under way.
  #calls = [];
  #state = "open";
  #headers = [];
  #own;

  constructor(req, res, exchange, saveOnError, next) {
    Object.assign(this, { req, res, exchange, saveOnError, next });
    // Beneath the rest, where the head that was written has become headers of the response.
    onHeaders(res, () => this.#put());
    const { writeHead, write, end, flushHeaders } = res;
    this.#own = { writeHead, write, end, flushHeaders };
  }

  write(name, given) {
    const { res } = this;
    if (this.#state === "open") this.#begin(name === "writeHead" ? given[0] : res.statusCode);
    if (this.#state === "waiting") {
      this.#calls.push([name, given]);
      return name === "write" ? false : res;
    }
    // The error was answered, and the application goes on with what it had to say.
    if (this.#state === "failed" && res.writableEnded) return name === "write" ? true : res;
    // For servers that do not write their head through `writeHead`.
    if (name !== "writeHead" && !res.headersSent) this.#put();
    return this.#own[name].apply(res, given);
  }

  #begin(status) {
    const { exchange, req, saveOnError } = this;
    let ending;
    try {
      ending = exchange.end(req, status, saveOnError);
    } catch (error) {
      this.#state = "waiting";
      // Not from within the application's own call, which did nothing wrong.
      process.nextTick(() => this.#fail(error));
      return;
    }
    if (!(ending instanceof Promise)) {
      this.#state = "ended";
      this.#headers = ending;
      return;
    }
    this.#state = "waiting";
    ending.then(
      (headers) => this.#resume(headers),
      (error) => this.#fail(error),
    );
  }

  #resume(headers) {
    const { res } = this;
    this.#state = "ended";
    this.#headers = headers;
    let wasFull = false;
    for (const [name, given] of this.#calls) {
      wasFull = name === "write" || wasFull;
      // From here on inwards: who wraps these wraps ours, and has had its turn.
      this.write(name, given);
    }
    if (wasFull && !res.writableEnded && !res.writableNeedDrain) res.emit("drain");
  }

  // What the application wrote is dropped: it was made from a session that is not stored.
  #fail(error) {
    const { res } = this;
    this.#state = "failed";
    this.#calls = [];
    for (const name of res.getHeaderNames()) {
      if (/^(content-|etag$|last-modified$)/.test(name)) res.removeHeader(name);
    }
    res.statusCode = 500;
    this.next(error);
  }

  // Once, when the headers leave.
  #put() {
    const { res } = this;
    const headers = this.#headers;
    this.#headers = [];
    putHeaders(headers, {
      get: (name) => res.getHeader(name),
      set: (name, value) => res.setHeader(name, value),
      add: (name, value) => res.appendHeader(name, value),
    });
  }
}

module.exports = { attaching, sessionMiddleware };
