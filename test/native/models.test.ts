import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NativeModel } from "../../src/mlx/native-types.js";
import { embedderFolder, embedderNames } from "../helpers/embedder-fixtures.js";
import {
  fixtureFolder,
  generateAll,
  largestDifference,
  loadFolder,
  modelsFolder,
  readGolden,
  readJson,
} from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

/**
 * How far logits may lie from mlx-lm's. Quantized weights unpack to the same float32 values on
 * both sides, so they are as exact as dense ones. Half precisions round each activation, and may
 * do so in another order: theirs are a few units in the last place of the largest logits.
 */
const tolerances = { float32: 2e-4, float16: 0.02, bfloat16: 0.13 };

// scripts/tiny_models/ is the table of fixtures: a folder for each of its rows.
const fixtures = readdirSync(modelsFolder);

/** An MLX folder has no place for the scales that these have beside those of groups. */
const unwritable = ["foreign-modelopt", "foreign-nvfp4"];

function weightFiles(name: string): string[] {
  const folder = fixtureFolder(name);
  const files = readdirSync(folder).filter((file) => file.endsWith(".safetensors"));
  return files.sort().map((file) => join(folder, file));
}

describeNative("a model computes what mlx-lm does", (addon) => {
  test("every family has a fixture", () => {
    const folders = [
      ...fixtures.map(fixtureFolder),
      ...[...embedderNames("embedding"), ...embedderNames("reranking")].map(embedderFolder),
    ];
    const families = new Set(folders.map((folder) => readJson(folder, "config.json").model_type));
    expect(addon.modelTypes().filter((type) => !families.has(type))).toEqual([]);
  });

  describe.each(fixtures)("%s", (name) => {
    const golden = readGolden(name);
    const tolerance = tolerances[golden.dtype];
    let model: NativeModel;

    beforeAll(async () => {
      model = await loadFolder(addon, fixtureFolder(name));
    });
    afterAll(() => model.close());

    async function logitsInChunks(size: number): Promise<number[]> {
      const session = model.session();
      const logits: number[] = [];
      for (let start = 0; start < golden.prompt.length; start += size) {
        logits.push(...(await session.logits(golden.prompt.slice(start, start + size))));
      }
      session.close();
      return logits;
    }

    test.each([
      ["read at once", golden.prompt.length],
      ["read in chunks", 7],
      ["read token by token", 1],
    ])("logits of a prompt %s", async (_, size) => {
      expect(largestDifference(await logitsInChunks(size), golden.logits)).toBeLessThan(tolerance);
    });

    test.each([2048, 7, 1])(
      "greedy reply after prefill in steps of %d",
      async (prefillStepSize) => {
        const { tokens, stats } = await generateAll(model, golden.prompt, {
          maxTokens: golden.greedy.length,
          prefillStepSize,
        });
        expect(tokens).toEqual(golden.greedy);
        expect(stats).toMatchObject({
          finishReason: "length",
          promptTokens: golden.prompt.length,
          completionTokens: golden.greedy.length,
        });
      },
    );

    (unwritable.includes(name) ? test.skip : test)(
      "a reply when written and read again",
      async () => {
        const folder = mkdtempSync(join(tmpdir(), "mlx-llm-client-test-"));
        const config = readJson(fixtureFolder(name), "config.json");
        const { weightMap } = await addon.convert(config, weightFiles(name), {}, folder).done;
        const files = [...new Set(Object.values(weightMap))].map((file) => join(folder, file));
        const written = await addon.load(config, files).model;
        const { tokens } = await generateAll(written, golden.prompt, { maxTokens: 20 });
        written.close();
        rmSync(folder, { recursive: true });
        expect(tokens).toEqual(golden.greedy.slice(0, 20));
      },
    );

    test("logits, then a reply in the same timeline", async () => {
      const session = model.session();
      await session.logits(golden.prompt.slice(0, 20));
      const tokens: number[] = [];
      await session.generate(
        golden.prompt.slice(20),
        { maxTokens: 20, stopTokens: [], temperature: 0, prefillStepSize: 9 },
        (batch) => tokens.push(...batch.tokens),
      );
      session.close();
      expect(tokens).toEqual(golden.greedy.slice(0, 20));
    });
  });
});

describeNative("a configuration in the layout of transformers 5", (addon) => {
  test("gives the same Gemma as the older one", async () => {
    const { rope_theta, rope_local_base_freq, rope_scaling, ...rest } = readJson(
      fixtureFolder("gemma3_text"),
      "config.json",
    );
    expect(rope_scaling).toMatchObject({ rope_type: "linear" });
    const golden = readGolden("gemma3_text");
    const model = await addon.load(
      {
        ...rest,
        rope_parameters: {
          full_attention: { ...(rope_scaling as object), rope_theta },
          sliding_attention: { rope_type: "default", rope_theta: rope_local_base_freq },
        },
        layer_types: [0, 1, 2, 3, 4, 5].map((layer) =>
          layer % 3 === 2 ? "full_attention" : "sliding_attention",
        ),
        sliding_window_pattern: 6,
      },
      [join(fixtureFolder("gemma3_text"), "model.safetensors")],
    ).model;
    const { tokens } = await generateAll(model, golden.prompt, {
      maxTokens: golden.greedy.length,
    });
    expect(tokens).toEqual(golden.greedy);
    model.close();
  });

  const local = "sliding_attention";
  const global = "full_attention";
  const longrope = { long_factor: [1.1, 3, 9], short_factor: [1, 1, 1] };
  test.each([
    ["cohere2", { layer_types: [local, global, local], sliding_window_pattern: undefined }],
    ["exaone4", { layer_types: [local, local, global, local], sliding_window_pattern: 4 }],
    [
      "glm4",
      {
        partial_rotary_factor: undefined,
        rope_theta: undefined,
        rope_parameters: {
          partial_rotary_factor: 0.5,
          rope_theta: 10000,
          rope_type: "default",
        },
      },
    ],
    [
      "phi3-longrope",
      {
        original_max_position_embeddings: undefined,
        partial_rotary_factor: undefined,
        rope_scaling: undefined,
        rope_theta: undefined,
        rope_parameters: {
          ...longrope,
          original_max_position_embeddings: 32,
          partial_rotary_factor: 0.75,
          rope_theta: 10000,
          rope_type: "longrope",
        },
      },
    ],
  ])("gives the same %s as the older one", async (name, changes) => {
    const golden = readGolden(name);
    const model = await loadFolder(addon, fixtureFolder(name), changes);
    const { tokens } = await generateAll(model, golden.prompt, {
      maxTokens: golden.greedy.length,
    });
    expect(tokens).toEqual(golden.greedy);
    model.close();
  });
});
