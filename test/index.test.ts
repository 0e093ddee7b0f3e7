import { execFileSync } from "node:child_process";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import * as api from "../src/index.js";
import { loadedFiles } from "./helpers/loaded-files.js";

const fileOf = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const esModule = fileOf("../dist/esm/index.js");
const commonJs = fileOf("../dist/cjs/index.js");

test("the package exports the client and the errors, and nothing else at run time", () => {
  expect(Object.keys(api).sort()).toEqual([
    "AbortError",
    "AllProvidersFailedError",
    "AuthenticationError",
    "ConfigurationError",
    "ConnectionError",
    "ContextLengthError",
    "GenerationError",
    "LLMClient",
    "LLMError",
    "ModelLoadError",
    "ModelNotFoundError",
    "ProtocolError",
    "ProviderUnavailableError",
    "RateLimitError",
    "StreamInterruptedError",
    "TimeoutError",
    "ValidationError",
    "convertModel",
    "defineTool",
    "diagnose",
    "explainConfig",
    "fitModel",
    "mlxMemory",
    "runTools",
  ]);
});

test.each([
  ["module", `Object.entries(await import(${JSON.stringify(esModule)}))`],
  ["CommonJS file", `Object.entries(require(${JSON.stringify(commonJs)}))`],
])("classes and functions keep their names in the %s", (_, entries) => {
  const code = `(async () => { for (const [, value] of ${entries}) console.log(value.name); })()`;
  const names = execFileSync(process.execPath, ["--eval", code], { encoding: "utf8" });
  expect(names.trim().split("\n").sort()).toEqual(Object.keys(api).sort());
});

describe("what is loaded", () => {
  const start = `const { LLMClient } = await import(${JSON.stringify(esModule)});`;
  const client = `${start} const client = new LLMClient({ provider: "ollama", baseUrl: "http://localhost:1" });`;
  // What is loaded later has names of its own.
  const isFirst = (file: string) =>
    dirname(file) === dirname(esModule) && /^(index|chunk-\w+)\.js$/.test(basename(file));

  test.each([
    ["importing the package", start],
    ["making a client", client],
  ])("%s takes a few files of its own, and no other package", async (_, code) => {
    const files = await loadedFiles(code);
    expect(files).toContain(esModule);
    expect(files.filter((file) => !isFirst(file))).toEqual([]);
    expect(files.length).toBeLessThan(15);
  });

  test("requiring the package takes one file", async () => {
    const code = `import { createRequire } from "node:module";
      createRequire(import.meta.url)(${JSON.stringify(commonJs)});`;
    expect(await loadedFiles(code)).toEqual([commonJs]);
  });

  test("asking a server takes undici, but nothing of MLX", async () => {
    const files = await loadedFiles(`${client} await client.listModels().catch(() => {});`);
    const names = files.map((file) => file.match(/node_modules\/(.*?)\/(?=[^@])/)?.[1]);
    expect([...new Set(names)].sort()).toEqual(["undici", undefined]);
    expect(files.some((file) => /model-files/.test(file))).toBe(false);
  });
});
