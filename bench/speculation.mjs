// What drafts from the prompt win where a text repeats itself, and lose where it does not.
import { basename } from "node:path";
import { say } from "../scripts/native/tools.mjs";
import { alternate, compared } from "./pairs.mjs";
import { generate, loadOurs, promptOf } from "./speed.mjs";

/** So hot that every token is as probable as any other; `few` leaves only so many of them. */
const drawn = (few) => ({
  temperature: 1e4,
  seed: 1,
  logitBias: Array.from({ length: few }, (_, token) => [token, 1e6]),
});

const TEXTS = [
  // Random models soon repeat themselves when they choose the most probable token.
  { text: "echo", sampling: { temperature: 0 }, goal: "≥ 1.50" },
  { text: "novel", sampling: drawn(0), goal: "≥ 0.98" },
  // Any three tokens came before, and what followed them tells nothing.
  { text: "misleading", sampling: drawn(8), goal: "≥ 0.98" },
];

/** Tokens per second of the checkpoints with prompt lookup as requests have it, and without. */
export async function measureSpeculation({ addon, checkpoints, pairs }) {
  const title = "drafts from the prompt, tokens/s";
  const table = { title, other: "without", comparison: "with / without", digits: 0, rows: [] };
  for (const { folder, tokens } of checkpoints) {
    const model = await loadOurs(addon, folder);
    const speed = async (sampling, drafts) => {
      const options = { ...sampling, ...drafts, maxTokens: tokens };
      const { decodeMs } = await generate(model, promptOf(64), options);
      return ((tokens - 1) / decodeMs) * 1e3;
    };
    for (const { text, sampling, goal } of TEXTS) {
      const samples = await alternate(
        pairs,
        () => speed(sampling, { promptLookup: {} }),
        () => speed(sampling, {}),
      );
      const name = `${basename(folder)} ${text}`;
      const row = compared(name, samples, (ours, theirs) => ours / theirs, goal);
      say(`bench: ${name} ${row.comparison.median.toFixed(2)}`);
      table.rows.push(row);
    }
    model.close();
  }
  return table;
}
