/** Lunox: `req.session()` with the engine's data, in the place of @lunoxjs/session. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { ServiceProvider } from "@lunoxjs/core";
import type { Session as EngineSession } from "./index.js";

/** Among the middleware of the kernel, global or of a group. */
export const StartSession: { handleNative(req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void): void };

/** Among the providers of config/app, in the place of Lunox's. */
export class SessionServiceProvider extends ServiceProvider {
  register(): Promise<void>;
  boot(): Promise<void>;
}

/** What `req.session()` gives. */
export class Session {
  /** The engine's session. */
  readonly holdall: EngineSession;
  get(key: string, fallback?: unknown): any;
  put(key: string, value: unknown): void;
  all(withFlashed?: boolean, withAuth?: boolean, withToken?: boolean): Record<string, any>;
  has(key: string): boolean;
  exists(key: string): boolean;
  forget(keys: string | string[]): void;
  remove(key: string): void;
  flash(key: string, value: unknown): void;
  getFlashed(): Record<string, any>;
  old(key?: string): any;
  flush(): Promise<true>;
  migrate(destroy?: boolean): Promise<true>;
  token(): string;
  regenerateToken(): void;
  save(): Promise<true>;
  isStarted(): boolean;
}
