// What a token costs the JavaScript side: calls out of the engine, and bytes of the heap.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { say } from "../scripts/native/tools.mjs";
import { compared } from "./pairs.mjs";
import { generate, loadOurs, promptOf } from "./speed.mjs";

// A reply's own cost is left out: what is told is the difference of two replies, so short that
// nothing is collected before their ends.
const short = 32;
const tokens = 64;

/** Counts what crosses from the engine for more tokens, and what they leave on the heap. */
export async function measureHost({ addon, folder, pairs }) {
  const { LLMClient } = await import("../dist/esm/index.js");
  const { eos_token_id: ends } = JSON.parse(
    readFileSync(join(folder, "generation_config.json"), "utf8"),
  );
  const model = await loadOurs(addon, folder);
  const client = new LLMClient({ provider: "mlx", baseUrl: folder });
  const logitBias = Object.fromEntries([ends].flat().map((id) => [id, -100]));
  const stream = async (maxTokens) => {
    const request = { messages: "Tell me a story.", maxTokens, logitBias };
    for await (const _ of client.stream(request));
  };
  const deliveries = async (maxTokens) => {
    let count = 0;
    await generate(model, promptOf(32), { maxTokens }, () => count++);
    return count;
  };
  const rows = [
    await rowOf("calls from the engine", pairs, deliveries),
    await rowOf("heap bytes, addon", pairs, heapBytesOf(deliveries)),
    await rowOf("heap bytes, stream", pairs, heapBytesOf(stream)),
  ];
  await client.close();
  model.close();
  const title = `host cost of ${tokens} tokens`;
  return { title, other: "tokens", comparison: "ours / tokens", digits: 0, rows };
}

async function rowOf(name, pairs, measure) {
  const samples = { a: [], b: Array(pairs).fill(tokens) };
  const ofMore = async () => (await measure(short + tokens)) - (await measure(short));
  await ofMore();
  for (let i = 0; i < pairs; i++) samples.a.push(await ofMore());
  const row = compared(name, samples, (cost, count) => cost / count);
  say(`bench: ${name} ${row.comparison.median.toFixed(2)}`);
  return row;
}

function heapBytesOf(reply) {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc");
  return async (maxTokens) => {
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    await reply(maxTokens);
    return process.memoryUsage().heapUsed - before;
  };
}
