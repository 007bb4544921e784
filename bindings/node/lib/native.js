"use strict";

// The native half, with its errors as HoldallError.

const { translated } = require("./errors.js");
const functions = require("../holdall.node");

// No function takes more than eight, and to hand on a fixed number costs less than a list.
function guarded(name, call) {
  return (a, b, c, d, e, f, g, h) => {
    try {
      return call(a, b, c, d, e, f, g, h);
    } catch (error) {
      throw translated(error, name);
    }
  };
}

// One that answers with a promise.
function guardedInThread(name, call) {
  const checked = guarded(name, call);
  const rethrown = (error) => {
    throw translated(error, name);
  };
  return (...given) => checked(...given).catch(rethrown);
}

const named = ([name, call]) => [name, (name.endsWith("InThread") ? guardedInThread : guarded)(name, call)];

module.exports = Object.fromEntries(Object.entries(functions).map(named));
