import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LLMClient } from "../../src/client.js";
import { modelsFolder } from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";
import { runCli } from "../helpers/run-cli.js";
import { makeTalkingModel } from "../helpers/talking-model.js";

const adapter = join(modelsFolder, "../adapters/lora");
const messages = "Hello there";
const request = { messages, temperature: 0, maxTokens: 12 };

let scratch: string;
let model: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "adapter-"));
  model = await makeTalkingModel(join(scratch, "model"));
});
afterAll(() => rm(scratch, { recursive: true }));

describeNative("an adapter", () => {
  test("belongs to the request that names it", async () => {
    await using client = new LLMClient({ provider: "mlx", model }, { env: {} });
    const adapted = { ...request, providerOptions: { mlx: { adapter } } };
    const texts: string[] = [];
    for (const one of [request, adapted, request, adapted]) {
      texts.push((await client.generate(one)).content);
    }
    expect(texts[0]).not.toBe(texts[1]);
    expect(texts.slice(2)).toEqual(texts.slice(0, 2));
  });

  test("is there until its request is over, however many others are asked for at once", async () => {
    await using client = new LLMClient({ provider: "mlx", model }, { env: {} });
    const folders = Array.from({ length: 12 }, (_, index) => join(scratch, `adapter-${index}`));
    for (const folder of folders) await cp(adapter, folder, { recursive: true });
    const replies = await Promise.all(
      folders.map((folder) =>
        client.generate({ ...request, providerOptions: { mlx: { adapter: folder } } }),
      ),
    );
    expect(new Set(replies.map(({ content }) => content)).size).toBe(1);
  });

  test("changes what the command line prints, and one that is not there is named", async () => {
    const args = ["generate", "-m", model, "-t", "0", "--max-tokens", "12", messages];
    const options = { env: { HOME: scratch } };
    const plain = await runCli(args, options);
    const adapted = await runCli([...args, "--adapter", adapter], options);
    expect([plain.code, adapted.code]).toEqual([0, 0]);
    expect(adapted.stdout).not.toBe(plain.stdout);
    const missing = await runCli([...args, "--adapter", join(scratch, "none")], options);
    expect([missing.code, missing.stderr]).toEqual([5, expect.stringContaining(`${scratch}/none`)]);
  });

  test("is refused beside a provider that has none", async () => {
    const args = ["generate", "-p", "ollama", "--adapter", adapter, messages];
    const { code, stderr } = await runCli(args, { env: { HOME: scratch } });
    expect([code, stderr]).toEqual([2, expect.stringContaining("--adapter: only mlx can do that")]);
  });
});
