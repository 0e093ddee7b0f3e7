import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { CLI, runCli } from "../helpers/run-cli.js";

// Each test starts several processes.
jest.setTimeout(60_000);

const root = join(dirname(CLI), "../..");
let home: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "cli-"));
});
afterAll(() => rm(home, { recursive: true }));

const run = (args: string[], options: Parameters<typeof runCli>[1] = {}) =>
  runCli(args, { ...options, env: { HOME: home, ...options.env } });

describe("help", () => {
  test("names the commands that work, and no others", async () => {
    const { code, stdout, stderr } = await run(["--help"]);
    expect([code, stderr]).toEqual([0, ""]);
    const commands = [...stdout.matchAll(/^ {2}([a-z-]+) /gm)].map(([, name]) => name);
    expect(commands).toEqual([
      "generate",
      "chat",
      "cache-prompt",
      "embed",
      "rerank",
      "models",
      "pull",
      "health",
      "doctor",
      "fit",
      "convert",
      "serve",
      "config",
      "completion",
      "help",
    ]);
  });

  test.each([
    "generate",
    "chat",
    "embed",
    "rerank",
    "models",
    "pull",
    "health",
    "fit",
    "convert",
    "cache-prompt",
    "serve",
    "config",
    "completion",
  ])("%s shows what it does, with examples", async (name) => {
    const { code, stdout } = await run(["help", name]);
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: llm-client ${name}`);
    expect(stdout).toContain(`$ llm-client ${name}`);
  });

  test.each([["--version"], ["-V"], ["--version", "models"]])(
    "%s prints the package's version",
    async (...args) => {
      const { code, stdout } = await run(args);
      const { version } = require("../../package.json") as { version: string };
      expect([code, stdout]).toEqual([0, `${version}\n`]);
    },
  );

  test("--help and --version load nothing of the library", async () => {
    const copy = join(home, "copy");
    await mkdir(join(copy, "dist"), { recursive: true });
    await cp(dirname(CLI), join(copy, "dist/cli"), { recursive: true });
    await cp(join(root, "package.json"), join(copy, "package.json"));
    await symlink(join(root, "node_modules"), join(copy, "node_modules"));
    const file = join(copy, "dist/cli/main.js");
    const files = await readdir(dirname(file));
    for (const name of files.filter((name) => name.startsWith("chunk-"))) {
      const path = join(dirname(file), name);
      if (/class LLMClient|LLMClient=class/.test(await readFile(path, "utf8"))) await rm(path);
    }
    for (const flag of ["--help", "--version"]) {
      expect(await run([flag], { file })).toMatchObject({ code: 0, stderr: "" });
    }
    // The copy really lacks the library.
    expect((await run(["models"], { file })).stderr).toContain("Cannot find module");
  });
});

describe("wrong use ends with 2 and says why", () => {
  test.each<[string[], string]>([
    [[], "Usage: llm-client"],
    [["modles"], "unknown command 'modles'\n(Did you mean models?)"],
    [["generate"], "There is no prompt."],
    [["generate", ""], "The prompt is empty."],
    [
      ["generate", "-t", "3", "Hi"],
      "argument '3' is invalid. --temperature must be a number from 0 to 2.",
    ],
    [
      ["generate", "--max-tokens", "0", "Hi"],
      "argument '0' is invalid. --max-tokens must be a whole number, 1 or more.",
    ],
    [
      ["generate", "-u", "http://localhost:1", "Hi"],
      'baseUrl is "http://localhost:1" (from --base-url), but no provider',
    ],
    [["models", "--config", "nosuch.json"], "The configuration file nosuch.json does not exist."],
    [["config"], "Usage: llm-client config"],
    [["config", "lost"], "unknown command 'lost'"],
    [["models", "--no-such-flag"], "unknown option '--no-such-flag'"],
  ])("%j", async (args, message) => {
    const { code, stdout, stderr } = await run(args);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect([code, stdout]).toEqual([2, ""]);
  });

  test("a variable of the environment is named", async () => {
    const { code, stderr } = await run(["models"], { env: { LLM_CLIENT_TIMEOUT: "soon" } });
    expect(code).toBe(2);
    expect(stderr).toContain("LLM_CLIENT_TIMEOUT");
  });

  test("a message that holds what steers a terminal loses it", async () => {
    const { stderr } = await run(["generate", "--schema", "a\x1b[31m\nb", "Hi"]);
    expect(stderr).toBe("llm-client: The schema a [31m b does not exist.\n");
    const config = await run(["config", "path"], { env: { "LLM_CLIENT_\x1b[31m": "x" } });
    expect(config.stderr).toContain("LLM_CLIENT_ [31m is not known");
  });

  test("text on stdin that is not UTF-8 is refused", async () => {
    const command = `printf '\\377' | "${process.execPath}" "${CLI}" generate`;
    const result = promisify(execFile)("sh", ["-c", command]);
    await expect(result).rejects.toMatchObject({
      code: 2,
      stderr: "llm-client: stdin is not UTF-8 text.\n",
    });
  });
});

describe("models", () => {
  test("a pipe gets one line for each model, the demo first", async () => {
    const { code, stdout, stderr } = await run(["models", "-p", "mlx"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^demo\tmlx\t\d+\t\d-bit\t\d+\t\w+\t/);
  });

  test("--json prints one list", async () => {
    const { code, stdout } = await run(["models", "-p", "mlx", "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual([
      expect.objectContaining({ id: "demo", provider: "mlx", object: "model" }),
    ]);
  });

  test("a folder without a model is told, not fatal", async () => {
    await mkdir(join(home, ".lmstudio/models/org/broken"), { recursive: true });
    await cp(join(root, "package.json"), join(home, ".lmstudio/models/org/broken/config.json"));
    const { code, stdout } = await run(["models", "-p", "mlx"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /\norg\/broken\tmlx\t.*\tBroken: .*"model_type" is missing\.\t\t\tno\n$/,
    );
  });
});

test("config show tells where a setting comes from", async () => {
  const { code, stdout, stderr } = await run(["config", "show", "--timeout", "5"]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toContain("timeout\t5\tfrom --timeout\n");
});

test("a reader that leaves early is no error", async () => {
  const script = `"${process.execPath}" "${CLI}" models -p mlx --json | head -c1; exit \${PIPESTATUS[0]}`;
  const { stdout, stderr } = await promisify(execFile)("bash", ["-c", script], {
    env: { ...process.env, HOME: home },
  });
  expect([stdout, stderr]).toEqual(["[", ""]);
});
