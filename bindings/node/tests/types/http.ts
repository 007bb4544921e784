// The middleware as Express, Connect and node:http see it. Checked by `make lint`; never run.

import { createServer } from "node:http";
import connect from "connect";
import express from "express";
import { SessionManager } from "holdall";
import { sessionMiddleware } from "holdall/http";

declare module "holdall/http" {
  interface SessionData {
    user: { id: number };
    views: number;
  }
}

const manager = new SessionManager("memory:");
const app = express();
app.use(sessionMiddleware(manager, { mode: (req: express.Request) => (req.path === "/buy" ? "exclusive" : "shared") }));
app.get("/", async (req, res) => {
  req.session.views = (req.session.views ?? 0) + 1;
  const id: number | undefined = req.session.user?.id;
  req.session.holdall.flash("notice", "hello");
  req.session.cookie.maxAge = 60_000;
  req.session.touch();
  await req.session.save();
  // @ts-expect-error Another type.
  req.session.views = "three";
  // @ts-expect-error It is no data.
  req.session.id = "mine";
  req.session.regenerate((error) => res.json([id, error]));
});
connect().use(sessionMiddleware("memory:"));

const session = sessionMiddleware({ url: "memory:", cookie: { secure: false } }, { property: "session", saveOnError: true });
createServer((req, res) => session(req, res, () => res.end(String(req.session.views))));
