"use strict";

// Values: what may be kept in a session, as JSON text. V8 reads and writes it.

const { HoldallError } = require("./errors.js");

const SAFE_DIGITS = 15;

// The JSON text of a value. `key` names it in errors.
function written(key, value) {
  let text;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    // A cycle, a BigInt, a toJSON that throws, more levels than the stack has. The message may quote a value; its first
    // line does not.
    throw refused(key, reason(error));
  }
  if (text === undefined) throw refused(key, `${value === undefined ? "undefined" : `a ${typeof value}`} is no JSON value`);
  if (text === "null" && value !== null) {
    if (typeof value === "number") throw refused(key, `JSON has no number ${value}`);
  } else if (text === "{}") {
    // A Map, a Set, a Promise that nobody awaited: they would come back empty.
    const kind = Object.prototype.toString.call(value).slice(8, -1);
    if (kind !== "Object" && typeof value.toJSON !== "function") throw refused(key, `a ${kind} is no JSON value`);
  }
  return text;
}

function reason(error) {
  if (error instanceof RangeError) return "it is nested too deep";
  const line = String(error?.message ?? error).split("\n")[0];
  if (line.startsWith("Converting circular structure")) return "it contains itself";
  if (line.includes("BigInt")) return "a BigInt is no JSON value";
  return "its toJSON failed";
}

function refused(key, why) {
  return new HoldallError("invalid_value", `the value of ${JSON.stringify(key)}: ${why}`);
}

// Whether a JSON text is of an array or an object, which can be changed in place.
function isContainer(text) {
  const first = text.charCodeAt(0);
  return first === 0x5b || first === 0x7b;
}

// Whether a JSON text has an integer that a number of JavaScript would round.
function hasGreatInteger(text) {
  for (const [token] of text.matchAll(/"(?:[^"\\]+|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g)) {
    if (token.length > SAFE_DIGITS && /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token))) return true;
  }
  return false;
}

module.exports = { hasGreatInteger, isContainer, refused, written };
