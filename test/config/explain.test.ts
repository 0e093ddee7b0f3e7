import { describeConfig, type FieldReport } from "../../src/config/explain.js";
import type { LLMConfig } from "../../src/types.js";
import { ConfigFolders } from "../helpers/config-folders.js";

let folders: ConfigFolders;

beforeEach(async () => {
  folders = await ConfigFolders.create();
});
afterEach(() => folders.remove());

const describeWith = (config: LLMConfig = {}, env: Record<string, string> = {}, more = {}) =>
  describeConfig(config, { ...folders.sources(env), ...more });

const rows = (fields: FieldReport[]) =>
  Object.fromEntries(fields.map(({ field, value, origin }) => [field, [value, origin]]));

test("each field has its value and its origin", async () => {
  await folders.write(folders.projectFile, { timeout: 5 });
  await folders.write(folders.userFile, { cacheTtl: 6 });
  const config = { deadline: 9, onRetry() {}, fallbackConfigs: [{ provider: "mlx" as const }] };
  const env = { LLM_CLIENT_MAX_RETRIES: "0", OLLAMA_HOST: "box" };
  const flags = { provider: "ollama", model: "qwen3" };
  expect(rows(describeWith(config, env, { flags }).fields)).toEqual({
    provider: ["ollama", "from --provider"],
    model: ["qwen3", "from --model"],
    baseUrl: ["http://box:11434", "from OLLAMA_HOST"],
    apiKey: [undefined, "not set"],
    verifySsl: [true, "default"],
    maxConcurrent: [undefined, "not set"],
    promptCacheBytes: [undefined, "not set"],
    promptCacheFolder: [undefined, "not set"],
    idleUnload: [undefined, "not set"],
    timeout: [5, "from ./llm_config.json"],
    connectTimeout: [3, "default"],
    firstTokenTimeout: [5, "as timeout, from ./llm_config.json"],
    maxRetries: [0, "from LLM_CLIENT_MAX_RETRIES"],
    retryDelay: [1, "default"],
    retryMaxDelay: [10, "default"],
    retryExponentialBase: [2, "default"],
    deadline: [9, "given directly"],
    cacheTtl: [6, `from ${folders.userFile}`],
    fallbackConfigs: [["mlx"], "given directly"],
    onRetry: ["set", "given directly"],
  });
});

test("under auto the fields are what all legs share, and each leg has its own", () => {
  const { fields, legs } = describeWith({}, { OLLAMA_HOST: "box", LLM_CLIENT_MODEL: "qwen3" });
  expect(rows(fields)).toMatchObject({
    provider: ["auto", "default"],
    model: ["qwen3", "from LLM_CLIENT_MODEL"],
    baseUrl: [undefined, "not set"],
  });
  const places = legs.map(({ settings, origin, fields }) => [
    settings.provider,
    origin,
    ...rows(fields).baseUrl!,
  ]);
  expect(places).toEqual([
    ["ollama", "auto, default", "http://box:11434", "from OLLAMA_HOST"],
    ["lmstudio", "auto, default", "http://localhost:1234", "default"],
    ["mlx", "auto, default", undefined, "not set"],
  ]);
});

test("keys and credentials are not shown", async () => {
  const server = { provider: "lmstudio", baseUrl: "http://ada:hush@localhost:1", apiKey: "hush" };
  await folders.write(folders.userFile, { ...server, fallbackConfigs: [server] });
  const { fields, legs } = describeWith();
  const shown = legs.map((leg) => ({ ...leg, settings: undefined }));
  expect(JSON.stringify([fields, shown])).not.toContain("hush");
  expect(rows(fields)).toMatchObject({
    apiKey: ["[redacted]", `from ${folders.userFile}`],
    baseUrl: ["http://[redacted]@localhost:1", `from ${folders.userFile}`],
  });
});

test("files are told with whether they are there and used", async () => {
  await folders.write(folders.userFile, {});
  const [project, user] = [folders.projectFile, folders.userFile];
  expect(describeWith().files).toEqual([
    { path: project, found: false, used: false },
    { path: user, found: true, used: true },
  ]);
  await folders.write(`${folders.root}/mine.json`, {});
  expect(describeWith({}, {}, { configFile: "../mine.json" }).files).toEqual([
    { path: `${folders.root}/mine.json`, found: true, used: true },
    { path: project, found: false, used: false },
    { path: user, found: true, used: false },
  ]);
  expect(describeWith({}, {}, { configFile: false }).files.map(({ used }) => used)).toEqual([
    false,
    false,
  ]);
});

test("warnings are told", async () => {
  await folders.write(folders.projectFile, { provider: "ollama", verifySsl: false });
  expect(describeWith().warnings).toEqual([expect.stringContaining("verifySsl")]);
});
