"use strict";

// One application behind each of the adapters, for the tests over HTTP and the gauntlet. What a request does is a function, of the session in
// the words of its adapter and of the request's path.

const http = require("node:http");
const { promisify } = require("node:util");
const { SessionManager, session } = require("holdall");

// `request.session` of Express, node:http, Fastify and Koa.
class Properties {
  constructor(request) {
    this.request = request;
  }

  get shown() {
    return this.request.session;
  }

  // The engine's session, which knows what became of it.
  get engine() {
    return this.shown?.holdall;
  }

  get(key) {
    return this.shown?.[key];
  }

  has(key) {
    return key in this.shown;
  }

  set(key, value) {
    this.shown[key] = value;
  }

  delete(key) {
    delete this.shown[key];
  }

  all() {
    return { ...this.shown };
  }

  add(key, n) {
    return this.engine.increment(key, n);
  }

  flash(key, value) {
    this.engine.flash(key, value);
  }

  flashed(key) {
    return this.get(key);
  }

  clear() {
    this.engine.flush();
  }

  renew() {
    this.engine.regenerate();
  }

  end() {
    return this.shown.destroy();
  }

  // Who signs in as somebody else.
  anew() {
    return this.shown.regenerate();
  }
}

// `req.session` of express-session itself, over the store.
class Stored extends Properties {
  get engine() {
    return undefined;
  }

  all() {
    const { cookie, ...data } = this.shown ?? {};
    return data;
  }

  add(key, n) {
    this.shown[key] = (this.shown[key] ?? 0) + n;
    return this.shown[key];
  }

  clear() {
    for (const key of Object.keys(this.all())) delete this.shown[key];
  }

  // As after signing in: express-session's own call has no data left.
  async renew() {
    const data = this.all();
    await this.anew();
    Object.assign(this.shown, data);
  }

  end() {
    return promisify(this.shown.destroy.bind(this.shown))();
  }

  anew() {
    return promisify(this.shown.regenerate.bind(this.shown))();
  }
}

// The service of Northle, and for what it has no words the engine's session.
class Service {
  constructor(service) {
    this.service = service;
  }

  get engine() {
    return session();
  }

  get(key) {
    return this.service.get(key);
  }

  has(key) {
    return this.service.has(key);
  }

  set(key, value) {
    this.service.set(key, value);
  }

  delete(key) {
    this.service.delete(key);
  }

  // Without Northle's own.
  all() {
    return Object.fromEntries(Object.entries(this.service.all()).filter(([key]) => !key.startsWith("_")));
  }

  add(key, n) {
    return this.service.increment(key, n, 0);
  }

  flash(key, value) {
    this.service.flash(key, value);
  }

  flashed(key) {
    return this.service.flash(key);
  }

  clear() {
    this.engine.flush();
  }

  renew() {
    this.engine.regenerate();
  }

  end() {
    return this.service.destroy();
  }

  anew() {
    this.engine.invalidate();
  }
}

// `req.session()` of Lunox.
class Macro {
  constructor(request) {
    this.own = request.session();
  }

  get engine() {
    return this.own.holdall;
  }

  get(key) {
    return this.own.isStarted() ? this.own.get(key) : undefined;
  }

  has(key) {
    return this.own.exists(key);
  }

  set(key, value) {
    this.own.put(key, value);
  }

  delete(key) {
    this.own.forget(key);
  }

  all() {
    return this.own.all();
  }

  add(key, n) {
    return this.engine.increment(key, n);
  }

  flash(key, value) {
    this.own.flash(key, value);
  }

  flashed(key) {
    return this.own.get(key);
  }

  clear() {
    return this.own.flush();
  }

  renew() {
    return this.own.migrate();
  }

  end() {
    return this.engine.destroy();
  }

  anew() {
    this.engine.invalidate();
  }
}

// By its name: a server, which loads nothing of the others, and the manager behind it. `flash`: how long a message lasts there;
// `showsFlash`: whether all that there is has it, too.
const ADAPTERS = {
  http: {
    flash: "next_request",
    showsFlash: true,
    async make(config, answer) {
      const { sessionMiddleware } = require("holdall/http");
      const manager = new SessionManager(config);
      const attach = sessionMiddleware(manager);
      const server = http.createServer((req, res) => {
        const failed = (error) => res.writeHead(500).end(String(error?.code ?? error));
        attach(req, res, async (error) => {
          if (error) return failed(error);
          try {
            res.end(JSON.stringify(await answer(new Properties(req), req.url)));
          } catch (error) {
            failed(error);
          }
        });
      });
      return { server, manager };
    },
  },

  express: {
    flash: "next_request",
    showsFlash: true,
    async make(config, answer) {
      const express = require("express");
      const { sessionMiddleware } = require("holdall/http");
      const manager = new SessionManager(config);
      const app = express();
      app.use(sessionMiddleware(manager));
      app.use(async (req, res) => res.json(await answer(new Properties(req), req.url)));
      return { server: http.createServer(quiet(app)), manager };
    },
  },

  fastify: {
    flash: "next_request",
    showsFlash: true,
    async make(config, answer) {
      const { sessionPlugin } = require("holdall/fastify");
      const manager = new SessionManager(config);
      const app = require("fastify")();
      await app.register(sessionPlugin, { manager });
      app.all("/*", async (request, reply) => {
        reply.header("content-type", "application/json");
        return JSON.stringify(await answer(new Properties(request), request.url));
      });
      await app.ready();
      return { server: app.server, manager };
    },
  },

  koa: {
    flash: "next_request",
    showsFlash: true,
    async make(config, answer) {
      const Koa = require("koa");
      const { sessionMiddleware } = require("holdall/koa");
      const manager = new SessionManager(config);
      const app = new Koa();
      app.silent = true;
      app.use(sessionMiddleware(manager));
      app.use(async (ctx) => {
        ctx.body = JSON.stringify(await answer(new Properties(ctx), ctx.url));
      });
      return { server: http.createServer(app.callback()), manager };
    },
  },

  "express-session": {
    async make(config, answer) {
      const express = require("express");
      const expressSession = require("express-session");
      const { HoldallStore } = require("holdall/express-session");
      const { cookie: _, ...keeps } = config;
      const store = new HoldallStore(keeps);
      const app = express();
      app.use(expressSession({ store, secret: "keyboard cat", resave: false, saveUninitialized: false }));
      app.use(async (req, res) => res.json(await answer(new Stored(req), req.url)));
      return { server: http.createServer(quiet(app)), manager: store.manager };
    },
  },

  // Its server is that of northle.test.js, without what Northle itself puts into the session.
  northle: {
    flash: "on_read",
    async make(config, answer) {
      const { sessionService } = require("holdall/northle");
      const manager = new SessionManager(config);
      const service = sessionService({}, manager);
      const app = require("fastify")();
      app.addHook("onRequest", async (request, reply) => {
        service.$setRequest(request);
        service.$setResponse(reply);
        await service.$setup();
      });
      app.addHook("onResponse", async () => service.$saveSessionData());
      app.all("/*", async (request, reply) => {
        reply.header("content-type", "application/json");
        return JSON.stringify(await answer(new Service(service), request.url));
      });
      await app.ready();
      return { server: app.server, manager };
    },
  },

  // One a process: so is Lunox.
  lunox: {
    flash: "explicit",
    async make(config, answer) {
      lunox.answer = (request) => answer(new Macro(request), request.getOriginalRequest().url);
      process.env.LUNOX_SESSION = JSON.stringify(asLunox(config));
      const { start } = await import("./lunox/start.mjs");
      return { server: await start(), manager: undefined };
    },
  },
};

// What lunox/config/app.mjs asks.
const lunox = { answer: undefined };

// As config/session has it.
function asLunox({ url, keys, cookie = {} }) {
  const [driver, files] = url.startsWith("file://") ? ["file", url.slice("file://".length)] : [url.split(":")[0], undefined];
  const { name = "__Host-sid", secure = true } = cookie;
  return { driver, files, keys, cookie: name, secure };
}

// An error is one of the test's.
function quiet(app) {
  app.use((error, _req, res, _next) => res.status(500).send(String(error?.code ?? error)));
  return app;
}

module.exports = { ADAPTERS, lunox };
