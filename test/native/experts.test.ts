import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { breakCheckpoint, type TensorTable } from "../helpers/broken-checkpoint.js";
import { fixtureFolder, loadFolder, readGolden, readJson } from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";
import { writeSafetensors } from "../helpers/safetensors-file.js";

const expert = "model.layers.1.mlp.experts.2.up_proj.weight";

describeNative("experts of a checkpoint", (addon) => {
  const failureOf = async (change: (tensors: TensorTable) => void, name = "qwen3_moe") => {
    const folder = await breakCheckpoint(name, change);
    const failure = await loadFolder(addon, folder).catch((error) => error);
    rmSync(folder, { recursive: true });
    return failure;
  };

  test("are named where one is missing", async () => {
    const { code, message } = await failureOf((tensors) => delete tensors[expert]);
    expect(code).toBe("missing_tensor");
    expect(message).toContain(expert);
  });

  test("are named where one has another shape", async () => {
    const { code, message } = await failureOf((tensors) => {
      tensors[expert]?.shape.reverse();
    });
    expect(code).toBe("tensor_shape");
    expect(message).toContain(expert);
  });

  test.each([
    "gate_up_proj_blocks",
    "gate_up_proj_scales",
    "gate_up_proj_bias",
    "down_proj_blocks",
  ])("are named where %s has other axes", async (part) => {
    const tensor = `model.layers.1.mlp.experts.${part}`;
    const { code, message } = await failureOf((tensors) => {
      const entry = tensors[tensor] as TensorTable[string];
      entry.shape = [entry.shape.reduce((size, length) => size * length)];
    }, "gpt_oss");
    expect(code).toBe("tensor_shape");
    expect(message).toContain(tensor);
  });

  test("are too few for a token that wants more", async () => {
    const loading = loadFolder(addon, fixtureFolder("qwen3_moe"), { num_experts_per_tok: 6 });
    await expect(loading).rejects.toMatchObject({
      code: "bad_config",
      message: expect.stringContaining("num_experts_per_tok"),
    });
  });

  // MLX multiplies a stack of experts on the CPU in float32 only.
  test("give nearly the same in bfloat16", async () => {
    const golden = readGolden("qwen3_moe");
    const folder = mkdtempSync(join(tmpdir(), "mlx-llm-client-test-"));
    const file = await writeInBfloat16("qwen3_moe", folder);
    const config = readJson(fixtureFolder("qwen3_moe"), "config.json");
    const model = await addon.load(config, [file]).model;
    const session = model.session();
    const logits = await session.logits(golden.prompt);
    // The mean, because a token whose experts were a close choice may get others.
    const differences = logits.map((logit, index) =>
      Math.abs(logit - Number(golden.logits[index])),
    );
    expect(differences.reduce((sum, difference) => sum + difference) / logits.length).toBeLessThan(
      0.1,
    );
    session.close();
    model.close();
    rmSync(folder, { recursive: true });
  });
});

/** Writes the float32 weights of a fixture, rounded. */
function writeInBfloat16(name: string, folder: string): Promise<string> {
  const bytes = readFileSync(join(fixtureFolder(name), "model.safetensors"));
  const headerEnd = 8 + Number(bytes.readBigUInt64LE(0));
  const { __metadata__, ...tensors } = JSON.parse(bytes.toString("utf8", 8, headerEnd));
  for (const tensor of Object.values(tensors as TensorTable)) {
    tensor.dtype = "BF16";
    tensor.data_offsets = tensor.data_offsets.map((offset) => offset / 2);
  }
  const floats = new Uint32Array(Uint8Array.from(bytes.subarray(headerEnd)).buffer);
  const halves = Uint16Array.from(floats, (float) => (float + 0x8000) >>> 16);
  return writeSafetensors(
    join(folder, "model.safetensors"),
    tensors,
    new Uint8Array(halves.buffer),
  );
}
