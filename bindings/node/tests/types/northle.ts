// The service as TypeScript sees it. Checked by `make lint`; never run.

import { SessionManager } from "holdall";
import { sessionService } from "holdall/northle";

class Session {
  get(key: string): unknown {
    return key;
  }
}

const session: Session = sessionService(new Session(), new SessionManager("memory:"), { flash: "next_request" });
session.get("email");
// @ts-expect-error No policy.
sessionService(new Session(), "memory:", { flash: "never" });
