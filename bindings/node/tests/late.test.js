"use strict";

// Sessions once their response has left: read from the store, never changed, and never another visitor's.

const assert = require("node:assert/strict");
const { spawnSync } = require("node:child_process");
const path = require("node:path");
const { test } = require("node:test");
const { setTimeout: pause } = require("node:timers/promises");
const express = require("express");
const fastify = require("fastify");
const Koa = require("koa");
const { SessionManager, session: current } = require("holdall");
const { release } = require("../lib/session.js");
const { sessionPlugin } = require("holdall/fastify");
const { sessionMiddleware } = require("holdall/http");
const koa = require("holdall/koa");
const { PLAIN_HTTP, overDrivers, overServerDrivers, url } = require("./common.js");
const { served } = require("./serving.js");

// Applications that call `work` with their session's owner and answer "ok".
const SERVERS = {
  Express(manager, work) {
    const app = express();
    app.use(sessionMiddleware(manager));
    return app.use(async (req, res) => {
      await work(req, req.url, res);
      res.send("ok");
    });
  },
  async Fastify(manager, work) {
    const app = fastify();
    app.register(sessionPlugin, { manager });
    app.get("/*", async (request, reply) => {
      await work(request, request.url, reply.raw);
      return "ok";
    });
    await app.ready();
    return app.server;
  },
  Koa(manager, work) {
    const app = new Koa();
    app.use(koa.sessionMiddleware(manager));
    app.use(async (ctx) => {
      await work(ctx, ctx.url, ctx.res);
      ctx.body = "ok";
    });
    return app.callback();
  },
};

for (const [name, server] of Object.entries(SERVERS)) {
  overDrivers((driver) => {
    for (const offThread of [false, true]) {
      test(`${name}${offThread ? ", in a thread" : ""}: what a request left behind reads its own session, whoever came after`, async (t) => {
        // What a job has that goes on when its response has left.
        const late = new Map();
        const closed = new Map();
        const manager = new SessionManager(url(driver), { ...PLAIN_HTTP, offThread });
        const visitor = await served(
          t,
          await server(manager, async (owner, path, res) => {
            owner.session.path = path;
            owner.session.list = [path];
            const { session } = owner;
            late.set(path, { session, holdall: session.holdall, helper: () => current("path") });
            await new Promise((resolve) => setImmediate(resolve));
            closed.set(path, new Promise((resolve) => res.once("close", () => setImmediate(resolve))));
          }),
        );
        const paths = ["/ann", "/bob", "/cid", "/dot"];
        for (const path of paths) {
          await visitor.another().text(path);
          await closed.get(path);
        }
        await Promise.all(paths.map((path) => visitor.another().text(`${path}2`)));
        await Promise.all([...closed.values()]);
        for (const [path, { session, holdall }] of late) {
          assert.equal(session.path, path);
          assert.deepEqual(Object.keys(session), ["list", "path"]);
          assert.deepEqual(JSON.parse(JSON.stringify(session)), { list: [path], path });
          // The engine's own ended with the response, and is no other's.
          assert.throws(() => holdall.get("path"), { code: "misuse" });
          assert.throws(() => holdall.set("path", "/eve"), { code: "misuse" });
          await assert.rejects(holdall.commit(), { code: "misuse" });
          await assert.rejects(holdall.destroy(), { code: "misuse" });
          holdall.close();
        }
        for (const [path, { session }] of late) {
          const ended = { code: "misuse", message: /ended with its response/ };
          const changes = [
            () => Object.assign(session, { path: "/eve" }),
            () => Reflect.deleteProperty(session, "path"),
            () => session.touch(),
            () => Object.assign(session.cookie, { maxAge: 1000 }),
          ];
          for (const change of changes) assert.throws(change, ended);
          for (const call of ["regenerate", "destroy", "save", "reload"]) await assert.rejects(session[call](), ended, call);
          // In place is not noticed, as nothing would save it.
          session.list.push("/eve");
          assert.equal(session.path, path);
        }
      });
    }
  });
}

overDrivers((driver) => {
  test("the helper of a job that goes on finds the session of its request", async (t) => {
    const found = [];
    let jobs = Promise.resolve();
    const app = express();
    app.use(sessionMiddleware(new SessionManager(url(driver), PLAIN_HTTP)));
    app.get("/:name", (req, res) => {
      req.session.name = req.params.name;
      jobs = Promise.all([jobs, job(res)]);
      res.send("ok");
    });
    async function job(res) {
      await new Promise((resolve) => res.once("close", resolve));
      await pause(20);
      found.push(current("name"));
    }
    const visitor = await served(t, app);
    for (const name of ["ann", "bob", "cid"]) await visitor.another().text(`/${name}`);
    await jobs;
    assert.deepEqual(found.sort(), ["ann", "bob", "cid"]);
  });

  test("a session that was signed out, or given a new id, is read late as what it is", async (t) => {
    const late = {};
    const closed = [];
    const app = express();
    app.use(sessionMiddleware(new SessionManager(url(driver), PLAIN_HTTP)));
    app.get("/:name", async (req, res) => {
      late[req.params.name] = req.session;
      closed.push(new Promise((resolve) => res.once("close", resolve)));
      if (req.params.name === "in") req.session.user = "ann";
      if (req.params.name === "again") req.session.holdall.regenerate();
      if (req.params.name === "out") await req.session.destroy();
      res.send("ok");
    });
    const visitor = await served(t, app);
    await visitor.text("/in");
    await visitor.text("/again");
    await Promise.all(closed);
    assert.equal(late.again.user, "ann");
    if (driver !== "cookie") assert.equal(late.in.user, undefined);
    await visitor.text("/out");
    await Promise.all(closed);
    assert.equal(late.out.user, undefined);
  });
});

overServerDrivers((driver) => {
  for (const work of ["destroy", "save"]) {
    test(`a ${work} that waits for a lock is done, though the visitor has gone`, async (t) => {
      const shop = new SessionManager(url(driver), PLAIN_HTTP);
      let done;
      let signal;
      const arrived = new Promise((resolve) => (signal = resolve));
      const gone = { of: undefined };
      const app = express();
      app.use(sessionMiddleware(shop));
      app.get("/in", (req, res) => {
        req.session.user = "ann";
        res.send(req.session.id);
      });
      app.get("/work", (req, res) => {
        req.session.n = 1;
        gone.of = new Promise((resolve) => res.once("close", resolve));
        done = req.session[work]();
        done.catch(() => {});
        signal();
      });
      const visitor = await served(t, app);
      const id = await visitor.text("/in");
      const holder = await shop.openToken(id, { mode: "exclusive" });
      const leaving = new AbortController();
      const answer = visitor.fetch("/work", { signal: leaving.signal });
      answer.catch(() => {});
      await arrived;
      leaving.abort();
      await gone.of;
      await pause(5);
      holder.close();
      await done;
      const stored = await shop.openToken(id, { mode: "readOnly" });
      assert.deepEqual(stored.all(), work === "destroy" ? {} : { n: 1, user: "ann" });
    });
  }
});

overDrivers((driver) => {
  test("who lets go of a session twice leaves nothing to those who come after", async () => {
    const manager = new SessionManager(url(driver), PLAIN_HTTP);
    const gone = await manager.open("");
    assert.ok(release(gone) && release(gone));
    const later = [];
    for (const name of ["ann", "bob", "cid"]) {
      const session = await manager.open("");
      session.set("name", name);
      later.push([name, session]);
    }
    for (const [name, session] of later) assert.equal(session.get("name"), name);
    assert.throws(() => gone.get("name"), { code: "misuse" });
  });
});

test("a call that fails and that nobody awaits is Node's unhandled rejection, and not swallowed", () => {
  const script = `
    const { Exchange } = require("./lib/exchange.js");
    const { SessionManager } = require("./lib/index.js");
    const exchange = new Exchange(new SessionManager("memory:"), "", {});
    exchange.open();
    const { session } = exchange;
    if (process.argv[2] === "session") session.close();
    else exchange.giveUp();
    ({ session, exchange })[process.argv[2]][process.argv[1]]();
  `;
  const cwd = path.join(__dirname, "..");
  for (const [call, owner] of [
    ["commit", "session"],
    ["destroy", "session"],
    ["save", "exchange"],
    ["reload", "exchange"],
    ["destroy", "exchange"],
  ]) {
    const { status, stderr } = spawnSync(process.execPath, ["-e", script, call, owner], { cwd, encoding: "utf8" });
    assert.equal(status, 1, `${owner} ${call}`);
    assert.match(stderr, /code: 'misuse'/, `${owner} ${call}`);
  }
});
