import * as z from "zod/mini";
import { ConfigurationError } from "../index.js";
import { readWhole, whyUnread } from "../regular-file.js";
import { allow, check, nameField, type Problem } from "../validation.js";
import type { McpOptions, McpServer } from "./index.js";

/** What of `McpOptions` every connection knows. */
export type ReadyOptions = Required<Omit<McpOptions, "signal" | "onStderr">> &
  Pick<McpOptions, "onStderr">;

/** Servers that are checked. */
export interface CheckedServers {
  servers: Record<string, McpServer>;
  warnings: string[];
}

const MAX_BYTES = 1_000_000;
const MAX_SECONDS = 86_400;

const texts = z.record(z.string(), z.string("a text"), "an object of texts");

const FORM = {
  type: z.optional(
    z.enum(["stdio", "http", "streamable-http", "streamableHttp"], '"stdio" or "http"'),
  ),
  disabled: z.optional(allow.flag()),
  command: z.optional(allow.text("a command")),
  args: z.optional(z.array(z.string("a text"), "a list of texts")),
  env: z.optional(texts),
  cwd: z.optional(allow.text("a folder")),
  url: z.optional(
    z
      .string("an http(s) URL")
      .check(z.refine((url) => /^https?:/.test(url) && URL.canParse(url), "an http(s) URL")),
  ),
  headers: z.optional(z.record(z.string(), z.string("a text"), "an object of texts")),
};

const OF_COMMANDS = ["args", "env", "cwd"] as const;

const server = z.object(FORM, "an object with a command or a url").check(
  z.refine(
    ({ command, url }) => (command === undefined) !== (url === undefined),
    "an object with a command or a url, and not with both",
  ),
  z.refine(
    ({ url, ...fields }) => url === undefined || OF_COMMANDS.every((name) => !fields[name]),
    `without ${OF_COMMANDS.join(", ")}, which need a command`,
  ),
  z.refine(
    ({ command, headers }) => command === undefined || !headers,
    "without headers, which need a url",
  ),
);

const file = z.object(
  { mcpServers: z.record(z.string(), server, "an object of servers") },
  "an object { mcpServers }",
);

const seconds = allow.number(
  Number.MIN_VALUE,
  MAX_SECONDS,
  `a number of seconds above 0, up to ${MAX_SECONDS}`,
);

const settings = z.object({
  connectTimeout: z._default(seconds, 30),
  timeout: z._default(seconds, 60),
  maxResultLength: z._default(allow.whole(1), 50_000),
});

/**
 * The servers of a file as many programs share it, but for those that are disabled; throws a
 * `ConfigurationError` that names what is wrong, and warns of fields that are not known here.
 * @example const { servers } = await readMcpConfig("mcp.json");
 */
export async function readMcpConfig(path: string): Promise<CheckedServers> {
  const text = await readWhole(path, MAX_BYTES).catch((error: Error) => {
    throw new ConfigurationError(`The MCP configuration ${path} ${whyUnread(error)}.`);
  });
  return checkFile(parse(text, path), `The MCP configuration ${path} is wrong`);
}

/** Servers that a program gives. */
export function checkServers(servers: unknown): CheckedServers {
  return checkFile({ mcpServers: servers }, "The MCP servers are wrong");
}

/** The options with their defaults. */
export function checkOptions(options: McpOptions): ReadyOptions {
  const { onStderr } = options;
  const checked = check(settings, options);
  if (checked.problems) {
    throw new ConfigurationError(`The MCP options are wrong: ${describe(checked.problems)}.`);
  }
  return { ...checked.value, onStderr };
}

function checkFile(given: unknown, wrong: string): CheckedServers {
  const checked = check(file, given);
  if (checked.problems) {
    throw new ConfigurationError(`${wrong}: ${describe(checked.problems)}.`);
  }
  const { mcpServers } = checked.value;
  const enabled = Object.entries(mcpServers).filter(([, { disabled }]) => !disabled);
  for (const [name, { headers }] of enabled) checkHeaders(name, headers, wrong);
  return {
    servers: Object.fromEntries(enabled) as Record<string, McpServer>,
    warnings: unknownFields(given as typeof checked.value),
  };
}

/** Values are not shown: they may be keys. */
function describe(problems: Problem[]): string {
  return problems
    .map(({ path, allowed }) => `${path.length === 0 ? "it" : nameField(path)} must be ${allowed}`)
    .join("; ");
}

/** Node would show the value, which is often a key. */
function checkHeaders(server: string, headers: Record<string, string> = {}, wrong: string): void {
  for (const [name, value] of Object.entries(headers)) {
    try {
      new Headers([[name, value]]);
    } catch {
      const field = nameField(["mcpServers", server, "headers", name]);
      throw new ConfigurationError(`${wrong}: ${field} is no header that can be sent.`);
    }
  }
}

function unknownFields({ mcpServers }: { mcpServers: Record<string, object> }): string[] {
  return Object.entries(mcpServers).flatMap(([server, fields]) =>
    Object.keys(fields)
      .filter((name) => !(name in FORM))
      .map((name) => `${nameField(["mcpServers", server, name])} is not known and not used`),
  );
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // V8 quotes what it does not understand, which may be a key.
    throw new ConfigurationError(`The MCP configuration ${path} is not JSON.`);
  }
}
