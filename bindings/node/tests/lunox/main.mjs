// Starts the application at a port of its own, on this machine alone, and says which.

import "@lunoxjs/core/helpers";
import net from "node:net";
import { Application, Handler, Kernel } from "@lunoxjs/core";
import { StartSession } from "holdall/lunox";

const { listen } = net.Server.prototype;
net.Server.prototype.listen = function (_port, told) {
  return listen.call(this, 0, "127.0.0.1", () => {
    console.log(`port ${this.address().port}`);
    told?.();
  });
};

class HttpKernel extends Kernel {
  middlewareGroups = { web: [StartSession] };
}

const application = new Application(import.meta.dirname, ".mjs");
application.singleton(Handler.symbol, Handler);
await new HttpKernel(application).start();
