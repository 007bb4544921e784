"use strict";

// Waiting for a lock without holding up the event loop: try, let others run, try again.

const { setImmediate: others, setTimeout: pause } = require("node:timers/promises");

// A commit that is under way elsewhere takes some microseconds: look again at once. Later it is somebody who works.
const QUICK_TRIES = 8;
const LONGEST_PAUSE_MS = 4;

// Those who wait, by what names the session: first come, first served. Who came last sees a lock that is free soonest, and would
// starve the others.
class Lines {
  #lasts = new Map();

  // What `attempt` gives, as soon as it is not refused because another request has the lock. Refused still after `timeoutMs`: its
  // error.
  async unlocked(place, timeoutMs, attempt) {
    const deadline = performance.now() + timeoutMs;
    const before = this.#lasts.get(place);
    let leave;
    const left = new Promise((resolve) => (leave = resolve));
    const last = before === undefined ? left : before.then(() => left);
    this.#lasts.set(place, last);
    try {
      if (before !== undefined) await withDeadline(before, timeoutMs);
      for (let tries = 1; ; tries += 1) {
        try {
          return await attempt();
        } catch (error) {
          if (!error.locked) throw error;
          if (performance.now() >= deadline) throw waitedInVain(error, timeoutMs);
        }
        await (tries <= QUICK_TRIES ? others() : pause(Math.min(tries - QUICK_TRIES, LONGEST_PAUSE_MS)));
      }
    } finally {
      leave();
      if (this.#lasts.get(place) === last) this.#lasts.delete(place);
    }
  }

  // Whether somebody waits anywhere.
  get any() {
    return this.#lasts.size > 0;
  }

  // Whether somebody waits at this place.
  has(place) {
    return this.#lasts.has(place);
  }
}

// Until it is settled, or the time is over. The timer ends with it, so that no process stays alive for it.
async function withDeadline(promise, timeoutMs) {
  let timer;
  const over = new Promise((resolve) => (timer = setTimeout(resolve, timeoutMs)));
  try {
    await Promise.race([promise, over]);
  } finally {
    clearTimeout(timer);
  }
}

function waitedInVain(error, timeoutMs) {
  error.message = `the session is locked by another request; waited ${timeoutMs} ms`;
  return error;
}

module.exports = { Lines };
