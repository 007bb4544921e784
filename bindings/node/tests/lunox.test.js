"use strict";

// A real application of Lunox 2, over HTTP.

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const path = require("node:path");
const { test } = require("node:test");
const { KEY, folder, overDrivers } = require("./common.js");
const { Visitor } = require("./serving.js");

async function started(t, config) {
  const env = { ...process.env, NODE_ENV: "production", LUNOX_SESSION: JSON.stringify(config) };
  const child = spawn(process.execPath, [path.join(__dirname, "lunox/main.mjs")], { env, stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => child.kill());
  let said = "";
  child.stderr.on("data", (data) => (said += data));
  child.stdout.on("data", (data) => (said += data));
  const ended = once(child, "close");
  while (!/port \d+/.test(said)) {
    if (await Promise.race([once(child.stdout, "data").then(() => false), ended.then(() => true)])) assert.fail(said);
  }
  return new Visitor(`http://127.0.0.1:${/port (\d+)/.exec(said)[1]}`);
}

overDrivers((driver) => {
  const on = (t, config) =>
    started(t, {
      driver,
      lifetime: 120,
      files: `${folder()}/sessions`,
      cookie: "lunox_session",
      keys: [KEY],
      path: "/",
      http_only: true,
      ...config,
    });

  test("get, put, has, exists, forget, flush and migrate", async (t) => {
    const visitor = await on(t);
    assert.deepEqual(await visitor.json("/put"), { at: true });
    await visitor.json("/in-place");
    const found = await visitor.json("/look");
    assert.deepEqual(found.get, ["Ann", "a", "b", "literal", 0, "", false, null, null, null, null, null]);
    assert.deepEqual(found.has, ["user", "zero", "empty", "no"]);
    assert.deepEqual(found.exists, ["user", "zero", "empty", "no", "nothing"]);
    assert.deepEqual([found.fallback, found.all], [7, ["a.b", "empty", "no", "nothing", "user", "zero"]]);
    await visitor.json("/forget");
    const left = await visitor.json("/look");
    assert.deepEqual(
      [left.exists, left.all],
      [
        ["empty", "no", "nothing"],
        ["empty", "no", "nothing"],
      ],
    );

    const { id } = await visitor.json("/id");
    const before = visitor.copy();
    const migrated = await visitor.json("/migrate");
    assert.equal(migrated.done, true);
    assert.notEqual(migrated.id, id);
    assert.deepEqual((await visitor.json("/look")).all, ["empty", "no", "nothing"]);
    if (driver !== "cookie") assert.deepEqual((await before.json("/look")).all, []);
    assert.deepEqual(await visitor.json("/flush"), { flushed: true, all: {} });
    assert.deepEqual((await visitor.json("/look")).all, []);
  });

  test("flash wins over data, and is there until a view has shown it", async (t) => {
    const visitor = await on(t);
    await visitor.json("/flash");
    for (const _ of [1, 2, 3]) assert.equal((await visitor.json("/look")).get.at(-1), "saved");
    assert.deepEqual(await visitor.json("/view"), { seen: { notice: "saved" } });
    assert.equal((await visitor.json("/look")).get.at(-1), "data");
    assert.equal((await visitor.fetch("/back")).status, 302);
    assert.deepEqual((await visitor.json("/look")).flashed, { notice: "from a redirect" });

    await visitor.fetch("/form", {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: "name=Ann&_token=x",
    });
    assert.deepEqual(await visitor.json("/old"), { name: "Ann", missing: null, all: { name: "Ann" } });
    await visitor.json("/view");
    assert.deepEqual(await visitor.json("/old"), { name: null, missing: null, all: {} });

    const other = await on(t, { flash: "next_request" });
    await other.json("/flash");
    assert.equal((await other.json("/look")).get.at(-1), "saved");
    assert.equal((await other.json("/look")).get.at(-1), "data");
  });

  test("the token stays, and is not among the data unless it is asked for", async (t) => {
    const visitor = await on(t);
    const { token, all, with: names } = await visitor.json("/token");
    assert.match(token, /^[\w-]{40}$/);
    assert.deepEqual([all, names], [{}, ["_token"]]);
    assert.equal((await visitor.json("/token")).token, token);
    assert.notEqual((await visitor.another().json("/token")).token, token);
  });

  test("the cookie is as config/session says; who only looks gets none, and an error saves nothing", async (t) => {
    const visitor = await on(t, { lifetime: 10, same_site: "strict" });
    assert.deepEqual((await visitor.fetch("/look")).headers.getSetCookie(), []);
    assert.deepEqual(await visitor.json("/outside"), { started: false });
    const [line] = (await visitor.fetch("/put")).headers.getSetCookie();
    assert.match(line, /^lunox_session=[\w-]+; Path=\/; HttpOnly; SameSite=Strict; Max-Age=600$/);
    assert.equal((await visitor.fetch("/fail")).status, 500);
    assert.equal((await visitor.json("/look")).get[4], 0);
  });
});

test("a driver that there is not is an error that names it", async (t) => {
  const visitor = await started(t, { driver: "database" });
  const response = await visitor.fetch("/look");
  assert.equal(response.status, 500);
});
