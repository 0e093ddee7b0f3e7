import * as z from "zod";
import { ValidationError } from "./errors.js";
import { QUANTIZE } from "./quantize.js";
import type { LLMRequest, Message, StreamingRequest } from "./types.js";
import { allow, check, describeProblem } from "./validation.js";

/** A validated request in its one normal form. */
export interface CheckedRequest
  extends Omit<LLMRequest, "messages" | "stop" | "stream" | "temperature"> {
  messages: Message[];
  /** Empty for none. */
  stop: string[];
  temperature: number;
}

const DEFAULT_TEMPERATURE = 0.7;
const MAX_STOPS = 16;
/** Engines count in 32 bits. */
const MAX_COUNT = 2 ** 31 - 1;
/** The scores of a chunk grow with its square, and MLX does not survive running out of memory. */
const MAX_CHUNK = 8192;
/** Below this, and above its inverse, engines cannot tell a number from 0 or infinity. */
const SMALLEST = 1e-6;

const toolCall = z.strictObject(
  {
    id: allow.text("the id of a call"),
    name: allow.text("the name of a function"),
    arguments: allow.object(),
    invalidArguments: z.string("a string").optional(),
  },
  "an object { id, name, arguments }",
);

const contentPart = z.discriminatedUnion(
  "type",
  [
    z.strictObject({ type: z.literal("text"), text: z.string("a string") }),
    z.strictObject({
      type: z.literal("image"),
      image: z.union([allow.text("a URL"), z.instanceof(Uint8Array)], "a URL or a Uint8Array"),
      mediaType: allow.text('a media type such as "image/png"').optional(),
    }),
  ],
  '"text" or "image"',
);

const message = z
  .strictObject(
    {
      role: z.enum(
        ["system", "user", "assistant", "tool"],
        '"system", "user", "assistant" or "tool"',
      ),
      content: z.union([z.string(), z.array(contentPart)], "a string or a list of parts"),
      toolCalls: z.array(toolCall, "a list of tool calls").optional(),
      toolCallId: allow.text("the id of a call").optional(),
      reasoning: z.string("a string").optional(),
    },
    "an object { role, content }",
  )
  .refine(saysSomething, { path: ["content"], error: "text that is not empty" });

const prompt = z.string().refine((text) => text.trim() !== "", "a prompt that is not empty");

const tool = z.strictObject(
  {
    type: z.literal("function", '"function"'),
    function: z.strictObject(
      {
        name: allow.text("the name of a function"),
        description: z.string("a string").optional(),
        parameters: allow.object().optional(),
      },
      "an object { name, description, parameters }",
    ),
  },
  "an object { type, function }",
);

const toolChoice = z.union(
  [
    z.enum(["auto", "none", "required"]),
    z.strictObject({
      type: z.literal("function", '"function"'),
      function: z.strictObject(
        { name: allow.text("the name of a function") },
        "an object { name }",
      ),
    }),
  ],
  '"auto", "none", "required" or { type: "function", function: { name } }',
);

const responseFormat = z.discriminatedUnion(
  "type",
  [
    z.strictObject({ type: z.literal("text") }),
    z.strictObject({ type: z.literal("json_object") }),
    z.strictObject({
      type: z.literal("json_schema"),
      schema: allow.object(),
      name: allow.text("a name").optional(),
      strict: allow.flag().optional(),
    }),
  ],
  '"text", "json_object" or "json_schema"',
);

const jsonObject = allow.object().refine(isJson, "an object that can be written as JSON");

const mlxOptions = z.strictObject(
  {
    raw: allow.flag().optional(),
    adapter: allow.text("the folder or name of an adapter").optional(),
    quantize: z.literal(QUANTIZE, `one of ${QUANTIZE.join(", ")}`).optional(),
    templateVariables: jsonObject.optional(),
    xtcProbability: allow.number(0, 1).optional(),
    xtcThreshold: allow.number(0, 0.5).optional(),
    repetitionContextSize: allow.whole(1, MAX_COUNT).optional(),
    penaltyContextSize: allow.whole(1, MAX_COUNT).optional(),
    prefillStepSize: allow.whole(1, MAX_CHUNK).optional(),
  },
  "an object",
);

/** As Go reads durations. */
const DURATION = /^[+-]?((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$/;
const keepAlive = 'seconds, -1 for ever, or a duration such as "5m"';

const ollamaOptions = z.strictObject(
  {
    keepAlive: z
      .union(
        [allow.number(-1, MAX_COUNT, keepAlive), z.string().regex(DURATION, keepAlive)],
        keepAlive,
      )
      .optional(),
    options: jsonObject.optional(),
  },
  "an object",
);

const lmStudioOptions = z.strictObject(
  { ttl: allow.whole(1, MAX_COUNT).optional(), body: jsonObject.optional() },
  "an object",
);

const providerOptions = z.strictObject(
  {
    mlx: mlxOptions.optional(),
    ollama: ollamaOptions.optional(),
    lmstudio: lmStudioOptions.optional(),
  },
  "an object",
);

const logitBias = z.record(
  z.string().regex(/^\d+$/),
  allow.number(-100, 100),
  "an object { token id: bias }",
);

const stopText = allow.text("a text that is not empty");
const stops = `a text, or 1 to ${MAX_STOPS} texts`;

const requestSchema = z.strictObject(
  {
    messages: z.union(
      [prompt, z.array(message).min(1, "at least one message")],
      "a prompt or a list of messages",
    ),
    model: allow.text("the name of a model").optional(),
    temperature: allow.number(0, 2).optional(),
    maxTokens: allow.whole(1, MAX_COUNT).optional(),
    stream: allow.flag().optional(),
    requestId: allow.text("a text that is not empty").optional(),
    timeoutOverride: allow.seconds().optional(),
    topP: allow.number(SMALLEST, 1).optional(),
    topK: allow.whole(0).optional(),
    minP: allow.number(0, 1).optional(),
    seed: allow.whole(0).optional(),
    stop: z
      .union([stopText, z.array(stopText).min(1, stops).max(MAX_STOPS, stops)], stops)
      .optional(),
    repetitionPenalty: allow.number(SMALLEST, 1 / SMALLEST).optional(),
    presencePenalty: allow.number(-2, 2).optional(),
    frequencyPenalty: allow.number(-2, 2).optional(),
    logitBias: logitBias.optional(),
    logprobs: allow.flag().optional(),
    topLogprobs: allow.whole(0, 20).optional(),
    tools: z.array(tool, "a list of tools").optional(),
    toolChoice: toolChoice.optional(),
    responseFormat: responseFormat.optional(),
    reasoning: z
      .union(
        [z.boolean(), z.enum(["low", "medium", "high"])],
        'true, false, "low", "medium" or "high"',
      )
      .optional(),
    signal: z.instanceof(AbortSignal, { error: "an AbortSignal" }).optional(),
    providerOptions: providerOptions.optional(),
  },
  "a prompt or an object { messages }",
);

/**
 * Checks a request and brings it into its normal form; throws a `ValidationError` that names each
 * wrong field, its value and what is allowed.
 * @example
 * checkRequest("Hello").messages; // [{ role: "user", content: "Hello" }]
 */
export function checkRequest(input: string | LLMRequest | StreamingRequest): CheckedRequest {
  const result = check<LLMRequest | StreamingRequest>(
    requestSchema,
    typeof input === "string" ? { messages: input } : input,
  );
  if (result.problems) {
    const reasons = result.problems.map(describeProblem).join("; ");
    throw new ValidationError(`The request is wrong: ${reasons}.`);
  }
  const {
    messages,
    stop = [],
    stream: _stream,
    temperature = DEFAULT_TEMPERATURE,
    ...rest
  } = result.value;
  return {
    ...rest,
    temperature,
    messages: typeof messages === "string" ? [{ role: "user", content: messages }] : messages,
    stop: typeof stop === "string" ? [stop] : stop,
  };
}

function isJson(value: unknown): boolean {
  try {
    return JSON.stringify(value) !== undefined;
  } catch {
    // Circular, or with a BigInt in it.
    return false;
  }
}

function saysSomething({ role, content }: Message): boolean {
  // A reply may hold nothing but calls, and a tool may have nothing to tell.
  if (role === "assistant" || role === "tool") return true;
  if (typeof content === "string") return content.trim() !== "";
  return content.some((part) => part.type === "image" || part.text.trim() !== "");
}
