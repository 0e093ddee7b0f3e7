import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { NativeModel } from "../../src/mlx/native-types.js";
import { readPromptCacheFile } from "../../src/mlx/prompt-cache-file.js";
import { fixtureFolder, generateAll, loadFolder } from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";
import {
  packingOf,
  type PromptCacheCase,
  promptCacheFile,
  promptCaches,
} from "../helpers/prompt-caches.js";
import { describeMlxLmServer } from "../servers/mlx-lm.js";
import { mlxLm } from "../servers/places.mjs";

const cases = promptCaches.map((one) => [one.name, one] as const);
const plain = promptCaches[0]!;
const GREEDY = { maxTokens: 1, stopTokens: [], temperature: 0 };

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "prompt-caches-"));
});
afterAll(() => rm(scratch, { recursive: true }));

/** Goes on from a file; unless told, from that of mlx-lm. */
async function goOn(model: NativeModel, one: PromptCacheCase, file = promptCacheFile(one.name)) {
  const { cache } = await readPromptCacheFile(file);
  const sampling = { ...packingOf(one), maxTokens: one.greedy.length, promptCacheFile: cache };
  return generateAll(model, Uint32Array.from(one.prompt), sampling);
}

/** Writes a file of our own; `prefillStepSize` tells how the text is read. */
async function write(model: NativeModel, one: PromptCacheCase, prefillStepSize = 2048) {
  const file = join(scratch, `${one.name}-${prefillStepSize}.safetensors`);
  const session = model.session();
  const sampling = { ...GREEDY, ...packingOf(one), prefillStepSize };
  const about = { model: one.model, tokenizer_config: "{}", tokens: one.before.join(",") };
  await session.writePromptCache(Uint32Array.from(one.before), sampling, file, about);
  session.close();
  return file;
}

describeNative("a prompt-cache file", (addon) => {
  let model: NativeModel;
  const load = async (name: string) => {
    model = await loadFolder(addon, fixtureFolder(name));
    return model;
  };
  afterEach(() => model.close());

  test.each(cases)("of mlx-lm's is gone on from as mlx-lm does: %s", async (_, one) => {
    await load(one.model);
    const { tokens, stats } = await goOn(model, one);
    expect(tokens).toEqual(one.greedy);
    // States alone do not tell how many tokens they are of.
    const before = one.name === "states" ? 0 : one.before.length;
    expect(stats.cachedTokens).toBe(before);
    expect(stats.promptTokens).toBe(before + one.prompt.length);
    const replies = await Promise.all([
      goOn(model, one),
      generateAll(model, Uint32Array.from(one.before), { maxTokens: 9 }),
      goOn(model, one),
    ]);
    expect([replies[0]!.tokens, replies[2]!.tokens]).toEqual([one.greedy, one.greedy]);
  });

  test.each(cases)("of our own holds the same: %s", async (_, one) => {
    await load(one.model);
    // When packing begins, and what a limited cache forgets, follows from how the text is read.
    const isOfChunks = ["quantized-later", "limited"].includes(one.name);
    for (const step of isOfChunks ? [2048] : [2048, 7, 1]) {
      expect((await goOn(model, one, await write(model, one, step))).tokens).toEqual(one.greedy);
    }
  });

  test.each(cases.filter(([name]) => name !== "limited"))(
    "lets a model remember its text: %s",
    async (_, one) => {
      await load(one.model);
      await model.limitPromptCache({ bytes: 1e9 });
      const { cache } = await readPromptCacheFile(promptCacheFile(one.name));
      const before = Uint32Array.from(one.before);
      const known = await model.readPromptCache({ ...cache, tokens: before.length }, before);
      expect(known).toBe(before.length);
      const whole = Uint32Array.from([...one.before, ...one.prompt]);
      const sampling = { ...packingOf(one), maxTokens: one.greedy.length };
      const { tokens, stats } = await generateAll(model, whole, sampling);
      expect(tokens).toEqual(one.greedy);
      expect(stats.cachedTokens).toBe(before.length);
    },
  );

  test("is written from what the model remembers, whatever that still has of a window", async () => {
    const one = promptCaches.find(({ name }) => name === "ring")!;
    await load(one.model);
    await model.limitPromptCache({ bytes: 1e9 });
    for (const step of [2048, 7]) {
      const file = await write(model, one, step);
      expect((await goOn(model, one, file)).tokens).toEqual(one.greedy);
    }
  });

  test("of a single token of prompt joins no batch that is packed in another way", async () => {
    const one = promptCaches.find(({ name }) => name === "quantized")!;
    await load(one.model);
    const { cache } = await readPromptCacheFile(promptCacheFile(one.name));
    const behind = () =>
      generateAll(model, Uint32Array.of(5), { maxTokens: 12, promptCacheFile: cache });
    const alone = (await behind()).tokens;
    const dense = Uint32Array.from(one.before);
    const [, , ...together] = await Promise.all([
      generateAll(model, dense, { maxTokens: 30 }),
      generateAll(model, dense.slice(0, 9), { maxTokens: 30 }),
      behind(),
      behind(),
    ]);
    expect(together.map(({ tokens }) => tokens)).toEqual([alone, alone]);
  });

  test.each([
    ["another number of layers", "qwen3_moe-mixed-layers", /it has 2 layers, and the model \d/],
    ["other heads", "olmo2", /layer 0 has tensor "0\.0" of F32 \(1, 2, 256, 16\), where the model/],
    ["another kind of layer", "mamba2", /layer 0 is a KVCache in the file, and a ArraysCache in/],
    ["another number type", "llama-bfloat16", /of F32 .*, where the model has BF16/],
  ])("of a model with %s is refused with what differs", async (_, other, reason) => {
    await load(other);
    await expect(goOn(model, plain)).rejects.toMatchObject({
      code: "prompt_cache_mismatch",
      message: expect.stringMatching(reason) as string,
    });
  });

  test.each([
    ["names tensors that are not there", { keys: ["7.7"] }, 'lacks tensor "7.7"'],
    ["has fewer tokens than it says", { order: [0, 300] }, "has fewer tokens than it says"],
    ["keeps too little", { order: [20, 40] }, "keeps 20 of 40 tokens"],
    ["keeps more than there were", { order: [0, 200] }, "keeps 200 of 40 tokens"],
    ["keeps nothing", { order: [] }, "has no tokens"],
    ["has no keys", { keys: [], values: [] }, "keeps nothing"],
    ["has a window", { window: 16 }, "has a window of 16 tokens"],
    ["is packed", { keys: ["0.0", "0.0", "0.0"] }, "is packed in another way"],
  ])("whose layer %s is refused", async (_, change, reason) => {
    await load(plain.model);
    const { cache } = await readPromptCacheFile(promptCacheFile(plain.name));
    const [first, ...others] = cache.layers;
    const broken = { ...cache, layers: [{ ...first!, ...change }, ...others] };
    const sampling = { maxTokens: 1, promptCacheFile: broken };
    await expect(generateAll(model, Uint32Array.of(1), sampling)).rejects.toMatchObject({
      code: "prompt_cache_mismatch",
      message: expect.stringContaining(reason) as string,
    });
    expect((await goOn(model, plain)).tokens).toEqual(plain.greedy);
  });

  test("whose windows are quantized is not written: mlx-lm has none", async () => {
    await load("gpt_oss");
    const session = model.session();
    const sampling = { ...GREEDY, kvBits: 8, kvGroupSize: 32 };
    const file = join(scratch, "none.safetensors");
    await expect(
      session.writePromptCache(Uint32Array.of(1, 2, 3), sampling, file, {}),
    ).rejects.toMatchObject({ code: expect.stringMatching(/^unsupported_/) as string });
    session.close();
  });

  test("is not written by a session that is closed meanwhile", async () => {
    await load(plain.model);
    const session = model.session();
    const long = Uint32Array.from({ length: 200 }, (_, index) => index % 60);
    const file = join(scratch, "closed.safetensors");
    const sampling = { ...GREEDY, prefillStepSize: 1 };
    const writing = session.writePromptCache(long, sampling, file, {});
    session.close();
    await expect(writing).rejects.toMatchObject({
      code: expect.stringMatching(/^(?:cancelled|closed)$/) as string,
    });
  });

  describeMlxLmServer("as mlx-lm reads it", () => {
    test("has mlx-lm go on as from its own", async () => {
      const asked = [];
      for (const one of promptCaches) {
        await load(one.model);
        const file = await write(model, one);
        model.close();
        const { kv_bits, quantized_kv_start = 0 } = one;
        const options = kv_bits ? { kv_bits, kv_group_size: 32, quantized_kv_start } : {};
        const { prompt, greedy } = one;
        const folder = fixtureFolder(one.model);
        asked.push({ model: folder, file, prompt, count: greedy.length, options });
      }
      expect(await askMlxLm(asked)).toEqual(promptCaches.map(({ greedy }) => greedy));
    }, 60_000);
  });
});

function askMlxLm(asked: object[]): Promise<number[][]> {
  const program = fileURLToPath(new URL("../helpers/go-on-from-cache.py", import.meta.url));
  return new Promise((resolve, reject) => {
    const child = execFile(mlxLm.program, [program], (error, stdout) => {
      if (error) reject(error);
      else resolve(JSON.parse(stdout) as number[][]);
    });
    child.stdin?.end(JSON.stringify(asked));
  });
}
