import { Client, type Tool, type Transport } from "@modelcontextprotocol/client";
import { GenerationError, TimeoutError, type ToolContext } from "../index.js";
import { readySchema } from "../schemas.js";
import type { ReadyOptions } from "./config.js";
import { failureOf } from "./failures.js";
import type { McpServer, McpTool } from "./index.js";
import { textOf } from "./results.js";
import { transportTo } from "./transport.js";

/** So much of what a command wrote to stderr is told when it fails. */
const TOLD = 300;
const MAX_HEARD = 100_000;
const SHORTEST_SECRET = 4;
const MAX_TIMER_MS = 2_147_483_647;

/** A server, and what is said with it. */
export class McpConnection {
  readonly #name: string;
  readonly #options: ReadyOptions;
  readonly #secrets: string[];
  readonly #transport: Transport;
  readonly #client = new Client({ name: "mlx-llm-client", version: "1" });
  /** The end of what it wrote to stderr. */
  #heard = "";

  constructor(name: string, server: McpServer, options: ReadyOptions) {
    this.#name = name;
    this.#options = options;
    this.#secrets = secretsOf(server);
    this.#transport = transportTo(server, (text) => this.#hear(text));
  }

  /** The tools, and instead of those that cannot be used a warning. */
  async open(signal?: AbortSignal): Promise<(McpTool | string)[]> {
    const { connectTimeout } = this.#options;
    const tools = await this.#inTime(connectTimeout, signal, async (limits) => {
      await this.#client.connect(this.#transport, limits);
      return (await this.#client.listTools(undefined, limits)).tools;
    });
    return Promise.all(tools.map((tool) => this.#ready(tool)));
  }

  /** Ends the command, or the session. */
  async close(): Promise<void> {
    await this.#client.close();
    await this.#transport.close();
  }

  async #ready({ name, description, inputSchema }: Tool): Promise<McpTool | string> {
    const server = this.#name;
    const { $schema: _dialect, ...parameters } = inputSchema as Record<string, unknown>;
    try {
      await readySchema(parameters, "Its schema");
    } catch (error) {
      return `${server}: the tool "${name}" is left out. ${(error as Error).message}`;
    }
    const execute = (given: Record<string, unknown>, { signal }: ToolContext) =>
      this.#call(name, given, signal);
    return { server, name, ...(description !== undefined && { description }), parameters, execute };
  }

  async #call(name: string, given: Record<string, unknown>, signal: AbortSignal): Promise<string> {
    const { timeout, maxResultLength } = this.#options;
    const result = await this.#inTime(
      timeout,
      signal,
      (limits) => this.#client.callTool({ name, arguments: given }, limits),
      name,
    );
    const text = textOf(result, maxResultLength);
    if (!result.isError) return text;
    throw new GenerationError(this.#clean(text), { code: "tool_failed" });
  }

  async #inTime<T>(
    seconds: number,
    signal: AbortSignal | undefined,
    work: (limits: { signal: AbortSignal; timeout: number }) => Promise<T>,
    tool?: string,
  ): Promise<T> {
    const late = AbortSignal.timeout(seconds * 1000);
    try {
      const ending = signal ? AbortSignal.any([signal, late]) : late;
      return await work({ signal: ending, timeout: MAX_TIMER_MS });
    } catch (error) {
      signal?.throwIfAborted();
      if (late.aborted) throw this.#tookTooLong(seconds, tool);
      throw this.#cleanError(error);
    }
  }

  #tookTooLong(seconds: number, tool?: string): TimeoutError {
    const what = tool === undefined ? "connect" : `answer the call of "${tool}"`;
    const message = `The MCP server "${this.#name}" did not ${what} within ${seconds} s`;
    const code = tool === undefined ? "timeout" : "tool_timeout";
    const option = tool === undefined ? "connectTimeout" : "timeout";
    const hint = `Check that "${this.#name}" is an MCP server, or raise ${option}.`;
    return new TimeoutError(`${message}${this.#said()}.`, { code, hint });
  }

  #cleanError(error: unknown) {
    const failure = failureOf(this.#name, error, this.#said());
    // The cause is left behind: it may show what was sent.
    const { code, hint, status } = failure;
    const errorClass = failure.constructor as typeof GenerationError;
    return new errorClass(this.#clean(failure.message), { code, hint, status });
  }

  #hear(text: string): void {
    this.#options.onStderr?.(this.#name, text);
    this.#heard = (this.#heard + text).slice(-MAX_HEARD);
  }

  #said(): string {
    const said = this.#clean(this.#heard).trim().slice(-TOLD);
    return said === "" ? "" : `, and said: ${said}`;
  }

  #clean(text: string): string {
    return this.#secrets.reduce((clean, secret) => clean.replaceAll(secret, "[redacted]"), text);
  }
}

/** Every value that may be a key, longest first, and what stands behind a word such as Bearer. */
function secretsOf(server: McpServer): string[] {
  const values =
    "url" in server
      ? [...Object.values(server.headers ?? {}), ...new URL(server.url).searchParams.values()]
      : Object.values(server.env ?? {});
  return [...new Set(values.flatMap((value) => [value, ...value.split(/\s+/)]))]
    .filter((value) => value.length >= SHORTEST_SECRET)
    .sort((one, other) => other.length - one.length);
}
