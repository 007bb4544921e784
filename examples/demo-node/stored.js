// How a request with a session ends: it commits before it answers, because only then is it known what to answer.
//
// A page's commit ages flash; a form's does not, because a redirect shows nothing.

import { promisify } from "node:util";
import { problem, seeOther } from "./problem.js";

const CHANGED =
  "You signed in or out elsewhere at the same moment, so nothing was stored. Go back to the start and try once more.";

// Whether another request has ended the session or changed its id under this one, which then stored nothing.
function isOvertaken({ outcome }) {
  return outcome === "gone" || outcome === "moved";
}

// Shows a page of the session. Renders first: what the page reads and counts belongs to the same commit.
export async function show(req, res, view, data) {
  const { holdall } = req.session;
  const page = await promisify(res.render).call(res, view, { session: holdall, path: req.path, ...data });
  // For HEAD nobody has seen the page, so nothing has happened: no visit, no message shown.
  if (req.method === "HEAD") holdall.close();
  // The page is of a session that is no more, perhaps of somebody who has just signed out. The browser comes again with the
  // cookie that it has by then.
  else if (isOvertaken(await holdall.commit())) return seeOther(res, req.path);
  res.send(page);
}

// Ends a form.
export async function backToStart(req, res) {
  const commit = await req.session.holdall.commit({ ageFlash: false });
  if (isOvertaken(commit)) problem(res, 409, "Your session has changed", CHANGED);
  else seeOther(res, "/");
}
