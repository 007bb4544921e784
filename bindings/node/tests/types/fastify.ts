// The plugin as Fastify sees it. Checked by `make lint`; never run.

import fastify from "fastify";
import { SessionManager } from "holdall";
import { sessionPlugin } from "holdall/fastify";

const app = fastify();
app.register(sessionPlugin, {
  manager: new SessionManager("memory:"),
  mode: (request) => (request.url === "/" ? "exclusive" : "shared"),
});
app.get("/", async (request) => {
  request.session.views = (request.session.views ?? 0) + 1;
  // @ts-expect-error Another type.
  request.session.views = "three";
  await request.session.destroy();
});
