import { readdirSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { LLMClient } from "../../src/index.js";
import { convertModel } from "../../src/convert-model.js";
import { loadChatTemplate } from "../../src/mlx/chat-template.js";
import { readModelFiles } from "../../src/mlx/model-files.js";
import { findModel, listModelFolders } from "../../src/mlx/model-places.js";
import type { NativeAddon, NativeModel } from "../../src/mlx/native-types.js";
import { readSafetensorsHeader } from "../../src/mlx/safetensors.js";
import { loadTokenizer, type Tokenizer } from "../../src/mlx/tokenizer.js";
import {
  floatsFromBase64,
  generateAll,
  largestDifference,
  loadFolder,
  readJson,
} from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

/** What scripts/make-gguf-fixtures.py writes: a file, and what Python computes of the same model. */
const FOLDER = join(__dirname, "../fixtures/gguf");
const TOKENIZERS = join(__dirname, "../fixtures/tokenizers");
const names = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".gguf"))
  .map((name) => basename(name, ".gguf"));

interface Golden {
  dtype: "float32" | "float16" | "bfloat16";
  /** The tokenizer of test/fixtures/tokenizers that it has. */
  tokenizer: string;
  prompt: number[];
  greedy: number[];
  logits: string;
  largestLogit: number;
  /** The second row of each packed matrix. */
  rows: Record<string, string>;
  cases: { name: string; text: string; ids: number[]; idsWithSpecial: number[]; decoded: string }[];
}

const fileOf = (name: string) => join(FOLDER, `${name}.gguf`);
const goldenOf = (name: string) => readJson<Golden>(FOLDER, `${name}.json`);

/**
 * How far logits may lie from mlx-lm's, as a part of the largest. Packed weights are multiplied with
 * scales of 16 bits number by number; what mlx-lm gets are their rounded products.
 */
const tolerances = { float32: 1e-5, float16: 0.015, bfloat16: 0.012 };

async function loadGguf(addon: NativeAddon, file: string): Promise<NativeModel> {
  const { config, gguf } = await readModelFiles(file);
  return addon.load(config, gguf!).model;
}

/** Of a float32 matrix, or of the first of a stack. */
async function secondRow(folder: string, name: string): Promise<Float32Array> {
  const file = join(folder, "model.safetensors");
  const { tensors } = await readSafetensorsHeader(file);
  const bytes = await readFile(file);
  const { begin, shape } = tensors.get(name)!;
  const start = 8 + Number(bytes.readBigUInt64LE()) + begin;
  const rowBytes = shape.at(-1)! * 4;
  const row = Uint8Array.from(bytes.subarray(start + rowBytes, start + 2 * rowBytes));
  return new Float32Array(row.buffer);
}

let scratch: string;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "gguf-model-"));
});
afterEach(() => rm(scratch, { recursive: true }));

describeNative("a GGUF file computes what mlx-lm does with the same numbers", (addon) => {
  test.each(names)("%s", async (name) => {
    const golden = goldenOf(name);
    const model = await loadGguf(addon, fileOf(name));
    const prompt = Uint32Array.from(golden.prompt);
    const session = model.session();
    const logits = await session.logits(prompt);
    session.close();
    const expected = floatsFromBase64(golden.logits);
    expect(largestDifference(logits, expected)).toBeLessThan(
      tolerances[golden.dtype] * golden.largestLogit,
    );
    const { tokens } = await generateAll(model, prompt, { maxTokens: golden.greedy.length });
    expect(tokens).toEqual(golden.greedy);
    expect(model.bytes).toBe((await readModelFiles(fileOf(name))).weightBytes);
    model.close();
  });

  test.each(["llama-q4_0", "llama-q4_k", "qwen3moe-q8_0"])(
    "%s is unpacked to the numbers that llama.cpp's package gives",
    async (name) => {
      const folder = join(scratch, "dense");
      await convertModel({ model: fileOf(name), folder, dequantize: true, dtype: "float32" });
      for (const [tensor, row] of Object.entries(goldenOf(name).rows)) {
        const expected = floatsFromBase64(row);
        const largest = Math.max(...expected.map(Math.abs));
        const found = await secondRow(folder, tensor);
        expect([tensor, largestDifference(found, expected) < largest / 500]).toEqual([
          tensor,
          true,
        ]);
      }
    },
  );

  test.each(["llama-f32", "llama-q4_k", "qwen3moe-q8_0"])(
    "%s is converted to an MLX folder that computes the same",
    async (name) => {
      const folder = join(scratch, "converted");
      await convertModel({ model: fileOf(name), folder });
      const { prompt, greedy } = goldenOf(name);
      const model = await loadFolder(addon, folder);
      const wanted = { maxTokens: greedy.length };
      const { tokens } = await generateAll(model, Uint32Array.from(prompt), wanted);
      expect(tokens).toEqual(greedy);
      model.close();
      const [first] = goldenOf(name).cases.slice(3);
      expect((await loadTokenizer(folder)).encode(first!.text)).toEqual(first!.idsWithSpecial);
    },
  );

  test("a model is generated with that cannot be written to", async () => {
    const model = join(scratch, "read-only.gguf");
    await copyFile(fileOf("qwen3-q8_0"), model);
    await chmod(model, 0o444);
    await using client = new LLMClient({ provider: "mlx", model });
    const response = await client.generate({ messages: "Hello", maxTokens: 4, temperature: 0 });
    expect(response.usage).toMatchObject({ completionTokens: 4 });
    expect(response.model).toBe(model);
  });

  test("packed weights are not quantized once more", async () => {
    const model = fileOf("qwen3-q8_0");
    await using client = new LLMClient({ provider: "mlx", model, maxRetries: 0 });
    const providerOptions = { mlx: { quantize: 4 as const } };
    const refused = client.generate({ messages: "Hello", providerOptions });
    await expect(refused).rejects.toMatchObject({ code: "already_quantized" });
  });

  test("dense ones are", async () => {
    const { config, gguf } = await readModelFiles(fileOf("qwen2-bf16"));
    const quantize = { mode: "affine" as const, bits: 4, group_size: 32 };
    const model = await addon.load(config, gguf!, { quantize }).model;
    const dense = await loadGguf(addon, fileOf("qwen2-bf16"));
    expect(model.bytes).toBeLessThan(dense.bytes / 2);
    model.close();
    dense.close();
  });
});

describe.each(["llama-f32", "llama-q4_0", "qwen3-q8_0", "qwen3moe-q8_0"])(
  "the tokenizer in %s",
  (name) => {
    const { cases } = goldenOf(name);
    let tokenizer: Tokenizer;
    beforeAll(async () => {
      tokenizer = await loadTokenizer(fileOf(name));
    });

    test.each(cases)("does with $name what Python's does", (golden) => {
      expect(tokenizer.encode(golden.text, { addSpecialTokens: false })).toEqual(golden.ids);
      expect(tokenizer.encode(golden.text)).toEqual(golden.idsWithSpecial);
      expect(tokenizer.decode(golden.ids)).toBe(golden.decoded);
    });
  },
);

test.each(["llama-f32", "qwen3-q8_0"])("the chat template in %s renders", async (name) => {
  const messages = [{ role: "user" as const, content: "What is 7 + 5?" }];
  const own = await loadChatTemplate(fileOf(name));
  const same = await loadChatTemplate(join(TOKENIZERS, goldenOf(name).tokenizer));
  expect(own!.render({ messages })).toBe(same!.render({ messages }));
});

describe("where GGUF files are found", () => {
  test("by their path, and as the only one of a folder", async () => {
    const folder = join(scratch, "tiny");
    await mkdir(folder);
    const file = join(folder, "tiny-Q8_0.gguf");
    await copyFile(fileOf("qwen3-q8_0"), file);
    await copyFile(fileOf("qwen3-q8_0"), join(folder, "mmproj-tiny.gguf"));
    expect(await findModel(file)).toBe(file);
    expect(await findModel(folder)).toBe(file);
    expect(await readModelFiles(file)).toMatchObject({ id: "tiny-Q8_0", dtype: "Q8_0" });
  });

  test("in the Hugging Face cache, by org/name", async () => {
    const repository = join(scratch, ".cache/huggingface/hub/models--org--tiny-GGUF");
    const snapshot = join(repository, "snapshots", "a".repeat(40));
    await mkdir(snapshot, { recursive: true });
    const file = join(snapshot, "tiny.gguf");
    await symlink(fileOf("qwen3-q8_0"), file);
    const env = { HOME: scratch };
    expect(await findModel("org/tiny-GGUF", { env })).toBe(file);
    expect(await listModelFolders({ env })).toContainEqual({ id: "org/tiny-GGUF", folder: file });
    expect((await readModelFiles(file)).id).toBe("org/tiny-GGUF");
  });

  test("are named where a folder has several", async () => {
    for (const name of ["a.gguf", "b.gguf"]) {
      await copyFile(fileOf("qwen3-q8_0"), join(scratch, name));
    }
    await expect(readModelFiles(await findModel(scratch))).rejects.toMatchObject({
      code: "bad_weights",
      message: `${scratch} has several GGUF files: a.gguf, b.gguf.`,
      hint: expect.stringContaining(join(scratch, "a.gguf")),
    });
  });
});

test("a GGUF file is described as other models are", async () => {
  await using client = new LLMClient({ provider: "mlx" });
  expect(await client.showModel(fileOf("llama-q4_k"))).toMatchObject({
    family: "llama",
    quantization: "Q4_K",
    contextLength: 256,
    parameters: expect.any(Number),
    hasTemplate: false,
  });
});
