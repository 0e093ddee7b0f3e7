import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCli } from "../helpers/run-cli.js";
import { type CompletingShell, hasShell, offersAfter } from "../helpers/shell-completion.js";

jest.setTimeout(60_000);

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "completion-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function scriptFor(shell: string): Promise<string> {
  const { code, stdout, stderr } = await runCli(["completion", shell]);
  expect([code, stderr]).toEqual([0, ""]);
  const file = join(folder, `completion.${shell}`);
  await writeFile(file, stdout);
  return file;
}

const COMMANDS = [
  "cache-prompt",
  "chat",
  "completion",
  "config",
  "convert",
  "doctor",
  "embed",
  "fit",
  "generate",
  "health",
  "help",
  "models",
  "pull",
  "rerank",
  "serve",
];
const PROVIDERS = ["auto", "lmstudio", "mlx", "ollama"];

const OFFERS: [string, string[]][] = [
  ["llm-client ", COMMANDS],
  ["llm-client ge", ["generate"]],
  ["llm-client generate --pro", ["--prompt-cache-file", "--prompt-cache-folder", "--provider"]],
  ["llm-client generate -p ", PROVIDERS],
  ["llm-client health --provider o", ["ollama"]],
  ["llm-client generate Hello --reasoning ", ["high", "low", "medium", "off", "on"]],
  ["llm-client chat --no-ma", ["--no-markdown"]],
  ["llm-client chat --yes", ["--yes-tools"]],
  ["llm-client models --temp", []],
  ["llm-client models --js", ["--json"]],
  ["llm-client models ", ["rm", "show"]],
  ["llm-client models rm --y", ["--yes"]],
  ["llm-client pull --off", ["--offline"]],
  ["llm-client config ", ["explain", "help", "path", "show"]],
  ["llm-client config show --t", ["--timeout"]],
  ["llm-client embed --input-type ", ["document", "query"]],
  ["llm-client fit --con", ["--context"]],
  ["llm-client fit --quantize mxfp", ["mxfp4", "mxfp8"]],
  ["llm-client completion ", ["bash", "fish", "zsh"]],
  ["llm-client help mo", ["models"]],
];

/** Bash also offers flags where a word is asked for. */
const isAskedFor = (line: string) => (offer: string) =>
  !offer.startsWith("-") || / -\S*$/.test(line);

describe.each<CompletingShell>(["bash", "zsh", "fish"])("in %s", (shell) => {
  if (!hasShell(shell)) {
    test.skip(`is not tested: ${shell} is not installed`, () => {});
    return;
  }

  test("commands, flags and their values are completed", async () => {
    const lines = OFFERS.map(([line]) => line);
    const offers = await offersAfter(shell, await scriptFor(shell), lines);
    const asked = lines.map((line, index) => [line, offers[index]?.filter(isAskedFor(line))]);
    expect(asked).toEqual(OFFERS);
  });
});

test("bash completes what follows an equals sign, which it takes for a word", async () => {
  const script = await scriptFor("bash");
  const lines = ["llm-client models --provider = l", "llm-client models --provider ="];
  expect(await offersAfter("bash", script, lines)).toEqual([["lmstudio"], PROVIDERS]);
});

test("an unknown shell is refused", async () => {
  const { code, stdout, stderr } = await runCli(["completion", "csh"]);
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toContain("Allowed choices are bash, zsh, fish.");
});
