import { ModelNotFoundError, ProtocolError } from "../../src/errors.js";
import { toEmbeddings } from "../../src/openai/embeddings.js";

const WHERE = { provider: "lmstudio", url: "http://localhost:1234", model: "embed" } as const;

test("vectors come in the order of the texts", () => {
  const data = [
    { index: 1, embedding: [2, 2] },
    { index: 0, embedding: [1, 1] },
  ];
  const usage = { prompt_tokens: 4, total_tokens: 4 };
  expect(toEmbeddings({ data, model: "embed", usage }, 2, "embed", WHERE)).toEqual({
    embeddings: [
      [1, 1],
      [2, 2],
    ],
    model: "embed",
    provider: "lmstudio",
    usage: { promptTokens: 4, totalTokens: 4 },
    warnings: [],
  });
});

test("vectors without places stand in their order", () => {
  const body = { data: [{ embedding: [1] }, { embedding: [2] }] };
  expect(toEmbeddings(body, 2, "embed", WHERE)).toMatchObject({
    embeddings: [[1], [2]],
    model: "embed",
    usage: {},
  });
});

test.each([
  ["too few", [{ index: 0, embedding: [1] }]],
  ["too many", [1, 2, 3].map(() => ({ embedding: [1] }))],
  ["two for one text", [1, 2].map(() => ({ index: 0, embedding: [1] }))],
  ["one that is empty", [{ embedding: [] }, { embedding: [1] }]],
  ["one with something else in it", [{ embedding: [1] }, { embedding: ["2"] }]],
  ["one in base64", [{ embedding: "AAAA" }, { embedding: "AAAA" }]],
  ["none", undefined],
  ["one for a place that does not exist", [{ embedding: [1] }, { index: 1e9, embedding: [1] }]],
])("%s are refused", (_name, data) => {
  const read = () => toEmbeddings({ data }, 2, "embed", WHERE);
  expect(read).toThrow(ProtocolError);
  expect(read).toThrow("one vector for each of 2 texts");
});

test("vectors of another model are refused", () => {
  const body = { data: [{ embedding: [1] }], model: "another" };
  const read = () => toEmbeddings(body, 1, "embed", WHERE);
  expect(read).toThrow(ModelNotFoundError);
  expect(read).toThrow(expect.objectContaining({ code: "model_mismatch", model: "embed" }));
});
