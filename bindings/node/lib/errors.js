"use strict";

// Errors: one class, with the kind as `code`, the same word in every language (docs/errors.md).

class HoldallError extends Error {
  constructor(code, message, flags = {}) {
    super(message);
    this.code = code;
    this.retryable = flags.retryable === true;
    this.mayHaveWritten = flags.mayHaveWritten === true;
    this.locked = flags.locked === true;
  }

  // On the prototype, where Error has its own: no property of each instance.
  get name() {
    return "HoldallError";
  }
}

// What the native half throws: the kind and its flags, a line break, the message.
function translated(error, call) {
  const [line, ...message] = error.message.split("\n");
  if (message.length === 0) {
    // napi's own, for an argument of a type that it cannot take. Its words may quote the argument.
    return new HoldallError("invalid_argument", `${call}: an argument is of another type than this call takes`);
  }
  const [code, ...flags] = line.split(" ");
  return new HoldallError(code, message.join("\n"), Object.fromEntries(flags.map((flag) => [flag, true])));
}

module.exports = { HoldallError, translated };
