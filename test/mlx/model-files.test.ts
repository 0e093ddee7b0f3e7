import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { LLMError } from "../../src/errors.js";
import { findModel, listLocalModels, readModelFiles } from "../../src/mlx/model-files.js";
import { findAdapter } from "../../src/mlx/model-places.js";
import { writeSafetensors } from "../helpers/safetensors-file.js";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";

let home: string;
let env: Record<string, string>;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "model-files-"));
  env = { HOME: home };
});
afterEach(() => rm(home, { recursive: true }));

/** Writes a model of one float32 tensor with four values, or other files in its place. */
async function makeModel(folder: string, files: Record<string, object | string | null> = {}) {
  await mkdir(folder, { recursive: true });
  const all = { "config.json": { model_type: "llama", max_position_embeddings: 512 }, ...files };
  for (const [name, content] of Object.entries(all)) {
    const text = typeof content === "string" ? content : JSON.stringify(content);
    if (content !== null) await writeFile(join(folder, name), text);
  }
  if (!("model.safetensors" in files)) await makeShard(join(folder, "model.safetensors"), "a");
  return folder;
}

async function makeShard(file: string, tensor: string, dtype = "F32") {
  const header = { [tensor]: { dtype, shape: [16 / 4], data_offsets: [0, 16] } };
  await writeSafetensors(file, header, new Uint8Array(16));
}

async function makeHubModel(hub: string, id: string, commit = COMMIT, ref = "main") {
  const repository = join(hub, `models--${id.replace("/", "--")}`);
  await mkdir(dirname(join(repository, "refs", ref)), { recursive: true });
  await writeFile(join(repository, "refs", ref), commit);
  return makeModel(join(repository, "snapshots", commit));
}

async function refusal(promise: Promise<unknown>): Promise<LLMError> {
  const error = await promise.catch((reason: unknown) => reason);
  if (!LLMError.is(error)) throw new Error(`expected an LLMError, got ${String(error)}`);
  return error;
}

describe("findModel", () => {
  test("demo is the model of the package", async () => {
    expect(relative(process.cwd(), await findModel("demo", { env }))).toBe(join("models", "demo"));
  });

  test("a folder is found by absolute, relative and home path", async () => {
    const folder = await makeModel(join(home, "models", "tiny"));
    expect(await findModel(folder, { env })).toBe(folder);
    expect(await findModel("~/models/tiny", { env })).toBe(folder);
    const fromHere = relative(process.cwd(), folder);
    expect(await findModel(`./${fromHere}`, { env })).toBe(folder);
  });

  test.each([
    ["the default place", {}, ".cache/huggingface/hub"],
    ["HF_HOME", { HF_HOME: "hf" }, "hf/hub"],
    ["HF_HUB_CACHE", { HF_HUB_CACHE: "hub", HF_HOME: "unused" }, "hub"],
    ["XDG_CACHE_HOME", { XDG_CACHE_HOME: "xdg" }, "xdg/huggingface/hub"],
  ])("a name is found in the Hugging Face cache of %s", async (_title, variables, hub) => {
    for (const [key, value] of Object.entries(variables)) env[key] = join(home, value);
    const folder = await makeHubModel(join(home, hub), "org/tiny");
    expect(await findModel("org/tiny", { env })).toBe(folder);
  });

  test("a revision is found by branch, pull request and commit", async () => {
    const hub = join(home, ".cache/huggingface/hub");
    const other = COMMIT.replaceAll("0", "f");
    const main = await makeHubModel(hub, "org/tiny");
    const branch = await makeHubModel(hub, "org/tiny", other, "pr/1");
    expect(await findModel("org/tiny", { env })).toBe(main);
    expect(await findModel("org/tiny@pr/1", { env })).toBe(branch);
    expect(await findModel(`org/tiny@${other}`, { env })).toBe(branch);
    expect(await findModel("org/tiny@f123456", { env })).toBe(branch);
    expect((await refusal(findModel("org/tiny@v2", { env }))).code).toBe("model_not_found");
  });

  test("a download of one commit is found without refs/main", async () => {
    const hub = join(home, ".cache/huggingface/hub");
    const folder = await makeHubModel(hub, "org/tiny");
    await rm(join(hub, "models--org--tiny", "refs"), { recursive: true });
    expect(await findModel("org/tiny", { env })).toBe(folder);
  });

  test.each([".lmstudio/models", ".cache/lm-studio/models", ".cache/llm-client/models"])(
    "a name is found in %s",
    async (place) => {
      const folder = await makeModel(join(home, place, "org", "tiny"));
      expect(await findModel("org/tiny", { env })).toBe(folder);
    },
  );

  test("a name is found where LM Studio's settings put the downloads", async () => {
    await mkdir(join(home, ".lmstudio"));
    const settings = JSON.stringify({ downloadsFolder: join(home, "big-disk") });
    await writeFile(join(home, ".lmstudio", "settings.json"), settings);
    const folder = await makeModel(join(home, "big-disk", "org", "tiny"));
    expect(await findModel("org/tiny", { env })).toBe(folder);
  });

  test("a name is found in a given folder before all other places", async () => {
    await makeModel(join(home, ".lmstudio/models/org/tiny"));
    const folder = await makeModel(join(home, "mine", "org", "tiny"));
    expect(await findModel("org/tiny", { env, folders: [join(home, "mine")] })).toBe(folder);
    expect(await findModel("tiny", { env, folders: [folder] })).toBe(folder);
  });

  test("a folder where we are is found by its name, after those given", async () => {
    const [here, given] = ["here", "given"].map((name) => join(home, name));
    await makeModel(join(here!, "tiny"));
    await mkdir(join(here!, "docs"));
    await mkdir(given!);
    const cwd = jest.spyOn(process, "cwd").mockReturnValue(here!);
    try {
      expect(await findModel("tiny", { env, folders: [given!] })).toBe(join(here!, "tiny"));
      const folder = await makeModel(join(given!, "tiny"));
      expect(await findModel("tiny", { env, folders: [given!] })).toBe(folder);
      // It is not a model only because it is a folder.
      const { code, hint } = await refusal(findModel("docs", { env }));
      expect(code).toBe("model_not_found");
      expect(hint).toContain(`The folder ${join(here!, "docs")} holds no model, or several.`);
    } finally {
      cwd.mockRestore();
    }
  });

  test("an adapter is found by any path of its folder, also one that is no model's", async () => {
    await mkdir(join(home, "adapters"));
    const cwd = jest.spyOn(process, "cwd").mockReturnValue(home);
    try {
      for (const name of ["adapters", "./adapters", "adapters/", "~/adapters"]) {
        expect(await findAdapter(name, { env })).toBe(join(home, "adapters"));
      }
      const adapter = await makeHubModel(join(home, ".cache/huggingface/hub"), "org/adapter");
      expect(await findAdapter("org/adapter", { env })).toBe(adapter);
      await writeFile(join(home, "adapters.safetensors"), "");
      for (const name of ["adaptrs", "./adaptrs", "./adapters.safetensors"]) {
        const { message, hint, code } = await refusal(findAdapter(name, { env }));
        expect([code, hint]).toEqual([
          "model_not_found",
          expect.stringContaining("adapter_config"),
        ]);
        expect(message).toContain(`There is no adapter "${name}": ${join(home, name)} is not`);
      }
    } finally {
      cwd.mockRestore();
    }
  });

  test("a folder of models that is not there is refused", async () => {
    const error = await refusal(findModel("tiny", { env, folders: [join(home, "nosuch")] }));
    expect(error.name).toBe("ConfigurationError");
    expect(error.message).toContain(join(home, "nosuch"));
    expect(error.hint).toContain("MLX_MODEL_PATH");
  });

  test("a folder of models is refused with their names", async () => {
    await makeModel(join(home, "models", "b"));
    await makeModel(join(home, "models", "org", "a"));
    const error = await refusal(findModel(join(home, "models"), { env }));
    expect(error.name).toBe("ConfigurationError");
    expect(error.message).toContain("a folder of models: b, org/a.");
    expect(error.hint).toContain('"b"');
  });

  test("an unknown name is refused with every place looked at", async () => {
    const error = await refusal(findModel("org/missing", { env }));
    expect(error.name).toBe("ModelNotFoundError");
    expect(error.model).toBe("org/missing");
    for (const place of [
      process.cwd(),
      join(home, ".cache/llm-client/models"),
      join(home, ".cache/huggingface/hub"),
      join(home, ".lmstudio/models"),
      join(home, ".cache/lm-studio/models"),
    ]) {
      expect(error.message).toContain(place);
    }
    expect(error.hint).toContain("llm-client models");
  });

  test.each(["org/Qwen3-0.6B-4-bit", "qwen3-0.6b-4bit", "og/qwen3-0.6b-4bit"])(
    "the mistyped name %s is answered with the near one",
    async (name) => {
      await makeHubModel(join(home, ".cache/huggingface/hub"), "org/Qwen3-0.6B-4bit");
      const error = await refusal(findModel(name, { env }));
      expect(error.hint).toContain('Did you mean "org/Qwen3-0.6B-4bit"?');
    },
  );

  test("a mistyped demo is answered with demo", async () => {
    expect((await refusal(findModel("demo1", { env }))).hint).toContain('Did you mean "demo"?');
  });

  test.each([
    "org/../../secret",
    "org/..",
    "org//etc/passwd",
    "org/name/more",
    "org/name@../../x",
    "",
    "a b",
    "x".repeat(300),
  ])("the name %p is refused", async (name) => {
    const error = await refusal(findModel(name, { env }));
    expect(error.code).toBe("model_not_found");
    expect(error.message).toContain("is not a model name");
  });

  test("a reference cannot lead out of the snapshots", async () => {
    const hub = join(home, ".cache/huggingface/hub");
    await makeHubModel(hub, "org/tiny");
    await makeModel(join(home, "elsewhere"));
    await writeFile(join(hub, "models--org--tiny/refs/main"), "../../../../../elsewhere");
    expect((await refusal(findModel("org/tiny", { env }))).code).toBe("model_not_found");
  });

  test("a missing folder and a file are refused by path", async () => {
    const missing = await refusal(findModel(join(home, "nothing"), { env }));
    expect(missing.code).toBe("model_not_found");
    expect(missing.message).toContain(join(home, "nothing"));
    const file = join(await makeModel(join(home, "tiny")), "config.json");
    const notFolder = await refusal(findModel(file, { env }));
    expect(notFolder.message).toBe(`${file} is not a folder.`);
  });
});

describe("readModelFiles", () => {
  test("reads config, weights, context length and end tokens", async () => {
    const config = { model_type: "llama", max_position_embeddings: 512, eos_token_id: 2 };
    const folder = await makeModel(join(home, "tiny"), { "config.json": config });
    expect(await readModelFiles(folder)).toEqual({
      id: "tiny",
      folder,
      config,
      sees: false,
      generationConfig: {},
      weightFiles: [join(folder, "model.safetensors")],
      weightBytes: 16,
      dtype: "F32",
      contextLength: 512,
      eosTokenIds: [2],
      purpose: "generating",
      sentence: { lowercases: false, prompts: {} },
    });
  });

  test.each([
    ["config.json's number", { eos_token_id: 2 }, undefined, [2]],
    ["config.json's list", { eos_token_id: [2, 3] }, undefined, [2, 3]],
    ["generation_config.json before it", { eos_token_id: 2 }, { eos_token_id: [5, 6] }, [5, 6]],
    ["config.json where that is silent", { eos_token_id: 2 }, { temperature: 1 }, [2]],
    ["the part for text", { text_config: { eos_token_id: 7 } }, undefined, [7]],
    ["nothing", { eos_token_id: null }, undefined, []],
  ])("end tokens come from %s", async (_title, config, generation, expected) => {
    const folder = await makeModel(join(home, "tiny"), {
      "config.json": { model_type: "llama", ...config },
      "generation_config.json": generation ?? null,
    });
    expect((await readModelFiles(folder)).eosTokenIds).toEqual(expected);
  });

  test.each([
    [{ n_ctx: 64 }, 64],
    [{ max_position_embeddings: 0, n_positions: 32 }, 32],
    [{ text_config: { max_position_embeddings: 128 } }, 128],
    [{ max_position_embeddings: "many" }, undefined],
  ])("the context length of %j is %p", async (config, expected) => {
    const folder = await makeModel(join(home, "tiny"), {
      "config.json": { model_type: "llama", ...config },
    });
    expect((await readModelFiles(folder)).contextLength).toBe(expected);
  });

  test("the name of a snapshot is the repository's", async () => {
    const folder = await makeHubModel(join(home, "hub"), "org/tiny");
    expect((await readModelFiles(folder)).id).toBe("org/tiny");
  });

  test("all shards are read, also those that only the index names", async () => {
    const folder = await makeModel(join(home, "tiny"), {
      "model.safetensors": null,
      "model.safetensors.index.json": { weight_map: { a: "part-1.safetensors" } },
    });
    await makeShard(join(folder, "part-1.safetensors"), "a", "I32");
    await makeShard(join(folder, "model-2.safetensors"), "b", "I32");
    const files = await readModelFiles(folder);
    expect(files.weightFiles).toEqual([
      join(folder, "model-2.safetensors"),
      join(folder, "part-1.safetensors"),
    ]);
    expect(files.weightBytes).toBe(32);
  });

  test("a missing shard is named", async () => {
    const folder = await makeModel(join(home, "tiny"), {
      "model.safetensors.index.json": {
        weight_map: { a: "model.safetensors", b: "model-00002-of-00002.safetensors" },
      },
    });
    const error = await refusal(readModelFiles(folder));
    expect(error.code).toBe("bad_weights");
    expect(error.message).toBe(`${join(folder, "model-00002-of-00002.safetensors")} is missing.`);
  });

  test("a dangling link is a missing shard", async () => {
    const folder = await makeModel(join(home, "tiny"), { "model.safetensors": null });
    await symlink(join(home, "blobs", "gone"), join(folder, "model.safetensors"));
    expect((await refusal(readModelFiles(folder))).message).toContain("is missing");
  });

  test.each([
    "../model.safetensors",
    "/etc/model.safetensors",
    "sub/model.safetensors",
    "..\\model.safetensors",
    "model.gguf",
    7,
  ])("an index that leads to %p is refused", async (shard) => {
    const folder = await makeModel(join(home, "tiny"), {
      "model.safetensors.index.json": { weight_map: { a: shard } },
    });
    const error = await refusal(readModelFiles(folder));
    expect(error.code).toBe("bad_config");
    expect(error.message).toContain(`puts tensor "a" in ${JSON.stringify(shard)}`);
  });

  test("a tensor in two files is refused with both", async () => {
    const folder = await makeModel(join(home, "tiny"));
    await makeShard(join(folder, "model-2.safetensors"), "a");
    const error = await refusal(readModelFiles(folder));
    expect(error.message).toContain('Tensor "a" is in both');
    expect(error.message).toContain("model-2.safetensors");
  });

  test("a damaged weight file is refused by name", async () => {
    const folder = await makeModel(join(home, "tiny"), { "model.safetensors": "no weights" });
    const error = await refusal(readModelFiles(folder));
    expect(error.code).toBe("bad_weights");
    expect(error.message).toContain(join(folder, "model.safetensors"));
  });

  test.each([
    ["none at all", {}, "has no weights (model*.safetensors)", /download the model again/],
    ["GGUF only", { "x.gguf": "" }, "only x.gguf", /mlx_lm.convert/],
    ["PyTorch only", { "pytorch_model.bin": "" }, "only pytorch_model.bin", /mlx_lm.convert/],
  ])(
    "a folder with weights of the wrong kind is refused: %s",
    async (_title, files, text, hint) => {
      const folder = await makeModel(join(home, "tiny"), { "model.safetensors": null, ...files });
      const error = await refusal(readModelFiles(folder));
      expect(error.message).toContain(text);
      expect(error.hint).toMatch(hint);
    },
  );

  test.each([
    ["is missing", null, "has no config.json"],
    ["is not JSON", "{", "config.json is not JSON"],
    ["is a list", "[]", "config.json is not a JSON object"],
    ["names no model_type", "{}", '"model_type" is missing'],
    ["has a model_type of the wrong kind", '{"model_type":3}', '"model_type" is missing'],
  ])("a folder whose config.json %s is refused", async (_title, config, reason) => {
    const folder = await makeModel(join(home, "tiny"), { "config.json": config });
    const error = await refusal(readModelFiles(folder));
    expect(error.name).toBe("ModelLoadError");
    expect(error.code).toBe("bad_config");
    expect(error.message).toContain(reason);
    expect(error.message).toContain(folder);
    expect(error.hint).toBeTruthy();
  });

  test("numbers that only Python writes are read, and words in strings left alone", async () => {
    const config = '{"model_type":"a \\"NaN\\"","limit":[0.0, Infinity, -Infinity],"none":NaN}';
    const folder = await makeModel(join(home, "tiny"), { "config.json": config });
    expect((await readModelFiles(folder)).config).toEqual({
      model_type: 'a "NaN"',
      limit: [0, Infinity, -Infinity],
      none: null,
    });
  });

  test("a generation_config.json that is not JSON is refused", async () => {
    const folder = await makeModel(join(home, "tiny"), { "generation_config.json": "x" });
    expect((await refusal(readModelFiles(folder))).message).toContain(
      "generation_config.json is not",
    );
  });
});

describe("listLocalModels", () => {
  test("lists the demo, the caches and LM Studio's folder, each name once", async () => {
    await makeHubModel(join(home, ".cache/huggingface/hub"), "org/hub");
    await makeModel(join(home, ".lmstudio/models/org/studio"));
    await makeModel(join(home, ".cache/llm-client/models/org/own"));
    await makeModel(join(home, ".lmstudio/models/org/hub"));
    const ids = (await listLocalModels({ env })).map(({ id }) => id);
    expect(ids).toEqual(["demo", "org/own", "org/hub", "org/studio"]);
  });

  test("every listed name is found again", async () => {
    await makeHubModel(join(home, ".cache/huggingface/hub"), "org/hub");
    await makeHubModel(join(home, ".cache/huggingface/hub"), "gpt2");
    await makeModel(join(home, ".lmstudio/models/org/studio"));
    const folders = [await makeModel(join(home, "given", "one")), join(home, "given")];
    await makeModel(join(home, "given", "two"));
    const search = { env, folders };
    const models = await listLocalModels(search);
    expect(models.map(({ id }) => id).sort()).toEqual([
      "demo",
      "gpt2",
      "one",
      "org/hub",
      "org/studio",
      "two",
    ]);
    for (const { id, path } of models) expect(await findModel(id, search)).toBe(path);
  });

  test("tells size, context, family and quantization", async () => {
    await makeModel(join(home, ".lmstudio/models/org/tiny"), {
      "config.json": {
        model_type: "qwen3",
        max_position_embeddings: 40960,
        quantization: { group_size: 64, bits: 4 },
      },
    });
    const [, model] = await listLocalModels({ env });
    expect(model).toEqual({
      id: "org/tiny",
      provider: "mlx",
      object: "model",
      created: expect.closeTo(Date.now() / 1000, -2),
      ownedBy: "org",
      contextLength: 40960,
      description: undefined,
      size: 16,
      quantization: "4-bit",
      family: "qwen3",
      capabilities: ["completion"],
      path: join(home, ".lmstudio/models/org/tiny"),
    });
  });

  test.each([
    [{ quantization: { bits: 8, group_size: 64, mode: "affine" } }, "8-bit"],
    [{ quantization_config: { bits: 4, group_size: 32, mode: "mxfp4" } }, "mxfp4"],
    [{}, "f32"],
  ])("names the quantization of %j as %s", async (config, expected) => {
    const files = { "config.json": { model_type: "llama", ...config } };
    await makeModel(join(home, ".lmstudio/models/org/tiny"), files);
    expect((await listLocalModels({ env }))[1]?.quantization).toBe(expected);
  });

  test("a broken model is listed with what is wrong", async () => {
    const folder = join(home, ".lmstudio/models/org/broken");
    await makeModel(folder, { "config.json": "{" });
    await makeModel(join(home, ".lmstudio/models/org/good"));
    const [, broken, good] = await listLocalModels({ env });
    expect(broken).toMatchObject({ id: "org/broken", path: folder });
    expect(broken?.description).toMatch(/^Broken: .*config\.json is not JSON/);
    expect(broken?.capabilities).toBeUndefined();
    expect(good?.description).toBeUndefined();
  });

  test("data sets, and folders with several GGUF files, are not listed", async () => {
    await mkdir(join(home, ".lmstudio/models/org/gguf"), { recursive: true });
    await writeFile(join(home, ".lmstudio/models/org/gguf/a.gguf"), "");
    await writeFile(join(home, ".lmstudio/models/org/gguf/b.gguf"), "");
    await mkdir(join(home, ".cache/huggingface/hub/datasets--org--data"), { recursive: true });
    expect((await listLocalModels({ env })).map(({ id }) => id)).toEqual(["demo"]);
  });
});
