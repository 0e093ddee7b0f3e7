import { findModel, pickModel, toModelInfo } from "../../src/openai/models.js";
import type { ModelInfo } from "../../src/types.js";

const model = (id: string, fields: Partial<ModelInfo> = {}): ModelInfo => ({
  id,
  provider: "lmstudio",
  object: "model",
  ...fields,
});

test("the model that is loaded is picked first, else the first that fits", () => {
  const models = [
    model("embed", { capabilities: ["embedding"], loaded: true }),
    model("one", { capabilities: ["completion"] }),
    model("two", { capabilities: ["completion"], loaded: true }),
  ];
  expect(pickModel(models, "completion")).toBe("two");
  expect(pickModel(models.slice(0, 2), "completion")).toBe("one");
  expect(pickModel(models, "embedding")).toBe("embed");
  expect(pickModel(models.slice(0, 1), "completion")).toBeUndefined();
  expect(pickModel([model("unknown")], "completion")).toBe("unknown");
});

test("a name that fits exactly is found first", () => {
  const models = [model("a/tiny"), model("tiny")];
  expect(findModel(models, "tiny")).toBe(models[1]);
  expect(findModel(models, "a/tiny@4bit")).toBe(models[0]);
  expect(findModel(models, "huge")).toBeUndefined();
});

test.each(["max_model_len", "context_length"])("the room of a model is told in %s", (field) => {
  expect(toModelInfo({ id: "tiny", [field]: 4096 }, "lmstudio")?.contextLength).toBe(4096);
});
