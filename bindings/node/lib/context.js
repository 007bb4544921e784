"use strict";

// Context: the session of the request that is being answered, without handing the request on.

const { AsyncLocalStorage } = require("node:async_hooks");
const { HoldallError } = require("./errors.js");

// Holds what has the session, because an adapter may open another in the middle of a request.
const current = new AsyncLocalStorage();

// Runs `call` with this session as the current one, and all that it starts.
function withSession(session, call) {
  return current.run({ session }, call);
}

function session(key, fallback) {
  const found = current.getStore()?.session;
  if (found === undefined) {
    throw new HoldallError("misuse", "there is no session here: this is called in a request, behind one of the adapters");
  }
  return key === undefined ? found : found.get(key, fallback);
}

function flash(key, ...value) {
  return value.length === 0 ? session().get(key) : session().flash(key, value[0]);
}

module.exports = { current, flash, session, withSession };
