import { ContextLengthError, LLMClient, type LLMConfig, ValidationError } from "../src/index.js";
import { failureOf } from "./helpers/chain-calls.js";
import { NO_SOURCES } from "./helpers/client-calls.js";
import { embedderFolder, embeddersFolder } from "./helpers/embedder-fixtures.js";
import { describeNative } from "./helpers/native.js";
import { type FakeLmStudio, startFakeLmStudio } from "./servers/fake-lm-studio.js";
import { type FakeOllama, startFakeOllama } from "./servers/fake-ollama.js";

function newClient(config: LLMConfig): LLMClient {
  return new LLMClient({ maxRetries: 0, ...config }, NO_SOURCES);
}

function lengthOf(vector: number[]): number {
  return Math.hypot(...vector);
}

describe("embedding on servers", () => {
  let ollama: FakeOllama;
  let lmStudio: FakeLmStudio;
  beforeEach(async () => {
    ollama = await startFakeOllama();
    lmStudio = await startFakeLmStudio();
  });
  afterEach(() => Promise.all([ollama.close(), lmStudio.close()]));

  const asked = (server: FakeOllama | FakeLmStudio) =>
    server.requests.filter(({ path }) => path.includes("embed")).map(({ json }) => json!);

  test("sends many texts in parts, and adds up what they cost", async () => {
    await using client = newClient({ provider: "ollama", baseUrl: ollama.url });
    const texts = Array.from({ length: 300 }, (_, index) => `text ${index}`);
    const response = await client.embed(texts, { model: "tiny-embed" });
    expect(response.embeddings).toHaveLength(300);
    const parts = asked(ollama).map(({ input }) => (input as string[]).length);
    expect(parts).toEqual([128, 128, 44]);
    expect(response.usage.promptTokens).toBe(300);
  });

  test("puts the prompt before each text, and keeps the first dimensions at length 1", async () => {
    await using client = newClient({ provider: "ollama", baseUrl: ollama.url });
    const { embeddings } = await client.embed(["a", "b"], {
      model: "tiny-embed",
      prompt: "query: ",
      dimensions: 1,
    });
    expect(asked(ollama)[0]).toMatchObject({ input: ["query: a", "query: b"] });
    expect(embeddings).toEqual([[1], [1]]);
  });

  test("more dimensions than there are is refused", async () => {
    await using client = newClient({ provider: "ollama", baseUrl: ollama.url });
    const failure = await failureOf(client.embed("a", { model: "tiny-embed", dimensions: 9 }));
    expect(failure).toBeInstanceOf(ValidationError);
    expect(failure.message).toBe(
      'dimensions is 9, but the vectors of "tiny-embed" have 3 numbers.',
    );
  });

  test.each([
    ["ollama", { inputType: "query" }, "inputType"],
    ["ollama", { pooling: "mean" }, "pooling"],
    ["lmstudio", { truncate: true }, "truncate"],
  ] as const)("%s refuses %j", async (provider, option, name) => {
    const { url: baseUrl } = provider === "ollama" ? ollama : lmStudio;
    await using client = newClient({ provider, baseUrl });
    const failure = await failureOf(client.embed("a", { model: "tiny-embed", ...option }));
    expect(failure).toMatchObject({
      code: "unsupported",
      message: `Provider "${provider}" does not support ${name}.`,
    });
  });

  test("another leg with the same model takes over", async () => {
    ollama.fault("bad-gateway", { on: "/api/embed" });
    const leg = {
      provider: "lmstudio",
      baseUrl: lmStudio.url,
      model: "text-embedding-tiny",
    } as const;
    await using client = newClient({
      provider: "ollama",
      baseUrl: ollama.url,
      model: "text-embedding-tiny",
      fallbackConfigs: [leg],
    });
    expect((await client.embed("a")).provider).toBe("lmstudio");
  });

  test("a leg with another model does not", async () => {
    ollama.fault("bad-gateway", { on: "/api/embed" });
    const leg = {
      provider: "lmstudio",
      baseUrl: lmStudio.url,
      model: "text-embedding-tiny",
    } as const;
    await using client = newClient({
      provider: "ollama",
      baseUrl: ollama.url,
      model: "tiny-embed",
      fallbackConfigs: [leg],
    });
    expect(await failureOf(client.embed("a"))).toMatchObject({ provider: "ollama" });
    expect(asked(lmStudio)).toEqual([]);
  });

  test("reranking is refused by name", async () => {
    await using client = newClient({
      provider: "ollama",
      baseUrl: ollama.url,
      model: "tiny-embed",
    });
    const failure = await failureOf(client.rerank("a", ["b"]));
    expect(failure).toMatchObject({
      code: "unsupported",
      message: 'Provider "ollama" does not support reranking.',
    });
  });
});

describeNative("embedding in this process", () => {
  let client: LLMClient;
  beforeAll(() => {
    client = newClient({ provider: "mlx" });
  });
  afterAll(() => client.close());

  test("keeps the first dimensions at length 1", async () => {
    const model = embedderFolder("bert");
    const { embeddings, usage } = await client.embed("river", { model, dimensions: 8 });
    expect(embeddings[0]).toHaveLength(8);
    expect(lengthOf(embeddings[0]!)).toBeCloseTo(1, 6);
    expect(usage.promptTokens).toBeGreaterThan(2);
  });

  test("a text that is too long is refused with both counts, or cut", async () => {
    const model = embedderFolder("bert");
    const texts = ["river", "river ".repeat(60)];
    const failure = await failureOf(client.embed(texts, { model }));
    expect(failure).toBeInstanceOf(ContextLengthError);
    expect(failure.message).toBe("texts[1] has 62 tokens, but the model reads 48 at most.");
    const { warnings } = await client.embed(texts, { model, truncate: true });
    expect(warnings).toEqual(["1 of 2 texts were cut to 48 tokens"]);
  });

  test("a model that is made for it generates no text", async () => {
    const model = embedderFolder("qwen3-embedding");
    const failure = await failureOf(client.generate({ model, messages: "Hi" }));
    expect(failure).toMatchObject({ code: "unsupported", hint: expect.stringContaining("embed") });
  });

  test("a model that generates embeds only if it is told how", async () => {
    const model = embedderFolder("qwen3-reranker");
    const failure = await failureOf(client.embed("river", { model }));
    expect(failure).toMatchObject({
      code: "unsupported",
      hint: expect.stringContaining('pooling: "lasttoken"'),
    });
    const { embeddings } = await client.embed("river", { model, pooling: "lasttoken" });
    expect(lengthOf(embeddings[0]!)).toBeCloseTo(1, 6);
  });

  test("a pooling other than the model's own is refused", async () => {
    const model = embedderFolder("bert");
    const failure = await failureOf(client.embed("river", { model, pooling: "max" }));
    expect(failure).toMatchObject({
      code: "unsupported",
      message: expect.stringContaining("mean"),
    });
  });

  test("a model that does not rerank is refused by name", async () => {
    const model = embedderFolder("bert");
    const failure = await failureOf(client.rerank("river", ["mill"], { model }));
    expect(failure).toMatchObject({
      code: "unsupported",
      hint: expect.stringContaining("reranker"),
    });
  });

  test("gives the best documents, with their places", async () => {
    const model = embedderFolder("xlm-roberta-reranker");
    const documents = ["The bank lends money.", "A river runs past the mill.", "money"];
    const { results } = await client.rerank("Who lends money?", documents, { model, topN: 2 });
    expect(results).toHaveLength(2);
    expect(results[0]!.score).toBeGreaterThanOrEqual(results[1]!.score);
    for (const { index, document } of results) expect(documents[index]).toBe(document);
  });

  test("ends between two batches when it is aborted", async () => {
    const work = new AbortController();
    const texts = Array.from({ length: 4000 }, (_, index) => `river ${index} and mill`);
    const embedding = client.embed(texts, {
      model: embedderFolder("bert"),
      signal: work.signal,
    });
    setTimeout(() => work.abort(), 30);
    expect(await failureOf(embedding)).toMatchObject({ code: "aborted" });
  });

  test("the list tells what models are for", async () => {
    await using listing = newClient({ provider: "mlx", baseUrl: embeddersFolder });
    const all = await listing.listModels();
    const capabilities = (id: string) => all.find((model) => model.id === id)?.capabilities;
    expect(capabilities("bert")).toEqual(["embedding"]);
    expect(capabilities("qwen3-embedding")).toEqual(["embedding"]);
    expect(capabilities("bert-reranker")).toEqual(["reranking"]);
    expect(capabilities("qwen3-reranker")).toEqual(["reranking"]);
  });
});
