// npm run bench:curves: how costs grow, beside mlx-lm in the same run; writes the plots of docs/performance.md.
//   --rounds 3       measurements of each point, of which the median counts
//   --python FILE    as for npm run bench
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root, run, say } from "../scripts/native/tools.mjs";
import { loadAddon } from "./addon.mjs";
import { generateTogether, promptsOf, tokensPerSecond } from "./batch.mjs";
import { alternate, summary } from "./pairs.mjs";
import { benchModels, findPlotPython, findPython, startReference } from "./python.mjs";
import { generate, loadOurs, promptOf } from "./speed.mjs";

const contexts = [256, 1024, 2048, 4096, 8192];
const concurrencies = [1, 2, 4, 8, 16, 32, 64];
/** Of replies behind a long context. */
const tokens = 24;

const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "3" }, python: { type: "string" } },
});

async function measureCurves() {
  const python = findPython(options.python);
  const folder = benchModels(python)["llama-4x64"];
  const rounds = Number(options.rounds);
  const addon = loadAddon();
  const model = await loadOurs(addon, folder);
  const weights = addon.memory().active;
  const reference = startReference(python);
  const time = { title: "Time of a token", x: "tokens before it", y: "ms", ours: [], theirs: [] };
  const memory = { title: "Memory beside the weights", x: "tokens", y: "MB", ours: [], theirs: [] };
  const speed = { title: "Replies at once", x: "replies", y: "tokens/s", ours: [], theirs: [] };
  const push = (curve, x, samples, figureOf) => {
    curve.ours.push([x, summary(samples.a.map(figureOf)).median]);
    curve.theirs.push([x, summary(samples.b.map(figureOf)).median]);
  };
  for (const context of contexts) {
    const request = { folder, prompt: promptOf(context), tokens };
    const samples = await alternate(
      rounds,
      () => generateWithMemory(addon, model, request.prompt),
      () => reference.ask(request),
    );
    push(time, context, samples, ({ decodeMs }) => decodeMs / (tokens - 1));
    push(memory, context, samples, ({ activeBytes }) => (activeBytes - weights) / 1e6);
    say(`bench: ${context} tokens of context`);
  }
  for (const count of concurrencies) {
    const request = { folder, prompts: promptsOf(count), tokens: 64 };
    const samples = await alternate(
      rounds,
      () => generateTogether(model, request.prompts),
      () => reference.ask(request),
    );
    push(speed, count, samples, tokensPerSecond);
    say(`bench: ${count} replies at once`);
  }
  reference.close();
  model.close();
  return { time, memory, throughput: speed };
}

/** A reply, and what MLX held when its last token came. */
async function generateWithMemory(addon, model, prompt) {
  let activeBytes = 0;
  const stats = await generate(model, prompt, { maxTokens: tokens }, () => {
    activeBytes = Math.max(activeBytes, addon.memory().active);
  });
  return { ...stats, activeBytes };
}

const folder = join(root, "docs", "performance");
mkdirSync(folder, { recursive: true });
const figures = join(root, ".cache", "bench", "curves.json");
writeFileSync(figures, `${JSON.stringify(await measureCurves(), null, 1)}\n`);
run(findPlotPython(), [join(root, "bench", "plot.py"), figures, folder], {
  purpose: "bench/plot.py",
});
