import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DIALECT_REPLIES } from "../mlx/tools/dialect-replies.js";

const MOST = 12;
const LARGEST = 100_000;

/** Small fixtures that match a pattern. */
export function fixtures(pattern: RegExp): Buffer[] {
  const root = join(process.cwd(), "test", "fixtures");
  const files = readdirSync(root, { recursive: true }) as string[];
  return files
    .filter((file) => pattern.test(file))
    .sort()
    .map((file) => readFileSync(join(root, file)))
    .filter(({ length }) => length < LARGEST)
    .slice(0, MOST);
}

/** Recorded streams of servers, as if a model "m" had answered, after a byte. */
export function streams(pattern: RegExp): Buffer[] {
  return fixtures(pattern).map((bytes) => {
    const text = bytes.toString().replace(/"model":\s*"[^"]*"/g, '"model":"m"');
    return Buffer.from(`(${text}`);
  });
}

/** A reply in each dialect. */
export function replies(): Buffer[] {
  return DIALECT_REPLIES.map(({ reply }, index) =>
    Buffer.concat([Buffer.from([index, 4]), Buffer.from(reply)]),
  );
}

const MESSAGES = [
  { role: "system", content: "Be kind." },
  { role: "user", content: [{ type: "text", text: "Hi" }] },
];
const SCHEMA = { type: "object", properties: { a: { type: "string" } }, required: ["a"] };
const CALL = { id: "1", type: "function", function: { name: "f", arguments: '{"a":1}' } };
const TOOL = { type: "function", function: { name: "f", description: "d", parameters: SCHEMA } };

/** A request for each endpoint. */
export function bodies(): Buffer[] {
  const format = { type: "json_schema", json_schema: { name: "x", schema: SCHEMA } };
  const history = [
    ...MESSAGES,
    { role: "assistant", content: null, tool_calls: [CALL] },
    { role: "tool", tool_call_id: "1", content: "7" },
  ];
  const asked = [
    { model: "m", messages: history, tools: [TOOL], response_format: format, seed: 7, stop: ["a"] },
    { model: "m", prompt: "Hi", max_tokens: 5, stream: true, logprobs: 2, logit_bias: { 5: 1 } },
    { model: "m", input: [{ role: "user", content: "Hi" }], instructions: "x", stream: true },
    {
      model: "m",
      max_tokens: 5,
      messages: [MESSAGES[1]],
      tools: [{ name: "f", input_schema: SCHEMA }],
    },
    { model: "m", messages: [{ role: "user", content: "Hi", images: ["/9j/"] }], format: SCHEMA },
    { model: "m", prompt: "Hi", options: { temperature: 0.5, num_ctx: 5 }, raw: true },
    { model: "m" },
    { model: "m", input: ["a", "b"], encoding_format: "base64" },
  ];
  return asked.map((body, index) =>
    Buffer.concat([Buffer.from([index]), Buffer.from(JSON.stringify(body))]),
  );
}
