"use strict";

// Values: what JavaScript can keep in a session, what comes back, and what is refused with key and reason.

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { HoldallError } = require("holdall");
const { Browser, overDrivers } = require("./common.js");

function nested(depth) {
  let value = [];
  for (let level = 1; level < depth; level += 1) value = [value];
  return value;
}

const endless = {};
endless.self = [endless];

class Point {
  #secret = 1;

  get secret() {
    return this.#secret;
  }

  x = 1;
  static y = 2;
}

const KEPT = [
  null,
  true,
  false,
  0,
  1,
  -1,
  0.1,
  1e300,
  5e-324,
  Number.MAX_SAFE_INTEGER,
  Number.MIN_SAFE_INTEGER,
  2 ** 60,
  "",
  'quotes " \\ and \n\0\x1f',
  "\u00e9 \u65e5\u672c \u{1f600} \u2028",
  [],
  {},
  { a: [{ b: null }] },
  [[], [[]]],
  { 2: "b", 1: "a", x: 1 },
  nested(128),
  // Names that objects have of their own.
  { constructor: 1, toString: 2, hasOwnProperty: 3, prototype: { a: 1 }, __defineGetter__: null },
];
// What JSON makes something else of.
const WRITTEN = [
  [-0, 0],
  [new Date(0), "1970-01-01T00:00:00.000Z"],
  [{ a: undefined, b: () => 1, [Symbol("c")]: 1, d: 1 }, { d: 1 }],
  [
    [undefined, NaN],
    [null, null],
  ],
  [new Point(), { x: 1 }],
  [Object.create(null), {}],
  [Object.create({ inherited: 1 }), {}],
  [Object("text"), "text"],
  [{ toJSON: () => ({ a: 1 }) }, { a: 1 }],
  [
    new (class extends Map {
      toJSON() {
        return {};
      }
    })(),
    {},
  ],
];
const REFUSED = [
  [undefined, "undefined"],
  [() => 1, "function"],
  [Symbol("s"), "symbol"],
  [1n, "BigInt"],
  [{ a: [1n] }, "BigInt"],
  [NaN, "NaN"],
  [Infinity, "Infinity"],
  [endless, "contains itself"],
  [new Map([[1, 2]]), "Map"],
  [new Set([1]), "Set"],
  [Promise.resolve(1), "Promise"],
  [/x/, "RegExp"],
  [new Error("x"), "Error"],
  [nested(129), "128"],
  // By V8, which has no more stack, or by the engine.
  [nested(1_000_000), "deep|1048576"],
  ["\ud800", "escape"],
  [{ a: "\udfff" }, "escape"],
  [{ "\ud800": 1 }, "escape"],
  ["x".repeat(2 ** 20), "1048576"],
  [
    {
      toJSON() {
        throw new Error("the value is s3cret");
      },
    },
    "toJSON",
  ],
  [
    {
      get a() {
        throw new TypeError("the value is s3cret");
      },
    },
    "toJSON",
  ],
];

overDrivers((driver) => {
  test("a value comes back", async () => {
    const browser = Browser.of(driver);
    for (const [given, kept] of [...KEPT.map((value) => [value, value]), ...WRITTEN]) {
      await browser.request((session) => {
        session.set("k", given);
        session.flash("f", given);
      });
      const session = await browser.open();
      for (const found of [session.get("k"), session.get("f"), session.all().k, JSON.parse(session.getJson("k"))]) {
        assert.deepStrictEqual(found, kept);
      }
      await browser.commit(session);
    }
  });

  test("a value that cannot be kept is refused by key and reason, and changes nothing", async () => {
    const browser = Browser.of(driver);
    await browser.request((session) => session.set("k", 1));
    for (const [value, says] of REFUSED) {
      for (const call of ["set", "flash", "flashNow", "push", "remember"]) {
        const session = await browser.open();
        const given = call === "remember" ? () => value : value;
        // What can be awaited, is: `remember` gives a promise then.
        if (call === "remember" && value instanceof Promise) continue;
        assert.throws(
          () => session[call]("other", given),
          (error) => {
            assert.ok(error instanceof HoldallError && ["invalid_value", "too_large"].includes(error.code), error);
            assert.ok(
              new RegExp(says).test(error.message) && error.message.includes("other") && !error.message.includes("s3cret"),
              error.message,
            );
            return true;
          },
        );
        assert.deepEqual(session.all(), { k: 1 });
        await browser.commit(session);
        assert.deepEqual(await browser.stored(), { k: 1 });
      }
    }
  });

  test("a container that was made unfit in place is refused at the commit, which may be repeated", async () => {
    const browser = Browser.of(driver);
    const session = await browser.open();
    const list = [1];
    session.set("list", list);
    list.push(list);
    session.set("other", 1);
    await assert.rejects(session.commit(), /"list".*contains itself/);
    list.pop();
    assert.equal((await browser.commit(session)).outcome, "saved");
    assert.deepEqual(await browser.stored(), { list: [1], other: 1 });
  });

  test("names of prototypes are keys like all others, and nothing is polluted", async () => {
    const browser = Browser.of(driver);
    const evil = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}');
    for (const key of ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "__defineSetter__"]) {
      const session = await browser.open();
      assert.equal(session.get(key), undefined);
      assert.equal(session.get(key, "fallback"), "fallback");
      assert.deepEqual([session.has(key), session.exists(key)], [false, false]);
      session.set(key, evil);
      session.push("evil", evil);
      session.flash(`flash ${key}`, evil);
      await browser.commit(session);

      const found = await browser.open();
      const objects = [found.all(), found.only(key), found.except("evil")];
      for (const object of objects) {
        assert.equal(Object.getPrototypeOf(object), Object.prototype);
        assert.deepEqual(Object.getOwnPropertyDescriptor(object, key).value, evil);
        assert.equal(object.polluted, undefined);
        // The very object that `get` gives.
        assert.equal(Object.getOwnPropertyDescriptor(object, key).value, found.get(key));
      }
      assert.deepEqual(Object.keys(found.get(key)), ["__proto__", "constructor"]);
      assert.equal({}.polluted, undefined);
      assert.equal(Function.prototype.polluted, undefined);
      found.get(key).more = 1;
      found.delete("evil");
      await browser.commit(found);
      await browser.request((session) => {
        assert.equal(session.pull(key).more, 1);
        assert.equal({}.more, undefined);
      });
    }
    assert.deepEqual(await browser.stored(), {});
  });

  test("a key that is no text is refused by its type", async () => {
    const browser = Browser.of(driver);
    const session = await browser.open();
    for (const key of [1, null, undefined, Symbol("s"), {}, ["a"], true, 1n, "\ud800"]) {
      const calls = [
        () => session.get(key),
        () => session.has(key),
        () => session.exists(key),
        () => session.delete("a", key),
        () => session.pull(key),
        () => session.keep(key),
        () => session.only(key),
        () => session.except(key),
        () => session.set(key, 1),
        () => session.increment(key),
        () => session.push(key, 1),
        () => session.flash(key, 1),
        () => session.remember(key, () => 1),
        () => session.old(key),
        () => session.getJson(key),
        () => session.setJson(key, "1"),
        () => session.replaceJson(key, "1"),
        () => session.setPreviousUrl(key),
      ];
      for (const call of calls) assert.throws(call, (error) => error instanceof HoldallError && error.code === "invalid_value");
    }
    for (const json of [1, undefined, null, {}]) assert.throws(() => session.setJson("a", json), HoldallError);
    assert.deepEqual(session.all(), {});
  });
});
