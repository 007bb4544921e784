"use strict";

// Koa: a session in `ctx.session`. Commits when the middleware behind it has made the response.

const { current } = require("./context.js");
const { Exchange, managerOf, modeOf, putHeaders } = require("./exchange.js");

const WORDS = {
  get: (ctx, name) => ctx.response.get(name) || undefined,
  set: (ctx, name, value) => ctx.set(name, value),
  add: (ctx, name, value) => ctx.append(name, value),
};

function sessionMiddleware(config, { property = "session", mode, saveOnError = false } = {}) {
  const manager = managerOf(config);
  return async function holdallSession(ctx, next) {
    const exchange = new Exchange(manager, ctx.headers.cookie, { mode: modeOf(mode, ctx), secure: ctx.secure });
    // The visitor has gone, or the response has: a session that nobody ended is not saved, and its lock is free.
    ctx.res.once("close", () => exchange.leave());
    await exchange.open();
    exchange.showIn(ctx, property);
    await current.run(exchange, next);
    // Where the application has answered by itself it is too late.
    if (ctx.headerSent) return;
    putHeaders(await exchange.end(ctx, ctx.status, saveOnError), ctx, WORDS);
  };
}

module.exports = { sessionMiddleware };
