import * as z from "zod/mini";
import { ValidationError } from "./errors.js";
import { QUANTIZE } from "./quantize.js";
import type {
  LLMRequest,
  Message,
  PromptCacheRead,
  Reasoning,
  ReasoningEffort,
  StreamingRequest,
} from "./types.js";
import { allow, check, describeProblem } from "./validation.js";

/** A validated request in its one normal form. */
export interface CheckedRequest
  extends Omit<LLMRequest, "messages" | "stop" | "stream" | "temperature" | "reasoning"> {
  messages: Message[];
  /** Empty for none. */
  stop: string[];
  temperature: number;
  reasoning?: boolean | ReasoningEffort;
  /** Most tokens of reasoning. */
  reasoningBudget?: number;
}

const DEFAULT_TEMPERATURE = 0.7;
const MAX_STOPS = 16;
/** Engines count in 32 bits. */
const MAX_COUNT = 2 ** 31 - 1;
/** The scores of a chunk grow with its square, and MLX does not survive running out of memory. */
const MAX_CHUNK = 8192;
/** What MLX can quantize to. */
const KV_BITS = [2, 3, 4, 5, 6, 8] as const;
const KV_GROUP_SIZES = [32, 64, 128] as const;
/** A limited cache keeps the first four tokens, and needs room for others. */
const MIN_KV_SIZE = 8;
/** Tokens drafted at a time: the model reads them all at once. */
const MAX_DRAFT = 64;
/** Below this, and above its inverse, engines cannot tell a number from 0 or infinity. */
const SMALLEST = 1e-6;

const toolCall = z.strictObject(
  {
    id: allow.text("the id of a call"),
    name: allow.text("the name of a function"),
    arguments: allow.object(),
    invalidArguments: z.optional(z.string("a string")),
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
      mediaType: z.optional(allow.text('a media type such as "image/png"')),
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
      toolCalls: z.optional(z.array(toolCall, "a list of tool calls")),
      toolCallId: z.optional(allow.text("the id of a call")),
      reasoning: z.optional(z.string("a string")),
    },
    "an object { role, content }",
  )
  .check(z.refine(saysSomething, { path: ["content"], error: "text that is not empty" }));

/** A conversation. */
export const conversation = z.array(message, "a list of messages");

const prompt = z
  .string()
  .check(z.refine((text) => text.trim() !== "", "a prompt that is not empty"));

const tool = z.strictObject(
  {
    type: z.literal("function", '"function"'),
    function: z.strictObject(
      {
        name: allow.text("the name of a function"),
        description: z.optional(z.string("a string")),
        parameters: z.optional(allow.object()),
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
      name: z.optional(allow.text("a name")),
      strict: z.optional(allow.flag()),
    }),
    z.strictObject({ type: z.literal("regex"), pattern: allow.text("a regular expression") }),
    z.strictObject({ type: z.literal("grammar"), grammar: allow.text("a Lark grammar") }),
  ],
  '"text", "json_object", "json_schema", "regex" or "grammar"',
);

const jsonObject = allow.object().check(z.refine(isJson, "an object that can be written as JSON"));

const promptLookup = z.strictObject({
  minNgram: z.optional(allow.whole(1, MAX_DRAFT)),
  tokens: z.optional(allow.whole(1, MAX_DRAFT)),
});

const mlxOptions = z.strictObject(
  {
    raw: z.optional(allow.flag()),
    adapter: z.optional(allow.text("the folder or name of an adapter")),
    quantize: z.optional(z.literal(QUANTIZE, `one of ${QUANTIZE.join(", ")}`)),
    distributed: z.optional(allow.flag()),
    templateVariables: z.optional(jsonObject),
    xtcProbability: z.optional(allow.number(0, 1)),
    xtcThreshold: z.optional(allow.number(0, 0.5)),
    repetitionContextSize: z.optional(allow.whole(1, MAX_COUNT)),
    penaltyContextSize: z.optional(allow.whole(1, MAX_COUNT)),
    prefillStepSize: z.optional(allow.whole(1, MAX_CHUNK)),
    kvBits: z.optional(z.literal(KV_BITS, `one of ${KV_BITS.join(", ")}`)),
    kvGroupSize: z.optional(z.literal(KV_GROUP_SIZES, `one of ${KV_GROUP_SIZES.join(", ")}`)),
    quantizedKvStart: z.optional(allow.whole(0, MAX_COUNT)),
    maxKvSize: z.optional(allow.whole(MIN_KV_SIZE, MAX_COUNT)),
    promptCacheFile: z.optional(allow.text("the path of a file")),
    promptCache: z.optional(allow.flag()),
    promptLookup: z.optional(z.union([allow.flag(), promptLookup], "true, false or an object")),
    mtp: z.optional(allow.flag()),
    draftModel: z.optional(allow.text("the folder or name of a model")),
    numDraftTokens: z.optional(allow.whole(1, MAX_DRAFT)),
  },
  "an object",
);

/** As Go reads durations. */
const DURATION = /^[+-]?((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$/;
const keepAlive = 'seconds, -1 for ever, or a duration such as "5m"';

const ollamaOptions = z.strictObject(
  {
    keepAlive: z.optional(
      z.union(
        [allow.number(-1, MAX_COUNT, keepAlive), z.string().check(z.regex(DURATION, keepAlive))],
        keepAlive,
      ),
    ),
    options: z.optional(jsonObject),
  },
  "an object",
);

const lmStudioOptions = z.strictObject(
  { ttl: z.optional(allow.whole(1, MAX_COUNT)), body: z.optional(jsonObject) },
  "an object",
);

const providerOptions = z.strictObject(
  {
    mlx: z.optional(mlxOptions),
    ollama: z.optional(ollamaOptions),
    lmstudio: z.optional(lmStudioOptions),
  },
  "an object",
);

const EFFORT = z.enum(["low", "medium", "high"], '"low", "medium" or "high"');

const reasoningOptions = z.strictObject({
  effort: z.optional(EFFORT),
  maxTokens: z.optional(allow.whole(1, MAX_COUNT)),
});

const logitBias = z.record(
  z.string().check(z.regex(/^\d+$/)),
  allow.number(-100, 100),
  "an object { token id: bias }",
);

const stopText = allow.text("a text that is not empty");
const stops = `a text, or 1 to ${MAX_STOPS} texts`;

const messagesSchema = z.union(
  [prompt, conversation.check(z.minLength(1, "at least one message"))],
  "a prompt or a list of messages",
);

const requestSchema = z.strictObject(
  {
    messages: messagesSchema,
    model: z.optional(allow.text("the name of a model")),
    temperature: z.optional(allow.number(0, 2)),
    maxTokens: z.optional(allow.whole(1, MAX_COUNT)),
    stream: z.optional(allow.flag()),
    requestId: z.optional(allow.text("a text that is not empty")),
    timeoutOverride: z.optional(allow.seconds()),
    topP: z.optional(allow.number(SMALLEST, 1)),
    topK: z.optional(allow.whole(0)),
    minP: z.optional(allow.number(0, 1)),
    seed: z.optional(allow.whole(0)),
    stop: z.optional(
      z.union(
        [stopText, z.array(stopText).check(z.minLength(1, stops), z.maxLength(MAX_STOPS, stops))],
        stops,
      ),
    ),
    repetitionPenalty: z.optional(allow.number(SMALLEST, 1 / SMALLEST)),
    presencePenalty: z.optional(allow.number(-2, 2)),
    frequencyPenalty: z.optional(allow.number(-2, 2)),
    logitBias: z.optional(logitBias),
    logprobs: z.optional(allow.flag()),
    topLogprobs: z.optional(allow.whole(0, 20)),
    tools: z.optional(z.array(tool, "a list of tools")),
    toolChoice: z.optional(toolChoice),
    responseFormat: z.optional(responseFormat),
    reasoning: z.optional(
      z.union(
        [z.boolean(), EFFORT, reasoningOptions],
        'true, false, "low", "medium", "high" or { effort, maxTokens }',
      ),
    ),
    signal: z.optional(z.instanceof(AbortSignal, { error: "an AbortSignal" })),
    providerOptions: z.optional(providerOptions),
  },
  "a prompt or an object { messages }",
);

const keptPromptSchema = z.strictObject(
  {
    file: allow.text("the path of a file"),
    messages: z.optional(messagesSchema),
    model: z.optional(allow.text("the name of a model")),
    signal: z.optional(z.instanceof(AbortSignal, { error: "an AbortSignal" })),
    providerOptions: z.optional(
      z.strictObject({
        mlx: z.optional(
          z.pick(mlxOptions, {
            raw: true,
            templateVariables: true,
            adapter: true,
            quantize: true,
            prefillStepSize: true,
            kvBits: true,
            kvGroupSize: true,
            quantizedKvStart: true,
            maxKvSize: true,
            promptCache: true,
          }),
        ),
      }),
    ),
  },
  "an object { file, messages }",
);

/** A validated question about a prompt-cache file. */
export interface CheckedPromptCache extends Omit<PromptCacheRead, "messages"> {
  messages?: Message[];
}

/** Checks what `writePromptCache` and `readPromptCache` are asked, as `checkRequest` does. */
export function checkPromptCache(input: PromptCacheRead): CheckedPromptCache {
  const result = check<PromptCacheRead>(keptPromptSchema, input);
  if (result.problems) {
    const reasons = result.problems.map(describeProblem).join("; ");
    throw new ValidationError(`The question is wrong: ${reasons}.`);
  }
  const { messages, ...rest } = result.value;
  return { ...rest, messages: typeof messages === "string" ? [asMessage(messages)] : messages };
}

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
    reasoning,
    ...rest
  } = result.value;
  return {
    ...rest,
    ...checkedReasoning(reasoning),
    temperature,
    messages: typeof messages === "string" ? [asMessage(messages)] : messages,
    stop: typeof stop === "string" ? [stop] : stop,
  };
}

function checkedReasoning(
  reasoning: Reasoning | undefined,
): Pick<CheckedRequest, "reasoning" | "reasoningBudget"> {
  const { effort, maxTokens } =
    typeof reasoning === "object" ? reasoning : { effort: reasoning, maxTokens: undefined };
  return {
    ...(effort !== undefined && { reasoning: effort }),
    ...(maxTokens !== undefined && { reasoningBudget: maxTokens }),
  };
}

function asMessage(content: string): Message {
  return { role: "user", content };
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
