import type { NativeModel } from "../../src/mlx/native-types.js";
import {
  fixtureFolder,
  generateAll,
  largestDifference,
  loadFolder,
  readJson,
  weightFilesOf,
} from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";
import { chats, imagesOf, LOGITS_STEP, seeingModel, seenChat } from "../helpers/vision-fixtures.js";

describeNative("a model that sees", (addon) => {
  let model: NativeModel;

  beforeEach(async () => {
    model = await loadFolder(addon, seeingModel);
  });
  afterEach(() => model.close());

  function answer(name: string, sampling = {}) {
    const chat = seenChat(name);
    const images = imagesOf(chat, model);
    return generateAll(model, chat.tokens, { maxTokens: chat.greedy.length, images, ...sampling });
  }

  test("says how large images are and how many tokens stand for one", () => {
    expect(model).toMatchObject({ imageSize: 28, imageTokens: 4 });
  });

  test.each(chats)("computes what transformers does: %s", async (name) => {
    const chat = seenChat(name);
    const session = model.session();
    const logits = await session.logits(chat.tokens, imagesOf(chat, model));
    session.close();
    const size = model.vocabSize;
    const kept = logits.filter((_, place) => Math.floor(place / size) % LOGITS_STEP === 0);
    expect(largestDifference(kept, chat.logits)).toBeLessThan(2e-4);
  });

  // Chunks end before an image or behind it: 1 and 3 tokens are less than one has.
  test.each([2048, 7, 3, 1])("replies as transformers does, by steps of %d", async (step) => {
    for (const name of chats) {
      const { tokens, stats } = await answer(name, { prefillStepSize: step });
      expect(tokens).toEqual(seenChat(name).greedy);
      expect(stats.promptTokens).toBe(seenChat(name).tokens.length);
    }
  });

  test("replies to several at once, with pictures and without", async () => {
    const replies = await Promise.all(chats.map((name) => answer(name)));
    expect(replies.map(({ tokens }) => tokens)).toEqual(chats.map((name) => seenChat(name).greedy));
  });

  test("draws on the prompt for what it guesses ahead, and says the same", async () => {
    const { tokens } = await answer("two", { promptLookup: { minNgram: 1, always: true } });
    expect(tokens).toEqual(seenChat("two").greedy);
  });

  describe("that remembers prompts", () => {
    beforeEach(() => model.limitPromptCache({ bytes: 2 ** 30 }));

    test("takes up a text with the same picture", async () => {
      await answer("one");
      const { tokens, stats } = await answer("one");
      expect(tokens).toEqual(seenChat("one").greedy);
      expect(stats.cachedTokens).toBe(seenChat("one").tokens.length - 1);
    });

    test("never takes up the same tokens with another picture", async () => {
      const chat = seenChat("one");
      const [image] = imagesOf(chat, model);
      const [other] = imagesOf(seenChat("second turn"), model);
      const changed = [{ ...other!, start: image!.start }];
      const alone = await answer("one", { images: changed, promptCache: false });
      await answer("one");
      const { tokens, stats } = await answer("one", { images: changed });
      expect(tokens).toEqual(alone.tokens);
      expect(tokens).not.toEqual(chat.greedy);
      expect(stats.cachedTokens).toBe(image!.start);
    });

    test("reads the whole picture again where a part of it is known", async () => {
      const [image] = imagesOf(seenChat("one"), model);
      const like = (last: number) => [{ ...image!, digest: Uint32Array.of(1, 2, 3, last) }];
      await answer("one", { images: like(4) });
      const { stats } = await answer("one", { images: like(5) });
      expect(stats.cachedTokens).toBe(image!.start);
    });

    test("goes on with a second picture behind a first one", async () => {
      const chat = seenChat("two");
      const images = imagesOf(chat, model);
      const start = chat.tokens.slice(0, images[1]!.start);
      await generateAll(model, start, { maxTokens: 1, images: images.slice(0, 1) });
      const { tokens, stats } = await answer("two");
      expect(tokens).toEqual(chat.greedy);
      expect(stats.cachedTokens).toBeGreaterThan(images[0]!.start + model.imageTokens);
    });
  });

  test("reads the weights of its tower at the first picture, and counts them apart", async () => {
    const config = readJson(seeingModel, "config.json");
    const footprint = await addon.measure(config, weightFilesOf(seeingModel));
    expect(footprint.weightBytes).toBe(model.bytes);
    expect(footprint.visionBytes).toBeGreaterThan(10_000);
    const { active } = addon.memory();
    await answer("text");
    expect(addon.memory().active - active).toBeLessThan(footprint.visionBytes);
    await answer("one");
    expect(addon.memory().active - active).toBeGreaterThanOrEqual(footprint.visionBytes);
  });

  test.each([
    ["pixels of another size", { pixels: new Float32Array(3) }, "the model's size"],
    ["a place behind its end", { start: 1000 }, "before the last token"],
    ["no digest", { digest: new Uint32Array() }, "digest"],
    ["bytes for pixels", { pixels: new Uint8Array(3) }, "Float32Array"],
  ])("refuses an image with %s", async (_, change, message) => {
    const images = [{ ...imagesOf(seenChat("one"), model)[0]!, ...change }];
    await expect(answer("one", { images })).rejects.toThrow(message);
  });

  test("refuses images that overlap, and a draft model beside them", async () => {
    const [image] = imagesOf(seenChat("one"), model);
    const overlapping = answer("one", { images: [image, image] });
    await expect(overlapping).rejects.toThrow("one behind the other");
    await expect(answer("one", { draftModel: model })).rejects.toThrow("draftModel");
  });

  test("is one that only reads, where the checkpoint was cut down to text", async () => {
    const text = await loadFolder(addon, fixtureFolder("gemma3"));
    expect(text.imageSize).toBe(0);
    const images = imagesOf(seenChat("one"), model);
    const reply = generateAll(text, Uint32Array.of(1, 2, 3), { images });
    await expect(reply).rejects.toThrow("reads no images");
    text.close();
  });
});
