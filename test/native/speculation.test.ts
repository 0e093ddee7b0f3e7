import { readdirSync } from "node:fs";
import type { NativeModel, NativeSampling, NativeTokenBatch } from "../../src/mlx/native-types.js";
import {
  fixtureFolder,
  generateAll,
  largestDifference,
  loadFolder,
  modelsFolder,
  readGolden,
} from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

// Other work may keep the machine busy.
jest.setTimeout(60_000);

/** Drafts wherever a single token came before. */
const eager = { promptLookup: { minNgram: 1, tokens: 5, always: true } };

/** What two numbers of a half-precision type differ by at most that are as good as equal. */
const NEARLY = 2 ** -6;

/**
 * By how much less probable the first token of `actual` is that differs from `expected`, as a share
 * of the logit. Passes of several tokens round otherwise than passes of one.
 */
async function lossAtDifference(
  model: NativeModel,
  prompt: Uint32Array,
  actual: number[],
  expected: number[],
): Promise<number> {
  const place = actual.findIndex((token, index) => token !== expected[index]);
  if (place === -1) return 0;
  const session = model.session();
  const text = Uint32Array.from([...prompt, ...actual.slice(0, place)]);
  const logits = (await session.logits(text)).slice(-model.vocabSize);
  session.close();
  const best = Math.max(...logits);
  return (best - Math.min(logits[actual[place]!]!, logits[expected[place]!]!)) / Math.abs(best);
}

describeNative("drafts", (addon) => {
  describe.each(readdirSync(modelsFolder))("%s", (name) => {
    const { prompt, greedy, dtype } = readGolden(name);
    let model: NativeModel;

    beforeAll(async () => {
      model = await loadFolder(addon, fixtureFolder(name));
    });
    afterAll(() => model.close());

    test("of the prompt change no token", async () => {
      const maxTokens = greedy.length;
      const { tokens, stats } = await generateAll(model, prompt, { ...eager, maxTokens });
      expect(tokens).toEqual(greedy);
      expect(stats.completionTokens).toBe(maxTokens);
      expect(stats.draftTokens).toBeGreaterThan(0);
    });

    test("of a prompt that repeats itself change no token", async () => {
      const reply = greedy.slice(0, 9);
      const text = Uint32Array.from([...prompt, ...reply, ...prompt, ...reply.slice(0, 2)]);
      const expected = await generateAll(model, text, { maxTokens: 60 });
      const { tokens } = await generateAll(model, text, { ...eager, maxTokens: 60 });
      const loss = await lossAtDifference(model, text, tokens, expected.tokens);
      expect(loss).toBeLessThanOrEqual(dtype === "float32" ? 1e-5 : NEARLY);
    });

    test("of the model itself are right, and change no token", async () => {
      const options = { draftModel: model, maxTokens: greedy.length };
      const { tokens, stats } = await generateAll(model, prompt, options);
      expect(tokens).toEqual(greedy);
      expect(stats.acceptedTokens).toBeGreaterThan(0.6 * stats.draftTokens);
    });
  });

  describe("of one model", () => {
    const { prompt, greedy } = readGolden("qwen3");
    let model: NativeModel;
    let other: NativeModel;

    beforeAll(async () => {
      model = await loadFolder(addon, fixtureFolder("qwen3"));
      other = await loadFolder(addon, fixtureFolder("gemma3_text"));
    });
    afterAll(() => {
      model.close();
      other.close();
    });

    /** All that is delivered, with its probabilities. */
    async function delivered(sampling: Partial<NativeSampling>) {
      const batches: NativeTokenBatch[] = [];
      const session = model.session();
      const settings = { maxTokens: 50, stopTokens: [], temperature: 0, ...sampling };
      await session.generate(prompt, settings, (batch) => batches.push(batch));
      session.close();
      const all = (pick: (batch: NativeTokenBatch) => ArrayLike<number>) =>
        batches.flatMap((batch) => Array.from(pick(batch)));
      return {
        tokens: all(({ tokens }) => tokens),
        logprobs: all(({ logprobs }) => logprobs!),
        topTokens: all(({ topTokens }) => topTokens!),
        topLogprobs: all(({ topLogprobs }) => topLogprobs!),
      };
    }

    const drafting: [string, () => Partial<NativeSampling>][] = [
      ["the prompt", () => eager],
      ["the same model", () => ({ draftModel: model })],
      ["another model", () => ({ draftModel: other, numDraftTokens: 4 })],
    ];

    describe.each(drafting)("by %s", (_name, drafts) => {
      test.each<Partial<NativeSampling>>([
        {},
        { temperature: 1, seed: 1 },
        { temperature: 0.7, seed: 2, topP: 0.9, minP: 0.02, topK: 20 },
        { temperature: 1, seed: 3, xtcProbability: 0.5 },
        { repetitionPenalty: 1.3, presencePenalty: 0.4, frequencyPenalty: 0.2 },
        { temperature: 1, seed: 4, repetitionPenalty: 1.2, penaltyContextSize: 7 },
        { logitBias: [[7, 3]] },
        { prefillStepSize: 3 },
      ])("leave tokens and log-probabilities as they are: %j", async (sampling) => {
        const asked = { ...sampling, topLogprobs: 3 };
        const expected = await delivered(asked);
        const actual = await delivered({ ...asked, ...drafts() });
        expect(actual.tokens).toEqual(expected.tokens);
        expect(actual.tokens).toHaveLength(50);
        expect(actual.topTokens).toEqual(expected.topTokens);
        expect(largestDifference(actual.logprobs, expected.logprobs)).toBeLessThan(1e-4);
        expect(largestDifference(actual.topLogprobs, expected.topLogprobs)).toBeLessThan(1e-4);
      });

      test("leave the distribution as it is", async () => {
        // Whatever the model thinks, three tokens remain, one twice and one three times as probable.
        const temperature = 1e4;
        const parts = new Map([
          [5, 1],
          [6, 2],
          [7, 3],
        ]);
        const logitBias = [...parts].map(([token, part]): [number, number] => [
          token,
          1e6 + temperature * Math.log(part),
        ]);
        const sampling = { ...drafts(), temperature, logitBias, seed: 7, maxTokens: 900 };
        const { tokens, stats } = await generateAll(model, prompt, sampling);
        expect(stats.acceptedTokens).toBeGreaterThan(100);
        expect(stats.acceptedTokens).toBeLessThanOrEqual(stats.draftTokens);
        const pairs = tokens
          .filter((_, index) => index % 2 === 1)
          .map((second, index) => {
            return `${tokens[2 * index]} ${second}`;
          });
        let chiSquare = 0;
        for (const [first, one] of parts) {
          for (const [second, two] of parts) {
            const expected = (pairs.length * one * two) / 36;
            const seen = pairs.filter((pair) => pair === `${first} ${second}`).length;
            chiSquare += (seen - expected) ** 2 / expected;
          }
        }
        // 8 degrees of freedom: more comes once in ten thousand times.
        expect(chiSquare).toBeLessThan(32);
      });

      test("end where an end token or the most tokens say", async () => {
        for (let maxTokens = 1; maxTokens <= 12; maxTokens++) {
          const { tokens, stats } = await generateAll(model, prompt, { ...drafts(), maxTokens });
          expect(tokens).toEqual(greedy.slice(0, maxTokens));
          expect(stats).toMatchObject({ finishReason: "length", completionTokens: maxTokens });
        }
        for (const stop of new Set(greedy)) {
          const end = greedy.indexOf(stop);
          const options = { ...drafts(), maxTokens: greedy.length, stopTokens: [stop] };
          const { tokens, stats } = await generateAll(model, prompt, options);
          expect(tokens).toEqual(greedy.slice(0, end));
          expect(stats).toMatchObject({ finishReason: "stop", completionTokens: end + 1 });
        }
      });

      test("rest while others are in the batch, and go on then", async () => {
        const expected = await generateAll(model, prompt, { maxTokens: 90 });
        const guest = { temperature: 1, seed: 5, maxTokens: 9 };
        const alone = await generateAll(model, prompt.slice(2), guest);
        const session = model.session();
        const tokens: number[] = [];
        const guests: Promise<{ tokens: number[] }>[] = [];
        const sampling = { ...drafts(), maxTokens: 90, stopTokens: [], temperature: 0 };
        await session.generate(prompt, sampling, (batch) => {
          tokens.push(...batch.tokens);
          if (tokens.length > 8 + 30 * guests.length) {
            guests.push(generateAll(model, prompt.slice(2), { ...guest, ...drafts() }));
          }
        });
        session.close();
        expect(tokens).toEqual(expected.tokens);
        for (const reply of await Promise.all(guests)) expect(reply.tokens).toEqual(alone.tokens);
        expect(guests.length).toBeGreaterThan(0);
      });

      test("can be cancelled, and paused in between", async () => {
        const expected = await generateAll(model, prompt, { maxTokens: 400 });
        const session = model.session();
        const tokens: number[] = [];
        const sampling = { ...drafts(), maxTokens: 4000, stopTokens: [], temperature: 0 };
        const stats = await session.generate(prompt, sampling, (batch) => {
          tokens.push(...batch.tokens);
          session.pause();
          setTimeout(() => (tokens.length > 100 ? session.cancel() : session.resume()));
        });
        session.close();
        expect(stats.finishReason).toBe("cancelled");
        expect(tokens.slice(0, 400)).toEqual(expected.tokens.slice(0, tokens.length));
      });
    });

    test.each([0, 60, 1000])(
      "may have a cache that is quantized from token %d on",
      async (start) => {
        const { prompt } = readGolden("qwen3-wide");
        const wide = await loadFolder(addon, fixtureFolder("qwen3-wide"));
        const packed = { kvBits: 8, kvGroupSize: 32, quantizedKvStart: start, maxTokens: 25 };
        const expected = await generateAll(wide, prompt, packed);
        const actual = await generateAll(wide, prompt, { ...packed, ...eager });
        const own = await generateAll(wide, prompt, { ...packed, draftModel: wide });
        wide.close();
        expect(actual.tokens).toEqual(expected.tokens);
        expect(own.tokens).toEqual(expected.tokens);
      },
    );

    test("of the same model are drawn as it draws, so that most are right", async () => {
      const sampling = { draftModel: model, temperature: 1, seed: 6, maxTokens: 60 };
      const { stats } = await generateAll(model, prompt, sampling);
      expect(stats.acceptedTokens).toBeGreaterThan(0.9 * stats.draftTokens);
    });

    test("are not made of what never came before", async () => {
      const text = Uint32Array.from({ length: 40 }, (_, index) => index);
      const { stats } = await generateAll(model, text, { ...eager, maxTokens: 1 });
      expect(stats).toMatchObject({ draftTokens: 0, acceptedTokens: 0 });
    });

    test("of a closed model are refused", async () => {
      const closed = await loadFolder(addon, fixtureFolder("qwen3"));
      closed.close();
      const reply = generateAll(model, prompt, { draftModel: closed });
      await expect(reply).rejects.toMatchObject({ code: "closed" });
    });

    test.each([
      { draftModel: {} },
      { draftModel: 1 },
      { numDraftTokens: 0 },
      { promptLookup: 1 },
      { promptLookup: { minNgram: 0 } },
      { promptLookup: { tokens: 1.5 } },
    ])("are refused where they make no sense: %j", async (options) => {
      const reply = generateAll(model, prompt, options as Partial<NativeSampling>);
      await expect(reply).rejects.toMatchObject({ code: "invalid_argument" });
    });
  });
});
