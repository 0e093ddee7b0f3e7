import type { NativeModel } from "../../src/mlx/native-types.js";
import {
  fixtureFolder,
  generateAll,
  largestDifference,
  loadFolder,
  readGolden,
} from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

describeNative("a state space", (addon) => {
  async function lastLogits(model: NativeModel, prompt: Uint32Array, step: number) {
    const session = model.session();
    let logits: Float32Array = new Float32Array();
    for (let start = 0; start < prompt.length; start += step) {
      logits = await session.logits(prompt.slice(start, start + step));
    }
    session.close();
    return logits.slice(-80);
  }

  test("remembers a long prompt alike, however it is cut", async () => {
    const model = await loadFolder(addon, fixtureFolder("mamba2"));
    const prompt = Uint32Array.from({ length: 600 }, (_, index) => (index * index) % 79);
    const logits = await lastLogits(model, prompt, 600);
    for (const step of [100, 257, 300]) {
      expect(largestDifference(await lastLogits(model, prompt, step), logits)).toBeLessThan(1e-4);
    }
    model.close();
  });

  test.each([
    ["as Python writes it", Number.POSITIVE_INFINITY],
    ["as transformers 5 writes it", { __float__: "Infinity" }],
  ])("takes time steps without end, %s", async (_, most) => {
    const { prompt, greedy } = readGolden("mamba2-untied"); // none of its steps is over 100
    const model = await loadFolder(addon, fixtureFolder("mamba2-untied"), {
      time_step_limit: [0, most],
    });
    const { tokens } = await generateAll(model, prompt, { maxTokens: greedy.length });
    expect(tokens).toEqual(greedy);
    model.close();
  });

  test.each([
    [{ time_step_limit: [0.1] }, "time_step_limit"],
    [{ time_step_limit: [0.1, 0] }, "time_step_limit"],
    [{ time_step_limit: [0, { __float__: "NaN" }] }, "time_step_limit"],
    [{ n_groups: 4 }, "6 heads of Mamba cannot share 4 groups"],
    [{ state_size: 2 ** 30 }, "too large"],
  ])("is refused with %j", async (changes, reason) => {
    const error = await loadFolder(addon, fixtureFolder("mamba2"), changes).catch((e) => e);
    expect(error).toMatchObject({ code: "bad_config" });
    expect(error.message).toContain(reason);
  });
});
