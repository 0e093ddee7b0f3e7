// A typed object instead of text: node examples/structured-output.mjs "Ada Lovelace, born in 1815"
import { LLMClient, LLMError } from "mlx-llm-client";

const schema = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 40 },
    born: { type: "integer", minimum: 0, maximum: 2100 },
    profession: { enum: ["mathematician", "painter", "writer"] },
  },
  required: ["name", "born", "profession"],
  additionalProperties: false,
};

const client = new LLMClient({ model: "demo" });
try {
  const messages = process.argv[2] ?? "Ada Lovelace, mathematician, was born in 1815.";
  const request = { messages, schema, temperature: 0, maxTokens: 200 };
  const { object } = await client.generateObject(request);
  console.log(JSON.stringify(object, undefined, 2));
} catch (error) {
  if (!LLMError.is(error)) throw error;
  console.error(`${error.code}: ${error.message}\n${error.hint ?? ""}`);
  process.exitCode = 1;
} finally {
  await client.close();
}
