import type { RunnableTool, ToolContext, ToolResult } from "../../index.js";
import type { McpTool, McpTools } from "../../mcp/index.js";
import { describeCall } from "../format.js";
import type { Io } from "../io.js";
import { cellText } from "../table.js";

/** What the tools of a chat are used with. */
export interface ChatToolsOptions {
  io: Io;
  /** Asks the person; absent if every call may be made. */
  ask?(question: string): Promise<string>;
}

const QUESTION = "Run it? y (yes), n (no), a (always this tool): ";
const REFUSED = "The person refused this call.";

/** The tools of MCP servers in a chat: each call is shown, and made if the person wants it. */
export class ChatTools {
  readonly tools: RunnableTool[];
  readonly #mcp: McpTools;
  readonly #options: ChatToolsOptions;
  /** Names of tools that the person need not be asked for. */
  readonly #allowed = new Set<string>();
  /** A model may want several calls at a time, but a person answers one question after the other. */
  #asking: Promise<unknown> = Promise.resolve();

  constructor(mcp: McpTools, options: ChatToolsOptions) {
    this.#mcp = mcp;
    this.#options = options;
    this.tools = mcp.tools.map((tool) => ({
      ...tool,
      execute: (given, context) => this.#run(tool, given, context),
    }));
  }

  /** For people. */
  describe(): string {
    const lines = this.#mcp.tools.map(({ server, name, description = "" }) => {
      const [firstLine = ""] = description.trim().split("\n");
      return cellText(`${server}: ${name}  ${firstLine}`).trimEnd();
    });
    return lines.length === 0 ? "The MCP servers have no tools." : lines.join("\n");
  }

  /** Tells what went wrong with a call. */
  readonly tellFailure = ({ call, error, content }: ToolResult): void => {
    if (error !== undefined) void this.#note(`${call.name}: ${content}`);
  };

  close(): Promise<void> {
    return this.#mcp.close();
  }

  async #run(tool: McpTool, given: Record<string, unknown>, context: ToolContext) {
    const isAllowed = this.#asking.then(() => this.#mayRun(tool, context));
    this.#asking = isAllowed.catch(() => {});
    return (await isAllowed) ? tool.execute(given, context) : REFUSED;
  }

  async #mayRun({ server, name }: McpTool, { call, signal }: ToolContext): Promise<boolean> {
    signal.throwIfAborted();
    await this.#note(`${server}: ${describeCall(call)}`);
    const { ask } = this.#options;
    if (!ask || this.#allowed.has(name)) return true;
    const answer = (await ask(QUESTION)).trim().toLowerCase();
    if (answer === "a" || answer === "always") this.#allowed.add(name);
    return this.#allowed.has(name) || answer === "y" || answer === "yes";
  }

  async #note(text: string): Promise<void> {
    const { stderr } = this.#options.io;
    await stderr.write(`${stderr.dim(cellText(text))}\n`);
  }
}
