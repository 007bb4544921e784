"use strict";

// Fastify and Koa over real connections: what is the adapters' own. The session itself is tested in http.test.js.

const assert = require("node:assert/strict");
const { EventEmitter, once } = require("node:events");
const http = require("node:http");
const { Readable } = require("node:stream");
const { describe, test } = require("node:test");
const { setTimeout: pause } = require("node:timers/promises");
const fastify = require("fastify");
const Koa = require("koa");
const { SessionManager, flash, session: current } = require("holdall");
const { sessionPlugin } = require("holdall/fastify");
const { sessionMiddleware } = require("holdall/koa");
const { PLAIN_HTTP, overDrivers, overServerDrivers, url } = require("./common.js");
const { served } = require("./serving.js");

// The handlers by their paths, as the frameworks call them: what they return is the answer.
const FRAMEWORKS = {
  async Fastify(manager, handlers, options) {
    const app = fastify({ trustProxy: true });
    await app.register(sessionPlugin, { manager, ...options });
    for (const [path, handler] of Object.entries(handlers)) {
      app.all(path, (request, reply) => {
        const say = {
          status: (status) => reply.code(status),
          redirect: (to) => reply.redirect(to),
          header: (...one) => reply.header(...one),
        };
        return handler(request, say, request.body);
      });
    }
    app.setErrorHandler((error, _request, reply) => reply.code(500).send(error.message));
    await app.ready();
    return app.server;
  },

  async Koa(manager, handlers, options) {
    const app = new Koa({ proxy: true });
    app.silent = true;
    app.use(async (ctx, next) => {
      try {
        await next();
      } catch (error) {
        ctx.status = 500;
        ctx.body = error.message;
      }
    });
    app.use(sessionMiddleware(manager, options));
    app.use(async (ctx) => {
      const say = {
        status: (status) => (ctx.status = status),
        redirect: (to) => ctx.redirect(to),
        header: (...one) => ctx.set(...one),
      };
      const chunks = [];
      for await (const chunk of ctx.req) chunks.push(chunk);
      const body = chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString());
      const handler = handlers[ctx.path];
      const answer = await handler(ctx, say, body);
      if (answer !== undefined) ctx.body = answer;
    });
    return http.createServer(app.callback());
  },
};

function started({ session }) {
  session.n = 0;
  return "started";
}

for (const [framework, make] of Object.entries(FRAMEWORKS)) {
  const on = async (t, driver, handlers, options, fields) =>
    served(t, await make(new SessionManager(url(driver), { ...PLAIN_HTTP, ...fields }), handlers, options));

  describe(framework, () => {
    overDrivers((driver) => {
      for (const offThread of [false, true]) {
        test(`keeps a session from one request to the next${offThread ? " (in a thread)" : ""}`, async (t) => {
          const handlers = {
            "/": ({ session }) => {
              session.views = (session.views ?? 0) + 1;
              session.list ??= [];
              session.list.push(session.views);
              return { views: session.views, list: session.list };
            },
            "/look": ({ session }) => ({ views: session.views ?? null }),
            "/pass": () => ({}),
            "/out": async (request) => {
              await request.session.destroy();
              return { gone: request.session === undefined };
            },
          };
          const visitor = await on(t, driver, handlers, {}, { offThread });
          assert.deepEqual(await visitor.json("/"), { views: 1, list: [1] });
          assert.deepEqual(await visitor.json("/"), { views: 2, list: [1, 2] });
          assert.deepEqual(await visitor.another().json("/look"), { views: null });
          const looked = await visitor.fetch("/look");
          assert.deepEqual([looked.headers.get("vary"), looked.headers.getSetCookie()], ["Cookie", []]);
          const passed = await visitor.fetch("/pass");
          assert.deepEqual([passed.headers.get("vary"), passed.headers.get("cache-control")], [null, null]);
          assert.deepEqual(await visitor.json("/out"), { gone: true });
          assert.equal(visitor.cookies.size, 0);
        });
      }

      test("its headers join those of the application", async (t) => {
        const visitor = await on(t, driver, {
          "/": ({ session }, say) => {
            session.a = 1;
            say.header("Vary", "Accept");
            say.header("Cache-Control", "max-age=60");
            say.header("Set-Cookie", "own=1");
            return "text";
          },
          "/stream": ({ session }, say) => {
            session.a = 2;
            say.header("Content-Type", "text/plain");
            return Readable.from(Array(100).fill("x".repeat(1000)));
          },
        });
        const { headers } = await visitor.fetch("/");
        assert.deepEqual([headers.get("vary"), headers.get("cache-control")], ["Accept, Cookie", "max-age=60, no-store"]);
        assert.deepEqual(
          headers.getSetCookie().map((line) => line.split("=")[0]),
          ["own", "sid"],
        );
        const stream = await visitor.fetch("/stream");
        assert.equal(stream.headers.getSetCookie().length, driver === "cookie" ? 1 : 0);
        assert.equal((await stream.text()).length, 100_000);
      });

      test("flash is shown once behind redirects, and the session is at hand behind a body", async (t) => {
        const visitor = await on(t, driver, {
          "/": async (_, say, body) => {
            await pause(1);
            flash("notice", body.text);
            say.redirect("/hop");
          },
          "/hop": (_, say) => {
            current();
            say.redirect("/shown");
          },
          "/shown": () => ({ notice: flash("notice") ?? null }),
        });
        const headers = { "content-type": "application/json" };
        await visitor.fetch("/", { method: "POST", headers, body: '{"text":"saved"}' });
        await visitor.fetch("/hop");
        assert.deepEqual(await visitor.json("/shown"), { notice: "saved" });
        assert.deepEqual(await visitor.json("/shown"), { notice: null });
      });

      test("an error saves nothing, and a commit that fails is one", async (t) => {
        const handlers = {
          "/throws": ({ session }) => {
            session.user = "ann";
            throw new Error("an error of the application");
          },
          "/fails": ({ session }, say) => {
            session.user = "ann";
            say.status(503);
            return "busy";
          },
          "/long": ({ session }) => {
            session.long = "x".repeat(1500);
            session.longer = "x".repeat(1500);
            return "a page that says so";
          },
          "/look": ({ session }) => ({ user: session.user ?? null, long: session.long ?? null }),
        };
        const visitor = await on(t, driver, handlers, {}, { max_record_bytes: 2000 });
        for (const [path, status, text] of [
          ["/throws", 500, /^an error of the application$/],
          ["/fails", 503, /^busy$/],
          ["/long", 500, /limit/],
        ]) {
          const response = await visitor.fetch(path);
          assert.deepEqual([response.status, response.headers.getSetCookie()], [status, []]);
          assert.match(await response.text(), text);
        }
        assert.deepEqual(await visitor.json("/look"), { user: null, long: null });
        const saving = await on(t, driver, handlers, { saveOnError: true });
        await saving.fetch("/fails");
        assert.deepEqual(await saving.json("/look"), { user: "ann", long: null });
      });

      test("whether a request came over https is the application's to know", async (t) => {
        const visitor = await on(t, driver, { "/": started }, {}, { cookie: { secure: "auto" } });
        const cookie = async (headers) => (await visitor.another().fetch("/", { headers })).headers.getSetCookie()[0];
        assert.doesNotMatch(await cookie({}), /; Secure/);
        assert.match(await cookie({ "x-forwarded-proto": "https" }), /; Secure/);
      });
    });

    overServerDrivers((driver) => {
      test("one exclusive request at a time, and a lock is free when a visitor hangs up", async (t) => {
        const events = new EventEmitter();
        const handlers = {
          "/start": started,
          "/locked": async ({ session }) => {
            const { n } = session;
            await pause(1);
            session.n = n + 1;
            return "added";
          },
          "/locked-never": async ({ session }) => {
            events.emit("held", session.n);
            await once(events, "end");
            return "late";
          },
          "/": ({ session }) => ({ n: session.n }),
        };
        const mode = (request) => (request.url.startsWith("/locked") ? "exclusive" : "shared");
        const visitor = await on(t, driver, handlers, { mode });
        await visitor.text("/start");
        await Promise.all(Array.from({ length: 20 }, () => visitor.text("/locked")));
        assert.deepEqual(await visitor.json("/"), { n: 20 });
        const held = once(events, "held");
        const hangUp = new AbortController();
        const never = visitor.fetch("/locked-never", { signal: hangUp.signal });
        await held;
        hangUp.abort();
        await assert.rejects(never);
        await visitor.text("/locked");
        events.emit("end");
        assert.deepEqual(await visitor.json("/"), { n: 21 });
      });
    });
  });
}
