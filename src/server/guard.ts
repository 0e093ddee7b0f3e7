import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { Refusal } from "./failures.js";
import { PAGE_FILES } from "./page.js";
import type { Settings } from "./options.js";

/** What anyone may see: a page without data, and whether the server is up. */
const OPEN = new Set([...Object.keys(PAGE_FILES), "/health"]);

/** Lets only those in who may ask: by the name they call, where they come from, and their key. */
export function guard({ allowHosts, allowOrigins, token }: Settings): MiddlewareHandler {
  const hosts = new Set(["localhost", ...allowHosts.map((host) => host.toLowerCase())]);
  const answerPages = cors({ origin: allowOrigins, maxAge: 600 });
  const key = token === undefined ? undefined : digest(token);
  return async (context, next) => {
    const { req } = context;
    const [host, origin] = [req.header("host"), req.header("origin")];
    checkHost(host, hosts);
    // A request may also name the host in its first line, as proxies are asked.
    checkHost(new URL(req.url).host, hosts);
    const isOwn = origin === undefined || isSame(origin, host);
    if (!isOwn && !allowOrigins.includes(origin)) throw strangeOrigin(origin);
    // Browsers send no key with the question whether they may ask.
    if (key && req.method !== "OPTIONS" && !OPEN.has(req.path)) {
      checkKey(req.header("authorization"), req.header("x-api-key"), key);
    }
    return isOwn ? next() : answerPages(context, next);
  };
}

/** A page may let its own name lead here, but not an address, nor localhost. */
function checkHost(header: string | undefined, hosts: ReadonlySet<string>): void {
  const url = `http://${header}`;
  const name = header !== undefined && URL.canParse(url) ? new URL(url).hostname : "";
  if (hosts.has(name) || isIP(name.replace(/^\[|\]$/g, "")) !== 0) return;
  throw new Refusal(403, "host_not_allowed", `This server is not called ${JSON.stringify(name)}.`);
}

function isSame(origin: string, host: string | undefined): boolean {
  return URL.canParse(origin) && new URL(origin).host === host;
}

function strangeOrigin(origin: string): Refusal {
  const message = `Pages of ${JSON.stringify(origin)} may not ask this server.`;
  return new Refusal(403, "origin_not_allowed", message);
}

function checkKey(authorization = "", apiKey: string | undefined, key: Buffer): void {
  const [, bearer] = /^bearer +(.+)$/i.exec(authorization) ?? [];
  const given = bearer ?? apiKey;
  if (given === undefined) throw new Refusal(401, "no_key", "This server wants a key.");
  // Of equal length whatever was given, so that the time tells nothing.
  if (timingSafeEqual(digest(given), key)) return;
  throw new Refusal(401, "wrong_key", "The key is wrong.");
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
