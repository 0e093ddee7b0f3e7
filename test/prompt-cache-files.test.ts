import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LLMClient } from "../src/client.js";
import type { LLMRequest, MlxOptions } from "../src/index.js";
import { modelsFolder } from "./helpers/model-fixtures.js";
import { describeNative } from "./helpers/native.js";
import { makeTalkingModel } from "./helpers/talking-model.js";

const TEMPLATE =
  "{% for message in messages %}[{{ message.role }}] {{ message.content | trim }}\n{% endfor %}" +
  "{% if add_generation_prompt %}[assistant] {% endif %}";
const manual = "The filter is behind the lid. ";
const question = "How do I clean it?";
const PACKED = { kvBits: 8, kvGroupSize: 32, quantizedKvStart: 0 } as const;
const adapter = join(modelsFolder, "../adapters/lora");

let scratch: string;
let model: string;
let file: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "prompt-cache-files-"));
  model = await makeTalkingModel(join(scratch, "model"), {}, { template: TEMPLATE });
});
beforeEach(async () => {
  file = join(await mkdtemp(join(scratch, "files-")), "manual.safetensors");
});
afterAll(() => rm(scratch, { recursive: true }));

const open = (config = {}) => new LLMClient({ provider: "mlx", model, ...config }, { env: {} });
const asked = (messages: LLMRequest["messages"], mlx: MlxOptions = {}): LLMRequest => ({
  messages,
  temperature: 0,
  maxTokens: 12,
  providerOptions: { mlx },
});

describeNative("a prompt-cache file", () => {
  test("is gone on from as if its text and the prompt were one message", async () => {
    await using client = open({ promptCacheBytes: 0 });
    const written = await client.writePromptCache({ messages: manual, file });
    // The template trims what a message says, so that the text is open behind its last word.
    expect(written).toMatchObject({ file, model, tokens: `[user] ${manual.trim()}`.length });
    const whole = await client.generate(asked(`${manual.trim()}${question}`));
    const behind = await client.generate(asked(question, { promptCacheFile: file }));
    expect(behind.content).toBe(whole.content);
    expect(behind.warnings).toEqual([]);
    expect(behind.usage).toEqual({ ...whole.usage, cachedTokens: written.tokens });
  });

  test("is remembered by a model, for all prompts that begin with its text", async () => {
    const messages = [
      { role: "system" as const, content: "Be brief." },
      { role: "user" as const, content: manual },
    ];
    const follow = (content: string) =>
      asked([messages[0]!, { role: "user", content: `${manual.trim()}${content}` }]);
    let contents: string[];
    {
      await using client = open();
      await client.writePromptCache({ messages, file });
      contents = [(await client.generate(follow(question))).content];
    }
    await using client = open();
    const { tokens } = await client.readPromptCache({ file });
    expect(await client.readPromptCache({ file, messages })).toMatchObject({ tokens });
    const { content, usage } = await client.generate(follow(question));
    expect([content]).toEqual(contents);
    expect(usage.cachedTokens).toBe(tokens);
    expect((await client.generate(follow("Why?"))).usage.cachedTokens).toBe(tokens);
  });

  test("holds what is packed or read without a template", async () => {
    const wide = await makeTalkingModel(join(scratch, "wide"), {}, { fixture: "qwen3-wide" });
    await using client = open({ model: wide, promptCacheBytes: 0 });
    for (const mlx of [PACKED, { raw: true }]) {
      const providerOptions = { mlx };
      const { tokens } = await client.writePromptCache({ messages: manual, file, providerOptions });
      // Chunks that end where the text of the file does.
      const inChunks = { ...mlx, prefillStepSize: tokens - 1 };
      const whole = await client.generate(asked(`${manual}${question}`, inChunks));
      const options = { raw: "raw" in mlx, promptCacheFile: file };
      expect((await client.generate(asked(question, options))).content).toBe(whole.content);
    }
  });

  test.each<[string, MlxOptions, MlxOptions, RegExp]>([
    ["bits", PACKED, { kvBits: 4 }, /has a kvBits of 8, and 4 was asked for/],
    ["groups", PACKED, { kvGroupSize: 64 }, /has a kvGroupSize of 32, and 64 was asked for/],
    ["a limit", { maxKvSize: 20 }, { maxKvSize: 16 }, /has a maxKvSize of 20, and 16 was/],
    ["no limit", {}, { maxKvSize: 16 }, /has no maxKvSize, and 16 was asked for/],
  ])("with %s is refused to a request that wants others", async (_, mlx, others, reason) => {
    const wide = await makeTalkingModel(join(scratch, "wide"), {}, { fixture: "qwen3-wide" });
    await using client = open({ model: wide });
    await client.writePromptCache({ messages: manual, file, providerOptions: { mlx } });
    await expect(
      client.generate(asked(question, { ...others, promptCacheFile: file })),
    ).rejects.toMatchObject({
      code: "prompt_cache_mismatch",
      message: expect.stringMatching(reason) as string,
    });
  });

  test("of another model, or of one with an adapter, is refused by name", async () => {
    await using client = open();
    await client.writePromptCache({ messages: manual, file });
    const other = await makeTalkingModel(join(scratch, "other"), { rms_norm_eps: 0.001 });
    const behind = asked(question, { promptCacheFile: file });
    for (const request of [
      { ...behind, model: other },
      asked(question, { promptCacheFile: file, adapter }),
    ]) {
      await expect(client.generate(request)).rejects.toMatchObject({
        code: "prompt_cache_mismatch",
        url: file,
        message: expect.stringContaining(`was written with another model, ${model}`) as string,
      });
    }
    await expect(client.readPromptCache({ file, model: other })).rejects.toMatchObject({
      code: "prompt_cache_mismatch",
    });
    const adapted = { providerOptions: { mlx: { adapter } } };
    await client.writePromptCache({ messages: manual, file, ...adapted });
    const { content } = await client.generate(asked(question, { promptCacheFile: file, adapter }));
    const whole = await client.generate(asked(`${manual.trim()}${question}`, { adapter }));
    expect(content).toBe(whole.content);
  });

  test("of another text than the one that is named is refused, with the first difference", async () => {
    await using client = open();
    await client.writePromptCache({ messages: manual, file });
    const read = (messages: string) => client.readPromptCache({ file, messages });
    await expect(read("Another text")).rejects.toThrow("holds 36 tokens, but the messages have 19");
    const changed = manual.replace("lid", "lip");
    await expect(read(changed)).rejects.toMatchObject({
      code: "prompt_cache_mismatch",
      message: expect.stringContaining(`differs at token ${"[user] ".length + 28 - 1}`) as string,
    });
  });

  test("has no place for a conversation before the prompt", async () => {
    await using client = open();
    await client.writePromptCache({ messages: manual, file });
    const messages = [
      { role: "system" as const, content: "Be brief." },
      { role: "user" as const, content: question },
    ];
    await expect(client.generate(asked(messages, { promptCacheFile: file }))).rejects.toMatchObject(
      {
        code: "validation",
        message: expect.stringContaining("must be one user message, but there are 2") as string,
      },
    );
  });

  test("that is limited, or does not fit, is not remembered", async () => {
    await using client = open();
    const providerOptions = { mlx: { maxKvSize: 16 } };
    await client.writePromptCache({ messages: manual, file, providerOptions });
    await expect(client.readPromptCache({ file })).rejects.toThrow("keeps a part of its text only");
    await using small = open({ promptCacheBytes: 1 });
    await small.writePromptCache({ messages: manual, file });
    await expect(small.readPromptCache({ file })).rejects.toMatchObject({
      code: "cache_too_large",
      hint: "Raise promptCacheBytes.",
    });
  });

  test("is written whole or not at all", async () => {
    await using client = open();
    await client.writePromptCache({ messages: manual, file });
    const folder = join(file, "..");
    const write = (where: string, signal?: AbortSignal) =>
      client.writePromptCache({ messages: "Another", file: where, signal });
    await expect(write(file, AbortSignal.abort())).rejects.toMatchObject({ code: "aborted" });
    await expect(write(join(folder, "none/a.safetensors"))).rejects.toMatchObject({
      code: "prompt_cache_not_written",
      message: expect.stringContaining("none/a.safetensors cannot be written") as string,
    });
    await expect(write(join(folder, "manual.bin"))).rejects.toThrow("must end in .safetensors");
    expect(await readdir(folder)).toEqual(["manual.safetensors"]);
    // Others may not read what was said.
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await client.readPromptCache({ file, messages: manual })).toMatchObject({ tokens: 36 });
  });

  test("needs a text that the context holds, and options that mean something to it", async () => {
    await using client = open();
    await expect(
      client.writePromptCache({ messages: "long ".repeat(4000), file }),
    ).rejects.toMatchObject({ code: "context_length_exceeded" });
    const providerOptions = { mlx: { xtcProbability: 0.5 } } as object;
    await expect(
      client.writePromptCache({ messages: manual, file, providerOptions }),
    ).rejects.toThrow("xtcProbability");
    await expect(client.writePromptCache({ file } as never)).rejects.toThrow("messages");
  });
});

test("prompt-cache files are refused by providers that have none", async () => {
  await using client = new LLMClient(
    { provider: "ollama", model: "m", maxRetries: 0 },
    { env: {} },
  );
  await expect(client.writePromptCache({ messages: manual, file })).rejects.toMatchObject({
    code: "unsupported",
    message: 'Provider "ollama" does not support prompt-cache files.',
  });
  await expect(client.generate(asked(question, { promptCacheFile: file }))).rejects.toMatchObject({
    code: "unsupported",
  });
});
