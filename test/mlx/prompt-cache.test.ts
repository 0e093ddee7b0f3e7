import { mkdtempSync, rmSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LLMClient, type LLMConfig, type LLMRequest, type Message } from "../../src/index.js";
import { describeNative } from "../helpers/native.js";
import { makeTalkingModel } from "../helpers/talking-model.js";

jest.setTimeout(30_000);

const places = mkdtempSync(join(tmpdir(), "prompt-cache-"));
afterAll(() => rmSync(places, { recursive: true }));

/** Each character is a token. It writes a reply otherwise than the reply begins. */
const template =
  "{% for message in messages %}{{ message.role[0] }}:{{ message.content }}\n{% endfor %}" +
  "{% if add_generation_prompt %}a:(thinks) {% endif %}";
const question: Message = { role: "user", content: "Tell me of the sea" };
const firstTurn = "u:Tell me of the sea\n";

function newClient(model: string, more: LLMConfig = {}): LLMClient {
  return new LLMClient({ provider: "mlx", model, ...more }, { configFile: false });
}

async function ask(client: LLMClient, messages: Message[], more: Partial<LLMRequest> = {}) {
  return client.generate({ messages, temperature: 0, maxTokens: 12, ...more, stream: false });
}

describeNative("the prompt cache", () => {
  describe.each([
    ["llama", "a:"],
    ["gemma3_text", ""],
    ["qwen3_next", ""],
  ])("of a %s", (fixture, common) => {
    const folder = join(places, fixture);
    beforeAll(() => makeTalkingModel(folder, {}, { fixture, template }));

    test("serves the next turn of a chat whose template writes replies otherwise", async () => {
      await using client = newClient(folder);
      const first = await ask(client, [question]);
      expect(first.usage.cachedTokens).toBe(0);
      const chat: Message[] = [
        question,
        { role: "assistant", content: first.content },
        { role: "user", content: "And then?" },
      ];
      const second = await ask(client, chat);
      expect(second.usage.cachedTokens).toBeGreaterThanOrEqual(firstTurn.length + common.length);
      const { usage, content } = await ask(client, chat, {
        providerOptions: { mlx: { promptCache: false } },
      });
      expect(usage.cachedTokens).toBe(0);
      expect(second.content).toBe(content);
    });

    test("holds nothing where it is turned off", async () => {
      await using client = newClient(folder, { promptCacheBytes: 0 });
      await ask(client, [question]);
      expect((await ask(client, [question])).usage.cachedTokens).toBe(0);
    });
  });

  describe("in a folder", () => {
    const models = ["one", "two"].map((name) => join(places, name));
    const promptCacheFolder = join(places, "kept", "prompts");
    const cached = async (model: string, more: LLMConfig = {}) => {
      await using client = newClient(model, { promptCacheFolder, ...more });
      return (await ask(client, [question])).usage.cachedTokens;
    };

    test("serves later clients of the same model", async () => {
      for (const model of models) await makeTalkingModel(model, {}, { template });
      expect(await cached(models[0]!)).toBe(0);
      const all = firstTurn.length + "a:(thinks) ".length - 1;
      expect(await cached(models[0]!)).toBe(all);
      // The same weights under another name.
      expect(await cached(models[1]!)).toBe(all);
      expect(await cached(models[0]!, { promptCacheBytes: 0 })).toBe(0);
    });

    test("serves no client of other weights", async () => {
      const file = join(models[1]!, "model.safetensors");
      const bytes = await readFile(file);
      bytes[bytes.length - 1]! ^= 1;
      await writeFile(file, bytes);
      expect(await cached(models[1]!)).toBe(0);
      expect(await cached(models[0]!)).toBeGreaterThan(0);
    });

    test("is refused where nothing can be kept", async () => {
      const file = join(models[0]!, "config.json");
      const failure = cached(models[0]!, { promptCacheFolder: file });
      await expect(failure).rejects.toThrow(`promptCacheFolder is ${JSON.stringify(file)}`);
    });
  });

  test("serves a template that knows no other end than that of a prompt", async () => {
    const folder = join(places, "strict");
    const strict = `{% if not add_generation_prompt %}{{ raise_exception("no") }}{% endif %}${template}`;
    await makeTalkingModel(folder, {}, { fixture: "qwen3_next", template: strict });
    await using client = newClient(folder);
    await ask(client, [question]);
    const { usage } = await ask(client, [question]);
    expect(usage.cachedTokens).toBe((usage.promptTokens ?? 0) - 1);
  });

  test("counts only what was read in the speed of reading", async () => {
    const folder = join(places, "fast");
    await makeTalkingModel(folder, { max_position_embeddings: 4096 }, { template });
    await using client = newClient(folder);
    const long: Message[] = [{ role: "user", content: "the sea ".repeat(400) }];
    await ask(client, long);
    const { timings, usage } = await ask(client, long);
    expect(usage.promptTokens).toBeGreaterThan(3000);
    // One token was read: with all others counted the speed would be in the hundred thousands.
    expect(timings.promptTokensPerSecond).toBeLessThan(3000);
  });
});
