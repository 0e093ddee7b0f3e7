import { contextLengthOf, toModelInfo } from "../../src/ollama/model-info.js";

const entry = {
  name: "llama3.2:latest",
  model: "llama3.2:latest",
  modified_at: "2025-02-03T04:05:06.789012345+01:00",
  size: 2019393189,
  digest: "a80c4f17acd5",
  details: {
    parent_model: "",
    format: "gguf",
    family: "llama",
    families: ["llama"],
    parameter_size: "3.2B",
    quantization_level: "Q4_K_M",
    context_length: 131072,
  },
  capabilities: ["completion", "tools"],
};

describe("a model", () => {
  test("is described with what Ollama tells of it", () => {
    expect(toModelInfo(entry, [])).toEqual({
      id: "llama3.2:latest",
      provider: "ollama",
      object: "model",
      created: Date.UTC(2025, 1, 3, 3, 5, 6) / 1000,
      ownedBy: "library",
      contextLength: 131072,
      size: 2019393189,
      quantization: "Q4_K_M",
      family: "llama",
      capabilities: ["completion", "tools"],
      loaded: false,
    });
  });

  test("in memory has the context that it was loaded with", () => {
    const running = [{ model: "other:latest" }, { name: "llama3.2", context_length: 4096 }];
    expect(toModelInfo(entry, running)).toMatchObject({ loaded: true, contextLength: 4096 });
  });

  test("in the cloud says so", () => {
    const cloud = { model: "someone/gpt:cloud", remote_host: "https://ollama.com:443" };
    expect(toModelInfo(cloud, [])).toEqual({
      id: "someone/gpt:cloud",
      provider: "ollama",
      object: "model",
      ownedBy: "someone",
      description: "Runs at https://ollama.com:443",
      loaded: false,
    });
  });

  test("of which everything but the name is nonsense is still a model", () => {
    const odd = { name: "x", modified_at: "then", size: -1, details: [], capabilities: "all" };
    expect(toModelInfo(odd, [])).toEqual({
      id: "x",
      provider: "ollama",
      object: "model",
      ownedBy: "library",
      loaded: false,
    });
  });

  test("without a name is none", () => {
    expect(toModelInfo({ size: 1 }, [])).toBeUndefined();
    expect(toModelInfo({ name: "", model: 5 }, [])).toBeUndefined();
  });
});

test.each([
  ["its training", { "llama.context_length": 8192 }, undefined, 8192],
  ["its Modelfile", { "llama.context_length": 8192 }, 'stop    "x"\nnum_ctx    256', 256],
  ["its training, where that is less", { "llama.context_length": 512 }, "num_ctx 4096", 512],
  ["its Modelfile alone", {}, "num_ctx                        4096", 4096],
  ["nothing", {}, 'stop "num_ctx"', undefined],
  ["nothing that makes sense", { "llama.context_length": "many" }, undefined, undefined],
])("the context of a model comes from %s", (_from, info, parameters, expected) => {
  const model_info = { "general.architecture": "llama", "qwen.context_length": 7, ...info };
  expect(contextLengthOf({ model_info, parameters })).toBe(expected);
});
