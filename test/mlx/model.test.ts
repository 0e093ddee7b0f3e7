import promises from "node:fs/promises";
import { ModelLoadError } from "../../src/errors.js";
import { loadModel } from "../../src/mlx/model.js";
import type { NativeAddon } from "../../src/mlx/native-types.js";
import { fixtureFolder } from "../helpers/model-fixtures.js";

const folder = fixtureFolder("llama");
const addon = {
  modelTypes: () => ["llama"],
  device: () => ({ type: "cpu", name: "test" }),
  measure: async () => ({ weightBytes: 100_000, growth: 256, layers: [] }),
  load: () => {
    throw Object.assign(new Error("no such shape"), { code: "tensor_shape" });
  },
} as unknown as NativeAddon;
const { signal } = new AbortController();

test("a folder that cannot be listed is refused by name", async () => {
  const failure = Object.assign(new Error("EACCES: permission denied"), { code: "EACCES" });
  const readdir = jest.spyOn(promises, "readdir").mockRejectedValue(failure);
  const refusal = await loadModel(folder, addon, signal).catch((error: unknown) => error);
  readdir.mockRestore();
  expect(refusal).toBeInstanceOf(ModelLoadError);
  expect(refusal).toMatchObject({ code: "bad_config", message: `${folder} cannot be listed.` });
});

test("what the engine refuses is a ModelLoadError, and leaves no memory set aside", async () => {
  const small = { ...addon, device: () => ({ ...addon.device(), memorySize: 150_000 }) };
  for (let round = 0; round < 3; round++) {
    const refusal = await loadModel(folder, small, signal).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ name: "ModelLoadError", code: "bad_weights" });
  }
});
