import { EXIT, exitCodeOf } from "../../src/cli/exit-codes.js";
import * as errors from "../../src/errors.js";
import { quoted, readPage, tablesOf, tableUnder } from "../helpers/markdown.js";
import { runCli } from "../helpers/run-cli.js";

const page = "docs/cli.md";

/** The help of a command, as users see it. */
async function helpOf(...command: string[]): Promise<string> {
  return (await runCli([...command, "--help"])).stdout;
}

/** Names in the first column of a part of the help, such as "Options:". */
function namesIn(help: string, part: string): string[] {
  const [, lines = ""] = new RegExp(`^${part}:\n((?: {2}.*\n?)*)`, "m").exec(help) ?? [];
  const first = [...lines.matchAll(/^ {2}(\S.*?)(?: {2,}|$)/gm)].map(([, text]) => text!);
  return first.flatMap((text) => text.match(part === "Options" ? FLAG : /^[\w-]+/g) ?? []);
}

const FLAG = /(?<=^|[\s,`])--?[a-z][\w-]*/g;
/** Commands that ask no provider. */
const WITHOUT_COMMON = ["completion", "convert", "fit"];
const ALWAYS = ["-h", "--help", "help", "-V", "--version"];

const others = (names: string[]) => names.filter((name) => !ALWAYS.includes(name)).sort();

/** The flags in the tables under a heading. */
function flagsUnder(heading: string): string[] {
  const tables = tablesOf(page).filter(
    (table) => table.heading === heading && table.header[0] === "flag",
  );
  return tables.flatMap(({ rows }) => rows.flatMap(([cell]) => cell!.match(FLAG) ?? []));
}

const commands = tablesOf(page)[0]!.rows.map(([cell]) => /`([\w-]+)`/.exec(cell!)![1]!);

describe("docs/cli.md", () => {
  test("has every command", async () => {
    expect([...commands].sort()).toEqual(others(namesIn(await helpOf(), "Commands")));
  });

  test.each(commands)("has every flag of %s, and no other", async (command) => {
    const help = await helpOf(command);
    const views = others(namesIn(help, "Commands"));
    const common = WITHOUT_COMMON.includes(command) ? [] : flagsUnder("Common flags");
    for (const view of ["", ...views]) {
      const path = view === "" ? [command] : [command, view];
      const flags = others(namesIn(await helpOf(...path), "Options"));
      // Alone it does nothing.
      if (command === "config" && view === "") expect(flags).toEqual([]);
      else expect([path, flags]).toEqual([path, [...common, ...flagsUnder(path.join(" "))].sort()]);
    }
  });

  test("has everything that models can do", async () => {
    const told = [...readPage(page).matchAll(/^### models (\w+)$/gm)].map(([, name]) => name!);
    expect(told.sort()).toEqual(others(namesIn(await helpOf("models"), "Commands")));
  });

  test("has every view of config", async () => {
    const told = tableUnder(page, "config").rows.map(([cell]) => quoted(cell).split(" ")[1]);
    expect(told.sort()).toEqual(others(namesIn(await helpOf("config"), "Commands")));
  });

  test("has every exit code, and the errors that lead to it", () => {
    const { rows } = tableUnder(page, "Exit codes");
    expect(rows.map(([code]) => Number(code))).toEqual(Object.values(EXIT));
    const classes = new Map<string, unknown>(Object.entries(errors));
    for (const [code, , names] of rows) {
      const told = [...(names ?? "").matchAll(/`(\w+)`/g)].map(([, name]) => name!);
      const codes = told.map((name) => {
        const errorClass = classes.get(name) as typeof errors.LLMError;
        return exitCodeOf(new errorClass("x"));
      });
      expect(codes).toEqual(told.map(() => Number(code)));
    }
  });
});
