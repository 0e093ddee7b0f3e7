import * as z from "zod/mini";
import { allow } from "../../validation.js";
import { anything, may } from "../schemas.js";

/** Options that say how Ollama runs a model; another provider has no use for them. */
export const RUNNER_OPTIONS = [
  "num_ctx",
  "num_batch",
  "num_gpu",
  "main_gpu",
  "use_mmap",
  "num_thread",
  "num_keep",
] as const;

const stop = allow.text("a text that is not empty");
const runner = may(z.union([z.number(), z.boolean()], "a number, or true or false"));

const options = z.strictObject(
  {
    temperature: may(allow.number(0, 2)),
    top_p: may(allow.number(1e-6, 1)),
    top_k: may(allow.whole(0)),
    min_p: may(allow.number(0, 1)),
    seed: may(allow.whole(0)),
    stop: may(
      z.union([stop, z.array(stop).check(z.maxLength(16, "up to 16 texts"))], "a text, or texts"),
    ),
    /** -1, or -2, is until the end. */
    num_predict: may(allow.whole(-2)),
    repeat_penalty: may(allow.number(1e-6, 1e6)),
    repeat_last_n: may(allow.whole(1)),
    presence_penalty: may(allow.number(-2, 2)),
    frequency_penalty: may(allow.number(-2, 2)),
    num_ctx: runner,
    num_batch: runner,
    num_gpu: runner,
    main_gpu: runner,
    use_mmap: runner,
    num_thread: runner,
    num_keep: runner,
  },
  "an object of options",
);

const images = may(z.array(allow.text("bytes in base64"), "a list of images in base64"));

const toolCall = z.strictObject(
  {
    id: may(z.string("a string")),
    type: anything,
    function: z.strictObject(
      {
        name: allow.text("the name of a function"),
        arguments: may(allow.object()),
        index: anything,
        description: anything,
      },
      "an object { name, arguments }",
    ),
  },
  "an object { function }",
);

const message = z.strictObject(
  {
    role: z.enum(
      ["system", "user", "assistant", "tool"],
      '"system", "user", "assistant" or "tool"',
    ),
    content: may(z.string("a string")),
    thinking: may(z.string("a string")),
    images,
    tool_calls: may(z.array(toolCall, "a list of calls")),
    tool_name: may(z.string("a string")),
    tool_call_id: may(z.string("a string")),
  },
  "an object { role, content }",
);

const tool = z.strictObject(
  {
    type: z.literal("function", '"function"'),
    function: z.strictObject(
      {
        name: allow.text("the name of a function"),
        description: may(z.string("a string")),
        parameters: may(allow.object()),
      },
      "an object { name, description, parameters }",
    ),
  },
  "an object { type, function }",
);

const shared = {
  model: may(allow.text("the name of a model")),
  stream: may(allow.flag()),
  format: may(z.union([z.enum(["json", ""]), allow.object()], '"json" or a JSON Schema')),
  options: may(options),
  think: may(z.union([z.boolean(), z.enum(["low", "medium", "high"])], "true, false, or how hard")),
  keep_alive: may(z.union([z.number(), z.string()], 'seconds, or a duration such as "5m"')),
  logprobs: may(allow.flag()),
  top_logprobs: may(allow.whole(0, 20)),
};

/** The fields of a request for a chat that this server knows. */
export const chatSchema = z.strictObject(
  {
    ...shared,
    messages: may(z.array(message, "a list of messages")),
    tools: may(z.array(tool, "a list of tools")),
  },
  "an object { model, messages }",
);

/** The fields of a request to continue a prompt that this server knows. */
export const generateSchema = z.strictObject(
  {
    ...shared,
    prompt: may(z.string("a string")),
    system: may(z.string("a string")),
    images,
    raw: may(allow.flag()),
    // Clients send these empty.
    suffix: may(z.literal("", "empty")),
    template: may(z.literal("", "empty")),
    context: may(z.array(z.unknown()).check(z.maxLength(0, "an empty list"))),
  },
  "an object { model, prompt }",
);

/** The fields of a question for a model. */
export const showSchema = z.strictObject(
  { model: may(allow.text("the name of a model")), name: may(z.string()), verbose: anything },
  "an object { model }",
);

const embedded = { model: shared.model, keep_alive: shared.keep_alive, options: may(options) };

/** The fields of a request for the vectors of texts that this server knows. */
export const embedSchema = z.strictObject(
  {
    ...embedded,
    input: z.union(
      [allow.text("a text that is not empty"), z.array(z.string()).check(z.minLength(1, "a text"))],
      "a text, or texts",
    ),
    dimensions: may(allow.whole(1)),
    truncate: may(allow.flag()),
  },
  "an object { model, input }",
);

/** The fields of a request for the vector of a text, as clients ask that are older. */
export const oldEmbedSchema = z.strictObject(
  { ...embedded, prompt: allow.text("a text that is not empty") },
  "an object { model, prompt }",
);

export type EmbedBody = z.infer<typeof embedSchema>;
export type OldEmbedBody = z.infer<typeof oldEmbedSchema>;
export type OllamaOptions = z.infer<typeof options>;
export type ChatBody = z.infer<typeof chatSchema>;
export type GenerateBody = z.infer<typeof generateSchema>;
