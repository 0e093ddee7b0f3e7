import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describeNative } from "../helpers/native.js";
import { runCli } from "../helpers/run-cli.js";
import { makeTalkingModel } from "../helpers/talking-model.js";
import { describeMlxLmServer } from "../servers/mlx-lm.js";
import { mlxLm } from "../servers/places.mjs";

const TEMPLATE =
  "{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}" +
  "{% if add_generation_prompt %}[assistant] {% endif %}";
const manual = "The filter is behind the lid. ";
const question = "How do I clean it?";

let scratch: string;
let model: string;
let file: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "cache-prompt-"));
  model = await makeTalkingModel(join(scratch, "model"), {}, { template: TEMPLATE });
  file = join(scratch, "manual.safetensors");
});
afterAll(() => rm(scratch, { recursive: true }));

const run = (args: string[], input?: string) => runCli(args, { input, env: { HOME: scratch } });
const generation = ["-t", "0", "--max-tokens", "20"];
const generate = (...args: string[]) => run(["generate", "-m", model, ...generation, ...args]);

describeNative("llm-client cache-prompt", () => {
  test("writes what generate goes on from", async () => {
    const written = await run(["cache-prompt", "-m", model, "--prompt-cache-file", file], manual);
    expect(written).toMatchObject({ code: 0, stderr: "" });
    expect(written.stdout).toMatch(/^\/.+\/manual\.safetensors: 37 tokens, .+B\n$/);
    const whole = await generate(`${manual}${question}`);
    const behind = await generate("--prompt-cache-file", file, question);
    expect(behind).toEqual(whole);
    const { usage, content } = JSON.parse(
      (await generate("--json", "--prompt-cache-file", file, question)).stdout,
    );
    expect([`${content}\n`, usage.cachedTokens]).toEqual([whole.stdout, 37]);
  });

  test("prints one object with --json", async () => {
    const args = ["cache-prompt", "-m", model, "--prompt-cache-file", file, "--json"];
    const { stdout } = await run([...args, "--system", "Be brief.", manual.trim()]);
    expect(JSON.parse(stdout)).toMatchObject({ file, model, tokens: 55 });
  });

  test("refuses a file that is none, one of another model, and what cannot be", async () => {
    const text = join(scratch, "text.safetensors");
    await writeFile(text, "A text that is long enough.");
    const broken = await generate("--prompt-cache-file", text, question);
    expect([broken.code, broken.stdout]).toEqual([2, ""]);
    expect(broken.stderr).toContain(`${text} cannot be used: it is not a safetensors file`);
    await run(["cache-prompt", "-m", model, "--prompt-cache-file", file, manual]);
    const other = await run(["generate", "-m", "demo", "--prompt-cache-file", file, question]);
    expect([other.code, other.stderr]).toEqual([2, expect.stringContaining("another model")]);
    const system = await generate("--prompt-cache-file", file, "--system", "Be brief.", question);
    expect([system.code, system.stderr]).toEqual([2, expect.stringContaining("--system")]);
    const ollama = await run(["cache-prompt", "-p", "ollama", "--prompt-cache-file", file, manual]);
    expect([ollama.code, ollama.stderr]).toEqual([2, expect.stringContaining("only mlx can do")]);
    const nameless = await run(["cache-prompt", "-m", model, manual]);
    expect([nameless.code, nameless.stderr]).toEqual([2, expect.stringContaining("required")]);
  });

  describeMlxLmServer("beside mlx_lm.cache_prompt", () => {
    const env = { PATH: process.env.PATH ?? "", HF_HUB_OFFLINE: "1" };
    const mlxLmRun = (command: string, ...args: string[]) =>
      promisify(execFile)(mlxLm.program, ["-m", "mlx_lm", command, "--model", model, ...args], {
        env: { ...env, HOME: scratch },
      });
    const theirs = async (...args: string[]) => {
      const options = ["--verbose", "False", "--temp", "0", "--max-tokens", "20"];
      const { stdout } = await mlxLmRun("generate", ...options, ...args);
      // Only mlx-lm prints special tokens.
      return stdout.replaceAll("<unk>", "");
    };

    test("writes what mlx_lm.generate goes on from, and goes on from what that wrote", async () => {
      const prompt = ["--prompt", question];
      await run(["cache-prompt", "-m", model, "--prompt-cache-file", file, manual]);
      const ours = await generate("--prompt-cache-file", file, question);
      expect(await theirs("--prompt-cache-file", file, ...prompt)).toBe(ours.stdout);
      const their = join(scratch, "theirs.safetensors");
      await mlxLmRun("cache_prompt", "--prompt-cache-file", their, "--prompt", manual);
      expect(await generate("--prompt-cache-file", their, question)).toEqual(ours);
      expect(await theirs("--prompt-cache-file", their, ...prompt)).toBe(ours.stdout);
    }, 60_000);
  });
});
