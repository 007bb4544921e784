"use strict";

// What is no value and what is no name, through every adapter. What the values themselves become is in values.test.js.

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { ADAPTERS } = require("./applications.js");
const { PLAIN_HTTP } = require("./common.js");
const { served } = require("./serving.js");

const endless = [];
endless.push(endless);
const NO_VALUES = {
  "a function": () => 1,
  "a symbol": Symbol("s"),
  "a BigInt": 1n,
  "a BigInt within": { a: [1n] },
  "a cycle": endless,
  NaN: Number.NaN,
  "a Map": new Map([[1, 2]]),
  "a Promise": Promise.resolve(1),
  "half a character": "\ud800",
};
const NAMES_OF_PROTOTYPES = ["constructor", "prototype", "toString", "hasOwnProperty", "valueOf", "isPrototypeOf"];
// An object as JSON.parse gives it, whose own property would be a prototype in a careless copy.
const EVIL = '{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}}';

for (const [adapter, { make }] of Object.entries(ADAPTERS)) {
  test(`what is no value is refused, and names of prototypes change none (${adapter})`, async (t) => {
    const acts = {
      keep: (words) => words.set("kept", 1),
      refused: (words, what) => {
        words.set("kept", 2);
        try {
          words.set("k", NO_VALUES[what]);
        } catch (error) {
          return [error.code, words.get("k") ?? null];
        }
        return "it was taken";
      },
      undefined: (words) => {
        words.set("k", 1);
        words.set("k", undefined);
        return Object.hasOwn(words.all(), "k");
      },
      names: (words) => {
        const before = NAMES_OF_PROTOTYPES.map((name) => words.has(name) && Object.hasOwn(words.all(), name));
        for (const name of NAMES_OF_PROTOTYPES) words.set(name, name);
        words.set("evil", JSON.parse(EVIL));
        return before;
      },
      proto: (words) => {
        try {
          words.set("__proto__", { polluted: 1 });
        } catch (error) {
          return error.code;
        }
        return "taken";
      },
      all: (words) => {
        const all = words.all();
        return { all, polluted: [all.polluted, {}.polluted, words.get("polluted")], own: Object.hasOwn(all, "__proto__") };
      },
    };
    const { server } = await make({ url: "memory:", cookie: { ...PLAIN_HTTP.cookie, name: "sid" } }, async (words, url) => {
      const [act, given] = JSON.parse(decodeURIComponent(url.split("?")[1]));
      return [(await acts[act](words, given)) ?? null];
    });
    // Lunox listens by itself.
    if (server.listening) await new Promise((resolve) => server.close(resolve));
    const visitor = await served(t, server);
    const ask = async (...what) => (await visitor.json(`/act?${encodeURIComponent(JSON.stringify(what))}`))[0];

    await ask("keep");
    // express-session knows no sooner than when it saves (express-session.test.js), and its session is an object like any other.
    if (adapter !== "express-session") {
      for (const what of Object.keys(NO_VALUES)) assert.deepEqual(await ask("refused", what), ["invalid_value", null], what);
      assert.equal(await ask("undefined"), false);
      assert.equal((await ask("all")).all.kept, 2);
      // A key of the engine, and no name of a property.
      assert.equal(await ask("proto"), adapter === "lunox" ? "taken" : "invalid_argument");
    }
    assert.deepEqual(
      await ask("names"),
      NAMES_OF_PROTOTYPES.map(() => false),
    );
    const { all, polluted, own } = await ask("all");
    assert.deepEqual([polluted, own], [[null, null, null], false]);
    // Nor does it take back a name that its session has inherited.
    if (adapter !== "express-session") for (const name of NAMES_OF_PROTOTYPES) assert.equal(all[name], name);
    assert.deepEqual(Object.keys(all.evil).sort(), ["__proto__", "constructor"]);
    assert.equal(all.evil.polluted, undefined);
  });
}
