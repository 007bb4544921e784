// The application as a program, which says its port.

import { start } from "./start.mjs";

const server = await start();
console.log(`port ${server.address().port}`);
