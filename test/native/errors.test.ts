import { closeSync, mkdtempSync, openSync, readSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type {
  NativeAddon,
  NativeGguf,
  NativeModel,
  NativeSampling,
} from "../../src/mlx/native-types.js";
import { breakCheckpoint, type TensorTable } from "../helpers/broken-checkpoint.js";
import {
  fixtureFolder,
  generateAll,
  loadFolder,
  readGolden,
  readJson,
  startLoading,
  weightFilesOf,
} from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";
import { makeLargeModel } from "../helpers/talking-model.js";

const { prompt, greedy } = readGolden("llama");
const greedySampling: NativeSampling = { maxTokens: 30, stopTokens: [], temperature: 0 };
const ignore = () => {};

/** The error of a call, whether it is thrown or rejected. */
async function failureOf(call: () => unknown): Promise<{ code: string; message: string }> {
  try {
    await call();
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return { code, message };
  }
  throw new Error("it should have failed");
}

/** The memory in use once it is at most so many bytes, or after a second: freeing takes a moment. */
async function settled(addon: NativeAddon, most: number): Promise<number> {
  for (let tries = 0; addon.memory().active > most && tries < 100; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return addon.memory().active;
}

/** A safetensors file of float32 tensors as if it were a GGUF file. */
function asGguf(file: string): NativeGguf {
  const length = Buffer.alloc(8);
  const descriptor = openSync(file, "r");
  readSync(descriptor, length);
  const header = Buffer.alloc(Number(length.readBigUInt64LE()));
  readSync(descriptor, header);
  closeSync(descriptor);
  const text = header.toString();
  const names = Object.keys(JSON.parse(text) as object);
  const tensors = Object.fromEntries(names.map((name) => [name, { type: "F32" }]));
  return { file, header: text, dataOffset: 8 + header.length, tensors, dtype: "float32" };
}

describeNative("a checkpoint is refused", (addon) => {
  const load = (folder: string, changes = {}) =>
    failureOf(() => loadFolder(addon, folder, changes));
  const loadBroken = async (name: string, change: (tensors: TensorTable) => void) => {
    const folder = await breakCheckpoint(name, change);
    const failure = await load(folder);
    rmSync(folder, { recursive: true });
    return { ...failure, file: join(folder, "model.safetensors") };
  };

  test("for an unknown model type, listing the known ones", async () => {
    const { code, message } = await load(fixtureFolder("llama"), { model_type: "lama" });
    expect(code).toBe("unknown_model_type");
    for (const type of ["lama", ...addon.modelTypes()]) expect(message).toContain(type);
  });

  test.each([
    ["without a model type", { model_type: undefined }, "model_type"],
    ["with Python code of its own", { model_file: "model.py" }, "model_file"],
    ["with another activation", { hidden_act: "gelu" }, "hidden_act"],
    ["without a width", { hidden_size: undefined }, "hidden_size"],
    ["with a width in words", { hidden_size: "32" }, "hidden_size"],
    ["with a broken number of layers", { num_hidden_layers: 1.5 }, "num_hidden_layers"],
    ["with a negative number of heads", { num_attention_heads: -4 }, "num_attention_heads"],
    ["with no key heads", { num_key_value_heads: 0 }, "num_key_value_heads"],
    ["with heads that key heads do not divide", { num_key_value_heads: 3 }, "num_key_value_heads"],
    ["with an unknown rope scaling", { rope_scaling: { type: "spiral" } }, "spiral"],
    ["with a rope scaling without its factor", { rope_scaling: { type: "linear" } }, "factor"],
    ["with a rope factor of 0", { rope_scaling: { type: "linear", factor: 0 } }, "factor"],
    ["with a rope scaling that is no object", { rope_scaling: "linear" }, "rope_scaling"],
    ["with a rope base of 0", { rope_theta: 0 }, "rope_theta"],
    [
      "with a dynamic rope that starts nowhere",
      { rope_scaling: { type: "dynamic", factor: 2 }, max_position_embeddings: undefined },
      "max_position_embeddings",
    ],
    [
      "with a longrope of too few factors",
      { rope_scaling: { type: "longrope", long_factor: [1, 2] } },
      "long_factor",
    ],
    [
      "with a longrope that starts nowhere",
      { rope_scaling: { type: "longrope", long_factor: [1, 2, 3, 4, 5, 6, 7, 8] } },
      "original_max_position_embeddings",
    ],
    ["with a number beyond float32", { rms_norm_eps: 1e300 }, "rms_norm_eps"],
    ["with an odd head size", { head_dim: 15 }, "head_dim"],
    ["with heads beyond all measure", { head_dim: 2 ** 24 }, "too large"],
    ["with too few layer types", { layer_types: ["full_attention"] }, "layer_types"],
    [
      "with an unknown layer type",
      { layer_types: ["full_attention", "chunked_attention"] },
      "chunked_attention",
    ],
    [
      "with sliding layers but no window",
      { layer_types: ["full_attention", "sliding_attention"] },
      "sliding_window",
    ],
  ])("%s in config.json", async (_, changes, named) => {
    const { code, message } = await load(fixtureFolder("llama"), changes);
    expect(code).toBe("bad_config");
    expect(message).toContain(named);
  });

  test.each([
    ["glm4", "that turns more than all of a head", { partial_rotary_factor: 1.5 }, "_factor"],
    ["glm4", "that turns an odd part of a head", { partial_rotary_factor: 0.6 }, "7 of 12"],
    ["glm4", "that does not say which part turns", { partial_rotary_factor: null }, "_factor"],
    ["phi3", "with a width beyond all measure", { intermediate_size: 2 ** 30 }, "intermediate"],
    ["smollm3", "with too few layers named", { no_rope_layers: [1] }, "no_rope_layers"],
    ["exaone4", "that slides over nothing", { sliding_window: null }, "sliding_window"],
    ["granite", "that divides logits by 0", { logits_scaling: 0 }, "logits_scaling"],
    [
      "granitemoehybrid",
      "with a shared width beyond all measure",
      { shared_intermediate_size: 2 ** 30 },
      "shared_intermediate_size",
    ],
    ["deepseek_v2", "that routes in an unknown way", { topk_method: "noaux_tc" }, "topk_method"],
  ])("for a config.json of %s %s", async (name, _, changes, named) => {
    const { code, message } = await load(fixtureFolder(name), changes);
    expect(code).toBe("bad_config");
    expect(message).toContain(named);
  });

  test.each([
    ["bits that MLX lacks", { group_size: 64, bits: 7 }],
    ["a group size that MLX lacks", { group_size: 16, bits: 4 }],
    ["an unknown mode", { group_size: 64, bits: 4, mode: "hello" }],
    ["a size that its mode does not have", { group_size: 32, bits: 4, mode: "nvfp4" }],
  ])("for a quantization with %s, naming the module", async (_, override) => {
    const path = "model.layers.0.mlp.up_proj";
    const { code, message } = await load(fixtureFolder("quantized-affine-4"), {
      quantization: { group_size: 64, bits: 4, [path]: override },
    });
    expect(code).toBe("bad_config");
    expect(message).toContain(path);
  });

  test("for a mixed recipe whose names of modules it does not have", async () => {
    const folder = fixtureFolder("starcoder2");
    const quantize = { mode: "affine", bits: 3, group_size: 32, recipe: "mixed_3_6" } as const;
    const { code, message } = await failureOf(
      () => addon.load(readJson(folder, "config.json"), weightFilesOf(folder), { quantize }).model,
    );
    expect(code).toBe("bad_config");
    expect(message).toContain("mixed_3_6");
    expect(message).toContain("down_proj");
  });

  test("for missing tensors, naming each", async () => {
    const missing = [
      "lm_head.weight",
      "model.layers.0.input_layernorm.weight",
      "model.layers.1.mlp.down_proj.weight",
    ];
    const { code, message, file } = await loadBroken("llama", (tensors) => {
      for (const name of missing) delete tensors[name];
    });
    expect(code).toBe("missing_tensor");
    for (const name of [...missing, file]) expect(message).toContain(name);
    expect(message).not.toContain("model.norm.weight");
  });

  test("for a missing shard, naming each tensor that was in it", async () => {
    const folder = fixtureFolder("llama-sharded");
    const { weight_map } = readJson<{ weight_map: Record<string, string> }>(
      folder,
      "model.safetensors.index.json",
    );
    const first = "model-00001-of-00002.safetensors";
    const { code, message } = await failureOf(
      () => addon.load(readJson(folder, "config.json"), [join(folder, first)]).model,
    );
    expect(code).toBe("missing_tensor");
    const names = Object.keys(weight_map);
    for (const name of names) expect(message.includes(name)).toBe(weight_map[name] !== first);
  });

  test("for missing biases of a quantized matrix", async () => {
    const { code, message } = await loadBroken("quantized-affine-4", (tensors) => {
      delete tensors["model.layers.0.mlp.up_proj.biases"];
    });
    expect(code).toBe("missing_tensor");
    expect(message).toContain("model.layers.0.mlp.up_proj.biases");
  });

  test("for tensors that the model has no place for, naming each", async () => {
    const { code, message, file } = await loadBroken("llama", (tensors) => {
      tensors["model.layers.7.mlp.up_proj.weight"] = tensors["lm_head.weight"] as never;
      tensors["model.layers.0.self_attn.q_norm.weight"] = tensors["model.norm.weight"] as never;
    });
    expect(code).toBe("unused_tensor");
    expect(message).toContain("model.layers.7.mlp.up_proj.weight");
    expect(message).toContain("model.layers.0.self_attn.q_norm.weight");
    expect(message).toContain(file);
  });

  test.each([
    ["llama", "model.layers.0.mlp.up_proj.weight"],
    ["llama", "model.embed_tokens.weight"],
    ["quantized-affine-4", "model.layers.1.self_attn.q_proj.weight"],
    ["quantized-affine-4", "model.layers.1.self_attn.q_proj.scales"],
    ["quantized-mxfp4", "lm_head.weight"],
    ["quantized-mixed", "model.embed_tokens.scales"],
  ])("for a wrong shape in %s of %s", async (name, tensor) => {
    const { code, message, file } = await loadBroken(name, (tensors) => {
      const entry = tensors[tensor] as TensorTable[string];
      const [rows, columns] = entry.shape as [number, number];
      entry.shape = [rows / 2, columns * 2];
    });
    expect(code).toBe("tensor_shape");
    // A quantized matrix is one thing: which of its tensors is the wrong one, nobody can tell.
    expect(message).toContain(tensor.replace(/\.(weight|scales)$/, ""));
    expect(message).toContain(file);
  });

  test("for a one-dimensional matrix", async () => {
    const { code, message } = await loadBroken("quantized-affine-4", (tensors) => {
      const entry = tensors["model.layers.0.mlp.up_proj.weight"] as TensorTable[string];
      entry.shape = [entry.shape.reduce((size, length) => size * length)];
    });
    expect(code).toBe("tensor_shape");
    expect(message).toContain("model.layers.0.mlp.up_proj");
  });

  test.each([
    ["granitemoehybrid", "model.layers.0.block_sparse_moe.input_linear.weight"],
    ["granitemoehybrid-dense", "model.layers.0.shared_mlp.input_linear.weight"],
  ])("for a tensor of %s with more axes than any has", async (name, tensor) => {
    const { code, message } = await loadBroken(name, (tensors) => {
      const { shape } = tensors[tensor] as TensorTable[string];
      shape.unshift(...Array(20).fill(1));
    });
    expect(code).toBe("tensor_shape");
    expect(message).toContain(tensor);
  });

  test("for a file that is not there, naming it", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mlx-llm-client-test-"));
    const file = join(folder, "model.safetensors");
    const { message } = await failureOf(
      () => addon.load(readJson(fixtureFolder("llama"), "config.json"), [file]).model,
    );
    expect(message).toContain(file);
    rmSync(folder, { recursive: true });
  });

  test.each([
    ["safetensors", (file: string) => [file], () => "[read] Unable to read from file."],
    ["GGUF", asGguf, (file: string) => `${file} is cut short`],
  ])(
    "for a %s file that is cut short while it is read",
    async (_, weights, expected) => {
      const folder = mkdtempSync(join(tmpdir(), "mlx-llm-client-test-"));
      await makeLargeModel(folder);
      const file = join(folder, "model.safetensors");
      const before = addon.memory().active;
      const config = readJson(folder, "config.json");
      const loading = failureOf(() => addon.load(config, weights(file)).model);
      while (addon.memory().active < before + 1e6) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      truncateSync(file, 4096);
      expect((await loading).message).toBe(expected(file));
      rmSync(folder, { recursive: true });
    },
    30_000,
  );

  test("when its loading is cancelled, and its memory is freed", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mlx-llm-client-test-"));
    const bytes = await makeLargeModel(folder);
    const before = addon.memory().active;
    const { model, cancel } = startLoading(addon, folder);
    const loading = failureOf(() => model);
    while (addon.memory().active < before + 1e6) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    cancel();
    expect(await loading).toEqual({ code: "cancelled", message: "loading was cancelled" });
    expect(addon.memory().peak).toBeLessThan(bytes / 2);
    expect(await settled(addon, before)).toBeLessThanOrEqual(before);
    rmSync(folder, { recursive: true });
  }, 30_000);

  test("and cancelling what is loaded changes nothing", async () => {
    const { model: loading, cancel } = startLoading(addon, fixtureFolder("llama"));
    const model = await loading;
    cancel();
    const { tokens } = await generateAll(model, prompt, { maxTokens: 5 });
    expect(tokens).toEqual(greedy.slice(0, 5));
    model.close();
  });

  test("and the next one loads as if nothing had happened", async () => {
    await load(fixtureFolder("llama"), { model_type: "lama" });
    const model = await loadFolder(addon, fixtureFolder("llama"));
    const { tokens } = await generateAll(model, prompt, { maxTokens: 5 });
    expect(tokens).toEqual(greedy.slice(0, 5));
    model.close();
  });
});

describeNative("a call is refused", (addon) => {
  let model: NativeModel;
  beforeAll(async () => {
    model = await loadFolder(addon, fixtureFolder("llama"));
  });
  afterAll(() => model.close());

  const generate = (tokens: unknown, sampling: object = {}) =>
    failureOf(() => generateAll(model, tokens as Uint32Array, sampling));

  test("without tokens", async () => {
    expect((await generate(new Uint32Array())).code).toBe("invalid_argument");
    expect((await failureOf(() => model.session().logits(new Uint32Array()))).code).toBe(
      "invalid_argument",
    );
  });

  test("with a token outside the vocabulary, naming both", async () => {
    expect(model.vocabSize).toBe(80);
    const { code, message } = await generate(Uint32Array.of(1, 80, 2));
    expect(code).toBe("invalid_argument");
    expect(message).toMatch(/80.*80/);
    expect((await generate(Uint32Array.of(4294967295))).code).toBe("invalid_argument");
  });

  test.each([["words"], [undefined], [[-1]], [[1.5]], [["1"]], [[Number.NaN]], [[2 ** 32]]])(
    "with %p for tokens",
    async (tokens) => {
      expect((await generate(tokens)).code).toBe("invalid_argument");
    },
  );

  test.each([
    ["maxTokens", 0],
    ["maxTokens", 1.5],
    ["maxTokens", undefined],
    ["temperature", -1],
    ["temperature", Number.NaN],
    ["temperature", "hot"],
    ["topP", 1.5],
    ["topK", -1],
    ["minP", 2],
    ["xtcProbability", -0.1],
    ["xtcThreshold", 0.6],
    ["xtcSpecialTokens", [80]],
    ["repetitionPenalty", 0],
    ["repetitionContextSize", 0],
    ["penaltyContextSize", 0],
    ["presencePenalty", Number.POSITIVE_INFINITY],
    ["logitBias", [[80, 1]]],
    ["logitBias", 5],
    ["logitBias", [7]],
    ["logitBias", [[7, "much"]]],
    ["logitBias", [[7, Number.NaN]]],
    ["stopTokens", [80]],
    ["stopTokens", undefined],
    ["seed", -1],
    ["seed", 1.5],
    ["topLogprobs", -1],
    ["prefillStepSize", 0],
  ])("with %s of %p, naming it", async (name, value) => {
    const { code, message } = await generate(prompt, { [name]: value });
    expect(code).toBe("invalid_argument");
    expect(message).toContain(name);
  });

  test("without a callback", async () => {
    const session = model.session();
    const { code } = await failureOf(() =>
      session.generate(prompt, greedySampling, undefined as never),
    );
    expect(code).toBe("invalid_argument");
    session.close();
  });

  test("after its session was closed", async () => {
    const session = model.session();
    session.close();
    session.close();
    session.cancel();
    for (const call of [
      () => session.generate(prompt, greedySampling, ignore),
      () => session.logits(prompt),
    ]) {
      expect((await failureOf(call)).code).toBe("closed");
    }
  });

  test("after its model was closed", async () => {
    const closing = await loadFolder(addon, fixtureFolder("llama"));
    closing.close();
    closing.close();
    expect((await failureOf(() => closing.session())).code).toBe("closed");
    expect(closing.vocabSize).toBe(80);
  });

  test("on another object than its own", async () => {
    const session = model.session();
    await expect(async () =>
      session.generate.call({} as never, prompt, greedySampling, ignore),
    ).rejects.toThrow();
    const Session = session.constructor as new () => unknown;
    expect(() => new Session()).toThrow();
    session.close();
  });
});

describeNative("a running generation", (addon) => {
  let model: NativeModel;
  beforeAll(async () => {
    model = await loadFolder(addon, fixtureFolder("llama"));
  });
  afterAll(() => model.close());

  const endless = { ...greedySampling, maxTokens: 1_000_000 };
  const longPrompt = Uint32Array.from({ length: 20_000 }, (_, index) => index % 80);

  test("is cancelled in prefill, before the next chunk", async () => {
    const session = model.session();
    let delivered = 0;
    const reply = session.generate(longPrompt, { ...endless, prefillStepSize: 16 }, () => {
      delivered++;
    });
    await new Promise((resolve) => setTimeout(resolve, 30));
    const begin = performance.now();
    session.cancel();
    const stats = await reply;
    expect(performance.now() - begin).toBeLessThan(200);
    expect(stats).toMatchObject({ finishReason: "cancelled", completionTokens: 0 });
    expect(delivered).toBe(0);
    session.close();
  });

  test.each(["cancel", "close"] as const)("ends on %s in decode", async (way) => {
    const session = model.session();
    const tokens: number[] = [];
    const stats = await session.generate(prompt, endless, (batch) => {
      tokens.push(...batch.tokens);
      if (tokens.length >= 10) session[way]();
    });
    expect(stats.finishReason).toBe("cancelled");
    expect(tokens.slice(0, 10)).toEqual(greedy.slice(0, 10));
    expect(stats.completionTokens).toBe(tokens.length);
    session.close();
  });

  test("ends when its callback throws, with that error", async () => {
    const session = model.session();
    let calls = 0;
    const reply = session.generate(prompt, endless, () => {
      calls++;
      throw new Error("no more, please");
    });
    await expect(reply).rejects.toMatchObject({ message: "no more, please" });
    expect(calls).toBe(1);
    session.close();
  });

  test("is cancelled at once when asked before it began", async () => {
    const session = model.session();
    const reply = session.generate(prompt, endless, ignore);
    session.cancel();
    expect((await reply).finishReason).toBe("cancelled");
    session.close();
  });

  test("shares the engine with another session, both right", async () => {
    const replies = await Promise.all([
      generateAll(model, prompt, { maxTokens: 30 }),
      generateAll(model, prompt.slice(0, 20), { maxTokens: 30 }),
      generateAll(model, prompt, { maxTokens: 30, prefillStepSize: 4 }),
    ]);
    const alone = await generateAll(model, prompt.slice(0, 20), { maxTokens: 30 });
    expect(replies.map(({ tokens }) => tokens)).toEqual([
      greedy.slice(0, 30),
      alone.tokens,
      greedy.slice(0, 30),
    ]);
  });

  test("does not wait for another session's long reply", async () => {
    const session = model.session();
    let cancelled = false;
    const long = session.generate(prompt, endless, ignore).then((stats) => {
      cancelled = true;
      return stats;
    });
    const { tokens } = await generateAll(model, prompt, { maxTokens: 10 });
    expect(tokens).toEqual(greedy.slice(0, 10));
    expect(cancelled).toBe(false);
    session.cancel();
    expect((await long).finishReason).toBe("cancelled");
    session.close();
  });

  test("goes on after its model was closed", async () => {
    const closing = await loadFolder(addon, fixtureFolder("llama"));
    const reply = generateAll(closing, prompt, { maxTokens: 30 });
    closing.close();
    expect((await reply).tokens).toEqual(greedy.slice(0, 30));
  });

  test("serves a session opened before its model was closed", async () => {
    const closing = await loadFolder(addon, fixtureFolder("llama"));
    const session = closing.session();
    closing.close();
    const tokens: number[] = [];
    await session.generate(prompt, greedySampling, (batch) => tokens.push(...batch.tokens));
    expect(tokens).toEqual(greedy.slice(0, 30));
    session.close();
  });

  test("leaves its memory when its session is closed", async () => {
    // A model keeps the rotations of its last positions: after a short prompt these are few.
    const atRest = async (most: number) => {
      await generateAll(model, prompt.slice(0, 1), { maxTokens: 1 });
      return settled(addon, most);
    };
    const baseline = await atRest(model.bytes + 10_000);
    const session = model.session();
    await session.logits(longPrompt.slice(0, 2000));
    expect(addon.memory().active).toBeGreaterThan(baseline + 500_000);
    session.close();
    expect(await atRest(baseline)).toBeLessThanOrEqual(baseline);
  });
});
