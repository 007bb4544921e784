/** Fastify: a session in `request.session`. */

import type { FastifyPluginAsync, FastifyRequest } from "fastify";
import type { RequestSessionMethods, SessionData } from "./http.js";
import type { ManagerOptions, Mode, SessionManager } from "./index.js";

export interface SessionPluginOptions {
  /** A manager, or the configuration of one. */
  manager: SessionManager<any> | string | ManagerOptions;
  /** Where the session is, for several of them in one request. Default `session`. */
  property?: string;
  /** As for `SessionManager.open`, or a function that tells it from the request. */
  mode?: Mode | ((request: FastifyRequest) => Mode);
  /** Whether a reply of 500 and above saves, too. Default false. */
  saveOnError?: boolean;
}

declare module "fastify" {
  interface FastifyRequest {
    session: RequestSessionMethods & Partial<SessionData>;
  }
}

export const sessionPlugin: FastifyPluginAsync<SessionPluginOptions>;
