import { execFile, execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LocalRegistry, startLocalRegistry } from "../helpers/local-registry.js";
import type { ProgramResult } from "../helpers/run-program.js";
import { startFakeLmStudio } from "../servers/fake-lm-studio.js";
import { startFakeOllama } from "../servers/fake-ollama.js";
import { packageManagers, whyMissing } from "../servers/places.mjs";

jest.setTimeout(60_000);

const root = join(__dirname, "../..");
const tarballs = join(root, ".cache", "packages");
const platform = `${process.platform}-${process.arch}`;
const files = existsSync(tarballs) ? readdirSync(tarballs) : [];
const isPacked = files.some((file) => file.includes(`-${platform}-`));
const describePacked = isPacked ? describe : describe.skip;
const why = isPacked ? "" : ` (skipped: no tarballs for ${platform}; npm run pack:all)`;

const QUESTION = "What is 7 + 5?";

describePacked(`the packages, installed from tarballs${why}`, () => {
  let folder: string;
  let registry: LocalRegistry;

  beforeAll(async () => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), "install-")));
    registry = await startLocalRegistry(tarballs);
    mkdirSync(join(folder, "bin"));
    // Neither compiler nor Python nor cargo.
    for (const name of ["node", "npm", "sh", "sed", "dirname", "uname"]) {
      const [path] = execFileSync("which", [name], { encoding: "utf8" }).split("\n");
      symlinkSync(realpathSync(path!), join(folder, "bin", name));
    }
  });
  afterAll(() => {
    registry.close();
    rmSync(folder, { recursive: true });
  });

  /** A folder with a project in it, in which something is run. */
  function project(name: string) {
    const cwd = join(folder, name);
    mkdirSync(cwd);
    writeFileSync(join(cwd, "package.json"), '{ "private": true }');
    return (program: string, ...args: string[]) => runIn(cwd, program, args);
  }

  function runIn(cwd: string, program: string, args: string[]): Promise<ProgramResult> {
    const env = {
      PATH: join(folder, "bin"),
      HOME: folder,
      npm_config_registry: registry.url,
      npm_config_cache: join(folder, "cache"),
      npm_config_audit: "false",
      npm_config_fund: "false",
      npm_config_update_notifier: "false",
      npm_config_store_dir: join(folder, "store"),
      BUN_CONFIG_REGISTRY: registry.url,
      OLLAMA_HOST: "127.0.0.1:1",
      LMSTUDIO_BASE_URL: "http://127.0.0.1:1",
    };
    return new Promise((resolve) => {
      const child = execFile(program, args, { cwd, env }, (_, stdout, stderr) =>
        resolve({ code: child.exitCode, signal: child.signalCode, stdout, stderr }),
      );
      // What is piped in belongs to a prompt.
      child.stdin?.end();
    });
  }

  describe("by npm", () => {
    let run: ReturnType<typeof project>;

    beforeAll(async () => {
      run = project("npm");
      expect(await run("npm", "install", "mlx-llm-client")).toMatchObject({ code: 0 });
    });

    test("bring the package of this platform and no other", () => {
      const scope = join(folder, "npm", "node_modules", "@mlx-llm-client");
      expect(readdirSync(scope)).toEqual([platform]);
    });

    test("run the demo model from the command line", async () => {
      const args = ["generate", "-m", "demo", "--temperature", "0", QUESTION];
      const { stdout, code } = await run("node_modules/.bin/llm-client", ...args);
      expect([stdout, code]).toEqual([expect.stringContaining("12"), 0]);
    });

    test("are found by doctor", async () => {
      const { stdout } = await run("node_modules/.bin/llm-client", "doctor", "--json");
      const { addon } = JSON.parse(stdout) as { addon: { path: string } };
      expect(addon).toMatchObject({ llguidance: expect.any(String) });
      expect(addon.path).toContain(`/node_modules/@mlx-llm-client/${platform}/`);
    });

    test.each([
      ["module", "mjs", 'import { LLMClient } from "mlx-llm-client";\n'],
      ["CommonJS file", "cjs", 'const { LLMClient } = require("mlx-llm-client");\n'],
    ])("answer in a %s", async (_, extension, line) => {
      const code = `${line}
        const client = new LLMClient({ provider: "mlx", model: "demo" });
        client.generate({ messages: "${QUESTION}", temperature: 0 })
          .then(({ content }) => console.log(content))
          .finally(() => client.close());`;
      writeFileSync(join(folder, "npm", `main.${extension}`), code);
      const { stdout, stderr, code: exitCode } = await run("node", `main.${extension}`);
      expect([stdout, stderr, exitCode]).toEqual([expect.stringContaining("12"), "", 0]);
    });

    test.each(["mts", "cts"])(
      "have types for a file .%s, which tells mistakes",
      async (extension) => {
        const file = `typed.${extension}`;
        const lines = [
          'import { LLMClient, type LLMResponse } from "mlx-llm-client";',
          'import { createServer } from "mlx-llm-client/server";',
          'const client = new LLMClient({ model: "demo" });',
          "export const reply: Promise<LLMResponse> = client.generate('Hello');",
          "export const server = createServer(client);",
          "// @ts-expect-error There is no such setting.",
          "new LLMClient({ modell: 1 });",
        ];
        writeFileSync(join(folder, "npm", file), lines.join("\n"));
        const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
        const types = ["--typeRoots", join(root, "node_modules", "@types"), "--types", "node"];
        const flags = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022"];
        const { stdout } = await run("node", tsc, ...flags, ...types, file);
        expect(stdout).toBe("");
      },
    );
  });

  describe("by npm without the optional packages", () => {
    let run: ReturnType<typeof project>;
    const generate = (...args: string[]) =>
      run("node_modules/.bin/llm-client", "generate", ...args, "Hello");

    beforeAll(async () => {
      run = project("bare");
      const { code } = await run("npm", "install", "--omit=optional", "mlx-llm-client");
      expect(code).toBe(0);
    });

    test("Ollama answers", async () => {
      const ollama = await startFakeOllama({ models: [{ name: "m" }] });
      ollama.replies.set({ text: ["from Ollama"] });
      const { stdout } = await generate("-p", "ollama", "-u", ollama.url, "-m", "m");
      await ollama.close();
      expect(stdout).toBe("from Ollama\n");
    });

    test("LM Studio answers", async () => {
      const lmStudio = await startFakeLmStudio({ models: [{ id: "m" }] });
      lmStudio.replies.set({ text: ["from LM Studio"] });
      const { stdout } = await generate("-p", "lmstudio", "-u", lmStudio.url, "-m", "m");
      await lmStudio.close();
      expect(stdout).toBe("from LM Studio\n");
    });

    test("MLX says what is missing and how to get it", async () => {
      const { code, stderr } = await generate("-p", "mlx", "-m", "demo");
      expect(code).toBe(3);
      expect(stderr).toContain(`The MLX addon for ${platform} is not installed`);
      expect(stderr).toContain("npm install --include=optional");
      expect(stderr).toContain(`@mlx-llm-client/${platform}`);
    });

    test("what it says helps", async () => {
      expect(await run("npm", "install", "--include=optional")).toMatchObject({ code: 0 });
      const { code } = await generate("-p", "mlx", "-m", "demo");
      expect(code).toBe(0);
    });
  });

  const missing = whyMissing(packageManagers);
  const describeManagers = missing ? describe.skip : describe;
  describeManagers(`by pnpm and Bun${missing ? ` (skipped: ${missing})` : ""}`, () => {
    const generate = ["generate", "-m", "demo", "--temperature", "0", QUESTION];

    test("run the demo model where pnpm installed them", async () => {
      const run = project("pnpm");
      const installed = await run(packageManagers.program, "add", "mlx-llm-client");
      expect(installed).toMatchObject({ code: 0 });
      const { stdout } = await run("node_modules/.bin/llm-client", ...generate);
      expect(stdout).toContain("12");
    });

    test("run the demo model where Bun installed them", async () => {
      const run = project("bun");
      expect(await run(bun(), "add", "mlx-llm-client")).toMatchObject({ code: 0 });
      const { stdout } = await run("node_modules/.bin/llm-client", ...generate);
      expect(stdout).toContain("12");
    });

    test("run the demo model inside Bun", async () => {
      const cwd = join(folder, "bun");
      const cli = "node_modules/mlx-llm-client/dist/cli/main.js";
      const { stdout, stderr } = await runIn(cwd, bun(), [cli, ...generate]);
      expect([stdout, stderr]).toEqual([expect.stringContaining("12"), ""]);
    });
  });
});

/** Bun's own package would only get it by a script after its installation. */
function bun(): string {
  const folder = join(packageManagers.folder, "node_modules", "@oven");
  const [name] = readdirSync(folder).filter((each) => !each.endsWith("musl"));
  return join(folder, name!, "bin", "bun");
}
