import { resolveConfig, type Settings } from "../../src/config/settings.js";
import type { LLMConfig } from "../../src/types.js";
import { ConfigFolders } from "../helpers/config-folders.js";

let folders: ConfigFolders;

beforeEach(async () => {
  folders = await ConfigFolders.create();
});
afterEach(() => folders.remove());

const resolve = (config: LLMConfig = {}, env: Record<string, string> = {}, more: object = {}) =>
  resolveConfig(config, { ...folders.sources(env), ...more });

const keysOf = ({ legs }: Settings) => legs.map(({ apiKey }) => apiKey);

const stranger = { provider: "lmstudio", baseUrl: "https://stranger.example" };

describe("an address in ./llm_config.json gets no key from elsewhere", () => {
  test.each<[string, LLMConfig, Record<string, string>, object]>([
    ["the environment", {}, { LMSTUDIO_API_KEY: "hush" }, stranger],
    ["the environment by another name", {}, { LM_API_TOKEN: "hush" }, stranger],
    [
      "a variable that the file names",
      {},
      { SECRET: "hush" },
      { ...stranger, apiKeyEnv: "SECRET" },
    ],
    ["code", { apiKey: "hush" }, {}, stranger],
  ])("of %s", async (_, config, env, file) => {
    await folders.write(folders.projectFile, file);
    const settings = resolve(config, env);
    expect(settings.legs[0]?.baseUrl).toBe(stranger.baseUrl);
    expect(keysOf(settings)).toEqual([undefined]);
    expect(settings.warnings).toEqual([
      expect.stringContaining("is not sent to https://stranger.example (from ./llm_config.json)"),
    ]);
    expect(settings.warnings[0]).not.toContain("hush");
  });

  test("of the user's file", async () => {
    await folders.write(folders.projectFile, stranger);
    await folders.write(folders.userFile, { provider: "lmstudio", apiKey: "hush" });
    expect(keysOf(resolve())).toEqual([undefined]);
  });

  test("in a fallback", async () => {
    await folders.write(folders.projectFile, { provider: "mlx", fallbackConfigs: [stranger] });
    const settings = resolve({}, { LMSTUDIO_API_KEY: "hush" });
    expect(keysOf(settings)).toEqual([undefined, undefined]);
    expect(settings.warnings[0]).toContain("(fallbackConfigs[0] from ./llm_config.json)");
  });
});

describe("a key goes", () => {
  const env = { LMSTUDIO_API_KEY: "key" };

  test.each(["http://localhost:1234", "http://127.0.0.1:1", "http://[::1]:1"])(
    "to %s, whoever names it",
    async (baseUrl) => {
      await folders.write(folders.projectFile, { ...stranger, baseUrl });
      expect(keysOf(resolve({}, env))).toEqual(["key"]);
    },
  );

  test("to the address of the file that holds it", async () => {
    await folders.write(folders.projectFile, { ...stranger, apiKey: "theirs" });
    expect(keysOf(resolve())).toEqual(["theirs"]);
  });

  test("to the address of a file that was named", async () => {
    await folders.write(folders.projectFile, stranger);
    expect(keysOf(resolve({}, env, { configFile: folders.projectFile }))).toEqual(["key"]);
  });

  test("to the address of the user's file, of the environment and of code", async () => {
    const address = "https://mine.example";
    expect(keysOf(resolve({ provider: "lmstudio", baseUrl: address }, env))).toEqual(["key"]);
    const all = { ...env, LMSTUDIO_BASE_URL: address };
    expect(keysOf(resolve({ provider: "lmstudio" }, all))).toEqual(["key"]);
    await folders.write(folders.userFile, { ...stranger, apiKeyEnv: "LMSTUDIO_API_KEY" });
    expect(keysOf(resolve({}, env))).toEqual(["key"]);
  });
});

describe("a key beside an address in a file is for that server alone", () => {
  beforeEach(() =>
    folders.write(folders.userFile, {
      provider: "lmstudio",
      baseUrl: "https://mine.example/v1",
      apiKey: "hush",
    }),
  );

  test.each([
    ["https://mine.example", "hush"],
    ["https://mine.example:8443", undefined],
    ["http://mine.example", undefined],
    ["http://localhost:1234", undefined],
  ])("with --base-url %s", (baseUrl, key) => {
    const settings = resolve({}, {}, { flags: { baseUrl } });
    expect(keysOf(settings)).toEqual([key]);
    expect(settings.warnings).toHaveLength(key ? 0 : 1);
  });

  test("but a key of code replaces it", () => {
    const settings = resolve({ apiKey: "mine", baseUrl: "https://other.example" });
    expect(keysOf(settings)).toEqual(["mine"]);
  });
});

test("credentials in an address are not shown in the warning", async () => {
  const baseUrl = "https://ada:hush@stranger.example";
  await folders.write(folders.projectFile, { ...stranger, baseUrl });
  const { warnings } = resolve({}, { LMSTUDIO_API_KEY: "key" });
  expect(warnings[0]).toContain("https://[redacted]@stranger.example");
});

describe("verifySsl false in ./llm_config.json", () => {
  const verifies = (settings: Settings) => settings.legs[0]?.verifySsl;

  test("counts for an address of that file", async () => {
    await folders.write(folders.projectFile, { ...stranger, verifySsl: false });
    expect(verifies(resolve())).toBe(false);
  });

  test("does not weaken the connection to another one", async () => {
    await folders.write(folders.projectFile, { provider: "ollama", verifySsl: false });
    const settings = resolve({}, { OLLAMA_BASE_URL: "https://mine.example" });
    expect(verifies(settings)).toBe(true);
    expect(settings.warnings).toEqual([
      "verifySsl from ./llm_config.json is left out: it counts only for an address of that file",
    ]);
    const named = { configFile: folders.projectFile };
    expect(verifies(resolve({}, { OLLAMA_BASE_URL: "https://mine.example" }, named))).toBe(false);
  });
});
