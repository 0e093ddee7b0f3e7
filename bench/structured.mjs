// What it costs to keep a reply to a JSON Schema: the same number of tokens with a form and without.
import { basename } from "node:path";
import { say } from "../scripts/native/tools.mjs";
import { alternate, compared } from "./pairs.mjs";

const maxTokens = 192;

/** So long that no reply is whole before its tokens are used up. */
const schema = {
  type: "array",
  minItems: 200,
  items: {
    type: "object",
    properties: { name: { type: "string", maxLength: 20 }, born: { type: "integer" } },
    required: ["name", "born"],
    additionalProperties: false,
  },
};

/** Tokens per second of a model with the token `end` through the client, with the form of a schema and without. */
export async function measureStructured({ folder, end, pairs }) {
  const { LLMClient } = await import("../dist/esm/index.js");
  const client = new LLMClient(
    { provider: "mlx", model: folder, deadline: 600 },
    { env: {}, configFile: false },
  );
  const speedOf = async (responseFormat) => {
    const { finishReason, timings } = await client.generate({
      messages: "Hello",
      responseFormat,
      temperature: 0,
      maxTokens,
      // A free reply would end, or guess ahead.
      ...(!responseFormat && { logitBias: { [end]: -100 } }),
      providerOptions: { mlx: { promptLookup: false } },
    });
    if (finishReason !== "length") throw new Error(`a reply of ${folder} ended by itself`);
    return timings.tokensPerSecond;
  };
  try {
    const samples = await alternate(
      pairs,
      () => speedOf({ type: "json_schema", schema }),
      () => speedOf(),
    );
    const name = basename(folder);
    const row = compared(name, samples, (ours, theirs) => ours / theirs, "≥ 0.90");
    say(`bench: ${name} structured ${row.comparison.median.toFixed(2)}`);
    const comparison = "structured / free";
    return {
      title: "structured output, tokens/s",
      other: "free",
      comparison,
      digits: 0,
      rows: [row],
    };
  } finally {
    await client.close();
  }
}
