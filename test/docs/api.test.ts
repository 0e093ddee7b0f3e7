import { LLMClient } from "../../src/client.js";
import { LmStudioProvider } from "../../src/providers/lmstudio.js";
import { MlxProvider } from "../../src/providers/mlx.js";
import { OllamaProvider } from "../../src/providers/ollama.js";
import { OpenAiCompatibleProvider } from "../../src/providers/openai-compatible.js";
import { checkCapabilities, type Provider } from "../../src/providers/provider.js";
import { checkRequest } from "../../src/request.js";
import type { LLMRequest } from "../../src/types.js";
import { quoted, readPage, tablesOf, tableUnder } from "../helpers/markdown.js";

const page = "docs/api.md";

describe("docs/api.md", () => {
  test("names everything that the package exports", () => {
    const text = readPage("src/index.ts").replace(/\bexport\b|\bfrom "[^"]*"|\btype\b/g, "");
    const names = text.match(/\w+/g)!;
    const said = [page, "docs/errors.md", "docs/configuration.md"].map(readPage).join();
    expect(names.length).toBeGreaterThan(30);
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(said))).toEqual([]);
  });

  test("has every method of the client", () => {
    const told = tableUnder(page, "LLMClient").rows.map(([cell]) => /^\w+/.exec(quoted(cell))![0]);
    const methods = Object.getOwnPropertyNames(LLMClient.prototype);
    const named = methods.filter((name) => name !== "constructor");
    expect(told.sort()).toEqual(["new", ...named].sort());
  });

  test("has every field of every type, and no other", () => {
    const types = fieldsByType();
    const tables = [page, "docs/errors.md"]
      .flatMap(tablesOf)
      .filter(({ header }) => header[0] === "field");
    expect(tables.length).toBeGreaterThan(20);
    const told = tables.map(({ heading, rows }) => [heading, rows.map(([cell]) => quoted(cell))]);
    expect(told).toEqual(tables.map(({ heading }) => [heading, types[heading]]));
  });

  test("has every kind of event", () => {
    const [, events] = /type StreamEvent =(.*?);\n\n/s.exec(readPage("src/types.ts"))!;
    const kinds = [...events!.matchAll(/\btype: "([\w-]+)"/g)].map(([, kind]) => kind);
    const rows = tableUnder(page, "StreamEvent").rows;
    expect(rows.map(([cell]) => quoted(cell))).toEqual(kinds);
  });

  test("has the limits of numbers that a request keeps", () => {
    const tables = tablesOf(page).filter(({ header }) => header[1] === "allowed");
    const ranges = tables.flatMap(({ heading, rows }) =>
      rows.flatMap((row) => rangeOf(heading, row) ?? []),
    );
    expect(ranges.length).toBeGreaterThan(12);
    for (const { field, inside, outside, request } of ranges) {
      expect([field, inside.filter((value) => !isAccepted(request(value)))]).toEqual([field, []]);
      expect([field, outside.filter((value) => isAccepted(request(value)))]).toEqual([field, []]);
    }
  });

  test("names the hooks and channels", () => {
    const channels = readPage("src/chain/observer.ts").match(/mlx-llm-client:\w+/g)!;
    const { rows } = tableUnder(page, "Hooks, logger, diagnostics");
    expect(rows.map((row) => quoted(row[1]))).toEqual(channels);
    expect(rows.map((row) => quoted(row[0]))).toEqual(fieldsByType().Hooks);
  });
});

describe("the tables of providers in docs/api.md", () => {
  const settings = { connectTimeout: 3, verifySsl: true, baseUrl: "http://localhost:1" };
  const providers: [string, Provider][] = [
    ["mlx", new MlxProvider()],
    ["ollama", new OllamaProvider(settings)],
    ["ollama, `/v1`", new OpenAiCompatibleProvider("ollama", settings)],
    ["lmstudio", new LmStudioProvider(settings)],
    ["mlx, http", new OpenAiCompatibleProvider("mlx", settings)],
  ];
  const options = tableUnder(page, "Which provider honours what");

  test.each(providers)("tell what %s honours", (name, provider) => {
    const column = options.header.indexOf(name);
    const told = options.rows.filter((row) => row[column] === "yes");
    expect(told.map(([cell]) => quoted(cell)).sort()).toEqual([...provider.capabilities].sort());
  });

  test.each(providers)("tell which methods %s has", (name, provider) => {
    const table = tablesOf(page).find(({ rows }) => rows[0]?.[0]?.startsWith("`loadModel`"))!;
    const column = table.header.indexOf(name);
    for (const row of table.rows) {
      const methods = row[0]!.match(/\w+/g) as (keyof Provider)[];
      const has = methods.map((method) => typeof provider[method] === "function");
      expect(has).toEqual(methods.map(() => row[column] === "yes"));
    }
  });

  test("tell what happens to options that a provider lacks", () => {
    const told = options.rows.map((row) => [quoted(row[0]), row.at(-1)]);
    expect(told.map(([feature]) => [feature, fateOf(feature!)])).toEqual(told);
  });
});

const IMAGE = { type: "image" as const, image: "data:image/png;base64,AA==" };

const EXAMPLES: Record<string, Partial<LLMRequest>> = {
  images: { messages: [{ role: "user", content: [IMAGE] }] },
  tools: { tools: [{ type: "function", function: { name: "look" } }] },
  toolChoice: { toolChoice: "required" },
  responseFormat: { responseFormat: { type: "json_object" } },
  regex: { responseFormat: { type: "regex", pattern: "a" } },
  grammar: { responseFormat: { type: "grammar", grammar: 'start: "a"' } },
  reasoning: { reasoning: true },
  "reasoning.maxTokens": { reasoning: { maxTokens: 5 } },
  stop: { stop: "." },
  seed: { seed: 1 },
  topP: { topP: 0.5 },
  topK: { topK: 1 },
  minP: { minP: 0.5 },
  repetitionPenalty: { repetitionPenalty: 1 },
  presencePenalty: { presencePenalty: 1 },
  frequencyPenalty: { frequencyPenalty: 1 },
  logitBias: { logitBias: { 1: 1 } },
  logprobs: { logprobs: true },
  promptCacheFile: { providerOptions: { mlx: { promptCacheFile: "prompt.safetensors" } } },
};

/** What becomes of an option that the provider does not have. */
function fateOf(feature: string): string {
  const request = checkRequest({ messages: "Hello", ...EXAMPLES[feature] });
  const provider = { name: "mlx", capabilities: new Set() } as unknown as Provider;
  try {
    return checkCapabilities(request, provider).length === 1 ? "left out" : "nothing";
  } catch {
    return "refused";
  }
}

/** The fields of exported interfaces, in their order. */
function fieldsByType(): Record<string, string[]> {
  const others = ["errors", "explain-config", "config/explain", "config/sources"];
  const doctor = ["diagnosis/diagnose", "diagnosis/machine-report", "diagnosis/cache-sizes"];
  const text = ["types", ...others, ...doctor, "mlx/addon-probe"]
    .map((name) => readPage(`src/${name}.ts`))
    .join("\n");
  const found = text.matchAll(/^export interface (\w+)[^{]*\{\n(.*?)^\}/gms);
  return Object.fromEntries(
    [...found].map(([, name, body]) => [
      name,
      [...body!.matchAll(/^ {2}(\w+)\??[:(]/gm)].map(([, field]) => field!),
    ]),
  );
}

const PROVIDER_OF: Record<string, string> = {
  MlxOptions: "mlx",
  OllamaOptions: "ollama",
  LmStudioOptions: "lmstudio",
};

/** A row with a range, such as "0 to 2", "above 0 to 1" or "1 or more": values to try. */
function rangeOf(heading: string, [cell, allowed = ""]: string[]) {
  const match = /^(above )?(-?[\d.]+)(?: to (-?[\d.]+)| or more)/.exec(allowed);
  if (!match) return undefined;
  const field = quoted(cell);
  const least = Number(match[2]);
  const most = match[3] === undefined ? undefined : Number(match[3]);
  const isOpen = match[1] !== undefined;
  const provider = PROVIDER_OF[heading];
  return {
    field,
    inside: [isOpen ? least + 0.5 : least, most ?? least + 1000],
    outside: [least - 1, ...(isOpen ? [least] : []), ...(most === undefined ? [] : [most + 1])],
    request: (value: number) =>
      provider ? { providerOptions: { [provider]: { [field]: value } } } : { [field]: value },
  };
}

function isAccepted(fields: object): boolean {
  try {
    return checkRequest({ messages: "Hello", ...fields } as LLMRequest) !== undefined;
  } catch {
    return false;
  }
}
