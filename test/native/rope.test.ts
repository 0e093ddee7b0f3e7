import {
  fixtureFolder,
  floatsFromBase64,
  largestDifference,
  loadFolder,
  readJson,
} from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

interface RopeCase {
  name: string;
  /** Changes to the config.json of the tiny Llama. */
  config: Record<string, unknown>;
  /** The last position's, one row for each size of chunk. */
  logits: string;
}

const folder = fixtureFolder("llama");
const { prompt, chunks, cases } = readJson<{
  prompt: number[];
  chunks: number[];
  cases: RopeCase[];
}>(folder, "rope.json");

describeNative("positions are turned as in mlx-lm", (addon) => {
  test.each(cases)("$name", async ({ config, logits }) => {
    const model = await loadFolder(addon, folder, config);
    const last: number[] = [];
    for (const size of chunks) {
      const session = model.session();
      let read: ArrayLike<number> = [];
      for (let start = 0; start < prompt.length; start += size) {
        read = await session.logits(Uint32Array.from(prompt.slice(start, start + size)));
      }
      last.push(...Array.from(read).slice(-model.vocabSize));
      session.close();
    }
    model.close();
    expect(largestDifference(last, floatsFromBase64(logits))).toBeLessThan(1e-4);
  });
});
