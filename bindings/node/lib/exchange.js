"use strict";

// Exchange: one request and its response, as far as the session goes, for the adapters.
//
// Opens, ends once, and says which headers the response gets. Knows no framework, and sends nothing itself.

const { HoldallError } = require("./errors.js");
const { SessionManager, openAtOnce } = require("./manager.js");
const { RequestSession } = require("./request-session.js");
const { commitAtOnce, isClosed, release, underWay } = require("./session.js");

// What a response says that was made from a session, and does not save it.
const LOOKED_AT = { outcome: "unchanged", headers: [["Vary", "Cookie"]] };

class Exchange {
  // The session that the engine has opened for this request; another after `save` and `reload`, and none once it was let go of.
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
  // The Set-Cookie lines of this response, by their cookies' names, and its other headers, where there was a commit before the last.
  #lines;
  #others;
  #ending;
  // The end of the last `save`, `reload` or `destroy` that is under way.
  #last;
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

  // Of a request whose response has left: what is stored, to be read.
  get session() {
    this.#isUsed = true;
    this.#session ??= openAtOnce(this.#manager, this.#cookieHeader(), { mode: "readOnly" }, true);
    return this.#session;
  }

  // As `session`, to be changed.
  get changing() {
    if (this.#isOver)
      throw new HoldallError("misuse", "the session has ended with its response; open another for further changes");
    return this.session;
  }

  // Opens the session; a promise only where that has to leave the thread or wait for a lock.
  open() {
    this.#session = openAtOnce(this.#manager, this.#header, this.#options);
    if (this.#session === undefined) return this.#reopen();
    return undefined;
  }

  // Ends the session as this response does. Gives the headers, or a promise of them where it has to leave the thread or wait for a
  // lock, or for a call that nobody has awaited. Throws what the commit threw; then nothing is stored, and the response should not
  // pretend that it is.
  end(request, status, saveOnError) {
    // Also where none could be opened.
    if (this.#isOver || this.#session === undefined) return [];
    const before = this.#last ?? underWay(this.#session);
    if (before !== undefined) return before.then(() => this.end(request, status, saveOnError));
    return this.endNow(request, status, saveOnError);
  }

  // As `end`, where nothing is under way.
  endNow(request, status, saveOnError) {
    // Who asks for the lock means to use the session.
    const isUsed = this.#isUsed || this.#options.mode === "exclusive";
    const { committed, isDestroyed } = this.#session;
    // What the application itself has committed or destroyed has happened, and its cookie has to reach the browser.
    if (committed !== undefined) this.#note(committed);
    if (!isUsed || isClosed(this.#session) || (status >= 500 && !saveOnError && !isDestroyed)) {
      this.giveUp();
      return isUsed ? this.#headers(LOOKED_AT) : [];
    }
    this.#isOver = true;
    const ageFlash = agesFlash(request, status);
    try {
      const commit = commitAtOnce(this.#session, ageFlash);
      return commit === undefined ? this.#endLater(ageFlash) : this.#headers(commit);
    } catch (error) {
      this.#letGo();
      throw error;
    }
  }

  async #endLater(ageFlash) {
    try {
      return this.#headers(await this.#session.commit({ ageFlash }));
    } catch (error) {
      this.#letGo();
      throw error;
    }
  }

  // Lets go of a session that is not saved, and of its lock.
  giveUp() {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#letGo();
  }

  // The response has left, or the visitor has: a session that nobody ended is not saved. Its memory is the next one's.
  leave() {
    // What was asked for before is done.
    if (this.#last !== undefined) {
      this.#last.then(() => this.leave());
      return;
    }
    this.#isOver = true;
    this.#letGo();
  }

  // Commits in the middle of a request and goes on with what is stored then.
  async save() {
    return this.#inTurn(async () => {
      const commit = await this.changing.commit({ ageFlash: false });
      this.#note(commit);
      await this.#reopen();
    });
  }

  // Drops what this request did and goes on with what is stored.
  async reload() {
    return this.#inTurn(async () => {
      this.changing.close();
      await this.#reopen();
    });
  }

  showIn(request, property) {
    this.#shownIn = request;
    this.#property = property;
    request[property] = this.shown;
  }

  async destroy() {
    if (this.#shownIn !== undefined && !this.#isOver) this.#shownIn[this.#property] = undefined;
    return this.#inTurn(async () => this.changing.destroy());
  }

  // One after the other, whether or not somebody awaits them. What fails is the caller's to handle, who has a promise of its own.
  #inTurn(work) {
    const done = this.#last === undefined ? work() : this.#last.then(work);
    const over = () => {
      if (this.#last === last) this.#last = undefined;
    };
    const last = done.then(over, over);
    this.#last = last;
    return done;
  }

  async #reopen() {
    const session = await this.#manager.open(this.#cookieHeader(), this.#options);
    if (this.#isOver) session.close();
    else this.#session = session;
  }

  #letGo() {
    if (this.#session !== undefined && release(this.#session)) this.#session = undefined;
  }

  // What the browser would send next.
  #cookieHeader() {
    if (this.#ending !== undefined) this.#note(this.#ending);
    this.#ending = undefined;
    if (this.#lines === undefined) return this.#header;
    const sent = (this.#header ?? "").split(";").map((pair) => pair.trim());
    const kept = sent.filter((pair) => pair !== "" && !this.#lines.has(pair.split("=")[0]));
    const set = [...this.#lines.values()].filter((line) => !line.includes("; Max-Age=0"));
    return [...kept, ...set.map((line) => line.split(";")[0])].join("; ");
  }

  #headers(commit) {
    this.#ending = commit;
    if (this.#lines === undefined) return commit.headers;
    this.#note(commit);
    if (this.#lines.size > 0) this.#others.set("Cache-Control", "no-store");
    return [...[...this.#lines.values()].map((line) => ["Set-Cookie", line]), ...this.#others];
  }

  // Of several commits of one request the last word on a cookie counts. To a session that has moved none is sent.
  #note(commit) {
    this.#lines ??= new Map();
    this.#others ??= new Map();
    if (commit.outcome === "moved") this.#lines.clear();
    for (const [name, line] of commit.headers) {
      if (name === "Set-Cookie") this.#lines.set(line.slice(0, line.indexOf("=")), line);
      else this.#others.set(name, line);
    }
  }
}

// Whether a visitor sees flash messages in this response: false where not, else undefined, as the flash policy says.
function agesFlash({ method, headers }, status) {
  if (method === "HEAD" || method === "OPTIONS" || (status >= 300 && status < 400)) return false;
  const purpose = headers["sec-purpose"] ?? headers.purpose;
  return purpose !== undefined && `${purpose} ${headers.purpose}`.toLowerCase().includes("prefetch") ? false : undefined;
}

// A list in a response header with one more item, unless the list has one of these. undefined: leave it.
function listed(said, item, unless) {
  if (said === undefined) return item;
  const list = Array.isArray(said) ? said.join(", ") : String(said);
  const items = list.split(",").map((one) => one.trim().toLowerCase());
  if (unless.some((word) => items.includes(word))) return undefined;
  return list.trim() === "" ? item : `${list}, ${item}`;
}

// Only ever stricter: beside `max-age` a cache keeps to `no-store`; `private` already keeps shared ones out.
const STRICT = { "Cache-Control": ["no-store", "private"], Vary: ["*", "cookie"] };

// Puts a session's headers into a response. By the framework's words: `get` reads one that is set, `set` replaces it, `add` appends one.
function putHeaders(headers, response, { get, set, add }) {
  for (const [name, value] of headers) {
    if (name === "Set-Cookie") {
      add(response, name, value);
      continue;
    }
    const list = listed(get(response, name), value, STRICT[name]);
    if (list !== undefined) set(response, name, list);
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
