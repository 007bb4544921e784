"use strict";

// Northle's service `Session`, in a stand-in for its server: Northle itself is on no registry. The stand-in calls the service where and as
// Northle's server does (its hooks onRequest, preValidation and onResponse); its handlers use it as Northle's documents show.

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { setTimeout: pause } = require("node:timers/promises");
const fastify = require("fastify");
const { SessionManager } = require("holdall");
const { sessionService } = require("holdall/northle");
const { PLAIN_HTTP, overDrivers, overServerDrivers, url } = require("./common.js");
const { served } = require("./serving.js");

// What Northle makes one of for all requests.
class Session {}

async function application(driver, handlers, options, fields) {
  const service = sessionService(new Session(), new SessionManager(url(driver), { ...PLAIN_HTTP, ...fields }), options);
  const app = fastify();
  app.addHook("onRequest", async (request, reply) => {
    service.$setRequest(request);
    service.$setResponse(reply);
    await service.$setup();
    service.increment("_requestId", 1, 0);
    const seen = `_lastMinuteRequests:${request.url}`;
    service.set(seen, [...(service.get(seen) ?? [])]);
  });
  app.addHook("preValidation", async (request, reply) => {
    if (!service.has("_csrfToken")) {
      service.set("_csrfToken", "token");
      reply.header("set-cookie", "csrfToken=token");
    }
    if (request.method !== "GET") service.flash("oldInput", request.body);
  });
  app.addHook("onResponse", async (request) => {
    try {
      if (request.method === "GET") service.set("_previousLocation", request.url);
      await service.$saveSessionData();
    } catch (error) {
      // Fastify would only log it.
      process.nextTick(() => assert.fail(error));
    }
  });
  // The helpers of Northle's documents.
  const session = (key) => service.get(key);
  const flash = (key) => service.flash(key);
  for (const [path, handler] of Object.entries(handlers)) {
    app.all(path, async (request, reply) => (await handler({ service, session, flash, request, reply })) ?? {});
  }
  await app.ready();
  return app.server;
}

overDrivers((driver) => {
  const on = async (t, handlers, options, fields) => served(t, await application(driver, handlers, options, fields));

  test("data is live: reading, assigning and deleting are the session's", async (t) => {
    const visitor = await on(t, {
      "/set": ({ service }) => {
        service.set("email", "ann@example.org");
        service.data.list = [1];
        service.data.list.push(2);
        service.set("nothing", null);
        service.set("zero", 0);
        return { in: "email" in service.data, same: service.all() === service.data };
      },
      "/": ({ service, session }) => ({
        email: session("email"),
        all: Object.keys(service.all()),
        list: service.data.list,
        has: ["email", "nothing", "zero", "missing", "constructor", "toString"].map((key) => service.has(key)),
        get: [session("nothing"), session("zero"), session("missing"), service.get("missing", 7), service.get("nothing", 7)],
        missing: service.data.missing === undefined,
        copy: { ...service.data },
      }),
      "/delete": ({ service }) => {
        service.delete("email");
        delete service.data.zero;
        service.data.nothing = undefined;
      },
    });
    assert.deepEqual(await visitor.json("/set"), { in: true, same: true });
    const found = await visitor.json("/");
    assert.equal(found.email, "ann@example.org");
    assert.deepEqual(found.all, ["_csrfToken", "_previousLocation", "email", "list", "nothing", "zero"]);
    assert.deepEqual(found.list, [1, 2]);
    assert.deepEqual(found.has, [true, true, true, false, false, false]);
    assert.deepEqual(found.get, [null, 0, null, 7, 7]);
    assert.equal(found.missing, true);
    assert.deepEqual(Object.keys(found.copy), found.all);
    await visitor.json("/delete");
    assert.deepEqual((await visitor.json("/")).all, ["_csrfToken", "_previousLocation", "list"]);
    assert.deepEqual((await visitor.another().json("/")).all, ["_csrfToken"]);
  });

  test("flash is gone once read, and lasts until then", async (t) => {
    const handlers = {
      "/flash": ({ service }) => ({ given: service.flash("error", "wrong") }),
      "/pass": () => undefined,
      "/flashed": ({ service }) => service.flashed,
      "/": ({ flash, service }) => ({ error: flash("error"), has: service.has("error"), all: Object.keys(service.all()) }),
      "/form": () => undefined,
      "/old": ({ flash }) => ({ old: flash("oldInput") }),
    };
    const visitor = await on(t, handlers);
    assert.deepEqual(await visitor.json("/flash"), { given: "wrong" });
    for (const _ of [1, 2, 3]) await visitor.json("/pass");
    assert.deepEqual(await visitor.json("/flashed"), { "_flash:error": "wrong" });
    assert.deepEqual(await visitor.json("/"), { error: "wrong", has: false, all: ["_csrfToken", "_previousLocation"] });
    assert.equal((await visitor.json("/")).error, null);
    await visitor.json("/form", { method: "POST", headers: { "content-type": "application/json" }, body: '{"name":"Ann"}' });
    assert.deepEqual(await visitor.json("/old"), { old: { name: "Ann" } });

    const other = await on(t, handlers, { flash: "next_request" });
    await other.json("/flash");
    await other.json("/pass");
    assert.equal((await other.json("/")).error, null);
  });

  test("increment and decrement, with and without a beginning", async (t) => {
    const visitor = await on(t, {
      "/": ({ service }) => ({
        n: [service.increment("n", 2, 10), service.increment("n"), service.decrement("n", 3), service.increment("half", 0.5, 1)],
      }),
      "/missing": ({ service }) => service.increment("missing"),
      "/text": ({ service }) => {
        service.set("text", "1");
        return service.decrement("text");
      },
    });
    assert.deepEqual(await visitor.json("/"), { n: [12, 13, 10, 1.5] });
    assert.deepEqual(await visitor.json("/"), { n: [12, 13, 10, 2] });
    for (const path of ["/missing", "/text"]) {
      const failed = await visitor.fetch(path);
      assert.equal(failed.status, 500);
      assert.match((await failed.json()).message, /is not a number/);
    }
  });

  test("destroy removes the record and the cookie, and what is read afterwards is empty", async (t) => {
    const visitor = await on(t, {
      "/in": ({ service }) => service.set("user", "ann"),
      "/out": async ({ service, session }) => {
        await service.destroy();
        return { user: session("user"), all: service.all(), has: service.has("user"), flashed: service.flashed };
      },
      "/": ({ session }) => ({ user: session("user") }),
    });
    await visitor.json("/in");
    assert.deepEqual(await visitor.json("/"), { user: "ann" });
    const stolen = visitor.copy();
    const out = await visitor.fetch("/out");
    assert.deepEqual(await out.json(), { user: null, all: {}, has: false, flashed: {} });
    assert.ok(out.headers.getSetCookie().some((line) => /^sid=; .*Max-Age=0/.test(line)));
    assert.deepEqual(await visitor.json("/"), { user: null });
    assert.deepEqual(await stolen.json("/"), { user: driver === "cookie" ? "ann" : null });
  });

  test("the first request is kept, its cookie is safe, and Northle's own cookies stay", async (t) => {
    const visitor = await on(t, { "/": ({ service }) => service.set("a", 1), "/look": ({ service }) => ({ a: service.data.a }) });
    const first = await visitor.fetch("/");
    const lines = first.headers.getSetCookie();
    assert.equal(lines.length, 2);
    assert.ok(lines.includes("csrfToken=token"));
    assert.ok(lines.some((line) => /^sid=[\w-]+; Path=\/; HttpOnly; SameSite=Lax$/.test(line)));
    assert.deepEqual([first.headers.get("vary"), first.headers.get("cache-control")], ["Cookie", "no-store"]);
    assert.deepEqual(await visitor.json("/look"), { a: 1 });
    // Neither a made-up id nor a path is adopted.
    for (const sid of ["../evil", "0123456789abcdef0123456789abcdef", "A".repeat(43)]) {
      const evil = visitor.another();
      evil.cookies.set("sid", sid);
      assert.deepEqual(await evil.json("/look"), {});
      assert.notEqual(evil.cookies.get("sid"), sid);
    }
  });

  test("requests of several visitors at once see each their own", async (t) => {
    const visitor = await on(t, {
      "/": async ({ service, session, request }) => {
        service.set("name", request.body.name);
        await pause(2);
        return { name: session("name") };
      },
      "/look": ({ session }) => ({ name: session("name") }),
    });
    const headers = { "content-type": "application/json" };
    const ask = async (name) => {
      const own = visitor.another();
      const said = await own.json("/", { method: "POST", headers, body: JSON.stringify({ name }) });
      return [said.name, (await own.json("/look")).name];
    };
    const names = Array.from({ length: 20 }, (_, n) => `visitor ${n}`);
    assert.deepEqual(
      await Promise.all(names.map(ask)),
      names.map((name) => [name, name]),
    );
  });

  test("an error saves nothing, a commit that fails answers 500, and prototypes stay as they are", async (t) => {
    const visitor = await on(
      t,
      {
        "/throws": ({ service }) => {
          service.set("a", 1);
          throw new Error("an error of the application");
        },
        "/long": ({ service }) => {
          service.set("a", "x".repeat(1500));
          service.set("b", "x".repeat(1500));
          return "a page that says so";
        },
        "/evil": ({ service, request }) => service.set(request.query.key, { polluted: true }),
        "/": ({ service }) => ({ a: service.data.a ?? null, polluted: {}.polluted ?? service.data.polluted ?? null }),
      },
      {},
      { max_record_bytes: 2000 },
    );
    assert.equal((await visitor.fetch("/throws")).status, 500);
    const long = await visitor.fetch("/long");
    assert.deepEqual([long.status, await long.text()], [500, ""]);
    assert.equal((await visitor.fetch("/evil?key=__proto__")).status, 500);
    assert.equal((await visitor.fetch("/evil?key=constructor")).status, 200);
    assert.deepEqual(await visitor.json("/"), { a: null, polluted: null });
  });
});

overServerDrivers((driver) => {
  test("parallel requests lose nothing of each other", async (t) => {
    const visitor = await served(
      t,
      await application(driver, {
        "/start": ({ service }) => service.set("list", []),
        "/add": async ({ service, request }) => {
          service.data.list.push(Number(request.query.n));
          await pause(1);
          service.increment("n", 1, 0);
        },
        "/": ({ service }) => ({ n: service.data.n, list: service.data.list }),
      }),
    );
    await visitor.json("/start");
    await Promise.all(Array.from({ length: 20 }, (_, n) => visitor.json(`/add?n=${n}`)));
    const { n, list } = await visitor.json("/");
    assert.equal(n, 20);
    assert.deepEqual(
      list.sort((a, b) => a - b),
      Array.from({ length: 20 }, (_, n) => n),
    );
  });
});

test("outside of a request there is no session", () => {
  const service = sessionService(new Session(), "memory:");
  assert.throws(() => service.get("a"), /there is no session here/);
  assert.throws(() => service.data, /there is no session here/);
});
