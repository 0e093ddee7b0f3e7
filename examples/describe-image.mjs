// A picture in, JSON out; the model must be one that sees, of Ollama, LM Studio or MLX (docs/images.md):
// LLM_CLIENT_MODEL=gemma3 node examples/describe-image.mjs photo.jpg
import { readFile } from "node:fs/promises";
import { LLMClient, LLMError } from "mlx-llm-client";

const file = process.argv[2] ?? new URL("data/picture.png", import.meta.url);
const texts = { type: "array", items: { type: "string" } };
const schema = {
  type: "object",
  properties: { title: { type: "string" }, objects: texts, colors: texts },
  required: ["title", "objects", "colors"],
};

const client = new LLMClient();
try {
  const image = await readFile(file);
  const mediaType = /\.jpe?g$/i.test(String(file)) ? "image/jpeg" : "image/png";
  const { content } = await client.generate({
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "Describe this picture as JSON: its title, objects and colors." },
          { type: "image", image, mediaType },
        ],
      },
    ],
    responseFormat: { type: "json_schema", name: "picture", schema },
    temperature: 0,
  });
  console.log(JSON.stringify(JSON.parse(content), undefined, 2));
} catch (error) {
  if (!LLMError.is(error)) throw error;
  console.error(`${error.code}: ${error.message}\n${error.hint ?? ""}`);
  process.exitCode = 1;
} finally {
  await client.close();
}
