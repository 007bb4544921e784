"use strict";

// Exchange: one request and its response, as far as the session goes, for the adapters.
//
// Opens, ends once, and says which headers the response gets. Knows no framework, and sends nothing itself.

const { SessionManager, openAtOnce } = require("./manager.js");
const { RequestSession } = require("./request-session.js");
const { commitAtOnce } = require("./session.js");

// What a response says that was made from a session, and does not save it.
const LOOKED_AT = [["Vary", "Cookie"]];

class Exchange {
  // The session that the engine has opened for this request; another after `save` and `reload`.
  #session;
  // The application has asked for it. One that was only opened says nothing in the response.
  #isUsed = false;
  // What the framework's request shows as its session.
  shown;
  // The framework's request, and its property that shows it, from which it goes once it is destroyed.
  #shownIn;
  #property;
  #manager;
  #header;
  #options;
  // The Set-Cookie lines of this response, by their cookies' names.
  #lines = new Map();
  #isOver = false;

  constructor(manager, header, options) {
    this.#manager = manager;
    this.#header = header;
    this.#options = options;
    this.shown = RequestSession.of(this);
  }

  get manager() {
    return this.#manager;
  }

  // Ended or given up.
  get isOver() {
    return this.#isOver;
  }

  get session() {
    this.#isUsed = true;
    return this.#session;
  }

  // Opens the session; a promise only where that has to leave the thread or wait for a lock.
  open() {
    this.#session = openAtOnce(this.#manager, this.#header, this.#options);
    if (this.#session === undefined) return this.#reopen();
    return undefined;
  }

  // Ends the session as this response does. Gives the headers, or a promise of them where it has to leave the thread or wait for a
  // lock. Throws what the commit threw; then nothing is stored, and the response should not pretend that it is.
  end(request, status, saveOnError) {
    if (this.#isOver) return [];
    // Who asks for the lock means to use the session.
    const isUsed = this.#isUsed || this.#options.mode === "exclusive";
    if (!isUsed || (status >= 500 && !saveOnError)) {
      this.giveUp();
      return isUsed ? LOOKED_AT : [];
    }
    this.#isOver = true;
    const options = { ageFlash: agesFlash(request, status) };
    const failed = (error) => {
      this.#session.close();
      throw error;
    };
    let commit;
    try {
      commit = commitAtOnce(this.#session, options);
    } catch (error) {
      failed(error);
    }
    if (commit !== undefined) return this.#headers(commit);
    return this.#session.commit(options).then((commit) => this.#headers(commit), failed);
  }

  // Lets go of a session that is not saved, and of its lock.
  giveUp() {
    if (this.#isOver) return;
    this.#isOver = true;
    try {
      this.#session?.close();
    } catch (error) {
      // A thread is at work on it: a `save`, which gives back the lock itself.
      if (error.code !== "misuse") throw error;
    }
  }

  // Commits in the middle of a request and goes on with what is stored then.
  async save() {
    const commit = await this.session.commit({ ageFlash: false });
    this.#note(commit);
    await this.#reopen();
  }

  // Drops what this request did and goes on with what is stored.
  async reload() {
    this.session.close();
    await this.#reopen();
  }

  showIn(request, property) {
    this.#shownIn = request;
    this.#property = property;
    request[property] = this.shown;
  }

  async destroy() {
    if (this.#shownIn !== undefined) this.#shownIn[this.#property] = undefined;
    await this.session.destroy();
  }

  async #reopen() {
    this.#session = await this.#manager.open(this.#cookieHeader(), this.#options);
    if (this.#isOver) this.#session.close();
  }

  // What the browser would send next.
  #cookieHeader() {
    if (this.#lines.size === 0) return this.#header;
    const sent = (this.#header ?? "").split(";").map((pair) => pair.trim());
    const kept = sent.filter((pair) => pair !== "" && !this.#lines.has(pair.split("=")[0]));
    const set = [...this.#lines.values()].filter((line) => !line.includes("; Max-Age=0"));
    return [...kept, ...set.map((line) => line.split(";")[0])].join("; ");
  }

  #headers(commit) {
    this.#note(commit);
    const headers = commit.headers.filter(([name]) => name !== "Set-Cookie");
    if (this.#lines.size === 0) return headers;
    if (!headers.some(([name]) => name === "Cache-Control")) headers.push(["Cache-Control", "no-store"]);
    return [...[...this.#lines.values()].map((line) => ["Set-Cookie", line]), ...headers];
  }

  // Of several commits of one request the last word on a cookie counts. To a session that has moved none is sent.
  #note(commit) {
    if (commit.outcome === "moved") this.#lines.clear();
    for (const [name, line] of commit.headers) {
      if (name === "Set-Cookie") this.#lines.set(line.slice(0, line.indexOf("=")), line);
    }
  }
}

// Whether a visitor sees flash messages in this response: false where not, else undefined, as the flash policy says.
function agesFlash({ method, headers }, status) {
  const purpose = `${headers["sec-purpose"] ?? ""} ${headers.purpose ?? ""}`.toLowerCase();
  const isUnseen = method === "HEAD" || method === "OPTIONS" || (status >= 300 && status < 400) || purpose.includes("prefetch");
  return isUnseen ? false : undefined;
}

// A list in a response header with one more item, unless the list has one of these. undefined: leave it.
function listed(said, item, unless) {
  const list = Array.isArray(said) ? said.join(", ") : String(said ?? "");
  const items = list.split(",").map((one) => one.trim().toLowerCase());
  if (unless.some((word) => items.includes(word))) return undefined;
  return list.trim() === "" ? item : `${list}, ${item}`;
}

// Puts a session's headers into a response: `get` reads one that is set, `set` replaces it, `add` appends one.
function putHeaders(headers, { get, set, add }) {
  for (const [name, value] of headers) {
    if (name === "Set-Cookie") {
      add(name, value);
      continue;
    }
    // Only ever stricter: beside `max-age` a cache keeps to `no-store`; `private` already keeps shared ones out.
    const unless = name === "Vary" ? ["*", "cookie"] : ["no-store", "private"];
    const list = listed(get(name), value, unless);
    if (list !== undefined) set(name, list);
  }
}

// The manager that an adapter was given, or the configuration of one.
function managerOf(given) {
  return given instanceof SessionManager ? given : new SessionManager(given);
}

// `mode` as given: one, or a function of the request.
function modeOf(mode, request) {
  return typeof mode === "function" ? mode(request) : mode;
}

module.exports = { Exchange, managerOf, modeOf, putHeaders };
