"use strict";

// Every adapter behind a real server, in one process and in a cluster: R9, R10, R13 and R22 of docs/reliability.md.

const assert = require("node:assert/strict");
const { fork } = require("node:child_process");
const { once } = require("node:events");
const http = require("node:http");
const path = require("node:path");
const { after, before, describe, test } = require("node:test");
const { ADAPTERS } = require("./applications.js");
const { KEY, folder } = require("./common.js");
const { figure, scaled } = require("./figures.js");

// A memory is one process's. The others in a cluster of four, whose connections go round.
const DOORS = [
  ["memory", 1],
  ["file", 4],
  ["cookie", 1],
];

class Served {
  #child;
  // By what is heard: who waits for it.
  #waiting = new Map();
  told = 0;

  static async start(adapter, driver, workers) {
    const served = new Served();
    const url = driver === "file" ? `file://${folder()}/sessions` : `${driver}:`;
    const config = { url, cookie: { secure: false, name: "sid" }, ...(driver === "cookie" && { keys: [KEY] }) };
    const env = { ...process.env, NODE_ENV: "production", SERVED_ADAPTER: adapter, SERVED_CONFIG: JSON.stringify(config) };
    const stdio = ["ignore", "ignore", "inherit", "ipc"];
    const child = fork(path.join(__dirname, "served.js"), { stdio, env: { ...env, SERVED_WORKERS: String(workers) } });
    served.#child = child;
    const port = new Promise((resolve, reject) => {
      child.once("exit", () => reject(new Error("the server has ended")));
      child.on("message", (message) => {
        if (message.port !== undefined) resolve(message.port);
        if (message.told !== undefined) served.told += 1;
        for (const kind of ["loaded", "ended"]) if (kind in message) served.#heard(`${kind} ${message[kind]}`)(message);
      });
    });
    // In turn, so that a cluster's processes all have their part.
    served.agent = new http.Agent({ keepAlive: true, maxSockets: 64, scheduling: "fifo" });
    served.port = await port;
    return served;
  }

  async stop() {
    this.agent.destroy();
    const ended = once(this.#child, "exit");
    this.#child.disconnect();
    this.#child.kill();
    await ended;
  }

  visitor(cookies) {
    return new Visitor(this, cookies);
  }

  go(number) {
    this.#child.send({ go: number });
  }

  // What a request says of itself, once: as soon as both that and who waits for it are there.
  hears(what) {
    return new Promise((resolve) => this.#heard(what, resolve)());
  }

  #heard(what, resolve) {
    const found = this.#waiting.get(what) ?? {};
    this.#waiting.set(what, found);
    return (message) => {
      found.resolve ??= resolve;
      found.message ??= message;
      if (found.resolve === undefined || found.message === undefined) return;
      this.#waiting.delete(what);
      found.resolve(found.message);
    };
  }
}

// A browser: the cookies that it was told.
class Visitor {
  constructor(served, cookies = new Map()) {
    this.served = served;
    this.cookies = new Map(cookies);
  }

  ask(act, given = {}) {
    const { port, agent } = this.served;
    const headers = { cookie: [...this.cookies].map((pair) => pair.join("=")).join("; ") };
    const asked = encodeURIComponent(JSON.stringify({ act, ...given }));
    return new Promise((resolve, reject) => {
      const request = http.get({ port, agent, headers, path: `/act?${asked}`, host: "127.0.0.1" }, (response) => {
        const lines = response.headers["set-cookie"] ?? [];
        this.#receive(lines);
        let body = "";
        response.setEncoding("utf8").on("data", (text) => (body += text));
        response.on("end", () => resolve({ status: response.statusCode, lines, body }));
      });
      request.on("error", reject);
    });
  }

  async json(act, given) {
    const { status, body } = await this.ask(act, given);
    assert.equal(status, 200, body);
    return JSON.parse(body);
  }

  #receive(lines) {
    for (const line of lines) {
      const [, name, value] = /^([^=]*)=([^;]*)/.exec(line);
      if (/; (Max-Age=0|Expires=Thu, 01 Jan 1970)/.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
  }
}

// The same in every run (of Numerical Recipes).
function dice(seed) {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % sides;
  };
}

// A session in a page: what any door must answer.
class Model {
  data = {};
  // Flash that was found, and that is new.
  old = {};
  fresh = {};

  constructor({ flash, showsFlash }) {
    Object.assign(this, { policy: flash, showsFlash });
  }

  request(operations) {
    const answers = operations.map(([operation, key, value]) => structuredClone(this[operation](key, value) ?? null));
    // A request that did nothing has not looked at the session.
    if (operations.length > 0) {
      this.old = this.policy === "next_request" ? this.fresh : { ...this.old, ...this.fresh };
      this.fresh = {};
    }
    return answers;
  }

  get(key) {
    return this.data[key];
  }

  has(key) {
    return key in this.data;
  }

  set(key, value) {
    this.data[key] = structuredClone(value);
  }

  delete(key) {
    delete this.data[key];
  }

  append(key, value) {
    this.data[key] = [...(this.data[key] ?? []), value];
    return this.data[key];
  }

  increment(key, n) {
    this.data[key] = (this.data[key] ?? 0) + n;
    return this.data[key];
  }

  flash(key, value) {
    delete this.old[key];
    this.fresh[key] = value;
  }

  flashed(key) {
    const found = this.fresh[key] ?? this.old[key];
    if (this.policy === "on_read") {
      delete this.fresh[key];
      delete this.old[key];
    }
    return found;
  }

  all() {
    return this.showsFlash ? { ...this.old, ...this.fresh, ...this.data } : this.data;
  }

  clear() {
    this.data = {};
    this.old = {};
    this.fresh = {};
  }

  renew() {}
}

const VALUES = [null, true, 7, -(2 ** 53 - 1), 1.5, "text \u00e9\u{1f9f3}", [1, [2]], { a: { b: [] } }];

// What one request does, at random. Keys are kept apart by the types of their values, flash from data.
function operationsOf(throws, hasFlash) {
  const made = [];
  for (let left = throws(8); left >= 0; left -= 1) {
    const number = throws(4);
    const choices = [
      ["set", `k${number}`, VALUES[throws(VALUES.length)]],
      ["get", `k${number}`],
      ["has", `k${number}`],
      ["delete", `k${number}`],
      ["append", `list${number}`, throws(100)],
      ["increment", `n${number}`, throws(11) - 5],
      ["all"],
    ];
    if (hasFlash) choices.push(["flash", `f${number}`, throws(100)], ["flashed", `f${number}`]);
    made.push(choices[throws(choices.length)]);
  }
  if (throws(20) === 0) made.push(["clear"]);
  if (throws(10) === 0) made.push(["renew"]);
  return made;
}

// Work by so many at once.
function atOnce(number, work) {
  return Promise.all(Array.from({ length: number }, (_, n) => work(n)));
}

// Races of a request that has loaded the session and waits, with another one of the visitor, which ends it or gives it a new id. In every
// second race that one is through before the slow one goes on; in the others both commit at once. Gives how many slow ones were told.
async function overtaken(served, ending, races, tellsOutcomes) {
  let losers = 0;
  for (let race = 0; race < races; race += 1) {
    const [visitor, isBeside, number] = [served.visitor(), race % 2 === 0, `${ending} ${race}`];
    await visitor.json("sign-in");
    const before = served.told;
    const slow = served.visitor(visitor.cookies);
    const kept = new Map(visitor.cookies);
    const answered = slow.ask("work", { number });
    assert.equal((await served.hears(`loaded ${number}`)).user, "ada");
    if (isBeside) served.go(number);
    await visitor.json(ending);
    if (!isBeside) served.go(number);
    const { status, lines } = await answered;
    assert.equal(status, 200);
    let wasTold;
    if (tellsOutcomes) {
      const { outcome } = await served.hears(`ended ${number}`);
      wasTold = outcome !== "saved";
      if (wasTold) assert.equal(outcome, ending === "renew" ? "moved" : "gone");
      // So is its browser: the cookie is removed with the session; a new one is left alone.
      const names = lines.map((line) => line.split(";")[0]);
      if (wasTold) assert.deepEqual(names, ending === "renew" ? [] : ["sid="]);
      if (ending === "renew") {
        // What was not told has arrived, and nothing else.
        assert.deepEqual(await visitor.json("all"), wasTold ? { user: "ada" } : { user: "ada", work: 1 });
      }
    } else {
      // express-session's own commit cannot be told; the manager's listener is, soon after.
      for (let tries = 0; !isBeside && served.told === before && tries < 10_000; tries += 1) await new Promise(setImmediate);
      wasTold = served.told > before;
    }
    assert.ok(wasTold || isBeside);
    // Whoever kept the old cookie is nobody, whatever the slow request wrote and whenever.
    assert.deepEqual(await served.visitor(kept).json("all"), {});
    losers += wasTold;
  }
  assert.ok(losers >= races / 2);
  return losers;
}

for (const [adapter, kind] of Object.entries(ADAPTERS)) {
  const hasEngine = adapter !== "express-session";

  for (const [driver, workers] of DOORS) {
    const isOnServer = driver !== "cookie";
    // It has a server's store alone.
    if (!hasEngine && !isOnServer) continue;
    const door = `${adapter}, ${driver}`;
    const where = `Node, ${adapter}${workers > 1 ? `, cluster of ${workers}` : ""}`;

    describe(door, () => {
      let served;
      before(async () => {
        served = await Served.start(adapter, driver, workers);
      });
      after(() => served.stop());

      test(`a door answers as a plain model does (${door})`, async () => {
        const [throws, operations] = [dice(22), scaled(500, 20_000)];
        const [model, visitor] = [new Model(kind), served.visitor()];
        let done = 0;
        while (done < operations) {
          const asked = operationsOf(throws, hasEngine);
          assert.deepEqual(await visitor.json("perform", { operations: asked }), model.request(asked), JSON.stringify(asked));
          done += asked.length;
        }
        figure("R22", driver, `operations that differed from the model (${where})`, `0 of ${done}`, "0");
      });

      // What is in a browser cannot be called back, and the last one wins there.
      if (!isOnServer) return;

      test(`nobody who has signed out or in is overtaken by a slower request (${door})`, async () => {
        const races = scaled(20, 1000);
        for (const [ending, what] of [
          ["sign-out", "destroyed"],
          ["renew", "given a new id"],
        ]) {
          const losers = await overtaken(served, ending, races, hasEngine);
          figure("R13", driver, `sessions ${what} that were brought back, over HTTP (${where})`, `0 of ${races} races`, "0");
          figure("R13", driver, `requests overtaken there that were told (${what}; ${where})`, `${losers} of ${losers}`, "all");
        }
      });

      test(`parallel requests lose nothing on a hundred sessions (${door})`, async () => {
        const [clients, each] = [64, scaled(15, 2000)];
        const visitors = await atOnce(100, async () => {
          const visitor = served.visitor();
          await visitor.json("put", { key: "begun", value: true });
          return visitor;
        });
        const [put, processes] = [visitors.map(() => ({ begun: true })), new Set()];
        await atOnce(clients, async (client) => {
          const throws = dice(client);
          for (let number = 1; number <= each; number += 1) {
            const at = throws(visitors.length);
            put[at][`of ${client}`] = number;
            const { pid } = await served.visitor(visitors[at].cookies).json("put", { key: `of ${client}`, value: number });
            processes.add(pid);
          }
        });
        assert.equal(processes.size, workers);
        for (const [at, visitor] of visitors.entries()) assert.deepEqual(await visitor.json("all"), put[at]);
        const found = `0 of ${clients * each}`;
        figure("R9", driver, `writes of ${clients} clients on 100 sessions that were lost (${where})`, found, "0");
      });

      // express-session has no number that counts for all.
      if (!hasEngine) return;

      test(`requests that count in one session all count (${door})`, async () => {
        const [clients, each] = [16, scaled(25, 1000)];
        const visitor = served.visitor();
        await visitor.json("sign-in");
        const processes = new Set();
        await atOnce(clients, async () => {
          for (let left = each; left > 0; left -= 1) processes.add((await served.visitor(visitor.cookies).json("count")).pid);
        });
        assert.equal((await visitor.json("all")).n, clients * each);
        assert.equal(processes.size, workers);
        const found = (clients * each).toLocaleString("en");
        figure("R10", driver, `increments there of ${clients} clients, one session (${where})`, found, found);
      });
    });
  }
}
