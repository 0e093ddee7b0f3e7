// Many replies at once: the addon against mlx-lm's batch generation on the same checkpoint.
import { basename } from "node:path";
import { say } from "../scripts/native/tools.mjs";
import { alternate, compared, quantile } from "./pairs.mjs";
import { checkSameReply, generate, loadOurs, promptOf } from "./speed.mjs";

const concurrencies = [8, 32];
const tokens = 64;

/** Prompts of different lengths, as those of different users are. */
export const promptsOf = (count) =>
  Array.from({ length: count }, (_, row) => promptOf(24 + ((row * 11) % 40)));

/** Measures tokens per second of all replies together, and how long a reader waits for a token. */
export async function measureBatch({ addon, reference, folders, pairs }) {
  const speed = {
    title: "replies at once, tokens/s",
    comparison: "ours / mlx-lm",
    digits: 0,
    rows: [],
  };
  const gaps = { title: "token gap p95, ms", comparison: "ours / mlx-lm", digits: 2, rows: [] };
  for (const folder of folders) {
    const model = await loadOurs(addon, folder);
    for (const count of concurrencies) {
      const request = { folder, prompts: promptsOf(count), tokens };
      const samples = await alternate(
        pairs,
        () => generateTogether(model, request.prompts),
        () => reference.ask(request),
      );
      const name = `${basename(folder)}, ${count}`;
      for (const [row, ids] of samples.a[0].ids.entries()) {
        checkSameReply(name, { ids }, { ids: samples.b[0].ids[row] });
      }
      const row = (figureOf, goal) => {
        const figures = { a: samples.a.map(figureOf), b: samples.b.map(figureOf) };
        return compared(name, figures, (ours, theirs) => ours / theirs, goal);
      };
      speed.rows.push(row(tokensPerSecond, "≥ 1.10"));
      gaps.rows.push(row(p95Gap, "≤ 1.00"));
      say(`bench: ${name} at once ${speed.rows.at(-1).comparison.median.toFixed(2)}`);
    }
    model.close();
  }
  return [speed, gaps];
}

/** The times at which each reply got its tokens, in milliseconds. */
export async function generateTogether(model, prompts) {
  const start = performance.now();
  const rows = prompts.map(async (prompt) => {
    const times = [];
    const note = (count) => times.push(...Array(count).fill(performance.now() - start));
    const { ids } = await generate(model, prompt, { maxTokens: tokens }, note);
    return { ids, times };
  });
  const replies = await Promise.all(rows);
  return { ids: replies.map(({ ids }) => ids), times: replies.map(({ times }) => times) };
}

export const tokensPerSecond = ({ times }) =>
  ((times.length * tokens) / Math.max(...times.flat())) * 1e3;

/** What 95 of 100 waits between two tokens of a reply do not exceed. */
function p95Gap({ times }) {
  const gaps = times.flatMap((row) => row.slice(1).map((time, index) => time - row[index]));
  return quantile(gaps, 0.95);
}
