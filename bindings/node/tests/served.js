"use strict";

// A server for served.test.js: an application behind an adapter, in one process or a cluster. What it is comes in the environment:
// SERVED_ADAPTER, SERVED_CONFIG and SERVED_WORKERS, how many processes. What a request does is in its query, as JSON.
//
// Requests of whichever process and the test wait for each other by messages, which a cluster's primary passes on.

const cluster = require("node:cluster");
const { setImmediate: turn } = require("node:timers/promises");
const { ADAPTERS } = require("./applications.js");

const { SERVED_ADAPTER, SERVED_CONFIG, SERVED_WORKERS } = process.env;

// Those who wait for a word of the test.
const waiting = new Map();

async function answer(words, url) {
  const { act, ...given } = JSON.parse(decodeURIComponent(url.slice(url.indexOf("?") + 1)));
  switch (act) {
    case "sign-in":
      words.set("user", "ada");
      return {};
    case "sign-out":
      await words.end();
      return {};
    case "renew":
      await words.renew();
      return {};
    case "work":
      await work(words, given.number);
      return {};
    case "put":
      // Others load and commit between this one's load and its commit.
      words.get(given.key);
      await turn();
      words.set(given.key, given.value);
      return { pid: process.pid };
    case "count":
      words.get("n");
      await turn();
      return { n: words.add("n", 1), pid: process.pid };
    case "all":
      return words.all();
    case "perform":
      return perform(words, given.operations);
    default:
      return {};
  }
}

// Loads the session, waits for the word, and writes.
async function work(words, number) {
  const user = words.get("user") ?? "nobody";
  const go = new Promise((resolve) => waiting.set(number, resolve));
  process.send({ loaded: number, user });
  await go;
  words.set("work", 1);
  tell(words.engine, number);
}

// Says what became of a request, as soon as that is known.
async function tell(engine, number) {
  if (engine === undefined) return;
  while (engine.committed === undefined) await turn();
  process.send({ ended: number, outcome: engine.committed.outcome });
}

async function perform(words, operations) {
  const answers = [];
  for (const [operation, key, value] of operations) {
    // As it is then.
    answers.push(structuredClone((await OPERATIONS[operation](words, key, value)) ?? null));
  }
  return answers;
}

const OPERATIONS = {
  get: (words, key) => words.get(key),
  has: (words, key) => words.has(key),
  set: (words, key, value) => void words.set(key, value),
  delete: (words, key) => void words.delete(key),
  append(words, key, value) {
    if (!words.has(key)) words.set(key, []);
    const list = words.get(key);
    list.push(value);
    return list;
  },
  increment: (words, key, n) => words.add(key, n),
  flash: (words, key, value) => void words.flash(key, value),
  flashed: (words, key) => words.flashed(key),
  all: (words) => words.all(),
  clear: async (words) => void (await words.clear()),
  renew: async (words) => void (await words.renew()),
};

async function serve() {
  process.on("disconnect", () => process.exit());
  process.on("message", ({ go }) => {
    waiting.get(go)?.();
    waiting.delete(go);
  });
  const { server, manager } = await ADAPTERS[SERVED_ADAPTER].make(JSON.parse(SERVED_CONFIG), answer);
  manager?.onEvent((kind) => {
    if (kind === "gone" || kind === "moved") process.send({ told: kind });
  });
  if (!server.listening) server.listen(0, "127.0.0.1");
  const say = () => process.send({ port: server.address().port });
  if (server.listening) say();
  else server.once("listening", say);
}

function share(workers) {
  const all = [];
  let left = workers;
  for (let number = 0; number < workers; number += 1) {
    const worker = cluster.fork();
    all.push(worker);
    worker.on("message", (message) => {
      // They share one port; it is there when all of them are.
      if (message.port !== undefined) left -= 1;
      if (message.port === undefined || left === 0) process.send(message);
    });
  }
  process.on("message", (message) => {
    for (const worker of all) worker.send(message);
  });
  process.on("disconnect", () => process.exit());
}

if (cluster.isPrimary && SERVED_WORKERS !== "1") share(Number(SERVED_WORKERS));
else serve();
