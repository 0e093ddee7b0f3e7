import type { NativeModel, NativeSampling, NativeTokenBatch } from "../../src/mlx/native-types.js";
import {
  fixtureFolder,
  floatsFromBase64,
  generateAll,
  largestDifference,
  loadFolder,
  readGolden,
  readJson,
} from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

interface SamplingCase {
  name: string;
  sampling: Partial<NativeSampling>;
  tokens: number[];
  logprobs: string;
  topTokens: number[][];
  topLogprobs: string;
}

const golden = readJson<{ prompt: number[]; top: number; cases: SamplingCase[] }>(
  fixtureFolder("llama"),
  "sampling.json",
);
const prompt = Uint32Array.from(golden.prompt);

describeNative("sampling", (addon) => {
  let model: NativeModel;

  beforeAll(async () => {
    model = await loadFolder(addon, fixtureFolder("llama"));
  });
  afterAll(() => model.close());

  async function batchesOf(sampling: Partial<NativeSampling>): Promise<NativeTokenBatch[]> {
    const batches: NativeTokenBatch[] = [];
    const session = model.session();
    const settings = { maxTokens: 40, stopTokens: [], temperature: 0, ...sampling };
    await session.generate(prompt, settings, (batch) => batches.push(batch));
    session.close();
    return batches;
  }

  describe.each(golden.cases)("$name", ({ sampling, tokens, ...expected }) => {
    test("chooses the tokens that mlx-lm chooses", async () => {
      const reply = await generateAll(model, prompt, { ...sampling, maxTokens: tokens.length });
      expect(reply.tokens).toEqual(tokens);
    });

    test("gives the log-probabilities before filtering, best first", async () => {
      const { top } = golden;
      const batches = await batchesOf({ ...sampling, logprobs: true, topLogprobs: top });
      const all = (pick: (batch: NativeTokenBatch) => ArrayLike<number> | undefined) =>
        batches.flatMap((batch) => Array.from(pick(batch) ?? []));
      expect(all((batch) => batch.tokens)).toEqual(tokens);
      expect(all((batch) => batch.topTokens)).toEqual(expected.topTokens.flat());
      const logprobs = all((batch) => batch.logprobs);
      const topLogprobs = all((batch) => batch.topLogprobs);
      expect(largestDifference(logprobs, floatsFromBase64(expected.logprobs))).toBeLessThan(1e-4);
      expect(largestDifference(topLogprobs, floatsFromBase64(expected.topLogprobs))).toBeLessThan(
        1e-4,
      );
    });
  });

  test("a batch holds log-probabilities only if asked for", async () => {
    const [batch] = await batchesOf({});
    expect(Object.keys(batch as NativeTokenBatch)).toEqual(["tokens"]);
    const [withLogprobs] = await batchesOf({ logprobs: true });
    expect(Object.keys(withLogprobs as NativeTokenBatch)).toEqual(["tokens", "logprobs"]);
  });

  test("the same seed gives the same reply, whatever else runs", async () => {
    const seeded = { temperature: 1, seed: 7, maxTokens: 30 };
    const alone = await generateAll(model, prompt, seeded);
    const [crowded] = await Promise.all([
      generateAll(model, prompt, seeded),
      generateAll(model, prompt, { ...seeded, seed: 8 }),
      generateAll(model, prompt.slice(3), { temperature: 1, maxTokens: 30 }),
    ]);
    expect(crowded.tokens).toEqual(alone.tokens);
  });

  test.each([
    { temperature: 1, minP: 1 },
    { temperature: 1, topK: 1 },
    { temperature: 1e-30 },
    { temperature: 1e-40 },
  ])("%j leaves the most probable token only", async (sampling) => {
    const best = await generateAll(model, prompt, { maxTokens: 20 });
    const { tokens } = await generateAll(model, prompt, { ...sampling, maxTokens: 20 });
    expect(tokens).toEqual(best.tokens);
  });

  test("without a seed replies differ", async () => {
    const unseeded = { temperature: 1, maxTokens: 30 };
    const first = await generateAll(model, prompt, unseeded);
    const second = await generateAll(model, prompt, unseeded);
    expect(second.tokens).not.toEqual(first.tokens);
  });

  test("a stop token ends the reply, is counted and not delivered", async () => {
    const { prompt: longPrompt, greedy } = readGolden("llama");
    const stop = greedy[9] as number;
    const end = greedy.indexOf(stop);
    const { tokens, stats } = await generateAll(model, longPrompt, {
      maxTokens: 50,
      stopTokens: [stop],
    });
    expect(tokens).toEqual(greedy.slice(0, end));
    expect(stats).toMatchObject({ finishReason: "stop", completionTokens: end + 1 });
  });

  test("times are told in milliseconds and make sense", async () => {
    const begin = performance.now();
    const { stats } = await generateAll(model, prompt, { maxTokens: 20 });
    const elapsed = performance.now() - begin;
    expect(stats.promptMs).toBeGreaterThan(0);
    expect(stats.decodeMs).toBeGreaterThan(0);
    expect(stats.graphMs).toBeGreaterThan(0);
    expect(stats.promptMs + stats.decodeMs).toBeLessThanOrEqual(elapsed);
    expect(stats.graphMs).toBeLessThanOrEqual(elapsed);
  });
});
