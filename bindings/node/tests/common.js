"use strict";

// What the tests of the Node package share: a manager of each driver, and a browser's cookie.

const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { describe } = require("node:test");
const { SessionManager } = require("holdall");

// Those of the server's side, which know locks, tokens that are ids, and sessions that can be revoked.
const SERVER_DRIVERS = ["memory", "file"];
const DRIVERS = [...SERVER_DRIVERS, "cookie"];
// For tests; not a secret.
const KEY = "7hT8wC5Zf1m0u9Jq2rXyKdLpBvN4sGaE6oQiRkWzMxc";
const PLAIN_HTTP = { cookie: { secure: false } };

let root;

// A fresh directory, which goes when the process ends.
function folder() {
  if (root === undefined) {
    root = fs.mkdtempSync(path.join(os.tmpdir(), "holdall-node-"));
    process.on("exit", () => fs.rmSync(root, { recursive: true, force: true }));
  }
  return fs.mkdtempSync(path.join(root, "-"));
}

// What makes a manager of a driver: a URL, or a text with its key.
function url(driver) {
  if (driver === "cookie") return JSON.stringify({ url: "cookie:", keys: [KEY] });
  return driver === "file" ? `file://${folder()}/sessions` : `${driver}:`;
}

// The tests in `body`, once for each driver.
function overDrivers(body, drivers = DRIVERS) {
  for (const driver of drivers) describe(driver, () => body(driver));
}

function overServerDrivers(body) {
  overDrivers(body, SERVER_DRIVERS);
}

// One visitor: sends back the cookies that commits have set.
class Browser {
  cookies = new Map();

  constructor(manager) {
    this.manager = manager;
  }

  static of(driver, fields) {
    return new Browser(new SessionManager(url(driver), fields));
  }

  get cookie() {
    return [...this.cookies].map((pair) => pair.join("=")).join("; ");
  }

  open(options) {
    return this.manager.open(this.cookie, options);
  }

  async commit(session, options) {
    const commit = await session.commit(options);
    this.receive(commit.headers);
    return commit;
  }

  receive(headers) {
    for (const [header, line] of headers) {
      if (header !== "Set-Cookie") continue;
      const [, name, value] = /^([^=]*)=([^;]*)/.exec(line);
      if (line.includes("; Max-Age=0")) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
  }

  // What the next request would find.
  async stored() {
    return (await this.open({ mode: "readOnly" })).all();
  }

  // A request that does this.
  async request(work, options) {
    const session = await this.open(options);
    const answer = await work(session);
    await this.commit(session);
    return answer;
  }
}

module.exports = { Browser, DRIVERS, KEY, PLAIN_HTTP, folder, overDrivers, overServerDrivers, url };
