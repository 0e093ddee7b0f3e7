import { LLMClient, ValidationError } from "../src/index.js";
import { failureOf } from "./helpers/chain-calls.js";
import { NO_SOURCES } from "./helpers/client-calls.js";

type Question = (client: LLMClient) => Promise<unknown>;

/** What only a caller without types can ask. */
const wrong = (value: unknown) => value as never;

describe("a question that is wrong", () => {
  test.each<[string, Question]>([
    ["useCache is 1, but must be true or false", (c) => c.listModels(wrong({ useCache: 1 }))],
    ["usecache is not a known field", (c) => c.listModels(wrong({ usecache: false }))],
    ["model is 5, but must be the name of a model", (c) => c.loadModel(wrong(5))],
    [
      'signal is "no", but must be an AbortSignal',
      (c) => c.loadModel("m", wrong({ signal: "no" })),
    ],
    ["timeout is not a known field", (c) => c.unloadModel("m", wrong({ timeout: 1 }))],
    [
      "model is missing, but must be the name of a model",
      (c) => c.pullModel(wrong(undefined)).next(),
    ],
    ["texts is [], but must be a text, or a list of texts", (c) => c.embed([], wrong(null))],
    ["texts[1] is 5, but must be", (c) => c.embed(wrong(["a", 5]))],
    ["modle is not a known field", (c) => c.embed("a", wrong({ modle: "m" }))],
  ])("is told: %s", async (reason, ask) => {
    await using client = new LLMClient({ provider: "ollama" }, NO_SOURCES);
    const error = await failureOf(ask(client));
    expect(error).toBeInstanceOf(ValidationError);
    expect(error.message).toContain(reason);
  });
});
