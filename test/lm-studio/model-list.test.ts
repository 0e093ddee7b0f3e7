import { ProtocolError } from "../../src/errors.js";
import { findListed, listSources } from "../../src/lm-studio/model-list.js";

const WHERE = { provider: "lmstudio", url: "http://localhost:1234" } as const;
const [VERSION_1, VERSION_0, PLAIN] = listSources("/v1/models");

const QWEN = {
  type: "llm",
  publisher: "qwen",
  key: "qwen/qwen3-8b",
  display_name: "Qwen3 8B",
  architecture: "qwen3",
  quantization: { name: "Q4_K_M", bits_per_weight: 4 },
  size_bytes: 5_027_784_512,
  params_string: "8B",
  loaded_instances: [{ id: "qwen/qwen3-8b:2", config: { context_length: 8192, parallel: 4 } }],
  max_context_length: 40_960,
  format: "gguf",
  capabilities: {
    vision: true,
    trained_for_tool_use: true,
    reasoning: { allowed_options: ["off", "on"], default: "on" },
  },
};

describe("the list of LM Studio 0.4", () => {
  test("tells all of a model, and what it was loaded with", () => {
    expect(VERSION_1!.read({ models: [QWEN] }, WHERE)).toEqual([
      {
        info: {
          id: "qwen/qwen3-8b",
          provider: "lmstudio",
          object: "model",
          ownedBy: "qwen",
          contextLength: 8192,
          description: "Qwen3 8B",
          size: 5_027_784_512,
          quantization: "4-bit",
          family: "qwen3",
          capabilities: ["completion", "vision", "tools", "thinking"],
          loaded: true,
        },
        instances: ["qwen/qwen3-8b:2"],
      },
    ]);
  });

  test("tells what a model could hold while it is not loaded", () => {
    const [model] = VERSION_1!.read({ models: [{ ...QWEN, loaded_instances: [] }] }, WHERE);
    expect(model).toMatchObject({ info: { contextLength: 40_960, loaded: false }, instances: [] });
  });

  test("has models for embeddings, and quantizations without bits", () => {
    const quantization = { name: "F16", bits_per_weight: null };
    const embedding = { ...QWEN, type: "embedding", quantization, capabilities: undefined };
    const [model] = VERSION_1!.read({ models: [embedding] }, WHERE);
    expect(model!.info).toMatchObject({ capabilities: ["embedding"], quantization: "F16" });
  });

  test("may leave out anything but the key", () => {
    const read = VERSION_1!.read({ models: [{ key: "x" }, { type: "llm" }, null, "y"] }, WHERE);
    expect(read).toMatchObject([{ info: { id: "x", loaded: false }, instances: [] }]);
  });
});

describe("the list of LM Studio 0.3", () => {
  const model = {
    id: "qwen2-vl-7b",
    object: "model",
    type: "vlm",
    publisher: "mlx-community",
    arch: "qwen2_vl",
    compatibility_type: "mlx",
    quantization: "4bit",
    state: "not-loaded",
    max_context_length: 32_768,
    capabilities: ["tool_use"],
  };

  test("tells less", () => {
    expect(VERSION_0!.read({ data: [model] }, WHERE)).toMatchObject([
      {
        info: {
          id: "qwen2-vl-7b",
          ownedBy: "mlx-community",
          contextLength: 32_768,
          quantization: "4-bit",
          family: "qwen2_vl",
          capabilities: ["completion", "vision", "tools"],
          loaded: false,
        },
        instances: [],
      },
    ]);
  });

  test("tells what is loaded", () => {
    const loaded = { ...model, type: "llm", state: "loaded", loaded_context_length: 4096 };
    expect(VERSION_0!.read({ data: [loaded] }, WHERE)).toMatchObject([
      { info: { loaded: true, contextLength: 4096 }, instances: ["qwen2-vl-7b"] },
    ]);
  });
});

test("the list of other servers has names, and perhaps lengths of contexts", () => {
  const data = [
    { id: "gpt-x", object: "model", created: 5, owned_by: "them", max_model_len: 100 },
    { id: "text-embedding-x" },
  ];
  expect(PLAIN!.read({ data }, WHERE).map(({ info }) => info)).toMatchObject([
    { id: "gpt-x", created: 5, ownedBy: "them", contextLength: 100 },
    { id: "text-embedding-x", capabilities: ["embedding"] },
  ]);
});

test.each([{}, { data: null }, [], "no", null])("%j is no list", (body) => {
  for (const source of [VERSION_1!, VERSION_0!, PLAIN!]) {
    expect(() => source.read(body, WHERE)).toThrow(ProtocolError);
  }
});

test("a model is found by its key, by an instance, and without its publisher", () => {
  const [model] = VERSION_1!.read({ models: [QWEN] }, WHERE);
  const other = { ...model!, info: { ...model!.info, id: "mine/qwen3-8b" }, instances: ["mine"] };
  const models = [other, model!];
  expect(findListed(models, "qwen/qwen3-8b")).toBe(model);
  expect(findListed(models, "qwen/qwen3-8b:2")).toBe(model);
  expect(findListed(models, "mine")).toBe(other);
  expect(findListed(models, "qwen3-8b")).toBe(other);
  expect(findListed(models, "qwen3-4b")).toBeUndefined();
});
