/** Northle: its service `Session`, with the data kept by the engine. */

import type { FlashPolicy, ManagerOptions, SessionManager } from "./index.js";

export interface SessionServiceOptions {
  /** `on_read`: a message is gone once read, as Northle's document says. `next_request`: as its code of 2023 does. Default `on_read`. */
  flash?: FlashPolicy;
  /** Whether a response of 500 and above saves, too. Default false. */
  saveOnError?: boolean;
}

/**
 * Takes over a service, as `inject(Session)` gives it, before the server is created. Gives the same service.
 *
 * @param config A manager, or the configuration of one.
 */
export function sessionService<Service extends object>(
  service: Service,
  config: SessionManager<any> | string | ManagerOptions,
  options?: SessionServiceOptions,
): Service;
