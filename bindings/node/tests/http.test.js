"use strict";

// Express, Connect and plain node:http over real connections.

const assert = require("node:assert/strict");
const { once } = require("node:events");
const http2 = require("node:http2");
const { Readable } = require("node:stream");
const { test } = require("node:test");
const { setTimeout: pause } = require("node:timers/promises");
const compression = require("compression");
const connect = require("connect");
const express = require("express");
const { SessionManager, flash, session: current } = require("holdall");
const { sessionMiddleware } = require("holdall/http");
const { PLAIN_HTTP, overDrivers, url } = require("./common.js");
const { served } = require("./serving.js");

// The same over every driver, with the commit where it is called and in a thread.
function overWays(body) {
  overDrivers((driver) => {
    for (const offThread of [false, true]) {
      const manager = (fields) => new SessionManager(url(driver), { ...PLAIN_HTTP, offThread, ...fields });
      const named = (name, run) => test(`${name}${offThread ? " (in a thread)" : ""}`, run);
      // What needs locks, or a record that all requests share.
      body(manager, named, driver === "cookie" ? () => {} : named, driver);
    }
  });
}

// An Express application with the session before all that `routes` adds; errors end as their message.
function application(manager, routes, options) {
  const app = express();
  app.use(sessionMiddleware(manager, options));
  routes(app);
  app.use((error, _req, res, _next) => res.status(500).send(error.message));
  return app;
}

overWays((manager, test, serverTest, driver) => {
  test("properties are kept from one request to the next", async (t) => {
    const visitor = await served(
      t,
      application(manager(), (app) => {
        app.get("/", (req, res) => {
          req.session.views = (req.session.views ?? 0) + 1;
          req.session.seen ??= [];
          req.session.seen.push(req.session.views);
          res.json(req.session);
        });
        app.get("/forget", (req, res) => {
          delete req.session.seen;
          req.session.views = undefined;
          res.json(Object.keys(req.session));
        });
      }),
    );
    assert.deepEqual(await visitor.json("/"), { seen: [1], views: 1 });
    assert.deepEqual(await visitor.json("/"), { seen: [1, 2], views: 2 });
    assert.deepEqual(await visitor.another().json("/"), { seen: [1], views: 1 });
    assert.deepEqual(await visitor.json("/forget"), []);
    assert.deepEqual(await visitor.json("/"), { seen: [1], views: 1 });
  });

  test("a request that only looks sets no cookie, and one that does not even look says nothing", async (t) => {
    const visitor = await served(
      t,
      application(manager(), (app) => {
        app.get("/look", (req, res) => res.json(req.session.user ?? null));
        app.get("/in", (req, res) => {
          req.session.user = "ann";
          res.end();
        });
        app.get("/pass", (_req, res) => res.set("Cache-Control", "max-age=60").json(1));
      }),
    );
    const looked = await visitor.fetch("/look");
    assert.deepEqual([looked.headers.getSetCookie(), looked.headers.get("vary")], [[], "Cookie"]);
    // The browser has a cookie, so that there is something to load.
    await visitor.text("/in");
    const passed = await visitor.fetch("/pass");
    assert.deepEqual(
      [passed.headers.getSetCookie(), passed.headers.get("vary"), passed.headers.get("cache-control")],
      [[], null, "max-age=60"],
    );
  });

  test("the headers of the session join those of the application, in whichever way the head is written", async (t) => {
    const ends = {
      json: (res) => res.set("Vary", "Accept").set("Cache-Control", "max-age=60").json(1),
      end: (res) => res.appendHeader("Set-Cookie", "own=1").end("1"),
      head: (res) => {
        res.writeHead(200, { "Set-Cookie": "own=1", Vary: "Accept", "Cache-Control": "private, max-age=60" });
        res.end("1");
      },
      list: (res) => {
        res.writeHead(200, "Fine", ["Vary", "Accept", "Cache-Control", "public"]);
        res.end("1");
      },
      flush: (res) => {
        res.flushHeaders();
        setTimeout(() => res.end("1"), 5);
      },
      write: (res) => {
        res.write("1");
        res.write("2");
        res.end("3");
      },
      pipe: (res) => Readable.from(Array(2000).fill("x".repeat(1000))).pipe(res),
      redirect: (res) => res.redirect("/elsewhere"),
      star: (res) => res.set("Vary", "*").end("1"),
    };
    const visitor = await served(
      t,
      application(manager(), (app) => {
        app.get("/:way", (req, res) => {
          req.session.way = req.params.way;
          ends[req.params.way](res);
        });
        app.get("/is/it", (req, res) => res.json(req.session.way));
      }),
    );
    const varies = {
      json: "Accept, Cookie",
      head: "Accept, Cookie",
      list: "Accept, Cookie",
      redirect: "Accept, Cookie",
      star: "*",
    };
    const caches = { json: "max-age=60, no-store", head: "private, max-age=60", list: "public, no-store" };
    for (const way of Object.keys(ends)) {
      visitor.cookies.clear();
      const response = await visitor.fetch(`/${way}`);
      const text = await response.text();
      assert.equal(response.status, way === "redirect" ? 302 : 200);
      const cookies = response.headers.getSetCookie();
      assert.equal(cookies.filter((line) => /^sid=[\w-]+; Path=\/; HttpOnly; SameSite=Lax$/.test(line)).length, 1, way);
      assert.equal(cookies.includes("own=1"), way === "end" || way === "head");
      assert.equal(response.headers.get("vary"), varies[way] ?? "Cookie", way);
      assert.equal(response.headers.get("cache-control"), caches[way] ?? "no-store", way);
      if (way === "pipe") assert.equal(text.length, 2_000_000);
      if (way === "write") assert.equal(text, "123");
      assert.equal(await visitor.json("/is/it"), way);
    }
  });

  test("regenerate, destroy, save, reload, touch and cookie, as in express-session", async (t) => {
    const visitor = await served(
      t,
      application(manager(), (app) => {
        app.get("/in", (req, res, next) => {
          const before = req.session.id;
          req.session.old = 1;
          req.session.regenerate((error) => {
            if (error) return next(error);
            req.session.user = "ann";
            // As many do, though nobody needs to.
            req.session.save((error) => (error ? next(error) : res.json([before !== req.session.id, req.session.old ?? null])));
          });
        });
        app.get("/", (req, res) => res.json([req.session.id, req.session.user ?? null]));
        app.get("/out", (req, res, next) =>
          req.session.destroy((error) => (error ? next(error) : res.json(req.session === undefined))),
        );
        app.get("/save", async (req, res) => {
          req.session.user = "bob";
          await req.session.save();
          req.session.more = 1;
          res.json(req.session);
        });
        app.get("/reload", async (req, res) => {
          req.session.user = "eve";
          await req.session.reload();
          res.json(req.session.user ?? null);
        });
        app.get("/keep", (req, res) => {
          const { cookie } = req.session;
          const before = [cookie.maxAge, cookie.expires, cookie.httpOnly, cookie.path, cookie.sameSite, cookie.secure];
          req.session.touch().resetMaxAge().cookie.maxAge = 60_000;
          res.json([...before, req.session.cookie.maxAge, req.session.cookie.originalMaxAge]);
        });
        app.get("/session-cookie", (req, res) => {
          req.session.cookie.expires = null;
          res.json(req.session.cookie.maxAge);
        });
      }),
    );
    const old = visitor.copy();
    assert.deepEqual(await visitor.json("/in"), [true, null]);
    const [id, user] = await visitor.json("/");
    assert.equal(user, "ann");
    if (driver !== "cookie") assert.equal(visitor.cookies.get("sid"), id);
    assert.deepEqual((await old.json("/"))[1], null);
    assert.deepEqual(await visitor.json("/save"), { more: 1, user: "bob" });
    assert.equal(await visitor.json("/reload"), "bob");
    assert.deepEqual(await visitor.json("/"), [id, "bob"]);

    const kept = await visitor.fetch("/keep");
    assert.match(kept.headers.getSetCookie()[0], /; Max-Age=60$/);
    assert.deepEqual(await kept.json(), [null, null, true, "/", "lax", false, 60_000, 60_000]);
    const again = await visitor.fetch("/session-cookie");
    assert.doesNotMatch(again.headers.getSetCookie()[0], /Max-Age/);

    const stolen = visitor.copy();
    const out = await visitor.fetch("/out");
    assert.deepEqual([await out.json(), visitor.cookies.size], [true, 0]);
    assert.match(out.headers.getSetCookie()[0], /^sid=; .*; Max-Age=0;/);
    // What is in the browser cannot be called back.
    assert.equal((await stolen.json("/"))[1], driver === "cookie" ? "bob" : null);
    // A first visit that saves in the middle: one cookie, and all of it is there.
    const fresh = visitor.another();
    assert.equal((await fresh.fetch("/save")).headers.getSetCookie().length, 1);
    assert.equal((await fresh.json("/"))[1], "bob");
  });

  test("flash is shown once, and a redirect does not use it up", async (t) => {
    const visitor = await served(
      t,
      application(manager(), (app) => {
        app.post("/", (_req, res) => {
          flash("notice", "saved");
          res.redirect("/hop");
        });
        app.get("/hop", (_req, res) => {
          current();
          res.redirect("/shown");
        });
        app.get("/shown", (_req, res) => res.json(flash("notice") ?? null));
      }),
    );
    await visitor.fetch("/", { method: "POST" });
    await visitor.fetch("/hop");
    await visitor.fetch("/shown", { method: "HEAD" });
    await visitor.fetch("/shown", { headers: { "sec-purpose": "prefetch" } });
    assert.equal(await visitor.json("/shown"), "saved");
    assert.equal(await visitor.json("/shown"), null);
  });

  serverTest("parallel requests lose nothing of each other", async (t) => {
    const visitor = await served(
      t,
      application(manager(), (app) => {
        app.get("/start", (req, res) => {
          req.session.list = [];
          res.end();
        });
        app.get("/add/:n", async (req, res) => {
          req.session[`key${req.params.n}`] = 1;
          await pause(1);
          req.session.list.push(Number(req.params.n));
          req.session.holdall.increment("n");
          res.end();
        });
        app.get("/all", (req, res) => res.json(req.session));
      }),
    );
    await visitor.text("/start");
    await Promise.all(Array.from({ length: 40 }, (_, n) => visitor.text(`/add/${n}`)));
    const all = await visitor.json("/all");
    assert.equal(all.n, 40);
    assert.deepEqual(
      all.list.sort((a, b) => a - b),
      Array.from({ length: 40 }, (_, n) => n),
    );
    assert.equal(Object.keys(all).filter((key) => key.startsWith("key")).length, 40);
  });

  serverTest("one exclusive request at a time, and a lock is free when a visitor hangs up or an error is answered", async (t) => {
    const shop = manager();
    const app = application(
      shop,
      (app) => {
        app.get("/start", (req, res) => {
          req.session.n = 0;
          res.end();
        });
        app.get("/locked/add", async (req, res) => {
          const { n } = req.session;
          await pause(1);
          req.session.n = n + 1;
          res.end();
        });
        app.get("/locked/never", (req) => {
          // Held, so that it is not the garbage collection that gives the lock back.
          app.locals.held = req;
          app.emit("held", req.session.id);
        });
        app.get("/locked/error", () => {
          throw new Error("an error of the application");
        });
        app.get("/", (req, res) => res.json(req.session.n));
      },
      { mode: (req) => (req.url.startsWith("/locked") ? "exclusive" : "shared") },
    );
    const visitor = await served(t, app);
    await visitor.text("/start");
    await Promise.all(Array.from({ length: 20 }, () => visitor.text("/locked/add")));
    assert.equal(await visitor.json("/"), 20);
    assert.equal((await visitor.fetch("/locked/error")).status, 500);
    const held = once(app, "held");
    const hangUp = new AbortController();
    const never = visitor.fetch("/locked/never", { signal: hangUp.signal });
    await held;
    hangUp.abort();
    await assert.rejects(never);
    await visitor.text("/locked/add");
    assert.equal(await visitor.json("/"), 21);
  });

  test("an error of the application saves nothing, unless it is asked to", async (t) => {
    const routes = (app) => {
      app.get("/fails", (req) => {
        req.session.user = "ann";
        throw new Error("an error of the application");
      });
      app.get("/", (req, res) => res.json(req.session.user ?? null));
    };
    for (const saveOnError of [false, true]) {
      const visitor = await served(t, application(manager(), routes, { saveOnError }));
      const failed = await visitor.fetch("/fails");
      assert.deepEqual([failed.status, await failed.text()], [500, "an error of the application"]);
      assert.equal(failed.headers.getSetCookie().length, saveOnError ? 1 : 0);
      assert.equal(failed.headers.get("vary"), "Cookie");
      assert.equal(await visitor.json("/"), saveOnError ? "ann" : null);
    }
  });

  // What it said was lost: the visitor of a new session had no cookie, and one whose id had changed kept the old one.
  test("what the application has committed itself reaches the browser, also with an error", async (t) => {
    const visitor = await served(
      t,
      application(manager(), (app) => {
        const endings = {
          page: (res) => res.send("saved"),
          error: (res) => res.status(500).send("saved"),
        };
        app.get("/commit/:ending", async (req, res) => {
          req.session.user = "ann";
          const { outcome } = await req.session.holdall.commit();
          endings[req.params.ending](res.set("Outcome", outcome));
        });
        app.get("/save/:ending", async (req, res) => {
          req.session.user = "ann";
          await req.session.save();
          endings[req.params.ending](res);
        });
        app.get("/destroy/:ending", async (req, res) => {
          await req.session.destroy();
          endings[req.params.ending](res);
        });
        app.get("/close/:ending", (req, res) => {
          req.session.user = "eve";
          req.session.holdall.close();
          endings[req.params.ending](res);
        });
        app.get("/", (req, res) => res.json(req.session.user ?? null));
      }),
    );
    const said = ({ headers }) => [headers.getSetCookie().length, headers.get("vary"), headers.get("cache-control")];
    for (const ending of ["page", "error"]) {
      for (const way of ["commit", "save"]) {
        visitor.cookies.clear();
        const response = await visitor.fetch(`/${way}/${ending}`);
        assert.equal(response.status, ending === "page" ? 200 : 500);
        assert.equal(response.headers.get("outcome"), way === "commit" ? "saved" : null);
        assert.deepEqual(said(response), [1, "Cookie", "no-store"], `${way} ${ending}`);
        assert.equal(await visitor.json("/"), "ann");
        // Nothing new, and made from the session all the same.
        const again = await visitor.fetch(`/${way}/${ending}`);
        assert.equal(again.headers.get("vary"), "Cookie", `${way} ${ending}`);
      }
      const closed = await visitor.fetch(`/close/${ending}`);
      assert.deepEqual([await closed.text(), ...said(closed)], ["saved", 0, "Cookie", null]);
      assert.equal(await visitor.json("/"), "ann");
      const destroyed = await visitor.fetch(`/destroy/${ending}`);
      assert.match(destroyed.headers.getSetCookie()[0], /^sid=; .*; Max-Age=0;/);
      assert.equal(await visitor.json("/"), null);
    }
  });

  test("a commit that fails becomes an error of the application, and nothing of its answer leaves", async (t) => {
    const ends = {
      json: (res) => res.json({ stored: "a page that says so" }),
      stream: async (res) => {
        res.set("Content-Type", "text/csv");
        res.write("a page ");
        await pause(5);
        res.write("that says ");
        res.end("so");
      },
      head: (res) => {
        res.writeHead(200, { ETag: "1", "Content-Length": 1000 });
        res.end("a page that says so");
      },
    };
    const visitor = await served(
      t,
      application(manager({ max_record_bytes: 2000 }), (app) => {
        app.get("/ok", (req, res) => {
          req.session.ok = 1;
          res.end();
        });
        app.get("/:way", (req, res) => {
          req.session.a = "x".repeat(1500);
          req.session.b = "x".repeat(1500);
          return ends[req.params.way](res);
        });
        app.get("/is/it", (req, res) => res.json(req.session));
      }),
    );
    await visitor.text("/ok");
    for (const way of Object.keys(ends)) {
      const response = await visitor.fetch(`/${way}`);
      assert.equal(response.status, 500);
      assert.match(await response.text(), /the limit is 2000/);
      assert.deepEqual(await visitor.json("/is/it"), { ok: 1 });
    }
  });

  test("names of the session itself and of prototypes are no data", async (t) => {
    const visitor = await served(
      t,
      application(manager(), (app) => {
        app.use(express.json());
        app.post("/set", (req, res) => {
          for (const [key, value] of Object.entries(req.body)) req.session[key] = value;
          res.json(1);
        });
        app.post("/deep", (req, res) => {
          req.session.deep = req.body;
          res.json([req.session.isAdmin ?? null, {}.isAdmin ?? null]);
        });
        app.get("/", (req, res) => {
          const copy = Object.assign({}, req.session);
          const found = [req.session.isAdmin, copy.isAdmin, { ...req.session }.isAdmin, {}.isAdmin, JSON.stringify(req.session)];
          res.json([...found.map((one) => one ?? null), typeof req.session.hasOwnProperty, "isAdmin" in req.session]);
        });
        app.get("/raw", (req, res) => {
          req.session.holdall.setJson("__proto__", '{"isAdmin":true}');
          const keys = [Object.keys(req.session), Object.keys(JSON.parse(JSON.stringify(req.session)))];
          res.json([req.session.isAdmin ?? null, ...keys, Object.assign({}, req.session).isAdmin ?? null]);
        });
      }),
    );
    const post = (path, body) => visitor.fetch(path, { method: "POST", body, headers: { "content-type": "application/json" } });
    for (const key of ["__proto__", "id", "cookie", "save", "destroy", "holdall", "toJSON"]) {
      const refused = await post("/set", `{"${key}":{"isAdmin":true}}`);
      assert.equal(refused.status, 500);
      assert.ok((await refused.text()).includes(key));
    }
    await post("/set", '{"constructor":{"prototype":{"isAdmin":true}},"ok":1}');
    assert.deepEqual(await (await post("/deep", '{"__proto__":{"isAdmin":true}}')).json(), [null, null]);
    const text = '{"constructor":{"prototype":{"isAdmin":true}},"deep":{"__proto__":{"isAdmin":true}},"ok":1}';
    assert.deepEqual(await visitor.json("/"), [null, null, null, null, text, "function", false]);
    assert.deepEqual(await visitor.json("/raw"), [null, ["constructor", "deep", "ok"], ["constructor", "deep", "ok"], null]);
  });

  test("the session is at hand behind a body parser, too, and each request has its own", async (t) => {
    const visitor = await served(
      t,
      application(
        manager(),
        (app) => {
          app.use(express.json());
          app.post("/", async (req, res) => {
            current().set("name", req.body.name);
            await pause(1);
            res.json([current("name"), current() === req.session.holdall]);
          });
        },
        { mode: (req) => (req.headers["x-exclusive"] && driver !== "cookie" ? "exclusive" : "shared") },
      ),
    );
    const ask = async (name, number) => {
      const headers = { "content-type": "application/json", ...(number % 2 && { "x-exclusive": "1" }) };
      return visitor.another().json("/", { method: "POST", body: JSON.stringify({ name }), headers });
    };
    const names = Array.from({ length: 20 }, (_, n) => `visitor ${n}`);
    assert.deepEqual(
      await Promise.all(names.map(ask)),
      names.map((name) => [name, true]),
    );
  });

  serverTest("a response waits for the lock of another request, and its streams wait with it", async (t) => {
    const shop = manager();
    const calls = [];
    const visitor = await served(
      t,
      application(shop, (app) => {
        // Somebody behind the session who looks at what is written.
        app.use((_req, res, next) => {
          for (const name of ["writeHead", "write", "end"]) {
            const method = res[name];
            res[name] = (...given) => {
              calls.push(name);
              return method.apply(res, given);
            };
          }
          next();
        });
        app.get("/in", (req, res) => {
          req.session.n = 0;
          res.send(req.session.id);
        });
        app.get("/add", (req, res) => {
          req.session.n += 1;
          res.writeHead(200, { "Content-Type": "text/plain" });
          assert.equal(res.write("first "), true);
          assert.equal(res.write("x".repeat(100_000)), false);
          res.once("drain", () => res.end(" last"));
        });
        app.get("/", (req, res) => res.json(req.session.n));
      }),
    );
    const id = await visitor.text("/in");
    const holder = await shop.openToken(id, { mode: "exclusive" });
    calls.length = 0;
    let isAnswered = false;
    const answer = visitor.fetch("/add").then((response) => {
      isAnswered = true;
      return response;
    });
    while (calls.length < 2) await pause(1);
    await pause(20);
    assert.equal(isAnswered, false);
    holder.close();
    const response = await answer;
    assert.equal(await response.text(), `first ${"x".repeat(100_000)} last`);
    assert.deepEqual([response.headers.get("content-type"), response.headers.get("vary")], ["text/plain", "Cookie"]);
    // Each of the application's calls has passed once.
    assert.deepEqual(calls, ["writeHead", "write", "write", "end"]);
    assert.equal(await visitor.json("/"), 1);
  });

  serverTest("a response that waits has its head, whatever the application does next", async (t) => {
    const shop = manager();
    const seen = {};
    const arrived = {};
    for (const order of [0, 1, 2]) {
      const app = express();
      app.set("env", "test");
      const both = [sessionMiddleware(shop), ...(order === 0 ? [] : [compression({ threshold: 0 })])];
      app.use(...(order === 1 ? both.reverse() : both));
      app.get("/in", (req, res) => {
        req.session.n = 0;
        res.send(req.session.id);
      });
      const ways = {
        sent(_req, res) {
          res.status(201).send("the answer");
          res.statusCode = 404;
          seen.sent = res.headersSent;
          assert.throws(() => res.send("another answer"), { code: "ERR_HTTP_HEADERS_SENT" });
          assert.throws(() => res.removeHeader("Content-Length"), { code: "ERR_HTTP_HEADERS_SENT" });
        },
        written(_req, res) {
          res.status(201);
          for (const part of ["the ", "ans", "wer"]) res.write(part);
          res.end();
        },
        piped(_req, res) {
          res.status(201);
          Readable.from(["the ", "answer"]).pipe(res);
        },
        file(_req, res) {
          res.status(201).sendFile(__filename);
        },
      };
      app.get("/:way", (req, res) => {
        req.session.n += 1;
        ways[req.params.way](req, res);
        setImmediate(arrived.done);
      });
      const visitor = await served(t, app);
      const id = await visitor.text("/in");
      for (const way of Object.keys(ways)) {
        const holder = await shop.openToken(id, { mode: "exclusive" });
        const here = new Promise((resolve) => (arrived.done = resolve));
        const answer = visitor.fetch(`/${way}`);
        await here;
        await pause(5);
        holder.close();
        const response = await answer;
        const text = await response.text();
        assert.equal(response.status, 201, way);
        if (way === "file") assert.ok(text.startsWith('"use strict"') && text.endsWith("});\n"));
        else assert.equal(text, "the answer", way);
      }
      assert.equal(seen.sent, true);
    }
  });

  test("what nobody has awaited is done before the response leaves, and its cookie is in it", async (t) => {
    const failed = [];
    const visitor = await served(
      t,
      application(manager(), (app) => {
        const ways = {
          save: ({ session }) => session.save((error) => error && failed.push(error)),
          "save-twice": ({ session }) => [session.save(), session.save()],
          commit: ({ session }) => session.holdall.commit(),
          "commit-twice": async ({ session }) => [await session.holdall.commit(), await session.holdall.commit()],
          "save-500": ({ session }, res) => [session.save(), res.status(500)],
          destroy: ({ session }) => [session.destroy()],
          "save-destroy": ({ session }) => [session.save(), session.destroy()],
          "reload-destroy": ({ session }) => [session.reload(), session.destroy()],
          "destroy-500": ({ session }, res) => [session.destroy(), res.status(500)],
        };
        app.get("/", (req, res) => res.json(req.session.user ?? null));
        app.get("/:way", async (req, res) => {
          req.session.user = "ann";
          const done = ways[req.params.way](req, res);
          if (req.params.way === "commit-twice") await done;
          res.send("ok");
        });
      }),
    );
    for (const way of ["save", "save-twice", "commit", "commit-twice", "save-500"]) {
      const one = visitor.another();
      assert.equal(await one.text(`/${way}`), "ok", way);
      assert.equal(await one.json("/"), "ann", way);
    }
    for (const way of ["destroy", "save-destroy", "reload-destroy", "destroy-500"]) {
      const one = visitor.another();
      await one.text("/save");
      const before = one.copy();
      assert.equal(await one.text(`/${way}`), "ok", way);
      assert.equal(one.cookies.size, 0, way);
      if (driver !== "cookie") assert.equal(await before.json("/"), null, way);
    }
    assert.deepEqual(failed, []);
  });

  serverTest("who was saved in the middle and has moved since gets no cookie", async (t) => {
    const shop = manager();
    const visitor = await served(
      t,
      application(shop, (app) => {
        app.get("/", async (req, res) => {
          req.session.n = 1;
          await req.session.save();
          const other = await shop.openToken(req.session.id);
          other.regenerate();
          await other.commit();
          req.session.n = 2;
          res.end();
        });
      }),
    );
    assert.deepEqual((await visitor.fetch("/")).headers.getSetCookie(), []);
  });

  serverTest("a logout is not undone by a slower request", async (t) => {
    let go;
    const app = application(manager(), (app) => {
      app.get("/in", (req, res) => {
        req.session.user = "ann";
        res.end();
      });
      app.get("/slow", async (req, res) => {
        req.session.seen = req.session.user;
        app.emit("slow");
        await new Promise((resolve) => (go = resolve));
        res.end();
      });
      app.get("/out", async (req, res) => {
        await req.session.destroy();
        res.end();
      });
      app.get("/", (req, res) => res.json(req.session.user ?? null));
    });
    const visitor = await served(t, app);
    await visitor.text("/in");
    const browser = visitor.copy();
    const begun = once(app, "slow");
    const slow = visitor.fetch("/slow");
    await begun;
    await browser.text("/out");
    go();
    assert.match((await slow).headers.getSetCookie()[0], /Max-Age=0/);
    assert.equal(await visitor.json("/"), null);
  });

  test("a session that was saved in the middle of a request takes as many cookies as it needs at the end", async (t) => {
    const visitor = await served(
      t,
      application(
        manager(driver === "cookie" && { drivers: { main: { type: "cookie", overflow: "chunk" } }, url: null }),
        (app) => {
          app.get("/", async (req, res) => {
            req.session.long = "x".repeat(6000);
            await req.session.save();
            const { length } = req.session.long;
            req.session.long = req.query.long ? "y".repeat(5000) : "y";
            res.json([length, req.session.long[0]]);
          });
          app.get("/look", (req, res) => res.json(req.session.long.length));
        },
      ),
    );
    for (const [path, length] of [
      ["/?long=1", 5000],
      ["/", 1],
    ]) {
      assert.deepEqual(await visitor.json(path), [6000, "y"]);
      assert.equal(await visitor.json("/look"), length);
      assert.equal(visitor.cookies.size > 1, driver === "cookie" && length > 1);
    }
  });

  test("two sessions in one request, and two middlewares of one", async (t) => {
    const main = manager({ cookie: { secure: false, name: "main" } });
    const app = express();
    app.use(sessionMiddleware(main));
    app.use(sessionMiddleware(main));
    app.use(sessionMiddleware(manager({ cookie: { secure: false, name: "cart" } }), { property: "cart" }));
    app.get("/", (req, res) => {
      req.session.n = (req.session.n ?? 0) + 1;
      req.cart.n = (req.cart.n ?? 10) + 1;
      res.json([req.session.n, req.cart.n]);
    });
    const visitor = await served(t, app);
    assert.deepEqual(await visitor.json("/"), [1, 11]);
    assert.deepEqual([...visitor.cookies.keys()].sort(), ["cart", "main"]);
    assert.deepEqual(await visitor.json("/"), [2, 12]);
  });

  test("beside a middleware that writes itself, before it and behind it", async (t) => {
    for (const order of [0, 1]) {
      const app = express();
      const both = [compression({ threshold: 0 }), sessionMiddleware(manager())];
      if (order) both.reverse();
      app.use(...both);
      app.get("/", (req, res) => {
        req.session.n = (req.session.n ?? 0) + 1;
        res.type("text").send(`${req.session.n} ${"x".repeat(5000)}`);
      });
      const visitor = await served(t, app);
      for (const n of [1, 2]) {
        const response = await visitor.fetch("/");
        assert.equal(response.headers.get("content-encoding"), "gzip");
        assert.ok((await response.text()).startsWith(`${n} xxx`));
      }
    }
  });

  test("mounted twice, with the session destroyed in between, it is gone all the same", async (t) => {
    const session = sessionMiddleware(manager());
    const app = express();
    app.use(session);
    app.get("/in", (req, res) => {
      req.session.user = "ann";
      res.send("in");
    });
    const out = (req, _res, next) => req.session.destroy((error) => next(error));
    app.get("/out", out, session, (req, res) => res.json(req.session === undefined));
    const visitor = await served(t, app);
    await visitor.text("/in");
    assert.equal(await visitor.json("/out"), true);
    assert.equal(visitor.cookies.size, 0);
  });

  test("Connect and plain node:http", async (t) => {
    const count = (req, res) => {
      req.session.n = (req.session.n ?? 0) + 1;
      res.end(String(req.session.n));
    };
    const inConnect = connect().use(sessionMiddleware(manager())).use(count);
    const session = sessionMiddleware(manager());
    const plain = (req, res) => session(req, res, (error) => (error ? res.end(String(error)) : count(req, res)));
    for (const listener of [inConnect, plain]) {
      const visitor = await served(t, listener);
      for (const n of ["1", "2", "3"]) assert.equal(await visitor.text("/"), n);
    }
  });

  test("whether a request came over https is the application's to know", async (t) => {
    const app = application(manager({ cookie: { secure: "auto" } }), (app) => {
      app.set("trust proxy", "loopback");
      app.get("/", (req, res) => {
        req.session.n = 1;
        res.end();
      });
    });
    const visitor = await served(t, app);
    const cookie = async (headers) => (await visitor.another().fetch("/", { headers })).headers.getSetCookie()[0];
    assert.doesNotMatch(await cookie({}), /; Secure/);
    assert.match(await cookie({ "x-forwarded-proto": "https" }), /; Secure/);
  });
});

test("HTTP/2, through the compatibility interface of node:http2", async (t) => {
  const attach = sessionMiddleware(new SessionManager("memory:", PLAIN_HTTP));
  const server = http2.createServer((req, res) =>
    attach(req, res, (error) => {
      if (error) return res.writeHead(500).end(error.code);
      req.session.views = (req.session.views ?? 0) + 1;
      if (req.url === "/parts") res.write("");
      if (req.url === "/out") return req.session.destroy(() => res.end("out"));
      res.end(String(req.session.views));
    }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = http2.connect(`http://127.0.0.1:${server.address().port}`);
  t.after(() => {
    client.close();
    server.close();
  });
  const ask = async (path, cookie) => {
    const stream = client.request({ ":path": path, ...(cookie && { cookie }) });
    const [headers] = await once(stream, "response");
    let body = "";
    for await (const chunk of stream.setEncoding("utf8")) body += chunk;
    return { headers, body };
  };
  const { headers, body } = await ask("/");
  assert.equal(body, "1");
  const [line] = headers["set-cookie"];
  assert.match(line, /^sid=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/);
  assert.deepEqual([headers.vary, headers["cache-control"]], ["Cookie", "no-store"]);
  // Browsers send each cookie as a header of its own, and Node joins them.
  const cookie = ["a=b", line.split(";")[0]];
  assert.equal((await ask("/parts", cookie)).body, "2");
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask("/parts", cookie)));
  assert.ok(answers.every(({ headers }) => headers[":status"] === 200));
  assert.match((await ask("/out", cookie)).headers["set-cookie"][0], /^sid=; .*Max-Age=0/);
  assert.equal((await ask("/", cookie)).body, "1");
});
