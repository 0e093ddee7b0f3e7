// npm run bench:serve: what a reply costs over HTTP, against the same call in the process.
//   --rounds 15     pairs of measurements, after one that is not counted
//   --tokens 400    tokens of each reply
//   --model demo    MLX model that answers
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../scripts/native/tools.mjs";
import { alternate, summary } from "./pairs.mjs";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    tokens: { type: "string", default: "400" },
    model: { type: "string", default: "demo" },
  },
});
const GOALS = { decode: 1.02, firstMs: 20 };

if (!existsSync(join(root, "dist", "esm", "server", "index.js"))) {
  throw new Error("dist/ is missing; run: npm run build");
}
const { LLMClient } = await import(join(root, "dist", "esm", "index.js"));
const { createServer } = await import(join(root, "dist", "esm", "server", "index.js"));

const { model } = options;
const maxTokens = Number(options.tokens);
const client = new LLMClient({ provider: "mlx", model });
const server = createServer(client, { port: 0, drainTimeout: 0 });
const url = `${await server.listen()}/v1/completions`;
const reader = fork(join(root, "bench", "serve-client.mjs"));

const prompt = "What is 7 + 5?";
const { path } = await client.showModel(model);
const config = JSON.parse(await readFile(join(path, "config.json"), "utf8"));
// What ends a reply is forbidden, so that each has as many tokens.
const bias = Object.fromEntries([config.eos_token_id].flat().map((id) => [id, -100]));

async function served() {
  const body = { model, prompt, temperature: 0, max_tokens: maxTokens, logit_bias: bias };
  reader.send({ url, body: { ...body, stream: true } });
  const [result] = await once(reader, "message");
  return result;
}

async function direct() {
  const start = performance.now();
  let first;
  const stream = client.stream({
    model,
    messages: prompt,
    temperature: 0,
    maxTokens,
    logitBias: bias,
    providerOptions: { mlx: { raw: true } },
  });
  for await (const { type } of stream) {
    if (type === "text") first ??= performance.now();
  }
  return { firstMs: first - start, decodeMs: performance.now() - first };
}

const { a, b } = await alternate(Number(options.rounds), served, direct);
const decode = summary(a.map(({ decodeMs }, pair) => decodeMs / b[pair].decodeMs));
const first = summary(a.map(({ firstMs }, pair) => firstMs - b[pair].firstMs));
const { median: speed } = summary(b.map(({ decodeMs }) => (maxTokens / decodeMs) * 1000));
const spread = ({ low, median, high }, digits) =>
  `${median.toFixed(digits)} (half of the pairs: ${low.toFixed(digits)} to ${high.toFixed(digits)})`;
console.log(`${model}, ${maxTokens} tokens, ${speed.toFixed(0)} tokens/s in the process`);
console.log(`decode, served / in the process: ${spread(decode, 3)}, goal ≤ ${GOALS.decode}`);
console.log(
  `first token, served − in the process: ${spread(first, 1)} ms, goal ≤ ${GOALS.firstMs}`,
);
reader.disconnect();
await server.close();
await client.close();
