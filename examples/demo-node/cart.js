// The cart: what goes in and what comes out.

import { flash } from "holdall";
import { complain, complaint, field, typed } from "./form.js";

const MAX_ITEMS = 100;

export function addToCart(req, _res, next) {
  const item = typed(req, "item");
  let why = complaint(item, "what you want to add");
  if (!why && (req.session.cart ?? []).length >= MAX_ITEMS) why = "The cart is full.";
  if (why) {
    complain(req, why, "item", item);
  } else {
    // A push and not a set of the whole list: what others add meanwhile stays.
    req.session.holdall.push("cart", item);
    flash("notice", `Added "${item}".`);
  }
  next();
}

export function removeFromCart(req, _res, next) {
  const item = field(req, "item");
  const cart = req.session.cart ?? [];
  const at = cart.indexOf(item);
  if (at >= 0) {
    // Safe because this session is exclusive: nobody can have added to it since it was read.
    cart.splice(at, 1);
    if (cart.length === 0) delete req.session.cart;
    flash("notice", `Removed "${item}".`);
  } else {
    flash("notice", "That was not in the cart any more.");
  }
  next();
}
