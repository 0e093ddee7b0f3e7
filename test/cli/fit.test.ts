import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fixtureFolder, modelsFolder } from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";
import { runCli } from "../helpers/run-cli.js";

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "fit-"));
});
afterAll(() => rm(home, { recursive: true }));

const run = (...args: string[]) => runCli(["fit", ...args], { env: { HOME: home } });

describeNative("llm-client fit", () => {
  test("tells what a model takes, and that it fits", async () => {
    const { code, stdout, stderr } = await run("demo");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(
      /^model: demo\nweights: \S+ MB\ncache of 1000 tokens: \S+ MB\nin all, with 256 tokens: \S+ MB\nmemory for models: \S+ GB\nlongest context: \d+ tokens\nmade for: \d+ tokens\nfits: yes\n$/,
    );
  });

  test("tells of windows and states where there are some", async () => {
    expect((await run(fixtureFolder("gemma3_text"))).stdout).toMatch(
      /^cache of sliding windows: /m,
    );
    const { stdout } = await run(fixtureFolder("mamba2"));
    expect(stdout).toMatch(/^state: /m);
    expect(stdout).not.toContain("cache of");
    expect(stdout).toContain("longest context: any\n");
  });

  test("knows the folder of models that is set", async () => {
    const env = { HOME: home, MLX_MODEL_PATH: modelsFolder };
    const { code, stdout } = await runCli(["fit", "qwen3"], { env });
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^model: qwen3\n/)]);
    const missing = await runCli(["fit", "qwen3"], { env: { ...env, MLX_MODEL_PATH: "/nosuch" } });
    expect([missing.code, missing.stderr]).toEqual([2, expect.stringContaining("MLX_MODEL_PATH")]);
  });

  test("ends with 1 where a context is too long, and says why", async () => {
    const { code, stdout, stderr } = await run("demo", "--context", "1000000");
    expect(code).toBe(1);
    expect(stdout).toContain("fits: no\n");
    expect(stderr).toMatch(/^demo does not fit here\. It is made for at most \d+ tokens\.\n$/);
  });

  test("prints one object with --json", async () => {
    const args = ["--json", "--quantize", "4", "--context", "100"];
    const { code, stdout } = await run(fixtureFolder("qwen3-wide"), ...args);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ id: "qwen3-wide", fits: true, context: 100 });
  });

  test.each([
    ["a context of no tokens", ["demo", "--context", "0"], 2, "a whole number, 1 or more"],
    ["an unknown way to quantize", ["demo", "--quantize", "7"], 2, "Allowed choices are 2, 3"],
    ["a model that is not there", ["nobody/nothing"], 5, '"nobody/nothing" was not found'],
  ])("refuses %s", async (_, args, code, message) => {
    const outcome = await run(...args);
    expect([outcome.code, outcome.stdout]).toEqual([code, ""]);
    expect(outcome.stderr).toContain(message);
  });
});
