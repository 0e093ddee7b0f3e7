import { configCommand, type ConfigOptions, runConfig } from "../../src/cli/config.js";
import { ConfigFolders } from "../helpers/config-folders.js";
import { FakeIo } from "../helpers/fake-io.js";
import { parseCommand } from "../helpers/parse-command.js";

let folders: ConfigFolders;

beforeEach(async () => {
  folders = await ConfigFolders.create();
});
afterEach(() => folders.remove());

const parse = (args: string[]) => parseCommand<ConfigOptions>(configCommand, args);

async function run(options: Partial<ConfigOptions>, env: Record<string, string> = {}) {
  const io = new FakeIo();
  const { sources } = options;
  await runConfig(
    {
      view: "show",
      json: false,
      verbose: false,
      ...options,
      sources: { flags: {}, ...folders.sources(env), ...sources },
    },
    io,
  );
  return { out: io.stdout.text, err: io.stderr.text };
}

test.each<[string[], Partial<ConfigOptions>]>([
  [["show"], { view: "show", json: false, sources: { flags: {} } }],
  [["path", "--json"], { view: "path", json: true }],
  [
    ["explain", "-m", "ollama:qwen3:4b", "--config", "mine.json"],
    { sources: { flags: { provider: "ollama", model: "qwen3:4b" }, configFile: "mine.json" } },
  ],
])("%j", async (args, expected) => {
  const { options, refusal } = await parse(args);
  expect(refusal).toBe("");
  expect(options).toMatchObject(expected);
});

test.each([[["list"]], [["show", "extra"]], [["--json", "show"]]])(
  "%j is refused",
  async (args) => {
    const { options, refusal } = await parse(args);
    expect(options).toBeUndefined();
    expect(refusal).toContain("error:");
  },
);

describe("show", () => {
  test("prints setting, value and origin", async () => {
    const flags = { provider: "ollama" as const, timeout: 5 };
    const { out } = await run({ sources: { flags } }, { OLLAMA_HOST: "box" });
    expect(out).toContain("provider\tollama\tfrom --provider\n");
    expect(out).toContain("baseUrl\thttp://box:11434\tfrom OLLAMA_HOST\n");
    expect(out).toContain("model\t\tnot set\n");
    expect(out).toContain("firstTokenTimeout\t5\tas timeout, from --timeout\n");
    expect(out).not.toContain("[0]");
  });

  test("adds what is different for one leg", async () => {
    const { out } = await run({}, { OLLAMA_HOST: "box" });
    expect(out).toContain("provider\tauto\tdefault\n");
    expect(out).toContain("ollama[0].baseUrl\thttp://box:11434\tfrom OLLAMA_HOST\n");
    expect(out).toContain("lmstudio[1].baseUrl\thttp://localhost:1234\tdefault\n");
    expect(out.match(/timeout\t/g)).toHaveLength(1);
  });

  test("hides keys, and says on stderr what is doubtful", async () => {
    const project = { provider: "lmstudio", baseUrl: "https://stranger.example" };
    await folders.write(folders.projectFile, project);
    const env = { LMSTUDIO_API_KEY: "hush" };
    const { out, err } = await run({}, env);
    expect(out).toContain("apiKey\t\tnot set\n");
    expect(err).toMatch(/^warning: the API key from LMSTUDIO_API_KEY is not sent to https:.*\n$/);
    const trusted = await run({ sources: { flags: {}, configFile: "llm_config.json" } }, env);
    expect(trusted.out).toContain("apiKey\t[redacted]\tfrom LMSTUDIO_API_KEY\n");
    expect(trusted.out + trusted.err + out + err).not.toContain("hush");
  });

  test("--json prints the report", async () => {
    const { out } = await run({ json: true });
    expect(JSON.parse(out)).toMatchObject({
      fields: expect.arrayContaining([{ field: "timeout", value: 30, origin: "default" }]),
      legs: [{ provider: "ollama" }, { provider: "lmstudio" }, { provider: "mlx" }],
      warnings: [],
    });
  });
});

describe("path", () => {
  test("prints where files are looked for", async () => {
    await folders.write(folders.userFile, {});
    const { out } = await run({ view: "path" });
    expect(out).toBe(`${folders.projectFile}\tnot there\n${folders.userFile}\tused\n`);
  });

  test("tells that a named file replaces the others", async () => {
    await folders.write(folders.userFile, {});
    await folders.write(`${folders.cwd}/mine.json`, {});
    const sources = { flags: {}, configFile: "mine.json" };
    const { out } = await run({ view: "path", sources });
    expect(out).toContain(`${folders.cwd}/mine.json\tused\n`);
    expect(out).toContain(`${folders.userFile}\tnot used: --config names another\n`);
    const { out: json } = await run({ view: "path", sources, json: true });
    expect(JSON.parse(json)).toHaveLength(3);
  });
});

test("explain tells of each leg what it is asked, in their order", async () => {
  const fallback = { provider: "ollama", model: "small\x1b[2J", timeout: 7, maxRetries: 0 };
  await folders.write(folders.projectFile, { fallbackConfigs: [fallback] });
  const flags = { provider: "lmstudio" as const, baseUrl: "box:1", model: "big" };
  const { out } = await run({ view: "explain", sources: { flags } });
  expect(out).toBe(
    [
      "1. lmstudio (from --provider)",
      "   address: http://box:1",
      "   model: big",
      "   silence: 300 s before the first token, 30 s after",
      "   connecting: 3 s",
      "   retries: 3, after 1 to 10 s",
      "2. ollama (fallbackConfigs[0] from ./llm_config.json)",
      "   address: http://localhost:11434",
      "   model: small [2J",
      "   silence: 7 s before the first token, 7 s after",
      "   connecting: 3 s",
      "   retries: 0, after 1 to 10 s",
      "",
    ].join("\n"),
  );
});
