import { join } from "node:path";
import type { NativeModel, NativeSampling } from "../../src/mlx/native-types.js";
import {
  fixtureFolder,
  generateAll,
  largestDifference,
  loadFolder,
  modelsFolder,
  readGolden,
  readJson,
} from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

interface Case {
  model: string;
  prompt: number[];
  greedy: number[];
  kv_bits?: number;
  quantized_kv_start?: number;
  max_kv_size?: number;
}

// Written by scripts/make-kv-cache-fixtures.py.
const { cases } = readJson<{ cases: Case[] }>(join(modelsFolder, "..", "kv-caches.json"));

const nameOf = ({ model, kv_bits, quantized_kv_start, max_kv_size }: Case) =>
  `${model}, ${kv_bits ? `${kv_bits} bits from ${quantized_kv_start ?? 0}` : `${max_kv_size} tokens`}`;

function samplingOf({ greedy, kv_bits, quantized_kv_start, max_kv_size }: Case) {
  const quantized = { kvBits: kv_bits, kvGroupSize: 32, quantizedKvStart: quantized_kv_start };
  return {
    maxTokens: greedy.length,
    maxKvSize: max_kv_size,
    ...(kv_bits === undefined ? {} : quantized),
  } satisfies Partial<NativeSampling>;
}

describeNative("a cache that is quantized or limited", (addon) => {
  test.each(cases.map((one) => [nameOf(one), one] as const))(
    "gives the reply of mlx-lm: %s",
    async (_, one) => {
      const model = await loadFolder(addon, fixtureFolder(one.model));
      const prompt = Uint32Array.from(one.prompt);
      const reply = await generateAll(model, prompt, samplingOf(one));
      expect(reply.tokens).toEqual(one.greedy);
      // Another one with the same cache, and one with a plain one, beside it.
      const [first, second, plain] = await Promise.all([
        generateAll(model, prompt, samplingOf(one)),
        generateAll(model, prompt.slice(0, 30), samplingOf(one)),
        generateAll(model, prompt, { maxTokens: 40 }),
      ]);
      expect(first!.tokens).toEqual(one.greedy);
      expect(second!.tokens).toEqual(
        (await generateAll(model, prompt.slice(0, 30), samplingOf(one))).tokens,
      );
      expect(plain!.tokens).toEqual((await generateAll(model, prompt, { maxTokens: 40 })).tokens);
      model.close();
    },
  );

  // What mlx-lm cannot quantize: windows, chunks, latents and states beside keys.
  test.each(["gemma3-quantized", "deepseek_v3-quantized", "kimi_linear-quantized"])(
    "hardly changes the probabilities of %s",
    async (name) => {
      const model = await loadFolder(addon, fixtureFolder(name));
      const { prompt } = readGolden(name);
      const dense = await probabilities(model, prompt, {});
      const quantized = await probabilities(model, prompt, { kvBits: 8, kvGroupSize: 32 });
      const coarse = await probabilities(model, prompt, { kvBits: 2, kvGroupSize: 32 });
      expect(largestDifference(dense, quantized)).toBeLessThan(0.3);
      expect(largestDifference(dense, quantized)).toBeGreaterThan(0);
      expect(largestDifference(dense, coarse)).toBeGreaterThan(largestDifference(dense, quantized));
      model.close();
    },
  );

  test("takes less memory", async () => {
    const model = await loadFolder(addon, fixtureFolder("qwen3-wide"));
    const prompt = Uint32Array.from({ length: 1000 }, (_, index) => index % 60);
    const most = async (sampling: Partial<NativeSampling>) => {
      const session = model.session();
      let active = 0;
      const settings = { maxTokens: 40, stopTokens: [], temperature: 0, ...sampling };
      await session.generate(prompt, { ...settings, prefillStepSize: 256 }, () => {
        active = Math.max(active, addon.memory().active);
      });
      session.close();
      return active;
    };
    const dense = await most({});
    expect(await most({ kvBits: 4, kvGroupSize: 32 })).toBeLessThan(dense);
    expect(await most({ maxKvSize: 256 })).toBeLessThan(dense);
    model.close();
  }, 30_000);

  test("is refused where the heads do not divide into groups", async () => {
    const model = await loadFolder(addon, fixtureFolder("llama"));
    const { prompt } = readGolden("llama");
    await expect(generateAll(model, prompt, { kvBits: 8 })).rejects.toMatchObject({
      code: "unsupported_kv_quantization",
      message: expect.stringMatching(/heads of this model are \d+ wide/),
    });
    expect((await generateAll(model, prompt, {})).tokens).toHaveLength(16);
    model.close();
  });

  test("is refused where attention cannot forget", async () => {
    const model = await loadFolder(addon, fixtureFolder("deepseek_v3"));
    const { prompt } = readGolden("deepseek_v3");
    await expect(generateAll(model, prompt, { maxKvSize: 20 })).rejects.toMatchObject({
      code: "unsupported_max_kv_size",
    });
    model.close();
  });
});

/** The three best log-probabilities of each of a few forced tokens. */
async function probabilities(
  model: NativeModel,
  prompt: Uint32Array,
  sampling: Partial<NativeSampling>,
): Promise<number[]> {
  const session = model.session();
  const seen: number[] = [];
  const settings = { maxTokens: 8, stopTokens: [], temperature: 0, topLogprobs: 1 };
  const forced = { ...settings, logitBias: [[7, 1000]] as [number, number][], ...sampling };
  await session.generate(prompt, { ...forced, topLogprobs: 3 }, (batch) => {
    seen.push(...batch.topLogprobs!);
  });
  session.close();
  return seen;
}
