import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdaptedModels } from "../../src/mlx/adapted-models.js";
import { readAdapter } from "../../src/mlx/adapter-files.js";
import type { NativeModel } from "../../src/mlx/native-types.js";
import {
  fixtureFolder,
  floatsFromBase64,
  generateAll,
  largestDifference,
  loadFolder,
  modelsFolder,
  readGolden,
  readJson,
} from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

const adapters = join(modelsFolder, "../adapters");
const folderOf = (name: string) => join(adapters, name);
const { signal } = new AbortController();

/** What mlx-lm computed with an adapter. */
interface AdapterGolden {
  model: string;
  prompt: number[];
  greedy: number[];
  /** Of the last token of the prompt. */
  logits: string;
}

let scratch: string;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "adapter-"));
});
afterEach(() => rm(scratch, { recursive: true }));

describeNative("a model with an adapter", (addon) => {
  test.each(readdirSync(adapters))("of %s computes what mlx-lm does", async (name) => {
    const golden = readJson<AdapterGolden>(folderOf(name), "golden.json");
    const base = await loadFolder(addon, fixtureFolder(golden.model));
    const model = await base.withAdapter(await readAdapter(folderOf(name))).model;
    const prompt = Uint32Array.from(golden.prompt);
    const session = model.session();
    const logits = (await session.logits(prompt)).slice(-model.vocabSize);
    const tolerance = golden.model.includes("bfloat16") ? 0.13 : 1e-4;
    const difference = largestDifference([...logits], floatsFromBase64(golden.logits));
    expect(difference).toBeLessThan(tolerance);
    const { tokens } = await generateAll(model, prompt, { maxTokens: golden.greedy.length });
    expect(tokens).toEqual(golden.greedy);
    base.close();
  });

  test("shares the weights, and leaves the model without it as it is", async () => {
    const base = await loadFolder(addon, fixtureFolder("llama"));
    const before = addon.memory().active;
    const model = await base.withAdapter(await readAdapter(folderOf("lora"))).model;
    expect(addon.memory().active - before).toBeLessThan(base.bytes / 2);
    expect(model.bytes).toBeLessThan(base.bytes / 2);
    const { prompt, greedy } = readGolden("llama");
    const { tokens } = await generateAll(base, prompt, { maxTokens: greedy.length });
    expect(tokens).toEqual(greedy);
    model.close();
    base.close();
  });

  test("lives on after the model that it was made of is closed", async () => {
    const golden = readJson<AdapterGolden>(folderOf("lora"), "golden.json");
    const base = await loadFolder(addon, fixtureFolder("llama"));
    const model = await base.withAdapter(await readAdapter(folderOf("lora"))).model;
    base.close();
    const { tokens } = await generateAll(model, Uint32Array.from(golden.prompt), { maxTokens: 5 });
    expect(tokens).toEqual(golden.greedy.slice(0, 5));
    await expect(async () => base.withAdapter(await readAdapter(folderOf("lora")))).rejects.toThrow(
      "the model is closed",
    );
  });
});

describeNative("adapters of one model", (addon) => {
  let base: NativeModel;
  beforeEach(async () => {
    base = await loadFolder(addon, fixtureFolder("llama"));
  });
  afterEach(() => base.close());

  test("are loaded once, and the oldest of many makes room", async () => {
    const models = new AdaptedModels(base);
    const folders = await Promise.all(
      Array.from({ length: 9 }, async (_, index) => {
        const folder = join(scratch, String(index));
        await cp(folderOf("lora"), folder, { recursive: true });
        return folder;
      }),
    );
    const first = await models.with(folders[0]!, signal);
    expect((await models.with(folders[0]!, signal)).native).toBe(first.native);
    for (const folder of folders) await models.with(folder, signal);
    expect((await models.with(folders[0]!, signal)).native).not.toBe(first.native);
    models.close();
  });

  test("stay while somebody uses them, however many others come", async () => {
    const models = new AdaptedModels(base);
    const used = await models.with(folderOf("lora"), signal);
    models.close();
    used.native.session().close();
    used.release();
    await Promise.resolve();
    expect(() => used.native.session()).toThrow("the model is closed");
  });

  test("that fail after nobody waits any more trouble nobody", async () => {
    const unhandled = jest.fn();
    process.on("unhandledRejection", unhandled);
    const none = join(scratch, "none");
    const aborted = new AdaptedModels(base).with(none, AbortSignal.abort(new Error("left")));
    await expect(aborted).rejects.toThrow("left");
    // Another one that fails takes as long.
    await expect(new AdaptedModels(base).with(none, signal)).rejects.toThrow("none");
    await new Promise(setImmediate);
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  test("that fail are tried again", async () => {
    const models = new AdaptedModels(base);
    const folder = join(scratch, "lora");
    await expect(models.with(folder, signal)).rejects.toMatchObject({ code: "bad_adapter" });
    await cp(folderOf("lora"), folder, { recursive: true });
    await expect(models.with(folder, signal)).resolves.toBeDefined();
    models.close();
  });

  test("of another model are refused with the names of what does not fit", async () => {
    const models = new AdaptedModels(base);
    await expect(models.with(folderOf("dora-quantized"), signal)).rejects.toMatchObject({
      code: "bad_adapter",
      message: expect.stringMatching(/adapter's tensors of model\.layers\.\S+ do not fit/),
      hint: "Was it made for this model? Choose one that was.",
    });
    const larger = await changed("lora", (config) => config);
    const bytes = await readFile(join(larger, "adapters.safetensors"));
    const moved = bytes.toString("latin1").replaceAll("layers.1.mlp", "layers.7.mlp");
    await writeFile(join(larger, "adapters.safetensors"), moved, "latin1");
    await expect(models.with(larger, signal)).rejects.toThrow(
      /the model has no place for the adapter's model\.layers\.7\.mlp\.down_proj, /,
    );
  });

  test("are refused where two of their tensors are for one place", async () => {
    const adapter = await readAdapter(folderOf("lora"));
    const [first, second] = Object.keys(adapter.tensors) as [string, string];
    const tensors = { ...adapter.tensors, [second]: first };
    await expect(base.withAdapter({ ...adapter, tensors }).model).rejects.toMatchObject({
      code: "unused_tensor",
      message: `${adapter.file}: two tensors are ${first}`,
    });
  });

  test("are refused on top of another one", async () => {
    const adapter = await readAdapter(folderOf("lora"));
    const adapted = await base.withAdapter(adapter).model;
    await expect(adapted.withAdapter(adapter).model).rejects.toMatchObject({
      code: "invalid_argument",
      message: "a model with an adapter takes no other one",
    });
    adapted.close();
  });

  test("are refused where they hold whole numbers", async () => {
    const folder = await changed("lora", (config) => config);
    const file = join(folder, "adapters.safetensors");
    const bytes = await readFile(file, "latin1");
    await writeFile(file, bytes.replace('"F32"', '"I32"'), "latin1");
    await expect(new AdaptedModels(base).with(folder, signal)).rejects.toMatchObject({
      code: "bad_adapter",
      message: expect.stringContaining("must hold floating-point numbers"),
    });
  });
});

/** A copy of an adapter with another configuration. */
async function changed(
  name: string,
  change: (config: Record<string, unknown>) => unknown,
): Promise<string> {
  const folder = join(scratch, name);
  await cp(folderOf(name), folder, { recursive: true });
  const config = change(readJson(folder, "adapter_config.json"));
  await writeFile(join(folder, "adapter_config.json"), JSON.stringify(config));
  return folder;
}

describe("a folder that is no adapter, or a wrong one", () => {
  const wrong: [string, string, (config: Record<string, unknown>) => unknown, string][] = [
    [
      "another kind",
      "lora",
      (config) => ({ ...config, fine_tune_type: "ia3" }),
      'unknown kind "ia3"',
    ],
    ["no scale", "lora", (config) => ({ ...config, lora_parameters: {} }), "lora_parameters.scale"],
    ["another method", "peft", (config) => ({ ...config, peft_type: "IA3" }), 'is for "IA3"'],
    ["trained biases", "peft", (config) => ({ ...config, bias: "all" }), "trains biases"],
    [
      "turned matrices",
      "peft",
      (config) => ({ ...config, fan_in_fan_out: true }),
      "fan_in_fan_out",
    ],
    ["no rank", "peft", (config) => ({ ...config, r: 0 }), "no number above 0 at r"],
    ["a pattern", "peft", (config) => ({ ...config, alpha_pattern: { "(a+)+": 1 } }), '"(a+)+"'],
  ];

  test.each(wrong)("with %s is refused", async (_, name, change, message) => {
    await expect(readAdapter(await changed(name, change))).rejects.toMatchObject({
      name: "ModelLoadError",
      code: "bad_adapter",
      message: expect.stringContaining(message),
    });
  });

  test("without a configuration, or without weights, is refused", async () => {
    await expect(readAdapter(scratch)).rejects.toThrow("has no adapter_config.json");
    const folder = await changed("peft", (config) => config);
    await rm(join(folder, "adapter_model.safetensors"));
    await writeFile(join(folder, "adapter_model.bin"), "");
    await expect(readAdapter(folder)).rejects.toThrow(
      "has no adapter_model.safetensors, only adapter_model.bin",
    );
    expect(await readdir(folder)).toContain("golden.json");
  });
});
