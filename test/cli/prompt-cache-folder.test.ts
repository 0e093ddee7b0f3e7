import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeNative } from "../helpers/native.js";
import { runCli } from "../helpers/run-cli.js";
import { makeTalkingModel } from "../helpers/talking-model.js";

let scratch: string;
let model: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "prompt-cache-folder-"));
  model = await makeTalkingModel(join(scratch, "model"));
});
afterAll(() => rm(scratch, { recursive: true }));

describeNative("--prompt-cache-folder", () => {
  test("spares a later command the text that an earlier one has read", async () => {
    const folder = join(scratch, "kept");
    const text = "A long story.";
    const generate = async (prompt: string) => {
      const flags = ["-m", model, "-t", "0", "--max-tokens", "4", "--json"];
      const args = ["generate", ...flags, "--prompt-cache-folder", folder, prompt];
      const { stdout } = await runCli(args, { env: { HOME: scratch } });
      return JSON.parse(stdout).usage.cachedTokens as number;
    };
    expect(await generate(text)).toBe(0);
    expect((await readdir(folder)).length).toBeGreaterThan(0);
    expect(await generate(`${text}\nWho wrote it?`)).toBe(text.length);
  });

  test("is refused beside a provider that keeps nothing", async () => {
    const args = ["generate", "-p", "ollama", "--prompt-cache-folder", scratch, "Hello"];
    const { code, stderr } = await runCli(args, { env: { HOME: scratch } });
    expect([code, stderr]).toEqual([2, expect.stringContaining("--prompt-cache-folder: only mlx")]);
  });
});
