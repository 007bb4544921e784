// The pages: the cart, the visits and who is signed in; and the session as it stands.

import { show } from "./stored.js";

// Indented, for people.
function pretty(value) {
  return JSON.stringify(value, null, 2);
}

export function home(req, res) {
  // An increment, so that parallel visits all count.
  const visits = req.session.holdall.increment("visits");
  return show(req, res, "home", { visits });
}

export function session(req, res) {
  const figures = req.app.locals.manager.stats();
  return show(req, res, "session", { data: pretty(req.session.holdall.all()), figures: pretty(figures) });
}
