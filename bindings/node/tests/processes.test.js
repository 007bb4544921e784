"use strict";

// Collected handles, worker threads, processes; many requests at once; a long run beside a plain model (R8, R9, R13 and R22 of
// docs/reliability.md).

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const { test } = require("node:test");
const { Worker } = require("node:worker_threads");
const { SessionManager } = require("holdall");
const { Browser, KEY, folder, overServerDrivers, url } = require("./common.js");
const { figure, scaled } = require("./figures.js");

// What a program of its own says and how it ends. It is read from a string, in this folder.
async function program(source, given = [], options = []) {
  const child = spawn(process.execPath, [...options, "-e", source, "--", ...given], {
    cwd: __dirname,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [out, problems] = ["", ""];
  child.stdout.on("data", (data) => (out += data));
  child.stderr.on("data", (data) => (problems += data));
  const [status, signal] = await once(child, "close");
  return { out, problems, status: status ?? signal };
}

function isFine({ out, problems, status }) {
  assert.deepEqual({ problems, status }, { problems: "", status: 0 });
  return out;
}

// What is done many times, in the program's words.
const CYCLES = {
  session: `async (n) => {
    const session = await manager.openToken(id);
    session.get("list")[n % 100] = n;
    session.increment("n");
    await session.commit();
  }`,
  "http middleware": `(n) => new Promise((resolve) => {
    const req = new http.IncomingMessage({ encrypted: false });
    req.headers.cookie = "sid=" + id;
    const res = new http.ServerResponse(req);
    attach(req, res, () => {
      req.session.list[n % 100] = n;
      req.session.holdall.increment("n");
      res.end("done");
      if (!res.writableEnded) throw new Error("it waits");
      res.emit("close");
      resolve();
    });
  })`,
};

async function counted(manager, fields = {}) {
  const session = await manager.open();
  session.set("n", 0);
  for (const [key, value] of Object.entries(fields)) session.set(key, value);
  const { id } = session;
  await session.commit();
  return id;
}

overServerDrivers((driver) => {
  test("handles are collected in any order, and give back what they held", async () => {
    const out = isFine(
      await program(
        `const { SessionManager } = require("holdall");
        const { setImmediate: turn } = require("node:timers/promises");
        async function held(manager) {
          const sessions = [];
          for (let n = 0; n < 200; n += 1) {
            const session = await manager.open();
            session.set("a", [n]);
            if (n % 2) await session.commit();
            sessions.push(session);
          }
          return sessions;
        }
        (async () => {
          let manager = new SessionManager(process.argv[1]);
          let sessions = await held(manager);
          // The manager first: its sessions keep the engine's alive.
          manager = undefined;
          for (let round = 0; round < 5; round += 1) { global.gc(); await turn(); }
          for (const session of sessions) if (session.get("a").length !== 1) throw new Error("lost");
          // Every third, then the rest, newest first.
          sessions = sessions.filter((_, n) => n % 3);
          global.gc(); await turn();
          while (sessions.length) { sessions.pop(); if (sessions.length % 50 === 0) { global.gc(); await turn(); } }

          // A lock goes with the handle that held it.
          manager = new SessionManager(process.argv[1]);
          let session = await manager.open();
          session.set("n", 1);
          const { id } = session;
          await session.commit();
          session = await manager.openToken(id, { mode: "exclusive" });
          session = undefined;
          for (let tries = 0; ; tries += 1) {
            global.gc(); await turn();
            try { await (await manager.openToken(id, { mode: "exclusive", lockTimeoutMs: 0 })).commit(); break; }
            catch (error) { if (!error.locked || tries > 10000) throw error; }
          }
          console.log("fine");
        })();`,
        [url(driver)],
        ["--expose-gc"],
      ),
    );
    assert.equal(out, "fine\n");
  });

  for (const [through, cycle] of Object.entries(CYCLES)) {
    test(`many cycles leave nothing behind (${through})`, async () => {
      // Twice after a warm-up: what leaks has grown between.
      const [warm, number] = [scaled(10_000, 100_000), scaled(10_000, 1_000_000)];
      const out = isFine(
        await program(
          `const http = require("node:http");
          const { SessionManager } = require("holdall");
          const { sessionMiddleware } = require("holdall/http");
          const { setImmediate: turn } = require("node:timers/promises");
          (async () => {
            const manager = new SessionManager(process.argv[1], { cookie: { secure: false } });
            let session = await manager.open();
            session.set("list", Array(100).fill("x"));
            const { id } = session;
            await session.commit();
            const attach = sessionMiddleware(manager);
            const cycle = ${cycle};
            async function cycles(number) {
              for (let n = 0; n < number; n += 1) {
                await cycle(n);
                if (n % 500 === 0) await turn();
              }
              for (let round = 0; round < 10; round += 1) { global.gc(); await turn(); }
              const { heapUsed, heapTotal, rss } = process.memoryUsage();
              // Without the room that V8 keeps for young objects, which doubles now and then, up to 48 MB.
              return { heapUsed, rest: rss - heapTotal };
            }
            const [warm, number] = process.argv.slice(2).map(Number);
            await cycles(warm);
            const before = await cycles(warm);
            const after = await cycles(number);
            session = await manager.openToken(id);
            if (session.get("n") !== 2 * warm + number) throw new Error("lost");
            console.log(JSON.stringify({ heap: after.heapUsed - before.heapUsed, rest: after.rest - before.rest }));
          })();`,
          [url(driver), warm, number],
          ["--expose-gc"],
        ),
      );
      const { heap, rest } = JSON.parse(out);
      // In the short run 50 bytes a cycle of JavaScript, or a session that is never given back, are too much.
      assert.ok(heap < 500_000 && rest < 4_000_000, out);
      const what = `growth of V8's objects, and of the process without V8's heap, over ${number.toLocaleString("en")} cycles (Node, ${through})`;
      figure("R16", driver, what, `${Math.round(heap / 1024)} KiB, ${Math.round(rest / 1024)} KiB`, "< 488 KiB, < 3.8 MiB");
    });
  }

  test("many requests at once lose nothing on a hundred sessions", async () => {
    const manager = new SessionManager(url(driver));
    const tokens = [];
    for (let number = 0; number < 100; number += 1) tokens.push(await counted(manager));
    const counts = tokens.map(() => 0);
    const request = async (number) => {
      const at = (number * 7919) % tokens.length;
      const session = await manager.openToken(tokens[at]);
      session.get("n");
      await new Promise(setImmediate);
      session.increment("n");
      session.set(`of ${number}`, number);
      if (number % 5 === 0) session.remember("list", () => []).push(number);
      assert.equal((await session.commit()).outcome, "saved");
      counts[at] += 1;
    };
    await Promise.all(Array.from({ length: 64 * 40 }, (_, number) => request(number)));
    for (const [at, token] of tokens.entries()) {
      const session = await manager.openToken(token);
      assert.equal(session.get("n"), counts[at]);
      assert.equal(Object.keys(session.all()).filter((key) => key.startsWith("of ")).length, counts[at]);
    }
  });

  test("a session is what a plain model says", async () => {
    const browser = Browser.of(driver);
    const keys = ["a", "b", "c", "__proto__"];
    const values = [1, "text", null, [], [1, { x: [] }], {}, { a: [1] }, 1.5, true];
    let seed = 22;
    const dice = (sides) => {
      // Of Numerical Recipes; the same in every run.
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed >>> 8) % sides;
    };
    // Data, flash that was found, flash that is new.
    let [data, old, fresh] = [new Map(), new Map(), new Map()];
    const seen = () => new Map([...old, ...fresh, ...data]);
    const copy = (value) => structuredClone(value);
    const plain = (map) => Object.fromEntries([...map].sort(([one], [other]) => (one < other ? -1 : 1)));
    for (let done = 0; done < 6000; ) {
      const session = await browser.open();
      for (let number = dice(8); number > 0; number -= 1, done += 1) {
        const [key, value] = [keys[dice(keys.length)], values[dice(values.length)]];
        const now = data.get(key);
        switch (dice(13)) {
          case 0:
          case 1:
            session.set(key, copy(value));
            data.set(key, copy(value));
            break;
          case 2:
            session.delete(key);
            for (const part of [data, old, fresh]) part.delete(key);
            break;
          case 3: {
            const expected = seen().get(key);
            assert.deepStrictEqual(session.pull(key), expected);
            for (const part of data.has(key) ? [data] : [old, fresh]) part.delete(key);
            break;
          }
          case 4:
            if (data.has(key) && !Number.isInteger(now)) break;
            data.set(key, (now ?? 0) + 1);
            assert.equal(session.increment(key), data.get(key));
            break;
          case 5:
            if (data.has(key) && !Array.isArray(now)) break;
            session.push(key, copy(value));
            data.set(key, [...(now ?? []), copy(value)]);
            break;
          case 6:
            if (typeof now !== "object" || now === null) break;
            if (Array.isArray(now)) {
              session.get(key).push(copy(value));
              now.push(copy(value));
            } else {
              session.get(key)["in place"] = copy(value);
              now["in place"] = copy(value);
            }
            break;
          case 7:
            session.flash(key, copy(value));
            old.delete(key);
            fresh.set(key, copy(value));
            break;
          case 8:
            if (dice(10) > 0) break;
            session.flush();
            [data, old, fresh] = [new Map(), new Map(), new Map()];
            break;
          case 9:
            if (dice(5) > 0) break;
            session.reset({ flashOnly: true });
            [old, fresh] = [new Map(), new Map()];
            break;
          case 10:
            if (!old.has(key)) break;
            session.keep(key);
            fresh.set(key, old.get(key));
            break;
          case 11:
            if (seen().has(key)) {
              assert.deepStrictEqual(
                session.remember(key, () => assert.fail("it is there")),
                seen().get(key),
              );
            } else {
              session.remember(key, () => copy(value));
              data.set(key, copy(value));
            }
            break;
          default:
            assert.deepStrictEqual(session.get(key), seen().get(key));
            assert.equal(session.exists(key), seen().has(key));
        }
      }
      assert.deepStrictEqual(session.all(), plain(seen()));
      const ageFlash = dice(2) === 0;
      await browser.commit(session, { ageFlash });
      old = new Map([...(ageFlash ? [] : old), ...fresh]);
      fresh = new Map();
    }
  });

  test("a session that another request ended is not brought back", async () => {
    const manager = new SessionManager(url(driver));
    let [gone, moved] = [0, 0];
    for (let race = 0; race < 500; race += 1) {
      const token = await counted(manager);
      const [slow, ending] = [await manager.openToken(token), await manager.openToken(token)];
      slow.get("n");
      slow.set("user", "back again");
      const end = async () => {
        if (race % 2) return ending.destroy();
        ending.regenerate();
        return ending.commit();
      };
      // Behind the end, or beside it.
      if (race % 3) await end();
      const [commit] = await Promise.all([slow.commit(), race % 3 ? undefined : end()]);
      assert.ok(["saved", "gone", "moved"].includes(commit.outcome));
      [gone, moved] = [gone + (commit.outcome === "gone"), moved + (commit.outcome === "moved")];
      assert.equal((await manager.openToken(token)).isNew, true);
      if (commit.outcome === "moved") assert.ok(!commit.headers.some(([name]) => name === "Set-Cookie"));
    }
    assert.ok(gone > 100 && moved > 100, `${gone} ${moved}`);
  });
});

test("worker threads have managers of their own, on the same files", async () => {
  const place = `file://${folder()}/sessions`;
  const manager = new SessionManager(place);
  const token = await counted(manager);
  const source = `
    const { workerData, parentPort } = require("node:worker_threads");
    const { SessionManager } = require(workerData.holdall);
    (async () => {
      const manager = new SessionManager(workerData.place);
      let told = 0;
      manager.onEvent(() => (told += 1));
      for (let n = 0; n < 500; n += 1) {
        const session = await manager.openToken(workerData.token);
        session.increment("n");
        await session.commit();
      }
      const other = await new SessionManager("memory:").open();
      other.set("a", 1);
      await other.commit();
      await (await manager.openToken("malformed")).isNew;
      while (told === 0) await new Promise(setImmediate);
      parentPort.postMessage("done");
    })();`;
  const workerData = { place, token, holdall: require.resolve("holdall") };
  const workers = Array.from({ length: 4 }, () => new Worker(source, { eval: true, workerData }));
  const ended = workers.map((worker) => Promise.all([once(worker, "message"), once(worker, "exit")]));
  assert.deepEqual(
    await Promise.all(ended),
    workers.map(() => [["done"], [0]]),
  );
  assert.equal((await manager.openToken(token)).get("n"), 2000);
});

test("a worker that is ended in the middle of a commit disturbs nobody", async () => {
  const place = `file://${folder()}/sessions`;
  const manager = new SessionManager(place, { offThread: true });
  const token = await counted(manager);
  for (let round = 0; round < 10; round += 1) {
    const worker = new Worker(
      `const { workerData, parentPort } = require("node:worker_threads");
      const { SessionManager } = require(workerData.holdall);
      (async () => {
        const manager = new SessionManager(workerData.place, { offThread: true });
        for (let n = 0; ; n += 1) {
          const session = await manager.openToken(workerData.token);
          session.increment("n");
          const commit = session.commit();
          if (n === 20) parentPort.postMessage("on the way");
          await commit;
        }
      })();`,
      { eval: true, workerData: { place, token, holdall: require.resolve("holdall") } },
    );
    await once(worker, "message");
    await worker.terminate();
  }
  const session = await manager.openToken(token);
  assert.ok(session.increment("n") >= 200);
  assert.equal((await session.commit()).outcome, "saved");
});

test("processes of a cluster share files, draw no id twice and lose no increment", async () => {
  const place = `file://${folder()}/sessions`;
  const manager = new SessionManager(place);
  const token = await counted(manager);
  const out = isFine(
    await program(
      `const cluster = require("node:cluster");
      const { SessionManager } = require("holdall");
      // A child has the name of a program before them.
      const [place, token] = process.argv.slice(-2);
      if (cluster.isPrimary) {
        // Warm before its children are made, as a server is.
        new SessionManager(place).stats();
        cluster.setupPrimary({ execArgv: process.execArgv, args: [place, token] });
        const ids = [];
        for (let n = 0; n < 4; n += 1) cluster.fork().on("message", (some) => ids.push(...some));
        let left = 4;
        cluster.on("exit", (_, status) => {
          if (status !== 0) process.exitCode = 1;
          left -= 1;
          if (left === 0) console.log(JSON.stringify([ids.length, new Set(ids).size]));
        });
      } else {
        (async () => {
          const manager = new SessionManager(place);
          const ids = [];
          for (let n = 0; n < 250; n += 1) {
            ids.push((await manager.open()).id);
            const session = await manager.openToken(token);
            session.increment("n");
            await session.commit();
          }
          process.send(ids, () => process.disconnect());
        })();
      }`,
      [place, token],
    ),
  );
  assert.deepEqual(JSON.parse(out), [1000, 1000]);
  assert.equal((await manager.openToken(token)).get("n"), 1000);
});

// Ids, and the nonces of sealed cookies, as many of each.
const DRAWN = `async (number, key) => {
  const { SessionManager } = require(holdall);
  const [ids, nonces] = [[], []];
  const [memory, cookie] = [new SessionManager("memory:"), new SessionManager("cookie:", { keys: [key] })];
  for (let n = 0; n < number; n += 1) {
    ids.push((await memory.open()).id);
    const session = await cookie.open();
    session.set("n", 1);
    const [[, line]] = (await session.commit()).headers;
    const sealed = Buffer.from(line.split(";")[0].split("=")[1], "base64url");
    if (sealed[0] !== 1) throw new Error("another version");
    nonces.push(sealed.toString("base64url", 1, 25));
  }
  return [ids, nonces];
}`;

function drawnOnce(all, where) {
  const [workers, number] = [8, scaled(500, 10_000)];
  for (const [what, at] of [
    ["ids", 0],
    ["nonces of sealed cookies", 1],
  ]) {
    const drawn = all.flatMap((of) => of[at]);
    assert.equal(drawn.length, workers * number);
    assert.equal(new Set(drawn).size, drawn.length);
    figure("R8", "all", `equal ${what} of ${workers} ${where} (Node)`, `0 of ${drawn.length}`, "0");
  }
}

test("eight worker threads draw no id and no nonce twice", async () => {
  const source = `const { workerData, parentPort } = require("node:worker_threads");
    const { holdall, number, key } = workerData;
    (${DRAWN})(number, key).then((drawn) => parentPort.postMessage(drawn));`;
  const workerData = { holdall: require.resolve("holdall"), number: scaled(500, 10_000), key: KEY };
  const workers = Array.from({ length: 8 }, () => new Worker(source, { eval: true, workerData }));
  const drawn = await Promise.all(workers.map((worker) => once(worker, "message")));
  drawnOnce(drawn.flat(), "worker threads");
});

test("eight processes of a cluster draw no id and no nonce twice", async () => {
  // Each is started anew: Node has no fork of a process that is warm.
  const out = isFine(
    await program(
      `const cluster = require("node:cluster");
      const holdall = require.resolve("holdall");
      const [number, key] = process.argv.slice(-2);
      if (cluster.isPrimary) {
        cluster.setupPrimary({ execArgv: process.execArgv, args: [number, key] });
        for (let n = 0; n < 8; n += 1) {
          cluster.fork().on("message", (drawn) => console.log(JSON.stringify(drawn)));
        }
        cluster.on("exit", (_, status) => { if (status !== 0) process.exitCode = 1; });
      } else {
        (${DRAWN})(Number(number), key).then((drawn) => process.send(drawn, () => process.disconnect()));
      }`,
      [scaled(500, 10_000), KEY],
    ),
  );
  drawnOnce(
    out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
    "processes of a cluster",
  );
});

test("a process may exit while I/O is pending, and what was acknowledged is stored", async () => {
  for (const durability of ["none", "commit"]) {
    const place = JSON.stringify({ drivers: { main: { type: "file", path: `${folder()}/sessions`, durability } } });
    const manager = new SessionManager(place);
    const token = await counted(manager);
    for (let round = 0; round < 5; round += 1) {
      const { out, problems, status } = await program(
        `const { SessionManager } = require("holdall");
        const [place, token] = process.argv.slice(1);
        const manager = new SessionManager(place, { offThread: true });
        manager.onEvent(() => {});
        const work = async (n) => {
          const session = await manager.openToken(token);
          session.push("list", n);
          await session.commit();
          console.log("stored");
          if (n === 20) process.exit(7);
        };
        for (let n = 0; n < 64; n += 1) work(n);`,
        [place, token],
      );
      assert.deepEqual({ problems, status }, { problems: "", status: 7 });
      const acknowledged = out.split("stored").length - 1;
      const session = await manager.openToken(token);
      assert.ok(session.get("list").length >= acknowledged);
      session.delete("list");
      await session.commit();
    }
  }
});

test("neither a manager nor its listener keeps a process alive", async () => {
  assert.equal(
    isFine(
      await program(
        `const { SessionManager } = require("holdall");
        for (const place of ["memory:", process.argv[1]]) new SessionManager(place).onEvent(() => {});
        process.on("exit", () => console.log("ended"));`,
        [`file://${folder()}/sessions`],
      ),
    ),
    "ended\n",
  );
});

test("the same package from import and from require", async () => {
  const imported = await import("holdall");
  const required = require("holdall");
  const names = ["Commit", "HoldallError", "Session", "SessionManager", "flash", "generateKey", "session", "withSession"];
  assert.deepEqual(Object.keys(required), names);
  for (const name of names) assert.equal(imported[name], required[name]);
});
