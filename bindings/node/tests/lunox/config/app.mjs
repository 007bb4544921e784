// An application of Lunox for the tests: each path does what its name says.

import { EncryptionServiceProvider, RedirectResponse, ServiceProvider } from "@lunoxjs/core";
import { Route } from "@lunoxjs/core/facades";
import { session } from "holdall";
import { SessionServiceProvider } from "holdall/lunox";
import applications from "../../applications.js";

class Routes extends ServiceProvider {
  async register() {}

  async boot() {
    const web = (path, action) => {
      Route.get(path, action).middleware("web");
      Route.post(path, action).middleware("web");
    };
    web("/put", async (req) => {
      req.session().put("user", { name: "Ann", tags: ["a"] });
      req.session().put("zero", 0);
      req.session().put("empty", "");
      req.session().put("no", false);
      req.session().put("nothing", null);
      req.session().put("a.b", "literal");
      return { at: session() === req.session().holdall };
    });
    web("/in-place", async (req) => {
      req.session().get("user").tags.push("b");
      return {};
    });
    web("/look", async (req) => {
      const own = req.session();
      const keys = ["user", "zero", "empty", "no", "nothing", "missing", "constructor", "notice"];
      return {
        get: [
          "user.name",
          "user.tags.0",
          "user.tags.1",
          "a.b",
          "zero",
          "empty",
          "no",
          "nothing",
          "missing",
          "constructor",
          "user.__proto__",
          "notice",
        ].map((key) => own.get(key)),
        has: keys.filter((key) => own.has(key)),
        exists: keys.filter((key) => own.exists(key)),
        fallback: own.get("missing", 7),
        all: Object.keys(own.all()),
        flashed: own.getFlashed(),
      };
    });
    web("/forget", async (req) => {
      req.session().forget(["user", "zero"]);
      req.session().remove("a.b");
      return {};
    });
    web("/flush", async (req) => ({ flushed: await req.session().flush(), all: req.session().all() }));
    web("/id", async (req) => ({ id: req.session().holdall.id }));
    web("/migrate", async (req) => ({ done: await req.session().migrate(true), id: req.session().holdall.id }));
    web("/flash", async (req) => {
      req.session().flash("notice", "saved");
      req.session().put("notice", "data");
      return {};
    });
    web("/back", async () => new RedirectResponse("/look").with({ notice: "from a redirect" }));
    web("/form", async () => new RedirectResponse("/look").withInput());
    web("/old", async (req) => ({
      name: req.session().old("name"),
      missing: req.session().old("missing"),
      all: req.session().old(),
    }));
    // What the rendering of a view does.
    web("/view", async (req) => {
      const seen = req.session().all(true);
      req.session().remove("__old");
      req.session().remove("__session");
      return { seen };
    });
    web("/token", async (req) => ({
      token: req.session().token(),
      all: req.session().all(),
      with: Object.keys(req.session().all(true, true, true)),
    }));
    web("/fail", async (req) => {
      req.session().put("zero", 100);
      throw new Error("an error of the application");
    });
    web("/act", async (req) => applications.lunox.answer(req));
    web("/act/:rest", async (req) => applications.lunox.answer(req));
    Route.get("/outside", async (req) => ({ started: req.session().isStarted() }));
  }
}

export default {
  name: "tests",
  env: "production",
  key: `base64:${Buffer.alloc(32, 1).toString("base64")}`,
  cipher: "AES-256-CBC",
  providers: [EncryptionServiceProvider, SessionServiceProvider, Routes],
};
