import { readdirSync } from "node:fs";
import type { NativeModel, NativeSampling } from "../../src/mlx/native-types.js";
import {
  fixtureFolder,
  generateAll,
  largestDifference,
  loadFolder,
  modelsFolder,
  readGolden,
} from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

/** A reply that others join while it runs. */
interface Row {
  prompt: Uint32Array;
  sampling: Partial<NativeSampling>;
  /** It starts when the first row has delivered so many tokens. */
  after: number;
}

/** The replies of all rows in one batch. */
async function together(model: NativeModel, rows: Row[]): Promise<number[][]> {
  const replies: Promise<number[]>[] = [];
  const startDue = (delivered: number) => {
    for (; rows[replies.length] && rows[replies.length]!.after <= delivered; ) {
      const { prompt, sampling } = rows[replies.length]!;
      const onDelivered = replies.length === 0 ? startDue : undefined;
      const reply = generateAll(model, prompt, sampling, onDelivered);
      replies.push(reply.then(({ tokens }) => tokens));
    }
  };
  startDue(0);
  await replies[0];
  startDue(Infinity);
  return Promise.all(replies);
}

async function alone(model: NativeModel, rows: Row[]): Promise<number[][]> {
  const replies: number[][] = [];
  for (const { prompt, sampling } of rows) {
    replies.push((await generateAll(model, prompt, sampling)).tokens);
  }
  return replies;
}

describeNative("replies in a batch", (addon) => {
  describe.each(readdirSync(modelsFolder))("%s", (name) => {
    test("are the same as alone, whoever joins and leaves", async () => {
      const golden = readGolden(name);
      const model = await loadFolder(addon, fixtureFolder(name));
      const rows: Row[] = [
        { prompt: golden.prompt, sampling: { maxTokens: golden.greedy.length }, after: 0 },
        { prompt: golden.prompt.slice(0, 7), sampling: { maxTokens: 12 }, after: 0 },
        {
          prompt: golden.prompt.slice(3),
          sampling: { maxTokens: 40, prefillStepSize: 5 },
          after: 2,
        },
        { prompt: golden.prompt.slice(0, 1), sampling: { maxTokens: 30 }, after: 6 },
        { prompt: golden.prompt, sampling: { maxTokens: 20 }, after: 9 },
      ];
      try {
        const expected = await alone(model, rows);
        expect(expected[0]).toEqual(golden.greedy);
        expect(await together(model, rows)).toEqual(expected);
      } finally {
        model.close();
      }
      // The largest graphs take their time where other tests run beside these.
    }, 30_000);
  });

  describe("of one model", () => {
    const { prompt } = readGolden("qwen3");
    let model: NativeModel;

    beforeAll(async () => {
      model = await loadFolder(addon, fixtureFolder("qwen3"));
    });
    afterAll(() => model.close());

    test("keep their own samplers, seeds, penalties and end tokens", async () => {
      const rows: Row[] = [
        { prompt, sampling: { maxTokens: 40, temperature: 1, seed: 1 }, after: 0 },
        { prompt, sampling: { maxTokens: 40, temperature: 1, seed: 2, topP: 0.9 }, after: 0 },
        { prompt, sampling: { maxTokens: 30, temperature: 0.7, seed: 1, topK: 5 }, after: 3 },
        { prompt, sampling: { maxTokens: 40, repetitionPenalty: 1.5 }, after: 3 },
        { prompt, sampling: { maxTokens: 40, presencePenalty: 2, logitBias: [[7, 3]] }, after: 5 },
        { prompt, sampling: { maxTokens: 40, stopTokens: [5] }, after: 5 },
      ];
      const expected = await alone(model, rows);
      expect(expected[5]!.length).toBeLessThan(40);
      expect(new Set(expected.map(String)).size).toBe(rows.length);
      expect(await together(model, rows)).toEqual(expected);
    });

    test.each([{ temperature: 1 }, { temperature: 0.7, topP: 0.9, minP: 0.02, topK: 12 }])(
      "draw together, %j, what each draws alone",
      async (sampling) => {
        const rows: Row[] = [1, 2, 3, 1].map((seed, row) => ({
          prompt: prompt.slice(row),
          sampling: { ...sampling, maxTokens: 30, seed },
          after: 2 * row,
        }));
        const expected = await alone(model, rows);
        expect(new Set(expected.map(String)).size).toBe(rows.length);
        expect(await together(model, rows)).toEqual(expected);
      },
    );

    test("keep their own log-probabilities", async () => {
      const sampling = { maxTokens: 12, stopTokens: [], temperature: 0, topLogprobs: 3 };
      const probabilities = async () => {
        const session = model.session();
        const seen: number[] = [];
        await session.generate(prompt, sampling, (batch) => seen.push(...batch.topLogprobs!));
        session.close();
        return seen;
      };
      const expected = await probabilities();
      const [first, second] = await Promise.all([
        probabilities(),
        probabilities(),
        generateAll(model, prompt.slice(4), { temperature: 1 }),
      ]);
      expect(expected).toHaveLength(36);
      expect(largestDifference(first!, expected)).toBeLessThan(1e-4);
      expect(largestDifference(second!, expected)).toBeLessThan(1e-4);
    });

    test("go on while one is paused, which then goes on as if nothing had been", async () => {
      const sampling = { maxTokens: 60, stopTokens: [], temperature: 0 };
      const expected = await generateAll(model, prompt, sampling);
      const paused = model.session();
      const tokens: number[] = [];
      const held = paused.generate(prompt, sampling, (batch) => {
        if (tokens.length === 0) paused.pause();
        tokens.push(...batch.tokens);
      });
      for (let other = 0; other < 3; other++) {
        expect((await generateAll(model, prompt, sampling)).tokens).toEqual(expected.tokens);
      }
      expect(tokens.length).toBeLessThan(60);
      paused.resume();
      await held;
      expect(tokens).toEqual(expected.tokens);
      paused.close();
    });

    test("a paused one can be ended", async () => {
      const paused = model.session();
      const held = paused.generate(prompt, { maxTokens: 500, stopTokens: [], temperature: 0 }, () =>
        paused.pause(),
      );
      await generateAll(model, prompt, { maxTokens: 30 });
      paused.cancel();
      expect((await held).finishReason).toBe("cancelled");
      paused.close();
    });

    test("begin in the order of their priorities, but nobody waits for ever", async () => {
      const order: string[] = [];
      const start = async (name: string, priority: number) => {
        const session = model.session();
        const sampling = { maxTokens: 1, stopTokens: [], temperature: 0, priority };
        await session.generate(prompt, { ...sampling, prefillStepSize: 1 }, () => order.push(name));
        session.close();
      };
      // The first few begin at once; the others wait for them.
      const first = [1, 2, 3, 4].map((number) => start(`first ${number}`, 0));
      const low = start("low", -1);
      const normal = Array.from({ length: 20 }, (_, number) => start(`normal ${number}`, 0));
      const high = start("high", 1);
      await Promise.all([...first, low, ...normal, high]);
      expect(order.indexOf("high")).toBeLessThan(order.indexOf("normal 8"));
      expect(order.indexOf("low")).toBeGreaterThan(order.indexOf("normal 10"));
      expect(order.indexOf("low")).toBeLessThan(order.indexOf("normal 19"));
    });

    test("a long prompt does not stop the replies that run", async () => {
      const running = model.session();
      const times: string[] = [];
      const reply = running.generate(
        prompt,
        { maxTokens: 60, stopTokens: [], temperature: 0 },
        (batch) => times.push(...Array.from(batch.tokens, () => "token")),
      );
      const long = Uint32Array.from({ length: 120 }, (_, index) => index % 80);
      const newcomer = generateAll(model, long, { maxTokens: 1, prefillStepSize: 4 });
      await newcomer.then(() => times.push("newcomer"));
      await reply;
      // 30 chunks of its prompt, and a token of the other between any two of them.
      expect(times.indexOf("newcomer")).toBeGreaterThanOrEqual(25);
      running.close();
    });
  });
});
