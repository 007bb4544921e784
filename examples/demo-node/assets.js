// The style sheet and the icon: those of the demo in C++, read from its source once.

import { readFileSync } from "node:fs";

const SOURCE = readFileSync(new URL("../demo/assets.hpp", import.meta.url), "utf8");

// The text of a raw string R"name(...)name".
function literal(name) {
  const [, text] = new RegExp(`R"${name}\\((.*?)\\)${name}"`, "s").exec(SOURCE);
  return Buffer.from(text);
}

function asset(type, body) {
  return (_req, res) => res.set({ "Content-Type": type, "Cache-Control": "max-age=300" }).send(body);
}

export const style = asset("text/css; charset=utf-8", literal("css"));
export const icon = asset("image/svg+xml", literal("svg"));
