import { createHash } from "node:crypto";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { LLMClient } from "../../src/client.js";
import { convertModel } from "../../src/convert-model.js";
import { convertLocalModel } from "../../src/mlx/convert-model.js";
import type { NativeAddon } from "../../src/mlx/native-types.js";
import type { Quantize, WeightType } from "../../src/quantize.js";
import { readSafetensorsHeader } from "../../src/mlx/safetensors.js";
import { NO_SOURCES } from "../helpers/client-calls.js";
import { embedderFolder, embeddingCases } from "../helpers/embedder-fixtures.js";
import {
  fixtureFolder,
  generateAll,
  loadFolder,
  modelsFolder,
  readGolden,
  readJson,
} from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";
import { describeMlxLmServer } from "../servers/mlx-lm.js";
import { mlxLm } from "../servers/places.mjs";

/** One row of test/fixtures/conversions.json: what mlx-lm's convert makes of a model. */
interface Conversion {
  way: {
    bits?: Quantize;
    group_size?: 32 | 64 | 128;
    mode?: Quantize;
    recipe?: Quantize;
    dtype?: WeightType;
    dequantize?: boolean;
  };
  quantization: Record<string, unknown> | null;
  sha256: string;
}

const { conversions } = readJson<{ conversions: Record<string, Conversion[]> }>(
  modelsFolder,
  "../conversions.json",
);
const rows = Object.entries(conversions).flatMap(([name, all]) =>
  all.map((row) => [name, JSON.stringify(row.way), row] as const),
);

let scratch: string;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "convert-"));
});
afterEach(() => rm(scratch, { recursive: true }));

/** Converts a fixture; its config.json names no type, so none is cast unless it is asked for. */
async function convert(name: string, { way }: Pick<Conversion, "way">): Promise<string> {
  const folder = join(scratch, "converted");
  const { bits, mode, recipe, group_size: groups, dtype, dequantize } = way;
  const quantize = recipe ?? mode ?? bits;
  const groupSize = mode ? undefined : groups;
  const model = fixtureFolder(name);
  await convertModel({ model, folder, quantize, groupSize, dtype, dequantize });
  return folder;
}

/** A promise that can only be rejected, from outside. */
function withRejection(): { promise: Promise<never>; reject(error: Error): void } {
  let reject = (_: Error) => {};
  const promise = new Promise<never>((_, rejectIt) => {
    reject = rejectIt;
  });
  return { promise, reject };
}

/** A hash of the names and bytes of all tensors, in order of name. */
async function digestOf(folder: string): Promise<string> {
  const file = join(folder, "model.safetensors");
  const { tensors } = await readSafetensorsHeader(file);
  const bytes = await readFile(file);
  const dataStart = 8 + Number(bytes.readBigUInt64LE());
  const total = createHash("sha256");
  for (const [name, { begin, end }] of [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))) {
    total.update(`${name}\n`).update(bytes.subarray(dataStart + begin, dataStart + end));
  }
  return total.digest("hex");
}

/** The quantization of every module that differs from the setting for all. */
function withoutDefaults(quantization: Record<string, unknown> | null): unknown {
  if (!quantization) return undefined;
  const { group_size, bits, mode = "affine", ...modules } = quantization;
  const usual = JSON.stringify({ group_size, bits, mode });
  const others = Object.entries(modules).map(([path, value]) => {
    const own = value as Record<string, unknown>;
    return [path, { group_size: own.group_size, bits: own.bits, mode: own.mode ?? "affine" }];
  });
  const different = others.filter(([, value]) => JSON.stringify(value) !== usual);
  return { group_size, bits, mode, ...Object.fromEntries(different) };
}

describeNative("a converted model", (addon) => {
  test.each(rows)("of %s is what mlx-lm makes of it with %s", async (name, _, row) => {
    const folder = await convert(name, row);
    const config = readJson(folder, "config.json");
    expect(withoutDefaults(config.quantization as Record<string, unknown>)).toEqual(
      withoutDefaults(row.quantization),
    );
    expect(await digestOf(folder)).toBe(row.sha256);
  });

  test("is loaded like any other, and answers as one that is quantized while loading", async () => {
    const folder = await convert("qwen3-wide", { way: { bits: 4, group_size: 64 } });
    const golden = readGolden("qwen3-wide");
    const converted = await loadFolder(addon, folder);
    const options = { maxTokens: 20 };
    const { tokens } = await generateAll(converted, golden.prompt, options);
    const source = fixtureFolder("qwen3-wide");
    const loaded = await addon.load(
      readJson(source, "config.json"),
      [join(source, "model.safetensors")],
      { quantize: { mode: "affine", bits: 4, group_size: 64 } },
    ).model;
    expect((await generateAll(loaded, golden.prompt, options)).tokens).toEqual(tokens);
    expect(loaded.bytes).toBe(converted.bytes);
    expect(tokens).toHaveLength(20);
  });

  test.each([
    ["glm4_moe-mtp", true],
    ["glm4_moe_lite-mtp", true],
    ["qwen3_5-mtp", true],
    ["qwen3_5_moe-mtp", true],
    ["deepseek_v3-mtp", false],
    ["qwen3_next-mtp", false],
  ])("has the head that guesses ahead if mlx-lm can ignore it: %s %s", async (name, isKept) => {
    const { prompt, greedy } = readGolden(name);
    const model = await loadFolder(addon, await convert(name, { way: { dtype: "float32" } }));
    const options = { mtp: { always: true }, maxTokens: greedy.length };
    const { tokens, stats } = await generateAll(model, prompt, options);
    model.close();
    expect(tokens).toEqual(greedy);
    expect(stats.draftTokens > 0).toBe(isKept);
    expect(stats.acceptedTokens).toBeGreaterThanOrEqual(0.8 * stats.draftTokens);
  });

  test("leaves folders and dangling links where they are", async () => {
    const model = join(scratch, "model");
    await cp(fixtureFolder("qwen3"), model, { recursive: true });
    await mkdir(join(model, "LICENSES"));
    await symlink(join(model, "gone"), join(model, "README.md"));
    const folder = join(scratch, "converted");
    await convertModel({ model, folder });
    expect(await readdir(folder)).not.toContain("LICENSES");
  });

  test("keeps what follows a model that embeds", async () => {
    const folder = join(scratch, "converted");
    await convertModel({ model: embedderFolder("embeddinggemma"), folder, dtype: "float32" });
    await using client = new LLMClient({ provider: "mlx" }, NO_SOURCES);
    const [given] = embeddingCases("embeddinggemma");
    const { embeddings } = await client.embed(given!.texts, { model: folder });
    for (const [row, vector] of embeddings.entries()) {
      const distances = vector.map((number, place) => number - given!.vectors[row]![place]!);
      expect(Math.max(...distances.map(Math.abs))).toBeLessThan(1e-4);
    }
  });

  test("comes with its tokenizer and template, and leaves nothing else beside it", async () => {
    const folder = join(scratch, "demo");
    const converted = await convertModel({ model: "demo", folder, dequantize: true });
    expect(converted).toMatchObject({ folder, bitsPerWeight: 32 });
    expect(await readdir(scratch)).toEqual(["demo"]);
    expect(await readdir(folder)).toEqual(
      expect.arrayContaining(["config.json", "model.safetensors", "tokenizer.json"]),
    );
  });
});

describeMlxLmServer("mlx-lm", () => {
  describeNative("reads a converted model", () => {
    test.each<[string, Conversion["way"]]>([
      ["qwen3-wide", { recipe: "mixed_3_6", group_size: 64 }],
      ["glm4_moe-mtp", { dtype: "float32" }],
      ["deepseek_v3-mtp", { dtype: "float32" }],
      ["qwen3_5_moe-mtp", { dtype: "float32" }],
      ["qwen3_next-mtp", { dtype: "float32" }],
    ])(
      "and gives the same reply: %s %j",
      async (name, way) => {
        const folder = await convert(name, { way });
        const { prompt } = readGolden(name);
        const script = [
          "import json, sys, mlx.core as mx",
          "from pathlib import Path",
          "from mlx_lm.utils import load_model",
          "from mlx_lm.generate import generate_step",
          "model, _ = load_model(Path(sys.argv[1]))",
          "steps = generate_step(mx.array(json.loads(sys.argv[2])), model, max_tokens=20)",
          "print(json.dumps([token for token, _ in steps]))",
        ].join("\n");
        const { stdout } = await promisify(execFile)(mlxLm.program, [
          "-c",
          script,
          folder,
          JSON.stringify([...prompt]),
        ]);
        const { loadNative } = await import("../../src/mlx/native.js");
        const model = await loadFolder(loadNative(), folder);
        const { tokens } = await generateAll(model, prompt, { maxTokens: 20 });
        expect(JSON.parse(stdout)).toEqual(tokens);
      },
      60_000,
    );
  });
});

describeNative("what cannot be converted", () => {
  const refused = (options: object) =>
    convertModel({ model: fixtureFolder("qwen3"), folder: join(scratch, "new"), ...options });

  test("a folder that is in use is left alone", async () => {
    await writeFile(join(scratch, "mine.txt"), "mine");
    await expect(refused({ folder: scratch })).rejects.toMatchObject({
      name: "ConfigurationError",
      message: `${scratch} is there already, and not empty.`,
    });
    expect(await readdir(scratch)).toEqual(["mine.txt"]);
  });

  test("a model that is quantized already is not quantized again", async () => {
    const model = fixtureFolder("quantized-affine-4");
    await expect(refused({ model, quantize: 4 })).rejects.toMatchObject({
      code: "already_quantized",
      message: `The model in ${model} is quantized already.`,
    });
  });

  test("options that contradict each other are refused", async () => {
    await expect(refused({ quantize: 4, dequantize: true })).rejects.toThrow("not both at once");
    await expect(refused({ quantize: "mxfp4", groupSize: 64 })).rejects.toThrow(
      "A group size of 64 cannot be used: mxfp4 has groups of 32.",
    );
    await expect(refused({ groupSize: 64 })).rejects.toThrow("nothing is quantized");
  });

  test("a model without a matrix of that width is refused", async () => {
    const model = fixtureFolder("lfm2");
    await expect(refused({ model, quantize: 4, groupSize: 128 })).rejects.toMatchObject({
      name: "ConfigurationError",
      message: `Nothing in ${model} can be quantized in groups of 128.`,
    });
    expect(await readdir(scratch)).toEqual([]);
  });

  test("scales that an MLX folder cannot hold are named", async () => {
    const model = fixtureFolder("foreign-nvfp4");
    await expect(refused({ model })).rejects.toMatchObject({
      code: "bad_config",
      message: expect.stringContaining("has no place in an MLX folder: dequantize"),
    });
    expect(await readdir(scratch)).toEqual([]);
    await refused({ model, dequantize: true });
  });

  test.each<[object, string]>([
    [{ quantize: 7 }, "quantize is 7, but must be one of 2, 3, 4"],
    [{ quantize: "toString" }, 'quantize is "toString", but must be one of'],
    [{ groupSize: 48 }, "groupSize is 48, but must be 32, 64 or 128"],
    [{ dtype: "int8" }, 'dtype is "int8", but must be one of float16'],
    [{ quantise: 4 }, "quantise is not a known field"],
    [{ folder: "" }, 'folder is "", but must be the path of a new folder'],
    [{ model: undefined }, "model is missing, but must be the name of a model"],
  ])("with %j is refused", async (options, message) => {
    await expect(refused(options)).rejects.toMatchObject({
      name: "ValidationError",
      message: expect.stringContaining(message),
    });
    expect(await readdir(scratch)).toEqual([]);
  });

  test("a folder that cannot be written is named", async () => {
    await writeFile(join(scratch, "file"), "");
    await symlink(join(scratch, "nowhere/deep"), join(scratch, "link"));
    const folder = join(scratch, "link");
    await expect(refused({ folder })).rejects.toMatchObject({
      name: "GenerationError",
      code: "convert_failed",
      message: expect.stringMatching(`^${folder} cannot be written: E`),
      hint: expect.stringContaining("Name a folder that you may write"),
    });
    expect((await readdir(scratch)).sort()).toEqual(["file", "link"]);
  });

  test("of two that write one folder at a time, one is whole and the other refused", async () => {
    const both = await Promise.allSettled([refused({}), refused({ dtype: "float16" })]);
    expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const { reason } = both.find(({ status }) => status === "rejected") as PromiseRejectedResult;
    expect(reason).toMatchObject({ code: "convert_failed" });
    expect(await readdir(scratch)).toEqual(["new"]);
    const isHalf = both[1]!.status === "fulfilled";
    const { tensors } = await readSafetensorsHeader(join(scratch, "new/model.safetensors"));
    const types = new Set([...tensors.values()].map(({ dtype }) => dtype));
    expect([...types]).toEqual([isHalf ? "F16" : "F32"]);
  });

  test("an aborted conversion leaves nothing behind, even while a piece is being written", async () => {
    const controller = new AbortController();
    const { promise, reject } = withRejection();
    let begin = () => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const addon = {
      modelTypes: () => ["qwen3"],
      convert() {
        begin();
        return { done: promise, cancel: () => {} };
      },
    } as unknown as NativeAddon;
    const { signal } = controller;
    const converting = convertLocalModel(fixtureFolder("qwen3"), join(scratch, "new"), addon, {
      signal,
    });
    await begun;
    expect(await readdir(scratch)).toHaveLength(1);
    controller.abort();
    while ((await readdir(scratch)).length > 0) await new Promise(setImmediate);
    reject(new Error("cancelled"));
    await expect(converting).rejects.toMatchObject({ name: "AbortError" });
    expect(await readdir(scratch)).toEqual([]);
  });

  test("an aborted conversion leaves nothing behind", async () => {
    const controller = new AbortController();
    const converting = refused({ signal: controller.signal });
    controller.abort();
    await expect(converting).rejects.toMatchObject({ name: "AbortError" });
    expect(await readdir(scratch)).toEqual([]);
  });
});
