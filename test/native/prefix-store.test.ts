import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NativeModel, NativePromptCacheLimits } from "../../src/mlx/native-types.js";
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
import { startProgram } from "../helpers/run-program.js";

const SLOW = 60_000;

const places = mkdtempSync(join(tmpdir(), "prefix-store-"));
afterAll(() => rmSync(places, { recursive: true }));

let made = 0;
function newFolder(): string {
  return mkdtempSync(join(places, `${made++}-`));
}

function limits(folder: string, more: Partial<NativePromptCacheLimits> = {}) {
  return { bytes: 1 << 28, folder, folderBytes: 1 << 28, fingerprint: "0a1b", ...more };
}

function textOf(length: number, seed: number): Uint32Array {
  return Uint32Array.from({ length }, (_, index) => (index * 7 + seed * 13 + index ** 2) % 60);
}

/** Bytes of all files. */
function sizeOf(folder: string): number {
  return readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
}

describeNative("prompts that are kept in a folder", (addon) => {
  async function withModel<Result>(
    name: string,
    settings: NativePromptCacheLimits,
    use: (model: NativeModel) => Promise<Result>,
  ): Promise<Result> {
    const model = await loadFolder(addon, fixtureFolder(name));
    await model.limitPromptCache(settings);
    try {
      return await use(model);
    } finally {
      // Writes what is in no file yet; what follows waits until that is done.
      model.close();
      const folder = fixtureFolder("llama");
      await addon.measure(readJson(folder, "config.json"), weightFilesOf(folder));
    }
  }

  const reply = (name: string, settings: NativePromptCacheLimits, text: Uint32Array, more = {}) =>
    withModel(name, settings, (model) => generateAll(model, text, more));

  test.each(readdirSync(modelsFolder))(
    "serve a later process: %s",
    async (name) => {
      const folder = newFolder();
      const { prompt, greedy } = readGolden(name);
      await reply(name, limits(folder), prompt, { maxTokens: 9 });
      const again = await reply(name, limits(folder), prompt, { maxTokens: greedy.length });
      expect(again.tokens).toEqual(greedy);
      expect(again.stats.cachedTokens).toBe(prompt.length - 1);
      const next = Uint32Array.from([...prompt, ...greedy.slice(0, 9), 1, 2]);
      const turn = await reply(name, limits(folder), next);
      expect(turn.stats.cachedTokens).toBeGreaterThanOrEqual(prompt.length + 8);
      const uncached = await reply(name, { bytes: 0 }, next);
      expect(turn.tokens).toEqual(uncached.tokens);
    },
    SLOW,
  );

  test("serve long texts in pieces, up to where these part", async () => {
    const folder = newFolder();
    const text = textOf(900, 1);
    await reply("qwen3", limits(folder), text);
    const parting = Uint32Array.from([...text.slice(0, 600), 61, 62]);
    const { tokens, stats } = await reply("qwen3", limits(folder), parting);
    expect(stats.cachedTokens).toBe(512);
    expect(tokens).toEqual((await reply("qwen3", { bytes: 0 }, parting)).tokens);
  });

  test("are kept apart by how they are packed", async () => {
    const folder = newFolder();
    const text = textOf(70, 2);
    const packed = { kvBits: 8, kvGroupSize: 32 };
    const first = await reply("qwen3-wide", limits(folder), text, packed);
    expect((await reply("qwen3-wide", limits(folder), text)).stats.cachedTokens).toBe(0);
    const again = await reply("qwen3-wide", limits(folder), text, packed);
    expect(again.stats.cachedTokens).toBe(69);
    expect(again.tokens).toEqual(first.tokens);
  });

  test("are not taken for those of another model", async () => {
    const folder = newFolder();
    await reply("qwen3", limits(folder), textOf(70, 3));
    const other = limits(folder, { fingerprint: "0a1c" });
    expect((await reply("qwen3", other, textOf(70, 3))).stats.cachedTokens).toBe(0);
  });

  test("are written while nobody waits for a token", async () => {
    const folder = newFolder();
    await withModel("qwen3", limits(folder), async (model) => {
      await generateAll(model, textOf(600, 4), {});
      for (const deadline = Date.now() + 20_000; readdirSync(folder).length < 4; ) {
        if (Date.now() > deadline) throw new Error("nothing was written");
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    });
  });

  test("take no more room than they may; the oldest go first", async () => {
    const folder = newFolder();
    await reply("qwen3", limits(folder), textOf(600, 0));
    const folderBytes = sizeOf(folder) * 2.5;
    for (let seed = 1; seed < 7; seed++) {
      await reply(
        "qwen3",
        limits(folder, { folderBytes: Math.floor(folderBytes) }),
        textOf(600, seed),
      );
      expect(sizeOf(folder)).toBeLessThanOrEqual(folderBytes);
    }
    const cached = async (seed: number) =>
      (await reply("qwen3", limits(folder), textOf(600, seed), { maxTokens: 1 })).stats
        .cachedTokens;
    expect(await cached(6)).toBe(599);
    expect(await cached(1)).toBe(0);
  });

  describe("are refused and removed", () => {
    const text = textOf(70, 5);
    const damages: [string, (bytes: Buffer) => Buffer][] = [
      ["that are cut short", (bytes) => bytes.subarray(0, bytes.length - 1)],
      ["that go on", (bytes) => Buffer.concat([bytes, Buffer.of(0)])],
      ["that are empty", () => Buffer.alloc(0)],
      [
        "whose header is too long",
        (bytes) => Buffer.concat([Buffer.alloc(8, 255), bytes.subarray(8)]),
      ],
      ["of another version", (bytes) => replaced(bytes, "cache 1", "cache 2")],
      ["of another shape", (bytes) => replaced(bytes, '"shape":[1,', '"shape":[2,')],
      ["of another type", (bytes) => replaced(bytes, "F32", "I32")],
      [
        "with other places of data",
        (bytes) => replaced(bytes, '"data_offsets":[0,', '"data_offsets":[4,'),
      ],
      ["with fewer tokens than they say", (bytes) => replaced(bytes, '"starts":"', '"starts":"1')],
    ];
    test.each(damages)("files %s", async (_, damage) => {
      const folder = newFolder();
      const { tokens } = await reply("qwen3", limits(folder), text);
      const files = readdirSync(folder).map((file) => join(folder, file));
      for (const file of files) writeFileSync(file, damage(readFileSync(file)));
      const again = await reply("qwen3", limits(folder), text);
      expect(again.stats.cachedTokens).toBe(0);
      expect(again.tokens).toEqual(tokens);
      // It has been written anew.
      expect((await reply("qwen3", limits(folder), text)).stats.cachedTokens).toBe(69);
    });
  });

  test("do without a folder that is not there", async () => {
    const { tokens } = await reply("qwen3", limits(join(places, "nowhere")), textOf(70, 6));
    expect(tokens).toHaveLength(16);
  });

  test(
    "survive kill -9 while they are written, and two processes at once",
    async () => {
      const folder = newFolder();
      const model = fixtureFolder("qwen3");
      for (let round = 0; round < 6; round++) {
        const writers = [0, 1].map(
          () => startProgram("fill-prompt-folder.mjs", model, folder).child,
        );
        const before = readdirSync(folder).length;
        for (const deadline = Date.now() + 20_000; readdirSync(folder).length < before + 3; ) {
          if (Date.now() > deadline) throw new Error("nothing was written");
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        for (const writer of writers) {
          writer.kill("SIGKILL");
          await new Promise((resolve) => writer.once("close", resolve));
        }
      }
      const names = readdirSync(folder);
      expect(names.length).toBeGreaterThan(10);
      let hits = 0;
      for (let seed = 0; seed < 12; seed++) {
        const text = textOf(600, seed);
        const { tokens, stats } = await reply("qwen3", limits(folder), text);
        if (stats.cachedTokens > 0) hits += 1;
        expect(tokens).toEqual((await reply("qwen3", { bytes: 0 }, text)).tokens);
      }
      expect(hits).toBeGreaterThan(0);
    },
    SLOW,
  );

  test.each([
    { folder: 1 },
    { folder: "x" },
    { folder: "x", folderBytes: 1 },
    { folder: "x", folderBytes: -1, fingerprint: "a" },
  ])("are refused by %j", async (wrong) => {
    const model = await loadFolder(addon, fixtureFolder("qwen3"));
    const given = { bytes: 1, ...wrong } as NativePromptCacheLimits;
    await expect(model.limitPromptCache(given)).rejects.toMatchObject({ code: "invalid_argument" });
    model.close();
  });
});

function replaced(bytes: Buffer, text: string, by: string): Buffer {
  const place = bytes.indexOf(text);
  expect(place).toBeGreaterThan(0);
  return Buffer.concat([
    bytes.subarray(0, place),
    Buffer.from(by),
    bytes.subarray(place + text.length),
  ]);
}
