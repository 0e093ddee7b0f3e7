import { rmSync } from "node:fs";
import { breakCheckpoint, type TensorTable } from "../helpers/broken-checkpoint.js";
import { fixtureFolder, generateAll, loadFolder, readGolden } from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

describeNative("a checkpoint of DeepSeek", (addon) => {
  test("is read where its 8-bit floats have their own type", async () => {
    const folder = await breakCheckpoint("deepseek_v3-fp8", (tensors) => {
      for (const tensor of Object.values(tensors)) {
        if (tensor.dtype === "U8") tensor.dtype = "F8_E4M3";
      }
    });
    const golden = readGolden("deepseek_v3-fp8");
    const model = await loadFolder(addon, folder);
    const { tokens } = await generateAll(model, golden.prompt, {
      maxTokens: golden.greedy.length,
    });
    expect(tokens).toEqual(golden.greedy);
    model.close();
    rmSync(folder, { recursive: true });
  });

  test.each([
    ["groups that do not divide the experts", { n_group: 3 }, "n_group"],
    ["groups of one expert", { n_group: 8 }, "n_group"],
    ["more chosen groups than there are", { topk_group: 5 }, "topk_group"],
    ["more experts for a token than its groups have", { num_experts_per_tok: 5 }, "per_tok"],
    ["another way to choose experts", { topk_method: "greedy" }, "topk_method"],
    ["scores that are no sigmoids", { scoring_func: "softmax" }, "scoring_func"],
    ["an odd rotated part of its heads", { qk_rope_head_dim: 7 }, "qk_rope_head_dim"],
    ["heads beyond all measure", { v_head_dim: 2 ** 30 }, "too large"],
    ["shared experts beyond all measure", { n_shared_experts: 2 ** 30 }, "too wide"],
  ])("is refused with %s", async (_, changes, named) => {
    await expect(loadFolder(addon, fixtureFolder("deepseek_v3"), changes)).rejects.toMatchObject({
      code: "bad_config",
      message: expect.stringContaining(named),
    });
  });

  test.each([
    ["deepseek_v3-fp8", "model.layers.0.self_attn.kv_b_proj.weight"],
    ["deepseek_v3-quantized-kv_b_proj", "model.layers.0.self_attn.kv_b_proj.biases"],
  ])("is refused with a wrong shape in %s of %s", async (name, tensor) => {
    const folder = await breakCheckpoint(name, (tensors) => {
      const entry = tensors[tensor] as TensorTable[string];
      const [rows, columns] = entry.shape as [number, number];
      entry.shape = [rows / 2, columns * 2];
    });
    await expect(loadFolder(addon, folder)).rejects.toMatchObject({
      code: "tensor_shape",
      message: expect.stringContaining(tensor),
    });
    rmSync(folder, { recursive: true });
  });
});
