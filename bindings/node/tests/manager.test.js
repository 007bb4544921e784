"use strict";

// The manager: its configuration, its tools, its events; locks that hold up nobody's event loop.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const { describe, test } = require("node:test");
const { setTimeout: pause } = require("node:timers/promises");
const { HoldallError, SessionManager } = require("holdall");
const { Browser, folder, overServerDrivers, url } = require("./common.js");

const code = (expected) => (error) => {
  assert.ok(error instanceof HoldallError, error);
  assert.equal(error.code, expected);
  return true;
};

test("a configuration is a URL, JSON text or an object, with single fields over it", async () => {
  const ways = [
    new SessionManager("memory:", { idle_timeout_s: 60, cookie: { persistent: true } }),
    new SessionManager('{"url":"memory:","idle_timeout_s":9}', { idle_timeout_s: 60, cookie: { persistent: true } }),
    new SessionManager('{"url":"memory:","idle_timeout_s":60,"cookie":{"persistent":true}}'),
    new SessionManager({ drivers: { memory: { type: "memory" } }, idle_timeout_s: 60 }, { cookie: { persistent: true } }),
    new SessionManager({ url: "memory:", idle_timeout_s: 60, cookie: { persistent: true }, offThread: true }),
  ];
  for (const manager of ways) {
    assert.deepEqual(manager.config(), ways[0].config());
    assert.equal(await new Browser(manager).request((session) => session.set("a", 1)), undefined);
  }
  for (const [wrong, says] of [
    [[{ url: "memory:", no_such_field: 1 }], "no_such_field"],
    [["memory:", { no_such_field: 1 }], "no_such_field"],
    [["http://x"], "url"],
    [['{"drivers"'], "config"],
    [['{"drivers"', { idle_timeout_s: 1 }], "config"],
    [["memory:", { offThread: "yes" }], "offThread"],
    [[{}], "drivers"],
  ]) {
    assert.throws(
      () => new SessionManager(...wrong),
      (error) => code("invalid_config")(error) && error.message.includes(says),
    );
  }
  for (const wrong of [1, null, true, Symbol("s"), () => 1])
    assert.throws(() => new SessionManager(wrong), code("invalid_argument"));
  assert.throws(() => new SessionManager({ url: "memory:", max_keys: 1n }), code("invalid_value"));
});

test("a configuration cannot be made of what others have put on prototypes", () => {
  const evil = JSON.parse('{"url":"memory:","__proto__":{"idle_timeout_s":1}}');
  assert.throws(() => new SessionManager(evil), code("invalid_config"));
});

overServerDrivers((driver) => {
  test("another driver of a manager has a cookie of its own", async () => {
    const path = `${folder()}/sessions`;
    const main = driver === "file" ? { type: "file", path } : { type: "memory" };
    const manager = new SessionManager({ default: "main", drivers: { main, cart: { type: "memory" } } });
    const cart = new Browser(manager.driver("cart"));
    const session = await cart.open();
    session.set("n", 1);
    const { headers } = await cart.commit(session);
    assert.deepEqual([manager.driverName, manager.cookieName], ["main", "__Host-sid"]);
    assert.deepEqual([cart.manager.driverName, cart.manager.cookieName], ["cart", "__Host-sid-cart"]);
    assert.ok(headers.some(([name, value]) => name === "Set-Cookie" && value.startsWith("__Host-sid-cart=")));
    assert.deepEqual(await cart.stored(), { n: 1 });
    assert.equal((await manager.driver("main").open(cart.cookie)).isNew, true);
    assert.throws(() => manager.driver("none"), code("invalid_argument"));
    assert.throws(() => manager.driver(1), code("invalid_argument"));
  });

  test("records can be listed, destroyed by their locator, and swept", async () => {
    const browser = Browser.of(driver);
    const session = await browser.open();
    session.set("a", 1);
    await browser.commit(session);
    const [record, ...others] = await browser.manager.records();
    assert.equal(others.length, 0);
    assert.match(record.locator, /^[0-9a-f]{64}$/);
    assert.ok(!session.id.includes(record.locator) && record.expiryMs > Date.now() && record.bytes > 100);
    assert.deepEqual(
      [await browser.manager.destroy(record.locator), await browser.manager.destroy(record.locator)],
      [true, false],
    );
    assert.deepEqual(await browser.stored(), {});
    await assert.rejects(browser.manager.destroy("../../etc/passwd"), code("invalid_argument"));
    await assert.rejects(browser.manager.destroy(1), code("invalid_argument"));

    await new Browser(browser.manager).request((session) => session.set("a", 1));
    const later = Date.now() + 3_600_000;
    const swept = await browser.manager.sweep(undefined, { nowMs: later });
    assert.deepEqual([swept.removed, swept.finished], [1, true]);
    await assert.rejects(browser.manager.sweep(-1), code("invalid_argument"));
    await assert.rejects(browser.manager.sweep(1, { nowMs: NaN }), code("invalid_argument"));
    assert.equal(browser.manager.stats().commits.saved, 2);
  });

  test("events are told, of threads as well, and a listener that throws disturbs nobody", async () => {
    const browser = Browser.of(driver, { offThread: true });
    const told = [];
    browser.manager.onEvent((kind, session) => {
      told.push([kind, session]);
      throw new Error("a listener's own");
    });
    assert.throws(() => browser.manager.onEvent(() => {}), code("misuse"));
    assert.throws(() => browser.manager.onEvent("x"), code("invalid_argument"));
    const warned = new Promise((resolve) => process.once("warning", resolve));
    const session = await browser.open();
    session.set("a", 1);
    await browser.commit(session);
    assert.equal((await warned).message, "a listener's own");
    assert.equal(told[0][0], "created");
    assert.match(told[0][1], /^[0-9a-f]{12}$/);
    assert.equal((await browser.manager.openToken("malformed")).isNew, true);
    while (told.length < 2) await pause(1);
    assert.deepEqual(told[1], ["malformed_token", ""]);
  });

  test("keyed sessions belong to an application's key", async () => {
    const manager = new SessionManager(url(driver), { keyed_secret: "k".repeat(43) });
    const session = await manager.openKeyed("192.0.2.1");
    session.set("n", 1);
    assert.deepEqual((await session.commit()).headers, []);
    assert.equal((await manager.openKeyed("192.0.2.1")).get("n"), 1);
    assert.equal((await manager.openKeyed("192.0.2.2")).get("n"), undefined);
    await assert.rejects(manager.openKeyed(""), code("invalid_argument"));
    await assert.rejects(manager.openKeyed(undefined), code("invalid_argument"));
    await assert.rejects(new SessionManager("memory:").openKeyed("a"), code("unsupported"));
  });

  test("bad tokens are absent, and bad types are refused", async () => {
    const { manager } = Browser.of(driver);
    for (const token of [
      "",
      null,
      undefined,
      "x",
      "A".repeat(43),
      "\xff\0",
      "\u00e9".repeat(43),
      "\ud800",
      "A".repeat(100_000),
    ]) {
      assert.equal((await manager.openToken(token)).isNew, true);
      assert.equal((await manager.open(token)).isNew, true);
    }
    for (const wrong of [1, ["a"], { sid: "x" }, Symbol("s"), true]) {
      await assert.rejects(manager.open(wrong), code("invalid_argument"));
      await assert.rejects(manager.openToken(wrong), code("invalid_argument"));
    }
    for (const options of [
      { mode: "hasty" },
      { mode: 1 },
      { flash: "never" },
      { nowMs: -1 },
      { secure: "yes" },
      { lockTimeoutMs: "soon" },
      { lockTimeoutMs: -1 },
    ]) {
      await assert.rejects(manager.open("", options), code("invalid_argument"));
    }
  });

  for (const offThread of [false, true]) {
    describe(`locks, ${offThread ? "off" : "on"} the thread of JavaScript`, () => {
      test("fifty wait for one session, first come, first served, and the loop goes on", async () => {
        const browser = Browser.of(driver, { offThread });
        await browser.request((session) => session.set("served", []));
        let beats = 0;
        const heart = setInterval(() => (beats += 1), 1);
        const requests = Array.from({ length: 50 }, (_, number) =>
          browser.request(
            async (session) => {
              const served = session.get("served");
              await pause(1);
              session.set("served", [...served, number]);
            },
            { mode: "exclusive" },
          ),
        );
        await Promise.all(requests);
        clearInterval(heart);
        assert.ok(beats > 5, `${beats} beats`);
        assert.deepEqual(
          (await browser.stored()).served,
          Array.from({ length: 50 }, (_, number) => number),
        );
      });

      test("a commit beside one who has the lock waits, and the loop goes on", async () => {
        const browser = Browser.of(driver, { offThread });
        await browser.request((session) => session.set("n", 0));
        const holder = await browser.open({ mode: "exclusive" });
        const commits = Array.from({ length: 20 }, async () => {
          const session = await browser.open();
          session.increment("n");
          return session.commit();
        });
        for (let turn = 0; turn < 20; turn += 1) await pause(1);
        assert.equal((await browser.open({ mode: "readOnly" })).get("n"), 0);
        holder.increment("n", 100);
        await holder.commit();
        assert.deepEqual(new Set((await Promise.all(commits)).map((commit) => commit.outcome)), new Set(["saved"]));
        assert.deepEqual(await browser.stored(), { n: 120 });
      });

      test("a destroy waits as well", async () => {
        const browser = Browser.of(driver, { offThread });
        await browser.request((session) => session.set("n", 0));
        const holder = await browser.open({ mode: "exclusive" });
        const other = await browser.open();
        other.get("n");
        let isDestroyed = false;
        const destroyed = other.destroy().then(() => (isDestroyed = true));
        for (let turn = 0; turn < 20; turn += 1) await pause(1);
        assert.equal(isDestroyed, false);
        holder.close();
        await destroyed;
        assert.deepEqual(await browser.stored(), {});
      });

      test("a lock that is held too long is unavailable, locked and retryable", async () => {
        const browser = Browser.of(driver, { offThread });
        await browser.request((session) => session.set("n", 0));
        const holder = await browser.open({ mode: "exclusive" });
        const isLocked = (error) => {
          code("unavailable")(error);
          assert.deepEqual([error.locked, error.retryable, error.mayHaveWritten], [true, true, false]);
          return true;
        };
        await assert.rejects(browser.open({ mode: "exclusive", lockTimeoutMs: 0 }), isLocked);
        await assert.rejects(browser.open({ mode: "exclusive", lockTimeoutMs: 20 }), isLocked);
        const session = await browser.open({ lockTimeoutMs: 20 });
        session.increment("n");
        await assert.rejects(session.commit(), isLocked);
        holder.close();
        assert.equal((await session.commit()).outcome, "saved");
        await browser.commit(await browser.open({ mode: "exclusive", lockTimeoutMs: 0 }));
        assert.deepEqual(await browser.stored(), { n: 1 });
      });
    });
  }

  test("a session is in one place at a time", async () => {
    const browser = Browser.of(driver, { offThread: true });
    const session = await browser.open();
    session.set("a", 1);
    const commit = session.commit();
    // Until the thread has ended it, whatever is called is refused or comes after it; nothing is lost and nobody waits.
    let refused = 0;
    try {
      session.get("a");
    } catch (error) {
      refused += code("misuse")(error);
    }
    assert.equal((await commit).outcome, "saved");
    assert.ok(refused <= 1);
    assert.equal(session.get("a"), 1);
  });
});

test("what cannot be stored is an error with its flags, and may be repeated", async () => {
  const path = `${folder()}/sessions`;
  for (const offThread of [false, true]) {
    const browser = new Browser(new SessionManager(`file://${path}`, { offThread }));
    const session = await browser.open();
    session.set("a", 1);
    fs.renameSync(path, `${path}-away`);
    fs.writeFileSync(path, "no directory");
    // A manager that is open keeps its directory, so that nothing is lost by that; a new one is refused.
    assert.throws(() => new SessionManager(`file://${path}`), code("invalid_config"));
    fs.rmSync(path);
    fs.renameSync(`${path}-away`, path);
    assert.equal((await browser.commit(session)).outcome, "saved");
  }
});
