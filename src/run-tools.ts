import { ValidationError } from "./errors.js";
import type { Schema } from "./schemas.js";
import { Conversation } from "./tool-conversation.js";
import type {
  LLMRequest,
  LLMResponse,
  LLMStream,
  Message,
  StreamEvent,
  ToolCall,
  Usage,
} from "./types.js";

/** What a tool is told besides its arguments. */
export interface ToolContext {
  /** The call that it answers. */
  call: ToolCall;
  /** Aborted when the run is, or when the tool takes too long. */
  signal: AbortSignal;
}

/** A function that the model may call, and that is then run. */
export interface RunnableTool<Arguments = Record<string, unknown>> {
  name: string;
  description?: string;
  /** A schema of zod or a JSON Schema; without one there are no arguments. */
  parameters?: Schema<Arguments>;
  /** What it returns goes to the model: a text as it is, anything else as JSON. */
  execute(given: Arguments, context: ToolContext): unknown;
}

/** What became of a call. */
export interface ToolResult {
  call: ToolCall;
  /** What the model is told. */
  content: string;
  /** What the tool returned. */
  output?: unknown;
  /** Why there is no output. */
  error?: unknown;
  durationMs: number;
}

/** A reply of the model, and what became of the calls in it. */
export interface ToolStep {
  response: LLMResponse;
  results: ToolResult[];
}

/** A conversation in which tools are run. */
export interface ToolRunOptions extends Omit<LLMRequest, "tools" | "stream"> {
  // biome-ignore lint/suspicious/noExplicitAny: each tool has arguments of its own.
  tools: RunnableTool<any>[];
  /** Most replies of the model; 10 unless told. */
  maxSteps?: number;
  /** Seconds that a tool may take; no limit unless told. */
  toolTimeout?: number;
  /** Told of the events of each reply as they come. */
  onEvent?(event: StreamEvent, step: number): void;
  /** Told of each call before it is made. */
  onCall?(call: ToolCall, step: number): void;
  /** Told of each call once it was made. */
  onResult?(result: ToolResult, step: number): void;
}

/** How a conversation with tools went. */
export interface ToolRun {
  /** The last reply. */
  response: LLMResponse;
  /** The whole conversation, for a next question to be added. */
  messages: Message[];
  steps: ToolStep[];
  /** Of all replies together. */
  usage: Usage;
  /** Whether the model had no more calls, or was not asked any more. */
  ended: "reply" | "max_steps";
}

/** What runs a conversation: an `LLMClient`. */
export interface ToolClient {
  generate(request: LLMRequest): Promise<LLMResponse>;
  stream(request: LLMRequest): LLMStream;
}

/**
 * Gives a tool the types of its schema.
 * @example
 * const add = defineTool({
 *   name: "add",
 *   parameters: z.object({ a: z.number(), b: z.number() }),
 *   execute: ({ a, b }) => a + b,
 * });
 */
export function defineTool<Arguments = Record<string, unknown>>(
  tool: RunnableTool<Arguments>,
): RunnableTool<Arguments> {
  return tool;
}

/**
 * Lets a model call tools until it answers. The calls of a reply are made at the same time; what is
 * wrong with a call, or goes wrong in a tool, is told to the model. Errors of the provider and an
 * abort end the run.
 * @example
 * const { response } = await runTools(client, { messages: "What is 7 + 5?", tools: [add] });
 */
export async function runTools(client: ToolClient, options: ToolRunOptions): Promise<ToolRun> {
  const { maxSteps = 10, toolTimeout } = options;
  checkCount("maxSteps", maxSteps, Number.isInteger(maxSteps));
  if (toolTimeout !== undefined) checkCount("toolTimeout", toolTimeout, toolTimeout <= 2_147_483);
  return new Conversation(client, { ...options, maxSteps }).run();
}

function checkCount(name: string, value: number, isRight: boolean): void {
  if (value > 0 && isRight) return;
  const allowed = name === "maxSteps" ? "a whole number, 1 or more" : "a number of seconds above 0";
  throw new ValidationError(`The run is wrong: ${name} is ${value}, but must be ${allowed}.`);
}
