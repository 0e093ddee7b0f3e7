import { formatBytes } from "../../src/cli/format.js";
import { type ModelsOptions, modelsCommand, runModels } from "../../src/cli/models.js";
import type { ModelDetails, ModelInfo } from "../../src/index.js";
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
    capabilities: ["completion", "tools"],
    usable: true,
    path: "/models/tiny",
  },
  { id: "tiny:latest", provider: "ollama", object: "model", size: 995_379, loaded: true },
  {
    id: "org/bad",
    provider: "mlx",
    object: "model",
    description: "Broken: no\tconfig.json.",
    usable: false,
  },
];

const mockShown: ModelDetails = {
  id: "./folder",
  provider: "mlx",
  object: "model",
  size: 1_530_000,
  parameters: 752_392_832,
  hasTemplate: true,
  usable: false,
  description: "Cannot be used: it is\ta test.",
  license: "mit",
  files: [{ name: "config.json", size: 1_530_000 }],
  path: "/models/folder",
};

const mockRemoved: string[] = [];

jest.mock("../../src/index.js", () => ({
  ...jest.requireActual<object>("../../src/errors.js"),
  explainConfig: () => ({ fields: [{ field: "provider", value: "auto" }] }),
  LLMClient: class {
    listModels = async () => mockModels;
    showModel = async (model: string) => {
      const { ModelNotFoundError } = jest.requireActual("../../src/errors.js");
      if (model !== "./folder") throw new ModelNotFoundError("It is not there.", { model });
      return mockShown;
    };
    removeModel = async (id: string) => {
      mockRemoved.push(id);
      return { id, bytes: 1_530_000 };
    };
    async [Symbol.asyncDispose]() {}
  },
}));

const options: ModelsOptions = {
  action: "list",
  sources: { flags: {} },
  json: false,
  verbose: false,
};

test.each<[string[], object]>([
  [[], options],
  [["show", "./tiny"], { ...options, action: "show", model: "./tiny" }],
  [["rm", "org/tiny"], { ...options, action: "rm", model: "org/tiny", yes: false }],
  [["rm", "-y", "org/tiny"], { action: "rm", yes: true }],
  [["-p", "ollama", "show", "qwen3:4b", "--json"], { sources: { flags: { provider: "ollama" } } }],
  [["show", "ollama:tiny"], { model: "tiny", sources: { flags: { provider: "ollama" } } }],
  [["--json", "-v"], { json: true, verbose: true }],
  [
    ["-p", "mlx", "-u", "./models"],
    { sources: { flags: { provider: "mlx", baseUrl: "./models" } } },
  ],
])("%j", async (args, expected) => {
  const { options: parsed } = await parseCommand(modelsCommand, args);
  expect(parsed).toMatchObject(expected);
});

test.each([
  [["extra"]],
  [["--temperature", "1"]],
  [["show"]],
  [["rm"]],
  [["rm", "-m", "a", "b"]],
  [["rm", "-p", "mlx", "ollama:x"]],
])("%j is refused", async (args) => {
  const { options: parsed, refusal } = await parseCommand(modelsCommand, args);
  expect(parsed).toBeUndefined();
  expect(refusal).toContain("error:");
});

test("a pipe gets one line of tab-separated values per model", async () => {
  const io = new FakeIo();
  await runModels(options, io);
  expect(io.stdout.text).toBe(
    "org/tiny\tmlx\t1530000\t4-bit\t512\tllama\t\t\tcompletion,tools\tyes\n" +
      "tiny:latest\tollama\t995379\t\t\t\t\tloaded\t\t\n" +
      "org/bad\tmlx\t\t\t\t\tBroken: no config.json.\t\t\tno\n",
  );
});

test.each(["tiny:latest", "tiny"])("--model %s lists that model alone", async (model) => {
  const io = new FakeIo();
  await runModels({ ...options, sources: { flags: { model } } }, io);
  expect(io.stdout.text).toBe("tiny:latest\tollama\t995379\t\t\t\t\tloaded\t\t\n");
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
    "model|provider|size|quantization|context|architecture|can|usable|loaded|note",
    "org/tiny|mlx|1.5 MB|4-bit|512|llama|completion, tools|yes",
    "tiny:latest|ollama|995.4 kB|yes",
    "org/bad|mlx|no|Broken: no config.json.",
    "",
  ]);
});

test("the table does not repeat the one provider that was named", async () => {
  const io = new FakeIo({ isTTY: true });
  await runModels({ ...options, sources: { flags: { provider: "ollama", model: "tiny" } } }, io);
  expect(cellsOf(io.stdout.text)).toEqual([
    "model|size|quantization|context|architecture|can|usable|loaded|note",
    "tiny:latest|995.4 kB|yes",
    "",
  ]);
});

test("--verbose adds the folder to the table", async () => {
  const io = new FakeIo({ isTTY: true });
  await runModels({ ...options, verbose: true }, io);
  expect(io.stdout.text).toContain("/models/tiny");
});

test("--model with a folder describes that folder", async () => {
  const io = new FakeIo();
  await runModels({ ...options, sources: { flags: { model: "./folder" } } }, io);
  expect(io.stdout.text).toMatch(/^\.\/folder\tmlx\t1530000\t.*\tno\n$/);
});

test("show prints a line for each fact", async () => {
  const io = new FakeIo();
  await runModels({ ...options, action: "show", model: "./folder" }, io);
  expect(io.stdout.text).toBe(
    [
      "model: ./folder",
      "provider: mlx",
      "parameters: 752392832 (752.4 M)",
      "size: 1.5 MB",
      "template: yes",
      "usable: no",
      "note: Cannot be used: it is a test.",
      "license: mit",
      "folder: /models/folder",
      "files:",
      "  config.json (1.5 MB)",
      "",
    ].join("\n"),
  );
});

test("show --json prints it as it is", async () => {
  const io = new FakeIo();
  await runModels({ ...options, action: "show", model: "./folder", json: true }, io);
  expect(JSON.parse(io.stdout.text)).toEqual(mockShown);
});

describe("rm", () => {
  const rm = async (io: FakeIo, yes = false, model = "./folder") => {
    mockRemoved.length = 0;
    await runModels({ ...options, action: "rm", model, yes }, io);
    return mockRemoved;
  };

  test.each([
    ["y", true],
    ["YES", true],
    ["", false],
    ["no", false],
  ])("asks on a terminal: %j", async (answer, isRemoved) => {
    const io = new FakeIo({ stdin: answer, isTTY: true });
    expect(await rm(io)).toEqual(isRemoved ? ["./folder"] : []);
    expect(io.stderr.text).toContain("Remove ./folder (1.5 MB in /models/folder)? [y/N] ");
    expect(io.stdout.text).toBe(isRemoved ? "Removed ./folder: 1.5 MB are free.\n" : "");
  });

  test("asks also about what cannot be shown, such as an unfinished download", async () => {
    const io = new FakeIo({ stdin: "y", isTTY: true });
    expect(await rm(io, false, "org/part")).toEqual(["org/part"]);
    expect(io.stderr.text).toBe("Remove org/part? [y/N] ");
  });

  test("without a terminal wants --yes", async () => {
    await expect(rm(new FakeIo({ stdin: "y" }))).rejects.toMatchObject({ hint: "Add --yes." });
    expect(await rm(new FakeIo(), true)).toEqual(["./folder"]);
  });
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
