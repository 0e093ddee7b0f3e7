import { FIELDS } from "../../src/config/schema.js";
import { resolveConfig } from "../../src/config/settings.js";
import { explainConfig } from "../../src/explain-config.js";
import type { LLMConfig } from "../../src/types.js";
import { ConfigFolders } from "../helpers/config-folders.js";
import { quoted, readPage, tableUnder } from "../helpers/markdown.js";

const page = "docs/configuration.md";
const text = readPage(page);

let folders: ConfigFolders;

beforeEach(async () => {
  folders = await ConfigFolders.create();
});
afterEach(() => folders.remove());

const valuesOf = (env: Record<string, string>, config: LLMConfig = {}) =>
  resolveConfig(config, folders.sources(env));

describe("docs/configuration.md", () => {
  test("has every field, and no other", () => {
    const { rows } = tableUnder(page, "Fields");
    expect(rows.map(([cell]) => quoted(cell))).toEqual(FIELDS);
  });

  test("has the defaults", () => {
    const { fields } = explainConfig({}, folders.sources());
    const told = tableUnder(page, "Fields").rows.filter((row) => quoted(row[2]) !== "");
    expect(told.length).toBeGreaterThan(9);
    for (const [field, , value] of told) {
      const { value: actual } = fields.find((report) => report.field === quoted(field))!;
      expect([field, JSON.stringify(actual)]).toEqual([field, quoted(value)]);
    }
  });

  test("has the default addresses", () => {
    for (const [provider, , address] of tableUnder(page, "Addresses").rows) {
      const [leg] = valuesOf({}, { provider: quoted(provider) as "mlx" }).legs;
      expect(leg?.baseUrl ?? "").toBe(quoted(address));
    }
  });

  test("has the variables", () => {
    const source = readPage("src/config/environment.ts");
    const names = [...source.matchAll(/name: "([A-Z_]+)", field: "(\w+)"/g)];
    const rows = tableUnder(page, "Variables").rows.map((row) => [quoted(row[0]), quoted(row[1])]);
    expect(rows.sort()).toEqual(names.map(([, name, field]) => [name!, field!]).sort());
  });

  test("has files that can be used as they stand", async () => {
    const files = [...text.matchAll(/```json\n(.*?)```/gs)].map(([, json]) => json!);
    const legs = [];
    for (const file of files) {
      await folders.write(folders.userFile, file);
      legs.push(valuesOf({ LMSTUDIO_API_KEY: "key" }).legs);
    }
    expect(legs).toMatchObject([
      [
        { provider: "ollama", timeout: 60 },
        { provider: "lmstudio", timeout: 60, apiKey: "key" },
      ],
      [
        { baseUrl: "http://gpu-box:1234", apiKey: "key", maxRetries: 1 },
        { provider: "mlx", model: "demo", maxRetries: 1, firstTokenTimeout: 600 },
      ],
    ]);
  });

  test("has code that sets up a client", () => {
    const [, code] = /new LLMClient\((\{\n.*?\n\})\)/s.exec(text)!;
    const config = new Function(`return ${code}`)() as LLMConfig;
    expect(valuesOf({}, config).legs.map(({ provider, timeout }) => [provider, timeout])).toEqual([
      ["mlx", 20],
      ["ollama", 20],
      ["lmstudio", 20],
    ]);
  });

  test("says how many legs there may be", () => {
    const [, most] = /(\d+) legs in all/.exec(text)!;
    const fallbackConfigs = Array(Number(most)).fill({ provider: "mlx" });
    expect(() => valuesOf({}, { provider: "mlx", fallbackConfigs })).toThrow(
      `must have at most ${Number(most) - 1}`,
    );
  });
});
