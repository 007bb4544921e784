// Starts the application at a port of its own, on this machine alone. Gives its server.

import "@lunoxjs/core/helpers";
import net from "node:net";
import { Application, Handler, Kernel } from "@lunoxjs/core";
import { StartSession } from "holdall/lunox";

class HttpKernel extends Kernel {
  middlewareGroups = { web: [StartSession] };
}

export async function start() {
  const { listen } = net.Server.prototype;
  const listening = new Promise((resolve) => {
    net.Server.prototype.listen = function (_port, told) {
      net.Server.prototype.listen = listen;
      return listen.call(this, 0, "127.0.0.1", () => {
        told?.();
        resolve(this);
      });
    };
  });
  const application = new Application(import.meta.dirname, ".mjs");
  application.singleton(Handler.symbol, Handler);
  await new HttpKernel(application).start();
  return listening;
}
