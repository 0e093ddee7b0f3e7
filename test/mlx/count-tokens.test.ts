import { join } from "node:path";
import { LLMClient, type LLMRequest, type Tool, ValidationError } from "../../src/index.js";
import { loadTexts } from "../../src/mlx/model.js";
import { NO_SOURCES } from "../helpers/client-calls.js";
import { root } from "../helpers/markdown.js";
import { describeNative } from "../helpers/native.js";

const messages = "What is 7 + 5?";
const TOOL: Tool = { type: "function", function: { name: "add", parameters: { type: "object" } } };
const IMAGE = { type: "image" as const, image: "data:image/png;base64,AA==" };

describeNative("countTokens", () => {
  let client: LLMClient;
  beforeAll(() => {
    client = new LLMClient({ provider: "mlx", model: "demo" }, NO_SOURCES);
  });
  afterAll(() => client.close());

  const isLoaded = async () =>
    (await client.listModels({ useCache: false })).find(({ id }) => id === "demo")?.loaded;

  test("counts what a reply's usage counts, without the weights, and with them", async () => {
    const request: LLMRequest = {
      messages: [
        { role: "system", content: "You answer briefly." },
        { role: "user", content: messages },
      ],
    };
    const count = await client.countTokens(request);
    expect(await isLoaded()).toBe(false);
    const { usage } = await client.generate({ ...request, maxTokens: 1 });
    expect(usage.promptTokens).toBe(count);
    expect(await isLoaded()).toBe(true);
    expect(await client.countTokens(request)).toBe(count);
  });

  test("counts tools, unless they must not be called", async () => {
    const without = await client.countTokens(messages);
    expect(await client.countTokens({ messages, tools: [TOOL] })).toBeGreaterThan(without);
    const forbidden: LLMRequest = { messages, tools: [TOOL], toolChoice: "none" };
    expect(await client.countTokens(forbidden)).toBe(without);
  });

  test("counts a raw prompt as it is", async () => {
    const { tokenizer } = await loadTexts(join(root, "models/demo"));
    const raw = { messages, providerOptions: { mlx: { raw: true } } };
    expect(await client.countTokens(raw)).toBe(tokenizer.encode(messages).length);
  });

  test.each<[string, LLMRequest, string]>([
    ["images", { messages: [{ role: "user", content: [IMAGE] }] }, "images cannot be counted"],
    ["what is no request", { messages, temperature: 9 }, "temperature"],
  ])("refuses %s", async (_, request, reason) => {
    const refused = client.countTokens(request);
    await expect(refused).rejects.toThrow(ValidationError);
    await expect(refused).rejects.toThrow(reason);
  });

  test("tells of a prompt that is too long as a request does", async () => {
    const refused = client.countTokens("river ".repeat(20_000));
    await expect(refused).rejects.toMatchObject({ code: "context_length_exceeded" });
  });
});

test("is refused by name where the provider cannot count", async () => {
  await using client = new LLMClient({ provider: "ollama" }, NO_SOURCES);
  await expect(client.countTokens(messages)).rejects.toMatchObject({
    code: "unsupported",
    message: 'Provider "ollama" does not support counting tokens.',
  });
});
