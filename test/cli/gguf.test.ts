import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeNative } from "../helpers/native.js";
import { runCli } from "../helpers/run-cli.js";

// Each test starts several processes.
jest.setTimeout(60_000);

const FIXTURE = join(__dirname, "../fixtures/gguf/qwen3-q8_0.gguf");
let home: string;
let file: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "cli-gguf-"));
  const folder = join(home, ".cache/llm-client/models/org/tiny-GGUF");
  await mkdir(folder, { recursive: true });
  file = join(folder, "tiny-Q8_0.gguf");
  await copyFile(FIXTURE, file);
});
afterAll(() => rm(home, { recursive: true }));

const run = (...args: string[]) => runCli(args, { env: { HOME: home } });
const generate = (model: string) =>
  run("generate", "-m", model, "-t", "0", "--max-tokens", "8", "--json", "Hello");

describeNative("a GGUF file on the command line", () => {
  test("answers by its path, by its name, and converted", async () => {
    const answers: unknown[] = [];
    const folder = join(home, "converted");
    expect(await run("convert", file, folder)).toMatchObject({ code: 0, stderr: "" });
    for (const model of [file, "mlx:org/tiny-GGUF", folder]) {
      const { code, stdout, stderr } = await generate(model);
      expect([code, stderr]).toEqual([0, ""]);
      const { content, usage } = JSON.parse(stdout);
      answers.push([content, usage]);
    }
    expect(answers[0]).toEqual([
      expect.stringMatching(/[\s\S]{2}/),
      expect.objectContaining({ completionTokens: 8 }),
    ]);
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
  });

  test("is listed and shown", async () => {
    const listed = await run("models", "-p", "mlx", "--json");
    const row = { id: "org/tiny-GGUF", family: "qwen3", quantization: "Q8_0", path: file };
    expect(JSON.parse(listed.stdout)).toContainEqual(expect.objectContaining(row));
    const shown = await run("models", "show", "-p", "mlx", "org/tiny-GGUF", "--json");
    expect(JSON.parse(shown.stdout)).toMatchObject({
      ...row,
      files: [{ name: "tiny-Q8_0.gguf" }],
      hasTemplate: true,
    });
  });

  test("is refused by name when it is damaged", async () => {
    const broken = join(home, "broken.gguf");
    await writeFile(broken, "GGUF\u0003");
    const { code, stdout, stderr } = await generate(broken);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain(`${broken} is truncated`);
  });
});
