import { type Reply, jsonReply, wholeReply } from "../wire-reply.js";
import { type Fault, type FaultSettings, instead } from "./fault.js";

/** Replies of proxies and of other programs at the port, rather than of a model server. */
export const statusFaults = {
  status: instead("any status with any body (status, body, headers)", (settings) => ({
    ...wholeReply(settings.status ?? 500, "text/plain", settings.body ?? "no"),
    headers: { "Content-Type": "text/plain", ...settings.headers },
  })),
  "server-error": failing(500, "internal server error"),
  "bad-gateway": failing(502, "bad gateway"),
  unavailable: failing(503, "service unavailable"),
  "gateway-timeout": failing(504, "gateway timeout"),
  overloaded: failing(529, "overloaded"),
  "request-timeout": failing(408, "request timeout"),
  conflict: failing(409, "conflict"),
  "rate-limited": failing(429, "slow down"),
  "rate-limited-seconds": failing(429, "slow down", () => ({ "Retry-After": "1" })),
  "rate-limited-milliseconds": failing(429, "slow down", () => ({ "retry-after-ms": "50" })),
  "rate-limited-date": failing(429, "slow down", () => ({
    "Retry-After": new Date(Date.now() + 2000).toUTCString(),
  })),
  "rate-limited-long": failing(429, "slow down", () => ({ "Retry-After": "3600" })),
  "bad-request": failing(400, "bad request"),
  unprocessable: failing(422, "unprocessable"),
  unauthorized: failing(401, "unauthorized"),
  "forbidden-empty": instead("status 403 with an empty body", () => wholeReply(403, "", "")),
  html: instead("a web page with status 200, as from a wrong port", () =>
    wholeReply(200, "text/html; charset=utf-8", "<!DOCTYPE html>\n<title>Welcome</title>\n"),
  ),
  "html-not-found": instead("a web page with status 404, as from a wrong port", () =>
    wholeReply(404, "text/html; charset=utf-8", "<!DOCTYPE html>\n<title>Not found</title>\n"),
  ),
  "error-with-200": instead("status 200, and the body is an error object (message)", (settings) =>
    jsonReply(200, { error: { message: settings.message ?? "it went wrong" } }),
  ),
  "error-text-with-200": instead(
    "status 200, and the body is an error text (message)",
    (settings) => jsonReply(200, { error: settings.message ?? "it went wrong" }),
  ),
  "empty-body": instead("status 200 with an empty body", () =>
    wholeReply(200, "application/json", ""),
  ),
  "not-json": instead("status 200 and a JSON type, but no JSON", () =>
    wholeReply(200, "application/json", '{"models": ['),
  ),
  "wrong-shape": instead("status 200 and JSON of quite another shape", () =>
    jsonReply(200, [1, "two", null]),
  ),
  redirect: instead("status 307 to another host", () => ({
    ...wholeReply(307, "text/plain", ""),
    headers: { Location: "http://127.0.0.1:9/elsewhere" },
  })),
} satisfies Record<string, Fault>;

/** An error with the body that most servers of this kind send. */
function failing(status: number, text: string, headers?: () => Record<string, string>): Fault {
  const promise = headers ? `, with ${Object.keys(headers())[0]}` : "";
  return instead(
    `status ${status} (message, headers)${promise}`,
    (settings: FaultSettings): Reply => {
      const reply = jsonReply(status, { error: { message: settings.message ?? text } });
      return { ...reply, headers: { ...reply.headers, ...headers?.(), ...settings.headers } };
    },
  );
}
