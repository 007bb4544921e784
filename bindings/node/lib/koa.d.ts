/** Koa: a session in `ctx.session`. */

import type { Context, Middleware } from "koa";
import type { RequestSessionMethods, SessionData } from "./http.js";
import type { ManagerOptions, Mode, SessionManager } from "./index.js";

export interface SessionOptions {
  /** Where the session is, for several of them in one request. Default `session`. */
  property?: string;
  /** As for `SessionManager.open`, or a function that tells it from the context. */
  mode?: Mode | ((ctx: Context) => Mode);
  /** Whether a response of 500 and above saves, too. Default false. An error that is thrown never does. */
  saveOnError?: boolean;
}

declare module "koa" {
  interface DefaultContext {
    session: RequestSessionMethods & Partial<SessionData>;
  }
}

/** A manager, or the configuration of one. */
export function sessionMiddleware(config: SessionManager<any> | string | ManagerOptions, options?: SessionOptions): Middleware;
