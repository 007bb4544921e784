"use strict";

// Fastify: a session in `request.session`. Commits before the head of the reply leaves.

const fastifyPlugin = require("fastify-plugin");
const { current } = require("./context.js");
const { Exchange, managerOf, modeOf, putHeaders } = require("./exchange.js");

const WORDS = {
  get: (reply, name) => reply.getHeader(name),
  set: (reply, name, value) => reply.header(name, value),
  // Fastify adds to Set-Cookie, and replaces others.
  add: (reply, name, value) => reply.header(name, value),
};

async function register(fastify, { manager: config, property = "session", mode, saveOnError = false }) {
  const manager = managerOf(config);
  const exchanges = new WeakMap();
  fastify.decorateRequest(property, undefined);

  fastify.addHook("onRequest", async (request, reply) => {
    const exchange = new Exchange(manager, request.headers.cookie, {
      mode: modeOf(mode, request),
      secure: request.protocol === "https",
    });
    // The visitor has gone, or the reply was taken over: a session that nobody ended is not saved, and its lock is free.
    reply.raw.once("close", () => exchange.leave());
    await exchange.open();
    exchanges.set(request, exchange);
    exchange.showIn(request, property);
  });

  // The last hook before the handler, behind those that read the body in their own time.
  fastify.addHook("preHandler", (request, _reply, done) => current.run(exchanges.get(request), done));

  fastify.addHook("onSend", async (request, reply) => {
    const exchange = exchanges.get(request);
    // An error before it was opened.
    if (exchange === undefined) return;
    putHeaders(await exchange.end(request, reply.statusCode, saveOnError), reply, WORDS);
  });
}

const sessionPlugin = fastifyPlugin(register, { name: "holdall", fastify: ">=4" });

module.exports = { sessionPlugin };
