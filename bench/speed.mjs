// Tokens per second and the host time for a graph: the addon against mlx-lm on the same checkpoint.
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { say } from "../scripts/native/tools.mjs";
import { alternate, compared } from "./pairs.mjs";

const ratio = (ours, theirs) => ours / theirs;
export const promptOf = (length) => Array.from({ length }, (_, index) => (index * 7) % 1000);

/** Loads a checkpoint into the addon. */
export async function loadOurs(addon, folder) {
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
  return addon.load(config, [join(folder, "model.safetensors")]).model;
}

/** Generates, greedily unless `options` say otherwise; `onTokens` hears of tokens as they come. */
export async function generate(model, prompt, options, onTokens = () => {}) {
  const session = model.session();
  const ids = [];
  const sampling = { stopTokens: [], temperature: 0, ...options };
  const stats = await session.generate(Uint32Array.from(prompt), sampling, (batch) => {
    ids.push(...batch.tokens);
    onTokens(batch.tokens.length);
  });
  session.close();
  return { ...stats, ids };
}

/**
 * Measures decode, prefill and graph for the checkpoints, as far as they are among `parts`.
 * Each checkpoint says how many tokens to generate and what ratio is hoped for in decode.
 */
export async function measureSpeed({ addon, reference, checkpoints, pairs, parts }) {
  const tables = {
    decode: { title: "decode, tokens/s", comparison: "ours / mlx-lm", digits: 0, rows: [] },
    prefill: { title: "prefill, tokens/s", comparison: "ours / mlx-lm", digits: 0, rows: [] },
    graph: { title: "graph of a token, ms", comparison: "ours / mlx-lm", digits: 3, rows: [] },
  };
  for (const { folder, tokens, decodeGoal } of checkpoints) {
    const name = basename(folder);
    const model = await loadOurs(addon, folder);
    const ours = ({ prompt, tokens }) => generate(model, prompt, { maxTokens: tokens });
    const decode = { folder, prompt: promptOf(32), tokens };
    const prefill = { folder, prompt: promptOf(256), tokens: 1 };
    checkSameReply(name, await ours(decode), await reference.ask(decode));
    const measure = async (part, request, figureOf, goal, extra = {}) => {
      if (!parts.includes(part)) return;
      const samples = await alternate(
        pairs,
        async () => figureOf(await ours(request)),
        async () => figureOf(await reference.ask({ ...request, ...extra })),
      );
      const row = compared(name, samples, ratio, goal);
      say(`bench: ${name} ${part} ${row.comparison.median.toFixed(2)}`);
      tables[part].rows.push(row);
    };
    // As in mlx-lm the first token belongs to the prompt, so one token less was decoded.
    await measure("decode", decode, ({ decodeMs }) => ((tokens - 1) / decodeMs) * 1e3, decodeGoal);
    await measure("prefill", prefill, ({ promptMs }) => (prefill.prompt.length / promptMs) * 1e3);
    const graphOf = ({ graphMs }) => graphMs / (tokens - 1);
    await measure("graph", decode, graphOf, "≤ 0.33", { graph: true });
  }
  return parts.map((part) => tables[part]);
}

/** Two programs that say different things should not be compared by how fast they say it. */
export function checkSameReply(name, ours, theirs) {
  const different = ours.ids.findIndex((id, index) => id !== theirs.ids[index]);
  if (different !== -1) say(`bench: ${name}: the replies differ from token ${different} on`);
}
