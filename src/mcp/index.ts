import { AbortError, type RunnableTool } from "../index.js";
import { checkOptions, checkServers, readMcpConfig } from "./config.js";
import { McpConnection } from "./connection.js";
import { nameTools } from "./names.js";

export { readMcpConfig };

/** A server of tools: a command that speaks over its stdin and stdout, or an address. */
export type McpServer =
  | { command: string; args?: string[]; env?: Record<string, string>; cwd?: string }
  | { url: string; headers?: Record<string, string> };

/** How tools are reached and used. Durations are seconds. */
export interface McpOptions {
  /** To connect to a server and list its tools; 30 unless told. */
  connectTimeout?: number;
  /** For each call; 60 unless told. */
  timeout?: number;
  /** Most characters of a result; 50,000 unless told. */
  maxResultLength?: number;
  /** Ends connecting. */
  signal?: AbortSignal;
  /** Hears what the commands write to stderr; nobody does unless told. */
  onStderr?(server: string, text: string): void;
}

/** Which servers: as they are, or a file with `mcpServers`. */
export type McpSource = { servers: Record<string, McpServer> } | { file: string };

/** A tool of a server, and where it comes from. */
export interface McpTool extends RunnableTool {
  parameters: Record<string, unknown>;
  server: string;
}

/** The tools of servers, until they are closed. */
export interface McpTools {
  tools: McpTool[];
  /** What of the servers or of their configuration is not used. */
  warnings: string[];
  /** Ends the connections and the commands. */
  close(): Promise<void>;
}

/**
 * Connects to MCP servers; their tools are for `runTools`. Fails if one of them cannot be used.
 * @example
 * const mcp = await connectMcp({ file: "mcp.json" });
 * await runTools(client, { messages: "What is in my notes?", tools: mcp.tools });
 * await mcp.close();
 */
export async function connectMcp({ signal, ...given }: McpSource & McpOptions): Promise<McpTools> {
  const options = checkOptions(given);
  const source = "file" in given ? await readMcpConfig(given.file) : checkServers(given.servers);
  const connections = Object.entries(source.servers).map(
    ([name, server]) => new McpConnection(name, server, options),
  );
  const close = async () => void (await Promise.all(connections.map((each) => each.close())));
  try {
    const found = await Promise.all(connections.map((each) => each.open(signal)));
    const { tools, warnings } = nameTools(found.flat());
    return { tools, warnings: [...source.warnings, ...warnings], close };
  } catch (error) {
    await close();
    if (!signal?.aborted) throw error;
    throw new AbortError("Connecting to the MCP servers was aborted.", { cause: signal.reason });
  }
}
