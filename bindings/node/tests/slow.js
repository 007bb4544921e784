"use strict";

// Makes an application slow: required before it, every session waits before a commit of its own, some longer than others. That is
// where others overtake it.

const { setTimeout: pause } = require("node:timers/promises");
const { Session } = require("../lib/session.js");

const { commit } = Session.prototype;

Session.prototype.commit = async function slowCommit(options) {
  await pause(Math.random() * 5);
  return commit.call(this, options);
};
