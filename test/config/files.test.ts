import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { resolveConfig } from "../../src/config/settings.js";
import { ConfigFolders } from "../helpers/config-folders.js";
import { refusalOf } from "../helpers/configuration-error.js";

let folders: ConfigFolders;

beforeEach(async () => {
  folders = await ConfigFolders.create();
});
afterEach(() => folders.remove());

const resolve = (more: object = {}) => resolveConfig({}, { ...folders.sources(), ...more });

describe("where files are looked for", () => {
  test("the working directory comes before the user's folder, field by field", async () => {
    await folders.write(folders.projectFile, { timeout: 5 });
    await folders.write(folders.userFile, { timeout: 6, cacheTtl: 7 });
    const { legs, cacheTtl } = resolve();
    expect([legs[0]?.timeout, cacheTtl]).toEqual([5, 7]);
  });

  test("XDG_CONFIG_HOME moves the user's folder; a relative one does not count", async () => {
    await folders.write(folders.userFile, { cacheTtl: 7 });
    await folders.write(join(folders.root, "xdg/llm-client/config.json"), { cacheTtl: 8 });
    const cacheTtlWith = (XDG_CONFIG_HOME: string) =>
      resolveConfig({}, folders.sources({ XDG_CONFIG_HOME })).cacheTtl;
    expect(cacheTtlWith(join(folders.root, "xdg"))).toBe(8);
    expect(cacheTtlWith("xdg")).toBe(7);
  });

  test("a named file replaces both", async () => {
    await folders.write(folders.projectFile, { cacheTtl: 5 });
    await folders.write(folders.userFile, "not even JSON");
    await folders.write(join(folders.cwd, "mine.json"), { maxRetries: 1 });
    const { legs, cacheTtl } = resolve({ configFile: "mine.json" });
    expect([legs[0]?.maxRetries, cacheTtl]).toEqual([1, 300]);
  });

  test("a named file must be there", () => {
    const { message } = refusalOf(() => resolve({ configFile: "mine.json" }));
    expect(message).toBe("The configuration file mine.json does not exist.");
  });

  test("false reads no file", async () => {
    await folders.write(folders.projectFile, "not even JSON");
    expect(resolve({ configFile: false }).cacheTtl).toBe(300);
  });

  test("no file is no failure", () => {
    expect(resolve().warnings).toEqual([]);
  });
});

describe("what a file may hold", () => {
  test("fields in either spelling, also within legs", async () => {
    const leg = { provider: "ollama", base_url: "box:1", first_token_timeout: 9 };
    await folders.write(folders.projectFile, { cache_ttl: 1, fallback_configs: [leg] });
    const { legs, cacheTtl } = resolve();
    expect(cacheTtl).toBe(1);
    expect(legs.at(-1)).toMatchObject({ baseUrl: "http://box:1", firstTokenTimeout: 9 });
  });

  test("a byte order mark", async () => {
    await folders.write(folders.projectFile, '\uFEFF{"cacheTtl": 1}');
    expect(resolve().cacheTtl).toBe(1);
  });

  test("folders and models relative to the file", async () => {
    const file = join(folders.root, "elsewhere/config.json");
    await folders.write(file, { provider: "mlx", baseUrl: "models", model: "./tiny" });
    expect(resolve({ configFile: file }).legs[0]).toMatchObject({
      baseUrl: join(folders.root, "elsewhere/models"),
      model: join(folders.root, "elsewhere/tiny"),
    });
  });

  test("keys by the name of a variable", async () => {
    await folders.write(folders.userFile, { provider: "lmstudio", api_key_env: "MY_KEY" });
    const { legs } = resolveConfig({}, folders.sources({ MY_KEY: "abc" }));
    expect(legs[0]?.apiKey).toBe("abc");
  });
});

describe("refusals", () => {
  test.each<[unknown, string]>([
    ["{", "./llm_config.json is not JSON: see line 1, column 2."],
    ['{\n  "api_key": "hush" "timeout": 1\n}', "is not JSON: see line 2, column 21."],
    ["", "is not JSON: see line 1, column 1."],
    [[1], "it must be an object (from ./llm_config.json)"],
    ["null", "it is null, but must be an object (from ./llm_config.json)"],
    [{ timeout: 0 }, "timeout is 0, but must be a number of seconds above 0 (from ./llm_config"],
    [{ timeout: "5" }, 'timeout is "5", but must be a number of seconds above 0'],
    [{ model: null }, "model is null, but must be the name of a model"],
    [{ modle: "x" }, "modle is not a known field (from ./llm_config.json; did you mean model?)"],
    ['{"__proto__": {"timeout": 1}}', "__proto__ is not a known field"],
    ['{"constructor": {"prototype": {}}}', "constructor is not a known field"],
    ['{"fallbackConfigs": [{"provider": "mlx", "__proto__": {}}]}', "__proto__ is not a known"],
    [{ onRetry: "x" }, "onRetry (from ./llm_config.json) can only be given in code"],
    [{ logger: {} }, "logger (from ./llm_config.json) can only be given in code"],
    [{ apiKey: "a", apiKeyEnv: "B" }, "apiKeyEnv must be left out where apiKey is given"],
    [{ apiKeyEnv: "sk hush" }, "apiKeyEnv must be the name of a variable (from ./llm_config"],
    [
      { provider: "lmstudio", apiKeyEnv: "hush" },
      "the variable that is named by apiKeyEnv from ./llm_config.json is not set",
    ],
  ])("%j", async (content, problem) => {
    await folders.write(folders.projectFile, content);
    const error = refusalOf(() => resolve());
    expect(error.message).toContain(problem);
    expect(JSON.stringify([error, String(error.cause)])).not.toContain("hush");
    expect({}).not.toHaveProperty("timeout");
  });

  test("a folder in its place", async () => {
    await mkdir(folders.projectFile);
    expect(refusalOf(() => resolve()).message).toContain("./llm_config.json is a folder");
  });

  test("a device in its place", () => {
    const { message } = refusalOf(() => resolve({ configFile: "/dev/null" }));
    expect(message).toContain("/dev/null is no regular file");
  });

  test("links in a circle", async () => {
    await symlink(folders.projectFile, folders.projectFile);
    expect(refusalOf(() => resolve()).message).toContain("./llm_config.json cannot be read: ELOOP");
  });

  test("more than a megabyte", async () => {
    await writeFile(folders.projectFile, `{}${" ".repeat(2 ** 20)}`);
    const { message } = refusalOf(() => resolve());
    expect(message).toContain("is 1048578 bytes long, but at most 1048576 are read");
  });

  const asUser = process.getuid?.() === 0 ? test.skip : test;
  asUser("a file of another user (not for root, who may read all)", async () => {
    await folders.write(folders.projectFile, {});
    await chmod(folders.projectFile, 0);
    expect(refusalOf(() => resolve()).message).toContain("may not be read by this user");
  });

  test("the error says which file it is", async () => {
    await folders.write(folders.userFile, "{");
    expect(refusalOf(() => resolve()).url).toBe(folders.userFile);
  });
});

describe("a key in a file that others can read", () => {
  const key = { provider: "ollama", apiKey: "hush" };
  const warnings = async (content: unknown, mode: number) => {
    await folders.write(folders.userFile, content);
    await chmod(folders.userFile, mode);
    return resolve().warnings;
  };

  test.each([0o640, 0o604, 0o620])("mode %o brings a warning", async (mode) => {
    const expected = [
      expect.stringContaining(`${folders.userFile} holds a key or a password and is open`),
    ];
    expect(await warnings(key, mode)).toEqual(expected);
    expect(await warnings({ fallbackConfigs: [key] }, mode)).toEqual(expected);
    const password = { provider: "ollama", baseUrl: "https://ada:hush@box" };
    expect(await warnings(password, mode)).toEqual(expected);
  });

  test("without a key, or for its owner alone, it is fine", async () => {
    expect(await warnings(key, 0o600)).toEqual([]);
    expect(await warnings({ provider: "ollama", baseUrl: "http://box:1" }, 0o644)).toEqual([]);
    expect(await warnings({ provider: "mlx", baseUrl: "./models@2" }, 0o644)).toEqual([]);
  });

  test("the logger is told", async () => {
    await folders.write(folders.userFile, key);
    await chmod(folders.userFile, 0o644);
    const logger = { debug: jest.fn(), info: jest.fn(), warn: jest.fn(), error: jest.fn() };
    const { warnings } = resolveConfig({ logger }, folders.sources());
    expect(logger.warn.mock.calls).toEqual([[warnings[0]]]);
    expect(warnings[0]).not.toContain("hush");
  });
});
