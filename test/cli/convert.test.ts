import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fixtureFolder, modelsFolder } from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";
import { runCli } from "../helpers/run-cli.js";

let scratch: string;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "convert-"));
});
afterEach(() => rm(scratch, { recursive: true }));

const run = (...args: string[]) => runCli(["convert", ...args], { env: { HOME: scratch } });

describeNative("llm-client convert", () => {
  test("writes a model and tells its size", async () => {
    const folder = join(scratch, "mixed");
    const { code, stdout, stderr } = await run(
      fixtureFolder("qwen3-wide"),
      folder,
      "--quantize",
      "mixed_4_6",
    );
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^\S+mixed: [\d.]+ kB, 4\.\d\d bits per weight\n$/);
    const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    expect(config.quantization).toMatchObject({
      bits: 4,
      "model.layers.0.mlp.down_proj": { bits: 6 },
    });
  });

  test("knows the folder of models that is set", async () => {
    const env = { HOME: scratch, MLX_MODEL_PATH: modelsFolder };
    const { code } = await runCli(["convert", "qwen3", join(scratch, "copy")], { env });
    expect(code).toBe(0);
  });

  test("prints one object with --json", async () => {
    const folder = join(scratch, "half");
    const { code, stdout } = await run(
      fixtureFolder("qwen3"),
      folder,
      "--dtype",
      "float16",
      "--json",
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ folder, bitsPerWeight: 16 });
  });

  test.each([
    ["an unknown way to quantize", ["--quantize", "7"], 2, "Allowed choices are 2, 3, 4"],
    ["two opposites", ["--quantize", "4", "--dequantize"], 2, "cannot be used with"],
    ["groups without quantization", ["--group-size", "64"], 2, "nothing is quantized"],
  ])("refuses %s", async (_, flags, code, message) => {
    const outcome = await run(fixtureFolder("qwen3"), join(scratch, "new"), ...flags);
    expect([outcome.code, outcome.stdout]).toEqual([code, ""]);
    expect(outcome.stderr).toContain(message);
  });

  test("refuses a model that is not there", async () => {
    const { code, stderr } = await run("nobody/nothing", join(scratch, "new"));
    expect([code, stderr]).toEqual([5, expect.stringContaining('"nobody/nothing" was not found')]);
  });

  test("generate quantizes while loading", async () => {
    const args = [
      "generate",
      "-m",
      fixtureFolder("quantized-affine-4"),
      "--quantize",
      "4",
      "Hello",
    ];
    const { code, stderr } = await runCli(args, { env: { HOME: scratch } });
    expect([code, stderr]).toEqual([1, expect.stringContaining("is quantized already")]);
  });
});
