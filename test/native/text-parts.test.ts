import { rmSync } from "node:fs";
import { breakCheckpoint, type TensorTable } from "../helpers/broken-checkpoint.js";
import { fixtureFolder, loadFolder, readJson } from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

/** Changes of config.json that change its `text_config`. */
function textChanges(name: string, changes: object): { text_config: object } {
  const { text_config } = readJson<{ text_config: object }>(fixtureFolder(name), "config.json");
  return { text_config: { ...text_config, ...changes } };
}

describeNative("the text part of a checkpoint with more than text", (addon) => {
  test.each([
    ["gemma3n", { intermediate_size: [24] }, "intermediate_size"],
    ["gemma3n", { activation_sparsity_pattern: [1, 0, 0, 0] }, "activation_sparsity_pattern"],
    ["gemma3n", { altup_active_idx: 3 }, "altup_active_idx"],
    ["gemma3n", { altup_num_inputs: 2 ** 20 }, "altup_num_inputs"],
    ["gemma3n", { layer_types: null }, "layer_types"],
    ["gemma3n", { num_kv_shared_layers: 4 }, "num_kv_shared_layers"],
    ["gemma4", { moe_intermediate_size: 2 ** 30 }, "moe_intermediate_size"],
    ["gemma4", { num_global_key_value_heads: 3 }, "num_key_value_heads"],
    ["gemma4", { top_k_experts: 5 }, "4 experts"],
    ["llama4", { attention_chunk_size: 0 }, "attention_chunk_size"],
    ["llama4", { floor_scale: 0 }, "floor_scale"],
    ["llama4", { interleave_moe_layer_step: 0 }, "interleave_moe_layer_step"],
    ["llama4", { num_experts_per_tok: 2 }, "num_experts_per_tok"],
    ["llama4", { num_hidden_layers: 2 ** 30 }, "num_hidden_layers"],
    ["mistral3-quantized", { rope_parameters: null }, "rope_theta"],
  ])("of %s is refused with %j", async (name, changes, named) => {
    const model = loadFolder(addon, fixtureFolder(name), textChanges(name, changes));
    await expect(model).rejects.toMatchObject({
      code: "bad_config",
      message: expect.stringContaining(named),
    });
  });

  test.each([
    ["gemma4_text", { num_kv_shared_layers: 3 }, "full_attention"],
    ["gemma4_text", { hidden_size_per_layer_input: 2 ** 29 }, "hidden_size_per_layer_input"],
    ["gemma4_text", { num_hidden_layers: 2 ** 30 }, "num_hidden_layers"],
    ["llama4_text", { no_rope_layers: [1] }, "no_rope_layers"],
    ["qwen3_moe", { num_hidden_layers: 2 ** 30 }, "num_hidden_layers"],
  ])("by itself as %s is refused with %j", async (name, changes, named) => {
    await expect(loadFolder(addon, fixtureFolder(name), changes)).rejects.toMatchObject({
      code: "bad_config",
      message: expect.stringContaining(named),
    });
  });

  test("is asked for by a model type that is known", async () => {
    const changes = textChanges("mistral3", { model_type: "ministral9" });
    await expect(loadFolder(addon, fixtureFolder("mistral3"), changes)).rejects.toMatchObject({
      code: "unknown_model_type",
      message: expect.stringContaining("ministral9"),
    });
  });

  test.each([
    ["gemma4", { num_experts: 3 }, "language_model.model.layers.0.experts.gate_up_proj"],
    [
      "llama4",
      { num_local_experts: 3 },
      "language_model.model.layers.1.feed_forward.experts.gate_up_proj",
    ],
  ])("names a stack of experts of %s by its full path", async (name, changes, tensor) => {
    const model = loadFolder(addon, fixtureFolder(name), textChanges(name, changes));
    await expect(model).rejects.toMatchObject({
      code: "tensor_shape",
      message: expect.stringContaining(`tensor ${tensor} has shape`),
    });
  });

  test("names what is missing and what is too much by full paths", async () => {
    const norm = "language_model.model.norm.weight";
    const lacking = await breakCheckpoint("gemma3", (tensors) => {
      delete tensors[norm];
    });
    const crowded = await breakCheckpoint("gemma3", (tensors) => {
      tensors["language_model.model.norm.bias"] = tensors[norm] as TensorTable[string];
    });
    await expect(loadFolder(addon, lacking)).rejects.toMatchObject({
      code: "missing_tensor",
      message: expect.stringContaining(`1 tensor: ${norm}`),
    });
    await expect(loadFolder(addon, crowded)).rejects.toMatchObject({
      code: "unused_tensor",
      message: expect.stringContaining("1 tensor: language_model.model.norm.bias"),
    });
    for (const folder of [lacking, crowded]) rmSync(folder, { recursive: true });
  });

  test("of 8-bit floats is refused where a matrix has more scales than one", async () => {
    const scales = "model.language_model.layers.0.mlp.up_proj.weight_scale_inv";
    const folder = await breakCheckpoint("mistral3-fp8", (tensors) => {
      const values = tensors["model.language_model.norm.weight"] as TensorTable[string];
      tensors[scales] = { ...values };
    });
    await expect(loadFolder(addon, folder)).rejects.toMatchObject({
      code: "tensor_shape",
      message: expect.stringContaining(scales),
    });
    rmSync(folder, { recursive: true });
  });
});
