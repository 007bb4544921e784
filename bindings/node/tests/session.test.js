"use strict";

// A session as JavaScript's users know it, and arrays and objects that are changed in place.

const assert = require("node:assert/strict");
const { inspect } = require("node:util");
const { test } = require("node:test");
const { HoldallError, Session, SessionManager, flash, generateKey, session: current, withSession } = require("holdall");
const { Browser, overDrivers, overServerDrivers } = require("./common.js");

const code = (expected) => (error) => {
  assert.ok(error instanceof HoldallError, error);
  assert.equal(error.code, expected);
  return true;
};

overDrivers((driver) => {
  test("all of the calls do what their names say", async () => {
    const browser = Browser.of(driver);
    const session = await browser.open();
    assert.ok(session instanceof Session);
    session.set("a", 1);
    session.set("none", null);
    assert.equal(session.get("a"), 1);
    assert.equal(session.get("missing"), undefined);
    assert.equal(session.get("missing", 9), 9);
    assert.equal(session.get("none", 9), null);
    assert.deepEqual([session.has("a"), session.has("none"), session.has("missing")], [true, false, false]);
    assert.deepEqual([session.exists("a"), session.exists("none"), session.exists("missing")], [true, true, false]);
    assert.deepEqual([session.missing("a"), session.missing("missing")], [false, true]);
    assert.equal(session.increment("a"), 2);
    assert.equal(session.increment("a", 40), 42);
    assert.equal(session.decrement("a", 2), 40);
    session.push("list", "x");
    session.push("list", { y: 1 });
    assert.deepEqual(session.all(), { a: 40, list: ["x", { y: 1 }], none: null });
    assert.deepEqual(session.only("a", "missing"), { a: 40 });
    assert.deepEqual(session.except("a"), { list: ["x", { y: 1 }], none: null });
    assert.equal(
      session.remember("made", () => 5),
      5,
    );
    assert.equal(
      session.remember("made", () => assert.fail("it is there")),
      5,
    );
    assert.equal(await session.remember("later", async () => 6), 6);
    assert.equal(session.pull("made"), 5);
    assert.equal(session.pull("made"), undefined);
    assert.equal(session.pull("made", 7), 7);
    session.delete("none", "later");
    session.setPreviousUrl("/before");
    assert.equal(session.previousUrl, "/before");
    assert.equal((await browser.commit(session)).outcome, "saved");
    assert.deepEqual(await browser.stored(), { a: 40, list: ["x", { y: 1 }] });

    await browser.request((session) => session.flush());
    assert.deepEqual(await browser.stored(), {});
  });

  test("flash lasts until the request after, and reset clears what it says", async () => {
    const browser = Browser.of(driver);
    await browser.request((session) => {
      session.flash("notice", "saved");
      session.flashNow("now", 1);
      assert.deepEqual(session.all(), { notice: "saved", now: 1 });
      session.flashInput({ name: "Ann", tags: ["a"] });
      session.set("data", 1);
    });
    await browser.request((session) => {
      assert.equal(session.get("notice"), "saved");
      assert.equal(session.get("now"), undefined);
      assert.equal(session.old("name"), "Ann");
      assert.deepEqual(session.old("tags"), ["a"]);
      assert.equal(session.old("missing", "-"), "-");
      session.keep("notice");
    });
    await browser.request((session) => {
      assert.equal(session.get("notice"), "saved");
      assert.equal(session.old("name"), undefined);
      session.reflash();
      session.reset();
    });
    await browser.request((session) => {
      assert.deepEqual(session.all(), { notice: "saved" });
      session.keep("notice");
      session.reset({ flashOnly: true });
      assert.deepEqual(session.all(), {});
    });
    assert.deepEqual(await browser.stored(), {});
  });

  test("ids, timeouts and tokens", async () => {
    const browser = Browser.of(driver);
    const session = await browser.open();
    assert.equal(session.isNew, true);
    assert.match(session.id, /^[\w-]{43}$/);
    const token = session.csrfToken();
    assert.equal(session.csrfMatches(token), true);
    for (const wrong of ["", "x", token.slice(1), undefined, null, 1, [token], { token }])
      assert.equal(session.csrfMatches(wrong), false);
    session.set("a", 1);
    await browser.commit(session);
    const { id } = session;

    const other = await browser.open();
    assert.deepEqual([other.isNew, other.id], [false, id]);
    assert.equal(other.csrfMatches(token), true);
    other.regenerate();
    assert.notEqual(other.id, id);
    other.regenerateCsrfToken();
    assert.equal(other.csrfMatches(token), false);
    other.setPersistent(true);
    other.setIdleTimeout(60);
    other.setAbsoluteTimeout(120);
    other.touch();
    const { headers } = await browser.commit(other);
    assert.match(headers.find(([name]) => name === "Set-Cookie")[1], /; Max-Age=60\b/);
    assert.equal((await browser.manager.openToken(id)).isNew, true);
    assert.deepEqual(await browser.stored(), { a: 1 });
    for (const seconds of [0, -1, 1.5, NaN, Infinity, 2 ** 60]) {
      await browser.request((session) => assert.throws(() => session.setIdleTimeout(seconds), code("invalid_argument")));
    }
    await browser.request((session) => session.setIdleTimeout(null));

    const last = await browser.open();
    last.invalidate();
    assert.deepEqual(last.all(), {});
    await browser.commit(last);
    assert.deepEqual(await browser.stored(), {});
  });

  test("what was changed in place is saved", async () => {
    const browser = Browser.of(driver);
    const given = [1];
    await browser.request((session) => {
      session.set("cart", { items: [1], note: null });
      session.set("list", given);
      given.push(2);
    });
    assert.deepEqual(await browser.stored(), { cart: { items: [1], note: null }, list: [1, 2] });

    const session = await browser.open();
    session.get("cart").items.push(3);
    assert.equal(session.get("cart"), session.get("cart"));
    assert.equal(session.all().cart, session.get("cart"));
    session.all().list.push(4);
    assert.equal((await browser.commit(session)).outcome, "saved");
    assert.deepEqual(await browser.stored(), { cart: { items: [1, 3], note: null }, list: [1, 2, 4] });
  });

  test("what was only read is not written", async () => {
    const browser = Browser.of(driver);
    // As another language may write it.
    const text = '{ "items": [1,  2.50, "\\u00e9", 123456789012345678901234567890] }';
    await browser.request((session) => session.setJson("cart", text));
    const session = await browser.open();
    assert.deepEqual(session.get("cart"), { items: [1, 2.5, "\u00e9", 1.2345678901234568e29] });
    assert.deepEqual(session.all(), { cart: session.get("cart") });
    assert.equal((await browser.commit(session)).outcome, "unchanged");
    assert.equal((await browser.open()).getJson("cart"), text);
  });

  test("a container with an integer that JavaScript rounds is not written back rounded", async () => {
    const browser = Browser.of(driver);
    const text = '{"id":9007199254740993,"of":["9007199254740993\\" 9007199254740993"]}';
    await browser.request((session) => session.setJson("user", text));
    const session = await browser.open();
    session.get("user").name = "Ann";
    await assert.rejects(session.commit(), /"user".*2\^53/);
    session.setJson("user", text.replace("}", ',"name":"Ann"}'));
    await browser.commit(session);
    assert.equal((await browser.open()).getJson("user"), text.replace("}", ',"name":"Ann"}'));
    // Digits in a string are none.
    await browser.request((session) => session.setJson("user", '{ "of":["9007199254740993\\" 9007199254740993"]}'));
    await browser.request((session) => session.get("user").of.push(1));
    assert.deepEqual(await browser.stored(), { user: { of: ['9007199254740993" 9007199254740993', 1] } });
  });

  test("a container goes on to be the session's through other calls", async () => {
    const browser = Browser.of(driver);
    const session = await browser.open();
    session.set("list", []);
    const held = session.get("list");
    held.push(1);
    session.push("list", 2);
    held.push(3);
    assert.equal(session.getJson("list"), "[1,2,3]");
    assert.equal(session.dataJson("list"), "[1,2,3]");
    assert.equal(session.get("list"), held);
    assert.deepEqual(session.only("list"), { list: [1, 2, 3] });
    assert.equal(session.pull("list"), held);
    held.push(4);
    assert.equal(session.exists("list"), false);
    session.set("list", "no list any more");
    await browser.commit(session);
    assert.deepEqual(await browser.stored(), { list: "no list any more" });
  });

  test("a container that was replaced or deleted is the caller's own", async () => {
    const browser = Browser.of(driver);
    for (const end of [
      (session) => session.delete("a"),
      (session) => session.flush(),
      (session) => session.reset(),
      (session) => session.invalidate(),
    ]) {
      await browser.request((session) => session.set("a", [1]));
      await browser.request((session) => {
        const held = session.get("a");
        end(session);
        held.push(2);
      });
      assert.deepEqual(await browser.stored(), {});
    }
    await browser.request((session) => session.set("a", [1]));
    await browser.request((session) => {
      const held = session.get("a");
      session.set("a", { other: true });
      held.push(2);
      session.setJson("b", "[1]");
    });
    assert.deepEqual(await browser.stored(), { a: { other: true }, b: [1] });
    // And what is done to it after the commit is too late, and no error.
    const session = await browser.open();
    const held = session.get("b");
    await browser.commit(session);
    held.push(2);
    assert.equal((await session.commit()).outcome, "unchanged");
    assert.deepEqual(await browser.stored(), { a: { other: true }, b: [1] });
  });

  test("flash is a copy, also of a key that data has as well", async () => {
    const browser = Browser.of(driver);
    await browser.request((session) => session.flash("both", ["flash"]));
    await browser.request((session) => {
      session.get("both").push("in vain");
      assert.deepEqual(session.get("both"), ["flash"]);
      session.set("both", ["data"]);
      session.get("both").push("kept");
    });
    assert.deepEqual(await browser.stored(), { both: ["data", "kept"] });
  });

  test("after its end a session reads and does not write", async () => {
    const browser = Browser.of(driver);
    const session = await browser.open();
    session.set("a", [1]);
    await browser.commit(session);
    assert.deepEqual(session.get("a"), [1]);
    for (const write of [
      () => session.set("a", 1),
      () => session.delete("a"),
      () => session.flash("a", 1),
      () => session.touch(),
    ]) {
      assert.throws(write, code("misuse"));
    }
    const readOnly = await browser.open({ mode: "readOnly" });
    assert.throws(() => readOnly.set("a", 1), code("misuse"));
    assert.throws(() => readOnly.remember("a", () => 1), code("misuse"));
    readOnly.get("a").push("not saved");
    await assert.rejects(readOnly.commit(), code("misuse"));

    const destroyed = await browser.open();
    destroyed.get("a");
    assert.equal(destroyed.isDestroyed, false);
    await destroyed.destroy();
    await destroyed.destroy();
    assert.equal(destroyed.isDestroyed, true);
    assert.throws(() => destroyed.set("a", 1), code("misuse"));
    assert.equal((await browser.commit(destroyed)).outcome, "gone");
    assert.equal(browser.cookie, "");

    const closed = await browser.open();
    closed.close();
    closed.close();
    assert.throws(() => closed.get("a"), code("misuse"));
    await assert.rejects(closed.commit(), code("misuse"));
    await assert.rejects(closed.destroy(), code("misuse"));
  });

  test("an error says its code and its flags, and nothing of what it cannot take is kept", async () => {
    const browser = Browser.of(driver);
    const session = await browser.open();
    session.set("text", "x");
    for (const call of [
      () => session.increment("text"),
      () => session.push("text", 1),
      () => session.setJson("a", "nothing"),
      () => session.flashInput([]),
    ]) {
      assert.throws(call, code("invalid_value"));
    }
    assert.throws(() => session.set("", 1), code("invalid_argument"));
    assert.throws(() => session.set("k".repeat(256), 1), code("too_large"));
    for (const n of [1.5, NaN, "1", 2n, 2 ** 53, null]) assert.throws(() => session.increment("n", n), code("invalid_argument"));
    assert.deepEqual(session.all(), { text: "x" });
    const error = assert.throws(
      () => session.set("a", "x".repeat(2 ** 20)),
      (error) => {
        assert.deepEqual({ ...error }, { code: "too_large", retryable: false, mayHaveWritten: false, locked: false });
        assert.match(error.stack, /^HoldallError: .*1048576/);
        return code("too_large")(error);
      },
    );
    assert.equal(error, undefined);
  });

  test("what is printed has no secret in it, and loads nothing", async () => {
    const browser = Browser.of(driver);
    const session = await browser.open();
    assert.equal(inspect(session), "Session { open }");
    session.set("secret", "s3cret");
    const commit = await browser.commit(session);
    const printed = [session, commit, browser.manager].map((value) => inspect(value, { depth: 9, showHidden: true })).join("\n");
    for (const word of [session.id, "s3cret", "Set-Cookie"]) assert.ok(!printed.includes(word), printed);
  });

  test("the session of a request is at hand without handing the request on", async () => {
    const browser = Browser.of(driver);
    assert.throws(() => current(), code("misuse"));
    assert.throws(() => flash("notice"), code("misuse"));
    const work = async (name) => {
      const session = await browser.manager.open();
      return withSession(session, async () => {
        current().set("name", name);
        await new Promise(setImmediate);
        flash("notice", `hello ${name}`);
        assert.equal(current(), session);
        assert.equal(flash("notice"), `hello ${name}`);
        assert.equal(current("missing", "-"), "-");
        return current("name");
      });
    };
    const names = ["ann", "bob", "eve"];
    assert.deepEqual(await Promise.all(names.map(work)), names);
  });
});

test("nothing is read before the first access", async () => {
  const manager = new SessionManager("memory:");
  const browser = new Browser(manager);
  await browser.request((session) => session.set("a", 1));
  const events = () => manager.stats().events.unknown_token;
  const unknown = await manager.openToken("A".repeat(43));
  assert.equal(events(), 0);
  assert.equal(unknown.isNew, true);
  assert.equal(events(), 1);
});

overServerDrivers((driver) => {
  test("two requests append to one array, and both arrive", async () => {
    const browser = Browser.of(driver);
    await browser.request((session) => session.set("list", [1]));
    const [one, other] = [await browser.open(), await browser.open()];
    one.get("list").push("one");
    other.get("list").push("other");
    assert.deepEqual([(await one.commit()).conflicts, (await other.commit()).conflicts], [[], []]);
    assert.deepEqual(await browser.stored(), { list: [1, "one", "other"] });

    const [first, second] = [await browser.open(), await browser.open()];
    first.get("list")[0] = "first";
    second.get("list")[0] = "second";
    await first.commit();
    assert.deepEqual((await second.commit()).conflicts, [["list", "overwritten"]]);
  });
});

test("a session in the browser may take several cookies, and a line too long is an error with its size", async () => {
  const cookie = (options) => ({ drivers: { main: { type: "cookie", ...options } }, keys: [generateKey()] });
  const long = "x".repeat(6000);
  const browser = new Browser(new SessionManager(cookie({ overflow: "chunk" })));
  await browser.request((session) => session.set("long", long));
  assert.ok(browser.cookies.size > 1);
  assert.deepEqual(await browser.stored(), { long });
  await browser.request((session) => session.delete("long"));
  assert.equal(browser.cookies.size, 1);

  const session = await new SessionManager(cookie()).open();
  session.set("long", long);
  await assert.rejects(session.commit(), code("too_large"));
  assert.match(generateKey(), /^[\w-]{43}$/);
  assert.notEqual(generateKey(), generateKey());
});
