"use strict";

// A program for the gauntlet (tests/gauntlet/node.py): applications behind the adapters, and requests whose handlers do what they are told,
// line by line of JSON on its standard input. While one waits for its next line another may begin; a line is for the last that has begun.
//
// Requests come to the server's listeners without a connection, as if it had been one of https: so a Cookie header may have in it what the
// parser of node:http would refuse.

const http = require("node:http");
const readline = require("node:readline");
const { Duplex } = require("node:stream");
const { SessionManager, flash, session } = require("holdall");
const { ADAPTERS } = require("./applications.js");

const doors = [];
// What a handler waits for, the newest last.
const waiting = [];

function say(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

// The handler of every application.
async function answer(words) {
  say({ waiting: true });
  for (;;) {
    const { act, given, finish } = await new Promise((resolve) => waiting.push(resolve));
    if (finish !== undefined) return finish;
    try {
      say({ gave: (await (Object.hasOwn(LOOKS, act) ? LOOKS[act](words) : words[act](...given))) ?? null });
    } catch (error) {
      say({ threw: error.code ?? error.name });
    }
  }
}

// Ways to look at a session that words.get, has and all are not.
const LOOKS = {
  in: ({ shown }) => "k" in shown,
  "Object.keys": ({ shown }) => Object.keys(shown),
  "Object.entries": ({ shown }) => Object.entries(shown),
  "Object.hasOwn": ({ shown }) => Object.hasOwn(shown, "k"),
  "Object.assign": ({ shown }) => Object.assign({}, shown),
  "for in": ({ shown }) => {
    const keys = [];
    for (const key in shown) keys.push(key);
    return keys;
  },
  "JSON.stringify": ({ shown }) => JSON.stringify(shown),
  destructuring: ({ shown }) => {
    const { k } = shown;
    return k;
  },
  rest: ({ shown }) => {
    const { k, ...rest } = shown;
    return rest;
  },
  propertyIsEnumerable: ({ shown }) => Object.prototype.propertyIsEnumerable.call(shown, "k"),
  getOwnPropertyDescriptor: ({ shown }) => Object.getOwnPropertyDescriptor(shown, "k") !== undefined,
  structuredClone: ({ shown }) => structuredClone({ ...shown }),
  id: ({ shown }) => shown.id !== undefined,
  "session()": () => session().has("k"),
  "session(key)": () => session("k"),
  "flash(key)": () => flash("k"),
  "holdall.all": ({ engine }) => engine.all(),
  "holdall.has": ({ engine }) => engine.has("k"),
  "holdall.isNew": ({ engine }) => engine.isNew,
  "holdall.old": ({ engine }) => engine.old("k"),
  "holdall.csrfMatches": ({ engine }) => engine.csrfMatches("x"),
  "Northle: data.k": ({ service }) => service.data.k,
  "Northle: in data": ({ service }) => "k" in service.data,
  "Northle: all": ({ service }) => Object.keys(service.all()),
  "Northle: flash": ({ service }) => service.flash("k"),
  "Northle: flashed": ({ service }) => service.flashed,
  "Lunox: all": ({ own }) => own.all(true),
  "Lunox: has": ({ own }) => own.has("k"),
  "Lunox: old": ({ own }) => own.old("k"),
  "Lunox: getFlashed": ({ own }) => own.getFlashed(),
};

function request({ server }, { method, cookie, path, headers }) {
  const sent = [];
  const socket = new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      sent.push(chunk);
      done();
    },
  });
  Object.assign(socket, { encrypted: true, remoteAddress: "192.0.2.1", destroySoon: () => socket.destroy(), setTimeout() {} });
  const req = new http.IncomingMessage(socket);
  Object.assign(req, { method, url: path, httpVersion: "1.1", httpVersionMajor: 1, httpVersionMinor: 1, complete: true });
  Object.assign(req.headers, { host: "localhost" }, headers, cookie === "" ? {} : { cookie });
  req.push(null);
  const res = new http.ServerResponse(req);
  res.assignSocket(socket);
  res.on("finish", () => {
    const [head] = Buffer.concat(sent).toString("latin1").split("\r\n\r\n");
    const [status, ...lines] = head.split("\r\n");
    res.detachSocket(socket);
    res.emit("close");
    say({ status: Number(status.split(" ")[1]), headers: lines.map((line) => /^([^:]*): ?(.*)$/s.exec(line).slice(1)) });
  });
  server.emit("request", req, res);
}

async function heard({ make, of, ask, records, close, ...more }) {
  if (make !== undefined) {
    doors.push(await ADAPTERS[make.adapter].make(make.config, answer));
    return say({ door: doors.length - 1 });
  }
  if (ask !== undefined) return request(doors[of], ask);
  if (records !== undefined) {
    const manager = doors[of].manager ?? new SessionManager(records);
    return say({ records: (await manager.records()).length });
  }
  if (close !== undefined) {
    doors[of].server.close();
    doors[of] = undefined;
    return say({});
  }
  return waiting.pop()(more);
}

readline.createInterface({ input: process.stdin }).on("line", (line) => heard(JSON.parse(line)));
