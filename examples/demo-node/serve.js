#!/usr/bin/env node

// The Holdall demo in Node: reads the options, serves until SIGINT or SIGTERM.
//
// Several of these processes may share a directory of sessions, with each other and with the demos in other languages.

import { parseArgs } from "node:util";
import { application } from "./application.js";
import { defaultSessions, managerOf } from "./config.js";

const USAGE = `usage: demo [--sessions WHERE] [--port N]

  --sessions WHERE   memory:                 in this process, gone when it ends
                     file:///absolute/path   in files, one a session
                     {"drivers": ...}        a whole configuration as JSON (docs/config.md)
                     default: build/demo-sessions, or /tmp/holdall-demo where there is no ./build
  --port N           on 127.0.0.1; 0 takes a free one; default: 8000
  --help             this
`;

// What the person on call should know of; the rest is daily bread.
const ALARMS = new Set(["conflict", "evicted", "quarantined", "rolled_back", "unavailable"]);

function refuse(what) {
  process.stderr.write(`demo: ${what}\n${USAGE}`);
  process.exit(2);
}

function readOptions() {
  const options = { sessions: { type: "string" }, port: { type: "string" }, help: { type: "boolean" } };
  let read;
  try {
    read = parseArgs({ options, allowPositionals: true });
  } catch (error) {
    refuse(error.message);
  }
  const { sessions = defaultSessions(), port = "8000", help } = read.values;
  if (help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65535) refuse("--port: a number from 0 to 65535");
  if (read.positionals.length > 0) refuse("there are no arguments besides the options");
  return { sessions, port: Number(port) };
}

function fail(error) {
  process.stderr.write(`demo: ${error.message}\n`);
  process.exit(1);
}

function serve({ sessions, port }) {
  const manager = managerOf(sessions);
  manager.onEvent((kind, session) => {
    if (ALARMS.has(kind)) process.stderr.write(`holdall-demo: session ${session}: ${kind}\n`);
  });
  const server = application(manager).listen(port, "127.0.0.1", (error) => {
    if (error) fail(error);
    process.stdout.write(
      "The session cookie is not Secure, because this is plain http. Behind https, leave cookie.secure alone.\n" +
        `Ready: http://127.0.0.1:${server.address().port}/\n`,
    );
  });
  // Lets the running requests end. A second signal does not wait for them.
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => server.close());
}

try {
  serve(readOptions());
} catch (error) {
  fail(error);
}
