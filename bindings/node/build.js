"use strict";

// Builds the native half with cargo, and nothing else. `node build.js pack` copies the sources of the engine into the package instead.

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

// The sources that prepack put here; in the repository they lie where they are written.
const PACKED = path.join(__dirname, "rust");
const REPOSITORY = path.join(__dirname, "..", "..");

function run(command, ...given) {
  const { error, status } = spawnSync(command, given, { stdio: "inherit" });
  if (error?.code === "ENOENT") {
    console.error(`holdall is built from source and needs ${command}, which is not on the PATH. Install Rust with rustup.`);
  } else if (error) {
    console.error(String(error));
  }
  if (error || status !== 0) process.exit(status || 1);
}

function build() {
  const isPacked = !fs.existsSync(path.join(__dirname, "Cargo.toml"));
  const crate = isPacked ? path.join(PACKED, "node") : __dirname;
  const own = isPacked ? path.join(PACKED, "target") : path.join(REPOSITORY, "target", "node");
  const target = process.env.CARGO_TARGET_DIR ?? own;
  const manifest = path.join(crate, "Cargo.toml");
  run("cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", manifest, "--target-dir", target);
  const library = process.platform === "darwin" ? "libholdall_node.dylib" : "libholdall_node.so";
  // Removed first: a process that has the old one open keeps it.
  const built = path.join(__dirname, "holdall.node");
  fs.rmSync(built, { force: true });
  fs.copyFileSync(path.join(target, "release", library), built);
  // Hundreds of megabytes that an application has no use for.
  if (isPacked) fs.rmSync(own, { recursive: true, force: true });
}

// npm links a folder that it is told to install, and what that folder depends on it leaves to others, unless it lies in the application.
function bringDependencies() {
  try {
    for (const name of Object.keys(require("./package.json").dependencies)) require.resolve(name);
  } catch {
    run("npm", "ci", "--prefix", __dirname, "--omit=dev", "--ignore-scripts", "--loglevel=error");
  }
}

// The engine as cargo would publish it, without its tests, and this crate with the engine beside it.
function pack() {
  fs.rmSync(PACKED, { recursive: true, force: true });
  const target = path.join(REPOSITORY, "target", "node");
  const manifest = path.join(REPOSITORY, "Cargo.toml");
  const { version } = require("./package.json");
  run(
    "cargo",
    "package",
    "--quiet",
    "--allow-dirty",
    "--no-verify",
    "--package",
    "holdall",
    "--manifest-path",
    manifest,
    "--target-dir",
    target,
  );
  const wanted = ["Cargo.toml", "src", "LICENSE-MIT", "LICENSE-APACHE"];
  fs.mkdirSync(path.join(PACKED, "engine"), { recursive: true });
  const archive = path.join(target, "package", `holdall-${version}.crate`);
  const inside = wanted.map((name) => `holdall-${version}/${name}`);
  run("tar", "-xzf", archive, "-C", path.join(PACKED, "engine"), "--strip-components=1", ...inside);
  const crate = path.join(PACKED, "node");
  fs.mkdirSync(crate);
  for (const name of ["Cargo.lock", "build.rs", "src"])
    fs.cpSync(path.join(__dirname, name), path.join(crate, name), { recursive: true });
  const text = fs.readFileSync(path.join(__dirname, "Cargo.toml"), "utf8");
  fs.writeFileSync(path.join(crate, "Cargo.toml"), text.replace('path = "../.."', 'path = "../engine"'));
}

if (process.argv[2] === "pack") {
  pack();
} else {
  build();
  bringDependencies();
}
