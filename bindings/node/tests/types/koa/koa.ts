// The middleware as Koa sees it. Checked by `make lint`; never run.

import { sessionMiddleware } from "holdall/koa";
import Koa from "koa";

declare module "holdall/http" {
  interface SessionData {
    user: { id: number };
    views: number;
  }
}

new Koa().use(sessionMiddleware("memory:", { saveOnError: true })).use(async (ctx) => {
  ctx.session.views = (ctx.session.views ?? 0) + 1;
  ctx.body = ctx.session.user?.id;
  // @ts-expect-error Another type.
  ctx.session.views = "three";
});
