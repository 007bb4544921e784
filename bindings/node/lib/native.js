"use strict";

// The native half, with its errors as HoldallError.

const { translated } = require("./errors.js");
const functions = require("../holdall.node");

// No function takes more than eight, and to hand on a fixed number costs less than a list.
function guarded(name, call) {
  const rethrown = (error) => {
    throw translated(error, name);
  };
  return (a, b, c, d, e, f, g, h) => {
    let answer;
    try {
      answer = call(a, b, c, d, e, f, g, h);
    } catch (error) {
      throw translated(error, name);
    }
    return answer instanceof Promise ? answer.catch(rethrown) : answer;
  };
}

module.exports = Object.fromEntries(Object.entries(functions).map(([name, call]) => [name, guarded(name, call)]));
