"use strict";

// Express, Connect and plain node:http: a session in `req.session`.
//
// Commits when the headers are about to leave: at the first `writeHead`, `write`, `end` or `flushHeaders`. Where the commit has to leave
// the thread or wait for a lock, what the application writes meanwhile is kept back until it is done.

const onHeaders = require("on-headers");
const { current } = require("./context.js");
const { Exchange, managerOf, modeOf, putHeaders } = require("./exchange.js");

const WORDS = {
  get: (res, name) => res.getHeader(name),
  set: (res, name, value) => res.setHeader(name, value),
  add: (res, name, value) => res.appendHeader(name, value),
};

function sessionMiddleware(config, { property = "session", mode, flash, saveOnError = false } = {}) {
  const manager = managerOf(config);
  const { attach, isAttached } = attaching();
  return function holdallSession(req, res, next) {
    // Mounted twice: the first one does it, also where its session was destroyed.
    if (req[property] !== undefined || isAttached(res)) return next();
    const exchange = new Exchange(manager, req.headers.cookie, { mode: modeOf(mode, req), flash, secure: isSecure(req) });
    // Entered and not only run in: what a body parser calls later belongs to the request, and not to this call.
    current.enterWith(exchange);
    const go = () => {
      // The visitor has gone while this waited for the lock, and nobody is left to answer.
      if (res.closed) return exchange.giveUp();
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

// What makes a response end an exchange when its head is about to leave. The functions that stand in for the response's own are the
// same for all responses, and each is named where it is set: V8 keeps one shape for all of them.
function attaching() {
  const ours = Symbol("holdall");
  function writeHead(...given) {
    return this[ours].called("writeHead", given);
  }
  function write(...given) {
    return this[ours].called("write", given);
  }
  function end(...given) {
    return this[ours].called("end", given);
  }
  function flushHeaders(...given) {
    return this[ours].called("flushHeaders", given);
  }
  function put() {
    this[ours].put();
  }
  function closed() {
    this[ours].exchange.leave();
  }
  const isAttached = (res) => res[ours] !== undefined;
  const attach = (req, res, exchange, saveOnError, next) => {
    // Beneath the rest, where the head that was written has become headers of the response.
    onHeaders(res, put);
    res[ours] = new Response(req, res, exchange, saveOnError, next);
    res.writeHead = writeHead;
    res.write = write;
    res.end = end;
    res.flushHeaders = flushHeaders;
    res.on("close", closed);
  };
  return { attach, isAttached };
}

// As the application knows it: Express, with its `trust proxy`, or the socket.
function isSecure(req) {
  return req.secure ?? req.socket.encrypted === true;
}

const NONE = [];
const CHANGES_HEAD = ["setHeader", "setHeaders", "appendHeader", "removeHeader"];
const SENT = { get: () => true, configurable: true };

function tooLate() {
  throw Object.assign(new Error("Cannot change headers after they are sent to the client"), { code: "ERR_HTTP_HEADERS_SENT" });
}

// A response whose headers wait for the commit.
class Response {
  #state = "open";
  #headers = NONE;
  // What was called while the commit was under way, and how much it wrote.
  #calls = [];
  #length = 0;
  // What the response had before its head was held.
  #held;

  constructor(req, res, exchange, saveOnError, next) {
    this.req = req;
    this.res = res;
    this.exchange = exchange;
    this.saveOnError = saveOnError;
    this.next = next;
    this.own = { writeHead: res.writeHead, write: res.write, end: res.end, flushHeaders: res.flushHeaders };
  }

  called(name, given) {
    const { res } = this;
    if (this.#state === "open") this.#begin(name === "writeHead" ? given[0] : res.statusCode);
    if (this.#state === "waiting") {
      // The first call has decided on the head. Who looks whether it is written there, as compression does, asks for it again.
      if (name === "writeHead" && this.#calls.length > 0) return res;
      this.#calls.push([name, given]);
      if (name !== "write") return res;
      // As Node: what is held then fills also the stream of who wraps this one, and that tells when it has drained.
      this.#length += given[0]?.length ?? 0;
      return this.#length < res.writableHighWaterMark;
    }
    // The error was answered, and the application goes on with what it had to say.
    if (this.#state === "failed" && res.writableEnded) return name === "write" ? true : res;
    // For servers that do not write their head through `writeHead`.
    if (name !== "writeHead" && !res.headersSent) this.put();
    return this.own[name].apply(res, given);
  }

  #begin(status) {
    const { exchange, req, saveOnError } = this;
    let ending;
    try {
      ending = exchange.end(req, status, saveOnError);
    } catch (error) {
      this.#hold();
      // Not from within the application's own call, which did nothing wrong.
      process.nextTick(() => this.#fail(error));
      return;
    }
    if (!(ending instanceof Promise)) {
      this.#state = "ended";
      this.#headers = ending;
      return;
    }
    this.#hold();
    ending.then(
      (headers) => this.#resume(headers),
      (error) => this.#fail(error),
    );
  }

  // The head is on its way, as far as the application can see, or what it does next would become part of this response.
  #hold() {
    const { res } = this;
    this.#state = "waiting";
    const names = CHANGES_HEAD.filter((name) => name in res);
    this.#held = {
      statusCode: res.statusCode,
      statusMessage: res.statusMessage,
      own: names.map((name) => [name, Object.getOwnPropertyDescriptor(res, name)]),
    };
    for (const name of names) Object.defineProperty(res, name, { value: tooLate, configurable: true, writable: true });
    Object.defineProperty(res, "headersSent", SENT);
  }

  #letGo(state) {
    const { res } = this;
    this.#state = state;
    const { own, statusCode, statusMessage } = this.#held;
    for (const [name, property] of own) {
      if (property === undefined) Reflect.deleteProperty(res, name);
      else Object.defineProperty(res, name, property);
    }
    Reflect.deleteProperty(res, "headersSent");
    Object.assign(res, { statusCode, statusMessage });
  }

  #resume(headers) {
    const { res } = this;
    this.#letGo("ended");
    this.#headers = headers;
    const wasFull = !(this.#length < res.writableHighWaterMark);
    // From here on inwards: who wraps these wraps ours, and has had its turn.
    for (const [name, given] of this.#calls) this.called(name, given);
    if (wasFull && !res.writableEnded && !res.writableNeedDrain) res.emit("drain");
  }

  // What the application wrote is dropped: it was made from a session that is not stored.
  #fail(error) {
    const { res } = this;
    this.#letGo("failed");
    this.#calls = [];
    for (const name of res.getHeaderNames()) {
      if (/^(content-|etag$|last-modified$)/.test(name)) res.removeHeader(name);
    }
    res.statusCode = 500;
    this.next(error);
  }

  // Once, when the headers leave.
  put() {
    const headers = this.#headers;
    this.#headers = NONE;
    putHeaders(headers, this.res, WORDS);
  }
}

module.exports = { attaching, sessionMiddleware };
