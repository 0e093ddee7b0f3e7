import * as z from "zod/mini";
import { allow } from "../../validation.js";
import { anything, may } from "../schemas.js";

const text = z.strictObject({
  type: z.literal("text"),
  text: z.string("a string"),
  cache_control: anything,
  citations: z.optional(z.null("null")),
});

const image = z.strictObject({
  type: z.literal("image"),
  source: z.strictObject(
    {
      // The server would fetch a URL, also from where only it can reach.
      type: z.literal("base64", '"base64"'),
      media_type: allow.text("a media type"),
      data: allow.text("bytes in base64"),
    },
    "an object { type, media_type, data }",
  ),
  cache_control: anything,
});

const thinking = z.strictObject({
  type: z.literal("thinking"),
  thinking: z.string("a string"),
  signature: anything,
});

const toolUse = z.strictObject({
  type: z.literal("tool_use"),
  id: allow.text("the id of a call"),
  name: allow.text("the name of a tool"),
  input: allow.object(),
  cache_control: anything,
  caller: anything,
});

const toolResult = z.strictObject({
  type: z.literal("tool_result"),
  tool_use_id: allow.text("the id of a call"),
  content: may(
    z.union(
      [z.string(), z.array(z.discriminatedUnion("type", [text, image], '"text" or "image"'))],
      "a string or a list of blocks",
    ),
  ),
  is_error: may(allow.flag()),
  cache_control: anything,
});

const BLOCKS = "a string or a list of blocks";

const message = z.discriminatedUnion(
  "role",
  [
    z.strictObject({
      role: z.literal("user"),
      content: z.union(
        [
          z.string(),
          z.array(
            z.discriminatedUnion(
              "type",
              [text, image, toolResult],
              '"text", "image" or "tool_result"',
            ),
          ),
        ],
        BLOCKS,
      ),
    }),
    z.strictObject({
      role: z.literal("assistant"),
      content: z.union(
        [
          z.string(),
          z.array(
            z.discriminatedUnion(
              "type",
              [text, thinking, toolUse],
              '"text", "thinking" or "tool_use"',
            ),
          ),
        ],
        BLOCKS,
      ),
    }),
  ],
  '"user" or "assistant"',
);

const tool = z.strictObject(
  {
    type: may(z.literal("custom", '"custom"')),
    name: allow.text("the name of a tool"),
    description: may(z.string("a string")),
    input_schema: allow.object(),
    cache_control: anything,
  },
  "an object { name, description, input_schema }",
);

/** Several calls at a time cannot be forbidden. */
const parallel = { disable_parallel_tool_use: may(z.literal(false, "false")) };

const toolChoice = z.discriminatedUnion(
  "type",
  [
    z.strictObject({ type: z.enum(["auto", "any"]), ...parallel }),
    z.strictObject({ type: z.literal("none") }),
    z.strictObject({
      type: z.literal("tool"),
      name: allow.text("the name of a tool"),
      ...parallel,
    }),
  ],
  '"auto", "any", "none" or "tool"',
);

const thinkingChoice = z.discriminatedUnion(
  "type",
  [
    z.strictObject({ type: z.literal("enabled"), budget_tokens: anything, display: anything }),
    z.strictObject({ type: z.literal("adaptive"), display: anything }),
    z.strictObject({ type: z.literal("disabled") }),
  ],
  '"enabled", "adaptive" or "disabled"',
);

const outputConfig = z.strictObject(
  {
    effort: may(z.enum(["low", "medium", "high", "xhigh", "max"], '"low" to "max"')),
    format: may(
      z.strictObject(
        { type: z.literal("json_schema", '"json_schema"'), schema: allow.object() },
        "an object { type, schema }",
      ),
    ),
  },
  "an object { effort, format }",
);

/** What a model reads. */
const question = {
  model: may(allow.text("the name of a model")),
  messages: z.array(message, "a list of messages").check(z.minLength(1, "at least one message")),
  system: may(z.union([z.string(), z.array(text)], "a string or a list of text blocks")),
  tools: may(z.array(tool, "a list of tools")),
  tool_choice: may(toolChoice),
  thinking: may(thinkingChoice),
  output_config: may(outputConfig),
  // It changes nothing here.
  cache_control: anything,
};

/** The fields of a request for a message that this server knows. */
export const messagesSchema = z.strictObject(
  {
    ...question,
    max_tokens: allow.whole(1),
    stream: may(allow.flag()),
    temperature: may(allow.number(0, 2)),
    top_p: may(allow.number(1e-6, 1)),
    top_k: may(allow.whole(0)),
    stop_sequences: may(
      z
        .array(allow.text("a text that is not empty"), "a list of texts")
        .check(z.maxLength(16, "at most 16 texts")),
    ),
    // What changes nothing here.
    metadata: anything,
    service_tier: anything,
  },
  "an object { model, max_tokens, messages }",
);

/** The fields of a question how many tokens a model would read. */
export const countSchema = z.strictObject(question, "an object { model, messages }");

/** A checked request for a message. */
export type MessagesBody = z.infer<typeof messagesSchema>;

/** A checked question how many tokens a model would read. */
export type CountBody = z.infer<typeof countSchema>;
