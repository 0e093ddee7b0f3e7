import { readdirSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fitModel } from "../../src/fit-model.js";
import { cacheBytes, tokensWithin } from "../../src/mlx/footprint.js";
import { loadModel } from "../../src/mlx/model.js";
import { fitLocalModel } from "../../src/mlx/model-fit.js";
import type { NativeAddon, NativeFootprint, NativeModel } from "../../src/mlx/native-types.js";
import { toNativeQuantize } from "../../src/mlx/quantization.js";
import { fixtureFolder, modelsFolder, readJson, weightFilesOf } from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";
import { makeLargeModel, writeZeroWeights } from "../helpers/talking-model.js";

jest.setTimeout(60_000);

const TOLERANCE = 0.05;
/** Where MLX would save no more than this by a copy, an array goes on sharing a larger buffer. */
const SHARED_BYTES = 16_384;
/** Past every window of the fixtures, and no multiple of what caches grow by. */
const TOKENS = 600;

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "fit-"));
});
afterAll(() => rm(scratch, { recursive: true }));

function expectClose(taken: number, estimate: number, slack = SHARED_BYTES): void {
  const difference = Math.abs(taken - estimate);
  // The numbers themselves are what a failure should show.
  if (difference > estimate * TOLERANCE + slack) expect(taken).toBe(estimate);
}

const argumentsOf = (folder: string) =>
  [readJson(folder, "config.json"), weightFilesOf(folder)] as const;

describeNative("a model takes what was estimated", (addon) => {
  /** Bytes in live arrays once the engine has freed what was closed: it works in turn. */
  async function activeBytes(): Promise<number> {
    await addon.measure(...argumentsOf(fixtureFolder("llama")));
    return addon.memory().active;
  }

  /** Bytes that reading so many tokens leaves in memory. */
  async function bytesOfReading(model: NativeModel, tokens: number): Promise<number> {
    const before = await activeBytes();
    const session = model.session();
    const prompt = Uint32Array.from({ length: tokens }, (_, index) => (index * 7) % 64);
    // The last one by itself: what a layer keeps while decoding is less than while prefilling.
    for (const [start, end] of [[0, 512], [512, -1], [-1]] as const) {
      const part = prompt.slice(start, end);
      if (part.length > 0) await session.logits(part);
    }
    const bytes = (await activeBytes()) - before;
    session.close();
    return bytes;
  }

  async function expectEstimated(
    folder: string,
    { quantize, slack }: { quantize?: 4; slack?: number } = {},
  ): Promise<void> {
    const conversion = quantize && { quantize: toNativeQuantize(quantize) };
    const footprint = await addon.measure(...argumentsOf(folder), conversion);
    // The last layer is a head's, which only replies make read.
    if (folder.endsWith("-mtp")) footprint.layers.pop();
    const before = await activeBytes();
    const model = await addon.load(...argumentsOf(folder), conversion).model;
    try {
      expectClose((await activeBytes()) - before, footprint.weightBytes, slack);
      // What is made at the first use belongs to the model.
      await bytesOfReading(model, 2);
      expectClose(await bytesOfReading(model, TOKENS), cacheBytes(footprint, TOKENS), slack);
    } finally {
      model.close();
    }
  }

  test.each(readdirSync(modelsFolder))("%s", (name) => expectEstimated(fixtureFolder(name)));

  test("wide keys and values", () => expectEstimated(fixtureFolder("qwen3-wide"), { slack: 0 }));

  test("weights that are quantized while they are loaded", () =>
    expectEstimated(fixtureFolder("qwen3-wide"), { quantize: 4, slack: 0 }));

  test("wide recurrent layers", async () => {
    await makeRecurrentModel(scratch);
    await expectEstimated(scratch, { slack: 0 });
  });
});

describeNative("fitModel", (addon) => {
  const withMemory = (memorySize: number): NativeAddon => ({
    ...addon,
    device: () => ({ type: "cpu", name: "small", memorySize }),
  });

  test("tells of a model what it takes, and that this machine has room for it", async () => {
    const fit = await fitModel("demo");
    expect(fit).toMatchObject({ id: "demo", fits: true, windowBytes: 0, stateBytes: 0 });
    expect(fit.longestContext).toBe(fit.contextLength);
    expect(fit.cacheBytes).toBeCloseTo((fit.cacheBytesPer1000Tokens / 1000) * fit.context, 5);
    expect(fit.weightBytes).toBeLessThan(fit.memoryLimit);
  });

  test("tells windows and states apart from what grows", async () => {
    const windows = await fitModel(fixtureFolder("gemma3_text"));
    expect(windows.windowBytes).toBeGreaterThan(0);
    const states = await fitModel(fixtureFolder("mamba2"));
    expect(states).toMatchObject({ cacheBytesPer1000Tokens: 0, windowBytes: 0 });
    expect(states.stateBytes).toBeGreaterThan(0);
    expect(states.longestContext).toBeUndefined();
  });

  test("the longest context fits, and one token more does not", async () => {
    const folder = fixtureFolder("llama");
    const { weightBytes, cacheBytesPer1000Tokens } = await fitModel(folder);
    const memory = (weightBytes + 0.17 * cacheBytesPer1000Tokens) / 0.95;
    const none = await fitLocalModel(folder, withMemory(memory));
    expect(none).toMatchObject({ fits: false, longestContext: 0, context: 256 });
    const room = (weightBytes + 0.6 * cacheBytesPer1000Tokens) / 0.95;
    const longContext = { ...addon, ...withMemory(room) };
    const { longestContext } = await fitLocalModel(folder, longContext);
    expect(longestContext).toBe(256);
    const asked = (context: number) => fitLocalModel(folder, longContext, { context });
    expect((await asked(256)).fits).toBe(true);
    expect((await asked(257)).fits).toBe(false);
  });

  test("quantized weights take less", async () => {
    const dense = await fitModel(fixtureFolder("qwen3-wide"));
    const quantized = await fitModel(fixtureFolder("qwen3-wide"), { quantize: 4 });
    expect(quantized.weightBytes / dense.weightBytes).toBeLessThan(0.3);
    const again = fitModel(fixtureFolder("quantized-affine-4"), { quantize: 4 });
    await expect(again).rejects.toMatchObject({ code: "already_quantized" });
  });

  test("no weight is read, and a model that cannot fit is refused before it is loaded", async () => {
    const folder = join(scratch, "large");
    const bytes = await makeLargeModel(folder);
    const { peak } = addon.memory();
    expect((await fitModel(folder)).weightBytes).toBe(bytes);
    const signal = new AbortController().signal;
    const refusal = await loadModel(folder, withMemory(bytes), signal).catch((error) => error);
    expect(refusal).toMatchObject({ name: "ModelLoadError", code: "insufficient_memory" });
    expect(refusal.message).toContain(`needs ${(bytes / 1e9).toFixed(2)} GB for its weights and`);
    expect(refusal.message).toContain(`only ${((bytes * 0.95) / 1e9).toFixed(2)} GB here`);
    expect(addon.memory().peak - peak).toBeLessThan(bytes / 100);
  });

  test.each([
    [{ context: 0 }, "context is 0, but must be a whole number, 1 or more"],
    [{ quantize: 7 }, "quantize is 7, but must be one of 2, 3"],
    [{ contex: 1 }, "contex is not a known field"],
  ])("refuses %j", async (options, message) => {
    const failing = fitModel("demo", options as object);
    await expect(failing).rejects.toThrow(message);
    await expect(failing).rejects.toMatchObject({ name: "ValidationError" });
  });

  test("names what is wrong with a model", async () => {
    await expect(fitModel("nobody/nothing")).rejects.toMatchObject({ name: "ModelNotFoundError" });
    const folder = join(scratch, "wrong");
    await makeRecurrentModel(folder, { vocab_size: 81 });
    await expect(fitModel(folder)).rejects.toMatchObject({
      name: "ModelLoadError",
      code: "bad_weights",
    });
  });
});

test("caches grow in steps, windows up to their size, and states not at all", () => {
  const footprint: NativeFootprint = {
    weightBytes: 0,
    visionBytes: 0,
    growth: 256,
    layers: [
      { fixedBytes: 0, bytesPerToken: 10 },
      { fixedBytes: 0, bytesPerToken: 1, mostTokens: 300 },
      { fixedBytes: 7, bytesPerToken: 0 },
    ],
  };
  const bytes = [0, 1, 256, 257, 1000].map((tokens) => cacheBytes(footprint, tokens));
  expect(bytes).toEqual([7, 2823, 2823, 5427, 10_547]);
  expect(tokensWithin(footprint, 2822)).toBe(0);
  expect(tokensWithin(footprint, 5427)).toBe(512);
  const state = { ...footprint, layers: footprint.layers.slice(1) };
  expect(tokensWithin(state, 307)).toBeUndefined();
});

/** A Mamba of zeros whose states are large enough to be told from what surrounds them. */
async function makeRecurrentModel(folder: string, changes: object = {}): Promise<void> {
  const [width, inner, heads, groups, state] = [768, 1536, 48, 2, 64];
  const convolved = inner + 2 * groups * state;
  const shapes: Record<string, number[]> = {
    "backbone.embeddings.weight": [80, width],
    "backbone.norm_f.weight": [width],
  };
  const layer = {
    "norm.weight": [width],
    "mixer.A_log": [heads],
    "mixer.D": [heads],
    "mixer.dt_bias": [heads],
    "mixer.norm.weight": [inner],
    "mixer.conv1d.bias": [convolved],
    "mixer.conv1d.weight": [convolved, 1, 4],
    "mixer.in_proj.weight": [inner + convolved + heads, width],
    "mixer.out_proj.weight": [width, inner],
  };
  for (const [name, shape] of Object.entries(layer)) {
    for (const number of [0, 1]) shapes[`backbone.layers.${number}.${name}`] = shape;
  }
  await mkdir(folder, { recursive: true });
  await writeZeroWeights(folder, shapes);
  const config = {
    ...readJson(fixtureFolder("mamba2"), "config.json"),
    hidden_size: width,
    intermediate_size: inner,
    num_heads: heads,
    head_dim: inner / heads,
    n_groups: groups,
    state_size: state,
    ...changes,
  };
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
}
