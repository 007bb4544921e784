// The store as express-session's types see it. Checked by `make lint`; never run.

import express from "express";
import session from "express-session";
import { SessionManager } from "holdall";
import { HoldallStore } from "holdall/express-session";

const app = express();
app.use(session({ secret: "secret", store: new HoldallStore("file:///var/lib/app/sessions", { ttlS: 3600 }) }));
const store: session.Store = new HoldallStore(new SessionManager("memory:"));
store.get("id", (error, data) => [error, data?.cookie]);
