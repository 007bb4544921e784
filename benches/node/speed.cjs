"use strict";

// Holdall in Node beside the session layers of Node, in the same rounds of one run.
//
// A cycle is one request through a middleware of Connect's shape: it opens the session of a cookie, reads 3 keys of 10, sets 1, and ends
// the response, which saves and sets the cookie; 1 KB. No HTTP around it: request and response are the least that all of them take.
// All run in one process, whose collections and inline caches they share as the parts of an application do, and each once more in a
// process of its own, where V8 knows nothing else.
// Prints a table, writes target/bench/node.json, and with HOLDALL_BENCH_DOCS=1 puts the table into docs/performance.md. Ends with 1
// where a goal is missed, unless HOLDALL_BENCH_QUICK=1.

const { fork } = require("node:child_process");
const { randomBytes } = require("node:crypto");
const { EventEmitter, once } = require("node:events");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const cookieSession = require("cookie-session");
const expressSession = require("express-session");
const { getIronSession } = require("iron-session");
const sessionFileStore = require("session-file-store");
const holdall = require("../../bindings/node");
const { HoldallStore } = require("../../bindings/node/lib/express-session.js");
const { sessionMiddleware } = require("../../bindings/node/lib/http.js");

const ROOT = path.join(__dirname, "..", "..");
const IS_QUICK = process.env.HOLDALL_BENCH_QUICK !== undefined;
const [ROUNDS, MILLISECONDS] = IS_QUICK ? [3, 40] : [9, 200];
const [BEGIN, END] = ["<!-- node -->\n", "<!-- end of node -->\n"];
const LIFETIME_MS = 2 * 60 * 60 * 1000;

// As benches/speed/src/record.rs: 1,027 bytes of JSON in 10 keys.
const RECORD = {
  count: 1_000_000,
  user: 4711,
  locale: "en_GB",
  roles: ["editor", "author", "translator"],
  signed_in_at: 1_763_712_000,
  remembered: true,
  cart: Array.from({ length: 10 }, (_, n) => ({
    article: `A-${String(n).padStart(5, "0")}`,
    amount: 1 + (n % 3),
    price_cents: 1995,
  })),
  preferences: { theme: "dark", rows: 50, newsletter: false },
  email: "ada.lovelace@example.com",
  name: "",
};
RECORD.name = "n".repeat(1027 - JSON.stringify(RECORD).length);

// What a session layer asks of a request.
class Request extends EventEmitter {
  method = "GET";
  url = "/";
  originalUrl = "/";
  // As behind https, or no cookie would be `Secure`.
  secure = true;
  protocol = "https";
  connection = { encrypted: true };
  socket = this.connection;

  constructor(cookie) {
    super();
    this.headers = { cookie };
  }
}

// What a session layer asks of a response: headers that leave at the end.
class Response extends EventEmitter {
  statusCode = 200;
  headersSent = false;
  writableEnded = false;
  #headers = new Map();

  get _header() {
    return this.headersSent ? "sent" : null;
  }

  getHeader(name) {
    return this.#headers.get(name.toLowerCase());
  }

  getHeaderNames() {
    return [...this.#headers.keys()];
  }

  setHeader(name, value) {
    this.#headers.set(name.toLowerCase(), value);
    return this;
  }

  appendHeader(name, value) {
    const before = this.getHeader(name);
    return this.setHeader(name, before === undefined ? value : [before, value].flat());
  }

  removeHeader(name) {
    this.#headers.delete(name.toLowerCase());
  }

  writeHead() {
    this.headersSent = true;
    return this;
  }

  _implicitHeader() {
    this.writeHead(this.statusCode);
  }

  write() {
    return true;
  }

  end() {
    if (!this.headersSent) this._implicitHeader();
    this.writableEnded = true;
    this.emit("finish");
    this.emit("close");
    return this;
  }

  // What the browser sends with its next request.
  get cookies() {
    return [this.getHeader("Set-Cookie") ?? []].flat().map((line) => line.slice(0, line.indexOf(";")));
  }
}

// A request through a middleware that does this with its session. Gives the response once it has ended.
function request(middleware, cookie, use) {
  return new Promise((resolve, reject) => {
    const req = new Request(cookie);
    const res = new Response();
    res.on("finish", () => resolve(res));
    middleware(req, res, (error) => {
      if (error) return reject(error);
      use(req.session);
      res.end();
    });
  });
}

// Cycles through a middleware. The cookies that a response sets are what the next request sends, as a browser does.
async function through(middleware) {
  let count = RECORD.count;
  const first = await request(middleware, undefined, (session) => Object.assign(session, RECORD));
  let cookie = first.cookies.join("; ");
  if (cookie === "") throw new Error("no cookie was set");
  const use = (session) => {
    if (session.user !== RECORD.user || session.locale !== RECORD.locale || session.name !== RECORD.name) {
      throw new Error("the session is another one");
    }
    count += 1;
    session.count = count;
  };
  return async () => {
    const res = await request(middleware, cookie, use);
    const set = res.cookies;
    if (set.length === 0) throw new Error("no cookie was set");
    cookie = set.join("; ");
  };
}

const ours = (config) => through(sessionMiddleware({ ...config, cookie: { persistent: true } }));

const express = (store) => {
  const secret = randomBytes(32).toString("hex");
  const cookie = { secure: true, maxAge: LIFETIME_MS, sameSite: "lax" };
  return through(expressSession({ name: "sid", secret, store, cookie, resave: false, saveUninitialized: false }));
};

function fileStore(folder) {
  const FileStore = sessionFileStore(expressSession);
  return new FileStore({ path: folder, ttl: LIFETIME_MS / 1000, reapInterval: -1, logFn() {} });
}

// It has no middleware: this is its own example for Express.
function iron() {
  const options = { password: randomBytes(32).toString("hex"), cookieName: "sid", ttl: LIFETIME_MS / 1000 };
  return through((req, res, next) => {
    const saved = async () => {
      const session = await getIronSession(req, res, options);
      req.session = session;
      const { end } = res;
      res.end = () => session.save().then(() => end.call(res), next);
      next();
    };
    saved().catch(next);
  });
}

function signed() {
  const keys = [randomBytes(32).toString("hex")];
  return through(cookieSession({ name: "sid", keys, maxAge: LIFETIME_MS, secure: true, sameSite: "lax" }));
}

// The same without a middleware: what the native half and the session cost.
async function byHand(config) {
  const manager = new holdall.SessionManager({ ...config, cookie: { persistent: true } });
  let session = await manager.open(undefined);
  for (const [key, value] of Object.entries(RECORD)) session.set(key, value);
  const header = `${manager.cookieName}=${session.id}`;
  await session.commit();
  let count = RECORD.count;
  return async () => {
    session = await manager.open(header);
    session.get("user");
    session.get("locale");
    session.get("name");
    count += 1;
    session.set("count", count);
    await session.commit();
  };
}

// What is timed, by name: a function that gives a cycle.
function lanesOf(folder) {
  const files = (place) => ({ url: `file://${folder(place)}` });
  const places = { memory: () => ({ url: "memory:" }), tmpfs: () => files("/dev/shm"), ext4: () => files("/var/tmp") };
  const lanes = {
    "memory: express-session, memory": () => express(new expressSession.MemoryStore()),
    "memory: ours by hand": () => byHand(places.memory()),
    "cookie: ours": () => ours({ drivers: { main: { type: "cookie" } }, keys: [holdall.generateKey()] }),
    "cookie: cookie-session, signed": signed,
    "cookie: iron-session": iron,
  };
  for (const [place, config] of Object.entries(places)) {
    lanes[`${place}: ours`] = () => ours(config());
    lanes[`${place}: our store`] = () => express(new HoldallStore(config()));
  }
  lanes["tmpfs: session-file-store"] = () => express(fileStore(folder("/dev/shm")));
  lanes["ext4: session-file-store"] = () => express(fileStore(folder("/var/tmp")));
  return lanes;
}

// Microseconds a cycle, by the clock on the wall: what garbage collection takes is part of it.
async function timed(cycle) {
  const begin = performance.now();
  let [cycles, now] = [0, begin];
  while (now < begin + MILLISECONDS) {
    for (let n = 0; n < 10; n += 1) await cycle();
    cycles += 10;
    now = performance.now();
  }
  return ((now - begin) * 1000) / cycles;
}

// A lane that has a process to itself, which is told when to run.
async function alone(name) {
  const child = fork(__filename, [name]);
  const [ready] = await once(child, "message");
  if (ready !== "ready") throw new Error(`${name}: ${ready}`);
  return {
    async run() {
      child.send("run");
      const [found] = await once(child, "message");
      return found;
    },
    end: () => child.disconnect(),
  };
}

async function serve(name) {
  const folders = new Folders();
  try {
    const cycle = await lanesOf((place) => folders.make(place))[name]();
    process.on("message", async () => process.send(await timed(cycle)));
    process.send("ready");
    await once(process, "disconnect");
  } finally {
    folders.remove();
  }
}

class Folders {
  #made = [];

  make(place) {
    const made = fs.mkdtempSync(path.join(place, "holdall-bench-"));
    this.#made.push(made);
    return made;
  }

  remove() {
    for (const made of this.#made) fs.rmSync(made, { recursive: true, force: true });
  }
}

// The times of each lane: rounds, every second one backwards, after one that does not count.
async function race(lanes) {
  const names = Object.keys(lanes);
  const times = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const name of round % 2 === 1 ? [...names].reverse() : names) {
      const found = await lanes[name]();
      if (round > 0) times[name].push(found);
    }
  }
  return times;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

// Ours and another, both of one process with all of them, and each alone.
function row(name, times, place, own, beside, goal) {
  const figures = (where) => {
    const [mine, other] = [times[`${where} ${place}: ${own}`], times[`${where} ${place}: ${beside}`]];
    const faster = median(mine.map((time, round) => other[round] / time));
    const range = { min_us: Math.min(...mine), max_us: Math.max(...mine) };
    return { median_us: median(mine), ...range, beside_us: median(other), times_faster: faster };
  };
  const [together, apart] = [figures("together"), figures("alone")];
  return { row: name, beside, together, alone: apart, goal, met: goal === undefined ? undefined : together.times_faster >= goal };
}

function rounded(value) {
  return String(Number(value.toPrecision(3)));
}

function table(rows) {
  const lines = [
    `Node ${process.versions.node}, one run.\n\n`,
    "| row | median | min..max | beside | its median | times faster | goal | met | alone: ours, theirs, times faster |\n",
    "|---|---:|---:|---|---:|---:|---:|---|---|\n",
  ];
  for (const { row, beside, together, alone, goal, met } of rows) {
    const times = `${rounded(together.median_us)} us | ${rounded(together.min_us)}..${rounded(together.max_us)}`;
    const theirs = `${beside} | ${rounded(together.beside_us)} us | ${rounded(together.times_faster)}`;
    const verdict = goal === undefined ? " | " : `at least ${goal} | ${met ? "yes" : "**no**"}`;
    const apart = `${rounded(alone.median_us)} us, ${rounded(alone.beside_us)} us, ${rounded(alone.times_faster)}`;
    lines.push(`| ${row} | ${times} | ${theirs} | ${verdict} | ${apart} |\n`);
  }
  return lines.join("");
}

function rowsOf(times) {
  const add = (name, place, own, beside, goal) => row(name, times, place, own, beside, goal);
  return [
    add("memory", "memory", "ours", "express-session, memory", 8),
    add("memory, without a middleware", "memory", "ours by hand", "express-session, memory"),
    add("memory, as a store of express-session", "memory", "our store", "express-session, memory"),
    add("file on tmpfs", "tmpfs", "ours", "session-file-store", 50),
    add("file on tmpfs, as a store of express-session", "tmpfs", "our store", "session-file-store"),
    add("file on ext4", "ext4", "ours", "session-file-store", 50),
    add("file on ext4, as a store of express-session", "ext4", "our store", "session-file-store"),
    add("cookie, sealed", "cookie", "ours", "cookie-session, signed", 7),
    add("cookie, sealed", "cookie", "ours", "iron-session", 30),
  ];
}

async function main() {
  const folders = new Folders();
  const children = [];
  try {
    const lanes = {};
    for (const [name, make] of Object.entries(lanesOf((place) => folders.make(place)))) {
      const cycle = await make();
      lanes[`together ${name}`] = () => timed(cycle);
      const child = await alone(name);
      children.push(child);
      lanes[`alone ${name}`] = () => child.run();
    }
    const rows = rowsOf(await race(lanes));
    const report = path.join(ROOT, "target", "bench", "node.json");
    fs.mkdirSync(path.dirname(report), { recursive: true });
    const machine = { cores: os.availableParallelism(), system: os.release(), node: process.versions.node };
    fs.writeFileSync(report, `${JSON.stringify({ machine, rounds: ROUNDS, rows }, null, 2)}\n`);
    const text = table(rows);
    process.stdout.write(`\n${text}`);
    if (process.env.HOLDALL_BENCH_DOCS !== undefined) {
      const page = path.join(ROOT, "docs", "performance.md");
      const [before, rest] = fs.readFileSync(page, "utf8").split(BEGIN);
      fs.writeFileSync(page, before + BEGIN + text + END + rest.split(END)[1]);
    }
    if (!IS_QUICK && rows.some((found) => found.met === false)) process.exitCode = 1;
  } finally {
    for (const child of children) child.end();
    folders.remove();
  }
}

if (process.argv.length > 2) serve(process.argv[2]);
else main();
