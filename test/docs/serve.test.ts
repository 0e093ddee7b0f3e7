import { readdirSync } from "node:fs";
import { join } from "node:path";
import { LLMClient } from "../../src/index.js";
import { createApp } from "../../src/server/app.js";
import { Gate } from "../../src/server/gate.js";
import { Metrics } from "../../src/server/metrics.js";
import { checkOptions } from "../../src/server/options.js";
import { NO_SOURCES } from "../helpers/client-calls.js";
import { quoted, readPage, root, tablesOf, tableUnder } from "../helpers/markdown.js";

const page = "docs/serve.md";
const files = readdirSync(join(root, "src/server"), { recursive: true, encoding: "utf8" });
const texts = files
  .filter((name) => name.endsWith(".ts"))
  .map((name) => readPage(`src/server/${name}`));

describe("docs/serve.md", () => {
  test("has every endpoint, and no other", async () => {
    await using client = new LLMClient({ provider: "ollama" }, NO_SOURCES);
    const settings = checkOptions({});
    const { signal: stopping } = new AbortController();
    const gate = new Gate(1, 1);
    const metrics = new Metrics(gate);
    const app = createApp({ client, settings, gate, metrics, stopping, isClosing: false });
    const real = app.routes
      .filter(({ method, path }) => method !== "ALL" && !/[*]|^\/page\//.test(path))
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)(\{.*?\})?/g, "{$1}")}`);
    const told = tableUnder(page, "Endpoints").rows.flatMap(([cell]) => {
      const [method] = quoted(cell).split(" ");
      const paths = [...cell!.matchAll(/`(?:[A-Z]+ )?([^`]+)`/g)].map(([, path]) => path!);
      return paths.map((path) => `${method} ${path}`);
    });
    expect(told.sort()).toEqual([...new Set(real)].sort());
  });

  test("has every code of the server's own", () => {
    const used = texts.flatMap((text) =>
      [...text.matchAll(/new Refusal\(\s*\d+,\s*"(\w+)"|code: "(internal)"/g)].map(
        ([, refused, other]) => refused ?? other!,
      ),
    );
    const shared = ["validation", "model_not_found"];
    const own = [...new Set(used)].filter((code) => !shared.includes(code));
    const told = tableUnder(page, "Errors").rows.flatMap(([cell]) =>
      [...cell!.matchAll(/`(\w+)`/g)].map(([, code]) => code!),
    );
    expect(told.sort()).toEqual(own.sort());
  });

  test("has a status only for codes that exist", () => {
    const known = tablesOf("docs/errors.md").flatMap(({ rows }) =>
      rows.map(([cell]) => /`(\w+)`/.exec(cell ?? "")?.[1]),
    );
    const [, table] = /const STATUS[^{]*\{(.*?)\}/s.exec(readPage("src/server/failures.ts"))!;
    const codes = table!.match(/\w+(?=:)/g)!;
    expect(codes.filter((code) => !known.includes(code))).toEqual([]);
  });

  test("has every option", () => {
    const { rows } = tableUnder(page, "Limits");
    const told = rows.map((row) => quoted(row[1]));
    const body = /interface ServerOptions \{(.*?)\n\}/s.exec(
      readPage("src/server/options.ts"),
    )![1]!;
    const real = [...body.matchAll(/^ {2}(\w+)\?:/gm)].map(([, name]) => name!);
    expect(told.sort()).toEqual(real.filter((name) => !["model", "logger"].includes(name)).sort());
  });
});
