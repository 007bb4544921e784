// Where the sessions are, and their cookie: as in the demos in other languages, so that they may share them.

import { statSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { SessionManager } from "holdall";

// Where the sessions are when nobody says: in the build directory, if the demo is started beside one.
export function defaultSessions() {
  const isBuiltHere = statSync("build", { throwIfNoEntry: false })?.isDirectory();
  return pathToFileURL(isBuiltHere ? resolve("build/demo-sessions") : "/tmp/holdall-demo").href;
}

// The manager for what --sessions says: a URL or a JSON document.
export function managerOf(sessions) {
  const given = sessions.startsWith("{") ? read(sessions) : { url: sessions };
  // The demo is plain http, where browsers neither keep nor send a Secure cookie; and a __Host- name needs Secure.
  const { name, ...cookie } = given.cookie ?? {};
  const named = name === undefined || String(name).startsWith("__") ? {} : { name };
  return new SessionManager({ ...given, cookie: { ...cookie, ...named, secure: false } });
}

function read(document) {
  try {
    return JSON.parse(document);
  } catch {
    // Its message would quote the document, which may have keys in it.
    throw new Error("--sessions: this is neither a URL nor a JSON document");
  }
}
