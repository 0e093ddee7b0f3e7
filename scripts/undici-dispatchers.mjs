// Of undici what src/http/connections.ts uses; the command line takes it for the whole, which is
// twice as much to load.
import connect from "undici/lib/api/api-connect.js";
import Dispatcher from "undici/lib/dispatcher/dispatcher.js";

export { default as Agent } from "undici/lib/dispatcher/agent.js";
export { default as Client } from "undici/lib/dispatcher/client.js";
export { default as EnvHttpProxyAgent } from "undici/lib/dispatcher/env-http-proxy-agent.js";
export { default as Pool } from "undici/lib/dispatcher/pool.js";

// As undici itself does it; what talks to proxies calls it.
Object.assign(Dispatcher.prototype, { connect });
