import { formatBytes } from "../../src/cli/format.js";
import type { CommonOptions } from "../../src/cli/flags.js";
import { modelsCommand, runModels } from "../../src/cli/models.js";
import type { ModelInfo } from "../../src/index.js";
import { FakeIo } from "../helpers/fake-io.js";
import { parseCommand } from "../helpers/parse-command.js";

const mockModels: ModelInfo[] = [
  {
    id: "org/tiny",
    provider: "mlx",
    object: "model",
    size: 1_530_000,
    quantization: "4-bit",
    contextLength: 512,
    family: "llama",
    path: "/models/tiny",
  },
  { id: "tiny:latest", provider: "ollama", object: "model", size: 995_379, loaded: true },
  { id: "org/bad", provider: "mlx", object: "model", description: "Broken: no\tconfig.json." },
];

jest.mock("../../src/index.js", () => ({
  ...jest.requireActual<object>("../../src/errors.js"),
  LLMClient: class {
    listModels = async () => mockModels;
    async [Symbol.asyncDispose]() {}
  },
}));

const options: CommonOptions = { sources: { flags: {} }, json: false, verbose: false };

test.each<[string[], Partial<CommonOptions>]>([
  [[], { sources: { flags: {} }, json: false, verbose: false }],
  [["--json", "-v"], { json: true, verbose: true }],
  [
    ["-p", "mlx", "-u", "./models"],
    { sources: { flags: { provider: "mlx", baseUrl: "./models" } } },
  ],
])("%j", async (args, expected) => {
  const { options: parsed } = await parseCommand(modelsCommand, args);
  expect(parsed).toMatchObject(expected);
});

test.each([[["extra"]], [["--temperature", "1"]]])("%j is refused", async (args) => {
  const { options: parsed, refusal } = await parseCommand(modelsCommand, args);
  expect(parsed).toBeUndefined();
  expect(refusal).toContain("error:");
});

test("a pipe gets one line of tab-separated values per model", async () => {
  const io = new FakeIo();
  await runModels(options, io);
  expect(io.stdout.text).toBe(
    "org/tiny\tmlx\t1530000\t4-bit\t512\tllama\t\t\n" +
      "tiny:latest\tollama\t995379\t\t\t\t\tloaded\n" +
      "org/bad\tmlx\t\t\t\t\tBroken: no config.json.\t\n",
  );
});

test.each(["tiny:latest", "tiny"])("--model %s lists that model alone", async (model) => {
  const io = new FakeIo();
  await runModels({ ...options, sources: { flags: { model } } }, io);
  expect(io.stdout.text).toBe("tiny:latest\tollama\t995379\t\t\t\t\tloaded\n");
});

test("a --model that is not there is refused", async () => {
  const running = runModels({ ...options, sources: { flags: { model: "nosuch" } } }, new FakeIo());
  await expect(running).rejects.toMatchObject({ name: "ModelNotFoundError", model: "nosuch" });
});

/** The cells that are not empty. */
const cellsOf = (table: string) =>
  table.split("\n").map((line) => line.trim().replace(/ {2,}/g, "|"));

test("a terminal gets a table with sizes for people", async () => {
  const io = new FakeIo({ isTTY: true });
  await runModels(options, io);
  expect(cellsOf(io.stdout.text)).toEqual([
    "model|provider|size|quantization|context|architecture|loaded|note",
    "org/tiny|mlx|1.5 MB|4-bit|512|llama",
    "tiny:latest|ollama|995.4 kB|yes",
    "org/bad|mlx|Broken: no config.json.",
    "",
  ]);
});

test("the table does not repeat the one provider that was named", async () => {
  const io = new FakeIo({ isTTY: true });
  await runModels({ ...options, sources: { flags: { provider: "ollama", model: "tiny" } } }, io);
  expect(cellsOf(io.stdout.text)).toEqual([
    "model|size|quantization|context|architecture|loaded|note",
    "tiny:latest|995.4 kB|yes",
    "",
  ]);
});

test("--verbose adds the folder to the table", async () => {
  const io = new FakeIo({ isTTY: true });
  await runModels({ ...options, verbose: true }, io);
  expect(io.stdout.text).toContain("/models/tiny");
});

test("--json prints the list", async () => {
  const io = new FakeIo({ isTTY: true });
  await runModels({ ...options, json: true }, io);
  expect(JSON.parse(io.stdout.text)).toEqual(mockModels);
});

test.each([
  [undefined, ""],
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1.0 kB"],
  [2_400_000, "2.4 MB"],
  [16e9, "16.0 GB"],
  [5e15, "5000.0 TB"],
])("%p bytes are %p", (bytes, expected) => {
  expect(formatBytes(bytes)).toBe(expected);
});
