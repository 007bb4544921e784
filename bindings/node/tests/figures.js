"use strict";

// Long tests: how much of one is run, and what it found. As tests/figures.py, for docs/reliability.md.

const fs = require("node:fs");
const path = require("node:path");

const TORTURE = "HOLDALL_TORTURE" in process.env;

// The first number in `make test`, the second in `make torture`.
function scaled(short, whole) {
  return TORTURE ? whole : short;
}

// Records what a test has found, once it was asserted. Does nothing in `make test`.
function figure(row, driver, what, found, demanded) {
  if (process.env.HOLDALL_FIGURES === undefined) return;
  const file = path.relative(path.join(__dirname, "../../.."), require.main.filename);
  const command = `HOLDALL_TORTURE=1 node --test ${file}`;
  fs.appendFileSync(
    process.env.HOLDALL_FIGURES,
    `${JSON.stringify({ row, driver, what, found: String(found), demanded, command })}\n`,
  );
}

module.exports = { TORTURE, figure, scaled };
