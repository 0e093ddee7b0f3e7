import { rmSync } from "node:fs";
import { breakCheckpoint } from "../helpers/broken-checkpoint.js";
import { fixtureFolder, loadFolder } from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

describeNative("a gated delta net", (addon) => {
  test.each([
    [{ linear_num_value_heads: 3 }, '"linear_num_value_heads" (3) is no multiple'],
    [{ linear_key_head_dim: 2 ** 30 }, "too wide"],
    [{ linear_value_head_dim: 2 ** 30 }, "too wide"],
    [{ partial_rotary_factor: 0.2 }, "partial_rotary_factor"],
    [{ decoder_sparse_step: 0 }, "decoder_sparse_step"],
    [{ full_attention_interval: 0 }, "full_attention_interval"],
  ])("is refused with %j", async (changes, reason) => {
    const error = await loadFolder(addon, fixtureFolder("qwen3_next"), changes).catch((e) => e);
    expect(error).toMatchObject({ code: "bad_config" });
    expect(error.message).toContain(reason);
  });

  test.each([
    "model.language_model.layers.0.linear_attn.conv1d.weight",
    "model.language_model.layers.0.linear_attn.A_log",
    "model.language_model.layers.1.mlp.experts.gate_up_proj",
  ])("is refused with a flat %s", async (name) => {
    const folder = await breakCheckpoint("qwen3_5_moe-stored", (tensors) => {
      const tensor = tensors[name];
      if (tensor) tensor.shape = [1, tensor.shape.reduce((size, axis) => size * axis, 1)];
    });
    const error = await loadFolder(addon, folder).catch((e) => e);
    rmSync(folder, { recursive: true });
    expect(error).toMatchObject({ code: "tensor_shape" });
    expect(error.message).toContain(name.split(".").slice(2).join("."));
  });
});
