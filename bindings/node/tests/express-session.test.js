"use strict";

// The store beneath the real express-session.

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { test } = require("node:test");
const { setTimeout: pause } = require("node:timers/promises");
const { promisify } = require("node:util");
const express = require("express");
const session = require("express-session");
const { HoldallError, SessionManager } = require("holdall");
const { HoldallStore } = require("holdall/express-session");
const { folder, overServerDrivers, url } = require("./common.js");
const { served } = require("./serving.js");

function application(store, routes, options) {
  const app = express();
  app.use(session({ store, secret: "keyboard cat", resave: false, saveUninitialized: false, ...options }));
  routes(app);
  app.use((error, _req, res, _next) => res.status(500).send(error.message));
  return app;
}

function counting(app) {
  app.get("/", (req, res) => {
    req.session.views = (req.session.views ?? 0) + 1;
    res.json(req.session.views);
  });
  app.get("/look", (req, res) => res.json(req.session.views ?? null));
}

overServerDrivers((driver) => {
  test("one line changes the store, and the next process finds the sessions", async (t) => {
    const place = url(driver);
    const store = new HoldallStore(place);
    const visitor = await served(t, application(store, counting));
    for (const views of [1, 2, 3]) assert.equal(await visitor.json("/"), views);
    assert.equal(await visitor.another().json("/"), 1);
    assert.equal(await promisify(store.length.bind(store))(), 2);
    if (driver === "file") {
      const next = await served(t, application(new HoldallStore(place), counting));
      next.cookies = visitor.cookies;
      assert.equal(await next.json("/"), 4);
    }
    await promisify(store.clear.bind(store))();
    assert.equal(await promisify(store.length.bind(store))(), 0);
    assert.equal(await visitor.json("/"), 1);
  });

  test("regenerate, destroy, reload and save", async (t) => {
    const visitor = await served(
      t,
      application(new HoldallStore(url(driver)), (app) => {
        counting(app);
        app.get("/regenerate", (req, res, next) =>
          req.session.regenerate((error) => (error ? next(error) : res.json(req.session.views ?? null))),
        );
        app.get("/destroy", (req, res, next) => req.session.destroy((error) => (error ? next(error) : res.json("out"))));
        app.get("/reload", (req, res, next) => {
          req.session.views = 100;
          req.session.reload((error) => (error ? next(error) : res.json(req.session.views)));
        });
        app.get("/save", (req, res, next) => {
          req.session.list = [1];
          req.session.save((error) => {
            if (error) return next(error);
            req.session.list.push(2);
            delete req.session.views;
            req.session.save((error) => (error ? next(error) : res.json(req.session.list)));
          });
        });
        app.get("/list", (req, res) => res.json([req.session.list, req.session.views ?? null]));
      }),
    );
    assert.equal(await visitor.json("/"), 1);
    const before = visitor.copy();
    assert.equal(await visitor.json("/reload"), 1);
    assert.equal(await visitor.json("/regenerate"), null);
    assert.equal(await before.json("/look"), null);
    assert.equal(await visitor.json("/"), 1);
    assert.deepEqual(await visitor.json("/save"), [1, 2]);
    assert.deepEqual(await visitor.json("/list"), [[1, 2], null]);
    const stolen = visitor.copy();
    assert.equal(await visitor.json("/destroy"), "out");
    assert.deepEqual(await stolen.json("/look"), null);
  });

  test("parallel requests keep what the others did", async (t) => {
    const visitor = await served(
      t,
      application(new HoldallStore(url(driver)), (app) => {
        app.get("/start", (req, res) => {
          req.session.list = [];
          req.session.gone = 1;
          res.end();
        });
        app.get("/add/:n", async (req, res) => {
          await pause(5);
          req.session[`key${req.params.n}`] = 1;
          req.session.list.push(Number(req.params.n));
          delete req.session.gone;
          res.end();
        });
        app.get("/all", (req, res) => res.json(req.session));
      }),
    );
    await visitor.text("/start");
    await Promise.all(Array.from({ length: 20 }, (_, n) => visitor.text(`/add/${n}`)));
    const { cookie, list, ...keys } = await visitor.json("/all");
    assert.deepEqual(
      list.sort((a, b) => a - b),
      Array.from({ length: 20 }, (_, n) => n),
    );
    assert.equal(Object.keys(keys).length, 20);
    assert.ok(cookie);
  });

  test("a session that was destroyed is not brought back by a slower request", async (t) => {
    let go;
    const store = new HoldallStore(url(driver));
    const app = application(store, (app) => {
      counting(app);
      app.get("/slow/:save", async (req, res) => {
        req.session.views += 1;
        if (req.params.save === "1") await promisify(req.session.save.bind(req.session))();
        req.session.more = 1;
        app.emit("slow");
        await new Promise((resolve) => (go = resolve));
        res.end();
      });
      app.get("/destroy", (req, res) => req.session.destroy(() => res.end()));
    });
    const visitor = await served(t, app);
    for (const save of [0, 1]) {
      await visitor.json("/");
      const browser = visitor.copy();
      const begun = once(app, "slow");
      const slow = visitor.text(`/slow/${save}`);
      await begun;
      await browser.text("/destroy");
      go();
      await slow;
      assert.equal(await visitor.json("/look"), null);
      assert.equal(await promisify(store.length.bind(store))(), 0);
    }
  });

  test("a save that nobody awaits and the end of its response are two calls, and stay in their own session", async (t) => {
    const store = new HoldallStore(url(driver));
    const failures = [];
    const app = application(store, (app) => {
      app.get("/in/:name", (req, res) => {
        req.session.user = req.params.name;
        req.session.save();
        res.redirect("/");
      });
      app.get("/am/:name", async (req, res) => {
        await pause(Math.random() * 3);
        const is = req.session.user;
        req.session.user = req.params.name;
        req.session.views = (req.session.views ?? 0) + 1;
        req.session.save((error) => error && failures.push(error));
        res.send(is);
      });
      app.use((error, _req, _res, next) => {
        failures.push(error);
        next(error);
      });
    });
    const visitor = await served(t, app);
    const names = Array.from({ length: 10 }, (_, n) => `visitor${n}`);
    await Promise.all(
      names.map(async (name) => {
        const one = visitor.another();
        await one.text(`/in/${name}`);
        for (let n = 0; n < 20; n += 1) assert.equal(await one.text(`/am/${name}`), name);
      }),
    );
    assert.deepEqual(failures, []);
  });

  for (const offThread of [false, true]) {
    test(`calls for one session${offThread ? ", in a thread," : ""} follow each other, and lose nothing`, async () => {
      const manager = new SessionManager(url(driver), { keyed_secret: "k".repeat(43), offThread });
      const store = new HoldallStore(manager);
      const cookie = { originalMaxAge: null };
      const made = { cookie, list: [1] };
      const first = store.set("id", made);
      made.list.push(2);
      await Promise.all([first, store.set("id", made)]);
      const found = await store.get("id");
      found.list.push(3);
      const second = store.set("id", found);
      // Under way by now, where it is done in a thread.
      await new Promise((resolve) => setImmediate(resolve));
      found.list.push(4);
      found.more = 1;
      await Promise.all([second, store.set("id", found), store.touch("id", found), store.touch("id", found)]);
      assert.deepEqual(await store.get("id"), { cookie, list: [1, 2, 3, 4], more: 1 });
      // One that fails holds up none.
      found.big = 1n;
      const failing = store.set("id", found);
      await assert.rejects(failing, { code: "invalid_value" });
      found.big = 1;
      await store.set("id", found);
      // What came from one id and is kept under another is whole.
      await store.set("copy", found);
      assert.deepEqual(await store.get("copy"), { big: 1, cookie, list: [1, 2, 3, 4], more: 1 });
    });
  }

  test("a session lasts as long as its cookie says, from its last use", async (t) => {
    for (const [maxAge, seconds] of [
      [null, 100],
      [60_000, 60],
    ]) {
      const store = new HoldallStore(url(driver), { ttlS: 100 });
      const visitor = await served(t, application(store, counting, { cookie: { maxAge } }));
      const before = Date.now();
      await visitor.json("/");
      const [{ expiryMs }] = await store.manager.records();
      assert.ok(expiryMs >= before + seconds * 1000 && expiryMs <= Date.now() + seconds * 1000);
      // Over: nothing of it is found, as by any other store.
      const { removed } = await store.manager.sweep(undefined, { nowMs: expiryMs + 31 * 24 * 3600 * 1000 });
      assert.equal(removed, 1);
      assert.equal(await visitor.json("/look"), null);
    }
    // One that would end before its cookie is refused, and not ended in silence.
    const cookie = { originalMaxAge: 31 * 24 * 3600 * 1000 };
    for (const [fields, says] of [
      [{}, /idle_timeout_s/],
      [{ idle_timeout_s: 32 * 24 * 3600 }, undefined],
    ]) {
      const store = new HoldallStore({ url: url(driver), ...fields });
      const set = promisify(store.set.bind(store))("id", { cookie });
      await (says ? assert.rejects(set, says) : set);
    }
  });

  test("what only looks is not written, and extends the session all the same", async () => {
    const manager = new SessionManager(url(driver), {
      keyed_secret: "k".repeat(43),
      idle_timeout_s: 1000,
      new_idle_timeout_s: 1000,
    });
    const store = new HoldallStore(manager);
    const call = (name, ...given) => promisify(store[name].bind(store))(...given);
    await call("set", "id", { cookie: { originalMaxAge: null }, a: 1 });
    const [{ expiryMs }] = await manager.records();
    const found = await call("get", "id");
    assert.deepEqual(found, { a: 1, cookie: { originalMaxAge: null } });
    await call("touch", "id", found);
    await call("set", "id", found);
    assert.deepEqual([(await manager.records())[0].expiryMs, manager.stats().commits.saved], [expiryMs, 1]);
    assert.equal(await call("get", "unknown"), null);
    await call("touch", "unknown", { cookie: {} });
    await call("destroy", "unknown");
    assert.equal((await manager.records()).length, 1);
    // A record of somebody else, without a cookie of express-session in it.
    const other = await manager.openKeyed("other");
    other.set("b", 1);
    await other.commit();
    assert.deepEqual(await call("get", "other"), { b: 1, cookie: { originalMaxAge: null } });
  });

  test("what cannot be stored is an error of the call", async () => {
    const store = new HoldallStore({ url: url(driver), max_record_bytes: 2000 });
    const set = promisify(store.set.bind(store));
    const cookie = { originalMaxAge: null };
    for (const [value, code] of [
      [1n, "invalid_value"],
      [new Map([[1, 2]]), "invalid_value"],
      ["x".repeat(3000), "too_large"],
    ]) {
      await assert.rejects(set("id", { cookie, value }), (error) => error instanceof HoldallError && error.code === code);
    }
    await set("id", { cookie, none: undefined, call: () => 1 });
    assert.deepEqual(await promisify(store.get.bind(store))("id"), { cookie });
  });
});

test("a manager without a secret for keys is refused", () => {
  assert.throws(() => new HoldallStore(new SessionManager(`file://${folder()}/sessions`)), /keyed_secret/);
});
