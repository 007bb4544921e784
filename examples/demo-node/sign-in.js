// Signing in and out. Any name will do, and there is no password.

import { flash } from "holdall";
import { complain, complaint, typed } from "./form.js";

export function signIn(req, _res, next) {
  const name = typed(req, "name");
  const why = complaint(name, "a name");
  if (why) {
    complain(req, why, "name", name);
  } else {
    req.session.user = name;
    // Rights are gained: whoever knew the id of before must not know the one of after (OWASP, session fixation).
    req.session.holdall.regenerate();
    flash("notice", `Welcome, ${name}.`);
  }
  next();
}

export function signOut(req, _res, next) {
  req.session.holdall.invalidate();
  // After invalidate(), so it is the first thing in the new session.
  flash("notice", "You are signed out.");
  next();
}
