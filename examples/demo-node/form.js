// What somebody typed into a form, and what may be wrong with it.

import express from "express";
import { flash } from "holdall";
import { problem } from "./problem.js";

const MAX_CHARACTERS = 80;
const MAX_FORM_BYTES = 64 * 1024;

const OUT_OF_DATE =
  "Nothing was changed. The page it came from was older than your last sign-in or sign-out, or it was not ours. " +
  "Go back to the start and try once more.";

// Leaves in `req.form` what the body says, of both kinds of forms. A body that cannot be read as one has no fields.
export const readForm = [
  express.raw({ type: () => true, limit: MAX_FORM_BYTES }),
  (error, _req, res, next) => {
    if (error.status !== 413) return next();
    problem(res, 413, "That was too much", "A form may have 64 KiB. Nothing was changed.");
  },
  async (req, _res, next) => {
    const headers = { "Content-Type": req.get("Content-Type") ?? "" };
    req.form = await new Response(req.body, { headers }).formData().catch(() => new FormData());
    next();
  },
];

// Compares the token of a form with the session's, before anything else is done.
export function formIsOurs(req, res, next) {
  const { holdall } = req.session;
  if (holdall.csrfMatches(field(req, "csrf_token"))) return next();
  // Nothing changes, and no message is shown.
  holdall.close();
  problem(res, 403, "That form was out of date", OUT_OF_DATE);
}

// A field of the form, empty where it is missing or a file. Of several of one name the last one counts.
export function field(req, name) {
  const text = req.form.getAll(name).at(-1);
  return typeof text === "string" ? text : "";
}

export function typed(req, name) {
  // The blanks at the end from where they begin, or it would try each of them.
  return field(req, name).replace(/^[ \t\r\n]+|(?<![ \t\r\n])[ \t\r\n]+$/g, "");
}

// What is wrong with a text; empty if nothing is.
export function complaint(text, what) {
  if (text === "") return `Please type ${what}.`;
  // What stands in the place of bytes that are not.
  if (text.includes("\ufffd")) return "That text is not valid UTF-8.";
  if ([...text].length > MAX_CHARACTERS) return `Please keep it to ${MAX_CHARACTERS} characters.`;
  return "";
}

// Says why not, and keeps what was typed, so that it need not be typed again.
export function complain(req, why, name, text) {
  flash("problem", why);
  req.session.holdall.flashInput({ [name]: text });
}
