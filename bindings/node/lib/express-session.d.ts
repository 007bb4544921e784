/** A store for express-session: one line changes the store of an application. */

import { type SessionData, Store } from "express-session";
import type { ManagerOptions, SessionManager } from "./index.js";

export class HoldallStore extends Store {
  /**
   * Where the sessions live: a URL, a configuration, or a manager that has a `keyed_secret`. How long they live is what their cookies
   * say; those without a `maxAge` live `ttlS` seconds after their last use, a day unless said. A cookie of more than 30 days needs an
   * `idle_timeout_s` as long as it.
   */
  constructor(config?: string | ManagerOptions | SessionManager<any>, options?: { ttlS?: number });
  readonly manager: SessionManager;
  get(sid: string, callback: (error: any, session?: SessionData | null) => void): void;
  set(sid: string, session: SessionData, callback?: (error?: any) => void): void;
  touch(sid: string, session: SessionData, callback?: (error?: any) => void): void;
  destroy(sid: string, callback?: (error?: any) => void): void;
  /** Counts every record of the driver: for tools. */
  length(callback: (error: any, length?: number) => void): void;
  /** Destroys every record of the driver, whoever made it. */
  clear(callback?: (error?: any) => void): void;
}
