import * as z from "zod/mini";
import { ConfigurationError, type Logger } from "../index.js";
import { allow, check, describeProblem, type Problem } from "../validation.js";

/** How a server is set up. Durations are seconds. */
export interface ServerOptions {
  /** Address to listen on; 127.0.0.1 unless told. Any that is not of this machine alone needs a token. */
  host?: string;
  /** 11435 unless told; 0 takes a free one. */
  port?: number;
  /** Key that every request must have, as a bearer token or in `x-api-key`. */
  token?: string;
  /** Model for requests that name none; the client's unless told. */
  model?: string;
  /** Origins of web pages that may ask, such as "https://chat.example"; none unless told. */
  allowOrigins?: string[];
  /** Names by which requests may call this server, besides localhost and addresses. */
  allowHosts?: string[];
  /** Most bytes of a request's body; 20 MB unless told. */
  maxBodyBytes?: number;
  /** Most requests that are answered at a time; 64 unless told. */
  maxConcurrent?: number;
  /** Most requests that wait for their turn; others are refused. 64 unless told. */
  maxQueued?: number;
  /** Silence after which a stream is told that work goes on; 5 unless told. */
  keepAlive?: number;
  /** Time that replies under way have to end when the server closes; 30 unless told. */
  drainTimeout?: number;
  /** Told of every request, without its texts; nothing is logged without it. */
  logger?: Logger;
}

/** Options with every default filled in. */
export type Settings = Required<Omit<ServerOptions, "token" | "model" | "logger">> &
  Pick<ServerOptions, "token" | "model" | "logger">;

const DEFAULTS = {
  host: "127.0.0.1",
  port: 11435,
  allowOrigins: [],
  allowHosts: [],
  maxBodyBytes: 20_000_000,
  maxConcurrent: 64,
  maxQueued: 64,
  keepAlive: 5,
  drainTimeout: 30,
};

const ORIGIN = 'an origin such as "https://chat.example"';
const HOST = "a host name without port";
const TOKEN = "a text of printable ASCII characters without spaces";

const schema = z.strictObject({
  host: z.optional(allow.text("a host name or an address")),
  port: z.optional(allow.whole(0, 65_535)),
  token: z.optional(z.string(TOKEN).check(z.regex(/^[!-~]+$/, TOKEN))),
  model: z.optional(allow.text("the name of a model")),
  allowOrigins: z.optional(z.array(z.string(ORIGIN).check(z.refine(isOrigin, ORIGIN)), "a list")),
  allowHosts: z.optional(
    z.array(z.string(HOST).check(z.regex(/^[\w-]+(\.[\w-]+)*$/, HOST)), "a list"),
  ),
  maxBodyBytes: z.optional(allow.whole(1)),
  maxConcurrent: z.optional(allow.whole(1)),
  maxQueued: z.optional(allow.whole(0)),
  keepAlive: z.optional(allow.seconds()),
  drainTimeout: z.optional(allow.number(0, 86_400)),
  logger: z.optional(z.custom<Logger>((value) => typeof value === "object", "a logger")),
});

/** Checks options and fills in the defaults; throws a `ConfigurationError` for a wrong one. */
export function checkOptions(options: ServerOptions): Settings {
  const result = check<ServerOptions>(schema, options);
  if (result.problems) throw wrong(result.problems.map(describeSafely).join("; "));
  const settings = { ...DEFAULTS, ...withoutUndefined(result.value) } as Settings;
  if (settings.token === undefined && !isLoopback(settings.host)) {
    throw new ConfigurationError(
      `${settings.host} can be reached from other machines, so the server needs a token.`,
      { hint: "Set LLM_CLIENT_SERVE_TOKEN or token, or listen on 127.0.0.1." },
    );
  }
  return settings;
}

/** Whether only this machine reaches an address. */
function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text && text !== "null";
}

/** The token itself is not shown. */
function describeSafely(problem: Problem): string {
  const isSecret = problem.path[0] === "token" && problem.allowed !== undefined;
  return isSecret ? `token must be ${problem.allowed}` : describeProblem(problem);
}

function wrong(reasons: string): ConfigurationError {
  return new ConfigurationError(`The server's options are wrong: ${reasons}.`);
}

function withoutUndefined(value: ServerOptions): ServerOptions {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined));
}
