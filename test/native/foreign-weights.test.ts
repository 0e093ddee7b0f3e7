import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NativeAdapter, NativeModel } from "../../src/mlx/native-types.js";
import { breakCheckpoint, type TensorTable } from "../helpers/broken-checkpoint.js";
import {
  fixtureFolder,
  largestDifference,
  loadFolder,
  readGolden,
  readJson,
} from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";
import { writeSafetensors } from "../helpers/safetensors-file.js";

const { prompt } = readGolden("foreign-modelopt");

/** The bytes of a tensor. */
function bytesOf(tensors: TensorTable, data: Buffer, name: string): Buffer {
  return data.subarray(...(tensors[name]!.data_offsets as [number, number]));
}

/** Doubles 8-bit floats (E4M3). */
function double(scales: Buffer): void {
  for (const [index, scale] of scales.entries()) scales[index] = scale < 8 ? 2 * scale : scale + 8;
}

async function logitsOf(model: NativeModel): Promise<number[]> {
  const session = model.session();
  const logits = await session.logits(prompt);
  session.close();
  return [...logits];
}

describeNative("a checkpoint that another tool quantized", (addon) => {
  const path = "model.layers.0.mlp.up_proj";
  const folders: string[] = [];
  afterEach(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
  });

  async function broken(...change: Parameters<typeof breakCheckpoint>): Promise<string> {
    const folder = await breakCheckpoint(...change);
    folders.push(folder);
    return folder;
  }

  test.each([
    ["foreign-gptq", `${path}.scales`],
    ["foreign-awq", `${path}.qzeros`],
    ["foreign-packed", `${path}.weight_packed`],
    ["foreign-fp8", `${path}.weight_scale_inv`],
  ])("of the kind %s is refused with an empty tensor", async (name, tensor) => {
    const folder = await broken(name, (tensors) => {
      const { shape, data_offsets } = tensors[tensor]!;
      tensors[tensor] = {
        ...tensors[tensor]!,
        shape: [0, shape[1]!],
        data_offsets: [data_offsets[0]!, data_offsets[0]!],
      };
    });
    await expect(loadFolder(addon, folder)).rejects.toMatchObject({
      code: "tensor_shape",
      message: `tensor ${tensor} is empty`,
    });
  });

  test.each([
    ["foreign-gptq", "qzeros"],
    ["foreign-awq", "qzeros"],
    ["foreign-packed-zeros", "weight_zero_point"],
  ])("of the kind %s is refused with too few %s", async (name, part) => {
    const folder = await broken(name, (tensors) => {
      const entry = tensors[`${path}.${part}`]!;
      const [start, end] = entry.data_offsets as [number, number];
      const [rows, columns] = entry.shape as [number, number];
      entry.shape = part === "qzeros" ? [rows / 2, columns] : [rows, columns / 2];
      entry.data_offsets = [start, (start + end) / 2];
    });
    await expect(loadFolder(addon, folder)).rejects.toMatchObject({
      code: "tensor_shape",
      message: `${path} has not as many zero points as scales`,
    });
  });

  test("is refused where what should be 8-bit floats are other numbers", async () => {
    const folder = await broken("foreign-fp8", (tensors) => {
      tensors[`${path}.weight`]!.dtype = "I8";
    });
    await expect(loadFolder(addon, folder)).rejects.toMatchObject({
      code: "tensor_shape",
      message: `tensor ${path}.weight must hold 8-bit floats`,
    });
  });

  test("is refused where 8-bit floats have exponents for scales", async () => {
    const scales = `${path}.weight_scale_inv`;
    const folder = await broken("foreign-fp8", (tensors) => {
      tensors[scales] = { ...tensors[scales]!, dtype: "U32" };
    });
    await expect(loadFolder(addon, folder)).rejects.toMatchObject({
      code: "tensor_shape",
      message: `tensor ${scales} must hold floating-point numbers`,
    });
  });

  test.each([
    ["larger", [64, 64]],
    ["smaller", [8, 16]],
    ["immense", [2 ** 30, 2 ** 31 - 1]],
  ])("is refused where its blocks are %s than config.json says", async (_, size) => {
    const settings = { quant_method: "fp8", weight_block_size: size };
    const changes = { quantization_config: settings };
    await expect(loadFolder(addon, fixtureFolder("foreign-fp8"), changes)).rejects.toMatchObject({
      code: "tensor_shape",
      message: expect.stringContaining("must hold one number for each block"),
    });
  });

  test("takes one block for the whole of a matrix, however large it is said to be", async () => {
    const scales = /weight_scale_inv$/;
    const folder = await broken("foreign-fp8", (tensors) => {
      for (const [name, entry] of Object.entries(tensors)) {
        if (!scales.test(name)) continue;
        entry.shape = [1, 1];
        entry.data_offsets[1] = entry.data_offsets[0]! + 4;
      }
    });
    const load = (size: number) => {
      const settings = { quant_method: "fp8", weight_block_size: [size, size] };
      return loadFolder(addon, folder, { quantization_config: settings });
    };
    const [fitting, immense] = await Promise.all([load(128), load(2 ** 31 - 1)]);
    expect(await logitsOf(immense)).toEqual(await logitsOf(fitting));
    fitting.close();
    immense.close();
  });

  test("is refused where groups of modules have different bits", async () => {
    const { quantization_config: settings } = readJson<{ quantization_config: object }>(
      fixtureFolder("foreign-packed"),
      "config.json",
    );
    const groups = { group_0: { weights: { num_bits: 4 } }, group_1: { weights: { num_bits: 8 } } };
    const changes = { quantization_config: { ...settings, config_groups: groups } };
    await expect(loadFolder(addon, fixtureFolder("foreign-packed"), changes)).rejects.toMatchObject(
      { code: "bad_config", message: expect.stringContaining("num_bits") },
    );
  });

  test("reads a table of vectors with a scale of its own", async () => {
    const table = "model.embed_tokens";
    const withScale = (ownScale: number, change: (scales: Buffer) => void) =>
      broken("foreign-modelopt", (tensors, data) => {
        const [start] = tensors[`${table}.weight`]!.data_offsets as [number];
        const [scalesAt, scaleAt, end] = [start + 80 * 32, start + 80 * 36, start + 80 * 36 + 4];
        tensors[`${table}.weight`] = {
          dtype: "U8",
          shape: [80, 32],
          data_offsets: [start, scalesAt],
        };
        tensors[`${table}.weight_scale`] = {
          dtype: "U8",
          shape: [80, 4],
          data_offsets: [scalesAt, scaleAt],
        };
        tensors[`${table}.weight_scale_2`] = {
          dtype: "F32",
          shape: [],
          data_offsets: [scaleAt, end],
        };
        const scales = bytesOf(tensors, data, `${table}.weight_scale`);
        scales.fill(0x31);
        change(scales);
        data.writeFloatLE(ownScale, scaleAt);
      });
    const plain = await loadFolder(addon, await withScale(1, () => {}));
    const halved = await loadFolder(addon, await withScale(0.5, double));
    expect(largestDifference(await logitsOf(halved), await logitsOf(plain))).toBeLessThan(1e-5);
    plain.close();
    halved.close();
  });

  test("has the length of its rows from all of its scales, for DoRA", async () => {
    const moved = await broken("foreign-modelopt", (tensors, data) => {
      double(bytesOf(tensors, data, `${path}.weight_scale`));
      const [at] = tensors[`${path}.weight_scale_2`]!.data_offsets as [number];
      data.writeFloatLE(data.readFloatLE(at) / 2, at);
    });
    const adapter = await writeDora(path);
    folders.push(join(adapter.file, ".."));
    const logits: number[][] = [];
    for (const folder of [fixtureFolder("foreign-modelopt"), moved]) {
      const base = await loadFolder(addon, folder);
      const model = await base.withAdapter(adapter).model;
      logits.push(await logitsOf(model));
      model.close();
      base.close();
    }
    expect(largestDifference(logits[0]!, logits[1]!)).toBeLessThan(1e-5);
  });
});

/** An adapter of one module, (64, 64), whose magnitudes are all 1. */
async function writeDora(path: string): Promise<NativeAdapter> {
  const shapes = { lora_a: [64, 2], lora_b: [2, 64], m: [64] };
  const header: TensorTable = {};
  const values: number[] = [];
  for (const [part, shape] of Object.entries(shapes)) {
    const count = shape.reduce((product, size) => product * size);
    const offsets = [4 * values.length, 4 * (values.length + count)];
    header[`${path}.${part}`] = { dtype: "F32", shape, data_offsets: offsets };
    for (let i = 0; i < count; i++) values.push(part === "m" ? 1 : Math.sin(i + 1) / 10);
  }
  const file = join(mkdtempSync(join(tmpdir(), "mlx-llm-client-test-")), "adapters.safetensors");
  await writeSafetensors(file, header, new Uint8Array(Float32Array.from(values).buffer));
  const names = Object.keys(header);
  return {
    file,
    scale: 1,
    transposed: false,
    tensors: Object.fromEntries(names.map((name) => [name, name])),
  };
}
