import type { LoadedModel } from "../../src/mlx/model.js";
import { toNativeSampling } from "../../src/mlx/sampling.js";
import { checkRequest } from "../../src/request.js";
import type { LLMRequest } from "../../src/types.js";

function samplingOf(fields: Partial<LLMRequest>, generationConfig: object = {}) {
  const model = {
    files: { generationConfig },
    native: { vocabSize: 50 },
    tokenizer: { encode: () => [10] },
    stopTokens: [2, 3],
  } as unknown as LoadedModel;
  return toNativeSampling(checkRequest({ messages: "Hi", ...fields }), model, 7);
}

test("without options only the temperature is set", () => {
  const { maxTokens, stopTokens, temperature, logprobs, topLogprobs, promptLookup, mtp, ...rest } =
    samplingOf({});
  expect({ maxTokens, stopTokens, temperature }).toEqual({
    maxTokens: 7,
    stopTokens: [2, 3],
    temperature: 0.7,
  });
  expect({ logprobs, topLogprobs }).toEqual({ logprobs: false, topLogprobs: 0 });
  expect({ promptLookup, mtp }).toEqual({ promptLookup: {}, mtp: {} });
  expect(Object.values(rest).every((value) => value === undefined)).toBe(true);
});

test("every option goes through", () => {
  const options = {
    temperature: 1.5,
    topP: 0.9,
    topK: 40,
    minP: 0.05,
    repetitionPenalty: 1.1,
    presencePenalty: 0.2,
    frequencyPenalty: 0.3,
    seed: 42,
    topLogprobs: 5,
  };
  const mlx = { repetitionContextSize: 64, penaltyContextSize: 20 };
  expect(samplingOf({ ...options, providerOptions: { mlx } })).toMatchObject({
    ...options,
    ...mlx,
    logprobs: true,
  });
});

test.each([
  [undefined, {}],
  [true, {}],
  [false, undefined],
  [{ minNgram: 2 }, { minNgram: 2, always: true }],
])("promptLookup %j looks up %j", (promptLookup, expected) => {
  const mlx = { promptLookup, numDraftTokens: 5 };
  const sampling = samplingOf({ providerOptions: { mlx } });
  expect(sampling.promptLookup).toEqual(expected);
  expect(sampling.numDraftTokens).toBe(5);
});

test("the model's own head guesses unless told otherwise", () => {
  const guessing = (mtp?: boolean) => samplingOf({ providerOptions: { mlx: { mtp } } }).mtp;
  expect([guessing(), guessing(true), guessing(false)]).toEqual([{}, {}, undefined]);
});

test("a limited cache is not combined with guesses", () => {
  const limited = (mlx: object) =>
    samplingOf({ providerOptions: { mlx: { ...mlx, maxKvSize: 64 } } });
  expect(limited({}).promptLookup).toBeUndefined();
  expect(() => limited({ draftModel: "small" })).toThrow(
    "maxKvSize cannot be combined with draftModel",
  );
  expect(() => limited({ promptLookup: {} })).toThrow(
    "maxKvSize cannot be combined with promptLookup",
  );
});

test("a bias becomes pairs of numbers", () => {
  expect(samplingOf({ logitBias: { 5: -100, 49: 2.5 } }).logitBias).toEqual([
    [5, -100],
    [49, 2.5],
  ]);
});

test("XTC leaves line breaks and end tokens alone", () => {
  const mlx = { xtcProbability: 0.5, xtcThreshold: 0.1 };
  expect(samplingOf({ providerOptions: { mlx } })).toMatchObject({
    ...mlx,
    xtcSpecialTokens: [10, 2, 3],
  });
});

test("generation_config.json fills in top_p, top_k and min_p, but nothing else", () => {
  const generationConfig = { top_p: 0.8, top_k: 20, min_p: 0.1, temperature: 0.1 };
  const filled = { topP: 0.8, topK: 20, minP: 0.1, temperature: 0.7 };
  expect(samplingOf({}, generationConfig)).toMatchObject(filled);
  const asked = { topP: 1, topK: 0, minP: 0, temperature: 0.2 };
  expect(samplingOf(asked, generationConfig)).toMatchObject(asked);
});

test("what makes no sense in generation_config.json is left out", () => {
  const generationConfig = { top_p: 7, top_k: -1, min_p: "low" };
  const { topP, topK, minP } = samplingOf({}, generationConfig);
  expect({ topP, topK, minP }).toEqual({ topP: undefined, topK: undefined, minP: undefined });
});

test("no more tokens are asked for than the model has", () => {
  expect(samplingOf({ topK: 1000 }).topK).toBe(50);
});
