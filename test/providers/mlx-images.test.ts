import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadTokenizer } from "../../src/mlx/tokenizer.js";
import { MlxProvider } from "../../src/providers/mlx.js";
import type { LLMRequest, Message } from "../../src/types.js";
import { collect, failureOf, newContext } from "../contracts/provider-contract.js";
import { describeNative } from "../helpers/native.js";
import { makeTalkingModel } from "../helpers/talking-model.js";
import { pictureBytes, seeingModel, seenChat } from "../helpers/vision-fixtures.js";

// Other work may keep the machine busy.
jest.setTimeout(30_000);

describeNative("the MLX provider with images", () => {
  let places: string;
  let provider: MlxProvider;

  beforeEach(async () => {
    places = await mkdtemp(join(tmpdir(), "mlx-images-"));
    provider = new MlxProvider({ folder: places, model: seeingModel });
  });
  afterEach(async () => {
    await provider.close();
    await rm(places, { recursive: true });
  });

  const ask = async (messages: Message[], more: Partial<LLMRequest> = {}) => {
    const request = { messages, temperature: 0, maxTokens: 12, ...more };
    return (await collect(provider, request)).response;
  };
  const look = (image: string | Uint8Array, text = "What is it?"): Message[] => [
    {
      role: "user",
      content: [
        { type: "image", image },
        { type: "text", text },
      ],
    },
  ];
  const png = pictureBytes("wide.png");

  // The JPEGs of others may come out a step brighter, which is much to a random model.
  test.each(["one", "text"])("answers as transformers does: %s", async (name) => {
    const chat = seenChat(name);
    const tokenizer = await loadTokenizer(seeingModel);
    const { content, usage } = await ask(chat.messages);
    expect(content).toBe(tokenizer.decode(chat.greedy, { skipSpecialTokens: true }));
    expect(usage.promptTokens).toBe(chat.tokens.length);
  });

  test.each(["two", "second turn"])("counts the tokens of all images: %s", async (name) => {
    const chat = seenChat(name);
    expect((await ask(chat.messages)).usage.promptTokens).toBe(chat.tokens.length);
  });

  test("takes an image as a data: URL, too", async () => {
    const url = `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
    expect((await ask(look(url))).content).toBe((await ask(look(png))).content);
  });

  test("takes up a chat with the same image, and never with another one", async () => {
    const first = await ask(look(png));
    expect(first.usage.cachedTokens).toBe(0);
    const again = await ask(look(png));
    expect(again.usage.cachedTokens).toBe(first.usage.promptTokens! - 1);
    const other = await ask(look(pictureBytes("exact.png")));
    expect(other.usage.cachedTokens).toBeLessThan(first.usage.promptTokens! - 10);
    expect(other.content).not.toBe(first.content);
  });

  test("says so where it leaves a draft model out", async () => {
    const { warnings } = await ask(look(png), {
      providerOptions: { mlx: { draftModel: seeingModel } },
    });
    expect(warnings).toContain("draftModel was left out: it cannot follow a prompt with images");
  });

  test.each<[string, Message[], string]>([
    ["a place for an image in a text", look(png, "<start_of_image>"), "places for 2 images"],
    ["an image's own token in a text", look(png, "<image_soft_token>"), "5 tokens for images"],
    ["an address", look("https://example.test/cat.png"), "only as bytes or as data: URLs"],
    ["what is no image", look(Buffer.from("hello")), "is no PNG"],
  ])("refuses %s", async (_, messages, message) => {
    const failure = await failureOf(ask(messages));
    expect(failure.name).toBe("ValidationError");
    expect(failure.message).toContain(message);
  });

  test("refuses images behind a raw prompt", async () => {
    const failure = await failureOf(ask(look(png), { providerOptions: { mlx: { raw: true } } }));
    expect(failure).toMatchObject({ name: "ValidationError", code: "unsupported" });
  });

  test("refuses images for a model that only reads, which is not loaded for that", async () => {
    const folder = await makeTalkingModel(join(places, "parrot"));
    const failure = await failureOf(ask(look(png), { model: "parrot" }));
    expect(failure).toMatchObject({ name: "ValidationError", code: "unsupported" });
    expect(failure.message).toContain(`${folder} does not read images`);
    const [parrot] = await provider.listModels({ signal: newContext().signal });
    expect(provider.isLoaded(parrot!)).toBe(false);
  });

  test.each<[string, Record<string, unknown> | undefined, string]>([
    ["that is missing", undefined, "has no preprocessor_config.json"],
    ["with another size", { size: { height: 99, width: 28 } }, '"size"'],
    ["that resizes otherwise", { resample: 3 }, '"resample"'],
    ["with two means", { image_mean: [0.5, 0.5] }, '"image_mean"'],
    ["that cuts images up", { do_pan_and_scan: true }, '"do_pan_and_scan"'],
  ])("refuses a description of images %s", async (_, config, message) => {
    const model = join(places, "seeing");
    const file = join(model, "preprocessor_config.json");
    await cp(seeingModel, model, { recursive: true });
    await (config ? writeFile(file, JSON.stringify(config)) : rm(file));
    const failure = await failureOf(ask(look(png), { model: "seeing" }));
    expect(failure).toMatchObject({ name: "ModelLoadError", code: "bad_config" });
    expect(failure.message).toContain(message);
  });
});
