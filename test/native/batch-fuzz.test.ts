import type { NativeModel, NativeSampling } from "../../src/mlx/native-types.js";
import {
  fixtureFolder,
  generateAll,
  loadFolder,
  readGolden,
  readJson,
  weightFilesOf,
} from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

/** Requests that are sent, and how many of them run at once. */
const REQUESTS = 240;
const AT_ONCE = 12;

/** A generator of numbers from 0 to 1, the same for the same seed: mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Kind {
  prompt: Uint32Array;
  sampling: Partial<NativeSampling>;
}

// Full attention, windows, recurrent states, chunks, latents.
const models = ["qwen3", "gemma3_text", "qwen3_5", "llama4", "deepseek_v3"];

describeNative("random requests", (addon) => {
  test.each(models)(
    "of %s each end as they should",
    async (name) => {
      const before = await activeBytes();
      const random = randomOf(name.length);
      const upTo = (most: number) => Math.floor(random() * most);
      const model = await loadFolder(addon, fixtureFolder(name));
      const { prompt } = readGolden(name);
      const kinds: Kind[] = Array.from({ length: 12 }, (_, index) => ({
        prompt: prompt.slice(upTo(10), 11 + upTo(prompt.length - 11)),
        sampling: {
          maxTokens: 1 + upTo(40),
          prefillStepSize: 1 + upTo(20),
          priority: upTo(3) - 1,
          ...(index % 3 === 0 && { temperature: 1, seed: index }),
          ...(index % 4 === 1 && { stopTokens: [upTo(80)] }),
          ...(index % 5 === 2 && { maxKvSize: name === "deepseek_v3" ? undefined : 16 }),
        },
      }));
      const expected = new Map<Kind, string>();
      for (const kind of kinds) {
        expected.set(kind, String((await generateAll(model, kind.prompt, kind.sampling)).tokens));
      }

      let left = REQUESTS;
      const worker = async () => {
        while (left-- > 0) {
          const kind = kinds[upTo(kinds.length)]!;
          const fate = random();
          if (fate < 0.1) {
            await expect(
              generateAll(model, kind.prompt, { ...kind.sampling, kvBits: 7 }),
            ).rejects.toThrow();
          } else {
            const reply = await disturbed(model, kind, fate, upTo(12));
            const whole = expected.get(kind)!;
            if (reply.cancelled) expect(whole.startsWith(reply.text)).toBe(true);
            else expect(reply.text).toBe(whole);
          }
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      model.close();
      // MLX keeps a few single numbers, and may be computing what nobody waits for any more.
      for (const deadline = Date.now() + 10_000; (await activeBytes()) > before + 1024; ) {
        if (Date.now() > deadline) throw new Error(`${await activeBytes()} bytes are left`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    600_000,
  );

  /** Bytes in live arrays once the engine has freed what was closed: it works in turn. */
  async function activeBytes(): Promise<number> {
    const folder = fixtureFolder("llama");
    await addon.measure(readJson(folder, "config.json"), weightFilesOf(folder));
    return addon.memory().active;
  }
});

/** A reply that may be ended, or held for a while, after some of its tokens. */
async function disturbed(
  model: NativeModel,
  { prompt, sampling }: Kind,
  fate: number,
  after: number,
): Promise<{ text: string; cancelled: boolean }> {
  const session = model.session();
  const tokens: number[] = [];
  const settings = { maxTokens: 16, stopTokens: [], temperature: 0, ...sampling };
  const running = session.generate(prompt, settings, (batch) => {
    tokens.push(...batch.tokens);
    if (tokens.length < after) return;
    if (fate < 0.3) session.cancel();
    else if (fate < 0.5) {
      session.pause();
      setTimeout(() => session.resume(), after);
    }
  });
  if (fate > 0.9) session.cancel();
  const { finishReason } = await running;
  session.close();
  return { text: String(tokens), cancelled: finishReason === "cancelled" };
}
