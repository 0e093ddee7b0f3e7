import { readdirSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import type { NativeModel, NativeSampling, NativeStats } from "../../src/mlx/native-types.js";
import {
  fixtureFolder,
  generateAll,
  loadFolder,
  modelsFolder,
  readGolden,
} from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

const PLENTY = { bytes: 1 << 30 };
/** For models that compute slowly where nothing else but a processor computes. */
const SLOW = 60_000;

interface Reply {
  tokens: number[];
  stats: NativeStats;
}

/** The reply to a prompt that is read from its start, and leaves nothing behind. */
async function uncached(
  model: NativeModel,
  prompt: Uint32Array,
  sampling: Partial<NativeSampling> = {},
): Promise<number[]> {
  const reply = await generateAll(model, prompt, { ...sampling, promptCache: false });
  expect(reply.stats.cachedTokens).toBe(0);
  return reply.tokens;
}

/** The next turn of a chat: the prompt, the reply and more. */
function nextTurn(prompt: Uint32Array, reply: number[], more: number[]): Uint32Array {
  return Uint32Array.from([...prompt, ...reply, ...more]);
}

/** Whole numbers from 0 to below a bound, the same for the same seed. */
function randomNumbers(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % bound;
  };
}

/** Waits until what ended has been freed. */
async function settle(model: NativeModel): Promise<void> {
  const session = model.session();
  await session.logits(Uint32Array.of(1));
  session.close();
  await setTimeout(20);
}

/** Tokens that belong to no golden; the vocabularies are larger. */
function textOf(length: number, seed: number): Uint32Array {
  return Uint32Array.from({ length }, (_, index) => (index * 7 + seed * 13 + index ** 2) % 60);
}

describeNative("what a model remembers of prompts", (addon) => {
  describe.each(readdirSync(modelsFolder))("%s", (name) => {
    const { prompt, greedy } = readGolden(name);
    let model: NativeModel;

    beforeAll(async () => {
      model = await loadFolder(addon, fixtureFolder(name));
    });
    beforeEach(async () => {
      await model.limitPromptCache({ bytes: 0 });
      await model.limitPromptCache(PLENTY);
    });
    afterAll(() => model.close());

    async function expectSame(
      text: Uint32Array,
      sampling: Partial<NativeSampling> = {},
    ): Promise<Reply> {
      const reply = await generateAll(model, text, sampling);
      expect(reply.tokens).toEqual(await uncached(model, text, sampling));
      return reply;
    }

    test("serves a prompt again", async () => {
      const first = await generateAll(model, prompt, { maxTokens: greedy.length });
      expect(first.tokens).toEqual(greedy);
      expect(first.stats.cachedTokens).toBe(0);
      const again = await generateAll(model, prompt, { maxTokens: greedy.length });
      expect(again.tokens).toEqual(greedy);
      expect(again.stats.cachedTokens).toBe(prompt.length - 1);
      expect(again.stats.promptTokens).toBe(prompt.length);
    });

    test("serves the next turns of a chat", async () => {
      const first = await generateAll(model, prompt, { maxTokens: 9 });
      const second = nextTurn(prompt, first.tokens, [3, 1, 4]);
      const reply = await expectSame(second, { maxTokens: 40 });
      // The last token of a reply is delivered, but not read.
      expect(reply.stats.cachedTokens).toBe(prompt.length + 8);
      const third = nextTurn(second, reply.tokens, [2, 7]);
      const last = await expectSame(third, { maxTokens: 12 });
      expect(last.stats.cachedTokens).toBe(second.length + 39);
    });

    test("serves the next turn of a reply that a stop token ended", async () => {
      const stopTokens = [greedy[3]!];
      const first = await generateAll(model, prompt, { stopTokens });
      const second = nextTurn(prompt, [...first.tokens, ...stopTokens], [5, 6]);
      const { stats } = await expectSame(second);
      expect(stats.cachedTokens).toBe(prompt.length + first.tokens.length + 1);
    });

    test("serves a prompt that parts from an earlier one", async () => {
      const text = textOf(90, 1);
      const parting = Uint32Array.from([...text.slice(0, 60), ...textOf(20, 2)]);
      await generateAll(model, text, { boundaries: model.canTrim ? [] : [60], maxTokens: 3 });
      const { stats } = await expectSame(parting, { maxTokens: 20 });
      expect(stats.cachedTokens).toBeGreaterThanOrEqual(60);
      const shorter = await expectSame(text.slice(0, 61), { maxTokens: 20 });
      expect(shorter.stats.cachedTokens).toBe(60);
    });

    test(
      "serves replies in one batch",
      async () => {
        const text = textOf(40, 4);
        const texts = [3, 9, 17, 30].map((length) =>
          nextTurn(text, [], [...textOf(length, length)]),
        );
        const sampling = { maxTokens: 24, boundaries: [text.length] };
        const expected: number[][] = [];
        for (const each of texts) expected.push(await uncached(model, each, sampling));
        const together = () =>
          Promise.all(
            texts.map((each, index) =>
              generateAll(model, each, { ...sampling, maxTokens: 24 - index }),
            ),
          );
        const first = await together();
        const second = await together();
        for (const [index, tokens] of expected.entries()) {
          const wanted = tokens.slice(0, 24 - index);
          expect(first[index]!.tokens).toEqual(wanted);
          expect(second[index]!.tokens).toEqual(wanted);
          expect(second[index]!.stats.cachedTokens).toBe(texts[index]!.length - 1);
          const next = nextTurn(texts[index]!, wanted, [1, 2, 3]);
          const turn = await expectSame(next);
          expect(turn.stats.cachedTokens).toBe(next.length - 4);
        }
      },
      SLOW,
    );
  });

  describe.each([
    ["qwen3", "keys and values"],
    ["gemma3_text", "windows"],
    ["llama4_text", "chunks"],
    ["glm4_moe_lite", "latents"],
    ["qwen3_next", "states"],
  ])("of %s, which has %s,", (name) => {
    const held = async (model: NativeModel, bytes: number) => model.limitPromptCache({ bytes });

    test(
      "serves a prompt whose reading was cancelled",
      async () => {
        const model = await loadFolder(addon, fixtureFolder(name));
        await held(model, PLENTY.bytes);
        const text = textOf(1500, 3);
        const session = model.session();
        const sampling = { maxTokens: 500, stopTokens: [], temperature: 0, prefillStepSize: 1 };
        const cancelled = session.generate(text, sampling, () => {});
        // Takes turns with the chunks.
        await held(model, PLENTY.bytes);
        await held(model, PLENTY.bytes);
        session.cancel();
        expect(await cancelled).toMatchObject({ finishReason: "cancelled", completionTokens: 0 });
        session.close();
        const { tokens, stats } = await generateAll(model, text, {});
        expect(stats.cachedTokens).toBeGreaterThan(0);
        expect(stats.cachedTokens).toBeLessThan(1499);
        expect(tokens).toEqual(await uncached(model, text));
        model.close();
      },
      SLOW,
    );

    test("is never more than its budget; the oldest goes first", async () => {
      const model = await loadFolder(addon, fixtureFolder(name));
      await held(model, PLENTY.bytes);
      await generateAll(model, textOf(50, 0), { maxTokens: 4 });
      // Room for two such texts and a half.
      const budget = (await held(model, PLENTY.bytes)) * 2.5;
      for (let seed = 1; seed <= 6; seed++) {
        await generateAll(model, textOf(50, seed), { maxTokens: 4 });
        const bytes = await held(model, budget);
        expect(bytes).toBeGreaterThan(budget / 3);
        expect(bytes).toBeLessThanOrEqual(budget);
      }
      const cached = async (seed: number) =>
        (await generateAll(model, textOf(50, seed), { maxTokens: 4 })).stats.cachedTokens;
      expect(await cached(6)).toBe(49);
      expect(await cached(2)).toBe(0);
      model.close();
    });

    test(
      "gives the same replies whoever comes, goes and is forgotten",
      async () => {
        const model = await loadFolder(addon, fixtureFolder(name));
        const random = randomNumbers(7);
        const texts = Array.from({ length: 12 }, () => {
          const [trunk, length] = [textOf(60, random(2)), 10 + random(40)];
          return Uint32Array.from([
            ...trunk.slice(0, 20 + random(40)),
            ...textOf(length, random(9)),
          ]);
        });
        const sampling = { maxTokens: 10, prefillStepSize: 16 };
        const expected: number[][] = [];
        for (const text of texts) expected.push(await uncached(model, text, sampling));
        // Room for some of them.
        await held(model, PLENTY.bytes);
        await generateAll(model, texts[0]!, sampling);
        await held(model, 4 * (await held(model, PLENTY.bytes)));
        let hits = 0;
        const one = async () => {
          const index = random(texts.length);
          const session = model.session();
          const tokens: number[] = [];
          const isCut = random(4) === 0;
          const settings = { ...sampling, stopTokens: [], temperature: 0, boundaries: [20] };
          const { cachedTokens } = await session.generate(texts[index]!, settings, (batch) => {
            tokens.push(...batch.tokens);
            if (isCut) session.cancel();
          });
          session.close();
          if (cachedTokens > 0) hits += 1;
          expect(tokens).toEqual(expected[index]!.slice(0, isCut ? tokens.length : 10));
        };
        for (let round = 0; round < 30; round++) {
          await Promise.all(Array.from({ length: 1 + random(5) }, one));
        }
        expect(hits).toBeGreaterThan(20);
        model.close();
      },
      SLOW,
    );

    test("is counted, and gone when the model is closed", async () => {
      const model = await loadFolder(addon, fixtureFolder(name));
      const level = async () => {
        await settle(model);
        return addon.memory().active;
      };
      const before = await level();
      // An allocator rounds up what it is asked for.
      const expectHeld = async (bytes: number) => {
        const more = (await level()) - before;
        expect(more).toBeGreaterThanOrEqual(bytes);
        expect(more).toBeLessThan(1.15 * bytes);
      };
      await held(model, PLENTY.bytes);
      for (let seed = 0; seed < 4; seed++) {
        const { tokens } = await generateAll(model, textOf(30, seed), { maxTokens: 20 });
        await generateAll(model, nextTurn(textOf(30, seed), tokens, [1, 2]), { maxTokens: 5 });
        await generateAll(model, textOf(30 - seed, seed), { maxTokens: 5, temperature: 1 });
      }
      const bytes = await held(model, PLENTY.bytes);
      await expectHeld(bytes);
      expect(await held(model, bytes / 2)).toBeLessThanOrEqual(bytes / 2);
      await expectHeld(await held(model, bytes / 2));
      const open = model.session();
      model.close();
      await open.logits(Uint32Array.of(1)).catch(() => {});
      open.close();
      await loadFolder(addon, fixtureFolder(name)).then((next) => next.close());
      await setTimeout(50);
      expect(addon.memory().active).toBe(0);
    });
  });

  describe("of one model", () => {
    const { prompt } = readGolden("qwen3");
    let model: NativeModel;

    beforeEach(async () => {
      model = await loadFolder(addon, fixtureFolder("qwen3"));
      await model.limitPromptCache(PLENTY);
    });
    afterEach(() => model.close());

    test("is nothing unless it is told to remember", async () => {
      await model.limitPromptCache({ bytes: 0 });
      await generateAll(model, prompt, {});
      expect((await generateAll(model, prompt, {})).stats.cachedTokens).toBe(0);
    });

    test("is neither used nor filled by a request that is to leave it alone", async () => {
      await uncached(model, prompt);
      expect((await generateAll(model, prompt, {})).stats.cachedTokens).toBe(0);
      await uncached(model, prompt);
    });

    test("is left alone by a session that has read something before", async () => {
      const session = model.session();
      const settings = { maxTokens: 4, stopTokens: [], temperature: 0 };
      await generateAll(model, prompt, settings);
      await session.logits(prompt);
      expect((await session.generate(prompt, settings, () => {})).cachedTokens).toBe(0);
      session.close();
      expect((await generateAll(model, prompt, settings)).stats.cachedTokens).toBe(
        prompt.length - 1,
      );
    });

    test("shrinks where memory is short", async () => {
      await generateAll(model, prompt, {});
      expect(await model.limitPromptCache({ ...PLENTY, activeMemory: 1 })).toBe(0);
      await generateAll(model, prompt, {});
      expect(await model.limitPromptCache(PLENTY)).toBe(0);
    });

    test("is left alone by a request that keeps few tokens only", async () => {
      await generateAll(model, prompt, {});
      const { stats } = await generateAll(model, prompt, { maxKvSize: 8 });
      expect(stats.cachedTokens).toBe(0);
      expect((await generateAll(model, prompt, {})).stats.cachedTokens).toBe(prompt.length - 1);
    });

    test("gives way to a reply that needs its memory", async () => {
      await generateAll(model, prompt, {});
      const room = { cacheBytes: 1, memoryLimit: 1 };
      expect((await generateAll(model, textOf(20, 1), room)).stats.cachedTokens).toBe(0);
      expect((await generateAll(model, prompt, {})).stats.cachedTokens).toBe(0);
    });

    test("serves a long prompt that parts anywhere, in several pieces", async () => {
      const text = textOf(1000, 6);
      await generateAll(model, text, { maxTokens: 1, prefillStepSize: 300 });
      for (const length of [700, 256, 511, 5]) {
        const parting = Uint32Array.from([...text.slice(0, length), 61, 62, 63]);
        const { tokens, stats } = await generateAll(model, parting, { maxTokens: 8 });
        expect(stats.cachedTokens).toBe(length);
        expect(tokens).toEqual(await uncached(model, parting, { maxTokens: 8 }));
      }
    });

    test.each([[[0]], [["1"]], ["1"]])("refuses the boundaries %j", async (boundaries) => {
      const wrong = { boundaries: boundaries as number[] };
      await expect(generateAll(model, prompt, wrong)).rejects.toMatchObject({
        code: "invalid_argument",
        message: expect.stringContaining("boundaries"),
      });
    });

    test.each([{}, { bytes: -1 }, { bytes: 1.5 }, { bytes: 1, activeMemory: "1" }])(
      "refuses the limits %j",
      async (limits) => {
        await expect(model.limitPromptCache(limits as { bytes: number })).rejects.toMatchObject({
          code: "invalid_argument",
        });
      },
    );

    test("cannot be limited once the model is closed", async () => {
      model.close();
      await expect(model.limitPromptCache(PLENTY)).rejects.toMatchObject({ code: "closed" });
    });
  });

  describe("of packed keys and values", () => {
    const { prompt } = readGolden("qwen3-wide");
    let model: NativeModel;

    beforeEach(async () => {
      model = await loadFolder(addon, fixtureFolder("qwen3-wide"));
      await model.limitPromptCache(PLENTY);
    });
    afterEach(() => model.close());

    test("is kept apart from that of others", async () => {
      const packed = { kvBits: 8, kvGroupSize: 32, maxTokens: 12 };
      const first = await generateAll(model, prompt, packed);
      const again = await generateAll(model, prompt, packed);
      expect(again.stats.cachedTokens).toBe(prompt.length - 1);
      expect(again.tokens).toEqual(first.tokens);
      for (const other of [{}, { ...packed, kvBits: 4 }, { ...packed, quantizedKvStart: 500 }]) {
        await model.limitPromptCache({ bytes: 0 });
        await model.limitPromptCache(PLENTY);
        await generateAll(model, prompt, packed);
        expect((await generateAll(model, prompt, other)).stats.cachedTokens).toBe(0);
      }
    });

    test("serves a prompt that is packed later up to that place", async () => {
      const text = textOf(60, 5);
      await generateAll(model, text, { maxTokens: 1 });
      const packed = { kvBits: 8, kvGroupSize: 32, quantizedKvStart: 40, maxTokens: 1 };
      expect((await generateAll(model, text, packed)).stats.cachedTokens).toBe(39);
    });
  });
});
