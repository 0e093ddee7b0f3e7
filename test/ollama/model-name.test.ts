import { ModelNotFoundError } from "../../src/errors.js";
import { isSameModel, namespaceOf, servedModel } from "../../src/ollama/model-name.js";

test.each([
  ["llama3.2", "library"],
  ["llama3.2:1b", "library"],
  ["someone/model:q4", "someone"],
  ["hf.co/someone/model-GGUF:Q4_K_M", "someone"],
])("%s is a model of %s", (name, namespace) => {
  expect(namespaceOf(name)).toBe(namespace);
});

test.each([
  ["llama3.2", "llama3.2"],
  ["llama3.2", "llama3.2:latest"],
  ["llama3.2", "library/llama3.2:latest"],
  ["llama3.2", "registry.ollama.ai/library/llama3.2:latest"],
  ["Someone/Model:Q4", "someone/model:q4"],
  ["https://hf.co/someone/model:Q4", "hf.co/someone/model:Q4"],
  ["gpt-oss:120b-cloud", "gpt-oss:120b"],
  ["kimi-k2:cloud", "kimi-k2"],
])("%s is the same model as %s", (one, other) => {
  expect(isSameModel(one, other)).toBe(true);
  expect(isSameModel(other, one)).toBe(true);
});

test.each([
  ["llama3.2", "llama3.1"],
  ["llama3.2:1b", "llama3.2"],
  ["someone/llama3.2", "llama3.2"],
  ["hf.co/someone/model", "someone/model"],
  ["latest", "late"],
])("%s is another model than %s", (one, other) => {
  expect(isSameModel(one, other)).toBe(false);
  expect(isSameModel(other, one)).toBe(false);
});

describe("the model that answered", () => {
  const where = { provider: "ollama", url: "http://localhost:11434", secret: "key" } as const;

  test("is named as the server names it", () => {
    expect(servedModel({ model: "llama3.2:latest" }, "llama3.2", where)).toBe("llama3.2:latest");
    expect(servedModel({}, "llama3.2", where)).toBe("llama3.2");
  });

  test("must be the one that was asked for", () => {
    const serve = () => servedModel({ model: "qwen3" }, "llama3.2", where);
    expect(serve).toThrow(ModelNotFoundError);
    expect(serve).toThrow('Ollama was asked for "llama3.2", but "qwen3" answered.');
    const { secret: _secret, ...shown } = where;
    expect(serve).toThrow(
      expect.objectContaining({ code: "model_mismatch", model: "llama3.2", ...shown }),
    );
    expect(serve).toThrow(expect.not.objectContaining({ secret: "key" }));
  });
});
