// Which address does what, and whether it has a session.
//
// A page: session, render, commit, answer. A form: session, compare the CSRF token, change, commit, redirect. Assets and problems
// have no session: they would age flash, and cost a read each.

import { fileURLToPath } from "node:url";
import express from "express";
import { sessionMiddleware } from "holdall/http";
import { icon, style } from "./assets.js";
import { addToCart, removeFromCart } from "./cart.js";
import { formIsOurs, readForm } from "./form.js";
import { home, session as sessionPage } from "./pages.js";
import { failed, notFound, only } from "./problem.js";
import { signIn, signOut } from "./sign-in.js";
import { backToStart } from "./stored.js";

// No script, no frame, nothing from elsewhere: whatever an attacker smuggles in has nothing to run with.
const HEADERS = {
  "Content-Security-Policy":
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "same-origin",
};

export function application(manager) {
  const app = express();
  app.locals.manager = manager;
  app.set("views", fileURLToPath(new URL("views", import.meta.url)));
  app.set("view engine", "ejs");
  app.enable("view cache");
  app.enable("case sensitive routing");
  app.enable("strict routing");
  // A page is of one moment, and no-store.
  app.disable("etag");
  app.disable("x-powered-by");

  const session = sessionMiddleware(manager);
  // Reads the cart and writes back what follows from it, so others have to wait.
  const exclusive = sessionMiddleware(manager, { mode: "exclusive" });
  const page = (path, show) => app.route(path).get(session, show).all(only("GET, HEAD"));
  const form = (path, opened, act) => app.route(path).post(opened, formIsOurs, act, backToStart).all(only("POST"));
  const asset = (path, send) => app.route(path).get(send).all(only("GET, HEAD"));

  app.use((_req, res, next) => {
    res.set(HEADERS);
    next();
  });
  app.use(readForm);
  asset("/style.css", style);
  asset("/icon.svg", icon);
  page("/", home);
  page("/session", sessionPage);
  form("/sign-in", session, signIn);
  form("/sign-out", session, signOut);
  form("/cart/add", session, addToCart);
  form("/cart/remove", exclusive, removeFromCart);
  app.use(notFound);
  app.use(failed);
  return app;
}
