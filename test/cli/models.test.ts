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
  { id: "org/bad", provider: "mlx", object: "model", description: "Broken: no\tconfig.json." },
];

jest.mock("../../src/index.js", () => ({
  ...jest.requireActual<object>("../../src/errors.js"),
  LLMClient: class {
    listModels = async () => mockModels;
    async [Symbol.asyncDispose]() {}
  },
}));

const options: CommonOptions = { config: {}, json: false, verbose: false };

test.each<[string[], Partial<CommonOptions>]>([
  [[], { config: {}, json: false, verbose: false }],
  [["--json", "-v"], { json: true, verbose: true }],
  [["-p", "mlx", "-u", "./models"], { config: { provider: "mlx", baseUrl: "./models" } }],
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
    "org/tiny\tmlx\t1530000\t4-bit\t512\tllama\t\n" +
      "org/bad\tmlx\t\t\t\t\tBroken: no config.json.\n",
  );
});

test("--model lists that model alone", async () => {
  const io = new FakeIo();
  await runModels({ ...options, config: { model: "org/bad" } }, io);
  expect(io.stdout.text).toBe("org/bad\tmlx\t\t\t\t\tBroken: no config.json.\n");
});

test("a --model that is not there is refused", async () => {
  const running = runModels({ ...options, config: { model: "nosuch" } }, new FakeIo());
  await expect(running).rejects.toMatchObject({ name: "ModelNotFoundError", model: "nosuch" });
});

test("a terminal gets a table with sizes for people", async () => {
  const io = new FakeIo({ isTTY: true });
  await runModels(options, io);
  const lines = io.stdout.text.split("\n").map((line) => line.replace(/ {2,}/g, "|"));
  expect(lines).toEqual([
    "model|size|quantization|context|architecture|note",
    "org/tiny|1.5 MB|4-bit|512|llama",
    "org/bad|Broken: no config.json.",
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
