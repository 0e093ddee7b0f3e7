import { rmSync } from "node:fs";
import { breakCheckpoint, type TensorTable } from "../helpers/broken-checkpoint.js";
import { fixtureFolder, loadFolder } from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

const path = "model.layers.1.mlp.up_proj";

describeNative("ternary weights are refused", (addon) => {
  const failureOf = async (change: (tensors: TensorTable) => void) => {
    const folder = await breakCheckpoint("bitnet", change);
    const failure = await loadFolder(addon, folder).catch((error) => error);
    rmSync(folder, { recursive: true });
    return failure;
  };

  test("where they are not packed", async () => {
    const quantization_config = { quant_method: "bitnet", quantization_mode: "online" };
    const loading = loadFolder(addon, fixtureFolder("bitnet"), { quantization_config });
    await expect(loading).rejects.toMatchObject({
      code: "bad_config",
      message: expect.stringContaining("quantization_mode"),
    });
  });

  test("without their matrix", async () => {
    const { code, message } = await failureOf((tensors) => delete tensors[`${path}.weight`]);
    expect(code).toBe("missing_tensor");
    expect(message).toContain(`${path}.weight`);
  });

  test("of one axis", async () => {
    const { code, message } = await failureOf((tensors) => {
      const entry = tensors[`${path}.weight`] as TensorTable[string];
      entry.shape = [entry.shape.reduce((size, length) => size * length)];
    });
    expect(code).toBe("tensor_shape");
    expect(message).toContain(`${path}.weight`);
  });

  test("in rows that no group fits", async () => {
    const { code, message } = await failureOf((tensors) => {
      const entry = tensors[`${path}.weight`] as TensorTable[string];
      const [rows, columns] = entry.shape as [number, number];
      entry.shape = [rows * 4, columns / 4];
    });
    expect(code).toBe("bad_config");
    expect(message).toContain(path);
  });
});
