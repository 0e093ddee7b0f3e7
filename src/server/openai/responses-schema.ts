import * as z from "zod/mini";
import { allow } from "../../validation.js";
import { anything, may } from "../schemas.js";
import { functionName, jsonSchemaFormat } from "./shared-schema.js";

const text = z.strictObject({
  type: z.enum(["input_text", "output_text", "text"]),
  text: z.string("a string"),
  annotations: anything,
  logprobs: anything,
});

const image = z.strictObject({
  type: z.literal("input_image"),
  // The server would fetch any other one, also from where only it can reach.
  image_url: z.string("a data: URL").check(z.startsWith("data:", "a data: URL")),
  detail: anything,
});

const content = z.union(
  [z.string(), z.array(z.discriminatedUnion("type", [text, image], "text or input_image"))],
  "a string or a list of parts",
);

const ROLES = ["system", "developer", "user", "assistant"] as const;

const message = z.strictObject(
  {
    type: may(z.literal("message")),
    role: z.enum(ROLES, '"system", "developer", "user" or "assistant"'),
    content,
    id: anything,
    status: anything,
    phase: anything,
  },
  "an object { role, content }",
);

const functionCall = z.strictObject({
  type: z.literal("function_call"),
  call_id: allow.text("the id of a call"),
  name: functionName,
  arguments: z.string("a text in JSON"),
  id: anything,
  status: anything,
});

const functionOutput = z.strictObject({
  type: z.literal("function_call_output"),
  call_id: allow.text("the id of a call"),
  output: z.union([z.string(), z.array(text)], "a string or a list of text parts"),
  id: anything,
  status: anything,
});

const reasoning = z.strictObject({
  type: z.literal("reasoning"),
  content: may(z.array(z.strictObject({ type: z.literal("reasoning_text"), text: z.string() }))),
  summary: anything,
  id: anything,
  status: anything,
  encrypted_content: anything,
});

const item = z.union(
  [message, functionCall, functionOutput, reasoning],
  "a message, a function_call, a function_call_output or a reasoning item",
);

const tool = z.strictObject(
  {
    type: z.literal("function", '"function"'),
    name: functionName,
    description: may(z.string("a string")),
    parameters: may(allow.object()),
    strict: may(allow.flag()),
  },
  "an object { type, name, parameters }",
);

const toolChoice = z.union(
  [
    z.enum(["auto", "none", "required"]),
    z.strictObject({ type: z.literal("function", '"function"'), name: functionName }),
  ],
  '"auto", "none", "required" or { type: "function", name }',
);

const format = z.discriminatedUnion(
  "type",
  [
    z.strictObject({ type: z.literal("text") }),
    z.strictObject({ type: z.literal("json_object") }),
    z.strictObject({ type: z.literal("json_schema"), ...jsonSchemaFormat }),
  ],
  '"text", "json_object" or "json_schema"',
);

/** The fields of a request for a response that this server knows. */
export const responsesSchema = z.strictObject(
  {
    model: may(allow.text("the name of a model")),
    input: z.union(
      [allow.text("a text that is not empty"), z.array(item).check(z.minLength(1, "an item"))],
      "a text or a list of items",
    ),
    instructions: may(z.string("a string")),
    stream: may(allow.flag()),
    temperature: may(allow.number(0, 2)),
    top_p: may(allow.number(1e-6, 1)),
    max_output_tokens: may(allow.whole(1)),
    tools: may(z.array(tool, "a list of functions")),
    tool_choice: may(toolChoice),
    parallel_tool_calls: may(z.literal(true, "true")),
    text: may(
      z.strictObject({ format: may(format), verbosity: may(z.literal("medium", '"medium"')) }),
    ),
    reasoning: may(
      z.strictObject({
        effort: may(z.enum(["none", "minimal", "low", "medium", "high"])),
        summary: anything,
      }),
    ),
    truncation: may(z.literal("disabled", '"disabled"')),
    // Nothing is kept here.
    store: may(z.literal(false, "false")),
    background: may(z.literal(false, "false")),
    // What changes nothing here.
    include: may(z.array(z.literal("reasoning.encrypted_content"))),
    stream_options: anything,
    user: anything,
    metadata: anything,
    safety_identifier: anything,
    prompt_cache_key: anything,
    service_tier: anything,
    client_metadata: anything,
  },
  "an object { model, input }",
);

/** A checked request for a response. */
export type ResponsesBody = z.infer<typeof responsesSchema>;
