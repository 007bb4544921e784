"use strict";

// The package: what is in its archive, that it installs away from here with cargo and npm alone, and what its native half exports.

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { test } = require("node:test");
const { folder } = require("./common.js");

const PACKAGE = path.join(__dirname, "..");
const HELLO = `const { SessionManager } = require("holdall");
  (async () => {
    const session = await new SessionManager("memory:").open();
    session.set("a", [1]);
    console.log((await session.commit()).outcome);
  })();`;

function run(program, given, options) {
  return execFileSync(program, given, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], ...options });
}

test("the archive installs in an empty folder, and is small", () => {
  const place = folder();
  const [archive] = JSON.parse(
    run("npm", ["pack", "--json", "--pack-destination", place], { cwd: PACKAGE }).replace(/^[^[]*/, ""),
  );
  assert.ok(archive.size < 4_000_000, `${archive.size} bytes`);
  const names = archive.files.map((file) => file.path);
  for (const name of [
    "lib/index.js",
    "lib/index.d.ts",
    "rust/engine/src/lib.rs",
    "rust/node/Cargo.lock",
    "build.js",
    "README.md",
  ]) {
    assert.ok(names.includes(name), name);
  }
  assert.deepEqual(
    names.filter((name) => /test|\.node$|target|benches/.test(name)),
    [],
  );

  const application = path.join(place, "application");
  fs.mkdirSync(application);
  fs.writeFileSync(path.join(application, "package.json"), "{}");
  // The crates that are there already need not be built again; all else is as anywhere.
  const env = { ...process.env, CARGO_TARGET_DIR: path.join(PACKAGE, "../../target/node") };
  run("npm", ["install", "--silent", "--no-audit", "--no-fund", path.join(place, archive.filename)], { cwd: application, env });
  assert.deepEqual(fs.readdirSync(path.join(application, "node_modules/holdall/rust")).sort(), ["engine", "node"]);
  assert.equal(run(process.execPath, ["-e", HELLO], { cwd: application }), "saved\n");
});

test("the folder installs as npm links it, with what it depends on", () => {
  const place = folder();
  // A clone, as far as it is needed: without what is built and installed here.
  run("git", ["clone", "--quiet", "--no-hardlinks", path.join(PACKAGE, "../.."), path.join(place, "clone")]);
  const application = path.join(place, "application");
  fs.mkdirSync(application);
  fs.writeFileSync(path.join(application, "package.json"), "{}");
  const env = { ...process.env, CARGO_TARGET_DIR: path.join(PACKAGE, "../../target/node") };
  run("npm", ["install", "--silent", "--no-audit", "--no-fund", path.join(place, "clone/bindings/node")], {
    cwd: application,
    env,
  });
  const adapters = `for (const name of ["http", "fastify", "koa"]) require("holdall/" + name);`;
  assert.equal(run(process.execPath, ["-e", adapters + HELLO], { cwd: application }), "saved\n");
});

test("only what Node asks for is exported", () => {
  const symbols = run("nm", ["--dynamic", "--defined-only", path.join(PACKAGE, "holdall.node")]);
  const names = symbols
    .trim()
    .split("\n")
    .map((line) => line.split(" ").pop());
  assert.deepEqual(
    names.filter((name) => !name.startsWith("napi_register_module")),
    [],
  );
});
