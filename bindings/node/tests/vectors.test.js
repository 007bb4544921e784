"use strict";

// The vectors through the Node package. The grammar is in tests/vectors/README.md; Rust, C, PHP and Python run the same files.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { test } = require("node:test");
const { HoldallError, SessionManager } = require("holdall");
const { DRIVERS, KEY, folder } = require("./common.js");

const BEGINNING_MS = 1_700_000_000_000;
const FOLDER = path.join(__dirname, "../../../tests/vectors");

// Integers beyond 2^53 as BigInt, or JavaScript would compare what it has rounded.
function parsed(text) {
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?![\d.eE])/g, (token) =>
    token.startsWith('"') || Number.isSafeInteger(Number(token)) ? token : `{"great":"${token}"}`,
  );
  return JSON.parse(marked, (_, value) => (typeof value?.great === "string" ? BigInt(value.great) : value));
}

// The clock, the browsers and the open handles of one vector.
class World {
  handles = new Map();
  visitors = new Map();
  kept = new Map();
  nowMs = BEGINNING_MS;

  constructor(manager) {
    this.manager = manager;
  }

  filled(value) {
    if (typeof value !== "string") return value;
    const names = [...this.kept.keys()].sort((one, other) => other.length - one.length);
    return names.reduce((text, name) => text.replaceAll(`$${name}`, this.kept.get(name)), value);
  }

  async step(step) {
    const [arrow, last] = step.slice(-2);
    if (arrow === "=>") {
      const answer = await this.perform(step.slice(0, -2));
      // What JavaScript rounds, it rounds here as well; the text that is stored is compared whole.
      assert.deepEqual(answer ?? null, typeof last === "bigint" ? Number(last) : this.filled(last));
    } else if (arrow === "!") {
      await assert.rejects(this.perform(step.slice(0, -2)), (error) => {
        assert.ok(error instanceof HoldallError, error);
        assert.equal(error.code, last);
        return true;
      });
    } else if (arrow === "->") {
      this.kept.set(last, await this.perform(step.slice(0, -2)));
    } else {
      await this.perform(step);
    }
  }

  async perform(step) {
    const [operation, ...given] = step.map((value) => this.filled(value));
    switch (operation) {
      case "at":
        this.nowMs = BEGINNING_MS + given[0];
        return undefined;
      case "sweep":
        return (await this.manager.sweep(given[0], { nowMs: this.nowMs })).removed;
      case "records":
        return (await this.manager.records({ nowMs: this.nowMs })).length;
      case "free":
        this.handles.get(given[0]).session.close();
        this.handles.delete(given[0]);
        return undefined;
    }
    if (operation.startsWith("open")) {
      const [name, what, options = {}] = given;
      this.handles.set(name, await Handle.opened(this, operation, what, options));
      return undefined;
    }
    return this.handles.get(given[0]).perform(operation, given.slice(1));
  }
}

// A session that was opened, and what its last commit answered.
class Handle {
  headers = [];

  static async opened(world, operation, what, { mode, lock_timeout_ms: lockTimeoutMs, ...options }) {
    const handle = new Handle();
    handle.world = world;
    handle.visitor = operation === "open" ? what : undefined;
    const open = { open_token: "openToken", open_keyed: "openKeyed" }[operation] ?? "open";
    const named = operation === "open" ? [...(world.visitors.get(what)?.values() ?? [])].join("; ") : what;
    mode = mode === "read_only" ? "readOnly" : mode;
    handle.session = await world.manager[open](named, { mode, lockTimeoutMs, nowMs: world.nowMs, ...options });
    return handle;
  }

  async perform(operation, given) {
    const { session, world } = this;
    switch (operation) {
      case "commit": {
        const { age_flash: ageFlash } = given[0] ?? {};
        const commit = await session.commit({ ageFlash, nowMs: world.nowMs });
        this.headers = commit.headers;
        this.receive();
        return commit.outcome;
      }
      case "destroy":
        return session.destroy({ nowMs: world.nowMs });
      case "get":
        return session.getJson(given[0]);
      case "data":
        return session.dataJson(given[0]);
      case "old":
        return json(session.old(given[0]));
      case "all":
        return session.allJson();
      case "only":
        return json(session.only(...given[0]));
      case "except":
        return json(session.except(...given[0]));
      case "set":
        return session.setJson(...given);
      case "replace":
        return session.replaceJson(...given);
      case "push":
      case "flash":
        return session[operation](given[0], value(given[1]));
      case "flash_now":
        return session.flashNow(given[0], value(given[1]));
      case "flash_input":
        return session.flashInput(value(given[0]));
      case "remember":
        session.remember(given[0], () => value(given[1]));
        return session.getJson(given[0]);
      case "pull": {
        const text = session.exists(given[0]) ? session.getJson(given[0]) : undefined;
        session.pull(given[0]);
        return text;
      }
      case "delete":
      case "keep":
        return session[operation](...given[0]);
      case "reset":
        return session.reset({ flashOnly: given[0] });
      case "set_idle_timeout":
        return session.setIdleTimeout(given[0] || null);
      case "set_absolute_timeout":
        return session.setAbsoluteTimeout(given[0] || null);
      case "id":
        return session.id;
      case "is_new":
        return session.isNew;
      case "previous_url":
        return session.previousUrl;
      case "cookie":
        return this.line === undefined ? "none" : this.line.includes("; Max-Age=0") ? "removed" : "set";
      case "max_age": {
        const found = /; Max-Age=(\d+)/.exec(this.line ?? "");
        return found && Number(found[1]);
      }
      case "attributes":
        return this.line?.slice(this.line.indexOf("; ") + 2);
      case "headers":
        return this.headers.map(([name]) => name);
      case "conflicts":
        return session.committed.conflicts;
    }
    const name = operation.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
    return session[name](...given);
  }

  get lines() {
    return this.headers.filter(([name]) => name === "Set-Cookie").map(([, line]) => line);
  }

  get line() {
    return this.lines[0];
  }

  receive() {
    if (this.visitor === undefined) return;
    const { visitors } = this.world;
    if (!visitors.has(this.visitor)) visitors.set(this.visitor, new Map());
    for (const line of this.lines) {
      const name = line.slice(0, line.indexOf("="));
      if (line.includes("; Max-Age=0")) visitors.get(this.visitor).delete(name);
      else visitors.get(this.visitor).set(name, line.split(";")[0]);
    }
  }
}

function json(value) {
  return value === undefined ? undefined : JSON.stringify(value);
}

// A vector's JSON text as a value; one that no session takes, where the text is not JSON.
function value(text) {
  try {
    return JSON.parse(text);
  } catch {
    return Symbol("not JSON");
  }
}

// What a driver lacks: vectors that need it are not run over it.
const LACKS = { memory: ["client_side"], file: ["client_side"], cookie: ["!client_side", "revocable"] };

function opened(driver, config) {
  const main = driver === "file" ? { type: driver, path: path.join(folder(), "sessions") } : { type: driver };
  return new SessionManager({ default: "main", drivers: { main }, keys: [KEY], ...config });
}

const VECTORS = fs
  .readdirSync(FOLDER)
  .filter((name) => name.endsWith(".json"))
  .sort()
  .flatMap((name) => {
    const { vectors } = parsed(fs.readFileSync(path.join(FOLDER, name), "utf8"));
    return vectors.map((vector) => ({ file: path.basename(name, ".json"), needs: [], ...vector }));
  });

for (const driver of DRIVERS) {
  const lacks = (vector) => vector.needs.some((need) => LACKS[driver].includes(need));

  test(`a driver lacks what is said here (${driver})`, () => {
    const { capabilities } = opened(driver).stats().drivers.main;
    const has = (need) => (need.startsWith("!") ? !capabilities[need.slice(1)] : capabilities[need]);
    for (const vector of VECTORS) assert.equal(vector.needs.every(has), !lacks(vector));
  });

  for (const vector of VECTORS.filter((vector) => !lacks(vector))) {
    test(`${vector.file}: ${vector.name} (${driver})`, async () => {
      const world = new World(opened(driver, vector.config));
      for (const [number, step] of vector.steps.entries()) {
        try {
          await world.step(step);
        } catch (error) {
          error.message = `in step ${number}, ${String(step)}: ${error.message}`;
          throw error;
        }
      }
    });
  }
}
