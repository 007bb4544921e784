"use strict";

// Holdall: sessions that lose nothing. Its adapters: holdall/http, holdall/express-session, holdall/fastify, holdall/koa,
// holdall/northle, holdall/lunox.

const { flash, session, withSession } = require("./context.js");
const { HoldallError } = require("./errors.js");
const { SessionManager } = require("./manager.js");
const { generateKey } = require("./native.js");
const { Commit, Session } = require("./session.js");

module.exports = { Commit, HoldallError, Session, SessionManager, flash, generateKey, session, withSession };
