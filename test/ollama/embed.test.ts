import { embed } from "../../src/ollama/embed.js";
import { OllamaServer } from "../../src/ollama/server.js";
import { failureOf } from "../contracts/provider-contract.js";
import { type FakeOllama, startFakeOllama } from "../servers/fake-ollama.js";

const { signal } = new AbortController();
let fake: FakeOllama;
let server: OllamaServer;

beforeEach(async () => {
  fake = await startFakeOllama();
  server = new OllamaServer({ baseUrl: fake.url, connectTimeout: 3, verifySsl: true });
});

afterEach(async () => {
  await server.close();
  await fake.close();
});

describe("embedding", () => {
  test("gives one vector for each text, in their order", async () => {
    expect(await embed(server, "tiny-embed", { texts: ["a", "bb"] }, signal)).toEqual({
      embeddings: [
        [0.6, 0.8, 0],
        [0.6, -0.8, 0],
      ],
      model: "tiny-embed",
      provider: "ollama",
      usage: { promptTokens: 2, totalTokens: 2 },
      warnings: [],
    });
    expect(fake.requests[0]!.json).toEqual({
      model: "tiny-embed",
      input: ["a", "bb"],
      truncate: false,
    });
  });

  test("lets Ollama cut texts where that is wanted, and says so", async () => {
    const question = { texts: ["a"], truncate: true };
    const { warnings } = await embed(server, "tiny-embed", question, signal);
    expect(warnings).toEqual(["Ollama cuts texts that are too long, and does not say which"]);
    expect(fake.requests[0]!.json).toMatchObject({ truncate: true });
  });

  test("fails where a vector is missing", async () => {
    // Ollama itself leaves out texts that are empty.
    const error = await failureOf(embed(server, "tiny-embed", { texts: ["a", ""] }, signal));
    expect(error).toMatchObject({
      code: "protocol",
      message: "Ollama did not give one vector for each of 2 texts.",
    });
  });

  test.each(["wrong-shape", "html", "other-model"] as const)("fails for %s", async (fault) => {
    fake.fault(fault, { on: "/api/embed" });
    const error = await failureOf(embed(server, "tiny-embed", { texts: ["a"] }, signal));
    expect(error).toMatchObject({
      code: fault === "other-model" ? "model_mismatch" : "protocol",
      model: "tiny-embed",
    });
  });
});
