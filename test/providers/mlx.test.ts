import { mkdtempSync, rmSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  AbortError,
  ConfigurationError,
  ContextLengthError,
  ModelLoadError,
  ModelNotFoundError,
  ValidationError,
} from "../../src/errors.js";
import { MlxProvider } from "../../src/providers/mlx.js";
import { makeContractSpeaker } from "../contracts/contract-speaker.js";
import {
  collect,
  describeProviderContract,
  failureOf,
  newContext,
  streamOf,
} from "../contracts/provider-contract.js";
import { describeNative } from "../helpers/native.js";
import { makeTalkingModel } from "../helpers/talking-model.js";

// Other work may keep the machine busy.
jest.setTimeout(30_000);

const places = mkdtempSync(join(tmpdir(), "mlx-provider-"));
const folder = join(places, "parrot");
const able = mkdtempSync(join(tmpdir(), "mlx-able-"));
/** A context that takes some seconds to fill. */
const LONG_CONTEXT = 30_000;

beforeAll(async () => {
  await makeTalkingModel(folder);
  await makeTalkingModel(join(places, "wide"), { max_position_embeddings: LONG_CONTEXT });
});
afterAll(() => {
  for (const place of [places, able]) rmSync(place, { recursive: true });
});

/** Waits for what must come true within some seconds. */
async function until(condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 5000; !condition(); ) {
    if (Date.now() > deadline) throw new Error(`Never came true: ${condition}`);
    await sleep(10);
  }
}

/** Of a model that could think and call tools, if it could speak. */
const ABLE_TEMPLATE =
  "{% if tools %}<tool_call>{% endif %}{% if enable_thinking %}<think>{% endif %}" +
  "{% for message in messages %}{{ message.content }}\n{% endfor %}";

describeNative("the MLX provider", (addon) => {
  describeProviderContract({
    async create() {
      await makeTalkingModel(able, {}, { template: ABLE_TEMPLATE });
      return new MlxProvider({ folder: able });
    },
    async createSpeaking() {
      return new MlxProvider({ folder: await makeContractSpeaker(join(able, "speaking")) });
    },
    lacks: {
      images: "its model cannot see",
      promptCacheFile: "it needs a file, and is tested with some of mlx-lm's",
    },
    longRequest: { messages: "Tell me a long story." },
    overlongPrompt: "long ".repeat(60),
  });

  let provider: MlxProvider;
  beforeEach(() => {
    provider = new MlxProvider({ folder: places, model: "parrot" });
  });
  afterEach(() => provider.close());

  describe("finding models", () => {
    test("a model is named by its folder, or by its name in the given folder", async () => {
      const byName = await collect(provider, { messages: "Hi", maxTokens: 8, temperature: 0 });
      const byPath = await collect(provider, {
        messages: "Hi",
        maxTokens: 8,
        temperature: 0,
        model: folder,
      });
      expect(byName.response.content).toBe(byPath.response.content);
      expect(byName.response.model).toBe("parrot");
      expect(byPath.response.model).toBe(folder);
    });

    const listed = async () => {
      const models = await provider.listModels({ signal: newContext().signal });
      return models.filter(({ path }) => path?.startsWith(places));
    };

    test("the list has the models of the folder, and it is known which are loaded", async () => {
      const [parrot, wide, ...others] = await listed();
      expect(parrot).toMatchObject({ id: "parrot", family: "llama", contextLength: 256 });
      expect([wide!.id, others]).toEqual(["wide", []]);
      const collecting = collect(provider, { messages: "Hi", maxTokens: 1 });
      expect(provider.isLoaded(parrot!)).toBe(false);
      await collecting;
      expect(provider.isLoaded(parrot!)).toBe(true);
      expect(provider.isLoaded(wide!)).toBe(false);
    });

    test("the list says which models cannot be used, and does not offer them", async () => {
      await makeTalkingModel(join(places, "t5"), { model_type: "t5" });
      const t5 = (await listed()).find(({ id }) => id === "t5");
      expect(t5).toMatchObject({ family: "t5", capabilities: [] });
      expect(t5!.description).toContain('"t5" are not supported');
      await rm(join(places, "t5"), { recursive: true });
    });

    test("a folder of models without a model's name is refused with the names", async () => {
      const unnamed = new MlxProvider({ folder: places });
      const failure = await failureOf(collect(unnamed, { messages: "Hi" }));
      expect(failure).toBeInstanceOf(ConfigurationError);
      expect(failure.message).toContain(`${places} is not a model, but a folder of models: parrot`);
      expect(failure.hint).toContain('"parrot"');
      await unnamed.close();
    });
  });

  test("a context length is known without loading the model", async () => {
    expect(await provider.contextLength("wide")).toBe(LONG_CONTEXT);
  });

  describe("loading", () => {
    test("a model can be loaded before it is used, and freed afterwards", async () => {
      const other = new MlxProvider({ folder: places, model: "parrot" });
      const info = { id: "parrot", provider: "mlx", object: "model", path: folder } as const;
      await other.loadModel(undefined, { signal: newContext().signal });
      expect(other.isLoaded(info)).toBe(true);
      await other.unloadModel("parrot");
      expect(other.isLoaded(info)).toBe(false);
      const loading = other.loadModel("nobody/has-this", { signal: newContext().signal });
      expect(await failureOf(loading)).toBeInstanceOf(ModelNotFoundError);
      await other.close();
    });

    test("calls at the same time share one load, and later calls find it", async () => {
      const before = addon.memory().active;
      const request = { messages: "Hi", maxTokens: 4 };
      await Promise.all(Array.from({ length: 6 }, () => collect(provider, request)));
      await collect(provider, request);
      // One copy of the weights, about 100 kB, once the calls have given back their own memory.
      await until(() => addon.memory().active - before < 150_000);
      expect(addon.memory().active - before).toBeGreaterThan(50_000);
    });

    test("a failed load is tried again, once the files are repaired", async () => {
      const broken = join(places, "broken");
      await makeTalkingModel(broken);
      await writeFile(join(broken, "tokenizer.json"), "{");
      const request = { messages: "Hi", maxTokens: 2, model: "broken" };
      const failure = await failureOf(collect(provider, request));
      expect(failure).toBeInstanceOf(ModelLoadError);
      expect(failure).toMatchObject({ code: "bad_tokenizer", model: "broken", provider: "mlx" });
      await makeTalkingModel(broken);
      expect((await collect(provider, request)).response.finishReason).toBe("length");
      await rm(broken, { recursive: true });
    });

    test.each([
      ["an unknown model_type", { model_type: "gpt2000" }, "unsupported_model_type", "gpt2000"],
      ["a wrong shape", { hidden_size: 64 }, "bad_weights", "model.embed_tokens.weight"],
      ["a missing tensor", { num_hidden_layers: 3 }, "bad_weights", "model.layers.2."],
      ["an unused tensor", { num_hidden_layers: 1 }, "bad_weights", "model.layers.1."],
    ])("%s is a ModelLoadError that says so", async (_, config, code, named) => {
      await makeTalkingModel(join(places, "odd"), config);
      const failure = await failureOf(collect(provider, { messages: "Hi", model: "odd" }));
      expect(failure).toBeInstanceOf(ModelLoadError);
      expect(failure.code).toBe(code);
      expect(failure.message).toContain(named);
      expect(failure.message).toContain(join(places, "odd"));
      await rm(join(places, "odd"), { recursive: true });
    });

    test("an unknown model_type is answered with the known ones", async () => {
      await makeTalkingModel(join(places, "odd"), { model_type: "gpt2000" });
      const failure = await failureOf(collect(provider, { messages: "Hi", model: "odd" }));
      for (const type of addon.modelTypes()) expect(failure.hint).toContain(type);
      await rm(join(places, "odd"), { recursive: true });
    });
  });

  describe("the prompt", () => {
    test("goes through the chat template, unless it is raw", async () => {
      const templated = await collect(provider, { messages: "Hi", maxTokens: 1 });
      const raw = await collect(provider, {
        messages: "Hi",
        maxTokens: 1,
        providerOptions: { mlx: { raw: true } },
      });
      // The template adds a line break.
      expect(templated.response.usage.promptTokens).toBe(3);
      expect(raw.response.usage.promptTokens).toBe(2);
    });

    test("a raw prompt is one user message", async () => {
      const messages = [
        { role: "system" as const, content: "Be brief." },
        { role: "user" as const, content: "Hi" },
      ];
      const request = { messages, providerOptions: { mlx: { raw: true } } };
      expect(await failureOf(collect(provider, request))).toBeInstanceOf(ValidationError);
    });

    test("goes as plain text with a warning to a model without a template", async () => {
      await makeTalkingModel(join(places, "plain"));
      await rm(join(places, "plain", "tokenizer_config.json"));
      const request = { messages: "Hi", maxTokens: 1, model: "plain" };
      const { response } = await collect(provider, request);
      expect(response.usage.promptTokens).toBe(2);
      expect(response.warnings).toEqual([expect.stringContaining("no chat template")]);
      await rm(join(places, "plain"), { recursive: true });
    });

    test("a reply ends when the context is full, and says so where it should be longer", async () => {
      const { usage, finishReason, warnings } = (
        await collect(provider, { messages: "a".repeat(200), maxTokens: 5000 })
      ).response;
      expect(finishReason).toBe("length");
      expect(usage.totalTokens).toBe(256);
      expect(warnings).toEqual([
        "maxTokens is 5000, but the context has room for 55 after the prompt",
      ]);
    });

    test("one that is far too long is refused before it is encoded as a whole", async () => {
      await collect(provider, { messages: "Hi", maxTokens: 1 });
      const start = performance.now();
      const failure = await failureOf(collect(provider, { messages: "a".repeat(4_000_000) }));
      expect(performance.now() - start).toBeLessThan(1000);
      expect(failure).toBeInstanceOf(ContextLengthError);
      expect(failure.message).toContain("at least 257 tokens");
    });

    test("a long one that nearly fits is counted exactly", async () => {
      const messages = "a".repeat(LONG_CONTEXT);
      const failure = await failureOf(collect(provider, { messages, model: "wide" }));
      expect(failure.message).toContain(`The prompt has ${LONG_CONTEXT + 1} tokens`);
    });

    test("encoding a long one leaves room for an abort", async () => {
      await collect(provider, { messages: "Hi", maxTokens: 1, model: "wide" });
      const { signal } = new AbortController();
      const timer = AbortSignal.any([signal, AbortSignal.timeout(20)]);
      const request = { messages: "a ".repeat(LONG_CONTEXT - 1), model: "wide" };
      const failure = await failureOf(collect(provider, request, newContext(timer)));
      expect(failure).toBeInstanceOf(AbortError);
    });

    test("the last prompt that fits leaves room for one token", async () => {
      const { usage } = (await collect(provider, { messages: "a".repeat(254) })).response;
      expect(usage).toMatchObject({ promptTokens: 255, completionTokens: 1 });
      const failure = await failureOf(collect(provider, { messages: "a".repeat(255) }));
      expect(failure.message).toContain("256 tokens");
    });
  });

  describe("sampling", () => {
    const reply = async (options: object) =>
      (await collect(provider, { messages: "Hi", maxTokens: 12, seed: 3, ...options })).response
        .content;

    test("generation_config.json holds where the request is silent", async () => {
      const file = join(places, "parrot", "generation_config.json");
      const greedy = await reply({ temperature: 0 });
      await writeFile(file, JSON.stringify({ top_k: 1, top_p: 7 }));
      const other = new MlxProvider({ folder });
      const request = { messages: "Hi", maxTokens: 12, seed: 3, temperature: 2 };
      expect((await collect(other, request)).response.content).toBe(greedy);
      const asked = await collect(other, { ...request, topK: 0 });
      expect(asked.response.content).not.toBe(greedy);
      await other.close();
      await rm(file);
    });

    test("an end token beyond the vocabulary is left aside", async () => {
      const file = join(places, "parrot", "generation_config.json");
      await writeFile(file, JSON.stringify({ eos_token_id: [5000, 3] }));
      const other = new MlxProvider({ folder });
      const { response } = await collect(other, { messages: "Hi", maxTokens: 3 });
      expect(response.content).not.toBe("");
      await other.close();
      await rm(file);
    });

    test("end tokens of generation_config.json end the reply", async () => {
      const greedy = await collect(provider, {
        messages: "Hi",
        maxTokens: 12,
        temperature: 0,
        logprobs: true,
      });
      const tokens = greedy.response.logprobs!.map(({ tokenId }) => tokenId!);
      const end = tokens.find(
        (token, index) => index > 2 && !tokens.slice(0, index).includes(token),
      )!;
      const file = join(places, "parrot", "generation_config.json");
      await writeFile(file, JSON.stringify({ eos_token_id: [end] }));
      const other = new MlxProvider({ folder });
      const { response } = await collect(other, { messages: "Hi", maxTokens: 12, temperature: 0 });
      await other.close();
      await rm(file);
      const length = tokens.indexOf(end);
      expect(response.content).toBe(greedy.response.content.slice(0, length));
      expect(response.finishReason).toBe("stop");
      expect(response.usage.completionTokens).toBe(length + 1);
    });

    test("guesses from the prompt or by a draft model change no text", async () => {
      const guessing = async (mlx: object) => {
        const options = { maxTokens: 80, temperature: 1, seed: 3, providerOptions: { mlx } };
        const { response } = await collect(provider, { messages: "Hello Hello", ...options });
        return { content: response.content, ...response.timings };
      };
      const plain = await guessing({ promptLookup: false });
      const lookedUp = await guessing({ promptLookup: { minNgram: 1 } });
      const drafted = await guessing({ draftModel: "wide", numDraftTokens: 2 });
      expect(plain).not.toHaveProperty("draftTokens");
      expect(lookedUp.content).toBe(plain.content);
      expect(lookedUp.draftTokens).toBeGreaterThan(0);
      expect(drafted.content).toBe(plain.content);
      expect(drafted.acceptedTokens).toBeGreaterThan(0.6 * drafted.draftTokens!);
    });

    test.each([{ draftModel: "wide" }, { promptLookup: { tokens: 4 } }])(
      "%j is refused for a model that processes share",
      async (guesses) => {
        const mlx = { distributed: true, ...guesses };
        const request = { messages: "Hi", providerOptions: { mlx } };
        const failure = await failureOf(collect(provider, request));
        expect(failure).toMatchObject({ name: "ValidationError", code: "unsupported" });
        expect(failure.message).toContain(Object.keys(guesses)[0]!);
      },
    );

    test("a draft model stays in memory beside the model", async () => {
      const mlx = { draftModel: "wide" };
      await collect(provider, { messages: "Hi", maxTokens: 2, providerOptions: { mlx } });
      const isLoaded = (path: string) =>
        provider.isLoaded({ id: "any", provider: "mlx", object: "model", path });
      expect([folder, join(places, "wide")].map(isLoaded)).toEqual([true, true]);
    });

    test("a draft model with other tokens is refused by name", async () => {
      const mlx = { draftModel: "demo" };
      const failure = await failureOf(
        collect(provider, { messages: "Hi", providerOptions: { mlx } }),
      );
      expect(failure).toBeInstanceOf(ModelLoadError);
      expect(failure).toMatchObject({ code: "draft_tokens_differ" });
      expect(failure.message).toMatch(/^The draft model in .*demo has other tokens than the model/);
    });

    test("a bias chooses the token", async () => {
      const { response } = await collect(provider, {
        messages: "Hi",
        maxTokens: 4,
        logitBias: { 5: 100 },
        logprobs: true,
      });
      expect(response.logprobs!.map(({ tokenId }) => tokenId)).toEqual([5, 5, 5, 5]);
    });

    test("a bias for a token that the model lacks is refused", async () => {
      const failure = await failureOf(collect(provider, { messages: "Hi", logitBias: { 80: 1 } }));
      expect(failure).toBeInstanceOf(ValidationError);
      expect(failure.message).toContain("token 80, but the model has only 80");
    });

    test("XTC can leave out the most probable token", async () => {
      const mlx = { xtcProbability: 1, xtcThreshold: 0 };
      const greedy = await reply({ temperature: 0 });
      const without = await reply({ temperature: 0.01, providerOptions: { mlx } });
      expect(without).not.toBe(greedy);
    });
  });

  describe("aborting", () => {
    const longPrompt = {
      messages: "x".repeat(LONG_CONTEXT - 100),
      model: "wide",
      providerOptions: { mlx: { prefillStepSize: 256 } },
    };

    test("while the model is looked for keeps it from being loaded", async () => {
      const controller = new AbortController();
      const request = { messages: "Hi", model: folder };
      const aborted = failureOf(collect(provider, request, newContext(controller.signal)));
      controller.abort();
      expect(await aborted).toBeInstanceOf(AbortError);
      await sleep(100);
      const info = { id: "parrot", provider: "mlx", object: "model", path: folder } as const;
      expect(provider.isLoaded(info)).toBe(false);
    });

    test("by closing ends the loading and frees what was loaded", async () => {
      const before = addon.memory().active;
      for (const delay of [0, 1, 2, 4, 8, 16]) {
        const other = new MlxProvider({ folder });
        const controller = new AbortController();
        const failing = collect(other, { messages: "Hi" }, newContext(controller.signal));
        const settled = failing.catch(() => {});
        await sleep(delay);
        controller.abort();
        await other.close();
        await settled;
      }
      await until(() => addon.memory().active <= before);
    });

    test("while the model loads fails at once, and the load is not lost", async () => {
      const controller = new AbortController();
      const aborted = failureOf(collect(provider, longPrompt, newContext(controller.signal)));
      setImmediate(() => controller.abort());
      expect(await aborted).toBeInstanceOf(AbortError);
      const request = { messages: "Hi", maxTokens: 2, model: "wide" };
      expect((await collect(provider, request)).response.finishReason).toBe("length");
    });

    test("while the prompt is read fails at once", async () => {
      await collect(provider, { messages: "Hi", maxTokens: 1, model: "wide" });
      const controller = new AbortController();
      const context = newContext(controller.signal);
      const events = streamOf(provider, longPrompt, context);
      const first = failureOf(events.next());
      // Encoding it takes a moment, reading it seconds.
      await sleep(300);
      const start = performance.now();
      controller.abort();
      expect(await first).toBeInstanceOf(AbortError);
      expect(performance.now() - start).toBeLessThan(100);
      // The engine is free again soon, because it stops within the prompt.
      await collect(provider, { messages: "Hi", maxTokens: 2, model: "wide" });
      expect(performance.now() - start).toBeLessThan(2000);
    });

    test("takes effect although nobody is reading", async () => {
      await collect(provider, { messages: "Hi", maxTokens: 1, model: "wide" });
      const before = addon.memory().active;
      const controller = new AbortController();
      const providerOptions = { mlx: { promptCache: false } };
      const request = { messages: "Hi", model: "wide", providerOptions };
      const events = streamOf(provider, request, newContext(controller.signal));
      await events.next();
      await events.next();
      controller.abort();
      await until(() => addon.memory().active <= before);
      expect(await failureOf(events.next())).toBeInstanceOf(AbortError);
    });

    test("hundreds of times leaves no memory behind", async () => {
      await collect(provider, { messages: "Hi", maxTokens: 1 });
      const before = addon.memory().active;
      for (let round = 0; round < 30; round++) {
        const calls = Array.from({ length: 10 }, async (_, index) => {
          const controller = new AbortController();
          setTimeout(() => controller.abort(), index % 5);
          const call = collect(provider, { messages: "Hi" }, newContext(controller.signal));
          await call.catch(() => {});
        });
        await Promise.all(calls);
      }
      await until(() => addon.memory().active < before + 10_000);
    });
  });

  test("fifty calls at once give what each gives alone", async () => {
    const request = (index: number) => ({
      messages: `Question ${index}`,
      temperature: 1,
      seed: index,
      maxTokens: 16,
    });
    const together = await Promise.all(
      Array.from({ length: 50 }, (_, index) => collect(provider, request(index))),
    );
    for (const index of [0, 17, 49]) {
      const alone = await collect(provider, request(index));
      expect(together[index]!.response.content).toBe(alone.response.content);
    }
    expect(new Set(together.map(({ response }) => response.content)).size).toBeGreaterThan(40);
  });

  test("health tells which device computes, and why a model does not work", async () => {
    const { signal } = newContext();
    expect(await provider.health({ signal })).toMatchObject({
      model: "parrot",
      modelPresent: true,
      modelLoaded: true,
      version: addon.version().mlx,
      device: { type: addon.device().type, name: addon.device().name },
    });
    const absent = new MlxProvider({ model: "nobody/has-this" });
    expect(await absent.health({ signal })).toMatchObject({
      healthy: false,
      reachable: true,
      modelPresent: false,
      code: "model_not_found",
      reason: expect.stringContaining("nobody/has-this"),
    });
  });
});
