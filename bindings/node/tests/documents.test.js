"use strict";

// The examples of README.md and docs/node*.md run, print what they say, and have the types they should.

const assert = require("node:assert/strict");
const { execFileSync, spawn } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const path = require("node:path");
const { test } = require("node:test");
const { folder } = require("./common.js");

const ROOT = path.join(__dirname, "../../..");

function examples(page, language) {
  const text = fs.readFileSync(path.join(ROOT, page), "utf8");
  return [...text.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "gs"))].map((match) => match[1]);
}

for (const page of ["README.md", "docs/node.md"]) {
  test(`the first example of ${page} runs`, () => {
    const [example] = examples(page, "javascript");
    const source = example.replaceAll("/tmp/holdall-hello", `${folder()}/sessions`);
    const printed = execFileSync(process.execPath, ["-e", source], { cwd: __dirname, encoding: "utf8" });
    assert.equal(printed.includes("visits: 1\n"), page === "README.md");
    assert.match(printed, /^Set-Cookie: __Host-sid=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Secure$/m);
    assert.ok(printed.includes("Cache-Control: no-store\n") && printed.includes("Vary: Cookie\n"));
  });
}

const SERVERS = ["express", "fastify", "koa"].flatMap((name) => {
  const page = `docs/node/${name}.md`;
  return examples(page, "javascript").map((example, number) => ({ name: `example ${number + 1} of ${page}`, example }));
});

for (const { name, example } of SERVERS) {
  test(`${name} answers`, async () => {
    // It listens where it likes, and says where, if it does not do so by itself.
    const source = example.replace(
      /^app\.listen\((.*)\);/m,
      "const server = app.listen($1, () => console.log(server.address().port));",
    );
    const child = spawn(process.execPath, ["-e", source], { cwd: __dirname, stdio: ["ignore", "pipe", "inherit"] });
    try {
      const [port] = await Promise.race([once(child.stdout, "data"), once(child, "close")]);
      assert.equal(await (await fetch(`http://127.0.0.1:${Number(port)}/`)).text(), "views: 1");
    } finally {
      child.kill();
    }
  });
}

test("the typed examples are checked by tsc", () => {
  const found = ["docs/node.md", "docs/node/express.md"].flatMap((page) => examples(page, "typescript"));
  assert.ok(found.length > 0);
  // Within the package, which they import by its name.
  const place = fs.mkdtempSync(path.join(__dirname, "types", "examples-"));
  try {
    for (const [number, example] of found.entries()) fs.writeFileSync(path.join(place, `${number}.ts`), example);
    fs.writeFileSync(path.join(place, "tsconfig.json"), '{"extends":"../tsconfig.json","include":["."]}');
    execFileSync(path.join(__dirname, "../node_modules/.bin/tsc"), ["--project", place], { stdio: "pipe", encoding: "utf8" });
  } catch (error) {
    assert.fail(error.stdout || error);
  } finally {
    fs.rmSync(place, { recursive: true });
  }
});
