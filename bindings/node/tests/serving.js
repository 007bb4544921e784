"use strict";

// A server for a test, and a visitor with a browser's cookies.

const http = require("node:http");
const { once } = require("node:events");

// Answers at a port of its own until the test is over.
async function served(t, listener) {
  const server = listener instanceof http.Server ? listener : http.createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return new Visitor(`http://127.0.0.1:${server.address().port}`);
}

class Visitor {
  cookies = new Map();

  constructor(origin) {
    this.origin = origin;
  }

  // Another visitor of the same server.
  another() {
    return new Visitor(this.origin);
  }

  // The same browser once more: what it does from here on is its own.
  copy() {
    const copy = this.another();
    copy.cookies = new Map(this.cookies);
    return copy;
  }

  async fetch(path, { headers = {}, ...options } = {}) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const sent = { ...(cookie && { cookie }), ...headers };
    const response = await fetch(this.origin + path, { redirect: "manual", headers: sent, ...options });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]*)=([^;]*)/.exec(line);
      if (/; Max-Age=0\b/.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return response;
  }

  async text(path, options) {
    return (await this.fetch(path, options)).text();
  }

  async json(path, options) {
    return (await this.fetch(path, options)).json();
  }
}

module.exports = { Visitor, served };
