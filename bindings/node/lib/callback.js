"use strict";

// A promise, and the callback of those who have one. Like a promise it is called later, and what it throws is its own.
function answered(promise, callback) {
  if (callback === undefined) return promise;
  promise.then(
    (value) => process.nextTick(callback, null, value),
    (error) => process.nextTick(callback, error),
  );
  return undefined;
}

module.exports = { answered };
