import type { LLMError } from "../errors.js";
import { type Failure, KINDS, type Kind } from "./failures.js";
import { SERVERS } from "./servers.js";
import { type ServerText, serverText, serverTextOf, shown } from "./server-text.js";
import type { Where } from "./where.js";

/** An answer that is not what was asked for. */
export interface Answer {
  status: number;
  /** By lower-case name. */
  headers: Record<string, string>;
  /** Body, possibly cut. */
  text: string;
}

/** The error that an answer means. */
export function errorOfAnswer({ status, headers, text }: Answer, where: Where): LLMError {
  const said = serverText(text, where.secret);
  const redirect = status >= 300 && status < 400 && headers.location;
  if (redirect) said.line = shown(`it points to ${redirect.split("?")[0]}`, where.secret);
  return errorFrom({ status, said, where, retryAfter: retryAfterOf(headers) });
}

/** The error that the value of "error" means, where it came inside a stream or under status 200. */
export function errorOfBody(error: unknown, where: Where): LLMError {
  return errorFrom({ said: serverTextOf({ error }, where.secret), where });
}

/** A row applies if both its status and its text do; one that is left out always does. */
interface Row {
  kind: Kind;
  status?(status: number): boolean;
  text?: RegExp;
  body?(said: ServerText): boolean;
}

const is =
  (...statuses: number[]) =>
  (status: number) =>
    statuses.includes(status);
const from = (first: number, end: number) => (status: number) => status >= first && status < end;

const OVERFLOW = new RegExp(
  [
    "exceed_context_size|context_length_exceeded|maximum context length|maximum model length",
    "exceed\\w*\\b.{0,80}\\bcontext (length|size|window)",
    "(longer|greater|larger|more) than\\b.{0,80}\\bcontext (length|size|window)",
    "context (length|size|window)\\b.{0,40}\\b(exceeded|overflow|too small|too short)",
    "reached (its )?context length|context the overflows|context overflow",
    "(prompt|input) is too long|removed by truncation",
  ].join("|"),
  "i",
);
const LOAD_FAILED = new RegExp(
  [
    "model_load_failed|(failed|unable) to load (the )?(full )?model|model failed to load",
    "error loading model|unknown model architecture|model loading was stopped|starting runner",
    "\\btensor\\b.{0,200}\\bexceeds file size",
    "timed out waiting for .{0,40}\\bto start|out of memory|requires more (system )?memory",
    "insufficient (system )?(resources|memory)|(failed|unable) to (allocate|commit)|cannot be allocated",
  ].join("|"),
  "i",
);
const CRASHED =
  /\bcrashed|process has terminated|no longer running|unexpectedly stopped|thread died|while running the model/i;
const NOT_FOUND =
  /model_not_found|invalid model identifier|pull model manifest: file does not exist/i;
const PERHAPS_NOT_FOUND =
  /\bmodel\b.{0,300}?(not found|not exist)|repository not found|cached snapshot folder/is;
const UNSUPPORTED =
  /(does not|doesn't|do not|only) supports?\b|not supported (by|for) this model|only .{0,20}is supported/i;
// Ollama answers some of the caller's mistakes with 500.
const MISTAKE = /^(invalid format|invalid json schema|option ".{0,80}" must be)/i;
const ENDPOINT =
  /unexpected endpoint or method|page not found|unknown request url|unknown endpoint/i;

/** How failures are told apart, in the order they are tried. */
const TABLE: Row[] = [
  { kind: KINDS.auth, status: is(401, 403) },
  { kind: KINDS.requestTimeout, status: is(408) },
  { kind: KINDS.conflict, status: is(409) },
  // Waiting does not help, though the status is that of too many requests.
  {
    kind: KINDS.quota,
    status: is(402, 429),
    text: /insufficient.{0,20}(quota|credit|balance|fund)/i,
  },
  { kind: KINDS.quota, status: is(402) },
  { kind: KINDS.rateLimited, status: is(429) },
  { kind: KINDS.canceled, status: is(499) },
  { kind: KINDS.overloaded, status: is(503, 529) },
  { kind: KINDS.protocol, status: from(300, 400) },
  { kind: KINDS.contextLength, text: OVERFLOW },
  { kind: KINDS.protocol, text: ENDPOINT },
  { kind: KINDS.modelNotLoaded, text: /no models? (is |are |currently )?loaded/i },
  { kind: KINDS.modelUnloaded, text: /model (is |was |has been )?unloaded/i },
  { kind: KINDS.modelLoadFailed, text: LOAD_FAILED },
  { kind: KINDS.modelCrashed, text: CRASHED },
  { kind: KINDS.modelNotFound, text: NOT_FOUND },
  { kind: KINDS.modelNotFound, status: from(0, 500), text: PERHAPS_NOT_FOUND },
  { kind: KINDS.unsupported, text: UNSUPPORTED },
  { kind: KINDS.badRequest, text: MISTAKE },
  { kind: KINDS.badRequest, status: is(404), text: /chat template|messages?\b/i },
  { kind: KINDS.protocol, status: is(404, 405, 501) },
  { kind: KINDS.serverError, status: from(500, 600) },
  { kind: KINDS.protocol, status: is(400), body: ({ isHtml }) => isHtml },
  { kind: KINDS.badRequest, status: from(400, 500) },
  { kind: KINDS.protocol, body: ({ isJson }) => !isJson },
  // Without a status that says it: inside a stream, or under 200.
  { kind: KINDS.auth, text: /invalid_api_key|authentication_error|unauthorized/i },
  { kind: KINDS.overloaded, text: /server busy|overloaded|unavailable_error/i },
  { kind: KINDS.rateLimited, text: /rate_limit/i },
  { kind: KINDS.badRequest, text: /invalid_request|bad_?request/i },
];

function errorFrom(failure: Failure): LLMError {
  const { status, where, retryAfter } = failure;
  const { provider, url, model, requestId } = where;
  const kind = kindOf(failure);
  const { error: ErrorClass, code, retryable = false } = kind;
  const says = kind.says(SERVERS[provider].name, model ? `the model "${model}"` : "the model");
  return new ErrorClass(sentence(says, failure), {
    code,
    retryable,
    provider,
    url,
    model,
    requestId,
    status,
    retryAfter: retryable ? retryAfter : undefined,
    hint: kind.hint?.(failure),
  });
}

function kindOf({ status: told, said }: Failure): Kind {
  const status = told !== undefined && told >= 300 ? told : (said.status ?? 0);
  const row = TABLE.find(
    (row) =>
      (row.status?.(status) ?? true) &&
      (row.text?.test(said.all) ?? true) &&
      (row.body?.(said) ?? true),
  );
  return row?.kind ?? KINDS.serverError;
}

function sentence(says: string, { status, said }: Failure): string {
  const told = status !== undefined && status >= 300 ? ` (status ${status})` : "";
  const line = said.isHtml ? "it answered with a web page" : said.line;
  const counts = said.tokens && ` (${said.tokens.prompt} tokens, room for ${said.tokens.context})`;
  if (line === "") return `${says}${told}.`;
  const text = `${says}${told}: ${line}${counts ?? ""}`;
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

/** Seconds to wait, from whichever header tells it. */
function retryAfterOf(headers: Record<string, string>): number | undefined {
  const { "retry-after-ms": milliseconds, "retry-after": value } = headers;
  if (milliseconds !== undefined) {
    const seconds = Number(milliseconds) / 1000;
    if (Number.isFinite(seconds) && seconds >= 0) return seconds;
  }
  if (value === undefined) return undefined;
  const seconds = /^\s*[\d.]+\s*$/.test(value)
    ? Number(value)
    : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}
