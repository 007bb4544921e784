"use strict";

// What the tests of the Node package share: a manager of each driver, and a browser's cookie.

const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { describe } = require("node:test");
const { SessionManager } = require("holdall");

const DRIVERS = ["memory", "file"];
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

function url(driver) {
  return driver === "file" ? `file://${folder()}/sessions` : `${driver}:`;
}

// The tests in `body`, once for each driver.
function overDrivers(body) {
  for (const driver of DRIVERS) describe(driver, () => body(driver));
}

// One visitor: sends back the cookie that the last commit set.
class Browser {
  constructor(manager) {
    this.manager = manager;
    this.cookie = undefined;
  }

  static of(driver, fields) {
    return new Browser(new SessionManager(url(driver), fields));
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
    const line = headers.find(([name]) => name === "Set-Cookie")?.[1];
    if (line !== undefined) this.cookie = line.includes("; Max-Age=0") ? undefined : line.split(";")[0];
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

module.exports = { Browser, DRIVERS, PLAIN_HTTP, folder, overDrivers, url };
