import { ModelLoadError } from "../../src/errors.js";
import { checkMemory } from "../../src/mlx/model.js";
import type { ModelFiles } from "../../src/mlx/model-files.js";

const files = { folder: "/models/huge", weightBytes: 40e9 } as ModelFiles;

test("weights that fit are let pass", () => {
  expect(() => checkMemory(files, 40e9)).not.toThrow();
});

test("weights beyond the memory are refused with both sizes", () => {
  expect(() => checkMemory(files, 16e9)).toThrow(
    new ModelLoadError(
      "The model in /models/huge needs 40.00 GB for its weights, but MLX may use only 16.00 GB here.",
    ),
  );
  expect(() => checkMemory(files, 16e9)).toThrow(
    expect.objectContaining({ code: "insufficient_memory" }),
  );
});
