import type { Where } from "./where.js";

/** What a server says about a failure. */
export interface ServerText {
  /** One safe line of at most 300 characters; empty if it says nothing. */
  line: string;
  /** Everything that tells the kind of failure: message, code, type and parameter. */
  all: string;
  /** The status that the body itself tells. */
  status?: number;
  /** Tokens of the prompt and of the context, where they are told apart from the text. */
  tokens?: { prompt: number; context: number };
  isJson: boolean;
  isHtml: boolean;
}

const LINE_LENGTH = 300;
const SEARCHED_LENGTH = 4096;

/** Reads the body of a failed answer, whatever it is. */
export function serverText(text: string, secret?: Where["secret"]): ServerText {
  const body = parsedJson(text);
  if (body !== undefined) return serverTextOf(body, secret);
  const isHtml = /^\s*<(!doctype html|html|head|body)\b/i.test(text.slice(0, 200));
  const line = isHtml ? "" : shown(text, secret);
  return { line, all: text.slice(0, SEARCHED_LENGTH), isJson: false, isHtml };
}

/** Reads a failed answer that has been parsed. */
export function serverTextOf(body: unknown, secret?: Where["secret"]): ServerText {
  const error = isObject(body) ? (body.error ?? body) : body;
  const { code, type, param } = isObject(error) ? error : ({} as Record<string, unknown>);
  const message = messageOf(error) ?? messageOf(body) ?? json(error);
  const words = [message, code, type, param].filter((word) => typeof word === "string");
  const status = typeof code === "number" && code >= 400 && code < 600 ? code : undefined;
  return {
    line: shown(message, secret),
    all: words.join("\n").slice(0, SEARCHED_LENGTH),
    isJson: true,
    isHtml: false,
    ...(status !== undefined && { status }),
    ...tokensOf(error),
  };
}

/** Whether a body of any status says that something failed. */
export function saysError(body: unknown): boolean {
  return isObject(body) && (Boolean(body.error) || body.object === "error");
}

/** The value of a JSON text; undefined if it is none. */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** One line without control characters and secrets, for messages. */
export function shown(text: string, secret?: Where["secret"]): string {
  const secrets = [secret ?? []].flat().filter(({ length }) => length > 3);
  const hidden = secrets.reduce((rest, each) => rest.replaceAll(each, "[redacted]"), text);
  const line = hidden
    .slice(0, SEARCHED_LENGTH)
    .replace(/[\p{C}\s]+/gu, " ")
    .trim();
  if (line.length <= LINE_LENGTH) return line;
  return `${line.slice(0, LINE_LENGTH).replace(/[\uD800-\uDBFF]$/, "")}…`;
}

function messageOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!isObject(value)) return undefined;
  const { message, detail, msg } = value;
  const text = message ?? detail ?? msg;
  if (Array.isArray(text))
    return text
      .slice(0, 5)
      .map((each) => messageOf(each) ?? "")
      .join("; ");
  return typeof text === "string" ? text : undefined;
}

function tokensOf(error: unknown): Pick<ServerText, "tokens"> {
  if (!isObject(error)) return {};
  const { n_prompt_tokens: prompt, n_ctx: context } = error;
  return Number.isInteger(prompt) && Number.isInteger(context)
    ? { tokens: { prompt: prompt as number, context: context as number } }
    : {};
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function json(value: unknown): string {
  return value === undefined ? "" : JSON.stringify(value);
}
