// Lunox: `req.session()` with the engine's data, in the place of @lunoxjs/session.
//
// `SessionServiceProvider` among the providers, `StartSession` among the middleware, config/session as it was. Ends as Express does: before
// the head of the response leaves.

import { randomBytes } from "node:crypto";
import { Request, ServiceProvider } from "@lunoxjs/core";
import errors from "./errors.js";
import http from "./http.js";

const FLASH = "_flash:";
const OLD_INPUT = "_old_input";
const TOKEN = "_token";
// How Lunox itself calls flash and the form of the request before.
const FLASHED = "__session";
const OLD = "__old";

// One application a process, as Lunox has it.
let start;

export const StartSession = {
  handleNative(req, res, next) {
    start ??= http.sessionMiddleware(...settings(config("session")));
    return start(req, res, next);
  },
};

export class SessionServiceProvider extends ServiceProvider {
  async register() {
    Request.macro("session", function session() {
      this.managers.session ??= new Session(this);
      return this.managers.session;
    });
  }

  async boot() {}
}

// The configuration of the engine, and the middleware's options, of what stands in config/session.
function settings(given) {
  const { driver = "file", lifetime = 120, files, cookie = "lunox_session", keys = [], flash = "view" } = given;
  const drivers = { file: { type: "file", path: files }, memory: { type: "memory" }, cookie: { type: "cookie" } };
  if (!Object.hasOwn(drivers, driver)) throw invalid("driver", `is "file", "memory" or "cookie", not ${JSON.stringify(driver)}`);
  if (flash !== "view" && flash !== "next_request") throw invalid("flash", 'is "view" or "next_request"');
  const { path = "/", domain = null, secure = false, http_only = true, same_site = "lax" } = given;
  const config = {
    default: driver,
    drivers: { [driver]: drivers[driver] },
    keys,
    idle_timeout_s: lifetime * 60,
    // As before: for who comes back once as for who stays.
    new_idle_timeout_s: lifetime * 60,
    cookie: { name: cookie, path, domain: domain || null, secure, http_only, same_site: same_site || "lax", persistent: true },
  };
  return [config, { flash: flash === "view" ? "explicit" : flash }];
}

function invalid(field, says) {
  return new errors.HoldallError("invalid_config", `config field \`session.${field}\`: ${says}`);
}

export class Session {
  #request;

  constructor(request) {
    this.#request = request;
  }

  get holdall() {
    const shown = this.#request.getOriginalRequest().session;
    if (shown === undefined)
      throw new errors.HoldallError("misuse", "there is no session here: StartSession is not among the middleware");
    return shown.holdall;
  }

  // The value of a key, of flash before data; else of a dotted path into one. What is missing is null, or the fallback.
  get(key, fallback = null) {
    const whole = this.#literal(key);
    if (whole !== undefined) return whole;
    const [first, ...path] = key.split(".");
    return walked(path.length === 0 ? undefined : this.#literal(first), path) ?? fallback;
  }

  put(key, value) {
    if (key === FLASHED) for (const [name, message] of Object.entries(value ?? {})) this.flash(name, message);
    else if (key === OLD) this.#keepForm(value);
    else if (value === undefined) this.holdall.delete(key);
    else this.holdall.set(key, value);
  }

  all(withFlashed = false, withAuth = false, withToken = false) {
    const data = this.#data();
    if (!withToken) delete data[TOKEN];
    if (!withAuth && Request.hasMacro("auth")) delete data[this.#request.auth().guard()?.getName()];
    return withFlashed ? { ...data, ...this.getFlashed() } : data;
  }

  has(key) {
    return (this.#dataOf(key) ?? null) !== null;
  }

  exists(key) {
    return this.#dataOf(key) !== undefined;
  }

  forget(keys) {
    for (const key of [keys].flat()) this.remove(key);
  }

  remove(key) {
    if (key === FLASHED) this.holdall.delete(...Object.keys(this.getFlashed()).map((name) => FLASH + name));
    else this.holdall.delete(key === OLD ? OLD_INPUT : key);
  }

  flash(key, value) {
    this.holdall.flash(FLASH + key, value);
  }

  getFlashed() {
    const names = Object.keys(this.holdall.all()).filter((name) => name.startsWith(FLASH));
    return Object.fromEntries(names.map((name) => [name.slice(FLASH.length), this.holdall.get(name)]));
  }

  old(key) {
    const form = this.holdall.get(OLD_INPUT, {});
    return key === undefined ? form : (walked(form, [key]) ?? walked(form, key.split(".")) ?? null);
  }

  // Clears data and flash. The visitor keeps the session.
  async flush() {
    this.holdall.flush();
    return true;
  }

  // A new id for the same data. The old one is over, whatever is said.
  async migrate() {
    this.holdall.regenerate();
    return true;
  }

  token() {
    if (this.#dataOf(TOKEN) === undefined) this.regenerateToken();
    return this.holdall.get(TOKEN);
  }

  regenerateToken() {
    this.holdall.set(TOKEN, randomBytes(30).toString("base64url"));
  }

  // The response waits for the commit, whoever has asked for it.
  async save() {
    return true;
  }

  isStarted() {
    return this.#request.getOriginalRequest().session !== undefined;
  }

  async start() {}

  setRequest() {
    return this;
  }

  #literal(key) {
    return this.holdall.get(FLASH + key) ?? this.#dataOf(key);
  }

  #dataOf(key) {
    return this.holdall.dataJson(key) === undefined ? undefined : this.holdall.get(key);
  }

  #data() {
    const all = this.holdall.all();
    const names = Object.keys(all).filter((name) => !name.startsWith(FLASH) && name !== OLD_INPUT && name !== "__proto__");
    return Object.fromEntries(names.map((name) => [name, all[name]]));
  }

  #keepForm(form) {
    const { [TOKEN]: _, ...fields } = form ?? {};
    this.holdall.flashInput(fields);
  }
}

// What lies at the end of a path: own properties alone.
function walked(value, path) {
  return path.reduce(
    (found, name) => (found !== null && typeof found === "object" && Object.hasOwn(found, name) ? found[name] : undefined),
    value,
  );
}
