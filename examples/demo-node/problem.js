// What is answered where there is no page, or something went wrong: without a session, so that it neither counts, nor ages flash,
// nor needs the storage to work.

import { HoldallError } from "holdall";

export function problem(res, status, title, text) {
  res.status(status).render("problem", { title, text });
}

export function seeOther(res, path) {
  res.status(303).location(path).end();
}

export function notFound(_req, res) {
  problem(res, 404, "Nothing here", "There is no page at this address.");
}

export function only(methods) {
  return (_req, res) => problem(res.set("Allow", methods), 405, "Not that way", "This address does not answer such requests.");
}

// 503 where trying again may help, else 500. The reason is for the log and not for the page.
export function failed(error, req, res, _next) {
  // The visitor has gone while the request waited for another, and the session was given up.
  if (res.closed) return;
  if (!(error instanceof HoldallError)) {
    console.error(error);
    return problem(res, 500, "That went wrong", "Nothing was changed. We have been told.");
  }
  // It has neither ids nor values in it.
  console.error(`holdall-demo: ${req.method} ${req.path}: ${error.code}: ${error.message}`);
  const title = "Sessions are out of order";
  if (error.retryable) problem(res.set("Retry-After", "1"), 503, title, "Please try again in a moment.");
  else problem(res, 500, title, "We have been told.");
}
