/** Express, Connect and plain `node:http`: a session in `req.session`. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { FlashPolicy, ManagerOptions, Mode, Session, SessionManager } from "./index.js";

/**
 * What the application keeps in `req.session`. Extend it as for express-session:
 *
 * @example
 * declare module "holdall/http" {
 *   interface SessionData { user?: number }
 * }
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is there to be extended
export interface SessionData {}

/** The cookie of the session. What is set here is how long the session and its cookie last. */
export interface SessionCookie {
  /** In milliseconds; null: as long as the browser. Never longer than what is configured. */
  maxAge: number | null;
  expires: Date | null;
  readonly originalMaxAge: number | null;
  readonly path: string;
  readonly domain: string | null;
  readonly secure: boolean | "auto";
  readonly httpOnly: boolean;
  readonly sameSite: "lax" | "strict" | "none";
  readonly partitioned: boolean;
}

/** The session's own names; all other properties are its data. */
export interface RequestSessionMethods {
  /** The engine's session, for what properties do not have: `flash`, `increment`, `regenerate` with the same data, `csrfToken`. */
  readonly holdall: Session;
  readonly id: string | undefined;
  readonly cookie: SessionCookie;
  /** A new id and no data, as in express-session. */
  regenerate(callback: (error: unknown) => void): void;
  regenerate(): Promise<void>;
  /** Destroys the record; the response removes the cookie. `req.session` is undefined from here on. */
  destroy(callback: (error: unknown) => void): void;
  destroy(): Promise<void>;
  /** Saves now, and goes on with what is stored. Needed by nobody: the response waits for the commit. */
  save(callback: (error: unknown) => void): void;
  save(): Promise<void>;
  /** Drops what this request did, and goes on with what is stored. */
  reload(callback: (error: unknown) => void): void;
  reload(): Promise<void>;
  touch(): this;
  resetMaxAge(): this;
}

export type RequestSession<Data = SessionData> = RequestSessionMethods & Partial<Data>;

declare module "http" {
  interface IncomingMessage {
    session: RequestSession;
  }
}

export interface MiddlewareOptions<Request = IncomingMessage> {
  /** Where the session is, for several of them in one request. Default `session`. */
  property?: string;
  /** As for `SessionManager.open`, or a function that tells it from the request. */
  mode?: Mode | ((request: Request) => Mode);
  /** Another flash policy than the configured one. */
  flash?: FlashPolicy;
  /** Whether a response of 500 and above saves, too. Default false. */
  saveOnError?: boolean;
}

/** A manager, or the configuration of one. */
export function sessionMiddleware(
  config: SessionManager<any> | string | ManagerOptions,
  options?: MiddlewareOptions<any>,
): (req: IncomingMessage, res: ServerResponse, next: (error?: any) => void) => void;
