import { abortedBy, abortTogether, untilAborted } from "./abort.js";
import { TimeoutError, ValidationError } from "./errors.js";
import type {
  RunnableTool,
  ToolClient,
  ToolContext,
  ToolResult,
  ToolRun,
  ToolRunOptions,
  ToolStep,
} from "./run-tools.js";
import { type ReadySchema, readySchema } from "./schemas.js";
import type { LLMRequest, LLMResponse, Message, Tool, ToolCall, Usage } from "./types.js";

const NO_PARAMETERS = { type: "object", properties: {} };

interface ReadyTool extends RunnableTool {
  schema: ReadySchema;
}

/** A conversation in which tools are run, for `runTools`. */
export class Conversation {
  readonly #client: ToolClient;
  readonly #options: ToolRunOptions;
  readonly #maxSteps: number;
  readonly #request: Omit<LLMRequest, "messages">;
  readonly #tools = new Map<string, ReadyTool>();
  readonly #messages: Message[];
  readonly #steps: ToolStep[] = [];

  constructor(client: ToolClient, options: ToolRunOptions & { maxSteps: number }) {
    const { messages, tools, maxSteps, toolTimeout, onEvent, onCall, onResult, ...request } =
      options;
    this.#client = client;
    this.#options = options;
    this.#maxSteps = maxSteps;
    this.#request = request;
    this.#messages =
      typeof messages === "string" ? [{ role: "user", content: messages }] : [...messages];
  }

  async run(): Promise<ToolRun> {
    await this.#readyTools();
    for (;;) {
      const response = await this.#ask();
      const { content, reasoning, toolCalls = [], finishReason } = response;
      this.#messages.push({
        role: "assistant",
        content,
        ...(reasoning !== undefined && { reasoning }),
        ...(toolCalls.length > 0 && { toolCalls }),
      });
      const step: ToolStep = { response, results: [] };
      this.#steps.push(step);
      if (toolCalls.length === 0 || finishReason !== "tool_calls") return this.#end("reply");
      if (this.#steps.length === this.#maxSteps) return this.#end("max_steps");
      step.results = await Promise.all(toolCalls.map((call) => this.#answer(call)));
      for (const { call, content } of step.results) {
        this.#messages.push({ role: "tool", toolCallId: call.id, content });
      }
    }
  }

  async #readyTools(): Promise<void> {
    for (const tool of this.#options.tools) {
      const { name, parameters = NO_PARAMETERS } = tool;
      if (this.#tools.has(name)) {
        throw new ValidationError(`The run is wrong: two tools are called "${name}".`);
      }
      const schema = await readySchema(parameters, `The schema of the tool "${name}"`);
      this.#tools.set(name, { ...tool, execute: tool.execute.bind(tool), schema });
    }
  }

  async #ask(): Promise<LLMResponse> {
    const request: LLMRequest = {
      ...this.#request,
      messages: [...this.#messages],
      tools: [...this.#tools.values()].map(toolOf),
    };
    // Else a model that must call would never answer.
    if (this.#steps.length > 0 && mustCall(request)) request.toolChoice = "auto";
    const { onEvent } = this.#options;
    if (!onEvent) return this.#client.generate(request);
    const stream = this.#client.stream(request);
    for await (const event of stream) onEvent(event, this.#steps.length + 1);
    return stream.response;
  }

  async #answer(call: ToolCall): Promise<ToolResult> {
    const { onCall, onResult } = this.#options;
    const step = this.#steps.length;
    onCall?.(call, step);
    const startedAt = performance.now();
    const outcome = await this.#outcomeOf(call);
    const result = { call, ...outcome, durationMs: performance.now() - startedAt };
    onResult?.(result, step);
    return result;
  }

  async #outcomeOf(call: ToolCall): Promise<Pick<ToolResult, "content" | "output" | "error">> {
    const { signal } = this.#options;
    try {
      const output = await this.#execute(call);
      return { output, content: contentOf(output) };
    } catch (error) {
      if (signal?.aborted) throw abortedBy(signal);
      return { error, content: `Error: ${error instanceof Error ? error.message : String(error)}` };
    }
  }

  async #execute(call: ToolCall): Promise<unknown> {
    const tool = this.#tools.get(call.name);
    if (!tool) throw new ValidationError(this.#unknown(call.name));
    if (call.invalidArguments !== undefined) {
      throw new ValidationError(`The arguments are no JSON object: ${call.invalidArguments}`);
    }
    const checked = await tool.schema.check(call.arguments);
    if ("problem" in checked) {
      throw new ValidationError(`The arguments are wrong: ${checked.problem}`);
    }
    const given = checked.value as Record<string, unknown>;
    return this.#inTime(tool.name, async (signal) => tool.execute(given, { call, signal }));
  }

  /** Ends a tool that takes too long, or is not needed any more; some do not listen. */
  async #inTime(name: string, work: (signal: ToolContext["signal"]) => Promise<unknown>) {
    const { signal, toolTimeout } = this.#options;
    const controller = new AbortController();
    const unlink = abortTogether(controller, signal);
    const tooLate = () => controller.abort(tookTooLong(name, toolTimeout!));
    const timer = toolTimeout === undefined ? undefined : setTimeout(tooLate, toolTimeout * 1000);
    try {
      return await untilAborted(work(controller.signal), controller.signal);
    } finally {
      clearTimeout(timer);
      unlink();
    }
  }

  #unknown(name: string): string {
    return `There is no tool "${name}"; there are: ${[...this.#tools.keys()].join(", ")}.`;
  }

  #end(ended: ToolRun["ended"]): ToolRun {
    const responses = this.#steps.map(({ response }) => response);
    return {
      response: responses.at(-1)!,
      messages: this.#messages,
      steps: this.#steps,
      usage: sumOf(responses.map(({ usage }) => usage)),
      ended,
    };
  }
}

function toolOf({ name, description, schema }: ReadyTool): Tool {
  return {
    type: "function",
    function: { name, ...(description !== undefined && { description }), parameters: schema.json },
  };
}

function mustCall({ toolChoice }: LLMRequest): boolean {
  return toolChoice === "required" || typeof toolChoice === "object";
}

function contentOf(output: unknown): string {
  if (typeof output === "string") return output;
  return JSON.stringify(output) ?? "Done.";
}

function tookTooLong(name: string, seconds: number): TimeoutError {
  return new TimeoutError(`The tool "${name}" took longer than ${seconds} s.`, {
    code: "tool_timeout",
  });
}

/** Counts that not every reply tells stay unknown. */
function sumOf(usages: Usage[]): Usage {
  const sum: Usage = {};
  for (const name of Object.keys(usages[0] ?? {}) as (keyof Usage)[]) {
    const counts = usages.map((usage) => usage[name]);
    if (counts.includes(undefined)) continue;
    sum[name] = counts.reduce((total: number, count) => total + count!, 0);
  }
  return sum;
}
