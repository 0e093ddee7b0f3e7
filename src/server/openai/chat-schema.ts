import * as z from "zod/mini";
import { allow } from "../../validation.js";
import { anything, may } from "../schemas.js";
import { completionFields } from "./completion-fields.js";
import { functionName, jsonSchemaFormat } from "./shared-schema.js";

const text = z.strictObject({ type: z.literal("text"), text: z.string("a string") });

const image = z.strictObject({
  type: z.literal("image_url"),
  image_url: z.strictObject(
    {
      // The server would fetch any other one, also from where only it can reach.
      url: z.string("a data: URL").check(z.startsWith("data:", "a data: URL")),
      detail: anything,
    },
    "an object { url }",
  ),
});

const textContent = z.union([z.string(), z.array(text)], "a string or a list of text parts");

const content = z.union(
  [z.string(), z.array(z.discriminatedUnion("type", [text, image], '"text" or "image_url"'))],
  "a string or a list of parts",
);

const toolCall = z.strictObject(
  {
    id: allow.text("the id of a call"),
    type: may(z.literal("function", '"function"')),
    function: z.strictObject(
      { name: functionName, arguments: z.string("a text in JSON") },
      "an object { name, arguments }",
    ),
    index: anything,
  },
  "an object { id, type, function }",
);

const message = z.discriminatedUnion(
  "role",
  [
    z.strictObject({ role: z.enum(["system", "developer"]), content: textContent }),
    z.strictObject({ role: z.literal("user"), content }),
    z.strictObject({
      role: z.literal("assistant"),
      content: may(textContent),
      tool_calls: may(z.array(toolCall, "a list of calls")),
      reasoning_content: may(z.string("a string")),
      // Replies have these, and are sent back as they came.
      refusal: z.optional(z.null("null")),
      audio: z.optional(z.null("null")),
      function_call: z.optional(z.null("null")),
      annotations: may(z.array(z.unknown()).check(z.maxLength(0, "an empty list"))),
    }),
    z.strictObject({
      role: z.literal("tool"),
      content: textContent,
      tool_call_id: allow.text("the id of a call"),
      name: anything,
    }),
  ],
  '"system", "developer", "user", "assistant" or "tool"',
);

const tool = z.strictObject(
  {
    type: z.literal("function", '"function"'),
    function: z.strictObject(
      {
        name: functionName,
        description: may(z.string("a string")),
        parameters: may(allow.object()),
        strict: may(allow.flag()),
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
      function: z.strictObject({ name: functionName }, "an object { name }"),
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
      json_schema: z.strictObject(jsonSchemaFormat, "an object { name, schema }"),
    }),
  ],
  '"text", "json_object" or "json_schema"',
);

/** The fields of a request for a chat completion that this server knows. */
export const chatSchema = z.strictObject(
  {
    ...completionFields,
    messages: z.array(message, "a list of messages").check(z.minLength(1, "at least one message")),
    max_completion_tokens: may(allow.whole(1)),
    logprobs: may(allow.flag()),
    top_logprobs: may(allow.whole(0, 20)),
    tools: may(z.array(tool, "a list of tools")),
    tool_choice: may(toolChoice),
    parallel_tool_calls: may(z.literal(true, "true")),
    response_format: may(responseFormat),
    reasoning_effort: may(
      z.enum(
        ["none", "minimal", "low", "medium", "high"],
        '"none", "minimal", "low", "medium" or "high"',
      ),
    ),
    // What changes nothing here.
    store: may(z.literal(false, "false")),
    modalities: may(z.tuple([z.literal("text")], '["text"]')),
    user: anything,
    metadata: anything,
    safety_identifier: anything,
    prompt_cache_key: anything,
    service_tier: anything,
  },
  "an object { model, messages }",
);

/** A checked request for a chat completion. */
export type ChatBody = z.infer<typeof chatSchema>;
