import { LLMClient } from "../../src/index.js";
import {
  embedderFolder,
  embedderNames,
  embeddingCases,
  rerankingCases,
} from "../helpers/embedder-fixtures.js";
import { NO_SOURCES } from "../helpers/client-calls.js";
import { describeNative } from "../helpers/native.js";

const TOLERANCE = 1e-4;

function difference(one: number[][], other: number[][]): number {
  expect(one.map(({ length }) => length)).toEqual(other.map(({ length }) => length));
  const distances = one.flatMap((row, i) => row.map((value, j) => Math.abs(value - other[i]![j]!)));
  return Math.max(...distances);
}

describeNative("in this process", () => {
  let client: LLMClient;
  beforeAll(() => {
    client = new LLMClient({ provider: "mlx" }, NO_SOURCES);
  });
  afterAll(() => client.close());

  describe.each(embedderNames("embedding"))("%s", (name) => {
    const model = embedderFolder(name);

    test.each(embeddingCases(name))(
      "gives the reference's vectors with $options",
      async (given) => {
        const { embeddings } = await client.embed(given.texts, { model, ...given.options });
        expect(difference(embeddings, given.vectors)).toBeLessThan(TOLERANCE);
      },
    );

    test("gives each text the vector that it has alone", async () => {
      const { texts, vectors } = embeddingCases(name)[0]!;
      const alone: number[][] = [];
      for (const text of texts) alone.push(...(await client.embed(text, { model })).embeddings);
      expect(difference(alone, vectors)).toBeLessThan(TOLERANCE);
    });
  });

  test.each(embedderNames("reranking"))("%s scores as the reference", async (name) => {
    for (const { query, documents, options, scores } of rerankingCases(name)) {
      const { results } = await client.rerank(query, documents, {
        model: embedderFolder(name),
        ...options,
      });
      const given = [...results].sort((a, b) => a.index - b.index).map(({ score }) => [score]);
      const wanted = scores.map((score) => [score]);
      expect(difference(given, wanted)).toBeLessThan(TOLERANCE);
    }
  });
});
