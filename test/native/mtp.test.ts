import { readdirSync } from "node:fs";
import type { NativeModel, NativeSampling } from "../../src/mlx/native-types.js";
import {
  fixtureFolder,
  generateAll,
  loadFolder,
  modelsFolder,
  readGolden,
  readJson,
  weightFilesOf,
} from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

// Other work may keep the machine busy.
jest.setTimeout(60_000);

/** How many tokens the reference drafts of the greedy reply, and how many of them are right. */
interface Guesses {
  most: number;
  drafted: number;
  accepted: number;
}

const always = { mtp: { always: true } };

describeNative("heads for multi-token prediction", (addon) => {
  describe.each(readdirSync(modelsFolder).filter((name) => name.endsWith("-mtp")))(
    "of %s",
    (name) => {
      const folder = fixtureFolder(name);
      const { prompt, greedy } = readGolden(name);
      const { mtp } = readJson<{ mtp: Guesses[] }>(folder, "golden.json");
      let model: NativeModel;

      beforeAll(async () => {
        model = await loadFolder(addon, folder);
      });
      afterAll(() => model.close());

      test.each(mtp)(
        "guess what the reference guesses: %j",
        async ({ most, drafted, accepted }) => {
          const options = { ...always, numDraftTokens: most, maxTokens: greedy.length };
          const { tokens, stats } = await generateAll(model, prompt, options);
          expect(tokens).toEqual(greedy);
          expect(stats).toMatchObject({ draftTokens: drafted, acceptedTokens: accepted });
          expect(accepted).toBeGreaterThan(0.8 * drafted);
        },
      );

      test("guess as well of a prompt that is read in pieces", async () => {
        const options = { ...always, numDraftTokens: 1, maxTokens: greedy.length };
        const { stats } = await generateAll(model, prompt, { ...options, prefillStepSize: 7 });
        expect(stats.acceptedTokens).toBe(mtp[0]!.accepted);
      });

      test.each<Partial<NativeSampling>>([
        {},
        { temperature: 1, seed: 1 },
        { temperature: 0.7, seed: 2, topP: 0.9, topK: 20 },
        { repetitionPenalty: 1.3, presencePenalty: 0.4 },
        { promptLookup: { minNgram: 1, tokens: 5, always: true } },
      ])("change no token: %j", async (sampling) => {
        const asked = { maxTokens: 300, ...sampling };
        const expected = await generateAll(model, prompt, asked);
        const { tokens, stats } = await generateAll(model, prompt, { ...asked, ...always });
        expect(tokens).toEqual(expected.tokens);
        expect(stats.draftTokens).toBeGreaterThan(0);
        expect(stats.acceptedTokens).toBeLessThanOrEqual(stats.draftTokens);
      });

      test("rest while others are in the batch, and go on then", async () => {
        const maxTokens = 160;
        const expected = await generateAll(model, prompt, { maxTokens });
        const guest = { temperature: 1, seed: 5, maxTokens: 9 };
        const alone = await generateAll(model, prompt.slice(2), guest);
        const guests: Promise<{ tokens: number[] }>[] = [];
        const { tokens } = await generateAll(model, prompt, { ...always, maxTokens }, (count) => {
          if (count > 8 + 40 * guests.length) {
            guests.push(generateAll(model, prompt.slice(2), { ...guest, ...always }));
          }
        });
        expect(tokens).toEqual(expected.tokens);
        for (const reply of await Promise.all(guests)) expect(reply.tokens).toEqual(alone.tokens);
        expect(guests.length).toBeGreaterThan(0);
      });

      test("may be paused in between, and cancelled", async () => {
        const expected = await generateAll(model, prompt, { maxTokens: 200 });
        const session = model.session();
        const tokens: number[] = [];
        const sampling = { ...always, maxTokens: 4000, stopTokens: [], temperature: 0 };
        const stats = await session.generate(prompt, sampling, (batch) => {
          tokens.push(...batch.tokens);
          session.pause();
          setTimeout(() => (tokens.length > 100 ? session.cancel() : session.resume()));
        });
        session.close();
        expect(stats.finishReason).toBe("cancelled");
        expect(tokens.slice(0, 200)).toEqual(expected.tokens.slice(0, tokens.length));
      });

      test("change no token behind a prompt that is remembered", async () => {
        const text = Uint32Array.from([...prompt, ...greedy.slice(0, 20)]);
        const expected = await generateAll(model, text, { maxTokens: 36, promptCache: false });
        expect(expected.tokens).toEqual(greedy.slice(20));
        await model.limitPromptCache({ bytes: 2 ** 24 });
        await generateAll(model, prompt, { maxTokens: 1 });
        const { tokens, stats } = await generateAll(model, text, { ...always, maxTokens: 36 });
        await model.limitPromptCache({ bytes: 0 });
        expect(stats.cachedTokens).toBeGreaterThan(0);
        expect(stats.draftTokens).toBeGreaterThan(0);
        expect(tokens).toEqual(expected.tokens);
      });

      test("are not asked unless that is wanted", async () => {
        const { stats } = await generateAll(model, prompt, { maxTokens: greedy.length });
        expect(stats.draftTokens).toBe(0);
      });

      test("count in what the model takes", async () => {
        const config = readJson(folder, "config.json");
        const text = (config.text_config ?? config) as { num_hidden_layers: number };
        const { layers } = await addon.measure(config, weightFilesOf(folder));
        expect(layers).toHaveLength(text.num_hidden_layers + 1);
        expect(layers.at(-1)!.bytesPerToken).toBeGreaterThan(0);
      });
    },
  );
});
